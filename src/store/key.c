#include "store/key.h"

#include <assert.h>
#include "base/clock.h"
#include "base/crypto.h"
#include "base/id.h"
#include "store/organization.h"
#include "store/unscoped.h"

enum { LABEL_POINTS_MAX = 256, MINUTE_US = 60 * 1000 * 1000 };

void key_hash(struct str key, unsigned char hash[KEY_HASH_BYTES])
{
    static_assert((int)KEY_HASH_BYTES == (int)CRYPTO_HASH_BYTES, "one hash");
    crypto_sha256(key, hash);
}

static struct str hash_text(const unsigned char *hash)
{
    return str_n((const char *)hash, KEY_HASH_BYTES);
}

/* "agd_" and 256 random bits in the letters of base64url: never a secret that a person could guess. */
static struct str key_text(struct arena *arena)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char random[CRYPTO_KEY_BYTES];
    char *key = arena_alloc(arena, KEY_TEXT_BYTES + 1), *to = stpcpy(key, "agd_");
    unsigned bits = 0;
    int bits_count = 0;

    crypto_random_key(random);
    for (int i = 0; i < CRYPTO_KEY_BYTES; i++) {
        bits = bits << 8 | random[i];
        for (bits_count += 8; bits_count >= 6; bits_count -= 6) *to++ = letters[bits >> (bits_count - 6) & 63];
    }
    *to++ = letters[bits << (6 - bits_count) & 63];
    assert(to - key == KEY_TEXT_BYTES);
    explicit_bzero(random, sizeof random);
    return str_n(key, KEY_TEXT_BYTES);
}

static struct key_row row_of(const struct rows *rows, int at)
{
    return (struct key_row){.id = row_text(rows, at, 0),
                            .label = row_text(rows, at, 1),
                            .org = row_num(rows, at, 2),
                            .org_id = row_text(rows, at, 3),
                            .org_name = row_text(rows, at, 4),
                            .created_at = row_num(rows, at, 5),
                            .last_used_at = row_num(rows, at, 6),
                            .revoked_at = row_num(rows, at, 7)};
}

struct err store_key_find(struct ctx *cx, struct store *store, const unsigned char hash[KEY_HASH_BYTES], struct key_row *out)
{
    struct rows rows;

    TRY(db_read(cx, store->db, POINT(SQL_KEY_BY_HASH), ARGS(blob(hash_text(hash))), &rows));
    if (!rows.count) return err(ERR_UNKNOWN_KEY, "no such key");
    *out = row_of(&rows, 0);
    return OK;
}

void store_key_touch(struct store *store, int64_t org, struct str key_id, int64_t now_us)
{
    int64_t minute_us = now_us / MINUTE_US * MINUTE_US;

    db_ride(store->db,
            "UPDATE api_key SET last_used_at = $1 WHERE id = $2 AND org = $3 AND coalesce(last_used_at, 0) < $1",
            ARGS(num(minute_us), text(key_id), num(org)), 0, 0);
}

struct err store_key_create(struct ctx *cx, struct store *store, struct str org_name, struct str label, struct key_made *out)
{
    unsigned char hash[KEY_HASH_BYTES];
    struct organization organization;

    if (!str_is_utf8(label) || str_code_points(label) > LABEL_POINTS_MAX)
        return err(ERR_INVALID, "the label of a key is a text of at most 256 characters");
    TRY(store_organization_named(cx, store, org_name, &organization));
    *out = (struct key_made){.org_id = organization.id, .key_id = uuid_new(cx->arena), .key = key_text(cx->arena)};
    key_hash(out->key, hash);

    struct batch *batch = batch_new(cx->arena);
    batch_add(batch, "INSERT INTO api_key (id, org, hash, label, created_at) VALUES ($1, $2, $3, $4, $5)",
              ARGS(text(out->key_id), num(organization.n), blob(hash_text(hash)), text(label), num(clock_now_us())), 1);
    return db_write(cx, store->db, batch);
}

struct err store_key_list(struct ctx *cx, struct store *store, struct key_row **keys, int *count)
{
    struct rows rows;

    TRY(db_read(cx, store->db, POINT(SQL_KEYS), NO_ARGS, &rows));
    *count = rows.count;
    *keys = arena_try_alloc(cx->arena, (size_t)(rows.count + 1) * sizeof **keys);
    if (!*keys) return err(ERR_MEMORY, "no memory for the list of keys");
    for (int i = 0; i < rows.count; i++) (*keys)[i] = row_of(&rows, i);
    return OK;
}

struct err store_key_revoke(struct ctx *cx, struct store *store, struct str key_id)
{
    struct batch *batch = batch_new(cx->arena);

    batch_add(batch, SQL_KEY_REVOKE, ARGS(num(clock_now_us()), text(key_id)), 1);
    struct err e = db_write(cx, store->db, batch);
    return e.code == ERR_CONFLICT ? err(ERR_NOT_FOUND, "No such key") : e;
}

struct err store_key_any(struct ctx *cx, struct store *store, bool *out)
{
    struct rows rows;

    TRY(db_read(cx, store->db, POINT(SQL_KEY_ANY), NO_ARGS, &rows));
    *out = rows.count > 0;
    return OK;
}
