/* agents_storm.c: agents come, change, call each other and go while their tasks run; afterwards nothing may be left. */
#include <stdio.h>
#include "flow/play.h"

enum { CLIENTS = 24, SLOTS = 6, ROUNDS = 1200 };

struct storm {
    struct play *play;
    struct client *clients[CLIENTS];
    bool is_waiting[CLIENTS];
    int makes[CLIENTS];           /* the slot whose agent this client is making; -1: none */
    const char *agents[SLOTS];
    uint64_t state;
    int counts[600];
};

static const char *scripted(struct storm *storm)
{
    const char *tag = storm->play->tag;
    switch (dice(&storm->state) % 5) {
    case 0: return "[[say one]]";
    case 1: return "[[say one]][[stall]]";
    case 2: return "[[long 1]]";
    default:
        return f("[[call S%d {\"query\":\"[[tag %s]][[say deep]][[stall]]\"}]][[call S%d {\"query\":\"[[tag %s]][[say a]]\"}]][[then]][[say b]]",
                 (int)(dice(&storm->state) % SLOTS), tag, (int)(dice(&storm->state) % SLOTS), tag);
    }
}

static void acts(struct storm *storm, int i)
{
    struct client *c = storm->clients[i];
    int slot = (int)(dice(&storm->state) % SLOTS), other = (int)(dice(&storm->state) % SLOTS), act = (int)(dice(&storm->state) % 16);
    const char *agent = storm->agents[slot];
    storm->makes[i] = -1;
    if (act < 3 || !agent) {
        sends(c, "POST /v1/agents", q("{'name':'S%d'}", slot));
        storm->makes[i] = slot;
    } else if (act < 5) {
        sends(c, f("DELETE /v1/agents/%s", agent), "");
    } else if (act < 7 && storm->agents[other]) {
        sends(c, f("POST /v1/agents/%s/tools", agent), q("{'type':'agent','agent_id':'%s'}", storm->agents[other]));
    } else if (act < 8) {
        sends(c, f("PATCH /v1/agents/%s?deploy=true", agent), q("{'description':'%d'}", (int)(dice(&storm->state) % 5)));
    } else if (act < 9) {
        sends(c, "GET /v1/agents/full", "");
    } else if (act < 10) {
        sends(c, f("GET /v1/agents/%s/tasks", agent), "");
    } else if (act < 11) {
        sends(c, f("POST /v1/agents/%s/invoke/stream?sub_tasks=all", agent), says(storm->play, scripted(storm), ""));
    } else {
        sends(c, f("POST /v1/agents/%s/invoke/async", agent), says(storm->play, scripted(storm), ""));
    }
    storm->is_waiting[i] = true;
}

static void hears(struct storm *storm, int i)
{
    struct client *c = storm->clients[i];
    int status = status_of(c);
    storm->counts[status]++;
    bool is_fine = status == 200 || status == 201 || status == 202 || status == 404
                   || (status == 422 && strstr(c->target, "/tools")) || (status == 409 && strstr(c->target, "/invoke"));
    if (!is_fine) expected(c, __FILE__, __LINE__, "an answer of the contract");
    if (status == 201) storm->agents[storm->makes[i]] = text_at(c, "id");
    storm->is_waiting[i] = false;
}

static void rages(struct play *play, uint64_t seed)
{
    struct storm storm = {.play = play, .state = seed};
    play_takes(play, 240);
    serve_own(play, "RETRY_FIRST_MS=1");
    for (int i = 0; i < CLIENTS; i++) storm.clients[i] = client(play);
    struct client *anna = client(play);
    for (int n = 0; n < ROUNDS; n++) {
        int i = (int)(dice(&storm.state) % CLIENTS);
        if (storm.is_waiting[i]) hears(&storm, i);
        acts(&storm, i);
    }
    for (int i = 0; i < CLIENTS; i++)
        if (storm.is_waiting[i]) hears(&storm, i);
    CHECK(storm.counts[201] > 20 && storm.counts[202] > 20 && storm.counts[200] > 100);

    for (;;) {
        sends(anna, "GET /v1/agents?per_page=50", "");
        gets_status(anna, 200);
        int count = count_at(anna, "items");
        const char *ids[50];
        for (int i = 0; i < count; i++) ids[i] = text_at(anna, f("items[%d].id", i));
        for (int i = 0; i < count; i++) {
            sends(anna, f("DELETE /v1/agents/%s", ids[i]), "");
            gets_status(anna, 202);
        }
        if (count == 0) break;
    }
    sends(anna, "GET /v1/tasks", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
    model_waits(play, "open=0");
    model_mark(play);
    const char *database = f("%s/agentd.db", play->own.data), *left;
    do {
        sends(anna, "GET /v1/agents", "");
        gets_status(anna, 200);
        left = row_text(database, "SELECT (SELECT count(*) FROM agent) + (SELECT count(*) FROM version) + (SELECT count(*) FROM task)"
                                  " + (SELECT count(*) FROM turn) + (SELECT count(*) FROM entry)");
    } while (strcmp(left, "0") != 0);
    CHECK(model_count(play, "bytes_after_mark") == 0);
    serve_stop(play);
    CHECK(!strcmp(row_text(database, "PRAGMA integrity_check"), "ok"));
}

FLOW(a_storm_of_agents_leaves_nothing) { rages(play, 5); }
FLOW(another_storm_of_agents_leaves_nothing) { rages(play, 8); }
