#include "store/idempotent.h"
#include "store/organization.h"

enum { SWEPT_AT_ONCE = 16 };

struct err store_idempotent_name(struct ctx *cx, struct store *store, int64_t org, struct str what, struct str body,
                                 struct idempotent *out)
{
    struct secret secret;
    TRY(store_organization_secret(cx, store, org, &secret));
    struct err e = seal_hash(cx->arena, store, &secret, "idempotency key", what, &out->hash);
    if (!failed(e)) e = seal_hash(cx->arena, store, &secret, "idempotency body", body, &out->body);
    secret_drop(store->keyring, &secret);
    return e;
}

struct err store_idempotent_find(struct ctx *cx, struct store *store, int64_t org, const struct idempotent *i, struct made *out)
{
    struct rows rows;
    TRY(db_read(cx, store->db,
                POINT("SELECT n, turn, after, body = $3 FROM idempotent WHERE org = $1 AND hash = $2 AND at >= $4"),
                ARGS(num(org), blob(i->hash), blob(i->body), num(i->oldest_us)), &rows));
    if (!rows.count) return err(ERR_NOT_FOUND, "nothing was made by this request");
    *out = (struct made){row_num(&rows, 0, 0), row_num(&rows, 0, 1), row_num(&rows, 0, 2), row_num(&rows, 0, 3)};
    return OK;
}

void store_idempotent_add(struct batch *batch, int64_t org, const struct idempotent *i, const struct made *made, int64_t now_us)
{
    if (!i || !i->hash.at) return;
    batch_add(batch,
              "INSERT INTO idempotent (org, hash, body, n, turn, after, at) VALUES ($1, $2, $3, $4, $5, $6, $7)"
              " ON CONFLICT (org, hash) DO UPDATE SET body = $3, n = $4, turn = $5, after = $6, at = $7 WHERE at < $8",
              ARGS(num(org), blob(i->hash), blob(i->body), num(made->n), num(made->turn), num(made->after), num(now_us),
                   num(i->oldest_us)),
              1);
    batch_add(batch,
              "DELETE FROM idempotent WHERE (org, hash) IN (SELECT org, hash FROM idempotent /* any organisation */"
              " WHERE at < $1 ORDER BY at LIMIT $2)",
              ARGS(num(i->oldest_us), num(SWEPT_AT_ONCE)), ANY_CHANGES);
}
