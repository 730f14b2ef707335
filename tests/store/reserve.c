/* A delete works on a full disk, and nothing else does until there is room. */
#include <errno.h>
#include <sys/stat.h>
#include "house.h"
#include "power.h"
#include "store/sqlite.h"

enum { ROOM = 100000 };
static const char *path;
static struct reserve reserve;

static int64_t room_kept(void)
{
    struct stat about;
    return stat(reserve.path, &about) == 0 ? about.st_size : 0;
}

static struct store *open_with_reserve(struct ctx *cx)
{
    struct store_settings settings = house_settings(path);
    struct store *store;
    settings.reserve_bytes = ROOM;
    reserve.path = house_path(path, "reserve");
    CHECK_OK(store_open(cx, &settings, &store));
    return store;
}

static struct err make_task(struct ctx *cx, struct store *store, int64_t n)
{
    struct batch *b = batch_new(cx->arena);
    task_batch(b, n, n + 100, S("x"));
    return db_write(cx, store->db, b);
}

static struct err drop_task(struct ctx *cx, struct store *store, int64_t n)
{
    struct batch *b = batch_new(cx->arena);
    batch_urge(b);
    batch_add(b, "DELETE FROM task WHERE n = $1 AND org = 1", ARGS(num(n)), 1);
    return db_write(cx, store->db, b);
}

TEST(a_delete_on_a_full_disk_gets_what_is_kept_for_it)
{
    struct ctx cx = plain_cx();
    path = house_path(test_dir(), "disk");
    power_on(path, NULL, NULL, NULL);
    struct store *store = open_with_reserve(&cx);
    CHECK(room_kept() == ROOM);
    add_org(&cx, store->db, 1);
    for (int64_t n = 1; n <= 3; n++) CHECK_OK(make_task(&cx, store, n));
    power_fail_at(1, ENOSPC);
    CHECK(make_task(&cx, store, 4).code == ERR_FULL && room_kept() == ROOM); /* not for a task */
    power_fail_at(1, ENOSPC);
    CHECK_OK(drop_task(&cx, store, 1));
    power_fail_at(0, 0);
    CHECK(room_kept() == 0);
    CHECK(make_task(&cx, store, 5).code == ERR_FULL); /* what was given is for deletes alone */
    CHECK_OK(drop_task(&cx, store, 2));
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM task") == 1);
    store_close(&cx, store);
    store = open_with_reserve(&cx);
    CHECK(room_kept() == ROOM);
    CHECK_OK(make_task(&cx, store, 5));
    store_close(&cx, store);
    power_off();
}

TEST(without_room_for_the_reserve_only_deletes_are_written)
{
    struct ctx cx = plain_cx();
    path = house_path(test_dir(), "disk");
    power_on(path, NULL, NULL, NULL);
    reserve = (struct reserve){.path = house_path(test_dir(), "disk/reserve"), .bytes = ROOM};
    power_fail_at(1, ENOSPC);
    CHECK(reserve_make(&cx, &reserve).code == ERR_FULL);
    CHECK(reserve.is_given && room_kept() == 0);
    power_fail_at(0, 0);
    CHECK_OK(reserve_make(&cx, &reserve));
    CHECK(!reserve.is_given && room_kept() == ROOM);
    reserve_give(&reserve);
    CHECK(reserve.is_given && room_kept() == 0);
    power_off();
}
