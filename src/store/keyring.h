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
 * A new slot gets its row in `slot` first (free), so that none is forgotten by a crash.
 *
 * Threads   Loop's thread; overwriting and syncing happen on a worker, many destroys in one sync.
 * Memory    Keys live in one mlocked region that no core dump holds.
 * Errors    ERR_BUSY (no filled slot at the moment), ERR_IO, ERR_FULL. */
#pragma once
#include "base/str.h"
#include "io/ctx.h"

struct keyring;
struct batch;

/* A key in the locked region. secret_drop() wipes it and gives its cell back. Zero is none. When all
 * cells are lent (there are more than runs), `key` is null and the slot is unwrapped for each use. */
struct secret {
    unsigned char *key; /* 32 bytes */
    int64_t slot;
};

/* Take a filled slot for a new owner. Adds the statement that claims it to the batch. If that
 * batch is not committed, give it back with keyring_untake (it is erased like a deleted one). */
struct err keyring_take(struct ctx *, struct keyring *, struct batch *, int64_t *slot, struct secret *out) MUST_CHECK;
void keyring_untake(struct keyring *, int64_t slot);
/* The key in a slot: for the owner that the database names. Does not wait. */
struct err keyring_key(struct keyring *, int64_t slot, struct secret *out) MUST_CHECK;
/* The 32 bytes, perhaps in `room`, which the caller wipes; null: the slot does not open. */
const unsigned char *secret_bytes(const struct keyring *, const struct secret *, unsigned char room[32]);
void secret_drop(struct keyring *, struct secret *);
/* Overwrite the slots and sync. They must be `erasing` on disk. Cannot be cancelled once it began. Frees them by a
 * statement that rides on a later commit. When it fails, ask again (nobody else does, before the next start): until it has
 * succeeded the keys may open; afterwards never ask again, the slots may be somebody's. */
struct err keyring_destroy(struct ctx *, struct keyring *, const int64_t *slots, int count) MUST_CHECK;

/* ---- for store/store.c ---------------------------------------------------------------- */
struct db;
struct ring; /* the file, open: store/ring.h */
enum { KEYRING_FILL_MAX = 4096 };
/* Takes over the ring (closes it in the end). Slots up to `top` have rows in the database; those above are given to us. `pool` =
 * how many filled slots to keep. Nothing is filled yet: keyring_tend. */
struct err keyring_open(struct ctx *, struct db *, struct ring *, int pool, int64_t top, struct keyring **out) MUST_CHECK;
void keyring_close(struct keyring *);
/* Is there anything to do for keyring_tend? */
bool keyring_wants(const struct keyring *);
/* Fill the pool, erase what was untaken. One at a time. The caller is a fiber that does this for as long as the
 * keyring lives (then takers wait for it), or nobody (then takers do it themselves). */
struct err keyring_tend(struct ctx *, struct keyring *) MUST_CHECK;
struct err keyring_erase_untaken(struct ctx *, struct keyring *) MUST_CHECK; /* that part of it alone */
/* Wait until there is something to tend, at most `ms`. From now on takers wait for whoever called. */
struct err keyring_wait(struct ctx *, struct keyring *, int64_t ms) MUST_CHECK;
/* Destroy what a crash left `erasing`. */
struct err keyring_sweep(struct ctx *, struct keyring *) MUST_CHECK;
