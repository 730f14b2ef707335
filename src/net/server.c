/* The listening socket, the limits of time, and the end. Connections are in conn.c, what
 * handlers see in exchange.c. */
#include "net/server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "net/conn.h"

enum {
    ACCEPTS_PER_TURN = 64,
    ACCEPT_PAUSE_MS = 100,
    SPARED_MS = 1000,
    LINGER_MS = 5000,
};

struct str server_date(struct server *server)
{
    int64_t now_us = clock_now_us();
    if (now_us / 1000000 != server->date_second) {
        server->date_second = now_us / 1000000;
        http_date(server->date, now_us);
    }
    return str_n(server->date, sizeof server->date);
}

/* ---- limits of time ----------------------------------------------------------------- */

int64_t server_phase_ms(const struct server *server, enum phase phase)
{
    switch (phase) {
    case PHASE_IDLE: return server->settings.idle_ms;
    case PHASE_HEAD: return server->settings.head_ms;
    case PHASE_BODY: return server->settings.body_ms;
    case PHASE_SEND: return server->settings.send_ms;
    case PHASE_LINGER: return LINGER_MS;
    default: return 0;
    }
}

static void expire(void *arg)
{
    struct server *server = arg;
    int64_t now_ms = clock_mono_ms(), next_ms = 0;
    for (enum phase phase = 0; phase < PHASE_COUNT; phase++) {
        int64_t limit_ms = server_phase_ms(server, phase);
        struct conn *conn;
        if (limit_ms <= 0) continue;
        while ((conn = server->lists[phase].oldest) && conn->since_ms + limit_ms <= now_ms) {
            if (phase == PHASE_HEAD || phase == PHASE_BODY) {
                conn_refuse(conn, 408, "", S("{\"detail\":\"Request timeout\"}"));
                conn_settle(conn);
            } else {
                conn_close(conn);
            }
        }
        if (conn && (!next_ms || conn->since_ms + limit_ms < next_ms)) next_ms = conn->since_ms + limit_ms;
    }
    if (next_ms) server_expire_by(server, next_ms);
}

void server_expire_by(struct server *server, int64_t due_ms)
{
    struct timer *timer = &server->expiry;
    if (timer->heap_at && timer->due_ms <= due_ms) return;
    timer_set(server->loop, timer, due_ms, expire, server);
}

/* ---- what was said in this turn ---------------------------------------------------------- */

void server_flush(void *arg)
{
    struct server *server = arg;
    while (server->dirty) {
        struct conn *conn = server->dirty;
        server->dirty = conn->next_dirty;
        conn->is_dirty = false;
        if (conn->fd >= 0) {
            conn_flush(conn);
        } else {
            conn->next_dirty = server->dead;
            server->dead = conn;
        }
    }
    while (server->dead) {
        struct conn *conn = server->dead;
        server->dead = conn->next_dirty;
        free(conn);
    }
}

/* ---- accepting ------------------------------------------------------------------------------ */

static bool close_lingering(struct server *server)
{
    struct conn *oldest = server->lists[PHASE_LINGER].oldest;
    if (oldest) conn_close(oldest);
    return oldest != NULL;
}

/* One that came or was answered just now is spared: its request may be on its way. */
static bool close_idle(struct server *server, int64_t age_ms)
{
    struct conn *oldest = server->lists[PHASE_IDLE].oldest;
    if (!oldest || clock_mono_ms() - oldest->since_ms < age_ms) return false;
    conn_close(oldest);
    return true;
}

static void accept_again(void *arg)
{
    struct server *server = arg;
    if (server->watch) watch_want(server->watch, WATCH_READ);
}

static void welcome(struct server *server, int fd)
{
    bool is_full = server->counts.connections_open - server->lingering_count >= server->settings.connections_max;
    bool is_over = is_full && !close_idle(server, SPARED_MS);
    struct conn *conn = conn_new(server, fd);
    if (!conn || !is_over) return;
    conn_refuse(conn, 503, retry_later, S("{\"detail\":\"Too many connections\"}"));
    conn_settle(conn);
}

static void accept_some(void *arg, int events)
{
    struct server *server = arg;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(server, fd);
            continue;
        }
        if (errno == EAGAIN) return;
        bool is_short = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (!is_short || close_lingering(server) || close_idle(server, SPARED_MS)) continue;
        /* Out of descriptors: the others are still served, and the backlog waits. */
        watch_want(server->watch, 0);
        timer_set(server->loop, &server->accept_again, clock_mono_ms() + ACCEPT_PAUSE_MS, accept_again, server);
        return;
    }
}

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static bool parse_address(struct str host, int port, union address *out)
{
    char text[INET6_ADDRSTRLEN];
    if (host.count >= sizeof text || port < 0 || port > 65535) return false;
    memcpy(text, host.at, host.count);
    text[host.count] = 0;
    *out = (union address){.six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)}};
    if (inet_pton(AF_INET6, text, &out->six.sin6_addr) == 1) return true;
    *out = (union address){.four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}};
    return inet_pton(AF_INET, text, &out->four.sin_addr) == 1;
}

static struct err listen_error(struct ctx *cx, const struct server_settings *settings, int error)
{
    if (error == EADDRINUSE)
        return errf(cx->arena, ERR_CONFLICT, "port %d of %.*s is in use", settings->port, STR_ARGS(settings->host));
    if (error == EACCES)
        return errf(cx->arena, ERR_DENIED, "port %d of %.*s is not ours to listen on", settings->port, STR_ARGS(settings->host));
    if (error == EADDRNOTAVAIL)
        return errf(cx->arena, ERR_INVALID, "%.*s is no address of this machine", STR_ARGS(settings->host));
    return errf(cx->arena, ERR_IO, "cannot listen on %.*s: %s", STR_ARGS(settings->host), strerror(error));
}

/* Accepted sockets inherit TCP_NODELAY. */
static struct err listen_on(struct ctx *cx, struct server *server)
{
    union address address;
    int on = 1;
    const struct server_settings *settings = &server->settings;
    if (!parse_address(settings->host, settings->port, &address))
        return errf(cx->arena, ERR_INVALID, "\"%.*s\" port %d is no numeric address to listen on", STR_ARGS(settings->host), settings->port);
    socklen_t size = address.any.sa_family == AF_INET6 ? sizeof address.six : sizeof address.four;

    server->listener = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->listener < 0) return listen_error(cx, settings, errno);
    if (setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(server->listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(server->listener, &address.any, size) != 0 || listen(server->listener, SOMAXCONN) != 0 ||
        getsockname(server->listener, &address.any, &size) != 0)
        return listen_error(cx, settings, errno);
    server->port = ntohs(address.any.sa_family == AF_INET6 ? address.six.sin6_port : address.four.sin_port);
    return OK;
}

static void stop_listening(struct server *server)
{
    timer_stop(&server->accept_again);
    if (server->watch) watch_close(server->watch);
    server->watch = NULL;
    if (server->listener >= 0) close(server->listener);
    server->listener = -1;
}

struct err server_open(struct ctx *cx, const struct server_settings *settings, server_handler *handler, void *app, struct server **out)
{
    struct server *server = calloc(1, sizeof *server);
    char *bytes = malloc(READ_BYTES);
    struct err e = server && bytes ? OK : err(ERR_MEMORY, "no memory for a server");
    if (!failed(e)) {
        *server = (struct server){
            .settings = *settings, .handler = handler, .app = app, .loop = cx->loop, .listener = -1, .bytes = bytes,
            .limits = {settings->target_bytes_max, settings->head_bytes_max, settings->body_bytes_max}};
        e = listen_on(cx, server);
    }
    if (!failed(e) && !(server->watch = watch_open(cx->loop, server->listener, accept_some, server)))
        e = err(ERR_MEMORY, "no memory for a server");
    if (failed(e)) {
        if (server) stop_listening(server);
        free(server);
        free(bytes);
        return e;
    }
    server->settings.host = S(""); /* was borrowed */
    server->cx = scope_open(&server->scope, cx);
    server->cx.deadline_ms = 0;
    watch_want(server->watch, WATCH_READ);
    *out = server;
    return OK;
}

int server_port(const struct server *server) { return server->port; }
struct server_counts server_counts(const struct server *server) { return server->counts; }

/* ---- the end ------------------------------------------------------------------------------------ */

static bool is_busy(const struct server *server)
{
    return server->lists[PHASE_LIVE].oldest || server->lists[PHASE_SEND].oldest || server->dirty;
}

void server_stop(struct ctx *cx, struct server *server, int64_t grace_ms)
{
    int64_t until_ms = clock_mono_ms() + grace_ms;
    struct conn *conn;

    server->is_stopping = true;
    stop_listening(server);
    server_flush(server); /* what is idle now has nothing left to say */
    while (close_idle(server, 0)) continue;
    for (enum phase phase = PHASE_HEAD; phase <= PHASE_BODY; phase++) {
        while ((conn = server->lists[phase].oldest)) {
            conn_refuse(conn, 503, retry_later, S("{\"detail\":\"The server is stopping\"}"));
            conn_settle(conn);
        }
    }
    while (is_busy(server)) {
        int64_t left_ms = until_ms - clock_mono_ms();
        if (left_ms <= 0 || failed(gate_wait_ms(cx, &server->changed, left_ms, "requests to end"))) break;
    }

    /* Time is up, or nothing is left: handlers unwind, and streams get a clean end. */
    scope_cancel(&server->scope);
    struct ctx inner = server->cx;
    inner.fiber = cx->fiber;
    struct err ignored = scope_close(&inner); /* our fibers never fail */
    (void)ignored;
    server_flush(server);
    for (enum phase phase = 0; phase < PHASE_COUNT; phase++)
        while ((conn = server->lists[phase].oldest)) conn_close(conn);
    server_flush(server);
    loop_undefer(&server->deferred);
    timer_stop(&server->expiry);
}

void server_close(struct server *server)
{
    if (!server) return;
    while (server->spare) {
        struct exchange *exchange = server->spare;
        server->spare = exchange->next_spare;
        http_free(exchange->http);
        free(exchange);
    }
    while (server->spare_out_count > 0) buf_free(&server->spare_out[--server->spare_out_count]);
    free(server->bytes);
    free(server);
}
