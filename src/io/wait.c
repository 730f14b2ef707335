#include "io/wait.h"
#include "io/strand.h"
#include "io/waiter.h"
#include "base/clock.h"
#include <assert.h>

static struct err cancelled(void) { return err(ERR_CANCELLED, "this was cancelled"); }
static struct err timeout(void) { return err(ERR_TIMEOUT, "the time for this was over"); }

/* *now_ms is set when there is a deadline: the clock is read no more often than needed. */
static struct err may_begin(struct ctx *cx, int64_t *now_ms)
{
    assert(cx->fiber == fiber_self()); /* a context waits on its own fiber; a callback never */
    if (cx->scope->is_cancelled) return cancelled();
    if (!cx->deadline_ms) return OK;
    *now_ms = clock_mono_ms();
    return *now_ms >= cx->deadline_ms ? timeout() : OK;
}

struct err wait_may_begin(struct ctx *cx)
{
    int64_t now_ms;
    return may_begin(cx, &now_ms);
}

/* ---- one wait ---------------------------------------------------------------- */

static void gate_add(struct gate *gate, struct waiter *w)
{
    w->gate = gate;
    w->previous = gate->last;
    *(gate->last ? &gate->last->next : &gate->first) = w;
    gate->last = w;
}

static void gate_remove(struct waiter *w)
{
    struct gate *gate = w->gate;
    *(w->previous ? &w->previous->next : &gate->first) = w->next;
    *(w->next ? &w->next->previous : &gate->last) = w->previous;
}

static void scope_add(struct scope *scope, struct waiter *w)
{
    w->next_in_scope = scope->waiters;
    if (w->next_in_scope) w->next_in_scope->scope_link = &w->next_in_scope;
    w->scope_link = &scope->waiters;
    scope->waiters = w;
}

static void scope_remove(struct waiter *w)
{
    *w->scope_link = w->next_in_scope;
    if (w->next_in_scope) w->next_in_scope->scope_link = w->scope_link;
}

void waiter_end(struct waiter *w, enum err_code code)
{
    if (w->gate) gate_remove(w);
    scope_remove(w);
    timer_stop(&w->timer);
    w->outcome = code;
    strand_ready(w->loop, w->strand);
}

static void time_is_over(void *arg) { waiter_end(arg, ERR_TIMEOUT); }

/* Wait for the gate (or for time only) until `own_ms` from now (below 0: no bound of its own)
 * or the context's deadline, whichever is earlier. *is_own tells which it was. */
static struct err wait_until(struct ctx *cx, struct gate *gate, int64_t own_ms, const char *what, bool *is_own)
{
    *is_own = false;
    int64_t now_ms = 0, due_ms = cx->deadline_ms;
    TRY(may_begin(cx, &now_ms));
    struct waiter w = {.strand = strand_of(cx), .loop = cx->loop};
    if (own_ms >= 0) {
        if (!due_ms) now_ms = clock_mono_ms();
        if (!due_ms || own_ms <= due_ms - now_ms) {
            *is_own = true;
            due_ms = now_ms + own_ms;
        }
        if (own_ms == 0) return timeout();
    }
    if (due_ms) timer_set(cx->loop, &w.timer, due_ms, time_is_over, &w);
    if (gate) gate_add(gate, &w);
    scope_add(cx->scope, &w);
    strand_park(cx, what);
    if (w.outcome == ERR_NONE) return OK;
    return w.outcome == ERR_CANCELLED ? cancelled() : timeout();
}

/* ---- the waits of the header --------------------------------------------------- */

struct err gate_wait(struct ctx *cx, struct gate *gate, const char *what)
{
    bool is_own;
    return wait_until(cx, gate, -1, what, &is_own);
}

struct err gate_wait_ms(struct ctx *cx, struct gate *gate, int64_t ms, const char *what)
{
    bool is_own;
    return wait_until(cx, gate, ms, what, &is_own);
}

void gate_open(struct gate *gate)
{
    while (gate->first) waiter_end(gate->first, ERR_NONE);
}

bool gate_is_waited_for(const struct gate *gate) { return gate->first; }

struct err wait_ms(struct ctx *cx, int64_t ms)
{
    if (ms <= 0) return wait_turn(cx);
    bool is_own;
    struct err e = wait_until(cx, NULL, ms, "wait_ms", &is_own);
    return e.code == ERR_TIMEOUT && is_own ? OK : e;
}

/* Queued like a waiter whose time has come, so that it cannot be cancelled any more. */
struct err wait_turn(struct ctx *cx)
{
    TRY(wait_may_begin(cx));
    strand_ready(cx->loop, strand_of(cx));
    strand_park(cx, "wait_turn");
    return cx->scope->is_cancelled ? cancelled() : OK;
}
