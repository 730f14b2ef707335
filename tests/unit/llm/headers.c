#include "llm/headers.h"
#include "test.h"

static const struct str *value_of(const struct headers *h, const char *name)
{
    const struct str *found = NULL;
    for (int i = 0; i < h->count; i++) {
        if (!str_eq_nocase(h->items[i].name, str(name))) continue;
        CHECK(!found); /* never twice */
        found = &h->items[i].value;
    }
    return found;
}

static struct headers of(const char *key, const char *extra)
{
    struct headers h;
    CHECK_OK(headers_of(test_arena(), &(struct llm_model){.key = str(key), .headers = str(extra)}, &h));
    return h;
}

TEST(a_request_bears_its_key_and_says_what_it_is)
{
    struct headers h = of("sk-1", "");
    CHECK(str_is(*value_of(&h, "authorization"), "Bearer sk-1") && str_is(*value_of(&h, "content-type"), "application/json"));
    CHECK(str_is(*value_of(&h, "accept"), "text/event-stream, application/json"));
    CHECK(h.secrets_count == 1 && str_is(h.secrets[0], "sk-1"));
    h = of("", "null");
    CHECK(!value_of(&h, "authorization") && h.secrets_count == 0);
}

TEST(extra_headers_are_added_but_cannot_say_how_the_message_is_carried)
{
    struct headers h = of("sk-1", "{\"X-Title\":\" t \",\"HOST\":\"evil\",\"Content-length\":\"0\",\"transfer-Encoding\":\"chunked\",\"connection\":\"x\","
                          "\"content-type\":\"text/plain\",\"Proxy-Authorization\":\"x\",\"accept-encoding\":\"gzip\",\"te\":\"x\",\"upgrade\":\"h2c\",\"expect\":\"100-continue\"}");
    CHECK(str_is(*value_of(&h, "x-title"), "t") && str_is(*value_of(&h, "content-type"), "application/json"));
    CHECK(h.count == 5 && h.secrets_count == 1);
}

TEST(an_authorization_of_the_agent_replaces_ours)
{
    struct headers h = of("sk-1", "{\"authorization\":\"Basic abc\",\"x-api-key\":\"k2\",\"user-agent\":\"mine\",\"Accept\":\"*/*\"}");
    CHECK(str_is(*value_of(&h, "authorization"), "Basic abc") && str_is(*value_of(&h, "user-agent"), "mine") && str_is(*value_of(&h, "accept"), "*/*"));
    CHECK(h.secrets_count == 3);
}

TEST(a_header_cannot_be_smuggled_into_the_request)
{
    const char *bad[] = {"{\"X\":\"a\\r\\nHost: b\"}", "{\"X\":\"a\\nb\"}", "{\"X\":\"a\\u0000b\"}", "{\"X: y\":\"a\"}", "{\"X\\r\\n\":\"a\"}", "{\"\":\"a\"}",
                         "{\"X y\":\"a\"}", "{\"X\":7}", "{\"X\":null}", "[]", "7", "{", "{\"\xC3\xA9\":\"a\"}"};
    struct headers h;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = llm_check_headers(test_arena(), str(bad[i]));
        if (e.code != ERR_INVALID) test_fail(__FILE__, __LINE__, bad[i]);
        CHECK(headers_of(test_arena(), &(struct llm_model){.headers = str(bad[i])}, &h).code == ERR_INVALID);
    }
    CHECK(headers_of(test_arena(), &(struct llm_model){.key = S("k\r\nX: y")}, &h).code == ERR_INVALID);
    CHECK(llm_check_key(S("k\ny")).code == ERR_INVALID && !failed(llm_check_key(S("sk-proj_1.2"))));
    CHECK_OK(llm_check_headers(test_arena(), S("{\"X-a\":\"b\\tc \xC3\xA9\"}")));
}

TEST(there_are_not_too_many_extra_headers)
{
    struct buf b = {0};
    for (int i = 0; i < HEADERS_MAX + 1; i++) buf_addf(&b, "%c\"h%d\":\"v\"", i ? ',' : '{', i);
    buf_add_str(&b, S("}"));
    CHECK(llm_check_headers(test_arena(), buf_str(&b)).code == ERR_INVALID);
    b.count = 0;
    buf_add_str(&b, S("{\"h\":\""));
    for (int i = 0; i < HEADERS_BYTES_MAX; i++) buf_add_str(&b, S("v"));
    buf_add_str(&b, S("\"}"));
    CHECK(llm_check_headers(test_arena(), buf_str(&b)).code == ERR_INVALID);
    buf_free(&b);
}
