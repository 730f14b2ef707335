/* io/waiter.h: one wait that can be cancelled, on the stack of the fiber that waits.
 *
 * For the files of this folder only. It stands in up to three places at once (a gate, its
 * scope, the timers); whatever ends it first takes it out of all of them. */
#pragma once
#include "io/loop.h"
#include "io/wait.h"

struct strand;
struct waiter {
    struct strand *strand;
    struct loop *loop;
    struct gate *gate; /* null: waits for time only */
    struct waiter *next, *previous;            /* in the gate */
    struct waiter *next_in_scope, **scope_link; /* in the scope */
    struct timer timer;
    enum err_code outcome;
};

/* What every wait asks first: is the scope cancelled, has the deadline passed? */
struct err wait_may_begin(struct ctx *) MUST_CHECK;

/* The wait is over: the fiber will run, and its wait returns `code`. */
void waiter_end(struct waiter *, enum err_code code);
