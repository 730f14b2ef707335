#include "stage.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include "io/loop.h"

int descriptors_open(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir);
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

static struct err read_all(struct ctx *cx, struct caller *c, struct transfer *t)
{
    for (bool is_end = false; !is_end;) {
        struct str bytes;
        struct err e = transfer_read(cx, t, c->silence_ms, &bytes, &is_end);
        c->was_silent = transfer_is_silent(t);
        TRY(e);
        buf_add_str(&c->body, bytes);
    }
    return OK;
}

static struct err call_once(struct ctx *cx, void *arg)
{
    struct caller *c = arg;
    struct transfer *t;
    struct err e = client_open(cx, c->stage->client, &c->out, &t);
    if (!failed(e)) {
        c->has_head = true;
        c->status = transfer_status(t);
        while (c->holds_back && !c->is_let_go && !failed(e)) e = gate_wait(cx, &c->go, "the test");
        if (!failed(e)) e = read_all(cx, c, t);
        transfer_close(t);
    }
    c->outcome = e;
    snprintf(c->what, sizeof c->what, "%s", e.what ? e.what : "");
    c->is_back = true;
    return OK;
}
static struct err call_main(struct ctx *cx, void *arg)
{
    struct caller *c = arg;
    struct ctx inner = scope_open(&c->scope, cx);
    CHECK_OK(scope_spawn(&inner, call_once, c));
    CHECK_OK(scope_close(&inner));
    c->is_over = true;
    return OK;
}

/* A GET of the peer's /x unless the test changes it. */
void call_to(struct caller *c, struct stage *s, const char *scheme, const char *host, int port)
{
    *c = (struct caller){.stage = s, .out = {.method = "GET"}, .address = {.port = port}};
    snprintf(c->url, sizeof c->url, "%s://%s:%d/x", scheme, host, port);
    snprintf(c->address.host, sizeof c->address.host, "%s", host);
    snprintf(c->address.addresses, sizeof c->address.addresses, "127.0.0.1");
    c->out.url = str(c->url);
    c->out.address = &c->address;
}
void calls(struct caller *c, struct stage *s)
{
    call_to(c, s, "http", "127.0.0.1", s->far.port);
}
void goes(struct caller *c) { CHECK_OK(scope_spawn(&c->stage->inner, call_main, c)); }
void ends(struct ctx *cx, struct caller *c)
{
    int turns = 0;
    while (!c->is_over) far_turn(cx, &turns);
}
void is_fine(struct ctx *cx, struct caller *c, const char *body)
{
    ends(cx, c);
    if (failed(c->outcome)) test_fail(__FILE__, __LINE__, c->what);
    CHECK(str_is(buf_str(&c->body), body));
    buf_free(&c->body);
}
void fails_beginning(struct ctx *cx, struct caller *c, enum err_code code, const char *what)
{
    ends(cx, c);
    if (c->outcome.code != code || strncmp(c->what, what, strlen(what)) != 0) test_fail(__FILE__, __LINE__, strdup(c->what));
    buf_free(&c->body);
}
void fails_with(struct ctx *cx, struct caller *c, enum err_code code, const char *what)
{
    ends(cx, c);
    if (c->outcome.code != code || strcmp(c->what, what) != 0) test_fail(__FILE__, __LINE__, strdup(c->what));
    buf_free(&c->body);
}
/* Cancelled, the caller comes back before anything else can happen on the loop, and its socket is closed. */
void is_cancelled(struct ctx *cx, struct caller *c)
{
    int64_t read_before = client_counts(c->stage->client).bytes_read_total;
    scope_cancel(&c->scope);
    CHECK_OK(wait_turn(cx));
    CHECK(c->is_back && c->outcome.code == ERR_CANCELLED);
    struct client_counts now = client_counts(c->stage->client);
    CHECK(now.sockets_open == 0 && now.transfers_open == 0 && now.bytes_read_total == read_before);
    ends(cx, c);
    buf_free(&c->body);
}

static struct err play_main(struct ctx *cx, void *arg)
{
    const struct play *p = arg;
    struct stage s = {.descriptors = descriptors_open()};
    if (p->authorities) setenv("SSL_CERT_FILE", p->authorities, 1);
    s.client = client_open_pool(cx->loop, str(p->proxy));
    unsetenv("SSL_CERT_FILE");
    CHECK(s.client);
    far_listen(&s.far);
    s.inner = scope_open(&s.scope, cx);
    p->run(cx, &s);
    CHECK_OK(scope_close(&s.inner));
    far_close(&s.far);
    CHECK(client_counts(s.client).transfers_open == 0);
    client_close_pool(s.client);
    CHECK(descriptors_open() == s.descriptors);
    return OK;
}
void answers(struct ctx *cx, struct far *p, const char *body)
{
    far_gets(cx, p);
    far_says(cx, p, strf(test_arena(), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body).at);
}

void play_with(const struct play *p)
{
    struct play own = *p;
    CHECK_OK(loop_run(play_main, &own));
}
void play(void (*run)(struct ctx *, struct stage *)) { play_with(&(struct play){.run = run}); }
