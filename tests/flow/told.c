/* told.c: what the model hears of an agent and of a call. */
#include <stdio.h>
#include "flow/play.h"

static const char *heard_text(struct play *play) { return json_z(json_get(model_heard(play), "body")); }

/* The messages of the model's last request that have this role, as JSON texts joined. */
static const char *heard_of(struct play *play, const char *role)
{
    const char *all = "";
    struct json messages = json_get(json_get(model_heard(play), "body"), "messages");
    for (struct json_each e = json_each(messages); json_next(&e);)
        if (str_is(json_text(json_get(e.item, "role")), role)) all = f("%s%s\n", all, json_z(json_get(e.item, "content")));
    return all;
}

FLOW(the_model_is_told_who_it_is)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "'name':'Poet','instructions':{'role':['You write verse.'],'goal':['Move hearts.'],"
                                       "'general':'Never rhyme.'},'expected_output':'four lines'");
    sends(anna, f("POST /v1/agents/%s/invoke", agent),
          says(play, "[[say ok]]", "'additional_context':'It is autumn.'"));
    gets_status(anna, 200);
    const char *system = heard_of(play, "system");
    CHECK(strstr(system, "Poet") && strstr(system, "You write verse.") && strstr(system, "Move hearts."));
    CHECK(strstr(system, "Never rhyme.") && strstr(system, "four lines") && strstr(system, "It is autumn."));
}

FLOW(instructions_override_replaces_the_instructions_for_one_turn)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "'name':'Poet','instructions':{'role':['You write verse.'],'goal':[],'general':''}");
    sends(anna, f("POST /v1/agents/%s/invoke", agent),
          says(play, "[[say ok]]", "'id':'over','instructions_override':'You write prose.','expected_output':'a page'"));
    gets_status(anna, 200);
    const char *system = heard_of(play, "system");
    CHECK(strstr(system, "You write prose.") && !strstr(system, "You write verse."));
    CHECK(strstr(system, "Poet") && strstr(system, "a page"));
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", "'id':'over'"));
    gets_status(anna, 200);
    system = heard_of(play, "system");
    CHECK(!strstr(system, "You write prose.") && strstr(system, "You write verse."));
}

FLOW(files_are_named_to_the_model)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    const char *text = json_quoted(script(play, "[[say ok]]"));
    sends(anna, invoke, f("{\"id\":\"files\",\"input\":{\"text\":%s,\"files\":[\"https://example.com/one.pdf\"],"
                          "\"images\":[\"https://example.com/two.png\"]}}", text));
    gets_status(anna, 200);
    has(anna, "input.files", "['https://example.com/one.pdf','https://example.com/two.png']");
    CHECK(strstr(heard_of(play, "user"), "https://example.com/one.pdf"));
    CHECK(strstr(heard_of(play, "user"), "https://example.com/two.png"));
    sends(anna, "GET /v1/tasks/files/thread", "");
    gets_status(anna, 200);
    has_text(anna, "[0].content", script(play, "[[say ok]]"));
    has(anna, "[0].files", "['https://example.com/one.pdf','https://example.com/two.png']");
    sends(anna, invoke, f("{\"disable_attachment_injection\":true,\"input\":{\"text\":%s,\"files\":[\"https://example.com/three.pdf\"]}}", text));
    gets_status(anna, 200);
    CHECK(!strstr(heard_text(play), "three.pdf"));
}

FLOW(json_is_asked_for_and_checked)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    sends(anna, invoke, says(play, "[[say {\"a\":1}]]", "'output_format':'json'"));
    gets_status(anna, 200);
    has(anna, "output_format", "'json'");
    has(anna, "status", "'completed'");
    has_text(anna, "result", "{\"a\":1}");
    has(anna, "output_schema", "null");
    CHECK(strstr(heard_text(play), "\"response_format\""));
    sends(anna, invoke, says(play, "[[say no json]]", "'output_format':'json'"));
    gets_status(anna, 200);
    has(anna, "status", "'failed'");
    sends(anna, invoke, says(play, "[[say plain]]", ""));
    gets_status(anna, 200);
    CHECK(!strstr(heard_text(play), "\"response_format\""));
}

FLOW(an_output_schema_is_handed_to_the_provider)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    const char *schema = "'output_schema':{'type':'object','properties':{'city':{'type':'string'}}}";
    sends(anna, invoke, says(play, "[[say {\"city\":\"Rome\"}]]", schema));
    gets_status(anna, 200);
    has(anna, "status", "'completed'");
    has(anna, "output_schema", "{'type':'object','properties':{'city':{'type':'string'}}}");
    const char *heard = heard_text(play);
    if (!strstr(heard, "\"response_format\"") || !strstr(heard, "\"city\"")) test_fail(__FILE__, __LINE__, heard);
    sends(anna, invoke, says(play, "[[say {broken]]", schema));
    gets_status(anna, 200);
    has(anna, "status", "'failed'");
    sends(anna, invoke, says(play, "[[say {broken]]", "'output_schema':{}"));
    gets_status(anna, 200);
    has(anna, "status", "'completed'");
}

FLOW(the_call_may_choose_the_model)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "'name':'A','model_provider':'openai','model_name':'gpt-own','llm_reasoning_effort':'low'");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    sends(anna, invoke, says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    has(anna, "model_name", "'gpt-own'");
    has(anna, "llm_model_name", "null");
    has(anna, "llm_reasoning_effort", "'low'");
    CHECK(strstr(heard_text(play), "\"gpt-own\""));
    sends(anna, invoke, says(play, "[[say ok]]", "'llm_model_name':'gpt-call','llm_reasoning_effort':'high'"));
    gets_status(anna, 200);
    has(anna, "model_name", "'gpt-call'");
    has(anna, "llm_model_name", "'gpt-call'");
    has(anna, "llm_reasoning_effort", "'high'");
    CHECK(strstr(heard_text(play), "\"gpt-call\""));
    sends(anna, invoke, says(play, "[[say ok]]", "'model':'gpt-alias'"));
    gets_status(anna, 200);
    has(anna, "model_name", "'gpt-alias'");
    sends(anna, invoke, says(play, "[[say ok]]", "'model':'one','llm_model_name':'two'"));
    gets_status(anna, 422);
    sends(anna, invoke, says(play, "[[say ok]]", "'llm_model_provider':'nobody'"));
    has_fault(anna, "['body','llm_model_provider']", "enum");
}
