/* engine/erase.c: stop the tree, fence it, delete it, leave no byte.
 *
 * 1. If anything of the tree may run: one commit that says so (it is `deleting`, for everybody gone) and
 *    raises every lease in it, so that a late write is refused by the database itself.
 * 2. Every run in it is cancelled, and we wait until all are at rest: their upstream sockets are closed.
 * 3. One commit: the slots of its keys become `erasing`, its rows go.
 * 4. The keys are overwritten, and synced. Whatever copy of the sealed content is left anywhere is noise now.
 * 5. Everybody who asked is answered.
 *
 * A fiber of the engine's own does it, so that it goes on when its caller hangs up. A crash between the
 * steps is finished by the next start, before it listens. */
#include "engine/erase.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/act.h"
#include "engine/engine.h"
#include "store/organization.h"
#include <assert.h>

enum { AGAIN_MS = 1000 };

static struct err mark(struct ctx *cx, struct act *act)
{
    if (act->is_marked) return OK;
    struct batch *batch = batch_new(cx->arena);
    store_task_mark(batch, act->org, act->n, clock_now_us());
    TRY(db_write(cx, act->engine->store->db, batch));
    act->is_marked = true;
    return OK;
}

/* Beyond what one commit should hold the journal goes first, in pieces; the tree is unreachable already. */
static struct err drop_in_pieces(struct ctx *cx, struct act *act)
{
    struct store *store = act->engine->store;
    int64_t most = act->engine->settings.erase_rows_max, count;
    TRY(store_task_rows(cx, store, act->org, act->n, most + 1, &count));
    if (count <= most) return OK;
    TRY(mark(cx, act));
    for (int64_t changed = most; changed == most;) {
        struct arena_mark at = arena_mark(cx->arena);
        struct batch *batch = batch_new(cx->arena);
        int piece = store_task_drop_entries(batch, act->org, act->n, most);
        TRY(db_write(cx, store->db, batch));
        changed = batch_changed(batch, piece);
        arena_rewind(cx->arena, at);
    }
    return OK;
}

/* `slots` gets those of the tree's keys. The room for them is taken before the rows go: afterwards nobody but us knows them. */
static struct err drop_rows(struct ctx *cx, struct act *act, int64_t **slots, int *slots_count)
{
    struct batch *batch = batch_new(cx->arena);
    *slots = arena_try_alloc(cx->arena, (size_t)act->nodes_count * sizeof **slots);
    if (!*slots) return err(ERR_MEMORY, "there is no memory for this request");
    int index = store_task_drop(batch, act->org, act->n);
    TRY(db_write(cx, act->engine->store->db, batch));
    const struct rows *rows = batch_rows(batch, index);
    assert(rows->count <= act->nodes_count); /* all that hangs there was named, and nothing was born since */
    *slots_count = rows->count;
    for (int i = 0; i < rows->count; i++) (*slots)[i] = row_num(rows, i, 0);
    return OK;
}

/* The rows are gone: nobody else knows these slots before the next start, so we do not give up. Where another act was
 * quicker there are none, and this waits until those that it took are overwritten. */
struct err erase_keys(struct ctx *cx, struct engine *engine, const int64_t *slots, int slots_count)
{
    for (;;) {
        struct err e = keyring_destroy(cx, engine->store->keyring, slots, slots_count);
        if (!failed(e)) return OK;
        TRY(wait_ms(cx, AGAIN_MS));
    }
}

static struct err erase(struct ctx *cx, struct act *act)
{
    int64_t *slots;
    int slots_count;
    if (act_has_life(act)) TRY(mark(cx, act));
    TRY(act_rest(cx, act, RUN_IS_ERASED));
    tree_stir(act->engine, act->root); /* followers hear the end of the task before its deleter does */
    TRY(drop_in_pieces(cx, act));
    TRY(drop_rows(cx, act, &slots, &slots_count));
    act->is_marked = true;
    tree_forget_notes(act->engine, act->root);
    tree_stir(act->engine, act->root); /* of a tree that was at rest they hear only now */
    act->erased = slots_count;
    return erase_keys(cx, act->engine, slots, slots_count);
}

static struct err erase_main(struct ctx *cx, void *arg)
{
    struct act *act = arg;
    struct arena_mark at = arena_mark(cx->arena);
    struct err e = erase(cx, act);
    while (failed(e) && act->is_marked && !failed(wait_ms(cx, AGAIN_MS))) {
        arena_rewind(cx->arena, at);
        e = erase(cx, act);
    }
    if (!failed(e)) log_event(EVENT_task_erased, LOG_TEXT("task", act->nodes[0].id));
    act_finish(act, e);
    return OK;
}

struct err engine_erase(struct ctx *cx, struct engine *engine, const struct task *t)
{
    struct act *act = act_over(engine, t->n);
    if (act && act->is_erasure) act->holders++;
    else TRY(act_open(cx, engine, t, true, erase_main, &act));
    return act_join(cx, act, engine->settings.rest_wait_ms);
}

struct err engine_join_erasure(struct ctx *cx, struct engine *engine, int64_t org, struct str id)
{
    struct act *act = act_erasing(engine, org, id);
    if (!act) return err(ERR_NOT_FOUND, "Task not found");
    act->holders++;
    return act_join(cx, act, engine->settings.rest_wait_ms);
}

/* ---- agents, with their trees ------------------------------------------------------ */

struct err erase_page(struct ctx *cx, struct engine *engine, const struct task_place *places, int count, int64_t *erased)
{
    struct act *acts[PLACES_AT_ONCE];
    int opened = 0;
    struct err first = OK;
    for (int i = 0; i < count; i++) {
        struct task t = {.org = places[i].org, .n = places[i].n, .root = places[i].n};
        struct err e = act_open(cx, engine, &t, true, erase_main, &acts[opened]);
        if (!failed(e)) opened++;
        else if (!failed(first)) first = e;
    }
    for (int i = 0; i < opened; i++) {
        struct err e = OK;
        while (!acts[i]->is_done && !failed(e)) e = gate_wait(cx, &acts[i]->done, "an erasure");
        if (erased) *erased += acts[i]->erased;
        e = act_join(cx, acts[i], 0);
        if (failed(e) && !failed(first)) first = e;
    }
    return first;
}

static struct err erase_agent(struct ctx *cx, struct engine *engine, const struct agent_row *row)
{
    for (int count = PLACES_AT_ONCE; count == PLACES_AT_ONCE;) {
        struct arena_mark at = arena_mark(cx->arena);
        struct task_place *places;
        TRY(store_task_of_agent(cx, engine->store, row->org, row->n, 0, PLACES_AT_ONCE, &places, &count));
        TRY(erase_page(cx, engine, places, count, NULL));
        arena_rewind(cx->arena, at);
    }
    agents_forget(engine, row->n); /* who looked before it was marked may have read it since */
    return store_agent_remove(cx, engine->store, row);
}

/* One that is marked, when no agent is. */
static struct err erase_organization(struct ctx *cx, struct engine *engine, int *count)
{
    int64_t org, slot;
    TRY(store_organization_marked(cx, engine->store, &org));
    *count = org != 0;
    if (!org) return OK;
    struct err e = store_organization_remove(cx, engine->store, org, &slot);
    if (e.code == ERR_CONFLICT) return OK; /* its last agents come first */
    TRY(e);
    return erase_keys(cx, engine, &slot, slot != 0);
}

static struct err sweep_once(struct ctx *cx, struct engine *engine, int *count)
{
    struct agent_row *agents;
    TRY(store_agent_marked(cx, engine->store, PLACES_AT_ONCE, &agents, count));
    for (int i = 0; i < *count; i++) TRY(erase_agent(cx, engine, &agents[i]));
    return *count ? OK : erase_organization(cx, engine, count);
}

/* The fiber that erases agents behind their 202, and organisations. It ends when none is left; what it cannot do now it tries again, and
 * the next start would. */
static struct err sweep_main(struct ctx *cx, void *arg)
{
    struct engine *engine = arg;
    for (int count = 1; count || engine->is_sweep_wanted;) {
        struct arena_mark at = arena_mark(cx->arena);
        engine->is_sweep_wanted = false; /* the look waits: who comes meanwhile says so */
        struct err e = sweep_once(cx, engine, &count);
        arena_rewind(cx->arena, at);
        if (failed(e) && failed(wait_ms(cx, AGAIN_MS))) break;
        if (failed(e)) count = 1;
    }
    engine->is_sweeping = false;
    gate_open(&engine->swept);
    return OK;
}

void sweep_behind(struct engine *engine)
{
    engine->is_sweep_wanted = true;
    if (engine->is_sweeping || engine->is_closing) return;
    engine->is_sweeping = !failed(scope_spawn(&engine->cx, sweep_main, engine));
}

struct err engine_erase_agent(struct ctx *cx, struct engine *engine, const struct agent_row *row)
{
    TRY(store_agent_mark(cx, engine->store, row));
    agents_forget(engine, row->n);
    /* No wait from here on. In its own trees everything ends with them; in those of others only what it runs. */
    for (int i = 0; i < BUCKETS; i++)
        for (struct run *r = engine->runs[i]; r; r = r->next_in_bucket) {
            if (r->task.owner == row->n) run_give_order(r, RUN_IS_ERASED);
            else if (str_eq(r->task.agent_id, row->id)) run_give_order(r, RUN_LOST_ITS_AGENT);
        }
    sweep_behind(engine);
    return OK;
}

/* ---- what a crash left ---------------------------------------------------------------- */

static struct err erase_marked(struct ctx *cx, struct engine *engine)
{
    for (int count = PLACES_AT_ONCE; count == PLACES_AT_ONCE;) {
        struct arena_mark at = arena_mark(cx->arena);
        struct task_place *places;
        TRY(store_task_marked(cx, engine->store, PLACES_AT_ONCE, &places, &count));
        TRY(erase_page(cx, engine, places, count, NULL)); /* however long it takes: nothing lives yet, and nobody waits */
        arena_rewind(cx->arena, at);
    }
    return OK;
}

static struct err take_up_unfinished(struct ctx *cx, struct engine *engine)
{
    int64_t after = 0, taken = 0;
    for (int count = PLACES_AT_ONCE; count == PLACES_AT_ONCE;) {
        struct arena_mark at = arena_mark(cx->arena);
        struct task_place *places;
        TRY(store_task_unfinished(cx, engine->store, after, PLACES_AT_ONCE, &places, &count));
        for (int i = 0; i < count; i++) {
            TRY(engine_take_up(engine, places[i].org, places[i].n));
            after = places[i].n;
        }
        taken += count;
        arena_rewind(cx->arena, at);
    }
    if (taken) log_event(EVENT_task_recovered, LOG_NUM("count", taken));
    return OK;
}

struct err engine_recover(struct ctx *cx, struct engine *engine)
{
    TRY(erase_marked(cx, engine));
    sweep_behind(engine);
    if (engine->settings.retention_days) TRY(scope_spawn(&engine->cx, retention_main, engine));
    return take_up_unfinished(cx, engine);
}
