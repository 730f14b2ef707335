#include "base/str.h"
#include <stdio.h>
#include <stdlib.h>

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.count != b.count) return false;
    for (size_t i = 0; i < a.count; i++)
        if (lower(a.at[i]) != lower(b.at[i])) return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.count >= prefix.count && str_eq(str_n(s.at, prefix.count), prefix);
}

struct str str_cut(struct str s, size_t from, size_t count)
{
    if (from > s.count) from = s.count;
    if (count > s.count - from) count = s.count - from;
    return str_n(s.at + from, count);
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

struct str str_trim(struct str s)
{
    while (s.count && is_space(s.at[0])) s.at++, s.count--;
    while (s.count && is_space(s.at[s.count - 1])) s.count--;
    return s;
}

struct str str_split(struct str s, char sep, struct str *rest, bool *is_found)
{
    const char *hit = s.count ? memchr(s.at, sep, s.count) : NULL;
    if (is_found) *is_found = hit != NULL;
    if (!hit) {
        *rest = str_n(s.at + s.count, 0);
        return s;
    }
    size_t head = (size_t)(hit - s.at);
    *rest = str_n(hit + 1, s.count - head - 1);
    return str_n(s.at, head);
}

struct str str_copy(struct arena *a, struct str s)
{
    char *at = s.count < 4096 ? arena_alloc(a, s.count + 1) : arena_try_alloc(a, s.count + 1);
    if (!at) {
        a->exhausted = true;
        return S("");
    }
    if (s.count) memcpy(at, s.at, s.count);
    return str_n(at, s.count);
}

char *str_z(struct arena *a, struct str s) { return (char *)(uintptr_t)str_copy(a, s).at; }

struct str strf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char small[512];
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0) return S("");
    if ((size_t)n < sizeof small) return str_copy(a, str_n(small, (size_t)n));
    char *at = arena_try_alloc(a, (size_t)n + 1);
    if (!at) {
        a->exhausted = true;
        return S("");
    }
    va_start(args, format);
    vsnprintf(at, (size_t)n + 1, format, args);
    va_end(args);
    return str_n(at, (size_t)n);
}

bool str_to_int(struct str s, int64_t *out)
{
    bool minus = s.count && s.at[0] == '-';
    if (minus) s = str_cut(s, 1, s.count);
    if (!s.count) return false;
    int64_t v = 0;
    for (size_t i = 0; i < s.count; i++) {
        if (s.at[i] < '0' || s.at[i] > '9') return false;
        int d = s.at[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v)) return false;
        if (__builtin_sub_overflow(v, d, &v)) return false; /* downwards: the lowest has no opposite */
    }
    if (!minus && v == INT64_MIN) return false;
    *out = minus ? v : -v;
    return true;
}

/* The length of the code point at s[0..count), or 0 if it is none (RFC 3629). */
static size_t code_point(const unsigned char *s, size_t count)
{
    unsigned char c = s[0];
    size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    if (n == 0 || n > count) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if (c == 0xE0 && s[1] < 0xA0) return 0;
    if (c == 0xED && s[1] > 0x9F) return 0; /* surrogates */
    if (c == 0xF0 && s[1] < 0x90) return 0;
    if (c == 0xF4 && s[1] > 0x8F) return 0;
    return n;
}

bool str_is_utf8(struct str s)
{
    for (size_t i = 0; i < s.count;) {
        size_t n = code_point((const unsigned char *)s.at + i, s.count - i);
        if (!n) return false;
        i += n;
    }
    return true;
}

size_t str_code_points(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.count; i++) n += ((unsigned char)s.at[i] & 0xC0) != 0x80;
    return n;
}

size_t str_utf8_floor(struct str s, size_t at)
{
    if (at >= s.count) return s.count;
    while (at > 0 && ((unsigned char)s.at[at] & 0xC0) == 0x80) at--;
    return at;
}

bool buf_reserve(struct buf *b, size_t more)
{
    if (b->is_failed) return false;
    if (b->capacity - b->count >= more) return true;
    size_t want = b->capacity ? b->capacity : 256;
    while (want - b->count < more && want <= SIZE_MAX / 4) want *= 2;
    char *at = want - b->count >= more ? realloc(b->at, want) : NULL;
    if (!at) {
        b->is_failed = true;
        return false;
    }
    b->at = at;
    b->capacity = want;
    return true;
}

void buf_add(struct buf *b, const void *bytes, size_t count)
{
    if (!count || !buf_reserve(b, count)) return;
    memcpy(b->at + b->count, bytes, count);
    b->count += count;
}

void buf_add_str(struct buf *b, struct str s) { buf_add(b, s.at, s.count); }

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char small[256];
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0) return;
    if ((size_t)n < sizeof small) {
        buf_add(b, small, (size_t)n);
        return;
    }
    if (!buf_reserve(b, (size_t)n + 1)) return;
    va_start(args, format);
    vsnprintf(b->at + b->count, (size_t)n + 1, format, args);
    va_end(args);
    b->count += (size_t)n;
}

void buf_drop_front(struct buf *b, size_t count)
{
    if (count >= b->count) {
        b->count = 0;
        return;
    }
    memmove(b->at, b->at + count, b->count - count);
    b->count -= count;
}

void buf_free(struct buf *b)
{
    free(b->at);
    *b = (struct buf){0};
}
