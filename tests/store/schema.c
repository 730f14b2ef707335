/* The schema itself: whatever can hold what a person wrote goes when its owner goes. */
#include "house.h"
#include "store/sqlite.h"

/* Tables that hang from nobody, and why they may. */
static const char *const nobodys[] = {
    "meta",   /* facts about the whole installation          */
    "number", /* counters                                    */
    "slot",   /* numbers of keys that seal nothing           */
};
static const char *const owners[] = {"organization", "agent", "task"};

static bool is_in(const char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0) return true;
    return false;
}
#define IS_IN(list, name) is_in(list, sizeof list / sizeof list[0], name)

static struct rows read_all(struct ctx *cx, struct db *db, const char *sql, const char *table)
{
    struct rows rows;
    CHECK_OK(db_read(cx, db, POINT(sql), table ? ARGS(text(str(table))) : NO_ARGS, &rows));
    return rows;
}

static const char parents_sql[] = "SELECT \"table\", on_delete FROM pragma_foreign_key_list($1)";

/* By cascades alone, upwards; the schema is small, so at most eight steps. */
static bool reaches_owner(struct ctx *cx, struct db *db, const char *table, int steps)
{
    if (IS_IN(owners, table)) return true;
    if (steps == 0) return false;
    struct rows parents = read_all(cx, db, parents_sql, table);
    for (int i = 0; i < parents.count; i++)
        if (str_is(row_text(&parents, i, 1), "CASCADE") && reaches_owner(cx, db, row_text(&parents, i, 0).at, steps - 1)) return true;
    return false;
}

static const char tables_sql[] = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";

TEST(every_table_hangs_from_task_agent_or_organization)
{
    struct ctx cx = plain_cx();
    struct store *store = house_open(&cx, test_dir());
    struct rows tables = read_all(&cx, store->db, tables_sql, NULL);
    int hanging = 0;
    CHECK(tables.count >= 9);
    for (int i = 0; i < tables.count; i++) {
        const char *table = row_text(&tables, i, 0).at;
        bool reaches = reaches_owner(&cx, store->db, table, 8);
        if (IS_IN(nobodys, table)) CHECK(!reaches);
        else if (!reaches) test_fail(__FILE__, __LINE__, table);
        hanging += reaches;
    }
    CHECK(hanging == tables.count - (int)(sizeof nobodys / sizeof nobodys[0]));
    store_close(&cx, store);
}

/* The owners themselves hang from the organisation, and nothing is set to null and left behind. */
TEST(every_foreign_key_cascades)
{
    struct ctx cx = plain_cx();
    struct store *store = house_open(&cx, test_dir());
    struct rows tables = read_all(&cx, store->db, tables_sql, NULL);
    for (int i = 0; i < tables.count; i++) {
        struct rows parents = read_all(&cx, store->db, parents_sql, row_text(&tables, i, 0).at);
        for (int j = 0; j < parents.count; j++) CHECK(str_is(row_text(&parents, j, 1), "CASCADE"));
    }
    for (size_t i = 1; i < sizeof owners / sizeof owners[0]; i++)
        CHECK(read_all(&cx, store->db, parents_sql, owners[i]).count >= 1);
    store_close(&cx, store);
}

TEST(every_foreign_key_is_the_beginning_of_an_index)
{
    struct ctx cx = plain_cx();
    struct store *store = house_open(&cx, test_dir());
    struct rows tables = read_all(&cx, store->db, tables_sql, NULL);
    for (int i = 0; i < tables.count; i++) {
        const char *table = row_text(&tables, i, 0).at;
        struct rows keys = read_all(&cx, store->db, "SELECT \"from\" FROM pragma_foreign_key_list($1) WHERE seq = 0", table);
        for (int j = 0; j < keys.count; j++) {
            struct rows found;
            CHECK_OK(db_read(&cx, store->db, POINT("SELECT 1 FROM pragma_index_list($1) l, pragma_index_info(l.name) c"
                                                   " WHERE c.seqno = 0 AND c.name = $2"),
                             ARGS(text(str(table)), text(row_text(&keys, j, 0))), &found));
            if (found.count == 0) test_fail(__FILE__, __LINE__, table); /* a cascade would read the whole table */
        }
    }
    store_close(&cx, store);
}

/* Cascades through parents would stop at depth 1,000: a tree hangs from its root. */
TEST(deleting_a_root_takes_its_tree_and_its_journal)
{
    struct ctx cx = plain_cx();
    struct store *store = house_open(&cx, test_dir());
    add_org(&cx, store->db, 1);
    struct batch *b = batch_new(cx.arena);
    task_batch(b, 1, 100, S("root"));
    entry_batch(b, 1, 1, 1, S("said"));
    for (int64_t n = 2; n <= 1500; n++)
        batch_add(b, "INSERT INTO task (n, org, id, is_named, agent_id, owner, root, parent, depth, run, slot, status, turn, turns, source,"
                     " created_at, updated_at) VALUES ($1, 1, $1, 0, 'a', 1, 1, $1 - 1, $1 - 1, 1, $1 + 100, 0, 1, 1, 'api', 1, 1)",
                  ARGS(num(n)), 1);
    CHECK_OK(db_write(&cx, store->db, b));
    b = batch_new(cx.arena);
    batch_add(b, "DELETE FROM task WHERE n = 1", NO_ARGS, 1);
    CHECK_OK(db_write(&cx, store->db, b));
    CHECK(count_of(&cx, store->db, "SELECT count(*) FROM task") == 0 && count_of(&cx, store->db, "SELECT count(*) FROM entry") == 0);
    store_close(&cx, store);
}

TEST(the_database_is_set_up_as_promised)
{
    struct ctx cx = plain_cx();
    struct store *store = house_open(&cx, test_dir());
    struct { const char *pragma; int64_t value; } numbers[] = {
        {"PRAGMA auto_vacuum", 2}, {"PRAGMA synchronous", 2}, {"PRAGMA secure_delete", 1}, {"PRAGMA foreign_keys", 1},
        {"PRAGMA temp_store", 2},  {"PRAGMA wal_autocheckpoint", 0},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct rows rows;
        CHECK_OK(db_read_inside(&cx, store->db, numbers[i].pragma, NO_ARGS, &rows));
        if (rows.count != 1 || row_num(&rows, 0, 0) != numbers[i].value)
            test_fail(__FILE__, __LINE__, numbers[i].pragma);
    }
    struct rows mode;
    CHECK_OK(db_read_inside(&cx, store->db, "PRAGMA journal_mode", NO_ARGS, &mode));
    CHECK(str_is(row_text(&mode, 0, 0), "wal"));
    store_close(&cx, store);
}
