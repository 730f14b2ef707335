#include "base/clock.h"
#include <stdatomic.h>
#include <time.h>

static atomic_bool is_frozen;
static _Atomic int64_t frozen_us, frozen_mono_us, last_us;

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_mono_us(void) { return atomic_load(&is_frozen) ? atomic_load(&frozen_mono_us) : read_us(CLOCK_MONOTONIC); }
int64_t clock_mono_ms(void) { return clock_mono_us() / 1000; }

int64_t clock_peek_us(void) { return atomic_load(&is_frozen) ? atomic_load(&frozen_us) : read_us(CLOCK_REALTIME); }

int64_t clock_now_us(void)
{
    int64_t now = clock_peek_us();
    int64_t last = atomic_load(&last_us);
    do {
        if (now <= last) now = last + 1;
    } while (!atomic_compare_exchange_weak(&last_us, &last, now));
    return now;
}

static void put_digits(char *out, int count, int64_t value)
{
    for (; count; value /= 10) out[--count] = (char)('0' + value % 10);
}

/* By hand, because gmtime_r takes a lock that all threads share. Days are counted from the
 * first of March of the year 0, so that the leap day is the last of its year. */
void clock_print(int64_t us, char out[CLOCK_TEXT_BYTES])
{
    const int64_t lowest = -62167219200 * 1000000, highest = 253402300800 * 1000000 - 1;
    us = us < lowest ? lowest : us > highest ? highest : us;
    int64_t day_us = INT64_C(86400000000), rest = us % day_us, days = us / day_us;
    if (rest < 0) days--, rest += day_us;
    days += 719468 + 146097; /* one era more, so that nothing is negative */
    int64_t era = days / 146097, in_era = days % 146097;
    int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * in_year + 2) / 153; /* 0 = March */
    int64_t day = in_year - (153 * month + 2) / 5 + 1;
    year += 400 * (era - 1) + (month >= 10);
    memcpy(out, "0000-00-00T00:00:00.000000Z", CLOCK_TEXT_BYTES);
    put_digits(out, 4, year);
    put_digits(out + 5, 2, month < 10 ? month + 3 : month - 9);
    put_digits(out + 8, 2, day);
    put_digits(out + 11, 2, rest / 3600000000);
    put_digits(out + 14, 2, rest / 60000000 % 60);
    put_digits(out + 17, 2, rest / 1000000 % 60);
    put_digits(out + 20, 6, rest % 1000000);
}

struct str clock_text(struct arena *a, int64_t us)
{
    char text[CLOCK_TEXT_BYTES];
    clock_print(us, text);
    return str_copy(a, str_n(text, sizeof text));
}

void clock_test_freeze(int64_t now_us)
{
    atomic_store(&frozen_mono_us, read_us(CLOCK_MONOTONIC));
    atomic_store(&frozen_us, now_us);
    atomic_store(&last_us, 0);
    atomic_store(&is_frozen, true);
}
void clock_test_advance_ms(int64_t ms)
{
    atomic_fetch_add(&frozen_us, ms * 1000);
    atomic_fetch_add(&frozen_mono_us, ms * 1000);
}
void clock_test_thaw(void) { atomic_store(&is_frozen, false); }
