#include "model/agent.h"

#include <assert.h>
#include "base/url.h"
#include "model/agno.h"
#include "model/tool.h"

const char *const agent_type_words[] = {"manager", "regular", "a2a", "curl", "orchestration", 0};
const char *const agent_status_words[] = {"DRAFT", "ACTIVE", "INACTIVE", 0};
const char *const effort_words[] = {"low", "medium", "high", "xhigh", 0};
const char *const format_words[] = {"text", "markdown", "json", "voice", 0};
const char *const provider_words[] = {"openai", "nim", "amazon_bedrock", "azure_ai_foundary", "huggingFace", "friendlyAI",
                                      "anthropic", "gemini", "fireworks", "google_ai_studio", "helicone", "open_router",
                                      "nebius", "cloudflare_ai_gw", "bytedance", "tzafon_lightcone", 0};
static const char *const deployment_words[] = {"serverless", "container", 0};
static const char *const scope_words[] = {"personal", "organizational", 0};
static const char *const framework_words[] = {"agno", "google-adk", "langchain", "open-ai-agents", "strands-agents",
                                              "open-claw", 0};
static const char *const key_type_words[] = {"xpander", "custom", 0};
static const char *const delegation_words[] = {"router", "sequence", 0};
static const char *const end_words[] = {"return-to-start", "finish-with-last", 0};
static const char *const memory_words[] = {"full", "summarization", "original-input", 0};

/* A buffer's text moves to the arena. */
static struct str kept(struct arena *arena, struct buf *out)
{
    struct str copy = str_copy(arena, buf_str(out));

    if (out->is_failed) arena->exhausted = true;
    buf_free(out);
    return copy;
}

/* Our own JSON, or "{}" where it cannot be read. */
static struct json parsed(struct arena *arena, struct str text)
{
    struct json json = {0};

    if (text.count && failed(json_parse_own(arena, text, &json))) json.value = 0;
    return json;
}

/* ---- rules of single fields ------------------------------------------------------------ */

static struct str input_of(struct reading *reading, struct json value)
{
    return fault_input(reading->faults, value);
}

static void read_type(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    switch (*(int *)at) {
    case AGENT_ORCHESTRATION:
        fault_value(reading->faults, loc, input_of(reading, value), "workflows are not agents and have paths of their own");
        break;
    case AGENT_A2A:
    case AGENT_CURL:
        fault_value(reading->faults, loc, input_of(reading, value), "remote agents are not available yet");
        break;
    default: break;
    }
}

static void read_provider(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    const struct agent *agent = reading->whole;
    struct str name = json_text(value);
    bool is_known = false;

    if (json_is_null(value)) return;
    if (str_is(name, "bedrock")) name = S("amazon_bedrock");
    for (int i = 0; provider_words[i]; i++) is_known |= str_is(name, provider_words[i]);
    if (!is_known) {
        fault_enum(reading->faults, loc, input_of(reading, value), provider_words, false);
        return;
    }
    *(struct str *)at = name;
    if (agent->speaks && !agent->speaks(name))
        fault_value(reading->faults, loc, input_of(reading, value),
                    arena_printf(reading->arena, "models of %.*s are not available yet", STR_ARGS(name)));
}

static void write_text(struct buf *out, const void *at)
{
    json_put_text(out, *(const struct str *)at);
}

static void read_api_base(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    struct str text = *(struct str *)at, rest;
    const char *reason = 0;
    struct url url;
    bool has_scheme;

    if (json_type(value) != JSON_TEXT || url_parse(reading->arena, text, &url, &reason)) return;
    struct str scheme = str_split(text, ':', &rest, &has_scheme);
    if (has_scheme && str_starts(rest, S("//")) && !str_eq_nocase(scheme, S("http")) && !str_eq_nocase(scheme, S("https"))) {
        fault_url_scheme(reading->faults, loc, input_of(reading, value));
        return;
    }
    fault_url(reading->faults, loc, input_of(reading, value), reason ? reason : "it cannot be read");
}

static void read_credentials(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    struct credentials *credentials = at;
    struct given given;

    if (json_is_null(value) || !json_is_there(value)) {
        *credentials = (struct credentials){0};
        return;
    }
    shape_defaults(reading->arena, &credentials_shape, credentials);
    if (json_type(value) == JSON_OBJECT)
        shape_read(reading->arena, &credentials_shape, SHAPE_CREATE, value, loc, credentials, &given, reading->faults);
    else
        fault_plain(reading->faults, "model_attributes_type", loc, input_of(reading, value));
    credentials->is_there = true;
}

static void write_credentials(struct buf *out, const void *at)
{
    const struct credentials *credentials = at;

    if (credentials->is_there)
        shape_write(out, &credentials_shape, credentials);
    else
        json_put_raw(out, S("null"));
}

/* A name that HTTP allows, and a value without control characters: these go into requests. */
static bool is_header(struct str name, struct str value)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < name.count; i++) {
        char c = name.at[i];
        bool is_word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_word && (c == 0 || !strchr(marks, c))) return false;
    }
    for (size_t i = 0; i < value.count; i++)
        if (((unsigned char)value.at[i] < 32 && value.at[i] != '\t') || value.at[i] == 127) return false;
    return name.count > 0;
}

static void read_headers(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    enum { HEADERS_MAX = 100 };

    (void)at;
    if (json_count(value) > HEADERS_MAX) {
        fault_value(reading->faults, loc, input_of(reading, value), "there may be at most 100 headers");
        return;
    }
    for (struct json_each each = json_each(value); json_next(&each);) {
        if (json_type(each.item) != JSON_TEXT)
            fault_plain(reading->faults, "string_type", LOC_TEXT(loc, each.key), input_of(reading, each.item));
        else if (!is_header(each.key, json_text(each.item)))
            fault_value(reading->faults, LOC_TEXT(loc, each.key), input_of(reading, each.item), "this is no HTTP header");
    }
}

static void read_llm_settings(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    struct llm_setting setting;
    struct given given;
    int64_t index = 0;

    (void)at;
    for (struct json_each each = json_each(value); json_next(&each); index++) {
        shape_defaults(reading->arena, &llm_setting_shape, &setting);
        shape_read(reading->arena, &llm_setting_shape, SHAPE_CREATE, each.item, LOC_INDEX(loc, index), &setting, &given,
                   reading->faults);
    }
}

static void read_source_nodes(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    struct source_node node;
    struct given given;
    struct buf out = {0};
    int64_t index = 0;

    buf_add_str(&out, S("["));
    for (struct json_each each = json_each(value); json_next(&each); index++) {
        shape_defaults(reading->arena, &source_node_shape, &node);
        shape_read(reading->arena, &source_node_shape, SHAPE_CREATE, each.item, LOC_INDEX(loc, index), &node, &given,
                   reading->faults);
        json_put_comma(&out);
        shape_write(&out, &source_node_shape, &node);
    }
    buf_add_str(&out, S("]"));
    *(struct str *)at = kept(reading->arena, &out);
}

static void read_graph(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    struct graph_item item;
    struct given given;
    int64_t index = 0;

    (void)at;
    for (struct json_each each = json_each(value); json_next(&each); index++) {
        const struct loc *here = LOC_INDEX(loc, index);
        shape_defaults(reading->arena, &graph_item_in_shape, &item);
        shape_read(reading->arena, &graph_item_in_shape, SHAPE_CREATE, each.item, here, &item, &given, reading->faults);
    }
}

/* What a later part will give a meaning to: an empty list says nothing, a full one would be a promise. */
static void refuse_items(struct reading *reading, struct json value, const struct loc *loc, void *at, const char *sentence)
{
    if (json_count(value)) fault_value(reading->faults, loc, input_of(reading, value), sentence);
    *(struct str *)at = S("[]");
}
static void read_orchestration(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    refuse_items(reading, value, loc, at, "orchestration nodes are not available yet");
}
static void read_attached(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    refuse_items(reading, value, loc, at, "attached tools are not available yet");
}
static void read_knowledge(struct reading *reading, struct json value, const struct loc *loc, void *at)
{
    refuse_items(reading, value, loc, at, "knowledge bases are not available yet");
}

/* ---- the table ----------------------------------------------------------------------------
 * In the order of the reply. READ_ONLY: no part of a request. UNSTORED: computed, or a column. */
#define ROW(kind_, name_, ...) {.name = #name_, .kind = FIELD_##kind_, .at = offsetof(struct agent, name_), __VA_ARGS__}
#define FIXED (READ_ONLY | UNSTORED)
enum { LIST_ITEMS_MAX = 1000 }; /* whose items are looked at one by one, on the loop */
static const struct field fields[] = {
    ROW(TEXT, id, .flags = FIXED),
    ROW(TEXT, organization_id, .flags = UNSTORED), /* checked; never chooses */
    ROW(TEXT, name, .flags = REQUIRED, .low = 1, .high = 256),
    ROW(TEXT, unique_name, .flags = FIXED),
    ROW(TEXT, description, .normal = "\"\""),
    ROW(TEXT, icon, .normal = "\"🚀\""),
    ROW(TEXT, avatar, .normal = "\"male-avatar\""),
    ROW(ENUM, type, .flags = CREATE_ONLY, .words = agent_type_words, .read = read_type),
    ROW(ENUM, status, .flags = UPDATE_ONLY | UNSTORED, .words = agent_status_words, .normal = "\"ACTIVE\""),
    ROW(ENUM, deployment_type, .words = deployment_words),
    ROW(ENUM, access_scope, .words = scope_words, .normal = "\"organizational\""),
    ROW(TEXT, environment_id, .normal = "\"\""),
    ROW(ENUM, framework, .words = framework_words),
    ROW(CUSTOM, model_provider, .read = read_provider, .write = write_text),
    ROW(TEXT, model_name, .normal = "\"\""),
    ROW(ENUM, llm_reasoning_effort, .words = effort_words, .normal = "\"medium\""),
    ROW(TEXT, llm_api_base, .flags = NULLABLE, .read = read_api_base),
    ROW(CUSTOM, llm_credentials, .flags = NULLABLE, .read = read_credentials, .write = write_credentials),
    ROW(TEXT, llm_credentials_key, .flags = NULLABLE),
    ROW(ENUM, llm_credentials_key_type, .words = key_type_words),
    ROW(OBJECT, llm_extra_headers, .normal = "{}", .read = read_headers),
    ROW(OBJECTS, llm_settings, .normal = "[]", .high = LIST_ITEMS_MAX, .read = read_llm_settings),
    ROW(SHAPE, instructions, .inner = &instructions_shape),
    ROW(LIST, tools, .flags = FIXED, .normal = "[]"),
    ROW(OBJECTS, graph, .flags = UPDATE_ONLY | UNSTORED, .normal = "[]", .high = ATTACHMENTS_MAX, .read = read_graph),
    ROW(LIST, attached_tools, .flags = UNSTORED, .normal = "[]", .read = read_attached),
    ROW(LIST, knowledge_bases, .flags = UNSTORED, .normal = "[]", .read = read_knowledge),
    ROW(LIST, knowledge_base_ids, .flags = FIXED, .normal = "[]"),
    ROW(OBJECTS, source_nodes, .normal = "[]", .high = LIST_ITEMS_MAX, .read = read_source_nodes),
    ROW(LIST, source_node_types, .flags = FIXED, .normal = "[]"),
    ROW(ENUM, output_format, .words = format_words, .normal = "\"markdown\""),
    ROW(OBJECT, output_schema, .flags = NULLABLE, .normal = "null"),
    ROW(TEXT, voice_id, .flags = NULLABLE),
    ROW(TEXT, expected_output, .normal = "\"\""),
    ROW(SHAPE, agno_settings, .inner = &agno_shape),
    ROW(BOOL, deep_planning, .normal = "false"),
    ROW(BOOL, enforce_deep_planning, .normal = "false"),
    ROW(BOOL, using_nemo, .normal = "false"),
    ROW(OBJECT, connectivity_details, .normal = "{}"),
    ROW(OBJECT, notification_settings, .normal = "{}"),
    ROW(OBJECT, oas, .flags = FIXED, .normal = "{}"),
    ROW(LIST, orchestration_nodes, .flags = UNSTORED, .normal = "[]", .read = read_orchestration),
    ROW(OBJECT, task_level_strategies, .flags = NULLABLE, .normal = "null"),
    ROW(ENUM, delegation_type, .words = delegation_words),
    ROW(ENUM, delegation_end_strategy, .words = end_words),
    ROW(ENUM, delegation_memory_strategy, .words = memory_words, .normal = "\"summarization\""),
    ROW(BOOL, sub_agents_continuous_thread, .normal = "true"),
    ROW(BOOL, on_prem_event_streaming, .normal = "true"),
    ROW(BOOL, deletable, .flags = FIXED, .normal = "true"),
    ROW(BOOL, workspace_tools_enabled, .flags = FIXED, .normal = "false"),
    ROW(BOOL, can_self_schedule, .flags = FIXED, .normal = "false"),
    ROW(BOOL, live_surface_sharing_enabled, .flags = FIXED, .normal = "false"),
    ROW(BOOL, use_dynamic_tools, .flags = FIXED, .normal = "false"),
    ROW(BOOL, with_auto_context_management, .flags = FIXED, .normal = "false"),
    ROW(BOOL, is_ai_employee, .normal = "false"),
    ROW(BOOL, is_generalist, .normal = "false"),
    ROW(BOOL, prompts_caching_enabled, .normal = "false"),
    ROW(BOOL, use_oidc_pre_auth, .normal = "false"),
    ROW(BOOL, use_oidc_pre_auth_token_for_llm, .normal = "false"),
    ROW(TEXTS, pre_auth_audiences, .normal = "[]"),
    ROW(TEXTS, prompts, .normal = "[]"),
    ROW(TEXT, oidc_pre_auth_token_llm_audience, .flags = NULLABLE),
    ROW(TEXT, oidc_pre_auth_token_mcp_audience, .flags = NULLABLE),
    ROW(TEXT, created_by_prompt, .flags = READ_ONLY | NULLABLE),
    ROW(TEXT, origin_template, .flags = READ_ONLY | NULLABLE),
    ROW(BOOL, is_coordinate_mode, .flags = FIXED, .normal = "true"),
    ROW(INT, version, .flags = FIXED, .normal = "1", .low = 1, .high = INT64_MAX),
    ROW(BOOL, is_latest, .flags = FIXED, .normal = "true"),
    ROW(BOOL, has_pending_changes, .flags = FIXED, .normal = "false"),
    ROW(TEXT, webhook_url, .flags = FIXED),
    ROW(TIME, created_at, .flags = FIXED),
    ROW(TEXT, created_by, .flags = CREATE_ONLY | NULLABLE),
    ROW(OBJECT, created_by_details, .flags = FIXED | NULLABLE, .normal = "null"),
    /* Never shown. */
    ROW(LIST, attachments, .flags = READ_ONLY | HIDDEN, .normal = "[]"),
    ROW(TEXT, agent_id, .flags = UPDATE_ONLY | HIDDEN | UNSTORED),
    ROW(BOOL, should_reset_graph, .flags = UPDATE_ONLY | HIDDEN | UNSTORED, .normal = "false"),
};
#undef ROW
const struct shape agent_shape = {"Agent", sizeof(struct agent), fields, sizeof fields / sizeof *fields};

const struct shape *agent_item_shape(void)
{
    static const char *const names[] = {
        "id", "organization_id", "name", "unique_name", "description", "icon", "status", "type", "access_scope",
        "deployment_type", "framework", "model_provider", "model_name", "llm_api_base", "instructions", "using_nemo",
        "is_coordinate_mode", "has_pending_changes", "version", "tools", "created_at", "created_by"};
    enum { COUNT = sizeof names / sizeof *names };
    static struct field rows[COUNT];
    static struct shape shape;

    if (shape.fields_count) return &shape;
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < agent_shape.fields_count; k++)
            if (!strcmp(names[i], fields[k].name)) rows[i] = fields[k];
    shape = (struct shape){"AgentListItem", sizeof(struct agent), rows, COUNT};
    return &shape;
}

void agent_begin(struct arena *arena, struct agent *out, bool (*speaks)(struct str provider))
{
    *out = (struct agent){.speaks = speaks};
    shape_defaults(arena, &agent_shape, out);
    out->speaks = speaks;
}

/* ---- credentials ---------------------------------------------------------------------- */

static const struct field secret_fields[] = {
    {.name = "key", .kind = FIELD_TEXT, .at = offsetof(struct agent_secret, key), .normal = "\"\""},
    {.name = "headers", .kind = FIELD_OBJECT, .at = offsetof(struct agent_secret, headers), .normal = "{}"},
    {.name = "auth_value", .kind = FIELD_TEXT, .at = offsetof(struct agent_secret, auth_value), .normal = "\"\""},
};
const struct shape agent_secret_shape = {"AgentSecret", sizeof(struct agent_secret), secret_fields, 3};

bool header_is_secret(struct str name)
{
    static const struct str words[] = {{"auth", 4}, {"key", 3}, {"token", 5}, {"secret", 6}, {"cookie", 6}};

    for (int w = 0; w < 5; w++)
        for (size_t i = 0; i + words[w].count <= name.count; i++)
            if (str_eq_nocase(str_cut(name, i, words[w].count), words[w])) return true;
    return false;
}

static void put_member(struct buf *out, struct str key, struct str text)
{
    json_put_comma(out);
    json_put_text(out, key);
    buf_add_str(out, S(":"));
    json_put_text(out, text);
}

/* A value that was given, and is not the mask, takes the place of what is kept. */
static bool replace(struct str *kept_value, struct str given)
{
    if (str_is(given, MASK) || str_eq(*kept_value, given)) return false;
    *kept_value = given;
    return true;
}

/* Headers that older versions have and this one has not stay in the secret. */
static bool hide_headers(struct arena *arena, struct agent *agent, struct agent_secret *secret)
{
    struct json given = parsed(arena, agent->llm_extra_headers), old = parsed(arena, secret->headers);
    struct buf shown = {0}, hidden = {0};
    bool has_changed = false;

    buf_add_str(&shown, S("{"));
    buf_add_str(&hidden, S("{"));
    for (struct json_each each = json_each(given); json_next(&each);) {
        struct str value = json_text(each.item);
        if (!header_is_secret(each.key)) {
            put_member(&shown, each.key, value);
            continue;
        }
        put_member(&shown, each.key, S(MASK));
        const char *name = str_z(arena, each.key);
        struct json stored = json_get(old, name);
        if (str_is(value, MASK)) continue;
        if (json_is_there(stored) && str_eq(json_text(stored), value)) continue;
        put_member(&hidden, each.key, value);
        has_changed = true;
    }
    for (struct json_each each = json_each(old); json_next(&each);) {
        struct str now = json_text(json_get(given, str_z(arena, each.key)));
        if (!now.count || str_is(now, MASK) || str_eq(now, json_text(each.item)))
            put_member(&hidden, each.key, json_text(each.item));
    }
    buf_add_str(&shown, S("}"));
    buf_add_str(&hidden, S("}"));
    agent->llm_extra_headers = kept(arena, &shown);
    secret->headers = kept(arena, &hidden);
    return has_changed;
}

static bool hide_auth_value(struct arena *arena, struct agent *agent, struct agent_secret *secret)
{
    struct json details = parsed(arena, agent->connectivity_details);
    struct json value = json_get(details, "auth_value");
    struct buf out = {0};

    if (!json_is_there(value) || json_is_null(value)) return false;
    buf_add_str(&out, S("{"));
    for (struct json_each each = json_each(details); json_next(&each);) {
        json_put_comma(&out);
        json_put_text(&out, each.key);
        buf_add_str(&out, S(":"));
        if (str_is(each.key, "auth_value"))
            json_put_text(&out, S(MASK));
        else
            json_put(&out, each.item);
    }
    buf_add_str(&out, S("}"));
    agent->connectivity_details = kept(arena, &out);
    return replace(&secret->auth_value, json_type(value) == JSON_TEXT ? json_text(value) : json_compact(arena, value));
}

bool agent_hide(struct arena *arena, struct agent *agent, struct agent_secret *secret)
{
    bool has_changed = false;

    if (agent->llm_credentials.is_there) {
        has_changed |= replace(&secret->key, agent->llm_credentials.value);
        agent->llm_credentials.value = S(MASK);
    }
    has_changed |= hide_headers(arena, agent, secret);
    has_changed |= hide_auth_value(arena, agent, secret);
    return has_changed;
}

struct str agent_key(const struct agent *agent, const struct agent_secret *secret)
{
    return agent->llm_credentials.is_there ? secret->key : S("");
}

struct str agent_headers(struct arena *arena, const struct agent *agent, const struct agent_secret *secret)
{
    struct json values = parsed(arena, secret->headers);
    struct buf out = {0};

    buf_add_str(&out, S("{"));
    for (struct json_each each = json_each(parsed(arena, agent->llm_extra_headers)); json_next(&each);) {
        if (!header_is_secret(each.key)) {
            put_member(&out, each.key, json_text(each.item));
            continue;
        }
        struct json value = json_get(values, str_z(arena, each.key));
        if (json_is_there(value)) put_member(&out, each.key, json_text(value));
    }
    buf_add_str(&out, S("}"));
    return kept(arena, &out);
}

/* ---- showing and keeping ------------------------------------------------------------------ */

void agent_show(struct arena *arena, struct agent *agent)
{
    struct str seen[16];
    int seen_count = 0;
    struct buf out = {0};

    agent->is_coordinate_mode = agent->agno_settings.coordinate_mode;
    buf_add_str(&out, S("["));
    for (struct json_each each = json_each(parsed(arena, agent->source_nodes)); json_next(&each);) {
        struct str type = json_text(json_get(each.item, "type"));
        bool is_new = true;
        for (int i = 0; i < seen_count; i++) is_new &= !str_eq(seen[i], type);
        if (!is_new) continue;
        assert(seen_count < (int)(sizeof seen / sizeof *seen)); /* there are fewer words */
        seen[seen_count++] = type;
        json_put_comma(&out);
        json_put_text(&out, type);
    }
    buf_add_str(&out, S("]"));
    agent->source_node_types = kept(arena, &out);
}

static struct str first_line(struct arena *arena, struct str list)
{
    for (struct json_each each = json_each(parsed(arena, list)); json_next(&each);)
        if (str_trim(json_text(each.item)).count) return str_trim(json_text(each.item));
    return S("");
}

/* Up to the first full stop, mark or line break that ends a sentence. */
static struct str first_sentence(struct str text)
{
    enum { BYTES_MAX = 160 }; /* so that code points are no more */

    for (size_t i = 0; i < text.count; i++) {
        bool is_end = i + 1 == text.count || text.at[i + 1] == ' ' || text.at[i + 1] == '\n';
        if (text.at[i] == '\n' || text.at[i] == '\r') return str_trim(str_cut(text, 0, i < BYTES_MAX ? i : str_utf8_floor(text, BYTES_MAX)));
        if (i >= BYTES_MAX) break;
        if ((text.at[i] == '.' || text.at[i] == '!' || text.at[i] == '?') && is_end) return str_cut(text, 0, i + 1);
    }
    return text.count <= BYTES_MAX ? text : str_trim(str_cut(text, 0, str_utf8_floor(text, BYTES_MAX)));
}

void agent_describe(struct arena *arena, struct agent *agent)
{
    const struct instructions *told = &agent->instructions;

    if (agent->description.count) return;
    struct str text = str_trim(told->general);
    if (!text.count) text = first_line(arena, told->goal);
    if (!text.count) text = first_line(arena, told->role);
    agent->description = first_sentence(text);
}

struct str agent_content(struct arena *arena, const struct agent *agent)
{
    struct buf out = {0};

    shape_store(&out, &agent_shape, agent);
    struct str copy = out.is_failed ? (struct str){0} : str_copy(arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

struct err agent_load(struct arena *arena, struct str content, struct agent *out)
{
    agent_begin(arena, out, 0);
    return shape_load(arena, &agent_shape, content, out);
}

double agent_temperature(struct arena *arena, const struct agent *agent)
{
    for (struct json_each each = json_each(parsed(arena, agent->llm_settings)); json_next(&each);) {
        struct json value = json_get(each.item, "temperature");
        bool is_number = json_type(value) == JSON_INT || json_type(value) == JSON_NUMBER;
        if (str_is(json_text(json_get(each.item, "type")), "before")) return is_number ? json_number(value) : -1;
    }
    return -1;
}

struct str agent_slug(struct arena *arena, uint64_t random)
{
    static const char *const adjectives[] = {
        "amber", "ancient", "azure", "bold", "brave", "bright", "brisk", "calm", "candid", "clever", "cosmic", "crimson",
        "crisp", "curious", "daring", "eager", "early", "fair", "fancy", "fast", "fierce", "gentle", "glad", "golden",
        "grand", "happy", "hardy", "honest", "humble", "jolly", "keen", "kind", "lively", "loyal", "lucky", "lunar",
        "mellow", "merry", "mighty", "misty", "modest", "neat", "noble", "polite", "proud", "quick", "quiet", "rapid",
        "rare", "rosy", "royal", "silent", "silver", "smooth", "snowy", "solar", "steady", "sunny", "swift", "tidy",
        "vivid", "warm", "wise", "witty"};
    static const char *const animals[] = {
        "badger", "bear", "beaver", "bison", "camel", "cat", "cheetah", "cobra", "condor", "crane", "deer", "dolphin",
        "dove", "eagle", "elk", "falcon", "ferret", "finch", "fox", "gazelle", "gecko", "giraffe", "goose", "hare",
        "hawk", "heron", "horse", "ibex", "jackal", "jaguar", "kiwi", "koala", "lark", "lemur", "lion", "llama",
        "lynx", "magpie", "marten", "mole", "moose", "newt", "orca", "otter", "owl", "panda", "panther", "pelican",
        "penguin", "puma", "rabbit", "raven", "robin", "seal", "shark", "sparrow", "stork", "swan", "tiger", "toad",
        "turtle", "walrus", "whale", "wolf"};

    return strf(arena, "%s-%s", adjectives[random % 64], animals[random / 64 % 64]);
}
