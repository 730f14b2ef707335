#include "model/task.h"
#include "model/agent.h"

const char *const task_status_words[] = {"pending", "executing", "paused", "error",
                                         "failed",  "completed", "stopped", 0};
static const char *const think_mode_words[] = {"default", "harder", 0};

/* ---- input -------------------------------------------------------------------- */

#define USER(name_, kind_, flags_, normal_) \
    {.name = #name_, .kind = kind_, .flags = flags_, .at = offsetof(struct task_user, name_), .normal = normal_}
static const struct field user_fields[] = {
    USER(id, FIELD_TEXT, NULLABLE, 0),
    USER(first_name, FIELD_TEXT, NULLABLE, 0),
    USER(last_name, FIELD_TEXT, NULLABLE, 0),
    USER(email, FIELD_TEXT, REQUIRED, "\"\""),
    USER(additional_attributes, FIELD_OBJECT, NULLABLE, 0),
    USER(role, FIELD_TEXT, 0, "\"member\""),
    USER(is_super_admin, FIELD_BOOL, 0, "false"),
    USER(timezone, FIELD_TEXT, NULLABLE, 0),
};
#undef USER
static const struct shape user_shape = {"user", sizeof(struct task_user), user_fields,
                                        sizeof user_fields / sizeof *user_fields};

/* "display_name" = first + last name, else the address, else the id: made up when it is written. */
static void put_display_name(struct buf *out, const struct task_user *u)
{
    json_put_key(out, "display_name");
    if (!u->first_name.count && !u->last_name.count) {
        json_put_text(out, u->email.count ? u->email : u->id.at ? u->id : S(""));
        return;
    }
    buf_add(out, "\"", 1);
    json_put_text_inner(out, u->first_name.at ? u->first_name : S(""));
    if (u->first_name.count && u->last_name.count) buf_add(out, " ", 1);
    json_put_text_inner(out, u->last_name.at ? u->last_name : S(""));
    buf_add(out, "\"", 1);
}

static void write_input(struct buf *out, const void *at)
{
    const struct task_input *in = at;
    buf_add(out, "{\"text\":", 8);
    json_put_text(out, in->text.at ? in->text : S(""));
    json_put_key(out, "files");
    json_put_raw(out, in->files.count ? in->files : S("[]"));
    json_put_key(out, "user");
    if (in->user.is_there) {
        shape_write(out, &user_shape, &in->user);
        out->count--; /* the closing brace: one more key goes in front of it */
        put_display_name(out, &in->user);
        buf_add(out, "}", 1);
    } else {
        json_put_raw(out, S("null"));
    }
    if (in->attachments.at) {
        json_put_key(out, "attachments");
        json_put_raw(out, in->attachments);
    }
    if (in->principal.at) {
        json_put_key(out, "principal");
        json_put_raw(out, in->principal);
    }
    buf_add(out, "}", 1);
}

static struct str as_input(struct arena *a, struct json v) { return json_compact(a, v); }

static void want_text(struct reading *r, struct json v, const struct loc *loc, struct str *out)
{
    if (!json_is_there(v) || json_is_null(v)) return;
    if (json_type(v) != JSON_TEXT) {
        fault_add(r->faults, "string_type", loc, S("Input should be a valid string"), as_input(r->arena, v), S(""));
        return;
    }
    *out = json_text(v);
}

/* Append the strings of a list to a JSON list that is being written. */
static void want_texts(struct reading *r, struct json v, const struct loc *loc, struct buf *list)
{
    if (!json_is_there(v) || json_is_null(v)) return;
    if (json_type(v) != JSON_LIST) {
        fault_add(r->faults, "list_type", loc, S("Input should be a valid list"), as_input(r->arena, v), S(""));
        return;
    }
    int64_t i = 0;
    for (struct json_each e = json_each(v); json_next(&e); i++) {
        if (json_type(e.item) != JSON_TEXT) {
            fault_add(r->faults, "string_type", LOC_INDEX(loc, i), S("Input should be a valid string"),
                      as_input(r->arena, e.item), S(""));
            continue;
        }
        json_put_comma(list);
        json_put_text(list, json_text(e.item));
    }
}

/* Text, files and images (which are files too), and the user, who must have an address. */
static void read_input(struct reading *r, struct json v, const struct loc *loc, void *at)
{
    struct task_input *in = at;
    if (json_type(v) != JSON_OBJECT) {
        fault_add(r->faults, "model_attributes_type", loc,
                  S("Input should be a valid dictionary or object to extract fields from"), as_input(r->arena, v), S(""));
        return;
    }
    int before = r->faults ? r->faults->count : 0;
    want_text(r, json_get(v, "text"), LOC(loc, "text"), &in->text);
    struct buf list = {0};
    buf_add(&list, "[", 1);
    want_texts(r, json_get(v, "files"), LOC(loc, "files"), &list);
    want_texts(r, json_get(v, "images"), LOC(loc, "images"), &list);
    buf_add(&list, "]", 1);
    if (list.is_failed) r->arena->exhausted = true;
    else in->files = str_copy(r->arena, buf_str(&list));
    buf_free(&list);
    struct json user = json_get(v, "user");
    if (json_is_there(user) && !json_is_null(user)) {
        in->user.is_there = true;
        struct given given = {0};
        shape_defaults(r->arena, &user_shape, &in->user);
        in->user.is_there = true;
        shape_read(r->arena, &user_shape, SHAPE_CREATE, user, LOC(loc, "user"), &in->user, &given, r->faults);
    }
    if (json_is_there(json_get(v, "attachments"))) in->attachments = json_compact(r->arena, json_get(v, "attachments"));
    if (json_is_there(json_get(v, "principal"))) in->principal = json_compact(r->arena, json_get(v, "principal"));
    if (r->faults && r->faults->count == before && !in->text.count && in->files.count <= 2)
        fault_value(r->faults, loc, as_input(r->arena, v), "Either text or files must be provided");
}

static void write_tokens(struct buf *out, const void *at)
{
    const int64_t *prompt = at, completion = prompt[1]; /* the two stand side by side in struct task */
    buf_add(out, "{\"completion_tokens\":", 21);
    json_put_int(out, completion);
    buf_add(out, ",\"prompt_tokens\":", 17);
    json_put_int(out, *prompt);
    buf_add(out, ",\"total_tokens\":", 16);
    json_put_int(out, *prompt + completion);
    buf_add(out, "}", 1);
}
_Static_assert(offsetof(struct task, completion_tokens) == offsetof(struct task, prompt_tokens) + sizeof(int64_t),
               "write_tokens reads both");

/* ---- the task: order is the order of replies ------------------------------------
 * UNSTORED: a column, or computed. Everything else is what the turn asked for. */
#define ROW(name_, kind_, flags_, normal_) \
    {.name = #name_, .kind = kind_, .flags = flags_, .at = offsetof(struct task, name_), .normal = normal_}
#define WORDS(name_, words_, flags_, normal_)                                                                       \
    {.name = #name_, .kind = FIELD_ENUM, .flags = flags_, .at = offsetof(struct task, name_), .normal = normal_, \
     .words = words_}
enum { SHOWN = READ_ONLY | UNSTORED };
static const struct field fields[] = {
    ROW(id, FIELD_TEXT, UNSTORED, 0),
    ROW(agent_id, FIELD_TEXT, SHOWN, 0),
    ROW(organization_id, FIELD_TEXT, UNSTORED, 0),
    {.name = "input", .kind = FIELD_CUSTOM, .flags = REQUIRED, .at = offsetof(struct task, input), .read = read_input,
     .write = write_input},
    WORDS(status, task_status_words, SHOWN, "\"pending\""),
    ROW(internal_status, FIELD_TEXT, SHOWN | NULLABLE, 0),
    ROW(last_executed_node_id, FIELD_TEXT, SHOWN | NULLABLE, 0),
    ROW(agent_version, FIELD_TEXT, SHOWN, 0),
    ROW(created_at, FIELD_TIME, SHOWN, 0),
    ROW(started_at, FIELD_TIME, SHOWN | NULLABLE, 0),
    ROW(paused_at, FIELD_TIME, SHOWN | NULLABLE, 0),
    ROW(finished_at, FIELD_TIME, SHOWN | NULLABLE, 0),
    ROW(updated_at, FIELD_TIME, SHOWN, 0),
    ROW(result, FIELD_TEXT, SHOWN | NULLABLE, 0),
    {.name = "parent_execution", .aliases = {"parent_execution_id", "parent_task_id"}, .kind = FIELD_TEXT,
     .flags = UNSTORED | NULLABLE, .at = offsetof(struct task, parent_execution)},
    ROW(sub_executions, FIELD_JSON, SHOWN, "[]"),
    ROW(finished_sub_executions, FIELD_JSON, SHOWN, "[]"),
    ROW(is_manually_stopped, FIELD_BOOL, SHOWN, "false"),
    ROW(payload_extension, FIELD_OBJECT, NULLABLE, 0),
    ROW(hitl_request, FIELD_OBJECT, SHOWN | NULLABLE, 0),
    ROW(pending_eca_request, FIELD_OBJECT, SHOWN | NULLABLE, 0),
    ROW(source, FIELD_TEXT, 0, "\"api\""),
    ROW(worker_id, FIELD_TEXT, NULLABLE, 0),
    ROW(additional_context, FIELD_TEXT, NULLABLE, 0),
    ROW(instructions_override, FIELD_TEXT, NULLABLE, 0),
    ROW(expected_output, FIELD_TEXT, NULLABLE, 0),
    ROW(test_run_node_id, FIELD_TEXT, NULLABLE, 0),
    ROW(is_orchestration, FIELD_BOOL, SHOWN, "false"),
    WORDS(output_format, format_words, 0, "\"text\""),
    ROW(voice_id, FIELD_TEXT, NULLABLE, 0),
    ROW(output_schema, FIELD_OBJECT, NULLABLE, 0),
    ROW(events_streaming, FIELD_BOOL, 0, "false"),
    ROW(used_mutating_tools, FIELD_BOOL, SHOWN, "false"),
    ROW(is_continuous, FIELD_BOOL, SHOWN, "false"),
    ROW(mcp_servers, FIELD_OBJECTS, 0, "[]"),
    ROW(triggering_agent_id, FIELD_TEXT, UNSTORED | NULLABLE, 0),
    ROW(title, FIELD_TEXT, UNSTORED | NULLABLE, 0),
    WORDS(think_mode, think_mode_words, 0, "\"default\""),
    ROW(disable_attachment_injection, FIELD_BOOL, 0, "false"),
    ROW(deep_planning, FIELD_JSON, SHOWN,
        "{\"enabled\":false,\"enforce\":false,\"started\":false,\"question_raised\":false,\"tasks\":[]}"),
    ROW(execution_attempts, FIELD_INT, SHOWN, "1"),
    ROW(user_tokens, FIELD_OBJECT, NULLABLE, 0),
    ROW(user_oidc_token, FIELD_TEXT, NULLABLE, 0),
    ROW(return_metrics, FIELD_BOOL, 0, "false"),
    {.name = "tokens", .kind = FIELD_CUSTOM, .flags = SHOWN, .at = offsetof(struct task, prompt_tokens),
     .write = write_tokens},
    ROW(used_tools, FIELD_JSON, SHOWN, "[]"),
    ROW(duration, FIELD_NUMBER, SHOWN, "0.0"),
    ROW(model_provider, FIELD_TEXT, READ_ONLY, 0),
    ROW(model_name, FIELD_TEXT, READ_ONLY, 0),
    {.name = "llm_reasoning_effort", .aliases = {"reasoning_effort", "llm_effort"}, .kind = FIELD_ENUM,
     .at = offsetof(struct task, llm_reasoning_effort), .words = effort_words, .normal = "\"medium\""},
    {.name = "llm_model_provider", .aliases = {"model_provider", "llm_provider", "provider"}, .kind = FIELD_TEXT,
     .flags = NULLABLE, .at = offsetof(struct task, llm_model_provider)},
    {.name = "llm_model_name", .aliases = {"model_name", "llm_model", "model"}, .kind = FIELD_TEXT, .flags = NULLABLE,
     .at = offsetof(struct task, llm_model_name)},
    ROW(background_auth_eligible, FIELD_BOOL, SHOWN, "false"),
    ROW(run_locally, FIELD_BOOL, HIDDEN, "false"),
    ROW(draft, FIELD_JSON, HIDDEN | READ_ONLY, 0),
};
#undef ROW
#undef WORDS
const struct shape task_shape = {"task", sizeof(struct task), fields, sizeof fields / sizeof *fields};

void task_keep(struct arena *a, struct task *t)
{
    struct str *own[] = {&t->input.text, &t->input.files, &t->input.attachments, &t->input.principal};
    shape_keep(a, &task_shape, t);
    shape_keep(a, &user_shape, &t->input.user);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (own[i]->at) *own[i] = str_copy(a, *own[i]);
}

const char *task_id_fault(struct str id)
{
    size_t length = str_code_points(id);
    if (length < 1) return "String should have at least 1 character";
    if (length > 255) return "String should have at most 255 characters";
    if (str_is(id, ".") || str_is(id, "..")) return "an id may be neither \".\" nor \"..\"";
    for (size_t i = 0; i < id.count; i++)
        if ((unsigned char)id.at[i] < 0x20 || id.at[i] == 0x7f) return "an id may have no control characters";
    return 0;
}

/* The id's three rules in the contract's words: its length, and the pattern of the rest. */
static void check_id(const struct task *t, struct faults *faults)
{
    const char *why = task_id_fault(t->id);
    if (!why) return;
    const struct loc *loc = LOC(LOC(0, "body"), "id");
    struct buf quoted = {0};
    json_put_text(&quoted, t->id);
    struct str input = str_copy(faults->arena, buf_str(&quoted));
    buf_free(&quoted);
    if (!t->id.count)
        fault_add(faults, "string_too_short", loc, str(why), input, S("{\"min_length\":1}"));
    else if (str_code_points(t->id) > 255)
        fault_add(faults, "string_too_long", loc, str(why), input, S("{\"max_length\":255}"));
    else
        fault_value(faults, loc, input, why);
}

void task_check(struct task *t, const struct given *given, struct json body, struct faults *faults)
{
    if (t->id.at) check_id(t, faults);
    if (t->parent_execution.at && t->id.at && str_is(t->id, "root"))
        fault_value(faults, LOC(LOC(0, "body"), "id"), S("\"root\""), "a sub-task may not be named \"root\"");
    if (t->parent_execution.at && t->id.at && str_eq(t->parent_execution, t->id))
        fault_value(faults, LOC(LOC(0, "body"), "parent_execution_id"), json_compact(faults->arena, json_get(body, "id")),
                    "a task cannot be its own parent");
    /* What was not asked for is the agent's to say: known only when the turn is accepted. */
    if (!is_given(given, &task_shape, offsetof(struct task, output_format)) ||
        is_given_null(given, &task_shape, offsetof(struct task, output_format)))
        t->output_format = -1;
    if (!is_given(given, &task_shape, offsetof(struct task, llm_reasoning_effort)) ||
        is_given_null(given, &task_shape, offsetof(struct task, llm_reasoning_effort)))
        t->llm_reasoning_effort = -1;
}

void task_was_deleted(struct task *t, int64_t now_us)
{
    t->status = TASK_STOPPED;
    t->finished_at = t->updated_at = now_us;
    t->is_manually_stopped = true;
    t->result = (struct str){0};
}

void task_hide_tokens(struct task *t)
{
    t->user_tokens = (struct str){0};
    t->user_oidc_token = (struct str){0};
}

/* ---- where a task may go ----------------------------------------------------------
 * Read a row as: from this status, to any of these. An empty row is final: only a new
 * message in the same thread, and a status reported from outside, leave it. */
#define TO(s) (1u << TASK_##s)
static const unsigned may_become[TASK_STATUS_COUNT] = {
    [TASK_PENDING] = TO(EXECUTING) | TO(STOPPED) | TO(ERROR),
    [TASK_EXECUTING] = TO(PENDING) /* recovery */ | TO(PAUSED) | TO(COMPLETED) | TO(FAILED) | TO(ERROR) | TO(STOPPED),
    [TASK_PAUSED] = TO(EXECUTING) | TO(STOPPED),
};
#undef TO

bool task_wants_json(const struct task *t) { return t->output_format == FORMAT_JSON || t->output_schema.count > 2; }

bool task_is_final(int status) { return may_become[status] == 0; }
bool task_may_become(int from, int to) { return (may_become[from] & (1u << to)) != 0; }

struct err task_move(struct task *t, int to, int64_t now_us)
{
    if (!task_may_become(t->status, to)) return err(ERR_CONFLICT, "the task can no longer change to this status");
    t->status = to;
    t->updated_at = now_us;
    if (to == TASK_EXECUTING && !t->started_at) t->started_at = now_us;
    if (task_is_final(to)) {
        t->finished_at = now_us;
        t->duration = t->started_at ? (double)(now_us - t->started_at) / 1e6 : 0.0;
    }
    return OK;
}
