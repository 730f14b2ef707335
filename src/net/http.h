/* net/http.h: HTTP/1.1 as bytes: a request out of them, the head of a reply into them.
 *
 * Strict, because a proxy in front may read the same bytes otherwise: what two readers
 * could understand differently (smuggling) is refused with 400 and never repaired: bare
 * CR or LF, obs-fold, space before a colon, NUL, two lengths, any Transfer-Encoding but one
 * `chunked`, a second Host. Only HTTP/1.0 and 1.1. Trailers and chunk extensions are
 * bounded and ignored, an Upgrade is ignored.
 *
 * Threads   Pure: no I/O, no clock, nothing shared.
 * Memory    A `struct http` owns the request that it reads; it grows as bytes come, never by
 *           what Content-Length promises. The request is good until http_reset or http_free. */
#pragma once
#include "base/str.h"

struct request_header {
    struct str name, value; /* the name in lower case, the value without white space around it */
};
struct request {
    struct str method, target;
    const struct request_header *headers;
    int headers_count;
    struct str body;
    bool has_body;          /* Content-Length > 0 or chunked */
};
/* The value of a header by its lower-case name; at = null when absent. Repeated: the last (the names of
 * credentials must not repeat: see request_header_count). */
struct str request_header(const struct request *, const char *name);
int request_header_count(const struct request *, const char *name);

struct http_limits {
    int64_t target_bytes_max, head_bytes_max, body_bytes_max;
};
enum http_state {
    HTTP_IN_HEAD, /* more bytes of the head are to come */
    HTTP_IN_BODY,
    HTTP_WHOLE,
    HTTP_REFUSED, /* see http_refusal; takes no more bytes */
};
struct http;

/* Null: no memory. The limits are borrowed for life. */
struct http *http_new(const struct http_limits *) MUST_CHECK;
void http_free(struct http *);
/* Ready for the next request. Large memory goes back, small is kept. */
void http_reset(struct http *);

/* Take bytes until the request is whole or refused. `*used` tells how many were taken: what is
 * left belongs to the next request. Not to be called after HTTP_WHOLE or HTTP_REFUSED. */
enum http_state http_feed(struct http *, struct str bytes, size_t *used);
/* The status to refuse with: 400, 413, 414, 431, or 503 when there was no memory. */
int http_refusal(const struct http *);
/* The request, when it is whole. */
const struct request *http_request(const struct http *);

/* From the end of the head on. */
bool http_expects_continue(const struct http *); /* "100 Continue" is waited for: no byte of the body is here */
bool http_is_1_0(const struct http *);
bool http_keeps_alive(const struct http *);      /* by the version and the Connection header */
size_t http_body_bytes(const struct http *);     /* memory that the body takes by now */
bool http_is_in_body(const struct http *);       /* the head is here */
/* The body of a whole request was read: its memory goes back, and it is empty. */
void http_drop_body(struct http *);

/* ---- replies ------------------------------------------------------------------ */
enum { HTTP_JSON = 1, HTTP_CHUNKED = 2, HTTP_CLOSE = 4, HTTP_KEEP_ALIVE = 8 }; /* the last: said to HTTP/1.0 alone */
struct http_head {
    int status;
    unsigned flags;
    int64_t body_bytes;  /* Content-Length; below 0: none is said */
    struct str date;     /* as from http_date, or empty */
    const char *headers; /* whole lines, each ended by CRLF */
};
void http_put_head(struct buf *, const struct http_head *);
/* One chunk of a chunked body. An empty one would end it and is not written. */
void http_put_chunk(struct buf *, struct str bytes);
void http_put_last_chunk(struct buf *);

enum { HTTP_DATE_BYTES = 29 };
/* "Sun, 06 Nov 1994 08:49:37 GMT", without a zero byte. */
void http_date(char out[HTTP_DATE_BYTES], int64_t now_us);
