/* store/idempotent.h: what requests with an Idempotency-Key have made.
 *
 * A record is written in the commit that makes the object, so that there is never one without the
 * other; two who come at once cannot both commit. It holds keyed hashes, and no text.
 *
 * Errors    Those of store/db.h. */
#pragma once
#include "store/store.h"

struct idempotent {            /* a request's key; hash.at = null: it has none */
    struct str hash, body;
    int64_t oldest_us;         /* records from before are as if they were not there */
};
struct made {
    int64_t n, turn, after;
    bool is_same_body;
};
/* Which request it is: `what` is method, path and key, `body` query and body. */
struct err store_idempotent_name(struct ctx *, struct store *, int64_t org, struct str what, struct str body,
                                 struct idempotent *out) MUST_CHECK;
/* ERR_NOT_FOUND: nothing was made by it. Does not wait. */
struct err store_idempotent_find(struct ctx *, struct store *, int64_t org, const struct idempotent *, struct made *out) MUST_CHECK;
/* Nothing for a request without a key. Expects that there is no record of it. Some of the oldest records whose time is up go, too. */
void store_idempotent_add(struct batch *, int64_t org, const struct idempotent *, const struct made *, int64_t now_us);
