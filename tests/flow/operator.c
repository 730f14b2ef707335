/* operator.c: organisations and persons erased from the command line, beside a server and without one. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include "flow/play.h"

static struct json printed(struct outcome outcome)
{
    struct json json;
    if (outcome.status != 0 || failed(json_parse(test_arena(), str(outcome.out), &json, 0)))
        test_fail(__FILE__, __LINE__, f("%d: %s%s", outcome.status, outcome.out, outcome.err));
    return json;
}

static int64_t number_in(struct json json, const char *name) { return json_int(json_get(json, name)); }

static struct json erases(struct play *play, const char *user)
{
    return printed(agentd(play, "erase", "--data", play->own.data, "--org", play->org, "--user", user, (char *)0));
}

static struct json deletes_org(struct play *play, const char *org)
{
    return printed(agentd(play, "org", "delete", org, "--data", play->own.data, (char *)0));
}

static void asks_as(struct client *c, const char *agent, const char *task, const char *user, const char *text)
{
    sends(c, f("POST /v1/agents/%s/invoke", agent),
          q("{'id':'%s','input':{'text':'%s','user':{'id':'%s','email':'a@example.com'}}}", task, text, user));
    gets_status(c, 200);
}

static void is_gone(struct client *c, const char *task)
{
    sends(c, f("GET /v1/tasks/%s", task), "");
    gets_status(c, 404);
}

/* Nothing of an erased text is left that could be opened: no rows, and only free slots. */
static void has_rows(struct play *play, const char *table, int count)
{
    const char *found = row_text(f("%s/agentd.db", play->own.data), f("SELECT count(*) FROM %s", table));
    if (strcmp(found, f("%d", count))) test_fail(__FILE__, __LINE__, f("%s rows in %s, not %d", found, table, count));
}

FLOW(the_tasks_of_one_person_are_erased_beside_a_running_server)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    asks_as(anna, agent, "a1", "anna", "hello");
    asks_as(anna, agent, "b1", "ben", "hello");
    /* She spoke first, and he after her: what she said is there all the same. */
    asks_as(anna, agent, "both", "anna", "hello");
    asks_as(anna, agent, "both", "ben", "hello");
    asks_as(anna, agent, "silent", "anna", "hello");
    sends(anna, f("POST /v1/agents/%s/invoke", agent), "{\"id\":\"silent\",\"input\":{\"text\":\"and I say nothing of who I am\"}}");
    gets_status(anna, 200);
    CHECK(number_in(erases(play, "nobody"), "tasks") == 0);
    struct json erased = erases(play, "anna");
    CHECK(number_in(erased, "tasks") == 3);
    CHECK(str_is(json_text(json_get(erased, "organization_id")), play->org));
    is_gone(anna, "a1");
    is_gone(anna, "both");
    is_gone(anna, "silent");
    looks_at(anna, "b1");
    CHECK(number_in(erases(play, "anna"), "tasks") == 0);
    serve_stop(play);
    has_rows(play, "task", 1);
    has_rows(play, "person", 1);
    CHECK(access(f("%s/control", play->own.data), F_OK) != 0);
}

FLOW(a_person_whose_task_runs_is_erased_with_its_tree)
{
    serve_own(play, "");
    struct client *anna = client(play), *ben = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/tools", agent), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke/stream", agent),
          f("{\"id\":\"root\",\"input\":{\"text\":%s,\"user\":{\"id\":\"anna\",\"email\":\"a@example.com\"}}}",
            json_quoted(script(play, f("[[call Helper {\"query\":\"[[tag %s]][[say deep]][[stall]]\"}]]", play->tag)))));
    gets_event(anna, "sub_agent_trigger");
    model_waits(play, "open=1");
    CHECK(number_in(erases(play, "anna"), "tasks") == 2);
    model_waits(play, "open=0");
    gets_event(anna, "task_finished");
    is_gone(ben, "root");
    serve_stop(play);
    has_rows(play, "task", 0);
}

FLOW(a_person_is_erased_without_a_server_and_unfinished_tasks_of_others_stay)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    asks_as(anna, agent, "a1", "anna", "hello");
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say half]][[gate $go]]", "'id':'open'"));
    gets_status(anna, 200);
    model_waits(play, "open=1");
    serve_kill(play);
    CHECK(number_in(erases(play, "anna"), "tasks") == 1);
    has_rows(play, "task WHERE status < 2", 1);
    has_rows(play, "slot WHERE state = 1", 0);
    serve_start(play, "");
    anna = client(play);
    is_gone(anna, "a1");
    looks_at(anna, "open");
}

FLOW(an_organisation_is_deleted_with_all_it_owns_and_only_that)
{
    serve_own(play, "");
    struct client *anna = client(play), *other = stranger(play), *ben = client(play);
    const char *agent = agent_of(anna, ""), *busy = agent_of(anna, ""), *theirs = agent_of(other, "");
    asks_as(anna, agent, "done", "anna", "hello");
    sends(other, f("POST /v1/agents/%s/invoke", theirs), says(play, "[[say theirs]]", "'id':'theirs'"));
    gets_status(other, 200);
    sends(ben, f("POST /v1/agents/%s/invoke/stream", busy), says(play, "[[say a]][[gate $never]]", "'id':'runs'"));
    gets_event(ben, "chunk");
    struct json gone = deletes_org(play, play->org);
    CHECK(number_in(gone, "agents") == 2 && number_in(gone, "tasks") == 2 && number_in(gone, "keys") == 1);
    model_waits(play, "open=0");
    gets_event(ben, "task_finished");
    looks_at(other, "theirs");
    struct outcome again = agentd(play, "org", "delete", play->org, "--data", play->own.data, (char *)0);
    CHECK(again.status == 1 && strstr(again.err, "No such organisation"));
    struct outcome list = agentd(play, "org", "list", "--data", play->own.data, (char *)0);
    CHECK(list.status == 0 && strstr(list.out, "organization_id") && !strstr(list.out, play->org));
    serve_stop(play);
    has_rows(play, "organization", 1);
    has_rows(play, "task", 1);
    has_rows(play, "agent", 1);
    has_rows(play, "api_key", 1);
    has_rows(play, "slot WHERE state = 1", 0);
    /* The keys are of no use any more, and a new organisation of the name has nothing of the old one. */
    const char *name = str_z(test_arena(), json_text(json_get(gone, "organization")));
    serve_start(play, "");
    anna = client(play);
    sends(anna, "GET /v1/tasks/done", "");
    gets_status(anna, 401);
    struct client *heir = client_with_key(play, str_z(test_arena(), json_text(json_get(key_create(play, name), "key"))));
    sends(heir, "GET /v1/agents", "");
    gets_status(heir, 200);
    has(heir, "total", "0");
}

FLOW(an_organisation_is_deleted_without_a_server)
{
    serve_own(play, "");
    struct client *anna = client(play), *other = stranger(play);
    const char *agent = agent_of(anna, "");
    agent_of(other, "");
    asks_as(anna, agent, "done", "anna", "hello");
    serve_stop(play);
    struct json gone = deletes_org(play, play->org);
    CHECK(number_in(gone, "agents") == 1 && number_in(gone, "tasks") == 1 && number_in(gone, "keys") == 1);
    has_rows(play, "organization", 1);
    has_rows(play, "agent", 1);
    has_rows(play, "task", 0);
    has_rows(play, "slot WHERE state = 1", 0);
}

/* A command that was cut off after its first commit. */
FLOW(a_start_goes_on_with_the_deletion_of_an_organisation)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    asks_as(anna, agent, "done", "anna", "hello");
    serve_stop(play);
    edit_rows(f("%s/agentd.db", play->own.data), "UPDATE organization SET deleting = 1");
    serve_start(play, "");
    anna = client(play);
    sends(anna, "GET /v1/agents", "");
    gets_status(anna, 401);
    struct outcome list = {0};
    do list = agentd(play, "org", "list", "--data", play->own.data, (char *)0);
    while (list.status == 0 && *list.out); /* the sweep is behind; a play has its time */
    serve_stop(play);
    has_rows(play, "task", 0);
    has_rows(play, "slot WHERE state = 1", 0);
}

FLOW(the_operators_socket_is_for_its_owner_and_takes_no_nonsense)
{
    serve_own(play, "");
    struct stat about;
    CHECK(stat(f("%s/control", play->own.data), &about) == 0);
    CHECK(S_ISSOCK(about.st_mode) && (about.st_mode & 0777) == 0600);
    const char *const talk = "import socket,sys\n"
                             "for line in (b'nonsense', b'{}', b'{\"command\":\"boil\"}', b'{\"command\":\"erase\"}', b'[' * 300, b''):\n"
                             "  s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(line + b'\\n')\n"
                             "  a = b''\n"
                             "  while not a.endswith(b'\\n'): a += s.recv(4096)\n"
                             "  assert a.startswith(b'{\"error\":'), a\n"
                             "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
                             "try:\n"
                             "  s.sendall(b'x' * 200000)\n"
                             "  assert s.recv(10) == b''\n"
                             "except (BrokenPipeError, ConnectionResetError): pass\n";
    const char *const args[] = {"/usr/bin/env", "python3", "-c", talk, f("%s/control", play->own.data), 0};
    struct outcome said = program_run(args, 0);
    if (said.status) test_fail(__FILE__, __LINE__, said.err);
    CHECK(agentd(play, "erase", "--data", play->own.data, "--user", "x", (char *)0).status == 2);
    struct outcome none = agentd(play, "org", "delete", "nobody", "--data", play->own.data, (char *)0);
    CHECK(none.status == 1 && strstr(none.err, "No such organisation"));
}

/* ---- retention ------------------------------------------------------------------------ */

static const char *tasks_of(struct play *play)
{
    return row_text(f("%s/agentd.db", play->own.data), "SELECT coalesce(group_concat(id, ' '), '') FROM (SELECT id FROM task ORDER BY id)");
}

/* Its last step is the log's line: then the walk is over. */
static void waits_for_retention(struct play *play)
{
    while (!strstr(serve_log(play), "task.expired")) check_time();
}

FLOW(finished_tasks_that_are_old_enough_go_and_no_others)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *helper = agent_of(anna, "'name':'Helper'"), *agent = agent_of(anna, "");
    sends(anna, f("POST /v1/agents/%s/tools", agent), q("{'type':'agent','agent_id':'%s'}", helper));
    gets_status(anna, 200);
    const char *const names[] = {"new", "old", "older", "touched"};
    for (int i = 0; i < 4; i++) asks_as(anna, agent, names[i], "anna", "hello");
    sends(anna, f("POST /v1/agents/%s/invoke", agent),
          says(play, "[[call Helper {\"query\":\"[[say deep]]\"}]][[then]][[say done]]", "'id':'tree'"));
    gets_status(anna, 200);
    sends(anna, f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say half]][[gate $go]]", "'id':'runs'"));
    gets_status(anna, 200);
    model_waits(play, "open=1");
    serve_stop(play);
    const char *database = f("%s/agentd.db", play->own.data);
    edit_rows(database, "UPDATE task SET created_at = created_at - 86400000000 * 8 WHERE id <> 'new'");
    edit_rows(database, "UPDATE task SET updated_at = updated_at - 86400000000 * 8 WHERE id NOT IN ('new', 'touched')");
    serve_start(play, "RETENTION_DAYS=9");
    looks_at(client(play), "old"); /* the first walk began before the server listened */
    serve_stop(play);
    has_rows(play, "task", 7);
    serve_start(play, "RETENTION_DAYS=7");
    waits_for_retention(play);
    serve_stop(play);
    if (strcmp(tasks_of(play), "new runs touched")) test_fail(__FILE__, __LINE__, tasks_of(play));
    has_rows(play, "slot WHERE state = 1", 0);
}

/* A clock that went back: what was made then seems to come from the future. */
FLOW(tasks_from_the_future_stay_and_hide_no_old_one)
{
    serve_own(play, "");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    asks_as(anna, agent, "future", "anna", "hello");
    asks_as(anna, agent, "old", "anna", "hello");
    serve_stop(play);
    const char *database = f("%s/agentd.db", play->own.data);
    edit_rows(database, "UPDATE task SET created_at = created_at + 86400000000 * 9, updated_at = updated_at + 86400000000 * 9 WHERE id = 'future'");
    edit_rows(database, "UPDATE task SET created_at = 1, updated_at = 1 WHERE id = 'old'");
    serve_start(play, "RETENTION_DAYS=1");
    waits_for_retention(play);
    serve_stop(play);
    CHECK(!strcmp(tasks_of(play), "future"));
}

/* ---- a full disk ------------------------------------------------------------------------ */

/* A file system of this size, where the tests may make one; null where they may not. It goes with the tests. */
static const char *small_disk(const char *size)
{
    const char *path = f("%s/small", test_dir());
    CHECK(mkdir(path, 0700) == 0);
    if (unshare(CLONE_NEWNS) || mount("none", "/", 0, MS_REC | MS_PRIVATE, 0)) return 0;
    return mount("agentd", path, "tmpfs", 0, f("size=%s", size)) == 0 ? path : 0;
}

FLOW(on_a_full_disk_a_create_is_507_and_a_delete_works)
{
    const char *disk = small_disk("14m");
    if (!disk) return; /* not root: tests/store/reserve.c holds the same against a disk that only says it is full */
    serve_own(play, "RESERVE=4194304");
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    for (int i = 0; i < 3; i++) asks_as(anna, agent, f("t%d", i), "anna", "hello");
    serve_stop(play);
    const char *before = play->own.data;
    copy_directory(before, f("%s/data", disk));
    play->own.data = f("%s/data", disk);
    serve_start(play, "RESERVE=4194304");
    anna = client(play);
    program_run((const char *const[]){"/bin/sh", "-c", f("cat /dev/zero > %s/fill; true", disk), 0}, 0);
    /* Down to the last page: what does not fit gets shorter. */
    int status = 200, made = 0;
    for (int length = 400000; length > 1; length = status == 507 ? length / 20 : length) {
        sends(anna, f("POST /v1/agents/%s/invoke", agent), f("{\"id\":\"big%d\",\"input\":{\"text\":\"%0*d\"}}", made, length, 7));
        status = status_of(anna);
        CHECK(status == 507 || status == 200);
        made += status == 200;
    }
    struct stat about;
    CHECK(stat(f("%s/reserve", play->own.data), &about) == 0 && about.st_size == 4194304); /* not for them */
    sends(anna, f("GET /v1/tasks/big%d", made), "");
    gets_status(anna, 404); /* nothing was accepted */
    sends(anna, "DELETE /v1/tasks/t0", "");
    gets_status(anna, 204);
    sends(anna, "DELETE /v1/tasks/t1", "");
    gets_status(anna, 204);
    is_gone(anna, "t0");
    CHECK(stat(f("%s/reserve", play->own.data), &about) == 0 && about.st_size == 0);
    CHECK(unlink(f("%s/fill", disk)) == 0);
    serve_stop(play);
    serve_start(play, "RESERVE=4194304");
    anna = client(play);
    asks_as(anna, agent, "again", "anna", "hello");
    is_gone(anna, "t1");
    looks_at(anna, "t2");
    serve_stop(play);
    play->own.data = before;
    umount2(disk, MNT_DETACH);
}
