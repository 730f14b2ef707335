/* store/migrate.h: numbered .sql files (migrations/NNNN-name.sql, in the binary), applied once and in order.
 *
 * Table `meta` holds how far they came, under `schema`; it also holds the few other facts about the whole.
 * All calls stand between db_begin and db_commit.
 *
 * Errors    ERR_CONFLICT: a newer version's database, or nobody's. Then nothing was changed. */
#pragma once
#include "store/db.h"

/* How far the database is: 0 for an empty one. ERR_CONFLICT also when it is further than we are. */
struct err migrate_reached(struct ctx *, struct db *, int *number) MUST_CHECK;
int migrate_newest(void);
/* Apply what comes after `number`. */
struct err migrate_from(struct ctx *, struct db *, int number) MUST_CHECK;

/* at = null: not there. */
struct err meta_get(struct ctx *, struct db *, const char *name, struct str *value) MUST_CHECK;
/* A value whose `at` is null takes it away. */
struct err meta_set(struct ctx *, struct db *, const char *name, struct str value) MUST_CHECK;
