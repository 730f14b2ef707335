/* store/turn.c: rows of turns. The request is sealed as one value, what came of it as another. */
#include "store/turn.h"
#include "model/entry.h"
#include "store/entry.h"

static struct seal_place place_of(const struct task *t, int64_t number, const char *group)
{
    return (struct seal_place){.table = "turn", .group = group, .owner = t->n, .row = number};
}

static struct err no_memory(void) { return err(ERR_MEMORY, "there is no memory for this request"); }

/* Seal what a buffer holds, and wipe the buffer. */
static struct err seal_buf(struct ctx *cx, struct store *store, const struct secret *secret, struct seal_place place,
                           struct buf *plain, struct str *sealed)
{
    struct err e = plain->is_failed ? no_memory() : seal(cx->arena, store, secret, place, buf_str(plain), sealed);
    if (plain->at) explicit_bzero(plain->at, plain->count);
    buf_free(plain);
    return e;
}

/* ---- writing ------------------------------------------------------------------------ */

struct err store_turn_insert(struct ctx *cx, struct store *store, struct batch *batch, const struct secret *secret,
                             const struct task *t, int64_t number, int64_t created_at)
{
    struct buf plain = {0};
    struct str request;
    shape_store(&plain, &task_shape, t);
    TRY(seal_buf(cx, store, secret, place_of(t, number, "request"), &plain, &request));
    batch_add(batch,
              "INSERT INTO turn (task, number, org, agent_id, version, status, created_at, started_at, request)"
              " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
              ARGS(num(t->n), num(number), num(t->org), text(t->agent_id), text(t->agent_version), num(t->status),
                   num(created_at), num_or_null(t->started_at), blob(request)),
              1);
    return OK;
}

void store_turn_begin(struct batch *batch, const struct task *t)
{
    batch_add(batch,
              "UPDATE turn SET status = $4, started_at = $5, attempts = $6 WHERE task = $1 AND number = $2 AND org = $3",
              ARGS(num(t->n), num(t->turn), num(t->org), num(t->status), num_or_null(t->started_at), num(t->execution_attempts)), 1);
}

void store_turn_count(struct batch *batch, const struct task *t, int64_t prompt_tokens, int64_t completion_tokens)
{
    batch_add(batch,
              "UPDATE turn SET prompt_tokens = prompt_tokens + $4, completion_tokens = completion_tokens + $5"
              " WHERE task = $1 AND number = $2 AND org = $3",
              ARGS(num(t->n), num(t->turn), num(t->org), num(prompt_tokens), num(completion_tokens)), 1);
}

/* {"result":…,"used_tools":[…]}: only what no entry says. */
static struct err seal_outcome(struct ctx *cx, struct store *store, const struct secret *secret, const struct task *t,
                               int64_t answer, struct str *sealed)
{
    bool has_result = !answer && t->result.at, has_tools = t->used_tools.count > 2;
    *sealed = (struct str){0};
    if (!has_result && !has_tools) return OK;
    struct buf plain = {0};
    buf_add(&plain, "{", 1);
    if (has_result) {
        json_put_key(&plain, "result");
        json_put_text(&plain, t->result);
    }
    if (has_tools) {
        json_put_key(&plain, "used_tools");
        json_put_raw(&plain, t->used_tools);
    }
    buf_add(&plain, "}", 1);
    return seal_buf(cx, store, secret, place_of(t, t->turn, "result"), &plain, sealed);
}

struct err store_turn_finish(struct ctx *cx, struct store *store, struct batch *batch, const struct secret *secret,
                             const struct task *t, int64_t answer)
{
    struct str result;
    TRY(seal_outcome(cx, store, secret, t, answer, &result));
    batch_add(batch,
              "UPDATE turn SET status = $4, is_stopped = $5, finished_at = $6, answer = $7, result = $8"
              " WHERE task = $1 AND number = $2 AND org = $3",
              ARGS(num(t->n), num(t->turn), num(t->org), num(t->status), num(t->is_manually_stopped), num_or_null(t->finished_at),
                   num_or_null(answer), blob_or_null(result)),
              1);
    return OK;
}

void store_turn_stop(struct batch *batch, int64_t org, int64_t task, int64_t number, int64_t now_us)
{
    batch_add(batch,
              "UPDATE turn SET status = 6, is_stopped = 1, finished_at = $4 WHERE task = $1 AND number = $2 AND org = $3 AND status = 0",
              ARGS(num(task), num(number), num(org), num(now_us)), 1);
}

/* ---- reading -------------------------------------------------------------------------- */

#define COLUMNS                                                                                                \
    "u.number, u.agent_id, u.version, u.status, u.is_stopped, u.attempts, u.created_at, u.started_at,"         \
    " u.finished_at, u.prompt_tokens, u.completion_tokens, u.answer, u.request, u.result, e.body"
#define FROM                                                                   \
    " FROM turn u LEFT JOIN entry e ON e.root = $3 AND e.task = u.task AND e.n = u.answer" \
    " WHERE u.task = $1 AND u.org = $2"

static void read_row(const struct rows *rows, int i, struct turn_row *out)
{
    *out = (struct turn_row){
        .number = row_num(rows, i, 0),
        .agent_id = row_text(rows, i, 1),
        .version = row_text(rows, i, 2),
        .status = (int)row_num(rows, i, 3),
        .is_stopped = row_num(rows, i, 4),
        .attempts = row_num(rows, i, 5),
        .created_at = row_num(rows, i, 6),
        .started_at = row_num(rows, i, 7),
        .finished_at = row_num(rows, i, 8),
        .prompt_tokens = row_num(rows, i, 9),
        .completion_tokens = row_num(rows, i, 10),
        .answer = row_num(rows, i, 11),
        .request = row_text(rows, i, 12),
        .result = row_text(rows, i, 13),
        .body = row_text(rows, i, 14),
    };
}

struct err store_turn_get(struct ctx *cx, struct store *store, const struct task *t, int64_t number, struct turn_row *out)
{
    struct rows rows;
    TRY(db_read(cx, store->db, POINT("SELECT " COLUMNS FROM " AND u.number = $4"),
                ARGS(num(t->n), num(t->org), num(t->root), num(number)), &rows));
    if (!rows.count) return err(ERR_NOT_FOUND, "Task not found");
    read_row(&rows, 0, out);
    return OK;
}

struct err store_turn_next(struct ctx *cx, struct store *store, const struct task *t, int64_t *number)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT("SELECT number FROM turn WHERE task = $1 AND org = $2 AND number > $3 AND status = 0 ORDER BY number LIMIT 1"),
                ARGS(num(t->n), num(t->org), num(t->turn)), &rows));
    *number = rows.count ? row_num(&rows, 0, 0) : 0;
    return OK;
}

struct err store_turn_waiting(struct ctx *cx, struct store *store, int64_t org, int64_t task, int64_t *count)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT("SELECT count(*) FROM turn u JOIN task t ON t.n = u.task"
                      " WHERE u.task = $1 AND u.org = $2 AND u.number > t.turn AND u.status = 0"),
                ARGS(num(task), num(org)), &rows));
    *count = row_num(&rows, 0, 0);
    return OK;
}

struct err store_turn_list(struct ctx *cx, struct store *store, const struct task *t, int64_t first, int limit,
                           struct turn_row **out, int *count)
{
    struct rows rows;
    TRY(db_read(cx, store->db, POINT("SELECT " COLUMNS FROM " AND u.number >= $4 ORDER BY u.number LIMIT $5"),
                ARGS(num(t->n), num(t->org), num(t->root), num(first), num(limit)), &rows));
    *count = rows.count;
    *out = arena_try_alloc(cx->arena, (size_t)rows.count * sizeof **out);
    if (!*out) return no_memory();
    for (int i = 0; i < rows.count; i++) read_row(&rows, i, &(*out)[i]);
    return OK;
}

struct err store_turn_open(struct ctx *cx, struct store *store, const struct secret *secret, const struct turn_row *row,
                           struct task *t)
{
    struct str plain;
    TRY(unseal(cx->arena, store, secret, place_of(t, row->number, "request"), row->request, &plain));
    return shape_load(cx->arena, &task_shape, plain, t);
}

struct err store_turn_result(struct ctx *cx, struct store *store, const struct secret *secret, const struct task *t,
                             const struct turn_row *row, struct str *result, struct str *used_tools)
{
    *result = (struct str){0};
    *used_tools = S("[]");
    if (row->result.count) {
        struct str plain;
        struct json v;
        TRY(unseal(cx->arena, store, secret, place_of(t, row->number, "result"), row->result, &plain));
        TRY(json_parse_own(cx->arena, plain, &v));
        if (json_is_there(json_get(v, "result"))) *result = json_text(json_get(v, "result"));
        if (json_is_there(json_get(v, "used_tools"))) *used_tools = json_compact(cx->arena, json_get(v, "used_tools"));
    }
    if (!row->answer || !row->body.count) return OK;
    struct entry entry = {.task = t->n, .n = row->answer, .body = row->body};
    struct said said;
    TRY(store_entry_open(cx, store, secret, &entry));
    TRY(said_read(cx->arena, entry.body, &said));
    *result = said.text;
    return OK;
}
