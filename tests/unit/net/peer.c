#include "peer.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"

/* ---- the handler: what it does is in the target -------------------------------- */

static void echo(struct ctx *cx, struct exchange *exchange)
{
    const struct request *request = exchange_request(exchange);
    struct str text = strf(cx->arena, "%.*s %.*s %zu ", STR_ARGS(request->method), STR_ARGS(request->target), request->body.count);
    struct buf body = {0};
    buf_add_str(&body, text);
    buf_add_str(&body, request->body);
    exchange_reply(exchange, 200, "", buf_str(&body));
    buf_free(&body);
}

static struct err wait_for_go(struct ctx *cx, struct play *play)
{
    while (!play->may_go) TRY(gate_wait(cx, &play->go, "the test"));
    return OK;
}

static struct err flood(struct ctx *cx, struct exchange *exchange, struct play *play)
{
    static char block[16384];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 1024; i++) {
        TRY(stream_send(cx, exchange, str_n(block, sizeof block)));
        play->sent_bytes += sizeof block;
    }
    return OK;
}

static struct err stream(struct ctx *cx, struct exchange *exchange, struct play *play, const char *kind)
{
    stream_open(exchange, "Content-Type: text/event-stream\r\n");
    TRY(stream_send(cx, exchange, S("data: 1\n\n")));
    TRY(stream_send(cx, exchange, S("data: 2\n\n")));
    if (strcmp(kind, "hold") == 0) TRY(wait_for_go(cx, play));
    if (strcmp(kind, "flood") == 0) TRY(flood(cx, exchange, play));
    if (strcmp(kind, "break") == 0) stream_break(exchange);
    return stream_send(cx, exchange, S("data: 3\n\n"));
}

static struct err fails(struct ctx *cx, void *arg)
{
    (void)cx, (void)arg;
    return err(ERR_IO, "a part of it failed");
}

static void handle(struct ctx *cx, struct exchange *exchange, void *app)
{
    struct play *play = app;
    struct str target = exchange_request(exchange)->target;
    play->begun++;
    if (str_starts(target, S("/stream/"))) {
        play->outcome = stream(cx, exchange, play, str_z(cx->arena, str_cut(target, 8, 20)));
    } else if (str_is(target, "/wait")) {
        play->outcome = wait_for_go(cx, play);
        if (!failed(play->outcome)) echo(cx, exchange);
    } else if (str_is(target, "/drop")) {
        exchange_drop_body(exchange);
        play->outcome = wait_for_go(cx, play);
        if (!failed(play->outcome)) echo(cx, exchange);
    } else if (str_is(target, "/none")) {
        exchange_reply(exchange, 204, "", S(""));
    } else if (str_is(target, "/large")) {
        char *text = calloc(1, 8 << 20);
        exchange_reply(exchange, 200, "Content-Type: text/plain\r\n", str_n(text, 8 << 20));
        free(text);
    } else if (str_is(target, "/last")) {
        exchange_close_after(exchange);
        echo(cx, exchange);
    } else if (str_is(target, "/peer")) {
        struct str peer = exchange_peer(exchange, cx->arena);
        snprintf(play->peer_text, sizeof play->peer_text, "%.*s", STR_ARGS(peer));
        exchange_reply(exchange, 202, "", S("null"));
    } else if (str_is(target, "/child-fails")) {
        play->outcome = scope_spawn(cx, fails, NULL);
    } else if (!str_is(target, "/silent")) {
        echo(cx, exchange);
    }
    play->ended++;
}

/* ---- the play --------------------------------------------------------------------- */

struct play play_new(fiber_fn *script)
{
    return (struct play){
        .script = script,
        .settings = {.host = S("127.0.0.1"), .connections_max = 1000, .requests_max = 500,
                     .target_bytes_max = 8192, .head_bytes_max = 32768, .body_bytes_max = 100000, .bodies_bytes_max = 1 << 20,
                     .head_ms = 10000, .body_ms = 30000, .idle_ms = 75000, .send_ms = 20000, .stream_buffer_bytes = 65536}};
}

static struct err run(struct ctx *cx, void *arg)
{
    struct play *play = arg;
    TRY(server_open(cx, &play->settings, handle, play, &play->server));
    struct err e = play->script(cx, play);
    if (!play->is_stopped) server_stop(cx, play->server, 0);
    server_close(play->server);
    for (int i = 0; i < play->peers_count; i++)
        if (play->peers[i] >= 0) close(play->peers[i]);
    return e;
}

struct err play_run(struct play *play)
{
    clock_test_freeze(1700000000000000);
    struct err e = loop_run(run, play);
    clock_test_thaw();
    return e;
}

/* ---- clients --------------------------------------------------------------------------- */

int peer_open(struct play *play)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)server_port(play->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || play->peers_count == PEERS_MAX || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) abort();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    play->peers[play->peers_count++] = fd;
    return fd;
}

void peer_close(struct play *play, int fd)
{
    for (int i = 0; i < play->peers_count; i++)
        if (play->peers[i] == fd) play->peers[i] = -1;
    close(fd);
}

void peer_reset(struct play *play, int fd)
{
    struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    peer_close(play, fd);
}

struct err turns(struct ctx *cx)
{
    for (int i = 0; i < 40; i++) TRY(wait_turn(cx)); /* more than the loop runs before it polls */
    return OK;
}

enum { LOOKS_MAX = 400, QUICK_LOOKS = 100 };

/* The kernel may be behind when the machine is busy: give it a moment, but only then. */
static struct err look_again(struct ctx *cx, int fd, short events, int looks)
{
    struct pollfd one = {.fd = fd, .events = events};
    if (looks >= QUICK_LOOKS) poll(&one, 1, 10);
    return turns(cx);
}

struct err peer_says(struct ctx *cx, int fd, struct str bytes)
{
    for (int looks = 0; bytes.count > 0 && looks < LOOKS_MAX; looks++) {
        ssize_t n = send(fd, bytes.at, bytes.count, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) return err(ERR_CLOSED, "the server does not listen any more");
        if (n > 0) {
            bytes = str_n(bytes.at + n, bytes.count - (size_t)n);
            looks = 0;
        }
        TRY(look_again(cx, fd, POLLOUT, looks));
    }
    return bytes.count ? err(ERR_TIMEOUT, "the server does not take what a client says") : OK;
}

struct err comes_to_rest(struct ctx *cx, struct play *play)
{
    size_t before;
    do {
        before = play->sent_bytes;
        for (int i = 0; i < 5; i++) TRY(turns(cx));
    } while (play->sent_bytes != before);
    return OK;
}

bool str_ends(struct str text, const char *end)
{
    size_t count = strlen(end);
    return text.count >= count && memcmp(text.at + text.count - count, end, count) == 0;
}

bool str_has(struct str text, const char *part) { return text.count && memmem(text.at, text.count, part, strlen(part)); }

/* How many of the bytes that wait may be read: up to the first `until`, which may have begun in what came before. */
static size_t up_to(const char *until, const struct buf *got, const char *bytes, size_t count)
{
    size_t length = strlen(until), old = got->count < length - 1 ? got->count : length - 1;
    struct buf both = {0};
    buf_add(&both, got->at + got->count - old, old);
    buf_add(&both, bytes, count);
    const char *found = memmem(both.at, both.count, until, length);
    size_t take = found ? (size_t)(found - both.at) + length - old : count;
    buf_free(&both);
    return take;
}

/* Until the text ends with `until`, until there are `count` bytes, or (neither) to the end. */
static struct err hears(struct ctx *cx, int fd, const char *until, size_t count, struct buf *got)
{
    static char bytes[65536];
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
        if (until && str_ends(buf_str(got), until)) return OK;
        if (count && got->count >= count) return OK;
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK);
        if (n == 0) return until || count ? err(ERR_CLOSED, "the server hung up") : OK;
        if (n < 0 && errno != EAGAIN) return err(ERR_CLOSED, "the server reset the connection");
        if (n > 0) {
            size_t take = until ? up_to(until, got, bytes, (size_t)n) : (size_t)n;
            if (count && take > count - got->count) take = count - got->count;
            n = recv(fd, bytes, take, 0);
            buf_add(got, bytes, (size_t)n);
            looks = -1;
            continue;
        }
        TRY(look_again(cx, fd, POLLIN, looks));
    }
    return err(ERR_TIMEOUT, "a client waits in vain");
}

struct err peer_hears(struct ctx *cx, int fd, const char *until, struct str *out)
{
    struct buf got = {0};
    struct err e = hears(cx, fd, until, 0, &got);
    *out = str_copy(cx->arena, buf_str(&got));
    buf_free(&got);
    return e;
}

struct err peer_gets(struct ctx *cx, int fd, struct str *out)
{
    struct buf got = {0};
    struct err e = hears(cx, fd, "\r\n\r\n", 0, &got);
    buf_add(&got, "", 1);
    const char *length = failed(e) ? NULL : strstr(got.at, "Content-Length: ");
    if (got.count) got.count--;
    if (length) e = hears(cx, fd, NULL, got.count + (size_t)atol(length + 16), &got);
    *out = str_copy(cx->arena, buf_str(&got));
    buf_free(&got);
    return e;
}

struct err peer_hears_nothing(struct ctx *cx, int fd)
{
    char byte;
    TRY(turns(cx));
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK);
    return n < 0 && errno == EAGAIN ? OK : err(ERR_INVALID, n == 0 ? "the server hung up" : "the server said something");
}
