/* net/server.h: connections in. Accepts, reads requests, and runs one fiber for each live one.
 *
 * An idle connection is a struct and a watch, no fiber. When a whole request is there, `handler`
 * runs on a fiber with an arena; the connection reads nothing more until it has answered (one
 * request at a time, pipelined ones wait in the buffer). What is said is gathered and leaves in one write
 * when the fiber next waits or ends. When the peer goes away, the fiber's scope is cancelled: a reset does that, and
 * for a stream a FIN too. A peer that only ends its own sending (`nc -N`) still gets its whole answer, then a close.
 *
 * Answers of its own, before any handler, as {"detail":…} and then a close: 400 malformed HTTP (also
 * obs-fold, smuggling, bare CR, HTTP/2 preface), 408 slow head or body, 413, 414, 431, 503 with Retry-After (too many
 * requests, body bytes or no stack). More connections than connections_max: the oldest one that was idle for a second is closed, else
 * the new one gets a 503. Out of descriptors: accepting pauses and goes on.
 * Whoever was refused may still push what it has for 5 s, unread, so that it sees the answer and not a reset.
 * `Expect: 100-continue` is answered. HEAD gets the head alone. Connection: close and HTTP/1.0 are honoured.
 *
 * Memory    A request and its body belong to the exchange and live until the handler returns. Bodies grow as they
 *           come, never by what Content-Length promises; all bodies together are bounded.
 * Errors    stream_send: ERR_CANCELLED when the peer went away. */
#pragma once
#include "base/str.h"
#include "io/loop.h"
#include "io/wait.h"
#include "net/http.h"

struct server_settings {
    struct str host;
    int port;                   /* 0: any free one */
    int connections_max, requests_max;
    int64_t target_bytes_max, head_bytes_max, body_bytes_max, bodies_bytes_max;
    int64_t head_ms, body_ms, idle_ms, send_ms; /* slow head; slow body; idle; a peer that takes nothing */
    int64_t stream_buffer_bytes;
};
struct exchange; /* one request and its answer */
struct server;
typedef void server_handler(struct ctx *, struct exchange *, void *app);

/* Listen. ERR_CONFLICT: the port is in use; ERR_DENIED; ERR_INVALID: the host is no numeric address. */
struct err server_open(struct ctx *, const struct server_settings *, server_handler *, void *app, struct server **out) MUST_CHECK;
int server_port(const struct server *);
/* Accept nothing more, close idle connections, let live requests end until `grace_ms` is over, then cancel them. Waits. */
void server_stop(struct ctx *, struct server *, int64_t grace_ms);
void server_close(struct server *); /* after server_stop */

const struct request *exchange_request(const struct exchange *);
/* Answer whole. `headers` are whole lines, each ended by CRLF ("Allow: GET\r\n"), or "". Body is copied. The
 * Content-Type is application/json when there is a body and they name no other. 204 has none. At most one answer per exchange. */
void exchange_reply(struct exchange *, int status, const char *headers, struct str body);
bool exchange_is_answered(const struct exchange *);
/* Close the connection after this answer. */
void exchange_close_after(struct exchange *);
/* The handler has read the body: its memory goes back. For answers that may take long. */
void exchange_drop_body(struct exchange *);
/* "127.0.0.1:51234", "[::1]:51234", or empty when the peer went away. For logs. */
struct str exchange_peer(const struct exchange *, struct arena *);
/* A handler that returns without an answer: 500. One that was cancelled before it answered: the connection is closed. */

/* Or answer as a stream (chunked; HTTP/1.0 peers get it until close). `headers` as above, with the Content-Type. */
void stream_open(struct exchange *, const char *headers);
/* Add bytes. They leave together when the fiber next waits. Waits itself while more than stream_buffer_bytes are unsent. */
struct err stream_send(struct ctx *, struct exchange *, struct str bytes) MUST_CHECK;
/* Let the stream end without its last chunk, so that the peer sees that something is missing. Without this it ends
 * cleanly when the handler returns, also a cancelled one. */
void stream_break(struct exchange *);
/* Bytes not yet taken by the kernel. */
size_t stream_unsent(const struct exchange *);

struct server_counts {
    int64_t connections_open, requests_live, requests_total, bytes_in, bytes_out;
};
struct server_counts server_counts(const struct server *);
