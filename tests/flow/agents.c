/* agents.c: making agents, changing them, and their versions. */
#include <stdio.h>
#include "flow/play.h"

FLOW(a_new_agent_has_the_documented_defaults)
{
    struct client *anna = client(play);
    sends(anna, "POST /v1/agents", q("{'name':'Poet'}"));
    gets_status(anna, 201);
    CHECK(strlen(text_at(anna, "id")) == 36);
    has_text(anna, "organization_id", play->org);
    has_text(anna, "environment_id", play->org);
    static const char *const defaults[][2] = {
        {"name", "'Poet'"}, {"description", "''"}, {"icon", "'🚀'"}, {"avatar", "'male-avatar'"}, {"type", "'manager'"},
        {"status", "'ACTIVE'"}, {"deployment_type", "'serverless'"}, {"access_scope", "'organizational'"}, {"framework", "'agno'"},
        {"model_provider", "'openai'"}, {"model_name", "'gpt-4.1'"}, {"llm_reasoning_effort", "'medium'"}, {"llm_api_base", "null"},
        {"llm_credentials", "null"}, {"llm_credentials_key", "null"}, {"llm_credentials_key_type", "'xpander'"},
        {"llm_extra_headers", "{}"}, {"llm_settings", "[]"}, {"instructions", "{'role':[],'goal':[],'general':''}"}, {"tools", "[]"},
        {"graph", "[]"}, {"attached_tools", "[]"}, {"knowledge_bases", "[]"}, {"knowledge_base_ids", "[]"}, {"source_nodes", "[]"},
        {"source_node_types", "[]"}, {"output_format", "'markdown'"}, {"output_schema", "null"}, {"voice_id", "null"},
        {"expected_output", "''"}, {"agno_settings.num_history_runs", "10"}, {"deep_planning", "false"}, {"using_nemo", "false"},
        {"connectivity_details", "{}"}, {"orchestration_nodes", "[]"}, {"task_level_strategies", "null"},
        {"delegation_type", "'router'"}, {"delegation_end_strategy", "'return-to-start'"}, {"delegation_memory_strategy", "'summarization'"},
        {"deletable", "true"}, {"version", "1"}, {"is_latest", "true"}, {"has_pending_changes", "false"}, {"is_coordinate_mode", "true"},
        {"created_by", "null"}, {"created_by_details", "null"},
    };
    for (size_t i = 0; i < sizeof defaults / sizeof defaults[0]; i++) has(anna, defaults[i][0], defaults[i][1]);
    contains(anna, "webhook_url", f("/webhook?agent_id=%s&asynchronous=false", text_at(anna, "id")));
    CHECK(strchr(text_at(anna, "unique_name"), '-'));
    const char *whole = body_of(anna);
    sends(anna, f("GET /v1/agents/%s", text_at(anna, "id")), "");
    gets_status(anna, 200);
    CHECK(!strcmp(body_of(anna), whole));
}

FLOW(agents_are_listed_newest_first_in_pages)
{
    struct client *anna = client(play);
    sends(anna, "GET /v1/agents", "");
    gets_status(anna, 200);
    has(anna, "", "{'items':[],'total':0,'page':1,'per_page':20,'total_pages':0}");
    for (int i = 0; i < 5; i++) agent_of(anna, f("'name':'A%d'", i));
    sends(anna, "GET /v1/agents?per_page=2", "");
    gets_status(anna, 200);
    has(anna, "total", "5");
    has(anna, "total_pages", "3");
    has(anna, "items[0].name", "'A4'");
    has(anna, "items[1].name", "'A3'");
    CHECK(json_type(at(anna, "items[0].webhook_url")) == JSON_ABSENT);
    sends(anna, "GET /v1/agents/full?per_page=2&page=3", "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "items") == 1);
    has(anna, "items[0].name", "'A0'");
    CHECK(json_type(at(anna, "items[0].webhook_url")) == JSON_TEXT);
    sends(anna, "GET /v1/agents/list", "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == 5);
    has(anna, "[0].name", "'A4'");
    sends(anna, "GET /v1/agents?page=4", "");
    gets_status(anna, 200);
    has(anna, "items", "[]");
    sends(anna, "GET /v1/agents?per_page=51&page=0", "");
    has_fault(anna, "['query','per_page']", "less_than_equal");
    has_fault(anna, "['query','page']", "greater_than_equal");
}

FLOW(a_change_is_staged_until_it_is_deployed)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "'name':'Poet','instructions':{'role':['Old role.'],'goal':[],'general':''}");
    sends(anna, f("PATCH /v1/agents/%s", agent), q("{'instructions':{'role':['New role.']}}"));
    gets_status(anna, 200);
    has(anna, "version", "1");
    has(anna, "has_pending_changes", "true");
    has(anna, "instructions.role", "['New role.']");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    has(anna, "agent_version", "'1'");
    CHECK(strstr(json_z(model_heard(play)), "Old role."));
    sends(anna, f("POST /v1/agents/%s/invoke?version=draft", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    has(anna, "agent_version", "'draft'");
    CHECK(strstr(json_z(model_heard(play)), "New role."));
    sends(anna, f("PUT /v1/agents/%s", agent), "");
    gets_status(anna, 200);
    has(anna, "version", "2");
    has(anna, "has_pending_changes", "false");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    has(anna, "agent_version", "'2'");
    CHECK(strstr(json_z(model_heard(play)), "New role."));
    sends(anna, f("POST /v1/agents/%s/invoke?version=1", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    has(anna, "agent_version", "'1'");
    CHECK(strstr(json_z(model_heard(play)), "Old role."));
    static const char *const latest[] = {"?version=latest", "?version="};
    for (int i = 0; i < 2; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke%s", agent, latest[i]), says(play, "[[say ok]]", ""));
        gets_status(anna, 200);
        has(anna, "agent_version", "'2'");
    }
    static const char *const none[] = {"3", "0", "01", "-1", "x"};
    for (int i = 0; i < 5; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke?version=%s", agent, none[i]), says(play, "[[say ok]]", ""));
        has_fault(anna, "['query','version']", "value_error");
        contains(anna, "detail[0].msg", "No such version");
    }
}

FLOW(a_patch_may_deploy_at_once)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("PATCH /v1/agents/%s", agent), q("{'description':'One'}"));
    gets_status(anna, 200);
    sends(anna, f("PATCH /v1/agents/%s?deploy=true", agent), q("{'expected_output':'Two'}"));
    gets_status(anna, 200);
    has(anna, "version", "2");
    has(anna, "has_pending_changes", "false");
    has(anna, "description", "'One'"); /* what was staged before goes with it */
    sends(anna, f("PUT /v1/agents/%s", agent), "");
    gets_status(anna, 200);
    has(anna, "version", "3");
    sends(anna, f("PATCH /v1/agents/%s?deploy=maybe", agent), q("{'name':'x'}"));
    has_fault(anna, "['query','deploy']", "bool_parsing");
}

FLOW(undoing_a_change_by_hand_clears_the_pending_mark)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "'name':'Before'");
    sends(anna, f("PATCH /v1/agents/%s", agent), q("{'name':'After'}"));
    gets_status(anna, 200);
    has(anna, "has_pending_changes", "true");
    sends(anna, f("PATCH /v1/agents/%s", agent), q("{'name':'Before'}"));
    gets_status(anna, 200);
    has(anna, "has_pending_changes", "false");
    sends(anna, f("PATCH /v1/agents/%s", agent), q("{'status':'DRAFT'}"));
    gets_status(anna, 200);
    has(anna, "has_pending_changes", "false"); /* not versioned */
    has(anna, "status", "'DRAFT'");
}

FLOW(what_was_read_may_be_written_back)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "'name':'Poet','llm_credentials':{'name':'k','value':'tenant-secret-1'},"
                                       "'llm_extra_headers':{'x-api-key':'tenant-secret-2','x-team':'blue'}");
    has(anna, "llm_credentials.value", "'********'");
    has(anna, "llm_extra_headers", "{'x-api-key':'********','x-team':'blue'}");
    CHECK(!strstr(body_of(anna), "tenant-secret"));
    const char *whole = body_of(anna);
    sends(anna, f("PATCH /v1/agents/%s", agent), whole);
    gets_status(anna, 200);
    has(anna, "has_pending_changes", "false");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    has(anna, "status", "'completed'");
    const char *headers = json_z(json_get(model_heard(play), "headers"));
    CHECK(strstr(headers, "tenant-secret-1") && strstr(headers, "tenant-secret-2")); /* the mask kept what was stored */
    static const char *const reads[] = {"GET /v1/agents/%s", "GET /v1/agents", "GET /v1/agents/full", "GET /v1/agents/list"};
    for (int i = 0; i < 4; i++) {
        sends(anna, i == 0 ? f("GET /v1/agents/%s", agent) : reads[i], "");
        gets_status(anna, 200);
        CHECK(!strstr(body_of(anna), "tenant-secret"));
    }
}

FLOW(a_rotated_key_works_in_every_version)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "'llm_credentials':{'name':'k','value':'key-one'}");
    sends(anna, f("PATCH /v1/agents/%s?deploy=true", agent), q("{'llm_credentials':{'name':'k','value':'key-two'}}"));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke?version=1", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    CHECK(strstr(json_z(json_get(model_heard(play), "headers")), "key-two"));
}

FLOW(wrong_fields_of_an_agent_are_all_named)
{
    struct client *anna = client(play);
    sends(anna, "POST /v1/agents", q("{'name':'','type':'robot','icon':3,'llm_api_base':'ftp://x','instructions':{'role':5},"
                                     "'deep_planning':'yes','output_format':'pdf','llm_extra_headers':{'a':1},'knowledge_bases':[{'id':'k'}]}"));
    gets_status(anna, 422);
    has_fault(anna, "['body','name']", "string_too_short");
    has_fault(anna, "['body','type']", "enum");
    has_fault(anna, "['body','icon']", "string_type");
    has_fault(anna, "['body','llm_api_base']", "url_scheme");
    has_fault(anna, "['body','deep_planning']", "bool_type");
    has_fault(anna, "['body','output_format']", "enum");
    has_fault(anna, "['body','llm_extra_headers','a']", "string_type");
    has_fault(anna, "['body','knowledge_bases']", "value_error");
    sends(anna, "POST /v1/agents", "{}");
    has_fault(anna, "['body','name']", "missing");
    sends(anna, "POST /v1/agents", "[]");
    has_fault(anna, "['body']", "model_attributes_type");
    static const char *const later[] = {"orchestration", "a2a", "curl"};
    for (int i = 0; i < 3; i++) {
        sends(anna, "POST /v1/agents", q("{'name':'A','type':'%s'}", later[i]));
        gets_status(anna, 422);
    }
    sends(anna, "GET /v1/agents", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
}

FLOW(an_update_needs_at_least_one_key)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("PATCH /v1/agents/%s", agent), "{}");
    has_fault(anna, "['body']", "value_error");
    contains(anna, "detail[0].msg", "At least one field must be provided");
    sends(anna, f("PATCH /v1/agents/%s", agent), q("{'agent_id':'other'}"));
    gets_status(anna, 422);
    sends(anna, f("PATCH /v1/agents/%s", agent), q("{'type':'regular','name':'B'}"));
    gets_status(anna, 200);
    has(anna, "type", "'manager'"); /* set at create only */
}

FLOW(a_null_in_a_patch_resets_what_may_be_null)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "'voice_id':'v','icon':'X'");
    sends(anna, f("PATCH /v1/agents/%s", agent), q("{'voice_id':null,'icon':null,'name':'N'}"));
    gets_status(anna, 200);
    has(anna, "voice_id", "null");
    has(anna, "icon", "'X'");
    has(anna, "name", "'N'");
}

FLOW(an_agents_text_comes_back_byte_for_byte)
{
    struct client *anna = client(play);
    sends(anna, "POST /v1/agents", "{\"name\":\"\\u0000 \\\"q\\\" \\\\ / Grüße 世界 🚀 \\ud83d\\ude80\",\"description\":\"\\u2028\\u007f\"}");
    gets_status(anna, 201);
    const char *agent = text_at(anna, "id"), *name = json_z(at(anna, "name"));
    CHECK(!strcmp(name, "\"\\u0000 \\\"q\\\" \\\\ / Grüße 世界 🚀 🚀\""));
    sends(anna, f("GET /v1/agents/%s", agent), "");
    gets_status(anna, 200);
    CHECK(!strcmp(json_z(at(anna, "name")), name));
}

/* ---- tools --------------------------------------------------------------------------- */

FLOW(tools_are_added_listed_and_removed)
{
    struct client *anna = client(play);
    const char *one = agent_of(anna, "'name':'One','description':'First.'"), *two = agent_of(anna, "'name':'Two'"), *boss = agent_of(anna, "");
    const char *tools = f("/v1/agents/%s/tools", boss);
    sends(anna, f("GET %s", tools), "");
    gets_status(anna, 200);
    has(anna, "", "[]");
    sends(anna, f("POST %s", tools), q("{'type':'agent','agent_id':'%s'}", one));
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == 1);
    has(anna, "[0].type", "'agent'");
    has(anna, "[0].name", "'One'");
    has(anna, "[0].description", "'First.'");
    has_text(anna, "[0].target_id", one);
    has(anna, "[0].method", "'post'");
    has_text(anna, "[0].path", f("/agents/%s", one));
    const char *tool = text_at(anna, "[0].id");
    sends(anna, f("POST %s", tools), q("{'type':'agent','agent_id':'%s'}", one)); /* again: nothing changes */
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == 1);
    has_text(anna, "[0].id", tool);
    sends(anna, f("GET /v1/agents/%s", boss), "");
    gets_status(anna, 200);
    has(anna, "version", "2"); /* attaching deploys; attaching nothing new does not */
    has(anna, "has_pending_changes", "false");
    has_text(anna, "graph[0].item_id", one);
    has_text(anna, "graph[0].id", tool);
    sends(anna, f("POST %s?deploy=false", tools), q("{'type':'agent','agent_id':'%s'}", two));
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == 2);
    sends(anna, f("GET /v1/agents/%s", boss), "");
    gets_status(anna, 200);
    has(anna, "version", "2");
    has(anna, "has_pending_changes", "true");
    sends(anna, f("DELETE %s/%s", tools, tool), "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == 1);
    has(anna, "[0].name", "'Two'");
    sends(anna, f("DELETE %s/%s", tools, tool), "");
    gets_status(anna, 404);
    has(anna, "", "{'detail':'Tool not found'}");
}

FLOW(a_tool_must_be_an_own_agent_and_close_no_circle)
{
    struct client *anna = client(play), *zoe = stranger(play);
    const char *one = agent_of(anna, ""), *two = agent_of(anna, ""), *three = agent_of(anna, ""), *foreign = agent_of(zoe, "");
    const char *tools = f("POST /v1/agents/%s/tools", one);
    sends(anna, tools, q("{'type':'agent','agent_id':'%s'}", foreign));
    gets_status(anna, 403);
    sends(anna, tools, q("{'type':'agent','agent_id':'11111111-1111-4111-8111-111111111111'}"));
    gets_status(anna, 422);
    has(anna, "detail[0].loc", "['body','agent','agent_id']");
    sends(anna, tools, q("{'type':'agent','agent_id':'%s'}", one));
    gets_status(anna, 422);
    sends(anna, tools, q("{'type':'agent'}"));
    has_fault(anna, "['body','agent','agent_id']", "missing");
    sends(anna, tools, q("{'agent_id':'%s'}", two));
    has_fault(anna, "['body']", "union_tag_not_found");
    sends(anna, tools, q("{'type':'robot'}"));
    has_fault(anna, "['body']", "union_tag_invalid");
    sends(anna, tools, q("{'type':'agent','agent_id':'%s'}", two));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/tools", two), q("{'type':'agent','agent_id':'%s'}", three));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/tools", three), q("{'type':'agent','agent_id':'%s'}", one));
    gets_status(anna, 422);
    sends(anna, f("GET /v1/agents/%s/tools", three), "");
    gets_status(anna, 200);
    has(anna, "", "[]");
}

FLOW(tools_of_other_kinds_come_later_and_say_so)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    static const char *const bodies[] = {
        "{'type':'mcp','url':'https://example.com','name':'m'}", "{'type':'action','connection_id':'c','operation_id':'o'}",
        "{'type':'custom_function','custom_function_id':'f'}",
    };
    for (int i = 0; i < 3; i++) {
        sends(anna, f("POST /v1/agents/%s/tools", agent), q("%s", bodies[i]));
        gets_status(anna, 422);
    }
    sends(anna, f("POST /v1/agents/%s/tools", agent), q("%s", bodies[0]));
    has_fault(anna, "['body','type']", "value_error");
    contains(anna, "detail[0].msg", "tools of type 'mcp' are not available yet");
}

FLOW(the_graph_is_another_view_of_the_attachments)
{
    struct client *anna = client(play);
    const char *one = agent_of(anna, "'name':'One'"), *two = agent_of(anna, "'name':'Two'"), *boss = agent_of(anna, "");
    sends(anna, f("PATCH /v1/agents/%s", boss), q("{'graph':[{'type':'agent','item_id':'%s','name':'One'},{'type':'agent','item_id':'%s','name':'Two'}]}", one, two));
    gets_status(anna, 200);
    CHECK(count_at(anna, "graph") == 2 && count_at(anna, "tools") == 2);
    has_text(anna, "tools[1].target_id", two);
    const char *kept = text_at(anna, "graph[1].id");
    sends(anna, f("PATCH /v1/agents/%s", boss), q("{'graph':[{'id':'%s','type':'agent','item_id':'%s','name':'Two'}]}", kept, two));
    gets_status(anna, 200);
    CHECK(count_at(anna, "graph") == 1);
    has_text(anna, "graph[0].id", kept);
    sends(anna, f("PATCH /v1/agents/%s", boss), q("{'should_reset_graph':true}"));
    gets_status(anna, 200);
    has(anna, "graph", "[]");
    has(anna, "tools", "[]");
    sends(anna, f("PATCH /v1/agents/%s", boss), q("{'graph':[{'type':'mcp','item_id':'x','name':'m'}]}"));
    gets_status(anna, 422);
}

FLOW(unique_names_are_unique_and_never_change)
{
    struct client *anna = client(play);
    const char *one = agent_of(anna, "'name':'Same'");
    const char *first = text_at(anna, "unique_name");
    agent_of(anna, "'name':'Same'");
    CHECK(strcmp(text_at(anna, "unique_name"), first) != 0);
    sends(anna, f("PATCH /v1/agents/%s?deploy=true", one), q("{'name':'Other','unique_name':'mine'}"));
    gets_status(anna, 200);
    has_text(anna, "unique_name", first);
}

FLOW(a_deploy_never_touches_a_running_turn)
{
    struct client *anna = client(play), *ben = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'");
    const char *agent = agent_of(anna, "'name':'Poet','instructions':{'role':['Old role.'],'goal':[],'general':''}");
    sends(anna, f("POST /v1/agents/%s/tools", agent), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[gate $go]][[call Helper {\"query\":\"[[say x]]\"}]][[then]][[say ok]]", ""));
    model_waits(play, "requests=1&open=1");
    sends(ben, f("PATCH /v1/agents/%s?deploy=true", agent), q("{'instructions':{'role':['New role.']}}"));
    gets_status(ben, 200);
    model_gate(play, "go");
    gets_status(anna, 200);
    has(anna, "agent_version", "'2'");
    CHECK(model_count(play, "requests") == 2);
    CHECK(strstr(json_z(model_heard(play)), "Old role."));
}
