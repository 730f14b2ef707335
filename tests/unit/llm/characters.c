#include "llm/characters.h"
#include "test.h"

/* In two pieces, cut at `cut`. */
static struct str joined(struct str text, size_t cut, struct buf *out)
{
    struct characters c = {0};
    out->count = 0;
    characters_add(&c, str_cut(text, 0, cut), false, out);
    CHECK(str_is_utf8(buf_str(out)));
    characters_add(&c, str_cut(text, cut, text.count), false, out);
    CHECK(str_is_utf8(buf_str(out)));
    characters_add(&c, S(""), true, out);
    return buf_str(out);
}

static bool comes_out_as(struct str text, struct str expected)
{
    struct buf out = {0};
    bool same = true;
    for (size_t cut = 0; cut <= text.count; cut++) same = same && str_eq(joined(text, cut, &out), expected);
    buf_free(&out);
    return same;
}

TEST(a_character_that_was_cut_anywhere_comes_out_whole)
{
    struct str text = S("a\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x9A\x80 z");
    CHECK(comes_out_as(text, text));
    CHECK(comes_out_as(S("\xED\xA0\xBD\xED\xBA\x80!"), S("\xF0\x9F\x9A\x80!"))); /* two surrogates */
}

TEST(bytes_that_can_never_become_a_character_are_replaced)
{
    CHECK(comes_out_as(S("a\xFF" "b"), S("a\xEF\xBF\xBD" "b")));
    CHECK(comes_out_as(S("a\xED\xA0\xBD" "b"), S("a\xEF\xBF\xBD" "b")));
    CHECK(comes_out_as(S("\xED\xBA\x80" "b"), S("\xEF\xBF\xBD" "b")));
    CHECK(comes_out_as(S("\xED\xA0\xBD\xED\xA0\xBD\xED\xBA\x80"), S("\xEF\xBF\xBD\xF0\x9F\x9A\x80")));
    CHECK(comes_out_as(S("\xC3"), S("\xEF\xBF\xBD")));
    CHECK(comes_out_as(S("\xED\xA0\xBD\xE2\x82\xAC"), S("\xEF\xBF\xBD\xE2\x82\xAC")));
}

TEST(nothing_is_held_back_longer_than_needed)
{
    struct characters c = {0};
    struct buf out = {0};
    characters_add(&c, S("ab\xE2\x82"), false, &out);
    CHECK(str_is(buf_str(&out), "ab"));
    characters_add(&c, S("\xAC"), false, &out);
    CHECK(str_is(buf_str(&out), "ab\xE2\x82\xAC") && c.held_count == 0);
    buf_free(&out);
}
