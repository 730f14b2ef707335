#include "net/local.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "io/loop.h"
#include "io/wait.h"

enum { CALLERS_MAX = 8, PATIENCE_MS = 10000, PAUSE_MS = 100, PATH_BYTES_MAX = 1200 };

struct local {
    int fd;
    char path[PATH_BYTES_MAX];
    local_handler *handler;
    void *app;
    struct scope scope;
    struct ctx cx;
    struct watch *watch;
    struct gate readable, settled;
    int callers;
};

/* ---- names --------------------------------------------------------------------------- */

/* An address has room for 107 bytes. A longer path is reached through its directory, which `fd` (or -1) then holds. */
static struct err address_of(struct str path, struct sockaddr_un *out, int *fd)
{
    char directory[PATH_BYTES_MAX];
    size_t slash = path.count;
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    *fd = -1;
    if (path.count < sizeof out->sun_path) {
        memcpy(out->sun_path, path.at, path.count);
        return OK;
    }
    while (slash > 0 && path.at[slash - 1] != '/') slash--;
    if (path.count >= sizeof directory || slash == 0) return err(ERR_INVALID, "the path of the data directory is too long");
    memcpy(directory, path.at, slash);
    directory[slash] = 0;
    *fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) return err(ERR_IO, "the data directory cannot be opened");
    int count = snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/%.*s", *fd, (int)(path.count - slash), path.at + slash);
    return count < (int)sizeof out->sun_path ? OK : err(ERR_INVALID, "the path of the data directory is too long");
}

static void close_if_open(int fd)
{
    if (fd >= 0) close(fd);
}

/* ---- one who calls --------------------------------------------------------------------- */

struct caller {
    struct local *local;
    int fd;
    struct watch *watch;
    struct gate ready;
};

static void on_ready(void *arg, int events)
{
    struct caller *c = arg;
    (void)events;
    watch_want(c->watch, 0);
    gate_open(&c->ready);
}

static struct err wait_for(struct ctx *cx, struct caller *c, int events)
{
    watch_want(c->watch, events);
    return gate_wait_ms(cx, &c->ready, PATIENCE_MS, "a command on the socket of the operator");
}

static struct err read_line(struct ctx *cx, struct caller *c, struct buf *line)
{
    for (;;) {
        char piece[2048];
        ssize_t got = recv(c->fd, piece, sizeof piece, MSG_DONTWAIT);
        if (got == 0 || line->is_failed || line->count > LOCAL_LINE_MAX) return err(ERR_CLOSED, "no line came");
        if (got > 0) {
            buf_add(line, piece, (size_t)got);
            char *end = line->at ? memchr(line->at, '\n', line->count) : NULL;
            if (!end) continue;
            line->count = (size_t)(end - line->at);
            return OK;
        }
        if (errno != EAGAIN && errno != EINTR) return err(ERR_CLOSED, "the asker is gone");
        TRY(wait_for(cx, c, WATCH_READ));
    }
}

static struct err write_all(struct ctx *cx, struct caller *c, struct str bytes)
{
    while (bytes.count) {
        ssize_t sent = send(c->fd, bytes.at, bytes.count, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) bytes = str_n(bytes.at + sent, bytes.count - (size_t)sent);
        else if (errno == EAGAIN) TRY(wait_for(cx, c, WATCH_WRITE));
        else if (errno != EINTR) return err(ERR_CLOSED, "the asker is gone");
    }
    return OK;
}

static bool is_welcome(int fd)
{
    struct ucred who;
    socklen_t count = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &count) == 0 && (who.uid == geteuid() || who.uid == 0);
}

static struct err serve_caller(struct ctx *cx, void *arg)
{
    struct caller *c = arg;
    struct buf line = {0}, answer = {0};
    struct err e = is_welcome(c->fd) && c->watch ? read_line(cx, c, &line) : err(ERR_DENIED, "not for you");
    if (!failed(e)) {
        c->local->handler(cx, buf_str(&line), &answer, c->local->app);
        buf_add(&answer, "\n", 1);
        if (!answer.is_failed) e = write_all(cx, c, buf_str(&answer));
    }
    buf_free(&line);
    buf_free(&answer);
    if (c->watch) watch_close(c->watch);
    close(c->fd);
    c->local->callers--;
    gate_open(&c->local->settled);
    free(c);
    return OK; /* whoever hung up is no failure of ours */
}

static void welcome(struct ctx *cx, struct local *l, int fd)
{
    struct caller *c = calloc(1, sizeof *c);
    if (!c) {
        close(fd);
        return;
    }
    *c = (struct caller){.local = l, .fd = fd};
    c->watch = watch_open(cx->loop, fd, on_ready, c);
    l->callers++;
    if (!failed(scope_spawn(cx, serve_caller, c))) return;
    l->callers--;
    if (c->watch) watch_close(c->watch);
    close(fd);
    free(c);
}

/* ---- listening --------------------------------------------------------------------------- */

static void on_readable(void *arg, int events)
{
    struct local *l = arg;
    (void)events;
    watch_want(l->watch, 0);
    gate_open(&l->readable);
}

static struct err accept_all(struct ctx *cx, void *arg)
{
    struct local *l = arg;
    for (;;) {
        while (l->callers >= CALLERS_MAX) TRY(gate_wait(cx, &l->settled, "a command to end"));
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            welcome(&l->cx, l, fd);
        } else if (errno == EAGAIN) {
            watch_want(l->watch, WATCH_READ);
            TRY(gate_wait(cx, &l->readable, "a command"));
        } else if (errno != EINTR && errno != ECONNABORTED) {
            TRY(wait_ms(cx, PAUSE_MS)); /* out of descriptors, say */
        }
    }
}

static struct err listen_at(struct local *l, const struct sockaddr_un *address)
{
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->fd < 0) return err(ERR_IO, "there is no socket left for the operator's commands");
    unlink(l->path);
    /* The mode goes to the file with its name, so that there is no moment without it. */
    if (fchmod(l->fd, 0600) || bind(l->fd, (const struct sockaddr *)address, sizeof *address) || chmod(l->path, 0600) ||
        listen(l->fd, CALLERS_MAX))
        return err(ERR_IO, "the socket for the operator's commands cannot be made in the data directory");
    return OK;
}

static struct err open_local(struct ctx *cx, struct local *l, struct str path)
{
    struct sockaddr_un address;
    int directory;
    struct err e = address_of(path, &address, &directory);
    if (!failed(e)) e = listen_at(l, &address);
    close_if_open(directory);
    TRY(e);
    l->watch = watch_open(cx->loop, l->fd, on_readable, l);
    return l->watch ? scope_spawn(&l->cx, accept_all, l) : err(ERR_MEMORY, "there is no memory left");
}

struct err local_open(struct ctx *cx, struct str path, local_handler *handler, void *app, struct local **out)
{
    struct local *l = calloc(1, sizeof *l);
    if (!l) return err(ERR_MEMORY, "there is no memory left");
    *l = (struct local){.fd = -1, .handler = handler, .app = app};
    snprintf(l->path, sizeof l->path, "%.*s", STR_ARGS(path));
    l->cx = scope_open(&l->scope, cx);
    struct err e = open_local(cx, l, path);
    *out = l;
    if (!failed(e)) return OK;
    local_close(cx, l);
    *out = NULL;
    return e;
}

void local_close(struct ctx *cx, struct local *l)
{
    struct ctx own = l->cx;
    own.fiber = cx->fiber;
    own.arena = cx->arena;
    scope_cancel(&l->scope);
    struct err e = scope_close(&own);
    (void)e; /* it was told to end */
    if (l->watch) watch_close(l->watch);
    if (l->fd >= 0) {
        close(l->fd);
        unlink(l->path);
    }
    free(l);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static struct err talk(int fd, struct str line, struct buf *answer)
{
    char piece[2048];
    ssize_t n;
    while (line.count) {
        n = send(fd, line.at, line.count, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) return err(ERR_IO, "the server did not take the command");
        if (n > 0) line = str_n(line.at + n, line.count - (size_t)n);
    }
    for (;;) {
        n = recv(fd, piece, sizeof piece, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0 || answer->is_failed) break;
        buf_add(answer, piece, (size_t)n);
    }
    if (!answer->count || answer->is_failed || answer->at[answer->count - 1] != '\n')
        return err(ERR_CLOSED, "the server ended before it answered; what it had begun it ends at its next start");
    answer->count--;
    return OK;
}

struct err local_ask(struct str path, struct str line, struct buf *answer, bool *is_answered)
{
    struct sockaddr_un address;
    int directory;
    *is_answered = false;
    struct err e = address_of(path, &address, &directory);
    int fd = failed(e) ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        *is_answered = true;
        e = talk(fd, line, answer);
    } else if (fd >= 0 && (errno == EACCES || errno == EPERM)) {
        e = err(ERR_DENIED, "only the user who runs the server, and root, may say this");
    }
    close_if_open(fd);
    close_if_open(directory);
    return e;
}
