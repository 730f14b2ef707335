/* A server and its clients in one loop, over real loopback sockets, with a frozen clock.
 *
 * A play is a fiber: EXPECT leaves it with a sentence, what it opened is closed after it.
 * Nothing waits for time: a client looks again and again, and lets the loop turn meanwhile. */
#pragma once
#include "io/loop.h"
#include "net/server.h"
#include "test.h"

enum { PEERS_MAX = 512 };
struct play {
    struct server_settings settings; /* may be changed before play_run */
    fiber_fn *script;                /* gets the play as its argument */
    struct server *server;
    bool is_stopped;
    int peers[PEERS_MAX], peers_count;
    /* the handler's */
    struct gate go;
    bool may_go;
    int begun, ended;
    struct err outcome;              /* of its last wait or send */
    size_t sent_bytes;
    char peer_text[64];
    int reply_fault;                 /* 1: answers nothing */
};
struct play play_new(fiber_fn *script);
/* Run it to its end; all memory and descriptors are given back also when it fails. */
struct err play_run(struct play *);

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define EXPECT(expr)                                                                             \
    do {                                                                                         \
        if (!(expr)) return err(ERR_INVALID, __FILE__ ":" TEXT(__LINE__) ": " #expr); \
    } while (0)

/* A client's socket, connected. */
int peer_open(struct play *);
void peer_close(struct play *, int fd);
void peer_reset(struct play *, int fd); /* with a RST */
struct err peer_says(struct ctx *, int fd, struct str bytes) MUST_CHECK;
/* Read until the text that came ends with `until` (or, when null, to the end of it). In the arena. */
struct err peer_hears(struct ctx *, int fd, const char *until, struct str *out) MUST_CHECK;
/* The next reply, head and body by its Content-Length. */
struct err peer_gets(struct ctx *, int fd, struct str *out) MUST_CHECK;
/* Nothing comes, however often the loop turns. */
struct err peer_hears_nothing(struct ctx *, int fd) MUST_CHECK;
/* Let the loop look at its sockets and everybody run. */
struct err turns(struct ctx *) MUST_CHECK;
/* Until the stream's handler sends no more. */
struct err comes_to_rest(struct ctx *, struct play *) MUST_CHECK;
bool str_ends(struct str, const char *end);
bool str_has(struct str, const char *part);
