/* tests/unit/llm/play.h: a model's server is played by the test's own fiber; another fiber asks it.
 *
 * The clock stands still unless the play moves it, so every limit is met to the millisecond. What
 * does not happen fails the test after a number of turns of the loop. */
#pragma once
#include <poll.h>
#include <stdio.h>
#include "../net/far.h"
#include "base/clock.h"
#include "io/loop.h"
#include "io/scope.h"
#include "io/wait.h"
#include "llm/turn.h"
#include "test.h"

static const char key[] = "sk-canary-0123456789abcdef-WXYZ";

enum { TURNS_MAX = 50000 };

struct play {
    struct ctx *cx;
    struct far far;
    struct llm llm;
    struct llm_provider provider;
    struct llm_model model;
    struct llm_message message;
    struct llm_dialogue dialogue;
    struct scope scope;
    struct ctx inner;
    struct buf said;
    int pieces_count;
    struct llm_turn turn;
    struct err outcome;
    bool is_over;
    struct deaf_side deaf;
};

/* ---- the asking side ---------------------------------------------------------------- */
static inline void keep(void *arg, struct str piece)
{
    struct play *p = arg;
    CHECK(piece.count > 0 && str_is_utf8(piece));
    buf_add_str(&p->said, piece);
    p->pieces_count++;
}

static inline struct err asks(struct ctx *cx, void *arg)
{
    struct play *p = arg;
    struct ctx mine = *cx;
    mine.arena = test_arena(); /* what comes back is looked at after this fiber */
    p->outcome = llm_turn(&mine, &p->llm, &p->model, &p->dialogue, keep, p, &p->turn);
    p->is_over = true;
    return OK;
}

static inline void begins(struct play *p)
{
    p->inner = scope_open(&p->scope, p->cx);
    p->is_over = false;
    p->said.count = 0;
    p->pieces_count = 0;
    CHECK_OK(scope_spawn(&p->inner, asks, p));
}

static inline void ends(struct play *p)
{
    for (int i = 0; i < TURNS_MAX && !p->is_over; i++) CHECK_OK(wait_turn(p->cx));
    CHECK(p->is_over);
    CHECK_OK(scope_close(&p->inner));
    CHECK(client_counts(p->llm.client).transfers_open == 0);
}

static inline void ends_well(struct play *p, const char *text)
{
    ends(p);
    CHECK_OK(p->outcome);
    CHECK(str_is(p->turn.text, text) && str_eq(p->turn.text, buf_str(&p->said)));
}

static inline void ends_badly(struct play *p, enum err_code code, const char *sentence)
{
    ends(p);
    if (p->outcome.code != code || strcmp(p->outcome.what, sentence) != 0)
        test_fail(__FILE__, __LINE__, arena_printf(test_arena(), "%d: %s", p->outcome.code, failed(p->outcome) ? p->outcome.what : "no error"));
}

static inline void settles(struct play *p)
{
    for (int i = 0; i < 40; i++) CHECK_OK(wait_turn(p->cx));
}

static inline void passes(struct play *p, int64_t ms)
{
    loop_test_advance(p->cx->loop, ms);
    settles(p);
}

/* ---- the answering side ----------------------------------------------------------------- */
static inline struct str is_asked(struct play *p)
{
    struct pollfd called = {.fd = p->far.fd < 0 ? p->far.listener : p->far.fd, .events = POLLIN};
    for (int i = 0; i < TURNS_MAX && poll(&called, 1, 0) == 0; i++) CHECK_OK(wait_turn(p->cx));
    CHECK(called.revents);
    if (p->far.fd < 0) far_accepts(p->cx, &p->far);
    return far_gets(p->cx, &p->far);
}

static inline void says(struct play *p, const char *text) { far_says(p->cx, &p->far, text); }

static inline void says_chunk(struct play *p, const char *text)
{
    says(p, arena_printf(test_arena(), "%zx\r\n%s\r\n", strlen(text), text));
}

#define TEXT(T) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" T "\"}}]}\n\n"
#define FINISH "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n"
#define DONE "data: [DONE]\n\n"
static inline void begins_stream(struct play *p)
{
    says(p, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n");
}
static inline void answers(struct play *p, const char *text)
{
    begins_stream(p);
    says_chunk(p, arena_printf(test_arena(), TEXT("%s") FINISH USAGE DONE, text));
    says(p, "0\r\n\r\n");
}
static inline void answers_status(struct play *p, const char *status, const char *fields, const char *body)
{
    says(p, arena_printf(test_arena(), "HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s", status, fields, strlen(body), body));
}

static inline bool is_asked_again(struct play *p)
{
    settles(p);
    return far_is_called(&p->far);
}

static inline struct err runs(struct ctx *cx, void *arg);
struct script {
    void (*run)(struct play *);
};
static inline void plays(void (*run)(struct play *))
{
    struct script script = {run};
    clock_test_freeze(1764000000000000);
    CHECK_OK(loop_run(runs, &script));
    clock_test_thaw();
}

static inline struct err runs(struct ctx *cx, void *arg)
{
    static struct play p;
    p = (struct play){.cx = cx};
    far_listen(&p.far);
    p.provider = *llm_provider_named(S("openai"));
    p.provider.title = "Acme";
    p.model = (struct llm_model){.provider = &p.provider, .name = S("m"), .key = str(key), .is_operators = true};
    p.model.base = strf(test_arena(), "http://127.0.0.1:%d/v1/", p.far.port);
    p.message = (struct llm_message){.role = LLM_USER, .text = S("hi")};
    p.dialogue = (struct llm_dialogue){.messages = &p.message, .temperature = -1};
    p.llm.client = client_open_pool(cx->loop, S(""));
    p.llm.guard = guard_open(cx->loop, S(""));
    p.llm.limits = (struct llm_limits){.connect_ms = 10000, .first_token_ms = 120000, .silence_ms = 60000, .turn_ms = 600000, .retry_first_ms = 500,
                                       .retry_wait_ms = 8000, .tries = 3, .answer_bytes_max = 100000, .calls_max = 4};
    ((struct script *)arg)->run(&p);
    far_close(&p.far);
    client_close_pool(p.llm.client);
    guard_close(p.llm.guard);
    buf_free(&p.said);
    return OK;
}
