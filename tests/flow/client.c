#include "flow/client.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include "flow/play.h"

const char *f(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    CHECK(vasprintf(&text, format, args) >= 0);
    va_end(args);
    const char *kept = str_z(test_arena(), str(text));
    free(text);
    return kept;
}

const char *q(const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    CHECK(vasprintf(&text, format, args) >= 0);
    va_end(args);
    for (char *at = text; *at; at++) if (*at == '\'') *at = '"';
    const char *kept = str_z(test_arena(), str(text));
    free(text);
    return kept;
}

void expected(struct client *c, const char *file, int line, const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    CHECK(vasprintf(&text, format, args) >= 0);
    va_end(args);
    printf("  %s %s -> %d %s\n", c->method ? c->method : "", c->target ? c->target : "", c->status,
           c->is_cut ? "(cut)" : "");
    printf("  %.1500s\n", c->body.at ? body_of(c) : "");
    const char *what = f("expected %s", text);
    free(text);
    test_fail(file, line, what);
}

/* ---- the connection --------------------------------------------------------- */

static void hang_up(struct client *c)
{
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->in.count = 0;
}

void leaves(struct client *c)
{
    record(c);
    hang_up(c);
    c->is_ended = true;
}

/* The server may have closed a connection that lay idle. */
static bool is_stale(struct client *c)
{
    char one;
    ssize_t got = recv(c->fd, &one, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

static void connects(struct client *c)
{
    if (c->fd >= 0 && (!c->is_ended || c->is_closing || is_stale(c))) hang_up(c);
    if (c->fd >= 0) return;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)c->play->server->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(c->fd >= 0);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0) {
        check_time();
        hang_up(c);
        expected(c, __FILE__, __LINE__, "a connection to %s, not: %s", c->play->server->address, strerror(errno));
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

/* A server that refuses a body answers and stops reading: then the answer counts. */
static void writes(struct client *c, struct str bytes)
{
    while (bytes.count > 0) {
        ssize_t put = send(c->fd, bytes.at, bytes.count, MSG_NOSIGNAL);
        if (put < 0) check_time();
        if (put <= 0) return;
        bytes = str_cut(bytes, (size_t)put, bytes.count);
    }
}

/* ---- asking ------------------------------------------------------------------ */

static void forget_answer(struct client *c)
{
    c->status = 0;
    c->head = c->type = "";
    c->body.count = 0;
    c->is_chunked = c->is_cut = c->is_closing = false;
    c->left = 0;
    c->json = (struct json){0};
    c->parsed = 0;
    c->next_id = c->next_data = 0;
    c->events_count = c->events_seen = c->heartbeats = 0;
}

void sends_raw(struct client *c, const char *method, const char *target, struct str bytes)
{
    record(c);
    if (bytes.count > 0) connects(c);
    forget_answer(c);
    c->method = method;
    c->target = target;
    c->is_recorded = c->is_ended = false;
    writes(c, bytes);
}

void sends_bytes(struct client *c, const char *what, struct str body)
{
    const char *space = strchr(what, ' ');
    CHECK(space);
    record(c); /* a stream that is given up, with the body that it came from */
    const char *method = str_z(test_arena(), str_n(what, (size_t)(space - what)));
    struct buf request = {0};
    buf_addf(&request, "%s HTTP/1.1\r\nHost: %s\r\n", what, c->play->server->address);
    if (c->key) buf_addf(&request, "x-api-key: %s\r\n", c->key);
    if (body.count > 0 && c->content_type) buf_addf(&request, "Content-Type: %s\r\n", c->content_type);
    bool has_body = body.count > 0 || !strcmp(method, "POST") || !strcmp(method, "PATCH") || !strcmp(method, "PUT");
    if (has_body) buf_addf(&request, "Content-Length: %zu\r\n", body.count);
    buf_addf(&request, "%s\r\n", c->more_headers);
    buf_add_str(&request, body);
    c->request_body = body.count <= 1 << 20 ? str_copy(test_arena(), body) : S("");
    sends_raw(c, method, f("%s", space + 1), buf_str(&request));
    buf_free(&request);
}

void sends(struct client *c, const char *what, const char *body) { sends_bytes(c, what, str(body)); }

/* ---- hearing ------------------------------------------------------------------ */

/* More bytes from the server; false at the end. */
static bool reads(struct client *c)
{
    CHECK(buf_reserve(&c->in, 1 << 16));
    ssize_t got = c->fd < 0 ? 0 : recv(c->fd, c->in.at + c->in.count, 1 << 16, 0);
    if (got < 0) check_time();
    if (got <= 0) return false;
    c->in.count += (size_t)got;
    return true;
}

const char *header_of(struct client *c, const char *name)
{
    size_t count = strlen(name);
    for (const char *line = c->head; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : 0)
        if (!strncasecmp(line, name, count) && line[count] == ':') {
            const char *value = line + count + 1;
            while (*value == ' ') value++;
            return str_z(test_arena(), str_n(value, strcspn(value, "\r\n")));
        }
    return 0;
}

static void reads_head(struct client *c)
{
    char *end;
    while (!(end = c->in.count ? memmem(c->in.at, c->in.count, "\r\n\r\n", 4) : 0)) {
        if (c->in.count > 1 << 17) expected(c, __FILE__, __LINE__, "an end of the head");
        if (!reads(c)) {
            c->is_ended = c->is_cut = true;
            return;
        }
    }
    size_t count = (size_t)(end - c->in.at) + 4;
    c->head = str_z(test_arena(), str_n(c->in.at, count));
    buf_drop_front(&c->in, count);
    if (strncmp(c->head, "HTTP/1.1 ", 9) != 0) expected(c, __FILE__, __LINE__, "HTTP/1.1, not %.40s", c->head);
    c->status = atoi(c->head + 9);
    if (c->status == 100) {
        reads_head(c); /* at most once: a second one has another status */
        return;
    }
    const char *type = header_of(c, "content-type"), *length = header_of(c, "content-length");
    const char *encoding = header_of(c, "transfer-encoding"), *connection = header_of(c, "connection");
    c->type = type ? type : "";
    c->is_chunked = encoding && !strcasecmp(encoding, "chunked");
    c->is_closing = connection && !strcasecmp(connection, "close");
    c->left = c->is_chunked ? 0 : length ? atoll(length) : -1;
    if (c->status == 204 || !strcmp(c->method, "HEAD")) c->left = 0, c->is_chunked = false;
    c->is_ended = !c->is_chunked && c->left == 0;
}

static void takes(struct client *c, size_t count)
{
    buf_add(&c->body, c->in.at, count);
    buf_drop_front(&c->in, count);
}

/* Decode what is there. True when something was taken, or the body ended. */
static bool decodes(struct client *c)
{
    if (c->in.count == 0 && !(c->left == 0 && !c->is_chunked)) return false;
    if (c->left > 0 || (c->left < 0 && !c->is_chunked)) {
        size_t count = c->left < 0 || (long long)c->in.count < c->left ? c->in.count : (size_t)c->left;
        takes(c, count);
        if (c->left > 0) c->left -= (long long)count;
        if (c->left == 0) {
            if (c->is_chunked) c->left = -2; /* the line's end after a chunk */
            else c->is_ended = true;
        }
        return true;
    }
    char *end = memmem(c->in.at, c->in.count, "\r\n", 2);
    if (!end) return false;
    size_t line = (size_t)(end - c->in.at) + 2;
    if (c->left == -2) {
        CHECK(line == 2);
        c->left = 0;
    } else if (c->left == -3) {
        c->is_ended = true;
    } else {
        c->left = strtoll(c->in.at, 0, 16);
        if (c->left == 0) c->left = -3; /* the empty line after the last chunk */
    }
    buf_drop_front(&c->in, line);
    return true;
}

/* More of the body; false when it is over. */
static bool more(struct client *c)
{
    for (;;) {
        if (c->is_ended) return false;
        size_t before = c->body.count;
        while (!c->is_ended && decodes(c))
            ;
        if (c->body.count > before) return true;
        if (c->is_ended) return false;
        if (!reads(c)) {
            c->is_cut = c->is_chunked || c->left > 0;
            c->is_ended = c->is_closing = true;
            return false;
        }
    }
}

int status_of(struct client *c)
{
    if (c->status == 0) {
        reads_head(c);
        bool is_stream = !strncmp(c->type, "text/event-stream", 17);
        while (!is_stream && more(c))
            ;
        struct json_fault fault;
        if (!is_stream && c->body.count > 0) {
            struct err e = json_parse(test_arena(), str_copy(test_arena(), buf_str(&c->body)), &c->json, &fault);
            if (failed(e)) c->json = (struct json){0};
        }
        if (!is_stream) record(c);
        if (c->is_ended && c->is_closing) hang_up(c);
    }
    return c->status;
}

void gets_status_at(struct client *c, int status, const char *file, int line)
{
    if (status_of(c) != status) expected(c, file, line, "the status %d", status);
}

const char *body_of(struct client *c) { return str_z(test_arena(), buf_str(&c->body)); }

/* ---- events -------------------------------------------------------------------- */

static void ends_event(struct client *c)
{
    if (!c->next_data) return;
    if (!c->events) c->events = calloc(EVENTS_MAX, sizeof *c->events);
    CHECK(c->events && c->events_count < EVENTS_MAX);
    struct event *event = &c->events[c->events_count++];
    struct json_fault fault;
    *event = (struct event){.id = c->next_id ? c->next_id : ""};
    if (failed(json_parse(test_arena(), str(c->next_data), &event->json, &fault)))
        expected(c, __FILE__, __LINE__, "an event's data to be JSON, not: %.200s", c->next_data);
    event->type = str_z(test_arena(), json_text(json_get(event->json, "type")));
    event->task = str_z(test_arena(), json_text(json_get(event->json, "task_id")));
    event->data = json_get(event->json, "data");
    c->next_id = c->next_data = 0;
}

static void reads_line(struct client *c, struct str line)
{
    if (line.count == 0) ends_event(c);
    else if (line.at[0] == ':') c->heartbeats++;
    else if (str_starts(line, S("id: "))) c->next_id = str_z(test_arena(), str_cut(line, 4, line.count));
    else if (str_starts(line, S("data: "))) c->next_data = str_z(test_arena(), str_cut(line, 6, line.count));
    else expected(c, __FILE__, __LINE__, "a line of an event, not: %.*s", STR_ARGS(line));
}

/* One line further; false at the end. */
static bool next_line(struct client *c)
{
    for (;;) {
        char *at = c->body.at ? c->body.at + c->parsed : 0;
        char *end = at ? memchr(at, '\n', c->body.count - c->parsed) : 0;
        if (end) {
            c->parsed += (size_t)(end - at) + 1;
            reads_line(c, str_n(at, (size_t)(end - at)));
            return true;
        }
        if (!more(c)) {
            record(c);
            return false;
        }
    }
}

struct event *next_event(struct client *c)
{
    if (status_of(c) != 200) expected(c, __FILE__, __LINE__, "a stream");
    while (c->events_seen == c->events_count)
        if (!next_line(c)) return 0;
    return &c->events[c->events_seen++];
}

struct event *gets_event_at(struct client *c, const char *type, const char *file, int line)
{
    for (struct event *event; (event = next_event(c));)
        if (!strcmp(event->type, type)) return event;
    expected(c, file, line, "the event %s before the end", type);
}

void gets_said_at(struct client *c, const char *text, const char *file, int line)
{
    for (struct event *event; (event = next_event(c));) {
        const char *all = said(c, 0);
        size_t count = strlen(text), have = strlen(all);
        if (!strcmp(event->type, "chunk") && have >= count && !strcmp(all + have - count, text)) return;
    }
    expected(c, file, line, "'%s' to be said before the end", text);
}

void gets_end_at(struct client *c, const char *file, int line)
{
    while (next_event(c))
        ;
    if (c->is_cut) expected(c, file, line, "a proper end of the stream");
    if (c->next_data) expected(c, file, line, "a whole last event");
    keeps_order(c);
}

void gets_heartbeats(struct client *c, int count)
{
    status_of(c);
    for (int until = c->heartbeats + count; c->heartbeats < until;)
        if (!next_line(c)) expected(c, __FILE__, __LINE__, "a heartbeat before the end");
}

const char *said(struct client *c, int from)
{
    struct buf text = {0};
    const char *own = c->events_count > 0 ? c->events[0].task : "";
    for (int i = from; i < c->events_count; i++)
        if (!strcmp(c->events[i].type, "chunk") && !strcmp(c->events[i].task, own))
            buf_add_str(&text, json_text(c->events[i].data));
    const char *kept = str_z(test_arena(), buf_str(&text));
    buf_free(&text);
    return kept;
}

const char *types_of(struct client *c)
{
    struct buf text = {0};
    for (int i = 0; i < c->events_count; i++)
        if (i == 0 || strcmp(c->events[i].type, c->events[i - 1].type) != 0)
            buf_addf(&text, "%s%s", i ? " " : "", c->events[i].type);
    const char *kept = str_z(test_arena(), buf_str(&text));
    buf_free(&text);
    return kept;
}

const char *task_of(struct client *c)
{
    if (status_of(c) == 200 && !strncmp(c->type, "text/event-stream", 17)) {
        while (c->events_count == 0)
            if (!next_line(c)) expected(c, __FILE__, __LINE__, "an event that names the task");
        return c->events[0].task;
    }
    return text_at(c, "id");
}
