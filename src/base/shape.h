/* base/shape.h: a noun is one struct and one table of fields.
 *
 * The rows of a shape read a request body (every wrong field is reported, with its path), write a
 * reply, and read and write the sealed JSON in which a row keeps them. Add a field: one row.
 *
 * Faults are the items of a 422 in pydantic's form (contract: decisions 3.4): type, loc, msg,
 * input, ctx. At most FAULTS_MAX are kept.
 *
 * Memory    Everything read lives in the arena; the struct borrows from it.
 * Errors    Reading cannot fail but by faults; a missing memory marks the arena exhausted. */
#pragma once
#include <stddef.h>
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
    struct buf items; /* JSON items, comma separated: freed by faults_free */
    int count;
};
struct faults faults_new(struct arena *);
void faults_free(struct faults *);
/* `input` is JSON text (values over FAULT_INPUT_BYTES_MAX become null); `ctx` JSON or empty. */
void fault_add(struct faults *, const char *type, const struct loc *, struct str msg, struct str input, struct str ctx);
void fault_missing(struct faults *, const struct loc *, struct str enclosing);
void fault_value(struct faults *, const struct loc *, struct str input, const char *sentence); /* value_error */
void fault_enum(struct faults *, const struct loc *, struct str input, const char *const *words, bool is_literal);
void fault_low(struct faults *, const struct loc *, struct str input, int64_t low);   /* greater_than_equal */
void fault_high(struct faults *, const struct loc *, struct str input, int64_t high); /* less_than_equal */
/* {"detail":[…]} */
struct str faults_body(struct faults *);

/* ---- fields -------------------------------------------------------------------- */
enum field_kind {
    FIELD_TEXT,   /* struct str; at = null is null                                   */
    FIELD_BOOL,   /* bool                                                            */
    FIELD_INT,    /* int64_t, low..high                                              */
    FIELD_NUMBER, /* double                                                          */
    FIELD_TIME,   /* int64_t microseconds, 0 = null; never read from a request       */
    FIELD_ENUM,   /* int, index in words                                             */
    FIELD_OBJECT, /* struct str: any JSON object, kept as compact JSON; null allowed if NULLABLE */
    FIELD_LIST,   /* struct str: any JSON list, kept as compact JSON                 */
    FIELD_TEXTS,  /* struct str: a JSON list of strings, checked, kept as compact JSON */
    FIELD_OBJECTS,/* struct str: a JSON list of objects, checked, kept as compact JSON */
    FIELD_JSON,   /* struct str: anything, kept as compact JSON                      */
    FIELD_SHAPE,  /* a nested struct described by `inner`; with NULLABLE its first member is `bool is_there` */
    FIELD_CUSTOM, /* read and written by the two functions of the row                */
};
enum field_flags {
    REQUIRED  = 1 << 0, /* a request must have it                                     */
    NULLABLE  = 1 << 1, /* null is a value; elsewhere null in a request means absent  */
    READ_ONLY = 1 << 2, /* ignored in a request                                       */
    HIDDEN    = 1 << 3, /* not in replies (shape_write leaves it out, shape_store keeps it) */
    UNSTORED  = 1 << 4, /* not in shape_store: computed, or a column of its own       */
    CREATE_ONLY = 1 << 5, /* ignored in an update                                     */
    UPDATE_ONLY = 1 << 6, /* ignored in a create                                      */
};
struct field;
struct shape {
    const char *name;
    size_t size;
    const struct field *fields;
    int fields_count; /* at most 128 */
};
struct reading; /* what a custom reader is given: see below */
struct field {
    const char *name;
    const char *aliases[3];     /* other keys that are read; loc names the key that was sent */
    enum field_kind kind;
    unsigned flags;
    size_t at;                  /* offsetof */
    const char *normal;         /* the default as JSON ("\"\"", "false", "[]"); null = the kind's zero */
    int64_t low, high;          /* INT: bounds. TEXT: code points, when high > 0. Lists: items, when high > 0 */
    const char *const *words;   /* ENUM, ends with null */
    const struct shape *inner;  /* SHAPE */
    /* CUSTOM, or a further rule: called after the kind was checked (for CUSTOM: instead); adds faults itself. */
    void (*read)(struct reading *, struct json value, const struct loc *, void *at);
    void (*write)(struct buf *, const void *at); /* CUSTOM */
};
struct reading {
    struct arena *arena;
    struct faults *faults;
    void *whole; /* the outermost struct */
};

/* Which keys a body had: by the index of the field. */
struct given {
    uint64_t there[2], null[2];
};
bool is_given(const struct given *, const struct shape *, size_t offset);
bool is_given_null(const struct given *, const struct shape *, size_t offset);

enum shape_mode { SHAPE_CREATE, SHAPE_UPDATE };
/* Every field to its default. */
void shape_defaults(struct arena *, const struct shape *, void *out);
/* Read a request. `out` must hold defaults (CREATE) or what is stored (UPDATE, which changes only what is given; null
 * of a NULLABLE field gives its default). Unknown and READ_ONLY keys are ignored. */
void shape_read(struct arena *, const struct shape *, enum shape_mode, struct json, const struct loc *, void *out,
                struct given *, struct faults *);
/* A JSON object of every field that is not HIDDEN, in table order. */
void shape_write(struct buf *, const struct shape *, const void *);
/* The same for a row: what is UNSTORED is left out, what is HIDDEN is in. */
void shape_store(struct buf *, const struct shape *, const void *);
/* Back again, into defaults. ERR_IO: not what was stored. */
struct err shape_load(struct arena *, const struct shape *, struct str stored, void *out) MUST_CHECK;
