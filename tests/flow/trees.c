/* trees.c: managers, their sub-agents, and the tasks that hang from tasks. */
#include <stdio.h>
#include "flow/play.h"

static void attaches(struct client *c, const char *manager, const char *helper)
{
    sends(c, f("POST /v1/agents/%s/tools", manager), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(c, 200);
}

FLOW(a_manager_asks_its_sub_agent_and_gets_its_result)
{
    struct client *anna = client(play);
    const char *helper = agent_of(anna, "'name':'Deep Helper','description':'Knows depths.'"), *manager = agent_of(anna, "'name':'Manager'");
    attaches(anna, manager, helper);
    sends(anna, f("POST /v1/agents/%s/invoke/stream", manager),
          says(play, "[[call agent_deep_helper {\"query\":\"[[say the depth is 7]]\"}]][[then]][[say I know.]]", "'id':'boss'"));
    struct event *request = gets_event(anna, "tool_call_request");
    CHECK(!strcmp(json_z(json_get(request->data, "tool_name")), "\"agent_deep_helper\""));
    CHECK(!strcmp(json_z(at_json(request->data, "payload.query")), "\"[[say the depth is 7]]\""));
    const char *request_id = json_z(json_get(request->data, "request_id"));
    struct event *trigger = gets_event(anna, "sub_agent_trigger");
    CHECK(!strcmp(json_z(json_get(trigger->data, "agent_id")), json_quoted(helper)));
    const char *sub = str_z(test_arena(), json_text(json_get(trigger->data, "task_id")));
    struct event *result = gets_event(anna, "tool_call_result");
    CHECK(!strcmp(json_z(json_get(result->data, "request_id")), request_id));
    CHECK(!strcmp(json_z(json_get(result->data, "is_error")), "false"));
    CHECK(strstr(json_z(json_get(result->data, "result")), "the depth is 7"));
    gets_event(anna, "task_finished");
    gets_end(anna);
    CHECK(!strcmp(said(anna, 0), "I know."));

    int finished = 0, of_sub = 0;
    for (int i = 0; i < anna->events_count; i++) {
        if (!strcmp(anna->events[i].type, "task_finished")) finished++;
        if (!strcmp(anna->events[i].task, sub)) {
            of_sub++;
            CHECK(!strcmp(anna->events[i].type, "task_updated")); /* and no chunk of it */
        }
    }
    CHECK(finished == 1 && of_sub >= 2);

    looks_at(anna, "boss");
    has_text(anna, "sub_executions[0]", sub);
    has_text(anna, "finished_sub_executions[0]", sub);
    has(anna, "used_tools", "['agent_deep_helper']");
    looks_at(anna, sub);
    has(anna, "parent_execution", "'boss'");
    has_text(anna, "triggering_agent_id", manager);
    has(anna, "source", "'agent'");
    has_text(anna, "agent_id", helper);
    has(anna, "result", "'the depth is 7'");
    sends(anna, "GET /v1/tasks?parent_task_id=boss", "");
    gets_status(anna, 200);
    has(anna, "total", "1");
    has_text(anna, "items[0].id", sub);
    sends(anna, f("GET /v1/tasks?triggering_agent_id=%s", manager), "");
    gets_status(anna, 200);
    has(anna, "total", "1");
    sends(anna, "GET /v1/tasks/boss/thread/full", "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == 2);
    has(anna, "root[1].content", "'I know.'");
    has(anna, f("%s[1].content", sub), "'the depth is 7'");
}

FLOW(the_model_sees_each_sub_agent_as_a_tool)
{
    struct client *anna = client(play);
    const char *helper = agent_of(anna, "'name':'Deep Helper','description':'Knows depths.'"), *manager = agent_of(anna, "");
    attaches(anna, manager, helper);
    sends(anna, f("POST /v1/agents/%s/invoke", manager), says(play, "[[say ok]]", ""));
    gets_status(anna, 200);
    struct json tool = at_json(model_heard(play), "body.tools[0].function");
    CHECK(!strcmp(json_z(json_get(tool, "name")), "\"agent_deep_helper\""));
    CHECK(strstr(json_z(json_get(tool, "description")), "Knows depths."));
    CHECK(json_is_there(at_json(tool, "parameters.properties.query")));
}

FLOW(chunks_of_sub_tasks_come_only_when_asked_for)
{
    struct client *anna = client(play), *ben = client(play), *cleo = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = agent_of(anna, "");
    attaches(anna, manager, helper);
    sends(anna, f("POST /v1/agents/%s/invoke/stream?sub_tasks=all", manager),
          says(play, "[[call Helper {\"query\":\"[[say deep words]]\"}]][[then]][[say top words]]", "'id':'chunky'"));
    gets_end(anna);
    bool has_sub_chunk = false;
    for (int i = 0; i < anna->events_count; i++)
        if (!strcmp(anna->events[i].type, "chunk") && strcmp(anna->events[i].task, "chunky") != 0) has_sub_chunk = true;
    CHECK(has_sub_chunk);
    CHECK(!strcmp(said(anna, 0), "top words"));
    sends(ben, "GET /v1/tasks/chunky/stream?sub_tasks=none", "");
    gets_end(ben);
    for (int i = 0; i < ben->events_count; i++) CHECK(!strcmp(ben->events[i].task, "chunky"));
    sends(cleo, "GET /v1/tasks/chunky/stream", "");
    gets_end(cleo);
    for (int i = 0; i < cleo->events_count; i++)
        CHECK(strcmp(cleo->events[i].type, "chunk") != 0 || !strcmp(cleo->events[i].task, "chunky"));
}

FLOW(sub_agents_work_side_by_side)
{
    struct client *anna = client(play);
    const char *one = agent_of(anna, "'name':'One'"), *two = agent_of(anna, "'name':'Two'"), *manager = agent_of(anna, "");
    attaches(anna, manager, one);
    attaches(anna, manager, two);
    /* Both are open at the same time: each waits for the gate. */
    sends(anna, f("POST /v1/agents/%s/invoke", manager),
          says(play, f("[[call One {\"query\":\"[[tag %s]][[gate %s-x]][[say first]]\"}]]"
                       "[[call Two {\"query\":\"[[tag %s]][[gate %s-x]][[say second]]\"}]][[then]][[say both]]",
                       play->tag, play->tag, play->tag, play->tag), ""));
    model_waits(play, "requests=3&open=2");
    model_gate(play, "x");
    gets_status(anna, 200);
    has(anna, "result", "'both'");
    CHECK(count_at(anna, "sub_executions") == 2);
    CHECK(count_at(anna, "finished_sub_executions") == 2);
    struct json messages = at_json(model_heard(play), "body.messages");
    CHECK(strstr(json_z(messages), "first") && strstr(json_z(messages), "second"));
}

FLOW(a_sub_agents_error_comes_back_to_the_model)
{
    struct client *anna = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = agent_of(anna, "");
    attaches(anna, manager, helper);
    sends(anna, f("POST /v1/agents/%s/invoke/stream", manager),
          says(play, "[[call Helper {\"query\":\"[[status 401 message Bad key]]\"}]][[then]][[say So be it.]]", ""));
    struct event *result = gets_event(anna, "tool_call_result");
    CHECK(!strcmp(json_z(json_get(result->data, "is_error")), "true"));
    CHECK(!strstr(json_z(result->json), "operator-secret-key"));
    gets_end(anna);
    CHECK(!strcmp(said(anna, 0), "So be it."));
}

FLOW(a_call_without_its_query_is_told_to_the_model)
{
    struct client *anna = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = agent_of(anna, "");
    attaches(anna, manager, helper);
    sends(anna, f("POST /v1/agents/%s/invoke/stream", manager), says(play, "[[call Helper {\"question\":\"x\"}]][[then]][[say Sorry.]]", "'id':'noquery'"));
    struct event *result = gets_event(anna, "tool_call_result");
    CHECK(!strcmp(json_z(json_get(result->data, "is_error")), "true"));
    gets_end(anna);
    looks_at(anna, "noquery");
    has(anna, "sub_executions", "[]");
    CHECK(model_count(play, "requests") == 2);
}

/* A chain of agents, each asking the next: the call beyond the bound is refused to the model, and all end well. */
FLOW(a_tree_is_bounded_in_depth)
{
    serve_own(play, "TREE_DEPTH_MAX=3");
    struct client *anna = client(play);
    const char *agents[5];
    for (int i = 4; i >= 0; i--) {
        agents[i] = agent_of(anna, f("'name':'L%d'", i));
        if (i < 4) attaches(anna, agents[i], agents[i + 1]);
    }
    sends(anna, f("POST /v1/agents/%s/invoke", agents[0]),
          says(play, "[[call L1 {\"query\":\"[[call L2 {\\\"query\\\":\\\"[[call L3 {\\\\\\\"query\\\\\\\":\\\\\\\"[[say bottom]]\\\\\\\"}]]\\\"}]]\"}]]", "'id':'deep'"));
    gets_status(anna, 200);
    has(anna, "status", "'completed'");
    sends(anna, "GET /v1/tasks/deep/thread/full", "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "") >= 2 && count_at(anna, "") <= 4); /* root and at most three below */
}

FLOW(a_parent_given_by_the_caller_makes_a_sub_task)
{
    struct client *anna = client(play), *zoe = stranger(play);
    const char *agent = agent_of(anna, ""), *other = agent_of(zoe, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    sends(anna, invoke, says(play, "[[say top]]", "'id':'mother'"));
    gets_status(anna, 200);
    sends(anna, invoke, says(play, "[[say below]]", f("'id':'child','parent_execution_id':'mother','triggering_agent_id':'%s'", agent)));
    gets_status(anna, 200);
    has(anna, "parent_execution", "'mother'");
    has_text(anna, "triggering_agent_id", agent);
    looks_at(anna, "mother");
    has(anna, "sub_executions", "['child']");
    has(anna, "finished_sub_executions", "['child']");
    sends(anna, invoke, says(play, "[[say x]]", "'parent_execution_id':'nobody'"));
    gets_status(anna, 422);
    has(anna, "detail[0].loc", "['body','parent_execution_id']");
    sends(anna, invoke, says(play, "[[say x]]", "'id':'self','parent_execution_id':'self'"));
    gets_status(anna, 422);
    sends(anna, invoke, says(play, "[[say x]]", "'id':'root','parent_execution_id':'mother'"));
    gets_status(anna, 422);
    sends(anna, invoke, says(play, "[[say x]]", "'id':'mother','parent_execution_id':'child'"));
    gets_status(anna, 409);
    sends(anna, invoke, says(play, "[[say x]]", "'id':'child'"));
    gets_status(anna, 200);
    has(anna, "parent_execution", "'mother'");
    sends(zoe, f("POST /v1/agents/%s/invoke", other), says(play, "[[say x]]", f("'triggering_agent_id':'%s'", agent)));
    gets_status(zoe, 403);
    sends(zoe, f("POST /v1/agents/%s/invoke", other), says(play, "[[say x]]", "'triggering_agent_id':'none'"));
    gets_status(zoe, 422);
    sends(anna, invoke, says(play, "[[say made]]", ""));
    gets_status(anna, 200);
    const char *made = text_at(anna, "id");
    sends(zoe, f("POST /v1/agents/%s/invoke", other), says(play, "[[say x]]", f("'parent_execution_id':'%s'", made)));
    gets_status(zoe, 403);
    sends(anna, "DELETE /v1/tasks/mother", "");
    gets_status(anna, 204);
    sends(anna, "GET /v1/tasks/child", "");
    gets_status(anna, 404);
}

FLOW(callers_parents_are_bounded_in_depth_and_number)
{
    serve_own(play, "TREE_DEPTH_MAX=3 SUB_TASKS_MAX=4");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    int depth = 0;
    sends(anna, invoke, says(play, "[[say ok]]", "'id':'d0'"));
    gets_status(anna, 200);
    for (;; depth++) {
        sends(anna, invoke, says(play, "[[say ok]]", f("'id':'d%d','parent_execution_id':'d%d'", depth + 1, depth)));
        if (status_of(anna) != 200) break;
        CHECK(depth < 5);
    }
    gets_status(anna, 422);
    CHECK(depth == 3 || depth == 2); /* the root counts, or it does not */
    int number = depth;
    for (;; number++) {
        sends(anna, invoke, says(play, "[[say ok]]", f("'id':'w%d','parent_execution_id':'d0'", number)));
        if (status_of(anna) != 200) break;
        CHECK(number < 6);
    }
    gets_status(anna, 422);
    CHECK(number == 4);
}

FLOW(a_deep_tree_of_callers_parents_is_deleted_whole)
{
    serve_own(play, "TREE_DEPTH_MAX=500");
    play_takes(play, 180);
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    enum { DEEP = 400 };
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[stall]]", "'id':'d0','run_locally':true"));
    gets_status(anna, 200);
    for (int i = 1; i < DEEP; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke/async", agent),
              says(play, "[[stall]]", f("'id':'d%d','run_locally':true,'parent_execution_id':'d%d'", i, i - 1)));
        gets_status(anna, 200);
    }
    sends(anna, "GET /v1/tasks/d0/thread/full", "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == DEEP);
    sends(anna, "DELETE /v1/tasks/d0", "");
    gets_status(anna, 204);
    sends(anna, "GET /v1/tasks", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
}

FLOW(a_sub_task_may_be_continued_like_another_task)
{
    struct client *anna = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = agent_of(anna, "");
    attaches(anna, manager, helper);
    sends(anna, f("POST /v1/agents/%s/invoke", manager), says(play, "[[call Helper {\"query\":\"[[say one]]\"}]]", ""));
    gets_status(anna, 200);
    const char *sub = text_at(anna, "sub_executions[0]");
    sends(anna, f("POST /v1/agents/%s/invoke", helper), says(play, "[[say two]]", f("'id':'%s'", sub)));
    gets_status(anna, 200);
    has(anna, "result", "'two'");
    sends(anna, f("GET /v1/tasks/%s/thread", sub), "");
    gets_status(anna, 200);
    CHECK(count_at(anna, "") == 4);
}

FLOW(sub_tasks_beyond_the_bound_are_refused_to_the_model)
{
    serve_own(play, "SUB_TASKS_MAX=1");
    struct client *anna = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = agent_of(anna, "");
    attaches(anna, manager, helper);
    sends(anna, f("POST /v1/agents/%s/invoke/stream", manager),
          says(play, "[[call Helper {\"query\":\"[[say one]]\"}]][[then]][[call Helper {\"query\":\"[[say two]]\"}]][[then]][[say enough]]", "'id':'few'"));
    CHECK(!strcmp(json_z(json_get(gets_event(anna, "tool_call_result")->data, "is_error")), "false"));
    CHECK(!strcmp(json_z(json_get(gets_event(anna, "tool_call_result")->data, "is_error")), "true"));
    gets_end(anna);
    CHECK(!strcmp(said(anna, 0), "enough"));
    looks_at(anna, "few");
    CHECK(count_at(anna, "sub_executions") == 1);
}

FLOW(stopping_a_sub_task_is_an_error_of_its_parents_call)
{
    struct client *anna = client(play), *ben = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = agent_of(anna, "");
    attaches(anna, manager, helper);
    sends(anna, f("POST /v1/agents/%s/invoke/stream", manager),
          says(play, f("[[call Helper {\"query\":\"[[tag %s]][[say half]][[stall]]\"}]][[then]][[say I go on.]]", play->tag), "'id':'boss'"));
    const char *sub = str_z(test_arena(), json_text(json_get(gets_event(anna, "sub_agent_trigger")->data, "task_id")));
    model_waits(play, "requests=2&open=1");
    sends(ben, f("POST /v1/tasks/%s/stop", sub), "");
    gets_status(ben, 200);
    has(ben, "status", "'stopped'");
    CHECK(!strcmp(json_z(json_get(gets_event(anna, "tool_call_result")->data, "is_error")), "true"));
    gets_end(anna);
    CHECK(!strcmp(said(anna, 0), "I go on."));
    looks_at(ben, "boss");
    has(ben, "status", "'completed'");
    has_text(ben, "finished_sub_executions[0]", sub);
}
