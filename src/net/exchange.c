/* One request and its answer: what handlers see of net/server. */
#include "net/conn.h"
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { SPARES_MAX = 128 };

/* ---- life ---------------------------------------------------------------------------- */

struct exchange *exchange_new(struct server *server)
{
    struct exchange *exchange = server->spare;
    if (exchange) {
        server->spare = exchange->next_spare;
        server->spare_count--;
    } else {
        exchange = calloc(1, sizeof *exchange);
        if (exchange && !(exchange->http = http_new(&server->limits))) {
            free(exchange);
            exchange = NULL;
        }
        if (!exchange) return NULL;
    }
    *exchange = (struct exchange){.server = server, .http = exchange->http};
    return exchange;
}

void exchange_recycle(struct exchange *exchange)
{
    struct server *server = exchange->server;
    server->bodies_bytes -= (int64_t)exchange->body_bytes;
    exchange->body_bytes = 0;
    if (server->spare_count == SPARES_MAX) {
        http_free(exchange->http);
        free(exchange);
        return;
    }
    http_reset(exchange->http);
    exchange->next_spare = server->spare;
    server->spare = exchange;
    server->spare_count++;
}

void exchange_count_body(struct exchange *exchange)
{
    size_t now = http_body_bytes(exchange->http);
    exchange->server->bodies_bytes += (int64_t)now - (int64_t)exchange->body_bytes;
    exchange->body_bytes = now;
}

/* The handler returned: whatever it left open is ended here. */
static void end(struct exchange *exchange, bool was_cancelled)
{
    struct server *server = exchange->server;
    struct conn *conn = exchange->conn;

    if (conn && !exchange->is_answered) {
        if (was_cancelled) conn_close(conn);
        else exchange_reply(exchange, 500, "", S("{\"detail\":\"Internal Server Error\"}"));
        conn = exchange->conn;
    }
    if (conn) {
        if (exchange->is_stream && !exchange->is_1_0 && !exchange->is_head && !exchange->is_broken) http_put_last_chunk(conn_out(conn));
        if (exchange->is_broken || exchange->closes_after || server->is_stopping) conn->is_closing = true;
        conn->exchange = NULL;
        conn_said(conn);
    }
    server->counts.requests_live--;
    exchange_recycle(exchange);
    if (conn) conn_next(conn);
}

struct err exchange_run(struct ctx *cx, void *arg)
{
    struct exchange *exchange = arg;
    struct scope scope;

    if (exchange->conn) { /* else the peer left before we came to it */
        struct ctx inner = scope_open(&scope, cx);
        exchange->scope = &scope;
        exchange->is_head = str_is(http_request(exchange->http)->method, "HEAD");
        exchange->is_1_0 = http_is_1_0(exchange->http);
        exchange->closes_after = !http_keeps_alive(exchange->http);
        exchange->server->handler(&inner, exchange, exchange->server->app);
        /* A fiber's failure is its handler's to report; here nobody could say more. */
        struct err ignored = scope_close(&inner);
        (void)ignored;
        exchange->scope = NULL;
    }
    end(exchange, cx->scope->is_cancelled);
    return OK;
}

/* ---- what handlers call ------------------------------------------------------------------ */

const struct request *exchange_request(const struct exchange *exchange) { return http_request(exchange->http); }
bool exchange_is_answered(const struct exchange *exchange) { return exchange->is_answered; }
void exchange_close_after(struct exchange *exchange) { exchange->closes_after = true; }

void exchange_drop_body(struct exchange *exchange)
{
    http_drop_body(exchange->http);
    exchange_count_body(exchange);
}

struct str exchange_peer(const struct exchange *exchange, struct arena *arena)
{
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } peer;
    socklen_t size = sizeof peer;
    char text[INET6_ADDRSTRLEN];
    if (!exchange->conn || getpeername(exchange->conn->fd, &peer.any, &size) != 0) return S("");
    if (peer.any.sa_family == AF_INET && inet_ntop(AF_INET, &peer.four.sin_addr, text, sizeof text))
        return strf(arena, "%s:%d", text, ntohs(peer.four.sin_port));
    if (peer.any.sa_family == AF_INET6 && inet_ntop(AF_INET6, &peer.six.sin6_addr, text, sizeof text))
        return strf(arena, "[%s]:%d", text, ntohs(peer.six.sin6_port));
    return S("");
}

static bool names_its_type(const char *headers)
{
    for (const char *at = headers; *at; at = strchr(at, '\n') + 1) {
        if (str_eq_nocase(str_cut(str(at), 0, 13), S("content-type:"))) return true;
        if (!strchr(at, '\n')) return false;
    }
    return false;
}

static unsigned connection_flags(struct exchange *exchange)
{
    if (exchange->server->is_stopping) exchange->closes_after = true;
    if (exchange->closes_after) return HTTP_CLOSE;
    return exchange->is_1_0 ? HTTP_KEEP_ALIVE : 0;
}

void exchange_reply(struct exchange *exchange, int status, const char *headers, struct str body)
{
    struct conn *conn = exchange->conn;
    bool has_no_length = status == 204 || status == 304;

    assert(!exchange->is_answered && (body.count == 0 || !has_no_length));
    exchange->is_answered = true;
    if (!conn) return;
    struct http_head head = {
        .status = status,
        .flags = connection_flags(exchange) | (body.count && !names_its_type(headers) ? HTTP_JSON : 0u),
        .body_bytes = has_no_length ? -1 : (int64_t)body.count,
        .date = server_date(exchange->server),
        .headers = headers,
    };
    http_put_head(conn_out(conn), &head);
    if (!exchange->is_head) buf_add_str(&conn->out, body);
    conn_said(conn);
}

void stream_open(struct exchange *exchange, const char *headers)
{
    struct conn *conn = exchange->conn;
    assert(!exchange->is_answered);
    exchange->is_answered = exchange->is_stream = true;
    if (exchange->is_1_0) exchange->closes_after = true;
    if (!conn) return;
    struct http_head head = {
        .status = 200,
        .flags = connection_flags(exchange) | (exchange->is_1_0 ? 0u : HTTP_CHUNKED),
        .body_bytes = -1,
        .date = server_date(exchange->server),
        .headers = headers,
    };
    http_put_head(conn_out(conn), &head);
    conn_said(conn);
    /* Of a stream's reader a FIN means that it left. */
    if (conn->is_peer_done) conn_close(conn);
}

void stream_break(struct exchange *exchange) { exchange->is_broken = true; }

static struct err gone(void) { return err(ERR_CANCELLED, "the peer went away"); }

struct err stream_send(struct ctx *cx, struct exchange *exchange, struct str bytes)
{
    assert(exchange->is_stream);
    struct conn *conn = exchange->conn;
    if (!conn) return gone();
    if (exchange->is_head || bytes.count == 0) return OK;
    if (exchange->is_1_0) buf_add_str(conn_out(conn), bytes);
    else http_put_chunk(conn_out(conn), bytes);
    if (conn->out.is_failed) {
        conn_close(conn);
        return err(ERR_MEMORY, "no memory for what the stream has to say");
    }
    conn_said(conn);
    while ((int64_t)stream_unsent(exchange) > exchange->server->settings.stream_buffer_bytes)
        TRY(gate_wait(cx, &exchange->drained, "a slow reader"));
    return exchange->conn ? OK : gone();
}

size_t stream_unsent(const struct exchange *exchange) { return exchange->conn ? conn_unsent(exchange->conn) : 0; }
