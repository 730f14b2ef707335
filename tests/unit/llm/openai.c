/* Transcripts of streams, as servers write them; each is cut at every byte and must read the same. */
#include "llm/llm.h"
#include "llm/answer.h"
#include "net/sse.h"
#include "test.h"

/* ---- reading a transcript ----------------------------------------------------------- */
struct reading {
    struct answer answer;
    struct arena scratch;
    struct buf said;
};

static void keep(void *arg, struct str piece)
{
    struct reading *r = arg;
    CHECK(str_is_utf8(piece) && piece.count > 0);
    buf_add_str(&r->said, piece);
}

static struct err one(void *arg, const struct sse_frame *frame)
{
    struct reading *r = arg;
    struct err e = llm_openai.event(&r->scratch, frame->name, frame->data, answer_hear, &r->answer);
    arena_free(&r->scratch);
    return e;
}

/* What was understood, in one line. */
static struct str line_of(struct reading *r, struct err e)
{
    struct arena *arena = test_arena();
    struct llm_turn turn;
    struct buf out = {0};
    CHECK_OK(answer_turn(arena, &r->answer, &turn));
    CHECK(str_eq(turn.text, buf_str(&r->said)));
    if (turn.thought.count) buf_addf(&out, "<%.*s> ", STR_ARGS(turn.thought));
    buf_addf(&out, "%.*s", STR_ARGS(turn.text));
    if (turn.refusal.count) buf_addf(&out, " !%.*s", STR_ARGS(turn.refusal));
    for (struct llm_call *c = turn.calls; c; c = c->next) {
        bool is_made = c->id.count == 29 && str_starts(c->id, S("call_"));
        buf_addf(&out, " %.*s:%.*s(%.*s)%s", STR_ARGS(is_made ? S("?") : c->id), STR_ARGS(c->name), STR_ARGS(c->arguments),
                 c->is_broken ? "broken" : "");
    }
    if (turn.usage.prompt_tokens || turn.usage.completion_tokens)
        buf_addf(&out, " %d/%d", (int)turn.usage.prompt_tokens, (int)turn.usage.completion_tokens);
    if (turn.finish.count) buf_addf(&out, " [%.*s]", STR_ARGS(turn.finish));
    if (r->answer.is_ended) buf_addf(&out, " end");
    if (r->answer.has_failed) buf_addf(&out, " failed: %.*s", STR_ARGS(buf_str(&r->answer.failure)));
    if (failed(r->answer.fault)) buf_addf(&out, " fault: %s", r->answer.fault.what);
    if (failed(e)) buf_addf(&out, " error: %s", e.what);
    struct str line = str_copy(arena, buf_str(&out));
    buf_free(&out);
    return line;
}

static void read_cut(struct str transcript, size_t cut, const char *expected)
{
    struct reading r = {.answer = {.bytes_max = 100000, .calls_max = 8, .say = keep}, .scratch = arena_new()};
    struct sse_parser parser = {0};
    r.answer.arg = &r;
    struct err e = sse_feed(&parser, str_cut(transcript, 0, cut), one, &r);
    if (!failed(e)) e = sse_feed(&parser, str_cut(transcript, cut, transcript.count), one, &r);
    if (!failed(e)) e = sse_end(&parser, one, &r);
    struct str line = line_of(&r, e);
    if (!str_is(line, expected))
        test_fail(__FILE__, __LINE__, arena_printf(test_arena(), "cut at %zu: %.*s", cut, STR_ARGS(line)));
    sse_parser_free(&parser);
    answer_free(&r.answer);
    buf_free(&r.said);
}

static void reads(const char *transcript, const char *expected)
{
    for (size_t cut = 0; cut <= strlen(transcript); cut++) read_cut(str(transcript), cut, expected);
}

#define CHUNK(DELTA) "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":" DELTA ",\"logprobs\":null,\"finish_reason\":null}]}\n\n"
#define FINISH(WHY) "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" WHY "\"}]}\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}}\n\n"
#define DONE "data: [DONE]\n\n"

/* ---- what servers send ------------------------------------------------------------------ */
TEST(a_plain_stream_is_its_text_usage_and_end)
{
    reads(CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}") CHUNK("{\"content\":\"Hel\"}") CHUNK("{\"content\":\"lo\"}")
          FINISH("stop") USAGE DONE, "Hello 9/2 [stop] end");
    reads(CHUNK("{\"content\":\"no role\"}") FINISH("stop") DONE, "no role [stop] end");
    reads(DONE, " end");
    reads(FINISH("stop") DONE, " [stop] end");
}

TEST(usage_may_be_null_missing_inline_or_counted_along_the_way)
{
    reads("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n" FINISH("stop") "data: {\"choices\":[],\"usage\":null}\n\n" DONE, "a [stop] end");
    reads(CHUNK("{\"content\":\"a\"}") "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n" DONE, "a 5/1 [stop] end");
    reads("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":1}}\n\n"
          "data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":-2}}\n\n" DONE, "ab 5/0 end");
}

TEST(the_ways_to_write_an_event_do_not_matter)
{
    reads("\xEF\xBB\xBF: still here\r\nevent: message\r\ndata:{\"choices\":[],\"prompt_filter_results\":[]}\r\n\r\n: again\r\n"
          "data:{\"choices\":[{\"delta\":\r\ndata:{\"content\":\"hi\"}}]}\r\n\r\ndata:[DONE]\r\n\r\n", "hi end");
    reads("data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\r\rdata: [DONE]\r\r", "hi end");
    reads(CHUNK("{\"content\":\"last\"}") "data: [DONE]", "last end");
}

TEST(characters_are_whole_however_they_were_cut)
{
    reads(CHUNK("{\"content\":\"\xE2\x82\xAC \\u20ac \\ud83d\\ude80\"}") DONE, "\xE2\x82\xAC \xE2\x82\xAC \xF0\x9F\x9A\x80 end");
    reads(CHUNK("{\"content\":\"a\\ud83d\"}") CHUNK("{\"content\":\"\\uDE80b\"}") DONE, "a\xF0\x9F\x9A\x80" "b end");
    reads(CHUNK("{\"content\":\"a\xF0\x9F\"}") CHUNK("{\"content\":\"\x9A\x80" "b\"}") DONE, "a\xF0\x9F\x9A\x80" "b end");
    reads(CHUNK("{\"content\":\"a\\ud83d\"}") CHUNK("{\"content\":\"b\\\\ud83d\"}") DONE, "a\xEF\xBF\xBD" "b\\ud83d end");
    reads(CHUNK("{\"content\":\"a\xF0\x9F\"}") DONE, "a\xEF\xBF\xBD end");
}

TEST(reasoning_and_refusals_are_kept_apart_from_the_text)
{
    reads(CHUNK("{\"reasoning_content\":\"hm\"}") CHUNK("{\"reasoning_content\":\"m\",\"content\":null}") CHUNK("{\"content\":\"yes\"}") DONE, "<hmm> yes end");
    reads(CHUNK("{\"reasoning\":\"hm\",\"reasoning_details\":[{\"text\":\"hm\"}]}") CHUNK("{\"content\":\"yes\"}") DONE, "<hm> yes end");
    reads(CHUNK("{\"reasoning\":\"hm\",\"reasoning_content\":\"hm\"}") DONE, "<hm>  end");
    reads(CHUNK("{\"refusal\":\"I can\"}") CHUNK("{\"refusal\":\"not\"}") FINISH("stop") DONE, " !I cannot [stop] end");
    reads(CHUNK("{\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\"},{\"type\":\"text\",\"text\":\"b\"}]}") DONE, "ab end");
}

TEST(every_reason_to_finish_is_handed_on)
{
    reads(CHUNK("{\"content\":\"a\"}") FINISH("length") DONE, "a [length] end");
    reads(FINISH("content_filter") DONE, " [content_filter] end");
    reads("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n", "a [stop]");
    reads(FINISH("a reason that is far longer than any that we know of"), " [a reason that is far longer tha]");
}

TEST(only_the_first_choice_counts)
{
    reads("data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"no\"},\"finish_reason\":\"length\"},{\"index\":0,\"delta\":{\"content\":\"yes\"}}]}\n\n" DONE, "yes end");
}

TEST(what_comes_after_the_end_is_not_heard)
{
    reads(CHUNK("{\"content\":\"a\"}") DONE CHUNK("{\"content\":\"b\"}"), "a end");
}

/* Events that look like the one before are not parsed: none of these may be taken for one. */
TEST(an_event_that_only_looks_like_the_one_before_is_read_by_itself)
{
    reads(CHUNK("{\"content\":\"a\"}") CHUNK("{\"content\":\"b\"}") CHUNK("{\"content\":\"\\n\"}") CHUNK("{\"content\":\"\\\"}]\"}") CHUNK("{\"content\":\"\"}")
          CHUNK("{\"content\":\"c\"}") CHUNK("{\"content\":\"d\",\"refusal\":\"no\"}") CHUNK("{\"content\":\"e\",\"content\":\"f\"}") CHUNK("{\"content\":\"\xE2\"}")
          CHUNK("{\"content\":\"\x82\xAC\"}") CHUNK("{\"content\":\"\\u00e9\"}") DONE, "ab\n\"}]cde\xE2\x82\xAC\xC3\xA9 !no end");
    reads("data: {\"choices\":[{\"delta\":{\"reasoning\":\"x\"}}],\"a\":{\"content\":\"x\"}}\n\n" "data: {\"choices\":[{\"delta\":{\"reasoning\":\"x\"}}],\"a\":{\"content\":\"y\"}}\n\n" DONE, "<xx>  end");
    reads("data: {\"choices\":[{\"delta\":{\"content\" :\"x\"}}],\"a\":{\"content\":\"x\"}}\n\n" "data: {\"choices\":[{\"delta\":{\"content\" :\"x\"}}],\"a\":{\"content\":\"y\"}}\n\n" DONE, "xx end");
    reads("data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n" "event: error\ndata: {\"choices\":[{\"delta\":{\"content\":\"y\"}}]}\n\n", "x failed: it did not say why");
}

/* ---- calls ---------------------------------------------------------------------------------- */
#define CALL(INNER) CHUNK("{\"tool_calls\":[{" INNER "}]}")
#define BEGINS(HEAD, NAME) CALL(HEAD "\"type\":\"function\",\"function\":{\"name\":\"" NAME "\",\"arguments\":\"\"}")
#define GOES_ON(HEAD, PIECE) CALL(HEAD "\"function\":{\"arguments\":\"" PIECE "\"}")

TEST(parallel_calls_are_put_together_from_mixed_pieces)
{
    reads(BEGINS("\"index\":0,\"id\":\"x\",", "add") BEGINS("\"index\":1,\"id\":\"y\",", "sub")
          GOES_ON("\"index\":1,", "{\\\"b\\\":") GOES_ON("\"index\":0,", "{\\\"a\\\":1") GOES_ON("\"index\":1,", "2}") GOES_ON("\"index\":0,", "}")
          FINISH("tool_calls") DONE, " x:add({\"a\":1}) y:sub({\"b\":2}) [tool_calls] end");
}

TEST(calls_without_index_or_id_are_told_apart)
{
    reads(BEGINS("\"id\":\"x\",", "add") GOES_ON("", "{\\\"a\\\":") GOES_ON("", "1}") BEGINS("\"id\":\"y\",", "add") GOES_ON("", "{}") DONE,
          " x:add({\"a\":1}) y:add({}) end");
    reads(BEGINS("", "add") GOES_ON("", "{\\\"a\\\":") GOES_ON("", "1}") BEGINS("", "add") GOES_ON("", "{}") DONE, " ?:add({\"a\":1}) ?:add({}) end");
    reads(BEGINS("", "add") GOES_ON("", "{\\\"a\\\":") BEGINS("", "sub") GOES_ON("", "{}") DONE, " ?:add({\"a\":)broken ?:sub({}) end");
    reads(BEGINS("", "add") BEGINS("", "sub") DONE, " ?:add() ?:sub() end");
    reads(CHUNK("{\"tool_calls\":[{\"function\":{\"name\":\"add\",\"arguments\":\"{}\"}},{\"function\":{\"name\":\"add\",\"arguments\":\"{}\"}}]}") DONE, " ?:add({}) ?:add({}) end");
    reads(BEGINS("\"index\":\"0\",\"id\":\"x\",", "add") GOES_ON("\"index\":null,", "{}") DONE, " x:add({}) end");
}

TEST(a_server_that_gives_every_call_index_0_has_several_calls)
{
    reads(CALL("\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"add\",\"arguments\":\"{}\"}") CALL("\"index\":0,\"id\":\"y\",\"function\":{\"name\":\"add\",\"arguments\":\"{}\"}") DONE, " x:add({}) y:add({}) end");
    reads(CALL("\"index\":0,\"id\":\"\",\"function\":{\"name\":\"add\",\"arguments\":\"{}\"}") CALL("\"index\":0,\"id\":\"\",\"function\":{\"name\":\"add\",\"arguments\":\"{}\"}") DONE, " ?:add({}) ?:add({}) end");
}

TEST(a_server_that_repeats_id_and_name_has_one_call)
{
    reads(CALL("\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"add\",\"arguments\":\"{\"}") CALL("\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"add\",\"arguments\":\"}\"}") DONE, " x:add({}) end");
    reads(CALL("\"index\":0,\"function\":{\"name\":\"add\",\"arguments\":\"{\"}") CALL("\"index\":0,\"function\":{\"name\":\"add\",\"arguments\":\"}\"}") DONE, " ?:add({}) end");
    reads(CALL("\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"agent_\"}") CALL("\"index\":0,\"function\":{\"name\":\"one\",\"arguments\":\"{}\"}") DONE, " x:agent_one({}) end");
}

TEST(no_two_calls_have_the_same_id)
{
    reads(CALL("\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"add\",\"arguments\":\"{}\"}") CALL("\"index\":1,\"id\":\"x\",\"function\":{\"name\":\"sub\",\"arguments\":\"{}\"}") DONE, " x:add({}) ?:sub({}) end");
}

TEST(arguments_may_be_an_object_or_nothing)
{
    reads(CALL("\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"add\",\"arguments\":{\"a\": [1, \"\xC3\xA9\"]}}") DONE, " x:add({\"a\":[1,\"\xC3\xA9\"]}) end");
    reads(CALL("\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"add\",\"arguments\":null}") DONE, " x:add() end");
    reads(CALL("\"index\":0,\"id\":\"x\",\"function\":{\"name\":\"add\"}") DONE, " x:add() end");
}

TEST(arguments_that_are_no_json_object_are_broken)
{
    reads(BEGINS("\"index\":0,\"id\":\"x\",", "add") GOES_ON("\"index\":0,", "{\\\"a\\\": ") DONE, " x:add({\"a\":)broken end");
    reads(BEGINS("\"index\":0,\"id\":\"x\",", "add") GOES_ON("\"index\":0,", "[1]") DONE, " x:add([1])broken end");
    reads(BEGINS("\"index\":0,\"id\":\"x\",", "add") GOES_ON("\"index\":0,", "{\\\"a\\\":1,\\\"a\\\":2}") DONE, " x:add({\"a\":1,\"a\":2})broken end");
}

TEST(a_turn_has_no_more_calls_than_allowed)
{
    struct buf b = {0};
    for (int i = 0; i < 9; i++) buf_addf(&b, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":%d,\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n", i);
    read_cut(buf_str(&b), 7, " ?:f({}) ?:f({}) ?:f({}) ?:f({}) ?:f({}) ?:f({}) ?:f({}) ?:f({}) fault: it asked for more tool calls at once than calls_max");
    buf_free(&b);
}

/* ---- what goes wrong --------------------------------------------------------------------------- */
TEST(an_error_in_the_stream_is_its_sentence)
{
    reads(CHUNK("{\"content\":\"a\"}") "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":500}}\n\n", "a failed: overloaded");
    reads("data: {\"error\":\"too long\"}\n\n" DONE, " failed: too long");
    reads("event: error\ndata: {\"message\":\"gone\"}\n\n", " failed: gone");
    reads("data: {\"object\":\"error\",\"message\":\"no such model\"}\n\n", " failed: no such model");
    reads("data: {\"error\":{}}\n\n", " failed: it did not say why");
    reads("data: {\"error\":{\"message\":\"Provider returned error\",\"metadata\":{\"raw\":\"no room\"}}}\n\n", " failed: Provider returned error: no room");
    reads("data: {\"error\":null,\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n" DONE, "a end");
}

TEST(an_event_that_is_no_json_object_is_an_error)
{
    reads(CHUNK("{\"content\":\"a\"}") "data: {\"choices\":[{\"del\n\n", "a error: an event of its answer is no JSON");
    reads("data: <html>\n\n", " error: an event of its answer is no JSON");
    reads("data: 7\n\n", " error: an event of its answer is no JSON object");
}

TEST(fields_of_any_other_type_are_passed_over)
{
    reads("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":7,\"refusal\":[],\"tool_calls\":\"x\",\"reasoning\":{}},\"finish_reason\":1}],\"usage\":[]}\n\n" DONE, " end");
    reads("data: {\"choices\":[7,null,[]],\"usage\":7}\n\n" "data: {\"choices\":{}}\n\n" "data: {}\n\n" DONE, " end");
    reads("data: {\"choices\":[{\"delta\":{\"tool_calls\":[7,{\"function\":7},{}]}}]}\n\n" DONE, " end");
}

/* ---- whole answers -------------------------------------------------------------------------------- */
static struct str whole(const char *text)
{
    struct reading r = {.answer = {.bytes_max = 100000, .calls_max = 8, .say = keep}};
    struct json body;
    r.answer.arg = &r;
    CHECK_OK(json_parse_own(test_arena(), str(text), &body));
    struct str line = line_of(&r, llm_openai.whole(test_arena(), body, answer_hear, &r.answer));
    answer_free(&r.answer);
    buf_free(&r.said);
    return line;
}

TEST(an_answer_that_was_not_streamed_reads_the_same)
{
    CHECK(str_is(whole("{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\",\"refusal\":null,\"reasoning_content\":\"hm\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}"), "<hm> hi 3/4 [stop] end"));
    CHECK(str_is(whole("{\"choices\":[{\"message\":{\"content\":null,\"tool_calls\":[{\"id\":\"x\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"y\",\"function\":{\"name\":\"f\",\"arguments\":{}}}]}}]}"), " x:f({}) y:f({}) end"));
    CHECK(str_is(whole("{\"error\":{\"message\":\"no\"}}"), " failed: no"));
    CHECK(str_is(whole("[{\"error\":{\"message\":\"no\"}}]"), " failed: no"));
    CHECK(str_is(whole("{\"status\":\"ok\"}"), " error: its answer has no choices"));
    CHECK(str_is(whole("[]"), " error: its answer has no choices"));
}

TEST(the_body_of_an_error_has_a_sentence)
{
    struct {
        const char *body, *sentence;
    } rows[] = {{"{\"error\":{\"message\":\"m\",\"type\":\"t\"}}", "m"}, {"{\"error\":{\"type\":\"t\"}}", "t"}, {"{\"error\":\"e\"}", "e"},
                {"{\"detail\":\"d\"}", "d"}, {"{\"message\":\"m\"}", "m"}, {"[{\"error\":{\"code\":400,\"message\":\"m\"}}]", "m"},
                {"{}", ""}, {"7", ""}, {"[]", ""}, {"{\"error\":{\"message\":7}}", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json body;
        CHECK_OK(json_parse_own(test_arena(), str(rows[i].body), &body));
        CHECK(str_is(llm_openai.failure(test_arena(), body), rows[i].sentence));
    }
}

/* ---- requests ---------------------------------------------------------------------------------------- */
static struct str body_of(const char *provider, const char *model, const struct llm_dialogue *d)
{
    struct buf b = {0};
    struct llm_model m = {.provider = llm_provider_named(str(provider)), .name = str(model)};
    struct json parsed;
    llm_openai.request(&b, &m, d);
    CHECK(!b.is_failed);
    CHECK_OK(json_parse(test_arena(), buf_str(&b), &parsed, NULL));
    struct str body = str_copy(test_arena(), buf_str(&b));
    buf_free(&b);
    return body;
}

TEST(a_dialogue_becomes_a_request)
{
    struct llm_call second = {.id = S("y"), .name = S("made up!"), .arguments = S("{\"a\":"), .is_broken = true};
    struct llm_call first = {.id = S("x"), .name = S("add"), .next = &second};
    struct llm_message result = {.role = LLM_TOOL, .text = S("3"), .call_id = S("x")};
    struct llm_message asks = {.role = LLM_ASSISTANT, .calls = &first, .next = &result};
    struct llm_message user = {.role = LLM_USER, .text = S("1 \"+\" 2"), .next = &asks};
    struct llm_tool tool = {.name = S("add"), .description = S("Adds"), .parameters = S("{\"type\":\"object\"}")};
    struct llm_dialogue d = {.system = S("Be\nkind"), .messages = &user, .tools = &tool, .temperature = -1, .effort = S("medium")};
    CHECK(str_is(body_of("openai", "gpt-4.1", &d),
        "{\"model\":\"gpt-4.1\",\"messages\":[{\"role\":\"system\",\"content\":\"Be\\nkind\"},{\"role\":\"user\",\"content\":\"1 \\\"+\\\" 2\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"x\",\"type\":\"function\",\"function\":{\"name\":\"add\",\"arguments\":\"{}\"}},"
        "{\"id\":\"y\",\"type\":\"function\",\"function\":{\"name\":\"made_up_\",\"arguments\":\"{}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"x\",\"content\":\"3\"}],\"stream\":true,\"stream_options\":{\"include_usage\":true},"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"add\",\"description\":\"Adds\",\"parameters\":{\"type\":\"object\"}}}]}"));
}

static struct str tail_of(const char *provider, const char *model, struct llm_dialogue d)
{
    static struct llm_message user = {.role = LLM_USER, .text = {"hi", 2}};
    d.messages = &user;
    struct str body = body_of(provider, model, &d);
    const char *from = strstr(body.at, "\"include_usage\":true}");
    CHECK(from);
    return str(from + 21);
}

TEST(json_is_asked_for_with_or_without_a_schema)
{
    struct llm_tool tool = {.name = S("f")};
    struct llm_dialogue d = {.system = S("Speak jSoN"), .wants_json = true, .temperature = -1};
    CHECK(str_is(tail_of("openai", "m", d), ",\"response_format\":{\"type\":\"json_object\"}}"));
    d.schema = S("{\"type\":\"object\"}");
    CHECK(str_is(tail_of("openai", "m", d), ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"schema\":{\"type\":\"object\"},\"strict\":false}}}"));
    d.wants_json = false; /* a schema asks by itself */
    CHECK(strstr(tail_of("openai", "m", d).at, "\"json_schema\""));
    d.tools = &tool;
    CHECK(strstr(tail_of("openai", "m", d).at, "response_format"));
    CHECK(!strstr(tail_of("friendlyAI", "m", d).at, "response_format"));
}

TEST(a_request_for_json_speaks_of_json)
{
    struct llm_dialogue d = {.wants_json = true, .temperature = 0.5};
    CHECK(strstr(body_of("openai", "m", &d).at, "\"content\":\"Answer with one JSON object.\""));
    d.system = S("Be kind");
    CHECK(strstr(body_of("openai", "m", &d).at, "\"content\":\"Be kind\\n\\nAnswer with one JSON object.\""));
    CHECK(str_is(tail_of("openai", "m", d), ",\"response_format\":{\"type\":\"json_object\"},\"temperature\":0.5}"));
}

TEST(effort_is_sent_where_the_model_is_known_to_take_it)
{
    struct {
        const char *provider, *model, *alone, *beside_tools;
    } rows[] = {
        {"openai", "gpt-4.1", "", ""}, {"openai", "gpt-4o", "", ""}, {"openai", "gpt-5", "xhigh", "xhigh"}, {"openai", "gpt-5.1-codex", "xhigh", "xhigh"},
        {"openai", "gpt-5-chat-latest", "", ""}, {"openai", "gpt-5.4-mini", "xhigh", ""}, {"openai", "gpt-5.6-terra", "xhigh", "none"},
        {"openai", "gpt-6", "xhigh", "none"}, {"openai", "o3-mini", "xhigh", "xhigh"}, {"openai", "o1-mini", "", ""}, {"openai", "ollama", "", ""},
        {"openai", "llama3.3", "", ""}, {"openai", "gpt-oss:20b", "xhigh", "xhigh"}, {"open_router", "openai/gpt-5.4", "xhigh", "xhigh"},
        {"open_router", "anthropic/claude-sonnet-4.6", "", ""}, {"fireworks", "accounts/fireworks/models/gpt-oss-120b", "xhigh", "xhigh"},
        {"gemini", "gemini-2.0-flash", "", ""}, {"gemini", "gemini-2.5-pro", "xhigh", "xhigh"}, {"gemini", "gemini-flash-latest", "xhigh", "xhigh"},
        {"nim", "openai/gpt-oss-120b", "", ""}, {"openai", "", "", ""}, {"openai", "o", "", ""}, {"openai", "a/", "", ""}, {"openai", "gpt-", "", ""}};
    struct llm_tool tool = {.name = S("f")};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (int with = 0; with < 2; with++) {
            const char *effort = with ? rows[i].beside_tools : rows[i].alone;
            struct str body = body_of(rows[i].provider, rows[i].model,
                                      &(struct llm_dialogue){.effort = S("xhigh"), .temperature = -1, .tools = with ? &tool : NULL});
            const char *found = strstr(body.at, "\"reasoning_effort\":");
            bool is_right = effort[0] ? found && strstr(found, effort) == found + 20 : !found;
            if (!is_right) test_fail(__FILE__, __LINE__, rows[i].model);
        }
    }
}
