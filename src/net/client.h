/* net/client.h: HTTP requests out (libcurl's multi interface on our loop).
 *
 * HTTP/1.1 only, so that closing a transfer closes its socket when it is not
 * finished. Redirects are not followed. curl never resolves: the address comes from
 * net/guard. No proxy but the one the operator names. curl's callbacks only append
 * bytes and mark a fiber runnable. At most 32 begin in one turn of the loop, the others in the next ones.
 * A kept connection that breaks before a byte of an answer came is replaced by a new one, unseen.
 *
 * Memory    The outgoing request is borrowed until client_open returns. A transfer's bytes are
 *           bounded (it pauses the socket at `buffer_max`).
 * Errors    ERR_UPSTREAM with a sentence ("could not connect", "TLS …", "the connection broke …");
 *           ERR_TIMEOUT, ERR_CANCELLED: the socket is closed already. ERR_INVALID: the URL or a header cannot
 *           be sent. ERR_DENIED: not one of the guard's addresses. No sentence has a URL or a header in it.
 *           After any error of transfer_read its transfer_close is still due. */
#pragma once
#include "base/str.h"
#include "io/ctx.h"
#include "net/guard.h"

struct header {
    struct str name, value;
};
struct outgoing {
    const char *method;
    struct str url;               /* whole, http or https */
    const struct guard_address *address;
    const struct header *headers;
    int headers_count;
    struct str body;              /* empty = none */
    int64_t connect_ms, first_byte_ms; /* bounds; 0 = none */
};
struct client;
struct transfer;

/* Null: no memory, or the proxy is no http(s) URL. Trusts the certificates of SSL_CERT_FILE, else the system's.
 * Every descriptor that is open becomes close-on-exec, since libraries open some of their own. */
struct client *client_open_pool(struct loop *, struct str proxy /* or empty */) MUST_CHECK;
void client_close_pool(struct client *);

/* Send, and wait for the head of the response. */
struct err client_open(struct ctx *, struct client *, const struct outgoing *, struct transfer **out) MUST_CHECK;
int transfer_status(const struct transfer *);
/* A header of the response by its name in lower case; empty when absent. */
struct str transfer_header(const struct transfer *, const char *name);
/* The next bytes of the body, as they come; *is_end after the last (there are none with it). `silence_ms` bounds the
 * wait for the next byte (0 = none) with ERR_TIMEOUT. Valid until the next call. */
struct err transfer_read(struct ctx *, struct transfer *, int64_t silence_ms, struct str *bytes, bool *is_end) MUST_CHECK;
/* True while not a byte of the body has come (a retry is safe for the model's caller). */
bool transfer_is_silent(const struct transfer *);
/* Done with it. Unfinished: its socket is closed before this returns. */
void transfer_close(struct transfer *);

/* For tests and metrics. */
struct client_counts {
    int64_t transfers_open, sockets_open, bytes_read_total;
};
struct client_counts client_counts(const struct client *);
