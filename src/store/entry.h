/* store/entry.h: rows of the journal.
 *
 * Numbers rise in the order of commits: draw one (store_number) and hand the batch to db_write with
 * no wait between.
 *
 * Memory    In cx->arena. Errors: those of store/db.h and store/seal.h; a stale lease is ERR_CONFLICT. */
#pragma once
#include "model/entry.h"
#include "store/store.h"

struct err store_entry_insert(struct ctx *, struct store *, struct batch *, const struct secret *, int64_t org,
                              const struct entry *) MUST_CHECK;
/* Of one task, after a number, oldest first, at most `limit`, opened. Does not wait. */
struct err store_entry_list(struct ctx *, struct store *, const struct secret *, int64_t org, int64_t root, int64_t task,
                            int64_t after, int limit, struct entry **entries, int *count) MUST_CHECK;
/* Of one task, before a number, newest first, at most `limit`, opened. Does not wait. */
struct err store_entry_list_back(struct ctx *, struct store *, const struct secret *, int64_t org, int64_t root,
                                 int64_t task, int64_t before, int limit, struct entry **entries, int *count) MUST_CHECK;
/* Of the whole tree of a root, still sealed (each task has its own key). */
struct err store_entry_list_tree(struct ctx *, struct store *, int64_t org, int64_t root, int64_t after, int limit,
                                 struct entry **entries, int *count) MUST_CHECK;
struct err store_entry_open(struct ctx *, struct store *, const struct secret *, struct entry *) MUST_CHECK;
/* One entry, opened. ERR_NOT_FOUND. Does not wait. */
struct err store_entry_get(struct ctx *, struct store *, const struct secret *, int64_t org, int64_t root, int64_t task,
                           int64_t n, struct entry *out) MUST_CHECK;
