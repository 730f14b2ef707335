/* Requests, answers and streams. Limits and refusals are in server_limits.c. */
#include "net/server.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "peer.h"

#define GET(path) S("GET " path " HTTP/1.1\r\nHost: a\r\n\r\n")
static const char date_line[] = "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n";

/* ---- whole answers ----------------------------------------------------------------- */

static struct err asks_thrice(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int fd = peer_open(play);
    TRY(peer_says(cx, fd, GET("/1")));
    TRY(peer_gets(cx, fd, &got));
    EXPECT(str_is(got, arena_printf(cx->arena, "HTTP/1.1 200 OK\r\n%sContent-Type: application/json\r\nContent-Length: 9\r\n\r\nGET /1 0 ", date_line)));
    TRY(peer_says(cx, fd, S("HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n")));
    TRY(peer_hears(cx, fd, "\r\n\r\n", &got));
    EXPECT(str_has(got, "Content-Length: 10\r\n"));
    TRY(peer_says(cx, fd, GET("/none")));
    TRY(peer_gets(cx, fd, &got));
    EXPECT(str_is(got, arena_printf(cx->arena, "HTTP/1.1 204 No Content\r\n%s\r\n", date_line)));
    TRY(peer_says(cx, fd, GET("/peer")));
    TRY(peer_gets(cx, fd, &got));
    EXPECT(str_starts(got, S("HTTP/1.1 202 Accepted\r\n")) && str_ends(got, "\r\n\r\nnull"));
    EXPECT(strncmp(play->peer_text, "127.0.0.1:", 10) == 0);
    struct server_counts counts = server_counts(play->server);
    EXPECT(counts.connections_open == 1 && counts.requests_total == 4 && counts.requests_live == 0);
    return OK;
}
TEST(a_connection_is_kept_and_each_answer_has_its_form)
{
    struct play play = play_new(asks_thrice);
    CHECK_OK(play_run(&play));
}

static struct err says_byte_by_byte(struct ctx *cx, void *arg)
{
    struct str request = S("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"), got;
    int fd = peer_open(arg);
    for (size_t i = 0; i < request.count; i++) TRY(peer_says(cx, fd, str_n(request.at + i, 1)));
    TRY(peer_gets(cx, fd, &got));
    EXPECT(str_ends(got, "POST /x 4 abcd"));
    for (size_t cut = 1; cut < request.count; cut += 7) {
        TRY(peer_says(cx, fd, str_n(request.at, cut)));
        TRY(peer_says(cx, fd, str_n(request.at + cut, request.count - cut)));
        TRY(peer_gets(cx, fd, &got));
        EXPECT(str_ends(got, "POST /x 4 abcd"));
    }
    return OK;
}
TEST(a_request_may_come_in_any_pieces)
{
    struct play play = play_new(says_byte_by_byte);
    CHECK_OK(play_run(&play));
}

static struct err pipelines(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct buf all = {0};
    struct str got;
    int fd = peer_open(play);
    buf_add_str(&all, GET("/wait"));
    for (int i = 0; i < 3000; i++) buf_addf(&all, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", i);
    struct err e = peer_says(cx, fd, str_n(all.at, 100000)); /* more than waits in the buffer */
    if (!failed(e)) e = peer_hears_nothing(cx, fd);
    int begun = play->begun;
    int64_t bytes_in = server_counts(play->server).bytes_in;
    play->may_go = true;
    gate_open(&play->go);
    if (!failed(e)) e = peer_says(cx, fd, str_n(all.at + 100000, all.count - 100000));
    buf_free(&all);
    TRY(e);
    EXPECT(begun == 1 && bytes_in < 100000);
    TRY(peer_gets(cx, fd, &got));
    EXPECT(str_ends(got, "GET /wait 0 "));
    for (int i = 0; i < 3000; i++) {
        TRY(peer_gets(cx, fd, &got));
        EXPECT(str_ends(got, arena_printf(cx->arena, "POST /%d 3 abc", i)));
    }
    EXPECT(play->begun == 3001);
    return OK;
}
TEST(pipelined_requests_wait_their_turn_and_are_answered_in_order)
{
    struct play play = play_new(pipelines);
    CHECK_OK(play_run(&play));
}

static struct err closes_as_asked(struct ctx *cx, void *arg)
{
    static const struct { const char *says, *has, *lacks; } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "Connection: close\r\n", "keep-alive"},
        {"GET / HTTP/1.0\r\n\r\n", "Connection: close\r\n", "keep-alive"},
        {"GET /last HTTP/1.1\r\nHost: a\r\n\r\n", "Connection: close\r\n", "keep-alive"},
        {"GET /last HTTP/1.1\r\nHost: a\r\n\r\nGET /never HTTP/1.1\r\nHost: a\r\n\r\n", "GET /last 0 ", "never"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct str got;
        int fd = peer_open(arg);
        TRY(peer_says(cx, fd, str(rows[i].says)));
        TRY(peer_hears(cx, fd, NULL, &got));
        EXPECT(str_has(got, rows[i].has) && !str_has(got, rows[i].lacks));
    }
    struct str got;
    int fd = peer_open(arg);
    for (int i = 0; i < 2; i++) {
        TRY(peer_says(cx, fd, S("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")));
        TRY(peer_gets(cx, fd, &got));
        EXPECT(str_has(got, "Connection: keep-alive\r\n"));
    }
    return OK;
}
TEST(a_connection_is_closed_when_either_side_asks)
{
    struct play play = play_new(closes_as_asked);
    CHECK_OK(play_run(&play));
}

static struct err hears_500(struct ctx *cx, void *arg)
{
    struct str got;
    int fd = peer_open(arg);
    TRY(peer_says(cx, fd, GET("/silent")));
    TRY(peer_gets(cx, fd, &got));
    EXPECT(str_starts(got, S("HTTP/1.1 500 ")) && str_ends(got, "{\"detail\":\"Internal Server Error\"}"));
    TRY(peer_says(cx, fd, GET("/child-fails")));
    TRY(peer_gets(cx, fd, &got));
    EXPECT(str_starts(got, S("HTTP/1.1 500 ")));
    TRY(peer_says(cx, fd, GET("/still-here")));
    return peer_gets(cx, fd, &got);
}
TEST(a_handler_without_an_answer_is_a_500)
{
    struct play play = play_new(hears_500);
    CHECK_OK(play_run(&play));
}

static struct err expects_continue(struct ctx *cx, void *arg)
{
    struct str got;
    int fd = peer_open(arg);
    TRY(peer_says(cx, fd, S("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")));
    TRY(peer_hears(cx, fd, "\r\n\r\n", &got));
    EXPECT(str_is(got, "HTTP/1.1 100 Continue\r\n\r\n"));
    TRY(peer_says(cx, fd, S("ab")));
    TRY(peer_hears_nothing(cx, fd));
    TRY(peer_says(cx, fd, S("cd")));
    TRY(peer_gets(cx, fd, &got));
    EXPECT(str_ends(got, "POST /x 4 abcd"));
    /* Who does not wait for it is not told. */
    TRY(peer_says(cx, fd, S("POST /y HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd")));
    TRY(peer_gets(cx, fd, &got));
    EXPECT(str_starts(got, S("HTTP/1.1 200 ")));
    /* Who would send too much is told so instead. */
    TRY(peer_says(cx, fd, S("POST /z HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 104857600\r\n\r\n")));
    TRY(peer_hears(cx, fd, NULL, &got));
    EXPECT(str_starts(got, S("HTTP/1.1 413 ")));
    return OK;
}
TEST(a_client_that_expects_continue_hears_it_once)
{
    struct play play = play_new(expects_continue);
    CHECK_OK(play_run(&play));
}

static struct err reads_slowly(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int fd = peer_open(play);
    TRY(peer_says(cx, fd, GET("/large")));
    TRY(peer_says(cx, fd, GET("/after")));
    TRY(peer_hears(cx, fd, "\r\n\r\n", &got));
    EXPECT(play->begun == 1); /* no further answer is piled up behind one that is not taken */
    EXPECT(str_has(got, "Content-Type: text/plain\r\n") && !str_has(got, "json") && str_has(got, "Content-Length: 8388608\r\n"));
    TRY(peer_hears(cx, fd, "GET /after 0 ", &got));
    EXPECT(got.count > 8388608);
    return OK;
}
TEST(a_large_answer_waits_for_its_reader)
{
    struct play play = play_new(reads_slowly);
    CHECK_OK(play_run(&play));
}

static struct err looks_at_sockets(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int fd = peer_open(play), count = 0;
    TRY(peer_says(cx, fd, GET("/")));
    TRY(peer_gets(cx, fd, &got));
    for (int other = 3; other < 64; other++) {
        struct sockaddr_in name;
        socklen_t size = sizeof name, on_size = sizeof(int);
        int on = 0;
        if (getpeername(other, (struct sockaddr *)&name, &size) != 0 || other == fd) continue;
        EXPECT(getsockopt(other, IPPROTO_TCP, TCP_NODELAY, &on, &on_size) == 0 && on != 0);
        count++;
    }
    EXPECT(count == 1);
    return OK;
}
TEST(an_accepted_socket_sends_without_delay)
{
    struct play play = play_new(looks_at_sockets);
    CHECK_OK(play_run(&play));
}

/* ---- streams ---------------------------------------------------------------------------- */

static struct err hears_streams(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int fd = peer_open(play);
    TRY(peer_says(cx, fd, GET("/stream/whole")));
    TRY(peer_hears(cx, fd, "0\r\n\r\n", &got));
    EXPECT(str_is(got, arena_printf(cx->arena, "HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
                                    "9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n9\r\ndata: 3\n\n\r\n0\r\n\r\n", date_line)));
    TRY(peer_says(cx, fd, S("HEAD /stream/whole HTTP/1.1\r\nHost: a\r\n\r\n")));
    TRY(peer_hears(cx, fd, "\r\n\r\n", &got));
    TRY(peer_hears_nothing(cx, fd));
    TRY(peer_says(cx, fd, GET("/stream/break")));
    TRY(peer_hears(cx, fd, NULL, &got));
    EXPECT(str_ends(got, "9\r\ndata: 3\n\n\r\n"));
    fd = peer_open(play);
    TRY(peer_says(cx, fd, S("GET /stream/whole HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")));
    TRY(peer_hears(cx, fd, NULL, &got));
    EXPECT(str_has(got, "Connection: close\r\n") && str_ends(got, "\r\n\r\ndata: 1\n\ndata: 2\n\ndata: 3\n\n"));
    return OK;
}
TEST(a_stream_is_chunked_and_its_end_is_told_unless_it_broke)
{
    struct play play = play_new(hears_streams);
    CHECK_OK(play_run(&play));
}

/* The peer is gone, by a reset or by FIN: its handler's wait ends. */
static struct err leaves(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    for (int i = 0; i < 3; i++) {
        struct str got;
        int fd = peer_open(play);
        play->outcome = OK;
        TRY(peer_says(cx, fd, i == 0 ? GET("/wait") : GET("/stream/hold")));
        if (i > 0) TRY(peer_hears(cx, fd, "data: 2\n\n\r\n", &got));
        else TRY(turns(cx));
        EXPECT(play->begun == i + 1 && play->ended == i);
        if (i < 2) peer_reset(play, fd);
        else shutdown(fd, SHUT_WR);
        TRY(turns(cx));
        EXPECT(play->ended == i + 1 && play->outcome.code == ERR_CANCELLED);
        EXPECT(server_counts(play->server).connections_open == 0 && server_counts(play->server).requests_live == 0);
        if (i == 2) { /* cut: no last chunk */
            TRY(peer_hears(cx, fd, NULL, &got));
            EXPECT(got.count == 0);
        }
    }
    return OK;
}
TEST(when_the_peer_goes_away_the_handler_is_cancelled)
{
    struct play play = play_new(leaves);
    CHECK_OK(play_run(&play));
}

static struct err half_closes(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int fd = peer_open(play);
    TRY(peer_says(cx, fd, S("GET /wait HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\nGET /cut-o")));
    shutdown(fd, SHUT_WR);
    TRY(peer_hears_nothing(cx, fd));
    play->may_go = true;
    gate_open(&play->go);
    TRY(peer_hears(cx, fd, NULL, &got));
    EXPECT(str_has(got, "GET /wait 0 ") && str_ends(got, "GET /second 0 "));
    EXPECT(server_counts(play->server).connections_open == 0);
    return OK;
}
TEST(a_peer_that_only_ended_its_sending_gets_every_whole_answer)
{
    struct play play = play_new(half_closes);
    CHECK_OK(play_run(&play));
}

static struct err leaves_early(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    static const char *const begun[] = {"", "GE", "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"};
    for (size_t i = 0; i < sizeof begun / sizeof begun[0]; i++) {
        struct str got;
        int fd = peer_open(play);
        TRY(peer_says(cx, fd, str(begun[i])));
        shutdown(fd, SHUT_WR);
        TRY(peer_hears(cx, fd, NULL, &got));
        EXPECT(got.count == 0 && play->begun == 0);
    }
    TRY(turns(cx));
    EXPECT(server_counts(play->server).connections_open == 0);
    return OK;
}
TEST(a_peer_that_leaves_in_the_middle_of_a_request_leaves_nothing)
{
    struct play play = play_new(leaves_early);
    CHECK_OK(play_run(&play));
}

static struct err reads_a_flood_late(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int fd = peer_open(play);
    TRY(peer_says(cx, fd, GET("/stream/flood")));
    TRY(peer_hears(cx, fd, "data: 2\n\n\r\n", &got));
    TRY(comes_to_rest(cx, play));
    EXPECT(play->sent_bytes > 0 && play->sent_bytes < 1024 * 16384 && play->ended == 0); /* it waits */
    TRY(peer_hears(cx, fd, "0\r\n\r\n", &got));
    EXPECT(play->sent_bytes == 1024 * 16384 && play->ended == 1 && !failed(play->outcome));
    EXPECT(got.count > play->sent_bytes);
    return OK;
}
TEST(a_slow_reader_makes_the_stream_wait_and_go_on)
{
    struct play play = play_new(reads_a_flood_late);
    CHECK_OK(play_run(&play));
}

static struct err holds_many(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    int fds[200];
    struct str got;
    for (int i = 0; i < 200; i++) {
        fds[i] = peer_open(play);
        TRY(peer_says(cx, fds[i], GET("/stream/hold")));
    }
    for (int i = 0; i < 200; i++) TRY(peer_hears(cx, fds[i], "data: 2\n\n\r\n", &got));
    EXPECT(server_counts(play->server).requests_live == 200);
    play->may_go = true;
    gate_open(&play->go);
    for (int i = 0; i < 200; i++) TRY(peer_hears(cx, fds[i], "9\r\ndata: 3\n\n\r\n0\r\n\r\n", &got));
    EXPECT(server_counts(play->server).requests_live == 0 && server_counts(play->server).connections_open == 200);
    return OK;
}
TEST(many_streams_are_open_at_once)
{
    struct play play = play_new(holds_many);
    CHECK_OK(play_run(&play));
}

/* ---- the end ------------------------------------------------------------------------------- */

struct ending {
    struct play play;
    int idle, half, waits, streams;
    struct str last[4];
};

static struct err stops(struct ctx *cx, void *arg)
{
    struct ending *ending = arg;
    server_stop(cx, ending->play.server, 5000);
    ending->play.is_stopped = true;
    return OK;
}

static struct err is_stopped_with_work(struct ctx *cx, void *arg, bool ends_in_time)
{
    struct ending *ending = arg;
    struct play *play = &ending->play;
    struct scope scope;
    struct str got;
    ending->idle = peer_open(play), ending->half = peer_open(play), ending->waits = peer_open(play), ending->streams = peer_open(play);
    TRY(peer_says(cx, ending->half, S("GET / HTTP/1.1\r\n")));
    TRY(peer_says(cx, ending->waits, GET("/wait")));
    TRY(peer_says(cx, ending->streams, GET("/stream/hold")));
    TRY(peer_says(cx, ending->streams, GET("/never")));
    TRY(peer_hears(cx, ending->streams, "data: 2\n\n\r\n", &got));
    struct ctx inner = scope_open(&scope, cx);
    TRY(scope_spawn(&inner, stops, ending));
    TRY(turns(cx));
    bool has_waited = !play->is_stopped;
    if (ends_in_time) {
        play->may_go = true;
        gate_open(&play->go);
    } else {
        loop_test_advance(cx->loop, 4999);
        TRY(turns(cx));
        has_waited = has_waited && !play->is_stopped;
        loop_test_advance(cx->loop, 1);
    }
    TRY(scope_close(&inner));
    EXPECT(has_waited && play->is_stopped && server_counts(play->server).connections_open == 0);
    TRY(peer_hears(cx, ending->idle, NULL, &ending->last[0]));
    TRY(peer_hears(cx, ending->half, NULL, &ending->last[1]));
    TRY(peer_hears(cx, ending->waits, NULL, &ending->last[2]));
    TRY(peer_hears(cx, ending->streams, NULL, &ending->last[3]));
    EXPECT(ending->last[0].count == 0 && play->begun == 2);
    EXPECT(str_has(ending->last[1], "503 ") && str_has(ending->last[1], "Retry-After: 1\r\n") && str_ends(ending->last[1], "{\"detail\":\"The server is stopping\"}"));
    if (ends_in_time) {
        EXPECT(str_has(ending->last[2], "Connection: close\r\n") && str_ends(ending->last[2], "GET /wait 0 "));
        EXPECT(str_is(ending->last[3], "9\r\ndata: 3\n\n\r\n0\r\n\r\n"));
    } else {
        EXPECT(ending->last[2].count == 0 && play->ended == 2 && play->outcome.code == ERR_CANCELLED);
        EXPECT(str_is(ending->last[3], "0\r\n\r\n"));
    }
    return OK;
}
static struct err stops_and_they_end(struct ctx *cx, void *arg) { return is_stopped_with_work(cx, arg, true); }
static struct err stops_and_they_do_not(struct ctx *cx, void *arg) { return is_stopped_with_work(cx, arg, false); }

TEST(a_server_that_stops_lets_live_requests_end)
{
    struct ending ending = {.play = play_new(stops_and_they_end)};
    CHECK_OK(play_run(&ending.play));
}
TEST(when_the_grace_is_over_live_requests_are_cancelled_and_streams_end_cleanly)
{
    struct ending ending = {.play = play_new(stops_and_they_do_not)};
    CHECK_OK(play_run(&ending.play));
}

static struct err stops_in_the_same_breath(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct str got;
    int fd = peer_open(play);
    TRY(peer_says(cx, fd, GET("/wait")));
    TRY(turns(cx));
    play->may_go = true;
    gate_open(&play->go);
    TRY(wait_turn(cx)); /* the handler has answered, nothing is sent yet */
    EXPECT(play->ended == 1 && server_counts(play->server).bytes_out == 0);
    server_stop(cx, play->server, 0);
    play->is_stopped = true;
    TRY(peer_hears(cx, fd, NULL, &got));
    EXPECT(str_ends(got, "GET /wait 0 "));
    return OK;
}
TEST(what_was_said_just_before_the_end_is_sent)
{
    struct play play = play_new(stops_in_the_same_breath);
    CHECK_OK(play_run(&play));
}

static struct err listens_again(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    struct server *second = NULL;
    struct server_settings settings = play->settings;
    settings.port = server_port(play->server);
    struct err e = server_open(cx, &settings, NULL, NULL, &second);
    EXPECT(e.code == ERR_CONFLICT && !second);
    settings.host = S("localhost");
    EXPECT(server_open(cx, &settings, NULL, NULL, &second).code == ERR_INVALID);
    settings.host = S("192.0.2.1");
    EXPECT(server_open(cx, &settings, NULL, NULL, &second).code == ERR_INVALID);
    /* The port is free at once, though a connection of the old one lingers. */
    struct str got;
    int fd = peer_open(play);
    TRY(peer_says(cx, fd, S("GET / HTTP/1.0\r\n\r\n")));
    TRY(peer_hears(cx, fd, NULL, &got));
    server_stop(cx, play->server, 0);
    play->is_stopped = true;
    settings.host = S("127.0.0.1");
    TRY(server_open(cx, &settings, NULL, NULL, &second));
    server_stop(cx, second, 0);
    server_close(second);
    settings.host = S("::1");
    settings.port = 0;
    TRY(server_open(cx, &settings, NULL, NULL, &second));
    EXPECT(server_port(second) > 0);
    server_stop(cx, second, 0);
    server_close(second);
    return OK;
}
TEST(an_address_that_cannot_be_listened_on_is_told)
{
    struct play play = play_new(listens_again);
    CHECK_OK(play_run(&play));
}
