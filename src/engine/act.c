#include "engine/act.h"
#include "base/clock.h"
#include "engine/stop.h"
#include "store/task.h"
#include <stdlib.h>

void act_drop(struct act *act)
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

static void name(struct act *act, int64_t n, struct str id)
{
    int at = act->nodes_count++;
    for (; at > 0 && act->nodes[at - 1].n > n; at--) act->nodes[at] = act->nodes[at - 1];
    act->nodes[at] = (struct act_node){n, id};
}

/* Who hangs there now: on disk, and what is about to be born. After that nothing is: whoever would has a parent that is named. */
static struct err name_nodes(struct ctx *cx, struct act *act)
{
    struct tree *tree = tree_of(act->engine, act->root);
    struct task_node *nodes;
    struct ctx own = *cx;
    int count, births = 0;
    own.arena = &act->arena;
    TRY(store_task_tree(&own, act->engine->store, act->org, act->n, &nodes, &count));
    for (struct run *r = tree ? tree->runs : NULL; r; r = r->next_in_tree) births++;
    act->nodes = arena_try_alloc(&act->arena, (size_t)(count + births + 1) * sizeof *act->nodes);
    if (!act->nodes) return err(ERR_MEMORY, "there is no memory for this request");
    for (int i = 0; i < count; i++) name(act, nodes[i].n, nodes[i].id);
    if (!count) name(act, act->n, S(""));
    for (struct run *r = tree ? tree->runs : NULL; r; r = r->next_in_tree)
        if (!act_names(act, r->task.n) && act_covers(act, act->engine, r->task.n))
            name(act, r->task.n, str_copy(&act->arena, r->task.id));
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
    act_drop(act);
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

/* It failed: what it brought to rest, or kept from beginning, goes on. */
static void go_on(const struct act *act)
{
    for (int i = 0; i < act->nodes_count; i++)
        if (failed(engine_take_up(act->engine, act->org, act->nodes[i].n))) return; /* the next start does it */
}

void act_finish(struct act *act, struct err outcome)
{
    struct engine *engine = act->engine;
    struct act **at = &engine->acts;
    while (*at != act) at = &(*at)->next;
    *at = act->next;
    /* Who was ended waits for no place; a message that came meanwhile waits for us, and then asks for one anew. */
    for (int i = 0; i < act->nodes_count; i++) engine_leave_queue(engine, act->nodes[i].n);
    act->outcome = outcome;
    act->is_done = true;
    gate_open(&act->done);
    gate_open(&engine->rest);
    tree_stir(engine, act->root); /* followers look again */
    if (failed(outcome) && outcome.code != ERR_NOT_FOUND) go_on(act);
    act_drop(act);
}

void act_stop_behind(struct engine *engine, const struct task *t)
{
    struct act *act;
    struct arena arena = arena_new();
    struct ctx cx = engine->cx;
    cx.arena = &arena;
    if (!failed(act_open(&cx, engine, t, false, stop_main, &act))) act_drop(act);
    arena_free(&arena);
}
