/* invoke.c: three ways to ask an agent, and what the question may bring. */
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

FLOW(a_sync_invoke_answers_with_the_finished_task)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say Hello there.]]", ""));
    gets_status(anna, 200);
    has(anna, "status", "'completed'");
    has(anna, "result", "'Hello there.'");
    has_text(anna, "agent_id", agent);
    has_text(anna, "organization_id", play->org);
    has(anna, "agent_version", "'1'");
    has(anna, "source", "'api'");
    has(anna, "output_format", "'markdown'");
    has(anna, "sub_executions", "[]");
    has(anna, "is_manually_stopped", "false");
    has(anna, "execution_attempts", "1");
    has(anna, "input.user", "null");
    CHECK(json_type(at(anna, "started_at")) == JSON_TEXT && json_type(at(anna, "finished_at")) == JSON_TEXT);
    CHECK(model_count(play, "requests") == 1);
}

FLOW(an_async_invoke_answers_before_the_model_does)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[gate $go]][[say done]]", ""));
    gets_status(anna, 200);
    has(anna, "status", "'pending'");
    has(anna, "result", "null");
    has(anna, "started_at", "null");
    const char *task = text_at(anna, "id");
    model_waits(play, "requests=1&open=1");
    looks_at(anna, task);
    has(anna, "status", "'executing'");
    sends(ben, f("GET /v1/tasks/%s/stream", task), "");
    gets_event(ben, "task_created");
    model_gate(play, "go");
    gets_event(ben, "task_finished");
    gets_end(ben);
    looks_at(anna, task);
    has(anna, "status", "'completed'");
    has(anna, "result", "'done'");
}

FLOW(a_task_is_in_the_lists_as_soon_as_its_create_was_answered)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[stall]]", "'title':'My title'"));
    gets_status(anna, 200);
    const char *task = text_at(anna, "id");
    sends(anna, "GET /v1/tasks", "");
    gets_status(anna, 200);
    has(anna, "total", "1");
    has_text(anna, "items[0].id", task);
    has(anna, "items[0].title", "'My title'");
    has(anna, "items[0].source_node_type", "'api'");
    sends(anna, f("GET /v1/agents/%s/tasks", agent), "");
    gets_status(anna, 200);
    has(anna, "total", "1");
    has_text(anna, "items[0].id", task);
}

FLOW(an_invoke_stream_says_the_answer_as_it_grows)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say Once upon]][[gate $on]][[say a time]]", ""));
    gets_said(anna, "Once upon");
    model_gate(play, "on");
    struct event *last = gets_event(anna, "task_finished");
    gets_end(anna);
    CHECK(!strcmp(types_of(anna), "task_created task_updated chunk task_finished"));
    CHECK(!strcmp(json_z(json_get(last->data, "result")), json_quoted(said(anna, 0))));
    CHECK(!strcmp(json_z(json_get(last->data, "status")), "\"completed\""));
    CHECK(strstr(said(anna, 0), "Once upon") && strstr(said(anna, 0), "a time"));
}

FLOW(usage_is_counted_per_task_and_per_message)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say one]][[usage 31 2]]", "'id':'counted'"));
    gets_status(anna, 200);
    has(anna, "tokens", "{'completion_tokens':2,'prompt_tokens':31,'total_tokens':33}");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say two]][[usage 40 5]]", "'id':'counted'"));
    gets_status(anna, 200);
    has(anna, "tokens", "{'completion_tokens':7,'prompt_tokens':71,'total_tokens':78}");
    sends(anna, "GET /v1/tasks/counted/thread", "");
    gets_status(anna, 200);
    has(anna, "[1].metrics", "{'input_tokens':31,'output_tokens':2,'total_tokens':33}");
    has(anna, "[3].metrics", "{'input_tokens':40,'output_tokens':5,'total_tokens':45}");
}

/* ---- turns --------------------------------------------------------------------- */

FLOW(a_thread_of_many_pages_is_told_and_remembered_whole)
{
    enum { TURNS = 120 };
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    for (int i = 1; i <= TURNS; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, f("[[say answer%d]]", i), "'id':'pages'"));
        gets_status(anna, 200);
        has(anna, "result", f("'answer%d'", i));
    }
    struct json heard = model_heard(play);
    CHECK(json_count(at_json(heard, "body.messages")) == 1 + 2 * TURNS - 1);
    CHECK(!strcmp(json_z(at_json(heard, "body.messages[2].content")), "\"answer1\""));
    sends(anna, "GET /v1/tasks/pages/thread", "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == 2 * TURNS);
    for (int i = 1; i <= TURNS; i++) {
        has(anna, f("[%d].id", 2 * i - 1), f("'pages_agent_%d'", i));
        has(anna, f("[%d].content", 2 * i - 1), f("'answer%d'", i));
    }
    sends(anna, "GET /v1/tasks/pages/thread/full", "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "root") == 2 * TURNS);
}

FLOW(a_second_turn_remembers_the_first)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), asks("my cat is Tom", "'id':'memory'"));
    gets_status(anna, 200);
    has(anna, "id", "'memory'");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), asks("what is my cat?", "'id':'memory'"));
    gets_status(anna, 200);
    contains(anna, "result", "Tom");
    sends(anna, "GET /v1/tasks/memory/thread", "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == 4);
    has(anna, "[0].id", "'memory_user_1'");
    has(anna, "[0].role", "'user'");
    has(anna, "[0].content", "'my cat is Tom'");
    has(anna, "[1].id", "'memory_agent_1'");
    has(anna, "[1].role", "'assistant'");
    has(anna, "[2].id", "'memory_user_2'");
    has(anna, "[3].id", "'memory_agent_2'");
    contains(anna, "[3].content", "Tom");
}

FLOW(what_a_turn_brings_belongs_to_that_turn)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent),
          says(play, "[[say one]]", "'id':'own','title':'Kept','expected_output':'a poem','additional_context':'It rains.',"
                                    "'instructions_override':'Be brief.','source':'me','think_mode':'harder'"));
    gets_status(anna, 200);
    has(anna, "expected_output", "'a poem'");
    has(anna, "additional_context", "'It rains.'");
    has(anna, "instructions_override", "'Be brief.'");
    has(anna, "source", "'me'");
    has(anna, "think_mode", "'harder'");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say two]]", "'id':'own'"));
    gets_status(anna, 200);
    has(anna, "expected_output", "null");
    has(anna, "additional_context", "null");
    has(anna, "instructions_override", "null");
    has(anna, "think_mode", "'default'");
    has(anna, "title", "'Kept'");
    has(anna, "result", "'two'");
}

/* Three messages while the first is being answered: they are answered in the order in which they came. */
FLOW(a_message_while_a_turn_runs_waits_its_turn_in_order)
{
    struct client *anna = client(play), *ben = client(play), *cleo = client(play), *dora = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    sends(anna, f("%s/stream", invoke), says(play, "[[say first]][[gate $go]]", "'id':'queue'"));
    gets_said(anna, "first");
    sends(ben, f("%s/async", invoke), says(play, "[[say second]]", "'id':'queue'"));
    gets_status(ben, 200);
    has(ben, "status", "'pending'");
    has(ben, "started_at", "null");
    contains(ben, "input.text", "second");
    sends(cleo, f("%s/async", invoke), says(play, "[[say third]]", "'id':'queue'"));
    gets_status(cleo, 200);
    looks_at(dora, "queue");
    contains(dora, "input.text", "first");
    has(dora, "status", "'executing'");
    sends(dora, f("%s/stream", invoke), says(play, "[[say fourth]]", "'id':'queue'"));
    CHECK(model_count(play, "requests") == 1);
    model_gate(play, "go");
    gets_end(anna);
    CHECK(!strcmp(said(anna, 0), "first"));
    gets_end(dora);
    CHECK(!strcmp(said(dora, 0), "fourth"));
    CHECK(!strcmp(types_of(dora), "task_created task_updated chunk task_finished"));
    sends(dora, "GET /v1/tasks/queue/thread", "");
    gets_status(dora, 200);
    CHECK(count_at(dora, "") == 8);
    const char *const answers[] = {"first", "second", "third", "fourth"};
    for (int i = 0; i < 4; i++) has_text(dora, f("[%d].content", i * 2 + 1), answers[i]);
    CHECK(model_count(play, "open_peak") == 1);
}

FLOW(a_sync_caller_gets_its_own_turn_even_if_later_ones_began)
{
    struct client *anna = client(play), *ben = client(play), *cleo = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    sends(anna, invoke, says(play, "[[gate $go]][[say first]]", "'id':'mine'"));
    model_waits(play, "requests=1&open=1");
    sends(ben, f("%s/stream", invoke), says(play, "[[say second]][[stall]]", "'id':'mine'"));
    /* A stream's head comes when its turn was accepted. */
    CHECK(status_of(ben) == 200);
    model_gate(play, "go");
    gets_status(anna, 200);
    has(anna, "result", "'first'");
    has(anna, "status", "'completed'");
    gets_said(ben, "second");
    looks_at(cleo, "mine");
    has(cleo, "result", "null");
    has(cleo, "status", "'executing'");
    contains(cleo, "input.text", "second");
}

FLOW(too_many_waiting_messages_are_409)
{
    serve_own(play, "TURNS_WAITING_MAX=2");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke/async", agent);
    for (int i = 0; i < 3; i++) {
        sends(anna, invoke, says(play, "[[stall]]", "'id':'full'"));
        gets_status(anna, 200);
        if (i == 0) model_waits(play, "requests=1&open=1");
    }
    sends(anna, invoke, says(play, "[[stall]]", "'id':'full'"));
    gets_status(anna, 409);
    has(anna, "", "{'detail':'Too many messages are waiting on this task'}");
    sends(anna, "GET /v1/tasks/full/thread", "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == 3);
}

FLOW(stop_ends_the_running_turn_and_all_that_wait)
{
    struct client *anna = client(play), *ben = client(play), *cleo = client(play), *dora = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    sends(anna, invoke, says(play, "[[say half]][[stall]]", "'id':'halt'"));
    model_waits(play, "requests=1&open=1");
    sends(cleo, f("%s/stream", invoke), says(play, "[[say never]]", "'id':'halt'"));
    CHECK(status_of(cleo) == 200);
    sends(dora, "POST /v1/tasks/halt/stop", "");
    gets_status(dora, 200);
    has(dora, "status", "'stopped'");
    has(dora, "is_manually_stopped", "true");
    CHECK(model_count(play, "open") == 0);
    gets_status(anna, 200);
    has(anna, "status", "'stopped'");
    gets_event(cleo, "task_created");
    struct event *last = gets_event(cleo, "task_finished");
    CHECK(!strcmp(json_z(json_get(last->data, "status")), "\"stopped\""));
    gets_end(cleo);
    sends(ben, "GET /v1/tasks/halt/thread", "");
    gets_status(ben, 200);
    CHECK(count_at(ben, "") == 2);
    has(ben, "[0].id", "'halt_user_1'");
    has(ben, "[1].id", "'halt_user_2'");
    CHECK(model_count(play, "requests") == 1);
    /* Idempotent, and continued by the next turn. */
    sends(ben, "POST /v1/tasks/halt/stop", "");
    gets_status(ben, 200);
    has(ben, "status", "'stopped'");
    sends(ben, invoke, says(play, "[[say again]]", "'id':'halt'"));
    gets_status(ben, 200);
    has(ben, "result", "'again'");
    has(ben, "is_manually_stopped", "false");
}

FLOW(stopping_a_finished_task_changes_nothing)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say done]]", ""));
    gets_status(anna, 200);
    const char *task = text_at(anna, "id"), *whole = body_of(anna);
    sends(anna, f("POST /v1/tasks/%s/stop", task), "");
    gets_status(anna, 200);
    CHECK(!strcmp(body_of(anna), whole));
}

FLOW(a_client_that_hangs_up_ends_nothing)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[gate $go]][[say still here]]", "'id':'left'"));
    model_waits(play, "requests=1&open=1");
    leaves(anna);
    sends(ben, "GET /v1/tasks/left/stream", "");
    gets_event(ben, "task_created");
    model_gate(play, "go");
    gets_event(ben, "task_finished");
    gets_end(ben);
    looks_at(ben, "left");
    has(ben, "status", "'completed'");
    has(ben, "result", "'still here'");
    CHECK(model_count(play, "broken") == 0);
}

FLOW(a_sync_invoke_longer_than_its_limit_answers_as_it_is)
{
    serve_own(play, "SYNC_TIMEOUT=1");
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[gate $go]][[say late]]", "'id':'late'"));
    gets_status(anna, 200);
    has(anna, "status", "'executing'");
    sends(ben, "GET /v1/tasks/late/stream", "");
    gets_event(ben, "task_created");
    model_gate(play, "go");
    gets_event(ben, "task_finished");
    looks_at(anna, "late");
    has(anna, "result", "'late'");
}

/* ---- what the model is told --------------------------------------------------------- */

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

/* ---- ids ---------------------------------------------------------------------------- */

FLOW(an_id_of_another_agents_task_is_409)
{
    struct client *anna = client(play);
    const char *one = agent_of(anna, ""), *two = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", one), says(play, "[[say ok]]", "'id':'taken'"));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke", two), says(play, "[[say ok]]", "'id':'taken'"));
    gets_status(anna, 409);
    has(anna, "", "{'detail':'Task belongs to another agent'}");
}

FLOW(a_chosen_id_is_a_name_inside_ones_own_organisation)
{
    struct client *anna = client(play), *zoe = stranger(play);
    const char *agent = agent_of(anna, ""), *other = agent_of(zoe, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say mine]]", "'id':'conversation-thread-123'"));
    gets_status(anna, 200);
    static const char *const paths[] = {"", "/thread", "/thread/full", "/stream"};
    for (int i = 0; i < 4; i++) {
        sends(zoe, f("GET /v1/tasks/conversation-thread-123%s", paths[i]), "");
        gets_status(zoe, 404);
        has(zoe, "", "{'detail':'Task not found'}");
    }
    sends(zoe, "POST /v1/tasks/conversation-thread-123/stop", "");
    gets_status(zoe, 404);
    sends(zoe, "DELETE /v1/tasks/conversation-thread-123", "");
    gets_status(zoe, 404);
    sends(zoe, f("POST /v1/agents/%s/invoke", other), says(play, "[[say theirs]]", "'id':'conversation-thread-123'"));
    gets_status(zoe, 200);
    has(zoe, "result", "'theirs'");
    looks_at(anna, "conversation-thread-123");
    has(anna, "result", "'mine'");
    looks_at(zoe, "conversation-thread-123");
    has(zoe, "result", "'theirs'");
}

FLOW(a_server_made_id_of_another_organisation_is_403)
{
    struct client *anna = client(play), *zoe = stranger(play);
    const char *agent = agent_of(anna, ""), *other = agent_of(zoe, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say mine]]", ""));
    gets_status(anna, 200);
    const char *task = text_at(anna, "id");
    static const char *const paths[] = {"", "/thread", "/thread/full", "/stream"};
    for (int i = 0; i < 4; i++) {
        sends(zoe, f("GET /v1/tasks/%s%s", task, paths[i]), "");
        gets_status(zoe, 403);
        has(zoe, "", "{'detail':'Access to this resource is forbidden'}");
    }
    sends(zoe, f("DELETE /v1/tasks/%s", task), "");
    gets_status(zoe, 403);
    sends(zoe, f("POST /v1/agents/%s/invoke", other), says(play, "[[say theirs]]", f("'id':'%s'", task)));
    gets_status(zoe, 403);
    looks_at(anna, task);
    has(anna, "result", "'mine'");
}

FLOW(an_id_may_be_anything_that_can_stand_in_a_path)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    static const char *const bad[] = {"'id':''", "'id':'.'", "'id':'..'", "'id':'a\\u0000b'", "'id':'a\\nb'", "'id':3"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sends(anna, invoke, says(play, "[[say ok]]", bad[i]));
        gets_status(anna, 422);
        has(anna, "detail[0].loc", "['body','id']");
    }
    char longest[257];
    memset(longest, 'x', 256);
    longest[256] = 0;
    sends(anna, invoke, says(play, "[[say ok]]", f("'id':'%s'", longest)));
    has_fault(anna, "['body','id']", "string_too_long");
    sends(anna, invoke, says(play, "[[say ok]]", f("'id':'%s'", longest + 1)));
    gets_status(anna, 200);
    looks_at(anna, longest + 1);
    sends(anna, invoke, says(play, "[[say ok]]", "'id':'a/b ü%'"));
    gets_status(anna, 200);
    looks_at(anna, "a%2Fb%20%C3%BC%25");
    has(anna, "id", "'a/b ü%'");
    sends(anna, invoke, says(play, "[[say ok]]", "'id':null"));
    gets_status(anna, 200);
    CHECK(strlen(text_at(anna, "id")) == 36);
}

FLOW(run_locally_stays_pending)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say no]]", "'id':'local','run_locally':true,'worker_id':'w1'"));
    gets_status(anna, 200);
    has(anna, "status", "'pending'");
    has(anna, "worker_id", "'w1'");
    /* Something later runs to its end; this one still has not been touched. */
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    looks_at(anna, "local");
    has(anna, "status", "'pending'");
    CHECK(model_count(play, "requests") == 1);
    sends(anna, "DELETE /v1/tasks/local", "");
    gets_status(anna, 204);
}

FLOW(what_is_not_acted_on_yet_is_kept_and_returned)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent),
          f("{\"id\":\"kept\",\"input\":{\"text\":%s,\"user\":{\"id\":\"u1\",\"email\":\"a@b.c\",\"first_name\":\"Anna\"}},%s}",
            json_quoted(script(play, "[[say ok]]")),
            q("'mcp_servers':[{'name':'crm','url':'https://example.com/mcp'}],'payload_extension':{'k':[1,2.5,null]},"
              "'user_tokens':{'t':'secret'},'user_oidc_token':'oidc','test_run_node_id':'n','voice_id':'v',"
              "'events_streaming':true,'return_metrics':true,'output_format':'voice'")));
    gets_status(anna, 200);
    looks_at(anna, "kept");
    contains(anna, "mcp_servers", "https://example.com/mcp");
    has(anna, "payload_extension", "{'k':[1,2.5,null]}");
    has(anna, "user_tokens", "{'t':'secret'}");
    has(anna, "user_oidc_token", "'oidc'");
    has(anna, "test_run_node_id", "'n'");
    has(anna, "voice_id", "'v'");
    has(anna, "events_streaming", "true");
    has(anna, "return_metrics", "true");
    has(anna, "output_format", "'voice'");
    has(anna, "input.user.id", "'u1'");
    has(anna, "input.user.display_name", "'Anna'");
    has(anna, "input.user.role", "'member'");
    /* Streams are relayed to browsers: they do not carry the two tokens. */
    sends(anna, "GET /v1/tasks/kept/stream", "");
    gets_end(anna);
    for (int i = 0; i < anna->events_count; i++) {
        CHECK(!strstr(json_z(anna->events[i].json), "secret"));
        CHECK(!strstr(json_z(anna->events[i].json), "\"oidc\""));
    }
}

FLOW(an_invoke_with_wrong_fields_names_them_all)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    sends(anna, invoke, q("{'input':{'text':5,'files':'x','user':{'id':7}},'output_format':'pdf','title':[],'think_mode':1}"));
    gets_status(anna, 422);
    has_fault(anna, "['body','input','text']", "string_type");
    has_fault(anna, "['body','input','files']", "list_type");
    has_fault(anna, "['body','input','user','email']", "missing");
    has_fault(anna, "['body','output_format']", "enum");
    has_fault(anna, "['body','title']", "string_type");
    has_fault(anna, "['body','think_mode']", "enum");
    sends(anna, invoke, q("{'id':'a'}"));
    has_fault(anna, "['body','input']", "missing");
    has(anna, "detail[0].input", "{'id':'a'}");
    sends(anna, invoke, q("{'input':{'text':''}}"));
    has_fault(anna, "['body','input']", "value_error");
    contains(anna, "detail[0].msg", "Either text or files must be provided");
    sends(anna, invoke, "");
    has_fault(anna, "['body']", "missing");
    sends(anna, "GET /v1/tasks", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
}

FLOW(an_inactive_agent_refuses_invokes)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("PATCH /v1/agents/%s", agent), q("{'status':'INACTIVE'}"));
    gets_status(anna, 200);
    has(anna, "status", "'INACTIVE'");
    static const char *const ways[] = {"", "/async", "/stream"};
    for (int i = 0; i < 3; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke%s", agent, ways[i]), says(play, "[[say ok]]", ""));
        gets_status(anna, 409);
    }
    sends(anna, f("PATCH /v1/agents/%s", agent), q("{'status':'DRAFT'}"));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
}

FLOW(lists_of_tasks_are_filtered_and_paged)
{
    struct client *anna = client(play);
    const char *one = agent_of(anna, ""), *two = agent_of(anna, "");
    for (int i = 0; i < 5; i++) {
        const char *text = script(play, i == 4 ? "[[empty]]" : "[[say ok]]");
        sends(anna, f("POST /v1/agents/%s/invoke", i < 3 ? one : two),
              f("{\"id\":\"t%d\",\"input\":{\"text\":%s,\"user\":{\"id\":\"u%d\",\"email\":\"\"}}}", i, json_quoted(text), i % 2));
        gets_status(anna, 200);
    }
    sends(anna, "GET /v1/tasks?per_page=2&page=2", "");
    gets_status(anna, 200);
    has(anna, "total", "5");
    has(anna, "total_pages", "3");
    has(anna, "page", "2");
    has(anna, "items[0].id", "'t2'");
    has(anna, "items[1].id", "'t1'");
    sends(anna, "GET /v1/tasks?page=9", "");
    gets_status(anna, 200);
    has(anna, "items", "[]");
    has(anna, "total", "5");
    sends(anna, f("GET /v1/tasks?agent_id=%s", two), "");
    gets_status(anna, 200);
    has(anna, "total", "2");
    sends(anna, f("GET /v1/agents/%s/tasks?user_id=u0", one), "");
    gets_status(anna, 200);
    has(anna, "total", "2");
    has(anna, "items[0].user_id", "'u0'");
    sends(anna, "GET /v1/tasks?status=failed", "");
    gets_status(anna, 200);
    has(anna, "total", "1");
    has(anna, "items[0].id", "'t4'");
    sends(anna, f("GET /v1/tasks?status=completed&user_id=u0&agent_id=%s", one), "");
    gets_status(anna, 200);
    has(anna, "total", "2");
    sends(anna, "GET /v1/tasks?parent_task_id=none&triggering_agent_id=none&internal_status=none", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
    has(anna, "total_pages", "0");
    sends(anna, "GET /v1/tasks?status=queued&page=0&per_page=51", "");
    has_fault(anna, "['query','status']", "enum");
    has_fault(anna, "['query','page']", "greater_than_equal");
    has_fault(anna, "['query','per_page']", "less_than_equal");
    sends(anna, "GET /v1/tasks?page=99999999999999999999&per_page=x", "");
    has_fault(anna, "['query','page']", "int_parsing_size");
    has_fault(anna, "['query','per_page']", "int_parsing");
    sends(anna, "GET /v1/tasks?page=9223372036854775807", "");
    gets_status(anna, 200);
}
