/* dev/load/main.c: many clients at once, and what they cost the server.
 *
 * One epoll; each connection sends its next request when the answer to the last
 * one is whole. What the server (--pid) used of the processor and of memory is
 * read before and after, so that the figure is the whole process, all threads,
 * and nothing of ours. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "answer.h"
#include "gauge.h"

static const char usage[] =
"load: many clients at once; prints one JSON object\n"
"  load --port N --path PATH [--method POST] [--header LINE]... [--body TEXT]\n"
"       [--clients N] [--requests N] [--warm N] [--seconds S] [--from N] [--modulo N]\n"
"       [--pid PID] [--stamps] [--hold [--hold-events N]]\n"
"  In path and body {n} is the number of the request, from --from on (0), {m} that\n"
"  number modulo --modulo (10), {r} a number from 0 to 99 that looks random.\n"
"  --warm N       so many requests first that are not counted\n"
"  --seconds S    no new request after so long\n"
"  --pid PID      the server: its CPU time and anonymous memory, before and after\n"
"  --stamps       the events carry microseconds (rehearsal's [[stamps]]): their age\n"
"  --hold         each client opens one stream and keeps it; when all have had\n"
"                 --hold-events events (1) the server's memory is read\n";

struct client {
    int fd;
    uint32_t events;
    int64_t began_us;
    bool asked, held;
    char *request;
    size_t request_len, sent;
    struct answer answer;
};

struct sample { uint32_t *us; size_t count, room; };

static struct {
    int port, clients, pid, hold_events;
    long requests, warm, from, modulo;
    double seconds;
    bool stamps, hold;
    const char *method, *path, *body;
    char headers[4096];
} want = {.clients = 1, .requests = 1, .method = NULL, .path = "/", .hold_events = 1, .modulo = 10};

static struct {
    long issued, limit, completed, errors, held;
    int64_t events, bytes, until_us;
    int running;
    long status[600];
    struct sample latency, first, age;
    char first_error[256];
} now;

static int epoll;
static long number;

static int64_t clock_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void sample_add(struct sample *sample, int64_t us)
{
    if (sample->count == sample->room) {
        sample->room = sample->room ? sample->room * 2 : 4096;
        sample->us = realloc(sample->us, sample->room * sizeof sample->us[0]);
        if (!sample->us) abort();
    }
    sample->us[sample->count++] = us < 0 ? 0 : (uint32_t)us;
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static void sample_print(const char *name, struct sample *sample)
{
    if (sample->count == 0) return;
    qsort(sample->us, sample->count, sizeof sample->us[0], by_size);
    printf(",\"%s_p50_us\":%u,\"%s_p99_us\":%u,\"%s_max_us\":%u", name, sample->us[sample->count / 2], name,
           sample->us[sample->count * 99 / 100], name, sample->us[sample->count - 1]);
}

/* ---- one client --------------------------------------------------------------- */

static void fail(struct client *client, const char *why)
{
    now.errors++;
    if (!now.first_error[0])
        snprintf(now.first_error, sizeof now.first_error, "%s (status %d)", why, client->answer.status);
}

static void watch(struct client *client, uint32_t events)
{
    if (events == client->events) return;
    struct epoll_event event = {.events = events, .data.ptr = client};
    epoll_ctl(epoll, client->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, client->fd, &event);
    client->events = events;
}

static void hang_up(struct client *client)
{
    if (client->fd >= 0) close(client->fd);
    client->fd = -1;
    client->events = 0;
}

static bool dial(struct client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)want.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0) return false;
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        hang_up(client);
        return false;
    }
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return true;
}

/* `text` with the numbers put in. */
static size_t fill(char *out, size_t room, const char *text, long n)
{
    size_t len = 0;
    while (*text && len + 32 < room) {
        bool known = text[0] == '{' && text[1] && strchr("nmr", text[1]) && text[2] == '}';
        if (!known) {
            out[len++] = *text++;
            continue;
        }
        long value = text[1] == 'n' ? n : text[1] == 'm' ? n % want.modulo : (n * 7919 + 13) % 100;
        len += (size_t)snprintf(out + len, room - len, "%ld", value);
        text += 3;
    }
    out[len] = 0;
    return len;
}

static void build(struct client *client)
{
    size_t room = strlen(want.path) + strlen(want.body) * 2 + strlen(want.headers) + 1024;
    char *request = malloc(room), *body = malloc(room), *path = malloc(room);
    if (!request || !body || !path) abort();
    size_t body_len = fill(body, room, want.body, number);
    fill(path, room, want.path, number);
    number++;
    int head = snprintf(request, room, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s", want.method, path, want.headers);
    size_t len = (size_t)head;
    if (body_len) len += (size_t)snprintf(request + len, room - len, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body_len);
    len += (size_t)snprintf(request + len, room - len, "\r\n%s", body);
    free(client->request);
    free(body);
    free(path);
    client->request = request;
    client->request_len = len;
}

static void push(struct client *client)
{
    while (client->sent < client->request_len) {
        ssize_t n = send(client->fd, client->request + client->sent, client->request_len - client->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) break;
        if (n <= 0) break;          /* the read says what is wrong */
        client->sent += (size_t)n;
    }
    watch(client, EPOLLIN | (client->sent < client->request_len ? EPOLLOUT : 0u));
}

/* The next request of this client, or rest. */
static void next(struct client *client)
{
    client->asked = false;
    if (now.issued >= now.limit || (now.until_us && clock_us(CLOCK_MONOTONIC) >= now.until_us)) {
        now.running--;
        return;
    }
    now.issued++;
    build(client);
    client->sent = 0;
    answer_start(&client->answer);
    client->began_us = clock_us(CLOCK_MONOTONIC);
    if (client->fd < 0 && !dial(client)) {
        fail(client, "cannot connect");
        now.running--;
        return;
    }
    client->asked = true;
    push(client);
}

static void on_line(void *arg, const char *line, size_t len)
{
    static const char key[] = "\"data\":\"";
    struct client *client = arg;
    if (client->answer.events == 1) sample_add(&now.first, clock_us(CLOCK_MONOTONIC) - client->began_us);
    if (!want.stamps) return;
    const char *at = memmem(line, len, key, sizeof key - 1);
    if (!at) return;
    long long stamp = strtoll(at + sizeof key - 1, NULL, 10);
    if (stamp > 1000000000000000) sample_add(&now.age, clock_us(CLOCK_REALTIME) - stamp);
}

static void whole(struct client *client)
{
    struct answer *answer = &client->answer;
    now.completed++;
    now.events += answer->events;
    if (answer->status > 0 && answer->status < 600) now.status[answer->status]++;
    if (answer->status >= 400 && !now.first_error[0])
        snprintf(now.first_error, sizeof now.first_error, "status %d", answer->status);
    sample_add(&now.latency, clock_us(CLOCK_MONOTONIC) - client->began_us);
    if (!answer->keep_alive || answer->until_close) hang_up(client);
    next(client);
}

static void take(struct client *client)
{
    static char buffer[262144];
    ssize_t n = recv(client->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        bool asked = client->asked;
        hang_up(client);
        if (!asked) return;
        if (client->answer.state == ANSWER_BODY && client->answer.until_close && n == 0) whole(client);
        else {
            fail(client, n == 0 ? "the server closed" : strerror(errno));
            next(client);
        }
        return;
    }
    now.bytes += n;
    answer_feed(&client->answer, buffer, (size_t)n, on_line, client);
    if (want.hold && !client->held && client->answer.events >= want.hold_events) {
        client->held = true;
        now.held++;
    }
    if (client->asked && client->answer.state == ANSWER_WHOLE) whole(client);
}

/* ---- phases ------------------------------------------------------------------------ */

/* What came meanwhile; how many events. */
static int serve(int wait_ms)
{
    static struct epoll_event events[512];
    int count = epoll_wait(epoll, events, 512, wait_ms);
    for (int i = 0; i < count; i++) {
        struct client *client = events[i].data.ptr;
        if (client->fd < 0) continue;
        if (events[i].events & EPOLLOUT) push(client);
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) take(client);
    }
    return count;
}

static void run(struct client *clients, long requests, int64_t until_us)
{
    now.issued = 0;
    now.limit = requests;
    now.until_us = until_us;
    now.running = want.clients;
    /* Dialled in bunches, so that no server's queue of new connections overflows. */
    for (int i = 0; i < want.clients; i++) {
        next(&clients[i]);
        if (i % 32 == 31) serve(1);
    }
    int64_t last_us = clock_us(CLOCK_MONOTONIC);
    while (now.running > 0 && !(want.hold && now.held + now.errors >= want.clients)) {
        if (serve(1000) > 0) {
            last_us = clock_us(CLOCK_MONOTONIC);
            continue;
        }
        /* A server that is silent for half a minute will not speak again. */
        if (clock_us(CLOCK_MONOTONIC) - last_us < 30000000) continue;
        now.errors += now.running;
        snprintf(now.first_error, sizeof now.first_error, "no answer for 30 seconds");
        return;
    }
}

static void forget(void)
{
    struct sample latency = now.latency, first = now.first, age = now.age;
    memset(&now, 0, sizeof now);
    latency.count = first.count = age.count = 0;
    now.latency = latency;
    now.first = first;
    now.age = age;
}

static void report(struct gauge before, struct gauge after, double seconds)
{
    printf("{\"completed\":%ld,\"errors\":%ld,\"seconds\":%.3f,\"per_second\":%.0f", now.completed, now.errors, seconds,
           seconds > 0 ? (double)now.completed / seconds : 0);
    sample_print("latency", &now.latency);
    sample_print("first_event", &now.first);
    sample_print("age", &now.age);
    printf(",\"events\":%lld,\"bytes\":%lld,\"status\":{", (long long)now.events, (long long)now.bytes);
    for (int i = 0, some = 0; i < 600; i++)
        if (now.status[i]) printf("%s\"%d\":%ld", some++ ? "," : "", i, now.status[i]);
    printf("}");
    if (want.hold) printf(",\"held\":%ld", now.held);
    if (now.first_error[0]) printf(",\"first_error\":\"%s\"", now.first_error);
    if (want.pid) {
        int64_t cpu = after.cpu_us - before.cpu_us;
        printf(",\"cpu_us\":%lld,\"anonymous_kb_before\":%lld,\"anonymous_kb_after\":%lld,\"resident_kb\":%lld,\"threads\":%lld",
               (long long)cpu, (long long)before.anonymous_kb, (long long)after.anonymous_kb,
               (long long)after.resident_kb, (long long)after.threads);
        if (now.completed) printf(",\"cpu_us_per_request\":%.2f", (double)cpu / (double)now.completed);
        if (now.events) printf(",\"cpu_us_per_event\":%.3f", (double)cpu / (double)now.events);
    }
    printf("}\n");
}

static bool option(const char *name, const char *value)
{
    if (strcmp(name, "--port") == 0) want.port = atoi(value);
    else if (strcmp(name, "--path") == 0) want.path = value;
    else if (strcmp(name, "--method") == 0) want.method = value;
    else if (strcmp(name, "--body") == 0) want.body = value;
    else if (strcmp(name, "--clients") == 0) want.clients = atoi(value);
    else if (strcmp(name, "--requests") == 0) want.requests = atol(value);
    else if (strcmp(name, "--warm") == 0) want.warm = atol(value);
    else if (strcmp(name, "--from") == 0) want.from = atol(value);
    else if (strcmp(name, "--modulo") == 0) want.modulo = atol(value);
    else if (strcmp(name, "--seconds") == 0) want.seconds = atof(value);
    else if (strcmp(name, "--pid") == 0) want.pid = atoi(value);
    else if (strcmp(name, "--hold-events") == 0) want.hold_events = atoi(value);
    else if (strcmp(name, "--header") == 0) {
        size_t len = strlen(want.headers);
        snprintf(want.headers + len, sizeof want.headers - len, "%s\r\n", value);
    } else return false;
    return true;
}

static bool options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--stamps") == 0) want.stamps = true;
        else if (strcmp(argv[i], "--hold") == 0) want.hold = true;
        else if (i + 1 < argc && option(argv[i], argv[i + 1])) i++;
        else return false;
    }
    if (!want.method) want.method = want.body ? "POST" : "GET";
    if (!want.body) want.body = "";
    if (want.hold) want.requests = want.clients;
    if (want.clients > want.requests && !want.hold) want.clients = (int)want.requests;
    return want.port > 0 && want.clients > 0 && want.modulo > 0;
}

int main(int argc, char **argv)
{
    if (!options(argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    number = want.from;

    struct client *clients = calloc((size_t)want.clients, sizeof clients[0]);
    if (!clients) abort();
    for (int i = 0; i < want.clients; i++) clients[i].fd = -1;
    if (want.warm) run(clients, want.warm, 0);
    forget();

    struct gauge before = gauge_read(want.pid);
    int64_t began_us = clock_us(CLOCK_MONOTONIC);
    run(clients, want.requests, want.seconds > 0 ? began_us + (int64_t)(want.seconds * 1e6) : 0);
    double seconds = (double)(clock_us(CLOCK_MONOTONIC) - began_us) / 1e6;
    report(before, gauge_read(want.pid), seconds);
    return now.errors > 0 || now.completed + now.held == 0;
}
