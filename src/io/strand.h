/* io/strand.h: what loop, scope, wait and offload know of a fiber that has a scope.
 *
 * For the files of this folder only. A strand is a fiber with its arena, its place in
 * the scope that started it and its place in the run queue; whoever parks one says
 * first, somewhere, who will call strand_ready().
 *
 * Threads   The loop's, except for loop_post_node(). */
#pragma once
#include "io/fiber.h"
#include "io/loop.h"
#include "io/scope.h"

struct strand {
    struct fiber *fiber;
    struct scope *scope;            /* that started it */
    struct strand *next, **link;    /* in scope->strands */
    struct strand *next_ready;      /* in the run queue */
    bool is_ready;
    int64_t since_ms;               /* parked since */
    struct arena arena;
    int64_t deadline_ms;
    fiber_fn *fn;
    void *arg;
};

static inline struct strand *strand_of(const struct ctx *cx) { return fiber_arg(cx->fiber); }

/* Run it soon, after those that were made ready before. */
void strand_ready(struct loop *, struct strand *);
/* The running strand stops until somebody calls strand_ready(). Nothing cancels this. */
void strand_park(struct ctx *, const char *what);

/* loop_post() without a malloc: the node is the caller's until fn runs, and is not
 * touched any more by then. */
struct post {
    struct post *next;
    loop_fn *fn;
    void *arg;
};
void loop_post_node(struct loop *, struct post *);

/* Around what libuv calls on our behalf, for the watchdog; `what` came after the slice, a literal. */
void slice_begins(struct loop *);
void slice_ends(struct loop *, const char *what);

/* For the offloaded: libuv's own loop, and how many of them are out. */
struct uv_loop_s *loop_uv(struct loop *);
int *loop_offloaded(struct loop *);

/* The scope of a loop's first fiber. */
void scope_open_root(struct scope *, struct loop *);
/* Every scope below `top`, after it: s = top; then s = scope_next(s, top) until null. */
struct scope *scope_next(struct scope *s, const struct scope *top);
struct err scope_close_root(struct scope *); /* nothing runs any more: run its clean-ups */
