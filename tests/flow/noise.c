/* noise.c: requests with damage in them, by a fixed dice, and connections that do nothing useful. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "flow/play.h"

/* One to four bytes changed, dropped, doubled or cut off. */
static struct str damaged(struct str text, uint64_t *state)
{
    struct buf out = {0};
    buf_add_str(&out, text);
    for (int n = 1 + (int)(dice(state) % 4); n > 0 && out.count > 1; n--) {
        size_t at = dice(state) % out.count;
        switch (dice(state) % 4) {
        case 0: out.at[at] = (char)dice(state); break;
        case 1: memmove(out.at + at, out.at + at + 1, --out.count - at); break;
        case 2: out.count = at + 1; break;
        default: out.at[at] = "\r\n:{}\"\\%/ \0"[dice(state) % 11]; break;
        }
    }
    struct str kept = str_copy(test_arena(), buf_str(&out));
    buf_free(&out);
    return kept;
}

/* The peer says no more, so a request without an end has one. */
static int answer_to(struct client *c, struct str bytes)
{
    sends_raw(c, "POST", "/v1/agents", bytes);
    shutdown(c->fd, SHUT_WR);
    int status = status_of(c);
    leaves(c);
    return status;
}

FLOW(damaged_requests_are_answered_or_closed_and_nothing_breaks)
{
    struct client *anna = client(play);
    anna->is_private = true; /* what such bytes ask for is not for the contract to judge */
    uint64_t state = 20261125;
    struct str whole = str(f("POST /v1/agents?deploy=true HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Type: application/json\r\n"
                             "Content-Length: 57\r\n\r\n{\"name\":\"Noise\",\"instructions\":{\"role\":[\"a\"],\"goal\":[]}}\n", play->key));
    CHECK(answer_to(anna, whole) == 201); /* undamaged it works, so the damage is near what counts */
    int kinds[600] = {0};
    for (int i = 0; i < 2000; i++) {
        int status = answer_to(anna, damaged(whole, &state));
        CHECK(status >= 0 && status < 600 && status != 500);
        kinds[status]++;
    }
    CHECK(kinds[400] > 0 && kinds[401] > 0 && kinds[404] > 0 && kinds[422] > 0);
    struct client *ben = client(play);
    sends(ben, "GET /v1/agents", "");
    gets_status(ben, 200);
    has(ben, "total", f("%d", kinds[201] + 1));
}

FLOW(a_client_that_says_no_more_still_gets_its_answer)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    const char *body = says(play, "[[gate $go]][[say late]]", "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), body);
    CHECK(status_of(anna) == 200);
    shutdown(anna->fd, SHUT_WR);
    model_waits(play, "requests=1&open=1");
    model_gate(play, "go");
    /* Half closed may count as gone away; then it is cut, and the task goes on all the same. */
    while (next_event(anna))
        ;
    struct client *ben = client(play);
    sends(ben, f("GET /v1/tasks/%s/stream", anna->events_count ? anna->events[0].task : "x"), "");
    if (status_of(ben) == 200) gets_end(ben);
    sends(ben, "GET /v1/tasks?status=completed", "");
    gets_status(ben, 200);
    has(ben, "total", "1");
}

/* Connections that do nothing hold no place that somebody else needs: the oldest makes way. One that was answered
 * a moment ago is spared, so a newcomer may have to come again. */
FLOW(idle_connections_keep_nobody_out_for_long)
{
    enum { IDLE = 60 };
    serve_own(play, "CONNECTIONS_MAX=50");
    struct client *anna = client(play), *idle[IDLE];
    for (int i = 0; i < IDLE; i++) {
        idle[i] = client(play);
        sends(idle[i], "GET /health", "");
        int status = status_of(idle[i]);
        CHECK(status == 200 || (status == 503 && header_of(idle[i], "retry-after")));
    }
    do sends(anna, "GET /v1/agents", "");
    while (status_of(anna) == 503);
    gets_status(anna, 200);
}

/* A position is opaque, so clients may send back anything: 422 or some rest of the stream, always whole events. */
FLOW(forged_positions_are_refused_or_give_a_proper_rest)
{
    struct client *anna = client(play), *ben = client(play), *live = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[think Grüße]][[say Grüße 世界 🚀 one two]]", "'id':'old'"));
    gets_end(anna);
    sends(live, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[unknown_tool]][[then]][[say Grüße 世界 🚀]][[gate $go]][[say end]]", "'id':'live'"));
    gets_event(live, "tool_call_result"); /* and notes of what was written are kept */
    gets_said(live, "🚀");
    uint64_t state = 42;
    int kinds[600] = {0};
    for (int i = 0; i < 600; i++) {
        struct client *from = i % 2 ? anna : live;
        char id[200];
        snprintf(id, sizeof id, "%s", from->events[dice(&state) % (uint64_t)from->events_count].id);
        for (int n = 1 + (int)(dice(&state) % 2); n > 0 && *id; n--) {
            size_t at = dice(&state) % strlen(id);
            id[at] = "0123456789-_9"[dice(&state) % 13];
            if (dice(&state) % 4 == 0) snprintf(id + at, sizeof id - at, "9223372036854775807");
        }
        if (i % 20 < 4) snprintf(id + strcspn(id, "-"), sizeof id - strcspn(id, "-"), "-9223372036854775807-%d", i % 3);
        sends(ben, f("GET /v1/tasks/%s/stream?after=%s", i % 4 < 2 ? "old" : "live", id), "");
        int status = status_of(ben);
        if (status != 200 && status != 422) expected(ben, __FILE__, __LINE__, "200 or 422 for %s", id);
        kinds[status]++;
        if (status == 200 && i % 4 < 2) {
            while (next_event(ben))
                ; /* each event is read strictly: half a character would fail */
            CHECK(!ben->is_cut && !ben->next_data);
        }
        leaves(ben);
    }
    CHECK(kinds[200] > 50 && kinds[422] > 50);
    const char *id = live->events[0].id;
    sends(ben, f("GET /v1/tasks/live/stream?after=%.*s-9223372036854775807-9223372036854775807", (int)strcspn(id, "-"), id), "");
    CHECK(status_of(ben) == 200);
    sends(anna, "DELETE /v1/tasks/live", "");
    gets_status(anna, 204);
    gets_end(live);
    gets_event(ben, "task_finished");
}

/* Nothing more, and then the normal end: not even what is being said at the moment. */
FLOW(a_position_past_everything_gives_nothing_and_the_end)
{
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say one]][[gate $go]][[say two]]", "'id':'live'"));
    gets_said(anna, "one");
    const char *id = anna->events[0].id;
    sends(ben, f("GET /v1/tasks/live/stream?after=%.*s-9223372036854775807-0", (int)strcspn(id, "-"), id), "");
    CHECK(status_of(ben) == 200);
    model_gate(play, "go");
    gets_end(anna);
    CHECK(next_event(ben) == NULL && !ben->is_cut);
}
