#include "base/id.h"
#include "base/hash.h"
#include "test.h"

TEST(an_id_is_a_random_uuid_in_lower_case)
{
    struct str first = uuid_new(test_arena()), second = uuid_new(test_arena());
    CHECK(is_uuid(first) && is_uuid(second) && !str_eq(first, second));
    CHECK(first.at[14] == '4' && strchr("89ab", first.at[19]));
}

TEST(an_id_has_one_form)
{
    CHECK(is_uuid(S("02843b37-4d77-48a0-8da7-2c76afe54401")));
    CHECK(!is_uuid(S("02843B37-4d77-48a0-8da7-2c76afe54401")) && !is_uuid(S("02843b37-4d77-48a0-8da7-2c76afe5440")));
    CHECK(!is_uuid(S("02843b37-4d77-48a0-8da7-2c76afe544011")) && !is_uuid(S("02843b3704d77-48a0-8da7-2c76afe54401")));
    CHECK(!is_uuid(S("02843b37-4d77-48a0-8da7-2c76afe5440g")) && !is_uuid(S("")) && !is_uuid(S("{2843b37-4d77-48a0-8da7-2c76afe54401")));
}

TEST(a_seed_makes_ids_and_bytes_repeat)
{
    id_test_seed(42);
    struct str first = uuid_new(test_arena());
    id_test_seed(42);
    struct str again = uuid_new(test_arena()), next = uuid_new(test_arena());
    id_test_seed(43);
    struct str other = uuid_new(test_arena());
    id_test_seed(0);
    struct str real = uuid_new(test_arena());
    CHECK(str_eq(first, again) && !str_eq(again, next) && !str_eq(other, first) && !str_eq(real, first) && is_uuid(first));
}

/* No part of what was drawn comes twice, whatever sizes are asked for in between. */
TEST(chance_does_not_repeat_itself)
{
    enum { DRAWS = 400 };
    unsigned char drawn[DRAWS][16], large[3000] = {0}, zero[16] = {0};
    for (int i = 0; i < DRAWS; i++) {
        random_bytes(drawn[i], 16);
        random_bytes(large, (size_t)(i * 7));
        CHECK(memcmp(drawn[i], zero, 16) != 0);
        for (int j = 0; j < i; j++) CHECK(memcmp(drawn[i], drawn[j], 16) != 0);
    }
    CHECK(memcmp(large + 2700, zero, 16) != 0);
}

TEST(a_hash_depends_on_every_byte_and_on_the_length)
{
    char text[20] = "abcdefghijklmnopqrs";
    uint64_t whole = hash_str(str_n(text, 19));
    CHECK(whole == hash_str(str_n(text, 19)));
    for (size_t i = 0; i < 19; i++) {
        text[i] ^= 1;
        CHECK(hash_str(str_n(text, 19)) != whole);
        text[i] ^= 1;
        CHECK(hash_str(str_n(text, i)) != whole);
    }
    CHECK(hash_str(S("\0")) != hash_str(S("")) && hash_int(1) != hash_int(2) && hash_int(5) == hash_int(5));
}
