/* The files get shorter after mass deletes. */
#include <sys/stat.h>
#include "base/clock.h"
#include "house.h"
#include "io/loop.h"
#include "io/wait.h"
#include "store/sqlite.h"

static int64_t size_of(const char *directory, const char *name)
{
    struct stat about;
    return stat(house_path(directory, name), &about) == 0 ? about.st_size : 0;
}
static int64_t size_of_both(const char *directory) { return size_of(directory, "agentd.db") + size_of(directory, "agentd.db-wal"); }

/* Twenty megabytes come and go. */
static void fill_and_delete(struct ctx *cx, struct store *store)
{
    static char text[100000];
    memset(text, 'x', sizeof text);
    add_org(cx, store->db, 1);
    for (int64_t n = 1; n <= 200; n++) {
        struct batch *b = batch_new(cx->arena);
        task_batch(b, n, n + 100, S("small"));
        entry_batch(b, n, n, 1, str_n(text, sizeof text));
        CHECK_OK(db_write(cx, store->db, b));
    }
    struct batch *b = batch_new(cx->arena);
    batch_add(b, "DELETE FROM task WHERE n > 3", NO_ARGS, 197);
    CHECK_OK(db_write(cx, store->db, b));
}

TEST(the_files_shrink_in_steps_after_a_mass_delete)
{
    struct ctx cx = plain_cx();
    const char *directory = test_dir();
    struct store *store = house_open(&cx, directory);
    fill_and_delete(&cx, store);
    CHECK(size_of_both(directory) > 20000000);
    int steps = 0;
    for (bool is_more = true; is_more; steps++) CHECK_OK(db_shrink(&cx, store->db, &is_more));
    CHECK(steps > 10 && steps < 40); /* bounded ones */
    CHECK(size_of_both(directory) < 3000000 && size_of(directory, "agentd.db-wal") == 0);
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM entry") == 3);
    store_close(&cx, store);
    store = house_open(&cx, directory);
    CHECK(count_of(&cx, store->db, "SELECT sum(length(body)) FROM entry") == 300000);
    store_close(&cx, store);
}

TEST(a_few_free_pages_are_left_for_what_comes)
{
    struct ctx cx = plain_cx();
    const char *directory = test_dir();
    struct store *store = house_open(&cx, directory);
    bool is_more = true;
    fill_and_delete(&cx, store);
    while (is_more) CHECK_OK(db_shrink(&cx, store->db, &is_more));
    struct batch *b = batch_new(cx.arena);
    batch_add(b, "DELETE FROM task", NO_ARGS, 3);
    CHECK_OK(db_write(&cx, store->db, b));
    int64_t left = count_of(&cx, store->db, "PRAGMA freelist_count");
    CHECK(left > 0);
    CHECK_OK(db_shrink(&cx, store->db, &is_more));
    CHECK(!is_more && count_of(&cx, store->db, "PRAGMA freelist_count") == left);
    store_close(&cx, store);
}

static void shrinks_by_itself(struct ctx *cx)
{
    const char *directory = test_dir();
    clock_test_freeze(1700000000000000);
    struct store *store = house_open(cx, directory);
    fill_and_delete(cx, store);
    int64_t full = size_of_both(directory);
    CHECK(full > 20000000);
    for (int i = 0; i < 3000000 && size_of_both(directory) > 3000000; i++) {
        loop_test_advance(cx->loop, 1000);
        CHECK_OK(wait_turn(cx));
    }
    CHECK(size_of_both(directory) < 3000000);
    store_close(cx, store);
    clock_test_thaw();
}
TEST(an_idle_server_gives_room_back_by_itself) { on_loop(shrinks_by_itself); }
