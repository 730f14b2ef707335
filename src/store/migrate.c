#include "store/migrate.h"
#include <stdlib.h>
#include "base/assets.h"
#include "store/sqlite.h"

/* 0 for another file. */
static int number_of(const struct asset *a)
{
    const char folder[] = "migrations/";
    return strncmp(a->path, folder, sizeof folder - 1) == 0 ? atoi(a->path + sizeof folder - 1) : 0;
}

int migrate_newest(void)
{
    int newest = 0;
    for (int i = 0; i < assets_count; i++)
        if (number_of(&assets[i]) > newest) newest = number_of(&assets[i]);
    return newest;
}

struct err migrate_reached(struct ctx *cx, struct db *db, int *number)
{
    struct str text;
    int64_t reached;
    *number = 0;
    if (!db_has_table(db, "meta")) return OK; /* db_open refused a file with other tables */
    TRY(meta_get(cx, db, "schema", &text));
    if (!text.at || !str_to_int(text, &reached)) return err(ERR_CONFLICT, "the file is not a database of agentd");
    if (reached > migrate_newest()) return err(ERR_CONFLICT, "the database was made by a newer version of agentd");
    *number = (int)reached;
    return OK;
}

struct err migrate_from(struct ctx *cx, struct db *db, int number)
{
    for (int i = 0; i < assets_count; i++) { /* sorted by path, so by number */
        if (number_of(&assets[i]) <= number) continue;
        TRY(db_script(cx, db, (const char *)assets[i].bytes));
        TRY(meta_set(cx, db, "schema", strf(cx->arena, "%d", number_of(&assets[i]))));
    }
    return OK;
}

struct err meta_get(struct ctx *cx, struct db *db, const char *name, struct str *value)
{
    struct rows rows;
    *value = (struct str){0};
    TRY(db_read_inside(cx, db, "SELECT value FROM meta WHERE name = $1", ARGS(text(str(name))), &rows));
    if (rows.count) *value = row_text(&rows, 0, 0);
    return OK;
}

struct err meta_set(struct ctx *cx, struct db *db, const char *name, struct str value)
{
    if (!value.at) return db_write_inside(cx, db, "DELETE FROM meta WHERE name = $1", ARGS(text(str(name))));
    return db_write_inside(cx, db, "INSERT INTO meta (name, value) VALUES ($1, $2)"
                                   " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                           ARGS(text(str(name)), text(value)));
}
