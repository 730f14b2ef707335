#include "engine/act.h"
#include "base/clock.h"
#include "engine/stop.h"
#include "store/task.h"
#include <stdlib.h>

static void drop(struct act *act)
{
    if (--act->holders) return;
    arena_free(&act->arena);
    free(act);
}

static struct act *find(const struct engine *engine, int64_t n, bool is_erasure)
{
    for (struct act *act = engine->acts; act; act = act->next)
        if (!act->is_done && act->n == n && act->is_erasure == is_erasure) return act;
    return NULL;
}

/* Who hangs there now. What is born later has a parent that lives or is named. */
static struct err name_nodes(struct ctx *cx, struct act *act)
{
    struct task_node *nodes;
    int count;
    TRY(store_task_tree(cx, act->engine->store, act->org, act->n, &nodes, &count));
    act->nodes = arena_try_alloc(&act->arena, (size_t)(count + 1) * sizeof *act->nodes);
    act->ids = arena_try_alloc(&act->arena, (size_t)(count + 1) * sizeof *act->ids);
    if (!act->nodes || !act->ids) return err(ERR_MEMORY, "there is no memory for this request");
    for (int i = 0; i < count; i++) {
        act->ids[i] = str_copy(&act->arena, nodes[i].id);
        act->nodes[act->nodes_count++] = nodes[i].n;
    }
    if (!count) act->nodes[act->nodes_count++] = act->n;
    return act->arena.exhausted ? err(ERR_MEMORY, "there is no memory for this request") : OK;
}

struct err act_open(struct ctx *cx, struct engine *engine, const struct task *t, bool is_erasure, fiber_fn *main,
                    struct act **out)
{
    struct act *act = find(engine, t->n, is_erasure);
    if (act) {
        act->holders++;
        *out = act;
        return OK;
    }
    if (engine->is_closing) return err(ERR_BUSY, "The server is stopping");
    act = calloc(1, sizeof *act);
    if (!act) return err(ERR_MEMORY, "there is no memory for this request");
    *act = (struct act){.is_erasure = is_erasure, .org = t->org, .n = t->n, .root = t->root, .holders = 2, .engine = engine};
    struct err e = name_nodes(cx, act);
    if (!failed(e)) e = scope_spawn(&engine->cx, main, act);
    if (failed(e)) {
        arena_free(&act->arena);
        free(act);
        return e.code == ERR_LIMIT ? err(ERR_BUSY, "The server has too much to do") : e;
    }
    act->next = engine->acts;
    engine->acts = act;
    *out = act;
    return OK;
}

struct err act_join(struct ctx *cx, struct act *act, int64_t ms)
{
    struct err e = OK;
    int64_t until = ms ? clock_mono_ms() + ms : 0;
    while (!act->is_done && !failed(e))
        e = until ? gate_wait_ms(cx, &act->done, until - clock_mono_ms() > 0 ? until - clock_mono_ms() : 0, "an act")
                  : gate_wait(cx, &act->done, "an act");
    if (act->is_done) e = act->outcome;
    else if (e.code == ERR_TIMEOUT) e = err(ERR_BUSY, "The task did not come to rest in time; it is being ended");
    drop(act);
    return e;
}

static bool lives_in(const struct act *act, const struct tree *tree)
{
    for (const struct run *r = tree ? tree->runs : NULL; r; r = r->next_in_tree)
        if (act_covers(act, act->engine, r->task.n)) return true;
    return false;
}

bool act_has_life(const struct act *act) { return lives_in(act, tree_of(act->engine, act->root)); }

struct err act_rest(struct ctx *cx, struct act *act, enum run_order order)
{
    struct tree *tree = tree_of(act->engine, act->root);
    struct err e = OK;
    if (!tree) return OK;
    tree->holders++;
    while (!failed(e) && lives_in(act, tree)) {
        for (struct run *r = tree->runs; r; r = r->next_in_tree)
            if (act_covers(act, act->engine, r->task.n)) run_give_order(r, order);
        e = gate_wait(cx, &tree->settled, "a tree at rest");
    }
    tree_drop(tree);
    return e;
}

void act_finish(struct act *act, struct err outcome)
{
    struct engine *engine = act->engine;
    struct act **at = &engine->acts;
    while (*at != act) at = &(*at)->next;
    *at = act->next;
    act->outcome = outcome;
    act->is_done = true;
    gate_open(&act->done);
    gate_open(&engine->rest);
    tree_stir(engine, act->root); /* followers look again */
    drop(act);
}

void act_stop_behind(struct engine *engine, const struct task *t)
{
    struct act *act;
    struct arena arena = arena_new();
    struct ctx cx = engine->cx;
    cx.arena = &arena;
    if (!failed(act_open(&cx, engine, t, false, stop_main, &act))) drop(act);
    arena_free(&arena);
}
