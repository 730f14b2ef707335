/* Limits that the operator may set: none is by default. */
#include "flow/play.h"

static const char *invoke_of(const char *agent, const char *form)
{
    return arena_printf(test_arena(), "POST /v1/agents/%s/invoke%s", agent, form);
}

FLOW(an_organisation_runs_no_more_tasks_than_it_may)
{
    serve_own(play, "ORG_RUNS_MAX=2");
    struct client *anna = client(play), *ben = client(play), *cleo = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, invoke_of(agent, ""), says(play, "[[gate $go]][[say a]]", ""));
    sends(ben, invoke_of(agent, ""), says(play, "[[gate $go]][[say b]]", ""));
    model_waits(play, "open=2");
    sends(cleo, invoke_of(agent, ""), says(play, "[[say c]]", ""));
    gets_status(cleo, 429);
    CHECK(header_of(cleo, "retry-after"));
    model_gate(play, "go");
    gets_status(anna, 200);
    gets_status(ben, 200);
    sends(cleo, invoke_of(agent, ""), says(play, "[[say c]]", ""));
    gets_status(cleo, 200);
    has_text(cleo, "status", "completed");
}

FLOW(an_organisation_sends_no_more_messages_than_it_may)
{
    serve_own(play, "ORG_CREATES_MAX=3");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    for (int i = 0; i < 3; i++) {
        sends(anna, invoke_of(agent, "/async"), says(play, "[[say a]]", ""));
        gets_status(anna, 200);
    }
    sends(anna, invoke_of(agent, "/async"), says(play, "[[say a]]", ""));
    gets_status(anna, 429);
    /* Another organisation has its own. */
    struct client *ben = client_with_key(play, str_z(test_arena(), json_text(json_get(key_create(play, "other"), "key"))));
    const char *theirs = agent_of(ben, "");
    sends(ben, invoke_of(theirs, "/async"), says(play, "[[say a]]", ""));
    gets_status(ben, 200);
}

FLOW(a_turn_that_takes_too_long_ends_with_a_sentence)
{
    serve_own(play, "TURN_MS_MAX=100");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, invoke_of(agent, ""), says(play, "[[say a]][[stall]]", ""));
    gets_status(anna, 200);
    has_text(anna, "status", "error");
    contains(anna, "result", "turn_ms_max");
    model_waits(play, "open=0");
}

FLOW(a_turn_that_uses_too_many_tokens_ends_with_a_sentence)
{
    serve_own(play, "TURN_TOKENS_MAX=5");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, invoke_of(agent, ""), says(play, "[[unknown_tool]][[then]][[say done]]", ""));
    gets_status(anna, 200);
    has_text(anna, "status", "failed");
    contains(anna, "result", "turn_tokens_max");
    CHECK(model_count(play, "requests") == 1);
}
