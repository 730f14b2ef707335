/* dev/rehearsal/main.c: sockets, timers and routes. What is said is decided in
 * directives.c and canned.c, how it is written in speak.c; manual.c lists all.
 *
 * One thread, one epoll, one struct per connection. Thousands of connections
 * may talk at once; pauses are a heap of deadlines. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "http.h"
#include "manual.h"
#include "speak.h"
#include "stats.h"

enum state { READING, TALKING, WAITING_STATS };

struct conn {
    int fd;
    enum state state;
    struct text in, out;
    struct speech *speech;        /* while talking */
    enum spoken spoken;
    bool keep_alive, continued, peer_closed;
    struct tag *tag;              /* whose request this is, or null */
    int64_t due_ms;               /* 0: no deadline */
    int heap_at;                  /* where in the heap, or -1 */
    uint32_t events;
    /* WAITING_STATS: what the client waits for; -1 is anything. */
    struct tag *watched;
    long want_requests, want_open, want_finished, want_broken, want_bytes;
};

static int epoll;
static struct conn **conns;      /* by descriptor */
static int conns_room, watchers;
static int pace_ms;
static const char *key;
static volatile sig_atomic_t stopping;
static long serial;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- deadlines: a binary heap --------------------------------------------- */

static struct conn **heap;
static int heap_count, heap_room;

static void heap_put(int at, struct conn *conn)
{
    heap[at] = conn;
    conn->heap_at = at;
}

static void heap_settle(int at)
{
    struct conn *conn = heap[at];
    while (at > 0 && heap[(at - 1) / 2]->due_ms > conn->due_ms) {
        heap_put(at, heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (int child; (child = at * 2 + 1) < heap_count; at = child) {
        if (child + 1 < heap_count && heap[child + 1]->due_ms < heap[child]->due_ms) child++;
        if (heap[child]->due_ms >= conn->due_ms) break;
        heap_put(at, heap[child]);
    }
    heap_put(at, conn);
}

static void timer_clear(struct conn *conn)
{
    int at = conn->heap_at;
    if (at < 0) return;
    conn->heap_at = -1;
    struct conn *last = heap[--heap_count];
    if (last == conn) return;
    heap_put(at, last);
    heap_settle(at);
}

static void timer_set(struct conn *conn, int64_t due_ms)
{
    timer_clear(conn);
    if (heap_count == heap_room) {
        heap_room = heap_room ? heap_room * 2 : 256;
        heap = realloc(heap, (size_t)heap_room * sizeof heap[0]);
        if (!heap) abort();
    }
    conn->due_ms = due_ms;
    heap_put(heap_count++, conn);
    heap_settle(conn->heap_at);
}

/* ---- connections ------------------------------------------------------------ */

static void conn_watch(struct conn *conn, uint32_t events)
{
    if (events == conn->events) return;
    struct epoll_event event = {.events = events, .data.fd = conn->fd};
    epoll_ctl(epoll, conn->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, conn->fd, &event);
    conn->events = events;
}

static void request_over(struct conn *conn, bool finished)
{
    if (conn->state == WAITING_STATS) watchers--;
    struct tag *tags[2] = {stats_tag(""), conn->tag};
    for (int i = 0; i < 2 && conn->tag; i++) {
        struct tag *tag = tags[i];
        if (i == 1 && tag == tags[0]) break;
        tag->open--;
        if (finished) tag->finished++;
        else tag->broken++;
        tag->last_close_at = now_us();
    }
    conn->tag = NULL;
    if (conn->speech) {
        speech_free(conn->speech);
        free(conn->speech);
        conn->speech = NULL;
    }
    conn->state = READING;
}

static void conn_close(struct conn *conn, bool finished)
{
    request_over(conn, finished);
    timer_clear(conn);
    conns[conn->fd] = NULL;
    open_connections--;
    close(conn->fd);
    text_free(&conn->in);
    text_free(&conn->out);
    free(conn);
}

/* Send what there is. False: the connection is gone. */
static bool conn_send(struct conn *conn)
{
    const struct manner *manner = conn->speech ? &conn->speech->play.manner : NULL;
    size_t sent = 0, at_once = manner && manner->split_bytes > 0 ? (size_t)manner->split_bytes : SIZE_MAX;

    while (sent < conn->out.len) {
        size_t piece = conn->out.len - sent < at_once ? conn->out.len - sent : at_once;
        ssize_t n = send(conn->fd, conn->out.data + sent, piece, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) return false;
        sent += (size_t)n;
        if (conn->tag) {
            stats_wrote(stats_tag(""), (size_t)n, conn->peer_closed);
            if (conn->tag != stats_tag("")) stats_wrote(conn->tag, (size_t)n, conn->peer_closed);
        }
        if (at_once != SIZE_MAX) break;
    }
    if (sent == conn->out.len && conn->out.room > 262144) text_free(&conn->out);
    else text_eat(&conn->out, sent);
    return true;
}

/* ---- the model's route -------------------------------------------------------- */

static void request_begins(struct conn *conn, const char *tag_name, const struct heard *heard)
{
    conn->tag = stats_tag(tag_name);
    struct tag *tags[2] = {stats_tag(""), conn->tag};
    for (int i = 0; i < (tags[0] == tags[1] ? 1 : 2); i++) {
        tags[i]->requests++;
        tags[i]->open++;
        if (tags[i]->open > tags[i]->open_peak) tags[i]->open_peak = tags[i]->open;
        tags[i]->last_request_at = now_us();
    }
    /* Only tagged requests are kept: the copy would cost the others time. */
    if (tag_name[0]) {
        conn->tag->last.len = 0;
        stats_describe(heard, &conn->tag->last);
    }
}

static void reply(struct conn *conn, int status, const char *type, const char *body, size_t len)
{
    speak_reply(&conn->out, status, type, "", body, len, conn->keep_alive);
}

static void reply_error(struct conn *conn, int status, const char *sentence)
{
    char body[256];
    int len = snprintf(body, sizeof body, "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\","
                       "\"param\":null,\"code\":null}}", sentence);
    reply(conn, status, "application/json", body, (size_t)len);
}

static void route_chat(struct conn *conn, const struct request *request)
{
    struct heard heard = {request->method, request->target, request->head, request->head_len,
                          request->body.data ? request->body.data : "", request->body.len};
    struct speech *speech = calloc(1, sizeof *speech);
    if (!speech) abort();
    if (!play_make(&speech->play, &heard, pace_ms)) {
        free(speech);
        reply_error(conn, 400, "The body is no JSON object with messages");
        return;
    }
    speech->serial = ++serial;
    speech->created = (long)time(NULL);
    speech->keep_alive = conn->keep_alive;
    conn->speech = speech;
    conn->state = TALKING;
    conn->spoken = SPOKEN_MORE;
    request_begins(conn, speech->play.manner.tag, &heard);
}

/* ---- the other routes ----------------------------------------------------------- */

static long query_number(const struct request *request, const char *name, long otherwise)
{
    char text[32];
    request_query(request, name, text, sizeof text);
    return text[0] ? strtol(text, NULL, 10) : otherwise;
}

static void reply_stats(struct conn *conn, int status, const struct tag *tag, int64_t since)
{
    struct text body = {0};
    stats_print(tag, since, &body);
    reply(conn, status, "application/json", body.data, body.len);
    text_free(&body);
}

static void route_wait(struct conn *conn, const struct request *request, struct tag *tag)
{
    conn->state = WAITING_STATS;
    conn->watched = tag;
    conn->want_requests = query_number(request, "requests", -1);
    conn->want_open = query_number(request, "open", -1);
    conn->want_finished = query_number(request, "finished", -1);
    conn->want_broken = query_number(request, "broken", -1);
    conn->want_bytes = query_number(request, "bytes", -1);
    timer_set(conn, now_ms() + query_number(request, "timeout_ms", 30000));
    watchers++;
}

static bool watched_is_reached(const struct conn *conn)
{
    const struct tag *tag = conn->watched;
    return tag->requests >= conn->want_requests && (conn->want_open < 0 || tag->open == conn->want_open) &&
           tag->finished >= conn->want_finished && tag->broken >= conn->want_broken &&
           tag->bytes >= conn->want_bytes;
}

static void route_others(struct conn *conn, const struct request *request, const char *path)
{
    static const char models[] = "{\"object\":\"list\",\"data\":[{\"id\":\"rehearsal\",\"object\":\"model\","
                                 "\"created\":0,\"owned_by\":\"agentd\"}]}";
    char name[64];
    request_query(request, "tag", name, sizeof name);
    struct tag *tag = stats_tag(name);
    size_t len = strlen(path);

    if (len >= 7 && strcmp(path + len - 7, "/models") == 0) reply(conn, 200, "application/json", models, sizeof models - 1);
    else if (strcmp(path, "/stats") == 0) reply_stats(conn, 200, tag, query_number(request, "since", 0));
    else if (strcmp(path, "/wait") == 0) route_wait(conn, request, tag);
    else if (strcmp(path, "/mark") == 0) {
        tag->marked_at = now_us();
        tag->bytes_marked = tag->bytes;
        reply_stats(conn, 200, tag, 0);
    } else if (strcmp(path, "/last") == 0) {
        if (tag->last.len) reply(conn, 200, "application/json", tag->last.data, tag->last.len);
        else reply_error(conn, 404, "No request had this tag");
    } else if (strcmp(path, "/gate") == 0) {
        request_query(request, "name", name, sizeof name);
        gate_set(name, query_number(request, "shut", 0) == 0);
        for (int fd = 0; fd < conns_room; fd++)
            if (conns[fd] && conns[fd]->spoken == SPOKEN_GATE) timer_set(conns[fd], now_ms());
        reply(conn, 200, "application/json", "{}", 2);
    } else reply_error(conn, 404, "No such route");
}

static bool key_is_right(const struct request *request)
{
    size_t len;
    const char *value = request_header(request, "authorization", &len);
    if (!key) return true;
    return value && len == strlen(key) + 7 && memcmp(value, "Bearer ", 7) == 0 && memcmp(value + 7, key, len - 7) == 0;
}

static void route(struct conn *conn, const struct request *request)
{
    static const char chat[] = "/chat/completions";
    char path[1024];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(request->target, "?"), request->target);
    size_t len = strlen(path);

    conn->keep_alive = request->keep_alive;
    bool is_chat = len >= sizeof chat - 1 && strcmp(path + len - (sizeof chat - 1), chat) == 0;
    if (!is_chat) route_others(conn, request, path);
    else if (strcmp(request->method, "POST") != 0) reply_error(conn, 404, "Use POST");
    else if (!key_is_right(request)) reply_error(conn, 401, "Incorrect API key provided");
    else route_chat(conn, request);
}

/* ---- one connection goes on ------------------------------------------------------- */

/* Requests out of the input, until one has to be waited for. False: close. */
static bool conn_parse(struct conn *conn)
{
    while (conn->state == READING && conn->in.len) {
        struct request request;
        enum parsed parsed = request_parse(&request, conn->in.data, conn->in.len);
        if (parsed == PARSED_BROKEN) return false;
        if (parsed == PARSED_MORE) {
            if (request.wants_continue && !conn->continued) text_put(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
            conn->continued = request.wants_continue;
            break;
        }
        conn->continued = false;
        route(conn, &request);
        text_eat(&conn->in, request.used);
        text_free(&request.body);
    }
    return true;
}

/* Play and send until something has to be waited for. False: it was closed. */
static bool conn_talk(struct conn *conn)
{
    while (conn->state == TALKING) {
        struct manner *manner = &conn->speech->play.manner;
        if (!conn_send(conn)) {
            conn_close(conn, false);
            return false;
        }
        if (conn->out.len) {
            if (manner->split_bytes > 0) timer_set(conn, now_ms() + manner->split_ms);
            return true;
        }
        if (conn->spoken == SPOKEN_DONE && conn->keep_alive && conn->speech->keep_alive) {
            request_over(conn, true);
            return true;
        }
        if (conn->spoken == SPOKEN_RESET) {
            struct linger linger = {.l_onoff = 1};
            setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        }
        if (conn->spoken == SPOKEN_DONE || conn->spoken == SPOKEN_CLOSE || conn->spoken == SPOKEN_RESET) {
            conn_close(conn, true);
            return false;
        }
        if (conn->heap_at >= 0 || conn->spoken == SPOKEN_NEVER) return true;
        conn->spoken = speak(conn->speech);
        text_add(&conn->out, conn->speech->out.data ? conn->speech->out.data : "", conn->speech->out.len);
        conn->speech->out.len = 0;
        if (conn->spoken == SPOKEN_WAIT) timer_set(conn, now_ms() + conn->speech->wait_ms);
        if (conn->spoken == SPOKEN_GATE) timer_set(conn, now_ms() + 3600000);
        /* One burst a turn, so that a flood leaves room for the others. */
        if (conn->spoken == SPOKEN_MORE) {
            if (!conn_send(conn)) {
                conn_close(conn, false);
                return false;
            }
            if (!conn->out.len) timer_set(conn, now_ms());
        }
    }
    return true;
}

static void conn_go_on(struct conn *conn)
{
    for (;;) {
        size_t before = conn->in.len;
        if (!conn_parse(conn)) {
            conn_close(conn, false);
            return;
        }
        if (conn->state == TALKING && !conn_talk(conn)) return;
        if (conn->state != READING) break;
        if (!conn_send(conn)) {
            conn_close(conn, false);
            return;
        }
        if (conn->out.len == 0 && !conn->keep_alive) {
            conn_close(conn, true);
            return;
        }
        /* An answer ended at once, and the next request is here already. */
        if (conn->in.len == 0 || conn->in.len == before) break;
    }
    bool deaf = conn->speech && conn->speech->play.manner.deaf;
    uint32_t events = (conn->state == READING ? EPOLLIN : 0u) | (deaf && conn->peer_closed ? 0u : EPOLLRDHUP);
    bool paced = conn->speech && conn->speech->play.manner.split_bytes > 0;
    if (conn->out.len && !paced) events |= EPOLLOUT;
    conn_watch(conn, events);
}

static void conn_read(struct conn *conn)
{
    static char buffer[65536];
    for (;;) {
        ssize_t n = recv(conn->fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) {
            conn_close(conn, false);
            return;
        }
        text_add(&conn->in, buffer, (size_t)n);
        if ((size_t)n < sizeof buffer) break;
    }
    conn_go_on(conn);
}

static void conn_event(struct conn *conn, uint32_t events)
{
    bool deaf = conn->speech && conn->speech->play.manner.deaf, has_left = events & (EPOLLHUP | EPOLLRDHUP);
    if ((events & EPOLLERR) || (has_left && conn->state != READING && !deaf)) {
        conn_close(conn, false);
        return;
    }
    if (has_left) conn->peer_closed = true;
    if (conn->state != READING || !(events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))) {
        conn_go_on(conn);
        return;
    }
    int fd = conn->fd;
    conn_read(conn);
    /* Request and farewell came together: whoever asks for the counters next must not find it open. */
    conn = conns[fd]; /* null: it is over */
    deaf = conn && conn->speech && conn->speech->play.manner.deaf;
    if (has_left && conn && conn->state != READING && !deaf) conn_close(conn, false);
}

static void conn_timer(struct conn *conn)
{
    timer_clear(conn);
    if (conn->state == WAITING_STATS) {
        struct tag *tag = conn->watched;
        request_over(conn, false);
        reply_stats(conn, 408, tag, 0);
    }
    conn_go_on(conn);
}

/* Tell those who wait for a count that it is reached. */
static void tell_watchers(void)
{
    for (int fd = 0; fd < conns_room && watchers > 0; fd++) {
        struct conn *conn = conns[fd];
        if (!conn || conn->state != WAITING_STATS || !watched_is_reached(conn)) continue;
        struct tag *tag = conn->watched;
        timer_clear(conn);
        request_over(conn, true);
        reply_stats(conn, 200, tag, 0);
        conn_go_on(conn);
    }
}

/* ---- the loop ----------------------------------------------------------------------- */

static void accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (fd >= conns_room) {
            int room = conns_room ? conns_room : 256;
            while (room <= fd) room *= 2;
            conns = realloc(conns, (size_t)room * sizeof conns[0]);
            if (!conns) abort();
            memset(conns + conns_room, 0, (size_t)(room - conns_room) * sizeof conns[0]);
            conns_room = room;
        }
        struct conn *conn = calloc(1, sizeof *conn);
        if (!conn) abort();
        conn->fd = fd;
        conn->heap_at = -1;
        conn->keep_alive = true;
        conns[fd] = conn;
        open_connections++;
        conn_watch(conn, EPOLLIN | EPOLLRDHUP);
    }
}

static void run(int listener)
{
    static struct epoll_event events[512];
    while (!stopping) {
        int64_t wait = heap_count ? heap[0]->due_ms - now_ms() : -1;
        if (heap_count && wait < 0) wait = 0;
        int count = epoll_wait(epoll, events, 512, wait > 60000 ? 60000 : (int)wait);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) accept_all(listener);
            else if (conns[fd]) conn_event(conns[fd], events[i].events);
        }
        /* Those that are due now; one that is due again at once waits a turn. */
        int64_t now = now_ms();
        for (int due = heap_count; due > 0 && heap_count && heap[0]->due_ms <= now; due--) conn_timer(heap[0]);
        if (watchers) tell_watchers();
    }
}

static int listen_on(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof address;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "rehearsal: %s is not an IPv4 address\n", host);
        exit(1);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0) {
        fprintf(stderr, "rehearsal: cannot listen on %s:%d: %s\n", host, port, strerror(errno));
        exit(1);
    }
    getsockname(fd, (struct sockaddr *)&address, &size);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    printf("rehearsal listening on http://%s:%d/v1\n", host, ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static void on_signal(int signal)
{
    (void)signal;
    stopping = 1;
}

static void prepare(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
}

int main(int argc, char **argv)
{
    const char *host = "127.0.0.1";
    int port = 0;

    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--die-with-parent") == 0) prctl(PR_SET_PDEATHSIG, SIGTERM);
        else if (strcmp(argv[i], "--port") == 0 && value) port = atoi(argv[++i]);
        else if (strcmp(argv[i], "--host") == 0 && value) host = argv[++i];
        else if (strcmp(argv[i], "--pace") == 0 && value) pace_ms = atoi(argv[++i]);
        else if (strcmp(argv[i], "--key") == 0 && value) key = argv[++i];
        else {
            bool help = strcmp(argv[i], "--help") == 0;
            for (int m = 0; manual[m]; m++) fputs(manual[m], help ? stdout : stderr);
            return help ? 0 : 2;
        }
    }
    prepare();
    run(listen_on(host, port));
    return 0;
}
