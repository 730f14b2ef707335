/* store/sqlite_connection.h: one connection to SQLite, and what it remembers.
 *
 * Statements are prepared once and found again by the address of their constant text.
 * connection_run never leaves one half done: what it found is copied, the statement reset.
 *
 * Threads   One at a time.
 * Memory    Rows and errors go where db.h says; rows are made with arena_try_alloc alone, so an arena
 *           that another thread fills can be taken over. */
#pragma once
#include "store/db.h"

struct sqlite3;
struct prepared;
struct connection {
    struct sqlite3 *handle;
    struct prepared **table; /* open addressing; capacity is a power of two */
    int capacity, count;
};

enum connection_kind { CONNECTION_WRITES, CONNECTION_READS };
/* A connection that writes makes the file (mode 0600) if it is missing. */
struct err connection_open(struct connection *, const char *path, enum connection_kind) MUST_CHECK;
void connection_close(struct connection *);
/* What must one day be run without memory. `sql` lives for ever, as for connection_run. */
struct err connection_prepare(struct connection *, const char *sql) MUST_CHECK;
/* Several statements without values. */
struct err connection_script(struct connection *, const char *sql) MUST_CHECK;
/* One statement to its end. `rows` (may be null) gets what it gives, `changed` (may be null) the number of rows
 * that it changed, or returned. */
struct err connection_run(struct connection *, const char *sql, struct args, struct arena *, struct rows *,
                          int64_t *changed) MUST_CHECK;
/* False also when a failure made SQLite roll the transaction back by itself. */
bool connection_is_inside(const struct connection *);
/* From now on `pages` is set to the length of the write-ahead log by each commit. */
void connection_count_log(struct connection *, int *pages);
/* Copy the log into the database; with `wait_ms` wait so long for readers, so that the log starts anew. Tells how much of the
 * log is left. */
int connection_checkpoint(struct connection *, int wait_ms);
/* The same to the end of the log, which is an empty file then, if no reader is in the way for so long. */
void connection_empty_log(struct connection *, int wait_ms);
