#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "crash.h"

enum { POLLED = 512, PATIENCE_MS = 30000 };
enum { AFTER_CHUNK = -2, LAST_CHUNK = -3 }; /* line.left: the line's end behind a chunk; the one behind the last */

const char *peer_key;
static int listening = -1, model_port;
static struct line *lines;
static struct talker *talkers;

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void peer_open(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(listening, (struct sockaddr *)&at, size) || listen(listening, 128) || getsockname(listening, (struct sockaddr *)&at, &size))
        trouble("no socket for the model");
    model_port = ntohs(at.sin_port);
}

int peer_model_port(void) { return model_port; }

static void line_free(struct line *line)
{
    if (line->fd >= 0) close(line->fd);
    buf_free(&line->in);
    buf_free(&line->body);
    free(line);
}

void peer_close(void)
{
    while (lines) {
        struct line *next = lines->next;
        line_free(lines);
        lines = next;
    }
    while (talkers) {
        struct talker *next = talker_next(talkers);
        talker_free(talkers);
        talkers = next;
    }
}

/* ---- an answer ------------------------------------------------------------------ */

static void take_head(struct line *line)
{
    char *end = line->in.count ? memmem(line->in.at, line->in.count, "\r\n\r\n", 4) : NULL;
    if (!end) return;
    size_t count = (size_t)(end - line->in.at) + 4;
    char *head = str_z(test_arena(), str_n(line->in.at, count));
    const char *length = strcasestr(head, "\r\ncontent-length: ");
    line->status = atoi(head + 9);
    line->is_chunked = strcasestr(head, "\r\ntransfer-encoding: chunked") != NULL;
    line->left = line->is_chunked ? 0 : length ? atol(length + 18) : 0;
    line->has_head = true;
    line->is_whole = !line->is_chunked && line->left == 0;
    buf_drop_front(&line->in, count);
}

/* One piece further; false: more bytes are needed. */
static bool take_body(struct line *line)
{
    if (line->left > 0) {
        size_t count = line->in.count < (size_t)line->left ? line->in.count : (size_t)line->left;
        buf_add(&line->body, line->in.at, count);
        buf_drop_front(&line->in, count);
        line->left -= (long)count;
        if (line->left == 0 && line->is_chunked) line->left = AFTER_CHUNK;
        else if (line->left == 0) line->is_whole = true;
        return count > 0;
    }
    char *end = line->in.count ? memmem(line->in.at, line->in.count, "\r\n", 2) : NULL;
    if (!end) return false;
    if (line->left == LAST_CHUNK) line->is_whole = true;
    else if (line->left == AFTER_CHUNK) line->left = 0;
    else if ((line->left = strtol(line->in.at, NULL, 16)) == 0) line->left = LAST_CHUNK;
    buf_drop_front(&line->in, (size_t)(end - line->in.at) + 2);
    return true;
}

/* Read what is there. */
static void line_reads(struct line *line)
{
    ssize_t got = 0;
    do {
        if (!buf_reserve(&line->in, 16384)) trouble("no memory");
        got = recv(line->fd, line->in.at + line->in.count, 16384, MSG_DONTWAIT);
        if (got > 0) line->in.count += (size_t)got;
    } while (got > 0);
    bool is_end = got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
    if (!line->has_head) take_head(line);
    while (line->has_head && !line->is_whole && take_body(line))
        ;
    if (line->is_whole || is_end) {
        line->is_over = true;
        close(line->fd);
        line->fd = -1;
    }
    if (line->hears) line->hears(line);
}

struct line *line_open(const char *method, const char *target, const char *headers, const char *body,
                       void (*hears)(struct line *), void *of)
{
    struct line *line = calloc(1, sizeof *line);
    struct buf request = {0};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)child.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (!line) trouble("no memory");
    *line = (struct line){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .hears = hears, .of = of, .next = lines};
    lines = line;
    buf_addf(&request, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nx-api-key: %s\r\n%s", method, target, peer_key, headers);
    if (*body) buf_addf(&request, "Content-Type: application/json\r\n");
    if (method[0] == 'P') buf_addf(&request, "Content-Length: %zu\r\n", strlen(body));
    buf_addf(&request, "\r\n%s", body);
    /* Nobody there: it is dead, and nothing was asked. */
    if (connect(line->fd, (struct sockaddr *)&to, sizeof to) == 0)
        (void)!send(line->fd, request.at, request.count, MSG_NOSIGNAL);
    buf_free(&request);
    return line;
}

/* ---- the loop -------------------------------------------------------------------- */

static void accept_talkers(void)
{
    for (int fd; (fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct talker *t = talker_new(fd);
        talker_link(t, talkers);
        talkers = t;
    }
}

/* All of them at each round: they are few, and what was asked is heard before the answers that came later. */
static void talkers_go_on(void)
{
    struct talker *kept = NULL;
    for (struct talker *t = talkers, *next; t; t = next) {
        next = talker_next(t);
        if (!talker_hears(t)) {
            talker_free(t);
            continue;
        }
        talker_goes_on(t);
        talker_link(t, kept);
        kept = t;
    }
    talkers = kept;
}

static void sweep_lines(void)
{
    for (struct line **at = &lines; *at;) {
        struct line *line = *at;
        if (!line->is_over || line->hears == NULL) { /* ask() takes its own */
            at = &line->next;
            continue;
        }
        *at = line->next;
        line_free(line);
    }
}

bool pump(int ms)
{
    struct pollfd polled[POLLED];
    struct line *of[POLLED];
    int count = 0;
    bool is_alive = child_is_alive(); /* asked before reading, so that what it said last is read */
    polled[count++] = (struct pollfd){.fd = listening, .events = POLLIN};
    polled[count++] = (struct pollfd){.fd = child.out, .events = POLLIN};
    for (struct talker *t = talkers; t && count < POLLED; t = talker_next(t))
        polled[count++] = (struct pollfd){.fd = talker_fd(t), .events = POLLIN};
    int first = count;
    for (struct line *line = lines; line && count < POLLED; line = line->next) {
        if (line->is_over) continue;
        of[count] = line;
        polled[count++] = (struct pollfd){.fd = line->fd, .events = POLLIN};
    }
    if (count == POLLED) trouble("too many lines");
    poll(polled, (nfds_t)count, is_alive ? ms : 0);
    accept_talkers();
    talkers_go_on();
    if (polled[1].revents && child.out >= 0) child_hears();
    for (int i = first; i < count; i++)
        if (polled[i].revents || !is_alive) line_reads(of[i]);
    sweep_lines();
    return is_alive;
}

bool peer_is_quiet(void) { return lines == NULL; }

/* ---- asking ---------------------------------------------------------------------- */

static struct buf answer;

int ask(const char *method, const char *target, const char *body)
{
    int64_t until = now_ms() + PATIENCE_MS;
    struct line *line = line_open(method, target, "", body, NULL, NULL);
    while (!line->is_over && pump(50))
        if (now_ms() > until) trouble("%s %s is not answered", method, target);
    int status = line->is_whole ? line->status : 0;
    buf_free(&answer);
    answer = line->body;
    line->body = (struct buf){0};
    struct line **at = &lines;
    while (*at != line) at = &(*at)->next;
    *at = line->next;
    line_free(line);
    return status;
}

struct json answer_json(void)
{
    struct json json;
    struct json_fault fault;
    struct str text = str_copy(test_arena(), buf_str(&answer));
    if (failed(json_parse(test_arena(), text, &json, &fault))) trouble("no JSON: %.*s", STR_ARGS(text));
    return json;
}

const char *text_of(struct json of, const char *name) { return str_z(test_arena(), json_text(json_get(of, name))); }
