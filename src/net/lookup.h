/* net/lookup.h: names to addresses, on a few threads of its own.
 *
 * A started getaddrinfo cannot be cancelled and may take half a minute: in libuv's pool two dead hosts
 * would hold up everything else. Here a tenant has at most two threads at a time and all tenants
 * together leave some to the operator; who has least under way is served first. The same name is
 * looked up once for all who ask for it, and answers are kept for a few seconds.
 *
 * Threads   All calls belong to the loop's thread. A look-up owns what it touches, so its
 *           waiters may leave at any time, and so may the whole pool.
 * Errors    ERR_UPSTREAM: no address, or none in time. ERR_BUSY: too many look-ups wait.
 *           ERR_CANCELLED and ERR_TIMEOUT at once, whatever the system's resolver is doing. */
#pragma once
#include "io/ctx.h"

enum { LOOKUP_ADDRESSES_BYTES = 512, LOOKUP_HOST_BYTES = 256 };
enum {
    LOOKUP_THREADS = 8,         /* started when first needed */
    LOOKUP_TENANTS_THREADS = 6, /* the rest is for the operator's own hosts */
    LOOKUP_TENANT_THREADS = 2,
    LOOKUP_TENANT_QUEUED = 32,
    LOOKUP_QUEUED = 512,
    LOOKUP_KEPT = 256,          /* answers in the cache */
    LOOKUP_KEPT_MS = 10000,
    LOOKUP_FAILURE_KEPT_MS = 1000,
    LOOKUP_WAIT_MS = 15000,
};
/* The number that stands for the operator among the tenants. */
#define LOOKUP_OPERATOR INT64_MIN

/* Runs on a thread of the pool. `addresses`: numeric, comma separated, IPv6 in brackets. The sentence
 * of an error is a literal. */
typedef struct err lookup_fn(const char *host, char *addresses, size_t addresses_size);

struct lookup;
struct lookup *lookup_open(struct loop *) MUST_CHECK; /* null: no memory */
void lookup_close(struct lookup *);                   /* nobody waits any more */
struct err lookup_wait(struct ctx *, struct lookup *, const char *host, int64_t tenant,
                       char addresses[LOOKUP_ADDRESSES_BYTES]) MUST_CHECK;
/* Tests: another resolver; null restores the system's. Forgets what was kept. */
void lookup_test_fn(struct lookup *, lookup_fn *);
