/* store/ring.h: the file DIR/keyring: a header and slots, each a wrapped key.
 *
 * The header stands twice, in sectors of its own, and is written in turns, so that one torn by a power
 * cut leaves the other. It carries the installation's id and a stamp, raised at each start here
 * and in the database: a number, and chance, so that two histories that count alike are told apart.
 * A slot's number times 64 is its place in the file. A key is wrapped with a key of the
 * master's, bound to installation and slot, so that damage is told from erasure.
 *
 * Threads   ring_overwrite may run on another thread than the rest.
 * Errors    As in disk.h; ERR_CONFLICT: not with this master key, or damaged. */
#pragma once
#include "base/str.h"
#include "store/cells.h"

enum { RING_SLOT_BYTES = 64, RING_SLOT_FIRST = 16 };
struct ring_stamp {
    int64_t number; /* 0 = none */
    uint64_t chance;
};
struct ring {
    int fd;
    char installation[40];
    struct ring_stamp stamp;
    unsigned char *wrapping, *signing; /* in cells */
    struct cells *cells;
};

bool ring_exists(const char *path);
/* Master key: 32 bytes, borrowed. */
struct err ring_open(struct ring *, const char *path, struct cells *, const unsigned char *master) MUST_CHECK;
/* A new one without slots, whole or not there at all; its name lasts after disk_sync_directory. */
struct err ring_make(struct ring *, const char *path, struct cells *, const unsigned char *master, const char *installation,
                     struct ring_stamp) MUST_CHECK;
void ring_close(struct ring *);
/* Not on disk before the next ring_overwrite or ring_sync. */
struct err ring_raise(struct ring *, struct ring_stamp) MUST_CHECK;
struct err ring_sync(const struct ring *) MUST_CHECK;
/* A fresh random key into each slot; not synced. */
struct err ring_overwrite(const struct ring *, const int64_t *slots, int count) MUST_CHECK;
/* Every key of one file into another one of the same installation, wrapped with its master key; synced. A slot that does not open
 * becomes a fresh one. */
struct err ring_copy(const struct ring *from, const struct ring *to) MUST_CHECK;
bool ring_unwrap(const struct ring *, int64_t slot, unsigned char key[32]) MUST_CHECK;

struct ring_stamp ring_stamp_next(struct ring_stamp);
char *ring_stamp_text(struct arena *, struct ring_stamp);
bool ring_stamp_is(struct ring_stamp, struct str text);
