/* io/loop.h: run queue, timers and readiness. One process is one loop (libuv).
 *
 * Threads   Everything here belongs to the thread that runs the loop, except
 *           loop_post(). Callbacks (timer, watch, post) run on the loop's own stack:
 *           they must not wait; they open gates and return.
 * Time      Timers follow clock_mono_ms(), so tests that freeze the clock move them
 *           with loop_test_advance().
 * Checks    A watchdog counts slices over 10 ms: loop_slow_slices(). */
#pragma once
#include "io/ctx.h"
#include "io/scope.h"

/* Make a loop, run fn(arg) as its first fiber, and return when that fiber and
 * everything in its scope has ended. */
struct err loop_run(fiber_fn *fn, void *arg) MUST_CHECK;

typedef void loop_fn(void *arg);
/* From any thread: run fn(arg) on the loop soon. Posts from one thread keep their order. */
void loop_post(struct loop *, loop_fn *fn, void *arg);

struct timer { /* the owner keeps it until it fired or was stopped; zero is a stopped one */
    struct loop *loop;
    int64_t due_ms;
    int heap_at;    /* 0 = not set */
    uint64_t order; /* among those due at the same moment: as they were set */
    loop_fn *fn;
    void *arg;
};
void timer_set(struct loop *, struct timer *, int64_t due_ms, loop_fn *fn, void *arg); /* set again moves it */
void timer_stop(struct timer *);

struct deferred { /* the owner keeps it until it ran or was undeferred; zero is one that is not set */
    struct deferred *next, *previous; /* next null: not set */
    loop_fn *fn;
    void *arg;
};
/* Run fn(arg) once after the fibers that can run now have run, before the loop polls again: what
 * they said together leaves together. While it is set, setting it again changes nothing. */
void loop_defer(struct loop *, struct deferred *, loop_fn *fn, void *arg);
void loop_undefer(struct deferred *); /* it will not run; harmless when not set */

enum { WATCH_READ = 1, WATCH_WRITE = 2 };
/* Readiness of one descriptor. Level-triggered; cheap to leave armed. */
struct watch;
typedef void watch_fn(void *arg, int events); /* events may hold both on an error of the socket */
struct watch *watch_open(struct loop *, int fd, watch_fn *fn, void *arg) MUST_CHECK; /* null: no memory */
void watch_want(struct watch *, int events);   /* 0 = none for now; no system call if nothing changes */
void watch_close(struct watch *);              /* before the descriptor is closed; no callback afterwards */

/* SIGTERM, SIGINT and the like, as callbacks on the loop. */
struct err loop_on_signal(struct loop *, int signal, loop_fn *fn, void *arg) MUST_CHECK;

void loop_test_advance(struct loop *, int64_t ms); /* with a frozen clock: move it, fire what is due */
/* What this slice did so far was meant to take its time (a start, before anybody is served): it is not called slow. */
void loop_pardon(struct loop *);
int64_t loop_slow_slices(const struct loop *);

/* For the debug page: every parked fiber, what it waits for and since when (monotonic). */
typedef void loop_fiber_fn(void *arg, const char *note, int64_t since_ms);
void loop_each_fiber(struct loop *, loop_fiber_fn *fn, void *arg);
