/* engine/journal.h: a task's entries, and what is being said now.
 *
 * An entry is on disk before anybody hears of it: entries are added to a batch, the batch is
 * written, and then they are announced, in that order. Numbers are drawn while the batch is put together,
 * and it is handed to the store with no wait between, so that they rise as they are written.
 *
 * Private to engine/. */
#pragma once
#include "engine/registry.h"
#include "store/db.h"

enum { JOURNAL_ENTRIES_MAX = 8 };
/* One commit of a run. */
struct journal {
    struct run *run;
    struct batch *batch;
    struct entry entries[JOURNAL_ENTRIES_MAX];
    int entries_count;
    int64_t at;            /* the time of its entries; 0: now */
};
struct journal journal_new(struct ctx *, struct run *);
/* Add an entry; gives its number. Body is borrowed until journal_write returns. */
struct err journal_add(struct ctx *, struct journal *, enum entry_kind, struct str body, int64_t *n) MUST_CHECK;
/* Write it all, then announce the entries. ERR_CONFLICT: the lease is somebody else's. Cannot be cancelled. */
struct err journal_write(struct ctx *, struct journal *) MUST_CHECK;

/* Entries that were written: followers and waiters go on. */
void journal_announce(struct tree *, const struct entry *entries, int count);

/* The turn that is being said. */
void speech_begin(struct run *);
void speech_add(void *run, struct str piece); /* an llm_say_fn */
void speech_end(struct run *);
