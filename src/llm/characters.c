#include "llm/characters.h"
#include <assert.h>

/* How many bytes the character at s[0..count) has, as far as its first byte and those that follow tell;
 * 0 = none begins here. Surrogates count as characters of three bytes. */
static size_t length(const unsigned char *s, size_t count)
{
    unsigned char c = s[0];
    size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < n && i < count; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if (count > 1 && ((c == 0xE0 && s[1] < 0xA0) || (c == 0xF0 && s[1] < 0x90) || (c == 0xF4 && s[1] > 0x8F))) return 0;
    return n;
}

static unsigned surrogate(const unsigned char *s) { return (s[0] & 0xFU) << 12 | (s[1] & 0x3FU) << 6 | (s[2] & 0x3FU); }
/* Of three bytes that length() found. */
static bool is_high(const unsigned char *s) { return s[0] == 0xED && s[1] >= 0xA0 && s[1] < 0xB0; }
static bool is_low(const unsigned char *s) { return s[0] == 0xED && s[1] >= 0xB0; }

static void put_pair(struct buf *out, const unsigned char *s)
{
    unsigned c = 0x10000 + ((surrogate(s) - 0xD800) << 10) + (surrogate(s + 3) - 0xDC00);
    char bytes[4] = {(char)(0xF0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3F)), (char)(0x80 | (c >> 6 & 0x3F)), (char)(0x80 | (c & 0x3F))};
    buf_add(out, bytes, 4);
}

/* Take one character from s: how many bytes; 0 = it may go on in the next piece. */
static size_t take(const unsigned char *s, size_t count, bool is_last, struct buf *out)
{
    size_t n = length(s, count);
    if (n > count && !is_last) return 0;
    if (n > 0 && n <= count && !is_high(s) && !is_low(s)) {
        buf_add(out, s, n);
        return n;
    }
    size_t more = n == 3 && count >= 3 && is_high(s) ? count - 3 : 0;
    if (more >= 3 && is_low(s + 3) && length(s + 3, more) == 3) {
        put_pair(out, s);
        return 6;
    }
    if (!is_last && n == 3 && is_high(s)) {
        bool may_follow = more == 0 || (s[3] == 0xED && (more == 1 || (more == 2 && s[4] >= 0xB0 && s[4] < 0xC0)));
        if (may_follow) return 0;
    }
    buf_add_str(out, S("\xEF\xBF\xBD"));
    return n == 0 ? 1 : n > count ? count : n;
}

void characters_add(struct characters *c, struct str piece, bool is_last, struct buf *out)
{
    if (c->held_count == 0 && str_is_utf8(piece)) { /* the usual case */
        buf_add_str(out, piece);
        return;
    }
    while (c->held_count > 0 || piece.count > 0) {
        unsigned char window[16]; /* held bytes and what follows: enough for any one character */
        size_t held = c->held_count, count = sizeof window - held;
        if (count > piece.count) count = piece.count;
        memcpy(window, c->held, held);
        if (count > 0) memcpy(window + held, piece.at, count);
        size_t n = take(window, held + count, is_last, out);
        if (n == 0) {
            assert(held + count <= CHARACTERS_HELD_MAX && count == piece.count);
            memcpy(c->held, window, held + count);
            c->held_count = (unsigned char)(held + count);
            return;
        }
        size_t from_held = n < held ? n : held;
        memmove(c->held, c->held + from_held, held - from_held);
        c->held_count = (unsigned char)(held - from_held);
        piece = str_cut(piece, n - from_held, piece.count);
    }
}
