#include "base/clock.h"
#include <time.h>
#include "test.h"

TEST(time_is_written_with_six_decimals)
{
    CHECK(str_is(clock_text(test_arena(), 1775847682898813), "2026-04-10T19:01:22.898813Z"));
    CHECK(str_is(clock_text(test_arena(), 0), "1970-01-01T00:00:00.000000Z"));
    CHECK(str_is(clock_text(test_arena(), -1), "1969-12-31T23:59:59.999999Z"));
    CHECK(str_is(clock_text(test_arena(), 951782400000000), "2000-02-29T00:00:00.000000Z"));
    CHECK(str_is(clock_text(test_arena(), INT64_MAX), "9999-12-31T23:59:59.999999Z"));
    CHECK(str_is(clock_text(test_arena(), INT64_MIN), "0000-01-01T00:00:00.000000Z"));
}

/* Every day of 800 years, against the C library. */
TEST(every_day_is_the_one_of_the_calendar)
{
    for (int64_t day = -146097; day < 146097; day++) {
        time_t t = (time_t)(day * 86400 + 86399);
        struct tm tm;
        char want[64], got[CLOCK_TEXT_BYTES];
        gmtime_r(&t, &tm);
        strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S.000007Z", &tm);
        clock_print((int64_t)t * 1000000 + 7, got);
        CHECK(memcmp(want, got, CLOCK_TEXT_BYTES) == 0);
    }
}

TEST(no_moment_comes_twice)
{
    int64_t last = clock_now_us();
    for (int i = 0; i < 10000; i++) {
        int64_t now = clock_now_us();
        CHECK(now > last);
        last = now;
    }
    clock_test_freeze(1000);
    int64_t first = clock_now_us(), second = clock_now_us(), peek = clock_peek_us();
    clock_test_thaw();
    CHECK(first == 1000 && second == 1001 && peek == 1000);
}

TEST(a_frozen_clock_moves_when_told)
{
    clock_test_freeze(5000000);
    int64_t mono = clock_mono_ms();
    bool stands = clock_mono_ms() == mono;
    clock_test_advance_ms(1500);
    int64_t now = clock_now_us(), later = clock_mono_ms();
    clock_test_thaw();
    CHECK(stands && now == 6500000 && later == mono + 1500);
    CHECK(clock_now_us() > 1600000000000000); /* 2020 and later */
}
