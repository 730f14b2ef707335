/* harness.c: the harness itself, held against the scripted model, which is an HTTP server too. */
#include "flow/play.h"
#include <stdio.h>
#include <stdlib.h>

/* A client whose server is the model. */
static struct client *model_client(struct play *play)
{
    const char *address = model_address();
    play->server = &play->own;
    play->own.data = "/nonexistent";
    const char *colon = strchr(address, ':');
    play->own.port = atoi(colon + 1);
    snprintf(play->own.address, sizeof play->own.address, "%s", address);
    struct client *c = client_with_key(play, 0);
    c->is_private = true;
    return c;
}

static const char *chat(struct play *play, const char *directives, const char *more)
{
    return f("{\"model\":\"m\",%s\"messages\":[{\"role\":\"user\",\"content\":%s}]}", more,
             json_quoted(script(play, directives)));
}

FLOW(the_harness_reads_a_whole_reply_and_checks_its_json)
{
    struct client *anna = model_client(play);
    sends(anna, "POST /v1/chat/completions", chat(play, "[[say one two]]", ""));
    gets_status(anna, 200);
    has(anna, "choices[0].message.content", "'one two'");
    has(anna, "choices[0].finish_reason", "'stop'");
    CHECK(count_at(anna, "choices") == 1);
    CHECK(json_type(at(anna, "choices[1]")) == JSON_ABSENT);
    sends(anna, "POST /v1/chat/completions", chat(play, "[[status 429 message slower]]", ""));
    gets_status(anna, 429);
    contains(anna, "", "slower");
    CHECK(model_count(play, "requests") == 2);
}

FLOW(the_harness_waits_for_the_model_and_opens_its_gates)
{
    struct client *anna = model_client(play);
    sends(anna, "POST /v1/chat/completions", chat(play, "[[say one]][[gate $on]][[say two]]", ""));
    model_waits(play, "requests=1&open=1");
    model_mark(play);
    CHECK(model_count(play, "finished") == 0);
    model_gate(play, "on");
    gets_status(anna, 200);
    model_waits(play, "finished=1&open=0");
    CHECK(model_count(play, "bytes_after_mark") > 0);
    CHECK(json_count(json_get(json_get(model_heard(play), "body"), "messages")) == 1);
}

FLOW(the_harness_sees_a_cut)
{
    struct client *anna = model_client(play);
    sends(anna, "POST /v1/chat/completions", chat(play, "[[say one]][[cut]]", "\"stream\":true,"));
    gets_status(anna, 200);
    while (next_event(anna))
        ;
    CHECK(anna->is_cut);
    CHECK(anna->events_count >= 1);
}

FLOW(the_harness_reads_events_to_a_proper_end)
{
    struct client *anna = model_client(play);
    sends(anna, "POST /v1/chat/completions", chat(play, "[[say one]][[comments]][[no_done]][[split 3]]", "\"stream\":true,"));
    while (next_event(anna))
        ;
    CHECK(!anna->is_cut);
    CHECK(anna->heartbeats > 0);
    CHECK(json_is_there(at_json(anna->events[0].json, "choices[0].delta")));
}
