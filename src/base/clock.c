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

int64_t clock_now_us(void)
{
    int64_t now = atomic_load(&is_frozen) ? atomic_load(&frozen_us) : read_us(CLOCK_REALTIME);
    int64_t last = atomic_load(&last_us);
    do {
        if (now <= last) now = last + 1;
    } while (!atomic_compare_exchange_weak(&last_us, &last, now));
    return now;
}

struct str clock_text(struct arena *a, int64_t us)
{
    int64_t seconds = us / 1000000, rest = us % 1000000;
    if (rest < 0) seconds--, rest += 1000000;
    time_t t = (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    return strf(a, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                tm.tm_hour, tm.tm_min, tm.tm_sec, (int)rest);
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
