/* store/seal.h: content <-> ciphertext.
 *
 * AES-256-GCM with a random 96-bit nonce for each value. Bytes: 1 format, 12 nonce, the
 * ciphertext, 16 tag. The associated data are the installation, the table, the column group, the
 * owner's number and the row's key: never a public id, the run, or anything that changes.
 *
 * Memory    In the arena (which should wipe). Errors: ERR_IO "sealed text does not open" (damage, a wrong place,
 *           or an erased key); ERR_MEMORY. */
#pragma once
#include "base/str.h"
#include "store/keyring.h"

struct seal_place {
    const char *table, *group; /* literals: "entry", "body" */
    int64_t owner, row, row2;  /* task.n and the row's key: turn number, entry n … (0 where there is none) */
};
struct store;
struct err seal(struct arena *, const struct store *, const struct secret *, struct seal_place, struct str plain,
                struct str *sealed) MUST_CHECK;
struct err unseal(struct arena *, const struct store *, const struct secret *, struct seal_place, struct str sealed,
                  struct str *plain) MUST_CHECK;
/* HMAC-SHA-256 with a key derived for this purpose: how personal ids are looked up. */
struct err seal_hash(struct arena *, const struct store *, const struct secret *, const char *purpose, struct str plain,
                     struct str *hash) MUST_CHECK;
