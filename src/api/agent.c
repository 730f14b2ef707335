#include "api/agent.h"

#include "api/once.h"
#include "api/tool.h"
#include "base/id.h"
#include "engine/engine.h"
#include "engine/model.h"
#include "io/wait.h"

struct err agent_of_caller(struct ctx *cx, struct call *call, struct agent_row *out)
{
    TRY(store_agent_find(cx, call->app->store, call_path(call, "agent_id"), out));
    if (out->is_deleting) return err(ERR_NOT_FOUND, "Agent not found");
    return out->org == call->who.org ? OK : err(ERR_DENIED, 0);
}

/* ---- showing -------------------------------------------------------------------------- */

struct err agent_views(struct ctx *cx, struct call *call, struct agent *agent)
{
    struct attachments list;
    struct tool_target *targets;

    agent->tools = agent->graph = S("[]");
    if (str_is(agent->attachments, "[]")) return OK;
    TRY(attachments_load(cx->arena, agent->attachments, &list));
    targets = arena_alloc(cx->arena, ATTACHMENTS_MAX * sizeof *targets);
    for (int i = 0; i < list.count; i++)
        if (list.items[i].target_id.count)
            TRY(store_agent_target(cx, call->app->store, call->who.org, list.items[i].target_id, false, &targets[i]));
    agent->tools = attachments_tools(cx->arena, &list, targets);
    agent->graph = attachments_graph(cx->arena, &list, targets);
    return OK;
}

struct err agent_complete(struct ctx *cx, struct call *call, struct agent *agent)
{
    agent->organization_id = call->who.org_id;
    agent->webhook_url = strf(cx->arena, "%.*s/webhook?agent_id=%.*s&asynchronous=false", STR_ARGS(call->app->public_base),
                              STR_ARGS(agent->id));
    agent_show(cx->arena, agent);
    return agent_views(cx, call, agent);
}

static struct err reply_agent(struct ctx *cx, struct call *call, int status, struct agent *agent)
{
    struct buf out = {0};

    TRY(agent_complete(cx, call, agent));
    shape_write(&out, &agent_shape, agent);
    return reply_buf(call, status, &out);
}

static struct err reply_draft(struct ctx *cx, struct call *call, int status, const struct agent_row *row)
{
    struct agent *agent = NEW(cx->arena, struct agent);

    TRY(store_agent_version(cx, call->app->store, row, VERSION_DRAFT, agent));
    return reply_agent(cx, call, status, agent);
}

/* GET /v1/agents/{agent_id}: the draft, so that an editor reads what it wrote. */
struct err api_get_agent(struct ctx *cx, struct call *call)
{
    struct agent_row row;

    TRY(agent_of_caller(cx, call, &row));
    TRY(call_check(call));
    return reply_draft(cx, call, 200, &row);
}

/* ---- lists ------------------------------------------------------------------------------ */

/* Each agent is read, shown and forgotten: a list has as many as there are. One that was removed since the list was
 * read is left out. */
static struct err put_agents(struct ctx *cx, struct call *call, const struct agent_row *rows, int count, const struct shape *shape,
                             struct buf *out)
{
    enum { BETWEEN_TURNS = 16 };

    for (int i = 0; i < count; i++) {
        struct arena_mark mark = arena_mark(cx->arena);
        struct agent *agent = NEW(cx->arena, struct agent);

        struct err e = store_agent_version(cx, call->app->store, &rows[i], VERSION_DRAFT, agent);
        if (e.code != ERR_NOT_FOUND) {
            TRY(e);
            TRY(agent_complete(cx, call, agent));
            json_put_comma(out);
            shape_write(out, shape, agent);
        }
        arena_rewind(cx->arena, mark);
        if (i % BETWEEN_TURNS == BETWEEN_TURNS - 1) TRY(wait_turn(cx));
    }
    return OK;
}

static struct err reply_page(struct ctx *cx, struct call *call, const struct shape *shape)
{
    struct page page = call_page(call);
    struct agent_row *rows;
    struct buf out = {0};
    int64_t total;
    int count;

    TRY(call_check(call));
    TRY(store_agent_list(cx, call->app->store, call->who.org, page, &rows, &count, &total));
    page_open(&out);
    struct err e = put_agents(cx, call, rows, count, shape, &out);
    page_close(&out, page, total);
    if (!failed(e)) return reply_buf(call, 200, &out);
    buf_free(&out);
    return e;
}

/* GET /v1/agents */
struct err api_list_agents(struct ctx *cx, struct call *call)
{
    return reply_page(cx, call, agent_item_shape());
}

/* GET /v1/agents/full */
struct err api_list_agents_full(struct ctx *cx, struct call *call)
{
    return reply_page(cx, call, &agent_shape);
}

/* GET /v1/agents/list: all of them, as the command-line client asks for them. */
struct err wire_list_agents_cli(struct ctx *cx, struct call *call)
{
    struct agent_row *rows;
    struct buf out = {0};
    int count;

    TRY(call_check(call));
    TRY(store_agent_list_all(cx, call->app->store, call->who.org, &rows, &count));
    buf_add_str(&out, S("["));
    struct err e = put_agents(cx, call, rows, count, agent_item_shape(), &out);
    buf_add_str(&out, S("]"));
    if (!failed(e)) return reply_buf(call, 200, &out);
    buf_free(&out);
    return e;
}

/* ---- making -------------------------------------------------------------------------------- */

static bool speaks(struct str provider)
{
    return engine_provider(provider, 0) == PROVIDER_READY;
}

/* What the body left out is settled here, once: never again behind the user's back. */
static void choose_model(struct call *call, struct agent *agent)
{
    const struct app *app = call->app;
    struct str normal = app->default_provider.count ? app->default_provider : S("openai");

    if (!agent->model_provider.count) agent->model_provider = normal;
    if (agent->model_name.count) return;
    bool is_normal = str_eq(agent->model_provider, normal) && app->default_model.count;
    agent->model_name = is_normal ? app->default_model : engine_default_model(agent->model_provider);
}

/* A request of this key was there before: the agent that it made, as it is now. */
static struct err find_made(struct ctx *cx, struct call *call, const struct idempotent *once, struct agent_row *row, bool *is_found)
{
    struct made made;

    *is_found = false;
    if (!once->hash.at) return OK;
    struct err e = store_idempotent_find(cx, call->app->store, call->who.org, once, &made);
    if (e.code == ERR_NOT_FOUND) return OK;
    TRY(e);
    if (!made.is_same_body) {
        fault_value(&call->faults, LOC(&loc_header, "idempotency-key"), S("null"), "Key was used with another body");
        return err(ERR_INVALID, 0);
    }
    e = store_agent_get(cx, call->app->store, call->who.org, made.n, row);
    if (e.code == ERR_NOT_FOUND || (!failed(e) && row->is_deleting)) return err(ERR_GONE, 0);
    *is_found = true;
    return e;
}

/* POST /v1/agents: draft and version 1, deployed at once. */
struct err api_create_agent(struct ctx *cx, struct call *call)
{
    struct agent *agent = NEW(cx->arena, struct agent);
    struct agent_secret secret;
    struct agent_row row;
    struct idempotent once;
    struct given given;
    bool is_found;

    agent_begin(cx->arena, agent, speaks);
    agent->environment_id = call->who.org_id;
    TRY(call_once(cx, call, &once));
    call_read(call, &agent_shape, SHAPE_CREATE, agent, &given);
    TRY(call_check(call));
    TRY(find_made(cx, call, &once, &row, &is_found));
    if (is_found) return reply_draft(cx, call, 201, &row);
    choose_model(call, agent);
    agent_describe(cx->arena, agent);
    shape_defaults(cx->arena, &agent_secret_shape, &secret);
    agent_hide(cx->arena, agent, &secret);
    struct err e = store_agent_create(cx, call->app->store, call->who.org, agent, &secret, &once, &row);
    if (e.code == ERR_CONFLICT) { /* another request of the same key was quicker */
        TRY(find_made(cx, call, &once, &row, &is_found));
        if (is_found) return reply_draft(cx, call, 201, &row);
    }
    TRY(e);
    return reply_agent(cx, call, 201, agent);
}

/* ---- changing -------------------------------------------------------------------------------- */

/* Where in the body's graph an agent stands first. */
static int64_t place_in_graph(struct call *call, struct str target_id)
{
    int64_t index = 0;

    for (struct json_each each = json_each(json_get(call->body, "graph")); json_next(&each); index++)
        if (str_eq(json_text(json_get(each.item, "item_id")), target_id) &&
            str_is(json_text(json_get(each.item, "type")), "agent"))
            return index;
    return 0;
}

/* An update's `should_reset_graph` and `graph`. What was attached before is not looked up again: it may
 * be sent back even when its target was deleted meanwhile. */
static struct err change_graph(struct ctx *cx, struct call *call, const struct agent_row *row, struct agent *agent, bool has_graph)
{
    struct attachments old, now;

    TRY(attachments_load(cx->arena, agent->attachments, &old));
    if (agent->should_reset_graph) old.count = 0;
    now = has_graph ? graph_apply(cx->arena, agent->graph, &old, uuid_new) : old;
    for (int i = 0; i < now.count; i++) {
        struct str target_id = now.items[i].target_id;
        if (!target_id.count || attachment_of(&old, target_id)) continue;
        const struct loc *item = LOC_INDEX(LOC(&loc_body, "graph"), place_in_graph(call, target_id));
        TRY(tools_check(cx, call, row, target_id, LOC(item, "item_id")));
    }
    agent->attachments = attachments_store(cx->arena, &now);
    return call_check(call);
}

static struct err update_once(struct ctx *cx, struct call *call, struct agent_row *row)
{
    struct agent *agent = NEW(cx->arena, struct agent);
    struct store *store = call->app->store;
    struct agent_secret secret;
    struct given given;
    bool is_deployed = call_bool(call, "deploy");

    TRY(agent_of_caller(cx, call, row));
    TRY(store_agent_version(cx, store, row, VERSION_DRAFT, agent));
    TRY(store_agent_secret(cx, store, row, &secret));
    agent->speaks = speaks;
    call_read(call, &agent_shape, SHAPE_UPDATE, agent, &given);
    if (json_type(call->body) == JSON_OBJECT && !json_count(call->body))
        fault_value(&call->faults, &loc_body, S("{}"), "At least one field must be provided");
    if (agent->agent_id.count && !str_eq(agent->agent_id, row->id))
        fault_value(&call->faults, LOC(&loc_body, "agent_id"), fault_input_text(&call->faults, agent->agent_id),
                    "agent_id must be the id in the path");
    TRY(call_check(call));
    bool has_graph = is_given(&given, &agent_shape, offsetof(struct agent, graph));
    if (has_graph || agent->should_reset_graph) TRY(change_graph(cx, call, row, agent, has_graph));
    bool has_new_secret = agent_hide(cx->arena, agent, &secret);
    if (is_deployed) agent_describe(cx->arena, agent);
    return store_agent_save(cx, store, row, agent, has_new_secret ? &secret : 0, is_deployed);
}

static bool changes_graph(const struct call *call)
{
    return json_is_there(json_get(call->body, "graph")) || json_is_there(json_get(call->body, "should_reset_graph"));
}

/* PATCH /v1/agents/{agent_id}: the draft; with ?deploy=true also the next version, in the same commit. */
struct err api_update_agent(struct ctx *cx, struct call *call)
{
    struct agent_row row;
    struct err e = OK;
    bool is_alone = changes_graph(call);

    if (is_alone) TRY(tools_begin(cx, call));
    for (int tries = 0; tries < SAVE_TRIES; tries++) {
        e = update_once(cx, call, &row);
        if (e.code != ERR_CONFLICT) break;
    }
    if (is_alone) tools_end(call);
    if (e.code == ERR_CONFLICT) return err(ERR_BUSY, "The agent is being changed by others");
    TRY(e);
    return reply_draft(cx, call, 200, &row);
}

/* PUT /v1/agents/{agent_id}: the whole draft becomes the next version, whether or not it differs. */
struct err api_deploy_agent(struct ctx *cx, struct call *call)
{
    struct agent *agent = NEW(cx->arena, struct agent);
    struct agent_row row;

    for (int tries = 0; tries < SAVE_TRIES; tries++) {
        TRY(agent_of_caller(cx, call, &row));
        TRY(call_check(call));
        TRY(store_agent_version(cx, call->app->store, &row, VERSION_DRAFT, agent));
        agent_describe(cx->arena, agent);
        struct err e = store_agent_save(cx, call->app->store, &row, agent, 0, true);
        if (e.code == ERR_CONFLICT) continue;
        TRY(e);
        return reply_draft(cx, call, 200, &row);
    }
    return err(ERR_BUSY, "The agent is being changed by others");
}

/* DELETE /v1/agents/{agent_id}: gone for everybody from the answer on; erased behind it. */
struct err api_delete_agent(struct ctx *cx, struct call *call)
{
    struct agent_row row;

    TRY(agent_of_caller(cx, call, &row));
    TRY(call_check(call));
    TRY(engine_erase_agent(cx, call->app->engine, &row));
    return reply_null(call, 202);
}
