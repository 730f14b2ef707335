/* storm.c: many clients do many things to a few tasks, by a fixed dice; afterwards nothing may be left. */
#include <stdio.h>
#include "flow/play.h"

enum { CLIENTS = 40, IDS = 8, ROUNDS = 1500 };

struct storm {
    struct play *play;
    struct client *clients[CLIENTS];
    bool is_waiting[CLIENTS];
    const char *manager, *helper;
    uint64_t state;
    int counts[600];
};

static const char *scripted(struct storm *storm)
{
    const char *tag = storm->play->tag;
    switch (dice(&storm->state) % 7) {
    case 0: return "[[say one two three]]";
    case 1: return "[[say one]][[stall]]";
    case 2: return "[[long 1]]";
    case 3: return "[[hang]]";
    case 4: return "[[say half]][[cut]]";
    case 5: return f("[[call Helper {\"query\":\"[[tag %s]][[say deep]][[stall]]\"}]]", tag);
    default: return f("[[call Helper {\"query\":\"[[tag %s]][[say a]]\"}]][[call Helper {\"query\":\"[[tag %s]][[long 1]]\"}]]", tag, tag);
    }
}

static void acts(struct storm *storm, struct client *c)
{
    const char *id = f("s%d", (int)(dice(&storm->state) % IDS));
    int act = (int)(dice(&storm->state) % 20);
    if (act < 7) sends(c, f("POST /v1/agents/%s/invoke/async", storm->manager), says(storm->play, scripted(storm), f("'id':'%s'", id)));
    else if (act < 8) sends(c, f("POST /v1/agents/%s/invoke/stream?sub_tasks=all", storm->manager), says(storm->play, scripted(storm), f("'id':'%s'", id)));
    else if (act < 11) sends(c, f("GET /v1/tasks/%s/stream", id), "");
    else if (act < 12) sends(c, f("GET /v1/tasks/%s/thread/full", id), "");
    else if (act < 13) sends(c, f("GET /v1/tasks/%s", id), "");
    else if (act < 14) sends(c, "GET /v1/tasks?status=executing", "");
    else if (act < 16) sends(c, f("POST /v1/tasks/%s/stop", id), "");
    else sends(c, f("DELETE /v1/tasks/%s", id), "");
}

/* The answer to what was sent before: one of those that the contract has for it. A stream is left where it stands. */
static void hears(struct storm *storm, int i)
{
    struct client *c = storm->clients[i];
    int status = status_of(c);
    storm->counts[status]++;
    bool is_delete = !strcmp(c->method, "DELETE");
    bool is_invoke = strstr(c->target, "/invoke"); /* its 404 would mean the agent */
    bool is_fine = is_invoke ? status == 200 || status == 409 : is_delete ? status == 204 || status == 404 : status == 200 || status == 404;
    if (!is_fine) expected(c, __FILE__, __LINE__, "an answer of the contract");
    storm->is_waiting[i] = false;
}

static void rages(struct play *play, uint64_t seed)
{
    struct storm storm = {.play = play, .state = seed};
    play_takes(play, 240);
    serve_own(play, "RETRY_FIRST_MS=1");
    for (int i = 0; i < CLIENTS; i++) storm.clients[i] = client(play);
    struct client *anna = client(play);
    storm.helper = agent_of(anna, "'name':'Helper'");
    storm.manager = agent_of(anna, "'name':'Manager'");
    sends(anna, f("POST /v1/agents/%s/tools", storm.manager), q("{'type':'agent','agent_id':'%s'}", storm.helper));
    gets_status(anna, 200);

    for (int n = 0; n < ROUNDS; n++) {
        int i = (int)(dice(&storm.state) % CLIENTS);
        if (storm.is_waiting[i]) hears(&storm, i);
        acts(&storm, storm.clients[i]);
        storm.is_waiting[i] = true;
    }
    for (int i = 0; i < CLIENTS; i++)
        if (storm.is_waiting[i]) hears(&storm, i);
    CHECK(storm.counts[200] > 100 && storm.counts[204] > 20 && storm.counts[404] > 20);

    for (int i = 0; i < IDS; i++) {
        sends(anna, f("DELETE /v1/tasks/s%d", i), "");
        CHECK(status_of(anna) == 204 || anna->status == 404);
    }
    CHECK(model_count(play, "open") == 0);
    model_mark(play);
    long requests = model_count(play, "requests");
    sends(anna, "GET /v1/tasks", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
    sends(anna, f("POST /v1/agents/%s/invoke", storm.manager), says(play, "[[say still well]]", "'id':'last'"));
    gets_status(anna, 200);
    has(anna, "result", "'still well'");
    CHECK(model_count(play, "requests") == requests + 1);
    sends(anna, "DELETE /v1/tasks/last", "");
    gets_status(anna, 204);
    serve_stop(play);
    const char *database = f("%s/agentd.db", play->own.data);
    CHECK(!strcmp(row_text(database, "SELECT (SELECT count(*) FROM task) + (SELECT count(*) FROM turn) + (SELECT count(*) FROM entry)"), "0"));
    CHECK(!strcmp(row_text(database, "PRAGMA integrity_check"), "ok"));
}

FLOW(a_storm_leaves_nothing) { rages(play, 1); }
FLOW(another_storm_leaves_nothing) { rages(play, 20261125); }
FLOW(a_third_storm_leaves_nothing) { rages(play, 777); }
