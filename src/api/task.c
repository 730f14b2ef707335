/* api/task.c: tasks: looked at, listed, stopped, deleted, followed. */
#include "api/task.h"
#include "api/agent.h"
#include "io/wait.h"

enum { LARGE_BYTES = 1 << 18 }; /* others have their turn after so much */

struct err task_of_caller(struct ctx *cx, struct call *call, struct task *out)
{
    return store_task_find(cx, call->app->store, call->who.org, call_path(call, "task_id"), out);
}

struct err reply_task_as_it_is(struct call *call, const struct task *t)
{
    struct buf out = {0};
    shape_write(&out, &task_shape, t);
    return reply_buf(call, 200, &out);
}

struct err reply_task(struct ctx *cx, struct call *call, struct task *t)
{
    struct secret secret;
    TRY(store_task_secret(call->app->store, t, &secret));
    struct err e = store_task_show(cx, call->app->store, &secret, t, t->turn, MOMENT_NOW, 0);
    secret_drop(call->app->store->keyring, &secret);
    TRY(e);
    return reply_task_as_it_is(call, t);
}

/* GET /v1/tasks/{task_id} */
struct err api_get_task(struct ctx *cx, struct call *call)
{
    struct task task;

    TRY(task_of_caller(cx, call, &task));
    return reply_task(cx, call, &task);
}

/* DELETE /v1/tasks/{task_id}
 *
 * Stopping, fencing and erasing are one act of the engine: done here in two steps, a late
 * write between them would bring the task back. One that is being deleted already is found too:
 * whoever asks joins, and no DELETE is a 404 while a key of the task exists. */
struct err api_delete_task(struct ctx *cx, struct call *call)
{
    struct app *app = call->app;
    struct str id = call_path(call, "task_id");
    struct task task;
    struct err e = store_task_holding(cx, app->store, call->who.org, id, &task);

    if (!failed(e)) e = engine_erase(cx, app->engine, &task);
    else if (e.code == ERR_NOT_FOUND) e = engine_join_erasure(cx, app->engine, call->who.org, id);
    if (e.code == ERR_NOT_FOUND) e = store_task_whose(cx, app->store, id);
    TRY(e);
    return reply_empty(call, 204);
}

/* POST /v1/tasks/{task_id}/stop */
struct err api_stop_task(struct ctx *cx, struct call *call)
{
    struct str id = call_path(call, "task_id");
    struct task task;
    struct err e = store_task_holding(cx, call->app->store, call->who.org, id, &task);

    /* Of one that is being erased we wait for the end. */
    if (e.code == ERR_NOT_FOUND && !failed(engine_join_erasure(cx, call->app->engine, call->who.org, id))) return e;
    if (e.code == ERR_NOT_FOUND) e = store_task_whose(cx, call->app->store, id);
    TRY(e);
    TRY(engine_stop(cx, call->app->engine, &task));
    TRY(task_of_caller(cx, call, &task));
    return reply_task(cx, call, &task);
}

/* ---- lists ----------------------------------------------------------------------- */

static void put_item(struct buf *out, const struct task_item *item)
{
    const struct task *t = &item->row;
    json_put_comma(out);
    buf_add(out, "{", 1);
    json_put_key(out, "id");
    json_put_text(out, t->id);
    json_put_key(out, "agent_id");
    json_put_text(out, t->agent_id);
    json_put_key(out, "user_id");
    json_put_text_or_null(out, item->user_id);
    json_put_key(out, "parent_task_id");
    json_put_text_or_null(out, t->parent_execution);
    json_put_key(out, "triggering_agent_id");
    json_put_text_or_null(out, t->triggering_agent_id);
    json_put_key(out, "organization_id");
    json_put_text(out, t->organization_id);
    json_put_key(out, "status");
    json_put_text(out, str(task_status_words[t->status]));
    json_put_key(out, "created_at");
    json_put_time(out, t->created_at);
    json_put_key(out, "updated_at");
    json_put_time(out, t->updated_at);
    json_put_key(out, "source_node_type");
    json_put_text_or_null(out, t->source);
    json_put_key(out, "result");
    json_put_text_or_null(out, t->result);
    json_put_key(out, "title");
    json_put_text_or_null(out, t->title);
    buf_add(out, "}", 1);
}

/* A filter is a condition, not an address: what names nothing matches nothing. */
static struct err reply_list(struct ctx *cx, struct call *call, struct str agent_id)
{
    struct store *store = call->app->store;
    struct task_filter filter = {.org = call->who.org, .agent_id = agent_id, .status = call_enum(call, "status"),
                                 .parent_id = call_text(call, "parent_task_id"),
                                 .triggering_agent_id = call_text(call, "triggering_agent_id")};
    struct str user = call_text(call, "user_id"), internal = call_text(call, "internal_status");
    struct task_item *items;
    int64_t total;
    int count;

    if (user.at) TRY(store_task_hash(cx, store, filter.org, "user", user, &filter.user_hash));
    if (internal.at) TRY(store_task_hash(cx, store, filter.org, "internal_status", internal, &filter.internal_hash));
    TRY(store_task_list(cx, store, &filter, call_page(call), &items, &count, &total));
    struct buf out = {0};
    page_open(&out);
    struct err e = OK;
    for (int i = 0; i < count && !failed(e); i++) {
        put_item(&out, &items[i]);
        if (items[i].row.title.count + items[i].row.result.count > LARGE_BYTES) e = wait_turn(cx);
    }
    page_close(&out, call_page(call), total);
    if (!failed(e)) return reply_buf(call, 200, &out);
    buf_free(&out);
    return e;
}

/* GET /v1/tasks */
struct err api_list_tasks(struct ctx *cx, struct call *call)
{
    TRY(call_check(call));
    return reply_list(cx, call, call_text(call, "agent_id"));
}

/* GET /v1/agents/{agent_id}/tasks */
struct err api_list_agent_tasks(struct ctx *cx, struct call *call)
{
    struct agent_row agent;

    TRY(agent_of_caller(cx, call, &agent));
    TRY(call_check(call));
    return reply_list(cx, call, agent.id);
}

/* ---- streams ----------------------------------------------------------------------- */

struct err reply_stream(struct ctx *cx, struct call *call, struct follower *follower)
{
    struct buf out = {0};
    struct err e = OK;
    bool is_end = false;

    stream_open(call->exchange, "Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
                                "X-Accel-Buffering: no\r\n");
    while (!is_end && !failed(e)) {
        out.count = 0;
        e = follow_next(cx, follower, &out, &is_end);
        if (!failed(e) && out.is_failed) e = err(ERR_MEMORY, "there is no memory for a stream");
        if (!failed(e)) e = stream_send(cx, call->exchange, buf_str(&out));
        if (out.capacity > 1024) buf_free(&out); /* an idle stream holds little */
    }
    buf_free(&out);
    follow_close(follower);
    return e;
}

/* A position is checked where it came from: the header wins. */
static struct err read_position(struct call *call, struct str *out)
{
    struct str header = call_text(call, "last-event-id"), after = call_text(call, "after");
    *out = header.at ? header : after.at ? after : S("");
    if (!out->at || (!header.at && !after.at) || position_is_one(*out)) return OK;
    fault_add(&call->faults, "string_pattern_mismatch",
              header.at ? LOC(&loc_header, "last-event-id") : LOC(&loc_query, "after"),
              S("String should match pattern '^[0-9]+-[0-9]+-[0-9]+(_[0-9]+-[0-9]+)*$'"), fault_input_text(&call->faults, *out),
              S("{\"pattern\":\"^[0-9]+-[0-9]+-[0-9]+(_[0-9]+-[0-9]+)*$\"}"));
    return OK;
}

/* GET /v1/tasks/{task_id}/stream
 *
 * May be opened at any time by any number of clients, from the start or from where one
 * stopped reading, live or finished. */
struct err api_stream_task(struct ctx *cx, struct call *call)
{
    struct task task;
    struct str position;
    struct follower *follower;

    TRY(task_of_caller(cx, call, &task));
    TRY(read_position(call, &position));
    TRY(call_check(call));
    TRY(follow_open(cx, call->app->engine, &task, 0, 0, position, (enum sub_tasks)call_enum(call, "sub_tasks"), &follower));
    return reply_stream(cx, call, follower);
}
