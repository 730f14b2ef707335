/* api/thread.c: a task's thread: what was said by whom, turn by turn. */
#include "api/task.h"
#include "io/wait.h"
#include "store/turn.h"

enum { PAGE = 50, BETWEEN_WAITS = 16 };

static void put_id(struct buf *out, struct str task_id, const char *who, int64_t number)
{
    json_put_key(out, "id");
    buf_add(out, "\"", 1);
    json_put_text_inner(out, task_id);
    buf_addf(out, "_%s_%lld\"", who, (long long)number);
}

static void put_question(struct buf *out, const struct task *t, const struct turn_row *turn)
{
    json_put_comma(out);
    buf_add(out, "{", 1);
    put_id(out, t->id, "user", turn->number);
    json_put_key(out, "role");
    json_put_text(out, S("user"));
    json_put_key(out, "content");
    json_put_text(out, t->input.text.at ? t->input.text : S(""));
    json_put_key(out, "created_at");
    json_put_int(out, turn->created_at / 1000000);
    if (t->input.files.count > 2) {
        json_put_key(out, "files");
        json_put_raw(out, t->input.files);
    }
    buf_add(out, "}", 1);
}

static void put_answer(struct buf *out, struct str id, const struct turn_row *turn, struct str text)
{
    json_put_comma(out);
    buf_add(out, "{", 1);
    put_id(out, id, "agent", turn->number);
    json_put_key(out, "role");
    json_put_text(out, S("assistant"));
    json_put_key(out, "content");
    json_put_text(out, text);
    json_put_key(out, "created_at");
    json_put_int(out, turn->finished_at / 1000000);
    json_put_key(out, "metrics");
    buf_addf(out, "{\"input_tokens\":%lld,\"output_tokens\":%lld,\"total_tokens\":%lld}}", (long long)turn->prompt_tokens,
             (long long)turn->completion_tokens, (long long)(turn->prompt_tokens + turn->completion_tokens));
}

/* One turn: the message, and the answer if it ended with one. A sentence of ours is no answer. */
static struct err put_turn(struct ctx *cx, struct store *store, const struct secret *secret, struct buf *out,
                           const struct task *row, const struct turn_row *turn)
{
    struct task *t = NEW(cx->arena, struct task);
    struct str text, used_tools;
    *t = *row;
    TRY(store_turn_open(cx, store, secret, turn, t));
    put_question(out, t, turn);
    if (!turn->answer) return OK;
    TRY(store_turn_result(cx, store, secret, t, turn, &text, &used_tools));
    put_answer(out, row->id, turn, text.at ? text : S(""));
    return OK;
}

static struct err put_turns(struct ctx *cx, struct store *store, const struct secret *secret, struct buf *out, const struct task *row)
{
    struct err e = OK;
    int64_t first = 1;
    for (int count = PAGE; count == PAGE && !failed(e);) {
        struct arena_mark mark = arena_mark(cx->arena);
        struct turn_row *turns;
        e = store_turn_list(cx, store, row, first, PAGE, &turns, &count);
        for (int i = 0; !failed(e) && i < count; i++) e = put_turn(cx, store, secret, out, row, &turns[i]);
        first += PAGE;
        arena_rewind(cx->arena, mark);
        if (!failed(e) && count == PAGE) e = wait_turn(cx); /* others have their turn between two pages */
    }
    return e;
}

/* Is it still there, after a wait? What was deleted meanwhile is not found, and no half of it is told. */
static struct err still_there(struct ctx *cx, struct store *store, const struct task *row, struct err e)
{
    struct task *now = NEW(cx->arena, struct task);
    struct err look = e.code == ERR_CANCELLED ? e : store_task_get(cx, store, row->org, row->n, now);
    if (!failed(look) && now->is_deleting) look = err(ERR_NOT_FOUND, "Task not found");
    return look.code == ERR_NOT_FOUND ? look : e;
}

static struct err put_thread(struct ctx *cx, struct store *store, struct buf *out, const struct task *row)
{
    struct secret secret;
    struct err e = store_task_secret(store, row, &secret);
    buf_add(out, "[", 1);
    if (!failed(e)) e = put_turns(cx, store, &secret, out, row);
    buf_add(out, "]", 1);
    secret_drop(store->keyring, &secret);
    return still_there(cx, store, row, e);
}

/* GET /v1/tasks/{task_id}/thread */
struct err api_get_task_thread(struct ctx *cx, struct call *call)
{
    struct task task;
    struct buf out = {0};

    TRY(task_of_caller(cx, call, &task));
    struct err e = put_thread(cx, call->app->store, &out, &task);
    if (failed(e)) {
        buf_free(&out);
        return e;
    }
    return reply_buf(call, 200, &out);
}

/* One that was deleted since the tree was read is left out. */
static struct err put_descendant(struct ctx *cx, struct call *call, struct buf *out, int64_t n)
{
    struct task *row = NEW(cx->arena, struct task);
    size_t before = out->count;
    struct err e = store_task_get(cx, call->app->store, call->who.org, n, row);
    if (!failed(e)) {
        buf_add(out, ",", 1);
        json_put_text(out, row->id);
        buf_add(out, ":", 1);
        e = put_thread(cx, call->app->store, out, row);
    }
    if (e.code != ERR_NOT_FOUND) return e;
    out->count = before;
    return OK;
}

static struct err put_descendants(struct ctx *cx, struct call *call, struct buf *out, const struct task *root)
{
    struct task_node *nodes;
    int count;
    TRY(store_task_tree(cx, call->app->store, call->who.org, root->n, &nodes, &count));
    for (int i = 0; i < count; i++) {
        struct arena_mark mark = arena_mark(cx->arena);
        if (nodes[i].n != root->n) TRY(put_descendant(cx, call, out, nodes[i].n));
        arena_rewind(cx->arena, mark);
        if (i % BETWEEN_WAITS == BETWEEN_WAITS - 1) TRY(wait_turn(cx));
    }
    return still_there(cx, call->app->store, root, OK);
}

/* GET /v1/tasks/{task_id}/thread/full */
struct err api_get_task_thread_full(struct ctx *cx, struct call *call)
{
    struct task task;
    struct buf out = {0};

    TRY(task_of_caller(cx, call, &task));
    buf_add(&out, "{\"root\":", 8);
    struct err e = put_thread(cx, call->app->store, &out, &task);
    if (!failed(e)) e = put_descendants(cx, call, &out, &task);
    if (failed(e)) {
        buf_free(&out);
        return e;
    }
    buf_add(&out, "}", 1);
    return reply_buf(call, 200, &out);
}
