/* A directory is opened, refused, and opened again. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "house.h"

static int mode_of(const char *path)
{
    struct stat s;
    CHECK(stat(path, &s) == 0);
    return (int)(s.st_mode & 0777);
}

static struct err try_open(const char *directory)
{
    struct ctx cx = plain_cx();
    struct store_settings settings = house_settings(directory);
    struct store *store;
    struct err e = store_open(&cx, &settings, &store);
    if (!failed(e)) store_close(&cx, store);
    return e;
}

static void sql(const char *directory, const char *statements)
{
    char *command = arena_printf(test_arena(), "sqlite3 %s/agentd.db \"%s\"", directory, statements);
    CHECK(system(command) == 0);
}

TEST(a_new_directory_is_for_its_owner_alone_and_opens_again)
{
    const char *dir = house_path(test_dir(), "data");
    CHECK_OK(try_open(dir));
    CHECK(mode_of(dir) == 0700);
    const char *files[] = {"agentd.db", "keyring", "master.key", "lock"};
    for (int i = 0; i < 4; i++) CHECK(mode_of(house_path(dir, files[i])) == 0600);
    CHECK_OK(try_open(dir));
    CHECK_OK(try_open(arena_printf(test_arena(), "%s//", dir)));
}

TEST(a_directory_in_use_is_refused_and_left_as_it_is)
{
    struct ctx cx = plain_cx();
    struct store *first = house_open(&cx, test_dir());
    struct str before = house_bytes(test_dir());
    struct err e = try_open(test_dir());
    CHECK(e.code == ERR_BUSY && strstr(e.what, "in use by another agentd") && strstr(e.what, test_dir()));
    struct store_settings settings = house_settings(test_dir());
    CHECK(store_keyring_accept(&cx, &settings).code == ERR_BUSY);
    CHECK(str_eq(before, house_bytes(test_dir())));
    store_close(&cx, first);
    CHECK_OK(try_open(test_dir()));
}

TEST(a_newer_database_is_refused_and_left_as_it_is)
{
    CHECK_OK(try_open(test_dir()));
    sql(test_dir(), "UPDATE meta SET value = 9999 WHERE name = 'schema'");
    struct str before = house_bytes(test_dir());
    struct err e = try_open(test_dir());
    CHECK(e.code == ERR_CONFLICT && strstr(e.what, "newer version"));
    CHECK(str_eq(before, house_bytes(test_dir())));
}

TEST(somebody_elses_database_is_refused_and_left_as_it_is)
{
    sql(test_dir(), "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
    struct str before = house_bytes(test_dir());
    struct err e = try_open(test_dir());
    CHECK(e.code == ERR_CONFLICT && strstr(e.what, "not a database of agentd"));
    CHECK(unlink(house_path(test_dir(), "lock")) == 0);
    CHECK(str_eq(before, house_bytes(test_dir())));
}

TEST(a_directory_that_may_not_be_written_is_refused)
{
    struct err e = try_open("/proc/agentd");
    CHECK(failed(e) && strstr(e.what, "/proc/agentd"));
    CHECK(try_open(house_path(test_dir(), "not/there")).code == ERR_NOT_FOUND);
    if (geteuid() == 0) return; /* nothing is forbidden to root */
    CHECK(chmod(test_dir(), 0500) == 0);
    e = try_open(test_dir());
    CHECK(chmod(test_dir(), 0700) == 0);
    CHECK(e.code == ERR_DENIED && strstr(e.what, "may not be written"));
}

/* ---- database and keyring ------------------------------------------------------------ */

static void accept_and_open(void)
{
    struct ctx cx = plain_cx();
    struct store_settings settings = house_settings(test_dir());
    CHECK_OK(store_keyring_accept(&cx, &settings));
    CHECK_OK(try_open(test_dir()));
}

static void must_be_refused(void)
{
    struct err e = try_open(test_dir());
    CHECK(e.code == ERR_CONFLICT);
    CHECK(strstr(e.what, arena_printf(test_arena(), "agentd keyring accept --data %s", test_dir())) != NULL);
}

TEST(an_older_database_beside_the_keyring_is_refused_until_accepted)
{
    CHECK_OK(try_open(test_dir()));
    house_copy(house_path(test_dir(), "agentd.db"), house_path(test_dir(), "copy"));
    CHECK_OK(try_open(test_dir()));
    house_copy(house_path(test_dir(), "copy"), house_path(test_dir(), "agentd.db"));
    must_be_refused();
    must_be_refused();
    accept_and_open();
}

TEST(an_older_keyring_beside_the_database_is_refused_until_accepted)
{
    CHECK_OK(try_open(test_dir()));
    house_copy(house_path(test_dir(), "keyring"), house_path(test_dir(), "copy"));
    CHECK_OK(try_open(test_dir()));
    house_copy(house_path(test_dir(), "copy"), house_path(test_dir(), "keyring"));
    must_be_refused();
    accept_and_open();
}

TEST(histories_that_counted_alike_are_told_apart)
{
    CHECK_OK(try_open(test_dir()));
    house_copy(house_path(test_dir(), "agentd.db"), house_path(test_dir(), "copy.db"));
    house_copy(house_path(test_dir(), "keyring"), house_path(test_dir(), "copy.ring"));
    CHECK_OK(try_open(test_dir()));
    house_copy(house_path(test_dir(), "keyring"), house_path(test_dir(), "second.ring"));
    house_copy(house_path(test_dir(), "copy.db"), house_path(test_dir(), "agentd.db"));
    house_copy(house_path(test_dir(), "copy.ring"), house_path(test_dir(), "keyring"));
    CHECK_OK(try_open(test_dir()));
    house_copy(house_path(test_dir(), "second.ring"), house_path(test_dir(), "keyring"));
    must_be_refused();
}

TEST(a_missing_keyring_is_refused_until_accepted)
{
    CHECK_OK(try_open(test_dir()));
    CHECK(unlink(house_path(test_dir(), "keyring")) == 0 && unlink(house_path(test_dir(), "master.key")) == 0);
    must_be_refused();
    accept_and_open();
}

TEST(a_missing_or_wrong_master_key_is_refused_and_nothing_is_made)
{
    CHECK_OK(try_open(test_dir()));
    CHECK(rename(house_path(test_dir(), "master.key"), house_path(test_dir(), "kept")) == 0);
    struct err e = try_open(test_dir());
    CHECK(e.code == ERR_NOT_FOUND && strstr(e.what, "master.key"));
    CHECK(access(house_path(test_dir(), "master.key"), F_OK) != 0);
    FILE *file = fopen(house_path(test_dir(), "master.key"), "w");
    CHECK(file != NULL);
    for (int i = 0; i < 32; i++) fputs("5a", file);
    fclose(file);
    e = try_open(test_dir());
    CHECK(e.code == ERR_CONFLICT && strstr(e.what, "master key"));
    CHECK(rename(house_path(test_dir(), "kept"), house_path(test_dir(), "master.key")) == 0);
    CHECK_OK(try_open(test_dir()));
}

TEST(an_operators_master_key_is_used_and_none_is_made)
{
    struct ctx cx = plain_cx();
    struct store_settings settings = house_settings(house_path(test_dir(), "data"));
    char *path = house_path(test_dir(), "operators");
    settings.master_key_file = str(path);
    struct store *store;
    CHECK(store_open(&cx, &settings, &store).code == ERR_NOT_FOUND);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL);
    for (int i = 0; i < 32; i++) putc(i, file);
    fclose(file);
    CHECK_OK(store_open(&cx, &settings, &store));
    store_close(&cx, store);
    CHECK(access(house_path(test_dir(), "data/master.key"), F_OK) != 0);
    CHECK_OK(store_open(&cx, &settings, &store));
    store_close(&cx, store);
}

/* ---- numbers, and commands beside a server -------------------------------------------- */

TEST(numbers_rise_and_none_comes_twice_over_starts_and_beside_a_server)
{
    struct ctx cx = plain_cx();
    struct store_settings settings = house_settings(test_dir());
    int64_t last = 0;
    for (int start = 0; start < 3; start++) {
        struct store *server = house_open(&cx, test_dir());
        int64_t first = store_number(server);
        CHECK(first == last + 1); /* a start that ended well gives back what it did not draw */
        last = first;
        store_close(&cx, server);
    }
    for (int start = 0; start < 3; start++) {
        struct store *server = house_open(&cx, test_dir()), *command;
        int64_t first = store_number(server);
        CHECK(first > last);
        CHECK_OK(store_open_rows(&cx, &settings, &command));
        CHECK(str_is(str(server->installation), command->installation));
        int64_t beside = store_number(command);
        CHECK(beside > store_number(server) + 1000000);
        store_close(&cx, command);
        CHECK(store_number(server) == first + 2);
        last = beside;
        store_close(&cx, server);
    }
}

TEST(a_command_may_come_before_the_first_server)
{
    struct ctx cx = plain_cx();
    const char *dir = house_path(test_dir(), "data");
    struct store_settings settings = house_settings(dir);
    struct store *command;
    CHECK_OK(store_open_rows(&cx, &settings, &command));
    add_org(&cx, command->db, store_number(command));
    store_close(&cx, command);
    CHECK(mode_of(dir) == 0700 && mode_of(house_path(dir, "agentd.db")) == 0600);
    struct store *server = house_open(&cx, dir);
    CHECK(count_of(&cx, server->db, "SELECT count(*) FROM organization") == 1);
    store_close(&cx, server);
}

static void open_and_close(struct ctx *cx)
{
    for (int i = 0; i < 3; i++) {
        struct store *store = house_open(cx, test_dir());
        CHECK(store_number(store) == i + 1);
        store_close(cx, store);
    }
}
TEST(a_store_opens_and_closes_on_a_loop) { on_loop(open_and_close); }
