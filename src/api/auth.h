/* api/auth.h: credential -> who is asking. ONE routine for every header.
 *
 * `x-api-key: K` and `Authorization: Bearer K` mean the same. Both with different keys, either
 * one twice, or an empty one is nobody. Only hashes of keys are known here.
 *
 * What was found is remembered for AUTH_FRESH_MS, so that a request costs a hash and a look
 * at a table; that is also the longest time that a revoked key still works. Who is not known is asked for
 * anew each time, so a new key works at once.
 *
 * Time      Does not wait. Errors: ERR_UNKNOWN_KEY; those of db_read. */
#pragma once
#include "io/ctx.h"
#include "net/server.h"

enum { AUTH_FRESH_MS = 500 };
enum scope_bits { SCOPE_ALL = ~0 };

struct principal {
    int64_t org;        /* organization.n */
    struct str org_id;
    struct str key_id;
    struct str user;    /* empty: a key has no person behind it */
    unsigned scopes;
};

struct store;
struct auth_cache;
struct auth_cache *auth_cache_new(void) MUST_CHECK; /* null: no memory */
void auth_cache_free(struct auth_cache *);

struct err auth_check(struct ctx *, struct auth_cache *, struct store *, const struct request *, struct principal *out) MUST_CHECK;

/* The key that the headers name; at = null: none, or not one. */
struct str auth_key(const struct request *);
