#include "store/agent.h"

#include "base/clock.h"
#include "base/id.h"
#include "store/unscoped.h"

enum { NAME_TRIES = 8, VERSIONS_PER_PIECE = 1000 };

/* ---- rows -------------------------------------------------------------------------- */

static struct agent_row row_of(const struct rows *rows, int at)
{
    return (struct agent_row){.n = row_num(rows, at, 0),
                              .org = row_num(rows, at, 1),
                              .id = row_text(rows, at, 2),
                              .unique_name = row_text(rows, at, 3),
                              .slot = row_num(rows, at, 4),
                              .status = (int)row_num(rows, at, 5),
                              .version = row_num(rows, at, 6),
                              .is_pending = row_num(rows, at, 7) != 0,
                              .is_deleting = row_num(rows, at, 8) != 0,
                              .created_at = row_num(rows, at, 9),
                              .updated_at = row_num(rows, at, 10),
                              .draft = row_text(rows, at, 11),
                              .secret = row_is_null(rows, at, 12) ? (struct str){0} : row_text(rows, at, 12)};
}

static struct err rows_of(struct ctx *cx, const struct rows *rows, struct agent_row **out, int *count)
{
    *count = rows->count;
    *out = arena_try_alloc(cx->arena, (size_t)(rows->count + 1) * sizeof **out);
    if (!*out) return err(ERR_MEMORY, "no memory for a list of agents");
    for (int i = 0; i < rows->count; i++) (*out)[i] = row_of(rows, i);
    return OK;
}

struct err store_agent_find(struct ctx *cx, struct store *store, struct str id, struct agent_row *out)
{
    struct rows rows;

    TRY(db_read(cx, store->db, POINT(SQL_AGENT_BY_ID), ARGS(text(id)), &rows));
    if (!rows.count) return err(ERR_NOT_FOUND, "Agent not found");
    *out = row_of(&rows, 0);
    return OK;
}

struct err store_agent_get(struct ctx *cx, struct store *store, int64_t org, int64_t n, struct agent_row *out)
{
    struct rows rows;

    TRY(db_read(cx, store->db, POINT(SQL_AGENT_COLUMNS " FROM agent WHERE n = $1 AND org = $2"), ARGS(num(n), num(org)),
                &rows));
    if (!rows.count) return err(ERR_NOT_FOUND, "Agent not found");
    *out = row_of(&rows, 0);
    return OK;
}

/* ---- content ------------------------------------------------------------------------- */

static struct seal_place place_of(const char *table, const char *group, int64_t n, int64_t number)
{
    return (struct seal_place){.table = table, .group = group, .owner = n, .row = number};
}

static struct err open_with_key(struct ctx *cx, struct store *store, const struct agent_row *row, struct seal_place place,
                                struct str sealed, struct str *plain)
{
    struct secret key;

    TRY(keyring_key(store->keyring, row->slot, &key));
    struct err e = unseal(cx->arena, store, &key, place, sealed, plain);
    secret_drop(store->keyring, &key);
    return e;
}

static struct err content_of(struct ctx *cx, struct store *store, const struct agent_row *row, int64_t number, struct str *plain)
{
    struct rows rows;

    if (number == VERSION_DRAFT) return open_with_key(cx, store, row, place_of("agent", "draft", row->n, 0), row->draft, plain);
    TRY(db_read(cx, store->db, POINT("SELECT content FROM version WHERE agent = $1 AND number = $2 AND org = $3"),
                ARGS(num(row->n), num(number), num(row->org)), &rows));
    if (!rows.count) return err(ERR_NOT_FOUND, "No such version");
    return open_with_key(cx, store, row, place_of("version", "content", row->n, number), row_text(&rows, 0, 0), plain);
}

/* What was not to be had of a row that was read before a wait: the agent may have been removed since, and its key with it. */
static struct err gone_or(struct ctx *cx, struct store *store, const struct agent_row *row, struct err e)
{
    struct agent_row now;

    if (e.code != ERR_IO && e.code != ERR_NOT_FOUND) return e;
    struct err look = store_agent_get(cx, store, row->org, row->n, &now);
    return look.code == ERR_NOT_FOUND ? look : e;
}

struct err store_agent_version(struct ctx *cx, struct store *store, const struct agent_row *row, int64_t number, struct agent *out)
{
    struct str plain;
    struct err e = content_of(cx, store, row, number, &plain);

    if (failed(e)) return gone_or(cx, store, row, e);
    TRY(agent_load(cx->arena, plain, out));
    out->id = row->id;
    out->unique_name = row->unique_name;
    out->status = row->status;
    out->version = number == VERSION_DRAFT ? row->version : number;
    out->is_latest = out->version == row->version;
    out->has_pending_changes = row->is_pending;
    out->created_at = row->created_at;
    agent_show(cx->arena, out);
    return OK;
}

struct err store_agent_secret(struct ctx *cx, struct store *store, const struct agent_row *row, struct agent_secret *out)
{
    struct str plain;

    shape_defaults(cx->arena, &agent_secret_shape, out);
    if (!row->secret.at) return OK;
    struct err e = open_with_key(cx, store, row, place_of("agent", "secret", row->n, 0), row->secret, &plain);
    if (failed(e)) return gone_or(cx, store, row, e);
    return shape_load(cx->arena, &agent_secret_shape, plain, out);
}

struct err store_agent_target(struct ctx *cx, struct store *store, int64_t org, struct str id, bool is_deployed,
                              struct tool_target *out)
{
    struct agent_row row;
    struct agent agent;

    *out = (struct tool_target){0};
    struct err e = store_agent_find(cx, store, id, &row);
    if (e.code == ERR_NOT_FOUND || (!failed(e) && (row.org != org || row.is_deleting))) return OK;
    TRY(e);
    TRY(store_agent_version(cx, store, &row, is_deployed ? row.version : VERSION_DRAFT, &agent));
    *out = (struct tool_target){.is_there = true, .name = agent.name, .description = agent.description};
    return OK;
}

/* ---- saving ------------------------------------------------------------------------------ */

/* What one save writes: sealed before the batch, because sealing may fail. */
struct sealed {
    struct str draft, version, secret;
};

static struct err seal_all(struct ctx *cx, struct store *store, const struct secret *key, int64_t n, int64_t number,
                           struct str content, const struct agent_secret *secret, struct sealed *out)
{
    if (!content.at) return err(ERR_MEMORY, "no memory for an agent");
    TRY(seal(cx->arena, store, key, place_of("agent", "draft", n, 0), content, &out->draft));
    if (number != VERSION_DRAFT)
        TRY(seal(cx->arena, store, key, place_of("version", "content", n, number), content, &out->version));
    if (!secret) return OK;

    struct buf plain = {0};
    shape_store(&plain, &agent_secret_shape, secret);
    struct err e = plain.is_failed ? err(ERR_MEMORY, "no memory for a secret")
                                   : seal(cx->arena, store, key, place_of("agent", "secret", n, 0), buf_str(&plain), &out->secret);
    if (plain.at) explicit_bzero(plain.at, plain.count);
    buf_free(&plain);
    return e;
}

static void add_version(struct batch *batch, const struct agent_row *row, int64_t at_us, struct str content)
{
    batch_add(batch, "INSERT INTO version (agent, number, org, created_at, content) VALUES ($1, $2, $3, $4, $5)",
              ARGS(num(row->n), num(row->version), num(row->org), num(at_us), blob(content)), 1);
}

/* "brave-otter", or the first of "brave-otter-2", "-3" … that this organisation has not. */
static struct err free_name(struct ctx *cx, struct store *store, int64_t org, struct str *out)
{
    uint64_t random;
    struct rows rows;

    random_bytes(&random, sizeof random);
    struct str slug = agent_slug(cx->arena, random);
    /* '.' follows '-', so between the two are the slug and the slug with a number. */
    TRY(db_read(cx, store->db,
                POINT("SELECT unique_name FROM agent WHERE org = $1 AND unique_name >= $2 AND unique_name < $3"),
                ARGS(num(org), text(slug), text(strf(cx->arena, "%.*s.", STR_ARGS(slug)))), &rows));
    *out = slug;
    for (int number = 2, i = 0; i < rows.count; i++) {
        if (!str_eq(row_text(&rows, i, 0), *out)) continue;
        *out = strf(cx->arena, "%.*s-%d", STR_ARGS(slug), number++);
        i = -1;
    }
    return OK;
}

static struct err create_once(struct ctx *cx, struct store *store, struct agent *agent, const struct agent_secret *secret,
                              const struct idempotent *once, struct agent_row *row)
{
    struct batch *batch = batch_new(cx->arena);
    struct secret key;
    struct sealed sealed = {0};

    TRY(free_name(cx, store, row->org, &row->unique_name));
    TRY(keyring_take(cx, store->keyring, batch, &row->slot, &key));
    /* Without a wait between the two: the order of numbers is the order of times. */
    row->n = store_number(store);
    row->created_at = row->updated_at = clock_now_us();

    struct err e = seal_all(cx, store, &key, row->n, row->version, agent_content(cx->arena, agent), secret, &sealed);
    secret_drop(store->keyring, &key);
    if (!failed(e)) {
        row->draft = sealed.draft;
        row->secret = sealed.secret;
        batch_add(batch,
                  "INSERT INTO agent (n, org, id, unique_name, slot, status, version, created_at, updated_at, draft, secret)"
                  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10)",
                  ARGS(num(row->n), num(row->org), text(row->id), text(row->unique_name), num(row->slot), num(row->status),
                       num(row->version), num(row->created_at), blob(row->draft), blob_or_null(row->secret)),
                  1);
        add_version(batch, row, row->created_at, sealed.version);
        store_idempotent_add(batch, row->org, once, &(struct made){.n = row->n}, row->created_at);
        e = db_write(cx, store->db, batch);
    }
    if (failed(e)) keyring_untake(store->keyring, row->slot);
    return e;
}

static bool was_made(struct ctx *cx, struct store *store, int64_t org, const struct idempotent *once)
{
    struct made made;
    return once && once->hash.at && !failed(store_idempotent_find(cx, store, org, once, &made));
}

struct err store_agent_create(struct ctx *cx, struct store *store, int64_t org, struct agent *agent,
                              const struct agent_secret *secret, const struct idempotent *once, struct agent_row *out)
{
    struct err e = OK;

    *out = (struct agent_row){.org = org, .id = uuid_new(cx->arena), .status = agent->status, .version = 1};
    /* Another create may take the same name between our look and our commit. */
    for (int tries = 0; tries < NAME_TRIES; tries++) {
        e = create_once(cx, store, agent, secret, once, out);
        if (e.code != ERR_CONFLICT || was_made(cx, store, org, once)) break;
    }
    TRY(e);
    agent->id = out->id;
    agent->unique_name = out->unique_name;
    agent->version = 1;
    agent->created_at = out->created_at;
    return OK;
}

/* Undoing a change by hand leaves nothing pending: contents are compared, not counted. What was stored by an older
 * program is read and written again first, so that new fields are no difference. */
static struct err differs_from_latest(struct ctx *cx, struct store *store, const struct agent_row *row, struct str content,
                                      bool *out)
{
    struct str latest;
    struct agent agent;

    TRY(content_of(cx, store, row, row->version, &latest));
    *out = !str_eq(latest, content);
    if (!*out) return OK;
    TRY(agent_load(cx->arena, latest, &agent));
    *out = !str_eq(agent_content(cx->arena, &agent), content);
    return OK;
}

struct err store_agent_save(struct ctx *cx, struct store *store, struct agent_row *row, const struct agent *agent,
                            const struct agent_secret *secret, bool is_deployed)
{
    struct agent_row next = *row;
    struct sealed sealed = {.secret = row->secret};
    struct str content = agent_content(cx->arena, agent);
    struct batch *batch = batch_new(cx->arena);
    struct secret key;

    next.status = agent->status;
    next.updated_at = clock_now_us();
    next.version += is_deployed;
    next.is_pending = false;
    if (!content.at) return err(ERR_MEMORY, "no memory for an agent");
    if (!is_deployed) TRY(differs_from_latest(cx, store, row, content, &next.is_pending));

    TRY(keyring_key(store->keyring, row->slot, &key));
    struct err e = seal_all(cx, store, &key, row->n, is_deployed ? next.version : VERSION_DRAFT, content, secret, &sealed);
    secret_drop(store->keyring, &key);
    TRY(e);
    next.draft = sealed.draft;
    next.secret = sealed.secret;
    batch_add(batch,
              "UPDATE agent SET status = $1, version = $2, is_pending = $3, updated_at = $4, draft = $5, secret = $6"
              " WHERE n = $7 AND org = $8 AND updated_at = $9 AND deleting = 0",
              ARGS(num(next.status), num(next.version), num(next.is_pending), num(next.updated_at), blob(next.draft),
                   blob_or_null(next.secret), num(row->n), num(row->org), num(row->updated_at)),
              1);
    if (is_deployed) add_version(batch, &next, next.updated_at, sealed.version);
    TRY(db_write(cx, store->db, batch));
    *row = next;
    return OK;
}

/* ---- lists ------------------------------------------------------------------------------------ */

/* Newest first: numbers rise with the time of creation. */
struct err store_agent_list(struct ctx *cx, struct store *store, int64_t org, struct page page, struct agent_row **rows,
                            int *count, int64_t *total)
{
    struct rows found;

    TRY(db_read(cx, store->db,
                SCAN(SQL_AGENT_COLUMNS ", (SELECT count(*) FROM agent WHERE org = $1 AND deleting = 0)"
                                       "  FROM agent WHERE org = $1 AND deleting = 0"
                                       " ORDER BY n DESC LIMIT $2 OFFSET $3"),
                ARGS(num(org), num(page.size), num(page_skip(page))), &found));
    TRY(rows_of(cx, &found, rows, count));
    if (found.count) {
        *total = row_num(&found, 0, found.columns - 1);
        return OK;
    }
    TRY(db_read(cx, store->db, SCAN("SELECT count(*) FROM agent WHERE org = $1 AND deleting = 0"), ARGS(num(org)), &found));
    *total = row_num(&found, 0, 0);
    return OK;
}

struct err store_agent_list_all(struct ctx *cx, struct store *store, int64_t org, struct agent_row **rows, int *count)
{
    struct rows found;

    TRY(db_read(cx, store->db, SCAN(SQL_AGENT_COLUMNS "  FROM agent WHERE org = $1 AND deleting = 0 ORDER BY n DESC"),
                ARGS(num(org)), &found));
    return rows_of(cx, &found, rows, count);
}

/* ---- deleting ------------------------------------------------------------------------------------ */

struct err store_agent_mark(struct ctx *cx, struct store *store, const struct agent_row *row)
{
    struct batch *batch = batch_new(cx->arena);

    batch_urge(batch);
    batch_add(batch, "UPDATE agent SET deleting = 1 WHERE n = $1 AND org = $2 AND deleting = 0", ARGS(num(row->n), num(row->org)),
              1);
    struct err e = db_write(cx, store->db, batch);
    return e.code == ERR_CONFLICT ? err(ERR_NOT_FOUND, "Agent not found") : e;
}

/* An agent may have any number of versions: they go in pieces, so that no commit is long. */
static struct err remove_versions(struct ctx *cx, struct store *store, const struct agent_row *row)
{
    int64_t changed;

    do {
        struct batch *batch = batch_new(cx->arena);
        batch_urge(batch);
        int index = batch_add(batch,
                              "DELETE FROM version WHERE agent = $1 AND org = $2 AND number IN"
                              " (SELECT number FROM version WHERE agent = $1 AND org = $2 ORDER BY number LIMIT $3)",
                              ARGS(num(row->n), num(row->org), num(VERSIONS_PER_PIECE)), ANY_CHANGES);
        TRY(db_write(cx, store->db, batch));
        changed = batch_changed(batch, index);
    } while (changed == VERSIONS_PER_PIECE);
    return OK;
}

struct err store_agent_remove(struct ctx *cx, struct store *store, const struct agent_row *row)
{
    struct batch *batch = batch_new(cx->arena);

    TRY(remove_versions(cx, store, row));
    batch_urge(batch);
    batch_add(batch, "DELETE FROM agent WHERE n = $1 AND org = $2 AND deleting = 1", ARGS(num(row->n), num(row->org)), 1);
    batch_add(batch, "INSERT INTO slot (n, state) VALUES ($1, 1)", ARGS(num(row->slot)), 1);
    struct err e = db_write(cx, store->db, batch);
    if (e.code == ERR_CONFLICT) return OK; /* somebody else has done it */
    TRY(e);
    return keyring_destroy(cx, store->keyring, &row->slot, 1);
}

struct err store_agent_marked(struct ctx *cx, struct store *store, int limit, struct agent_row **rows, int *count)
{
    struct rows found;

    TRY(db_read(cx, store->db, SCAN(SQL_AGENTS_MARKED), ARGS(num(limit)), &found));
    return rows_of(cx, &found, rows, count);
}
