/* engine/engine.c: opened before the server, closed after it. */
#include "engine/engine.h"
#include "engine/quota.h"
#include "engine/registry.h"
#include <stdlib.h>

struct err engine_open(struct ctx *cx, const struct engine_settings *settings, struct store *store, const struct llm *llm,
                       struct engine **out)
{
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine) return err(ERR_MEMORY, "there is no memory for the engine");
    engine->settings = *settings;
    engine->store = store;
    engine->llm = llm;
    engine->cx = scope_open_shielded(&engine->scope, cx, 0);
    engine->cx.arena = &engine->arena;
    *out = engine;
    return OK;
}

/* Runs that are left are cancelled, not ended: the next start takes them up. */
void engine_close(struct ctx *cx, struct engine *engine)
{
    (void)cx;
    engine->is_closing = true;
    for (int i = 0; i < BUCKETS; i++)
        for (struct run *r = engine->runs[i]; r; r = r->next_in_bucket) run_give_order(r, RUN_IS_LEFT);
    scope_cancel(&engine->scope);
    struct err e = scope_close(&engine->cx);
    (void)failed(e); /* each fiber has dealt with its own failures */
    agents_forget_all(engine);
    quota_forget_all(engine);
    arena_free(&engine->arena);
    while (engine->pending_first) engine_leave_queue(engine, engine->pending_first->n);
    map_free(&engine->pending);
    free(engine);
}
