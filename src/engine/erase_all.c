/* engine/erase_all.c: what the operator has erased: an organisation, a person. */
#include "engine/erase.h"
#include "store/organization.h"

static void end_runs_of(struct engine *engine, int64_t org)
{
    for (int i = 0; i < BUCKETS; i++)
        for (struct run *r = engine->runs[i]; r; r = r->next_in_bucket)
            if (r->task.org == org) run_give_order(r, RUN_IS_ERASED);
}

/* The sweeper goes on when the asker hangs up, and the next start goes on when we end. */
struct err engine_erase_organization(struct ctx *cx, struct engine *engine, int64_t org, struct holdings *out)
{
    bool is_there = true;
    TRY(store_organization_mark(cx, engine->store, org, out));
    end_runs_of(engine, org);
    while (is_there || engine->is_sweeping) {
        sweep_behind(engine);
        if (!engine->is_sweeping) return err(ERR_BUSY, "The server is stopping; its next start goes on with this");
        TRY(gate_wait(cx, &engine->swept, "the end of an organisation"));
        TRY(store_organization_is_there(cx, engine->store, org, &is_there));
    }
    return OK;
}

struct err engine_erase_person(struct ctx *cx, struct engine *engine, int64_t org, struct str user, int64_t *tasks)
{
    struct str hash;
    int64_t after = 0;
    *tasks = 0;
    TRY(store_task_hash(cx, engine->store, org, "user", user, &hash));
    for (int count = PLACES_AT_ONCE; count == PLACES_AT_ONCE;) {
        struct arena_mark at = arena_mark(cx->arena);
        struct task_place *places;
        TRY(store_task_of_person(cx, engine->store, org, hash, after, PLACES_AT_ONCE, &places, &count));
        TRY(erase_page(cx, engine, places, count, tasks));
        if (count) after = places[count - 1].n;
        arena_rewind(cx->arena, at);
    }
    return OK;
}
