#include "net/sockets.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "net/address.h"

enum { MORE = 64 }; /* the table grows by so many */

struct sock {
    struct sockets *all;
    struct attempt *attempt; /* null once connected */
    struct sock *next;       /* of the same attempt */
    struct watch *watch;     /* null: nobody waits for it */
    int fd;
};

static struct sock *find(const struct sockets *s, int fd) { return fd < s->by_fd_size ? s->by_fd[fd] : NULL; }

static void forget(struct sock *sock)
{
    struct sockets *s = sock->all;
    if (sock->attempt) {
        struct sock **at = &sock->attempt->opening;
        while (*at != sock) at = &(*at)->next;
        *at = sock->next;
        s->opening--;
    }
    if (sock->watch) watch_close(sock->watch);
    s->by_fd[sock->fd] = NULL;
    s->open--;
    free(sock);
}

static bool make_room(struct sockets *s, int fd)
{
    if (fd < s->by_fd_size) return true;
    int size = fd + MORE;
    struct sock **by_fd = realloc(s->by_fd, (size_t)size * sizeof(*by_fd));
    if (!by_fd) return false;
    memset(by_fd + s->by_fd_size, 0, (size_t)(size - s->by_fd_size) * sizeof(*by_fd));
    s->by_fd = by_fd;
    s->by_fd_size = size;
    return true;
}

bool sockets_add(struct sockets *s, struct attempt *attempt, int fd)
{
    struct sock *gone = find(s, fd), *sock = malloc(sizeof *sock);
    if (gone) forget(gone); /* closed behind our back, or the new one would have another number */
    if (!sock || !make_room(s, fd)) {
        free(sock);
        return false;
    }
    *sock = (struct sock){.all = s, .attempt = attempt, .next = attempt->opening, .fd = fd};
    attempt->opening = s->by_fd[fd] = sock;
    s->open++;
    s->opening++;
    return true;
}

void sockets_remove(struct sockets *s, int fd)
{
    struct sock *sock = find(s, fd);
    if (sock) forget(sock);
}

static void is_ready(void *arg, int events)
{
    const struct sock *sock = arg; /* may be gone when the call returns */
    sock->all->ready(sock->all->arg, sock->fd, events);
}

bool sockets_watch(struct sockets *s, int fd, int events)
{
    struct sock *sock = find(s, fd);
    if (!sock) return true;
    if (events == 0) {
        if (sock->watch) watch_close(sock->watch);
        sock->watch = NULL;
        return true;
    }
    if (!sock->watch) sock->watch = watch_open(s->loop, fd, is_ready, sock);
    if (sock->watch) watch_want(sock->watch, events);
    return sock->watch;
}

/* The number may be in use by somebody else already. */
static bool has_port(int fd, int port)
{
    union address own = {0};
    socklen_t size = sizeof own;
    if (getsockname(fd, &own.any, &size) != 0) return false;
    return port == ntohs(own.any.sa_family == AF_INET6 ? own.v6.sin6_port : own.v4.sin_port);
}

void sockets_connected(struct sockets *s, struct attempt *attempt, int port)
{
    for (struct sock *sock = attempt->opening, *next; sock; sock = next) {
        next = sock->next;
        if (!has_port(sock->fd, port)) continue;
        s->opening--;
        sock->attempt = NULL;
        struct sock **at = &attempt->opening;
        while (*at != sock) at = &(*at)->next;
        *at = next;
    }
    sockets_give_up(s, attempt); /* all others have lost the race */
}

void sockets_give_up(struct sockets *s, struct attempt *attempt)
{
    (void)s;
    while (attempt->opening) forget(attempt->opening);
}

void sockets_free(struct sockets *s)
{
    assert(s->open == 0 && s->opening == 0);
    free(s->by_fd);
    s->by_fd = NULL;
    s->by_fd_size = 0;
}
