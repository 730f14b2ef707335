/* tests/store/power.h: a disk whose power can be cut at each sync.
 *
 * Stands under SQLite (as its VFS) and under store/disk.h. Files are real, so everything runs as usual, but
 * no sync reaches the system: instead we remember what was written since the last one, names of files
 * too, and can tell what would be left of it all. Only what lies under the recorded directory counts.
 *
 * What a power cut leaves of writes that were not synced: nothing, everything, some sectors (512
 * bytes) of them, or these with one sector torn: its beginning new, the rest old. A file may have grown
 * without its bytes. Of names that were not synced, as many as it likes. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum power_left { LEFT_NONE, LEFT_ALL, LEFT_SOME, LEFT_TORN, LEFT_KINDS };

struct world; /* everything on the disk, and what is not synced of it */

/* Record what happens under `top`; it is filled with what is in the world (null: empty). on_cut runs
 * at each sync, before it takes effect. */
void power_on(const char *top, const struct world *, void (*on_cut)(void *), void *arg);
/* From now on nothing is recorded, and nothing synced. */
void power_off(void);
/* What a cut at this moment would leave. The same seed leaves the same. */
struct world *power_cut(enum power_left, uint64_t seed);
/* All is as it is now, synced or not: what the death of the process alone leaves. */
struct world *power_kill(void);
void world_free(struct world *);
/* An empty directory in memory where there is one: nothing here needs a real disk, and thousands of files are
 * made. The one before is removed. */
const char *power_dir(void);
/* As real files under `top`. */
void world_write(const struct world *, const char *top);
/* What lies under `top`, all of it synced: directories of one level, without SQLite's shared memory and sockets. */
struct world *world_read(const char *top);

/* Make the n-th write (or sync, or truncation) from now fail, once, with this errno; 0 takes it back. */
void power_fail_at(int64_t nth, int error_number);
/* fn(arg, n) before the n-th write or sync takes effect, on whichever thread makes it. Until power_off. */
void power_each_step(void (*fn)(void *, int64_t step), void *arg);
int64_t power_failures(void); /* so far */
int64_t power_steps(void); /* writes and syncs so far */
int64_t power_syncs(void);

/* Make SQLite's n-th allocation from now fail, and all that follow until it is taken back with 0. Gives how many there were
 * since the last call. */
int64_t memory_fail_at(int64_t nth);

/* A small generator of our own, so that a seed means the same on every machine. */
uint64_t power_dice(uint64_t *seed, uint64_t sides);
