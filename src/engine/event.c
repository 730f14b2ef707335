#include "engine/event.h"

#define PUT(out, literal) buf_add((out), "" literal, sizeof(literal) - 1)

void event_open(struct buf *out, const struct position *position, const char *type, const struct event_of *of, int64_t at)
{
    PUT(out, "id: ");
    position_write(out, position);
    PUT(out, "\ndata: {\"type\":\"");
    buf_add(out, type, strlen(type));
    PUT(out, "\",\"task_id\":");
    json_put_text(out, of->task_id);
    PUT(out, ",\"organization_id\":");
    json_put_text(out, of->organization_id);
    PUT(out, ",\"time\":");
    json_put_time(out, at);
    PUT(out, ",\"data\":");
}

void event_close(struct buf *out) { PUT(out, "}\n\n"); }

void event_task(struct buf *out, const struct task *t)
{
    struct task shown = *t;
    task_hide_tokens(&shown);
    shape_write(out, &task_shape, &shown);
}

void event_thought(struct buf *out, struct str thought)
{
    PUT(out, "{\"title\":\"Reasoning\",\"confidence\":1.0,\"thought\":");
    json_put_text(out, thought);
    PUT(out, ",\"action\":null,\"result\":null,\"analysis\":null}");
}

#define NO_REASONING "\"reasoning\":{\"title\":null,\"description\":null}"

void event_call(struct buf *out, const struct said_call *call, const struct tool_outcome *outcome)
{
    PUT(out, "{\"request_id\":");
    json_put_text(out, call->request_id);
    PUT(out, ",\"operation_id\":");
    json_put_text(out, call->operation_id);
    PUT(out, ",\"tool_call_id\":");
    json_put_text(out, call->id);
    PUT(out, ",\"graph_node_id\":");
    json_put_text(out, call->operation_id);
    PUT(out, ",\"tool_name\":");
    json_put_text(out, call->name);
    PUT(out, ",\"payload\":");
    if (call->is_broken) json_put_text(out, call->arguments);
    else json_put_raw(out, call->arguments);
    PUT(out, "," NO_REASONING);
    if (outcome) {
        PUT(out, ",\"result\":");
        json_put_text(out, outcome->text);
        PUT(out, ",\"is_error\":");
        json_put_bool(out, outcome->is_error);
    }
    PUT(out, "}");
}

void event_trigger(struct buf *out, const struct trigger *trigger, const struct said_call *call)
{
    struct arena arena = arena_new();
    struct json v = {0};
    bool is_read = !failed(json_parse_own(&arena, call->arguments, &v));
    struct json files = is_read ? json_get(v, "files") : (struct json){0};
    PUT(out, "{\"agent_id\":");
    json_put_text(out, trigger->agent_id);
    PUT(out, ",\"query\":");
    json_put_text(out, is_read ? json_text(json_get(v, "query")) : S(""));
    PUT(out, ",\"files\":");
    json_put_raw(out, json_type(files) == JSON_LIST ? json_compact(&arena, files) : S("[]"));
    PUT(out, "," NO_REASONING ",\"task_id\":");
    json_put_text(out, trigger->task_id);
    PUT(out, "}");
    arena_free(&arena);
}

void event_heartbeat(struct buf *out) { PUT(out, ": ka\n"); }
