#include "engine/agents.h"
#include "engine/registry.h"
#include <stdlib.h>

static void drop_unheld(struct known_agent *known)
{
    if (known->holders || known->is_kept) return;
    arena_free(&known->arena);
    free(known);
}

void agents_drop(struct known_agent *known)
{
    if (!known) return;
    known->holders--;
    drop_unheld(known);
}

static void forget(struct known_agent **place)
{
    struct known_agent *known = *place;
    if (!known) return;
    *place = NULL;
    known->is_kept = false;
    drop_unheld(known);
}

/* The one that was asked for longest ago gives way. */
static void keep(struct known_agents *all, struct known_agent *known)
{
    struct known_agent **place = &all->kept[0];
    for (int i = 0; i < AGENTS_KEPT && *place; i++)
        if (!all->kept[i] || all->kept[i]->used < (*place)->used) place = &all->kept[i];
    forget(place);
    *place = known;
    known->is_kept = true;
}

static struct err open_version(struct ctx *cx, struct engine *engine, const struct agent_row *row, int64_t number,
                               struct known_agent **out)
{
    struct known_agent *known = calloc(1, sizeof *known);
    if (!known) return err(ERR_MEMORY, "there is no memory for an agent");
    struct ctx own = *cx;
    own.arena = &known->arena;
    known->arena.wipe = true;
    known->n = row->n;
    known->number = number;
    struct err e = store_agent_version(&own, engine->store, row, number, &known->agent);
    known->agent.id = str_copy(&known->arena, row->id);
    known->agent.unique_name = str_copy(&known->arena, row->unique_name);
    if (!failed(e) && known->arena.exhausted) e = err(ERR_MEMORY, "there is no memory for an agent");
    if (failed(e)) drop_unheld(known);
    else *out = known;
    return e;
}

struct err agents_hold(struct ctx *cx, struct engine *engine, const struct agent_row *row, int64_t number, struct known_agent **out)
{
    struct known_agents *all = &engine->agents;
    struct known_agent *known = NULL;
    for (int i = 0; i < AGENTS_KEPT && !known && number != VERSION_DRAFT; i++)
        if (all->kept[i] && all->kept[i]->n == row->n && all->kept[i]->number == number) known = all->kept[i];
    if (!known) {
        TRY(open_version(cx, engine, row, number, &known));
        if (number != VERSION_DRAFT && known->arena.total_bytes <= AGENT_BYTES_KEPT) keep(all, known);
    }
    known->used = ++all->count;
    known->holders++;
    *out = known;
    return OK;
}

void agents_forget(struct engine *engine, int64_t n)
{
    for (int i = 0; i < AGENTS_KEPT; i++)
        if (engine->agents.kept[i] && engine->agents.kept[i]->n == n) forget(&engine->agents.kept[i]);
}

void agents_forget_all(struct engine *engine)
{
    for (int i = 0; i < AGENTS_KEPT; i++) forget(&engine->agents.kept[i]);
}
