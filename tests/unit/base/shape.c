#include "base/shape.h"
#include <math.h>
#include "test.h"

/* ---- a noun that has a field of every kind --------------------------------------------- */
static const char *const colours[] = {"red", "green", "blue", NULL};

struct part {
    bool is_there; /* only looked at where the row is NULLABLE */
    struct str name;
    int64_t size;
};
static const struct field part_fields[] = {
    {.name = "name", .kind = FIELD_TEXT, .flags = REQUIRED, .at = offsetof(struct part, name)},
    {.name = "size", .kind = FIELD_INT, .at = offsetof(struct part, size), .normal = "7"},
};
static const struct shape part_shape = {"part", sizeof(struct part), part_fields, 2};

struct thing {
    struct str id, name, title, meta, items, tags, rows, any;
    bool is_big;
    int64_t count, level, made_at, secret;
    double rate, share;
    int colour, tone;
    struct part part, spare;
    int64_t doubled;
    struct str note;
};

static void read_doubled(struct reading *r, struct json value, const struct loc *loc, void *at)
{
    if (json_type(value) == JSON_INT) *(int64_t *)at = json_int(value) * (r->is_stored ? 1 : 2);
    else fault_value(r->faults, loc, fault_input(r->faults, value), "only whole numbers double");
}
static void write_doubled(struct buf *b, const void *at) { json_put_int(b, *(const int64_t *)at); }
static void no_shouting(struct reading *r, struct json value, const struct loc *loc, void *at)
{
    struct thing *whole = r->whole;
    if (str_eq(*(struct str *)at, S("LOUD")) && &whole->note == at)
        fault_value(r->faults, loc, fault_input(r->faults, value), "too loud");
}

#define AT(member) .at = offsetof(struct thing, member)
static const struct field fields[] = {
    {.name = "id", .kind = FIELD_TEXT, .flags = READ_ONLY, AT(id)},
    {.name = "name", .kind = FIELD_TEXT, .flags = REQUIRED, AT(name), .low = 1, .high = 5},
    {.name = "title", .aliases = {"label", "caption"}, .kind = FIELD_TEXT, .flags = NULLABLE, AT(title)},
    {.name = "meta", .kind = FIELD_OBJECT, AT(meta), .normal = "{}"},
    {.name = "items", .kind = FIELD_LIST, AT(items), .low = 1, .high = 3, .normal = "[]"},
    {.name = "tags", .kind = FIELD_TEXTS, AT(tags), .normal = "[]"},
    {.name = "rows", .kind = FIELD_OBJECTS, AT(rows), .normal = "[]"},
    {.name = "any", .kind = FIELD_JSON, .flags = NULLABLE, AT(any)},
    {.name = "is_big", .kind = FIELD_BOOL, AT(is_big), .normal = "true"},
    {.name = "count", .kind = FIELD_INT, AT(count), .low = 1, .high = 50, .normal = "20"},
    {.name = "level", .kind = FIELD_INT, .flags = NULLABLE | CREATE_ONLY, AT(level)},
    {.name = "made_at", .kind = FIELD_TIME, .flags = NULLABLE, AT(made_at)},
    {.name = "secret", .kind = FIELD_INT, .flags = HIDDEN, AT(secret)},
    {.name = "rate", .kind = FIELD_NUMBER, AT(rate), .normal = "0.5"},
    {.name = "share", .kind = FIELD_NUMBER, .flags = NULLABLE | UNSTORED, AT(share)},
    {.name = "colour", .kind = FIELD_ENUM, AT(colour), .words = colours, .normal = "\"green\""},
    {.name = "tone", .kind = FIELD_ENUM, .flags = NULLABLE | LITERAL | UPDATE_ONLY, AT(tone), .words = colours},
    {.name = "part", .kind = FIELD_SHAPE, AT(part), .inner = &part_shape},
    {.name = "spare", .kind = FIELD_SHAPE, .flags = NULLABLE, AT(spare), .inner = &part_shape},
    {.name = "doubled", .kind = FIELD_CUSTOM, AT(doubled), .normal = "4", .read = read_doubled, .write = write_doubled},
    {.name = "note", .kind = FIELD_TEXT, .flags = NULLABLE, AT(note), .normal = "\"none\"", .read = no_shouting},
};
static const struct shape shape = {"thing", sizeof(struct thing), fields, sizeof fields / sizeof *fields};

static struct thing thing;
static struct given given;

static struct json parsed(const char *text)
{
    struct json j;
    CHECK_OK(json_parse(test_arena(), str(text), &j, NULL));
    return j;
}

/* The items of what is wrong with a body. */
static struct str reads(enum shape_mode mode, const char *body)
{
    struct faults f = faults_new(test_arena());
    if (mode == SHAPE_CREATE) shape_defaults(test_arena(), &shape, &thing);
    struct json none = {0};
    shape_read(test_arena(), &shape, mode, body ? parsed(body) : none, LOC(NULL, "body"), &thing, &given, &f);
    struct str items = str_copy(test_arena(), buf_str(&f.items));
    faults_free(&f);
    return items;
}
static struct str creates(const char *body) { return reads(SHAPE_CREATE, body); }
static struct str updates(const char *body) { return reads(SHAPE_UPDATE, body); }

/* A body that has a name, and one key more. */
static struct str fault_of(const char *key_and_value)
{
    return creates(arena_printf(test_arena(), "{\"name\":\"n\",%s}", key_and_value));
}

static struct str written(void)
{
    struct buf b = {0};
    shape_write(&b, &shape, &thing);
    struct str text = str_copy(test_arena(), buf_str(&b));
    buf_free(&b);
    return text;
}

static struct str stored(const void *from)
{
    struct buf b = {0};
    shape_store(&b, &shape, from);
    struct str text = str_copy(test_arena(), buf_str(&b));
    buf_free(&b);
    return text;
}

#define CHECK_TEXT(got, want)                                                                              \
    do {                                                                                                   \
        struct str got_ = (got);                                                                           \
        if (!str_is(got_, want)) test_fail(__FILE__, __LINE__, arena_printf(test_arena(), "%.*s", STR_ARGS(got_))); \
    } while (0)

/* ---- defaults and writing ------------------------------------------------------------------ */
TEST(defaults_are_written_with_every_key_in_table_order)
{
    shape_defaults(test_arena(), &shape, &thing);
    CHECK_TEXT(written(),
               "{\"id\":\"\",\"name\":\"\",\"title\":null,\"meta\":{},\"items\":[],\"tags\":[],\"rows\":[],\"any\":null,"
               "\"is_big\":true,\"count\":20,\"level\":null,\"made_at\":null,\"rate\":0.5,\"share\":null,\"colour\":\"green\","
               "\"tone\":null,\"part\":{\"name\":\"\",\"size\":7},\"spare\":null,\"doubled\":8,\"note\":\"none\"}");
}

TEST(what_is_null_without_being_nullable_is_written_as_its_empty_form)
{
    thing = (struct thing){0};
    CHECK_TEXT(written(),
               "{\"id\":\"\",\"name\":\"\",\"title\":null,\"meta\":{},\"items\":[],\"tags\":[],\"rows\":[],\"any\":null,"
               "\"is_big\":false,\"count\":0,\"level\":0,\"made_at\":null,\"rate\":0.0,\"share\":0.0,\"colour\":\"red\","
               "\"tone\":\"red\",\"part\":{\"name\":\"\",\"size\":0},\"spare\":null,\"doubled\":0,\"note\":null}");
}

TEST(a_body_fills_the_struct)
{
    CHECK_TEXT(creates("{\"name\":\"caf\xC3\xA9s\",\"title\":\"t\",\"meta\":{ \"a\" : 1 },\"items\":[1, null],\"tags\":[\"x\"],"
                       "\"rows\":[{}],\"any\":[1.5],\"is_big\":false,\"count\":3.0,\"level\":-4,\"rate\":2,\"share\":0.25,"
                       "\"colour\":\"blue\",\"part\":{\"name\":\"p\"},\"spare\":{\"name\":\"s\",\"size\":1},\"doubled\":5,"
                       "\"note\":\"quiet\",\"unknown\":{}}"),
               "");
    CHECK_TEXT(written(),
               "{\"id\":\"\",\"name\":\"caf\xC3\xA9s\",\"title\":\"t\",\"meta\":{\"a\":1},\"items\":[1,null],\"tags\":[\"x\"],"
               "\"rows\":[{}],\"any\":[1.5],\"is_big\":false,\"count\":3,\"level\":-4,\"made_at\":null,\"rate\":2.0,\"share\":0.25,"
               "\"colour\":\"blue\",\"tone\":null,\"part\":{\"name\":\"p\",\"size\":7},\"spare\":{\"name\":\"s\",\"size\":1},"
               "\"doubled\":10,\"note\":\"quiet\"}");
}

/* ---- faults: each type, exact to the byte ------------------------------------------------------ */
TEST(a_body_that_is_absent_or_no_object_is_one_fault)
{
    CHECK_TEXT(creates(NULL), "{\"type\":\"missing\",\"loc\":[\"body\"],\"msg\":\"Field required\",\"input\":null}");
    CHECK_TEXT(creates("[1]"), "{\"type\":\"model_attributes_type\",\"loc\":[\"body\"],\"msg\":\"Input should be a valid "
                               "dictionary or object to extract fields from\",\"input\":[1]}");
    CHECK_TEXT(creates("null"), "{\"type\":\"model_attributes_type\",\"loc\":[\"body\"],\"msg\":\"Input should be a valid "
                                "dictionary or object to extract fields from\",\"input\":null}");
}

TEST(a_required_key_is_missed_with_the_object_around_it)
{
    CHECK_TEXT(creates("{\"title\": 1.50}"),
               "{\"type\":\"missing\",\"loc\":[\"body\",\"name\"],\"msg\":\"Field required\",\"input\":{\"title\":1.5}},"
               "{\"type\":\"string_type\",\"loc\":[\"body\",\"title\"],\"msg\":\"Input should be a valid string\",\"input\":1.5}");
    CHECK_TEXT(creates("{\"name\":null}"),
               "{\"type\":\"missing\",\"loc\":[\"body\",\"name\"],\"msg\":\"Field required\",\"input\":{\"name\":null}}");
    CHECK_TEXT(fault_of("\"part\":{\"size\":1}"),
               "{\"type\":\"missing\",\"loc\":[\"body\",\"part\",\"name\"],\"msg\":\"Field required\",\"input\":{\"size\":1}}");
}

TEST(wrong_types_are_named)
{
    static const char *const rows[][5] = {
        {"\"title\":3", "string_type", "\"title\"", "Input should be a valid string", "3"},
        {"\"meta\":[]", "dict_type", "\"meta\"", "Input should be a valid dictionary", "[]"},
        {"\"items\":{}", "list_type", "\"items\"", "Input should be a valid list", "{}"},
        {"\"tags\":\"a\"", "list_type", "\"tags\"", "Input should be a valid list", "\"a\""},
        {"\"tags\":[\"a\",2]", "string_type", "\"tags\",1", "Input should be a valid string", "2"},
        {"\"rows\":[{},{},null]", "dict_type", "\"rows\",2", "Input should be a valid dictionary", "null"},
        {"\"is_big\":1", "bool_type", "\"is_big\"", "Input should be a valid boolean", "1"},
        {"\"is_big\":\"true\"", "bool_type", "\"is_big\"", "Input should be a valid boolean", "\"true\""},
        {"\"count\":\"3\"", "int_type", "\"count\"", "Input should be a valid integer", "\"3\""},
        {"\"count\":true", "int_type", "\"count\"", "Input should be a valid integer", "true"},
        {"\"count\":3.5", "int_from_float", "\"count\"", "Input should be a valid integer, got a number with a fractional part", "3.5"},
        {"\"level\":9223372036854775808", "int_parsing_size", "\"level\"",
         "Unable to parse input string as an integer, exceeded maximum size", "9223372036854775808"},
        {"\"rate\":\"1\"", "float_type", "\"rate\"", "Input should be a valid number", "\"1\""},
        {"\"rate\":1e999", "finite_number", "\"rate\"", "Input should be a finite number", "1e999"},
        {"\"part\":\"p\"", "model_attributes_type", "\"part\"",
         "Input should be a valid dictionary or object to extract fields from", "\"p\""},
        {"\"spare\":{\"name\":1}", "string_type", "\"spare\",\"name\"", "Input should be a valid string", "1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const *r = rows[i];
        struct str want = strf(test_arena(), "{\"type\":\"%s\",\"loc\":[\"body\",%s],\"msg\":\"%s\",\"input\":%s}", r[1], r[2], r[3], r[4]);
        CHECK_TEXT(fault_of(r[0]), want.at);
    }
}

TEST(bounds_are_named_with_what_they_are)
{
    static const char *const rows[][6] = {
        {"\"count\":0", "greater_than_equal", "count", "Input should be greater than or equal to 1", "0", "{\"ge\":1}"},
        {"\"count\":51", "less_than_equal", "count", "Input should be less than or equal to 50", "51", "{\"le\":50}"},
        {"\"count\":1e30", "less_than_equal", "count", "Input should be less than or equal to 50", "1e30", "{\"le\":50}"},
        {"\"count\":-99999999999999999999", "greater_than_equal", "count", "Input should be greater than or equal to 1",
         "-99999999999999999999", "{\"ge\":1}"},
        {"\"items\":[]", "too_short", "items", "List should have at least 1 item after validation, not 0", "[]",
         "{\"field_type\":\"List\",\"min_length\":1,\"actual_length\":0}"},
        {"\"items\":[1,2,3,4]", "too_long", "items", "List should have at most 3 items after validation, not 4", "[1,2,3,4]",
         "{\"field_type\":\"List\",\"max_length\":3,\"actual_length\":4}"},
        {"\"colour\":\"pink\"", "enum", "colour", "Input should be 'red', 'green' or 'blue'", "\"pink\"",
         "{\"expected\":\"'red', 'green' or 'blue'\"}"},
        {"\"colour\":1", "enum", "colour", "Input should be 'red', 'green' or 'blue'", "1",
         "{\"expected\":\"'red', 'green' or 'blue'\"}"},
        {"\"doubled\":\"x\"", "value_error", "doubled", "Value error, only whole numbers double", "\"x\"", "{\"error\":{}}"},
        {"\"note\":\"LOUD\"", "value_error", "note", "Value error, too loud", "\"LOUD\"", "{\"error\":{}}"},
        {"\"label\":\"a\",\"caption\":\"b\"", "value_error", "label",
         "Value error, title was given under two names with different values", "\"a\"", "{\"error\":{}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *const *r = rows[i];
        struct str want = strf(test_arena(), "{\"type\":\"%s\",\"loc\":[\"body\",\"%s\"],\"msg\":\"%s\",\"input\":%s,\"ctx\":%s}",
                               r[1], r[2], r[3], r[4], r[5]);
        CHECK_TEXT(fault_of(r[0]), want.at);
    }
    CHECK_TEXT(creates("{\"name\":\"\"}"),
               "{\"type\":\"string_too_short\",\"loc\":[\"body\",\"name\"],\"msg\":\"String should have at least 1 character\","
               "\"input\":\"\",\"ctx\":{\"min_length\":1}}");
    CHECK_TEXT(creates("{\"name\":\"\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC\"}"), ""); /* five, 15 bytes */
    CHECK_TEXT(creates("{\"name\":\"123456\"}"),
               "{\"type\":\"string_too_long\",\"loc\":[\"body\",\"name\"],\"msg\":\"String should have at most 5 characters\","
               "\"input\":\"123456\",\"ctx\":{\"max_length\":5}}");
    thing.tone = 1;
    CHECK_TEXT(updates("{\"tone\":\"loud\"}"),
               "{\"type\":\"literal_error\",\"loc\":[\"body\",\"tone\"],\"msg\":\"Input should be 'red', 'green' or 'blue'\","
               "\"input\":\"loud\",\"ctx\":{\"expected\":\"'red', 'green' or 'blue'\"}}");
    CHECK(thing.tone == 1);
}

TEST(the_other_faults_have_their_form)
{
    static const char *const two[] = {"action", "agent", NULL}, *const one[] = {"only", NULL};
    struct faults f = faults_new(test_arena());
    const struct loc *loc = LOC_INDEX(LOC(LOC(NULL, "body"), "graph"), 2);
    fault_tag_missing(&f, loc, S("{}"), "type");
    fault_tag(&f, loc, S("1"), "type", S("x\"y"), two);
    fault_enum(&f, LOC(NULL, "query"), S("2"), one, false);
    fault_enum(&f, LOC(NULL, "query"), S("2"), two, true);
    fault_pattern(&f, LOC(NULL, "header"), S("3"), "^\\d+$");
    fault_url(&f, LOC(NULL, "path"), S("4"), "input contains invalid port number");
    fault_url_scheme(&f, LOC_TEXT(LOC(NULL, "body"), S("k\n")), S("5"));
    fault_json(&f, LOC(NULL, "body"), &(struct json_fault){17, "odd"});
    fault_plain(&f, "int_parsing", LOC(LOC(NULL, "query"), "page"), fault_input_text(&f, S("a\"b")));
    fault_plain(&f, "bool_parsing", LOC(LOC(NULL, "query"), "page"), fault_input_text(&f, S("\xFF")));
    struct str body = faults_body(&f);
    faults_free(&f);
    CHECK_TEXT(body,
        "{\"detail\":[{\"type\":\"union_tag_not_found\",\"loc\":[\"body\",\"graph\",2],\"msg\":\"Unable to extract tag using "
        "discriminator 'type'\",\"input\":{},\"ctx\":{\"discriminator\":\"'type'\"}},"
        "{\"type\":\"union_tag_invalid\",\"loc\":[\"body\",\"graph\",2],\"msg\":\"Input tag 'x\\\"y' found using 'type' does not "
        "match any of the expected tags: 'action', 'agent'\",\"input\":1,\"ctx\":{\"discriminator\":\"'type'\",\"tag\":\"x\\\"y\","
        "\"expected_tags\":\"'action', 'agent'\"}},"
        "{\"type\":\"enum\",\"loc\":[\"query\"],\"msg\":\"Input should be 'only'\",\"input\":2,\"ctx\":{\"expected\":\"'only'\"}},"
        "{\"type\":\"literal_error\",\"loc\":[\"query\"],\"msg\":\"Input should be 'action' or 'agent'\",\"input\":2,"
        "\"ctx\":{\"expected\":\"'action' or 'agent'\"}},"
        "{\"type\":\"string_pattern_mismatch\",\"loc\":[\"header\"],\"msg\":\"String should match pattern '^\\\\d+$'\",\"input\":3,"
        "\"ctx\":{\"pattern\":\"^\\\\d+$\"}},"
        "{\"type\":\"url_parsing\",\"loc\":[\"path\"],\"msg\":\"Input should be a valid URL, input contains invalid port number\","
        "\"input\":4,\"ctx\":{\"error\":\"input contains invalid port number\"}},"
        "{\"type\":\"url_scheme\",\"loc\":[\"body\",\"k\\n\"],\"msg\":\"URL scheme should be 'http' or 'https'\",\"input\":5,"
        "\"ctx\":{\"expected_schemes\":\"'http' or 'https'\"}},"
        "{\"type\":\"json_invalid\",\"loc\":[\"body\",17],\"msg\":\"JSON decode error\",\"input\":{},\"ctx\":{\"error\":\"odd\"}},"
        "{\"type\":\"int_parsing\",\"loc\":[\"query\",\"page\"],\"msg\":\"Input should be a valid integer, unable to parse string "
        "as an integer\",\"input\":\"a\\\"b\"},"
        "{\"type\":\"bool_parsing\",\"loc\":[\"query\",\"page\"],\"msg\":\"Input should be a valid boolean, unable to interpret "
        "input\",\"input\":null}]}");
}

TEST(faults_come_in_table_order_whatever_the_order_of_the_body)
{
    CHECK_TEXT(creates("{\"count\":\"x\",\"name\":5,\"meta\":1}"),
               "{\"type\":\"string_type\",\"loc\":[\"body\",\"name\"],\"msg\":\"Input should be a valid string\",\"input\":5},"
               "{\"type\":\"dict_type\",\"loc\":[\"body\",\"meta\"],\"msg\":\"Input should be a valid dictionary\",\"input\":1},"
               "{\"type\":\"int_type\",\"loc\":[\"body\",\"count\"],\"msg\":\"Input should be a valid integer\",\"input\":\"x\"}");
}

TEST(an_input_beyond_1024_bytes_is_null)
{
    char text[1200];
    memset(text, 'x', sizeof text);
    struct str fits = fault_of(arena_printf(test_arena(), "\"count\":\"%.*s\"", 400, text));
    CHECK(fits.count > 400);
    CHECK_TEXT(fault_of(arena_printf(test_arena(), "\"meta\":[\"%.*s\",\"%.*s\"]", 400, text, 20, text)),
               arena_printf(test_arena(), "{\"type\":\"dict_type\",\"loc\":[\"body\",\"meta\"],\"msg\":\"Input should be a valid "
                            "dictionary\",\"input\":[\"%.*s\",\"%.*s\"]}", 400, text, 20, text));
    struct faults f = faults_new(test_arena());
    struct buf b = {0};
    for (size_t n = 1020; n <= 1024; n++) {
        b.count = 0;
        buf_addf(&b, "[\"%.*s\"]", (int)n - 4, text);
        struct json j = {0};
        CHECK(!failed(json_parse(test_arena(), buf_str(&b), &j, NULL)));
        CHECK(fault_input(&f, j).count == n);
        f.items.count = 0, f.count = 0;
        fault_plain(&f, "missing", NULL, fault_input(&f, j));
        CHECK(f.items.count > n);
    }
    fault_plain(&f, "missing", NULL, str_n(text, 1025)); /* whoever made it */
    CHECK(str_is(str_cut(buf_str(&f.items), f.items.count - 13, 13), "\"input\":null}"));
    faults_free(&f);
    f = faults_new(test_arena());
    struct json j = {0};
    b.count = 0;
    buf_addf(&b, "[\"%.*s\"]", 1021, text);
    CHECK(!failed(json_parse(test_arena(), buf_str(&b), &j, NULL)));
    CHECK(str_is(fault_input(&f, j), "null"));
    b.count = 0;
    buf_addf(&b, "\"%.*s\"", 1100, text);
    CHECK(!failed(json_parse(test_arena(), buf_str(&b), &j, NULL)));
    CHECK(str_is(fault_input(&f, j), "null"));
    buf_free(&b);
}

TEST(at_most_a_hundred_faults_are_kept_and_the_rest_costs_nothing)
{
    struct buf b = {0};
    buf_add_str(&b, S("{\"name\":\"n\",\"tags\":["));
    for (int i = 0; i < 5000; i++) buf_add_str(&b, S("1,"));
    buf_add_str(&b, S("1],\"rows\":[1]}"));
    struct json j;
    struct err e = json_parse(test_arena(), buf_str(&b), &j, NULL);
    buf_free(&b);
    CHECK_OK(e);
    struct faults f = faults_new(test_arena());
    shape_defaults(test_arena(), &shape, &thing);
    shape_read(test_arena(), &shape, SHAPE_CREATE, j, LOC(NULL, "body"), &thing, NULL, &f);
    struct str text = faults_body(&f);
    int count = f.count;
    faults_free(&f);
    CHECK(count == 100);
    CHECK_OK(json_parse(test_arena(), text, &j, NULL));
    CHECK(json_count(json_get(j, "detail")) == 100);
}

/* ---- null, absent, update ------------------------------------------------------------------------ */
TEST(null_is_absent_where_it_is_no_value)
{
    CHECK_TEXT(fault_of("\"count\":null,\"meta\":null,\"colour\":null,\"part\":null,\"doubled\":null"), "");
    CHECK(thing.count == 20 && thing.colour == 1 && str_is(thing.meta, "{}") && thing.doubled == 8);
    CHECK(!is_given(&given, &shape, offsetof(struct thing, count)));
    CHECK(is_given_null(&given, &shape, offsetof(struct thing, count)));
    CHECK(is_given(&given, &shape, offsetof(struct thing, name)) && !is_given(&given, &shape, offsetof(struct thing, rate)));
}

TEST(an_update_changes_what_is_given_and_null_resets_what_may_be_null)
{
    CHECK_TEXT(fault_of("\"title\":\"t\",\"count\":9,\"level\":3,\"any\":{\"x\":1},\"note\":\"a\",\"share\":1.0,"
                        "\"spare\":{\"name\":\"s\",\"size\":2},\"part\":{\"name\":\"p\",\"size\":3}"), "");
    CHECK_TEXT(updates("{\"rate\":4}"), "");
    CHECK(str_is(thing.title, "t") && thing.count == 9 && thing.rate == 4 && str_is(thing.name, "n"));
    CHECK_TEXT(updates("{\"title\":null,\"count\":null,\"any\":null,\"note\":null,\"share\":null,\"name\":null}"), "");
    CHECK(!thing.title.at && !thing.any.at && thing.count == 9 && isnan(thing.share) && str_is(thing.name, "n"));
    CHECK(str_is(thing.note, "none")); /* its default, which is not null */
    CHECK(is_given(&given, &shape, offsetof(struct thing, title)) && is_given_null(&given, &shape, offsetof(struct thing, title)));
    CHECK(!is_given(&given, &shape, offsetof(struct thing, count)));
    CHECK_TEXT(updates("{}"), "");
    CHECK(given.there[0] == 0 && given.null[0] == 0);
}

TEST(a_nested_shape_is_updated_key_by_key_and_a_nullable_one_replaced)
{
    CHECK_TEXT(fault_of("\"spare\":{\"name\":\"s\",\"size\":2},\"part\":{\"name\":\"p\",\"size\":3}"), "");
    CHECK_TEXT(updates("{\"part\":{\"size\":5},\"spare\":{\"name\":\"z\"}}"), "");
    CHECK(str_is(thing.part.name, "p") && thing.part.size == 5);
    CHECK(thing.spare.is_there && str_is(thing.spare.name, "z") && thing.spare.size == 7);
    CHECK_TEXT(updates("{\"spare\":{\"size\":1}}"),
               "{\"type\":\"missing\",\"loc\":[\"body\",\"spare\",\"name\"],\"msg\":\"Field required\",\"input\":{\"size\":1}}");
    CHECK_TEXT(updates("{\"spare\":null}"), "");
    CHECK(!thing.spare.is_there);
}

TEST(keys_that_may_not_be_sent_now_are_ignored)
{
    CHECK_TEXT(fault_of("\"id\":5,\"made_at\":\"x\",\"tone\":\"blue\",\"level\":1"), "");
    CHECK(thing.id.count == 0 && thing.made_at == 0 && thing.tone == -1 && thing.level == 1);
    CHECK(!is_given(&given, &shape, offsetof(struct thing, id)));
    CHECK_TEXT(updates("{\"id\":5,\"tone\":\"blue\",\"level\":\"wrong\"}"), "");
    CHECK(thing.tone == 2 && thing.level == 1);
}

/* ---- names ------------------------------------------------------------------------------------------ */
TEST(an_alias_is_read_and_named_in_its_fault)
{
    CHECK_TEXT(fault_of("\"caption\":\"c\""), "");
    CHECK(str_is(thing.title, "c"));
    CHECK_TEXT(fault_of("\"caption\":\"c\",\"title\":\"c\",\"label\":null"), "");
    CHECK(str_is(thing.title, "c"));
    CHECK_TEXT(fault_of("\"label\":null,\"title\":\"t\""), "");
    CHECK(str_is(thing.title, "t"));
    CHECK_TEXT(fault_of("\"caption\":[]"),
               "{\"type\":\"string_type\",\"loc\":[\"body\",\"caption\"],\"msg\":\"Input should be a valid string\",\"input\":[]}");
}

TEST(a_name_goes_before_an_alias_but_a_field_that_is_not_read_frees_it)
{
    struct pair {
        int64_t first, second, shown;
    };
    static const struct field pair_fields[] = {
        {.name = "first", .aliases = {"second", "shown"}, .kind = FIELD_INT, .at = offsetof(struct pair, first)},
        {.name = "second", .kind = FIELD_INT, .at = offsetof(struct pair, second)},
        {.name = "shown", .kind = FIELD_INT, .flags = READ_ONLY, .at = offsetof(struct pair, shown)},
    };
    static const struct shape pair_shape = {"pair", sizeof(struct pair), pair_fields, 3};
    static const char *const many = ",\"a\":0,\"b\":0,\"c\":0,\"d\":0,\"e\":0,\"f\":0,\"g\":0,\"h\":0,\"i\":0,\"j\":0,\"k\":0,\"l\":0";
    for (int i = 0; i < 2; i++) { /* once by comparing, once by table */
        struct pair pair;
        struct faults f = faults_new(test_arena());
        shape_defaults(test_arena(), &pair_shape, &pair);
        struct json body = parsed(arena_printf(test_arena(), "{\"second\":2,\"shown\":3%s}", i ? many : ""));
        shape_read(test_arena(), &pair_shape, SHAPE_CREATE, body, NULL, &pair, NULL, &f);
        faults_free(&f);
        CHECK(f.count == 0 && pair.first == 3 && pair.second == 2 && pair.shown == 0);
    }
}

TEST(keys_that_resemble_a_name_are_unknown)
{
    CHECK_TEXT(fault_of("\"\":1,\"coun\":\"x\",\"counts\":\"x\",\"count\\u0000\":\"x\",\"Count\":\"x\""), "");
    CHECK(thing.count == 20);
}

TEST(bodies_of_many_keys_are_read_like_those_of_few)
{
    struct buf b = {0};
    buf_add_str(&b, S("{\"\":1,\"count\\u0000\":\"x\",\"caption\":\"c\",\"count\":\"x\",\"name\":\"n\",\"level\":8"));
    for (int i = 0; i < 300; i++) buf_addf(&b, ",\"key%d\":%d", i, i);
    buf_add_str(&b, S("}"));
    struct str body = str_copy(test_arena(), buf_str(&b));
    buf_free(&b);
    CHECK_TEXT(creates(body.at), "{\"type\":\"int_type\",\"loc\":[\"body\",\"count\"],\"msg\":\"Input should be a valid integer\","
                                 "\"input\":\"x\"}");
    CHECK(str_is(thing.title, "c") && str_is(thing.name, "n") && thing.level == 8);
}

/* ---- rows ---------------------------------------------------------------------------------------------- */
TEST(what_was_stored_loads_as_the_same)
{
    CHECK_TEXT(fault_of("\"title\":\"t\\u0000\\\"\",\"meta\":{\"a\":[1,{\"b\":1e999}]},\"items\":[1],\"tags\":[\"x\"],\"rows\":[{}],"
                        "\"any\":\"s\",\"is_big\":false,\"count\":50,\"level\":-9223372036854775807,\"rate\":0.1,"
                        "\"colour\":\"red\",\"part\":{\"name\":\"p\"},\"spare\":{\"name\":\"s\"},\"doubled\":5,\"note\":\"q\""), "");
    thing.id = S("an id"), thing.secret = 42, thing.made_at = 1775847682898813, thing.tone = 0;
    struct str text = stored(&thing);
    struct thing again;
    shape_defaults(test_arena(), &shape, &again);
    CHECK_OK(shape_load(test_arena(), &shape, text, &again));
    CHECK_TEXT(stored(&again), text.at);
    CHECK(again.secret == 42 && again.made_at == 1775847682898813 && again.tone == 0 && again.doubled == 10);
    CHECK(isnan(again.share)); /* UNSTORED: as the defaults have it */
    CHECK(again.title.count == 3 && again.spare.is_there);
}

TEST(what_equals_its_default_is_not_stored)
{
    shape_defaults(test_arena(), &shape, &thing);
    struct str nothing = stored(&thing);
    CHECK(!memmem(nothing.at, nothing.count, "\"count\"", 7) && !memmem(nothing.at, nothing.count, "\"part\"", 6));
    thing.count = 21, thing.part.name = S("p"), thing.spare.is_there = true, thing.title = S("");
    struct str some = stored(&thing);
    CHECK(memmem(some.at, some.count, "\"count\":21", 10) && memmem(some.at, some.count, "\"title\":\"\"", 10));
    CHECK(memmem(some.at, some.count, "\"part\":{\"name\":\"p\"}", 19) && memmem(some.at, some.count, "\"spare\":{", 9));
    struct thing again;
    shape_defaults(test_arena(), &shape, &again);
    CHECK_OK(shape_load(test_arena(), &shape, some, &again));
    CHECK(again.count == 21 && str_is(again.part.name, "p") && again.spare.is_there && again.title.at && !again.title.count);
}

TEST(what_a_row_lacks_takes_the_place_of_what_was_there)
{
    struct thing other;
    shape_defaults(test_arena(), &shape, &thing);
    shape_defaults(test_arena(), &shape, &other);
    other.count = 3, other.title = S("t"), other.spare.is_there = true, other.part.size = 9, other.share = 0.25;
    CHECK_OK(shape_load(test_arena(), &shape, stored(&thing), &other));
    CHECK(other.count == 20 && !other.title.at && !other.spare.is_there && other.part.size == 7);
    CHECK(other.share > 0.2); /* UNSTORED */
}

TEST(nulls_are_stored_as_nulls_and_old_rows_may_lack_keys)
{
    shape_defaults(test_arena(), &shape, &thing);
    thing.note = (struct str){0};
    struct thing again;
    shape_defaults(test_arena(), &shape, &again);
    CHECK_OK(shape_load(test_arena(), &shape, stored(&thing), &again));
    CHECK(!again.note.at && again.level == FIELD_INT_NULL && again.tone == -1 && !again.spare.is_there);
    shape_defaults(test_arena(), &shape, &again);
    CHECK_OK(shape_load(test_arena(), &shape, S("{\"gone\":1,\"name\":\"a name longer than is allowed today\",\"note\":\"LOUD\"}"), &again));
    CHECK(str_is(again.note, "LOUD") && again.count == 20 && again.name.count == 35);
}

TEST(what_is_stored_may_have_its_keys_in_any_order)
{
    struct thing again;
    shape_defaults(test_arena(), &shape, &again);
    CHECK_OK(shape_load(test_arena(), &shape, S("{\"name\":\"a\",\"note\":\"n\",\"title\":\"t\",\"is_big\":false}"), &again));
    CHECK(str_is(again.name, "a") && str_is(again.note, "n") && str_is(again.title, "t") && !again.is_big && again.count == 20);
}

TEST(a_row_that_does_not_fit_is_refused)
{
    static const char *const bad[] = {"", "{", "[]", "null", "{\"count\":\"3\"}", "{\"colour\":\"pink\"}", "{\"made_at\":\"2026\"}",
                                      "{\"doubled\":\"x\"}", "{\"part\":[]}", "{\"tags\":[1]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct thing again;
        shape_defaults(test_arena(), &shape, &again);
        if (shape_load(test_arena(), &shape, str(bad[i]), &again).code != ERR_IO) test_fail(__FILE__, __LINE__, bad[i]);
    }
}

/* ---- memory ----------------------------------------------------------------------------------------------- */
TEST(reading_without_memory_marks_the_arena_and_never_crashes)
{
    char text[3000];
    memset(text, 'x', sizeof text);
    struct str body = strf(test_arena(), "{\"name\":5,\"meta\":{\"a\":\"%.*s\"},\"any\":[\"%.*s\"],\"colour\":\"pink\",\"count\":99,"
                           "\"part\":{\"name\":\"p\"},\"doubled\":\"x\",\"tags\":[1]}", 2900, text, 2900, text);
    bool was_refused = false;
    for (long n = 1; n < 60; n++) {
        struct arena a = arena_new();
        struct faults f = faults_new(&a);
        struct thing t;
        struct json j;
        arena_fail_at = n;
        struct err e = json_parse(&a, body, &j, NULL);
        if (!failed(e)) {
            shape_defaults(&a, &shape, &t);
            shape_read(&a, &shape, SHAPE_CREATE, j, LOC(NULL, "body"), &t, NULL, &f);
            (void)faults_body(&f);
        }
        bool was_reached = arena_fail_at == 0, is_said = failed(e) || a.exhausted;
        arena_fail_at = 0;
        faults_free(&f);
        arena_free(&a);
        CHECK(was_reached == is_said);
        was_refused |= is_said;
        if (!was_reached) break;
        CHECK(n < 59);
    }
    CHECK(was_refused);
}
