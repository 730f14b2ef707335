/* base/fault.h: what is wrong with a request, item by item.
 *
 * Faults are the items of a 422 in pydantic's form (contract: decisions 3.4): type, loc, msg,
 * input, ctx. At most FAULTS_MAX are kept, and each is small whatever was sent: an `input` over
 * FAULT_INPUT_BYTES_MAX becomes null, texts from outside in `loc` and `msg` are cut there.
 *
 * Memory    Sentences are built in the arena; the items stand in a buf: faults_free. */
#pragma once
#include "base/json.h"

enum { FAULTS_MAX = 100, FAULT_INPUT_BYTES_MAX = 1024 };

/* ---- where a value stands: a path that is built on the stack while walking down ---- */
struct loc {
    const struct loc *up;
    const char *name;  /* a key … */
    struct str text;   /* … or a key from outside … */
    int64_t index;     /* … or, with neither, a list position */
};
#define LOC(up_, name_) (&(struct loc){.up = (up_), .name = (name_)})
#define LOC_TEXT(up_, text_) (&(struct loc){.up = (up_), .text = (text_)})
#define LOC_INDEX(up_, index_) (&(struct loc){.up = (up_), .index = (index_)})

struct faults {
    struct arena *arena;
    struct buf items; /* JSON items, comma separated */
    int count;
};
struct faults faults_new(struct arena *);
void faults_free(struct faults *);
/* `input` is JSON text (values over FAULT_INPUT_BYTES_MAX become null); `ctx` JSON or empty. */
void fault_add(struct faults *, const char *type, const struct loc *, struct str msg, struct str input, struct str ctx);
/* What to give as `input`: the value, or "null" when it is absent, long or not kept anyway. */
struct str fault_input(struct faults *, struct json);
struct str fault_input_text(struct faults *, struct str); /* of a query value or a header */

/* A type whose msg says all and that has no ctx: missing, dict_type, int_parsing, … (fault.c has the table). */
void fault_plain(struct faults *, const char *type, const struct loc *, struct str input);
void fault_missing(struct faults *, const struct loc *, struct str enclosing);
void fault_value(struct faults *, const struct loc *, struct str input, const char *sentence); /* value_error */
void fault_enum(struct faults *, const struct loc *, struct str input, const char *const *words, bool is_literal);
void fault_low(struct faults *, const struct loc *, struct str input, int64_t low);   /* greater_than_equal */
void fault_high(struct faults *, const struct loc *, struct str input, int64_t high); /* less_than_equal */
void fault_text_short(struct faults *, const struct loc *, struct str input, int64_t low); /* string_too_short */
void fault_text_long(struct faults *, const struct loc *, struct str input, int64_t high);
void fault_list_short(struct faults *, const struct loc *, struct str input, int64_t low, size_t count); /* too_short */
void fault_list_long(struct faults *, const struct loc *, struct str input, int64_t high, size_t count);
void fault_pattern(struct faults *, const struct loc *, struct str input, const char *pattern);
void fault_url(struct faults *, const struct loc *, struct str input, const char *reason); /* url_parsing */
void fault_url_scheme(struct faults *, const struct loc *, struct str input);
/* union_tag_not_found, and union_tag_invalid with the words that may stand there. */
void fault_tag_missing(struct faults *, const struct loc *, struct str input, const char *key);
void fault_tag(struct faults *, const struct loc *, struct str input, const char *key, struct str tag,
               const char *const *words);
/* json_invalid: the body is no JSON. */
void fault_json(struct faults *, const struct loc *body, const struct json_fault *);

/* {"detail":[…]} */
struct str faults_body(struct faults *);
