#include "net/client.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "stage.h"

/* ---- a request, whole ------------------------------------------------------------------------ */
static void says_what_it_should(struct ctx *cx, struct stage *s)
{
    struct caller c;
    struct header headers[] = {{S("Content-Type"), S("application/json")}, {S("x-a"), S(" b c ")}, {S("x-empty"), S("")}};
    setenv("HOME", test_dir(), 1); /* where a .netrc would be */
    FILE *netrc = fopen(strf(test_arena(), "%s/.netrc", test_dir()).at, "we");
    CHECK(netrc && fprintf(netrc, "machine models.test login me password secret\n") > 0);
    fclose(netrc);

    call_to(&c, s, "http", "models.test", s->far.port);
    snprintf(c.url, sizeof c.url, "http://models.test:%d/v1/../x?y=%%20", s->far.port);
    c.out = (struct outgoing){.method = "POST", .url = str(c.url), .address = &c.address, .headers = headers,
                              .headers_count = 3, .body = S("{\"a\":1}")};
    goes(&c);
    far_accepts(cx, &s->far);
    struct str request = far_gets(cx, &s->far);
    CHECK(str_eq(request, strf(test_arena(), "POST /v1/../x?y=%%20 HTTP/1.1\r\nHost: models.test:%d\r\nAccept: */*\r\n"
                               "Content-Type: application/json\r\nx-a: b c\r\nx-empty:\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
                               s->far.port)));
    far_says(cx, &s->far, "HTTP/1.1 201 Created\r\nX-B:  c \r\nContent-Length: 5\r\nSet-Cookie: k=v\r\n\r\nhello");
    is_fine(cx, &c, "hello");
    CHECK(c.status == 201);

    /* The cookie does not come back; without a body there is no Content-Type. */
    static const char *const methods[] = {"GET", "DELETE", "POST", "PUT", "HEAD"};
    for (int i = 0; i < 5; i++) {
        calls(&c, s);
        c.address = (struct guard_address){.host = "models.test", .port = s->far.port, .addresses = "127.0.0.1"};
        snprintf(c.url, sizeof c.url, "http://models.test:%d/", s->far.port);
        c.out.url = str(c.url);
        c.out.method = methods[i];
        goes(&c);
        request = far_gets(cx, &s->far); /* on the same connection */
        CHECK(str_eq(request, strf(test_arena(), "%s / HTTP/1.1\r\nHost: models.test:%d\r\nAccept: */*\r\n%s\r\n", methods[i],
                                   s->far.port, i == 2 ? "Content-Length: 0\r\n" : "")));
        far_says(cx, &s->far, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        is_fine(cx, &c, "");
    }
}
TEST(a_request_has_exactly_what_the_caller_gave) { play(says_what_it_should); }

static void forges_nothing(struct ctx *cx, struct stage *s)
{
    struct header headers[] = {{S("x"), S("a\r\nx-admin: 1")}, {S("Host"), S("x")}, {S("Transfer-Encoding"), S("chunked")}};
    for (int i = 0; i < 3; i++) {
        struct caller c;
        calls(&c, s);
        c.out.headers = &headers[i];
        c.out.headers_count = 1;
        goes(&c);
        fails_with(cx, &c, ERR_INVALID, "a header of the request may not be sent");
    }
    struct caller c;
    calls(&c, s);
    c.out.url = S("http://127.0.0.1:1/\0x");
    goes(&c);
    fails_with(cx, &c, ERR_INVALID, "the URL has a zero byte in it");
    static const char *const urls[] = {"ftp://127.0.0.1/", "file:///etc/passwd", "http://me:secret@127.0.0.1/", "gopher://127.0.0.1/"};
    for (int i = 0; i < 4; i++) {
        calls(&c, s);
        c.out.url = str(urls[i]);
        goes(&c);
        ends(cx, &c);
        CHECK(failed(c.outcome) && !strstr(c.what, "secret") && !c.has_head);
    }
    CHECK(!far_is_called(&s->far));
}
TEST(what_would_forge_a_request_is_refused_before_it_leaves) { play(forges_nothing); }

static void asks_no_environment(struct ctx *cx, struct stage *s)
{
    static const char *const names[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"};
    struct far proxy;
    struct caller c;
    far_listen(&proxy);
    for (int i = 0; i < 5; i++) setenv(names[i], strf(test_arena(), "http://127.0.0.1:%d", proxy.port).at, 1);
    calls(&c, s);
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    far_says(cx, &s->far, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    is_fine(cx, &c, "hi");
    for (int i = 0; i < 5; i++) unsetenv(names[i]);
    CHECK(!far_is_called(&proxy));
    far_close(&proxy);
}
TEST(a_proxy_of_the_environment_is_not_used) { play(asks_no_environment); }

static void goes_through_the_proxy(struct ctx *cx, struct stage *s)
{
    struct caller c;
    call_to(&c, s, "http", "models.test", 8080);
    snprintf(c.address.addresses, sizeof c.address.addresses, "93.184.216.34,[2606:4700::1111]");
    goes(&c);
    far_accepts(cx, &s->far);
    CHECK(str_starts(far_gets(cx, &s->far), S("CONNECT 93.184.216.34:8080 HTTP/1.1\r\n")));
    far_says(cx, &s->far, "HTTP/1.1 200 Yes\r\nX-Proxy: 1\r\n\r\n");
    CHECK(str_starts(far_gets(cx, &s->far), S("GET /x HTTP/1.1\r\nHost: models.test:8080\r\n")));
    far_says(cx, &s->far, "HTTP/1.1 204 No\r\n\r\n");
    is_fine(cx, &c, "");
    CHECK(c.status == 204);
}
static void with_a_proxy(struct ctx *cx, struct stage *s)
{
    client_close_pool(s->client);
    s->client = client_open_pool(cx->loop, strf(cx->arena, "http://localhost:%d", s->far.port));
    CHECK(s->client);
    goes_through_the_proxy(cx, s);
}
TEST(the_operators_proxy_is_told_an_address_and_resolves_nothing) { play(with_a_proxy); }

/* ---- where it connects ----------------------------------------------------------------------- */
static void uses_the_given_address(struct ctx *cx, struct stage *s)
{
    struct caller c;
    calls(&c, s);
    snprintf(c.address.addresses, sizeof c.address.addresses, "127.0.0.2,[::1],127.0.0.1"); /* two do not listen */
    c.out.url = S("http://2130706433:1/"); /* what the URL says does not matter */
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    far_says(cx, &s->far, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    is_fine(cx, &c, "hi");
    /* The kept connection is not for somebody with other addresses. */
    calls(&c, s);
    snprintf(c.address.addresses, sizeof c.address.addresses, "127.0.0.2");
    c.out.url = S("http://2130706433:1/");
    goes(&c);
    fails_with(cx, &c, ERR_UPSTREAM, strf(test_arena(), "could not connect to 127.0.0.1:%d (connection refused)", s->far.port).at);
}
TEST(it_connects_to_what_the_guard_gave_and_to_nothing_else) { play(uses_the_given_address); }

/* The first address does not answer and then fails; the next one's socket gets the same number, and is
 * watched although the number was watched before. */
static void tries_the_next(struct ctx *cx, struct stage *s)
{
    struct caller c;
    struct deaf_side deaf;
    far_is_deaf_at(&deaf, "127.0.0.2", s->far.port);
    calls(&c, s);
    snprintf(c.address.addresses, sizeof c.address.addresses, "127.0.0.2,127.0.0.1");
    int fd = dup(0); /* the number that the socket will get */
    close(fd);
    goes(&c);
    for (int turns = 0; client_counts(s->client).sockets_open == 0;) far_turn(cx, &turns);
    for (int i = 0; i < 10; i++) CHECK_OK(wait_turn(cx)); /* watched by now */
    CHECK(!far_is_called(&s->far));
    CHECK(shutdown(fd, SHUT_RDWR) == 0); /* of one that is still connecting: it fails */
    far_accepts(cx, &s->far);
    CHECK(client_counts(s->client).sockets_open == 1);
    answers(cx, &s->far, "hi");
    is_fine(cx, &c, "hi");
    CHECK(client_counts(s->client).sockets_open == 1);
    far_is_deaf_no_more(&deaf);
}
TEST(an_address_that_fails_late_is_followed_by_the_next) { play(tries_the_next); }

static void names_the_far_side(struct ctx *cx, struct stage *s)
{
    struct caller c;
    calls(&c, s);
    close(s->far.listener);
    s->far.listener = -1;
    goes(&c);
    fails_with(cx, &c, ERR_UPSTREAM, strf(test_arena(), "could not connect to 127.0.0.1:%d (connection refused)", s->far.port).at);
}
TEST(a_refused_connection_is_told_in_a_sentence) { play(names_the_far_side); }

static void follows_nothing(struct ctx *cx, struct stage *s)
{
    struct far other;
    struct caller c;
    far_listen(&other);
    calls(&c, s);
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    far_says(cx, &s->far, strf(test_arena(), "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n",
                                 other.port).at);
    is_fine(cx, &c, "");
    CHECK(c.status == 302 && !far_is_called(&other));
    far_close(&other);
}
TEST(a_redirect_is_an_answer_and_not_followed) { play(follows_nothing); }

/* ---- connections kept ---------------------------------------------------------------------------- */
static void keeps(struct ctx *cx, struct stage *s)
{
    struct caller c;
    for (int i = 0; i < 5; i++) {
        calls(&c, s);
        goes(&c);
        if (i == 0) far_accepts(cx, &s->far);
        answers(cx, &s->far, "hi");
        is_fine(cx, &c, "hi");
        CHECK(client_counts(s->client).sockets_open == 1);
    }
    CHECK(!far_is_called(&s->far));
}
TEST(a_connection_serves_one_request_after_the_other) { play(keeps); }

static void goes_stale(struct ctx *cx, struct stage *s)
{
    struct caller c;
    calls(&c, s);
    goes(&c);
    far_accepts(cx, &s->far);
    answers(cx, &s->far, "one");
    is_fine(cx, &c, "one");
    far_hangs_up(&s->far); /* while nobody uses it */
    calls(&c, s);
    goes(&c);
    far_accepts(cx, &s->far);
    answers(cx, &s->far, "two");
    is_fine(cx, &c, "two");

    calls(&c, s);
    c.out.method = "POST";
    c.out.body = S("again");
    goes(&c);
    far_gets(cx, &s->far);
    far_resets(&s->far); /* the very moment at which it is used */
    far_accepts(cx, &s->far);
    CHECK(memmem(far_gets(cx, &s->far).at, s->far.heard.count, "\r\n\r\nagain", 9));
    far_says(cx, &s->far, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree");
    is_fine(cx, &c, "three");
}
TEST(a_kept_connection_that_broke_is_replaced_unseen) { play(goes_stale); }

static void keeps_not_too_many(struct ctx *cx, struct stage *s)
{
    enum { CALLERS = 300 };
    static struct caller c[CALLERS];
    static struct far side[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        calls(&c[i], s);
        goes(&c[i]);
        side[i] = (struct far){.listener = -1, .fd = -1};
        struct far at_door = {.listener = s->far.listener, .fd = -1};
        far_accepts(cx, &at_door);
        side[i].fd = at_door.fd;
    }
    CHECK(client_counts(s->client).sockets_open == CALLERS);
    for (int i = 0; i < CALLERS; i++) answers(cx, &side[i], "hi");
    for (int i = 0; i < CALLERS; i++) is_fine(cx, &c[i], "hi");
    CHECK(client_counts(s->client).sockets_open == 256);
    for (int i = 0; i < CALLERS; i++) far_close(&side[i]);
}
TEST(the_kept_connections_are_bounded) { play(keeps_not_too_many); }

/* ---- answers ----------------------------------------------------------------------------------------- */
static void reads_pieces(struct ctx *cx, struct stage *s)
{
    struct caller c;
    calls(&c, s);
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    far_says(cx, &s->far, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int turns = 0; !c.has_head;) far_turn(cx, &turns);
    far_says(cx, &s->far, "5\r\ndata:");
    for (int turns = 0; c.body.count < 5;) far_turn(cx, &turns);
    far_says(cx, &s->far, "\r\n3\r\n hi\r\n0\r\nTrailer: x\r\n\r\n");
    is_fine(cx, &c, "data: hi");
    CHECK(c.status == 200 && client_counts(s->client).sockets_open == 1);
}
TEST(a_chunked_answer_comes_as_it_is_said) { play(reads_pieces); }

static void reads_to_the_end(struct ctx *cx, struct stage *s)
{
    struct caller c;
    calls(&c, s);
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    far_says(cx, &s->far, "HTTP/1.0 200 OK\r\n\r\nhello");
    far_hangs_up(&s->far);
    is_fine(cx, &c, "hello");
}
TEST(an_answer_without_a_length_ends_with_its_connection) { play(reads_to_the_end); }

static void breaks(struct ctx *cx, struct stage *s)
{
    static const struct {
        const char *said, *what;
        bool was_silent;
    } rows[] = {
        {"", "the connection to 127.0.0.1:%d broke before an answer came", false},
        {"HTTP/1.1 200 OK\r\nContent-", "the connection to 127.0.0.1:%d broke in the middle of the answer", false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "the connection to 127.0.0.1:%d broke in the middle of the answer", true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "the connection to 127.0.0.1:%d broke in the middle of the answer", false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "the connection to 127.0.0.1:%d broke in the middle of the answer", false},
        {"hello, this is no HTTP\r\n\r\n", "the answer of 127.0.0.1:%d is not HTTP", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int resets = 0; resets < 2; resets++) {
            struct caller c;
            calls(&c, s);
            goes(&c);
            far_accepts(cx, &s->far);
            far_gets(cx, &s->far);
            int64_t read_before = client_counts(s->client).bytes_read_total;
            far_says(cx, &s->far, rows[i].said);
            for (int turns = 0; rows[i].said[0] && client_counts(s->client).bytes_read_total == read_before && i != 5;) far_turn(cx, &turns);
            if (resets && i != 5) far_resets(&s->far);
            else far_hangs_up(&s->far);
            ends(cx, &c);
            CHECK(c.outcome.code == ERR_UPSTREAM);
            if (!resets) fails_with(cx, &c, ERR_UPSTREAM, strf(test_arena(), rows[i].what, s->far.port).at);
            CHECK(c.was_silent == rows[i].was_silent);
            /* In a head cut off by the end of the connection curl sees no failure, and drops it when it is next used. */
            CHECK(client_counts(s->client).sockets_open == 0 || i == 1);
            buf_free(&c.body);
        }
    }
}
TEST(a_broken_answer_is_told_in_a_sentence) { play(breaks); }

static void holds_back(struct ctx *cx, struct stage *s)
{
    static char block[10000];
    memset(block, 'x', sizeof block);
    struct caller c;
    calls(&c, s);
    c.holds_back = true;
    goes(&c);
    far_accepts(cx, &s->far);
    far_gets(cx, &s->far);
    far_says(cx, &s->far, "HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n");
    for (int turns = 0; !c.has_head;) far_turn(cx, &turns);
    size_t said = 0;
    for (int idle = 0; idle < 100;) { /* until the kernel's buffers are full, too */
        size_t n = far_tries_to_say(&s->far, str_n(block, sizeof block));
        said += n;
        idle = n ? 0 : idle + 1;
        CHECK_OK(wait_turn(cx));
    }
    CHECK(said < 40000000);
    CHECK(client_counts(s->client).bytes_read_total < 80000);
    c.is_let_go = true;
    gate_open(&c.go);
    while (said < 50000000) {
        size_t rest = 50000000 - said;
        said += far_tries_to_say(&s->far, str_n(block, rest < sizeof block ? rest : sizeof block));
        CHECK_OK(wait_turn(cx));
    }
    ends(cx, &c);
    CHECK(!failed(c.outcome) && c.body.count == 50000000);
    for (size_t i = 0; i < c.body.count; i++) CHECK(c.body.at[i] == 'x');
    buf_free(&c.body);
}
TEST(who_does_not_read_holds_the_sender_back) { play(holds_back); }

/* The body is borrowed until client_open returns, so an answer that overtakes it must wait for it. */
static void answers_early(struct ctx *cx, struct stage *s)
{
    enum { BODY_BYTES = 20000000 };
    char *body = malloc(BODY_BYTES);
    CHECK(body);
    memset(body, 'b', BODY_BYTES);
    struct caller c;
    calls(&c, s);
    c.out.method = "POST";
    c.out.body = str_n(body, BODY_BYTES);
    goes(&c);
    far_accepts(cx, &s->far);
    far_says(cx, &s->far, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    for (int i = 0; i < 200; i++) CHECK_OK(wait_turn(cx));
    CHECK(client_counts(s->client).bytes_read_total > 0 && !c.has_head);
    struct str request = far_gets(cx, &s->far);
    CHECK(request.count > BODY_BYTES && request.at[request.count - 1] == 'b');
    is_fine(cx, &c, "hi");
    free(body);
}
TEST(an_answer_that_overtakes_the_request_waits_for_it) { play(answers_early); }
