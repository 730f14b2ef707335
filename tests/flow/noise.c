/* noise.c: requests with damage in them, by a fixed dice, and connections that do nothing useful. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "flow/play.h"

/* A dice that falls the same way on every machine (splitmix64). */
static uint64_t dice(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

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
