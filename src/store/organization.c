#include "store/organization.h"

#include "base/clock.h"
#include "base/id.h"

enum { NAME_POINTS_MAX = 256 };

static struct err find(struct ctx *cx, struct store *store, struct str name, struct organization *out)
{
    struct rows rows;

    TRY(db_read(cx, store->db, POINT("SELECT n, id, name FROM organization WHERE name = $1"), ARGS(text(name)), &rows));
    if (!rows.count) return err(ERR_NOT_FOUND, "No such organisation");
    *out = (struct organization){.n = row_num(&rows, 0, 0), .id = row_text(&rows, 0, 1), .name = row_text(&rows, 0, 2)};
    return OK;
}

struct err store_organization_named(struct ctx *cx, struct store *store, struct str name, struct organization *out)
{
    struct err e = find(cx, store, name, out);

    if (e.code != ERR_NOT_FOUND) return e;
    if (!name.count || !str_is_utf8(name) || str_code_points(name) > NAME_POINTS_MAX)
        return err(ERR_INVALID, "the name of an organisation is a text of 1 to 256 characters");

    /* Somebody else may make it at the same time: then theirs is found. */
    struct batch *batch = batch_new(cx->arena);
    batch_add(batch,
              "INSERT INTO organization (n, id, name, created_at)"
              " SELECT coalesce(max(n), 0) + 1, $1, $2, $3 FROM organization WHERE true"
              " ON CONFLICT (name) DO NOTHING",
              ARGS(text(uuid_new(cx->arena)), text(name), num(clock_now_us())), ANY_CHANGES);
    TRY(db_write(cx, store->db, batch));
    return find(cx, store, name, out);
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
