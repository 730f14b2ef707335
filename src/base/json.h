/* base/json.h: JSON in (yyjson) and out.
 *
 * Reading is strict, because the contract is: invalid UTF-8, a key twice in one
 * object, more than `depth_max` levels, text after the value and lone surrogates are
 * errors with an offset. A number beyond 64 bits keeps its text.
 *
 * A `struct json` is a borrowed place in a document; the null place is "absent", and
 * every question about it has an answer, so look-ups can be chained.
 *
 * Memory    Documents live in the arena they were parsed into. Texts are borrowed from it.
 *           Beside the text at most 24 bytes per value are lent, a value being at least two bytes of
 *           text: 140 MB for the worst 10 MiB, of which 100 MB are touched. What a text that is
 *           refused took is given back.
 * Time      No more than in proportion to the text: the worst 10 MiB (a million keys in one object,
 *           measured) take 100 ms, a body of 200 bytes 0.2 us.
 * Errors    json_parse: ERR_INVALID, ERR_MEMORY. Writing marks the buf as failed. */
#pragma once
#include "base/str.h"

enum json_type { JSON_ABSENT, JSON_NULL, JSON_BOOL, JSON_INT, JSON_NUMBER, JSON_TEXT, JSON_LIST, JSON_OBJECT };
struct json {
    const void *value; /* yyjson's; null = absent */
};
struct json_fault {
    size_t at;       /* byte offset */
    const char *why; /* a literal, for people */
};
enum { JSON_DEPTH_MAX = 128 };
/* The place for the fault may be null. */
struct err json_parse(struct arena *, struct str text, struct json *out, struct json_fault *) MUST_CHECK;
/* As above for text that was checked when it was stored: no search for twins. */
struct err json_parse_own(struct arena *, struct str text, struct json *out) MUST_CHECK;

enum json_type json_type(struct json); /* JSON_INT: whole and within int64; 3.0 is JSON_INT too */
bool json_is_null(struct json);        /* null, not absent */
bool json_is_there(struct json);
struct json json_get(struct json object, const char *name); /* absent if it is no object or has no such key */
bool json_bool(struct json);           /* false for anything else */
int64_t json_int(struct json);         /* 0 for anything else */
double json_number(struct json);       /* INT and NUMBER; 0 for anything else */
struct str json_text(struct json);     /* empty (at = "") for anything else */
size_t json_count(struct json);        /* of a list or an object */

/* for (struct json_each e = json_each(list); json_next(&e);) … e.item, and e.key in an object */
struct json_each {
    struct json item;
    struct str key;
    struct json of;
    size_t at;
    const void *place;
};
struct json_each json_each(struct json list_or_object);
bool json_next(struct json_each *);

/* The value as compact JSON in the arena ("null" when absent). At = null: no memory. */
struct str json_compact(struct arena *, struct json);
struct str json_compact_short(struct arena *, struct json, size_t bytes_max); /* at = null also when it is longer */
void json_put(struct buf *, struct json); /* the same into a buffer */

/* ---- writing: straight into a buffer ---------------------------------------- */
void json_put_text(struct buf *, struct str);        /* quoted and escaped; UTF-8 stays as it is */
void json_put_text_inner(struct buf *, struct str);  /* the same without the quotes: pieces of one text */
void json_put_text_or_null(struct buf *, struct str); /* null when at is null */
void json_put_int(struct buf *, int64_t);
void json_put_number(struct buf *, double);          /* finite; whole ones end with ".0" */
void json_put_bool(struct buf *, bool);
void json_put_raw(struct buf *, struct str json);    /* JSON already */
void json_put_time(struct buf *, int64_t us);        /* "2026-…Z"; null when 0 */
/* `"name":` preceded by a comma unless the buffer ends with '{', '[' or ':' or is empty. */
void json_put_key(struct buf *, const char *name);
/* A comma under the same condition: between the items of a list. */
void json_put_comma(struct buf *);
