/* base/str.h: a text that knows its length, and a buffer that grows.
 *
 * A `struct str` borrows: it never owns its bytes and need not end with a zero
 * (one made by str_copy() does). Any byte may occur in it, zero included. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "base/arena.h"

struct str {
    const char *at;
    size_t count;
};
#define S(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_ARGS(s) (int)(s).count, (s).at /* for "%.*s" */

static inline struct str str(const char *z) { return (struct str){z, z ? strlen(z) : 0}; }
static inline struct str str_n(const char *at, size_t count) { return (struct str){at, count}; }
static inline bool str_eq(struct str a, struct str b)
{
    return a.count == b.count && (a.count == 0 || memcmp(a.at, b.at, a.count) == 0);
}
static inline bool str_is(struct str a, const char *z) { return str_eq(a, str(z)); }
bool str_eq_nocase(struct str a, struct str b); /* ASCII letters only */
bool str_starts(struct str, struct str prefix);
struct str str_cut(struct str, size_t from, size_t count); /* clamped to the text */
struct str str_trim(struct str);                           /* ASCII white space at both ends */
/* Split at the first `sep`: the head is returned, `*rest` is what follows; is_found tells. */
struct str str_split(struct str, char sep, struct str *rest, bool *is_found);
/* A copy in the arena that ends with a zero byte. A text without memory for it
 * becomes "" and the arena is exhausted. */
struct str str_copy(struct arena *, struct str);
char *str_z(struct arena *, struct str);
struct str strf(struct arena *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Decimal digits only (and a leading '-'); false when not a number or beyond int64. */
bool str_to_int(struct str, int64_t *out);
bool str_is_utf8(struct str);
size_t str_code_points(struct str);
/* The largest cut <= at that does not fall inside a code point. */
size_t str_utf8_floor(struct str, size_t at);

/* A growing buffer on the heap. Zero is an empty one. A failed growth marks it
 * and drops what is added from then on; who sends it looks at is_failed. */
struct buf {
    char *at;
    size_t count, capacity;
    bool is_failed;
};
void buf_add(struct buf *, const void *bytes, size_t count);
void buf_add_str(struct buf *, struct str);
void buf_addf(struct buf *, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buf_reserve(struct buf *, size_t more);      /* room for `more` bytes after count */
void buf_drop_front(struct buf *, size_t count);
void buf_free(struct buf *);
static inline struct str buf_str(const struct buf *b) { return (struct str){b->at ? b->at : "", b->count}; }
