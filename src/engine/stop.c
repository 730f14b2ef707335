/* engine/stop.c: a tree is ended, and its data kept.
 *
 * First everything in it is brought to rest, so that nothing can be born or written any more; then
 * one commit ends all its turns, those that ran and those that waited. */
#include "engine/stop.h"
#include "base/clock.h"
#include "engine/act.h"
#include "engine/journal.h"
#include "store/entry.h"
#include "store/task.h"
#include "store/turn.h"
#include <stdlib.h>

struct ending { /* one commit over several tasks of a tree */
    struct engine *engine;
    struct batch *batch;
    struct entry *entries;
    int count, room;
};

static struct err add_entry(struct ctx *cx, struct ending *ending, const struct task *t, int64_t turn, enum entry_kind kind,
                            int64_t now)
{
    if (ending->count == ending->room) {
        int room = ending->room ? ending->room * 2 : 16;
        struct entry *entries = arena_try_alloc(cx->arena, (size_t)room * sizeof *entries);
        if (!entries) return err(ERR_MEMORY, "there is no memory for this request");
        if (ending->count) memcpy(entries, ending->entries, (size_t)ending->count * sizeof *entries);
        ending->entries = entries;
        ending->room = room;
    }
    struct entry *e = &ending->entries[ending->count++];
    *e = (struct entry){.n = store_number(ending->engine->store), .root = t->root, .task = t->n, .turn = turn,
                        .run = t->run, .at = now, .kind = kind};
    return store_entry_insert(cx, ending->engine->store, ending->batch, NULL, t->org, e);
}

/* The turn that is shown: it ran, waited to begin, or was paused. */
static struct err end_shown(struct ctx *cx, struct ending *ending, struct task *t, int64_t now)
{
    bool had_begun = t->status != TASK_PENDING;
    struct secret none = {0};
    TRY(task_move(t, TASK_STOPPED, now));
    t->is_manually_stopped = true;
    t->result = (struct str){0};
    t->used_tools = S("[]");
    TRY(store_turn_finish(cx, ending->engine->store, ending->batch, &none, t, 0));
    if (!had_begun) TRY(add_entry(cx, ending, t, t->turn, ENTRY_CREATED, now));
    return add_entry(cx, ending, t, t->turn, ENTRY_FINISHED, now);
}

static struct err end_task(struct ctx *cx, struct ending *ending, int64_t org, const struct task_node *node)
{
    struct task *t = NEW(cx->arena, struct task);
    int64_t now = clock_now_us(), number, old_run;
    TRY(store_task_get(cx, ending->engine->store, org, node->n, t));
    bool is_final = task_is_final(t->status);
    if (is_final && t->turn == t->turns) return OK;
    old_run = t->run;
    t->run = old_run + 1;
    int64_t shown = t->turn;

    /* The lease first, for the entries need it; then the turn that is shown, then those that waited. */
    struct task row = *t;
    row.turn = t->turns;
    row.status = TASK_STOPPED;
    row.updated_at = now;
    store_task_begin(ending->batch, &row, old_run);
    if (!is_final) TRY(end_shown(cx, ending, t, now));
    t->turn = shown;
    for (;;) {
        TRY(store_turn_next(cx, ending->engine->store, t, &number));
        if (!number) return OK;
        store_turn_stop(ending->batch, org, t->n, number, now);
        TRY(add_entry(cx, ending, t, number, ENTRY_CREATED, now));
        TRY(add_entry(cx, ending, t, number, ENTRY_FINISHED, now));
        t->turn = number;
    }
}

static struct err end_tree(struct ctx *cx, struct act *act)
{
    struct ending ending = {.engine = act->engine, .batch = batch_new(cx->arena)};
    struct task_node *nodes;
    int count;
    TRY(store_task_tree(cx, act->engine->store, act->org, act->n, &nodes, &count));
    if (!count || nodes[0].is_deleting) return err(ERR_NOT_FOUND, "Task not found");
    for (int i = 0; i < count; i++)
        if (!nodes[i].is_deleting) TRY(end_task(cx, &ending, act->org, &nodes[i])); /* else another act ends it */
    if (batch_is_empty(ending.batch)) return OK;
    TRY(db_write(cx, act->engine->store->db, ending.batch));
    struct tree *tree = tree_hold(act->engine, act->root);
    if (!tree) return OK; /* no memory: then there is no follower either */
    journal_announce(tree, ending.entries, ending.count);
    tree_drop(tree);
    return OK;
}

struct err stop_main(struct ctx *cx, void *arg)
{
    struct act *act = arg;
    enum { TRIES = 8 };
    struct err e = act_rest(cx, act, RUN_IS_STOPPED);
    if (!failed(e)) e = err(ERR_CONFLICT, 0);
    /* A message that was accepted meanwhile moves the row under us: look again. */
    for (int i = 0; i < TRIES && e.code == ERR_CONFLICT; i++) {
        struct arena_mark mark = arena_mark(cx->arena);
        e = end_tree(cx, act);
        arena_rewind(cx->arena, mark);
    }
    if (e.code == ERR_CONFLICT) e = err(ERR_BUSY, "The task did not come to rest in time");
    else if (failed(e) && e.code != ERR_NOT_FOUND) e.what = "The task could not be stopped now";
    act_finish(act, e);
    return OK;
}

struct err engine_stop(struct ctx *cx, struct engine *engine, const struct task *t)
{
    struct act *act = act_over(engine, t->n);
    if (act && act->is_erasure) {
        act->holders++;
        struct err e = act_join(cx, act, engine->settings.rest_wait_ms);
        return failed(e) ? e : err(ERR_NOT_FOUND, "Task not found");
    }
    TRY(act_open(cx, engine, t, false, stop_main, &act));
    return act_join(cx, act, engine->settings.rest_wait_ms);
}
