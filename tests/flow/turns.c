/* turns.c: one message after another in the same thread. */
#include <stdio.h>
#include "flow/play.h"

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
