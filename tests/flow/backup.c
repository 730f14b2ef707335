/* backup.c: copies made beside a running server, and what comes back from them. */
#include <sys/stat.h>
#include <unistd.h>
#include "flow/play.h"

static const char *place(const char *name) { return f("%s/%s", test_dir(), name); }

static void backs_up(struct play *play, const char *to, const char *keyring)
{
    struct outcome o = agentd(play, "backup", to, "--keyring", keyring, "--data", play->own.data, (char *)0);
    if (o.status != 0) test_fail(__FILE__, __LINE__, o.err);
    CHECK(strstr(o.out, "\"database_bytes\":") && !strstr(o.out, "\"slots\":0"));
}

/* Into a fresh directory, with the master key that was kept elsewhere; it is the play's from then on. */
static struct json restores(struct play *play, const char *from, const char *keyring, const char *name)
{
    struct json json;
    const char *data = place(name);
    CHECK(mkdir(data, 0700) == 0);
    const char *const args[] = {"/bin/cp", "-a", f("%s/master.key", play->own.data), f("%s/master.key", data), 0};
    CHECK(program_run(args, 0).status == 0);
    struct outcome o = agentd(play, "restore", from, "--keyring", keyring, "--data", data, (char *)0);
    if (o.status != 0 || failed(json_parse(test_arena(), str(o.out), &json, 0))) test_fail(__FILE__, __LINE__, f("%s%s", o.out, o.err));
    play->own.data = data;
    return json;
}

static int64_t number_in(struct json json, const char *name) { return json_int(json_get(json, name)); }

static void says_done(struct client *c, const char *agent, const char *task)
{
    sends(c, f("POST /v1/agents/%s/invoke", agent), says(c->play, f("[[say done %s]]", task), f("'id':'%s'", task)));
    gets_status(c, 200);
}

FLOW(a_backup_made_beside_a_running_server_brings_everything_back)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "'name':'Ann'");
    says_done(anna, agent, "t1");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say half]][[gate $go]][[say whole]]", "'id':'runs'"));
    gets_status(anna, 200);
    model_waits(play, "open=1");
    backs_up(play, place("copy"), place("keys"));
    struct stat about;
    CHECK(stat(f("%s/agentd.db", place("copy")), &about) == 0 && (about.st_mode & 0777) == 0600);
    CHECK(stat(place("keys"), &about) == 0 && (about.st_mode & 0777) == 0600);
    says_done(anna, agent, "late");
    serve_kill(play);
    struct json back = restores(play, place("copy"), place("keys"), "again");
    CHECK(number_in(back, "tasks") == 2 && number_in(back, "agents") == 1);
    CHECK(number_in(back, "tasks_removed") == 0 && number_in(back, "agents_removed") == 0);
    model_gate(play, "go");
    serve_start(play, "");
    anna = client(play);
    looks_at(anna, "t1");
    has(anna, "result", "'done t1'");
    sends(anna, "GET /v1/tasks/late", "");
    gets_status(anna, 404);
    sends(anna, "GET /v1/tasks/runs/stream", ""); /* it goes on from where the copy has it */
    gets_event(anna, "task_finished");
    says_done(anna, agent, "new");
}

/* The old database and the newest keyring: the copies that an operator should have. */
FLOW(what_was_deleted_since_the_backup_does_not_come_back)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "'name':'Ann'"), *dead = agent_of(anna, "'name':'Dead'"), *helper = agent_of(anna, "'name':'Helper'");
    sends(anna, f("POST /v1/agents/%s/tools", agent), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(anna, 200);
    says_done(anna, agent, "stays");
    says_done(anna, agent, "goes");
    says_done(anna, dead, "goes-with-its-agent");
    sends(anna, f("POST /v1/agents/%s/invoke", agent),
          says(play, "[[call Helper {\"query\":\"[[say deep]]\"}]][[then]][[say done]]", "'id':'tree'"));
    gets_status(anna, 200);
    backs_up(play, place("old"), place("keys"));
    sends(anna, "DELETE /v1/tasks/goes", "");
    gets_status(anna, 204);
    sends(anna, "DELETE /v1/tasks/tree", "");
    gets_status(anna, 204);
    sends(anna, f("DELETE /v1/agents/%s", dead), "");
    gets_status(anna, 202);
    for (int i = 0; i < 8; i++) says_done(anna, agent, f("since%d", i));
    /* An agent is erased behind its 202, and nothing tells of it but the rows; a copy of the keyring made before has its keys. */
    while (strcmp(row_text(f("%s/agentd.db", play->own.data), "SELECT count(*) FROM agent"), "2") != 0) {
        sends(anna, "GET /v1/agents", "");
        gets_status(anna, 200);
    }
    serve_stop(play);
    backs_up(play, place("new"), place("keys"));
    struct json back = restores(play, place("old"), place("keys"), "again");
    CHECK(number_in(back, "tasks") == 1 && number_in(back, "tasks_removed") == 4);
    CHECK(number_in(back, "agents") == 2 && number_in(back, "agents_removed") == 1);
    serve_start(play, "");
    anna = client(play);
    looks_at(anna, "stays");
    has(anna, "result", "'done stays'");
    const char *const gone[] = {"goes", "tree", "goes-with-its-agent"};
    for (int i = 0; i < 3; i++) {
        sends(anna, f("GET /v1/tasks/%s", gone[i]), "");
        gets_status(anna, 404);
    }
    sends(anna, f("GET /v1/agents/%s", dead), "");
    gets_status(anna, 404);
    says_done(anna, agent, "new");
    serve_stop(play);
    CHECK(!strcmp(row_text(f("%s/agentd.db", play->own.data), "SELECT count(*) FROM agent"), "2"));
}

FLOW(a_backup_and_a_restore_overwrite_no_database)
{
    serve_own(play, "");
    struct client *anna = client(play);
    says_done(anna, agent_of(anna, ""), "t1");
    backs_up(play, place("copy"), place("keys"));
    struct outcome again = agentd(play, "backup", place("copy"), "--keyring", place("keys"), "--data", play->own.data, (char *)0);
    CHECK(again.status == 1 && strstr(again.err, "exists already"));
    struct outcome over = agentd(play, "restore", place("copy"), "--keyring", place("keys"), "--data", play->own.data, (char *)0);
    CHECK(over.status == 1 && strstr(over.err, "is there already"));
    struct outcome bare = agentd(play, "restore", place("copy"), "--keyring", place("keys"), "--data", place("bare"), (char *)0);
    CHECK(bare.status == 1 && strstr(bare.err, "master key must be there first"));
    CHECK(agentd(play, "backup", place("other"), "--data", play->own.data, (char *)0).status == 2);
    looks_at(anna, "t1");
}

/* ---- export ------------------------------------------------------------------------------ */

static struct json exports(struct play *play, const char *name)
{
    struct outcome o = agentd(play, "export", "--org", play->org, "--to", place(name), "--data", play->own.data, (char *)0);
    if (o.status != 0) test_fail(__FILE__, __LINE__, o.err);
    struct json json;
    CHECK_OK(json_parse(test_arena(), file_bytes(place(name)), &json, 0));
    return json;
}

FLOW(an_export_holds_everything_of_one_organisation_and_nothing_of_others)
{
    serve_own(play, "");
    struct client *anna = client(play), *other = stranger(play);
    const char *helper = agent_of(anna, "'name':'Helper'");
    const char *agent = agent_of(anna, "'name':'Ann','llm_credentials':{'name':'n','description':'d','value':'secretvalue'}");
    sends(anna, f("POST /v1/agents/%s/tools", agent), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(anna, 200);
    sends(anna, f("PATCH /v1/agents/%s?deploy=true", agent), q("{'description':'the second'}"));
    gets_status(anna, 200);
    for (int i = 0; i < 60; i++) says_done(anna, helper, f("t%d", i));
    says_done(anna, helper, "t0"); /* a second turn */
    says_done(other, agent_of(other, "'name':'Theirs'"), "theirs");
    struct json all = exports(play, "running.json");
    CHECK(json_count(json_get(all, "agents")) == 2 && json_count(json_get(all, "tasks")) == 60);
    struct json first = at_json(all, "tasks[0]");
    CHECK(str_is(json_text(json_get(first, "id")), "t0") && json_count(json_get(first, "turns")) == 2);
    CHECK(str_is(json_text(at_json(first, "turns[1].result")), "done t0"));
    CHECK(json_count(json_get(first, "entries")) >= 6);
    CHECK(str_is(json_text(at_json(all, "agents[0].draft.description")), "the second"));
    CHECK(json_count(at_json(all, "agents[0].versions")) == 3); /* made, given a tool, changed */
    const char *text = file_text(place("running.json"));
    CHECK(!strstr(text, "Theirs") && !strstr(text, "theirs") && !strstr(text, "secretvalue"));
    struct stat about;
    CHECK(stat(place("running.json"), &about) == 0 && (about.st_mode & 0777) == 0600);
    struct outcome again = agentd(play, "export", "--org", play->org, "--to", place("running.json"), "--data", play->own.data, (char *)0);
    CHECK(again.status == 1 && strstr(again.err, "exists already"));
    serve_stop(play);
    exports(play, "stopped.json");
    CHECK(!strcmp(file_text(place("stopped.json")), text));
}
