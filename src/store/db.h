/* store/db.h: THE seam between the program and its rows. db_read and db_write; nothing else.
 *
 * A statement is a constant text in the dialect that SQLite and PostgreSQL share, with
 * $1, $2 … bound BY NAME, never pasted. db_read answers from what is on disk. db_write
 * takes a batch: statements with expectations, applied in a savepoint of the writer's
 * current group, all or nothing, and answered after the group's commit is on disk (one sync
 * serves everybody who waits). Nobody ever holds a transaction, so who has been answered
 * sees its own write, and a lost group fails all its batches.
 *
 * Threads   The loop's thread calls; one writer thread writes; SCANs run on reader threads.
 * Memory    Rows are copied into cx->arena. A batch lives in the arena it was opened in; texts
 *           and blobs bound to it are borrowed until db_write returns.
 * Errors    ERR_CONFLICT: an expectation failed, a constraint or a trigger refused (batch.refused tells
 *           which statement); ERR_FULL: no space on the disk; ERR_BUSY: too many writes are
 *           queued; ERR_MEMORY; ERR_IO: anything else of the database. db_write cannot be cancelled: it waits for
 *           its outcome. */
#pragma once
#include "base/str.h"
#include "io/ctx.h"

enum value_kind { VALUE_NULL, VALUE_NUM, VALUE_TEXT, VALUE_BLOB };
struct value {
    enum value_kind kind;
    int64_t num;
    struct str text; /* of TEXT and BLOB */
};
static inline struct value num(int64_t n) { return (struct value){.kind = VALUE_NUM, .num = n}; }
static inline struct value text(struct str s) { return (struct value){.kind = VALUE_TEXT, .text = s}; }
static inline struct value blob(struct str s) { return (struct value){.kind = VALUE_BLOB, .text = s}; }
static inline struct value null_value(void) { return (struct value){.kind = VALUE_NULL}; }
/* The texts and blobs whose `at` is null, and times that are 0, become NULL. */
static inline struct value text_or_null(struct str s) { return s.at ? text(s) : null_value(); }
static inline struct value blob_or_null(struct str s) { return s.at ? blob(s) : null_value(); }
static inline struct value num_or_null(int64_t n) { return n ? num(n) : null_value(); }

struct args {
    const struct value *values;
    int count;
};
#define ARGS(...) ((struct args){(const struct value[]){__VA_ARGS__}, \
                   (int)(sizeof((const struct value[]){__VA_ARGS__}) / sizeof(struct value))})
#define NO_ARGS ((struct args){0, 0})

/* POINT: found by a key, a few rows; runs inline. SCAN: a list or a count; runs on a reader thread. */
struct statement {
    const char *sql;
    bool is_scan;
};
#define POINT(sql) ((struct statement){sql, false})
#define SCAN(sql) ((struct statement){sql, true})

struct rows {
    int count, columns;
    const struct value *values; /* row by row */
};
static inline const struct value *row_at(const struct rows *r, int row, int column)
{
    return &r->values[row * r->columns + column];
}
static inline int64_t row_num(const struct rows *r, int row, int column) { return row_at(r, row, column)->num; }
static inline struct str row_text(const struct rows *r, int row, int column) { return row_at(r, row, column)->text; }
static inline bool row_is_null(const struct rows *r, int row, int column)
{
    return row_at(r, row, column)->kind == VALUE_NULL;
}

struct db;
struct batch;

/* A POINT read may be called with a loop-less ctx (commands); it never waits. */
struct err db_read(struct ctx *, struct db *, struct statement, struct args, struct rows *) MUST_CHECK;

enum { ANY_CHANGES = -1 };
struct batch *batch_new(struct arena *);
/* Add a statement; `expected` = how many rows it must change (rows returned for one with
 * RETURNING), or ANY_CHANGES. Gives the statement's index in the batch. */
int batch_add(struct batch *, const char *sql, struct args, int64_t expected);
/* It makes room, in the end: on a full disk it may use what is kept for that. */
void batch_urge(struct batch *);
bool batch_is_empty(const struct batch *);
/* After db_write: what a statement with RETURNING gave; which one was refused (-1: none). */
const struct rows *batch_rows(const struct batch *, int index);
int64_t batch_changed(const struct batch *, int index);
int batch_refused(const struct batch *);
struct err db_write(struct ctx *, struct db *, struct batch *) MUST_CHECK;

/* A statement that costs no commit of its own: it rides on the next group, or goes alone when the
 * database is closed. done(arg) runs on the loop after it is on disk (may be null). Values are copied. */
void db_ride(struct db *, const char *sql, struct args, void (*done)(void *), void *arg);
