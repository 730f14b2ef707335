/* The life of a slot: taken, opened, destroyed, swept, filled again; and stopped at every write of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "house.h"
#include "io/scope.h"
#include "power.h"
#include "store/cells.h"
#include "store/sqlite.h"

enum { POOL = 8 }; /* as house_settings has it */

static struct seal_place place_of(int64_t n) { return (struct seal_place){"task", "sealed", n, n, 0}; }

/* A task with a slot of its own; false: it was refused, and its slot given back. */
static struct err make_task(struct ctx *cx, struct store *store, int64_t n, int64_t *slot, struct str *sealed)
{
    struct secret key;
    struct batch *b = batch_new(cx->arena);
    *slot = 0;
    TRY(keyring_take(cx, store->keyring, b, slot, &key));
    struct err e = seal(cx->arena, store, &key, place_of(n), strf(cx->arena, "of %lld", (long long)n), sealed);
    secret_drop(store->keyring, &key);
    task_batch(b, n, *slot, *sealed);
    if (!failed(e)) e = db_write(cx, store->db, b);
    if (failed(e)) keyring_untake(store->keyring, *slot);
    return e;
}

static struct err delete_task(struct ctx *cx, struct store *store, int64_t n, int64_t slot)
{
    struct batch *b = batch_new(cx->arena);
    batch_add(b, "DELETE FROM task WHERE n = $1", ARGS(num(n)), 1);
    batch_add(b, "INSERT INTO slot (n, state) VALUES ($1, 1)", ARGS(num(slot)), 1);
    return db_write(cx, store->db, b);
}

static bool opens(struct ctx *cx, struct store *store, int64_t slot, int64_t n, struct str sealed)
{
    struct secret key;
    struct str plain;
    if (failed(keyring_key(store->keyring, slot, &key))) return false;
    struct err e = unseal(cx->arena, store, &key, place_of(n), sealed, &plain);
    secret_drop(store->keyring, &key);
    return !failed(e) && str_eq(plain, strf(cx->arena, "of %lld", (long long)n));
}

static struct store *open_with_org(struct ctx *cx, const char *directory)
{
    struct store *store = house_open(cx, directory);
    if (count_of(cx, store->db, "SELECT count(*) FROM organization") == 0) add_org(cx, store->db, 1);
    return store;
}

/* ---- one at a time ------------------------------------------------------------------- */

TEST(a_key_opens_what_it_sealed_until_it_is_destroyed)
{
    struct ctx cx = plain_cx();
    struct store *store = open_with_org(&cx, test_dir());
    int64_t slot;
    struct str sealed;
    CHECK_OK(make_task(&cx, store, 1, &slot, &sealed));
    CHECK(opens(&cx, store, slot, 1, sealed));
    store_close(&cx, store);
    store = house_open(&cx, test_dir());
    CHECK(opens(&cx, store, slot, 1, sealed));
    CHECK_OK(delete_task(&cx, store, 1, slot));
    CHECK(opens(&cx, store, slot, 1, sealed));
    CHECK_OK(keyring_destroy(&cx, store->keyring, &slot, 1));
    CHECK(!opens(&cx, store, slot, 1, sealed));
    store_close(&cx, store);
    store = house_open(&cx, test_dir());
    CHECK(!opens(&cx, store, slot, 1, sealed));
    store_close(&cx, store);
}

/* Only the commit that frees a slot makes it somebody's again. */
TEST(a_destroyed_slot_is_handed_out_only_after_its_free_is_on_disk)
{
    struct ctx cx = plain_cx();
    struct store *store = open_with_org(&cx, test_dir());
    int64_t slot, others[100];
    struct str sealed;
    CHECK_OK(make_task(&cx, store, 1, &slot, &sealed));
    CHECK_OK(delete_task(&cx, store, 1, slot));
    CHECK_OK(keyring_destroy(&cx, store->keyring, &slot, 1));
    for (int i = 0; i < POOL - 1; i++) { /* what is ready; takes nothing from the disk */
        struct secret key;
        CHECK_OK(keyring_take(&cx, store->keyring, batch_new(cx.arena), &others[i], &key));
        secret_drop(store->keyring, &key);
        CHECK(others[i] != slot);
    }
    CHECK(count_of(&cx, store->db, "SELECT state FROM slot WHERE n = (SELECT min(n) FROM slot)") == 1);
    CHECK_OK(db_flush(&cx, store->db));
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM slot WHERE state = 1") == 0);
    struct secret key;
    CHECK_OK(keyring_take(&cx, store->keyring, batch_new(cx.arena), &others[0], &key));
    secret_drop(store->keyring, &key);
    CHECK(others[0] == slot);
    store_close(&cx, store);
}

TEST(slots_are_used_again_and_the_file_does_not_grow)
{
    struct ctx cx = plain_cx();
    struct store *store = open_with_org(&cx, test_dir());
    int64_t largest = 0;
    for (int64_t n = 1; n <= 200; n++) {
        struct arena_mark mark = arena_mark(cx.arena);
        int64_t slot;
        struct str sealed;
        CHECK_OK(make_task(&cx, store, n, &slot, &sealed));
        CHECK_OK(delete_task(&cx, store, n, slot));
        CHECK_OK(keyring_destroy(&cx, store->keyring, &slot, 1));
        if (slot > largest) largest = slot;
        if (n % 50 == 0) {
            store_close(&cx, store);
            store = house_open(&cx, test_dir());
        }
        arena_rewind(cx.arena, mark);
    }
    CHECK(largest < 16 + 3 * POOL);
    store_close(&cx, store);
}

TEST(the_pool_is_filled_again_before_anybody_is_refused)
{
    struct ctx cx = plain_cx();
    struct store *store = open_with_org(&cx, test_dir());
    int64_t slots[10 * POOL];
    for (int i = 0; i < 10 * POOL; i++) {
        struct str sealed;
        CHECK_OK(make_task(&cx, store, i + 1, &slots[i], &sealed));
        for (int j = 0; j < i; j++) CHECK(slots[i] != slots[j]);
    }
    store_close(&cx, store);
}

/* Its batch was refused: the key is destroyed like a deleted one's before the slot goes to another. */
TEST(an_untaken_slot_is_erased_before_it_is_handed_out)
{
    struct ctx cx = plain_cx();
    struct store *store = open_with_org(&cx, test_dir());
    int64_t slot, other;
    struct str sealed, others;
    CHECK_OK(make_task(&cx, store, 1, &slot, &sealed));
    CHECK(make_task(&cx, store, 1, &other, &others).code == ERR_CONFLICT);
    CHECK(opens(&cx, store, other, 1, others));
    store_close(&cx, store);
    store = house_open(&cx, test_dir());
    CHECK(!opens(&cx, store, other, 1, others));
    CHECK(opens(&cx, store, slot, 1, sealed));
    bool was_seen = false;
    for (int i = 0; i < 2 * POOL && !was_seen; i++) {
        int64_t taken;
        struct secret key;
        struct str plain;
        CHECK_OK(keyring_take(&cx, store->keyring, batch_new(cx.arena), &taken, &key));
        CHECK(failed(unseal(cx.arena, store, &key, place_of(1), others, &plain)));
        was_seen = taken == other;
        secret_drop(store->keyring, &key);
    }
    CHECK(was_seen);
    store_close(&cx, store);
}

TEST(a_slot_that_was_never_filled_or_is_damaged_does_not_open)
{
    struct ctx cx = plain_cx();
    struct store *store = open_with_org(&cx, test_dir());
    struct secret key;
    int64_t slot;
    struct str sealed;
    int64_t none[] = {0, 1, 15, -1, 100000, INT64_MAX / 64};
    for (int i = 0; i < 6; i++) CHECK(keyring_key(store->keyring, none[i], &key).code == ERR_IO && !key.key);
    CHECK_OK(make_task(&cx, store, 1, &slot, &sealed));
    FILE *file = fopen(house_path(test_dir(), "keyring"), "r+b");
    CHECK(file && fseek(file, slot * 64 + 20, SEEK_SET) == 0);
    int byte = getc(file);
    CHECK(fseek(file, slot * 64 + 20, SEEK_SET) == 0 && putc(byte ^ 1, file) != EOF && fclose(file) == 0);
    CHECK(keyring_key(store->keyring, slot, &key).code == ERR_IO);
    store_close(&cx, store);
}

/* A slot's bytes copied to another place: bound to the number, they open nothing there. */
TEST(a_slot_copied_over_another_does_not_open)
{
    struct ctx cx = plain_cx();
    struct store *store = open_with_org(&cx, test_dir());
    int64_t slots[2];
    struct str sealed;
    struct secret key;
    char bytes[64];
    for (int i = 0; i < 2; i++) CHECK_OK(make_task(&cx, store, i + 1, &slots[i], &sealed));
    FILE *file = fopen(house_path(test_dir(), "keyring"), "r+b");
    CHECK(file && fseek(file, slots[0] * 64, SEEK_SET) == 0 && fread(bytes, 1, 64, file) == 64);
    CHECK(fseek(file, slots[1] * 64, SEEK_SET) == 0 && fwrite(bytes, 1, 64, file) == 64 && fclose(file) == 0);
    CHECK(keyring_key(store->keyring, slots[1], &key).code == ERR_IO);
    CHECK_OK(keyring_key(store->keyring, slots[0], &key));
    secret_drop(store->keyring, &key);
    store_close(&cx, store);
}

/* ---- cells --------------------------------------------------------------------------- */

TEST(when_all_cells_are_lent_a_key_is_unwrapped_for_each_use)
{
    struct ctx cx = plain_cx();
    struct store *store = open_with_org(&cx, test_dir());
    int64_t slot;
    struct str sealed, plain;
    CHECK_OK(make_task(&cx, store, 1, &slot, &sealed));
    enum { MANY = 40000 };
    static struct secret keys[MANY];
    int without = 0;
    for (int i = 0; i < MANY; i++) {
        CHECK_OK(keyring_key(store->keyring, slot, &keys[i]));
        without += keys[i].key == NULL;
    }
    CHECK(without > 0 && without < MANY / 4 && !keys[MANY - 1].key);
    CHECK_OK(unseal(cx.arena, store, &keys[MANY - 1], place_of(1), sealed, &plain));
    CHECK(str_is(plain, "of 1"));
    for (int i = 0; i < MANY; i++) secret_drop(store->keyring, &keys[i]);
    CHECK_OK(keyring_key(store->keyring, slot, &keys[0]));
    CHECK(keys[0].key);
    secret_drop(store->keyring, &keys[0]);
    store_close(&cx, store);
}

TEST(a_dropped_cell_is_wiped_and_lent_again)
{
    struct cells *cells = cells_open();
    unsigned char *first = cell_take(cells), *second = cell_take(cells);
    memset(first, 0xaa, CELL_BYTES);
    memset(second, 0xbb, CELL_BYTES);
    cell_drop(cells, first);
    for (int i = 4; i < CELL_BYTES; i++) CHECK(first[i] == 0); /* the first four lead to the next free one */
    CHECK(second[0] == 0xbb && second[31] == 0xbb);
    CHECK(cell_take(cells) == first && cells_lent(cells) == 2);
    cells_close(cells);
}

/* RLIMIT_MEMLOCK below the region: everything works, only unlocked. (Root is not limited; then this shows less.) */
TEST(a_small_limit_of_locked_memory_does_not_stop_anything)
{
    struct rlimit before, small = {4096, 4096};
    CHECK(getrlimit(RLIMIT_MEMLOCK, &before) == 0);
    small.rlim_max = before.rlim_max;
    CHECK(setrlimit(RLIMIT_MEMLOCK, &small) == 0);
    struct cells *cells = cells_open();
    CHECK(cells != NULL);
    unsigned char *cell = cell_take(cells);
    memset(cell, 1, CELL_BYTES);
    cell_drop(cells, cell);
    cells_close(cells);
    CHECK(setrlimit(RLIMIT_MEMLOCK, &before) == 0);
}

/* ---- on a loop ----------------------------------------------------------------------- */

static struct store *shared;
static int lives;

static struct err live_once(struct ctx *cx, void *arg)
{
    int64_t n = *(int64_t *)arg, slot;
    struct str sealed;
    CHECK_OK(make_task(cx, shared, n, &slot, &sealed));
    CHECK(opens(cx, shared, slot, n, sealed));
    CHECK_OK(delete_task(cx, shared, n, slot));
    CHECK_OK(keyring_destroy(cx, shared->keyring, &slot, 1));
    CHECK(!opens(cx, shared, slot, n, sealed));
    lives++;
    return OK;
}

/* Far more at once than the pool holds: nobody is refused, no key is anybody else's, and many destroys share
 * their syncs. */
static void many_live_at_once(struct ctx *cx)
{
    enum { MANY = 200, ROUNDS = 3 };
    static int64_t numbers[MANY];
    const char *top = power_dir();
    power_on(top, NULL, NULL, NULL);
    shared = open_with_org(cx, arena_printf(cx->arena, "%s/data", top));
    int64_t before = power_syncs();
    lives = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct scope scope;
        struct ctx inner = scope_open(&scope, cx);
        for (int i = 0; i < MANY; i++) {
            numbers[i] = 1000 * round + i + 1;
            CHECK_OK(scope_spawn(&inner, live_once, &numbers[i]));
        }
        CHECK_OK(scope_close(&inner));
    }
    CHECK(lives == MANY * ROUNDS);
    CHECK(power_syncs() - before < MANY * ROUNDS); /* alone each would need four */
    CHECK(count_of(cx, shared->db, "SELECT count(*) FROM task") == 0);
    store_close(cx, shared);
    power_off();
}
TEST(more_takers_than_the_pool_holds_all_get_a_key_and_destroys_share_syncs) { on_loop(many_live_at_once); }

static void full_disk_then_not(struct ctx *cx)
{
    const char *top = power_dir();
    power_on(top, NULL, NULL, NULL);
    shared = open_with_org(cx, arena_printf(cx->arena, "%s/data", top));
    struct secret key;
    int64_t slot, takes = 0;
    struct err e = OK;
    /* The first write that filling needs fails, once, and then all is well again. */
    for (int i = 0; i < 4 * POOL; i++) {
        power_fail_at(1, ENOSPC);
        e = keyring_take(cx, shared->keyring, batch_new(cx->arena), &slot, &key);
        power_fail_at(0, 0);
        if (failed(e)) break;
        takes++;
        secret_drop(shared->keyring, &key);
    }
    CHECK(takes >= POOL);
    CHECK(!failed(e) || e.code == ERR_FULL || e.code == ERR_BUSY);
    CHECK_OK(keyring_take(cx, shared->keyring, batch_new(cx->arena), &slot, &key));
    secret_drop(shared->keyring, &key);
    store_close(cx, shared);
    power_off();
}
TEST(a_pool_that_could_not_be_filled_is_filled_when_it_can) { on_loop(full_disk_then_not); }

/* ---- stopped at every write ---------------------------------------------------------- */

enum { TASKS = 14 };
struct script {
    int64_t slots[TASKS + 1];
    struct str sealed[TASKS + 1];
    bool is_made[TASKS + 1], is_deleted[TASKS + 1], is_destroyed[TASKS + 1];
};

/* Takes, a refusal, deletes, reuse; stops at the first failure, as a process would that died there. */
static struct err play(struct ctx *cx, struct store *store, struct script *s)
{
    int64_t next = 1;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++, next++) {
            TRY(make_task(cx, store, next, &s->slots[next], &s->sealed[next]));
            s->is_made[next] = true;
        }
        int64_t refused;
        struct str sealed;
        struct err e = make_task(cx, store, next - 1, &refused, &sealed); /* the id is taken */
        if (e.code != ERR_CONFLICT) return e;
        for (int64_t n = next - 3; n < next - 1; n++) {
            s->is_deleted[n] = true; /* from here on it may be gone */
            TRY(delete_task(cx, store, n, s->slots[n]));
            TRY(keyring_destroy(cx, store->keyring, &s->slots[n], 1));
            s->is_destroyed[n] = true;
        }
        if (round == 1) TRY(keyring_tend(cx, store->keyring));
    }
    return OK;
}

/* `is_swept`: a start has finished what was left undone. */
static void look(struct ctx *cx, struct store *store, struct script *s, bool is_swept)
{
    for (int64_t n = 1; n <= TASKS; n++) {
        struct rows row;
        CHECK_OK(db_read(cx, store->db, POINT("SELECT slot FROM task WHERE n = $1"), ARGS(num(n)), &row));
        if (s->is_made[n] && !s->is_deleted[n]) CHECK(row.count == 1);
        if (row.count) CHECK(row_num(&row, 0, 0) == s->slots[n] && opens(cx, store, s->slots[n], n, s->sealed[n]));
        if (s->is_destroyed[n]) CHECK(row.count == 0);
        if (s->is_destroyed[n] || (!row.count && s->is_deleted[n] && is_swept)) CHECK(!opens(cx, store, s->slots[n], n, s->sealed[n]));
    }
    /* What is handed out next is nobody's, and has sealed nothing. */
    struct batch *b = batch_new(cx->arena);
    for (int i = 0; i < 4 * POOL; i++) {
        int64_t slot;
        struct secret key;
        struct rows row;
        CHECK_OK(keyring_take(cx, store->keyring, b, &slot, &key));
        CHECK_OK(db_read(cx, store->db, POINT("SELECT n FROM task WHERE slot = $1"), ARGS(num(slot)), &row));
        CHECK(row.count == 0);
        for (int64_t n = 1; n <= TASKS; n++) {
            struct str plain;
            if (s->slots[n] == slot) CHECK(failed(unseal(cx->arena, store, &key, place_of(n), s->sealed[n], &plain)));
        }
        secret_drop(store->keyring, &key);
    }
    CHECK_OK(db_write(cx, store->db, b));
}

/* The n-th write or sync fails, for each n in turn. Either the process dies there, with all that was written (a kill) or
 * with only what was synced (a cut); or it lives on and the same store is used. */
enum after { KILLED, CUT, LIVED_ON };

static bool stop_at(const struct world *from, int64_t nth, enum after after, int error_number)
{
    struct ctx cx = plain_cx();
    struct arena_mark mark = arena_mark(cx.arena);
    struct script script = {0};
    const char *top = power_dir();
    char *data = arena_printf(cx.arena, "%s/data", top), *again = arena_printf(cx.arena, "%s/again", top);
    power_on(top, from, NULL, NULL);
    struct store *store = house_open(&cx, data);
    int64_t before = power_steps();
    power_fail_at(nth, error_number);
    struct err e = play(&cx, store, &script);
    bool was_reached = power_steps() - before >= nth;
    if (!failed(e)) script.is_made[0] = true;
    struct world *left = after == KILLED ? power_kill() : power_cut(LEFT_NONE, 0);
    power_fail_at(0, 0);
    if (after == LIVED_ON) look(&cx, store, &script, false);
    store_close(&cx, store);
    if (after == LIVED_ON) {
        world_free(left);
        left = power_kill();
    }
    power_off();
    power_on(again, left, NULL, NULL);
    store = house_open(&cx, arena_printf(cx.arena, "%s/data", again));
    look(&cx, store, &script, true);
    store_close(&cx, store);
    power_off();
    world_free(left);
    arena_rewind(cx.arena, mark);
    return was_reached;
}

static int64_t stop_everywhere(enum after after, int error_number)
{
    struct ctx cx = plain_cx();
    const char *top = power_dir();
    power_on(top, NULL, NULL, NULL);
    struct store *store = open_with_org(&cx, arena_printf(cx.arena, "%s/data", top));
    store_close(&cx, store);
    struct world *from = power_kill();
    power_off();
    int64_t nth = 1;
    while (stop_at(from, nth, after, error_number)) nth++;
    world_free(from);
    return nth;
}

TEST(a_process_that_dies_at_any_write_costs_no_living_task_its_key) { CHECK(stop_everywhere(KILLED, EIO) > 100); }
TEST(a_power_cut_at_any_write_costs_no_living_task_its_key) { CHECK(stop_everywhere(CUT, EIO) > 100); }
TEST(a_write_that_fails_costs_no_living_task_its_key) { CHECK(stop_everywhere(LIVED_ON, EIO) > 100); }
TEST(a_full_disk_at_any_write_costs_no_living_task_its_key) { CHECK(stop_everywhere(LIVED_ON, ENOSPC) > 100); }
