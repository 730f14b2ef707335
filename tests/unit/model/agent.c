#include "model/agent.h"

#include "base/assets.h"
#include "model/agno.h"
#include "model/tool.h"
#include "test.h"

static bool speaks(struct str provider)
{
    return !str_is(provider, "anthropic");
}

static struct json parsed(struct str text)
{
    struct json json;

    CHECK_OK(json_parse(test_arena(), text, &json, 0));
    return json;
}

static struct json schema(const char *name)
{
    struct json whole = {0};

    for (int i = 0; i < assets_count; i++)
        if (!strcmp(assets[i].path, "contract/openapi.json"))
            CHECK_OK(json_parse_own(test_arena(), str_n((const char *)assets[i].bytes, assets[i].bytes_count), &whole));
    struct json found = json_get(json_get(json_get(whole, "components"), "schemas"), name);
    CHECK(json_is_there(found));
    return found;
}

static struct agent agent;
static struct given given;

/* What is said about a body; "" = nothing. */
static const char *reads(enum shape_mode mode, const char *body)
{
    struct faults faults = faults_new(test_arena());
    struct loc loc = {.name = "body"};

    if (mode == SHAPE_CREATE) agent_begin(test_arena(), &agent, speaks);
    shape_read(test_arena(), &agent_shape, mode, parsed(str(body)), &loc, &agent, &given, &faults);
    const char *said = faults.count ? str_z(test_arena(), faults_body(&faults)) : "";
    faults_free(&faults);
    return said;
}
#define CREATES(body) CHECK(!strcmp(reads(SHAPE_CREATE, (body)), ""))
#define UPDATES(body) CHECK(!strcmp(reads(SHAPE_UPDATE, (body)), ""))
#define REFUSES(body, what) CHECK(strstr(reads(SHAPE_CREATE, (body)), (what)))

static struct json shown(const struct shape *shape)
{
    struct buf out = {0};

    agent_show(test_arena(), &agent);
    shape_write(&out, shape, &agent);
    struct json json = parsed(str_copy(test_arena(), buf_str(&out)));
    buf_free(&out);
    return json;
}

static bool shows(const char *field, const char *json)
{
    return str_is(json_compact(test_arena(), json_get(shown(&agent_shape), field)), json);
}

/* ---- against the contract ------------------------------------------------------------- */

/* Which rows of a shape a schema shows: the names must be the same, neither more nor fewer. */
static void same_names(const char *name, const struct shape *shape, unsigned not_these)
{
    struct json properties = json_get(schema(name), "properties");
    size_t count = 0;

    for (int i = 0; i < shape->fields_count; i++) {
        if (shape->fields[i].flags & not_these) continue;
        count++;
        if (!json_is_there(json_get(properties, shape->fields[i].name)))
            test_fail(__FILE__, __LINE__, arena_printf(test_arena(), "%s has no %s", name, shape->fields[i].name));
    }
    if (count != json_count(properties))
        test_fail(__FILE__, __LINE__, arena_printf(test_arena(), "%s has other fields too", name));
}

TEST(the_agent_has_the_fields_of_the_contract_in_its_order)
{
    struct json_each each = json_each(json_get(schema("Agent"), "required"));

    same_names("Agent", &agent_shape, HIDDEN);
    for (int i = 0; i < agent_shape.fields_count; i++)
        if (!(agent_shape.fields[i].flags & HIDDEN))
            CHECK(json_next(&each) && str_is(json_text(each.item), agent_shape.fields[i].name));
    CHECK(!json_next(&each));
}

TEST(what_a_create_and_an_update_may_say_is_in_the_contract)
{
    same_names("AgentCreate", &agent_shape, READ_ONLY | UPDATE_ONLY);
    same_names("AgentUpdate", &agent_shape, READ_ONLY | CREATE_ONLY);
}

TEST(the_smaller_shapes_have_the_fields_of_the_contract)
{
    same_names("AgentListItem", agent_item_shape(), 0);
    same_names("AgentTool", &agent_tool_shape, 0);
    same_names("AgentGraphItem", &graph_item_shape, 0);
    same_names("GraphItemInput", &graph_item_in_shape, 0);
    same_names("AgnoSettings", &agno_shape, 0);
    same_names("Instructions", &instructions_shape, 0);
    same_names("Credentials", &credentials_shape, 0);
    same_names("SourceNode", &source_node_shape, 0);
    same_names("LlmSetting", &llm_setting_shape, 0);
}

static int same_defaults(const char *name, struct json out)
{
    int compared = 0;

    for (struct json_each each = json_each(json_get(schema(name), "properties")); json_next(&each);) {
        struct json normal = json_get(each.item, "default");
        if (!json_is_there(normal)) continue;
        struct json ours = json_get(out, str_z(test_arena(), each.key));
        compared++;
        if (!str_eq(json_compact(test_arena(), normal), json_compact(test_arena(), ours)))
            test_fail(__FILE__, __LINE__, arena_printf(test_arena(), "%s: %.*s", name, STR_ARGS(each.key)));
    }
    return compared;
}

TEST(defaults_are_those_of_the_contract)
{
    CREATES("{\"name\":\"a\"}");
    struct json out = shown(&agent_shape), agno = json_get(out, "agno_settings");
    CHECK(same_defaults("Agent", out) > 20);
    CHECK(same_defaults("AgnoSettings", agno) > 10);
    CHECK(str_is(json_compact(test_arena(), json_get(agno, "tool_calls_compression")),
                 "{\"enabled\":false,\"threshold\":3,\"instructions\":\"\"}"));
}

static void same_words(const char *name, const char *const *words)
{
    struct json_each each = json_each(json_get(schema(name), "enum"));

    for (int i = 0; words[i]; i++) CHECK(json_next(&each) && str_is(json_text(each.item), words[i]));
    CHECK(!json_next(&each));
}

TEST(words_are_those_of_the_contract)
{
    same_words("AgentType", agent_type_words);
    same_words("AgentStatus", agent_status_words);
    same_words("ModelProvider", provider_words);
    same_words("ReasoningEffort", effort_words);
    same_words("OutputFormat", format_words);
}

/* ---- reading ------------------------------------------------------------------------------ */

TEST(an_agent_needs_a_name_of_1_to_256_characters)
{
    REFUSES("{}", "\"missing\",\"loc\":[\"body\",\"name\"]");
    REFUSES("{\"name\":null}", "missing");
    REFUSES("{\"name\":\"\"}", "string_too_short");
    CREATES("{\"name\":\"ü\"}");
    CREATES(arena_printf(test_arena(), "{\"name\":\"%0256d\"}", 0));
    REFUSES(arena_printf(test_arena(), "{\"name\":\"%0257d\"}", 0), "string_too_long");
}

TEST(every_wrong_field_is_named)
{
    const char *said = reads(SHAPE_CREATE, "{\"name\":5,\"deep_planning\":1,\"icon\":[],\"framework\":\"x\","
                                           "\"agno_settings\":{\"learning\":\"no\"},\"instructions\":{\"role\":[1]}}");
    CHECK(strstr(said, "[\"body\",\"name\"]") && strstr(said, "[\"body\",\"deep_planning\"]"));
    CHECK(strstr(said, "[\"body\",\"icon\"]") && strstr(said, "[\"body\",\"framework\"]"));
    CHECK(strstr(said, "[\"body\",\"agno_settings\",\"learning\"]"));
    CHECK(strstr(said, "[\"body\",\"instructions\",\"role\",0]"));
}

TEST(other_types_of_agents_come_later)
{
    CREATES("{\"name\":\"a\",\"type\":\"regular\"}");
    CHECK(agent.type == AGENT_REGULAR);
    REFUSES("{\"name\":\"a\",\"type\":\"a2a\"}", "value_error");
    REFUSES("{\"name\":\"a\",\"type\":\"curl\"}", "value_error");
    REFUSES("{\"name\":\"a\",\"type\":\"orchestration\"}", "value_error");
    REFUSES("{\"name\":\"a\",\"type\":\"x\"}", "\"enum\"");
}

TEST(a_provider_is_known_and_can_be_spoken_to)
{
    CREATES("{\"name\":\"a\",\"model_provider\":\"bedrock\"}");
    CHECK(shows("model_provider", "\"amazon_bedrock\""));
    REFUSES("{\"name\":\"a\",\"model_provider\":\"anthropic\"}", "\"value_error\",\"loc\":[\"body\",\"model_provider\"]");
    REFUSES("{\"name\":\"a\",\"model_provider\":\"nobody\"}", "\"enum\"");
    REFUSES("{\"name\":\"a\",\"model_provider\":7}", "\"enum\"");
    CREATES("{\"name\":\"a\",\"model_provider\":null}");
    CHECK(!agent.model_provider.count);
}

TEST(a_base_is_an_http_url)
{
    CREATES("{\"name\":\"a\",\"llm_api_base\":\"https://h.example/v1\"}");
    REFUSES("{\"name\":\"a\",\"llm_api_base\":\"ftp://h.example/v1\"}", "url_scheme");
    REFUSES("{\"name\":\"a\",\"llm_api_base\":\"http://\"}", "url_parsing");
    REFUSES("{\"name\":\"a\",\"llm_api_base\":\"\"}", "url_parsing");
    CREATES("{\"name\":\"a\",\"llm_api_base\":null}");
    CHECK(shows("llm_api_base", "null"));
}

TEST(headers_are_texts_that_http_can_carry)
{
    CREATES("{\"name\":\"a\",\"llm_extra_headers\":{\"X-A\":\"b c\"}}");
    REFUSES("{\"name\":\"a\",\"llm_extra_headers\":{\"X-A\":1}}", "[\"body\",\"llm_extra_headers\",\"X-A\"]");
    REFUSES("{\"name\":\"a\",\"llm_extra_headers\":{\"X\":\"a\\r\\nHost: b\"}}", "value_error");
    REFUSES("{\"name\":\"a\",\"llm_extra_headers\":{\"X Y\":\"a\"}}", "value_error");
    REFUSES("{\"name\":\"a\",\"llm_extra_headers\":{\"\":\"a\"}}", "value_error");
}

TEST(lists_whose_items_are_looked_at_have_an_end)
{
    struct buf headers = {0}, nodes = {0};

    for (int i = 0; i < 1001; i++) {
        if (i < 101) buf_addf(&headers, "%s\"x-%d\":\"a\"", i ? "," : "", i);
        buf_addf(&nodes, "%s{\"type\":\"sdk\"}", i ? "," : "");
    }
    REFUSES(arena_printf(test_arena(), "{\"name\":\"a\",\"llm_extra_headers\":{%.*s}}", STR_ARGS(headers)), "at most 100 headers");
    REFUSES(arena_printf(test_arena(), "{\"name\":\"a\",\"source_nodes\":[%.*s]}", STR_ARGS(nodes)), "too_long");
    buf_free(&headers);
    buf_free(&nodes);
}

TEST(instructions_are_lists_and_may_be_lines)
{
    CREATES("{\"name\":\"a\",\"instructions\":{\"role\":\" one\\n\\n two \\n\",\"goal\":[\" x \"]}}");
    CHECK(shows("instructions", "{\"role\":[\"one\",\"two\"],\"goal\":[\" x \"],\"general\":\"\"}"));
    REFUSES("{\"name\":\"a\",\"instructions\":{\"goal\":7}}", "list_type");
}

TEST(an_update_changes_only_the_keys_that_it_has)
{
    CREATES("{\"name\":\"a\",\"instructions\":{\"role\":[\"r\"],\"general\":\"g\"},"
            "\"agno_settings\":{\"learning\":true,\"tool_calls_compression\":{\"threshold\":9}}}");
    UPDATES("{\"instructions\":{\"goal\":[\"x\"]},\"agno_settings\":{\"num_history_runs\":2,"
            "\"tool_calls_compression\":{\"enabled\":true}}}");
    CHECK(shows("name", "\"a\""));
    CHECK(shows("instructions", "{\"role\":[\"r\"],\"goal\":[\"x\"],\"general\":\"g\"}"));
    CHECK(agent.agno_settings.learning && agent.agno_settings.num_history_runs == 2);
    CHECK(agent.agno_settings.tool_calls_compression.threshold == 9 && agent.agno_settings.tool_calls_compression.enabled);
}

TEST(null_resets_what_may_be_null_and_is_nothing_elsewhere)
{
    CREATES("{\"name\":\"a\",\"llm_api_base\":\"http://h/\",\"description\":\"d\",\"output_schema\":{\"a\":1},"
            "\"llm_credentials\":{\"name\":\"n\",\"value\":\"v\"}}");
    UPDATES("{\"name\":null,\"llm_api_base\":null,\"description\":null,\"output_schema\":null,\"llm_credentials\":null}");
    CHECK(shows("name", "\"a\"") && shows("description", "\"d\""));
    CHECK(shows("llm_api_base", "null") && shows("output_schema", "null") && shows("llm_credentials", "null"));
}

TEST(credentials_are_replaced_as_a_whole)
{
    CREATES("{\"name\":\"a\",\"llm_credentials\":{\"name\":\"n\",\"description\":\"d\",\"value\":\"v\"}}");
    CHECK(strstr(reads(SHAPE_UPDATE, "{\"llm_credentials\":{\"value\":\"w\"}}"), "[\"body\",\"llm_credentials\",\"name\"]"));
    UPDATES("{\"llm_credentials\":{\"name\":\"m\",\"value\":\"w\"}}");
    CHECK(shows("llm_credentials", "{\"name\":\"m\",\"description\":null,\"value\":\"w\"}"));
    REFUSES("{\"name\":\"a\",\"llm_credentials\":\"v\"}", "model_attributes_type");
}

TEST(what_comes_later_is_refused_when_it_says_something)
{
    static const char *const names[] = {"attached_tools", "knowledge_bases", "orchestration_nodes"};

    CREATES("{\"name\":\"a\"}");
    for (int i = 0; i < 3; i++) {
        UPDATES(arena_printf(test_arena(), "{\"%s\":[]}", names[i]));
        CHECK(strstr(reads(SHAPE_UPDATE, arena_printf(test_arena(), "{\"%s\":[{\"id\":\"x\"}]}", names[i])), "value_error"));
        CHECK(strstr(reads(SHAPE_UPDATE, arena_printf(test_arena(), "{\"%s\":{}}", names[i])), "list_type"));
        CHECK(shows(names[i], "[]"));
    }
}

TEST(graph_items_are_checked_one_by_one)
{
    CREATES("{\"name\":\"a\"}");
    UPDATES("{\"graph\":[{\"item_id\":\"x\",\"type\":\"agent\"},{\"item_id\":\"y\",\"type\":\"source_node\",\"other\":1}]}");
    CHECK(strstr(reads(SHAPE_UPDATE, "{\"graph\":[{\"item_id\":\"x\",\"type\":\"mcp\"}]}"), "\"value_error\",\"loc\":[\"body\",\"graph\",0,\"type\"]"));
    const char *said = reads(SHAPE_UPDATE, "{\"graph\":[{\"type\":\"agent\",\"targets\":[1]}]}");
    CHECK(strstr(said, "[\"body\",\"graph\",0,\"item_id\"]") && strstr(said, "[\"body\",\"graph\",0,\"targets\",0]"));
}

TEST(source_nodes_have_all_their_keys_and_give_the_types)
{
    CREATES("{\"name\":\"a\",\"source_nodes\":[{\"type\":\"sdk\"},{\"type\":\"slack\",\"id\":\"1\"},"
            "{\"type\":\"sdk\",\"metadata\":{\"k\":[1]}}]}");
    CHECK(shows("source_nodes", "[{\"id\":null,\"type\":\"sdk\",\"targets\":null,\"metadata\":{}},"
                                "{\"id\":\"1\",\"type\":\"slack\",\"targets\":null,\"metadata\":{}},"
                                "{\"id\":null,\"type\":\"sdk\",\"targets\":null,\"metadata\":{\"k\":[1]}}]"));
    CHECK(shows("source_node_types", "[\"sdk\",\"slack\"]"));
    REFUSES("{\"name\":\"a\",\"source_nodes\":[{\"id\":\"1\"}]}", "[\"body\",\"source_nodes\",0,\"type\"]");
}

TEST(the_temperature_is_that_of_the_first_item_before)
{
    CREATES("{\"name\":\"a\",\"llm_settings\":[{\"type\":\"after\",\"temperature\":1},{\"type\":\"before\",\"temperature\":0.5}]}");
    CHECK(agent_temperature(test_arena(), &agent) == 0.5);
    CREATES("{\"name\":\"a\",\"llm_settings\":[{\"type\":\"before\"},{\"type\":\"before\",\"temperature\":1}]}");
    CHECK(agent_temperature(test_arena(), &agent) < 0);
    REFUSES("{\"name\":\"a\",\"llm_settings\":[{\"type\":\"before\",\"temperature\":\"1\"}]}",
            "[\"body\",\"llm_settings\",0,\"temperature\"]");
}

TEST(constants_cannot_be_written)
{
    CREATES("{\"name\":\"a\",\"id\":\"x\",\"deletable\":false,\"use_dynamic_tools\":true,\"version\":9,\"tools\":[1],"
            "\"created_by_prompt\":\"p\",\"status\":\"INACTIVE\",\"knowledge_base_ids\":[1]}");
    CHECK(shows("deletable", "true") && shows("use_dynamic_tools", "false") && shows("version", "1") && shows("tools", "[]"));
    CHECK(shows("created_by_prompt", "null") && shows("status", "\"ACTIVE\"") && shows("knowledge_base_ids", "[]"));
}

/* ---- credentials ------------------------------------------------------------------------------ */

static struct agent_secret secret;

static void begin_with(const char *body)
{
    shape_defaults(test_arena(), &agent_secret_shape, &secret);
    CREATES(body);
}

TEST(credentials_never_stay_in_the_content)
{
    begin_with("{\"name\":\"a\",\"llm_credentials\":{\"name\":\"n\",\"value\":\"KEY-1\"},"
               "\"llm_extra_headers\":{\"X-Auth\":\"HEAD-1\",\"X-Plain\":\"p\"},"
               "\"connectivity_details\":{\"auth_value\":\"AUTH-1\",\"agent_url\":\"u\"}}");
    CHECK(agent_hide(test_arena(), &agent, &secret));
    CHECK(!strstr(str_z(test_arena(), agent_content(test_arena(), &agent)), "-1\""));
    CHECK(shows("llm_credentials", "{\"name\":\"n\",\"description\":null,\"value\":\"********\"}"));
    CHECK(shows("llm_extra_headers", "{\"X-Auth\":\"********\",\"X-Plain\":\"p\"}"));
    CHECK(shows("connectivity_details", "{\"auth_value\":\"********\",\"agent_url\":\"u\"}"));
    CHECK(str_is(agent_key(&agent, &secret), "KEY-1") && str_is(secret.auth_value, "AUTH-1"));
    CHECK(str_is(agent_headers(test_arena(), &agent, &secret), "{\"X-Auth\":\"HEAD-1\",\"X-Plain\":\"p\"}"));
}

TEST(writing_the_mask_back_keeps_what_is_stored)
{
    begin_with("{\"name\":\"a\",\"llm_credentials\":{\"name\":\"n\",\"value\":\"KEY-1\"},\"llm_extra_headers\":{\"X-Auth\":\"H\"},"
               "\"connectivity_details\":{\"auth_value\":\"A\"}}");
    agent_hide(test_arena(), &agent, &secret);
    UPDATES("{\"llm_credentials\":{\"name\":\"m\",\"value\":\"********\"},\"llm_extra_headers\":{\"X-Auth\":\"********\"},"
            "\"connectivity_details\":{\"auth_value\":\"********\"}}");
    CHECK(!agent_hide(test_arena(), &agent, &secret));
    CHECK(str_is(agent_key(&agent, &secret), "KEY-1") && str_is(secret.auth_value, "A"));
    CHECK(str_is(agent_headers(test_arena(), &agent, &secret), "{\"X-Auth\":\"H\"}"));
}

TEST(an_older_version_uses_the_newest_value)
{
    struct agent old;

    begin_with("{\"name\":\"a\",\"llm_credentials\":{\"name\":\"n\",\"value\":\"K1\"},"
               "\"llm_extra_headers\":{\"X-Key\":\"H1\",\"My-Token\":\"T\"}}");
    agent_hide(test_arena(), &agent, &secret);
    old = agent;
    UPDATES("{\"llm_credentials\":{\"name\":\"n\",\"value\":\"K2\"},\"llm_extra_headers\":{\"X-Key\":\"H2\"}}");
    CHECK(agent_hide(test_arena(), &agent, &secret));
    CHECK(str_is(agent_key(&old, &secret), "K2"));
    CHECK(str_is(agent_headers(test_arena(), &old, &secret), "{\"X-Key\":\"H2\",\"My-Token\":\"T\"}"));
    CHECK(str_is(agent_headers(test_arena(), &agent, &secret), "{\"X-Key\":\"H2\"}"));
    UPDATES("{\"llm_credentials\":null}");
    agent_hide(test_arena(), &agent, &secret);
    CHECK(str_is(agent_key(&agent, &secret), "") && str_is(agent_key(&old, &secret), "K2"));
}

TEST(a_mask_that_stands_for_nothing_is_no_credential)
{
    begin_with("{\"name\":\"a\",\"llm_extra_headers\":{\"X-Key\":\"********\"},\"llm_credentials\":{\"name\":\"n\",\"value\":\"********\"}}");
    CHECK(!agent_hide(test_arena(), &agent, &secret));
    CHECK(str_is(agent_headers(test_arena(), &agent, &secret), "{}") && str_is(agent_key(&agent, &secret), ""));
}

TEST(secret_headers_are_known_by_their_names)
{
    CHECK(header_is_secret(S("Authorization")) && header_is_secret(S("x-api-KEY")) && header_is_secret(S("Set-Cookie")));
    CHECK(header_is_secret(S("MySecretThing")) && header_is_secret(S("tokens")));
    CHECK(!header_is_secret(S("X-Trace")) && !header_is_secret(S("ke")) && !header_is_secret(S("")));
}

/* ---- showing and keeping ---------------------------------------------------------------------- */

TEST(content_comes_back_as_it_was_stored)
{
    struct agent back;

    CREATES("{\"name\":\"a\",\"type\":\"regular\",\"model_provider\":\"openai\",\"model_name\":\"m\",\"created_by\":\"ann\","
            "\"instructions\":{\"role\":[\"x\"]},\"agno_settings\":{\"learning\":true},\"prompts\":[\"p\"],"
            "\"llm_credentials\":{\"name\":\"n\",\"value\":\"********\"},\"output_schema\":{\"type\":\"object\"}}");
    agent.attachments = S("[{\"id\":\"1\"}]");
    struct str content = agent_content(test_arena(), &agent);
    CHECK_OK(agent_load(test_arena(), content, &back));
    CHECK(str_eq(agent_content(test_arena(), &back), content));
    CHECK(back.type == AGENT_REGULAR && str_is(back.attachments, "[{\"id\":\"1\"}]") && str_is(back.created_by, "ann"));
    CHECK(back.llm_credentials.is_there && back.agno_settings.learning);
}

/* A provider that was stored stays readable, also when its translator is gone. */
TEST(what_is_stored_is_read_without_rules)
{
    struct agent back;

    CREATES("{\"name\":\"a\",\"model_provider\":\"bedrock\"}");
    agent.model_provider = S("anthropic");
    CHECK_OK(agent_load(test_arena(), agent_content(test_arena(), &agent), &back));
    CHECK(str_is(back.model_provider, "anthropic"));
}

/* What is a column or computed must not make two equal contents differ. */
TEST(content_has_nothing_that_changes_by_itself)
{
    CREATES("{\"name\":\"a\"}");
    struct str content = agent_content(test_arena(), &agent);
    agent.id = S("i");
    agent.unique_name = S("u");
    agent.status = AGENT_INACTIVE;
    agent.version = 7;
    agent.is_latest = false;
    agent.has_pending_changes = true;
    agent.created_at = 5;
    agent.tools = agent.graph = S("[1]");
    agent.webhook_url = S("w");
    CHECK(str_eq(agent_content(test_arena(), &agent), content));
    agent.name = S("b");
    CHECK(!str_eq(agent_content(test_arena(), &agent), content));
}

static struct str described(const char *instructions)
{
    CREATES(arena_printf(test_arena(), "{\"name\":\"a\",\"instructions\":%s}", instructions));
    agent_describe(test_arena(), &agent);
    return agent.description;
}

TEST(a_description_is_the_first_sentence_of_the_instructions)
{
    CHECK(str_is(described("{\"general\":\"You are v1.5 of it. You help.\"}"), "You are v1.5 of it."));
    CHECK(str_is(described("{\"general\":\"one\\ntwo\"}"), "one"));
    CHECK(str_is(described("{\"goal\":[\"  \",\"Find it! Now\"],\"role\":[\"r\"]}"), "Find it!"));
    CHECK(str_is(described("{\"role\":[\"You are a cook\"]}"), "You are a cook"));
    CHECK(str_is(described("{}"), ""));
    agent.description = S("kept");
    agent_describe(test_arena(), &agent);
    CHECK(str_is(agent.description, "kept"));
}

TEST(a_description_has_at_most_160_characters)
{
    CHECK(described(arena_printf(test_arena(), "{\"general\":\"%0500d\"}", 0)).count == 160);
    char text[1000] = "a";
    for (int i = 0; i < 200; i++) strcat(text, "é");
    struct str cut = described(arena_printf(test_arena(), "{\"general\":\"%s\\nmore\"}", text));
    CHECK(str_is_utf8(cut) && cut.count > 100 && str_code_points(cut) <= 160);
}

TEST(a_slug_is_an_adjective_and_an_animal)
{
    CHECK(str_is(agent_slug(test_arena(), 0), "amber-badger"));
    CHECK(str_is(agent_slug(test_arena(), UINT64_MAX), "witty-wolf"));
    for (uint64_t i = 0; i < 64; i++) /* no word is missing in the tables */
        CHECK(agent_slug(test_arena(), i * 65).count >= 8 && !strstr(agent_slug(test_arena(), i * 65).at, "null"));
}
