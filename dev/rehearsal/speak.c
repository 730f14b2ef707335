#include "speak.h"

#include <stdio.h>
#include <string.h>
#include "stats.h"

#define BURST_MAX 65536      /* bytes made before they are sent */

static const char *reason_of(int status)
{
    switch (status) {
    case 200: return "OK";
    case 302: return "Found";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 404: return "Not Found";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 503: return "Service Unavailable";
    default: return "Answer";
    }
}

void speak_reply(struct text *out, int status, const char *type, const char *extra_head, const char *body,
                 size_t len, bool keep_alive)
{
    text_printf(out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s%s\r\n", status,
                reason_of(status), type, len, extra_head, keep_alive ? "" : "Connection: close\r\n");
    text_add(out, body, len);
}

/* ---- framing ---------------------------------------------------------------- */

static void send_bytes(struct speech *speech, const char *data, size_t len)
{
    if (speech->play.manner.until_close) {
        text_add(&speech->out, data, len);
        return;
    }
    text_printf(&speech->out, "%zx\r\n", len);
    text_add(&speech->out, data, len);
    text_put(&speech->out, "\r\n");
}

/* One server-sent event around `json`. A multi-line one is broken at its first
 * comma: the reader joins the lines with \n, which JSON does not mind. */
static void send_event(struct speech *speech, const char *json, size_t len)
{
    const struct manner *manner = &speech->play.manner;
    const char *end = manner->crlf ? "\r\n" : "\n";
    const char *data = manner->no_space ? "data:" : "data: ";
    struct text event = {0};

    if (manner->comments) text_printf(&event, ": still here%s%s", end, end);
    if (manner->event[0]) text_printf(&event, "event: %s%s", manner->event, end);
    const char *comma = manner->multiline ? memchr(json, ',', len) : NULL;
    text_put(&event, data);
    if (comma) {
        text_add(&event, json, (size_t)(comma - json) + 1);
        text_printf(&event, "%s%s", end, data);
        text_add(&event, comma + 1, len - (size_t)(comma - json) - 1);
    } else {
        text_add(&event, json, len);
    }
    text_printf(&event, "%s%s", end, end);
    send_bytes(speech, event.data, event.len);
    text_free(&event);
}

static void start_chunk(const struct speech *speech, struct text *json)
{
    text_printf(json, "{\"id\":\"chatcmpl-%ld\",\"object\":\"chat.completion.chunk\",\"created\":%ld,\"model\":",
                speech->serial, speech->created);
    text_add_quoted(json, speech->play.model, strlen(speech->play.model));
}

static void add_usage(const struct speech *speech, struct text *json)
{
    const struct manner *manner = &speech->play.manner;
    long in = manner->usage_in >= 0 ? manner->usage_in : speech->play.words_in;
    long out = manner->usage_out >= 0 ? manner->usage_out : speech->words;
    text_printf(json, "{\"prompt_tokens\":%ld,\"completion_tokens\":%ld,\"total_tokens\":%ld}", in, out, in + out);
}

/* A chunk with one choice: its delta as JSON, its finish reason or null. */
static void send_delta(struct speech *speech, const char *delta, const char *finish)
{
    const struct play *play = &speech->play;
    struct text json = {0};

    start_chunk(speech, &json);
    text_printf(&json, ",\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":", delta);
    if (finish) text_add_quoted(&json, finish, strlen(finish));
    else text_put(&json, "null");
    text_put(&json, "}]");
    if (finish && play->manner.usage == USAGE_INLINE) {
        text_put(&json, ",\"usage\":");
        add_usage(speech, &json);
    } else if (play->include_usage && play->manner.usage != USAGE_NONE) {
        text_put(&json, ",\"usage\":null");
    }
    text_put(&json, "}");
    send_event(speech, json.data, json.len);
    text_free(&json);
}

static void send_head(struct speech *speech)
{
    const struct manner *manner = &speech->play.manner;
    if (speech->head_sent) return;
    speech->head_sent = true;
    if (!speech->play.stream) return;
    text_printf(&speech->out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                "Cache-Control: no-cache\r\n%s\r\n",
                manner->until_close ? "Connection: close\r\n" : "Transfer-Encoding: chunked\r\n");
    if (manner->until_close) speech->keep_alive = false;
    if (manner->bom) send_bytes(speech, "\xef\xbb\xbf", 3);
    if (manner->empty_choices) {
        struct text json = {0};
        start_chunk(speech, &json);
        text_put(&json, ",\"choices\":[],\"prompt_filter_results\":[]}");
        send_event(speech, json.data, json.len);
        text_free(&json);
    }
    if (!manner->no_role) send_delta(speech, "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", NULL);
}

/* ---- pieces ----------------------------------------------------------------- */

static void say(struct speech *speech, enum step_kind kind, const char *data, size_t len)
{
    struct text *whole = kind == STEP_THINK ? &speech->thought : kind == STEP_REFUSE ? &speech->refusal : &speech->content;
    const char *key = kind == STEP_THINK ? "reasoning_content" : kind == STEP_REFUSE ? "refusal" : "content";

    speech->words++;
    send_head(speech);
    if (!speech->play.stream) {
        text_add(whole, data, len);
        return;
    }
    struct text delta = {0};
    text_printf(&delta, "{\"%s\":\"", key);
    text_add_escaped(&delta, data, len, speech->play.manner.escape);
    text_put(&delta, "\"}");
    send_delta(speech, delta.data, NULL);
    text_free(&delta);
}

static void call_begins(struct speech *speech, const struct step *step, const char *name)
{
    const struct manner *manner = &speech->play.manner;
    struct text call = {0}, delta = {0};

    speech->calls++;
    send_head(speech);
    text_put(&call, "{");
    if (!manner->no_index && speech->play.stream) text_printf(&call, "\"index\":%d,", step->number);
    if (!manner->no_call_id) text_printf(&call, "\"id\":\"call_%ld_%d\",", speech->serial, step->number);
    text_put(&call, "\"type\":\"function\",\"function\":{\"name\":");
    text_add_quoted(&call, name, step->len);
    if (speech->play.stream) {
        text_printf(&delta, "{\"tool_calls\":[%s,\"arguments\":\"\"}}]}", call.data);
        send_delta(speech, delta.data, NULL);
    } else {
        if (speech->call_open) text_put(&speech->calls_json, "\"}},");
        text_printf(&speech->calls_json, "%s,\"arguments\":\"", call.data);
        speech->call_open = true;
    }
    text_free(&call);
    text_free(&delta);
}

static void call_goes_on(struct speech *speech, const struct step *step, const char *piece)
{
    speech->words++;
    if (!speech->play.stream) {
        text_add_escaped(&speech->calls_json, piece, step->len, false);
        return;
    }
    struct text delta = {0};
    text_put(&delta, "{\"tool_calls\":[{");
    if (!speech->play.manner.no_index) text_printf(&delta, "\"index\":%d,", step->number);
    text_put(&delta, "\"function\":{\"arguments\":\"");
    text_add_escaped(&delta, piece, step->len, speech->play.manner.escape);
    text_put(&delta, "\"}}]}");
    send_delta(speech, delta.data, NULL);
    text_free(&delta);
}

/* Some servers give a call whole, its arguments an object and no string: all
 * its pieces are gathered from the steps that follow. */
static void call_as_object(struct speech *speech, const struct step *step, const char *name)
{
    struct play *play = &speech->play;
    struct text delta = {0};

    speech->calls++;
    send_head(speech);
    text_printf(&delta, "{\"tool_calls\":[{\"index\":%d,\"id\":\"call_%ld_%d\",\"type\":\"function\",\"function\":{\"name\":",
                step->number, speech->serial, step->number);
    text_add_quoted(&delta, name, step->len);
    text_put(&delta, ",\"arguments\":");
    for (int i = 0; i < play->count; i++)
        if (play->steps[i].kind == STEP_ARGS && play->steps[i].number == step->number)
            text_add(&delta, play->pool.data + play->steps[i].at, play->steps[i].len);
    text_put(&delta, "}}]}");
    send_delta(speech, delta.data, NULL);
    text_free(&delta);
}

/* ---- ends -------------------------------------------------------------------- */

static void add_or_null(struct text *json, const char *key, const struct text *value)
{
    text_printf(json, ",\"%s\":", key);
    if (value->len) text_add_quoted(json, value->data, value->len);
    else text_put(json, "null");
}

static void whole_answer(struct speech *speech, const char *finish, struct text *json)
{
    text_printf(json, "{\"id\":\"chatcmpl-%ld\",\"object\":\"chat.completion\",\"created\":%ld,\"model\":",
                speech->serial, speech->created);
    text_add_quoted(json, speech->play.model, strlen(speech->play.model));
    text_put(json, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\"");
    add_or_null(json, "content", &speech->content);
    add_or_null(json, "refusal", &speech->refusal);
    if (speech->thought.len) add_or_null(json, "reasoning_content", &speech->thought);
    if (speech->call_open) text_printf(json, ",\"tool_calls\":[%s\"}}]", speech->calls_json.data);
    text_printf(json, "},\"logprobs\":null,\"finish_reason\":\"%s\"}],\"usage\":", finish);
    if (speech->play.manner.usage == USAGE_NULL || speech->play.manner.usage == USAGE_NONE) text_put(json, "null");
    else add_usage(speech, json);
    text_put(json, "}");
}

static enum spoken end(struct speech *speech)
{
    const struct manner *manner = &speech->play.manner;
    const char *finish = manner->finish[0] ? manner->finish : speech->calls ? "tool_calls" : "stop";
    struct text json = {0};

    send_head(speech);
    if (!speech->play.stream) {
        whole_answer(speech, finish, &json);
        speak_reply(&speech->out, 200, "application/json", "", json.data, json.len, speech->keep_alive);
        text_free(&json);
        return SPOKEN_DONE;
    }
    send_delta(speech, "{}", finish);
    if (speech->play.include_usage && (manner->usage == USAGE_AS_ASKED || manner->usage == USAGE_NULL)) {
        start_chunk(speech, &json);
        text_put(&json, ",\"choices\":[],\"usage\":");
        if (manner->usage == USAGE_NULL) text_put(&json, "null");
        else add_usage(speech, &json);
        text_put(&json, "}");
        send_event(speech, json.data, json.len);
    }
    if (!manner->no_done) send_event(speech, "[DONE]", 6);
    if (!manner->until_close) text_put(&speech->out, "0\r\n\r\n");
    text_free(&json);
    return manner->until_close ? SPOKEN_CLOSE : SPOKEN_DONE;
}

/* Half of something, so that the reader is in the middle when the line breaks. */
static enum spoken cut(struct speech *speech, enum spoken how)
{
    static const char half[] = "data: {\"id\":\"chatcmpl-cut\",\"object\":\"chat.comp";
    send_head(speech);
    if (speech->play.stream) send_bytes(speech, half, sizeof half - 1);
    else text_put(&speech->out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4096\r\n\r\n{\"id\":");
    return how;
}

static void add_error(struct text *json, int status, const char *said, size_t len)
{
    text_put(json, "{\"error\":{\"message\":");
    text_add_quoted(json, said, len);
    text_printf(json, ",\"type\":\"%s\",\"param\":null,\"code\":%s}}",
                status >= 500 ? "server_error" : status == 429 ? "rate_limit_error" : "invalid_request_error",
                status == 429 ? "\"rate_limit_exceeded\"" : "null");
}

static enum spoken refuse_status(struct speech *speech, const struct step *step, const char *said)
{
    char retry[48] = "";
    struct text json = {0};
    if (step->extra >= 0) snprintf(retry, sizeof retry, "Retry-After: %d\r\n", step->extra);
    add_error(&json, step->number, said, step->len);
    speak_reply(&speech->out, step->number, "application/json", retry, json.data, json.len, speech->keep_alive);
    text_free(&json);
    return SPOKEN_DONE;
}

static enum spoken page(struct speech *speech)
{
    static const char html[] = "<!doctype html>\n<html><head><title>Sign in</title></head>"
                               "<body><h1>Please sign in to the network</h1></body></html>\n";
    speak_reply(&speech->out, 200, "text/html; charset=utf-8", "", html, sizeof html - 1, speech->keep_alive);
    return SPOKEN_DONE;
}

static enum spoken redirect(struct speech *speech, const char *where, size_t len)
{
    struct text head = {0};
    text_put(&head, "Location: ");
    text_add(&head, where, len);
    text_put(&head, "\r\n");
    speak_reply(&speech->out, 302, "text/plain", head.data, "", 0, speech->keep_alive);
    text_free(&head);
    return SPOKEN_DONE;
}

static enum spoken error_event(struct speech *speech, const char *said, size_t len)
{
    struct text json = {0};
    add_error(&json, 500, said, len);
    send_head(speech);
    if (speech->play.stream) send_event(speech, json.data, json.len);
    else speak_reply(&speech->out, 200, "application/json", "", json.data, json.len, speech->keep_alive);
    text_free(&json);
    if (!speech->play.stream) return SPOKEN_DONE;
    if (!speech->play.manner.until_close) text_put(&speech->out, "0\r\n\r\n");
    return speech->play.manner.until_close ? SPOKEN_CLOSE : SPOKEN_DONE;
}

/* ---- playing ------------------------------------------------------------------ */

static void chatter(struct speech *speech)
{
    static const char *const words[] = {"Once", "upon", "a", "time,", "far", "beyond", "the", "hills,", "a",
                                        "story", "began", "that", "had", "no", "end,", "and"};
    char word[32];
    int len = snprintf(word, sizeof word, "%s%s", speech->words ? " " : "", words[speech->words & 15]);
    say(speech, STEP_SAY, word, (size_t)len);
}

static void stamp(struct speech *speech)
{
    char word[32];
    int len = snprintf(word, sizeof word, "%lld ", (long long)now_us());
    say(speech, STEP_SAY, word, (size_t)len);
}

/* A flood comes in words of a kilobyte. */
static enum spoken flood(struct speech *speech, const struct step *step)
{
    char word[1024];
    /* Unstreamed, a talk without end would only fill our own memory. */
    if (!speech->play.stream && step->number == 0) return SPOKEN_NEVER;
    memset(word, 'x', sizeof word);
    word[sizeof word - 1] = ' ';
    while (speech->out.len < BURST_MAX) {
        if (step->number && speech->flooded >= step->number) {
            speech->step++;
            return SPOKEN_MORE;
        }
        say(speech, STEP_SAY, word, sizeof word);
        speech->flooded += (int64_t)sizeof word;
    }
    return SPOKEN_MORE;
}

/* Steps that take time: `waited` tells that the time is over. */
static enum spoken wait_for(struct speech *speech, int wait_ms)
{
    if (speech->waited) {
        speech->waited = false;
        speech->step++;
        return SPOKEN_MORE;
    }
    speech->waited = true;
    speech->wait_ms = wait_ms;
    return SPOKEN_WAIT;
}

static enum spoken play_one(struct speech *speech, const struct step *step)
{
    const char *said = speech->play.pool.data ? speech->play.pool.data + step->at : "";
    bool whole_calls = speech->play.manner.object_args && speech->play.stream;

    switch (step->kind) {
    case STEP_SAY: case STEP_THINK: case STEP_REFUSE: say(speech, step->kind, said, step->len); break;
    case STEP_STAMP: stamp(speech); break;
    case STEP_CALL:
        if (whole_calls) call_as_object(speech, step, said);
        else call_begins(speech, step, said);
        break;
    case STEP_ARGS: if (!whole_calls) call_goes_on(speech, step, said); break;
    case STEP_RAW: send_head(speech); send_bytes(speech, said, step->len); break;
    case STEP_WAIT: return wait_for(speech, step->number);
    case STEP_GATE:
        if (!gate_is_open(said, step->len)) return SPOKEN_GATE;
        break;
    case STEP_STALL: send_head(speech); return SPOKEN_NEVER;
    case STEP_HANG: return SPOKEN_NEVER;
    case STEP_CUT: return cut(speech, SPOKEN_CLOSE);
    case STEP_RESET: return cut(speech, SPOKEN_RESET);
    case STEP_LONG: chatter(speech); speech->wait_ms = step->number; return SPOKEN_WAIT;
    case STEP_FLOOD: return flood(speech, step);
    case STEP_STATUS: if (!speech->head_sent) return refuse_status(speech, step, said); break;
    case STEP_HTML: if (!speech->head_sent) return page(speech); break;
    case STEP_REDIRECT: if (!speech->head_sent) return redirect(speech, said, step->len); break;
    case STEP_ERROR: return error_event(speech, said, step->len);
    case STEP_END: return end(speech);
    }
    speech->step++;
    return SPOKEN_MORE;
}

enum spoken speak(struct speech *speech)
{
    if (speech->play.manner.delay_ms > 0 && !speech->delayed) {
        speech->delayed = true;
        speech->wait_ms = speech->play.manner.delay_ms;
        return SPOKEN_WAIT;
    }
    while (speech->out.len < BURST_MAX) {
        enum spoken spoken = play_one(speech, &speech->play.steps[speech->step]);
        if (spoken != SPOKEN_MORE) return spoken;
    }
    return SPOKEN_MORE;
}

void speech_free(struct speech *speech)
{
    play_free(&speech->play);
    text_free(&speech->out);
    text_free(&speech->content);
    text_free(&speech->thought);
    text_free(&speech->refusal);
    text_free(&speech->calls_json);
}
