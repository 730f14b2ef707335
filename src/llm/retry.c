#include "llm/retry.h"
#include <time.h>

enum { FAR_MS = 1 << 30 }; /* later than any limit of ours */

bool retry_is_for(int status) { return status == 408 || status == 409 || status == 429 || (status >= 500 && status <= 599); }

/* "Wed, 21 Oct 2015 07:28:00 GMT", the one form that servers may still make. -1: it is not. */
static int64_t date_s(struct str s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const signed char digits[] = {5, 6, 12, 13, 14, 15, 17, 18, 20, 21, 23, 24};
    int v[sizeof digits];
    struct tm tm = {0};

    if (s.count != 29 || !str_eq(str_cut(s, 25, 4), S(" GMT"))) return -1;
    for (size_t i = 0; i < sizeof digits; i++) {
        v[i] = s.at[digits[i]] - '0';
        if (v[i] < 0 || v[i] > 9) return -1;
    }
    for (tm.tm_mon = 0; tm.tm_mon < 12 && memcmp(months + 3 * tm.tm_mon, s.at + 8, 3) != 0;) tm.tm_mon++;
    if (tm.tm_mon == 12) return -1;
    tm.tm_mday = v[0] * 10 + v[1];
    tm.tm_year = v[2] * 1000 + v[3] * 100 + v[4] * 10 + v[5] - 1900;
    tm.tm_hour = v[6] * 10 + v[7];
    tm.tm_min = v[8] * 10 + v[9];
    tm.tm_sec = v[10] * 10 + v[11];
    return (int64_t)timegm(&tm);
}

int64_t retry_after_ms(struct str header, int64_t now_us)
{
    struct str fraction, whole;
    int64_t s, ms = 0;
    bool has_fraction;

    header = str_trim(header);
    whole = str_split(header, '.', &fraction, &has_fraction);
    if (str_to_int(whole, &s)) {
        fraction = str_cut(fraction, 0, 3);
        if (has_fraction && (!str_to_int(fraction, &ms) || ms < 0)) return -1;
        for (size_t i = fraction.count; has_fraction && i < 3; i++) ms *= 10;
        return s < 0 ? -1 : s >= FAR_MS / 1000 ? FAR_MS : s * 1000 + ms;
    }
    int64_t at = date_s(header);
    if (at < 0) return -1;
    int64_t wait = at * 1000 - now_us / 1000;
    return wait < 0 ? 0 : wait > FAR_MS ? FAR_MS : wait;
}

int64_t retry_wait_ms(const struct llm_limits *limits, int failures, int64_t asked_ms, uint64_t chance)
{
    int64_t wait = limits->retry_first_ms;
    for (int i = 1; i < failures && wait < limits->retry_wait_ms; i++) wait *= 2;
    if (wait > limits->retry_wait_ms) wait = limits->retry_wait_ms;
    wait -= (int64_t)(chance % (uint64_t)(wait / 2 + 1));
    if (asked_ms < 0) return wait;
    return asked_ms < limits->retry_wait_ms ? asked_ms : limits->retry_wait_ms;
}
