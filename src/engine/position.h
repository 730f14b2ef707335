/* engine/position.h: where a reader of a journal stands; the `id:` of an event.
 *
 * "T-N-K", then "_S-O" for each model turn that is being said: task T (its n: a position from before a
 * delete means nothing to a task that reuses the id), K events of entry N and all of the entries before it,
 * and of model turn S the first O bytes of its text, which end between two characters. So a reader that saw half
 * a turn as chunks gets the other half, whether the turn is still being said or was written down long ago.
 * Numbers are decimal. It rises along one stream.
 *
 * Pure. */
#pragma once
#include "base/str.h"

enum { POSITION_LIVE_MAX = 64, POSITION_BYTES_MAX = 8192 };
struct position_live {
    int64_t step, bytes;
};
struct position {
    int64_t task, n, events;
    int live_count;
    struct position_live *live; /* the owner's, room for POSITION_LIVE_MAX */
};
/* False: not a position. `out->live` must have room. */
bool position_read(struct str, struct position *out);
void position_write(struct buf *, const struct position *);
/* How many bytes of a model turn were seen; setting 0 forgets it. */
int64_t position_seen(const struct position *, int64_t step);
void position_see(struct position *, int64_t step, int64_t bytes);
