/* io/timers.h: the timers of one loop, the earliest first. Pure: told what time it is.
 *
 * For the files of this folder only. A binary heap of pointers to timers that others own;
 * each knows its place, so that one in the middle is stopped without a search. */
#pragma once
#include "io/loop.h"

struct timers {
    struct timer **heap; /* from [1] on; [0] is not used */
    int count, capacity;
    uint64_t order;
};
void timers_put(struct timers *, struct timer *);  /* one that is not set; its due_ms, fn, arg are */
void timers_take(struct timers *, struct timer *); /* one that is set */
/* When the earliest is due; false: there is none. */
bool timers_next(const struct timers *, int64_t *due_ms);
/* Call what is due by now_ms, in order. What is set meanwhile waits for the next call. */
void timers_fire(struct timers *, int64_t now_ms);
void timers_free(struct timers *);
