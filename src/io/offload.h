/* io/offload.h: what must block does it on another thread.
 *
 * offload() runs one function on libuv's pool. A worker is a thread of its own
 * with a queue, which takes all that is waiting at once: that is how one sync
 * serves everybody who waits for one (group commit).
 *
 * Threads   The function runs on another thread: it touches only what it was
 *           given, never a ctx, an arena in use or the loop.
 * Time      Neither can be cancelled: the waiter waits for the outcome, because what
 *           it lent to the other thread must stay where it is.
 * Errors    What the function returned. ERR_BUSY: more than the bound are queued. */
#pragma once
#include "io/ctx.h"

typedef struct err offload_fn(void *arg);
struct err offload(struct ctx *, offload_fn *fn, void *arg) MUST_CHECK;

struct job { /* embedded in what the worker is to do; the submitter's until worker_do returns */
    struct job *next;
    struct err outcome; /* written by the worker's function */
};
/* Runs on the worker's thread with everything that was queued, oldest first, at most
 * `jobs_max` at once. Every job's outcome must be set when it returns. */
typedef void worker_fn(void *self, struct job *jobs);

struct worker;
struct worker *worker_open(struct loop *, const char *name, int jobs_max, worker_fn *fn, void *self) MUST_CHECK; /* null: no thread */
/* Queue the job and wait until it was done. Waiters go on in the order of their jobs. */
struct err worker_do(struct ctx *, struct worker *, struct job *) MUST_CHECK;
/* At most so many queued; more are ERR_BUSY (before this is called: 65,536). */
void worker_bound(struct worker *, int queued_max);
int worker_queued(const struct worker *);
void worker_close(struct worker *); /* what is queued is still done; waits for the thread */
