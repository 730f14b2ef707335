#include "api/call.h"

#include "test.h"

static const char *const words[] = {"steps", "all", "none", 0};
static const struct parameter parameters[] = {
    {.name = "page", .kind = PARAMETER_INT, .low = 1, .high = INT64_MAX, .normal = 1},
    {.name = "per_page", .kind = PARAMETER_INT, .low = 1, .high = 50, .normal = 20},
    {.name = "deploy", .kind = PARAMETER_BOOL, .normal = 1},
    {.name = "sub_tasks", .kind = PARAMETER_ENUM, .words = words, .normal = 0},
    {.name = "user_id", .kind = PARAMETER_TEXT},
    {.name = "last-event-id", .place = PARAMETER_IN_HEADER, .kind = PARAMETER_TEXT},
};
static const struct route route = {.parameters = parameters, .parameters_count = 6};
static const struct request_header headers[] = {{{"last-event-id", 13}, {"7", 1}}};
static const struct request bare, with_header = {.headers = headers, .headers_count = 1};

static struct call asked(const char *query)
{
    struct call call = {.request = &bare, .match = {.route = &route, .query = str(query)}};

    call.faults = faults_new(test_arena());
    call_read_parameters(&call);
    return call;
}

/* What is said about a query; "" = nothing. */
static const char *said(const char *query)
{
    struct call call = asked(query);
    const char *text = call.faults.count ? str_z(test_arena(), faults_body(&call.faults)) : "";

    faults_free(&call.faults);
    return text;
}

TEST(parameters_that_were_not_sent_have_their_defaults)
{
    struct call call = asked("");

    CHECK(call_page(&call).number == 1 && call_page(&call).size == 20 && call_bool(&call, "deploy"));
    CHECK(call_enum(&call, "sub_tasks") == 0 && !call_text(&call, "user_id").at && !call_text(&call, "last-event-id").at);
    CHECK_OK(call_check(&call));
}

TEST(parameters_are_read_by_their_rows)
{
    struct call call = asked("page=9223372036854775807&per_page=50&deploy=OFF&sub_tasks=none&user_id=a+b&extra=1");

    CHECK(call_page(&call).number == INT64_MAX && call_page(&call).size == 50 && !call_bool(&call, "deploy"));
    CHECK(call_enum(&call, "sub_tasks") == 2 && str_is(call_text(&call, "user_id"), "a b"));
    CHECK_OK(call_check(&call));
    call.request = &with_header;
    call_read_parameters(&call);
    CHECK(str_is(call_text(&call, "last-event-id"), "7"));
}

TEST(numbers_are_digits_within_bounds)
{
    CHECK(strstr(said("page=0"), "\"greater_than_equal\",\"loc\":[\"query\",\"page\"]") && strstr(said("page=0"), "{\"ge\":1}"));
    CHECK(strstr(said("per_page=51"), "less_than_equal") && strstr(said("per_page=51"), "\"input\":\"51\""));
    CHECK(strstr(said("page=9223372036854775808"), "int_parsing_size"));
    CHECK(strstr(said("page="), "\"int_parsing\"") && strstr(said("page=1.0"), "\"int_parsing\"") && strstr(said("page=-"), "\"int_parsing\""));
    CHECK(strstr(said("page=-5"), "greater_than_equal"));
}

TEST(booleans_have_many_words)
{
    static const char *const yes[] = {"true", "1", "Yes", "ON", "t", "y"}, *const no[] = {"FALSE", "0", "no", "off", "F", "n"};

    for (int i = 0; i < 6; i++) {
        struct call call = asked(arena_printf(test_arena(), "deploy=%s", yes[i]));
        CHECK(call_bool(&call, "deploy") && !call.faults.count);
        call = asked(arena_printf(test_arena(), "deploy=%s", no[i]));
        CHECK(!call_bool(&call, "deploy") && !call.faults.count);
    }
    CHECK(strstr(said("deploy="), "bool_parsing") && strstr(said("deploy=2"), "bool_parsing"));
}

TEST(words_are_compared_as_they_are)
{
    CHECK(strstr(said("sub_tasks=ALL"), "\"enum\"") && strstr(said("sub_tasks="), "'steps', 'all' or 'none'"));
}

TEST(all_wrong_parameters_are_named)
{
    const char *text = said("page=x&per_page=0&deploy=z&sub_tasks=q");

    CHECK(strstr(text, "\"page\"") && strstr(text, "\"per_page\"") && strstr(text, "\"deploy\"") && strstr(text, "\"sub_tasks\""));
}

TEST(a_body_may_name_the_own_organisation_only)
{
    static const struct {
        const char *body;
        enum err_code code;
    } rows[] = {{"{\"organization_id\":\"mine\"}", ERR_NONE}, {"{\"organization_id\":\"other\"}", ERR_DENIED},
                {"{\"organization_id\":null}", ERR_NONE},     {"{}", ERR_NONE},
                {"[]", ERR_NONE}};

    for (int i = 0; i < 5; i++) {
        struct call call = asked("");
        call.who.org_id = S("mine");
        CHECK_OK(json_parse(test_arena(), str(rows[i].body), &call.body, 0));
        CHECK(call_check(&call).code == rows[i].code);
    }
}

TEST(wrong_values_come_before_another_organisation)
{
    struct call call = asked("page=x");

    call.who.org_id = S("mine");
    CHECK_OK(json_parse(test_arena(), S("{\"organization_id\":\"other\"}"), &call.body, 0));
    CHECK(call_check(&call).code == ERR_INVALID);
    faults_free(&call.faults);
}

TEST(json_has_several_content_types)
{
    CHECK(media_type_is_json(S("application/json")) && media_type_is_json(S("Application/JSON; Charset=\"UTF-8\"")));
    CHECK(media_type_is_json(S("application/problem+json ;x=y")) && media_type_is_json(S(" application/json;charset=utf-8")));
    CHECK(!media_type_is_json(S("application/xml")) && !media_type_is_json(S("text/json")) && !media_type_is_json(S("")));
    CHECK(!media_type_is_json(S("application/json; charset=latin1")) && !media_type_is_json(S("application/+json")));
    CHECK(!media_type_is_json(S("multipart/form-data; boundary=application/json")));
}

TEST(a_page_says_how_many_there_are)
{
    struct buf out = {0};

    page_open(&out);
    json_put_comma(&out);
    json_put_int(&out, 5);
    page_close(&out, (struct page){2, 20}, 41);
    CHECK(str_is(buf_str(&out), "{\"items\":[5],\"total\":41,\"page\":2,\"per_page\":20,\"total_pages\":3}"));
    buf_free(&out);
    CHECK(page_count((struct page){1, 20}, 0) == 0 && page_count((struct page){1, 20}, 40) == 2);
    CHECK(page_skip((struct page){INT64_MAX, 50}) == INT64_MAX && page_skip((struct page){3, 20}) == 40);
}
