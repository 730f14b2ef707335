/* net/conn.h: one connection: bytes in, a request at a time, bytes out. Inside of net/server.
 *
 * A connection stands in exactly one list, by what is waited for. Each list has one time
 * limit, so it is sorted by itself: one timer looks at the heads, no connection has its own,
 * and the oldest idle connection is the first of its list.
 *
 * Threads   The loop's. Nothing here waits but exchange_run.
 * Memory    A closed connection is freed at the end of the loop's turn: whoever holds a
 *           pointer meanwhile looks at fd. */
#pragma once
#include "net/server.h"

enum phase {
    PHASE_IDLE,   /* nothing of a request is here */
    PHASE_HEAD,   /* a part of its head is */
    PHASE_BODY,   /* the head is, not the whole body */
    PHASE_LIVE,   /* it is being answered; no limit of time */
    PHASE_SEND,   /* the peer does not take what we say */
    PHASE_LINGER, /* all is said; what still comes is thrown away, so that the peer can read our last words */
    PHASE_COUNT,
};

struct exchange {
    struct conn *conn;      /* null: the peer went away */
    struct server *server;
    struct http *http;      /* with the request */
    struct scope *scope;    /* while the handler runs */
    struct gate drained;    /* opened when no more than stream_buffer_bytes are unsent */
    struct exchange *next_spare;
    size_t body_bytes;      /* as counted in server->bodies_bytes */
    bool is_live;           /* the request is whole and was given to a fiber */
    bool is_answered, is_stream, is_broken, is_head, is_1_0, closes_after;
};

struct conn {
    struct server *server;
    struct conn *older, *newer; /* in the list of its phase */
    int64_t since_ms;           /* in this phase, or when the peer last took something */
    struct watch *watch;
    struct exchange *exchange;  /* of the request that is coming or being answered; null while idle */
    struct conn *next_dirty;    /* also the list of the dead */
    struct buf in;              /* what came behind the request that is being answered */
    struct buf out;
    size_t in_used, out_sent;   /* of the two */
    int64_t discarded_bytes;
    int fd;                     /* -1: closed */
    unsigned char phase;
    bool is_dirty;              /* has said something in this turn */
    bool is_blocked;            /* the kernel takes no more for now */
    bool is_peer_done;          /* FIN */
    bool is_closing;            /* nothing is read or begun any more; closes when all is sent */
    bool will_linger, is_lingering;
};

struct server {
    struct server_settings settings;
    struct http_limits limits;
    server_handler *handler;
    void *app;
    struct loop *loop;
    struct scope scope;         /* of all fibers */
    struct ctx cx;
    int listener, port;         /* listener -1: closed */
    struct watch *watch;
    struct timer accept_again, expiry;
    struct conn_list {
        struct conn *oldest, *newest;
    } lists[PHASE_COUNT];
    struct conn *dirty, *dead;
    struct deferred deferred;   /* server_flush */
    struct exchange *spare;
    struct buf spare_out[16];
    int spare_count, spare_out_count;
    int lingering_count;
    struct gate changed;        /* when stopping: something ended */
    bool is_stopping;
    int64_t bodies_bytes;
    int64_t date_second;
    char date[HTTP_DATE_BYTES];
    struct server_counts counts;
    char *bytes;                /* what is read, by whichever connection */
};
enum {
    READ_BYTES = 65536,
    LINGERING_MAX = 128, /* they do not count as connections, else the refused would keep out the next */
};

/* net/conn.c */
struct conn *conn_new(struct server *, int fd) MUST_CHECK; /* takes the descriptor, also when it returns null */
void conn_close(struct conn *);        /* now; what is unsent is lost, the handler is cancelled */
/* Answer {"detail":"…"} in place of any handler, and close. */
void conn_refuse(struct conn *, int status, const char *headers, struct str body);
struct buf *conn_out(struct conn *);   /* add to it, then: */
void conn_said(struct conn *);         /* send it at the end of the turn */
void conn_flush(struct conn *);
void conn_next(struct conn *);         /* an exchange ended: go on with what came behind it */
void conn_settle(struct conn *);       /* into the list where it belongs, watching for what it needs */
static inline size_t conn_unsent(const struct conn *conn) { return conn->out.count - conn->out_sent; }

/* net/exchange.c */
struct exchange *exchange_new(struct server *) MUST_CHECK;
void exchange_recycle(struct exchange *);
void exchange_count_body(struct exchange *);
fiber_fn exchange_run;

/* net/server.c */
struct str server_date(struct server *);
void server_expire_by(struct server *, int64_t due_ms);
void server_flush(void *server);       /* everything that was said; frees the dead */
int64_t server_phase_ms(const struct server *, enum phase);

static const char retry_later[] = "Retry-After: 1\r\n";
