/* store/rotation.h: a new master key for the keyring.
 *
 * 1. The new key stands in master.key.next, the slots wrapped with it in keyring.next; both are on the disk.
 * 2. The old file gets a second name, keyring.old, so that it can still be overwritten.
 * 3. keyring.next becomes keyring. From here on the new key counts.
 * 4. master.key.next becomes master.key.
 * 5. keyring.old is overwritten, and its name goes.
 *
 * Whoever takes the directory's lock next finishes what a crash left of this: forward after 3, back before it. A master key that
 * the operator keeps elsewhere is not ours to make or move: then 1 and 4 are about the keyring alone. */
#pragma once
#include "base/err.h"

struct ring;
struct cells;
struct rotation {
    const char *directory, *keyring;
    const char *master; /* null: kept elsewhere */
    struct cells *cells;
};
/* `from` is the open keyring. `key`: the new master key, 32 bytes, borrowed; null: one is made. */
struct err rotation_make(const struct rotation *, const struct ring *from, const unsigned char *key) MUST_CHECK;
/* Nothing, when there was no crash. */
struct err rotation_finish(const struct rotation *) MUST_CHECK;
