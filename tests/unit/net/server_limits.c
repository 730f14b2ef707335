/* Every bound of net/server: bytes, times, numbers, descriptors. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "peer.h"

#define GET(path) S("GET " path " HTTP/1.1\r\nHost: a\r\n\r\n")

static bool is_refusal(struct str got, int status, const char *body)
{
    char line[32], tail[128];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    snprintf(tail, sizeof tail, "\r\n\r\n{\"detail\":\"%s\"}", body);
    return str_starts(got, str(line)) && str_has(got, "Connection: close\r\n") && str_has(got, "Content-Type: application/json\r\n") && str_ends(got, tail) &&
           str_has(got, "Retry-After: 1\r\n") == (status == 503);
}

static struct err is_refused(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct buf long_target = {0}, long_header = {0}, chunks = {0};
    buf_addf(&long_target, "GET /%08200d HTTP/1.1\r\n", 1);
    buf_addf(&long_header, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    while (long_header.count < 1 << 20) buf_addf(&long_header, "%01000d", 1);
    buf_addf(&chunks, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 11; i++) buf_addf(&chunks, "2710\r\n%010000d\r\n", 1);
    const struct { struct str says; int status; const char *body; } rows[] = {
        {S("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"), 400, "Bad Request"},
        {S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 400, "Bad Request"},
        {buf_str(&long_target), 414, "URI too long"},
        {buf_str(&long_header), 431, "Request header fields too large"},
        {S("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n"), 413, "Request body exceeds 100000 bytes"},
        {buf_str(&chunks), 413, "Request body exceeds 100000 bytes"},
    };
    struct err e = OK;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && !failed(e); i++) {
        struct str got;
        int fd = peer_open(play);
        e = peer_says(cx, fd, rows[i].says);
        if (!failed(e)) e = peer_hears(cx, fd, NULL, &got);
        if (!failed(e) && !is_refusal(got, rows[i].status, rows[i].body)) e = errf(cx->arena, ERR_INVALID, "row %zu: %.*s", i, STR_ARGS(got));
        peer_close(play, fd);
    }
    buf_free(&long_target);
    buf_free(&long_header);
    buf_free(&chunks);
    TRY(e);
    for (int i = 0; i < 50 && server_counts(play->server).connections_open > 0; i++) TRY(turns(cx));
    EXPECT(play->begun == 0 && server_counts(play->server).connections_open == 0);
    return OK;
}
TEST(what_is_malformed_or_too_large_is_refused_before_any_handler)
{
    struct play play = play_new(is_refused);
    CHECK_OK(play_run(&play));
}

static struct err pushes_blindly(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    static char block[65536];
    struct str got;
    int fd = peer_open(play);
    TRY(peer_says(cx, fd, S("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 104857600\r\n\r\n")));
    for (int i = 0; i < 100; i++) TRY(peer_says(cx, fd, str_n(block, sizeof block)));
    TRY(peer_hears(cx, fd, NULL, &got));
    EXPECT(is_refusal(got, 413, "Request body exceeds 100000 bytes"));
    /* But not for ever. */
    EXPECT(server_counts(play->server).connections_open == 1);
    loop_test_advance(cx->loop, 5000);
    TRY(turns(cx));
    EXPECT(server_counts(play->server).connections_open == 0);
    return OK;
}
TEST(a_peer_that_pushes_a_refused_body_can_still_read_the_answer)
{
    struct play play = play_new(pushes_blindly);
    CHECK_OK(play_run(&play));
}

/* ---- time ---------------------------------------------------------------------------- */

static struct err is_slow(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int head = peer_open(play), body = peer_open(play), idle = peer_open(play);
    TRY(peer_says(cx, head, S("G")));
    TRY(peer_says(cx, body, S("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")));
    TRY(turns(cx));
    /* A byte now and then buys no time. */
    for (int i = 0; i < 9; i++) {
        loop_test_advance(cx->loop, 1000);
        TRY(peer_says(cx, head, str_n(&"ET / HTTP"[i], 1)));
    }
    loop_test_advance(cx->loop, 999);
    TRY(peer_hears_nothing(cx, head));
    loop_test_advance(cx->loop, 1);
    TRY(peer_hears(cx, head, NULL, &got));
    EXPECT(is_refusal(got, 408, "Request timeout"));
    loop_test_advance(cx->loop, 19999);
    TRY(peer_says(cx, body, S("a")));
    TRY(peer_hears_nothing(cx, body));
    loop_test_advance(cx->loop, 1);
    TRY(peer_hears(cx, body, NULL, &got));
    EXPECT(is_refusal(got, 408, "Request timeout"));
    loop_test_advance(cx->loop, 44999);
    TRY(peer_hears_nothing(cx, idle));
    loop_test_advance(cx->loop, 1);
    TRY(peer_hears(cx, idle, NULL, &got));
    EXPECT(got.count == 0);
    return OK;
}
TEST(a_slow_head_a_slow_body_and_an_idle_line_each_have_their_time)
{
    struct play play = play_new(is_slow);
    CHECK_OK(play_run(&play));
}

static struct err comes_back_in_time(struct ctx *cx, void *arg)
{
    struct str got;
    int fd = peer_open(arg);
    for (int i = 0; i < 4; i++) {
        loop_test_advance(cx->loop, 74000);
        TRY(peer_says(cx, fd, GET("/")));
        TRY(peer_gets(cx, fd, &got));
    }
    struct play *play = arg;
    TRY(peer_says(cx, fd, GET("/wait")));
    TRY(turns(cx));
    loop_test_advance(cx->loop, 1000000); /* an answer may take as long as it likes */
    TRY(turns(cx));
    play->may_go = true;
    gate_open(&play->go);
    return peer_gets(cx, fd, &got);
}
TEST(each_request_begins_the_idle_time_anew)
{
    struct play play = play_new(comes_back_in_time);
    CHECK_OK(play_run(&play));
}

static struct err takes_nothing(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int fd = peer_open(play);
    TRY(peer_says(cx, fd, GET("/stream/flood")));
    TRY(peer_hears(cx, fd, "data: 2\n\n\r\n", &got));
    TRY(comes_to_rest(cx, play));
    loop_test_advance(cx->loop, 19000);
    static char bytes[65536];
    int64_t before = server_counts(play->server).bytes_out;
    for (int i = 0; i < 48 && recv(fd, bytes, sizeof bytes, 0) > 0; i++) continue;
    TRY(comes_to_rest(cx, play));
    EXPECT(server_counts(play->server).bytes_out > before); /* progress: the time begins anew */
    loop_test_advance(cx->loop, 19999);
    TRY(turns(cx));
    EXPECT(play->ended == 0);
    loop_test_advance(cx->loop, 1);
    TRY(turns(cx));
    EXPECT(play->ended == 1 && play->outcome.code == ERR_CANCELLED && server_counts(play->server).connections_open == 0);
    return OK;
}
TEST(a_peer_that_takes_nothing_is_given_up)
{
    struct play play = play_new(takes_nothing);
    CHECK_OK(play_run(&play));
}

static struct err takes_a_little(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    static char bytes[65536];
    int fd = peer_open(play);
    TRY(peer_says(cx, fd, GET("/large")));
    TRY(peer_hears(cx, fd, "\r\n\r\n", &got));
    for (int i = 0; i < 3; i++) {
        int64_t before;
        do { /* until nothing more goes out by itself */
            before = server_counts(play->server).bytes_out;
            TRY(turns(cx));
        } while (server_counts(play->server).bytes_out > before);
        loop_test_advance(cx->loop, 19999);
        for (int n = 0; n < 30 && server_counts(play->server).bytes_out == before; n++) {
            EXPECT(recv(fd, bytes, sizeof bytes, 0) > 0);
            TRY(turns(cx));
        }
        EXPECT(server_counts(play->server).bytes_out > before && server_counts(play->server).connections_open == 1);
    }
    return OK;
}
TEST(a_peer_that_takes_a_little_of_a_large_answer_has_its_time_anew)
{
    struct play play = play_new(takes_a_little);
    CHECK_OK(play_run(&play));
}

/* ---- numbers ------------------------------------------------------------------------------ */

static struct err asks_too_much(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int first = peer_open(play), second = peer_open(play);
    TRY(peer_says(cx, first, GET("/wait")));
    TRY(turns(cx));
    TRY(peer_says(cx, second, GET("/x")));
    TRY(peer_hears(cx, second, NULL, &got));
    EXPECT(is_refusal(got, 503, "Too many requests are being answered"));
    play->may_go = true;
    gate_open(&play->go);
    TRY(peer_gets(cx, first, &got));
    TRY(peer_says(cx, first, GET("/y")));
    TRY(peer_gets(cx, first, &got));
    EXPECT(str_ends(got, "GET /y 0 "));
    return OK;
}
TEST(more_live_requests_than_allowed_are_503)
{
    struct play play = play_new(asks_too_much);
    play.settings.requests_max = 1;
    CHECK_OK(play_run(&play));
}

static struct err crowds(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int first = peer_open(play), second = peer_open(play);
    TRY(peer_says(cx, first, GET("/1")));
    TRY(peer_gets(cx, first, &got));
    TRY(peer_says(cx, second, GET("/stream/hold")));
    TRY(peer_hears(cx, second, "data: 2\n\n\r\n", &got));
    /* The oldest idle one makes room, if it is so for a second ... */
    loop_test_advance(cx->loop, 1000);
    int third = peer_open(play);
    TRY(peer_says(cx, third, GET("/stream/hold")));
    TRY(peer_hears(cx, third, "data: 2\n\n\r\n", &got));
    TRY(peer_hears(cx, first, NULL, &got));
    EXPECT(got.count == 0 && server_counts(play->server).connections_open == 2);
    /* ... and when none is idle, there is none. */
    int fourth = peer_open(play);
    TRY(peer_says(cx, fourth, GET("/4")));
    TRY(peer_hears(cx, fourth, NULL, &got));
    EXPECT(is_refusal(got, 503, "Too many connections"));
    for (int i = 0; i < 300; i++) peer_open(play);
    for (int i = 0; i < 10; i++) TRY(turns(cx));
    EXPECT(server_counts(play->server).connections_open == 2 + 128 && play->begun == 3);
    /* Those who were refused and do not leave keep nobody out. */
    play->may_go = true;
    gate_open(&play->go);
    TRY(turns(cx));
    loop_test_advance(cx->loop, 1000);
    int fifth = peer_open(play);
    TRY(peer_says(cx, fifth, GET("/5")));
    TRY(peer_gets(cx, fifth, &got));
    EXPECT(str_ends(got, "GET /5 0 "));
    return OK;
}
TEST(more_connections_than_allowed_push_out_an_idle_one_or_are_503)
{
    struct play play = play_new(crowds);
    play.settings.connections_max = 2;
    CHECK_OK(play_run(&play));
}

static struct err sends_bodies(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    static char body[40000];
    struct str got, head = S("POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n");
    int fds[5];
    for (int i = 0; i < 5; i++) fds[i] = peer_open(play);
    /* Two live in part, each of up to 64 kB memory; the third is too much. */
    for (int i = 0; i < 2; i++) {
        TRY(peer_says(cx, fds[i], head));
        TRY(peer_says(cx, fds[i], str_n(body, 39999)));
    }
    TRY(peer_says(cx, fds[2], head));
    TRY(peer_says(cx, fds[2], str_n(body, 39999)));
    TRY(peer_hears(cx, fds[2], NULL, &got));
    EXPECT(is_refusal(got, 503, "Too little memory for this request"));
    /* A handler that is done with its body makes room while it goes on. */
    for (int i = 0; i < 2; i++) TRY(peer_says(cx, fds[i], S("x")));
    TRY(turns(cx));
    EXPECT(play->begun == 2 && play->ended == 0);
    for (int i = 3; i < 5; i++) {
        TRY(peer_says(cx, fds[i], head));
        TRY(peer_says(cx, fds[i], str_n(body, 40000)));
    }
    TRY(turns(cx));
    EXPECT(play->begun == 4);
    play->may_go = true;
    gate_open(&play->go);
    for (int i = 0; i < 5; i++) {
        if (i == 2) continue;
        TRY(peer_gets(cx, fds[i], &got));
        EXPECT(str_ends(got, "POST /drop 0 "));
    }
    return OK;
}
TEST(all_bodies_together_are_bounded)
{
    struct play play = play_new(sends_bodies);
    play.settings.bodies_bytes_max = 140000;
    CHECK_OK(play_run(&play));
}

/* ---- descriptors --------------------------------------------------------------------------- */

/* No descriptor is left for anybody until the old limit is back. */
static struct rlimit forbid_descriptors(void)
{
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    int free_one = fcntl(0, F_DUPFD_CLOEXEC, 0);
    none = old;
    none.rlim_cur = (rlim_t)free_one;
    close(free_one);
    setrlimit(RLIMIT_NOFILE, &none);
    return old;
}

static struct err meets_emfile(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int held = peer_open(play), idle = peer_open(play);
    TRY(peer_says(cx, held, GET("/stream/hold")));
    TRY(peer_hears(cx, held, "data: 2\n\n\r\n", &got));
    TRY(peer_says(cx, idle, GET("/1")));
    TRY(peer_gets(cx, idle, &got));
    int second = peer_open(play), third = peer_open(play);
    loop_test_advance(cx->loop, 1000);
    struct rlimit old = forbid_descriptors();
    /* Two are in the backlog: one takes the place of the idle one, the other has to wait. */
    struct err e = peer_says(cx, second, GET("/wait"));
    if (!failed(e)) e = peer_says(cx, third, GET("/3"));
    if (!failed(e)) e = turns(cx);
    int begun = play->begun, open = (int)server_counts(play->server).connections_open;
    if (!failed(e)) e = peer_hears_nothing(cx, third);
    setrlimit(RLIMIT_NOFILE, &old);
    TRY(e);
    EXPECT(begun == 3 && open == 2);
    TRY(peer_hears(cx, idle, NULL, &got));
    EXPECT(got.count == 0);
    /* The living are served meanwhile. */
    play->may_go = true;
    gate_open(&play->go);
    TRY(peer_hears(cx, held, "0\r\n\r\n", &got));
    TRY(peer_gets(cx, second, &got));
    TRY(peer_hears_nothing(cx, third));
    loop_test_advance(cx->loop, 100);
    TRY(peer_gets(cx, third, &got));
    EXPECT(str_ends(got, "GET /3 0 "));
    return OK;
}
TEST(without_descriptors_accepting_pauses_and_goes_on)
{
    struct play play = play_new(meets_emfile);
    CHECK_OK(play_run(&play));
}
