/* llm/openai.c: OpenAI's Chat Completions, as OpenAI and its many imitators speak them. Pure.
 *
 * What is read is what servers send, not what the reference says: a chunk without choices, a
 * usage that is null, that comes in the last delta or in a chunk of its own, pieces of calls without
 * index or id, arguments as an object, content as a list of parts, an error instead of a chunk.
 *
 * reasoning_effort  Every agent has one ("medium" normally), and most models answer 400 to it, so
 *     it is sent only where the name of the model tells that it is known there: o1, o3, o4 … (not
 *     o1-mini, o1-preview), gpt-5 and later (not …-chat), gpt-oss, gemini-2.5 and later. OpenAI's own
 *     Chat Completions refuse effort beside tools from gpt-5.2 on, and from gpt-5.6 on even the default
 *     effort, unless the request says "none": so it does. "xhigh" goes as it is: a model that does not
 *     know it says so, which is better than another effort behind the caller's back. */
#include "llm/llm.h"

/* ---- dialogue -> request ------------------------------------------------------------ */

/* A name that the API accepts as a function's: what a model made up is in the history too. */
static void put_function_name(struct buf *b, struct str name)
{
    buf_add_str(b, S("\""));
    for (size_t i = 0; i < name.count && i < 64; i++) {
        char c = name.at[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        buf_add(b, is_plain ? &c : "_", 1);
    }
    if (name.count == 0) buf_add_str(b, S("unnamed"));
    buf_add_str(b, S("\""));
}

static void put_member(struct buf *b, const char *key, struct str text)
{
    json_put_key(b, key);
    json_put_text(b, text);
}

/* Broken arguments go back as {}: servers parse them again and refuse the whole dialogue. What was
 * wrong stands in the call's result. */
static void put_call(struct buf *b, const struct llm_call *call)
{
    json_put_comma(b);
    buf_add_str(b, S("{"));
    put_member(b, "id", call->id);
    buf_add_str(b, S(",\"type\":\"function\",\"function\":{\"name\":"));
    put_function_name(b, call->name);
    put_member(b, "arguments", call->is_broken || call->arguments.count == 0 ? S("{}") : call->arguments);
    buf_add_str(b, S("}}"));
}

static void put_message(struct buf *b, const struct llm_message *m)
{
    static const char *const roles[] = {[LLM_USER] = "user", [LLM_ASSISTANT] = "assistant", [LLM_TOOL] = "tool"};
    json_put_comma(b);
    buf_add_str(b, S("{"));
    put_member(b, "role", str(roles[m->role]));
    if (m->role == LLM_TOOL) put_member(b, "tool_call_id", m->call_id);
    json_put_key(b, "content");
    if (m->calls && m->text.count == 0) buf_add_str(b, S("null"));
    else json_put_text(b, m->text);
    if (m->role == LLM_ASSISTANT && m->calls) {
        json_put_key(b, "tool_calls");
        buf_add_str(b, S("["));
        for (const struct llm_call *call = m->calls; call; call = call->next) put_call(b, call);
        buf_add_str(b, S("]"));
    }
    buf_add_str(b, S("}"));
}

static bool mentions_json(struct str text)
{
    for (size_t i = 0; i + 4 <= text.count; i++)
        if (str_eq_nocase(str_cut(text, i, 4), S("json"))) return true;
    return false;
}

/* json_object is refused unless a message speaks of JSON. */
static void put_system(struct buf *b, const struct llm_dialogue *d)
{
    bool is_silent = d->wants_json && d->schema.count == 0 && !mentions_json(d->system);
    if (d->system.count == 0 && !is_silent) return;
    buf_add_str(b, S("{\"role\":\"system\",\"content\":\""));
    json_put_text_inner(b, d->system);
    if (is_silent) json_put_text_inner(b, d->system.count ? S("\n\nAnswer with one JSON object.") : S("Answer with one JSON object."));
    buf_add_str(b, S("\"}"));
}

static void put_tools(struct buf *b, const struct llm_dialogue *d)
{
    json_put_key(b, "tools");
    buf_add_str(b, S("["));
    for (const struct llm_tool *tool = d->tools; tool; tool = tool->next) {
        json_put_comma(b);
        buf_add_str(b, S("{\"type\":\"function\",\"function\":{\"name\":"));
        put_function_name(b, tool->name);
        if (tool->description.count > 0) put_member(b, "description", tool->description);
        json_put_key(b, "parameters");
        json_put_raw(b, tool->parameters.count > 0 ? tool->parameters : S("{\"type\":\"object\",\"properties\":{}}"));
        buf_add_str(b, S("}}"));
    }
    buf_add_str(b, S("]"));
}

static void put_format(struct buf *b, const struct llm_dialogue *d)
{
    json_put_key(b, "response_format");
    if (d->schema.count == 0) {
        buf_add_str(b, S("{\"type\":\"json_object\"}"));
        return;
    }
    buf_add_str(b, S("{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"schema\":"));
    json_put_raw(b, d->schema);
    buf_add_str(b, S(",\"strict\":false}}"));
}

/* "5.6-mini" -> 506; "4o" -> 400; 0 = no number. */
static int version(struct str s)
{
    int major = 0, minor = 0;
    size_t i = 0;
    for (; i < s.count && i < 3 && s.at[i] >= '0' && s.at[i] <= '9'; i++) major = major * 10 + (s.at[i] - '0');
    if (i + 1 < s.count && s.at[i] == '.' && s.at[i + 1] >= '0' && s.at[i + 1] <= '9') minor = s.at[i + 1] - '0';
    return major * 100 + minor;
}

static bool contains(struct str s, struct str what)
{
    for (size_t i = 0; i + what.count <= s.count; i++)
        if (str_eq(str_cut(s, i, what.count), what)) return true;
    return false;
}

/* Empty: leave it out. */
static struct str effort(const struct llm_model *model, const struct llm_dialogue *d)
{
    struct str name = model->name, rest;
    if (!model->provider->takes_effort || d->effort.count == 0) return S("");
    for (bool more = true; more; name = more ? rest : name) str_split(name, '/', &rest, &more); /* "openai/o3" */

    if (str_starts(name, S("gpt-oss"))) return d->effort;
    if (str_starts(name, S("gemini-"))) {
        int v = version(str_cut(name, 7, name.count));
        return v == 0 || v >= 205 ? d->effort : S(""); /* 0: gemini-flash-latest */
    }
    if (name.count >= 2 && name.at[0] == 'o' && name.at[1] >= '1' && name.at[1] <= '9')
        return str_starts(name, S("o1-mini")) || str_starts(name, S("o1-preview")) ? S("") : d->effort;
    if (!str_starts(name, S("gpt-")) || contains(name, S("-chat"))) return S("");

    int v = version(str_cut(name, 4, name.count));
    if (v < 500) return S("");
    if (!d->tools || !model->provider->no_effort_with_tools || v < 502) return d->effort;
    return v < 506 ? S("") : S("none");
}

static void request(struct buf *b, const struct llm_model *model, const struct llm_dialogue *d)
{
    struct str how_hard = effort(model, d);

    buf_add_str(b, S("{"));
    put_member(b, "model", model->name);
    json_put_key(b, "messages");
    buf_add_str(b, S("["));
    put_system(b, d);
    for (const struct llm_message *m = d->messages; m; m = m->next) put_message(b, m);
    buf_add_str(b, S("],\"stream\":true,\"stream_options\":{\"include_usage\":true}"));
    if (d->tools) put_tools(b, d);
    if ((d->wants_json || d->schema.count > 0) && !(d->tools && model->provider->no_json_with_tools)) put_format(b, d);
    if (how_hard.count > 0) put_member(b, "reasoning_effort", how_hard);
    if (d->temperature >= 0) {
        json_put_key(b, "temperature");
        json_put_number(b, d->temperature);
    }
    buf_add_str(b, S("}"));
}

/* ---- text that JSON does not allow ------------------------------------------------------
 * A server that cuts its tokens anywhere sends half a character, or one \u surrogate without the
 * other, and its other half in the next event. Such bytes are lent a code point each from the last 128
 * (no text uses them) so that the event can be parsed, and get back what they were afterwards. */
enum { LENT = 0x10FF00 }; /* + the byte, 0x80..0xFF */

static void lend_byte(char **out, unsigned byte)
{
    unsigned c = LENT + byte;
    *(*out)++ = (char)0xF4;
    *(*out)++ = (char)0x8F;
    *(*out)++ = (char)(0x80 | (c >> 6 & 0x3F));
    *(*out)++ = (char)(0x80 | (c & 0x3F));
}

static int hex4(struct str s)
{
    int v = 0;
    if (s.count < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = s.at[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return -1;
        v = v * 16 + digit;
    }
    return v;
}

/* The surrogate that \uXXXX at `at` says, or 0. */
static int surrogate(struct str s, size_t at)
{
    if (at + 6 > s.count || s.at[at] != '\\' || s.at[at + 1] != 'u') return 0;
    int v = hex4(str_cut(s, at + 2, 4));
    return v >= 0xD800 && v <= 0xDFFF ? v : 0;
}

/* An escape at *at: passed on, or lent if it is half of a pair. */
static void mend_escape(struct str text, size_t *at, char **out)
{
    int one = surrogate(text, *at), two = one ? surrogate(text, *at + 6) : 0;
    size_t n = one ? 6 : 2;
    if (one && one < 0xDC00 && two >= 0xDC00) {
        n = 12;
    } else if (one) {
        lend_byte(out, 0xED);
        lend_byte(out, (unsigned)(0x80 | (one >> 6 & 0x3F)));
        lend_byte(out, (unsigned)(0x80 | (one & 0x3F)));
        *at += n;
        return;
    }
    struct str same = str_cut(text, *at, n);
    memcpy(*out, same.at, same.count);
    *out += same.count;
    *at += same.count;
}

static struct str mend(struct arena *a, struct str text)
{
    char *start = text.count > SIZE_MAX / 4 ? NULL : arena_try_alloc(a, text.count * 4 + 1), *out = start;
    if (!start) return S("");
    for (size_t at = 0; at < text.count;) {
        if (text.at[at] == '\\') {
            mend_escape(text, &at, &out);
            continue;
        }
        size_t n = 1;
        if ((unsigned char)text.at[at] >= 0x80)
            for (n = 2; n <= 4 && !(at + n <= text.count && str_is_utf8(str_cut(text, at, n))); n++) {}
        if (n > 4) {
            lend_byte(&out, (unsigned char)text.at[at++]);
            continue;
        }
        memcpy(out, text.at + at, n);
        out += n;
        at += n;
    }
    return str_n(start, (size_t)(out - start));
}

static struct str give_back(struct arena *a, struct str text)
{
    char *start = arena_try_alloc(a, text.count + 1), *out = start;
    if (!start) return S("");
    for (size_t at = 0; at < text.count;) {
        const unsigned char *s = (const unsigned char *)text.at + at;
        if (text.count - at >= 4 && s[0] == 0xF4 && s[1] == 0x8F && s[2] >= 0xBE) {
            *out++ = (char)((s[2] & 3) << 6 | (s[3] & 0x3F));
            at += 4;
        } else {
            *out++ = text.at[at++];
        }
    }
    return str_n(start, (size_t)(out - start));
}

/* ---- events like the one before ---------------------------------------------------------
 * Most events of a stream differ from the one before in their text alone. Such a one needs no parser: what
 * stands before and after the text is the same byte for byte, and between there is nothing that could end
 * a string or begin an escape, so it means the same. Saves 0.4 us of 0.5 an event. The memory is one per
 * thread: streams that take turns only parse again. */
enum { FORM_BYTES_MAX = 1024 };
struct form {
    char bytes[FORM_BYTES_MAX]; /* before, after */
    size_t before, after;       /* before = 0: none */
};
static _Thread_local struct form last;

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.count; i++)
        if ((unsigned char)s.at[i] < 0x20 || s.at[i] == '"' || s.at[i] == '\\') return false;
    return true;
}

static bool is_familiar(struct str data, struct str *text)
{
    size_t around = last.before + last.after;
    if (!last.before || data.count <= around) return false;
    if (memcmp(data.at, last.bytes, last.before) != 0) return false;
    if (memcmp(data.at + data.count - last.after, last.bytes + last.before, last.after) != 0) return false;
    *text = str_n(data.at + last.before, data.count - around);
    return is_plain(*text);
}

/* `text` is all that the event says. It is well-formed, so this key can only be one, and there must be but
 * one of its name for it to be the one that was read. */
static void remember(struct str data, struct str text)
{
    static const char key[] = "{\"content\":\"";
    const char *found = memmem(data.at, data.count, key, sizeof key - 1), *end = data.at + data.count;
    if (!found || data.count > FORM_BYTES_MAX || text.count == 0) return;
    const char *at = found + sizeof key - 1;
    if ((size_t)(end - at) < text.count + 1 || memcmp(at, text.at, text.count) != 0 || at[text.count] != '"') return;
    if (!is_plain(text) || memmem(at, (size_t)(end - at), "content\"", 8) || memmem(data.at, (size_t)(found - data.at), "content\"", 8)) return;
    last.before = (size_t)(at - data.at);
    last.after = (size_t)(end - at) - text.count;
    memcpy(last.bytes, data.at, last.before);
    memcpy(last.bytes + last.before, at + text.count, last.after);
}

/* ---- events -> deltas -------------------------------------------------------------------- */
struct hearing {
    struct arena *arena;
    bool is_mended;
    llm_delta_fn *fn;
    void *arg;
    int deltas_count;
    struct str only_text; /* of the one delta, if it has nothing else */
};

static void emit(struct hearing *h, const struct llm_delta *d)
{
    bool is_text = d->call_index == LLM_NO_CALL && !d->thought.count && !d->refusal.count && !d->finish.count &&
                   !d->has_usage && !d->is_end && !d->error.count;
    h->only_text = is_text && h->deltas_count == 0 ? d->text : S("");
    h->deltas_count++;
    h->fn(h->arg, d);
}

static struct str as_sent(struct hearing *h, struct str text)
{
    return h->is_mended && text.count > 0 ? give_back(h->arena, text) : text;
}
static struct str text_of(struct hearing *h, struct json value) { return as_sent(h, json_text(value)); }

static struct str failure(struct arena *a, struct json body);

static struct llm_usage usage_of(struct json usage)
{
    int64_t in = json_int(json_get(usage, "prompt_tokens")), out = json_int(json_get(usage, "completion_tokens"));
    return (struct llm_usage){in > 0 ? in : 0, out > 0 ? out : 0};
}

static void hear_call(struct hearing *h, struct json call, int index)
{
    struct json function = json_get(call, "function"), arguments = json_get(function, "arguments");
    struct llm_delta delta = {.call_index = index};
    enum json_type type = json_type(arguments);

    if (json_type(function) != JSON_OBJECT) return; /* a kind of tool that we never offer */
    delta.call_id = text_of(h, json_get(call, "id"));
    delta.call_name = text_of(h, json_get(function, "name"));
    if (type == JSON_TEXT) delta.call_arguments = text_of(h, arguments);
    else if (type == JSON_OBJECT || type == JSON_LIST) delta.call_arguments = as_sent(h, json_compact(h->arena, arguments));
    emit(h, &delta);
}

/* `position`: in a whole answer, where a call stands is its index. */
static void hear_calls(struct hearing *h, struct json calls, bool is_whole)
{
    int position = 0;
    for (struct json_each e = json_each(calls); json_next(&e); position++) {
        struct json index = json_get(e.item, "index");
        int64_t i = json_int(index);
        bool is_told = json_type(index) == JSON_INT && i >= 0 && i <= INT32_MAX;
        hear_call(h, e.item, is_whole ? position : is_told ? (int)i : LLM_SOME_CALL);
    }
}

/* Content is a text, null, or a list of parts of which some are texts. */
static void hear_content(struct hearing *h, struct json content, struct llm_delta *delta)
{
    if (json_type(content) != JSON_LIST) {
        delta->text = text_of(h, content);
        return;
    }
    for (struct json_each e = json_each(content); json_next(&e);) {
        struct llm_delta part = {.call_index = LLM_NO_CALL, .text = text_of(h, json_get(e.item, "text"))};
        if (part.text.count > 0) emit(h, &part);
    }
}

static void hear_message(struct hearing *h, struct json message, bool is_whole)
{
    struct llm_delta delta = {.call_index = LLM_NO_CALL};
    delta.thought = text_of(h, json_get(message, "reasoning_content"));
    if (delta.thought.count == 0) delta.thought = text_of(h, json_get(message, "reasoning"));
    hear_content(h, json_get(message, "content"), &delta);
    delta.refusal = text_of(h, json_get(message, "refusal"));
    if (delta.text.count + delta.thought.count + delta.refusal.count > 0) emit(h, &delta);
    struct json calls = json_get(message, "tool_calls");
    if (json_type(calls) == JSON_LIST) hear_calls(h, calls, is_whole);
}

/* Only the first choice: we never ask for more. */
static void hear_body(struct hearing *h, struct json body, bool is_whole)
{
    struct llm_delta end = {.call_index = LLM_NO_CALL};
    struct json choices = json_get(body, "choices");

    if (json_type(choices) == JSON_LIST) {
        for (struct json_each e = json_each(choices); json_next(&e);) {
            if (json_int(json_get(e.item, "index")) != 0) continue;
            hear_message(h, json_get(e.item, is_whole ? "message" : "delta"), is_whole);
            end.finish = text_of(h, json_get(e.item, "finish_reason"));
        }
    }
    struct json usage = json_get(body, "usage");
    end.has_usage = json_type(usage) == JSON_OBJECT;
    if (end.has_usage) end.usage = usage_of(usage);
    end.is_end = is_whole;
    if (end.finish.count > 0 || end.has_usage || end.is_end) emit(h, &end);
}

static void hear_failure(struct hearing *h, struct str sentence)
{
    struct llm_delta delta = {.call_index = LLM_NO_CALL};
    delta.error = sentence.count > 0 ? sentence : S("it did not say why");
    emit(h, &delta);
}

/* Gemini puts an error into a list. */
static struct json first_of(struct json body)
{
    if (json_type(body) != JSON_LIST) return body;
    struct json_each e = json_each(body);
    return json_next(&e) ? e.item : body;
}

static bool is_failure(struct json body)
{
    enum json_type type = json_type(json_get(body, "error"));
    return type == JSON_OBJECT || type == JSON_TEXT || str_is(json_text(json_get(body, "object")), "error");
}

static struct err event(struct arena *a, struct str name, struct str data, llm_delta_fn *fn, void *arg)
{
    struct hearing h = {.arena = a, .fn = fn, .arg = arg};
    struct json body;

    struct str text;
    data = str_trim(data);
    if (data.count == 0) return OK;
    if (name.count == 0 && is_familiar(data, &text)) {
        fn(arg, &(struct llm_delta){.call_index = LLM_NO_CALL, .text = text});
        return OK;
    }
    if (str_is(data, "[DONE]")) {
        fn(arg, &(struct llm_delta){.call_index = LLM_NO_CALL, .is_end = true});
        return OK;
    }
    if (failed(json_parse_own(a, data, &body))) {
        h.is_mended = true;
        if (failed(json_parse_own(a, mend(a, data), &body))) return err(ERR_UPSTREAM, "an event of its answer is no JSON");
    }
    if (json_type(body) != JSON_OBJECT) return err(ERR_UPSTREAM, "an event of its answer is no JSON object");
    if (str_is(name, "error") || is_failure(body)) hear_failure(&h, failure(a, body));
    else hear_body(&h, body, false);
    if (h.only_text.count > 0 && !h.is_mended) remember(data, h.only_text);
    return OK;
}

static struct err whole(struct arena *a, struct json body, llm_delta_fn *fn, void *arg)
{
    struct hearing h = {.arena = a, .fn = fn, .arg = arg};
    body = first_of(body);
    if (is_failure(body)) hear_failure(&h, failure(a, body));
    else if (json_type(json_get(body, "choices")) != JSON_LIST) return err(ERR_UPSTREAM, "its answer has no choices");
    else hear_body(&h, body, true);
    return OK;
}

/* ---- errors ------------------------------------------------------------------------------ */

/* {"error":{"message"}}, {"error":"…"}, {"message"}, {"detail"}. OpenRouter says what
 * its own provider said in metadata.raw. */
static struct str failure(struct arena *a, struct json body)
{
    body = first_of(body);
    struct json error = json_get(body, "error");
    struct str said = json_text(json_get(error, "message"));
    struct str raw = json_text(json_get(json_get(error, "metadata"), "raw"));
    if (said.count > 0 && raw.count > 0) return strf(a, "%.*s: %.*s", STR_ARGS(said), STR_ARGS(raw));
    if (said.count == 0) said = json_text(error);
    if (said.count == 0) said = json_text(json_get(body, "message"));
    if (said.count == 0) said = json_text(json_get(body, "detail"));
    if (said.count == 0) said = json_text(json_get(error, "code"));
    if (said.count == 0) said = json_text(json_get(error, "type"));
    return said;
}

const struct llm_translator llm_openai = {
    .path = "chat/completions", .request = request, .event = event, .whole = whole, .failure = failure};
