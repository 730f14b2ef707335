/* io/scope.h: fibers that start together end together.
 *
 * A scope owns fibers and clean-up actions. scope_close() returns only when
 * every fiber in it has ended, so nothing that a scope started can outlive
 * the function that opened it, and a fiber may borrow its parent's locals.
 *
 * Threads   One loop owns a scope for life. No call here is thread-safe.
 * Memory    The caller owns `struct scope`; it is usually a local. Fibers
 *           take their stacks from the loop's pool and give them back. Each
 *           fiber has an arena of its own, freed when it ends: what its parent
 *           needs from it goes into the parent's arena, named in `arg`.
 * Time      Deadlines are monotonic milliseconds, as from clock_mono_ms(). A
 *           scope's deadline bounds every wait in it and below it.
 * Errors    The first fiber to fail cancels its siblings; scope_close()
 *           returns that first error. ERR_CANCELLED is never the first. */
#pragma once
#include "base/err.h"
#include "io/ctx.h"

typedef struct err fiber_fn(struct ctx *, void *arg);
typedef void cleanup_fn(void *arg);

struct strand;
struct waiter;
struct cleanup { /* usually a local of whoever opened the scope */
    cleanup_fn *fn;
    void *arg;
    struct cleanup *older;
};
struct scope {
    struct loop *loop;
    struct scope *parent;
    struct scope *first_child, *next_sibling, **link; /* so that cancelling walks down */
    struct cleanup *cleanups;
    struct strand *strands;    /* the fibers that this scope started */
    struct strand *closer;     /* the one that waits in scope_close() */
    struct waiter *waiters;    /* who waits under this scope: cancelling ends them */
    int fibers_count;
    bool is_cancelled, is_shielded;
    struct err first;          /* the first failure of a fiber; its sentence is on the heap */
};

/* Open `scope` under the context's own scope. Cannot fail. */
struct ctx scope_open(struct scope *scope, struct ctx *parent);
/* As above, but cancelling the parents does not reach it: for final writes.
 * `budget_ms` is the time it has; 0 = no bound. */
struct ctx scope_open_shielded(struct scope *scope, struct ctx *parent, int64_t budget_ms);

/* Start fn(arg) as a fiber of the scope. It first runs when the caller next waits.
 * `arg` is borrowed until scope_close(). ERR_LIMIT: the loop has no stack to lend. */
struct err scope_spawn(struct ctx *, fiber_fn *fn, void *arg) MUST_CHECK;

/* Run when the scope closes, newest first. Register what is not memory on the
 * line after it was acquired. `cleanup` is borrowed until scope_close(). */
void scope_defer(struct ctx *, struct cleanup *cleanup, cleanup_fn *fn, void *arg);

/* Every wait in this scope and below, now and later, returns ERR_CANCELLED.
 * Does not wait; the fibers run when the caller next does. Twice is harmless. */
void scope_cancel(struct scope *scope);

/* Wait for all fibers (cancelled or not), then run clean-ups in reverse order. */
struct err scope_close(struct ctx *) MUST_CHECK;
