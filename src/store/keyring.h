/* store/keyring.h: one secret per task, agent and organisation, in fixed slots.
 *
 * DIR/keyring is a header and 64-byte slots, each a random 256-bit key wrapped with the
 * master key. Content is sealed with its owner's key; destroying the key (one overwrite with a
 * fresh random key, and a sync) turns every copy of that content into noise.
 * Four calls, so that one keyring can serve a whole site later: take, open, destroy, sync.
 *
 * The life of a slot: free -> (the commit that makes its owner deletes its row in table `slot`) -> in
 * use -> (the commit that deletes its owner inserts it as `erasing`) -> overwritten and synced ->
 * (a later commit makes it `free`). Only that last commit frees it. A process hands out only
 * slots that it filled itself.
 *
 * Threads   Loop's thread; overwriting and syncing happen on a worker, many destroys in one sync.
 * Memory    Keys live in one mlocked region that no core dump holds.
 * Errors    ERR_BUSY (no filled slot at the moment), ERR_IO, ERR_FULL. */
#pragma once
#include "base/str.h"
#include "io/ctx.h"

struct keyring;
struct batch;

/* A key in the locked region. secret_drop() wipes it and gives its cell back. Zero is none. */
struct secret {
    unsigned char *key; /* 32 bytes */
};

/* Take a filled slot for a new owner. Adds the statement that claims it to the batch. If that
 * batch is not committed, give it back with keyring_untake (it is erased like a deleted one). */
struct err keyring_take(struct ctx *, struct keyring *, struct batch *, int64_t *slot, struct secret *out) MUST_CHECK;
void keyring_untake(struct keyring *, int64_t slot);
/* The key in a slot: for the owner that the database names. Does not wait. */
struct err keyring_key(struct keyring *, int64_t slot, struct secret *out) MUST_CHECK;
void secret_drop(struct keyring *, struct secret *);
/* Overwrite the slots and sync. They must be `erasing` on disk. Cannot be cancelled. Frees them by a
 * statement that rides on a later commit. */
struct err keyring_destroy(struct ctx *, struct keyring *, const int64_t *slots, int count) MUST_CHECK;
