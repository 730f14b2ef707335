/* net/sse.h: event streams (the WHATWG's text/event-stream), both directions. Pure.
 *
 * Bytes may come in pieces of any size; lines end with CR, LF or CRLF; a BOM, comments and
 * `retry` are passed over. Bytes that are not UTF-8 go through as they are: whoever reads the
 * data as JSON refuses them.
 *
 * Memory    A frame borrows from the parser and from the bytes of the feed: it is good until the
 *           callback returns. A parser keeps at most event_bytes_max of one event.
 * Errors    ERR_LIMIT: one event is larger than the bound. ERR_MEMORY. What the callback returned.
 *           After an error the parser is over: every further feed returns the same error. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { SSE_EVENT_BYTES_MAX = 1 << 20 };

struct sse_frame {
    struct str name; /* of `event:`; empty = "message" */
    struct str data; /* lines joined by LF */
    struct str id;   /* the last `id:` of the stream so far */
};
/* An error ends the parsing. */
typedef struct err sse_fn(void *arg, const struct sse_frame *);

struct sse_parser { /* zero is a fresh one */
    size_t event_bytes_max;       /* 0 = SSE_EVENT_BYTES_MAX */
    struct buf line;              /* a line that is not whole yet */
    struct buf name, data, id;    /* data: each line followed by LF */
    bool is_past_first_line, is_after_cr;
    struct err failure;
};
/* Every event that these bytes complete, in order. */
struct err sse_feed(struct sse_parser *, struct str bytes, sse_fn *fn, void *arg) MUST_CHECK;
/* The stream is over. The standard drops an event without its closing blank line; some model
 * servers forget that line, so here it is handed out. */
struct err sse_end(struct sse_parser *, sse_fn *fn, void *arg) MUST_CHECK;
void sse_parser_free(struct sse_parser *); /* zero again */

/* Write one event: "id: …" unless the id is empty, "data: …" for each line of the data, a blank line.
 * The id has no line ends in it. */
void sse_event(struct buf *, struct str id, struct str data);
