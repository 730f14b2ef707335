/* store/key.h: API keys. Only the SHA-256 of a key is stored.
 *
 * Errors    Those of store/db.h, and what is said below. */
#pragma once
#include "store/store.h"

struct key_row {
    struct str id, label;
    struct str org_id, org_name;
    int64_t org;
    int64_t created_at, last_used_at, revoked_at; /* 0 = never */
};
enum { KEY_TEXT_BYTES = 4 + 43, KEY_HASH_BYTES = 32 }; /* "agd_" and 256 random bits */

/* The hash of a key's text, in `hash`. */
void key_hash(struct str key, unsigned char hash[KEY_HASH_BYTES]);

/* A key that is not revoked, by its hash. ERR_UNKNOWN_KEY. Does not wait. */
struct err store_key_find(struct ctx *, struct store *, const unsigned char hash[KEY_HASH_BYTES], struct key_row *out) MUST_CHECK;
/* It was used at this time: rides on a later commit. */
void store_key_touch(struct store *, int64_t org, struct str key_id, int64_t now_us);

/* For the command line; also beside a running server. */
struct key_made {
    struct str org_id, key_id, key; /* the key's text: seen here and never again */
};
/* A key for the organisation of this name, which is made if it is new. */
struct err store_key_create(struct ctx *, struct store *, struct str org_name, struct str label, struct key_made *out) MUST_CHECK;
/* Every key of the installation, oldest first. */
struct err store_key_list(struct ctx *, struct store *, struct key_row **keys, int *count) MUST_CHECK;
/* ERR_NOT_FOUND. Revoking twice is harmless. */
struct err store_key_revoke(struct ctx *, struct store *, struct str key_id) MUST_CHECK;
/* Is there any key at all? */
struct err store_key_any(struct ctx *, struct store *, bool *out) MUST_CHECK;
