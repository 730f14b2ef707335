/* store/sqlite.h: opening and closing a database behind the seam of store/db.h.
 *
 * One connection writes, on a thread of its own, in groups: everything that waits is
 * applied, each batch in a savepoint, and one commit answers all. One connection of the
 * loop's thread answers POINT reads inline; SCANs have reader threads, opened when needed.
 * Without a loop everything happens inline.
 *
 * Errors    As in db.h; ERR_CONFLICT also for a file that is not a database of agentd. */
#pragma once
#include "store/db.h"
#include "store/reserve.h"

struct db_settings {
    const char *path;
    int group_jobs_max, queue_max, readers;
    int64_t checkpoint_pages; /* of the write-ahead log */
    struct reserve *reserve;  /* null: none */
};

/* Open the connection that writes; the file is made (mode 0600) if it is missing. */
struct err db_open(struct ctx *, const struct db_settings *, struct db **out) MUST_CHECK;

/* Between db_open and db_start the schema is made or moved on: a transaction that other processes wait for. */
struct err db_begin(struct ctx *, struct db *) MUST_CHECK;
struct err db_script(struct ctx *, struct db *, const char *sql) MUST_CHECK; /* several statements */
struct err db_commit(struct ctx *, struct db *) MUST_CHECK;
void db_rollback(struct db *);
/* A read by the connection that writes: what the open transaction sees. */
struct err db_read_inside(struct ctx *, struct db *, const char *sql, struct args, struct rows *) MUST_CHECK;
struct err db_write_inside(struct ctx *, struct db *, const char *sql, struct args) MUST_CHECK;
bool db_has_table(struct db *, const char *name);

/* From here on db_read and db_write serve. */
struct err db_start(struct ctx *, struct db *) MUST_CHECK;
/* Several batches as one group, inline: what the writer's thread does with what waits. Each
 * outcome stands by itself. Only for a database without a loop. */
void db_write_together(struct ctx *, struct db *, struct batch *const *, int count, struct err *outcomes);
/* All rows as they are at one moment, into another file, which must be empty; others write meanwhile. Not synced. Only for a
 * database without a loop. */
struct err db_copy(struct ctx *, struct db *, const char *path) MUST_CHECK;
/* How many statements wait for a group to ride on. */
int db_riding(struct db *);
/* Write what still rides, in a group of its own. */
struct err db_flush(struct ctx *, struct db *) MUST_CHECK;
/* Give pages that nothing is in back to the file system: one bounded step in a group of its own, when there are enough of them
 * to be worth it and nobody waits to write. The last step copies the log back whole, and the files are shorter.
 * *is_more: there is another step to do. */
struct err db_shrink(struct ctx *, struct db *, bool *is_more) MUST_CHECK;
/* What still rides is dropped: db_flush first. */
void db_close(struct db *);
