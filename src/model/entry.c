#include "model/entry.h"
#include "base/shape.h"

enum { CALLS_READ_MAX = 1024 };

static struct str finish(struct arena *a, struct buf *b)
{
    if (b->is_failed) a->exhausted = true;
    struct str s = str_copy(a, buf_str(b));
    buf_free(b);
    return s;
}

/* ---- a finished model turn ------------------------------------------------------ */

#define CALL(name_, kind_) {.name = #name_, .kind = kind_, .at = offsetof(struct said_call, name_)}
static const struct field call_fields[] = {
    CALL(request_id, FIELD_TEXT), CALL(id, FIELD_TEXT),           CALL(name, FIELD_TEXT),
    CALL(arguments, FIELD_TEXT),  CALL(operation_id, FIELD_TEXT), CALL(is_broken, FIELD_BOOL),
};
#undef CALL
static const struct shape call_shape = {"call", sizeof(struct said_call), call_fields,
                                        sizeof call_fields / sizeof *call_fields};

struct str said_body(struct arena *a, const struct said *s)
{
    struct buf b = {0};
    buf_add(&b, "{\"step\":", 8);
    json_put_int(&b, s->step);
    json_put_key(&b, "text");
    json_put_text(&b, s->text);
    if (s->thought.count) {
        json_put_key(&b, "thought");
        json_put_text(&b, s->thought);
    }
    if (s->calls_count) {
        json_put_key(&b, "calls");
        buf_add(&b, "[", 1);
        for (int i = 0; i < s->calls_count; i++) {
            json_put_comma(&b);
            shape_store(&b, &call_shape, &s->calls[i]);
        }
        buf_add(&b, "]", 1);
    }
    if (s->is_partial) {
        json_put_key(&b, "partial");
        json_put_bool(&b, true);
    }
    json_put_key(&b, "in");
    json_put_int(&b, s->prompt_tokens);
    json_put_key(&b, "out");
    json_put_int(&b, s->completion_tokens);
    buf_add(&b, "}", 1);
    return finish(a, &b);
}

static void read_call(struct json v, struct said_call *c)
{
    *c = (struct said_call){
        .request_id = json_text(json_get(v, "request_id")),
        .id = json_text(json_get(v, "id")),
        .name = json_text(json_get(v, "name")),
        .arguments = json_text(json_get(v, "arguments")),
        .operation_id = json_text(json_get(v, "operation_id")),
        .is_broken = json_bool(json_get(v, "is_broken")),
    };
}

struct err said_read(struct arena *a, struct str body, struct said *out)
{
    struct json v;
    TRY(json_parse_own(a, body, &v));
    *out = (struct said){
        .step = json_int(json_get(v, "step")),
        .text = json_text(json_get(v, "text")),
        .thought = json_text(json_get(v, "thought")),
        .prompt_tokens = json_int(json_get(v, "in")),
        .completion_tokens = json_int(json_get(v, "out")),
        .is_partial = json_bool(json_get(v, "partial")),
    };
    struct json calls = json_get(v, "calls");
    size_t count = json_count(calls);
    if (!count) return OK;
    if (count > CALLS_READ_MAX) return err(ERR_IO, "a model turn has more calls than may be");
    struct said_call *list = arena_try_alloc(a, count * sizeof *list);
    if (!list) return err(ERR_MEMORY, "there is no memory for a model turn");
    int i = 0;
    for (struct json_each e = json_each(calls); json_next(&e);) read_call(e.item, &list[i++]);
    out->calls = list;
    out->calls_count = i;
    return OK;
}

/* ---- what became of its calls ------------------------------------------------------ */

struct str trigger_body(struct arena *a, const struct trigger *t)
{
    struct buf b = {0};
    buf_addf(&b, "{\"said\":%lld,\"call\":%lld,\"task\":%lld,\"task_id\":", (long long)t->said, (long long)t->call,
             (long long)t->task);
    json_put_text(&b, t->task_id);
    json_put_key(&b, "agent_id");
    json_put_text(&b, t->agent_id);
    buf_add(&b, "}", 1);
    return finish(a, &b);
}

struct err trigger_read(struct arena *a, struct str body, struct trigger *out)
{
    struct json v;
    TRY(json_parse_own(a, body, &v));
    *out = (struct trigger){
        .said = json_int(json_get(v, "said")),
        .call = json_int(json_get(v, "call")),
        .task = json_int(json_get(v, "task")),
        .task_id = json_text(json_get(v, "task_id")),
        .agent_id = json_text(json_get(v, "agent_id")),
    };
    return OK;
}

struct str outcome_body(struct arena *a, const struct tool_outcome *o)
{
    struct buf b = {0};
    buf_addf(&b, "{\"said\":%lld,\"call\":%lld,\"is_error\":%s,\"text\":", (long long)o->said, (long long)o->call,
             o->is_error ? "true" : "false");
    json_put_text(&b, o->text);
    buf_add(&b, "}", 1);
    return finish(a, &b);
}

struct err outcome_read(struct arena *a, struct str body, struct tool_outcome *out)
{
    struct json v;
    TRY(json_parse_own(a, body, &v));
    *out = (struct tool_outcome){
        .said = json_int(json_get(v, "said")),
        .call = json_int(json_get(v, "call")),
        .text = json_text(json_get(v, "text")),
        .is_error = json_bool(json_get(v, "is_error")),
    };
    return OK;
}

struct str updated_body(struct arena *a, int64_t attempts)
{
    return strf(a, "{\"attempts\":%lld}", (long long)attempts);
}

int64_t updated_attempts(struct arena *a, struct str body)
{
    struct json v;
    if (!body.count || failed(json_parse_own(a, body, &v))) return 1;
    int64_t n = json_int(json_get(v, "attempts"));
    return n < 1 ? 1 : n;
}
