#include "base/fault.h"

enum { LOC_PARTS_MAX = 64 };

static const struct {
    const char *type, *msg;
} plain[] = {
    {"missing", "Field required"},
    {"model_attributes_type", "Input should be a valid dictionary or object to extract fields from"},
    {"dict_type", "Input should be a valid dictionary"},
    {"list_type", "Input should be a valid list"},
    {"string_type", "Input should be a valid string"},
    {"int_type", "Input should be a valid integer"},
    {"int_from_float", "Input should be a valid integer, got a number with a fractional part"},
    {"int_parsing", "Input should be a valid integer, unable to parse string as an integer"},
    {"int_parsing_size", "Unable to parse input string as an integer, exceeded maximum size"},
    {"float_type", "Input should be a valid number"},
    {"finite_number", "Input should be a finite number"},
    {"bool_type", "Input should be a valid boolean"},
    {"bool_parsing", "Input should be a valid boolean, unable to interpret input"},
};

struct faults faults_new(struct arena *a) { return (struct faults){.arena = a}; }
void faults_free(struct faults *f) { buf_free(&f->items); }

static struct str cut_long(struct str text)
{
    return text.count <= FAULT_INPUT_BYTES_MAX ? text : str_n(text.at, str_utf8_floor(text, FAULT_INPUT_BYTES_MAX));
}

static void put_loc(struct buf *b, const struct loc *loc)
{
    const struct loc *parts[LOC_PARTS_MAX];
    int count = 0;
    for (; loc && count < LOC_PARTS_MAX; loc = loc->up) parts[count++] = loc;
    buf_add(b, "[", 1);
    while (count--) {
        json_put_comma(b);
        if (parts[count]->name) json_put_text(b, str(parts[count]->name));
        else if (parts[count]->text.at) json_put_text(b, cut_long(parts[count]->text));
        else json_put_int(b, parts[count]->index);
    }
    buf_add(b, "]", 1);
}

void fault_add(struct faults *f, const char *type, const struct loc *loc, struct str msg, struct str input, struct str ctx)
{
    if (f->count >= FAULTS_MAX) return;
    struct buf *b = &f->items;
    if (f->count++) buf_add(b, ",", 1);
    buf_add(b, "{", 1);
    json_put_key(b, "type"), json_put_text(b, str(type));
    json_put_key(b, "loc"), put_loc(b, loc);
    json_put_key(b, "msg"), json_put_text(b, msg);
    json_put_key(b, "input");
    json_put_raw(b, input.count && input.count <= FAULT_INPUT_BYTES_MAX ? input : S("null"));
    if (ctx.count) json_put_key(b, "ctx"), json_put_raw(b, ctx);
    buf_add(b, "}", 1);
}

struct str fault_input(struct faults *f, struct json value)
{
    if (f->count >= FAULTS_MAX) return S("null");
    struct str text = json_compact_short(f->arena, value, FAULT_INPUT_BYTES_MAX);
    return text.at ? text : S("null");
}

struct str fault_input_text(struct faults *f, struct str text)
{
    struct buf b = {0};
    if (f->count < FAULTS_MAX && text.count <= FAULT_INPUT_BYTES_MAX && str_is_utf8(text)) json_put_text(&b, text);
    struct str input = b.count ? str_copy(f->arena, buf_str(&b)) : S("null");
    buf_free(&b);
    return input;
}

void fault_plain(struct faults *f, const char *type, const struct loc *loc, struct str input)
{
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (str_is(str(type), plain[i].type)) fault_add(f, type, loc, str(plain[i].msg), input, S(""));
}

void fault_missing(struct faults *f, const struct loc *loc, struct str enclosing)
{
    fault_plain(f, "missing", loc, enclosing);
}

void fault_value(struct faults *f, const struct loc *loc, struct str input, const char *sentence)
{
    fault_add(f, "value_error", loc, strf(f->arena, "Value error, %s", sentence), input, S("{\"error\":{}}"));
}

/* 'a', 'b' or 'c'; with last = ", " as before the others for tags. */
static struct str words_text(struct arena *a, const char *const *words, const char *last)
{
    struct buf b = {0};
    for (int i = 0; words[i]; i++) {
        const char *sep = i == 0 ? "" : words[i + 1] ? ", " : last;
        buf_add_str(&b, str(sep));
        buf_add(&b, "'", 1);
        buf_add_str(&b, str(words[i]));
        buf_add(&b, "'", 1);
    }
    struct str text = str_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

/* {"key":"text", …} of pairs of texts, ended by a null key. */
static struct str ctx_texts(struct arena *a, const char *key, struct str text, const char *key2, struct str text2,
                            const char *key3, struct str text3)
{
    struct buf b = {0};
    buf_add(&b, "{", 1);
    json_put_key(&b, key), json_put_text(&b, text);
    if (key2) json_put_key(&b, key2), json_put_text(&b, text2);
    if (key3) json_put_key(&b, key3), json_put_text(&b, text3);
    buf_add(&b, "}", 1);
    struct str ctx = str_copy(a, buf_str(&b));
    buf_free(&b);
    return ctx;
}
#define NO_TEXT NULL, (struct str){0}

void fault_enum(struct faults *f, const struct loc *loc, struct str input, const char *const *words, bool is_literal)
{
    if (f->count >= FAULTS_MAX) return;
    struct str expected = words_text(f->arena, words, " or ");
    fault_add(f, is_literal ? "literal_error" : "enum", loc, strf(f->arena, "Input should be %s", expected.at), input,
              ctx_texts(f->arena, "expected", expected, NO_TEXT, NO_TEXT));
}

void fault_low(struct faults *f, const struct loc *loc, struct str input, int64_t low)
{
    fault_add(f, "greater_than_equal", loc, strf(f->arena, "Input should be greater than or equal to %lld", (long long)low),
              input, strf(f->arena, "{\"ge\":%lld}", (long long)low));
}

void fault_high(struct faults *f, const struct loc *loc, struct str input, int64_t high)
{
    fault_add(f, "less_than_equal", loc, strf(f->arena, "Input should be less than or equal to %lld", (long long)high), input,
              strf(f->arena, "{\"le\":%lld}", (long long)high));
}

void fault_text_short(struct faults *f, const struct loc *loc, struct str input, int64_t low)
{
    fault_add(f, "string_too_short", loc,
              strf(f->arena, "String should have at least %lld character%s", (long long)low, low == 1 ? "" : "s"), input,
              strf(f->arena, "{\"min_length\":%lld}", (long long)low));
}

void fault_text_long(struct faults *f, const struct loc *loc, struct str input, int64_t high)
{
    fault_add(f, "string_too_long", loc,
              strf(f->arena, "String should have at most %lld character%s", (long long)high, high == 1 ? "" : "s"), input,
              strf(f->arena, "{\"max_length\":%lld}", (long long)high));
}

void fault_list_short(struct faults *f, const struct loc *loc, struct str input, int64_t low, size_t count)
{
    fault_add(f, "too_short", loc,
              strf(f->arena, "List should have at least %lld item%s after validation, not %zu", (long long)low,
                   low == 1 ? "" : "s", count),
              input,
              strf(f->arena, "{\"field_type\":\"List\",\"min_length\":%lld,\"actual_length\":%zu}", (long long)low, count));
}

void fault_list_long(struct faults *f, const struct loc *loc, struct str input, int64_t high, size_t count)
{
    fault_add(f, "too_long", loc,
              strf(f->arena, "List should have at most %lld item%s after validation, not %zu", (long long)high,
                   high == 1 ? "" : "s", count),
              input,
              strf(f->arena, "{\"field_type\":\"List\",\"max_length\":%lld,\"actual_length\":%zu}", (long long)high, count));
}

void fault_pattern(struct faults *f, const struct loc *loc, struct str input, const char *pattern)
{
    fault_add(f, "string_pattern_mismatch", loc, strf(f->arena, "String should match pattern '%s'", pattern), input,
              ctx_texts(f->arena, "pattern", str(pattern), NO_TEXT, NO_TEXT));
}

void fault_url(struct faults *f, const struct loc *loc, struct str input, const char *reason)
{
    fault_add(f, "url_parsing", loc, strf(f->arena, "Input should be a valid URL, %s", reason), input,
              ctx_texts(f->arena, "error", str(reason), NO_TEXT, NO_TEXT));
}

void fault_url_scheme(struct faults *f, const struct loc *loc, struct str input)
{
    fault_add(f, "url_scheme", loc, S("URL scheme should be 'http' or 'https'"), input,
              S("{\"expected_schemes\":\"'http' or 'https'\"}"));
}

void fault_tag_missing(struct faults *f, const struct loc *loc, struct str input, const char *key)
{
    fault_add(f, "union_tag_not_found", loc, strf(f->arena, "Unable to extract tag using discriminator '%s'", key), input,
              ctx_texts(f->arena, "discriminator", strf(f->arena, "'%s'", key), NO_TEXT, NO_TEXT));
}

void fault_tag(struct faults *f, const struct loc *loc, struct str input, const char *key, struct str tag,
               const char *const *words)
{
    if (f->count >= FAULTS_MAX) return;
    tag = cut_long(tag);
    struct str expected = words_text(f->arena, words, ", ");
    struct buf msg = {0};
    buf_add_str(&msg, S("Input tag '"));
    buf_add_str(&msg, tag); /* it may hold a zero byte */
    buf_addf(&msg, "' found using '%s' does not match any of the expected tags: %s", key, expected.at);
    fault_add(f, "union_tag_invalid", loc, buf_str(&msg), input,
              ctx_texts(f->arena, "discriminator", strf(f->arena, "'%s'", key), "tag", tag, "expected_tags", expected));
    buf_free(&msg);
}

void fault_json(struct faults *f, const struct loc *body, const struct json_fault *fault)
{
    fault_add(f, "json_invalid", LOC_INDEX(body, (int64_t)fault->at), S("JSON decode error"), S("{}"),
              ctx_texts(f->arena, "error", str(fault->why), NO_TEXT, NO_TEXT));
}

struct str faults_body(struct faults *f)
{
    struct buf b = {0};
    buf_add_str(&b, S("{\"detail\":["));
    buf_add_str(&b, buf_str(&f->items));
    buf_add_str(&b, S("]}"));
    if (b.is_failed || f->items.is_failed) f->arena->exhausted = true;
    struct str body = b.is_failed || f->items.is_failed ? S("{\"detail\":[]}") : str_copy(f->arena, buf_str(&b));
    buf_free(&b);
    return body;
}
