/* hostile.c: what no well-meaning client sends. A clear answer, no crash, no growth, nothing changed. */
#include <stdio.h>
#include <stdlib.h>
#include "flow/play.h"

/* The server still answers, and this organisation has nothing. */
static void nothing_happened(struct play *play)
{
    struct client *eve = client(play);
    sends(eve, "GET /v1/agents", "");
    gets_status(eve, 200);
    has(eve, "total", "0");
    sends(eve, "GET /v1/tasks", "");
    gets_status(eve, 200);
    has(eve, "total", "0");
}

/* ---- bodies -------------------------------------------------------------------------- */

FLOW(malformed_json_is_422_and_changes_nothing)
{
    struct client *anna = client(play);
    static const char *const bodies[] = {
        "{", "}", "{\"name\":\"A\"", "{\"name\":\"A\"}}", "{\"name\":\"A\"} x", "{'name':'A'}", "{\"name\":\"A\",}", "{\"name\":A}",
        "{\"name\":\"A\",\"name\":\"B\"}", "{\"name\":\"A\",\"x\":{\"y\":1,\"y\":2}}", "{\"name\":\"\\ud800\"}", "{\"name\":\"\\udc00\\ud800\"}",
        "{\"name\":\"\\x41\"}", "{\"name\":\"a\nb\"}", "{\"name\":\"A\",\"x\":NaN}", "{\"name\":\"A\",\"x\":01}", "{\"name\":\"A\",\"x\":+1}",
        "{\"name\":\"A\",\"x\":1.}", "{\"name\":\"A\",\"x\":.5}", "{\"name\":\"A\"}//", "{\"name\":\"A\"/**/}", "nul", "\"", " ",
        "{\"name\":\"A\",\"x\":\"\xc3\x28\"}", "{\"name\":\"A\",\"x\":\"\xed\xa0\x80\"}", "{\"name\":\"A\",\"x\":\"\xf8\x88\x80\x80\x80\"}",
        "{\"name\":\"A\",\"x\":\"\xc0\xaf\"}", "\xff\xfe{\"name\":\"A\"}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        sends(anna, "POST /v1/agents", bodies[i]);
        gets_status(anna, 422);
        has(anna, "detail[0].type", "'json_invalid'");
        has(anna, "detail[0].loc[0]", "'body'");
        CHECK(json_type(at(anna, "detail[0].loc[1]")) == JSON_INT);
    }
    nothing_happened(play);
}

FLOW(a_zero_byte_in_a_body_is_422)
{
    struct client *anna = client(play);
    sends_bytes(anna, "POST /v1/agents", str_n("{\"name\":\"A\0B\"}", 14));
    gets_status(anna, 422);
    sends_bytes(anna, "POST /v1/agents", str_n("{\"name\":\"A\"}\0", 13));
    gets_status(anna, 422);
    nothing_happened(play);
}

static const char *levels(int count, const char *open, const char *close)
{
    struct buf text = {0};
    for (int i = 0; i < count; i++) buf_add_str(&text, str(open));
    for (int i = 0; i < count; i++) buf_add_str(&text, str(close));
    const char *kept = str_z(test_arena(), buf_str(&text));
    buf_free(&text);
    return kept;
}

FLOW(ten_thousand_levels_are_422)
{
    struct client *anna = client(play);
    const char *const bodies[] = {levels(10000, "[", "]"), levels(10000, "{\"a\":[", "]}"), f("{\"name\":\"A\",\"oas\":%s}", levels(10000, "[", "]")),
                                  levels(100000, "[", ""), f("{\"name\":\"A\",\"x\":%s}", levels(200, "[", "]"))};
    for (int i = 0; i < 5; i++) {
        sends(anna, "POST /v1/agents", bodies[i]);
        gets_status(anna, 422);
        has(anna, "detail[0].type", "'json_invalid'");
    }
    nothing_happened(play);
    sends(anna, "POST /v1/agents", f("{\"name\":\"A\",\"connectivity_details\":{\"x\":%s}}", levels(100, "[", "]")));
    gets_status(anna, 201);
}

FLOW(numbers_out_of_range_are_told_or_kept_but_never_bent)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    static const char *const numbers[] = {"1e999", "-1e999", "99999999999999999999999", "1e-999", "-0", "9007199254740993", "0.1"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke", agent), says(play, "[[say ok]]", f("'payload_extension':{'n':%s}", numbers[i])));
        int status = status_of(anna);
        CHECK(status == 200 || status == 422);
        if (status == 200 && i >= 5) CHECK(!strcmp(json_z(at(anna, "payload_extension.n")), numbers[i]));
    }
}

FLOW(wrong_types_everywhere_are_422)
{
    struct client *anna = client(play);
    static const char *const values[] = {"null", "true", "0", "-1.5", "\"x\"", "[]", "{}", "[[]]", "[null]", "{\"a\":null}"};
    static const char *const fields[] = {"name", "type", "icon", "instructions", "llm_credentials", "llm_extra_headers", "llm_settings",
                                         "agno_settings", "source_nodes", "output_schema", "deep_planning", "model_provider", "tools",
                                         "graph", "attached_tools", "knowledge_bases", "task_level_strategies", "pre_auth_audiences"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        for (size_t j = 0; j < sizeof values / sizeof values[0]; j++) {
            const char *body = i == 0 ? f("{\"name\":%s}", values[j]) : f("{\"name\":\"A\",\"%s\":%s}", fields[i], values[j]);
            sends(anna, "POST /v1/agents", body);
            int status = status_of(anna);
            if (status != 201 && status != 422) expected(anna, __FILE__, __LINE__, "201 or 422 for %s", body);
        }
}

FLOW(a_body_of_100_mb_is_refused_when_it_is_announced)
{
    struct client *anna = client(play);
    sends_raw(anna, "POST", "/v1/agents", str(f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: 104857600\r\n\r\n", play->key)));
    gets_status(anna, 413);
    has(anna, "", "{'detail':'Request body exceeds 10485760 bytes'}");
    nothing_happened(play);
}

FLOW(a_body_of_100_mb_is_not_kept)
{
    struct client *anna = client(play);
    long before;
    sends(anna, "GET /v1/agents", "");
    gets_status(anna, 200);
    before = serve_memory_kb(play);
    enum { BIG = 100 << 20 };
    char *big = malloc(BIG);
    CHECK(big);
    memset(big, ' ', BIG);
    sends_bytes(anna, "POST /v1/agents", str_n(big, BIG));
    int status = status_of(anna);
    CHECK(status == 413 || (status == 0 && anna->is_cut)); /* it may have hung up while we wrote */
    /* In chunks nobody announces anything. */
    struct client *ben = client(play);
    struct buf chunked = {0};
    buf_addf(&chunked, "POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nTransfer-Encoding: chunked\r\n\r\n", play->key);
    for (int i = 0; i < 100; i++) {
        buf_addf(&chunked, "100000\r\n");
        buf_add(&chunked, big, 1 << 20);
        buf_addf(&chunked, "\r\n");
    }
    free(big);
    sends_raw(ben, "POST", "/v1/agents", buf_str(&chunked));
    buf_free(&chunked);
    status = status_of(ben);
    CHECK(status == 413 || (status == 0 && ben->is_cut));
    CHECK(serve_memory_kb(play) < before + 40000);
    nothing_happened(play);
}

FLOW(a_slow_body_is_408)
{
    serve_own(play, "BODY_MS=50 HEAD_MS=50");
    struct client *anna = client(play);
    sends_raw(anna, "POST", "/v1/agents", str(f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: 100\r\n\r\n{\"na", play->key)));
    gets_status(anna, 408);
    has(anna, "", "{'detail':'Request timeout'}");
    sends_raw(anna, "GET", "/v1/agents", S("GET /v1/agents HTTP/1.1\r\nHos"));
    gets_status(anna, 408);
    nothing_happened(play);
}

FLOW(a_body_of_another_type_is_415)
{
    struct client *anna = client(play);
    static const char *const bad[] = {"application/xml", "text/plain", "application/x-www-form-urlencoded", "application/jsonx",
                                      "application/json; charset=latin-1"};
    static const char *const good[] = {"application/json", "Application/JSON; charset=UTF-8", "application/merge-patch+json", 0};
    for (int i = 0; i < 5; i++) {
        anna->content_type = bad[i];
        sends(anna, "POST /v1/agents", "{\"name\":\"A\"}");
        gets_status(anna, 415);
    }
    nothing_happened(play);
    for (int i = 0; i < 4; i++) {
        anna->content_type = good[i];
        sends(anna, "POST /v1/agents", "{\"name\":\"A\"}");
        gets_status(anna, 201);
    }
}

/* ---- heads ---------------------------------------------------------------------------- */

FLOW(a_header_of_1_mb_is_431)
{
    struct client *anna = client(play);
    char *big = malloc((1 << 20) + 1);
    CHECK(big);
    memset(big, 'x', 1 << 20);
    big[1 << 20] = 0;
    anna->more_headers = f("x-big: %s\r\n", big);
    free(big);
    sends(anna, "GET /v1/agents", "");
    int status = status_of(anna);
    CHECK(status == 431 || (status == 0 && anna->is_cut));
    struct client *ben = client(play);
    char many[40000];
    memset(many, 'y', sizeof many - 1);
    many[sizeof many - 1] = 0;
    ben->more_headers = f("x-big: %s\r\n", many);
    sends(ben, "GET /v1/agents", "");
    gets_status(ben, 431);
    has(ben, "", "{'detail':'Request header fields too large'}");
    many[9000] = 0;
    ben->more_headers = "";
    sends(ben, f("GET /v1/agents/%s", many), "");
    gets_status(ben, 414);
    has(ben, "", "{'detail':'URI too long'}");
    nothing_happened(play);
}

FLOW(malformed_http_is_400_and_the_end_of_the_connection)
{
    struct client *anna = client(play);
    const char *key = play->key;
    const char *const heads[] = {
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET\r\n\r\n", "GET /v1/agents\r\n\r\n", "GET /v1/agents HTTP/9.9\r\nHost: x\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        f("GET /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nbad header\r\n\r\n", key),
        f("GET /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key : %s\r\n\r\n", key),
        f("GET /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nx-fold: a\r\n b\r\n\r\n", key),
        f("GET /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nx: a\rb\r\n\r\n", key),
        f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", key),
        f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: 12\r\nContent-Length: 13\r\n\r\n{\"name\":\"A\"}", key),
        f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: -1\r\n\r\n", key),
        f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: 99999999999999999999\r\n\r\n", key),
        f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", key),
        f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", key),
        f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", key),
        f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", key),
        f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n", key),
    };
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        sends_raw(anna, "GET", "/v1/agents", str(heads[i]));
        int status = status_of(anna);
        if (status != 400 && status != 413 && status != 505) expected(anna, __FILE__, __LINE__, "400 for head %zu: %s", i, heads[i]);
        CHECK(anna->is_closing);
    }
    nothing_happened(play);
}

/* What a smuggled request would ask for is not done: one answer comes, and then the end. */
FLOW(a_smuggled_request_is_not_served)
{
    struct client *anna = client(play);
    sends_raw(anna, "POST", "/v1/agents",
              str(f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "0\r\n\r\nPOST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: 12\r\n\r\n{\"name\":\"S\"}", play->key, play->key)));
    gets_status(anna, 400);
    CHECK(anna->is_closing);
    nothing_happened(play);
}

FLOW(requests_may_come_in_a_row)
{
    struct client *anna = client(play);
    const char *one = f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nContent-Length: 12\r\n\r\n{\"name\":\"A\"}", play->key);
    const char *two = f("GET /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\n\r\n", play->key);
    sends_raw(anna, "POST", "/v1/agents", str(f("%s%s%s", one, two, two)));
    gets_status(anna, 201);
    for (int i = 0; i < 2; i++) {
        sends_raw(anna, "GET", "/v1/agents", S(""));
        gets_status(anna, 200);
        has(anna, "total", "1");
    }
}

FLOW(chunked_bodies_and_expect_are_understood)
{
    struct client *anna = client(play);
    sends_raw(anna, "POST", "/v1/agents",
              str(f("POST /v1/agents HTTP/1.1\r\nHost: x\r\nx-api-key: %s\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "5\r\n{\"nam\r\n7;ext=1\r\ne\":\"A\"}\r\n0\r\n\r\n", play->key)));
    gets_status(anna, 201);
    has(anna, "name", "'A'");
    sends_raw(anna, "GET", "/v1/agents", str(f("GET /v1/agents HTTP/1.0\r\nx-api-key: %s\r\n\r\n", play->key)));
    gets_status(anna, 200);
}

/* ---- paths and methods --------------------------------------------------------------------- */

FLOW(a_wrong_method_is_405_with_what_is_allowed)
{
    struct client *anna = client(play);
    static const char *const tries[][2] = {
        {"PUT /v1/agents", "GET, POST"}, {"OPTIONS /v1/tasks", "GET"}, {"HEAD /v1/tasks", "GET"},
        {"POST /v1/agents/x", "GET, PATCH, PUT, DELETE"}, {"GET /v1/tasks/x/stop", "POST"}, {"TRACE /health", "GET, HEAD"},
    };
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        sends(anna, tries[i][0], "");
        gets_status(anna, 405);
        const char *allow = header_of(anna, "allow");
        CHECK(allow);
        bool is_found = true;
        for (struct str rest = str(tries[i][1]), method; is_found;) {
            method = str_trim(str_split(rest, ',', &rest, &is_found));
            CHECK(strstr(allow, str_z(test_arena(), method)));
        }
        if (strncmp(tries[i][0], "HEAD", 4) != 0) has(anna, "", "{'detail':'Method Not Allowed'}");
    }
}

FLOW(paths_are_read_segment_by_segment)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    const char *const good[] = {"GET //v1//agents/", f("GET /v1/agents/%s/", agent), f("GET http://elsewhere.example/v1/agents/%s", agent),
                                f("GET /%%761/agents/%s", agent), f("GET /v1/agents/%s?a=b&a=c&&=", agent)};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        sends(anna, good[i], "");
        gets_status(anna, 200);
    }
    const char *const bad[] = {"GET /", "GET /v1", "GET /v1/agents/../agents", "GET /v1/%2e%2e/v1/agents", f("GET /v1/agents%%2F%s", agent),
                               f("GET /v1/agents/%s%%00", agent), f("GET /v1/agents/%s%%2F..", agent), f("GET /v1/agents/%s/x/y/z", agent),
                               "GET /V1/agents", "GET /v1/agents/list/tasks", "GET /v1/agents;x", "GET /v2/agents"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        sends(anna, bad[i], "");
        gets_status(anna, 404);
    }
    anna->is_private = true; /* what is no encoding has no template that the contract could judge it by */
    sends(anna, f("GET /v1/agents/%s%%zz", agent), "");
    CHECK(status_of(anna) == 404 || anna->status == 400);
}

FLOW(ids_are_values_not_language)
{
    struct client *anna = client(play);
    const char *agent = agent_of(anna, "");
    static const char *const ids[] = {"'; DROP TABLE task; --", "%s%s%n", "../../etc/passwd", "${jndi}", "<script>", "a&b=c", "id: 7"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        sends(anna, f("POST /v1/agents/%s/invoke", agent),
              f("{\"id\":%s,\"input\":{\"text\":%s}}", json_quoted(ids[i]), json_quoted(script(play, "[[say ok]]"))));
        gets_status(anna, 200);
        has_text(anna, "id", ids[i]);
    }
    sends(anna, "GET /v1/tasks", "");
    gets_status(anna, 200);
    has(anna, "total", f("%zu", sizeof ids / sizeof ids[0]));
    sends(anna, "GET /v1/tasks?user_id='%20OR%201=1--&agent_id=%25", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
}

/* ---- crowds ----------------------------------------------------------------------------------- */

FLOW(a_thousand_invokes_and_deletes_at_once)
{
    enum { MANY = 1000 };
    play_takes(play, 240);
    serve_own(play, "");
    struct client *anna = client(play), **many = calloc(MANY, sizeof *many);
    CHECK(many);
    const char *agent = agent_of(anna, "");
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            if (!round) many[i] = client(play);
            sends(many[i], f("POST /v1/agents/%s/invoke", agent), says(play, "[[tokens 16]]", f("'id':'c%d'", i)));
        }
        for (int i = 0; i < MANY; i++) {
            gets_status(many[i], 200);
            has(many[i], "status", "'completed'");
        }
        for (int i = 0; i < MANY; i++) sends(many[i], f("DELETE /v1/tasks/c%d", i), "");
        for (int i = 0; i < MANY; i++) gets_status(many[i], 204);
        CHECK(model_count(play, "open") == 0);
    }
    free(many);
    sends(anna, "GET /v1/tasks", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
    CHECK(model_count(play, "requests") == 2 * MANY);
    /* Our connections, those kept for the model, and no leak of two rounds. */
    CHECK(serve_descriptors(play) < 2 * MANY + 200);
}

FLOW(a_thousand_tasks_deleted_while_they_run)
{
    enum { MANY = 1000 };
    play_takes(play, 240);
    serve_own(play, "REST_WAIT_MS=600000"); /* the machine may be slow */
    struct client *anna = client(play), **many = calloc(MANY, sizeof *many);
    CHECK(many);
    const char *agent = agent_of(anna, "");
    for (int i = 0; i < MANY; i++) {
        many[i] = client(play);
        sends(many[i], f("POST /v1/agents/%s/invoke/async", agent), says(play, "[[say one]][[stall]]", f("'id':'c%d'", i)));
    }
    for (int i = 0; i < MANY; i++) gets_status(many[i], 200);
    model_waits(play, f("requests=%d&open=%d", MANY, MANY));
    for (int i = 0; i < MANY; i++) sends(many[i], f("DELETE /v1/tasks/c%d", i), "");
    for (int i = 0; i < MANY; i++) gets_status(many[i], 204);
    free(many);
    CHECK(model_count(play, "open") == 0);
    model_mark(play);
    sends(anna, "GET /v1/tasks", "");
    gets_status(anna, 200);
    has(anna, "total", "0");
    CHECK(model_count(play, "bytes_after_mark") == 0);
}
