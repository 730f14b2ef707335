/* Content opens in its place with its key, and nowhere else. */
#include "base/crypto.h"
#include "house.h"

static const struct seal_place place = {"task", "sealed", 7, 8, 9};

/* A store's key to seal with, of a slot that is nobody's. */
static struct store *with_key(struct ctx *cx, int64_t *slot, struct secret *key)
{
    struct store *store = house_open(cx, test_dir());
    CHECK_OK(keyring_take(cx, store->keyring, batch_new(cx->arena), slot, key));
    return store;
}

TEST(a_text_of_any_length_comes_back_and_each_sealing_differs)
{
    struct ctx cx = plain_cx();
    struct secret key;
    int64_t slot;
    struct store *store = with_key(&cx, &slot, &key);
    size_t lengths[] = {0, 1, 15, 16, 17, 4096, 70000, 1 << 20};
    for (int i = 0; i < 8; i++) {
        char *at = arena_try_alloc(cx.arena, lengths[i] + 1);
        CHECK(at != NULL);
        memset(at, 'x', lengths[i]);
        struct str plain = str_n(at, lengths[i]), first, second, opened;
        CHECK_OK(seal(cx.arena, store, &key, place, plain, &first));
        CHECK_OK(seal(cx.arena, store, &key, place, plain, &second));
        CHECK(first.count == lengths[i] + 29 && first.at[0] == 1 && !str_eq(first, second));
        CHECK_OK(unseal(cx.arena, store, &key, place, first, &opened));
        CHECK(str_eq(opened, plain) && opened.at[opened.count] == 0);
    }
    secret_drop(store->keyring, &key);
    store_close(&cx, store);
}

static bool opens_at(struct ctx *cx, const struct store *store, const struct secret *key, struct seal_place where, struct str sealed)
{
    struct str plain;
    struct err e = unseal(cx->arena, store, key, where, sealed, &plain);
    CHECK(!failed(e) || e.code == ERR_IO);
    return !failed(e);
}

TEST(a_text_in_a_wrong_place_does_not_open)
{
    struct ctx cx = plain_cx();
    struct secret key;
    int64_t slot;
    struct str sealed;
    struct store *store = with_key(&cx, &slot, &key);
    CHECK_OK(seal(cx.arena, store, &key, place, S("hello"), &sealed));
    CHECK(opens_at(&cx, store, &key, place, sealed));
    struct seal_place wrong[] = {
        {"turn", "sealed", 7, 8, 9}, {"task", "body", 7, 8, 9},    {"tas", "ksealed", 7, 8, 9}, {"task", "sealed", 6, 8, 9},
        {"task", "sealed", 7, 0, 9}, {"task", "sealed", 7, 8, 10}, {"task", "sealed", 8, 7, 9}, {"", "", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) CHECK(!opens_at(&cx, store, &key, wrong[i], sealed));
    store->installation[0] ^= 1;
    CHECK(!opens_at(&cx, store, &key, place, sealed));
    store->installation[0] ^= 1;
    CHECK(opens_at(&cx, store, &key, place, sealed));
    secret_drop(store->keyring, &key);
    store_close(&cx, store);
}

TEST(a_damaged_text_and_another_owners_key_do_not_open)
{
    struct ctx cx = plain_cx();
    struct secret key, other;
    int64_t slot, others;
    struct str sealed;
    struct store *store = with_key(&cx, &slot, &key);
    CHECK_OK(keyring_take(&cx, store->keyring, batch_new(cx.arena), &others, &other));
    CHECK_OK(seal(cx.arena, store, &key, place, S("hello"), &sealed));
    CHECK(!opens_at(&cx, store, &other, place, sealed));
    for (size_t i = 0; i < sealed.count; i++) {
        char *bytes = str_z(cx.arena, sealed);
        bytes[i] ^= 0x10;
        CHECK(!opens_at(&cx, store, &key, place, str_n(bytes, sealed.count)));
    }
    for (size_t count = 0; count < sealed.count; count++) CHECK(!opens_at(&cx, store, &key, place, str_n(sealed.at, count)));
    secret_drop(store->keyring, &key);
    secret_drop(store->keyring, &other);
    store_close(&cx, store);
}

TEST(what_an_erased_key_sealed_does_not_open)
{
    struct ctx cx = plain_cx();
    struct secret key;
    int64_t slot;
    struct str sealed;
    struct store *store = with_key(&cx, &slot, &key);
    CHECK_OK(seal(cx.arena, store, &key, place, S("hello"), &sealed));
    secret_drop(store->keyring, &key);
    CHECK_OK(keyring_destroy(&cx, store->keyring, &slot, 1));
    CHECK_OK(keyring_key(store->keyring, slot, &key));
    CHECK(!opens_at(&cx, store, &key, place, sealed));
    secret_drop(store->keyring, &key);
    store_close(&cx, store);
}

/* The same for the same text, purpose and owner, and for nothing else. */
TEST(a_keyed_hash_depends_on_text_purpose_and_owner)
{
    struct ctx cx = plain_cx();
    struct secret key, other;
    int64_t slot;
    struct str hashes[5];
    struct store *store = with_key(&cx, &slot, &key);
    CHECK_OK(keyring_take(&cx, store->keyring, batch_new(cx.arena), &slot, &other));
    CHECK_OK(seal_hash(cx.arena, store, &key, "user", S("anna"), &hashes[0]));
    CHECK_OK(seal_hash(cx.arena, store, &key, "user", S("anna"), &hashes[1]));
    CHECK_OK(seal_hash(cx.arena, store, &key, "user", S("ann"), &hashes[2]));
    CHECK_OK(seal_hash(cx.arena, store, &key, "internal", S("anna"), &hashes[3]));
    CHECK_OK(seal_hash(cx.arena, store, &other, "user", S("anna"), &hashes[4]));
    CHECK(hashes[0].count == CRYPTO_HASH_BYTES && str_eq(hashes[0], hashes[1]));
    for (int i = 2; i < 5; i++) CHECK(!str_eq(hashes[0], hashes[i]));
    secret_drop(store->keyring, &key);
    secret_drop(store->keyring, &other);
    store_close(&cx, store);
}

/* Nothing that was sealed stands in clear in any file, while it lives. */
TEST(a_sealed_text_is_in_no_file)
{
    struct ctx cx = plain_cx();
    struct secret key;
    int64_t slot;
    struct str sealed, canary = S("canary-4711-canary");
    struct store *store = house_open(&cx, test_dir());
    add_org(&cx, store->db, 1);
    struct batch *b = batch_new(cx.arena);
    CHECK_OK(keyring_take(&cx, store->keyring, b, &slot, &key));
    CHECK_OK(seal(cx.arena, store, &key, place, canary, &sealed));
    task_batch(b, 1, slot, sealed);
    entry_batch(b, 1, 1, 1, S("plain-4711-plain"));
    CHECK_OK(db_write(&cx, store->db, b));
    struct str bytes = house_bytes(test_dir());
    CHECK(memmem(bytes.at, bytes.count, canary.at, canary.count) == NULL);
    CHECK(memmem(bytes.at, bytes.count, "plain-4711-plain", 16) != NULL); /* it would be found */
    CHECK(memmem(bytes.at, bytes.count, key.key, 32) == NULL);
    secret_drop(store->keyring, &key);
    store_close(&cx, store);
}
