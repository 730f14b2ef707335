/* dev/rehearsal/play.c: making a play out of a request, and its steps. */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct step *play_step(struct play *play, enum step_kind kind)
{
    if (play->count == play->room) {
        play->room = play->room ? play->room * 2 : 64;
        play->steps = realloc(play->steps, (size_t)play->room * sizeof play->steps[0]);
        if (!play->steps) abort();
    }
    struct step *step = &play->steps[play->count++];
    *step = (struct step){.kind = kind, .extra = -1};
    return step;
}

void play_text(struct play *play, enum step_kind kind, const char *data, size_t len)
{
    struct step *step = play_step(play, kind);
    step->at = play->pool.len;
    step->len = len;
    text_add(&play->pool, data, len);
}

/* A token is a word with the white space before it. */
void play_words(struct play *play, enum step_kind kind, const char *data, size_t len)
{
    size_t from = 0;
    while (from < len) {
        size_t end = from;
        while (end < len && strchr(" \n\t", data[end])) end++;
        while (end < len && !strchr(" \n\t", data[end])) end++;
        if (from > 0 && play->manner.pace_ms > 0) play_step(play, STEP_WAIT)->number = play->manner.pace_ms;
        play_text(play, kind, data + from, end - from);
        from = end;
    }
}

void play_call(struct play *play, int index, const char *name, const char *args, size_t args_len)
{
    play_text(play, STEP_CALL, name, strlen(name));
    play->steps[play->count - 1].number = index;
    for (size_t from = 0; from < args_len; from += 9) {
        size_t piece = args_len - from < 9 ? args_len - from : 9;
        /* A piece never ends inside a character: deltas are JSON strings. */
        while (from + piece < args_len && ((unsigned char)args[from + piece] & 0xc0) == 0x80) piece++;
        play_text(play, STEP_ARGS, args + from, piece);
        play->steps[play->count - 1].number = index;
        from += piece - 9;
    }
}

static void read_options(struct play *play, const struct dialogue *dialogue)
{
    const struct json *json = &dialogue->json;
    struct text model = {0};

    json_text(json, json_get(json, 0, "model"), &model);
    snprintf(play->model, sizeof play->model, "%s", model.data ? model.data : "rehearsal");
    text_free(&model);
    play->stream = json_true(json, json_get(json, 0, "stream"));
    play->include_usage = json_true(json, json_get(json, json_get(json, 0, "stream_options"), "include_usage"));
    int format = json_get(json, json_get(json, 0, "response_format"), "type");
    play->as_json = json_is(json, format, "json_object") || json_is(json, format, "json_schema");
}

/* Tool results that begin with a directive are scripts of their own, so that a
 * test can steer what comes after a tool without knowing the dialogue. */
static bool play_results(struct play *play, const struct dialogue *dialogue, const struct heard *heard)
{
    const struct message *last = &dialogue->messages[dialogue->count - 1];
    if (!last->from_tool || last->text.len < 2 || memcmp(last->text.data, "[[", 2) != 0) return false;
    struct text plain = {0};
    bool acts = directives(play, dialogue, heard, &last->text, 0, &plain);
    text_free(&plain);
    return acts;
}

bool play_make(struct play *play, const struct heard *heard, int pace_ms)
{
    struct dialogue dialogue;
    struct text plain = {0};
    bool acts = false;

    *play = (struct play){.manner = {.usage_in = -1, .usage_out = -1, .pace_ms = -1}};
    if (!dialogue_read(&dialogue, heard->body, heard->body_len) || dialogue.count == 0) {
        dialogue_free(&dialogue);
        return false;
    }
    read_options(play, &dialogue);
    play->words_in = (long)(heard->body_len / 4) + 1;
    if (dialogue.last_user >= 0) {
        const struct text *said = &dialogue.messages[dialogue.last_user].text;
        acts = directives(play, &dialogue, heard, said, dialogue.answers_since, &plain);
    }
    if (!acts) acts = play_results(play, &dialogue, heard);
    if (!acts) {
        if (play->manner.pace_ms < 0) play->manner.pace_ms = pace_ms;
        canned(play, &dialogue, plain.data ? plain.data : "", plain.len);
    }
    play_step(play, STEP_END);
    text_free(&plain);
    dialogue_free(&dialogue);
    return true;
}

void play_free(struct play *play)
{
    text_free(&play->pool);
    free(play->steps);
    *play = (struct play){0};
}
