/* delete.c: deleting works in every state, and nothing happens afterwards. */
#include <stdio.h>
#include "flow/play.h"

/* Gone for every question. A DELETE is 404 too, but joins (204) as long as the key still is being destroyed: after an
 * agent's 202 that may be so. */
static void is_gone(struct play *play, const char *task, bool may_join)
{
    struct client *eve = client(play);
    static const char *const paths[] = {"", "/thread", "/thread/full", "/stream"};
    for (int i = 0; i < 4; i++) {
        sends(eve, f("GET /v1/tasks/%s%s", task, paths[i]), "");
        gets_status(eve, 404);
        has(eve, "", "{'detail':'Task not found'}");
    }
    sends(eve, f("POST /v1/tasks/%s/stop", task), "");
    gets_status(eve, 404);
    sends(eve, f("DELETE /v1/tasks/%s", task), "");
    if (!may_join || status_of(eve) != 204) gets_status(eve, 404);
    sends(eve, "GET /v1/tasks?per_page=50", "");
    gets_status(eve, 200);
    CHECK(!strstr(body_of(eve), f("\"%s\"", task)));
}

/* Delete, and at the moment of the 204 nothing is open at the model; afterwards not a byte moves. */
static void deletes(struct play *play, struct client *c, const char *task)
{
    sends(c, f("DELETE /v1/tasks/%s", task), "");
    gets_status(c, 204);
    CHECK(model_count(play, "open") == 0);
    model_mark(play);
    long requests = model_count(play, "requests");
    CHECK(c->body.count == 0);
    is_gone(play, task, false);
    CHECK(model_count(play, "requests") == requests);
    CHECK(model_count(play, "bytes_after_mark") == 0);
}

static const char *helper_tree(struct client *c)
{
    const char *helper = agent_of(c, "'name':'Helper'"), *manager = agent_of(c, "'name':'Manager'");
    sends(c, f("POST /v1/agents/%s/tools", manager), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(c, 200);
    return manager;
}

FLOW(deleting_a_finished_task_leaves_nothing)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", "'id':'done'"));
    gets_status(anna, 200);
    deletes(play, anna, "done");
}

FLOW(deleting_a_running_task_ends_its_stream)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say Once upon a]][[stall]]", ""));
    gets_event(anna, "chunk");
    deletes(play, ben, task_of(anna));
    struct event *last = gets_event(anna, "task_finished");
    CHECK(!strcmp(json_z(json_get(last->data, "status")), "\"stopped\""));
    gets_end(anna);
    CHECK(model_count(play, "broken") == 1);
}

FLOW(deleting_before_the_first_token_closes_the_models_line)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[hang]]", "'id':'hang'"));
    model_waits(play, "requests=1&open=1");
    deletes(play, ben, "hang");
    gets_status(anna, 200);
    has(anna, "status", "'stopped'");
}

FLOW(deleting_a_flooding_task_reads_not_one_byte_more)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[flood]]", "'id':'flood'"));
    gets_status(anna, 200);
    model_waits(play, "bytes=300000");
    deletes(play, anna, "flood");
}

/* A model that does not notice, and writes until it is refused: what it wrote after the close is refused by
 * the kernel, not read by agentd. */
FLOW(deleting_does_not_need_the_models_help)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[deaf]][[say one]][[long 1]]", "'id':'deaf'"));
    gets_status(anna, 200);
    model_waits(play, "bytes=500");
    sends(anna, "DELETE /v1/tasks/deaf", "");
    gets_status(anna, 204);
    is_gone(play, "deaf", false);
    model_waits(play, "open=0");
    CHECK(model_count(play, "requests") == 1);
}

FLOW(deleting_during_a_retry_starts_no_further_call)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[status 503 retry-after 1 message wait]]", "'id':'retry'"));
    gets_status(anna, 200);
    model_waits(play, "requests=1&open=0");
    sends(anna, "DELETE /v1/tasks/retry", "");
    gets_status(anna, 204);
    long requests = model_count(play, "requests");
    is_gone(play, "retry", false);
    /* Another task lives through two such pauses; the dead one makes no call in that time. */
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[status 503 retry-after 1 message wait times 2]][[say ok]]", ""));
    gets_status(anna, 200);
    has(anna, "result", "'ok'");
    CHECK(model_count(play, "requests") == requests + 3);
}

FLOW(deleting_a_task_deletes_its_running_sub_tasks)
{
    struct client *anna = client(play), *ben = client(play);
    const char *manager = helper_tree(anna);
    sends(anna, f("POST /v1/agents/%s/invoke/stream?sub_tasks=all", manager),
          says(play, f("[[call Helper {\"query\":\"[[tag %s]][[say deep]][[stall]]\"}]]"
                       "[[call Helper {\"query\":\"[[tag %s]][[say deep too]][[hang]]\"}]]", play->tag, play->tag), "'id':'top'"));
    const char *subs[2];
    for (int i = 0; i < 2; i++) subs[i] = str_z(test_arena(), json_text(json_get(gets_event(anna, "sub_agent_trigger")->data, "task_id")));
    model_waits(play, "requests=3&open=2");
    deletes(play, ben, "top");
    is_gone(play, subs[0], false);
    is_gone(play, subs[1], false);
    gets_event(anna, "task_finished");
    gets_end(anna);
}

FLOW(deleting_a_task_drops_the_turns_that_wait)
{
    struct client *anna = client(play), *ben = client(play), *cleo = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    sends(anna, f("%s/stream", invoke), says(play, "[[say one]][[stall]]", "'id':'waits'"));
    gets_said(anna, "one");
    sends(ben, f("%s/stream", invoke), says(play, "[[say two]]", "'id':'waits'"));
    CHECK(status_of(ben) == 200);
    sends(cleo, f("%s/async", invoke), says(play, "[[say three]]", "'id':'waits'"));
    gets_status(cleo, 200);
    deletes(play, cleo, "waits");
    gets_end(anna);
    gets_end(ben);
    CHECK(ben->events_count == 0 || !strcmp(ben->events[ben->events_count - 1].type, "task_finished"));
    CHECK(!strstr(said(ben, 0), "two"));
}

FLOW(deleting_a_pending_task_that_waits_for_a_place)
{
    serve_own(play, "RUNS_MAX=1");
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[stall]]", "'id':'runs'"));
    gets_status(anna, 200);
    model_waits(play, "requests=1&open=1");
    sends(ben, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say never]]", "'id':'waits'"));
    gets_status(ben, 200);
    looks_at(ben, "waits");
    has(ben, "status", "'pending'");
    sends(ben, "DELETE /v1/tasks/waits", "");
    gets_status(ben, 204);
    is_gone(play, "waits", false);
    sends(ben, "DELETE /v1/tasks/runs", "");
    gets_status(ben, 204);
    /* The place is free again. */
    sends(ben, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
    gets_status(ben, 200);
    has(ben, "result", "'ok'");
    CHECK(model_count(play, "requests") == 2);
}

/* The queue has two places: who was deleted, or was stopped and asks again, takes none away. */
FLOW(what_was_ended_stands_in_no_queue)
{
    serve_own(play, "RUNS_MAX=1 PENDING_MAX=2");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[stall]]", "'id':'runs'"));
    gets_status(anna, 200);
    model_waits(play, "requests=1&open=1");
    for (int i = 0; i < 5; i++) {
        for (const char *id = "a"; id; id = *id == 'a' ? "b" : NULL) {
            sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say late]]", f("'id':'%s'", id)));
            gets_status(anna, 200);
        }
        sends(anna, "POST /v1/tasks/a/stop", "");
        gets_status(anna, 200);
        sends(anna, "DELETE /v1/tasks/b", "");
        gets_status(anna, 204);
    }
    for (const char *id = "a"; id; id = *id == 'a' ? "b" : NULL) {
        sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say late]]", f("'id':'%s'", id)));
        gets_status(anna, 200);
    }
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say never]]", "'id':'c'"));
    gets_status(anna, 503);
    sends(anna, "DELETE /v1/tasks/runs", "");
    gets_status(anna, 204);
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say last]]", "'id':'b'"));
    gets_status(anna, 200);
    has(anna, "result", "'last'");
    looks_at(anna, "a");
    has(anna, "result", "'late'");
}

/* Nothing in part 1 pauses a task, so the row is put into that state while nobody has the database open. */
FLOW(deleting_a_paused_task)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", "'id':'paused'"));
    gets_status(anna, 200);
    serve_stop(play);
    const char *database = f("%s/agentd.db", play->own.data);
    /* The words' numbers stand in model/task.h; `paused` is the third. */
    edit_rows(database, "UPDATE task SET status = 2 WHERE id = 'paused'");
    edit_rows(database, "UPDATE turn SET status = 2, paused_at = finished_at, finished_at = NULL");
    serve_start(play, "");
    looks_at(anna, "paused");
    has(anna, "status", "'paused'");
    deletes(play, anna, "paused");
}

FLOW(an_id_is_free_at_once_and_has_nothing_of_the_old_task)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, ""), *other = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), asks("my cat is Tom", "'id':'reused','title':'Old'"));
    gets_status(anna, 200);
    sends(anna, "DELETE /v1/tasks/reused", "");
    gets_status(anna, 204);
    sends(ben, f("POST /v1/agents/%s/invoke", other), asks("what is my cat?", "'id':'reused'"));
    gets_status(ben, 200);
    CHECK(!strstr(text_at(ben, "result"), "Tom"));
    has(ben, "title", "null");
    has_text(ben, "agent_id", other);
    sends(ben, "GET /v1/tasks/reused/thread", "");
    gets_status(ben, 200);
    CHECK(count_at(ben, "") == 2);
    sends(ben, "GET /v1/tasks/reused/stream", "");
    gets_end(ben);
    CHECK(!strcmp(types_of(ben), "task_created task_updated chunk task_finished"));
}

FLOW(an_id_is_free_at_once_also_after_deleting_a_running_task)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    for (int i = 0; i < 20; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say old]][[stall]]", "'id':'ring'"));
        gets_status(anna, 200);
        if (i % 2) model_waits(play, f("requests=%d&open=1", i / 2 + 1));
        sends(anna, "DELETE /v1/tasks/ring", "");
        gets_status(anna, 204);
        /* What the model had not read yet of a call and its end it may read one after the other. */
        if (i % 2) CHECK(model_count(play, "open") == 0);
        else model_waits(play, "open=0");
    }
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say new]]", "'id':'ring'"));
    gets_status(anna, 200);
    has(anna, "result", "'new'");
}

FLOW(a_second_delete_joins_the_first)
{
    struct client *anna = client(play), *many[16];
    const char *agent = agent_of(anna, "");
    int gone = 0, missed = 0;
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say one]][[long 1]]", "'id':'join'"));
    gets_status(anna, 200);
    model_waits(play, "bytes=500");
    for (int i = 0; i < 16; i++) {
        many[i] = client(play);
        sends(many[i], "DELETE /v1/tasks/join", "");
    }
    for (int i = 0; i < 16; i++) {
        int status = status_of(many[i]);
        CHECK(status == 204 || status == 404);
        if (status == 204) gone++;
        else missed++;
    }
    CHECK(gone >= 1);
    CHECK(model_count(play, "open") == 0);
    is_gone(play, "join", false);
}

/* An invoke that comes while the tree is being erased is refused, or opens a new thread after it; never both. */
FLOW(invokes_and_deletes_of_one_id_never_mix)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    for (int i = 0; i < 30; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say old]][[stall]]", "'id':'race'"));
        gets_status(anna, 200);
        sends(anna, "DELETE /v1/tasks/race", "");
        sends(ben, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say new]]", "'id':'race'"));
        gets_status(anna, 204);
        int status = status_of(ben);
        if (status == 409) {
            has(ben, "detail", "'Task is being deleted'");
        } else {
            /* Either it waited behind the old turn and was deleted with it, or it is the new thread. */
            gets_status(ben, 200);
            has(ben, "status", !strcmp(text_at(ben, "status"), "stopped") ? "'stopped'" : "'completed'");
        }
        sends(ben, "DELETE /v1/tasks/race", "");
        status = status_of(ben);
        CHECK(status == 204 || status == 404);
    }
    CHECK(model_count(play, "open") == 0);
}

FLOW(many_deletes_at_once)
{
    enum { MANY = 200 };
    struct client *anna = client(play), *many[MANY];
    const char *agent = agent_of(anna, "");
    for (int i = 0; i < MANY; i++) {
        many[i] = client(play);
        sends(many[i], f("POST /v1/agents/%s/invoke/async", agent), says(play, i % 2 ? "[[stall]]" : "[[say ok]]", f("'id':'m%d'", i)));
    }
    for (int i = 0; i < MANY; i++) gets_status(many[i], 200);
    model_waits(play, f("requests=%d&open=%d", MANY, MANY / 2));
    for (int i = 0; i < MANY; i++) sends(many[i], f("DELETE /v1/tasks/m%d", i), "");
    for (int i = 0; i < MANY; i++) gets_status(many[i], 204);
    CHECK(model_count(play, "open") == 0);
    model_mark(play);
    sends(anna, "GET /v1/tasks", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
    CHECK(model_count(play, "bytes_after_mark") == 0);
    CHECK(model_count(play, "requests") == MANY);
}

FLOW(deleting_an_agent_erases_its_tasks)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    sends(anna, invoke, says(play, "[[say ok]]", "'id':'old'"));
    gets_status(anna, 200);
    sends(anna, f("%s/stream", invoke), says(play, "[[say one]][[stall]]", "'id':'live'"));
    gets_said(anna, "one");
    sends(ben, f("DELETE /v1/agents/%s", agent), "");
    gets_status(ben, 202);
    has(ben, "", "null");
    sends(ben, f("GET /v1/agents/%s", agent), "");
    gets_status(ben, 404);
    has(ben, "", "{'detail':'Agent not found'}");
    is_gone(play, "old", true);
    is_gone(play, "live", true);
    sends(ben, f("DELETE /v1/agents/%s", agent), "");
    gets_status(ben, 404);
    sends(ben, invoke, says(play, "[[say ok]]", ""));
    gets_status(ben, 404);
    sends(ben, "GET /v1/agents", "");
    gets_status(ben, 200);
    has(ben, "total", "0");
    struct event *last = gets_event(anna, "task_finished");
    CHECK(!strcmp(json_z(json_get(last->data, "status")), "\"stopped\""));
    gets_end(anna);
    model_waits(play, "open=0");
    CHECK(model_count(play, "requests") == 2);
}

/* A sub-task hangs from its root, not from its agent. */
FLOW(a_deleted_sub_agent_leaves_its_tasks_in_the_trees_of_others)
{
    struct client *anna = client(play), *ben = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = agent_of(anna, "'name':'Manager'");
    sends(anna, f("POST /v1/agents/%s/tools", manager), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke", manager),
          says(play, "[[call Helper {\"query\":\"[[say known]]\"}]][[then]][[say done]]", "'id':'kept'"));
    gets_status(anna, 200);
    const char *sub = text_at(anna, "sub_executions[0]");
    CHECK(*sub);
    sends(ben, f("DELETE /v1/agents/%s", helper), "");
    gets_status(ben, 202);
    looks_at(ben, sub);
    has(ben, "result", "'known'");
    looks_at(ben, "kept");
    has_text(ben, "sub_executions[0]", sub);
    sends(ben, f("GET /v1/agents/%s/tools", manager), "");
    gets_status(ben, 200);
    has(ben, "", "[]");
    sends(ben, f("GET /v1/agents/%s", manager), "");
    gets_status(ben, 200);
    has(ben, "tools", "[]");
    has(ben, "graph", "[]");
    sends(ben, f("POST /v1/agents/%s/invoke", helper), says(play, "[[say ok]]", f("'id':'%s'", sub)));
    gets_status(ben, 404); /* the agent in the path is gone */
    sends(ben, "DELETE /v1/tasks/kept", "");
    gets_status(ben, 204);
    is_gone(play, sub, false);
}

FLOW(a_running_sub_task_ends_as_error_when_its_agent_is_deleted)
{
    struct client *anna = client(play), *ben = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *manager = agent_of(anna, "'name':'Manager'");
    sends(anna, f("POST /v1/agents/%s/tools", manager), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke/stream", manager),
          says(play, f("[[call Helper {\"query\":\"[[tag %s]][[say half]][[stall]]\"}]][[then]][[say I go on.]]", play->tag), "'id':'lives'"));
    const char *sub = str_z(test_arena(), json_text(json_get(gets_event(anna, "sub_agent_trigger")->data, "task_id")));
    model_waits(play, "requests=2&open=1");
    sends(ben, f("DELETE /v1/agents/%s", helper), "");
    gets_status(ben, 202);
    struct event *result = gets_event(anna, "tool_call_result");
    CHECK(!strcmp(json_z(json_get(result->data, "is_error")), "true"));
    gets_end(anna);
    CHECK(!strcmp(said(anna, 0), "I go on."));
    looks_at(ben, sub);
    has(ben, "status", "'error'");
}

FLOW(a_child_deleted_under_a_live_parent_is_an_error_of_its_tool_call)
{
    struct client *anna = client(play), *ben = client(play);
    const char *manager = helper_tree(anna);
    sends(anna, f("POST /v1/agents/%s/invoke/stream", manager),
          says(play, f("[[call Helper {\"query\":\"[[tag %s]][[say half]][[stall]]\"}]][[then]][[say I go on.]]", play->tag), "'id':'parent'"));
    const char *sub = str_z(test_arena(), json_text(json_get(gets_event(anna, "sub_agent_trigger")->data, "task_id")));
    model_waits(play, "requests=2&open=1");
    sends(ben, f("DELETE /v1/tasks/%s", sub), "");
    gets_status(ben, 204);
    struct event *result = gets_event(anna, "tool_call_result");
    CHECK(!strcmp(json_z(json_get(result->data, "is_error")), "true"));
    gets_end(anna);
    CHECK(!strcmp(said(anna, 0), "I go on."));
    looks_at(ben, "parent");
    has(ben, "status", "'completed'");
    has(ben, "sub_executions", "[]");
    is_gone(play, sub, false);
}

FLOW(what_a_parent_took_over_from_a_deleted_child_stays_with_it)
{
    struct client *anna = client(play), *ben = client(play);
    const char *manager = helper_tree(anna);
    sends(anna, f("POST /v1/agents/%s/invoke", manager),
          says(play, "[[call Helper {\"query\":\"[[say forty-two]]\"}]][[then]][[say done]]", "'id':'keeps'"));
    gets_status(anna, 200);
    const char *sub = text_at(anna, "sub_executions[0]");
    sends(ben, f("DELETE /v1/tasks/%s", sub), "");
    gets_status(ben, 204);
    looks_at(ben, "keeps");
    has(ben, "sub_executions", "[]");
    has(ben, "finished_sub_executions", "[]");
    sends(ben, "GET /v1/tasks/keeps/stream", "");
    struct event *result = gets_event(ben, "tool_call_result");
    CHECK(strstr(json_z(json_get(result->data, "result")), "forty-two"));
    gets_end(ben);
    sends(ben, "GET /v1/tasks/keeps/thread/full", "");
    gets_status(ben, 200);
    CHECK(count_at(ben, "") == 1);
    CHECK(count_at(ben, "root") == 2);
}

FLOW(stop_closes_the_models_lines_of_the_whole_tree_before_it_answers)
{
    struct client *anna = client(play), *ben = client(play);
    const char *manager = helper_tree(anna);
    sends(anna, f("POST /v1/agents/%s/invoke/stream", manager),
          says(play, f("[[call Helper {\"query\":\"[[tag %s]][[say deep]][[stall]]\"}]]", play->tag), "'id':'whole'"));
    const char *sub = str_z(test_arena(), json_text(json_get(gets_event(anna, "sub_agent_trigger")->data, "task_id")));
    model_waits(play, "requests=2&open=1");
    sends(ben, "POST /v1/tasks/whole/stop", "");
    gets_status(ben, 200);
    has(ben, "status", "'stopped'");
    CHECK(model_count(play, "open") == 0);
    model_mark(play);
    looks_at(ben, sub);
    has(ben, "status", "'stopped'");
    gets_end(anna);
    CHECK(model_count(play, "bytes_after_mark") == 0);
    CHECK(model_count(play, "requests") == 2);
}

FLOW(stopping_works_in_every_state)
{
    serve_own(play, "RUNS_MAX=1");
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke/async", agent);
    sends(anna, invoke, says(play, "[[stall]]", "'id':'runs'"));
    gets_status(anna, 200);
    model_waits(play, "requests=1&open=1");
    sends(anna, invoke, says(play, "[[say never]]", "'id':'waits'"));
    gets_status(anna, 200);
    sends(ben, "POST /v1/tasks/waits/stop", "");
    gets_status(ben, 200);
    has(ben, "status", "'stopped'");
    has(ben, "is_manually_stopped", "true");
    sends(ben, "POST /v1/tasks/runs/stop", "");
    gets_status(ben, 200);
    has(ben, "status", "'stopped'");
    CHECK(model_count(play, "open") == 0);
    sends(anna, invoke, says(play, "[[say mine]]", "'id':'local','run_locally':true"));
    gets_status(anna, 200);
    sends(ben, "POST /v1/tasks/local/stop", "");
    gets_status(ben, 200);
    has(ben, "status", "'stopped'");
    sends(ben, "GET /v1/tasks/waits/stream", "");
    gets_end(ben);
    CHECK(!strcmp(types_of(ben), "task_created task_finished"));
    CHECK(model_count(play, "requests") == 1);
    serve_kill(play);
    serve_start(play, "RUNS_MAX=1"); /* what was stopped stays stopped */
    static const char *const ids[] = {"waits", "runs", "local"};
    for (int i = 0; i < 3; i++) {
        looks_at(ben, ids[i]);
        has(ben, "status", "'stopped'");
    }
    CHECK(model_count(play, "requests") == 1);
}

/* With next to no patience some of the many are told 503; each of them finishes by itself all the same. */
FLOW(a_delete_that_takes_too_long_is_503_and_finishes_by_itself)
{
    enum { MANY = 100 };
    serve_own(play, "REST_WAIT_MS=1");
    struct client *anna = client(play), *many[MANY];
    const char *agent = agent_of(anna, "");
    int late = 0;
    for (int i = 0; i < MANY; i++) {
        many[i] = client(play);
        sends(many[i], f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say one]][[stall]]", f("'id':'m%d'", i)));
    }
    for (int i = 0; i < MANY; i++) gets_status(many[i], 200);
    model_waits(play, f("requests=%d&open=%d", MANY, MANY));
    for (int i = 0; i < MANY; i++) sends(many[i], f("DELETE /v1/tasks/m%d", i), "");
    for (int i = 0; i < MANY; i++) {
        int status = status_of(many[i]);
        CHECK(status == 204 || status == 503);
        if (status == 503) late++;
        CHECK(status == 204 || header_of(many[i], "retry-after"));
    }
    CHECK(late > 0);
    model_waits(play, "open=0");
    for (int i = 0; i < MANY; i++) {
        do sends(anna, f("DELETE /v1/tasks/m%d", i), "");
        while (status_of(anna) == 503 || anna->status == 204);
        gets_status(anna, 404);
    }
    sends(anna, "GET /v1/tasks", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
}
