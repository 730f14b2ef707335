/* store/entry.c: rows of the journal. */
#include "store/entry.h"

static struct seal_place place_of(const struct entry *e)
{
    return (struct seal_place){.table = "entry", .group = "body", .owner = e->task, .row = e->n};
}

struct err store_entry_insert(struct ctx *cx, struct store *store, struct batch *batch, const struct secret *secret,
                              int64_t org, const struct entry *e)
{
    struct str sealed = {0};
    if (e->body.count) TRY(seal(cx->arena, store, secret, place_of(e), e->body, &sealed));
    batch_add(batch,
              "INSERT INTO entry (root, task, n, org, turn, run, kind, at, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
              ARGS(num(e->root), num(e->task), num(e->n), num(org), num(e->turn), num(e->run), num(e->kind), num(e->at),
                   blob_or_null(sealed)),
              1);
    return OK;
}

struct err store_entry_open(struct ctx *cx, struct store *store, const struct secret *secret, struct entry *e)
{
    if (!e->body.count) return OK;
    struct str plain;
    TRY(unseal(cx->arena, store, secret, place_of(e), e->body, &plain));
    e->body = plain;
    return OK;
}

#define COLUMNS "root, task, n, turn, run, kind, at, body"

static struct err read_rows(struct ctx *cx, const struct rows *rows, struct entry **out, int *count)
{
    *count = rows->count;
    *out = arena_try_alloc(cx->arena, (size_t)rows->count * sizeof **out);
    if (!*out) return err(ERR_MEMORY, "there is no memory for this request");
    for (int i = 0; i < rows->count; i++)
        (*out)[i] = (struct entry){
            .root = row_num(rows, i, 0),
            .task = row_num(rows, i, 1),
            .n = row_num(rows, i, 2),
            .turn = row_num(rows, i, 3),
            .run = row_num(rows, i, 4),
            .kind = (enum entry_kind)row_num(rows, i, 5),
            .at = row_num(rows, i, 6),
            .body = row_text(rows, i, 7),
        };
    return OK;
}

struct err store_entry_list(struct ctx *cx, struct store *store, const struct secret *secret, int64_t org, int64_t root,
                            int64_t task, int64_t after, int limit, struct entry **out, int *count)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT("SELECT " COLUMNS " FROM entry WHERE root = $1 AND task = $2 AND n > $3 AND org = $4 ORDER BY n LIMIT $5"),
                ARGS(num(root), num(task), num(after), num(org), num(limit)), &rows));
    TRY(read_rows(cx, &rows, out, count));
    for (int i = 0; i < *count; i++) TRY(store_entry_open(cx, store, secret, &(*out)[i]));
    return OK;
}

struct err store_entry_list_back(struct ctx *cx, struct store *store, const struct secret *secret, int64_t org,
                                 int64_t root, int64_t task, int64_t before, int limit, struct entry **out, int *count)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT("SELECT " COLUMNS " FROM entry WHERE root = $1 AND task = $2 AND n < $3 AND org = $4"
                      " ORDER BY n DESC LIMIT $5"),
                ARGS(num(root), num(task), num(before), num(org), num(limit)), &rows));
    TRY(read_rows(cx, &rows, out, count));
    for (int i = 0; i < *count; i++) TRY(store_entry_open(cx, store, secret, &(*out)[i]));
    return OK;
}

struct err store_entry_list_tree(struct ctx *cx, struct store *store, int64_t org, int64_t root, int64_t after, int limit,
                                 struct entry **out, int *count)
{
    struct rows rows;
    /* Task by task, so that what is not news is not read. */
    TRY(db_read(cx, store->db,
                POINT("SELECT e.root, e.task, e.n, e.turn, e.run, e.kind, e.at, e.body FROM task t CROSS JOIN entry e"
                      " WHERE t.root = $1 AND +t.org = $3 AND e.root = $1 AND e.task = t.n AND e.n > $2 ORDER BY e.n LIMIT $4"),
                ARGS(num(root), num(after), num(org), num(limit)), &rows));
    return read_rows(cx, &rows, out, count);
}

struct err store_entry_get(struct ctx *cx, struct store *store, const struct secret *secret, int64_t org, int64_t root,
                           int64_t task, int64_t n, struct entry *out)
{
    struct rows rows;
    struct entry *found;
    int count;
    TRY(db_read(cx, store->db, POINT("SELECT " COLUMNS " FROM entry WHERE root = $1 AND task = $2 AND n = $3 AND org = $4"),
                ARGS(num(root), num(task), num(n), num(org)), &rows));
    TRY(read_rows(cx, &rows, &found, &count));
    if (!count) return err(ERR_NOT_FOUND, "Task not found");
    TRY(store_entry_open(cx, store, secret, found));
    *out = *found;
    return OK;
}
