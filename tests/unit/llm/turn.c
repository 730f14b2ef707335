/* A model's server is played by the test's own fiber; another fiber asks it. The clock stands still
 * unless the play moves it. */
#include "llm/turn.h"
#include <stdio.h>
#include "../net/far.h"
#include "base/clock.h"
#include "io/loop.h"
#include "io/scope.h"
#include "io/wait.h"
#include "llm/answer.h"
#include "test.h"

static const char key[] = "sk-canary-0123456789abcdef-WXYZ";

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
static void keep(void *arg, struct str piece)
{
    struct play *p = arg;
    CHECK(piece.count > 0 && str_is_utf8(piece));
    buf_add_str(&p->said, piece);
    p->pieces_count++;
}

static struct err asks(struct ctx *cx, void *arg)
{
    struct play *p = arg;
    struct ctx mine = *cx;
    mine.arena = test_arena(); /* what comes back is looked at after this fiber */
    p->outcome = llm_turn(&mine, &p->llm, &p->model, &p->dialogue, keep, p, &p->turn);
    p->is_over = true;
    return OK;
}

static void begins(struct play *p)
{
    p->inner = scope_open(&p->scope, p->cx);
    p->is_over = false;
    p->said.count = 0;
    p->pieces_count = 0;
    CHECK_OK(scope_spawn(&p->inner, asks, p));
}

static void ends(struct play *p)
{
    while (!p->is_over) CHECK_OK(wait_turn(p->cx));
    CHECK_OK(scope_close(&p->inner));
    CHECK(client_counts(p->llm.client).transfers_open == 0);
}

static void ends_well(struct play *p, const char *text)
{
    ends(p);
    CHECK_OK(p->outcome);
    CHECK(str_is(p->turn.text, text) && str_eq(p->turn.text, buf_str(&p->said)));
}

static void ends_badly(struct play *p, enum err_code code, const char *sentence)
{
    ends(p);
    if (p->outcome.code != code || strcmp(p->outcome.what, sentence) != 0)
        test_fail(__FILE__, __LINE__, arena_printf(test_arena(), "%d: %s", p->outcome.code, failed(p->outcome) ? p->outcome.what : "no error"));
}

static void settles(struct play *p)
{
    for (int i = 0; i < 40; i++) CHECK_OK(wait_turn(p->cx));
}

static void passes(struct play *p, int64_t ms)
{
    loop_test_advance(p->cx->loop, ms);
    settles(p);
}

/* ---- the answering side ----------------------------------------------------------------- */
static struct str is_asked(struct play *p)
{
    if (p->far.fd < 0) far_accepts(p->cx, &p->far);
    return far_gets(p->cx, &p->far);
}

static void says(struct play *p, const char *text) { far_says(p->cx, &p->far, text); }

static void says_chunk(struct play *p, const char *text)
{
    says(p, arena_printf(test_arena(), "%zx\r\n%s\r\n", strlen(text), text));
}

#define TEXT(T) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" T "\"}}]}\n\n"
#define FINISH "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n"
#define DONE "data: [DONE]\n\n"
static void begins_stream(struct play *p)
{
    says(p, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n");
}
static void answers(struct play *p, const char *text)
{
    begins_stream(p);
    says_chunk(p, arena_printf(test_arena(), TEXT("%s") FINISH USAGE DONE, text));
    says(p, "0\r\n\r\n");
}
static void answers_status(struct play *p, const char *status, const char *fields, const char *body)
{
    says(p, arena_printf(test_arena(), "HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s", status, fields, strlen(body), body));
}

static bool is_asked_again(struct play *p)
{
    settles(p);
    return far_is_called(&p->far);
}

static struct err runs(struct ctx *cx, void *arg);
struct script {
    void (*run)(struct play *);
};
static void plays(void (*run)(struct play *))
{
    struct script script = {run};
    clock_test_freeze(1764000000000000);
    CHECK_OK(loop_run(runs, &script));
    clock_test_thaw();
}

static struct err runs(struct ctx *cx, void *arg)
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

/* ---- an answer ----------------------------------------------------------------------------- */
static void two_turns(struct play *p)
{
    begins(p);
    struct str request = is_asked(p);
    CHECK(str_starts(request, S("POST /v1/chat/completions HTTP/1.1\r\n")));
    CHECK(memmem(request.at, request.count, "\r\nAuthorization: Bearer sk-canary-", 34) && memmem(request.at, request.count, "\r\nContent-Type: application/json\r\n", 34));
    CHECK(memmem(request.at, request.count, "\"content\":\"hi\"", 14));
    begins_stream(p);
    says_chunk(p, TEXT("Hel"));
    settles(p);
    CHECK(str_is(buf_str(&p->said), "Hel") && !p->is_over); /* heard as it comes */
    says_chunk(p, TEXT("lo") FINISH USAGE);
    says_chunk(p, DONE);
    says(p, "0\r\n\r\n");
    ends_well(p, "Hello");
    CHECK(p->pieces_count == 2 && p->turn.usage.prompt_tokens == 9 && p->turn.usage.completion_tokens == 2 && str_is(p->turn.finish, "stop"));
    CHECK(client_counts(p->llm.client).sockets_open == 1);
    begins(p);
    CHECK(far_gets(p->cx, &p->far).count > 0); /* on the same connection */
    answers(p, "again");
    ends_well(p, "again");
}
TEST(a_turn_is_heard_as_it_comes_and_leaves_its_connection_to_the_next) { plays(two_turns); }

static void one_byte_at_a_time(struct play *p)
{
    begins(p);
    is_asked(p);
    begins_stream(p);
    static const char stream[] = TEXT("\xE2\x82\xAC \\ud83d\\ude80") TEXT("\\ud83d") TEXT("\\ude80") DONE;
    for (size_t i = 0; stream[i]; i++) {
        says_chunk(p, (char[]){stream[i], 0});
        CHECK_OK(wait_turn(p->cx));
    }
    says(p, "0\r\n\r\n");
    ends_well(p, "\xE2\x82\xAC \xF0\x9F\x9A\x80\xF0\x9F\x9A\x80");
    CHECK(p->pieces_count == 2);
}
TEST(what_is_said_are_whole_characters_however_they_were_cut) { plays(one_byte_at_a_time); }

static void calls_tools(struct play *p)
{
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n");
    says_chunk(p, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1\"}}]}}]}\n\n" FINISH DONE);
    says(p, "0\r\n\r\n");
    ends_well(p, "");
    CHECK(p->turn.calls_count == 1 && str_is(p->turn.calls->name, "f") && p->turn.calls->is_broken && p->pieces_count == 0);
}
TEST(a_call_with_broken_arguments_comes_back_marked) { plays(calls_tools); }

static void whole_json(struct play *p)
{
    begins(p);
    is_asked(p);
    answers_status(p, "200 OK", "", "{\"choices\":[{\"message\":{\"content\":\"all at once\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}");
    ends_well(p, "all at once");
    CHECK(p->turn.usage.completion_tokens == 4);
    begins(p);
    is_asked(p);
    answers_status(p, "200 OK", "", "{\"choices\":[{\"message\":{\"con");
    ends_badly(p, ERR_UPSTREAM, "Acme is not understood: its answer is no JSON");
    begins(p);
    is_asked(p);
    answers_status(p, "200 OK", "", "{\"error\":{\"message\":\"no such model\"}}");
    ends_badly(p, ERR_UPSTREAM, "Acme failed while it answered: no such model");
}
TEST(a_server_that_does_not_stream_is_understood_too) { plays(whole_json); }

static void says_nothing(struct play *p)
{
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, FINISH DONE);
    says(p, "0\r\n\r\n");
    ends_well(p, ""); /* what that means is for the engine to say */
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, "data: {\"choices\":[{\"delta\":{\"refusal\":\"I will not\"}}]}\n\n" FINISH DONE);
    says(p, "0\r\n\r\n");
    ends_well(p, "");
    CHECK(str_is(p->turn.refusal, "I will not"));
}
TEST(an_empty_answer_and_a_refusal_are_answers) { plays(says_nothing); }

/* ---- ends ------------------------------------------------------------------------------------- */
static void without_done(struct play *p)
{
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, TEXT("a") FINISH);
    says(p, "0\r\n\r\n");
    ends_well(p, "a");
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, TEXT("b") DONE); /* no reason to finish */
    says(p, "0\r\n\r\n");
    ends_well(p, "b");
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, TEXT("c") "data: [DONE]"); /* no blank line */
    says(p, "0\r\n\r\n");
    ends_well(p, "c");
    begins(p);
    is_asked(p);
    says(p, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" TEXT("d") FINISH);
    far_hangs_up(&p->far);
    ends_well(p, "d");
}
TEST(an_answer_is_over_with_done_or_with_a_reason_to_finish_and_an_end) { plays(without_done); }

static void finish_and_then(struct play *p)
{
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, TEXT("a") FINISH);
    settles(p);
    far_resets(&p->far);
    ends_well(p, "a");
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, TEXT("b") FINISH);
    settles(p);
    passes(p, 4999);
    CHECK(!p->is_over);
    passes(p, 1);
    ends_well(p, "b");
    far_hears_the_end(p->cx, &p->far);
}
TEST(after_the_reason_to_finish_nothing_can_go_wrong) { plays(finish_and_then); }

static void done_but_open(struct play *p)
{
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, TEXT("a") DONE);
    settles(p);
    CHECK(!p->is_over);
    passes(p, 100);
    ends_well(p, "a");
    far_hears_the_end(p->cx, &p->far);
    CHECK(client_counts(p->llm.client).sockets_open == 0);
}
TEST(a_server_that_goes_on_after_its_end_is_left_soon) { plays(done_but_open); }

static void cut_after(struct play *p, const char *stream, bool by_reset)
{
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, stream);
    settles(p);
    if (by_reset) far_resets(&p->far);
    else far_hangs_up(&p->far);
    ends_badly(p, ERR_UPSTREAM, "the answer of Acme was cut off");
    CHECK(!is_asked_again(p));
}
static void is_cut(struct play *p)
{
    begins(p); /* head, tokens and the break all at once */
    is_asked(p);
    says(p, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 10000\r\n\r\n" TEXT("a") "data: {\"id\":\"chat");
    far_hangs_up(&p->far);
    ends_badly(p, ERR_UPSTREAM, "the answer of Acme was cut off");
    CHECK(str_is(buf_str(&p->said), "a") && !is_asked_again(p));

    cut_after(p, TEXT("a"), false);
    cut_after(p, TEXT("a") "data: {\"id\":\"chatcmpl-cut\",\"object\":\"chat.comp", false);
    cut_after(p, TEXT("a") "data: {\"id\":\"chatcmpl-cut\",\"object\":\"chat.comp", true);
    cut_after(p, "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n", true);
    begins(p); /* a proper end of HTTP, and none of the answer */
    is_asked(p);
    begins_stream(p);
    says_chunk(p, TEXT("a") "data: {\"choices\":");
    says(p, "0\r\n\r\n");
    ends_badly(p, ERR_UPSTREAM, "the answer of Acme was cut off");
    CHECK(!is_asked_again(p));
}
TEST(a_stream_that_was_cut_is_an_error_and_is_not_tried_again) { plays(is_cut); }

/* ---- what is no answer ---------------------------------------------------------------------------- */
static void fails_with(struct play *p, const char *reply, const char *sentence)
{
    begins(p);
    is_asked(p);
    says(p, reply);
    far_hangs_up(&p->far);
    ends_badly(p, ERR_UPSTREAM, sentence);
    CHECK(!is_asked_again(p));
}
static void is_no_answer(struct play *p)
{
    fails_with(p, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html>Please sign in", "Acme answered with a web page: is its address right?");
    fails_with(p, "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\nabc", "Acme answered with something that is no event stream: image/png");
    fails_with(p, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "Acme answered 302: redirects are not followed");
    fails_with(p, "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html>", "Acme answered 404");
    fails_with(p, "HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\n\r\nno such\r\npath.\n", "Acme answered 400: no such path");
    fails_with(p, "HTTP/1.1 403 No\r\nContent-Type: application/json\r\n\r\n{\"detail\":\"not for you\"}", "Acme answered 403: not for you");
    fails_with(p, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" TEXT("a") "data: {\"error\":{\"message\":\"overloaded\"}}\n\n", "Acme failed while it answered: overloaded");
    fails_with(p, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"error\":{\"message\":\"overloaded\"}}\n\n", "Acme failed while it answered: overloaded");
    fails_with(p, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" TEXT("a") "data: <html>\n\n", "Acme is not understood: an event of its answer is no JSON");
}
TEST(what_is_no_answer_is_a_sentence_that_names_the_provider) { plays(is_no_answer); }

static void names_no_type(struct play *p)
{
    begins(p);
    is_asked(p);
    says(p, "HTTP/1.1 200 OK\r\n\r\n" TEXT("a") DONE);
    far_hangs_up(&p->far);
    ends_well(p, "a");
}
TEST(a_stream_without_a_content_type_is_heard) { plays(names_no_type); }

static void is_too_much(struct play *p)
{
    p->llm.limits.answer_bytes_max = 3;
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, TEXT("ab") TEXT("cd") DONE);
    ends_badly(p, ERR_LIMIT, "the model's answer is longer than answer_bytes_max");
    CHECK(str_is(buf_str(&p->said), "ab"));
    far_hears_the_end(p->cx, &p->far);
    far_hangs_up(&p->far);

    p->llm.limits.answer_bytes_max = 1; /* much ado about nothing: comments without end are bounded too */
    begins(p);
    is_asked(p);
    begins_stream(p);
    struct str comment = S("6\r\n: abc\n\r\n");
    while (!p->is_over) {
        far_tries_to_say(&p->far, comment);
        CHECK_OK(wait_turn(p->cx));
        for (int i = 0; i < 100; i++) far_tries_to_say(&p->far, comment);
    }
    ends_badly(p, ERR_LIMIT, "the model's answer is longer than answer_bytes_max");
}
TEST(an_answer_has_a_largest_size) { plays(is_too_much); }

static void calls_too_much(struct play *p)
{
    p->llm.limits.calls_max = 1;
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\"}},{\"index\":1,\"function\":{\"name\":\"f\"}}]}}]}\n\n");
    ends_badly(p, ERR_UPSTREAM, "Acme is not understood: it asked for more tool calls at once than calls_max");
}
TEST(too_many_calls_in_one_turn_are_an_error) { plays(calls_too_much); }

/* ---- trying again --------------------------------------------------------------------------------------- */
static void may_pass(struct play *p)
{
    const char *statuses[] = {"408 Slow", "409 Conflict", "429 Wait", "500 Oops", "502 Bad", "503 Busy", "529 Overloaded"};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        begins(p);
        is_asked(p);
        answers_status(p, statuses[i], "", "{\"error\":{\"message\":\"not now\"}}");
        settles(p);
        passes(p, 500);
        is_asked(p);
        answers(p, "now");
        ends_well(p, "now");
    }
    const char *lasting[] = {"400", "401", "402", "403", "404", "405", "413", "422", "426", "451"};
    for (size_t i = 0; i < sizeof lasting / sizeof lasting[0]; i++) {
        begins(p);
        is_asked(p);
        answers_status(p, arena_printf(test_arena(), "%s No", lasting[i]), "Retry-After: 1\r\n", "{\"error\":{\"message\":\"never.\"}}");
        ends_badly(p, ERR_UPSTREAM, arena_printf(test_arena(), "Acme answered %s: never", lasting[i]));
    }
}
TEST(a_status_that_may_pass_is_tried_again_and_no_other) { plays(may_pass); }

static void gives_up(struct play *p)
{
    begins(p);
    for (int i = 0; i < 3; i++) {
        is_asked(p);
        answers_status(p, "429 Too Many", "", "{\"error\":{\"message\":\"Rate limit reached\"}}");
        settles(p);
        passes(p, 1000);
    }
    ends_badly(p, ERR_UPSTREAM, "Acme answered 429: Rate limit reached");
    CHECK(!is_asked_again(p));
}
TEST(after_the_last_try_its_error_is_the_outcome) { plays(gives_up); }

/* The connection breaks before the first token, in every way. */
static void breaks(struct play *p)
{
    const char *before[] = {"", "HTTP/1.1 200 OK\r\nContent-Ty", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
                            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n: wait\n\n\r\n",
                            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n",
                            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 47\r\n\r\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}",
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"choices\""};
    for (size_t i = 0; i < 2 * (sizeof before / sizeof before[0]); i++) {
        begins(p);
        is_asked(p);
        says(p, before[i / 2]);
        settles(p);
        if (i % 2) far_resets(&p->far);
        else far_hangs_up(&p->far);
        settles(p);
        CHECK(!p->is_over);
        passes(p, 500);
        is_asked(p);
        answers(p, "now");
        ends_well(p, "now");
        far_hangs_up(&p->far);
        settles(p);
    }
}
TEST(a_connection_that_breaks_before_the_first_token_is_tried_again) { plays(breaks); }

static void nobody_listens(struct play *p)
{
    int port = p->far.port;
    far_close(&p->far);
    begins(p);
    for (int i = 0; i < 20 && !p->is_over; i++) passes(p, 500);
    ends_badly(p, ERR_UPSTREAM, arena_printf(test_arena(), "Acme cannot be reached: could not connect to 127.0.0.1:%d (connection refused)", port));
    far_listen(&p->far);
}
TEST(a_server_that_cannot_be_reached_is_an_error_after_all_tries) { plays(nobody_listens); }

static void asks_for_patience(struct play *p)
{
    struct {
        const char *field;
        int64_t wait_ms;
    } rows[] = {{"Retry-After: 2\r\n", 2000}, {"Retry-After: 0\r\n", 0}, {"Retry-After: 3600\r\n", 8000}, {"Retry-After: Mon, 24 Nov 2025 16:00:03 GMT\r\n", 3000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        clock_test_freeze(1764000000000000); /* Mon, 24 Nov 2025 16:00:00 GMT */
        begins(p);
        is_asked(p);
        answers_status(p, "503 Busy", rows[i].field, "{}");
        settles(p);
        far_hangs_up(&p->far);
        if (rows[i].wait_ms) passes(p, rows[i].wait_ms - 1);
        if (rows[i].wait_ms) CHECK(!is_asked_again(p) && !p->is_over);
        passes(p, 1);
        is_asked(p);
        answers(p, "now");
        ends_well(p, "now");
        far_hangs_up(&p->far);
        settles(p);
    }
}
TEST(retry_after_is_honoured_up_to_the_bound) { plays(asks_for_patience); }

static void no_time_left(struct play *p)
{
    p->llm.limits.turn_ms = 1999;
    begins(p);
    is_asked(p);
    answers_status(p, "503 Busy", "Retry-After: 2\r\n", "{}");
    ends_badly(p, ERR_UPSTREAM, "Acme answered 503"); /* at once: waiting could lead to nothing */
}
TEST(no_try_is_waited_for_that_the_turn_has_no_time_for) { plays(no_time_left); }

/* ---- time ---------------------------------------------------------------------------------------------------- */
static void connects_late(struct play *p)
{
    p->llm.limits.tries = 2;
    far_is_deaf(&p->deaf);
    p->model.base = strf(test_arena(), "http://127.0.0.1:%d", p->deaf.port);
    begins(p);
    settles(p);
    passes(p, 9999);
    CHECK(!p->is_over && client_counts(p->llm.client).sockets_open == 1);
    passes(p, 1);
    CHECK(!p->is_over && client_counts(p->llm.client).sockets_open == 0);
    passes(p, 500);
    passes(p, 10000);
    ends_badly(p, ERR_UPSTREAM, "Acme did not accept a connection within 10 s");
    far_is_deaf_no_more(&p->deaf);
}
TEST(connecting_has_a_limit_and_is_tried_again) { plays(connects_late); }

static void begins_late(struct play *p)
{
    const char *before[] = {"", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: wait\n\n",
                            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        begins(p);
        is_asked(p);
        settles(p);
        passes(p, 60000);
        says(p, before[i]);
        settles(p);
        passes(p, 59999);
        CHECK(!p->is_over);
        passes(p, 1);
        ends_badly(p, ERR_UPSTREAM, "Acme did not begin its answer within 120 s");
        CHECK(!is_asked_again(p) && client_counts(p->llm.client).sockets_open == 0);
        far_hangs_up(&p->far);
    }
}
TEST(the_first_token_has_a_limit_that_comments_do_not_move) { plays(begins_late); }

static void falls_silent(struct play *p)
{
    begins(p);
    is_asked(p);
    begins_stream(p);
    says_chunk(p, TEXT("a"));
    settles(p);
    passes(p, 59999);
    says_chunk(p, ": still here\n\n"); /* who says that is not silent */
    settles(p);
    passes(p, 59999);
    CHECK(!p->is_over);
    passes(p, 1);
    ends_badly(p, ERR_UPSTREAM, "Acme stopped in the middle of its answer and said nothing for 60 s");
    CHECK(client_counts(p->llm.client).sockets_open == 0);
}
TEST(silence_in_the_middle_has_a_limit) { plays(falls_silent); }

static void talks_for_ever(struct play *p)
{
    p->llm.limits.turn_ms = 100500;
    begins(p);
    is_asked(p);
    begins_stream(p);
    for (int i = 0; i < 10; i++) {
        says_chunk(p, TEXT("a"));
        settles(p);
        passes(p, 10000);
    }
    CHECK(!p->is_over);
    passes(p, 500);
    ends_badly(p, ERR_UPSTREAM, "Acme did not finish its answer within 100500 ms");
    CHECK(client_counts(p->llm.client).sockets_open == 0);
}
TEST(the_whole_turn_has_a_limit) { plays(talks_for_ever); }

static void is_slow_to_refuse(struct play *p)
{
    begins(p);
    is_asked(p);
    says(p, "HTTP/1.1 401 No\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"error\":");
    settles(p);
    passes(p, 10000);
    ends_badly(p, ERR_UPSTREAM, "Acme answered 401");
}
TEST(the_body_of_a_refusal_is_not_waited_for_long) { plays(is_slow_to_refuse); }

static void callers_deadline(struct play *p)
{
    p->cx->deadline_ms = clock_mono_ms() + 5000;
    begins(p);
    p->cx->deadline_ms = 0;
    is_asked(p);
    settles(p);
    passes(p, 5000);
    ends(p);
    CHECK(p->outcome.code == ERR_TIMEOUT);
}
TEST(a_deadline_of_the_caller_is_his_to_explain) { plays(callers_deadline); }

/* ---- secrets ---------------------------------------------------------------------------------------------------- */
static void keeps_the_key(struct play *p)
{
    const char *bodies[] = {"{\"error\":{\"message\":\"Incorrect API key provided: %s\"}}", "{\"error\":\"%s\"}", "{\"detail\":\"Bearer %s is no key\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char body[200];
        snprintf(body, sizeof body, bodies[i], key);
        begins(p);
        is_asked(p);
        answers_status(p, "401 No", "", body);
        ends(p);
        CHECK(p->outcome.code == ERR_UPSTREAM && !strstr(p->outcome.what, "canary") && !strstr(p->outcome.what, "WXYZ"));
    }
    begins(p);
    is_asked(p);
    answers_status(p, "401 No", "", "{\"error\":{\"message\":\"Incorrect API key provided: sk-can****************WXYZ. You can find it\"}}");
    ends_badly(p, ERR_UPSTREAM, "Acme answered 401: Incorrect API key provided: [hidden]. You can find it");

    p->model.headers = S("{\"X-Gateway-Token\":\"canary-token-77\",\"X-Title\":\"my agent\"}");
    begins(p);
    struct str request = is_asked(p);
    CHECK(memmem(request.at, request.count, "\r\nX-Gateway-Token: canary-token-77\r\n", 36) && memmem(request.at, request.count, "\r\nX-Title: my agent\r\n", 21));
    begins_stream(p);
    says_chunk(p, TEXT("a") "data: {\"error\":{\"message\":\"canary-token-77 of my agent\"}}\n\n");
    ends_badly(p, ERR_UPSTREAM, "Acme failed while it answered: [hidden] of my agent");
}
TEST(the_key_is_in_no_sentence) { plays(keeps_the_key); }

/* ---- who is asked --------------------------------------------------------------------------------------------------- */
static void a_tenant_names_loopback(struct play *p)
{
    p->model.is_operators = false;
    begins(p);
    ends(p);
    CHECK(p->outcome.code == ERR_DENIED && strstr(p->outcome.what, "127.0.0.1") && !is_asked_again(p));
}
TEST(an_address_of_a_tenant_goes_through_the_guard) { plays(a_tenant_names_loopback); }

static void cannot_ask(struct play *p)
{
    struct str good = p->model.base;
    p->model.base = S("");
    begins(p);
    ends_badly(p, ERR_UPSTREAM, "Acme has no address: llm_api_base must name it");
    p->model.base = S("ftp://x");
    begins(p);
    ends(p);
    CHECK(p->outcome.code == ERR_UPSTREAM && strstr(p->outcome.what, "the address of Acme is no URL: "));
    p->model.base = good;
    p->model.headers = S("{\"X\":\"a\\r\\nY: b\"}");
    begins(p);
    ends_badly(p, ERR_INVALID, "the extra header X has a control character in its value");
    p->model.headers = S("");
    p->provider.translator = NULL;
    begins(p);
    ends_badly(p, ERR_UPSTREAM, "Acme cannot be spoken to yet");
    CHECK(!is_asked_again(p));
}
TEST(what_cannot_be_asked_is_not_tried) { plays(cannot_ask); }

/* ---- cancelling --------------------------------------------------------------------------------------------------------- */
static void is_cancelled(struct play *p)
{
    settles(p);
    CHECK(!p->is_over);
    scope_cancel(&p->scope);
    CHECK_OK(wait_turn(p->cx));
    CHECK(client_counts(p->llm.client).transfers_open == 0 && client_counts(p->llm.client).sockets_open == 0);
    while (!p->is_over) CHECK_OK(wait_turn(p->cx));
    (void)!failed(scope_close(&p->inner));
    CHECK(p->outcome.code == ERR_CANCELLED);
    CHECK(!is_asked_again(p));
}
static void in_every_phase(struct play *p)
{
    const char *heard[] = {"", "HTTP/1.1 200 OK\r\nContent-Ty", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" TEXT("a"), "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" TEXT("a") "data: {\"choi",
                           "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" TEXT("a") FINISH, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" TEXT("a") FINISH DONE,
                           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"choices\"", "HTTP/1.1 429 Wait\r\nContent-Length: 100\r\n\r\n{"};
    for (size_t i = 0; i < sizeof heard / sizeof heard[0]; i++) {
        begins(p);
        is_asked(p);
        says(p, heard[i]);
        is_cancelled(p);
        far_hears_the_end(p->cx, &p->far);
        far_hangs_up(&p->far);
    }
    begins(p); /* between two tries */
    is_asked(p);
    says(p, "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    far_hears_the_end(p->cx, &p->far);
    far_hangs_up(&p->far);
    is_cancelled(p);
    passes(p, 10000);
    CHECK(!is_asked_again(p));
    far_is_deaf(&p->deaf); /* while it connects */
    p->model.base = strf(test_arena(), "http://127.0.0.1:%d", p->deaf.port);
    begins(p);
    is_cancelled(p);
    far_is_deaf_no_more(&p->deaf);
}
TEST(cancelling_closes_the_socket_in_every_phase_and_nothing_follows) { plays(in_every_phase); }
