/* erase.c: what is erased is in no file, and what lives is in no file in clear. */
#include <stdio.h>
#include <sys/stat.h>
#include "flow/play.h"

/* Each canary is a word that occurs nowhere else, in every field that somebody can write. */
static const char *const agent_fields =
    "'name':'cnryname','description':'cnrydescr','instructions':{'role':['cnryrole'],'goal':['cnrygoal'],'general':'cnrygeneral'},"
    "'expected_output':'cnryagentout','llm_credentials':{'name':'cnrycredname','description':'cnrycreddescr','value':'cnrycredvalue'},"
    "'llm_extra_headers':{'x-cnryheader':'cnryheadervalue'},'output_schema':{'title':'cnryagentschema'},"
    "'agno_settings':{'session_storage':false},'notification_settings':{'to':'cnrynotify'},'connectivity_details':{'u':'cnryconnect'},"
    "'prompts':['cnryprompt'],'source_nodes':[{'id':'s','type':'sdk','targets':[],'metadata':{'m':'cnrymeta'}}],"
    "'llm_settings':[{'type':'before','k':'cnrysetting'}],'task_level_strategies':{'s':'cnrystrategy'},'model_name':'cnrymodel'";
static const char *const task_fields =
    "'title':'cnrytitle','additional_context':'cnrycontext','expected_output':'cnryexpected','instructions_override':'cnryoverride',"
    "'payload_extension':{'p':'cnrypayload'},'user_tokens':{'t':'cnrytoken'},'user_oidc_token':'cnryoidc','mcp_servers':[{'name':'cnrymcp'}],"
    "'output_schema':{'title':'cnrytaskschema'},'voice_id':'cnryvoice','worker_id':'cnryworker','test_run_node_id':'cnryrunnode',"
    "'llm_model_name':'cnrycallmodel'";

static void finds_no_canary(struct play *play)
{
    const char *where = "";
    /* Random bytes cannot hold these five letters again and again: one hit in a megabyte of noise has odds of 1 in 10^6. */
    int count = files_with(play->own.data, "cnry", &where);
    if (count > 0) test_fail(__FILE__, __LINE__, f("a canary in %s", where));
    const char *log = serve_log(play);
    CHECK(!strstr(log, "cnry"));
}

static const char *canary_body(struct play *play, const char *id, const char *directives)
{
    return f("{\"id\":\"%s\",\"input\":{\"text\":%s,\"files\":[\"https://example.com/cnryfile\"],"
             "\"user\":{\"id\":\"cnryuser\",\"email\":\"cnrymail\",\"first_name\":\"cnryfirst\"}},%s}",
             id, json_quoted(script(play, directives)), q("%s", task_fields));
}

FLOW(no_text_lies_in_clear_in_any_file_while_a_task_lives_and_after)
{
    serve_own(play, "");
    struct client *anna = client(play), *ben = client(play);
    const char *helper = agent_of(anna, "'name':'Helper','description':'cnryhelper'");
    const char *manager = agent_of(anna, agent_fields);
    sends(anna, f("POST /v1/agents/%s/tools", manager), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(anna, 200);
    sends(anna, f("PATCH /v1/agents/%s", manager), q("{'description':'cnrystaged','llm_credentials':null}"));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke/stream", manager),
          canary_body(play, "whole", "[[think cnrythought]][[say {\"cnrysaid\":1}]][[call Helper {\"query\":\"[[say cnrysub]]\"}]]"
                                     "[[then]][[say {\"cnryanswer\":]][[gate $go]][[say 1}]]"));
    gets_event(anna, "tool_call_result");
    model_waits(play, "open=1");
    finds_no_canary(play);
    model_gate(play, "go");
    gets_event(anna, "task_finished");
    gets_end(anna);
    finds_no_canary(play);
    looks_at(ben, "whole"); /* they were there: the API says them */
    CHECK(strstr(body_of(ben), "cnrytitle") && strstr(body_of(ben), "cnryanswer") && strstr(body_of(ben), "cnryuser"));
    sends(ben, "DELETE /v1/tasks/whole", "");
    gets_status(ben, 204);
    finds_no_canary(play);
    sends(ben, f("DELETE /v1/agents/%s", manager), "");
    gets_status(ben, 202);
    finds_no_canary(play);
    serve_stop(play);
    finds_no_canary(play);
}

/* The search itself can find: an id is plain by contract. */
FLOW(ids_and_sources_are_plain_by_contract)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", "'id':'plainidhere','source':'plainsourcehere'"));
    gets_status(anna, 200);
    CHECK(files_with(play->own.data, "plainidhere", 0) >= 1);
    CHECK(files_with(play->own.data, "plainsourcehere", 0) >= 1);
}

/* The keys that the keyring had before are in no file after: no 32 bytes of a slot in use survive its end. */
FLOW(the_old_database_beside_the_new_keyring_tells_nothing)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say cnryanswer]]", "'id':'dead','title':'cnrytitle'"));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say lives on]]", "'id':'living'"));
    gets_status(anna, 200);
    serve_stop(play);
    const char *old = f("%s/old", test_dir());
    copy_directory(play->own.data, old);
    serve_start(play, "");
    sends(anna, "DELETE /v1/tasks/dead", "");
    gets_status(anna, 204);
    serve_stop(play);

    /* The thief has the old database; the keyring is today's. */
    const char *mix = f("%s/mix", test_dir());
    copy_directory(old, mix);
    const char *const keep[] = {"/bin/sh", "-c", f("cp -a %s/keyring %s/keyring", play->own.data, mix), 0};
    CHECK(program_run(keep, 0).status == 0);
    play->own.data = mix;
    struct outcome refused = agentd(play, "serve", "--listen", "127.0.0.1:0", "--data", mix, (char *)0);
    CHECK(refused.status == 1);
    CHECK(strstr(refused.err, "agentd keyring accept"));
    struct outcome accepted = agentd(play, "keyring", "accept", "--data", mix, (char *)0);
    CHECK(accepted.status == 0);
    serve_start(play, "");
    /* What was not deleted can be read: the mix is usable, and the test looks at the right thing. */
    looks_at(anna, "living");
    has(anna, "result", "'lives on'");
    static const char *const paths[] = {"", "/thread", "/thread/full", "/stream"};
    for (int i = 0; i < 4; i++) {
        sends(anna, f("GET /v1/tasks/dead%s", paths[i]), "");
        int status = status_of(anna);
        if (status == 200 && i == 3) gets_end(anna);
        CHECK(!strstr(body_of(anna), "cnry"));
    }
    sends(anna, "GET /v1/tasks", "");
    status_of(anna);
    CHECK(!strstr(body_of(anna), "cnry"));
    CHECK(files_with(mix, "cnry", 0) == 0);
}

FLOW(a_deleted_tasks_rows_are_gone)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", "'id':'rows'"));
    gets_status(anna, 200);
    sends(anna, "DELETE /v1/tasks/rows", "");
    gets_status(anna, 204);
    serve_kill(play); /* on disk as it was at the 204 */
    const char *database = f("%s/agentd.db", play->own.data);
    CHECK(!strcmp(row_text(database, "SELECT (SELECT count(*) FROM task) + (SELECT count(*) FROM turn) + (SELECT count(*) FROM entry)"), "0"));
}

FLOW(a_deleted_agent_is_erased_by_the_next_start_if_a_kill_came_between)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    for (int i = 0; i < 5; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", ""));
        gets_status(anna, 200);
    }
    sends(anna, f("DELETE /v1/agents/%s", agent), "");
    gets_status(anna, 202);
    serve_kill(play);
    serve_start(play, "");
    sends(anna, f("GET /v1/agents/%s", agent), "");
    gets_status(anna, 404);
    sends(anna, "GET /v1/tasks", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
    /* It happens behind the answers, and nothing tells of it but the rows. */
    const char *database = f("%s/agentd.db", play->own.data), *left;
    do {
        sends(anna, "GET /v1/agents", "");
        gets_status(anna, 200);
        left = row_text(database, "SELECT (SELECT count(*) FROM agent) + (SELECT count(*) FROM version) + (SELECT count(*) FROM task)");
    } while (strcmp(left, "0") != 0);
    serve_stop(play);
}

/* Killed right after the intent or anywhere on the way: the next start finishes, and the task stays gone. */
FLOW(a_delete_that_a_kill_interrupts_is_finished_by_the_next_start)
{
    serve_own(play, "");
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say one]][[long 1]]", "'id':'cut'"));
    gets_status(anna, 200);
    model_waits(play, "bytes=500");
    sends(ben, "DELETE /v1/tasks/cut", "");
    model_waits(play, "open=0"); /* the intent is on disk before a line is closed */
    serve_kill(play);
    leaves(ben);
    serve_start(play, "");
    sends(anna, "GET /v1/tasks/cut", "");
    gets_status(anna, 404);
    sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say new]]", "'id':'cut'"));
    gets_status(anna, 200);
    has(anna, "result", "'new'");
    CHECK(model_count(play, "requests") == 2);
}

/* Whatever the form of the keyring: each piece of it that a delete changed is in no file any more. */
FLOW(a_destroyed_key_is_in_no_file_at_the_204)
{
    enum { PIECE = 64, TASKS = 3 };
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    for (int i = 0; i < TASKS; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", f("'id':'t%d'", i)));
        gets_status(anna, 200);
    }
    const char *keyring = f("%s/keyring", play->own.data);
    struct str before = file_bytes(keyring);
    for (int i = 0; i < TASKS; i++) {
        sends(anna, f("DELETE /v1/tasks/t%d", i), "");
        gets_status(anna, 204);
    }
    struct str after = file_bytes(keyring);
    int changed = 0;
    for (size_t at = 0; at + PIECE <= before.count && at + PIECE <= after.count; at += PIECE) {
        struct str old = str_cut(before, at, PIECE);
        if (str_eq(old, str_cut(after, at, PIECE))) continue;
        const char *where = "";
        changed++;
        if (files_with_bytes(play->own.data, old, &where) > 0) test_fail(__FILE__, __LINE__, f("an old key in %s", where));
    }
    CHECK(changed >= TASKS);
}
