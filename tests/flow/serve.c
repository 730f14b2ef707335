/* serve.c: the program from outside: starting, refusing to start, keys, ending, coming back. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "flow/play.h"

/* Lines for people; what is logged has a time in front. */
static int sentences_of(const char *text)
{
    int count = 0;
    for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : 0)
        count += !strncmp(line, "agentd: ", 8);
    return count;
}

/* It said why in one clear line, with this in it, and left with 1. */
static void refused(struct outcome outcome, const char *part)
{
    if (outcome.status != 1 || !strstr(outcome.err, part) || sentences_of(outcome.err) != 1)
        test_fail(__FILE__, __LINE__, f("expected 1 and a line with '%s', not %d: %s", part, outcome.status, outcome.err));
    CHECK(!strstr(outcome.out, "listening"));
}

static struct outcome serves(struct play *play, const char *listen, const char *data)
{
    return agentd(play, "serve", "--listen", listen, "--data", data, (char *)0);
}

FLOW(a_port_in_use_is_one_sentence_and_exit_1)
{
    serve_own(play, "");
    const char *other = f("%s/other", test_dir());
    refused(serves(play, play->own.address, other), strchr(play->own.address, ':') + 1);
}

FLOW(a_data_directory_in_use_is_one_sentence_and_exit_1)
{
    serve_own(play, "");
    struct client *anna = client(play);
    agent_of(anna, "");
    refused(serves(play, "127.0.0.1:0", play->own.data), play->own.data);
    sends(anna, "GET /v1/agents", "");
    gets_status(anna, 200);
    has(anna, "total", "1");
}

FLOW(a_directory_it_may_not_write_is_one_sentence_and_exit_1)
{
    refused(serves(play, "127.0.0.1:0", "/proc/agentd"), "/proc/agentd");
}

FLOW(a_newer_database_is_one_sentence_and_exit_1_and_unchanged)
{
    serve_own(play, "");
    serve_stop(play);
    const char *database = f("%s/agentd.db", play->own.data);
    edit_rows(database, "UPDATE meta SET value = '999' WHERE name = 'schema'");
    const char *const sum[] = {"/bin/sh", "-c", f("cd %s && cat agentd.db keyring | sha256sum", play->own.data), 0};
    const char *before = program_run(sum, 0).out;
    refused(serves(play, "127.0.0.1:0", play->own.data), "newer");
    CHECK(!strcmp(program_run(sum, 0).out, before));
}

/* Nothing of the three is made anew beside the others: that would be the end of every text. */
FLOW(a_part_of_the_installation_that_is_missing_is_told)
{
    serve_own(play, "");
    struct client *anna = client(play);
    agent_of(anna, "'name':'Kept'");
    serve_stop(play);
    static const char *const tricks[][2] = {
        {"rm keyring", "keyring accept"}, {"rm master.key", "master.key"}, {"rm agentd.db*", "keyring accept"},
        {"tr 0-9a-f 1-9a-f0 <master.key >other && mv other master.key", "master key"}, {"truncate -s 100 keyring", "keyring"},
    };
    for (size_t i = 0; i < sizeof tricks / sizeof tricks[0]; i++) {
        const char *copy = f("%s/copy%zu", test_dir(), i);
        copy_directory(play->own.data, copy);
        const char *const trick[] = {"/bin/sh", "-c", f("cd %s && %s", copy, tricks[i][0]), 0};
        CHECK(program_run(trick, 0).status == 0);
        refused(serves(play, "127.0.0.1:0", copy), tricks[i][1]);
    }
    serve_start(play, "");
    sends(anna, "GET /v1/agents", "");
    gets_status(anna, 200);
    has(anna, "items[0].name", "'Kept'");
}

FLOW(a_bad_address_or_setting_is_told)
{
    const char *data = f("%s/data", test_dir());
    CHECK(serves(play, "nonsense", data).status != 0);
    CHECK(serves(play, "127.0.0.1:99999", data).status != 0);
    CHECK(agentd(play, "serve", "--no-such-option", (char *)0).status != 0);
    CHECK(agentd(play, "dance", (char *)0).status != 0);
    CHECK(access(data, F_OK) != 0);
}

FLOW(version_and_help)
{
    struct outcome version = agentd(play, "--version", (char *)0);
    CHECK(version.status == 0 && !strncmp(version.out, "agentd ", 7));
    struct outcome help = agentd(play, "--help", (char *)0);
    CHECK(help.status == 0);
    static const char *const words[] = {"serve", "key create", "key list", "key revoke", "keyring accept", "--listen", "--data",
                                        "AGENTD_", "127.0.0.1:8700", "--body-max", "OPENAI_API_KEY"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strstr(help.out, words[i])) test_fail(__FILE__, __LINE__, f("the help does not name %s", words[i]));
}

FLOW(the_data_directory_is_for_its_owner_alone)
{
    serve_own(play, "");
    client(play);
    struct stat about;
    CHECK(stat(play->own.data, &about) == 0 && (about.st_mode & 07777) == 0700);
    static const char *const files[] = {"agentd.db", "keyring", "master.key"};
    for (int i = 0; i < 3; i++) CHECK(stat(f("%s/%s", play->own.data, files[i]), &about) == 0 && (about.st_mode & 077) == 0);
}

FLOW(settings_come_from_the_environment)
{
    serve_own(play, "BODY_MAX=4096");
    struct client *anna = client(play);
    char big[5000];
    memset(big, ' ', sizeof big);
    sends_bytes(anna, "POST /v1/agents", str_n(big, sizeof big));
    gets_status(anna, 413);
    has(anna, "", "{'detail':'Request body exceeds 4096 bytes'}");
}

FLOW(a_setting_out_of_bounds_is_named_and_exit_1)
{
    const char *data = f("%s/data", test_dir());
    const char *const args[] = {program_path("agentd"), "serve", "--listen", "127.0.0.1:0", "--data", data, 0};
    static const char *const bad[] = {"AGENTD_BODY_MAX=1", "AGENTD_BODY_MAX=99999999999999", "AGENTD_BODY_MAX=ten", "AGENTD_RUNS_MAX=0"};
    for (int i = 0; i < 4; i++) {
        const char *const variables[] = {bad[i], 0};
        struct outcome outcome = program_run(args, variables);
        CHECK(outcome.status != 0 && sentences_of(outcome.err) == 1);
        CHECK(strstr(outcome.err, "BODY_MAX") || strstr(outcome.err, "body_max") || strstr(outcome.err, "RUNS_MAX") || strstr(outcome.err, "runs_max"));
    }
}

/* As systemd hands it over with LoadCredential=agentd-master-key:FILE. Without the credential the directory is shut. */
FLOW(a_systemd_credential_is_the_master_key)
{
    const char *credentials = f("%s/credentials", test_dir()), *data = f("%s/data", test_dir()), *log = f("%s/log", test_dir());
    const char *const make[] = {"/bin/sh", "-c", f("mkdir %s && printf '%%064d' 7 > %s/agentd-master-key", credentials, credentials), 0};
    CHECK(program_run(make, 0).status == 0);
    const char *const args[] = {program_path("agentd"), "serve", "--listen", "127.0.0.1:0", "--data", data, 0};
    const char *const variables[] = {f("CREDENTIALS_DIRECTORY=%s", credentials), 0};
    for (int i = 0; i < 2; i++) {
        program_start(&play->own.program, args, variables, log);
        CHECK(program_line(&play->own.program));
        program_signal(&play->own.program, SIGTERM);
        CHECK(program_wait(&play->own.program) == 0);
    }
    CHECK(access(f("%s/master.key", data), F_OK) != 0);
    refused(serves(play, "127.0.0.1:0", data), "master key is missing");
}

FLOW(the_log_is_written_as_its_settings_say)
{
    serve_own(play, "LOG_FORMAT=json");
    serve_stop(play);
    CHECK(strstr(serve_log(play), "\"event\":\"server.stopped\""));
    const char *data = f("%s/data", test_dir());
    refused(agentd(play, "serve", "--data", data, "--log-level", "loud", (char *)0), "--log-level must be debug");
    refused(agentd(play, "serve", "--data", data, "--log-format", "prose", (char *)0), "--log-format must be text");
}

/* ---- keys ---------------------------------------------------------------------------- */

FLOW(keys_are_made_listed_and_revoked_beside_a_running_server)
{
    serve_own(play, "");
    struct client *anna = client(play);
    sends(anna, "GET /v1/agents", "");
    gets_status(anna, 200); /* at once */
    struct outcome more = agentd(play, "key", "create", "--data", play->own.data, "--org", play->tag, "--label", "laptop", (char *)0);
    CHECK(more.status == 0 && strstr(more.out, play->org)); /* the same organisation */
    struct outcome list = agentd(play, "key", "list", "--data", play->own.data, (char *)0);
    CHECK(list.status == 0 && strstr(list.out, play->key_id) && strstr(list.out, "laptop"));
    CHECK(!strstr(list.out, play->key));
    CHECK(agentd(play, "key", "revoke", play->key_id, "--data", play->own.data, (char *)0).status == 0);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    do {
        sends(anna, "GET /v1/agents", "");
        clock_gettime(CLOCK_MONOTONIC, &to); /* the promise is a second; the machine may be slow */
        CHECK(to.tv_sec - from.tv_sec <= 3);
    } while (status_of(anna) == 200);
    gets_status(anna, 401);
    has(anna, "", "{'detail':'Invalid or missing API key'}");
    CHECK(!strcmp(header_of(anna, "www-authenticate"), "Bearer"));
    CHECK(agentd(play, "key", "revoke", "no-such-key", "--data", play->own.data, (char *)0).status != 0);
    CHECK(files_with(play->own.data, play->key, 0) == 0); /* only its hash is stored */
}

FLOW(looking_for_keys_makes_no_directory)
{
    const char *data = f("%s/mistyped", test_dir());
    refused(agentd(play, "key", "list", "--data", data, (char *)0), "holds no database");
    refused(agentd(play, "key", "revoke", "some-key", "--data", data, (char *)0), "holds no database");
    CHECK(access(data, F_OK) != 0);
}

FLOW(keys_can_be_made_before_the_first_start)
{
    const char *data = f("%s/data", test_dir());
    struct outcome made = agentd(play, "key", "create", "--data", data, "--org", "early", (char *)0);
    CHECK(made.status == 0);
    struct json json;
    struct json_fault fault;
    CHECK_OK(json_parse(test_arena(), str(made.out), &json, &fault));
    CHECK(json_count(json) == 3);
    serve_own(play, "");
    struct client *anna = client_with_key(play, str_z(test_arena(), json_text(json_get(json, "key"))));
    agent_of(anna, "");
    has_text(anna, "organization_id", str_z(test_arena(), json_text(json_get(json, "organization_id"))));
}

FLOW(a_first_start_without_a_key_names_the_command)
{
    serve_own(play, "");
    CHECK(strstr(serve_log(play), "agentd key create"));
    client(play);
    serve_stop(play);
    const char *before = serve_log(play);
    serve_start(play, "");
    CHECK(!strstr(serve_log(play) + strlen(before), "agentd key create")); /* there is one now */
}

FLOW(a_first_start_at_a_terminal_prints_one_key_once)
{
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0 && (errno == ENOENT || errno == ENODEV || errno == ENOSPC)) { /* a chroot without /dev/pts has no terminals */
        printf("     there is no terminal here to try it with (/dev/pts is not mounted)\n");
        return;
    }
    CHECK(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    const char *data = f("%s/data", test_dir());
    const char *command = f("exec %s serve --listen 127.0.0.1:0 --data %s >%s 2>/dev/null", program_path("agentd"), data, ptsname(terminal));
    const char *const args[] = {"/bin/sh", "-c", command, 0};
    program_start(&play->own.program, args, 0, "/dev/null");
    struct buf said_there = {0};
    while (!said_there.count || !memmem(said_there.at, said_there.count, "listening on http://", 20)
           || said_there.at[said_there.count - 1] != '\n') {
        char part[512];
        ssize_t got = read(terminal, part, sizeof part);
        if (got < 0) check_time();
        CHECK(got > 0);
        buf_add(&said_there, part, (size_t)got);
    }
    const char *text = str_z(test_arena(), buf_str(&said_there));
    buf_free(&said_there);
    CHECK(strstr(text, "default") && strstr(text, "key"));
    program_signal(&play->own.program, SIGTERM);
    CHECK(program_wait(&play->own.program) == 0);
    close(terminal);
    struct outcome list = agentd(play, "key", "list", "--data", data, (char *)0);
    CHECK(list.status == 0 && strstr(list.out, "default"));
}

FLOW(both_headers_mean_the_same_key)
{
    struct client *anna = client(play), *ben = nobody(play);
    agent_of(anna, "");
    static const char *const schemes[] = {"Bearer", "bearer", "BEARER"};
    for (int i = 0; i < 3; i++) {
        ben->more_headers = f("Authorization: %s %s\r\n", schemes[i], play->key);
        sends(ben, "GET /v1/agents", "");
        gets_status(ben, 200);
        has(ben, "total", "1");
    }
    ben->more_headers = f("Authorization: Bearer %s\r\nx-api-key: %s\r\n", play->key, play->key);
    sends(ben, "GET /v1/agents", "");
    gets_status(ben, 200);
    struct client *zoe = stranger(play);
    const char *bad[] = {"", "x-api-key:\r\n", "x-api-key: no\r\n", "Authorization: Basic abc\r\n", "Authorization: Bearer\r\n",
                         f("Authorization: Bearer %s\r\nx-api-key: %s\r\n", play->key, zoe->key),
                         f("x-api-key: %sx\r\n", play->key), f("x-api-key: %.20s\r\n", play->key)};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ben->more_headers = bad[i];
        sends(ben, "GET /v1/agents", "");
        gets_status(ben, 401);
        has(ben, "", "{'detail':'Invalid or missing API key'}");
    }
}

/* ---- ending and coming back ----------------------------------------------------------- */

FLOW(sigterm_leaves_running_tasks_to_the_next_start)
{
    serve_own(play, "");
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    const char *invoke = f("POST /v1/agents/%s/invoke", agent);
    sends(anna, f("%s/stream", invoke), says(play, "[[say one two]][[gate $go]][[say three]]", "'id':'long'"));
    gets_said(anna, "two");
    sends(ben, f("%s/async", invoke), says(play, "[[say after]]", "'id':'long'"));
    gets_status(ben, 200);
    serve_stop(play);
    const char *last = anna->events[anna->events_count - 1].id;
    int before = anna->events_count;
    gets_end(anna); /* clean, and without a finish that is not true */
    for (int i = 0; i < anna->events_count; i++) CHECK(strcmp(anna->events[i].type, "task_finished") != 0);
    if (anna->events_count > before) last = anna->events[anna->events_count - 1].id;
    serve_start(play, "");
    struct client *cleo = client(play);
    sends(cleo, f("GET /v1/tasks/long/stream?after=%s", last), "");
    struct event *update = gets_event(cleo, "task_updated");
    CHECK(!strcmp(json_z(json_get(update->data, "execution_attempts")), "2"));
    model_gate(play, "go");
    gets_event(cleo, "task_finished");
    gets_event(cleo, "task_finished");
    gets_end(cleo);
    looks_at(cleo, "long");
    has(cleo, "status", "'completed'");
    has(cleo, "result", "'after'");
    sends(cleo, "GET /v1/tasks/long/thread", "");
    gets_status(cleo, 200);
    CHECK(count_at(cleo, "") == 4);
    contains(cleo, "[1].content", "three");
}

FLOW(a_killed_server_resumes_its_tasks_too)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say one]][[gate $go]][[say two]]", "'id':'crash'"));
    gets_status(anna, 200);
    model_waits(play, "requests=1&open=1");
    serve_kill(play);
    serve_start(play, "");
    sends(anna, "GET /v1/tasks/crash/stream", "");
    model_gate(play, "go");
    gets_event(anna, "task_finished");
    gets_end(anna);
    looks_at(anna, "crash");
    has(anna, "status", "'completed'");
    has(anna, "execution_attempts", "2");
    CHECK(strstr(text_at(anna, "result"), "two"));
}

FLOW(what_was_finished_is_there_after_a_restart_with_its_positions)
{
    serve_own(play, "");
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "'llm_credentials':{'name':'k','value':'tenant-key'}");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say one two three]]", "'id':'stays'"));
    gets_end(anna);
    serve_kill(play);
    serve_start(play, "");
    for (int i = 0; i < anna->events_count; i++) {
        sends(ben, f("GET /v1/tasks/stays/stream?after=%s", anna->events[i].id), "");
        gets_end(ben);
        struct buf text = {0};
        for (int j = 0; j <= i; j++)
            if (!strcmp(anna->events[j].type, "chunk")) buf_add_str(&text, json_text(anna->events[j].data));
        for (int j = 0; j < ben->events_count; j++)
            if (!strcmp(ben->events[j].type, "chunk")) buf_add_str(&text, json_text(ben->events[j].data));
        bool same = str_is(buf_str(&text), said(anna, 0));
        buf_free(&text);
        CHECK(same);
    }
    sends(ben, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", "'id':'stays'"));
    gets_status(ben, 200);
    CHECK(strstr(json_z(json_get(model_heard(play), "headers")), "Bearer tenant-key"));
}

FLOW(sigint_ends_it_like_sigterm)
{
    serve_own(play, "");
    program_signal(&play->own.program, SIGINT);
    CHECK(program_wait(&play->own.program) == 0);
}

FLOW(sigterm_ends_it_with_streams_open)
{
    serve_own(play, "");
    struct client *anna = client(play), *ben = client(play);
    const char *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent), says(play, "[[say one]][[stall]]", "'id':'open'"));
    gets_said(anna, "one");
    sends(ben, "GET /v1/tasks/open/stream", "");
    gets_said(ben, "one");
    serve_stop(play);
    gets_end(anna);
    gets_end(ben);
    model_waits(play, "open=0");
}

FLOW(only_an_open_address_is_warned_about)
{
    serve_own(play, "");
    CHECK(!strstr(serve_log(play), "TLS"));
    serve_stop(play);
    const char *const args[] = {program_path("agentd"), "serve", "--listen", "0.0.0.0:0", "--data", play->own.data, 0};
    program_start(&play->own.program, args, play->own.variables, f("%s.open", play->own.data));
    const char *line;
    while ((line = program_line(&play->own.program)) && !strstr(line, "listening on"))
        ;
    CHECK(line);
    CHECK(strstr(serve_log(play), "TLS"));
}

FLOW(health_and_the_contract_need_no_key)
{
    struct client *ben = nobody(play);
    sends(ben, "GET /health", "");
    gets_status(ben, 200);
    has(ben, "", "'ok'");
    sends(ben, "HEAD /health", "");
    gets_status(ben, 200);
    CHECK(ben->body.count == 0);
    sends(ben, "GET /openapi.json", "");
    gets_status(ben, 200);
    CHECK(!strcmp(json_z(at(ben, "openapi")), "\"3.1.0\""));
    CHECK(!strcmp(ben->type, "application/json"));
    CHECK(!strcmp(str_z(test_arena(), str_trim(str(body_of(ben)))), str_z(test_arena(), str_trim(str(file_text("contract/openapi.json"))))));
}
