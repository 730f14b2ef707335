/* invoke.c: three ways to ask an agent, and what the question may bring. */
#include <stdio.h>
#include "flow/play.h"

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
