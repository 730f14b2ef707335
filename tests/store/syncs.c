/* What a delete costs: two syncs for a tree at rest, three for one that runs, whatever its size; many share them. */
#include "base/id.h"
#include "engine/registry.h"
#include "house.h"
#include "io/wait.h"
#include "power.h"
#include "store/keyring.h"

enum { TREE = 150, MANY = 40 };
static struct store *store;
static struct engine *engine;

static void open_engine(struct ctx *cx)
{
    static const struct engine_settings settings = {.runs_max = 1000, .erase_rows_max = 20000, .rest_wait_ms = 60000};
    const char *top = power_dir();
    power_on(top, NULL, NULL, NULL);
    struct store_settings house = house_settings(arena_printf(cx->arena, "%s/data", top));
    house.pool_slots = 4 * TREE; /* nobody fills it meanwhile */
    CHECK_OK(store_open(cx, &house, &store));
    add_org(cx, store->db, 1);
    CHECK_OK(engine_open(cx, &settings, store, NULL, &engine));
}

static void close_engine(struct ctx *cx)
{
    engine_close(cx, engine);
    store_close(cx, store);
    power_off();
}

static struct task add_task(struct ctx *cx, int64_t n, int64_t root)
{
    struct batch *batch = batch_new(cx->arena);
    struct secret secret;
    int64_t slot;
    CHECK_OK(keyring_take(cx, store->keyring, batch, &slot, &secret));
    secret_drop(store->keyring, &secret);
    task_batch(batch, n, slot, S("sealed"));
    if (root != n) batch_add(batch, "UPDATE task SET root = $2, parent = $2 WHERE n = $1", ARGS(num(n), num(root)), 1);
    CHECK_OK(db_write(cx, store->db, batch));
    return (struct task){.org = 1, .n = n, .root = root};
}

static void nothing_is_left(struct ctx *cx)
{
    CHECK(count_of(cx, store->db, "SELECT count(*) FROM task") == 0);
    CHECK(!engine->acts);
}

static void delete_at_rest(struct ctx *cx)
{
    open_engine(cx);
    struct task root = add_task(cx, 1, 1);
    for (int64_t n = 2; n <= TREE; n++) add_task(cx, n, 1);
    int64_t before = power_syncs();
    CHECK_OK(engine_erase(cx, engine, &root));
    CHECK(power_syncs() - before == 2);
    nothing_is_left(cx);
    close_engine(cx);
}
TEST(a_tree_at_rest_is_deleted_with_two_syncs) { on_loop(delete_at_rest); }

/* A run that ends when it is told to, and not before. */
static struct err stand_in(struct ctx *cx, void *arg)
{
    struct run *run = arg;
    while (run->order == RUN_GOES_ON) CHECK_OK(wait_turn(cx));
    CHECK(run->order == RUN_IS_ERASED);
    CHECK(count_of(cx, store->db, "SELECT count(*) FROM task WHERE deleting = 1 AND run > 1") == 1);
    run_forget(run);
    return OK;
}

static void delete_running(struct ctx *cx)
{
    open_engine(cx);
    struct task root = add_task(cx, 1, 1);
    struct run *run = run_new(engine, 1, 1);
    CHECK(run != NULL);
    CHECK_OK(scope_spawn(&engine->cx, stand_in, run));
    int64_t before = power_syncs();
    CHECK_OK(engine_erase(cx, engine, &root));
    CHECK(power_syncs() - before == 3);
    nothing_is_left(cx);
    close_engine(cx);
}
TEST(a_running_tree_is_deleted_with_three_syncs) { on_loop(delete_running); }

static struct err delete_one(struct ctx *cx, void *arg)
{
    CHECK_OK(engine_erase(cx, engine, arg));
    return OK;
}

static void delete_many(struct ctx *cx)
{
    open_engine(cx);
    static struct task tasks[MANY];
    for (int i = 0; i < MANY; i++) tasks[i] = add_task(cx, i + 1, i + 1);
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    int64_t before = power_syncs();
    for (int i = 0; i < MANY; i++) CHECK_OK(scope_spawn(&inner, delete_one, &tasks[i]));
    CHECK_OK(scope_close(&inner));
    CHECK(power_syncs() - before < MANY); /* alone each would need two */
    nothing_is_left(cx);
    close_engine(cx);
}
TEST(many_deletes_at_once_share_their_syncs) { on_loop(delete_many); }
