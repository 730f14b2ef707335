/* tests/unit/net/far.h: the far side of a connection, one sentence after the other.
 *
 * It lives in the test's own fiber and never blocks: what must wait takes turns with the fibers of the loop.
 * Every socket is on loopback. What does not happen
 * within FAR_TURNS_MAX turns fails the test. */
#pragma once
#include <openssl/ssl.h>
#include "base/str.h"
#include "io/ctx.h"

/* One turn of a wait that begins with turns at 0. */
enum { FAR_TURNS_MAX = 2000000 };
void far_turn(struct ctx *, int *turns);

struct far {
    int listener, fd; /* fd: the connection that was accepted last; -1 = none */
    int port;
    SSL *tls;         /* when the connection speaks TLS */
    struct buf heard; /* of the last request */
};
void far_listen(struct far *);
void far_close(struct far *);

void far_accepts(struct ctx *, struct far *);
bool far_is_called(const struct far *); /* somebody waits to be accepted */
struct str far_gets(struct ctx *, struct far *); /* one whole request: head, and body by Content-Length */
void far_says(struct ctx *, struct far *, const char *text);
void far_says_bytes(struct ctx *, struct far *, struct str bytes);
size_t far_tries_to_say(struct far *, struct str bytes); /* what the kernel takes at once */
void far_hears_the_end(struct ctx *, struct far *);      /* waits until the other side is gone */
void far_hangs_up(struct far *);
void far_resets(struct far *);                           /* as a crashed one does */

/* Nobody accepts here and the queue is full: who connects waits. */
struct deaf_side {
    int listener, port, callers[8];
    int callers_count;
};
void far_is_deaf(struct deaf_side *); /* on 127.0.0.1, any port */
void far_is_deaf_at(struct deaf_side *, const char *address, int port);
void far_is_deaf_no_more(struct deaf_side *);

/* ---- TLS --------------------------------------------------------------------------- */
struct authority { /* signs a certificate for one host name */
    char file[300]; /* its own certificate, as PEM */
    SSL_CTX *context;
};
void authority_open(struct authority *, const char *directory, const char *host);
void authority_close(struct authority *);
void far_greets(struct ctx *, struct far *, struct authority *); /* the handshake, whole */
/* Tries for the handshake; false: the other side refused it. */
bool far_tries_to_greet(struct ctx *, struct far *, struct authority *);
