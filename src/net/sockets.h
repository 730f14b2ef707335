/* net/sockets.h: the sockets that a client has open, by descriptor, and how the loop watches them.
 *
 * curl 7.88 closes a socket that is given up while it connects (its transfer was removed, or another
 * address was faster) behind our back, without the close callback. So each socket knows the attempt
 * that opened it until it is connected, and whatever is left of these when the attempt succeeds or ends
 * is closed already. */
#pragma once
#include <stdbool.h>
#include "io/loop.h"

struct sock;
struct attempt { /* at a connection; zero is one without a socket */
    struct sock *opening;
};
typedef void sockets_fn(void *arg, int fd, int events);
struct sockets {
    struct loop *loop;
    sockets_fn *ready;
    void *arg;
    struct sock **by_fd;
    int by_fd_size;
    int open, opening; /* how many; those that are not connected yet are counted in both */
};

/* A socket was opened for this attempt. False: no memory, and it is not in the table. */
bool sockets_add(struct sockets *, struct attempt *, int fd) MUST_CHECK;
/* It is closed, or will be by the caller. */
void sockets_remove(struct sockets *, int fd);
/* WATCH_READ and WATCH_WRITE, or 0 for none. Those not in the table are passed over. False: no memory. */
bool sockets_watch(struct sockets *, int fd, int events) MUST_CHECK;
/* The attempt succeeded with the socket that has this local port. */
void sockets_connected(struct sockets *, struct attempt *, int port);
void sockets_give_up(struct sockets *, struct attempt *);
void sockets_free(struct sockets *);
