#include "net/sse.h"
#include "test.h"

/* Frames as text: name|data|id; one after the other. */
static struct err note(void *arg, const struct sse_frame *frame)
{
    struct buf *out = arg;
    buf_addf(out, "%.*s|%.*s|%.*s;", STR_ARGS(frame->name), STR_ARGS(frame->data), STR_ARGS(frame->id));
    return OK;
}

/* What the parser makes of a stream that comes in pieces cut at a and at b. */
static bool parses_as(struct str stream, size_t a, size_t b, const char *expected)
{
    struct sse_parser parser = {0};
    struct buf out = {0};
    bool fine = !failed(sse_feed(&parser, str_cut(stream, 0, a), note, &out)) &&
                !failed(sse_feed(&parser, str_cut(stream, a, b - a), note, &out)) &&
                !failed(sse_feed(&parser, str_cut(stream, b, stream.count), note, &out));
    bool same = str_is(buf_str(&out), expected);
    buf_free(&out);
    sse_parser_free(&parser);
    return fine && same;
}

static void check_at_every_byte(struct str stream, const char *expected)
{
    for (size_t a = 0; a <= stream.count; a++)
        for (size_t b = a; b <= stream.count; b++) CHECK(parses_as(stream, a, b, expected));
}

TEST(an_event_is_the_same_wherever_its_bytes_are_cut)
{
    check_at_every_byte(S("\xEF\xBB\xBF: hello\nevent: add\ndata: 1\ndata:2\nid: 7\n\ndata\n\n"), "add|1\n2|7;||7;");
    check_at_every_byte(S("data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n"), "|a\nb|;|c|;");
    check_at_every_byte(S("data: a\rdata: b\r\rdata: c\r\r"), "|a\nb|;|c|;");
    check_at_every_byte(S("data:  two spaces\r\n\n: comment\r\rdata: x\n\r\n"), "| two spaces|;|x|;");
}

TEST(an_event_without_data_is_none_but_its_id_stays)
{
    check_at_every_byte(S("id: 1\nevent: lost\n\ndata: x\n\nid\ndata: y\n\n"), "|x|1;|y|;");
}

TEST(unknown_fields_and_a_retry_are_passed_over)
{
    check_at_every_byte(S("retry: 10\nwhat: ever\n data: no\nDATA: no\ndata: yes\n\n"), "|yes|;");
}

TEST(an_id_with_a_zero_byte_is_ignored)
{
    check_at_every_byte(S("id: 1\nid: \0two\ndata: x\n\n"), "|x|1;");
}

TEST(only_the_first_bytes_of_a_stream_are_a_mark_of_order)
{
    check_at_every_byte(S("\xEF\xBB\xBF\xEF\xBB\xBF" "data: a\n\ndata: b\n\n\xEF\xBB\xBF" "data: c\n\n"), "|b|;");
}

TEST(an_event_without_its_blank_line_is_handed_out_at_the_end)
{
    struct sse_parser parser = {0};
    struct buf out = {0};
    CHECK_OK(sse_feed(&parser, S("data: a\n\ndata: [DONE]"), note, &out));
    CHECK(str_is(buf_str(&out), "|a|;"));
    CHECK_OK(sse_end(&parser, note, &out));
    CHECK(str_is(buf_str(&out), "|a|;|[DONE]|;"));
    buf_free(&out);
    sse_parser_free(&parser);
}

/* However the event grows: one endless line, many lines, or many small pieces. */
TEST(an_event_beyond_its_bound_is_an_error_and_stays_one)
{
    static const char *const grow[] = {"x", "data: 1234567\n", "event: 0123456789012345678901234567890123456789x\n"};
    for (int i = 0; i < 3; i++) {
        struct sse_parser parser = {.event_bytes_max = 40};
        struct buf out = {0};
        struct err e = OK;
        for (int n = 0; n < 50 && !failed(e); n++) e = sse_feed(&parser, str(grow[i]), note, &out);
        CHECK(e.code == ERR_LIMIT);
        CHECK(sse_feed(&parser, S("\n\ndata: x\n\n"), note, &out).code == ERR_LIMIT);
        CHECK(sse_end(&parser, note, &out).code == ERR_LIMIT);
        CHECK(out.count == 0);
        CHECK(parser.line.count + parser.data.count + parser.name.count <= 40);
        buf_free(&out);
        sse_parser_free(&parser);
    }
}

TEST(the_bound_is_for_one_event_and_not_for_the_stream)
{
    struct sse_parser parser = {.event_bytes_max = 40};
    struct buf out = {0};
    for (int n = 0; n < 100; n++) CHECK_OK(sse_feed(&parser, S(": 12345\nevent: a\ndata: 0123456789\n\n"), note, &out));
    CHECK_OK(sse_feed(&parser, S(": "), note, &out));
    for (int n = 0; n < 100; n++) CHECK_OK(sse_feed(&parser, S("a comment may be as long as it likes"), note, &out));
    CHECK_OK(sse_feed(&parser, S("\ndata: x\n\n"), note, &out));
    CHECK(out.count == 100 * strlen("a|0123456789|;") + strlen("|x|;"));
    buf_free(&out);
    sse_parser_free(&parser);
}

static struct err refuse(void *arg, const struct sse_frame *frame)
{
    (void)frame;
    ++*(int *)arg;
    return err(ERR_UPSTREAM, "enough");
}

TEST(an_error_of_the_callback_ends_the_parsing)
{
    struct sse_parser parser = {0};
    int calls = 0;
    CHECK(sse_feed(&parser, S("data: a\n\ndata: b\n\n"), refuse, &calls).code == ERR_UPSTREAM);
    CHECK(sse_feed(&parser, S("data: c\n\n"), refuse, &calls).code == ERR_UPSTREAM);
    CHECK(calls == 1);
    sse_parser_free(&parser);
}

TEST(a_written_event_has_an_id_line_only_when_it_has_an_id)
{
    struct buf out = {0};
    sse_event(&out, S("12"), S("{\"a\":1}"));
    sse_event(&out, S(""), S("x"));
    CHECK(str_is(buf_str(&out), "id: 12\ndata: {\"a\":1}\n\ndata: x\n\n"));
    buf_free(&out);
}

TEST(a_written_event_is_read_back_whatever_lines_it_has)
{
    static const char *const texts[][2] = {
        {"", ""}, {"\n", "\n"}, {"a\nb", "a\nb"}, {"a\r\nb\rc\n", "a\nb\nc\n"}, {" a", " a"}, {"\r", "\n"}, {":", ":"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf out = {0}, back = {0};
        struct sse_parser parser = {0};
        sse_event(&out, S("9"), str(texts[i][0]));
        CHECK_OK(sse_feed(&parser, buf_str(&out), note, &back));
        CHECK(str_eq(buf_str(&back), strf(test_arena(), "|%s|9;", texts[i][1])));
        buf_free(&out);
        buf_free(&back);
        sse_parser_free(&parser);
    }
}
