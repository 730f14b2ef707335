/* What a model's server sends: whatever it is, a turn is UTF-8, what was said is its text, calls have
 * ids of their own, and a complaint is one printable line without the key. The first byte chooses the way
 * in: events (one a line), a whole answer, the body of an error. */
#include <stdint.h>
#include <stdlib.h>
#include "llm/answer.h"
#include "llm/complaint.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void must(bool holds)
{
    if (!holds) abort();
}

static void said(void *arg, struct str piece)
{
    must(piece.count > 0 && str_is_utf8(piece));
    buf_add_str(arg, piece);
}

static void check_turn(struct arena *arena, struct answer *answer, struct buf *heard)
{
    struct llm_turn turn;
    must(!failed(answer_turn(arena, answer, &turn)));
    must(str_is_utf8(turn.text) && str_is_utf8(turn.thought) && str_is_utf8(turn.refusal) && str_is_utf8(turn.finish));
    if (!failed(answer->fault)) must(str_eq(turn.text, buf_str(heard)));
    must(turn.calls_count <= answer->calls_max && turn.usage.prompt_tokens >= 0 && turn.usage.completion_tokens >= 0);
    int calls_count = 0;
    for (struct llm_call *call = turn.calls; call; call = call->next, calls_count++) {
        struct json json;
        must(call->id.count > 0 && str_is_utf8(call->id) && str_is_utf8(call->name) && str_is_utf8(call->arguments));
        for (struct llm_call *other = call->next; other; other = other->next) must(!str_eq(call->id, other->id));
        if (call->is_broken || call->arguments.count == 0) continue;
        must(!failed(json_parse(arena, call->arguments, &json, NULL)) && json_type(json) == JSON_OBJECT);
    }
    must(calls_count == turn.calls_count);
}

static void nobody(void *arg, const struct llm_delta *delta) { (void)arg, (void)delta; }

/* With `forget`, each event follows one of another form, so that none is known by the one before. */
static struct err hear_events(struct arena *arena, struct str stream, bool forget, struct answer *answer)
{
    bool more = true;
    struct err e = OK;
    while (more && !failed(e)) {
        struct str rest, line = str_split(stream, '\n', &rest, &more);
        stream = rest;
        if (forget) must(!failed(llm_openai.event(arena, S(""), S("{\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"y\":0}"), nobody, NULL)));
        e = llm_openai.event(arena, str_starts(line, S("!")) ? S("error") : S(""), line, answer_hear, answer);
    }
    return e;
}

static void hear_twice(struct arena *arena, struct str stream, struct answer *answer)
{
    struct buf heard = {0};
    struct answer again = {.bytes_max = answer->bytes_max, .calls_max = answer->calls_max, .say = said, .arg = &heard};
    struct err first = hear_events(arena, stream, true, &again), second = hear_events(arena, stream, false, answer);
    must(first.code == second.code && again.fault.code == answer->fault.code && again.has_failed == answer->has_failed);
    must(str_eq(buf_str(&again.text), buf_str(&answer->text)) && str_eq(buf_str(&again.thought), buf_str(&answer->thought)));
    must(again.calls_count == answer->calls_count && again.is_ended == answer->is_ended && again.is_finished == answer->is_finished);
    must(again.usage.prompt_tokens == answer->usage.prompt_tokens && again.has_begun == answer->has_begun);
    answer_free(&again);
    buf_free(&heard);
}

static bool has(struct str text, struct str part) { return part.count && memmem(text.at, text.count, part.at, part.count); }

static void complain(struct arena *arena, struct str body)
{
    struct json json;
    struct str key = str_trim(str_cut(body, 0, 24)), text = body;
    if (!failed(json_parse_own(arena, body, &json))) text = llm_openai.failure(arena, json);
    struct str line = complaint(arena, text, &key, 1);
    must(line.count <= COMPLAINT_BYTES_MAX && str_is_utf8(line));
    for (size_t i = 0; i < line.count; i++) must((unsigned char)line.at[i] >= 0x20 && line.at[i] != 0x7F);
    /* A key with "[hidden]" in it could be made by hiding. */
    if (key.count >= 8 && !has(key, S("["))) must(!has(line, key));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    if (count == 0) return 0;
    struct str input = {(const char *)bytes + 1, count - 1};
    struct arena arena = arena_new();
    struct buf heard = {0};
    struct answer answer = {.bytes_max = 1 << 20, .calls_max = 8, .say = said, .arg = &heard};
    struct json json;

    if (bytes[0] % 3 == 0) hear_twice(&arena, input, &answer);
    if (bytes[0] % 3 == 1 && !failed(json_parse_own(&arena, input, &json))) (void)!failed(llm_openai.whole(&arena, json, answer_hear, &answer));
    if (bytes[0] % 3 == 2) complain(&arena, input);
    check_turn(&arena, &answer, &heard);
    answer_free(&answer);
    buf_free(&heard);
    arena_free(&arena);
    return 0;
}
