#include "model/agno.h"

#include "model/agent.h"

/* ---- agno_settings: the names and defaults of the SDK of 2026 ------------------------ */

#define ROW(kind_, name_, ...) \
    {.name = #name_, .kind = FIELD_##kind_, .at = offsetof(struct tool_calls_compression, name_), __VA_ARGS__}
static const struct field compression_fields[] = {
    ROW(BOOL, enabled, .normal = "false"),
    ROW(INT, threshold, .normal = "3"),
    ROW(TEXT, instructions, .normal = "\"\""),
};
#undef ROW
static const struct shape compression_shape = {"ToolCallsCompression", sizeof(struct tool_calls_compression), compression_fields,
                                               sizeof compression_fields / sizeof *compression_fields};

#define ROW(kind_, name_, ...) \
    {.name = #name_, .kind = FIELD_##kind_, .at = offsetof(struct agno_settings, name_), __VA_ARGS__}
static const struct field agno_fields[] = {
    ROW(BOOL, session_storage, .normal = "true"),
    ROW(BOOL, learning, .normal = "false"),
    ROW(BOOL, agent_memories, .normal = "false"),
    ROW(BOOL, agentic_culture, .normal = "false"),
    ROW(BOOL, user_memories, .normal = "false"),
    ROW(BOOL, agentic_memory, .normal = "false"),
    ROW(BOOL, session_summaries, .normal = "false"),
    ROW(INT, num_history_runs, .normal = "10"),
    ROW(INT, max_tool_calls_from_history, .normal = "0"),
    ROW(INT, tool_call_limit, .normal = "0", .flags = NULLABLE),
    ROW(BOOL, coordinate_mode, .normal = "true"),
    ROW(BOOL, pii_detection_enabled, .normal = "false"),
    ROW(BOOL, pii_detection_mask, .normal = "true"),
    ROW(BOOL, prompt_injection_detection_enabled, .normal = "false"),
    ROW(BOOL, openai_moderation_enabled, .normal = "false"),
    ROW(TEXTS, openai_moderation_categories, .normal = "null", .flags = NULLABLE),
    ROW(BOOL, reasoning_tools_enabled, .normal = "false"),
    ROW(SHAPE, tool_calls_compression, .inner = &compression_shape),
};
#undef ROW
const struct shape agno_shape = {"AgnoSettings", sizeof(struct agno_settings), agno_fields,
                                 sizeof agno_fields / sizeof *agno_fields};

/* ---- instructions ------------------------------------------------------------------ */

static struct str kept(struct arena *arena, struct buf *out)
{
    struct str copy = str_copy(arena, buf_str(out));

    if (out->is_failed) arena->exhausted = true;
    buf_free(out);
    return copy;
}

/* A text stands for its non-empty lines: the command-line client sends such. */
static struct str lines_of(struct arena *arena, struct str text)
{
    struct buf out = {0};

    buf_add_str(&out, S("["));
    for (bool is_more = text.count > 0; is_more;) {
        struct str line = str_trim(str_split(text, '\n', &text, &is_more));
        if (!line.count) continue;
        json_put_comma(&out);
        json_put_text(&out, line);
    }
    buf_add_str(&out, S("]"));
    return kept(arena, &out);
}

static void read_lines(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    struct str *lines = at;
    int64_t index = 0;

    if (json_is_null(value)) return;
    if (json_type(value) == JSON_TEXT) {
        *lines = lines_of(reading->arena, json_text(value));
        return;
    }
    if (json_type(value) != JSON_LIST) {
        fault_plain(reading->faults, "list_type", loc, fault_input(reading->faults, value));
        return;
    }
    for (struct json_each each = json_each(value); json_next(&each); index++)
        if (json_type(each.item) != JSON_TEXT)
            fault_plain(reading->faults, "string_type", LOC_INDEX(loc, index), fault_input(reading->faults, each.item));
    *lines = json_compact(reading->arena, value);
}

static void write_raw(struct buf *out, const void *at)
{
    json_put_raw(out, *(const struct str *)at);
}

static const struct field instructions_fields[] = {
    {.name = "role", .kind = FIELD_CUSTOM, .at = offsetof(struct instructions, role), .normal = "[]",
     .read = read_lines, .write = write_raw},
    {.name = "goal", .kind = FIELD_CUSTOM, .at = offsetof(struct instructions, goal), .normal = "[]",
     .read = read_lines, .write = write_raw},
    {.name = "general", .kind = FIELD_TEXT, .at = offsetof(struct instructions, general), .normal = "\"\""},
};
const struct shape instructions_shape = {"Instructions", sizeof(struct instructions), instructions_fields, 3};

/* ---- credentials --------------------------------------------------------------------- */

static const struct field credentials_fields[] = {
    {.name = "name", .kind = FIELD_TEXT, .flags = REQUIRED, .at = offsetof(struct credentials, name), .normal = "\"\""},
    {.name = "description", .kind = FIELD_TEXT, .flags = NULLABLE, .at = offsetof(struct credentials, description)},
    {.name = "value", .kind = FIELD_TEXT, .flags = REQUIRED, .at = offsetof(struct credentials, value), .normal = "\"\""},
};
const struct shape credentials_shape = {"Credentials", sizeof(struct credentials), credentials_fields, 3};

/* ---- items of lists --------------------------------------------------------------------- */

static const char *const llm_setting_types[] = {"before", "after", 0};
static const struct field llm_setting_fields[] = {
    {.name = "type", .kind = FIELD_ENUM, .flags = REQUIRED, .at = offsetof(struct llm_setting, type), .words = llm_setting_types},
    {.name = "provider", .kind = FIELD_TEXT, .flags = NULLABLE, .at = offsetof(struct llm_setting, provider)},
    {.name = "model", .kind = FIELD_TEXT, .flags = NULLABLE, .at = offsetof(struct llm_setting, model)},
    {.name = "temperature", .kind = FIELD_NUMBER, .flags = NULLABLE, .at = offsetof(struct llm_setting, temperature),
     .normal = "-1.0"},
};
const struct shape llm_setting_shape = {"LlmSetting", sizeof(struct llm_setting), llm_setting_fields, 4};

static const char *const source_node_types[] = {"workbench", "sdk", "task", "assistant", "webhook", "mcp", "a2a", "telegram",
                                                "slack", 0};
static const struct field source_node_fields[] = {
    {.name = "id", .kind = FIELD_TEXT, .flags = NULLABLE, .at = offsetof(struct source_node, id)},
    {.name = "type", .kind = FIELD_ENUM, .flags = REQUIRED, .at = offsetof(struct source_node, type), .words = source_node_types},
    {.name = "targets", .kind = FIELD_TEXTS, .flags = NULLABLE, .at = offsetof(struct source_node, targets), .normal = "null"},
    {.name = "metadata", .kind = FIELD_OBJECT, .at = offsetof(struct source_node, metadata), .normal = "{}"},
};
const struct shape source_node_shape = {"SourceNode", sizeof(struct source_node), source_node_fields, 4};
