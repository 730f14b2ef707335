/* dev/floor/main.c: the least that a server of this kind can cost on this machine.
 *
 * Small servers in one program, each the floor of one figure of `make bench`:
 * without more, every request gets the same bytes; with --exchange, one request
 * goes upstream and its answer is read to the end before (two bare HTTP
 * exchanges); with --relay, the words of the upstream's stream are passed on as
 * events, by a state machine written by hand (relay.c).
 *
 * Nothing is checked and nothing is logged: what a real server does beyond this
 * is what the bench measures. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "relay.h"

enum mode { FIXED, HOLD, EXCHANGE, RELAY };

struct conn {
    int fd;
    bool is_upstream, busy;     /* busy: a request of this connection is being answered */
    struct conn *other;         /* client and upstream of one exchange */
    struct bytes in, out;
    struct relay *relay;        /* of an upstream, else null */
    uint32_t events;
};

static enum mode mode;
static int epoll;
static struct bytes answer, upstream_request;
static struct sockaddr_in upstream;
static struct conn *idle[65536];    /* upstream connections that wait for work */
static int idle_count;
static struct conn *dead[4096];     /* freed when this round of events is over */
static int dead_count;

static const char usage[] =
"floor: the bare server that others are measured against\n"
"  floor [--port N] [--status N] [--header LINE]... [--body TEXT | --body-bytes N]\n"
"        [--exchange PORT | --relay PORT | --hold] [--upstream-body JSON] [--die-with-parent]\n"
"--hold begins a stream with one event and never ends it.\n"
"It prints \"floor listening on http://127.0.0.1:PORT\". PORT of --exchange and --relay\n"
"is a model's port on 127.0.0.1; --upstream-body is posted to /v1/chat/completions.\n";

void bytes_add(struct bytes *bytes, const void *data, size_t len)
{
    if (bytes->len + len > bytes->room) {
        size_t room = bytes->room ? bytes->room : 256;
        while (room < bytes->len + len) room *= 2;
        bytes->data = realloc(bytes->data, room);
        if (!bytes->data) abort();
        bytes->room = room;
    }
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

static void bytes_eat(struct bytes *bytes, size_t len)
{
    memmove(bytes->data, bytes->data + len, bytes->len - len);
    bytes->len -= len;
}

static void watch(struct conn *conn, uint32_t events)
{
    if (events == conn->events) return;
    struct epoll_event event = {.events = events, .data.ptr = conn};
    epoll_ctl(epoll, conn->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, conn->fd, &event);
    conn->events = events;
}

static struct conn *conn_new(int fd, bool is_upstream)
{
    struct conn *conn = calloc(1, sizeof *conn);
    int on = 1;
    if (!conn) abort();
    conn->fd = fd;
    conn->is_upstream = is_upstream;
    if (is_upstream) conn->relay = calloc(1, sizeof *conn->relay);
    if (is_upstream && !conn->relay) abort();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return conn;
}

/* Both sides of an exchange go together. */
static void conn_close(struct conn *conn)
{
    if (conn->fd < 0) return;
    close(conn->fd);
    conn->fd = -1;
    for (int i = 0; i < idle_count; i++)
        if (idle[i] == conn) idle[i--] = idle[--idle_count];
    if (dead_count < 4096) dead[dead_count++] = conn;
    if (conn->other) {
        conn->other->other = NULL;
        conn_close(conn->other);
    }
}

static void conn_send(struct conn *conn)
{
    while (conn->out.len) {
        ssize_t n = send(conn->fd, conn->out.data, conn->out.len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) {
            conn_close(conn);
            return;
        }
        bytes_eat(&conn->out, (size_t)n);
    }
    watch(conn, EPOLLIN | (conn->out.len ? EPOLLOUT : 0u));
}

/* ---- upstream ---------------------------------------------------------------- */

static bool upstream_ask(struct conn *client)
{
    struct conn *up = idle_count ? idle[--idle_count] : NULL;
    if (!up) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&upstream, sizeof upstream) != 0) {
            if (fd >= 0) close(fd);
            return false;
        }
        up = conn_new(fd, true);
    }
    relay_start(up->relay);
    up->other = client;
    client->other = up;
    bytes_add(&up->out, upstream_request.data, upstream_request.len);
    conn_send(up);
    return up->fd >= 0;
}

static void upstream_read(struct conn *up, const char *data, size_t len)
{
    static const char stream_end[] = "0\r\n\r\n";
    struct conn *client = up->other;
    bool ended = relay_feed(up->relay, data, len, mode == RELAY && client ? &client->out : NULL);

    if (ended) {
        up->other = NULL;
        if (idle_count < 65536) idle[idle_count++] = up;
        if (!client) return;
        client->other = NULL;
        client->busy = false;
        if (mode == RELAY) bytes_add(&client->out, stream_end, sizeof stream_end - 1);
        else bytes_add(&client->out, answer.data, answer.len);
    }
    if (client && client->out.len) conn_send(client);
}

/* ---- clients ------------------------------------------------------------------- */

/* The length of the first whole request; 0 while it is not here yet. */
static size_t request_len(const struct bytes *in)
{
    const char *end = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    if (!end) return 0;
    size_t head = (size_t)(end - in->data) + 4, body = 0;
    for (const char *at = in->data; at < end; at++) {
        at = memchr(at, '\n', (size_t)(end - at));
        if (!at) break;
        if (end - at > 16 && strncasecmp(at + 1, "content-length:", 15) == 0) body = strtoul(at + 16, NULL, 10);
    }
    return in->len >= head + body ? head + body : 0;
}

static void client_read(struct conn *conn, const char *data, size_t len)
{
    static const char one_event[] = "8\r\ndata: 1\n\r\n";
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                               "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
    size_t whole;
    bytes_add(&conn->in, data, len);
    while (!conn->busy && (whole = request_len(&conn->in)) > 0) {
        bytes_eat(&conn->in, whole);
        if (mode == FIXED) {
            bytes_add(&conn->out, answer.data, answer.len);
            continue;
        }
        conn->busy = true;
        if (mode != EXCHANGE) bytes_add(&conn->out, head, sizeof head - 1);
        if (mode == HOLD) {
            bytes_add(&conn->out, one_event, sizeof one_event - 1);
            break;
        }
        if (!upstream_ask(conn)) {
            conn_close(conn);
            return;
        }
    }
    if (conn->fd >= 0) conn_send(conn);
}

static void conn_event(struct conn *conn, uint32_t events)
{
    static char buffer[65536];
    if (conn->fd < 0) return;
    if (events & EPOLLOUT) conn_send(conn);
    if (conn->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    ssize_t n = recv(conn->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) conn_close(conn);
    else if (conn->is_upstream) upstream_read(conn, buffer, (size_t)n);
    else client_read(conn, buffer, (size_t)n);
}

/* ---- start ----------------------------------------------------------------------- */

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0) {
        perror("floor: cannot listen");
        exit(1);
    }
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("floor listening on http://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void run(int listener)
{
    static struct epoll_event events[512];
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr) {
                conn_event(events[i].data.ptr, events[i].events);
                continue;
            }
            for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
                watch(conn_new(fd, false), EPOLLIN);
        }
        while (dead_count > 0) {
            struct conn *conn = dead[--dead_count];
            free(conn->in.data);
            free(conn->out.data);
            free(conn->relay);
            free(conn);
        }
    }
}

struct options { int port, status; const char *body, *upstream_body; size_t body_bytes; struct bytes headers; };

static bool option(struct options *options, const char *name, const char *value)
{
    if (strcmp(name, "--port") == 0) options->port = atoi(value);
    else if (strcmp(name, "--status") == 0) options->status = atoi(value);
    else if (strcmp(name, "--body") == 0) options->body = value;
    else if (strcmp(name, "--body-bytes") == 0) options->body_bytes = strtoul(value, NULL, 10);
    else if (strcmp(name, "--upstream-body") == 0) options->upstream_body = value;
    else if (strcmp(name, "--header") == 0) {
        bytes_add(&options->headers, value, strlen(value));
        bytes_add(&options->headers, "\r\n", 2);
    } else if (strcmp(name, "--exchange") == 0 || strcmp(name, "--relay") == 0) {
        mode = name[2] == 'e' ? EXCHANGE : RELAY;
        upstream = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(value)),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    } else return false;
    return true;
}

static void make_texts(const struct options *options)
{
    char line[256];
    size_t body_len = options->body ? strlen(options->body) : options->body_bytes;
    int len = snprintf(line, sizeof line, "HTTP/1.1 %d OK\r\n", options->status);
    bytes_add(&answer, line, (size_t)len);
    if (options->headers.len) bytes_add(&answer, options->headers.data, options->headers.len);
    len = snprintf(line, sizeof line, "Content-Length: %zu\r\n\r\n", body_len);
    bytes_add(&answer, line, (size_t)len);
    for (size_t i = 0; i < body_len; i++) bytes_add(&answer, options->body ? &options->body[i] : "x", 1);

    len = snprintf(line, sizeof line, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                   "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", strlen(options->upstream_body));
    bytes_add(&upstream_request, line, (size_t)len);
    bytes_add(&upstream_request, options->upstream_body, strlen(options->upstream_body));
}

int main(int argc, char **argv)
{
    struct options options = {.status = 200, .upstream_body =
        "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"[[tokens 16]]\"}]}"};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--die-with-parent") == 0) prctl(PR_SET_PDEATHSIG, SIGTERM);
        else if (strcmp(argv[i], "--hold") == 0) mode = HOLD;
        else if (i + 1 < argc && option(&options, argv[i], argv[i + 1])) i++;
        else {
            fputs(usage, stderr);
            return 2;
        }
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    make_texts(&options);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    run(listen_on(options.port));
    return 0;
}
