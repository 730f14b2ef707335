/* model.c: the scripted model (dev/rehearsal), one for all plays. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "flow/play.h"

static struct program model = {.out = -1};
static char address[64];

static void end_model(void) { program_end(&model); }

const char *model_address(void)
{
    if (model.pid > 0) return address;
    const char *const args[] = {program_path("rehearsal"), "--port", "0", "--die-with-parent", 0};
    program_start(&model, args, 0, "/dev/null");
    atexit(end_model);
    const char *line = program_line(&model);
    const char *at = line ? strstr(line, "http://") : 0;
    CHECK(at);
    snprintf(address, sizeof address, "%.*s", (int)strcspn(at + 7, "/"), at + 7);
    return address;
}

/* A small request of our own, not recorded: whole answer in the arena, its status returned. */
static int ask_model(const char *what, const char **body)
{
    const char *colon = strchr(model_address(), ':');
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    const char *request = f("%s HTTP/1.1\r\nHost: model\r\nConnection: close\r\n%s\r\n", what,
                            what[0] == 'P' ? "Content-Length: 0\r\n" : "");
    CHECK(send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request));
    struct buf in = {0};
    char part[4096];
    for (;;) {
        ssize_t got = recv(fd, part, sizeof part, 0);
        if (got < 0) {
            close(fd);
            buf_free(&in);
            check_time();
            test_fail(__FILE__, __LINE__, "the model does not answer");
        }
        if (got == 0) break;
        buf_add(&in, part, (size_t)got);
    }
    close(fd);
    const char *answer = str_z(test_arena(), buf_str(&in));
    buf_free(&in);
    *body = strstr(answer, "\r\n\r\n") ? strstr(answer, "\r\n\r\n") + 4 : "";
    return atoi(answer + 9);
}

static struct json parsed(const char *body)
{
    struct json json;
    struct json_fault fault;
    if (failed(json_parse(test_arena(), str(body), &json, &fault)))
        test_fail(__FILE__, __LINE__, f("the model says: %.300s", body));
    return json;
}

void model_waits_at(struct play *play, const char *want, const char *file, int line)
{
    const char *body;
    int status = ask_model(f("GET /wait?tag=%s&%s&timeout_ms=20000", play->tag, want), &body);
    if (status != 200) test_fail(file, line, f("the model never had %s: %s", want, body));
}

long model_count(struct play *play, const char *counter)
{
    const char *body;
    ask_model(f("GET /stats?tag=%s", play->tag), &body);
    struct json count = json_get(parsed(body), counter);
    CHECK(json_type(count) == JSON_INT);
    return (long)json_int(count);
}

void model_mark(struct play *play)
{
    const char *body;
    ask_model(f("POST /mark?tag=%s", play->tag), &body);
}

void model_gate(struct play *play, const char *name)
{
    const char *body;
    ask_model(f("POST /gate?name=%s-%s", play->tag, name), &body);
}

struct json model_heard(struct play *play)
{
    const char *body;
    ask_model(f("GET /last?tag=%s", play->tag), &body);
    return parsed(body);
}
