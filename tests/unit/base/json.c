#include "base/json.h"
#include <stdio.h>
#include <stdlib.h>
#include "test.h"

/* The fault of a text, as "offset: why"; "" when it is good. */
static struct str fault_of(struct str text)
{
    struct json j;
    struct json_fault f = {0};
    struct err e = json_parse(test_arena(), text, &j, &f);
    if (!failed(e)) return S("");
    CHECK(e.code == ERR_INVALID && !json_is_there(j) && f.why && *f.why);
    return strf(test_arena(), "%zu: %s", f.at, f.why);
}
static bool is_good(const char *text) { return fault_of(str(text)).count == 0; }

static struct json parsed(struct str text)
{
    struct json j;
    struct json_fault f = {0};
    CHECK_OK(json_parse(test_arena(), text, &j, &f));
    return j;
}

static struct str compacted(const char *text) { return json_compact(test_arena(), parsed(str(text))); }

/* `unit` so many times, then the rest. */
static struct str repeated(const char *unit, size_t times, const char *rest)
{
    size_t n = strlen(unit), r = strlen(rest);
    char *at = arena_try_alloc(test_arena(), n * times + r + 1);
    CHECK(at);
    for (size_t i = 0; i < times; i++) memcpy(at + i * n, unit, n);
    memcpy(at + n * times, rest, r);
    return str_n(at, n * times + r);
}

TEST(every_kind_of_value_is_read)
{
    struct json j = parsed(S(" {\"n\":null,\"t\":true,\"i\":-7,\"r\":1.5,\"s\":\"x\",\"l\":[1,2],\"o\":{}} \r\n\t"));
    CHECK(json_type(j) == JSON_OBJECT && json_count(j) == 7);
    CHECK(json_is_null(json_get(j, "n")) && json_is_there(json_get(j, "n")) && json_type(json_get(j, "n")) == JSON_NULL);
    CHECK(json_bool(json_get(j, "t")));
    CHECK(json_int(json_get(j, "i")) == -7);
    CHECK(json_number(json_get(j, "r")) == 1.5 && json_type(json_get(j, "r")) == JSON_NUMBER);
    CHECK(str_is(json_text(json_get(j, "s")), "x"));
    CHECK(json_type(json_get(j, "l")) == JSON_LIST && json_count(json_get(j, "l")) == 2);
    CHECK(json_type(json_get(j, "o")) == JSON_OBJECT && json_count(json_get(j, "o")) == 0);
}

TEST(the_absent_place_answers_every_question)
{
    struct json none = {0};
    CHECK(json_type(none) == JSON_ABSENT && !json_is_there(none) && !json_is_null(none));
    CHECK(!json_bool(none) && json_int(none) == 0 && json_number(none) == 0 && json_count(none) == 0);
    CHECK(json_text(none).at && json_text(none).count == 0);
    CHECK(!json_is_there(json_get(json_get(none, "a"), "b")));
    struct json_each e = json_each(none);
    CHECK(!json_next(&e));
    CHECK(str_is(json_compact(test_arena(), none), "null"));
    struct json text = parsed(S("\"t\""));
    CHECK(!json_is_there(json_get(text, "t")) && json_int(text) == 0 && json_count(text) == 0);
}

TEST(lists_and_objects_are_walked_in_their_order)
{
    struct json_each l = json_each(parsed(S("[1,[2,3],4]")));
    CHECK(json_next(&l) && json_int(l.item) == 1);
    CHECK(json_next(&l) && json_count(l.item) == 2);
    CHECK(json_next(&l) && json_int(l.item) == 4);
    CHECK(!json_next(&l) && !json_next(&l));
    struct json_each o = json_each(parsed(S("{\"b\":{\"x\":1},\"a\":2,\"\":3}")));
    CHECK(json_next(&o) && str_is(o.key, "b") && json_count(o.item) == 1);
    CHECK(json_next(&o) && str_is(o.key, "a") && json_int(o.item) == 2);
    CHECK(json_next(&o) && o.key.count == 0 && json_int(o.item) == 3);
    CHECK(!json_next(&o));
}

TEST(whole_numbers_within_int64_are_integers_however_they_are_written)
{
    CHECK(json_type(parsed(S("3.0"))) == JSON_INT && json_int(parsed(S("3.0"))) == 3);
    CHECK(json_type(parsed(S("1e3"))) == JSON_INT && json_int(parsed(S("1e3"))) == 1000);
    CHECK(json_int(parsed(S("-9223372036854775808"))) == INT64_MIN);
    CHECK(json_int(parsed(S("9223372036854775807"))) == INT64_MAX);
    CHECK(json_type(parsed(S("-0"))) == JSON_INT && json_int(parsed(S("-0"))) == 0);
    CHECK(json_type(parsed(S("9223372036854775808"))) == JSON_NUMBER);
    CHECK(json_type(parsed(S("1e19"))) == JSON_NUMBER && json_type(parsed(S("3.5"))) == JSON_NUMBER);
    CHECK(json_type(parsed(S("9223372036854775808.0"))) == JSON_NUMBER);
    CHECK(json_int(parsed(S("9223372036854775808"))) == 0);
}

TEST(a_number_beyond_64_bits_keeps_its_text)
{
    CHECK(str_is(compacted("[123456789012345678901234567890, -99999999999999999999, 1e999]"),
                 "[123456789012345678901234567890,-99999999999999999999,1e999]"));
    CHECK(json_type(parsed(S("1e999"))) == JSON_NUMBER);
    CHECK(str_is(compacted("[18446744073709551615,9223372036854775808]"), "[18446744073709551615,9223372036854775808]"));
    CHECK(json_number(parsed(S("100000000000000000000"))) == 1e20);
}

TEST(what_rfc_8259_forbids_is_refused)
{
    static const char *const bad[] = {
        "", " ", "{", "}", "[", "]", "[1", "[1,", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}",
        "{1:2}", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "NaN", "Infinity", "-Infinity", "nul", "True", "tru",
        "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\t\"", "\"\n\"", "\"\x1f\"", "// c\n1", "/* */1",
        "[1 2]", "{\"a\" 1}", "[1}", "{\"a\":1]", "\xEF\xBB\xBF{}", "1 2", "{} x", "{}{}", "[]]", "\"a\"\"b\"", "null,",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (is_good(bad[i])) test_fail(__FILE__, __LINE__, bad[i]);
}

TEST(what_rfc_8259_allows_is_read)
{
    static const char *const good[] = {
        "0", "-0", "-0.0", "1E5", "1e-5", "0.1e+10", "null", "true", "\"\"", "[]", "{}", "[[]]", " \t\r\n[ 1 , 2 ] ",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"", "\"\\ud83d\\ude80\"", "\"\x7f\"", "{\"\":1}", "\"\xE2\x80\xA8\"",
        "{\"a\":{\"a\":{\"a\":1}}}", "[{\"a\":1},{\"a\":1}]",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!is_good(good[i])) test_fail(__FILE__, __LINE__, good[i]);
}

TEST(a_fault_says_where)
{
    CHECK(str_is(fault_of(S("")), "0: the text is empty"));
    CHECK(str_starts(fault_of(S("{\"a\":x}")), S("5: ")));
    CHECK(str_starts(fault_of(S("[1,2] 3")), S("6: ")));
    CHECK(str_is(fault_of(S("{\"a\":1,\"b\":2,\"a\":3}")), "13: the same key twice in one object"));
    CHECK(str_starts(fault_of(S("[\"ab\xFF\"]")), S("4: ")));
    CHECK(str_is(fault_of(repeated("[", 129, "")), "128: nested too deeply"));
}

TEST(text_that_is_not_utf8_is_refused)
{
    CHECK(fault_of(S("\"\x80\"")).count && fault_of(S("\"\xC0\x80\"")).count && fault_of(S("\"\xED\xA0\x80\"")).count);
    CHECK(fault_of(S("\"\xF4\x90\x80\x80\"")).count && fault_of(S("\"\xE2\x82\"")).count && fault_of(S("\xFF")).count);
    CHECK(fault_of(S("{\"k\xFF\":1}")).count);
}

TEST(lone_surrogates_are_refused)
{
    CHECK(!is_good("\"\\ud800\"") && !is_good("\"\\udc00\"") && !is_good("\"\\ud800x\"") && !is_good("\"\\ud800\\u0041\""));
    CHECK(!is_good("\"\\ud800\\ud800\"") && !is_good("{\"\\udfff\":1}"));
    CHECK(str_is(json_text(parsed(S("\"\\ud83d\\ude80\""))), "\xF0\x9F\x9A\x80"));
}

TEST(a_zero_byte_in_a_text_is_legal_and_comes_back)
{
    struct json j = parsed(S("{\"t\":\"a\\u0000b\"}"));
    struct str t = json_text(json_get(j, "t"));
    CHECK(t.count == 3 && memcmp(t.at, "a\0b", 3) == 0);
    CHECK(str_is(json_compact(test_arena(), j), "{\"t\":\"a\\u0000b\"}"));
    CHECK(fault_of(str_n("\"a\0b\"", 5)).count); /* raw it is a control character */
    CHECK(fault_of(str_n("1\0", 2)).count);
}

TEST(a_key_twice_is_refused_however_it_is_escaped)
{
    CHECK(!is_good("{\"a\":1,\"\\u0061\":2}") && !is_good("{\"\":1,\"\":2}") && !is_good("[{\"x\":{\"b\":1,\"b\":1}}]"));
    CHECK(fault_of(S("{\"a\\u0000\":1,\"a\\u0000\":1}")).count && is_good("{\"a\\u0000b\":1,\"a\\u0000c\":1}"));
    CHECK(is_good("{\"a\":1,\"A\":2,\"aa\":3}"));
}

/* One object of n different keys, and perhaps its last key once more at the end. */
static struct str keys_text(int n, bool is_twin)
{
    struct buf b = {0};
    buf_add(&b, "{", 1);
    for (int i = 0; i < n; i++) buf_addf(&b, "%s\"key%d\":{\"x\":[%d]}", i ? "," : "", i, i);
    if (is_twin) buf_addf(&b, ",\"key%d\":0", n - 1);
    buf_add(&b, "}", 1);
    struct str text = str_copy(test_arena(), buf_str(&b));
    buf_free(&b);
    return text;
}

TEST(twins_are_found_in_objects_of_every_size)
{
    for (int n = 1; n < 40; n++) {
        CHECK(fault_of(keys_text(n, false)).count == 0);
        CHECK(fault_of(keys_text(n, true)).count != 0);
    }
    CHECK(fault_of(keys_text(5000, false)).count == 0 && fault_of(keys_text(5000, true)).count != 0);
}

TEST(depth_is_bounded_and_the_bound_is_exact)
{
    struct buf b = {0};
    for (int i = 0; i < 128; i++) buf_add(&b, i % 2 ? "{\"a\":" : "[", i % 2 ? 5 : 1);
    buf_add(&b, "1", 1);
    for (int i = 127; i >= 0; i--) buf_add(&b, i % 2 ? "}" : "]", 1);
    struct json j = parsed(buf_str(&b));
    struct str again = json_compact(test_arena(), j);
    bool is_same = str_eq(again, buf_str(&b));
    buf_free(&b);
    CHECK(is_same);
    CHECK(fault_of(repeated("[", 129, "")).count && fault_of(repeated("{\"a\":", 10000, "")).count);
}

TEST(brackets_in_a_text_are_no_levels)
{
    CHECK(fault_of(repeated("\"\\\"", 1, repeated("[", 300, "\"").at)).count == 0); /* also after an escaped quote */
    CHECK(str_is(fault_of(repeated("[\"\\\\\",", 129, "")), "768: nested too deeply")); /* an escaped backslash is none */
}

TEST(a_large_hostile_text_is_refused_in_bounded_memory)
{
    enum { MIB = 1 << 20 };
    struct str hostile[] = {
        repeated("[", 2 * MIB, ""), repeated("[],", MIB, ""), repeated("{\"\":", MIB, ""), repeated("\\", 2 * MIB, "\""),
        repeated("1", 2 * MIB, "x"), repeated("\"", 2 * MIB, ""), repeated("]", 2 * MIB, ""), repeated(",", 2 * MIB, ""),
    };
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        size_t before = test_arena()->total_bytes;
        CHECK(fault_of(hostile[i]).count);
        CHECK(test_arena()->total_bytes <= before + 65536); /* all given back */
    }
}

TEST(a_list_of_many_values_takes_at_most_26_bytes_a_value)
{
    enum { ITEMS = 200000 };
    struct str text = repeated("1,", ITEMS, "1");
    char *at = arena_try_alloc(test_arena(), text.count + 2);
    CHECK(at);
    at[0] = '[';
    memcpy(at + 1, text.at, text.count);
    at[text.count + 1] = ']';
    size_t before = test_arena()->total_bytes;
    struct json j = parsed(str_n(at, text.count + 2));
    CHECK(json_count(j) == ITEMS + 1);
    CHECK(test_arena()->total_bytes - before < (size_t)ITEMS * 26 + 65536);
}

TEST(parsing_without_memory_says_so_and_gives_back_what_it_took)
{
    struct str text = keys_text(3000, false);
    int n_refused = 0;
    for (long n = 1; n < 100; n++) {
        struct arena a = arena_new();
        struct json j;
        struct json_fault f = {0};
        arena_fail_at = n;
        struct err e = json_parse(&a, text, &j, &f);
        bool was_reached = arena_fail_at == 0;
        arena_fail_at = 0;
        CHECK(failed(e) ? e.code == ERR_MEMORY && was_reached && a.total_bytes == 0 : json_count(j) == 3000);
        arena_free(&a);
        if (!failed(e) && !was_reached) break;
        n_refused += failed(e);
    }
    CHECK(n_refused == 3); /* the copy, the values, the table of keys */
}

TEST(texts_are_escaped_as_little_as_possible)
{
    struct buf b = {0};
    json_put_text(&b, S("\"\\/\b\f\n\r\t\x01\x1f\x7f\0\xC3\xA9\xE2\x80\xA8 plain text that is longer"));
    bool is_right = str_is(buf_str(&b), "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000\xC3\xA9\xE2\x80\xA8 plain text that is longer\"");
    buf_free(&b);
    CHECK(is_right);
}

/* Each byte at each position of a word must be treated alike. */
TEST(every_byte_comes_back_from_wherever_it_stands)
{
    for (int c = 0; c < 128; c++) {
        for (size_t place = 0; place < 18; place++) {
            char raw[19];
            memset(raw, 'a', sizeof raw);
            raw[place] = (char)c;
            struct buf b = {0};
            json_put_text(&b, str_n(raw, sizeof raw));
            struct json j;
            struct err e = json_parse(test_arena(), buf_str(&b), &j, NULL);
            bool is_same = !failed(e) && str_eq(json_text(j), str_n(raw, sizeof raw));
            bool is_short = (c >= ' ' && c != '"' && c != '\\') == (b.count == sizeof raw + 2);
            buf_free(&b);
            CHECK(is_same && is_short);
        }
    }
}

TEST(numbers_and_times_are_written)
{
    struct buf b = {0};
    buf_add(&b, "{", 1);
    json_put_key(&b, "i"), json_put_int(&b, INT64_MIN);
    json_put_key(&b, "j"), json_put_int(&b, INT64_MAX);
    json_put_key(&b, "r"), json_put_number(&b, 3);
    json_put_key(&b, "q"), json_put_number(&b, 0.1);
    json_put_key(&b, "b"), json_put_bool(&b, true);
    json_put_key(&b, "t"), json_put_time(&b, 1775847682898813);
    json_put_key(&b, "u"), json_put_time(&b, 0);
    json_put_key(&b, "n"), json_put_text_or_null(&b, (struct str){0});
    json_put_key(&b, "l"), json_put_raw(&b, S("["));
    json_put_comma(&b), json_put_int(&b, 1), json_put_comma(&b), json_put_int(&b, 2), json_put_raw(&b, S("]}"));
    bool is_right = str_is(buf_str(&b), "{\"i\":-9223372036854775808,\"j\":9223372036854775807,\"r\":3.0,\"q\":0.1,\"b\":true,"
                                        "\"t\":\"2026-04-10T19:01:22.898813Z\",\"u\":null,\"n\":null,\"l\":[1,2]}");
    buf_free(&b);
    CHECK(is_right);
}

TEST(compact_keeps_everything_but_white_space)
{
    static const char *const texts[] = {
        "[]", "{}", "[[],{},[{}]]", "{\"a\":[],\"b\":{\"c\":[1,{\"d\":null}],\"e\":\"f\"},\"g\":[[[]]]}", "\"x\"", "1.5", "-1",
        "[true,false,null,0,1.0,-2.5e-7,\"\\u0001\"]", "[{\"a\":1},{\"a\":[2]}]",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!str_is(compacted(texts[i]), texts[i])) test_fail(__FILE__, __LINE__, texts[i]);
    CHECK(str_is(compacted(" { \"a\" : [ 1 , 2 ] } "), "{\"a\":[1,2]}"));
    struct json part = json_get(parsed(S("{\"a\":{\"b\":[1,{}]},\"c\":2}")), "a");
    CHECK(str_is(json_compact(test_arena(), part), "{\"b\":[1,{}]}"));
}

TEST(own_text_may_be_nested_deeper_than_a_body)
{
    struct json j;
    CHECK_OK(json_parse_own(test_arena(), repeated("[", 200, repeated("]", 200, "").at), &j));
    CHECK(json_compact(test_arena(), j).count == 400);
    CHECK(json_parse_own(test_arena(), S("{\"a\":"), &j).code == ERR_INVALID);
    CHECK(json_parse_own(test_arena(), repeated("[", 257, ""), &j).code == ERR_INVALID);
}
