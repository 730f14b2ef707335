/* dev/rehearsal/directives.c: what stands in [[double brackets]].
 *
 * The list of directives is in the manual (manual.c); here each is a row of a
 * table with what it does. Directives of manner hold for the whole message;
 * acts belong to the part they stand in. */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stats.h"

#define CALLS_MAX 64

struct pending { char name[128]; const char *args; size_t args_len; };

/* The state of reading one text. */
struct reading {
    struct play *play;
    const struct dialogue *dialogue;
    const struct heard *heard;
    const char *whole;       /* this directive, brackets and all: the key of "times" */
    size_t whole_len;
    bool in_part;            /* does this act stand in the part that is played? */
    bool acts;
    struct pending calls[CALLS_MAX];   /* side by side, until something else comes */
    int calls_count, calls_done;
};

struct arg { const char *at; size_t len; };

typedef void act_fn(struct reading *, struct arg);

/* ---- small readers -------------------------------------------------------- */

static struct arg word(struct arg *rest)
{
    while (rest->len && *rest->at == ' ') rest->at++, rest->len--;
    struct arg out = {rest->at, 0};
    while (rest->len && *rest->at != ' ') rest->at++, rest->len--, out.len++;
    while (rest->len && *rest->at == ' ') rest->at++, rest->len--;
    return out;
}

static bool is(struct arg a, const char *text)
{
    return a.len == strlen(text) && memcmp(a.at, text, a.len) == 0;
}

static int number(struct arg a, int otherwise)
{
    char digits[16];
    if (a.len == 0 || a.len >= sizeof digits) return otherwise;
    memcpy(digits, a.at, a.len);
    digits[a.len] = 0;
    char *end;
    long value = strtol(digits, &end, 10);
    return *end ? otherwise : (int)value;
}

static void copy(char *out, size_t room, struct arg a)
{
    if (a.len >= room) a.len = room - 1;
    memcpy(out, a.at, a.len);
    out[a.len] = 0;
}

/* Where the JSON value at `at` ends: balanced braces, strings skipped. */
static size_t json_span(const char *at, size_t len)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < len; i++) {
        if (quoted) {
            if (at[i] == '\\') i++;
            else if (at[i] == '"') quoted = false;
            continue;
        }
        if (at[i] == '"') quoted = true;
        if (at[i] == '{' || at[i] == '[') depth++;
        if (at[i] == '}' || at[i] == ']') {
            depth--;
            if (depth == 0) return i + 1;
        }
    }
    return 0;
}

/* ---- acts ----------------------------------------------------------------- */

/* Calls that stand side by side leave together, one after the other or mixed. */
static void flush_calls(struct reading *reading)
{
    struct play *play = reading->play;
    int first = play->count;
    for (int i = 0; i < reading->calls_count; i++) {
        struct pending *call = &reading->calls[i];
        play_call(play, reading->calls_done + i, call->name, call->args, call->args_len);
    }
    int count = play->count - first;
    if (play->manner.interleave && count > 0) {
        /* Deal the pieces round: one of each call in turn. Stable per call. */
        struct step *dealt = malloc((size_t)count * sizeof dealt[0]);
        bool *used = calloc((size_t)count, sizeof used[0]);
        if (!dealt || !used) abort();
        for (int done = 0, want = 0; done < count; want = (want + 1) % reading->calls_count) {
            for (int i = 0; i < count; i++) {
                if (used[i] || play->steps[first + i].number != reading->calls_done + want) continue;
                dealt[done++] = play->steps[first + i];
                used[i] = true;
                break;
            }
        }
        memcpy(&play->steps[first], dealt, (size_t)count * sizeof dealt[0]);
        free(dealt);
        free(used);
    }
    reading->calls_done += reading->calls_count;
    reading->calls_count = 0;
}

static void act_say(struct reading *r, struct arg a) { play_words(r->play, STEP_SAY, a.at, a.len); }
static void act_think(struct reading *r, struct arg a) { play_words(r->play, STEP_THINK, a.at, a.len); }
static void act_stall(struct reading *r, struct arg a) { (void)a; play_step(r->play, STEP_STALL); }
static void act_cut(struct reading *r, struct arg a) { (void)a; play_step(r->play, STEP_CUT); }
static void act_reset(struct reading *r, struct arg a) { (void)a; play_step(r->play, STEP_RESET); }
static void act_hang(struct reading *r, struct arg a) { (void)a; play_step(r->play, STEP_HANG); }
static void act_html(struct reading *r, struct arg a) { (void)a; play_step(r->play, STEP_HTML); }
static void act_empty(struct reading *r, struct arg a) { (void)r; (void)a; }
static void act_gate(struct reading *r, struct arg a) { play_text(r->play, STEP_GATE, a.at, a.len); }
static void act_redirect(struct reading *r, struct arg a) { play_text(r->play, STEP_REDIRECT, a.at, a.len); }
static void act_wait(struct reading *r, struct arg a) { play_step(r->play, STEP_WAIT)->number = number(a, 0); }
static void act_flood(struct reading *r, struct arg a) { play_step(r->play, STEP_FLOOD)->number = number(a, 0); }

static void act_refuse(struct reading *r, struct arg a)
{
    static const char sorry[] = "I cannot help with that.";
    if (a.len == 0) a = (struct arg){sorry, sizeof sorry - 1};
    play_words(r->play, STEP_REFUSE, a.at, a.len);
}

static void act_error(struct reading *r, struct arg a)
{
    static const char broke[] = "The model broke down";
    if (a.len == 0) a = (struct arg){broke, sizeof broke - 1};
    play_text(r->play, STEP_ERROR, a.at, a.len);
}

static void act_raw(struct reading *r, struct arg a)
{
    struct text out = {0};
    for (size_t i = 0; i < a.len; i++) {
        if (a.at[i] == '\\' && i + 1 < a.len && (a.at[i + 1] == 'n' || a.at[i + 1] == 'r'))
            text_put(&out, a.at[++i] == 'n' ? "\n" : "\r");
        else
            text_add(&out, &a.at[i], 1);
    }
    play_text(r->play, STEP_RAW, out.data ? out.data : "", out.len);
    text_free(&out);
}

static void act_tokens(struct reading *r, struct arg a)
{
    int count = number(a, 1), pace = r->play->manner.pace_ms;
    for (int i = 0; i < count; i++) {
        char token[24];
        int len = snprintf(token, sizeof token, "%sw%d", i ? " " : "", i + 1);
        if (i > 0 && pace > 0) play_step(r->play, STEP_WAIT)->number = pace;
        play_text(r->play, STEP_SAY, token, (size_t)len);
    }
}

static void act_stamps(struct reading *r, struct arg a)
{
    int count = number(a, 1), pace = r->play->manner.pace_ms;
    for (int i = 0; i < count; i++) {
        if (i > 0 && pace > 0) play_step(r->play, STEP_WAIT)->number = pace;
        play_step(r->play, STEP_STAMP);
    }
}

static void act_long(struct reading *r, struct arg a)
{
    int pace = r->play->manner.pace_ms;
    play_step(r->play, STEP_LONG)->number = number(a, pace >= 0 ? pace : 50);
}

static void act_status(struct reading *r, struct arg a)
{
    struct step step = {.number = number(word(&a), 500), .extra = -1};
    static const char said[] = "The rehearsal was told to fail";
    struct arg text = {said, sizeof said - 1};
    while (a.len) {
        struct arg key = word(&a);
        if (is(key, "retry-after")) step.extra = number(word(&a), 1);
        if (is(key, "message")) text = a, a.len = 0;
    }
    play_text(r->play, STEP_STATUS, text.at, text.len);
    r->play->steps[r->play->count - 1].number = step.number;
    r->play->steps[r->play->count - 1].extra = step.extra;
}

static void pend_call(struct reading *r, struct arg name, const char *args, size_t args_len)
{
    if (r->calls_count == CALLS_MAX) return;
    struct pending *call = &r->calls[r->calls_count++];
    struct text full = {0};
    if (dialogue_tool(r->dialogue, name.at, name.len, &full)) name = (struct arg){full.data, full.len};
    copy(call->name, sizeof call->name, name);
    call->args = args;
    call->args_len = args_len;
    text_free(&full);
}

static void act_call(struct reading *r, struct arg a)
{
    struct arg name = word(&a);
    if (a.len == 0) pend_call(r, name, "{}", 2);
    else pend_call(r, name, a.at, a.len);
}

static void act_badjson(struct reading *r, struct arg a)
{
    static const char broken[] = "{\"query\": \"broken";
    const struct json *json = &r->dialogue->json;
    struct text first = {0};
    struct arg name = word(&a);
    int tool = json_first(json, json_get(json, 0, "tools"));
    if (name.len == 0) {
        json_text(json, json_get(json, json_get(json, tool, "function"), "name"), &first);
        if (first.len == 0) text_put(&first, "no_tool_offered");
        name = (struct arg){first.data, first.len};
    }
    pend_call(r, name, broken, sizeof broken - 1);
    text_free(&first);
}

static void act_unknown_tool(struct reading *r, struct arg a)
{
    (void)a;
    static const char name[] = "no_such_tool";
    pend_call(r, (struct arg){name, sizeof name - 1}, "{}", 2);
}

/* The whole request as the answer: {"method","target","headers":{},"body"}. */
static void act_echo(struct reading *r, struct arg a)
{
    (void)a;
    struct text out = {0};
    stats_describe(r->heard, &out);
    play_text(r->play, STEP_SAY, out.data, out.len);
    text_free(&out);
}

static const struct { const char *name; act_fn *act; bool is_call; } acts[] = {
    {"say", act_say, false},         {"think", act_think, false},     {"tokens", act_tokens, false},
    {"call", act_call, true},        {"badjson", act_badjson, true},  {"unknown_tool", act_unknown_tool, true},
    {"stall", act_stall, false},     {"cut", act_cut, false},         {"reset", act_reset, false},
    {"hang", act_hang, false},       {"html", act_html, false},       {"empty", act_empty, false},
    {"refuse", act_refuse, false},   {"status", act_status, false},   {"redirect", act_redirect, false},
    {"error", act_error, false},     {"wait", act_wait, false},       {"gate", act_gate, false},
    {"long", act_long, false},       {"flood", act_flood, false},     {"echo", act_echo, false},
    {"raw", act_raw, false},         {"stamps", act_stamps, false},
};

/* ---- manners -------------------------------------------------------------- */

static void set_usage(struct manner *manner, struct arg a)
{
    struct arg first = word(&a);
    if (is(first, "null")) manner->usage = USAGE_NULL;
    else if (is(first, "none")) manner->usage = USAGE_NONE;
    else if (is(first, "inline")) manner->usage = USAGE_INLINE;
    else {
        manner->usage_in = number(first, 0);
        manner->usage_out = number(word(&a), 0);
    }
}

static bool manner_flag(struct manner *manner, struct arg name)
{
    struct { const char *name; bool *flag; } flags[] = {
        {"crlf", &manner->crlf},             {"comments", &manner->comments},
        {"no_done", &manner->no_done},       {"no_role", &manner->no_role},
        {"empty_choices", &manner->empty_choices}, {"interleave", &manner->interleave},
        {"no_space", &manner->no_space},     {"multiline", &manner->multiline},
        {"escape", &manner->escape},         {"until_close", &manner->until_close},
        {"no_call_id", &manner->no_call_id}, {"object_args", &manner->object_args},
        {"no_index", &manner->no_index},     {"bom", &manner->bom},
        {"deaf", &manner->deaf},             {"loop", &manner->loop},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (!is(name, flags[i].name)) continue;
        *flags[i].flag = true;
        return true;
    }
    return false;
}

static bool set_manner(struct manner *manner, struct arg name, struct arg a)
{
    if (manner_flag(manner, name)) return true;
    if (is(name, "tag")) copy(manner->tag, sizeof manner->tag, a);
    else if (is(name, "finish")) copy(manner->finish, sizeof manner->finish, a);
    else if (is(name, "event")) copy(manner->event, sizeof manner->event, a);
    else if (is(name, "pace")) manner->pace_ms = number(a, 0);
    else if (is(name, "delay")) manner->delay_ms = number(a, 0);
    else if (is(name, "usage")) set_usage(manner, a);
    else if (is(name, "split")) {
        manner->split_bytes = number(word(&a), 1);
        manner->split_ms = number(word(&a), 0);
    } else return false;
    return true;
}

/* ---- reading -------------------------------------------------------------- */

/* Where the directive at `at` ("[[…") ends, behind its "]]": brackets nest, and
 * the JSON of a call may hold anything. 0: it does not end. */
static size_t directive_span(const char *at, size_t len)
{
    size_t i = 2;
    int depth = 1;
    if (len > 7 && memcmp(at, "[[call ", 7) == 0) {
        i = 7;
        while (i < len && at[i] != ' ' && at[i] != ']') i++;
        while (i < len && at[i] == ' ') i++;
        if (i < len && at[i] == '{') i += json_span(at + i, len - i);
    }
    for (; i + 1 < len; i++) {
        if (at[i] == '[' && at[i + 1] == '[') depth++, i++;
        else if (at[i] == ']' && at[i + 1] == ']') {
            i++;
            if (--depth == 0) return i + 1;
        }
    }
    return 0;
}

/* "times N" at the end of an act: after N uses it is skipped, and the rest of
 * the part is played as if it were not there. */
static bool used_up(const struct reading *reading, struct arg *a)
{
    const char *mark = NULL;
    for (size_t i = 0; i + 6 <= a->len; i++)
        if ((i == 0 || a->at[i - 1] == ' ') && memcmp(a->at + i, "times ", 6) == 0) mark = a->at + i;
    if (!mark) return false;
    size_t before = (size_t)(mark - a->at);
    int times = number((struct arg){mark + 6, a->len - before - 6}, -1);
    if (times < 0) return false;
    a->len = before;
    while (a->len && a->at[a->len - 1] == ' ') a->len--;
    return stats_uses(reading->play->manner.tag, reading->whole, reading->whole_len) > times;
}

static void take_act(struct reading *reading, struct arg name, struct arg a)
{
    if (!reading->in_part) return;
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        if (!is(name, acts[i].name)) continue;
        bool says = is(name, "say") || is(name, "think");
        if (!says && used_up(reading, &a)) return;
        if (!acts[i].is_call) flush_calls(reading);
        reading->acts = true;
        acts[i].act(reading, a);
        return;
    }
    /* A word we do not know is said aloud: silence would hide the mistake. */
    static const char unknown[] = "Unknown directive: ";
    reading->acts = true;
    play_text(reading->play, STEP_SAY, unknown, sizeof unknown - 1);
    play_text(reading->play, STEP_SAY, name.at, name.len);
}

/* One walk over the text: `doing` false collects manners and counts parts,
 * true plays the acts of the part. */
static int walk(struct reading *reading, const struct text *said, int part, bool doing, struct text *plain)
{
    int now = 0;
    for (size_t i = 0; i < said->len;) {
        const char *at = said->data + i;
        size_t left = said->len - i;
        size_t span = left > 3 && at[0] == '[' && at[1] == '[' ? directive_span(at, left) : 0;
        if (span == 0) {
            if (!doing) text_add(plain, at, 1);
            i++;
            continue;
        }
        i += span;
        struct arg rest = {at + 2, span - 4};
        struct arg name = word(&rest);
        struct manner ignored = {0};
        if (is(name, "then")) now++;
        else if (!doing) set_manner(&reading->play->manner, name, rest);
        else if (!set_manner(&ignored, name, rest)) {
            reading->whole = at;
            reading->whole_len = span;
            reading->in_part = now == part;
            take_act(reading, name, rest);
        }
    }
    return now;
}

bool directives(struct play *play, const struct dialogue *dialogue, const struct heard *heard,
                const struct text *said, int part, struct text *plain)
{
    static struct reading reading;   /* large, and there is one thread */
    reading = (struct reading){.play = play, .dialogue = dialogue, .heard = heard};
    int last = walk(&reading, said, part, false, plain);
    if (part > last && play->manner.loop) part = last;
    walk(&reading, said, part, true, plain);
    flush_calls(&reading);
    return reading.acts;
}
