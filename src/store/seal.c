#include "store/seal.h"
#include <assert.h>
#include "base/crypto.h"
#include "store/cells.h"
#include "store/store.h"

enum { FORMAT = 1, NONCE_AT = 1, BODY_AT = NONCE_AT + CRYPTO_NONCE_BYTES, OVERHEAD = BODY_AT + CRYPTO_TAG_BYTES };
enum { NAME_BYTES_MAX = 64, PLACE_BYTES_MAX = 2 * NAME_BYTES_MAX + 64 };

/* Where a value stands, as bytes that no other place has: names end with a zero, numbers are of one length. */
struct place_bytes {
    size_t count;
    char at[PLACE_BYTES_MAX];
};

static void put_name(struct place_bytes *p, const char *name)
{
    size_t count = strlen(name) + 1;
    assert(count <= NAME_BYTES_MAX);
    memcpy(p->at + p->count, name, count);
    p->count += count;
}

static void put_number(struct place_bytes *p, int64_t number)
{
    for (int i = 0; i < 8; i++) p->at[p->count++] = (char)((uint64_t)number >> 8 * i);
}

static struct str place_of(const struct store *store, struct seal_place place, struct place_bytes *p)
{
    p->count = 0;
    put_name(p, store->installation);
    put_name(p, place.table);
    put_name(p, place.group);
    put_number(p, place.owner);
    put_number(p, place.row);
    put_number(p, place.row2);
    return str_n(p->at, p->count);
}

static const struct err damaged = {ERR_IO, "sealed text does not open"};
static const struct err no_memory = {ERR_MEMORY, "there is no memory left for this request"};

struct err seal(struct arena *arena, const struct store *store, const struct secret *secret, struct seal_place place,
                struct str plain, struct str *sealed)
{
    struct place_bytes about;
    unsigned char room[CELL_BYTES];
    unsigned char *out = arena_try_alloc(arena, plain.count + OVERHEAD);
    if (!out || plain.count > CRYPTO_SEALED_BYTES_MAX) return no_memory;
    const unsigned char *key = secret_bytes(store->keyring, secret, room);
    if (!key) return damaged;
    out[0] = FORMAT;
    crypto_random(out + NONCE_AT, CRYPTO_NONCE_BYTES);
    crypto_seal(key, out + NONCE_AT, place_of(store, place, &about), plain, out + BODY_AT);
    explicit_bzero(room, sizeof room);
    *sealed = str_n((char *)out, plain.count + OVERHEAD);
    return OK;
}

struct err unseal(struct arena *arena, const struct store *store, const struct secret *secret, struct seal_place place,
                  struct str sealed, struct str *plain)
{
    struct place_bytes about;
    unsigned char room[CELL_BYTES];
    if (sealed.count < OVERHEAD || sealed.at[0] != FORMAT) return damaged;
    const unsigned char *in = (const unsigned char *)sealed.at;
    size_t count = sealed.count - OVERHEAD;
    char *out = arena_try_alloc(arena, count + 1); /* ends with a zero byte */
    if (!out) return no_memory;
    const unsigned char *key = secret_bytes(store->keyring, secret, room);
    bool is_open = key && crypto_open(key, in + NONCE_AT, place_of(store, place, &about),
                                      str_cut(sealed, BODY_AT, sealed.count - BODY_AT), (unsigned char *)out);
    explicit_bzero(room, sizeof room);
    if (!is_open) return damaged;
    *plain = str_n(out, count);
    return OK;
}

struct err seal_hash(struct arena *arena, const struct store *store, const struct secret *secret, const char *purpose,
                     struct str plain, struct str *hash)
{
    unsigned char room[CELL_BYTES], derived[CRYPTO_HASH_BYTES];
    unsigned char *out = arena_alloc(arena, CRYPTO_HASH_BYTES);
    const unsigned char *key = secret_bytes(store->keyring, secret, room);
    if (!key) return damaged;
    crypto_hmac(str_n((const char *)key, CELL_BYTES), str(purpose), derived);
    crypto_hmac(str_n((const char *)derived, sizeof derived), plain, out);
    explicit_bzero(room, sizeof room);
    explicit_bzero(derived, sizeof derived);
    *hash = str_n((char *)out, CRYPTO_HASH_BYTES);
    return OK;
}
