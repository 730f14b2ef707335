/* store/store.h: the rows and keys of one data directory, opened.
 *
 * store_open takes the directory's lock, opens (or makes) the database and the keyring, checks that
 * they belong together, applies migrations, fills a pool of slots, reserves numbers and finishes
 * destroying slots left `erasing` by a crash; nothing else may touch the keyring.
 *
 * Errors    ERR_BUSY: another agentd uses the directory; ERR_DENIED: it may not be written; ERR_CONFLICT: a newer
 *           version's database, or database and keyring do not belong together (the sentence names
 *           the command that accepts it). Each a clear sentence; nothing was changed. */
#pragma once
#include "base/str.h"
#include "io/ctx.h"
#include "store/db.h"
#include "store/keyring.h"
#include "store/seal.h"

struct store_settings {
    struct str directory;       /* made with mode 0700 when missing */
    struct str master_key_file; /* empty: DIR/master.key, made at first start, mode 0600 */
    int group_jobs_max, queue_max, readers, pool_slots;
    int64_t checkpoint_pages;
    int64_t reserve_bytes;      /* kept free for deletes; 0: nothing is */
};
struct store {
    struct db *db;
    struct keyring *keyring;
    char installation[40]; /* uuid */
};
struct err store_open(struct ctx *, const struct store_settings *, struct store **out) MUST_CHECK;
void store_close(struct ctx *, struct store *);
/* The next number (task.n, entry.n, …): rises over the installation, never used twice. Does not wait. */
int64_t store_number(struct store *);

/* For commands beside a running server: the database alone, without the keyring or the lock. Makes the
 * directory and the schema if they are missing. `loop` of the ctx may be null; db_write works inline. */
struct err store_open_rows(struct ctx *, const struct store_settings *, struct store **out) MUST_CHECK;

/* `agentd keyring rotate`: every key is wrapped with a new master key: the one in `file`, or, when that is empty and the old one
 * is DIR/master.key, a new one there. Not beside a running server (ERR_BUSY). After a crash the keyring opens with the old
 * key or with the new one, and the next start puts the rest in order. */
struct err store_keyring_rotate(struct ctx *, const struct store_settings *, struct str file) MUST_CHECK;

/* `agentd keyring accept`: take database and keyring as they are for a pair, or, where the keyring is missing, go on with an
 * empty one. What the one does not know of the other is lost. Not beside a running server (ERR_BUSY). */
struct err store_keyring_accept(struct ctx *, const struct store_settings *) MUST_CHECK;
