#include "api/tool.h"

#include "base/id.h"
#include "base/map.h"
#include "io/wait.h"

/* ---- one at a time ------------------------------------------------------------------- */

struct err tools_begin(struct ctx *cx, struct call *call)
{
    while (call->app->is_attaching) TRY(gate_wait(cx, &call->app->attaching, "another change of attachments"));
    call->app->is_attaching = true;
    return OK;
}

void tools_end(struct call *call)
{
    call->app->is_attaching = false;
    gate_open(&call->app->attaching);
}

/* ---- may it be attached? ------------------------------------------------------------------ */

enum { REACH_MAX = 1000 }; /* agents below one another; more is refused */
struct reach {
    struct str *ids; /* in the order in which they were found: what to look at next */
    struct map seen;
    int count;
    bool is_too_wide;
};

static void reach_add(struct reach *reach, struct str id)
{
    if (!id.count || map_get_text(&reach->seen, id)) return;
    if (reach->count == REACH_MAX || !map_put_text(&reach->seen, id, reach)) {
        reach->is_too_wide = true;
        return;
    }
    reach->ids[reach->count++] = id;
}

static struct err reach_below(struct ctx *cx, struct call *call, const struct agent_row *row, int64_t number, struct reach *reach)
{
    struct agent *agent = NEW(cx->arena, struct agent);
    struct attachments list;

    TRY(store_agent_version(cx, call->app->store, row, number, agent));
    TRY(attachments_load(cx->arena, agent->attachments, &list));
    for (int i = 0; i < list.count; i++) reach_add(reach, list.items[i].target_id);
    return OK;
}

/* Breadth first, without recursion: does a way lead from one agent to another? Drafts and deployed versions count
 * alike, because a draft is deployed without another look. */
static struct err reach_walk(struct ctx *cx, struct call *call, struct str to, struct reach *reach, bool *is_reached)
{
    enum { BETWEEN_TURNS = 16 };

    *is_reached = false;
    for (int at = 0; at < reach->count && !reach->is_too_wide; at++) {
        struct agent_row row;

        if (str_eq(reach->ids[at], to)) {
            *is_reached = true;
            return OK;
        }
        struct err e = store_agent_find(cx, call->app->store, reach->ids[at], &row);
        if (e.code == ERR_NOT_FOUND || (!failed(e) && (row.org != call->who.org || row.is_deleting))) continue;
        TRY(e);
        TRY(reach_below(cx, call, &row, VERSION_DRAFT, reach));
        if (row.is_pending) TRY(reach_below(cx, call, &row, row.version, reach));
        if (at % BETWEEN_TURNS == BETWEEN_TURNS - 1) TRY(wait_turn(cx));
    }
    return OK;
}

struct err tools_check(struct ctx *cx, struct call *call, const struct agent_row *self, struct str target_id, const struct loc *loc)
{
    struct str input = fault_input_text(&call->faults, target_id);
    struct agent_row row;
    bool is_circle;

    struct err e = store_agent_find(cx, call->app->store, target_id, &row);
    if (e.code == ERR_NOT_FOUND || (!failed(e) && row.is_deleting)) {
        fault_value(&call->faults, loc, input, "No such agent");
        return OK;
    }
    TRY(e);
    if (row.org != call->who.org) return err(ERR_DENIED, 0);
    if (row.n == self->n) {
        fault_value(&call->faults, loc, input, "An agent cannot be attached to itself");
        return OK;
    }
    struct reach reach = {.ids = arena_alloc(cx->arena, REACH_MAX * sizeof *reach.ids)};
    reach_add(&reach, target_id);
    e = reach_walk(cx, call, self->id, &reach, &is_circle);
    map_free(&reach.seen);
    TRY(e);
    if (is_circle) fault_value(&call->faults, loc, input, "This would close a circle of attachments");
    if (reach.is_too_wide) fault_value(&call->faults, loc, input, "Too many agents are attached below this one");
    return OK;
}

/* ---- the three operations ------------------------------------------------------------------- */

static struct err reply_tools(struct ctx *cx, struct call *call, struct agent *agent)
{
    TRY(agent_views(cx, call, agent));
    return reply_json(call, 200, agent->tools);
}

/* GET /v1/agents/{agent_id}/tools */
struct err api_list_agent_tools(struct ctx *cx, struct call *call)
{
    struct agent *agent = NEW(cx->arena, struct agent);
    struct agent_row row;

    TRY(agent_of_caller(cx, call, &row));
    TRY(call_check(call));
    TRY(store_agent_version(cx, call->app->store, &row, VERSION_DRAFT, agent));
    return reply_tools(cx, call, agent);
}

static const char *const tool_types[] = {"action", "custom_function", "mcp", "agent", "workflow", 0};

/* {"type":"agent","agent_id":…}: a union by its tag, of which the other kinds come later. */
static struct str read_tool(struct call *call)
{
    const struct str none = {0};
    struct json body = call_object(call), type = json_get(body, "type"), id = json_get(body, "agent_id");
    struct str tag = json_text(type);
    bool is_known = false;

    if (!json_is_there(body)) return none;
    if (!json_is_there(type) || json_is_null(type)) {
        fault_tag_missing(&call->faults, &loc_body, fault_input(&call->faults, body), "type");
        return none;
    }
    for (int i = 0; tool_types[i]; i++) is_known |= json_type(type) == JSON_TEXT && str_is(tag, tool_types[i]);
    if (!is_known) {
        if (json_type(type) != JSON_TEXT) tag = json_compact(call->faults.arena, type);
        fault_tag(&call->faults, &loc_body, fault_input(&call->faults, body), "type", tag, tool_types);
        return none;
    }
    if (!str_is(tag, "agent")) {
        fault_value(&call->faults, LOC(&loc_body, "type"), fault_input(&call->faults, type),
                    arena_printf(call->faults.arena, "tools of type '%.*s' are not available yet", STR_ARGS(tag)));
        return none;
    }
    const struct loc *loc = LOC(LOC(&loc_body, "agent"), "agent_id");
    if (!json_is_there(id))
        fault_missing(&call->faults, loc, fault_input(&call->faults, body));
    else if (json_type(id) != JSON_TEXT)
        fault_plain(&call->faults, "string_type", loc, fault_input(&call->faults, id));
    return json_text(id);
}

/* The agent's attachments, and what comes of them when one operation has changed them. */
struct change {
    struct agent_row row;
    struct agent *agent;
    struct attachments list;
};

static struct err change_begin(struct ctx *cx, struct call *call, struct change *change)
{
    change->agent = NEW(cx->arena, struct agent);
    TRY(agent_of_caller(cx, call, &change->row));
    TRY(store_agent_version(cx, call->app->store, &change->row, VERSION_DRAFT, change->agent));
    return attachments_load(cx->arena, change->agent->attachments, &change->list);
}

static struct err change_save(struct ctx *cx, struct call *call, struct change *change)
{
    bool is_deployed = call_bool(call, "deploy");

    change->agent->attachments = attachments_store(cx->arena, &change->list);
    if (is_deployed) agent_describe(cx->arena, change->agent);
    return store_agent_save(cx, call->app->store, &change->row, change->agent, 0, is_deployed);
}

static struct err add_once(struct ctx *cx, struct call *call, struct change *change)
{
    TRY(change_begin(cx, call, change));
    struct str target_id = read_tool(call);
    TRY(call_check(call));
    if (attachment_of(&change->list, target_id)) return OK; /* there already: nothing changes, and no version is made */

    const struct loc *loc = LOC(LOC(&loc_body, "agent"), "agent_id");
    TRY(tools_check(cx, call, &change->row, target_id, loc));
    if (change->list.count == ATTACHMENTS_MAX)
        fault_value(&call->faults, loc, fault_input_text(&call->faults, target_id),
                    arena_printf(cx->arena, "an agent has at most %d attachments", ATTACHMENTS_MAX));
    TRY(call_check(call));
    change->list.items[change->list.count++] = (struct attachment){.id = uuid_new(cx->arena),
                                                                   .target_id = target_id,
                                                                   .targets = S("[]"),
                                                                   .llm_settings = S("[]")};
    return change_save(cx, call, change);
}

static struct err remove_once(struct ctx *cx, struct call *call, struct change *change)
{
    TRY(change_begin(cx, call, change));
    struct attachment *item = attachment_named(&change->list, call_path(call, "tool_id"));
    if (!item) return err(ERR_NOT_FOUND, "Tool not found");
    TRY(call_check(call));
    struct attachment *end = change->list.items + --change->list.count;
    memmove(item, item + 1, (size_t)(end - item) * sizeof *item);
    return change_save(cx, call, change);
}

static struct err change_tools(struct ctx *cx, struct call *call,
                               struct err (*change_once)(struct ctx *, struct call *, struct change *))
{
    struct change change;
    struct err e = OK;

    TRY(tools_begin(cx, call));
    for (int tries = 0; tries < SAVE_TRIES; tries++) {
        e = change_once(cx, call, &change);
        if (e.code != ERR_CONFLICT) break;
    }
    tools_end(call);
    if (e.code == ERR_CONFLICT) return err(ERR_BUSY, "The agent is being changed by others");
    TRY(e);
    return reply_tools(cx, call, change.agent);
}

/* POST /v1/agents/{agent_id}/tools?deploy= */
struct err api_add_agent_tool(struct ctx *cx, struct call *call)
{
    return change_tools(cx, call, add_once);
}

/* DELETE /v1/agents/{agent_id}/tools/{tool_id}?deploy= */
struct err api_remove_agent_tool(struct ctx *cx, struct call *call)
{
    return change_tools(cx, call, remove_once);
}
