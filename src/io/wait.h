/* io/wait.h: the waits that all others are made of.
 *
 * gate: fibers wait in front of it until somebody opens it for a moment. There is
 * no memory in a gate: check your condition, wait, check again. Because nobody
 * else runs between a check and the wait, no opening is ever missed.
 *
 * Threads   All of this belongs to the loop's thread.
 * Errors    Every wait: ERR_CANCELLED (the scope was cancelled), ERR_TIMEOUT
 *           (the context's deadline passed). */
#pragma once
#include "io/ctx.h"

struct waiter;
struct gate {
    struct waiter *first, *last;
};
/* Wait until gate_open() is called on it. `what` is a literal for the debug page. */
struct err gate_wait(struct ctx *, struct gate *, const char *what) MUST_CHECK;
/* As above, but give up after `ms` with ERR_TIMEOUT (0: at once; below 0: no bound of its own). */
struct err gate_wait_ms(struct ctx *, struct gate *, int64_t ms, const char *what) MUST_CHECK;
/* Every fiber that waits now becomes runnable, in the order in which they came.
 * None runs before the caller next waits or returns to the loop. */
void gate_open(struct gate *);
bool gate_is_waited_for(const struct gate *);

/* Sleep on the loop's clock. */
struct err wait_ms(struct ctx *, int64_t ms) MUST_CHECK;
/* Let everybody else who can run do so once. */
struct err wait_turn(struct ctx *) MUST_CHECK;
