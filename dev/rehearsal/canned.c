/* dev/rehearsal/canned.c: what the model says when nobody tells it what to say.
 *
 * Just enough sense that a person who tries agentd without a model sees what
 * agentd does: it remembers the thread, calls tools, talks long. */
#include "script.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The stretch of a line that says something: to the end of the sentence. */
static size_t phrase(const char *at, size_t len)
{
    size_t n = 0;
    while (n < len && !strchr("?!.,;\n\"", at[n])) n++;
    while (n && at[n - 1] == ' ') n--;
    return n;
}

static const char *text_of(const struct message *message)
{
    return message->text.data ? message->text.data : "";
}

static size_t left_of(const struct message *message, const char *at)
{
    return message->text.len - (size_t)(at - message->text.data);
}

/* "my <thing> is <value>", said by the user before; null if never. */
static const char *told(const struct dialogue *dialogue, const char *thing, size_t thing_len, size_t *len)
{
    char wanted[96];
    if (thing_len > 64) return NULL;
    snprintf(wanted, sizeof wanted, "my %.*s is ", (int)thing_len, thing);
    for (int i = dialogue->last_user - 1; i >= 0; i--) {
        const struct message *message = &dialogue->messages[i];
        if (!message->from_user) continue;
        const char *at = text_find(text_of(message), message->text.len, wanted);
        if (!at) continue;
        at += strlen(wanted);
        *len = phrase(at, left_of(message, at));
        if (*len) return at;
    }
    return NULL;
}

/* ---- each answer: true when it found something to say ---------------------- */

static bool answer_what_is_my(struct text *out, const struct dialogue *dialogue, const char *said, size_t len)
{
    const char *at = text_find(said, len, "what is my ");
    size_t skip = 11;
    if (!at) at = text_find(said, len, "what's my "), skip = 10;
    if (!at) return false;
    at += skip;
    size_t thing_len = phrase(at, len - (size_t)(at - said)), value_len = 0;
    /* "what is my dog called?": the thing is the dog, and "called Rex" is what it is. */
    if (thing_len > 7 && strncasecmp(at + thing_len - 7, " called", 7) == 0) thing_len -= 7;
    const char *value = told(dialogue, at, thing_len, &value_len);
    if (value) text_printf(out, "Your %.*s is %.*s.", (int)thing_len, at, (int)value_len, value);
    else text_printf(out, "You have not told me your %.*s.", (int)thing_len, at);
    return true;
}

static bool answer_what_did_i(struct text *out, const struct dialogue *dialogue, const char *said, size_t len)
{
    if (!text_find(said, len, "what did i ") && !text_find(said, len, "do you remember")) return false;
    for (int i = dialogue->last_user - 1; i >= 0; i--) {
        const struct message *message = &dialogue->messages[i];
        if (!message->from_user) continue;
        text_printf(out, "You said: \"%s\"", text_of(message));
        return true;
    }
    text_put(out, "You have not said anything before this.");
    return true;
}

static bool answer_my_is(struct text *out, const char *said, size_t len)
{
    const char *my = text_find(said, len, "my ");
    const char *is = my ? text_find(my, len - (size_t)(my - said), " is ") : NULL;
    if (!is || is - my > 60) return false;
    const char *value = is + 4;
    size_t value_len = phrase(value, len - (size_t)(value - said));
    int thing_len = (int)(is - my) - 3;
    if (value_len == 0 || thing_len <= 0) return false;
    if (thing_len == 4 && strncasecmp(my + 3, "name", 4) == 0)
        text_printf(out, "Nice to meet you, %.*s. I will remember your name.", (int)value_len, value);
    else
        text_printf(out, "Noted: your %.*s is %.*s.", thing_len, my + 3, (int)value_len, value);
    return true;
}

static bool answer_sum(struct text *out, const char *said, size_t len)
{
    static const struct { const char *word; char op; } words[] = {
        {"plus", '+'}, {"+", '+'}, {"minus", '-'}, {"-", '-'}, {"times", '*'}, {"*", '*'}};
    for (size_t i = 0; i < len; i++) {
        long left, right;
        char word[8];
        if (!isdigit((unsigned char)said[i]) || (i && !isspace((unsigned char)said[i - 1]))) continue;
        if (sscanf(said + i, "%7ld %7[a-z+*-] %7ld", &left, word, &right) != 3) continue;
        for (size_t w = 0; w < sizeof words / sizeof words[0]; w++) {
            if (strcmp(word, words[w].word) != 0) continue;
            long result = words[w].op == '+' ? left + right : words[w].op == '-' ? left - right : left * right;
            text_printf(out, "%ld %s %ld is %ld.", left, word, right, result);
            return true;
        }
    }
    return false;
}

static bool answer_count(struct text *out, const char *said, size_t len)
{
    const char *at = text_find(said, len, "count to ");
    if (!at) return false;
    long count = strtol(at + 9, NULL, 10);
    if (count < 1 || count > 100000) return false;
    for (long i = 1; i <= count; i++) text_printf(out, i < count ? "%ld, " : "%ld.", i);
    return true;
}

/* ---- tools ------------------------------------------------------------------ */

/* The property that takes the question: "query", else the first one required. */
static void question_name(const struct dialogue *dialogue, const char *tool, struct text *out)
{
    const struct json *json = &dialogue->json;
    int tools = json_get(json, 0, "tools");
    for (int node = json_first(json, tools); node >= 0; node = json_next(json, node)) {
        int function = json_get(json, node, "function");
        if (!json_is(json, json_get(json, function, "name"), tool)) continue;
        int schema = json_get(json, function, "parameters");
        if (json_get(json, json_get(json, schema, "properties"), "query") < 0)
            json_text(json, json_first(json, json_get(json, schema, "required")), out);
    }
    if (out->len == 0) text_put(out, "query");
}

/* "Ask the Fact Finder what 6 times 7 is": the longest run of words behind
 * "ask" that names a tool. Several in one text are called side by side. */
static bool call_asked(struct play *play, const struct dialogue *dialogue, const char *said, size_t len)
{
    int calls = 0;
    const char *at = said, *end = said + len;

    while ((at = text_find(at, (size_t)(end - at), "ask ")) != NULL) {
        bool starts = at == said || !isalnum((unsigned char)at[-1]);
        at += 4;
        if (!starts) continue;
        if (end - at > 4 && strncasecmp(at, "the ", 4) == 0) at += 4;
        struct text tool = {0};
        const char *stop = at, *name_end = at;
        for (int words = 0; words < 6 && stop < end; words++) {
            while (stop < end && *stop == ' ') stop++;
            while (stop < end && !isspace((unsigned char)*stop) && !strchr(":,", *stop)) stop++;
            struct text found = {0};
            if (dialogue_tool(dialogue, at, (size_t)(stop - at), &found)) {
                tool.len = 0;
                text_add(&tool, found.data, found.len);
                name_end = stop;
            }
            text_free(&found);
            if (stop < end && strchr(":,", *stop)) break;
        }
        if (tool.len) {
            while (name_end < end && strchr(":, ", *name_end)) name_end++;
            if (end - name_end > 3 && strncasecmp(name_end, "to ", 3) == 0) name_end += 3;
            const char *next = text_find(name_end, (size_t)(end - name_end), "ask ");
            const char *query_end = next ? next : end;
            struct text args = {0}, property = {0};
            question_name(dialogue, tool.data, &property);
            text_put(&args, "{");
            text_add_quoted(&args, property.data, property.len);
            text_put(&args, ":");
            text_add_quoted(&args, name_end, (size_t)(query_end - name_end));
            text_put(&args, "}");
            play_call(play, calls++, tool.data, args.data, args.len);
            text_free(&args);
            text_free(&property);
            at = name_end;
        }
        text_free(&tool);
    }
    return calls > 0;
}

/* What the tools of this turn answered, by name. */
static bool answer_results(struct text *out, const struct dialogue *dialogue)
{
    const struct json *json = &dialogue->json;
    const struct message *asked = NULL;
    for (int i = dialogue->last_user + 1; i < dialogue->count; i++) {
        const struct message *message = &dialogue->messages[i];
        if (message->from_model) asked = message;
        if (!message->from_tool) continue;
        struct text id = {0}, name = {0};
        json_text(json, json_get(json, message->node, "tool_call_id"), &id);
        int calls = asked ? json_get(json, asked->node, "tool_calls") : -1;
        for (int call = json_first(json, calls); call >= 0; call = json_next(json, call))
            if (id.len && json_is(json, json_get(json, call, "id"), id.data))
                json_text(json, json_get(json, json_get(json, call, "function"), "name"), &name);
        text_printf(out, "%s%s says: %s", out->len ? "\n" : "", name.len ? name.data : "The tool", text_of(message));
        text_free(&id);
        text_free(&name);
    }
    return out->len > 0;
}

void canned(struct play *play, const struct dialogue *dialogue, const char *plain, size_t len)
{
    struct text out = {0};
    bool results = answer_results(&out, dialogue);

    if (!results && call_asked(play, dialogue, plain, len)) return;
    if (!results && !play->as_json && text_find(plain, len, "long story")) {
        play_step(play, STEP_LONG)->number = play->manner.pace_ms > 0 ? play->manner.pace_ms : 50;
        return;
    }
    if (!results && !answer_what_is_my(&out, dialogue, plain, len) &&
        !answer_what_did_i(&out, dialogue, plain, len) && !answer_my_is(&out, plain, len) &&
        !answer_count(&out, plain, len) && !answer_sum(&out, plain, len)) {
        if (len == 0) text_put(&out, "Hello! I am the rehearsal model.");
        else text_printf(&out, "You said: \"%.*s\". I am the rehearsal model, and I play scripts.", (int)len, plain);
    }
    if (play->as_json) {
        struct text json = {0};
        text_put(&json, "{\"answer\":");
        text_add_quoted(&json, out.data, out.len);
        text_put(&json, "}");
        play_words(play, STEP_SAY, json.data, json.len);
        text_free(&json);
    } else {
        play_words(play, STEP_SAY, out.data, out.len);
    }
    text_free(&out);
}
