/* When a request is made again, who is asked, and what nobody may hear. */
#include "play.h"

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
