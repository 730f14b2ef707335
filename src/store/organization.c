#include "store/organization.h"

#include "base/clock.h"
#include "base/id.h"

enum { NAME_POINTS_MAX = 256 };

static struct organization row_of(const struct rows *rows, int at)
{
    return (struct organization){.n = row_num(rows, at, 0),
                                 .id = row_text(rows, at, 1),
                                 .name = row_text(rows, at, 2),
                                 .created_at = row_num(rows, at, 3),
                                 .is_deleting = row_num(rows, at, 4)};
}

static struct err find(struct ctx *cx, struct store *store, struct statement statement, struct str what, struct organization *out)
{
    struct rows rows;

    TRY(db_read(cx, store->db, statement, ARGS(text(what)), &rows));
    if (!rows.count) return err(ERR_NOT_FOUND, "No such organisation");
    *out = row_of(&rows, 0);
    return OK;
}

static struct err find_named(struct ctx *cx, struct store *store, struct str name, struct organization *out)
{
    TRY(find(cx, store, POINT("SELECT n, id, name, created_at, deleting FROM organization WHERE name = $1"), name, out));
    return out->is_deleting ? err(ERR_CONFLICT, "an organisation of this name is being deleted") : OK;
}

struct err store_organization_find(struct ctx *cx, struct store *store, struct str id_or_name, struct organization *out)
{
    return find(cx, store,
                POINT("SELECT n, id, name, created_at, deleting FROM organization WHERE id = $1 OR name = $1 ORDER BY id <> $1"),
                id_or_name, out);
}

struct err store_organization_list(struct ctx *cx, struct store *store, struct organization **out, int *count)
{
    struct rows rows;

    TRY(db_read(cx, store->db, POINT("SELECT n, id, name, created_at, deleting FROM organization ORDER BY created_at, n"), NO_ARGS,
                &rows));
    *count = rows.count;
    *out = arena_try_alloc(cx->arena, (size_t)(rows.count + 1) * sizeof **out);
    if (!*out) return err(ERR_MEMORY, "no memory for the list of organisations");
    for (int i = 0; i < rows.count; i++) (*out)[i] = row_of(&rows, i);
    return OK;
}

struct err store_organization_named(struct ctx *cx, struct store *store, struct str name, struct organization *out)
{
    struct err e = find_named(cx, store, name, out);

    if (e.code != ERR_NOT_FOUND) return e;
    if (!name.count || !str_is_utf8(name) || str_code_points(name) > NAME_POINTS_MAX)
        return err(ERR_INVALID, "the name of an organisation is a text of 1 to 256 characters");

    /* Somebody else may make it at the same time: then theirs is found. Its number was never another's, so
     * nothing that is remembered of a deleted one fits a new one. */
    struct batch *batch = batch_new(cx->arena);
    batch_add(batch,
              "INSERT INTO organization (n, id, name, created_at)"
              " SELECT coalesce(max(n) + 1, $4), $1, $2, $3 FROM organization WHERE n >= $4"
              " ON CONFLICT (name) DO NOTHING",
              ARGS(text(uuid_new(cx->arena)), text(name), num(clock_now_us()), num(store_number(store))), ANY_CHANGES);
    TRY(db_write(cx, store->db, batch));
    return find_named(cx, store, name, out);
}

static struct err slot_of(struct ctx *cx, struct store *store, int64_t org, int64_t *slot, bool *has_slot)
{
    struct rows rows;

    TRY(db_read(cx, store->db, POINT("SELECT slot FROM organization WHERE n = $1"), ARGS(num(org)), &rows));
    if (!rows.count) return err(ERR_NOT_FOUND, "No such organisation");
    *has_slot = !row_is_null(&rows, 0, 0);
    *slot = row_num(&rows, 0, 0);
    return OK;
}

struct err store_organization_secret(struct ctx *cx, struct store *store, int64_t org, struct secret *out)
{
    int64_t slot, taken;
    bool has_slot;

    TRY(slot_of(cx, store, org, &slot, &has_slot));
    if (has_slot) return keyring_key(store->keyring, slot, out);

    /* Two may take one at the same time; the first commit decides, and the other slot is given back. */
    struct batch *batch = batch_new(cx->arena);
    TRY(keyring_take(cx, store->keyring, batch, &taken, out));
    batch_add(batch, "UPDATE organization SET slot = $1 WHERE n = $2 AND slot IS NULL", ARGS(num(taken), num(org)), 1);
    struct err e = db_write(cx, store->db, batch);
    if (!failed(e)) return OK;
    secret_drop(store->keyring, out);
    keyring_untake(store->keyring, taken);
    if (e.code != ERR_CONFLICT) return e;
    TRY(slot_of(cx, store, org, &slot, &has_slot));
    return has_slot ? keyring_key(store->keyring, slot, out) : err(ERR_IO, "an organisation has no slot in the keyring");
}

/* ---- deleting ------------------------------------------------------------------------- */

struct err store_organization_mark(struct ctx *cx, struct store *store, int64_t org, struct holdings *out)
{
    struct batch *batch = batch_new(cx->arena);

    batch_urge(batch);
    batch_add(batch, "UPDATE organization SET deleting = 1 WHERE n = $1", ARGS(num(org)), 1);
    int held = batch_add(batch,
                         "SELECT /* the whole organisation */ (SELECT count(*) FROM agent WHERE org = $1), (SELECT count(*) FROM task WHERE org = $1),"
                         " (SELECT count(*) FROM api_key WHERE org = $1)",
                         ARGS(num(org)), 1);
    batch_add(batch, "UPDATE agent SET deleting = 1 WHERE org = $1 /* the whole organisation */", ARGS(num(org)), ANY_CHANGES);
    struct err e = db_write(cx, store->db, batch);
    if (e.code == ERR_CONFLICT) return err(ERR_NOT_FOUND, "No such organisation");
    TRY(e);
    const struct rows *rows = batch_rows(batch, held);
    *out = (struct holdings){row_num(rows, 0, 0), row_num(rows, 0, 1), row_num(rows, 0, 2)};
    return OK;
}

struct err store_organization_marked(struct ctx *cx, struct store *store, int64_t *org)
{
    struct rows rows;

    TRY(db_read(cx, store->db, POINT("SELECT n FROM organization WHERE deleting = 1 ORDER BY n LIMIT 1"), NO_ARGS, &rows));
    *org = rows.count ? row_num(&rows, 0, 0) : 0;
    return OK;
}

struct err store_organization_is_there(struct ctx *cx, struct store *store, int64_t org, bool *out)
{
    struct rows rows;

    TRY(db_read(cx, store->db, POINT("SELECT 1 FROM organization WHERE n = $1"), ARGS(num(org)), &rows));
    *out = rows.count > 0;
    return OK;
}

/* A request that was let in before the mark may make an agent after it. */
static struct err mark_latecomers(struct ctx *cx, struct store *store, int64_t org)
{
    struct batch *batch = batch_new(cx->arena);

    batch_urge(batch);
    batch_add(batch, "UPDATE agent SET deleting = 1 WHERE org = $1 /* the whole organisation */", ARGS(num(org)), ANY_CHANGES);
    TRY(db_write(cx, store->db, batch));
    return err(ERR_CONFLICT, "an agent was made meanwhile");
}

struct err store_organization_remove(struct ctx *cx, struct store *store, int64_t org, int64_t *slot)
{
    struct batch *batch = batch_new(cx->arena);

    batch_urge(batch);
    *slot = 0;
    int slots = batch_add(batch,
                          "INSERT INTO slot (n, state) SELECT slot, 1 FROM organization WHERE n = $1 AND slot IS NOT NULL RETURNING n",
                          ARGS(num(org)), ANY_CHANGES);
    batch_add(batch,
              "DELETE FROM organization WHERE n = $1 AND deleting = 1 AND NOT EXISTS (SELECT 1 FROM agent"
              " WHERE org = $1) /* the whole organisation */",
              ARGS(num(org)), 1);
    struct err e = db_write(cx, store->db, batch);
    if (e.code == ERR_CONFLICT) return mark_latecomers(cx, store, org);
    TRY(e);
    const struct rows *rows = batch_rows(batch, slots);
    if (rows->count) *slot = row_num(rows, 0, 0);
    return OK;
}
