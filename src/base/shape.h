/* base/shape.h: a noun is one struct and one table of fields.
 *
 * The rows of a shape read a request body (every wrong field is reported, with its path), write a
 * reply, and read and write the sealed JSON in which a row keeps them. Add a field: one row.
 *
 * Memory    Everything read lives in the arena; the struct borrows from it.
 * Errors    Reading cannot fail but by faults; a missing memory marks the arena exhausted. */
#pragma once
#include <stddef.h>
#include "base/fault.h"

/* ---- fields -------------------------------------------------------------------- */
enum field_kind {
    FIELD_TEXT,   /* struct str; at = null is null                                   */
    FIELD_BOOL,   /* bool                                                            */
    FIELD_INT,    /* int64_t, low..high (no bounds when both are 0); null is FIELD_INT_NULL */
    FIELD_NUMBER, /* double; null is NAN                                             */
    FIELD_TIME,   /* int64_t microseconds, 0 = null; never read from a request       */
    FIELD_ENUM,   /* int, index in words; null is -1                                 */
    FIELD_OBJECT, /* struct str: any JSON object, kept as compact JSON; null allowed if NULLABLE */
    FIELD_LIST,   /* struct str: any JSON list, kept as compact JSON                 */
    FIELD_TEXTS,  /* struct str: a JSON list of strings, checked, kept as compact JSON */
    FIELD_OBJECTS,/* struct str: a JSON list of objects, checked, kept as compact JSON */
    FIELD_JSON,   /* struct str: anything, kept as compact JSON                      */
    FIELD_SHAPE,  /* a nested struct described by `inner`; with NULLABLE its first member is `bool is_there` */
    FIELD_CUSTOM, /* read and written by the two functions of the row                */
};
#define FIELD_INT_NULL INT64_MIN
enum field_flags {
    REQUIRED  = 1 << 0, /* a request must have it                                     */
    NULLABLE  = 1 << 1, /* null is a value; elsewhere null in a request means absent  */
    READ_ONLY = 1 << 2, /* ignored in a request                                       */
    HIDDEN    = 1 << 3, /* not in replies (shape_write leaves it out, shape_store keeps it) */
    UNSTORED  = 1 << 4, /* not in shape_store: computed, or a column of its own       */
    CREATE_ONLY = 1 << 5, /* ignored in an update                                     */
    UPDATE_ONLY = 1 << 6, /* ignored in a create                                      */
    LITERAL   = 1 << 7, /* ENUM: its fault is literal_error                           */
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
    const char *aliases[3];     /* other keys that are read; loc names the key that was sent. Another field's name goes first */
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
    void *whole;    /* the outermost struct */
    bool is_stored; /* reading back what was written: rules for callers do not apply */
};

/* Which keys a body had, by the index of the field: `null` when the key was null, `there` when it had a value, which null
 * is for a NULLABLE field alone. */
struct given {
    uint64_t there[2], null[2];
};
bool is_given(const struct given *, const struct shape *, size_t offset);
bool is_given_null(const struct given *, const struct shape *, size_t offset);

enum shape_mode { SHAPE_CREATE, SHAPE_UPDATE };
/* Every field to its default; without one: null if it is NULLABLE, else "", 0, false, {} or []. */
void shape_defaults(struct arena *, const struct shape *, void *out);
/* Copy every text that the struct borrows into the arena, but those of CUSTOM fields. */
void shape_keep(struct arena *, const struct shape *, void *);
/* Read a request. `out` must hold defaults (CREATE) or what is stored (UPDATE, which changes only what is given and asks
 * for nothing REQUIRED). Null of a NULLABLE field gives its default. Unknown and READ_ONLY keys are ignored. A field with
 * a fault keeps its value. An update of a nested SHAPE goes key by key; of a NULLABLE one it replaces the whole. */
void shape_read(struct arena *, const struct shape *, enum shape_mode, struct json, const struct loc *, void *out,
                struct given *, struct faults *);
/* A JSON object of every field that is not HIDDEN, in table order. */
void shape_write(struct buf *, const struct shape *, const void *);
/* The same for a row: what is UNSTORED is left out, what is HIDDEN is in. What equals its default is left out too, so a
 * default is part of what was stored: one that changes needs a migration that writes the old one out. */
void shape_store(struct buf *, const struct shape *, const void *);
/* Back again: what is not in the text gets its default. What is UNSTORED stays, and so does a CUSTOM that is not there.
 * ERR_IO: not what was stored. */
struct err shape_load(struct arena *, const struct shape *, struct str stored, void *out) MUST_CHECK;
