/* A new master key: the same keys, and after a crash at any step one of the two master keys fits. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "house.h"
#include "store/seal.h"
#include "store/sqlite.h"

static const struct seal_place here = {"task", "sealed", 1, 1, 0};

/* A task whose text is sealed; its slot is 16 or above. */
static void write_task(struct ctx *cx, const char *directory)
{
    struct store *store = house_open(cx, directory);
    struct batch *b = batch_new(cx->arena);
    struct secret secret;
    struct str sealed;
    int64_t slot;
    add_org(cx, store->db, 1);
    CHECK_OK(keyring_take(cx, store->keyring, b, &slot, &secret));
    CHECK_OK(seal(cx->arena, store, &secret, here, S("what a person wrote"), &sealed));
    secret_drop(store->keyring, &secret);
    task_batch(b, 1, slot, sealed);
    CHECK_OK(db_write(cx, store->db, b));
    store_close(cx, store);
}

static void reads_task(struct ctx *cx, const char *directory)
{
    struct store *store = house_open(cx, directory);
    struct rows rows;
    struct secret secret;
    struct str plain;
    CHECK_OK(db_read(cx, store->db, POINT("SELECT slot, sealed FROM task"), NO_ARGS, &rows));
    CHECK_OK(keyring_key(store->keyring, row_num(&rows, 0, 0), &secret));
    CHECK_OK(unseal(cx->arena, store, &secret, here, row_text(&rows, 0, 1), &plain));
    CHECK(str_is(plain, "what a person wrote"));
    secret_drop(store->keyring, &secret);
    store_close(cx, store);
}

static bool exists(const char *directory, const char *name) { return access(house_path(directory, name), F_OK) == 0; }

static void is_tidy(const char *directory)
{
    CHECK(!exists(directory, "keyring.next") && !exists(directory, "keyring.old") && !exists(directory, "master.key.next"));
}

static void rotates(struct ctx *cx, const char *directory, struct str file)
{
    struct store_settings settings = house_settings(directory);
    CHECK_OK(store_keyring_rotate(cx, &settings, file));
    is_tidy(directory);
}

TEST(a_rotated_keyring_opens_with_the_new_master_key_alone)
{
    struct ctx cx = plain_cx();
    const char *directory = test_dir();
    write_task(&cx, directory);
    house_copy(house_path(directory, "master.key"), house_path(directory, "old.key"));
    rotates(&cx, directory, S(""));
    reads_task(&cx, directory);
    rotates(&cx, directory, S(""));
    reads_task(&cx, directory);
    struct store_settings settings = house_settings(directory);
    settings.master_key_file = str(house_path(directory, "old.key"));
    struct store *store;
    CHECK(store_open(&cx, &settings, &store).code == ERR_CONFLICT);
    CHECK(store_keyring_rotate(&cx, &settings, S("")).code == ERR_INVALID); /* where would the new one go? */
}

TEST(a_master_key_kept_elsewhere_is_changed_for_another_one)
{
    struct ctx cx = plain_cx();
    const char *directory = test_dir();
    struct store_settings settings = house_settings(directory);
    struct store *store;
    write_task(&cx, directory);
    char *first = house_path(directory, "first.key"), *second = house_path(directory, "second.key");
    house_copy(house_path(directory, "master.key"), first);
    settings.master_key_file = str(first);
    CHECK(store_keyring_rotate(&cx, &settings, str(second)).code == ERR_NOT_FOUND);
    FILE *file = fopen(second, "w");
    CHECK(file && fputs("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", file) > 0 && fclose(file) == 0);
    CHECK_OK(store_keyring_rotate(&cx, &settings, str(second)));
    CHECK(store_open(&cx, &settings, &store).code == ERR_CONFLICT);
    settings.master_key_file = str(second);
    CHECK_OK(store_open(&cx, &settings, &store));
    store_close(&cx, store);
    house_copy(second, house_path(directory, "master.key"));
    reads_task(&cx, directory);
}

TEST(a_rotation_waits_for_no_server)
{
    struct ctx cx = plain_cx();
    const char *directory = test_dir();
    struct store_settings settings = house_settings(directory);
    struct store *store = house_open(&cx, directory);
    CHECK(store_keyring_rotate(&cx, &settings, S("")).code == ERR_BUSY);
    store_close(&cx, store);
}

/* What the directory looks like when the process dies between two steps, put together from its looks before and after. */
enum { STATES = 6 };
static const char *const made_of[STATES][6] = { /* from file, as name; pairs */
    {"after/master.key", "master.key.next", 0},
    {"after/master.key", "master.key.next", "after/keyring", "keyring.next", 0},
    {"after/master.key", "master.key.next", "after/keyring", "keyring.next", "LINK", "keyring.old"},
    {"after/master.key", "master.key.next", "after/keyring", "keyring", "before/keyring", "keyring.old"},
    {"after/master.key", "master.key", "after/keyring", "keyring", "before/keyring", "keyring.old"},
    {"after/master.key", "master.key", "after/keyring", "keyring", 0},
};

static void copy_all(const char *from, const char *to)
{
    CHECK(mkdir(to, 0700) == 0);
    house_copy(house_path(from, "agentd.db"), house_path(to, "agentd.db"));
    house_copy(house_path(from, "keyring"), house_path(to, "keyring"));
    house_copy(house_path(from, "master.key"), house_path(to, "master.key"));
}

TEST(a_crash_at_any_step_of_a_rotation_is_put_in_order)
{
    struct ctx cx = plain_cx();
    const char *top = test_dir(), *data = house_path(top, "data"), *before = house_path(top, "before"), *after = house_path(top, "after");
    write_task(&cx, data);
    copy_all(data, before);
    rotates(&cx, data, S(""));
    copy_all(data, after);
    for (int state = 0; state < STATES; state++) {
        char *now = house_path(top, arena_printf(cx.arena, "now%d", state));
        copy_all(before, now);
        for (int i = 0; i < 6 && made_of[state][i]; i += 2) {
            char *to = house_path(now, made_of[state][i + 1]);
            if (!strcmp(made_of[state][i], "LINK")) CHECK(link(house_path(now, "keyring"), to) == 0);
            else house_copy(house_path(top, made_of[state][i]), to);
        }
        reads_task(&cx, now);
        is_tidy(now);
        rotates(&cx, now, S(""));
        reads_task(&cx, now);
    }
}
