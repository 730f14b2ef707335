/* engine/wait.c: a turn is waited for. */
#include "base/clock.h"
#include "engine/registry.h"
#include "store/task.h"
#include "store/turn.h"

/* The turn as it is; of a task that is gone, or being erased, as it was asked for, stopped. */
static struct err look(struct ctx *cx, struct engine *engine, struct task *t, int64_t turn, bool *is_over)
{
    struct task row = {0};
    struct secret secret;
    struct run *run = run_of(engine, t->n);
    bool is_erased = engine_is_erased(engine, t->n) || (run && run->order == RUN_IS_ERASED);
    *is_over = true;
    if (is_erased) return err(ERR_NOT_FOUND, "Task not found");
    TRY(store_task_get(cx, engine->store, t->org, t->n, &row));
    if (row.is_deleting) return err(ERR_NOT_FOUND, "Task not found");
    TRY(store_task_secret(engine->store, &row, &secret));
    struct err e = store_task_show(cx, engine->store, &secret, &row, turn, MOMENT_NOW, 0);
    secret_drop(engine->store->keyring, &secret);
    TRY(e);
    *is_over = task_is_final(row.status) || row.status == TASK_PAUSED;
    *t = row;
    return OK;
}

/* Is the turn still ahead of, or in, the run that lives? Then there is no need to ask the disk. */
static bool is_ahead(const struct engine *engine, const struct task *t, int64_t turn)
{
    const struct run *run = run_of(engine, t->n);
    if (!run || run->order != RUN_GOES_ON || engine_is_erasing(engine, t->n)) return false;
    return run->task.turn < turn || (run->task.turn == turn && !task_is_final(run->task.status));
}

struct err engine_wait(struct ctx *cx, struct engine *engine, struct task *t, int64_t turn, int64_t ms)
{
    int64_t until = ms < 0 ? 0 : clock_mono_ms() + ms;
    struct tree *tree = tree_hold(engine, t->root);
    if (!tree) return err(ERR_MEMORY, "there is no memory for this request");
    struct err e = OK;
    bool is_over = false;
    while (!is_over && !failed(e)) {
        if (!is_ahead(engine, t, turn)) {
            e = look(cx, engine, t, turn, &is_over);
            if (is_over || failed(e)) break;
        }
        if (!until) {
            e = gate_wait(cx, &tree->settled, "the end of a turn");
            continue;
        }
        int64_t left = until - clock_mono_ms();
        e = gate_wait_ms(cx, &tree->settled, left > 0 ? left : 0, "the end of a turn");
        if (e.code == ERR_TIMEOUT) {
            e = look(cx, engine, t, turn, &is_over);
            break;
        }
    }
    tree_drop(tree);
    return e;
}
