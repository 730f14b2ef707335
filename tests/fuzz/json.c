/* Whatever is read can be written, read again, and is the same; whatever is refused has a place and a reason. */
#include "base/json.h"
#include "fuzz.h"

static void walk(struct json j, int depth)
{
    MUST(depth <= JSON_DEPTH_MAX);
    size_t count = 0;
    if (json_type(j) == JSON_TEXT) MUST(str_is_utf8(json_text(j)));
    for (struct json_each e = json_each(j); json_next(&e); count++) {
        MUST(str_is_utf8(e.key));
        walk(e.item, depth + 1);
    }
    MUST(count == json_count(j));
}

static void refused(struct str text, struct err e, const struct json_fault *f)
{
    MUST(e.code == ERR_INVALID || e.code == ERR_MEMORY);
    MUST(f->why && *f->why && f->at <= text.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct arena a = arena_new();
    struct str text = str_n((const char *)bytes, count);
    struct json first, second, own;
    struct json_fault f = {0};
    struct err e = json_parse(&a, text, &first, &f);
    if (failed(e)) {
        refused(text, e, &f);
        MUST(a.total_bytes == 0);
    } else {
        walk(first, 0);
        struct str once = json_compact(&a, first);
        MUST(once.at && !failed(json_parse(&a, once, &second, &f)));
        struct str twice = json_compact(&a, second);
        MUST(str_eq(once, twice));
        MUST(!failed(json_parse_own(&a, text, &own)) && str_eq(json_compact(&a, own), once));
        struct str small = json_compact_short(&a, first, 32);
        MUST(once.count <= 32 ? str_eq(small, once) : !small.at);
    }

    /* As the content of a text: any bytes that are UTF-8 come back. */
    if (str_is_utf8(text)) {
        struct buf b = {0};
        json_put_text(&b, text);
        MUST(!failed(json_parse(&a, buf_str(&b), &first, &f)) && str_eq(json_text(first), text));
        buf_free(&b);
    }
    arena_free(&a);
    return 0;
}
