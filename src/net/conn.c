/* Nothing is freed or begun inside of a read but by these rules: conn_close only marks and
 * unlinks, and a request's fiber first runs when the loop goes on. So every function below
 * may go on with its `conn` and look at fd. */
#include "net/conn.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"

enum {
    OUT_KEPT_BYTES = 16384,
    DISCARD_BYTES_MAX = 256 << 20, /* beside the time of PHASE_LINGER */
};

/* ---- lists ------------------------------------------------------------------------ */

static void leave_list(struct conn *conn)
{
    struct conn_list *list = &conn->server->lists[conn->phase];
    *(conn->older ? &conn->older->newer : &list->oldest) = conn->newer;
    *(conn->newer ? &conn->newer->older : &list->newest) = conn->older;
}

static void enter_list(struct conn *conn, enum phase phase)
{
    struct server *server = conn->server;
    struct conn_list *list = &server->lists[phase];
    int64_t limit_ms = server_phase_ms(server, phase);

    conn->phase = (unsigned char)phase;
    conn->older = list->newest;
    conn->newer = NULL;
    *(conn->older ? &conn->older->newer : &list->oldest) = conn;
    list->newest = conn;
    if (limit_ms > 0) {
        conn->since_ms = clock_mono_ms();
        server_expire_by(server, conn->since_ms + limit_ms);
    }
    if (server->is_stopping) gate_open(&server->changed);
}

static enum phase phase_of(const struct conn *conn)
{
    if (conn->is_blocked) return PHASE_SEND;
    if (conn->is_lingering) return PHASE_LINGER;
    if (!conn->exchange) return PHASE_IDLE;
    if (conn->exchange->is_live) return PHASE_LIVE;
    return conn->exchange->http && http_is_in_body(conn->exchange->http) ? PHASE_BODY : PHASE_HEAD;
}

static bool is_live(const struct conn *conn) { return conn->exchange && conn->exchange->is_live; }

/* Of the peer that does not read, no further request is begun. */
static bool may_begin(const struct conn *conn)
{
    return !is_live(conn) && !conn->is_closing && (int64_t)conn_unsent(conn) <= conn->server->settings.stream_buffer_bytes;
}

/* How much may still be read behind a request that is being answered. */
static size_t room_behind(const struct conn *conn)
{
    size_t waiting = conn->in.count - conn->in_used, most = (size_t)conn->server->settings.head_bytes_max;
    return waiting < most ? most - waiting : 0;
}

static bool wants_bytes(const struct conn *conn)
{
    if (conn->is_peer_done) return false;
    if (conn->is_lingering) return true;
    return !conn->is_closing && (may_begin(conn) || room_behind(conn) > 0);
}

void conn_settle(struct conn *conn)
{
    if (conn->fd < 0) return;
    enum phase phase = phase_of(conn);
    if (phase != conn->phase) {
        leave_list(conn);
        enter_list(conn, phase);
    }
    watch_want(conn->watch, (wants_bytes(conn) ? WATCH_READ : 0) | (conn->is_blocked ? WATCH_WRITE : 0));
}

/* ---- bytes out ---------------------------------------------------------------------- */

struct buf *conn_out(struct conn *conn)
{
    struct server *server = conn->server;
    if (!conn->out.at && !conn->out.is_failed && server->spare_out_count > 0)
        conn->out = server->spare_out[--server->spare_out_count];
    return &conn->out;
}

static void drop_out(struct conn *conn)
{
    struct server *server = conn->server;
    int spares_max = (int)(sizeof server->spare_out / sizeof server->spare_out[0]);
    if (conn->out.capacity && conn->out.capacity <= OUT_KEPT_BYTES && server->spare_out_count < spares_max) {
        conn->out.count = 0;
        conn->out.is_failed = false;
        server->spare_out[server->spare_out_count++] = conn->out;
        conn->out = (struct buf){0};
    }
    buf_free(&conn->out);
    conn->out_sent = 0;
}

void conn_said(struct conn *conn)
{
    struct server *server = conn->server;
    if (conn->is_dirty || conn->fd < 0) return;
    conn->is_dirty = true;
    conn->next_dirty = server->dirty;
    server->dirty = conn;
    loop_defer(server->loop, &server->deferred, server_flush, server);
}

/* False: the connection is broken. */
static bool send_out(struct conn *conn)
{
    while (conn_unsent(conn) > 0) {
        size_t unsent = conn_unsent(conn);
        ssize_t n = send(conn->fd, conn->out.at + conn->out_sent, unsent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) return false;
        conn->is_blocked = n < (ssize_t)unsent;
        if (n > 0) {
            conn->out_sent += (size_t)n;
            conn->server->counts.bytes_out += n;
        }
        if (conn->is_blocked && conn->phase == PHASE_SEND && n > 0) {
            leave_list(conn); /* the peer took something: its time begins anew */
            enter_list(conn, PHASE_SEND);
        }
        if (conn->is_blocked) break;
    }
    if (conn->out_sent > conn_unsent(conn) && conn->is_blocked) {
        buf_drop_front(&conn->out, conn->out_sent);
        conn->out_sent = 0;
    }
    return true;
}

/* All is said and sent. A close with unread bytes would be a reset, which can overtake our last words. */
static void end_output(struct conn *conn)
{
    if (conn->is_lingering) return;
    if (conn->is_peer_done || !(conn->will_linger || conn->in.count > conn->in_used)) {
        conn_close(conn);
        return;
    }
    struct server *server = conn->server;
    if (server->lingering_count == LINGERING_MAX) conn_close(server->lists[PHASE_LINGER].oldest);
    server->lingering_count++;
    buf_free(&conn->in);
    conn->in_used = 0;
    conn->is_lingering = true;
    shutdown(conn->fd, SHUT_WR);
    conn_settle(conn);
}

void conn_flush(struct conn *conn)
{
    if (conn->fd < 0) return;
    if (conn->out.is_failed || !send_out(conn)) {
        conn_close(conn);
        return;
    }
    if (is_live(conn) && (int64_t)conn_unsent(conn) <= conn->server->settings.stream_buffer_bytes)
        gate_open(&conn->exchange->drained);
    if (conn_unsent(conn) == 0) {
        conn->is_blocked = false;
        drop_out(conn);
        if (conn->is_closing) {
            end_output(conn);
            return;
        }
    }
    if (!is_live(conn) && conn->in.count > conn->in_used) conn_next(conn);
    else conn_settle(conn);
}

/* ---- bytes in ------------------------------------------------------------------------ */

void conn_refuse(struct conn *conn, int status, const char *headers, struct str body)
{
    if (conn->exchange) exchange_recycle(conn->exchange);
    conn->exchange = NULL;
    conn->is_closing = conn->will_linger = true;
    struct http_head head = {.status = status, .flags = HTTP_JSON | HTTP_CLOSE, .body_bytes = (int64_t)body.count,
                             .date = server_date(conn->server), .headers = headers};
    http_put_head(conn_out(conn), &head);
    buf_add_str(&conn->out, body);
    conn_said(conn);
}

static void refuse_malformed(struct conn *conn, int status)
{
    char text[80];
    switch (status) {
    case 413:
        snprintf(text, sizeof text, "{\"detail\":\"Request body exceeds %lld bytes\"}",
                 (long long)conn->server->limits.body_bytes_max);
        conn_refuse(conn, 413, "", str(text));
        return;
    case 414: conn_refuse(conn, 414, "", S("{\"detail\":\"URI too long\"}")); return;
    case 431: conn_refuse(conn, 431, "", S("{\"detail\":\"Request header fields too large\"}")); return;
    case 503: conn_refuse(conn, 503, retry_later, S("{\"detail\":\"Too little memory for this request\"}")); return;
    default: conn_refuse(conn, 400, "", S("{\"detail\":\"Bad Request\"}")); return;
    }
}

/* The request is whole: a fiber for it. */
static void begin(struct conn *conn)
{
    struct server *server = conn->server;
    struct exchange *exchange = conn->exchange;
    if (server->counts.requests_live >= server->settings.requests_max) {
        conn_refuse(conn, 503, retry_later, S("{\"detail\":\"Too many requests are being answered\"}"));
        return;
    }
    exchange->is_live = true;
    if (failed(scope_spawn(&server->cx, exchange_run, exchange))) {
        conn_refuse(conn, 503, retry_later, S("{\"detail\":\"Too many requests are being answered\"}"));
        return;
    }
    server->counts.requests_live++;
    server->counts.requests_total++;
}

/* Once: only the read that brought the end of the head brought no byte of the body. */
static void say_continue(struct conn *conn)
{
    if (!http_expects_continue(conn->exchange->http)) return;
    buf_add_str(conn_out(conn), S("HTTP/1.1 100 Continue\r\n\r\n"));
    conn_said(conn);
}

/* Returns how many bytes were taken: not those behind a request that is now being answered. */
static size_t take(struct conn *conn, struct str bytes)
{
    struct server *server = conn->server;
    size_t at = 0;
    while (at < bytes.count && may_begin(conn)) {
        size_t used;
        if (!conn->exchange && !(conn->exchange = exchange_new(server))) {
            refuse_malformed(conn, 503);
            break;
        }
        conn->exchange->conn = conn;
        enum http_state state = http_feed(conn->exchange->http, str_n(bytes.at + at, bytes.count - at), &used);
        at += used;
        exchange_count_body(conn->exchange);
        if (state == HTTP_REFUSED) refuse_malformed(conn, http_refusal(conn->exchange->http));
        else if (server->bodies_bytes > server->settings.bodies_bytes_max) refuse_malformed(conn, 503);
        else if (state == HTTP_WHOLE) begin(conn);
        else say_continue(conn);
    }
    return at;
}

void conn_next(struct conn *conn)
{
    if (conn->fd < 0) return;
    conn->in_used += take(conn, str_n(conn->in.at + conn->in_used, conn->in.count - conn->in_used));
    if (conn->in_used == conn->in.count) {
        buf_free(&conn->in);
        conn->in_used = 0;
    }
    /* Nothing more can come: what is half here will never be whole. */
    if (conn->is_peer_done && !is_live(conn) && conn->in.count == 0 && !conn->is_closing) {
        conn->is_closing = true;
        conn_said(conn);
    }
    conn_settle(conn);
}

static void read_some(struct conn *conn, struct str bytes)
{
    size_t used = 0;
    if (conn->is_lingering) {
        conn->discarded_bytes += (int64_t)bytes.count;
        if (conn->discarded_bytes > DISCARD_BYTES_MAX) conn_close(conn);
        return;
    }
    if (conn->in.count == 0) used = take(conn, bytes);
    if (conn->is_closing) {
        conn_settle(conn);
        return;
    }
    if (used < bytes.count) {
        if (conn->in_used > 0) buf_drop_front(&conn->in, conn->in_used);
        conn->in_used = 0;
        buf_add(&conn->in, bytes.at + used, bytes.count - used);
        if (conn->in.is_failed) {
            conn_close(conn);
            return;
        }
        if (!is_live(conn)) {
            conn_next(conn);
            return;
        }
    }
    conn_settle(conn);
}

/* FIN: the peer says no more, but may still listen (server.h tells what we make of it). */
static void end_of_input(struct conn *conn)
{
    conn->is_peer_done = true;
    if (conn->is_lingering || (is_live(conn) && conn->exchange->is_stream)) {
        conn_close(conn);
        return;
    }
    if (!is_live(conn) && conn->in.count == conn->in_used) {
        conn->is_closing = true;
        conn_said(conn);
    }
    conn_settle(conn);
}

static void ready(void *arg, int events)
{
    struct conn *conn = arg;
    struct server *server = conn->server;
    if (events & WATCH_WRITE && conn->is_blocked) conn_flush(conn);
    if (!(events & WATCH_READ) || conn->fd < 0) return;

    size_t room = conn->is_lingering || may_begin(conn) ? READ_BYTES : room_behind(conn);
    if (room > READ_BYTES) room = READ_BYTES;
    /* With no room an error is still to be seen, and only that. */
    ssize_t n = recv(conn->fd, server->bytes, room ? room : 1, room ? 0 : MSG_PEEK);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) conn_close(conn);
        return;
    }
    if (n > 0 && room == 0) return;
    server->counts.bytes_in += n;
    if (n == 0) end_of_input(conn);
    else read_some(conn, str_n(server->bytes, (size_t)n));
}

/* ---- life ---------------------------------------------------------------------------- */

struct conn *conn_new(struct server *server, int fd)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn) {
        conn->server = server;
        conn->fd = fd;
        conn->watch = watch_open(server->loop, fd, ready, conn);
    }
    if (!conn || !conn->watch) {
        free(conn);
        close(fd);
        return NULL;
    }
    server->counts.connections_open++;
    enter_list(conn, PHASE_IDLE);
    watch_want(conn->watch, WATCH_READ);
    return conn;
}

void conn_close(struct conn *conn)
{
    struct server *server = conn->server;
    struct exchange *exchange = conn->exchange;
    if (conn->fd < 0) return;
    leave_list(conn);
    watch_close(conn->watch);
    close(conn->fd);
    conn->fd = -1;
    server->counts.connections_open--;
    if (conn->is_lingering) server->lingering_count--;
    buf_free(&conn->in);
    drop_out(conn);

    conn->exchange = NULL;
    if (exchange && exchange->is_live) {
        exchange->conn = NULL;
        if (exchange->scope) scope_cancel(exchange->scope);
        gate_open(&exchange->drained);
    } else if (exchange) {
        exchange_recycle(exchange);
    }
    /* Freed by server_flush: it may stand in the list of the dirty, and others hold it on their stack. */
    if (!conn->is_dirty) {
        conn->next_dirty = server->dead;
        server->dead = conn;
        loop_defer(server->loop, &server->deferred, server_flush, server);
    }
    if (server->is_stopping) gate_open(&server->changed);
}
