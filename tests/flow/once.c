/* Idempotency-Key: the same request twice makes one thing. */
#include <stdio.h>
#include "flow/play.h"

static struct client *with_key(struct play *play, const char *key)
{
    struct client *c = client(play);
    c->more_headers = arena_printf(test_arena(), "Idempotency-Key: %s\r\n", key);
    return c;
}

static const char *invoke_of(const char *agent, const char *form)
{
    return arena_printf(test_arena(), "POST /v1/agents/%s/invoke%s", agent, form);
}

static const char *id_in(struct client *c) { return text_at(c, "id"); }

FLOW(the_same_key_and_body_make_one_task)
{
    const char *agent = agent_of(client(play), "");
    struct client *anna = with_key(play, "k1"), *ben = with_key(play, "k1");
    const char *body = says(play, "[[say once]]", "");
    sends(anna, invoke_of(agent, ""), body);
    gets_status(anna, 200);
    sends(ben, invoke_of(agent, ""), body);
    gets_status(ben, 200);
    CHECK(!strcmp(id_in(anna), id_in(ben)));
    has_text(ben, "result", "once");
    CHECK(model_count(play, "requests") == 1);
}

FLOW(a_follow_up_of_the_same_key_is_one_turn)
{
    struct client *plain = client(play);
    const char *agent = agent_of(plain, "");
    sends(plain, invoke_of(agent, ""), says(play, "[[say one]]", "'id':'thread'"));
    gets_status(plain, 200);
    struct client *anna = with_key(play, "k2");
    const char *body = says(play, "[[say two]]", "'id':'thread'");
    for (int i = 0; i < 3; i++) {
        sends(anna, invoke_of(agent, ""), body);
        gets_status(anna, 200);
        has_text(anna, "result", "two");
    }
    CHECK(model_count(play, "requests") == 2);
    sends(plain, "GET /v1/tasks/thread/thread", "");
    gets_status(plain, 200);
    CHECK(count_at(plain, "") == 4);
}

FLOW(two_at_once_with_one_key_make_one_task)
{
    const char *agent = agent_of(client(play), "");
    const char *body = says(play, "[[gate $go]][[say once]]", "");
    struct client *clients[6];
    for (int i = 0; i < 6; i++) {
        clients[i] = with_key(play, "k3");
        sends(clients[i], invoke_of(agent, ""), body);
    }
    model_waits(play, "requests=1&open=1");
    model_gate(play, "go");
    for (int i = 0; i < 6; i++) {
        gets_status(clients[i], 200);
        CHECK(!strcmp(id_in(clients[i]), id_in(clients[0])));
    }
    CHECK(model_count(play, "requests") == 1);
}

FLOW(a_stream_of_the_same_key_is_the_turns_stream_from_its_start)
{
    const char *agent = agent_of(client(play), "");
    struct client *anna = with_key(play, "k4"), *ben = with_key(play, "k4");
    const char *body = says(play, "[[say a b c]]", "");
    sends(anna, invoke_of(agent, "/stream"), body);
    gets_event(anna, "task_created");
    gets_event(anna, "task_finished");
    gets_end(anna);
    sends(ben, invoke_of(agent, "/stream"), body);
    gets_event(ben, "task_created");
    gets_event(ben, "task_finished");
    gets_end(ben);
    CHECK(model_count(play, "requests") == 1);
}

FLOW(another_body_with_a_used_key_is_a_422)
{
    const char *agent = agent_of(client(play), "");
    struct client *anna = with_key(play, "k5");
    sends(anna, invoke_of(agent, "/async"), says(play, "[[say a]]", ""));
    gets_status(anna, 200);
    sends(anna, invoke_of(agent, "/async"), says(play, "[[say b]]", ""));
    gets_status(anna, 422);
    has_fault(anna, "['header','idempotency-key']", "value_error");
    has_text(anna, "detail[0].msg", "Value error, Key was used with another body");
    /* Another path, and another organisation, are other scopes. */
    sends(anna, invoke_of(agent, ""), says(play, "[[say b]]", ""));
    gets_status(anna, 200);
}

FLOW(what_is_no_key_is_a_422)
{
    const char *agent = agent_of(client(play), "");
    struct client *anna = with_key(play, "caf\xc3\xa9");
    sends(anna, invoke_of(agent, "/async"), says(play, "[[say a]]", ""));
    gets_status(anna, 422);
    char long_key[257];
    memset(long_key, 'k', 256);
    long_key[256] = 0;
    struct client *ben = with_key(play, long_key);
    sends(ben, invoke_of(agent, "/async"), says(play, "[[say a]]", ""));
    gets_status(ben, 422);
    struct client *cleo = with_key(play, long_key + 1);
    sends(cleo, invoke_of(agent, "/async"), says(play, "[[say a]]", ""));
    gets_status(cleo, 200);
}

FLOW(after_a_delete_the_same_request_is_410_and_makes_nothing)
{
    struct client *plain = client(play);
    const char *agent = agent_of(plain, "");
    struct client *anna = with_key(play, "k6");
    const char *body = says(play, "[[say a]]", "'id':'mine'");
    sends(anna, invoke_of(agent, ""), body);
    gets_status(anna, 200);
    sends(plain, "DELETE /v1/tasks/mine", "");
    gets_status(plain, 204);
    for (int i = 0; i < 2; i++) {
        sends(anna, invoke_of(agent, ""), body);
        gets_status(anna, 410);
    }
    sends(plain, "GET /v1/tasks/mine", "");
    gets_status(plain, 404);
    CHECK(model_count(play, "requests") == 1);
}

FLOW(the_same_key_makes_one_agent_also_after_a_restart)
{
    serve_own(play, "");
    struct client *anna = with_key(play, "a1");
    sends(anna, "POST /v1/agents", "{\"name\":\"Only\"}");
    gets_status(anna, 201);
    const char *first = id_in(anna);
    serve_kill(play);
    serve_start(play, "");
    struct client *ben = with_key(play, "a1");
    sends(ben, "POST /v1/agents", "{\"name\":\"Only\"}");
    gets_status(ben, 201);
    CHECK(!strcmp(first, id_in(ben)));
    sends(ben, arena_printf(test_arena(), "DELETE /v1/agents/%s", first), "");
    gets_status(ben, 202);
    sends(ben, "POST /v1/agents", "{\"name\":\"Only\"}");
    gets_status(ben, 410);
}

FLOW(no_text_of_a_request_lies_beside_its_key)
{
    serve_own(play, "");
    const char *agent = agent_of(client(play), "");
    struct client *anna = with_key(play, "canarykey77");
    sends(anna, invoke_of(agent, ""), asks("canarytext77", ""));
    gets_status(anna, 200);
    serve_stop(play);
    CHECK(files_with(play->server->data, "canarykey77", 0) == 0);
    CHECK(files_with(play->server->data, "canarytext77", 0) == 0);
}
