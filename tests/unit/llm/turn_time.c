/* Limits, each met to the millisecond, and cancelling. */
#include "play.h"

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

/* ---- cancelling --------------------------------------------------------------------------------------------------------- */
static void is_cancelled(struct play *p)
{
    settles(p);
    CHECK(!p->is_over);
    scope_cancel(&p->scope);
    CHECK_OK(wait_turn(p->cx));
    CHECK(client_counts(p->llm.client).transfers_open == 0 && client_counts(p->llm.client).sockets_open == 0);
    for (int i = 0; i < TURNS_MAX && !p->is_over; i++) CHECK_OK(wait_turn(p->cx));
    CHECK(p->is_over);
    (void)!failed(scope_close(&p->inner));
    CHECK(p->outcome.code == ERR_CANCELLED);
    CHECK(!is_asked_again(p));
}
static void in_every_phase(struct play *p)
{
    const char *heard[] = {"", "HTTP/1.1 200 OK\r\nContent-Ty", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" TEXT("a"), "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" TEXT("a") "data: {\"choi",
                           "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" TEXT("a") FINISH, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" TEXT("a") FINISH DONE,
                           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"choices\"", "HTTP/1.1 429 Wait\r\nContent-Length: 100\r\n\r\n{", "HTTP/1.1 400 No\r\nContent-Length: 100\r\n\r\n{"};
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
