/* tests/flow/client.h: one who speaks HTTP with the server, and says what it expects to hear.
 *
 * A client has one connection, opened when needed and kept alive; a second request over an
 * unread stream gives the stream up and opens a new one. Every exchange is recorded (record.c).
 * Nothing here waits by the clock: a read blocks until bytes come or the play's time is over.
 *
 * In expected JSON ' stands for " . A path is "items[0].id"; "" is the whole body. */
#pragma once
#include "base/json.h"
#include "base/str.h"

struct play;
struct event {
    const char *id, *type, *task;   /* in the play's arena */
    struct json json;               /* the whole envelope */
    struct json data;
};
enum { EVENTS_MAX = 4096 };
struct client {
    struct play *play;
    const char *key;                /* null: none */
    const char *more_headers;       /* whole lines ended by CRLF, sent with each request; "" */
    const char *content_type;       /* of bodies; null: none is said */
    int fd;
    /* What was asked. */
    const char *method, *target;
    struct str request_body;
    bool is_recorded, is_private;   /* private: not with agentd, never recorded */
    /* What was answered. */
    struct buf in;                  /* not yet looked at */
    struct buf body;                /* chunks joined */
    int status;
    const char *head;               /* all lines, in the arena */
    const char *type;               /* Content-Type, or "" */
    long long left;                 /* bytes of the body, or of the chunk, to come; -1: until close */
    bool is_chunked, is_ended, is_cut, is_closing;
    struct json json;
    /* A stream. */
    size_t parsed;
    const char *next_id, *next_data;
    struct event *events;
    int events_count, events_seen;
    int heartbeats;
    struct client *next;
};

/* Of this play's organisation; of another one; without a key; with this key. */
struct client *client(struct play *);
struct client *stranger(struct play *);
struct client *nobody(struct play *);
struct client *client_with_key(struct play *, const char *key);

/* "POST /v1/agents" and a body; "" is none. Returns when it is written, or the server takes no more. */
void sends(struct client *, const char *what, const char *body);
void sends_bytes(struct client *, const char *what, struct str body);
/* These bytes as they stand; recorded as `method` `target`. None: the answer to what was sent before is due. */
void sends_raw(struct client *, const char *method, const char *target, struct str bytes);
/* Hang up. */
void leaves(struct client *);

/* The answer's status; the body, too, unless it is a stream. */
#define gets_status(c, status) gets_status_at((c), (status), __FILE__, __LINE__)
void gets_status_at(struct client *, int status, const char *file, int line);
int status_of(struct client *);                       /* whichever it is */
const char *header_of(struct client *, const char *name); /* null: absent */

/* What stands there is this JSON ('single' quotes); is not there at all; contains this text. */
#define has(c, path, json) has_at((c), (path), (json), __FILE__, __LINE__)
void has_at(struct client *, const char *path, const char *json, const char *file, int line);
#define has_text(c, path, text) has_text_at((c), (path), (text), __FILE__, __LINE__)
void has_text_at(struct client *, const char *path, const char *text, const char *file, int line);
#define contains(c, path, part) contains_at((c), (path), (part), __FILE__, __LINE__)
void contains_at(struct client *, const char *path, const char *part, const char *file, int line);
/* A 422 with one item at this place ("['body','name']") of this type. */
#define has_fault(c, loc, type) has_fault_at((c), (loc), (type), __FILE__, __LINE__)
void has_fault_at(struct client *, const char *loc, const char *type, const char *file, int line);

struct json at(struct client *, const char *path);
struct json at_json(struct json, const char *path);
const char *text_at(struct client *, const char *path);   /* "" when it is no text */
int count_at(struct client *, const char *path);
const char *json_z(struct json);                          /* compact, in the arena */
const char *body_of(struct client *);

/* The next event of this type; those before it are passed over (they stay in `events`). */
#define gets_event(c, type) gets_event_at((c), (type), __FILE__, __LINE__)
struct event *gets_event_at(struct client *, const char *type, const char *file, int line);
/* The next event whatever it is; null at the end of the stream. */
struct event *next_event(struct client *);
/* A chunk that ends what has been said so far (all chunks joined) with this text. */
#define gets_said(c, text) gets_said_at((c), (text), __FILE__, __LINE__)
void gets_said_at(struct client *, const char *text, const char *file, int line);
/* The stream is over, properly, and was in order (order.c). */
#define gets_end(c) gets_end_at((c), __FILE__, __LINE__)
void gets_end_at(struct client *, const char *file, int line);
/* n more heartbeats. */
void gets_heartbeats(struct client *, int count);
/* The chunks of this stream's own task, from event `from` on, joined. */
const char *said(struct client *, int from);
/* "task_created task_updated chunk task_finished": the types in order, repeated ones once. */
const char *types_of(struct client *);
/* The task that a stream or a reply is about. */
const char *task_of(struct client *);

/* What was expected is not what came: says both and fails. */
void expected(struct client *, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5), noreturn));

/* order.c: the order of a stream that was read from its beginning. */
void keeps_order(struct client *);
/* record.c: one JSON object per exchange into the file that AGENTD_RECORD names. */
void record(struct client *);

/* In the arena: printf; and printf with ' turned into ". */
const char *f(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *q(const char *format, ...) __attribute__((format(printf, 1, 2)));
