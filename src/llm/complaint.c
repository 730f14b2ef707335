#include "llm/complaint.h"

/* Somewhat more than is kept, so that a secret at the cut is seen whole. */
enum { WINDOW_BYTES = COMPLAINT_BYTES_MAX + 268, SHARED_BYTES = 8, END_BYTES = 4 };

struct page {
    char text[WINDOW_BYTES + 8];
    bool is_hidden[WINDOW_BYTES + 8];
    size_t count;
};

/* ---- one line of printable characters ------------------------------------------------- */

/* The bytes of the printable character at s, 0 = none: controls, also those of two bytes, the marks
 * that turn the direction of writing, and what is no UTF-8. */
static size_t printable(struct str s)
{
    const unsigned char *c = (const unsigned char *)s.at;
    if (c[0] < 0x80) return c[0] > 0x20 && c[0] != 0x7F;
    size_t n = 2;
    while (n <= 4 && !(n <= s.count && str_is_utf8(str_cut(s, 0, n)))) n++;
    if (n > 4) return 0;
    if (n == 2 && c[0] == 0xC2 && c[1] < 0xA0) return 0;
    bool turns = n == 3 && c[0] == 0xE2 && ((c[1] == 0x80 && c[2] >= 0xA8 && c[2] <= 0xAE) || (c[1] == 0x81 && c[2] >= 0xA6));
    return turns ? 0 : n;
}

static void read_page(struct page *p, struct str said)
{
    bool is_gap = false;
    for (size_t at = 0; at < said.count && p->count < WINDOW_BYTES;) {
        size_t n = printable(str_cut(said, at, said.count));
        if (n == 0) {
            is_gap = p->count > 0;
            at++;
            continue;
        }
        if (is_gap) p->text[p->count++] = ' ';
        is_gap = false;
        memcpy(p->text + p->count, said.at + at, n);
        p->count += n;
        at += n;
    }
}

static bool is_inside(const struct page *p, size_t at) { return at < p->count && ((unsigned char)p->text[at] & 0xC0) == 0x80; }

/* Whole characters. */
static void hide(struct page *p, size_t from, size_t count)
{
    size_t end = from + count;
    while (from > 0 && is_inside(p, from)) from--;
    while (is_inside(p, end)) end++;
    memset(p->is_hidden + from, 1, end - from);
}

/* ---- secrets ---------------------------------------------------------------------------- */
static void hide_shared(struct page *p, struct str secret)
{
    size_t n = secret.count < SHARED_BYTES ? secret.count : SHARED_BYTES;
    const char *end = p->text + p->count, *hit;
    for (size_t from = 0; from + n <= secret.count; from++)
        for (const char *at = p->text; (hit = memmem(at, (size_t)(end - at), secret.at + from, n)); at = hit + 1)
            hide(p, (size_t)(hit - p->text), n);
}

static bool is_between_words(char c) { return c == ' ' || (c && strchr("\"'`<>()[]{},;:=&?", c)); }

/* The length of a mask that begins at s: stars, dots, bullets, crosses. */
static size_t mask(struct str s)
{
    if (str_starts(s, S("\xE2\x80\xA6")) || str_starts(s, S("\xE2\x80\xA2"))) return 3;
    size_t n = 0;
    while (n < s.count && s.at[n] == s.at[0]) n++;
    char c = s.at[0];
    return (c == '*' && n >= 1) || (c == '.' && n >= 2) || ((c == 'x' || c == 'X' || c == '#' || c == '_') && n >= 4) ? n : 0;
}

static bool ends(struct str s, struct str end)
{
    return s.count >= end.count && str_eq(str_cut(s, s.count - end.count, end.count), end);
}

/* "sk-ab****wxyz": what stands before the first mask begins a secret, or what follows the last ends it. */
static bool is_masked(struct str word, struct str secret)
{
    size_t head = SIZE_MAX, tail = 0;
    for (size_t at = 0; at < word.count;) {
        size_t n = mask(str_cut(word, at, word.count));
        if (n > 0 && head == SIZE_MAX) head = at;
        at += n ? n : 1;
        if (n > 0) tail = at;
    }
    if (head == SIZE_MAX) return false;
    struct str before = str_cut(word, 0, head), after = str_cut(word, tail, word.count);
    return (before.count >= 2 && str_starts(secret, before)) || (after.count >= 2 && ends(secret, after));
}

static void hide_words(struct page *p, struct str secret)
{
    for (size_t from = 0; from < p->count;) {
        size_t end = from;
        while (end < p->count && !is_between_words(p->text[end])) end++;
        struct str whole = str_n(p->text + from, end - from), word = whole;
        while (word.count > 0 && (word.at[word.count - 1] == '.' || word.at[word.count - 1] == '!')) word.count--;
        bool is_end = word.count >= END_BYTES && ends(secret, word);
        if (is_end || is_masked(word, secret)) hide(p, from, word.count);
        else if (is_masked(whole, secret)) hide(p, from, whole.count); /* "sk-..." */
        from = end + 1;
    }
}

struct str complaint(struct arena *arena, struct str said, const struct str *secrets, int secrets_count)
{
    struct page page = {.count = 0};
    struct buf out = {0};

    read_page(&page, said);
    for (int i = 0; i < secrets_count; i++) {
        struct str secret = str_trim(secrets[i]);
        if (secret.count < END_BYTES) continue; /* as short as that nothing is secret */
        hide_shared(&page, secret);
        if (str_eq_nocase(str_cut(secret, 0, 7), S("bearer "))) secret = str_trim(str_cut(secret, 7, secret.count));
        hide_words(&page, secret);
    }
    for (size_t at = 0; at < page.count; at++) {
        if (!page.is_hidden[at]) buf_add(&out, page.text + at, 1);
        else if (at == 0 || !page.is_hidden[at - 1]) buf_add_str(&out, S("[hidden]"));
    }
    struct str text = str_cut(buf_str(&out), 0, COMPLAINT_BYTES_MAX);
    if (text.count < out.count) text.count = str_utf8_floor(buf_str(&out), text.count);
    while (text.count > 0 && (text.at[text.count - 1] == '.' || text.at[text.count - 1] == ' ')) text.count--;
    text = str_copy(arena, text);
    buf_free(&out);
    return text;
}
