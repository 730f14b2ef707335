#include "flow/play.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

enum { PLAY_SECONDS = 60 };

static struct play play;
static struct served shared;
static int plays_count;
static char top[256]; /* the shared server's directory */

/* ---- begin and end ---------------------------------------------------------- */

/* Wakes a blocking call, which then fails the play: see check_time(). */
static void too_late(int number) { (void)number; }

static void guard(int seconds)
{
    struct itimerval time = {.it_value.tv_sec = seconds, .it_interval.tv_sec = seconds ? 1 : 0};
    setitimer(ITIMER_REAL, &time, 0);
}

/* After all plays; too late to fail one of them, so the whole run fails. */
static void end_all(void)
{
    program_end(&play.own.program);
    if (shared.program.pid > 0) {
        program_signal(&shared.program, SIGTERM);
        int status = program_wait(&shared.program);
        if (status != 0) {
            printf("FAIL the shared server ended with %d\n%s\n", status, file_text(shared.program.log));
            fflush(stdout);
            _exit(1);
        }
    }
    if (top[0]) {
        const char *const args[] = {"/bin/rm", "-rf", top, 0};
        program_run(args, 0);
    }
}

static void prepare(void)
{
    struct sigaction late = {.sa_handler = too_late}; /* without SA_RESTART */
    sigaction(SIGALRM, &late, 0);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    const char *tmp = getenv("TMPDIR");
    snprintf(top, sizeof top, "%s/agentd-flow-XXXXXX", tmp ? tmp : "/tmp");
    CHECK(mkdtemp(top));
    atexit(end_all);
}

static void drop_clients(void)
{
    for (struct client *c = play.clients, *next; c; c = next) {
        next = c->next;
        if (c->fd >= 0) close(c->fd);
        buf_free(&c->in);
        buf_free(&c->body);
        free(c->events);
        free(c);
    }
    play.clients = 0;
}

struct play *play_begin(const char *name)
{
    if (!top[0]) prepare();
    drop_clients(); /* of a play that failed */
    program_end(&play.own.program);
    play = (struct play){.name = name, .own.program.out = -1};
    snprintf(play.tag, sizeof play.tag, "p%d", ++plays_count);
    guard(PLAY_SECONDS);
    return &play;
}

void play_end(void)
{
    for (struct client *c = play.clients; c; c = c->next) record(c);
    drop_clients();
    program_end(&play.own.program);
    guard(0);
}

void play_takes(struct play *p, int seconds)
{
    (void)p;
    guard(seconds);
}

/* ---- the server --------------------------------------------------------------- */

/* "A=1 B=2" → "AGENTD_A=1", "AGENTD_B=2". A + in a value is a space. */
static int add_settings(const char **variables, int count, const char *settings)
{
    struct str rest = str(settings);
    for (bool is_found = rest.count > 0; is_found;) {
        struct str one = str_trim(str_split(rest, ' ', &rest, &is_found));
        CHECK(count < SETTINGS_MAX);
        if (one.count > 0) variables[count++] = f("AGENTD_%.*s", STR_ARGS(one));
    }
    return count;
}

static void set_variables(struct served *server, const char *settings)
{
    int count = 0;
    const char **variables = server->variables;
    variables[count++] = f("OPENAI_BASE_URL=http://%s/v1", model_address());
    variables[count++] = "OPENAI_API_KEY=operator-secret-key";
    /* A proxy of the environment would go round the guard: whoever believed it would reach nothing here. */
    static const char *const proxies[] = {"http_proxy=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1", "ALL_PROXY=http://127.0.0.1:1"};
    for (size_t i = 0; i < sizeof proxies / sizeof proxies[0]; i++) variables[count++] = proxies[i];
    count = add_settings(variables, count, settings);
    variables[count] = 0;
}

static void start(struct served *server)
{
    const char *const args[] = {program_path("agentd"), "serve", "--listen", "127.0.0.1:0", "--data", server->data, 0};
    program_start(&server->program, args, server->variables, f("%s.log", server->data));
    static const char wanted[] = "agentd listening on http://";
    const char *line;
    do line = program_line(&server->program);
    while (line && strncmp(line, wanted, sizeof wanted - 1) != 0);
    if (!line) {
        printf("  %s\n", file_text(server->program.log));
        test_fail(__FILE__, __LINE__, "agentd ended before it listened");
    }
    server->said = line;
    snprintf(server->address, sizeof server->address, "%s", line + sizeof wanted - 1);
    const char *colon = strrchr(server->address, ':');
    CHECK(colon && atoi(colon + 1) > 0);
    server->port = atoi(colon + 1);
}

/* The shared server outlives the plays, so its names may not lie in a play's arena. */
static void use_shared(struct play *p)
{
    static char data[300];
    p->server = &shared;
    if (shared.program.pid > 0) return;
    snprintf(data, sizeof data, "%s/data", top);
    shared.data = data;
    set_variables(&shared, "");
    start(&shared);
    shared.said = "";
    memset(shared.variables, 0, sizeof shared.variables);
}

void serve_own(struct play *p, const char *settings)
{
    CHECK(!p->server);
    p->server = &p->own;
    p->own.data = f("%s/data", test_dir());
    set_variables(&p->own, settings);
    start(&p->own);
}

void serve_stop(struct play *p)
{
    program_signal(&p->own.program, SIGTERM);
    int status = program_wait(&p->own.program);
    if (status != 0) {
        printf("  %s\n", serve_log(p));
        test_fail(__FILE__, __LINE__, f("agentd ended with %d", status));
    }
}

void serve_kill(struct play *p)
{
    program_signal(&p->own.program, SIGKILL);
    program_wait(&p->own.program);
}

void serve_start(struct play *p, const char *settings)
{
    CHECK(p->own.data);
    set_variables(&p->own, settings);
    start(&p->own);
}

const char *serve_log(struct play *p)
{
    const char *log = file_text(p->server->program.log);
    return log ? log : "";
}

long serve_memory_kb(struct play *p)
{
    const char *status = file_text(f("/proc/%d/status", (int)p->server->program.pid));
    const char *line = status ? strstr(status, "VmRSS:") : 0;
    CHECK(line);
    return atol(line + 6);
}

int serve_descriptors(struct play *p)
{
    DIR *entries = opendir(f("/proc/%d/fd", (int)p->server->program.pid));
    CHECK(entries);
    int count = -2; /* . and .. */
    while (readdir(entries)) count++;
    closedir(entries);
    return count;
}

struct outcome agentd(struct play *p, const char *first, ...)
{
    const char *args[16] = {program_path("agentd"), first};
    const char *variables[16] = {0};
    int count = 2;
    va_list list;
    va_start(list, first);
    for (const char *arg; count < 15 && (arg = va_arg(list, const char *));) args[count++] = arg;
    va_end(list);
    (void)p;
    variables[0] = f("OPENAI_BASE_URL=http://%s/v1", model_address());
    return program_run(args, variables);
}

struct json key_create(struct play *p, const char *org)
{
    if (!p->server) use_shared(p);
    struct outcome made = agentd(p, "key", "create", "--data", p->server->data, "--org", org, (char *)0);
    struct json json;
    struct json_fault fault;
    if (made.status != 0 || failed(json_parse(test_arena(), str(made.out), &json, &fault)))
        test_fail(__FILE__, __LINE__, f("key create: %d: %s%s", made.status, made.out, made.err));
    return json;
}

/* ---- clients --------------------------------------------------------------------- */

struct client *client_with_key(struct play *p, const char *key)
{
    if (!p->server) use_shared(p);
    struct client *c = calloc(1, sizeof *c);
    CHECK(c);
    *c = (struct client){.play = p, .key = key, .more_headers = "", .content_type = "application/json",
                         .fd = -1, .head = "", .type = "", .is_ended = true, .next = p->clients};
    p->clients = c;
    return c;
}

struct client *client(struct play *p)
{
    if (!p->key) {
        struct json made = key_create(p, p->tag);
        p->key = str_z(test_arena(), json_text(json_get(made, "key")));
        p->key_id = str_z(test_arena(), json_text(json_get(made, "key_id")));
        p->org = str_z(test_arena(), json_text(json_get(made, "organization_id")));
    }
    return client_with_key(p, p->key);
}

struct client *stranger(struct play *p)
{
    if (!p->other_key) {
        struct json made = key_create(p, f("%s-other", p->tag));
        p->other_key = str_z(test_arena(), json_text(json_get(made, "key")));
    }
    return client_with_key(p, p->other_key);
}

struct client *nobody(struct play *p) { return client_with_key(p, 0); }

/* ---- short cuts ------------------------------------------------------------------- */

const char *script(struct play *p, const char *directives)
{
    struct buf text = {0};
    buf_addf(&text, "[[tag %s]]", p->tag);
    for (const char *at = directives; *at; at++) {
        if (*at == '$') buf_addf(&text, "%s-", p->tag);
        else buf_add(&text, at, 1);
    }
    const char *kept = str_z(test_arena(), buf_str(&text));
    buf_free(&text);
    return kept;
}

const char *asks(const char *text, const char *more)
{
    return f("{\"input\":{\"text\":%s}%s%s}", json_quoted(text), *more ? "," : "", q("%s", more));
}

const char *says(struct play *p, const char *directives, const char *more)
{
    return asks(script(p, directives), more);
}

const char *agent_of(struct client *c, const char *more)
{
    struct json json;
    struct json_fault fault;
    CHECK_OK(json_parse(test_arena(), str(q("{%s}", more)), &json, &fault));
    bool has_name = json_is_there(json_get(json, "name"));
    sends(c, "POST /v1/agents", q("{%s%s%s}", has_name ? "" : "'name':'An agent'", *more && !has_name ? "," : "", more));
    gets_status(c, 201);
    return text_at(c, "id");
}

void looks_at(struct client *c, const char *task)
{
    sends(c, f("GET /v1/tasks/%s", task), "");
    gets_status(c, 200);
}

uint64_t dice(uint64_t *state) /* splitmix64 */
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
