/* store/task.c: rows of tasks.
 *
 * A tree is found through `parent` (task_by_parent), whose depth is bounded; what must reach the
 * whole of it in one commit uses a recursive query inside that commit. */
#include "store/task.h"
#include "io/wait.h"
#include "store/entry.h"
#include "store/organization.h"
#include "store/turn.h"
#include "store/unscoped.h"
#include <assert.h>

/* One order of columns for every statement that reads tasks. `o.id` is the organisation's public id;
 * the last columns tell whether the agent that the tree belongs to is being deleted, and whether there are sub-tasks. */
#define COLUMNS                                                                                                  \
    "t.n, t.org, t.owner, t.root, coalesce(t.parent, 0), t.depth, t.run, t.slot, t.turn, t.turns, t.is_named,"   \
    " t.is_outside, t.deleting, t.id, t.agent_id, t.status, t.source, t.triggering_agent_id, t.prompt_tokens,"   \
    " t.completion_tokens, t.created_at, t.updated_at, t.sealed, o.id,"                                          \
    " (SELECT p.id FROM task p WHERE p.n = t.parent AND p.org = t.org),"                                         \
    " coalesce((SELECT a.deleting FROM agent a WHERE a.n = t.owner AND a.org = t.org), 0),"                      \
    " EXISTS (SELECT 1 FROM task c WHERE c.parent = t.n AND c.org = t.org)"
enum { AT_SEALED = 22, AT_ORG_ID, AT_PARENT_ID, AT_OWNER_DELETING, AT_HAS_CHILDREN, COLUMNS_COUNT };
/* Everything below a task, itself included: $2 in the organisation $1. CROSS JOIN: in this order. Left to choose, newer
 * versions of SQLite walk through all that the organisation has. */
#define TREE                                                                                \
    "WITH RECURSIVE tree (n) AS (SELECT n FROM task WHERE n = $2 AND org = $1"              \
    " UNION ALL SELECT c.n FROM tree CROSS JOIN task c WHERE c.parent = tree.n AND c.org = $1) "

static void read_row(const struct rows *rows, int i, struct task *t)
{
    t->n = row_num(rows, i, 0), t->org = row_num(rows, i, 1), t->owner = row_num(rows, i, 2);
    t->root = row_num(rows, i, 3), t->parent = row_num(rows, i, 4), t->depth = row_num(rows, i, 5);
    t->run = row_num(rows, i, 6), t->slot = row_num(rows, i, 7);
    t->turn = row_num(rows, i, 8), t->turns = row_num(rows, i, 9);
    t->is_named = row_num(rows, i, 10), t->is_outside = row_num(rows, i, 11), t->is_deleting = row_num(rows, i, 12);
    t->id = row_text(rows, i, 13), t->agent_id = row_text(rows, i, 14);
    t->status = (int)row_num(rows, i, 15);
    t->source = row_text(rows, i, 16);
    t->triggering_agent_id = row_text(rows, i, 17);
    t->prompt_tokens = row_num(rows, i, 18), t->completion_tokens = row_num(rows, i, 19);
    t->created_at = row_num(rows, i, 20), t->updated_at = row_num(rows, i, 21);
    t->organization_id = row_text(rows, i, AT_ORG_ID);
    t->parent_execution = row_text(rows, i, AT_PARENT_ID);
    t->sealed = row_text(rows, i, AT_SEALED);
    t->has_children = row_num(rows, i, AT_HAS_CHILDREN);
    if (row_num(rows, i, AT_OWNER_DELETING)) t->is_deleting = true;
}

static struct err not_found(void) { return err(ERR_NOT_FOUND, "Task not found"); }

/* A row, and defaults in every field that is not a column. */
static void take_row(struct ctx *cx, const struct rows *rows, int i, struct task *out)
{
    shape_defaults(cx->arena, &task_shape, out);
    read_row(rows, i, out);
}

struct err store_task_holding(struct ctx *cx, struct store *store, int64_t org, struct str id, struct task *out)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT("SELECT " COLUMNS " FROM task t JOIN organization o ON o.n = t.org WHERE t.id = $1 AND t.org = $2"),
                ARGS(text(id), num(org)), &rows));
    if (!rows.count) return not_found();
    take_row(cx, &rows, 0, out);
    return OK;
}

/* Whose it is, when it is not the caller's: an id that the server made is global, so it is a
 * 403; one that a caller chose is a name inside that organisation, so it is a 404. */
struct err store_task_whose(struct ctx *cx, struct store *store, struct str id)
{
    struct rows rows;
    TRY(db_read(cx, store->db, POINT(SQL_TASK_MADE_BY_SERVER),
                ARGS(text(id)), &rows));
    return rows.count ? err(ERR_DENIED, 0) : not_found();
}

struct err store_task_find(struct ctx *cx, struct store *store, int64_t org, struct str id, struct task *out)
{
    struct err e = store_task_holding(cx, store, org, id, out);
    if (e.code == ERR_NOT_FOUND) return store_task_whose(cx, store, id);
    TRY(e);
    return out->is_deleting ? not_found() : OK;
}

struct err store_task_get(struct ctx *cx, struct store *store, int64_t org, int64_t n, struct task *out)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT("SELECT " COLUMNS " FROM task t JOIN organization o ON o.n = t.org WHERE t.n = $1 AND t.org = $2"),
                ARGS(num(n), num(org)), &rows));
    if (!rows.count) return not_found();
    take_row(cx, &rows, 0, out);
    return OK;
}

struct err store_task_secret(struct store *store, const struct task *t, struct secret *out)
{
    return keyring_key(store->keyring, t->slot, out);
}

/* ---- showing ------------------------------------------------------------------- */

static struct seal_place place_of(const struct task *t)
{
    return (struct seal_place){.table = "task", .group = "sealed", .owner = t->n};
}

static struct err show_sealed(struct ctx *cx, struct store *store, const struct secret *secret, struct task *t)
{
    if (!t->sealed.count) return OK;
    struct str plain;
    TRY(unseal(cx->arena, store, secret, place_of(t), t->sealed, &plain));
    struct json v;
    TRY(json_parse_own(cx->arena, plain, &v));
    if (json_is_there(json_get(v, "title"))) t->title = json_text(json_get(v, "title"));
    return OK;
}

/* The children's ids, those in a terminal state again by themselves. Of a past moment: those that
 * were there, and had ended, by then. */
static struct err show_children(struct ctx *cx, struct store *store, struct task *t, int64_t before, int64_t time)
{
    struct rows rows;
    if (!t->has_children) return OK;
    TRY(db_read(cx, store->db,
                POINT("SELECT c.id, c.status, coalesce(u.finished_at, 0) FROM task c"
                      " JOIN turn u ON u.task = c.n AND u.number = c.turn"
                      " WHERE c.parent = $1 AND c.org = $2 AND c.n < $3 AND c.deleting = 0 ORDER BY c.n"),
                ARGS(num(t->n), num(t->org), num(before)), &rows));
    if (!rows.count) return OK;
    struct buf all = {0}, ended = {0};
    buf_add(&all, "[", 1);
    buf_add(&ended, "[", 1);
    for (int i = 0; i < rows.count; i++) {
        json_put_comma(&all);
        json_put_text(&all, row_text(&rows, i, 0));
        if (!task_is_final((int)row_num(&rows, i, 1)) || row_num(&rows, i, 2) > time) continue;
        json_put_comma(&ended);
        json_put_text(&ended, row_text(&rows, i, 0));
    }
    buf_add(&all, "]", 1);
    buf_add(&ended, "]", 1);
    bool is_failed = all.is_failed || ended.is_failed;
    t->sub_executions = str_copy(cx->arena, buf_str(&all));
    t->finished_sub_executions = str_copy(cx->arena, buf_str(&ended));
    buf_free(&all);
    buf_free(&ended);
    return is_failed ? err(ERR_MEMORY, "there is no memory for this request") : OK;
}

/* Tokens are a sum over turns: of a past moment, over those that had ended by then. */
static struct err show_tokens(struct ctx *cx, struct store *store, struct task *t, int64_t turns)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT("SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0) FROM turn"
                      " WHERE task = $1 AND number <= $2 AND org = $3"),
                ARGS(num(t->n), num(turns), num(t->org)), &rows));
    t->prompt_tokens = row_num(&rows, 0, 0);
    t->completion_tokens = row_num(&rows, 0, 1);
    return OK;
}

/* Take back what came after a moment. */
static struct err rewind_to(struct ctx *cx, struct store *store, struct task *t, enum task_moment moment)
{
    if (moment == MOMENT_FINISHED) {
        t->updated_at = t->finished_at;
        return show_tokens(cx, store, t, t->turn);
    }
    bool began = moment == MOMENT_EXECUTING;
    t->status = began ? TASK_EXECUTING : TASK_PENDING;
    if (!began) t->started_at = 0;
    t->paused_at = t->finished_at = 0;
    t->duration = 0;
    t->execution_attempts = 1;
    t->is_manually_stopped = false;
    t->result = (struct str){0};
    t->used_tools = S("[]");
    return show_tokens(cx, store, t, t->turn - 1);
}

struct err store_task_show(struct ctx *cx, struct store *store, const struct secret *secret, struct task *t, int64_t turn,
                           enum task_moment moment, int64_t at)
{
    struct turn_row row;
    TRY(store_turn_get(cx, store, t, turn, &row));
    TRY(store_turn_open(cx, store, secret, &row, t));
    TRY(show_sealed(cx, store, secret, t));
    t->turn = turn;
    t->status = row.status;
    t->agent_version = row.version;
    t->started_at = row.started_at;
    t->finished_at = row.finished_at;
    t->execution_attempts = row.attempts;
    t->is_manually_stopped = row.is_stopped;
    t->duration = row.started_at && row.finished_at ? (double)(row.finished_at - row.started_at) / 1e6 : 0.0;
    TRY(store_turn_result(cx, store, secret, t, &row, &t->result, &t->used_tools));
    if (moment == MOMENT_NOW) return show_children(cx, store, t, INT64_MAX, INT64_MAX);
    int64_t time = moment == MOMENT_FINISHED ? t->finished_at : t->started_at;
    if (!time) time = at == INT64_MAX ? at : t->finished_at; /* a turn that never began */
    TRY(show_children(cx, store, t, at, time));
    return rewind_to(cx, store, t, moment);
}

/* ---- lists ------------------------------------------------------------------------ */

/* A page needs the answers too. The commonest filters have statements of their own, so that each is one
 * walk along an index; all others go through one that knows every filter. */
#define ITEM_COLUMNS COLUMNS ", u.number, u.request, u.result, u.answer, e.body"
enum { AT_NUMBER = COLUMNS_COUNT, AT_REQUEST, AT_RESULT, AT_ANSWER, AT_BODY };
#define ITEM_FROM                                                       \
    " FROM task t JOIN organization o ON o.n = t.org"                   \
    " JOIN turn u ON u.task = t.n AND u.number = t.turn"                \
    " LEFT JOIN entry e ON e.root = t.root AND e.task = t.n AND e.n = u.answer"
/* Few agents are being deleted at any time: they are looked up once, not for each row. */
#define VISIBLE " AND t.deleting = 0 AND t.owner NOT IN (SELECT a.n FROM agent a WHERE a.org = $1 AND a.deleting = 1)"
#define PAGE_OF(where) "SELECT " ITEM_COLUMNS ITEM_FROM " WHERE t.org = $1" where VISIBLE " ORDER BY t.n DESC LIMIT $8 OFFSET $9"
#define COUNT_OF(where) "SELECT count(*) FROM task t WHERE t.org = $1" where VISIBLE
#define BY_AGENT " AND t.agent_id = $2"
#define BY_STATUS " AND t.status = $3"
#define BY_PARENT " AND t.parent = (SELECT p.n FROM task p WHERE p.id = $4 AND p.org = $1)"
#define BY_ANY                                                                                                  \
    " AND ($2 IS NULL OR t.agent_id = $2) AND ($3 IS NULL OR t.status = $3)"                                    \
    " AND ($4 IS NULL OR t.parent = (SELECT p.n FROM task p WHERE p.id = $4 AND p.org = $1))"                   \
    " AND ($5 IS NULL OR t.triggering_agent_id = $5) AND ($6 IS NULL OR t.user_hash = $6)"                      \
    " AND ($7 IS NULL OR t.internal_hash = $7)"

enum { BETWEEN_WAITS_BYTES = 1 << 20 };
struct list_sql {
    bool agent, status, parent, any;
    const char *page, *count;
};
static const struct list_sql list_sqls[] = {
    {0, 0, 0, 0, PAGE_OF(""), COUNT_OF("")},
    {1, 0, 0, 0, PAGE_OF(BY_AGENT), COUNT_OF(BY_AGENT)},
    {0, 1, 0, 0, PAGE_OF(BY_STATUS), COUNT_OF(BY_STATUS)},
    {1, 1, 0, 0, PAGE_OF(BY_AGENT BY_STATUS), COUNT_OF(BY_AGENT BY_STATUS)},
    {0, 0, 1, 0, PAGE_OF(BY_PARENT), COUNT_OF(BY_PARENT)},
    {0, 0, 0, 1, PAGE_OF(BY_ANY), COUNT_OF(BY_ANY)},
};

static const struct list_sql *sql_for(const struct task_filter *f)
{
    bool any = f->triggering_agent_id.at || f->user_hash.at || f->internal_hash.at;
    int last = (int)(sizeof list_sqls / sizeof *list_sqls) - 1;
    for (int i = 0; i < last && !any; i++) {
        const struct list_sql *s = &list_sqls[i];
        if (s->agent == !!f->agent_id.at && s->status == (f->status >= 0) && s->parent == !!f->parent_id.at) return s;
    }
    return &list_sqls[last];
}

static struct str kept(struct arena *a, struct str text) { return text.at ? str_copy(a, text) : text; }

/* A request may be of megabytes, and its list shows three texts of it: the rest goes before the next one is opened. */
static struct err open_item(struct ctx *cx, struct store *store, const struct rows *rows, int i, struct task_item *out)
{
    struct arena scratch = arena_new();
    struct ctx own = *cx;
    scratch.wipe = true;
    own.arena = &scratch;
    take_row(cx, rows, i, &out->row);
    struct task opened = out->row, *t = &opened;
    struct secret secret;
    TRY(store_task_secret(store, t, &secret));
    struct turn_row turn = {.number = row_num(rows, i, AT_NUMBER),
                            .answer = row_num(rows, i, AT_ANSWER),
                            .request = row_text(rows, i, AT_REQUEST),
                            .result = row_text(rows, i, AT_RESULT),
                            .body = row_text(rows, i, AT_BODY)};
    struct err e = store_turn_open(&own, store, &secret, &turn, t);
    if (!failed(e)) e = store_turn_result(&own, store, &secret, t, &turn, &t->result, &t->used_tools);
    if (!failed(e)) e = show_sealed(&own, store, &secret, t);
    secret_drop(store->keyring, &secret);
    out->row.result = kept(cx->arena, t->result);
    out->row.title = kept(cx->arena, t->title);
    out->user_id = t->input.user.is_there ? kept(cx->arena, t->input.user.id) : (struct str){0};
    arena_free(&scratch);
    return e.code == ERR_MEMORY ? err(ERR_MEMORY, "there is no memory for this request") : e;
}

struct err store_task_list(struct ctx *cx, struct store *store, const struct task_filter *f, struct page page,
                           struct task_item **items, int *count, int64_t *total)
{
    const struct list_sql *sql = sql_for(f);
    struct value status = f->status >= 0 ? num(f->status) : null_value();
    struct args args = ARGS(num(f->org), text_or_null(f->agent_id), status, text_or_null(f->parent_id),
                            text_or_null(f->triggering_agent_id), blob_or_null(f->user_hash), blob_or_null(f->internal_hash),
                            num(page.size), num(page_skip(page)));
    struct rows rows;
    TRY(db_read(cx, store->db, SCAN(sql->count), args, &rows));
    *total = row_num(&rows, 0, 0);
    TRY(db_read(cx, store->db, SCAN(sql->page), args, &rows));
    *count = 0;
    *items = arena_try_alloc(cx->arena, (size_t)rows.count * sizeof **items);
    if (!*items) return err(ERR_MEMORY, "there is no memory for this request");
    for (int64_t i = 0, bytes = 0; i < rows.count; i++) {
        struct err e = open_item(cx, store, &rows, (int)i, &(*items)[*count]);
        /* Deleted between the two reads: its key opens nothing any more. */
        if (e.code == ERR_IO) continue;
        TRY(e);
        ++*count;
        bytes += (int64_t)row_text(&rows, (int)i, AT_REQUEST).count;
        if (bytes < BETWEEN_WAITS_BYTES || !cx->loop) continue;
        TRY(wait_turn(cx)); /* others have their turn between large ones */
        bytes = 0;
    }
    return OK;
}

struct err store_task_hash(struct ctx *cx, struct store *store, int64_t org, const char *purpose, struct str plain,
                           struct str *hash)
{
    struct secret secret;
    TRY(store_organization_secret(cx, store, org, &secret));
    struct err e = seal_hash(cx->arena, store, &secret, purpose, plain, hash);
    secret_drop(store->keyring, &secret);
    return e;
}

/* ---- trees ------------------------------------------------------------------------- */

struct err store_task_tree(struct ctx *cx, struct store *store, int64_t org, int64_t n, struct task_node **nodes, int *count)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT(TREE "SELECT t.n, coalesce(t.parent, 0), t.run, t.turn, t.turns, t.id, t.agent_id, t.status, t.is_outside,"
                           " t.deleting, t.slot FROM tree CROSS JOIN task t WHERE t.n = tree.n AND t.org = $1 ORDER BY tree.n"),
                ARGS(num(org), num(n)), &rows));
    *count = rows.count;
    *nodes = arena_try_alloc(cx->arena, (size_t)rows.count * sizeof **nodes);
    if (!*nodes) return err(ERR_MEMORY, "there is no memory for this request");
    for (int i = 0; i < rows.count; i++)
        (*nodes)[i] = (struct task_node){
            .n = row_num(&rows, i, 0),
            .parent = row_num(&rows, i, 1),
            .run = row_num(&rows, i, 2),
            .turn = row_num(&rows, i, 3),
            .turns = row_num(&rows, i, 4),
            .id = row_text(&rows, i, 5),
            .agent_id = row_text(&rows, i, 6),
            .status = (int)row_num(&rows, i, 7),
            .is_outside = row_num(&rows, i, 8),
            .is_deleting = row_num(&rows, i, 9),
            .slot = row_num(&rows, i, 10),
        };
    return OK;
}

struct err store_task_has_children(struct ctx *cx, struct store *store, int64_t org, int64_t n, bool *out)
{
    struct rows rows;
    TRY(db_read(cx, store->db, POINT("SELECT 1 FROM task WHERE parent = $1 AND org = $2 LIMIT 1"), ARGS(num(n), num(org)), &rows));
    *out = rows.count > 0;
    return OK;
}

struct err store_task_tree_count(struct ctx *cx, struct store *store, int64_t org, int64_t root, int64_t limit, int64_t *count)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT("SELECT count(*) FROM (SELECT 1 FROM task WHERE root = $1 AND +org = $2 LIMIT $3)"),
                ARGS(num(root), num(org), num(limit)), &rows));
    *count = row_num(&rows, 0, 0);
    return OK;
}

struct err store_task_is_below(struct ctx *cx, struct store *store, int64_t org, int64_t n, int64_t ancestor, bool *out)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT("WITH RECURSIVE up (n, parent) AS (SELECT n, parent FROM task WHERE n = $2 AND org = $1"
                      " UNION ALL SELECT p.n, p.parent FROM task p JOIN up ON p.n = up.parent WHERE p.org = $1)"
                      " SELECT 1 FROM up WHERE n = $3"),
                ARGS(num(org), num(n), num(ancestor)), &rows));
    *out = rows.count > 0;
    return OK;
}

/* ---- writing -------------------------------------------------------------------------- */

/* What is the task's own and not a turn's. Null when there is nothing to keep. */
static struct err seal_own(struct ctx *cx, struct store *store, const struct secret *secret, const struct task *t,
                           struct str *sealed)
{
    *sealed = (struct str){0};
    if (!t->title.at) return OK;
    struct buf plain = {0};
    buf_add(&plain, "{\"title\":", 9);
    json_put_text(&plain, t->title);
    buf_add(&plain, "}", 1);
    struct err e = plain.is_failed ? err(ERR_MEMORY, "there is no memory for this request")
                                   : seal(cx->arena, store, secret, place_of(t), buf_str(&plain), sealed);
    if (plain.at) explicit_bzero(plain.at, plain.count);
    buf_free(&plain);
    return e;
}

static struct err hash_user(struct ctx *cx, struct store *store, const struct task *t, struct str *hash)
{
    *hash = (struct str){0};
    if (!t->input.user.is_there || !t->input.user.id.at) return OK;
    return store_task_hash(cx, store, t->org, "user", t->input.user.id, hash);
}

/* Whoever ever spoke in a task is found when their tasks are to be erased. */
static void add_person(struct batch *batch, const struct task *t, struct str user_hash)
{
    if (user_hash.at)
        batch_add(batch, "INSERT INTO person (org, hash, task) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                  ARGS(num(t->org), blob(user_hash), num(t->n)), ANY_CHANGES);
}

struct err store_task_insert(struct ctx *cx, struct store *store, struct batch *batch, const struct secret *secret,
                             const struct task *t)
{
    struct str sealed, user_hash;
    TRY(seal_own(cx, store, secret, t, &sealed));
    TRY(hash_user(cx, store, t, &user_hash));
    batch_add(batch,
              "INSERT INTO task (n, org, id, is_named, agent_id, owner, root, parent, depth, run, slot, status, is_outside,"
              " turn, turns, triggering_agent_id, source, user_hash, created_at, updated_at, sealed)"
              " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $19, $20"
              " WHERE ($8 IS NULL OR EXISTS (SELECT 1 FROM task p WHERE p.n = $8 AND p.org = $2 AND p.deleting = 0))"
              " AND EXISTS (SELECT 1 FROM agent a WHERE a.n = $6 AND a.org = $2 AND a.deleting = 0)",
              ARGS(num(t->n), num(t->org), text(t->id), num(t->is_named), text(t->agent_id), num(t->owner), num(t->root),
                   num_or_null(t->parent), num(t->depth), num(t->run), num(t->slot), num(t->status), num(t->is_outside),
                   num(t->turn), num(t->turns), text_or_null(t->triggering_agent_id), text(t->source),
                   blob_or_null(user_hash), num(t->created_at), blob_or_null(sealed)),
              1);
    add_person(batch, t, user_hash);
    return OK;
}

void store_task_begin(struct batch *batch, const struct task *t, int64_t old_run)
{
    batch_add(batch,
              "UPDATE task SET turn = $3, status = $4, run = $5, source = $6, is_outside = $7, updated_at = $8"
              " WHERE n = $1 AND org = $2 AND run = $9 AND deleting = 0",
              ARGS(num(t->n), num(t->org), num(t->turn), num(t->status), num(t->run), text(t->source), num(t->is_outside),
                   num(t->updated_at), num(old_run)),
              1);
}

void store_task_moved(struct batch *batch, const struct task *t)
{
    batch_add(batch,
              "UPDATE task SET status = $3, prompt_tokens = $4, completion_tokens = $5, updated_at = $6"
              " WHERE n = $1 AND org = $2 AND run = $7 AND deleting = 0",
              ARGS(num(t->n), num(t->org), num(t->status), num(t->prompt_tokens), num(t->completion_tokens),
                   num(t->updated_at), num(t->run)),
              1);
}

void store_task_accept(struct batch *batch, const struct task *t, int64_t now_us)
{
    batch_add(batch,
              "UPDATE task SET turns = turns + 1, updated_at = $4,"
              " is_outside = CASE WHEN status >= 2 AND turn = turns THEN $5 ELSE is_outside END,"
              " turn = CASE WHEN status >= 2 AND turn = turns THEN turns + 1 ELSE turn END,"
              " status = CASE WHEN status >= 2 AND turn = turns THEN 0 ELSE status END"
              " WHERE n = $1 AND org = $2 AND turns = $3 AND deleting = 0",
              ARGS(num(t->n), num(t->org), num(t->turns), num(now_us), num(t->is_outside)), 1);
}

struct err store_task_describe(struct ctx *cx, struct store *store, struct batch *batch, const struct secret *secret,
                               const struct task *t)
{
    struct str sealed, user_hash;
    TRY(seal_own(cx, store, secret, t, &sealed));
    TRY(hash_user(cx, store, t, &user_hash));
    batch_add(batch,
              "UPDATE task SET user_hash = $3, sealed = coalesce($4, sealed) WHERE n = $1 AND org = $2",
              ARGS(num(t->n), num(t->org), blob_or_null(user_hash), blob_or_null(sealed)), 1);
    add_person(batch, t, user_hash);
    return OK;
}

/* ---- deleting --------------------------------------------------------------------------- */

void store_task_mark(struct batch *batch, int64_t org, int64_t n, int64_t now_us)
{
    batch_urge(batch);
    batch_add(batch, "UPDATE task SET deleting = 1, updated_at = $3 WHERE n = $2 AND org = $1",
              ARGS(num(org), num(n), num(now_us)), 1);
    batch_add(batch, TREE "UPDATE task SET deleting = 1, run = run + 1 WHERE n IN (SELECT n FROM tree) AND org = $1",
              ARGS(num(org), num(n)), ANY_CHANGES);
}

int store_task_drop_entries(struct batch *batch, int64_t org, int64_t n, int64_t rows_max)
{
    batch_urge(batch);
    return batch_add(batch,
                     TREE "DELETE FROM entry WHERE (root, task, n) IN (SELECT e.root, e.task, e.n FROM tree"
                          " CROSS JOIN task t CROSS JOIN entry e WHERE t.n = tree.n AND e.root = t.root AND e.task = t.n LIMIT $3)"
                          " AND org = $1",
                     ARGS(num(org), num(n), num(rows_max)), ANY_CHANGES);
}

int store_task_drop(struct batch *batch, int64_t org, int64_t n)
{
    batch_urge(batch);
    int slots = batch_add(batch,
                          TREE "INSERT INTO slot (n, state) SELECT t.slot, 1 FROM tree CROSS JOIN task t"
                               " WHERE t.n = tree.n AND t.org = $1 RETURNING n",
                          ARGS(num(org), num(n)), ANY_CHANGES);
    batch_add(batch, TREE "DELETE FROM task WHERE n IN (SELECT n FROM tree) AND org = $1", ARGS(num(org), num(n)),
              ANY_CHANGES);
    return slots;
}

struct err store_task_rows(struct ctx *cx, struct store *store, int64_t org, int64_t n, int64_t limit, int64_t *count)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT(TREE "SELECT count(*) FROM (SELECT 1 FROM tree CROSS JOIN task t CROSS JOIN entry e"
                           " WHERE t.n = tree.n AND e.root = t.root AND e.task = t.n LIMIT $3)"),
                ARGS(num(org), num(n), num(limit)), &rows));
    *count = row_num(&rows, 0, 0);
    return OK;
}

/* ---- recovery: of every organisation ------------------------------------------------------ */

static struct err places(struct ctx *cx, struct store *store, struct statement statement, struct args args,
                         struct task_place **out, int *count)
{
    struct rows rows;
    TRY(db_read(cx, store->db, statement, args, &rows));
    *count = rows.count;
    *out = arena_try_alloc(cx->arena, (size_t)rows.count * sizeof **out);
    if (!*out) return err(ERR_MEMORY, "there is no memory for this request");
    for (int i = 0; i < rows.count; i++) (*out)[i] = (struct task_place){row_num(&rows, i, 0), row_num(&rows, i, 1)};
    return OK;
}

struct err store_task_marked(struct ctx *cx, struct store *store, int limit, struct task_place **out, int *count)
{
    return places(cx, store,
                  POINT("SELECT t.org, t.n FROM task t WHERE t.deleting = 1 /* any organisation */ AND NOT EXISTS"
                        " (SELECT 1 FROM task p WHERE p.n = t.parent AND p.deleting = 1) ORDER BY t.n LIMIT $1"),
                  ARGS(num(limit)), out, count);
}

struct err store_task_unfinished(struct ctx *cx, struct store *store, int64_t after, int limit, struct task_place **out,
                                 int *count)
{
    return places(cx, store,
                  POINT("SELECT t.org, t.n FROM task t WHERE (t.status < 2 OR t.turns > t.turn) /* any organisation */ AND t.n > $1"
                        " AND t.is_outside = 0 AND t.deleting = 0"
                        " AND coalesce((SELECT a.deleting FROM agent a WHERE a.n = t.owner), 0) = 0 ORDER BY t.n LIMIT $2"),
                  ARGS(num(after), num(limit)), out, count);
}

struct err store_task_of_agent(struct ctx *cx, struct store *store, int64_t org, int64_t agent, int64_t after, int limit,
                               struct task_place **out, int *count)
{
    return places(cx, store,
                  POINT("SELECT t.org, t.n FROM task t JOIN agent a ON a.n = $2 AND a.id = t.agent_id"
                        " WHERE t.org = $1 AND t.n > $3 AND t.n = t.root AND t.owner = $2 ORDER BY t.n LIMIT $4"),
                  ARGS(num(org), num(agent), num(after), num(limit)), out, count);
}

struct err store_task_of_person(struct ctx *cx, struct store *store, int64_t org, struct str hash, int64_t after, int limit,
                                struct task_place **out, int *count)
{
    return places(cx, store,
                  POINT("SELECT DISTINCT t.org, t.root FROM person p JOIN task t ON t.n = p.task"
                        " WHERE p.org = $1 AND p.hash = $2 AND t.org = $1 AND t.root > $3 ORDER BY t.root LIMIT $4"),
                  ARGS(num(org), blob(hash), num(after), num(limit)), out, count);
}

/* By number, which rises with the time of creation, so that no index has to follow each change of a task. Where the clock
 * went back it rises nearly so: a walk ends when a whole step was young. */
struct err store_task_expired(struct ctx *cx, struct store *store, int64_t before_us, int limit, int64_t *after,
                              struct task_place **out, int *count, bool *is_end)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT("SELECT org, n, parent IS NULL AND status >= 3 AND turns = turn AND deleting = 0 AND updated_at < $3,"
                      " created_at < $3 FROM task WHERE n > $1 /* any organisation */ ORDER BY n LIMIT $2"),
                ARGS(num(*after), num(limit), num(before_us)), &rows));
    *out = arena_try_alloc(cx->arena, (size_t)(rows.count + 1) * sizeof **out);
    if (!*out) return err(ERR_MEMORY, "there is no memory for old tasks");
    bool is_young = true;
    *count = 0;
    for (int i = 0; i < rows.count; i++) {
        *after = row_num(&rows, i, 1);
        is_young = is_young && !row_num(&rows, i, 3);
        if (row_num(&rows, i, 2)) (*out)[(*count)++] = (struct task_place){row_num(&rows, i, 0), *after};
    }
    *is_end = rows.count < limit || is_young;
    return OK;
}

struct err store_task_walk(struct ctx *cx, struct store *store, int64_t org, int64_t after, int limit, struct task_place **out,
                           int *count)
{
    return places(cx, store, POINT("SELECT org, n FROM task WHERE org = $1 AND n > $2 AND deleting = 0 ORDER BY n LIMIT $3"),
                  ARGS(num(org), num(after), num(limit)), out, count);
}
