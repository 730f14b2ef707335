/* io/ctx.h: what a function needs in order to wait.
 *
 * A function may wait only if its first argument is a `struct ctx *`. Where you
 * see `cx` in a call, the world may have changed when it returns; where you do
 * not, it cannot have: that is the lock of the whole program.
 *
 * Memory    A ctx is a local of some function; `arena` belongs to the fiber
 *           (or to whoever opened it), results are made there.
 * Time      `deadline_ms` is monotonic, as from clock_mono_ms(); 0 = none. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include <stdint.h>

struct loop;
struct scope;
struct fiber;

struct ctx {
    struct loop *loop;
    struct scope *scope; /* whose cancelling ends this context's waits */
    struct fiber *fiber; /* the fiber that runs this code */
    struct arena *arena;
    int64_t deadline_ms;
};
