/* net/guard.h: who we may connect to.
 *
 * Every outbound connection is looked up here, once, and connects to what was
 * looked up (no second resolution, so no rebinding). What a tenant named may
 * not lead to loopback, private, link-local, multicast, unspecified or metadata
 * addresses, in any spelling (decimal, hex, IPv4-mapped IPv6, NAT64, 6to4 …), unless the
 * operator allowed that HOST:PORT. What the operator named is trusted.
 *
 * Errors    ERR_DENIED: not allowed, the sentence names the host. ERR_UPSTREAM: the name
 *           has no address. ERR_BUSY: too many look-ups under way. */
#pragma once
#include "base/str.h"
#include "base/url.h"
#include "io/ctx.h"

enum guard_trust { GUARD_TENANT, GUARD_OPERATOR };
struct guard;
struct guard_address {
    char host[256];      /* as in the URL, for SNI, Host and certificates */
    int port;
    char addresses[512]; /* numeric, comma separated, each one allowed; IPv6 in brackets */
};
/* `allowed` = "host:port,host:port" as in the setting. `lookup` is getaddrinfo unless a test gives its own. */
struct guard *guard_open(struct loop *, struct str allowed) MUST_CHECK;
void guard_close(struct guard *);
/* Look the URL's host up. `tenant` (any number that names the organisation) shares the pool fairly. */
struct err guard_resolve(struct ctx *, struct guard *, const struct url *, enum guard_trust, int64_t tenant,
                         struct guard_address *out) MUST_CHECK;
/* Pure: may a tenant connect to this address (a struct sockaddr)? */
struct sockaddr;
bool guard_is_public(const struct sockaddr *);
/* Tests: answer look-ups from a table instead of the system. Null restores. */
typedef struct err guard_lookup_fn(const char *host, char *addresses, size_t addresses_size);
void guard_test_lookup(struct guard *, guard_lookup_fn *);
