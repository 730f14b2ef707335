#include "api/auth.h"

#include "test.h"

static struct str key_in(const struct request_header *headers, int count)
{
    const struct request request = {.headers = headers, .headers_count = count};

    return auth_key(&request);
}
#define KEY_IN(...) \
    key_in((const struct request_header[]){__VA_ARGS__}, (int)(sizeof((const struct request_header[]){__VA_ARGS__}) / sizeof(struct request_header)))
#define H(name_, value_) {S(name_), S(value_)}

TEST(both_headers_carry_a_key)
{
    CHECK(str_is(KEY_IN(H("x-api-key", "K")), "K"));
    CHECK(str_is(KEY_IN(H("authorization", "Bearer K")), "K"));
    CHECK(str_is(KEY_IN(H("authorization", "bEARER   K ")), "K"));
    CHECK(str_is(KEY_IN(H("authorization", "Bearer K"), H("x-api-key", "K")), "K"));
}

TEST(an_empty_header_is_a_missing_one)
{
    CHECK(!KEY_IN(H("x-api-key", "")).at);
    CHECK(!KEY_IN(H("authorization", "Bearer ")).at);
    CHECK(!KEY_IN(H("authorization", "Bearer")).at);
    CHECK(str_is(KEY_IN(H("authorization", "Bearer K"), H("x-api-key", " ")), "K"));
    CHECK(!KEY_IN(H("other", "K")).at);
}

TEST(another_scheme_is_no_key)
{
    CHECK(!KEY_IN(H("authorization", "Basic K")).at);
    CHECK(!KEY_IN(H("authorization", "K")).at);
    CHECK(str_is(KEY_IN(H("authorization", "Basic Zm9v"), H("x-api-key", "K")), "K"));
}

TEST(two_different_keys_are_nobodys)
{
    CHECK(!KEY_IN(H("authorization", "Bearer K"), H("x-api-key", "L")).at);
}

TEST(a_credential_that_repeats_is_nobodys)
{
    CHECK(!KEY_IN(H("x-api-key", "K"), H("x-api-key", "K")).at);
    CHECK(!KEY_IN(H("authorization", "Bearer K"), H("authorization", "Bearer K")).at);
    CHECK(!KEY_IN(H("authorization", "Basic a"), H("authorization", "Bearer K"), H("x-api-key", "K")).at);
}
