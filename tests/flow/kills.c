/* kills.c: the server is killed again and again in the middle of things; what it had answered stays true.
 *
 * Each client has a task of its own and one question open at most, so after a kill it is known what was
 * promised: an accepted message is there, a deleted task is not, and of what was still open either is true. */
#include <stdio.h>
#include "flow/play.h"

enum { CLIENTS = 12, KILLS = 8, ACTS = 60 };
enum known { GONE, THERE, EITHER };

struct life {
    struct client *client;
    const char *id;
    enum known known;
    bool is_open;
    int turns_least, turns_most;  /* messages in its thread */
};

static void hears(struct life *life)
{
    if (!life->is_open) return;
    int status = status_of(life->client);
    bool is_delete = !strcmp(life->client->method, "DELETE"), is_stop = strstr(life->client->target, "/stop");
    life->is_open = false;
    if (is_stop) {
        CHECK(status == 200 || (status == 404 && life->known == GONE));
    } else if (is_delete) {
        CHECK(status == 204 || (status == 404 && life->known == GONE));
        life->known = GONE;
        life->turns_least = life->turns_most = 0;
    } else {
        CHECK(status == 200 || status == 409);
        if (status == 200) life->known = THERE, life->turns_least++;
        else life->turns_most--;
    }
}

static void acts(struct life *life, struct play *play, const char *agent, uint64_t *state)
{
    static const char *const scripts[] = {"[[say one two]]", "[[say one]][[stall]]", "[[long 1]]", "[[hang]]"};
    int act = (int)(dice(state) % 8);
    if (act < 4) {
        sends(life->client, f("POST /v1/agents/%s/invoke/async", agent), says(play, scripts[act], f("'id':'%s'", life->id)));
        life->turns_most++;
    } else if (act < 6) {
        sends(life->client, f("POST /v1/tasks/%s/stop", life->id), "");
    } else {
        sends(life->client, f("DELETE /v1/tasks/%s", life->id), "");
    }
    life->is_open = true;
}

/* What was still open at the kill may have happened or not. */
static void forgets(struct life *life)
{
    if (!life->is_open) return;
    life->is_open = false;
    leaves(life->client);
    if (!strcmp(life->client->method, "DELETE")) {
        if (life->known != GONE) life->known = EITHER, life->turns_least = 0;
    } else if (life->known != THERE && !strstr(life->client->target, "/stop")) {
        life->known = EITHER;
    }
}

static void looks_after(struct life *life)
{
    struct client *c = life->client;
    sends(c, f("GET /v1/tasks/%s", life->id), "");
    int status = status_of(c);
    CHECK(status == 200 || status == 404);
    if (life->known == THERE && status != 200) expected(c, __FILE__, __LINE__, "the task that was promised");
    if (life->known == GONE && status != 404) expected(c, __FILE__, __LINE__, "nothing, for it was deleted");
    life->known = status == 200 ? THERE : GONE;
    sends(c, f("GET /v1/tasks/%s/thread", life->id), "");
    gets_status(c, status); /* and it opens: keys and rows fit */
    int turns = 0;
    for (struct json_each e = json_each(c->json); status == 200 && json_next(&e);)
        turns += str_is(json_text(json_get(e.item, "role")), "user");
    if (turns < life->turns_least || turns > life->turns_most)
        expected(c, __FILE__, __LINE__, "%d to %d messages, not %d", life->turns_least, life->turns_most, turns);
    life->turns_least = life->turns_most = turns;
}

static void survives(struct play *play, uint64_t state)
{
    struct life lives[CLIENTS];
    play_takes(play, 240);
    serve_own(play, "RETRY_FIRST_MS=1");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    for (int i = 0; i < CLIENTS; i++) lives[i] = (struct life){.client = client(play), .id = f("k%d", i)};
    for (int kill = 0; kill < KILLS; kill++) {
        for (int n = 0; n < ACTS; n++) {
            struct life *life = &lives[dice(&state) % CLIENTS];
            hears(life);
            acts(life, play, agent, &state);
        }
        serve_kill(play);
        for (int i = 0; i < CLIENTS; i++) forgets(&lives[i]);
        serve_start(play, "RETRY_FIRST_MS=1");
        for (int i = 0; i < CLIENTS; i++) looks_after(&lives[i]);
    }
    for (int i = 0; i < CLIENTS; i++) {
        sends(anna, f("DELETE /v1/tasks/k%d", i), "");
        gets_status(anna, lives[i].known == THERE ? 204 : 404);
    }
    CHECK(model_count(play, "open") == 0);
    serve_stop(play);
    const char *database = f("%s/agentd.db", play->own.data);
    CHECK(!strcmp(row_text(database, "SELECT (SELECT count(*) FROM task) + (SELECT count(*) FROM turn) + (SELECT count(*) FROM entry)"), "0"));
    CHECK(!strcmp(row_text(database, "PRAGMA integrity_check"), "ok"));
}

FLOW(promises_survive_kills) { survives(play, 3); }
FLOW(promises_survive_other_kills) { survives(play, 99); }
