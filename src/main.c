/* main.c: the command line, and the order in which things start and end. */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "api/auth.h"
#include "api/call.h"
#include "api/metrics.h"
#include "api/operator.h"
#include "base/log.h"
#include "config.h"
#include "engine/engine.h"
#include "io/loop.h"
#include "io/wait.h"
#include "llm/turn.h"
#include "net/server.h"
#include "store/backup.h"
#include "store/key.h"
#include "store/organization.h"
#include "store/store.h"

#define VERSION "0.1.0"
extern char **environ;
enum { METRICS_CLIENTS = 16 };

static const char usage[] =
    "usage: agentd serve [OPTION...]                         run the server\n"
    "       agentd key create --org NAME [--label TEXT]      make a key, and the organisation if it is new\n"
    "       agentd key list                                  every key, a line of JSON each\n"
    "       agentd key revoke KEY_ID\n"
    "       agentd keyring accept                            take database and keyring as they are for a pair\n"
    "       agentd keyring rotate [--to FILE]                a new master key: in DIR/master.key, or the one in FILE\n"
    "       agentd org list                                  every organisation, a line of JSON each\n"
    "       agentd org delete ORG                            all that an organisation (name or id) owns, and itself\n"
    "       agentd erase --org ORG --user ID                 every task in which this end user spoke, with its tree\n"
    "       agentd export --org ORG --to FILE                all that an organisation owns, in clear, as JSON\n"
    "       agentd backup DIR --keyring FILE                 the rows into DIR, their keys into another file\n"
    "       agentd restore DIR --keyring FILE                into --data DIR, which holds none yet\n"
    "       agentd settings | events                         print the settings, the events of the log, as a page\n"
    "       agentd --version | --help\n"
    "\n"
    "All take --data DIR. key, org, erase, export and backup work beside a running server too.\n"
    "serve reads OPENAI_API_KEY and OPENAI_BASE_URL for agents that name no model of their own.\n"
    "\n"
    "options of serve, each also as AGENTD_NAME in the environment:\n";

/* ---- one running server ----------------------------------------------------------- */

struct service {
    struct arena *arena;
    struct config config;
    struct str host;
    int port;
    struct gate stop;
    bool is_stopping;
    struct err outcome;
    /* In the order of their making. */
    struct store *store;
    struct guard *guard;
    struct client *client;
    struct llm llm;
    struct engine *engine;
    struct app app;
    struct server *server;
    struct metrics metrics;
    struct server *metrics_server;
    struct operator operator;
};

static void on_signal(void *arg)
{
    struct service *s = arg;
    if (!s->is_stopping) log_plain(EVENT_server_stopping);
    s->is_stopping = true;
    gate_open(&s->stop);
}

/* A file that the operator names, else what systemd hands us (LoadCredential=agentd-master-key:...), else DIR/master.key. */
static struct str master_key_file(const struct config *c)
{
    static char path[4096];
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    if (c->master_key_file.count || !directory) return c->master_key_file;
    int count = snprintf(path, sizeof path, "%s/agentd-master-key", directory);
    return count > 0 && count < (int)sizeof path && access(path, F_OK) == 0 ? str(path) : c->master_key_file;
}

static struct store_settings store_settings(const struct config *c)
{
    return (struct store_settings){.directory = c->data, .master_key_file = master_key_file(c),
                                   .group_jobs_max = (int)c->group_max, .queue_max = (int)c->write_queue_max,
                                   .readers = (int)c->readers, .pool_slots = (int)c->pool_slots,
                                   .checkpoint_pages = c->checkpoint_pages, .reserve_bytes = c->reserve};
}

static struct server_settings server_settings(const struct service *s)
{
    const struct config *c = &s->config;
    return (struct server_settings){.host = s->host, .port = s->port, .connections_max = (int)c->connections_max,
                                    .requests_max = (int)c->requests_max, .target_bytes_max = 8192, .head_bytes_max = 32768,
                                    .body_bytes_max = c->body_max, .bodies_bytes_max = c->bodies_max, .head_ms = c->head_ms,
                                    .body_ms = c->body_ms, .idle_ms = c->idle_ms, .send_ms = c->send_ms,
                                    .stream_buffer_bytes = c->stream_buffer};
}

static struct engine_settings engine_settings(const struct config *c)
{
    return (struct engine_settings){.runs_max = c->runs_max, .pending_max = c->pending_max,
                                    .turns_waiting_max = c->turns_waiting_max, .tree_depth_max = c->tree_depth_max,
                                    .sub_tasks_max = c->sub_tasks_max, .steps_max = c->steps_max, .turn_ms_max = c->turn_ms_max,
                                    .turn_tokens_max = c->turn_tokens_max, .org_runs_max = c->org_runs_max,
                                    .org_creates_max = c->org_creates_max,
                                    .history_bytes_max = c->history_bytes_max, .rest_wait_ms = c->rest_wait_ms,
                                    .erase_rows_max = c->erase_rows_max, .retention_days = c->retention_days, .heartbeat_ms = c->heartbeat_ms,
                                    .stream_flush_ms = c->stream_flush_ms, .operator_key = str(getenv("OPENAI_API_KEY")),
                                    .operator_base = str(getenv("OPENAI_BASE_URL"))};
}

static struct llm_limits llm_limits(const struct config *c)
{
    return (struct llm_limits){.connect_ms = c->connect_ms, .first_token_ms = c->first_token_ms, .silence_ms = c->silence_ms,
                               .turn_ms = c->model_turn_ms, .retry_first_ms = c->retry_first_ms,
                               .retry_wait_ms = c->retry_wait_ms, .tries = (int)c->model_tries,
                               .answer_bytes_max = c->answer_bytes_max, .calls_max = (int)c->calls_max};
}

/* A port in use is found before anything is made or changed. */
static struct err port_is_free(struct service *s)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)s->port)};
    char *host = str_z(s->arena, s->host);
    bool is_4 = inet_pton(AF_INET, host, &v4.sin_addr) == 1, is_6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;
    if (!is_4 && !is_6) return errf(s->arena, ERR_INVALID, "--listen must name a numeric address, not \"%.100s\"", host);
    int fd = socket(is_4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1, rc, number;
    if (fd < 0) return OK; /* the server will say why */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    rc = is_4 ? bind(fd, (struct sockaddr *)&v4, sizeof v4) : bind(fd, (struct sockaddr *)&v6, sizeof v6);
    number = errno;
    close(fd);
    if (rc == 0) return OK;
    return errf(s->arena, ERR_CONFLICT, "cannot listen on %s:%d: %s", host, s->port,
                number == EADDRINUSE ? "the port is in use" : strerror(number));
}

static bool is_loopback(const char *host) { return !strncmp(host, "127.", 4) || !strcmp(host, "::1"); }

/* The very first start: a key for a person at a terminal, never for a log. */
static struct err first_key(struct ctx *cx, struct service *s)
{
    bool has_key;
    struct key_made made;
    TRY(store_key_any(cx, s->store, &has_key));
    if (has_key) return OK;
    if (!isatty(STDOUT_FILENO)) {
        fprintf(stderr, "agentd: there is no key yet; make one with: agentd key create --data %s --org NAME\n",
                str_z(cx->arena, s->config.data));
        return OK;
    }
    TRY(store_key_create(cx, s->store, S("default"), S("first"), &made));
    printf("The first key, of organisation \"default\"; it is shown this once:\n\n    %.*s\n\n", STR_ARGS(made.key));
    return OK;
}

/* The operator's own listener, if there is one. */
static struct err open_metrics(struct ctx *cx, struct service *s)
{
    struct server_settings settings = server_settings(s);
    if (!s->config.metrics_listen.count) return OK;
    TRY(config_address(s->arena, "--metrics-listen", s->config.metrics_listen, &settings.host, &settings.port));
    settings.connections_max = settings.requests_max = METRICS_CLIENTS;
    s->metrics = (struct metrics){.store = s->store, .engine = s->engine, .server = s->server, .client = s->client, .loop = cx->loop};
    TRY(server_open(cx, &settings, metrics_serve, &s->metrics, &s->metrics_server));
    fprintf(stderr, "agentd: metrics on http://%.*s:%d/metrics\n", STR_ARGS(settings.host), server_port(s->metrics_server));
    return OK;
}

static struct err open_all(struct ctx *cx, struct service *s)
{
    struct store_settings store = store_settings(&s->config);
    struct engine_settings engine = engine_settings(&s->config);
    struct server_settings server;
    TRY(store_open(cx, &store, &s->store));
    s->guard = guard_open(cx->loop, s->config.allow);
    s->client = s->guard ? client_open_pool(cx->loop, s->config.proxy) : NULL;
    s->app.auth = s->client ? auth_cache_new() : NULL;
    if (!s->app.auth) return err(ERR_MEMORY, "there is no memory to start");
    s->llm = (struct llm){s->client, s->guard, llm_limits(&s->config)};
    TRY(engine_open(cx, &engine, s->store, &s->llm, &s->engine));
    TRY(engine_recover(cx, s->engine));
    TRY(first_key(cx, s));
    s->app.store = s->store;
    s->app.engine = s->engine;
    s->app.routes = &api_routes;
    s->app.config = &s->config;
    s->app.default_provider = s->config.default_provider;
    s->app.default_model = s->config.default_model;
    server = server_settings(s);
    TRY(server_open(cx, &server, api_serve, &s->app, &s->server));
    TRY(open_metrics(cx, s));
    s->operator.store = s->store;
    s->operator.engine = s->engine;
    TRY(operator_open(cx, &s->operator, s->config.data));
    const char *host = str_z(s->arena, s->host);
    struct str own = strf(s->arena, strchr(host, ':') ? "http://[%s]:%d" : "http://%s:%d", host, server_port(s->server));
    s->app.public_base = s->config.public_base.count ? s->config.public_base : own;
    if (!is_loopback(host))
        fprintf(stderr, "agentd: %s is not loopback: keys travel in clear unless TLS is put in front\n", host);
    printf("agentd listening on %.*s\n", STR_ARGS(own));
    fflush(stdout);
    return OK;
}

/* In the reverse order; requests first, then runs, which are left resumable, then the rows. */
static void close_all(struct ctx *cx, struct service *s)
{
    if (s->server) server_stop(cx, s->server, s->config.stop_grace_ms);
    if (s->metrics_server) server_stop(cx, s->metrics_server, 0);
    operator_close(cx, &s->operator);
    if (s->engine) engine_close(cx, s->engine);
    if (s->metrics_server) server_close(s->metrics_server);
    if (s->server) server_close(s->server);
    if (s->app.auth) auth_cache_free(s->app.auth);
    if (s->client) client_close_pool(s->client);
    if (s->guard) guard_close(s->guard);
    if (s->store) store_close(cx, s->store);
}

static struct err serve_main(struct ctx *cx, void *arg)
{
    struct service *s = arg;
    TRY(loop_on_signal(cx->loop, SIGTERM, on_signal, s));
    TRY(loop_on_signal(cx->loop, SIGINT, on_signal, s));
    s->outcome = open_all(cx, s);
    if (failed(s->outcome) && s->outcome.what) s->outcome.what = str_z(s->arena, str(s->outcome.what));
    while (!failed(s->outcome) && !s->is_stopping)
        if (failed(gate_wait(cx, &s->stop, "a signal to stop"))) break;
    close_all(cx, s);
    if (s->is_stopping) log_plain(EVENT_server_stopped);
    return OK;
}

/* No core dumps: they would hold keys and texts. (A limit of 1 stops those through a pipe too; 0 does not.)
 * As many descriptors as we may have. */
static void prepare_process(const struct config *c)
{
    struct rlimit none = {1, 1}, files;
    if (!c->core_dumps) setrlimit(RLIMIT_CORE, &none);
    if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
}

static int fail(struct err e)
{
    fprintf(stderr, "agentd: %s\n", e.what ? e.what : "failed without a reason");
    return 1;
}

static int word_at(const char *const *words, struct str word)
{
    for (int i = 0; words[i]; i++)
        if (str_is(word, words[i])) return i;
    return -1;
}

static struct err set_up_log(struct arena *a, const struct config *c)
{
    static const char *const formats[] = {"text", "json", NULL};
    int level = word_at(log_level_words, c->log_level), format = word_at(formats, c->log_format);
    if (level < 0) return errf(a, ERR_INVALID, "--log-level must be debug, info, warning, error or off, not \"%.60s\"", str_z(a, c->log_level));
    if (format < 0) return errf(a, ERR_INVALID, "--log-format must be text or json, not \"%.60s\"", str_z(a, c->log_format));
    log_setup((enum log_level)level, format ? LOG_AS_JSON : LOG_AS_TEXT);
    return OK;
}

static int serve(struct arena *a, int count, char **arguments)
{
    struct service s = {.arena = a};
    struct err e = config_read(a, environ, count, arguments, &s.config);
    if (!failed(e)) e = set_up_log(a, &s.config);
    if (!failed(e)) e = config_address(a, "--listen", s.config.listen, &s.host, &s.port);
    if (!failed(e) && str_is(s.host, "localhost")) s.host = S("127.0.0.1");
    if (!failed(e)) e = port_is_free(&s);
    if (failed(e)) return fail(e);
    prepare_process(&s.config);
    e = loop_run(serve_main, &s);
    if (failed(s.outcome)) e = s.outcome;
    return failed(e) ? fail(e) : 0;
}

/* ---- keys: also beside a running server -------------------------------------------------- */

/* Take "--name VALUE" (or "--name=VALUE") out of the arguments; at = null when it is not there. */
static struct str take_option(int *count, char **arguments, const char *name)
{
    size_t length = strlen(name);
    struct str value = {0};
    int kept = 0;
    for (int i = 0; i < *count; i++) {
        if (!strncmp(arguments[i], name, length) && arguments[i][length] == '=') value = str(arguments[i] + length + 1);
        else if (!strcmp(arguments[i], name) && i + 1 < *count) value = str(arguments[++i]);
        else arguments[kept++] = arguments[i];
    }
    *count = kept;
    return value;
}

static void print_key_row(const struct key_row *k)
{
    struct buf out = {0};
    buf_add(&out, "{", 1);
    json_put_key(&out, "key_id");
    json_put_text(&out, k->id);
    json_put_key(&out, "organization_id");
    json_put_text(&out, k->org_id);
    json_put_key(&out, "organization");
    json_put_text(&out, k->org_name);
    json_put_key(&out, "label");
    json_put_text(&out, k->label);
    json_put_key(&out, "created_at");
    json_put_time(&out, k->created_at);
    json_put_key(&out, "last_used_at");
    json_put_time(&out, k->last_used_at);
    json_put_key(&out, "revoked_at");
    json_put_time(&out, k->revoked_at);
    buf_add(&out, "}\n", 2);
    fwrite(out.at, 1, out.count, stdout);
    buf_free(&out);
}

static struct err key_create(struct ctx *cx, struct store *store, struct str org, struct str label)
{
    struct key_made made;
    TRY(store_key_create(cx, store, org, label.at ? label : S(""), &made));
    printf("{\"organization_id\":\"%.*s\",\"key_id\":\"%.*s\",\"key\":\"%.*s\"}\n", STR_ARGS(made.org_id),
           STR_ARGS(made.key_id), STR_ARGS(made.key));
    return OK;
}

static struct err key_list(struct ctx *cx, struct store *store)
{
    struct key_row *keys;
    int count;
    TRY(store_key_list(cx, store, &keys, &count));
    for (int i = 0; i < count; i++) print_key_row(&keys[i]);
    return OK;
}

static int wrong_usage(void)
{
    fprintf(stderr, "%.*s\nagentd --help names the options of serve.\n", (int)(strstr(usage, "\n\n") - usage), usage);
    return 2;
}

/* What a command without a loop works on. */
static struct err command_settings(struct arena *a, struct str data, struct store_settings *out)
{
    struct config *config = NEW(a, struct config);
    TRY(config_read(a, environ, 0, 0, config));
    if (data.at) config->data = data;
    *out = store_settings(config);
    return OK;
}

/* A mistyped directory is not made by looking into it. */
static struct err must_have_database(struct arena *a, struct str data)
{
    char *directory = str_z(a, data);
    if (access(str_z(a, strf(a, "%s/agentd.db", directory)), F_OK) == 0) return OK;
    return errf(a, ERR_NOT_FOUND, "%s holds no database of agentd", directory);
}

static int key_command(struct arena *a, int count, char **arguments)
{
    struct ctx cx = {.arena = a};
    struct str data = take_option(&count, arguments, "--data"), org = take_option(&count, arguments, "--org");
    struct str label = take_option(&count, arguments, "--label");
    const char *verb = count ? arguments[0] : "";
    bool is_create = !strcmp(verb, "create") && count == 1, is_list = !strcmp(verb, "list") && count == 1;
    bool is_revoke = !strcmp(verb, "revoke") && count == 2;
    struct store_settings settings;
    struct store *store;

    if (!is_create && !is_list && !is_revoke) return wrong_usage();
    if (is_create && !org.count) return fail(err(ERR_INVALID, "key create needs --org NAME"));
    struct err e = command_settings(a, data, &settings);
    if (!failed(e) && !is_create) e = must_have_database(a, settings.directory);
    if (!failed(e)) e = store_open_rows(&cx, &settings, &store);
    if (failed(e)) return fail(e);
    if (is_create) e = key_create(&cx, store, org, label);
    else if (is_list) e = key_list(&cx, store);
    else e = store_key_revoke(&cx, store, str(arguments[1]));
    store_close(&cx, store);
    if (!failed(e) && fflush(stdout)) e = err(ERR_IO, "the answer could not be written; key list shows what there is");
    return failed(e) ? fail(e) : 0;
}

/* ---- organisations and persons: done by the server, if one runs ----------------------------- */

static void print_organization(const struct organization *o)
{
    struct buf out = {0};
    buf_add(&out, "{", 1);
    json_put_key(&out, "organization_id");
    json_put_text(&out, o->id);
    json_put_key(&out, "organization");
    json_put_text(&out, o->name);
    json_put_key(&out, "created_at");
    json_put_time(&out, o->created_at);
    json_put_key(&out, "is_being_deleted");
    json_put_bool(&out, o->is_deleting);
    buf_add(&out, "}\n", 2);
    fwrite(out.at, 1, out.count, stdout);
    buf_free(&out);
}

static int organization_list(struct arena *a, const struct store_settings *settings)
{
    struct ctx cx = {.arena = a};
    struct organization *list;
    struct store *store;
    int count;
    struct err e = store_open_rows(&cx, settings, &store);
    if (failed(e)) return fail(e);
    e = store_organization_list(&cx, store, &list, &count);
    for (int i = 0; i < count && !failed(e); i++) print_organization(&list[i]);
    store_close(&cx, store);
    return failed(e) ? fail(e) : 0;
}

/* The answer is printed as it came; one that tells of an error is one. */
static int have_done(struct arena *a, const struct store_settings *settings, const char *command, struct str org,
                     const char *name, struct str value)
{
    struct buf line = {0}, answer = {0};
    struct json said;
    buf_add(&line, "{", 1);
    json_put_key(&line, "command");
    json_put_text(&line, str(command));
    json_put_key(&line, "org");
    json_put_text(&line, org);
    json_put_key(&line, name);
    json_put_text(&line, value);
    buf_add(&line, "}", 1);
    log_setup(LOG_WARNING, LOG_AS_TEXT);
    struct err e = operator_do(a, settings, buf_str(&line), &answer);
    if (!failed(e)) e = json_parse(a, buf_str(&answer), &said, NULL);
    struct str error = failed(e) ? S("") : json_text(json_get(said, "error"));
    if (!failed(e) && error.count) e = err(ERR_IO, str_z(a, error));
    if (!failed(e)) printf("%.*s\n", STR_ARGS(buf_str(&answer)));
    buf_free(&line);
    buf_free(&answer);
    return failed(e) ? fail(e) : 0;
}

static int org_command(struct arena *a, int count, char **arguments)
{
    struct str data = take_option(&count, arguments, "--data");
    const char *verb = count ? arguments[0] : "";
    bool is_list = !strcmp(verb, "list") && count == 1, is_delete = !strcmp(verb, "delete") && count == 2;
    struct store_settings settings;
    if (!is_list && !is_delete) return wrong_usage();
    struct err e = command_settings(a, data, &settings);
    if (!failed(e)) e = must_have_database(a, settings.directory);
    if (failed(e)) return fail(e);
    return is_list ? organization_list(a, &settings) : have_done(a, &settings, "org delete", str(arguments[1]), "why", S("deleted"));
}

static int erase_command(struct arena *a, int count, char **arguments)
{
    struct str data = take_option(&count, arguments, "--data"), org = take_option(&count, arguments, "--org");
    struct str user = take_option(&count, arguments, "--user");
    struct store_settings settings;
    if (count || !org.count || !user.count) return wrong_usage();
    struct err e = command_settings(a, data, &settings);
    if (!failed(e)) e = must_have_database(a, settings.directory);
    return failed(e) ? fail(e) : have_done(a, &settings, "erase", org, "user", user);
}

/* The file is made by whoever does it, perhaps in another directory. */
static int export_command(struct arena *a, int count, char **arguments)
{
    struct str data = take_option(&count, arguments, "--data"), org = take_option(&count, arguments, "--org");
    struct str file = take_option(&count, arguments, "--to");
    struct store_settings settings;
    char here[2048];
    if (count || !org.count || !file.count || !getcwd(here, sizeof here)) return wrong_usage();
    if (file.at[0] != '/') file = strf(a, "%s/%.*s", here, STR_ARGS(file));
    struct err e = command_settings(a, data, &settings);
    if (!failed(e)) e = must_have_database(a, settings.directory);
    return failed(e) ? fail(e) : have_done(a, &settings, "export", org, "file", file);
}

/* ---- backups ---------------------------------------------------------------------------------- */

static int backup_command(struct arena *a, int count, char **arguments)
{
    struct ctx cx = {.arena = a};
    struct str data = take_option(&count, arguments, "--data"), keyring = take_option(&count, arguments, "--keyring");
    struct store_settings settings;
    struct backup made;
    if (count != 1 || !keyring.count) return wrong_usage();
    struct err e = command_settings(a, data, &settings);
    if (!failed(e)) e = must_have_database(a, settings.directory);
    if (!failed(e)) e = store_backup(&cx, &settings, str(arguments[0]), keyring, &made);
    if (failed(e)) return fail(e);
    printf("{\"database_bytes\":%lld,\"slots\":%lld}\n", (long long)made.database_bytes, (long long)made.slots);
    return 0;
}

static int restore_command(struct arena *a, int count, char **arguments)
{
    struct ctx cx = {.arena = a};
    struct str data = take_option(&count, arguments, "--data"), keyring = take_option(&count, arguments, "--keyring");
    struct store_settings settings;
    struct restored r;
    if (count != 1 || !keyring.count) return wrong_usage();
    log_setup(LOG_WARNING, LOG_AS_TEXT);
    struct err e = command_settings(a, data, &settings);
    if (!failed(e)) e = store_restore(&cx, &settings, str(arguments[0]), keyring, &r);
    if (failed(e)) return fail(e);
    printf("{\"tasks\":%lld,\"tasks_removed\":%lld,\"agents\":%lld,\"agents_removed\":%lld}\n", (long long)r.tasks,
           (long long)r.tasks_removed, (long long)r.agents, (long long)r.agents_removed);
    return 0;
}

static int keyring_command(struct arena *a, int count, char **arguments)
{
    struct ctx cx = {.arena = a};
    struct str data = take_option(&count, arguments, "--data"), file = take_option(&count, arguments, "--to");
    struct store_settings settings;
    bool is_rotation = count == 1 && !strcmp(arguments[0], "rotate");
    if (!is_rotation && (count != 1 || strcmp(arguments[0], "accept") || file.at)) return wrong_usage();
    struct err e = command_settings(a, data, &settings);
    if (!failed(e)) e = is_rotation ? store_keyring_rotate(&cx, &settings, file) : store_keyring_accept(&cx, &settings);
    return failed(e) ? fail(e) : 0;
}

int main(int argc, char **argv)
{
    struct arena arena = arena_new();
    const char *command = argc > 1 ? argv[1] : "";
    int code;

    if (!strcmp(command, "serve")) {
        code = serve(&arena, argc - 2, argv + 2);
    } else if (!strcmp(command, "key")) {
        code = key_command(&arena, argc - 2, argv + 2);
    } else if (!strcmp(command, "keyring")) {
        code = keyring_command(&arena, argc - 2, argv + 2);
    } else if (!strcmp(command, "org")) {
        code = org_command(&arena, argc - 2, argv + 2);
    } else if (!strcmp(command, "erase")) {
        code = erase_command(&arena, argc - 2, argv + 2);
    } else if (!strcmp(command, "export")) {
        code = export_command(&arena, argc - 2, argv + 2);
    } else if (!strcmp(command, "backup")) {
        code = backup_command(&arena, argc - 2, argv + 2);
    } else if (!strcmp(command, "restore")) {
        code = restore_command(&arena, argc - 2, argv + 2);
    } else if (!strcmp(command, "settings")) {
        config_print_page(stdout);
        code = 0;
    } else if (!strcmp(command, "events")) {
        log_print_table(stdout);
        code = 0;
    } else if (!strcmp(command, "--version")) {
        puts("agentd " VERSION);
        code = 0;
    } else if (!strcmp(command, "--help") || !strcmp(command, "help")) {
        fputs(usage, stdout);
        config_print_help(stdout);
        code = 0;
    } else {
        code = wrong_usage();
    }
    arena_free(&arena);
    return code;
}
