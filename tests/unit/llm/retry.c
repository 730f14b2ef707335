#include "llm/retry.h"
#include "test.h"

TEST(only_what_passes_by_itself_is_tried_again)
{
    for (int status = 100; status < 700; status++) {
        bool expected = status == 408 || status == 409 || status == 429 || status / 100 == 5;
        CHECK(retry_is_for(status) == expected);
    }
}

TEST(retry_after_is_seconds_or_a_date)
{
    int64_t now_us = INT64_C(1445412450) * 1000000; /* Wed, 21 Oct 2015 07:27:30 GMT */
    CHECK(retry_after_ms(S("7"), now_us) == 7000 && retry_after_ms(S(" 0 "), now_us) == 0);
    CHECK(retry_after_ms(S("1.5"), now_us) == 1500 && retry_after_ms(S("0.0257"), now_us) == 25);
    CHECK(retry_after_ms(S("Wed, 21 Oct 2015 07:28:00 GMT"), now_us) == 30000);
    CHECK(retry_after_ms(S("Wed, 21 Oct 2015 07:27:00 GMT"), now_us) == 0);
    CHECK(retry_after_ms(S("Wed, 21 Oct 2095 07:27:00 GMT"), now_us) > 1000000000);
    CHECK(retry_after_ms(S("999999999999"), now_us) > 1000000000);
    const char *nothing[] = {"", "soon", "-1", "1.x", "1.", "Wed, 21 Okt 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 CET", "21 Oct 2015"};
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) CHECK(retry_after_ms(str(nothing[i]), now_us) == -1);
}

TEST(the_back_off_doubles_up_to_its_bound_and_is_never_less_than_half)
{
    struct llm_limits limits = {.retry_first_ms = 500, .retry_wait_ms = 3000};
    int64_t most[] = {500, 1000, 2000, 3000, 3000};
    for (int i = 0; i < 5; i++) {
        CHECK(retry_wait_ms(&limits, i + 1, -1, 0) == most[i]);
        CHECK(retry_wait_ms(&limits, i + 1, -1, (uint64_t)most[i] / 2) == most[i] - most[i] / 2);
        for (uint64_t chance = 1; chance; chance *= 3) {
            int64_t wait = retry_wait_ms(&limits, i + 1, -1, chance);
            CHECK(wait >= most[i] / 2 && wait <= most[i]);
            if (chance > UINT64_MAX / 3) break;
        }
    }
    CHECK(retry_wait_ms(&(struct llm_limits){0}, 40, -1, 7) == 0);
}

TEST(what_the_server_asks_for_is_kept_within_the_bound)
{
    struct llm_limits limits = {.retry_first_ms = 500, .retry_wait_ms = 3000};
    CHECK(retry_wait_ms(&limits, 1, 2345, 99) == 2345 && retry_wait_ms(&limits, 1, 0, 99) == 0);
    CHECK(retry_wait_ms(&limits, 3, 3600000, 99) == 3000);
}
