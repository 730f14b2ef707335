/* What is an answer, where it ends, and what is none. */
#include "play.h"

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
