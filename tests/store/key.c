/* Keys and organisations: made by a command, known to the server, plain but for the key itself. */
#include "store/key.h"

#include "base/id.h"
#include "house.h"
#include "store/organization.h"

static struct ctx cx;
static struct store *store;

static struct key_made made(const char *org, const char *label)
{
    struct key_made key;

    CHECK_OK(store_key_create(&cx, store, str(org), str(label), &key));
    return key;
}

static struct err find(struct str key, struct key_row *row)
{
    unsigned char hash[KEY_HASH_BYTES];

    key_hash(key, hash);
    return store_key_find(&cx, store, hash, row);
}

static void open_house(void)
{
    cx = plain_cx();
    store = house_open(&cx, test_dir());
}

TEST(a_key_is_found_by_its_text)
{
    open_house();
    struct key_made key = made("acme", "laptop"), other = made("acme", "");
    struct key_row row;

    CHECK(key.key.count == KEY_TEXT_BYTES && str_starts(key.key, S("agd_")) && is_uuid(key.key_id) && is_uuid(key.org_id));
    CHECK(str_eq(key.org_id, other.org_id) && !str_eq(key.key, other.key));
    CHECK_OK(find(key.key, &row));
    CHECK(str_eq(row.id, key.key_id) && str_eq(row.org_id, key.org_id) && str_is(row.org_name, "acme") && str_is(row.label, "laptop"));
    CHECK(row.created_at > 0 && !row.last_used_at && !row.revoked_at);
    CHECK(find(S("agd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), &row).code == ERR_UNKNOWN_KEY);
    store_close(&cx, store);
}

TEST(only_the_hash_of_a_key_is_stored)
{
    open_house();
    struct key_made key = made("acme", "LABEL-IS-PLAIN");
    struct str bytes = house_bytes(test_dir());

    CHECK(!memmem(bytes.at, bytes.count, key.key.at, key.key.count));
    CHECK(!memmem(bytes.at, bytes.count, key.key.at + 4, 20));
    CHECK(memmem(bytes.at, bytes.count, "LABEL-IS-PLAIN", 14));
    store_close(&cx, store);
}

TEST(a_revoked_key_is_nobodys)
{
    open_house();
    struct key_made key = made("acme", ""), other = made("acme", "");
    struct key_row row;

    CHECK_OK(store_key_revoke(&cx, store, key.key_id));
    CHECK_OK(store_key_revoke(&cx, store, key.key_id));
    CHECK(find(key.key, &row).code == ERR_UNKNOWN_KEY);
    CHECK_OK(find(other.key, &row));
    CHECK(store_key_revoke(&cx, store, S("none")).code == ERR_NOT_FOUND);
    store_close(&cx, store);
}

TEST(all_keys_are_listed_with_their_organisations)
{
    open_house();
    bool is_any;
    CHECK_OK(store_key_any(&cx, store, &is_any));
    CHECK(!is_any);
    struct key_made one = made("acme", "a"), two = made("other", "b");
    struct key_row *keys;
    int count;

    CHECK_OK(store_key_revoke(&cx, store, two.key_id));
    CHECK_OK(store_key_list(&cx, store, &keys, &count));
    CHECK(count == 2 && str_eq(keys[0].id, one.key_id) && str_is(keys[0].org_name, "acme") && !keys[0].revoked_at);
    CHECK(str_eq(keys[1].id, two.key_id) && str_is(keys[1].org_name, "other") && keys[1].revoked_at > 0);
    CHECK_OK(store_key_any(&cx, store, &is_any));
    CHECK(is_any);
    store_close(&cx, store);
}

TEST(a_key_is_made_and_revoked_beside_a_running_server)
{
    open_house();
    struct store *server = store;
    struct store_settings settings = house_settings(test_dir());
    struct key_row row;

    CHECK_OK(store_open_rows(&cx, &settings, &store));
    struct key_made key = made("acme", "");
    store_close(&cx, store);
    store = server;
    CHECK_OK(find(key.key, &row));
    CHECK_OK(store_open_rows(&cx, &settings, &store));
    CHECK_OK(store_key_revoke(&cx, store, key.key_id));
    store_close(&cx, store);
    store = server;
    CHECK(find(key.key, &row).code == ERR_UNKNOWN_KEY);
    store_close(&cx, store);
}

/* The use of a key costs no commit: it is on disk after the next one, to the minute, and never goes back. */
TEST(the_last_use_rides_on_a_later_commit)
{
    enum { MINUTE = 60000000 };
    open_house();
    struct key_made key = made("acme", "");
    struct key_row row;

    CHECK_OK(find(key.key, &row));
    store_key_touch(store, row.org, row.id, 7 * (int64_t)MINUTE + 5);
    store_key_touch(store, row.org, row.id, 6 * (int64_t)MINUTE);
    store_key_touch(store, row.org + 1, row.id, 9 * (int64_t)MINUTE);
    CHECK_OK(find(key.key, &row));
    CHECK(row.last_used_at == 0);
    made("acme", "");
    CHECK_OK(find(key.key, &row));
    CHECK(row.last_used_at == 7 * (int64_t)MINUTE);
    store_close(&cx, store);
}

TEST(names_and_labels_are_texts_of_some_length)
{
    open_house();
    struct key_made key;
    CHECK(store_key_create(&cx, store, S(""), S(""), &key).code == ERR_INVALID);
    CHECK(store_key_create(&cx, store, S("\xff"), S(""), &key).code == ERR_INVALID);
    CHECK(store_key_create(&cx, store, S("a"), strf(test_arena(), "%0300d", 0), &key).code == ERR_INVALID);
    CHECK(store_key_create(&cx, store, strf(test_arena(), "%0300d", 0), S(""), &key).code == ERR_INVALID);
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM api_key") == 0);
    store_close(&cx, store);
}

/* ---- organisations ---------------------------------------------------------------------- */

TEST(an_organisation_is_made_once_for_a_name)
{
    open_house();
    struct organization one, again, other;

    CHECK_OK(store_organization_named(&cx, store, S("acme"), &one));
    CHECK_OK(store_organization_named(&cx, store, S("acme"), &again));
    CHECK_OK(store_organization_named(&cx, store, S("other"), &other));
    CHECK(one.n == again.n && str_eq(one.id, again.id) && one.n != other.n && is_uuid(one.id));
    store_close(&cx, store);
}

TEST(an_organisation_gets_its_key_when_it_first_needs_one)
{
    open_house();
    struct organization one, other;
    struct secret secret;
    unsigned char first[32], room[32];

    CHECK_OK(store_organization_named(&cx, store, S("acme"), &one));
    CHECK_OK(store_organization_named(&cx, store, S("other"), &other));
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM organization WHERE slot IS NOT NULL") == 0);
    CHECK_OK(store_organization_secret(&cx, store, one.n, &secret));
    memcpy(first, secret_bytes(store->keyring, &secret, room), 32);
    secret_drop(store->keyring, &secret);
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM organization WHERE slot IS NOT NULL") == 1);
    CHECK_OK(store_organization_secret(&cx, store, other.n, &secret));
    CHECK(memcmp(first, secret_bytes(store->keyring, &secret, room), 32) != 0);
    secret_drop(store->keyring, &secret);
    store_close(&cx, store);

    store = house_open(&cx, test_dir());
    CHECK_OK(store_organization_secret(&cx, store, one.n, &secret));
    CHECK(memcmp(first, secret_bytes(store->keyring, &secret, room), 32) == 0);
    secret_drop(store->keyring, &secret);
    CHECK(store_organization_secret(&cx, store, 99, &secret).code == ERR_NOT_FOUND);
    store_close(&cx, store);
}
