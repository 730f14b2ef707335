#include "net/http.h"
#include <stdio.h>
#include <stdlib.h>
#include "test.h"

static const struct http_limits limits = {.target_bytes_max = 8192, .head_bytes_max = 32768, .body_bytes_max = 100000};

/* Feed in pieces of `step` bytes. Returns how many were taken. */
static size_t feed(struct http *http, struct str bytes, size_t step, enum http_state *state)
{
    size_t at = 0;
    *state = HTTP_IN_HEAD;
    while (at < bytes.count && *state != HTTP_WHOLE && *state != HTTP_REFUSED) {
        size_t used, count = bytes.count - at < step ? bytes.count - at : step;
        /* A copy of its own for each piece, so that reading outside of it is seen. */
        char *piece = malloc(count);
        memcpy(piece, bytes.at + at, count);
        *state = http_feed(http, str_n(piece, count), &used);
        free(piece);
        at += used;
    }
    return at;
}

/* The status it is refused with, 0 when it is whole, -1 when more is to come; the same however it is cut. */
static int outcome(struct str bytes)
{
    int first = 0;
    for (size_t step = bytes.count; step > 0; step = step > 40 ? step / 3 : step - 1) {
        struct http *http = http_new(&limits);
        enum http_state state;
        feed(http, bytes, step, &state);
        int status = state == HTTP_REFUSED ? http_refusal(http) : state == HTTP_WHOLE ? 0 : -1;
        http_free(http);
        if (step == bytes.count) first = status;
        else if (status != first) return 1000 + (int)step;
    }
    return first;
}

#define B(literal) {literal, sizeof(literal) - 1} /* S() is no constant */

/* What must be refused because another reader of the same bytes may see another request. */
TEST(what_two_readers_could_understand_differently_is_refused)
{
    static const struct { const char *what; struct str bytes; } rows[] = {
        {"bare LF after the request line", B("GET / HTTP/1.1\nHost: a\r\n\r\n")},
        {"bare LF after a header", B("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n")},
        {"bare LF at the end of the head", B("GET / HTTP/1.1\r\nHost: a\r\n\n")},
        {"bare CR in a value", B("GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n")},
        {"bare CR in a name", B("GET / HTTP/1.1\r\nHost: a\r\nX\rY: z\r\n\r\n")},
        {"bare CR in the target", B("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"CR CR LF", B("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n")},
        {"obs-fold with a space", B("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n")},
        {"obs-fold with a tab", B("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n")},
        {"obs-fold after an empty value", B("GET / HTTP/1.1\r\nHost: a\r\nX:\r\n z\r\n\r\n")},
        {"white space before the first header", B("GET / HTTP/1.1\r\n Host: a\r\n\r\n")},
        {"space before the colon", B("GET / HTTP/1.1\r\nHost : a\r\n\r\n")},
        {"tab before the colon", B("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n")},
        {"no colon", B("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n")},
        {"an empty name", B("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n")},
        {"NUL in a value", B("GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n")},
        {"NUL in a name", B("GET / HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n")},
        {"NUL in the target", B("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"a control in a value", B("GET / HTTP/1.1\r\nHost: a\r\nX: y\001\r\n\r\n")},
        {"DEL in the target", B("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"a tab in the target", B("GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"bytes beyond ASCII in the target", B("GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"a name with brackets", B("GET / HTTP/1.1\r\nHost: a\r\nX[]: y\r\n\r\n")},
        {"a length and chunks", B("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
        {"chunks and a length", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n")},
        {"two lengths", B("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")},
        {"twice the same length", B("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc")},
        {"a list of lengths", B("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc")},
        {"a length with a sign", B("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc")},
        {"a length below zero", B("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n")},
        {"a length in hex", B("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc")},
        {"a length of digits with a space", B("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 2\r\n\r\nabc")},
        {"an empty length", B("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n")},
        {"a length beyond 64 bits", B("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n")},
        {"another coding", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n")},
        {"two codings", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")},
        {"chunked not last", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n")},
        {"identity", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n")},
        {"chunked twice in one line", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n")},
        {"chunked in two lines", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
        {"a coding that only looks like chunked", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")},
        {"chunked with a vertical tab", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n")},
        {"an empty coding", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n")},
        {"chunks in HTTP/1.0", B("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
        {"a chunk size that is no number", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")},
        {"a chunk size with 0x", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n")},
        {"a chunk size with a space", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n")},
        {"a chunk size below zero", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")},
        {"a chunk size beyond 64 bits", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n")},
        {"bare LF after a chunk size", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n")},
        {"bare LF after a chunk", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n")},
        {"a chunk longer than it said", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n")},
        {"bare CR in a chunk's extension", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n")},
        {"bare LF in a chunk's extension", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n")},
        {"a fold in a trailer", B("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z\r\n\r\n")},
        {"no Host", B("GET / HTTP/1.1\r\n\r\n")},
        {"two Hosts", B("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n")},
        {"two Hosts in HTTP/1.0", B("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n")},
        {"a list of hosts", B("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n")},
        {"a path as host", B("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n")},
        {"user info in the host", B("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n")},
        {"HTTP/0.9", B("GET /\r\n\r\n")},
        {"HTTP/0.9 by name", B("GET / HTTP/0.9\r\n\r\n")},
        {"HTTP/1.2", B("GET / HTTP/1.2\r\nHost: a\r\n\r\n")},
        {"HTTP/2.0", B("GET / HTTP/2.0\r\nHost: a\r\n\r\n")},
        {"HTTP/1.10", B("GET / HTTP/1.10\r\nHost: a\r\n\r\n")},
        {"HTTP/01.1", B("GET / HTTP/01.1\r\nHost: a\r\n\r\n")},
        {"lower-case http", B("GET / http/1.1\r\nHost: a\r\n\r\n")},
        {"another protocol", B("GET / RTSP/1.0\r\nHost: a\r\n\r\n")},
        {"the protocol ICE", B("SOURCE / ICE/1.0\r\nHost: a\r\n\r\n")},
        {"the preface of HTTP/2", B("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
        {"an unknown method", B("BREW / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"a method in lower case", B("get / HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"a tab after the method", B("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n")},
        {"a space after the version", B("GET / HTTP/1.1 \r\nHost: a\r\n\r\n")},
        {"a response", B("HTTP/1.1 200 OK\r\n\r\n")},
        {"TLS", B("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")},
        {"no target", B("CONNECT \r\n\r\n")},
        {"a relative target", B("GET x HTTP/1.1\r\nHost: a\r\n\r\n")},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status = outcome(rows[i].bytes);
        if (status != 400) printf("  %s: %d\n", rows[i].what, status);
        CHECK(status == 400);
    }
}

TEST(a_request_is_the_same_wherever_it_is_cut)
{
    struct str bytes = S("\r\nPATCH http://x.test/v1/agents/7?a=b%20c HTTP/1.1\r\nHost: x.test:8700\r\nX-API-Key: \t k \t\r\n"
                         "Empty:\r\nAccept: a\r\nACCEPT: b\xc3\xa9\r\nTransfer-Encoding: Chunked\r\nTrailer: t\r\n\r\n"
                         "3;ext=\"q\\\"\";more\r\nabc\r\n00A\r\n0123456789\r\n0\r\nT: u\r\nHost: evil\r\n\r\nGET /next");
    for (size_t step = 1; step <= bytes.count; step++) {
        struct http *http = http_new(&limits);
        enum http_state state;
        size_t used = feed(http, bytes, step, &state);
        const struct request *request = http_request(http);
        CHECK(state == HTTP_WHOLE && used == bytes.count - strlen("GET /next"));
        CHECK(str_is(request->method, "PATCH") && str_is(request->target, "http://x.test/v1/agents/7?a=b%20c"));
        CHECK(request->headers_count == 7);
        CHECK(str_is(request_header(request, "x-api-key"), "k"));
        CHECK(request_header(request, "empty").at && request_header(request, "empty").count == 0);
        CHECK(str_is(request_header(request, "accept"), "b\xc3\xa9") && request_header_count(request, "accept") == 2);
        CHECK(!request_header(request, "t").at && str_is(request_header(request, "host"), "x.test:8700"));
        CHECK(request->has_body && str_is(request->body, "abc0123456789"));
        CHECK(http_keeps_alive(http) && !http_is_1_0(http));
        http_free(http);
    }
}

TEST(a_parser_reads_one_request_after_another)
{
    struct str bytes = S("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                         "DELETE /3 HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
                         "CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /5 HTTP/1.0\r\n\r\n");
    static const char *const targets[] = {"/1", "/2", "/3", "a.test:443", "/5"};
    for (size_t step = 1; step <= bytes.count; step++) {
        struct http *http = http_new(&limits);
        size_t at = 0;
        for (int i = 0; i < 5; i++) {
            enum http_state state;
            at += feed(http, str_n(bytes.at + at, bytes.count - at), step, &state);
            CHECK(state == HTTP_WHOLE && str_is(http_request(http)->target, targets[i]));
            CHECK(http_request(http)->body.count == (i == 0 ? 5u : 0u) && http_request(http)->has_body == (i == 0));
            http_reset(http);
        }
        CHECK(at == bytes.count);
        http_free(http);
    }
}

/* `fill` bytes of 'a' between two texts. */
static struct str long_text(const char *before, size_t fill, const char *after)
{
    char *text = arena_try_alloc(test_arena(), strlen(before) + fill + strlen(after));
    memcpy(text, before, strlen(before));
    memset(text + strlen(before), 'a', fill);
    memcpy(text + strlen(before) + fill, after, strlen(after));
    return str_n(text, strlen(before) + fill + strlen(after));
}

TEST(a_target_over_its_bound_is_414_and_one_at_the_bound_is_not)
{
    CHECK(outcome(long_text("GET /", 8191, " HTTP/1.1\r\nHost: a\r\n\r\n")) == 0);
    CHECK(outcome(long_text("GET /", 8192, " HTTP/1.1\r\nHost: a\r\n\r\n")) == 414);
    CHECK(outcome(long_text("GET /", 8192, "")) == 414);
}

TEST(a_head_over_its_bound_is_431_and_one_at_the_bound_is_not)
{
    /* "Host: a" with its line end is 9 bytes, "X: " with its line end 5. */
    CHECK(outcome(long_text("GET / HTTP/1.1\r\nHost: a\r\nX: ", 32768 - 9 - 5, "\r\n\r\n")) == 0);
    CHECK(outcome(long_text("GET / HTTP/1.1\r\nHost: a\r\nX: ", 32768 - 9 - 4, "\r\n\r\n")) == 431);
    CHECK(outcome(long_text("GET / HTTP/1.1\r\nHost: a\r\nX: ", 1 << 20, "")) == 431);
    CHECK(outcome(long_text("GET / HTTP/1.1\r\nHost: a\r\n", 1 << 20, "")) == 431);
    struct buf many = {0};
    buf_add_str(&many, S("GET / HTTP/1.1\r\nHost: a\r\n"));
    for (int i = 0; i < 255; i++) buf_add_str(&many, S("a:\r\n"));
    size_t at_bound = many.count;
    buf_add_str(&many, S("\r\n"));
    CHECK(outcome(buf_str(&many)) == 0);
    many.count = at_bound;
    buf_add_str(&many, S("a:\r\n\r\n"));
    CHECK(outcome(buf_str(&many)) == 431);
    buf_free(&many);
}

TEST(white_space_without_end_is_bounded_too)
{
    struct buf flood = {0};
    buf_add_str(&flood, S("GET / HTTP/1.1\r\nHost: a\r\nX:"));
    for (int i = 0; i < 50000; i++) buf_add_str(&flood, S(" "));
    CHECK(outcome(buf_str(&flood)) == 431);
    flood.count = 0;
    for (int i = 0; i < 25000; i++) buf_add_str(&flood, S("\r\n"));
    CHECK(outcome(buf_str(&flood)) == 400);
    buf_free(&flood);
}

TEST(a_body_over_its_bound_is_413_as_soon_as_it_is_announced)
{
    CHECK(outcome(S("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")) == -1);
    CHECK(outcome(S("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n")) == 413);
    CHECK(outcome(S("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n")) == 413);
    CHECK(outcome(S("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a1\r\n")) == 413);
    CHECK(outcome(S("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n")) == -1);
    CHECK(outcome(S("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n186a0\r\n")) == 413);
}

TEST(what_a_body_announces_takes_no_memory)
{
    struct http *http = http_new(&limits);
    enum http_state state;
    feed(http, S("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\nabc"), 1000, &state);
    CHECK(state == HTTP_IN_BODY && http_body_bytes(http) <= 256);
    http_free(http);
}

TEST(extensions_trailers_and_zeros_around_chunks_are_bounded)
{
    const char *head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct buf text = {0};
    buf_addf(&text, "%s1;", head);
    buf_add_str(&text, long_text("", 4096, "\r\nx\r\n0\r\n\r\n"));
    CHECK(outcome(buf_str(&text)) == 0);
    text.count = 0;
    buf_addf(&text, "%s1;", head);
    buf_add_str(&text, long_text("", 4097, "\r\nx\r\n0\r\n\r\n"));
    CHECK(outcome(buf_str(&text)) == 400);
    text.count = 0;
    buf_addf(&text, "%s0\r\nT: ", head);
    buf_add_str(&text, long_text("", 32768, ""));
    CHECK(outcome(buf_str(&text)) == 431);
    text.count = 0;
    buf_addf(&text, "%s", head);
    for (int i = 0; i < 70000; i++) buf_add_str(&text, S("0"));
    CHECK(outcome(buf_str(&text)) == 400);
    /* Small chunks are no flood. */
    text.count = 0;
    buf_addf(&text, "%s", head);
    for (int i = 0; i < 20000; i++) buf_add_str(&text, S("1\r\nx\r\n"));
    buf_add_str(&text, S("0\r\n\r\n"));
    CHECK(outcome(buf_str(&text)) == 0);
    buf_free(&text);
}

TEST(a_client_that_expects_continue_is_known_until_the_body_begins)
{
    struct http *http = http_new(&limits);
    enum http_state state;
    feed(http, S("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n"), 1000, &state);
    CHECK(state == HTTP_IN_BODY && http_expects_continue(http));
    feed(http, S("a"), 1000, &state);
    CHECK(state == HTTP_IN_BODY && !http_expects_continue(http));
    feed(http, S("bc"), 1000, &state);
    CHECK(state == HTTP_WHOLE && str_is(http_request(http)->body, "abc"));
    http_reset(http);
    feed(http, S("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"), 1000, &state);
    CHECK(state == HTTP_WHOLE && !http_expects_continue(http));
    http_free(http);
}

static bool keeps(struct str bytes)
{
    struct http *http = http_new(&limits);
    enum http_state state;
    feed(http, bytes, 1000, &state);
    bool keep = state == HTTP_WHOLE && http_keeps_alive(http);
    http_free(http);
    return keep;
}

TEST(a_connection_is_kept_by_version_and_header)
{
    CHECK(keeps(S("GET / HTTP/1.1\r\nHost: a\r\n\r\n")));
    CHECK(!keeps(S("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n")));
    CHECK(!keeps(S("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n")));
    CHECK(!keeps(S("GET / HTTP/1.0\r\n\r\n")));
    CHECK(keeps(S("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")));
}

TEST(the_head_of_a_reply_has_what_was_asked_for)
{
    struct buf out = {0};
    char date[HTTP_DATE_BYTES];
    http_date(date, 784111777000000);
    http_put_head(&out, &(struct http_head){.status = 405, .flags = HTTP_JSON | HTTP_CLOSE, .body_bytes = 31,
                                            .date = str_n(date, sizeof date), .headers = "Allow: GET\r\n"});
    CHECK(str_is(buf_str(&out), "HTTP/1.1 405 Method Not Allowed\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                "Content-Type: application/json\r\nContent-Length: 31\r\nConnection: close\r\nAllow: GET\r\n\r\n"));
    out.count = 0;
    http_put_head(&out, &(struct http_head){.status = 299, .flags = HTTP_CHUNKED | HTTP_KEEP_ALIVE, .body_bytes = -1, .headers = ""});
    http_put_chunk(&out, S("0123456789abcdefg"));
    http_put_chunk(&out, S(""));
    http_put_last_chunk(&out);
    CHECK(str_is(buf_str(&out), "HTTP/1.1 299 \r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
                                "11\r\n0123456789abcdefg\r\n0\r\n\r\n"));
    buf_free(&out);
}
