/* db_write and db_read: groups, refusals, what rides, readers. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include "house.h"
#include "io/loop.h"
#include "io/scope.h"
#include "power.h"
#include "store/sqlite.h"

static struct db_settings settings_here(void)
{
    return (struct db_settings){.path = house_path(test_dir(), "rows.db"), .group_jobs_max = 256, .queue_max = 1024, .readers = 2,
                                .checkpoint_pages = 50};
}

/* A database with a table of our own, which refuses a negative number by a trigger, and the same number twice. */
static struct db *open_with(struct ctx *cx, struct db_settings settings)
{
    struct db *db;
    CHECK_OK(db_open(cx, &settings, &db));
    CHECK_OK(db_begin(cx, db));
    if (!db_has_table(db, "thing"))
        CHECK_OK(db_script(cx, db, "CREATE TABLE meta (name TEXT);"
                                   "CREATE TABLE thing (n INTEGER PRIMARY KEY, at INTEGER, note TEXT);"
                                   "CREATE INDEX thing_by_at ON thing (at);"
                                   "CREATE TRIGGER not_below BEFORE INSERT ON thing WHEN NEW.n < 0"
                                   " BEGIN SELECT RAISE(ABORT, 'below'); END"));
    CHECK_OK(db_commit(cx, db));
    CHECK_OK(db_start(cx, db));
    return db;
}
static struct db *open_here(struct ctx *cx) { return open_with(cx, settings_here()); }

static const char add_sql[] = "INSERT INTO thing (n, at) VALUES ($1, $2)";
static const char all_sql[] = "UPDATE thing SET at = at + 1";

static void add(struct batch *b, int64_t n) { batch_add(b, add_sql, ARGS(num(n), num(0)), 1); }

static struct batch *adding(struct ctx *cx, int64_t first, int64_t count)
{
    struct batch *b = batch_new(cx->arena);
    for (int64_t i = 0; i < count; i++) add(b, first + i);
    return b;
}

static int64_t things(struct ctx *cx, struct db *db) { return count_of(cx, db, "SELECT count(*) FROM thing"); }
static int64_t sum(struct ctx *cx, struct db *db) { return count_of(cx, db, "SELECT sum(at) FROM thing"); }

/* ---- values -------------------------------------------------------------------------- */

TEST(parameters_are_bound_by_name_not_by_place)
{
    struct ctx cx = plain_cx();
    struct db *db = open_here(&cx);
    struct rows rows;
    CHECK_OK(db_read(&cx, db, POINT("SELECT $2, $1, $2, $3"), ARGS(num(1), num(2), num(3)), &rows));
    CHECK(row_num(&rows, 0, 0) == 2 && row_num(&rows, 0, 1) == 1 && row_num(&rows, 0, 2) == 2 && row_num(&rows, 0, 3) == 3);
    db_close(db);
}

TEST(values_come_back_as_they_went)
{
    struct ctx cx = plain_cx();
    struct db *db = open_here(&cx);
    struct rows rows;
    char *large = arena_try_alloc(cx.arena, 300000);
    CHECK(large != NULL);
    memset(large, 'x', 300000);
    struct value in[] = {num(INT64_MIN), num(INT64_MAX), text(S("")), text(str_n("a\0b", 3)), blob(S("")), blob(str_n(large, 300000)),
                         null_value(), text_or_null((struct str){0})};
    CHECK_OK(db_read(&cx, db, POINT("SELECT $1, $2, $3, $4, $5, $6, $7, $8"), (struct args){in, 8}, &rows));
    CHECK(rows.count == 1 && rows.columns == 8);
    for (int i = 0; i < 6; i++) {
        CHECK(row_at(&rows, 0, i)->kind == in[i].kind && row_num(&rows, 0, i) == in[i].num);
        CHECK(in[i].kind == VALUE_NUM || (row_text(&rows, 0, i).at && str_eq(row_text(&rows, 0, i), in[i].text)));
    }
    CHECK(row_is_null(&rows, 0, 6) && row_is_null(&rows, 0, 7));
    db_close(db);
}

/* ---- refusals ------------------------------------------------------------------------ */

TEST(a_refused_batch_leaves_nothing_and_tells_which_statement)
{
    struct ctx cx = plain_cx();
    struct db *db = open_here(&cx);
    CHECK_OK(db_write(&cx, db, adding(&cx, 1, 3)));
    struct { int64_t n; int64_t expected; } wrong[] = {{2, 1} /* a twin */, {-5, 1} /* the trigger */, {50, 2} /* not as many */};
    for (int i = 0; i < 3; i++) {
        struct batch *b = adding(&cx, 10, 2);
        batch_add(b, add_sql, ARGS(num(wrong[i].n), num(0)), wrong[i].expected);
        add(b, 20);
        CHECK(db_write(&cx, db, b).code == ERR_CONFLICT);
        CHECK(batch_refused(b) == 2);
        CHECK(things(&cx, db) == 3);
    }
    struct batch *alone = batch_new(cx.arena);
    batch_add(alone, all_sql, NO_ARGS, 1); /* changes three */
    CHECK(db_write(&cx, db, alone).code == ERR_CONFLICT && batch_refused(alone) == 0);
    CHECK(sum(&cx, db) == 0);
    CHECK_OK(db_write(&cx, db, adding(&cx, 10, 2)));
    db_close(db);
}

/* Every place in a group of five, refused at once or half way: the others are there, in their order. */
TEST(one_refused_batch_does_not_hurt_its_neighbours)
{
    struct ctx cx = plain_cx();
    struct db *db = open_here(&cx);
    for (int bad = 0; bad < 5; bad++) {
        for (int is_half = 0; is_half < 2; is_half++) {
            struct batch *group[5];
            struct err outcomes[5];
            int64_t base = 1000 * (2 * bad + is_half + 1), before = things(&cx, db);
            for (int i = 0; i < 5; i++) {
                group[i] = i == bad && !is_half ? batch_new(cx.arena) : adding(&cx, base + 10 * i, 2);
                if (i == bad) add(group[i], -1);
                /* Each sees the ones before it. */
                batch_add(group[i], "UPDATE thing SET at = (SELECT count(*) FROM thing) WHERE n = $1 RETURNING at",
                          ARGS(num(base + 10 * i)), ANY_CHANGES);
            }
            db_write_together(&cx, db, group, 5, outcomes);
            for (int i = 0; i < 5; i++) {
                CHECK(outcomes[i].code == (i == bad ? ERR_CONFLICT : ERR_NONE));
                if (i == bad) continue;
                const struct rows *seen = batch_rows(group[i], 2);
                CHECK(batch_refused(group[i]) == -1 && seen->count == 1 && batch_changed(group[i], 2) == 1);
                CHECK(row_num(seen, 0, 0) == before + 2 * (i + 1 - (i > bad)));
            }
            CHECK(things(&cx, db) == before + 8);
        }
    }
    db_close(db);
}

TEST(two_of_a_group_that_want_the_same_are_told_apart)
{
    struct ctx cx = plain_cx();
    struct db *db = open_here(&cx);
    struct batch *group[] = {adding(&cx, 7, 1), adding(&cx, 7, 1), adding(&cx, 6, 2)};
    struct err outcomes[3];
    db_write_together(&cx, db, group, 3, outcomes);
    CHECK(!failed(outcomes[0]) && outcomes[1].code == ERR_CONFLICT && outcomes[2].code == ERR_CONFLICT);
    CHECK(things(&cx, db) == 1);
    db_close(db);
}

TEST(an_arena_without_memory_writes_and_reads_nothing)
{
    struct ctx cx = plain_cx();
    struct db *db = open_here(&cx);
    struct batch *b = adding(&cx, 1, 1);
    struct rows rows;
    cx.arena->exhausted = true;
    CHECK(db_write(&cx, db, b).code == ERR_MEMORY);
    CHECK(db_read(&cx, db, POINT("SELECT 1"), NO_ARGS, &rows).code == ERR_MEMORY);
    cx.arena->exhausted = false;
    CHECK(things(&cx, db) == 0);
    db_close(db);
}

TEST(an_entry_is_refused_unless_its_run_holds_the_lease)
{
    struct ctx cx = plain_cx();
    struct store *store = house_open(&cx, test_dir());
    add_org(&cx, store->db, 1);
    struct batch *b = batch_new(cx.arena);
    task_batch(b, 1, 100, S("x"));
    entry_batch(b, 1, 1, 1, S("by its run"));
    CHECK_OK(db_write(&cx, store->db, b));
    for (int64_t run = 0; run <= 2; run += 2) {
        b = batch_new(cx.arena);
        entry_batch(b, 1, 2, run, S("by another"));
        CHECK(db_write(&cx, store->db, b).code == ERR_CONFLICT && batch_refused(b) == 0);
    }
    b = batch_new(cx.arena);
    entry_batch(b, 2, 3, 1, S("of no task"));
    CHECK(db_write(&cx, store->db, b).code == ERR_CONFLICT);
    b = batch_new(cx.arena);
    batch_add(b, "UPDATE task SET run = 2 WHERE n = 1", NO_ARGS, 1);
    entry_batch(b, 1, 2, 2, S("after a start"));
    CHECK_OK(db_write(&cx, store->db, b));
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM entry") == 2);
    store_close(&cx, store);
}

/* ---- lost groups --------------------------------------------------------------------- */

/* Each step of a group's commit fails in turn, with a broken disk and with a full one: none of its batches is
 * there, each is told, and the database goes on. */
TEST(a_lost_group_fails_all_its_batches_and_the_database_goes_on)
{
    struct ctx cx = plain_cx();
    power_on(house_path(test_dir(), "disk"), NULL, NULL, NULL);
    struct db_settings settings = settings_here();
    settings.path = house_path(test_dir(), "disk/rows.db");
    settings.checkpoint_pages = 1000000;
    struct db *db = open_with(&cx, settings);
    int lost = 0;
    for (int error_number = 0; error_number < 2; error_number++) {
        for (int64_t step = 1;; step++) {
            struct batch *group[] = {adding(&cx, 10, 2), adding(&cx, 20, 2), adding(&cx, 30, 2)};
            struct err outcomes[3];
            int64_t before = power_steps();
            power_fail_at(step, error_number ? ENOSPC : EIO);
            db_write_together(&cx, db, group, 3, outcomes);
            power_fail_at(0, 0);
            if (power_steps() - before < step) { /* it needed no more steps than that */
                for (int i = 0; i < 3; i++) CHECK_OK(outcomes[i]);
                break;
            }
            lost++;
            for (int i = 0; i < 3; i++) CHECK(failed(outcomes[i]) && outcomes[i].code == outcomes[0].code);
            CHECK(outcomes[0].code == ERR_FULL || outcomes[0].code == ERR_IO);
            CHECK(things(&cx, db) == 0);
        }
        struct batch *away = batch_new(cx.arena);
        batch_add(away, "DELETE FROM thing", NO_ARGS, 6);
        CHECK_OK(db_write(&cx, db, away));
    }
    CHECK(lost >= 6);
    db_close(db);
    power_off();
}

TEST(a_full_disk_is_said_to_be_full)
{
    struct ctx cx = plain_cx();
    power_on(house_path(test_dir(), "disk"), NULL, NULL, NULL);
    struct db_settings settings = settings_here();
    settings.path = house_path(test_dir(), "disk/rows.db");
    struct db *db = open_with(&cx, settings);
    power_fail_at(1, ENOSPC);
    struct batch *b = adding(&cx, 1, 1);
    CHECK(db_write(&cx, db, b).code == ERR_FULL);
    power_fail_at(0, 0);
    CHECK_OK(db_write(&cx, db, adding(&cx, 1, 1)));
    db_close(db);
    power_off();
}

/* SQLite's n-th allocation fails, and all after it, for every n of a group and of a read. */
TEST(without_memory_the_answer_is_err_memory_and_the_database_goes_on)
{
    struct ctx cx = plain_cx();
    struct db *db = open_here(&cx);
    int refused = 0;
    bool was_enough = false;
    for (int64_t n = 1; !was_enough; n++) {
        /* A statement of its own each time, so that it must be prepared. */
        static char sql[3000][64];
        CHECK(n < 3000);
        snprintf(sql[n], sizeof sql[n], "INSERT INTO thing (n, at) VALUES ($1, %lld)", (long long)n);
        struct batch *b = adding(&cx, 1, 2);
        batch_add(b, sql[n], ARGS(num(3)), 1);
        memory_fail_at(n);
        struct err e = db_write(&cx, db, b);
        was_enough = memory_fail_at(0) < n;
        CHECK(was_enough ? !failed(e) : !failed(e) || e.code == ERR_MEMORY);
        refused += failed(e);
        CHECK(things(&cx, db) == (failed(e) ? 0 : 3));
        struct batch *away = batch_new(cx.arena);
        batch_add(away, "DELETE FROM thing", NO_ARGS, failed(e) ? 0 : 3);
        CHECK_OK(db_write(&cx, db, away));
    }
    CHECK(refused > 10);
    struct rows rows;
    for (int64_t n = 1; n < 100; n++) {
        static char sql[100][64];
        snprintf(sql[n], sizeof sql[n], "SELECT n, at FROM thing ORDER BY note, n + %lld", (long long)n);
        memory_fail_at(n);
        struct err e = db_read(&cx, db, POINT(sql[n]), NO_ARGS, &rows);
        memory_fail_at(0);
        CHECK(!failed(e) || e.code == ERR_MEMORY);
    }
    CHECK_OK(db_write(&cx, db, adding(&cx, 1, 2)));
    db_close(db);
}

/* ---- what rides ---------------------------------------------------------------------- */

static int heard;
static void hear(void *arg) { heard += *(int *)arg; }

TEST(what_rides_is_written_by_the_next_group_and_then_told)
{
    struct ctx cx = plain_cx();
    struct db *db = open_here(&cx);
    int one = 1;
    char note[] = "borrowed only for the call";
    heard = 0;
    CHECK_OK(db_write(&cx, db, adding(&cx, 1, 2)));
    db_ride(db, "UPDATE thing SET note = $2 WHERE n = $1", ARGS(num(1), text(str(note))), hear, &one);
    memset(note, '?', sizeof note - 1);
    db_ride(db, all_sql, NO_ARGS, hear, &one);
    db_ride(db, add_sql, ARGS(num(1), num(5)), hear, &one); /* refused: it is not told, and hurts nobody */
    CHECK(heard == 0 && sum(&cx, db) == 0 && db_riding(db) == 3);
    struct batch *refused = adding(&cx, 1, 1);
    CHECK(db_write(&cx, db, refused).code == ERR_CONFLICT); /* they ride all the same */
    CHECK(heard == 2 && sum(&cx, db) == 2 && db_riding(db) == 0);
    CHECK(count_of(&cx, db, "SELECT count(*) FROM thing WHERE note = 'borrowed only for the call'") == 1);
    db_ride(db, all_sql, NO_ARGS, hear, &one);
    CHECK_OK(db_flush(&cx, db));
    CHECK(heard == 3 && sum(&cx, db) == 4);
    db_ride(db, all_sql, NO_ARGS, hear, &one);
    db_close(db); /* drops it */
    db = open_here(&cx);
    CHECK(heard == 3 && sum(&cx, db) == 4);
    db_close(db);
}

TEST(what_rode_with_a_lost_group_rides_with_the_next)
{
    struct ctx cx = plain_cx();
    power_on(house_path(test_dir(), "disk"), NULL, NULL, NULL);
    struct db_settings settings = settings_here();
    settings.path = house_path(test_dir(), "disk/rows.db");
    struct db *db = open_with(&cx, settings);
    int one = 1;
    heard = 0;
    CHECK_OK(db_write(&cx, db, adding(&cx, 1, 1)));
    db_ride(db, all_sql, NO_ARGS, hear, &one);
    power_fail_at(1, EIO);
    CHECK(failed(db_write(&cx, db, adding(&cx, 2, 1))));
    power_fail_at(0, 0);
    CHECK(heard == 0 && sum(&cx, db) == 0);
    db_ride(db, "UPDATE thing SET at = at * 10", NO_ARGS, hear, &one);
    CHECK_OK(db_write(&cx, db, adding(&cx, 2, 1)));
    CHECK(heard == 2 && sum(&cx, db) == 10); /* in their order */
    db_close(db);
    power_off();
}

/* ---- the log ------------------------------------------------------------------------- */

static int64_t size_of(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 ? (int64_t)s.st_size : -1;
}

TEST(the_log_stays_short_however_much_is_written)
{
    struct ctx cx = plain_cx();
    struct db *db = open_here(&cx);
    int64_t longest = 0;
    for (int i = 0; i < 400; i++) {
        struct arena_mark mark = arena_mark(cx.arena);
        CHECK_OK(db_write(&cx, db, adding(&cx, 10 * i, 10)));
        arena_rewind(cx.arena, mark);
        int64_t size = size_of(arena_printf(cx.arena, "%s-wal", settings_here().path));
        if (size > longest) longest = size;
    }
    CHECK(longest > 0 && longest < 100 * 4200);
    CHECK(things(&cx, db) == 4000);
    db_close(db);
}

/* ---- on a loop ----------------------------------------------------------------------- */

static struct db *shared;
static int busy, done;

static struct err write_and_see(struct ctx *cx, void *arg)
{
    int64_t first = *(int64_t *)arg;
    for (int64_t i = 0; i < 20; i++) {
        struct rows rows;
        struct batch *b = adding(cx, first + i, 1);
        if (i % 5 == 4) add(b, -1);
        CHECK(db_write(cx, shared, b).code == (i % 5 == 4 ? ERR_CONFLICT : ERR_NONE));
        CHECK_OK(db_read(cx, shared, POINT("SELECT n FROM thing WHERE n = $1"), ARGS(num(first + i)), &rows));
        CHECK(rows.count == (i % 5 != 4));
    }
    done++;
    return OK;
}

static struct err list_often(struct ctx *cx, void *arg)
{
    (void)arg;
    int64_t last = 0;
    for (int i = 0; i < 20; i++) {
        struct rows rows;
        CHECK_OK(db_read(cx, shared, SCAN("SELECT n, $1 FROM thing ORDER BY at, n"), ARGS(text(S("borrowed"))), &rows));
        CHECK(rows.count >= last && (rows.count == 0 || str_is(row_text(&rows, rows.count - 1, 1), "borrowed")));
        last = rows.count;
    }
    done++;
    return OK;
}

static void many_write_and_list(struct ctx *cx)
{
    enum { WRITERS = 64, LISTERS = 8 };
    static int64_t firsts[WRITERS];
    power_on(house_path(test_dir(), "disk"), NULL, NULL, NULL);
    struct db_settings settings = settings_here();
    settings.path = house_path(test_dir(), "disk/rows.db");
    settings.checkpoint_pages = 1000000;
    shared = open_with(cx, settings);
    int64_t before = power_syncs();
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    done = 0;
    for (int i = 0; i < WRITERS; i++) {
        firsts[i] = 1000 * (i + 1);
        CHECK_OK(scope_spawn(&inner, write_and_see, &firsts[i]));
    }
    for (int i = 0; i < LISTERS; i++) CHECK_OK(scope_spawn(&inner, list_often, NULL));
    CHECK_OK(scope_close(&inner));
    CHECK(done == WRITERS + LISTERS && things(cx, shared) == WRITERS * 16);
    /* 1280 batches that waited 64 at a time: a sync for each would be the end of group commit. */
    CHECK(power_syncs() - before < 200);
    db_close(shared);
    power_off();
}
TEST(who_waits_shares_a_sync_sees_its_own_write_and_lists_go_on_beside) { on_loop(many_write_and_list); }

static struct err write_one(struct ctx *cx, void *arg)
{
    struct err e = db_write(cx, shared, adding(cx, *(int64_t *)arg, 1));
    if (e.code == ERR_BUSY) busy++;
    else CHECK_OK(e);
    return OK;
}

static void too_many_write(struct ctx *cx)
{
    static int64_t numbers[10];
    struct db_settings settings = settings_here();
    settings.queue_max = 4;
    shared = open_with(cx, settings);
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    busy = 0;
    for (int i = 0; i < 10; i++) {
        numbers[i] = i + 1;
        CHECK_OK(scope_spawn(&inner, write_one, &numbers[i]));
    }
    CHECK_OK(scope_close(&inner));
    CHECK(busy == 6 && things(cx, shared) == 4);
    CHECK_OK(db_write(cx, shared, adding(cx, 100, 1)));
    db_close(shared);
}
TEST(more_writes_than_the_queue_holds_are_told_to_come_again) { on_loop(too_many_write); }

static void ride_on_the_loop(struct ctx *cx)
{
    int one = 1;
    shared = open_here(cx);
    heard = 0;
    CHECK_OK(db_write(cx, shared, adding(cx, 1, 1)));
    db_ride(shared, all_sql, NO_ARGS, hear, &one);
    CHECK_OK(db_write(cx, shared, adding(cx, 2, 1)));
    CHECK(heard == 1 && sum(cx, shared) == 1);
    db_ride(shared, all_sql, NO_ARGS, hear, &one);
    CHECK_OK(db_flush(cx, shared));
    CHECK(heard == 2 && sum(cx, shared) == 3);
    db_close(shared);
}
TEST(who_rides_on_a_loop_hears_of_it_on_the_loop) { on_loop(ride_on_the_loop); }

/* A commit of another process is under way: readers of ours go on, and see the state before. */
TEST(a_read_by_key_goes_on_while_somebody_writes)
{
    struct ctx cx = plain_cx();
    struct db *db = open_here(&cx), *other = open_here(&cx);
    CHECK_OK(db_write(&cx, db, adding(&cx, 1, 1)));
    CHECK_OK(db_begin(&cx, other));
    CHECK_OK(db_write_inside(&cx, other, all_sql, NO_ARGS));
    CHECK(sum(&cx, db) == 0);
    CHECK_OK(db_commit(&cx, other));
    CHECK(sum(&cx, db) == 1);
    db_close(other);
    db_close(db);
}
