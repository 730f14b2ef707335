/* Requests for agents against a store, over a loopback socket: the order of checks, and what
 * agents and tools answer. The whole program is tested by the plays in tests/flow. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "api/agent.h"
#include "base/clock.h"
#include "house.h"
#include "io/loop.h"
#include "store/key.h"

/* ---- a table of the routes that are needed here ------------------------------------------ */

#define PAGE                                                                                           \
    .parameters = (const struct parameter[]){{.name = "page", .low = 1, .high = INT64_MAX, .normal = 1}, \
                                             {.name = "per_page", .low = 1, .high = 50, .normal = 20}}, \
    .parameters_count = 2
#define DEPLOY(normal_) \
    .parameters = (const struct parameter[]){{.name = "deploy", .kind = PARAMETER_BOOL, .normal = (normal_)}}, .parameters_count = 1
static struct err fails(struct ctx *cx, struct call *call)
{
    (void)cx;
    return err((enum err_code)call->match.path_parameters[0].at[0] - 'a' + ERR_INVALID, "a sentence");
}
static struct err says_nothing(struct ctx *cx, struct call *call)
{
    (void)cx, (void)call;
    return OK;
}
static const struct route routes[] = {
    {.method = "GET", .path_template = "/health", .handler = api_get_health},
    {.method = "GET", .path_template = "/openapi.json", .handler = api_get_openapi},
    {.method = "GET", .path_template = "/fails/{how}", .name = "fails", .handler = fails},
    {.method = "GET", .path_template = "/nothing", .name = "nothing", .handler = says_nothing},
    {.method = "GET", .path_template = "/v1/agents", .handler = api_list_agents, .auth = AUTH_KEY, PAGE},
    {.method = "GET", .path_template = "/v1/agents/full", .handler = api_list_agents_full, .auth = AUTH_KEY, PAGE},
    {.method = "GET", .path_template = "/v1/agents/list", .handler = wire_list_agents_cli, .auth = AUTH_KEY},
    {.method = "POST", .path_template = "/v1/agents", .handler = api_create_agent, .auth = AUTH_KEY, .body = BODY_JSON},
    {.method = "GET", .path_template = "/v1/agents/{agent_id}", .handler = api_get_agent, .auth = AUTH_KEY},
    {.method = "PATCH", .path_template = "/v1/agents/{agent_id}", .handler = api_update_agent, .auth = AUTH_KEY, .body = BODY_JSON,
     DEPLOY(0)},
    {.method = "PUT", .path_template = "/v1/agents/{agent_id}", .handler = api_deploy_agent, .auth = AUTH_KEY},
    {.method = "GET", .path_template = "/v1/agents/{agent_id}/tools", .handler = api_list_agent_tools, .auth = AUTH_KEY},
    {.method = "POST", .path_template = "/v1/agents/{agent_id}/tools", .handler = api_add_agent_tool, .auth = AUTH_KEY,
     .body = BODY_JSON, DEPLOY(1)},
    {.method = "DELETE", .path_template = "/v1/agents/{agent_id}/tools/{tool_id}", .handler = api_remove_agent_tool,
     .auth = AUTH_KEY, DEPLOY(1)},
};
static const struct route_table table = {routes, sizeof routes / sizeof *routes};

/* ---- a server and one client at a time -------------------------------------------------------- */

static struct ctx *cx;
static struct app app;
static struct server *server;
static struct str mine, theirs;   /* keys of two organisations */
static struct str my_org, their_org;
static int status;
static struct str head, body;     /* of the last answer */

static int socket_open(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void request_send(int fd, const char *line, struct str key, const char *headers, const char *text)
{
    struct buf request = {0};

    buf_addf(&request, "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s%.*s%s%sContent-Length: %zu\r\n\r\n", line,
             key.count ? "x-api-key: " : "", STR_ARGS(key), key.count ? "\r\n" : "", headers, strlen(text));
    buf_add_str(&request, str(text));
    for (size_t sent = 0; sent < request.count;) {
        ssize_t n = send(fd, request.at + sent, request.count - sent, MSG_NOSIGNAL);
        if (n > 0) sent += (size_t)n;
        if (sent < request.count) CHECK_OK(wait_turn(cx));
    }
    buf_free(&request);
}

/* Until the server closes. */
static void answer_take(int fd)
{
    struct buf all = {0};
    char piece[2048];

    for (int looks = 0; looks < 20000; looks++) {
        ssize_t n = recv(fd, piece, sizeof piece, 0);
        if (n == 0) break;
        if (n > 0) {
            buf_add(&all, piece, (size_t)n);
            continue;
        }
        if (looks > 1000) poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 1);
        CHECK_OK(wait_turn(cx));
    }
    close(fd);
    struct str text = str_copy(cx->arena, buf_str(&all));
    buf_free(&all);
    const char *gap = strstr(text.at, "\r\n\r\n");
    CHECK(gap != 0 && text.count > 12);
    status = atoi(text.at + 9);
    head = str_n(text.at, (size_t)(gap - text.at) + 2);
    body = str(gap + 4);
}

static int asks(struct str key, const char *line, const char *text)
{
    int fd = socket_open();

    request_send(fd, line, key, "", text);
    answer_take(fd);
    return status;
}

static int asks_with(const char *headers, const char *line, const char *text)
{
    int fd = socket_open();

    request_send(fd, line, (struct str){0}, headers, text);
    answer_take(fd);
    return status;
}

/* A field of the last answer as JSON: "a", "0.name" is not needed here. */
static const char *at(const char *name)
{
    struct json json;

    CHECK_OK(json_parse(cx->arena, body, &json, 0));
    return json_compact(cx->arena, json_get(json, name)).at;
}

static const char *made(struct str key, const char *more)
{
    CHECK(asks(key, "POST /v1/agents", arena_printf(cx->arena, "{\"name\":\"Ann\"%s}", more)) == 201);
    struct str id = str(at("id"));
    return str_z(cx->arena, str_cut(id, 1, id.count - 2));
}

static const char *f(const char *format, const char *id)
{
    return strf(cx->arena, format, id).at;
}

static void (*script)(void);

static void serve(struct ctx *loop_cx)
{
    struct server_settings settings = {.host = S("127.0.0.1"), .connections_max = 100, .requests_max = 50, .target_bytes_max = 8192,
                                       .head_bytes_max = 32768, .body_bytes_max = 1 << 20, .bodies_bytes_max = 1 << 22,
                                       .head_ms = 10000, .body_ms = 30000, .idle_ms = 75000, .send_ms = 20000,
                                       .stream_buffer_bytes = 65536};
    struct key_made one, other;

    cx = loop_cx;
    app = (struct app){.routes = &table, .store = house_open(cx, test_dir()), .auth = auth_cache_new(), .public_base = S("http://h:1")};
    CHECK_OK(store_key_create(cx, app.store, S("mine"), S(""), &one));
    CHECK_OK(store_key_create(cx, app.store, S("theirs"), S(""), &other));
    mine = one.key;
    theirs = other.key;
    my_org = one.org_id;
    their_org = other.org_id;
    CHECK_OK(server_open(cx, &settings, api_serve, &app, &server));
    script();
    server_stop(cx, server, 0);
    server_close(server);
    auth_cache_free(app.auth);
    store_close(cx, app.store);
}

#define PLAY(name)                \
    static void play_##name(void); \
    TEST(name)                    \
    {                             \
        script = play_##name;     \
        on_loop(serve);           \
    }                             \
    static void play_##name(void)

/* ---- the order of checks ------------------------------------------------------------------------- */

PLAY(the_first_failed_check_answers)
{
    const struct str none = {0};

    CHECK(asks(none, "POST /v2/agents", "{") == 404 && str_is(body, "{\"detail\":\"Not Found\"}"));
    CHECK(asks(none, "PATCH /v1/agents", "{") == 405 && strstr(head.at, "Allow: GET, POST\r\n"));
    CHECK(str_is(body, "{\"detail\":\"Method Not Allowed\"}"));
    CHECK(asks_with("Content-Type: text/plain\r\n", "POST /v1/agents", "{") == 401 && strstr(head.at, "WWW-Authenticate: Bearer\r\n"));
    CHECK(str_is(body, "{\"detail\":\"Invalid or missing API key\"}"));
    const char *with = arena_printf(cx->arena, "x-api-key: %.*s\r\nContent-Type: application/xml\r\n", STR_ARGS(mine));
    const char *elsewhere = arena_printf(cx->arena, "%sx-organization-id: %.*s\r\n", with, STR_ARGS(their_org));
    CHECK(asks_with(elsewhere, "POST /v1/agents", "{") == 403 && str_is(body, "{\"detail\":\"Access to this resource is forbidden\"}"));
    CHECK(asks_with(with, "POST /v1/agents", "{") == 415 && str_is(body, "{\"detail\":\"Unsupported media type: application/xml\"}"));
    CHECK(asks(mine, "PATCH /v1/agents/none?deploy=x", "{") == 422 && strstr(body.at, "json_invalid"));
    CHECK(asks(mine, "PATCH /v1/agents/none?deploy=x", "{\"name\":5}") == 404 && str_is(body, "{\"detail\":\"Agent not found\"}"));
    const char *id = made(theirs, "");
    CHECK(asks(mine, f("PATCH /v1/agents/%s?deploy=x", id), "{\"name\":5}") == 403);
    id = made(mine, "");
    CHECK(asks(mine, f("PATCH /v1/agents/%s?deploy=x", id), "{\"name\":5}") == 422);
    CHECK(strstr(body.at, "[\"query\",\"deploy\"]") && strstr(body.at, "[\"body\",\"name\"]"));
    CHECK(strstr(body.at, "deploy") < strstr(body.at, "\"name\""));
    CHECK(asks(mine, f("PATCH /v1/agents/%s", id), arena_printf(cx->arena, "{\"organization_id\":\"%.*s\"}", STR_ARGS(their_org))) == 403);
}

PLAY(a_body_that_is_missing_or_no_object_is_said_so)
{
    CHECK(asks(mine, "POST /v1/agents", "") == 422);
    CHECK(str_is(body, "{\"detail\":[{\"type\":\"missing\",\"loc\":[\"body\"],\"msg\":\"Field required\",\"input\":null}]}"));
    CHECK(asks(mine, "POST /v1/agents", "[1]") == 422 && strstr(body.at, "model_attributes_type"));
}

PLAY(a_large_body_is_read_like_a_small_one)
{
    enum { BYTES = 300000 };
    char *text = arena_try_alloc(cx->arena, BYTES + 100), *end = stpcpy(text, "{\"name\":\"Ann\",\"expected_output\":\"");

    memset(end, 'x', BYTES);
    strcpy(end + BYTES, "\"}");
    CHECK(asks(mine, "POST /v1/agents", text) == 201 && strlen(at("expected_output")) == BYTES + 2);
    strcpy(end + BYTES, "\"");
    CHECK(asks(mine, "POST /v1/agents", text) == 422 && strstr(body.at, "json_invalid"));
}

PLAY(errors_have_one_answer_each)
{
    static const struct {
        char code;
        int status;
        const char *detail;
    } rows[] = {{'a', 422, "Value error, a sentence"}, {'b', 403, "Access to this resource is forbidden"},
                {'c', 401, "Invalid or missing API key"}, {'d', 404, "a sentence"}, {'e', 409, "a sentence"},
                {'f', 503, "a sentence"}, {'g', 503, "a sentence"}, {'h', 503, "did not get to it"}, {'l', 503, "memory"},
                {'k', 500, "Internal Server Error"}, {'m', 507, "Insufficient storage"}, {'n', 500, "Internal Server Error"},
                {'o', 410, "a sentence"}, {'p', 429, "a sentence"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[] = "GET /fails/x";
        line[sizeof line - 2] = rows[i].code;
        CHECK(asks((struct str){0}, line, "") == rows[i].status && strstr(body.at, rows[i].detail));
        CHECK(!!strstr(head.at, "Retry-After: 1\r\n") == (status == 503 || status == 429));
    }
    CHECK(asks((struct str){0}, "GET /nothing", "") == 500);
    CHECK(asks((struct str){0}, "GET /health", "") == 200 && str_is(body, "\"ok\""));
    CHECK(strstr(head.at, "Content-Type: application/json\r\n"));
    CHECK(asks((struct str){0}, "GET /openapi.json", "") == 200);
    CHECK(strcmp(at("openapi"), "null") != 0);
}

PLAY(a_revoked_key_works_no_more_within_a_second)
{
    struct key_row *keys;
    int count;

    clock_test_freeze(1700000000000000);
    CHECK(asks(mine, "GET /v1/agents", "") == 200);
    CHECK_OK(store_key_list(cx, app.store, &keys, &count));
    for (int i = 0; i < count; i++)
        if (str_eq(keys[i].org_id, my_org)) CHECK_OK(store_key_revoke(cx, app.store, keys[i].id));
    CHECK(asks(mine, "GET /v1/agents", "") == 200); /* what is known is not asked for again … */
    loop_test_advance(cx->loop, AUTH_FRESH_MS);      /* … but for half a second */
    CHECK(asks(mine, "GET /v1/agents", "") == 401);
    CHECK(asks(theirs, "GET /v1/agents", "") == 200);
    clock_test_thaw();
}

/* ---- agents ---------------------------------------------------------------------------------------- */

PLAY(an_agent_is_made_shown_and_listed)
{
    const char *id = made(mine, ",\"instructions\":{\"general\":\"You help. A lot.\"},\"created_by\":\"ann\",\"model_name\":\"m\"");

    CHECK(!strcmp(at("version"), "1") && !strcmp(at("has_pending_changes"), "false") && !strcmp(at("status"), "\"ACTIVE\""));
    CHECK(!strcmp(at("description"), "\"You help.\"") && !strcmp(at("created_by"), "\"ann\""));
    CHECK(!strcmp(at("model_provider"), "\"openai\"") && !strcmp(at("model_name"), "\"m\""));
    CHECK(str_eq(str(at("organization_id")), strf(cx->arena, "\"%.*s\"", STR_ARGS(my_org))));
    CHECK(!strcmp(at("environment_id"), at("organization_id")));
    CHECK(!strcmp(at("webhook_url"), f("\"http://h:1/webhook?agent_id=%s&asynchronous=false\"", id)));
    struct str first = body;
    CHECK(asks(mine, f("GET /v1/agents/%s", id), "") == 200 && str_eq(body, first));
    CHECK(asks(theirs, f("GET /v1/agents/%s", id), "") == 403);
    CHECK(asks(mine, "GET /v1/agents/full", "") == 200 && strstr(body.at, first.at) && !strcmp(at("total"), "1"));
    CHECK(asks(mine, "GET /v1/agents?per_page=1&page=1", "") == 200 && !strcmp(at("total_pages"), "1"));
    CHECK(strstr(body.at, "\"tools\":[]") && !strstr(body.at, "agno_settings"));
    CHECK(asks(mine, "GET /v1/agents/list", "") == 200 && body.at[0] == '[' && strstr(body.at, id));
    CHECK(asks(theirs, "GET /v1/agents/list", "") == 200 && str_is(body, "[]"));
}

PLAY(the_model_of_a_new_agent_is_settled_once)
{
    made(mine, "");
    CHECK(!strcmp(at("model_provider"), "\"openai\"") && !strcmp(at("model_name"), "\"gpt-4.1\""));
    app.default_provider = S("nim");
    app.default_model = S("big");
    made(mine, "");
    CHECK(!strcmp(at("model_provider"), "\"nim\"") && !strcmp(at("model_name"), "\"big\""));
    made(mine, ",\"model_provider\":\"openai\"");
    CHECK(!strcmp(at("model_name"), "\"gpt-4.1\""));
    CHECK(asks(mine, "POST /v1/agents", "{\"name\":\"a\",\"model_provider\":\"anthropic\"}") == 422 && strstr(body.at, "value_error"));
}

/* Two updates that were read before either was written: both are kept. */
PLAY(concurrent_updates_do_not_undo_each_other)
{
    enum { COUNT = 8 };
    const char *id = made(mine, "");
    static const char *const fields[COUNT] = {"name", "description", "icon", "avatar", "voice_id", "expected_output", "environment_id",
                                              "llm_credentials_key"};
    int fds[COUNT];

    for (int i = 0; i < COUNT; i++) fds[i] = socket_open();
    for (int i = 0; i < COUNT; i++)
        request_send(fds[i], f("PATCH /v1/agents/%s?deploy=true", id), mine, "", f("{\"%s\":\"new\"}", fields[i]));
    for (int i = 0; i < COUNT; i++) {
        answer_take(fds[i]);
        CHECK(status == 200);
    }
    CHECK(asks(mine, f("GET /v1/agents/%s", id), "") == 200 && !strcmp(at("version"), "9"));
    for (int i = 0; i < COUNT; i++) CHECK(!strcmp(at(fields[i]), "\"new\""));
}

/* Whichever piece of memory is missing: what is asked is done and shown, or a 503 says that it was not. */
PLAY(a_request_without_memory_is_answered)
{
    int made_count = 0, refused = 0;

    for (long n = 1; n <= 40; n++) {
        arena_fail_at = n;
        int got = asks(mine, "POST /v1/agents", "{\"name\":\"Ann\",\"instructions\":{\"role\":\"a\\nb\"},\"llm_extra_headers\":{\"x-key\":\"k\"}}");
        arena_fail_at = 0;
        cx->arena->exhausted = false;
        CHECK(got == 201 || got == 503);
        made_count += got == 201;
        refused += got == 503;
    }
    CHECK(made_count > 0 && refused > 0);
    CHECK(asks(mine, "GET /v1/agents?per_page=50", "") == 200 && atoi(at("total")) == made_count);
}

/* ---- attachments ------------------------------------------------------------------------------------- */

static int attaches(const char *to, const char *target)
{
    return asks(mine, f("POST /v1/agents/%s/tools", to), f("{\"type\":\"agent\",\"agent_id\":\"%s\"}", target));
}

PLAY(a_circle_is_refused_whichever_way_it_would_close)
{
    const char *a = made(mine, ""), *b = made(mine, ""), *c = made(mine, "");

    CHECK(attaches(a, b) == 200 && attaches(b, c) == 200);
    CHECK(attaches(c, a) == 422 && strstr(body.at, "circle") && strstr(body.at, "[\"body\",\"agent\",\"agent_id\"]"));
    CHECK(attaches(b, a) == 422 && attaches(a, a) == 422);
    CHECK(asks(mine, f("PATCH /v1/agents/%s", c), f("{\"graph\":[{\"type\":\"agent\",\"item_id\":\"%s\"}]}", a)) == 422);
    CHECK(strstr(body.at, "[\"body\",\"graph\",0,\"item_id\"]"));
    /* staged away, and still deployed: it counts */
    CHECK(asks(mine, f("PATCH /v1/agents/%s", b), "{\"graph\":[]}") == 200);
    CHECK(attaches(c, a) == 422);
    CHECK(asks(mine, f("PUT /v1/agents/%s", b), "") == 200);
    CHECK(attaches(c, a) == 200);
}

/* Each alone would be good. */
PLAY(two_at_once_cannot_close_a_circle)
{
    const char *a = made(mine, ""), *b = made(mine, "");
    int fds[2] = {socket_open(), socket_open()}, good = 0;

    request_send(fds[0], f("POST /v1/agents/%s/tools", a), mine, "", f("{\"type\":\"agent\",\"agent_id\":\"%s\"}", b));
    request_send(fds[1], f("POST /v1/agents/%s/tools", b), mine, "", f("{\"type\":\"agent\",\"agent_id\":\"%s\"}", a));
    for (int i = 0; i < 2; i++) {
        answer_take(fds[i]);
        CHECK(status == 200 || status == 422);
        good += status == 200;
    }
    CHECK(good == 1);
}

PLAY(a_target_that_is_deleted_is_left_out_of_every_view)
{
    const char *a = made(mine, ""), *b = made(mine, "");
    struct agent_row row;

    CHECK(attaches(a, b) == 200 && strstr(body.at, b));
    CHECK_OK(store_agent_find(cx, app.store, str(b), &row));
    CHECK_OK(store_agent_mark(cx, app.store, &row));
    CHECK(asks(mine, f("GET /v1/agents/%s/tools", a), "") == 200 && str_is(body, "[]"));
    CHECK(asks(mine, f("GET /v1/agents/%s", a), "") == 200 && !strcmp(at("tools"), "[]") && !strcmp(at("graph"), "[]"));
    CHECK(asks(mine, f("GET /v1/agents/%s", b), "") == 404);
    CHECK(attaches(a, b) == 200); /* it is attached already: nothing changes */
    CHECK(attaches(made(mine, ""), b) == 422);
}

PLAY(a_foreign_agent_is_refused_before_anything_that_is_wrong)
{
    const char *a = made(mine, ""), *b = made(theirs, "");

    CHECK(attaches(a, b) == 403 && attaches(a, "none") == 422);
    CHECK(asks(mine, f("PATCH /v1/agents/%s", a), arena_printf(cx->arena, "{\"graph\":[{\"type\":\"agent\",\"item_id\":\"none\"},"
                                                                          "{\"type\":\"agent\",\"item_id\":\"%s\"}]}", b)) == 403);
    CHECK(asks(mine, f("PATCH /v1/agents/%s", a), "{\"graph\":[{\"type\":\"source_node\",\"item_id\":\"s\"},"
                                                  "{\"type\":\"agent\",\"item_id\":\"none\"}]}") == 422);
    CHECK(strstr(body.at, "[\"body\",\"graph\",1,\"item_id\"]"));
}
