#include "api/auth.h"

#include <stdlib.h>
#include "base/clock.h"
#include "base/crypto.h"
#include "store/key.h"

/* A table of sets: a hash has four places, and the one that was read longest ago gives way. So the
 * memory is bounded, whoever calls; pages that nobody's key falls into are never touched. */
enum { SETS = 1024, WAYS = 4, MINUTE_US = 60 * 1000 * 1000 };
struct known {
    unsigned char hash[KEY_HASH_BYTES];
    char org_id[37], key_id[37];
    int64_t org;
    int64_t fresh_until_ms; /* 0: an empty place */
    int64_t used_minute;    /* what was last written down */
};
struct auth_cache {
    struct known sets[SETS][WAYS];
};

struct auth_cache *auth_cache_new(void)
{
    return calloc(1, sizeof(struct auth_cache));
}

void auth_cache_free(struct auth_cache *cache)
{
    free(cache);
}

/* ---- the headers ------------------------------------------------------------------ */

static struct str bearer(struct str value)
{
    struct str key;
    bool has_key;
    struct str scheme = str_split(str_trim(value), ' ', &key, &has_key);

    return has_key && str_eq_nocase(scheme, S("bearer")) ? str_trim(key) : S("");
}

struct str auth_key(const struct request *request)
{
    const struct str none = {0};

    if (request_header_count(request, "x-api-key") > 1 || request_header_count(request, "authorization") > 1)
        return none;

    struct str plain = str_trim(request_header(request, "x-api-key"));
    struct str borne = bearer(request_header(request, "authorization"));
    if (plain.count && borne.count && !str_eq(plain, borne)) return none;
    if (plain.count) return plain;
    return borne.count ? borne : none;
}

/* ---- what is remembered --------------------------------------------------------- */

static struct known *set_of(struct auth_cache *cache, const unsigned char *hash)
{
    return cache->sets[(hash[0] | hash[1] << 8) % SETS];
}

static bool is_hash(const struct known *known, const unsigned char *hash)
{
    return crypto_equal(str_n((const char *)known->hash, KEY_HASH_BYTES), str_n((const char *)hash, KEY_HASH_BYTES));
}

static struct known *find(struct auth_cache *cache, const unsigned char *hash)
{
    struct known *set = set_of(cache, hash);

    for (int i = 0; i < WAYS; i++)
        if (set[i].fresh_until_ms && is_hash(&set[i], hash)) return &set[i];
    return 0;
}

static void copy_id(char to[37], struct str id)
{
    size_t count = id.count < 36 ? id.count : 36;

    memcpy(to, id.at, count);
    to[count] = 0;
}

static struct known *remember(struct auth_cache *cache, const unsigned char *hash, const struct key_row *row)
{
    struct known *set = set_of(cache, hash), *place = find(cache, hash);

    if (!place) {
        place = &set[0];
        for (int i = 1; i < WAYS; i++)
            if (set[i].fresh_until_ms < place->fresh_until_ms) place = &set[i];
        *place = (struct known){.used_minute = row->last_used_at / MINUTE_US};
        memcpy(place->hash, hash, KEY_HASH_BYTES);
    }
    place->org = row->org;
    copy_id(place->org_id, row->org_id);
    copy_id(place->key_id, row->id);
    return place;
}

/* ---- who is asking --------------------------------------------------------------- */

struct err auth_check(struct ctx *cx, struct auth_cache *cache, struct store *store, const struct request *request,
                      struct principal *out)
{
    unsigned char hash[KEY_HASH_BYTES];
    struct str key = auth_key(request);

    if (key.count != KEY_TEXT_BYTES) return err(ERR_UNKNOWN_KEY, "no key");
    key_hash(key, hash);

    struct known *known = find(cache, hash);
    if (!known || known->fresh_until_ms <= clock_mono_ms()) {
        struct key_row row;
        struct err e = store_key_find(cx, store, hash, &row);
        if (e.code == ERR_UNKNOWN_KEY && known) *known = (struct known){0};
        TRY(e);
        known = remember(cache, hash, &row);
        known->fresh_until_ms = clock_mono_ms() + AUTH_FRESH_MS;
    }

    int64_t now_us = clock_now_us();
    if (known->used_minute < now_us / MINUTE_US) {
        known->used_minute = now_us / MINUTE_US;
        store_key_touch(store, known->org, str(known->key_id), now_us);
    }
    *out = (struct principal){.org = known->org,
                              .org_id = str_copy(cx->arena, str(known->org_id)),
                              .key_id = str_copy(cx->arena, str(known->key_id)),
                              .user = S(""),
                              .scopes = (unsigned)SCOPE_ALL};
    return OK;
}
