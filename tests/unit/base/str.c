#include "test.h"

TEST(a_number_is_digits_within_int64)
{
    int64_t v = 0;
    CHECK(str_to_int(S("-9223372036854775808"), &v) && v == INT64_MIN);
    CHECK(str_to_int(S("9223372036854775807"), &v) && v == INT64_MAX);
    CHECK(!str_to_int(S("9223372036854775808"), &v));
    CHECK(!str_to_int(S(""), &v) && !str_to_int(S("-"), &v) && !str_to_int(S("+1"), &v) && !str_to_int(S("1 "), &v));
}

TEST(utf8_refuses_surrogates_and_overlong_forms)
{
    CHECK(str_is_utf8(S("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x9A\x80")));
    CHECK(!str_is_utf8(S("\xED\xA0\x80")) && !str_is_utf8(S("\xC0\x80")) && !str_is_utf8(S("\xF4\x90\x80\x80")));
    CHECK(!str_is_utf8(S("\xE2\x82")));
    CHECK(str_utf8_floor(S("a\xE2\x82\xAC"), 3) == 1);
}

TEST(an_arena_without_memory_lends_from_its_reserve_and_says_so)
{
    struct arena a = arena_new();
    arena_fail_at = 1;
    char *p = arena_alloc(&a, 100);
    CHECK(p && a.exhausted);
    p[99] = 1;
    arena_fail_at = 0;
    arena_free(&a);
    CHECK(!a.exhausted);
}
