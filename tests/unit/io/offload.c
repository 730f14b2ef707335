#include "test.h"
#include "io/loop.h"
#include "io/offload.h"
#include "io/wait.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

/* ---- the pool ------------------------------------------------------------------ */

struct errand {
    pthread_t thread;
    int result;
};
static struct err runs_elsewhere(void *arg)
{
    struct errand *e = arg;
    e->thread = pthread_self();
    e->result = 42;
    return err(ERR_FULL, "no room");
}
static struct err sends_an_errand(struct ctx *cx, void *arg)
{
    struct err e = offload(cx, runs_elsewhere, arg);
    return e.code == ERR_FULL ? OK : err(ERR_IO, "another outcome");
}
TEST(an_offloaded_function_runs_on_another_thread_and_its_outcome_comes_back)
{
    struct errand e = {0};
    CHECK_OK(loop_run(sends_an_errand, &e));
    CHECK(e.result == 42 && !pthread_equal(e.thread, pthread_self()));
}

/* Lets go only when the loop's thread says so. */
static atomic_bool may_end;
static struct err holds_on(void *arg)
{
    while (!atomic_load(&may_end)) sched_yield();
    *(int *)arg = 1;
    return OK;
}
static struct err offloads_and_notes(struct ctx *cx, void *arg)
{
    TRY(offload(cx, holds_on, arg));
    return *(int *)arg == 1 ? wait_turn(cx) : err(ERR_IO, "left early");
}
static struct err cancels_the_uncancellable(struct ctx *cx, void *arg)
{
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    TRY(scope_spawn(&inner, offloads_and_notes, arg));
    TRY(wait_turn(cx));
    scope_cancel(&scope);
    for (int i = 0; i < 3; i++) TRY(wait_turn(cx));
    if (*(int *)arg != 0) return err(ERR_IO, "it did not hold on");
    atomic_store(&may_end, true);
    TRY(scope_close(&inner));
    struct ctx again = scope_open(&scope, cx);
    scope_cancel(&scope);
    *(int *)arg = 2;
    struct err e = offload(&again, holds_on, arg);
    TRY(scope_close(&again));
    return e.code == ERR_CANCELLED && *(int *)arg == 2 ? OK : err(ERR_IO, "begun though cancelled");
}
TEST(cancelling_waits_for_what_was_offloaded_and_lets_nothing_begin)
{
    int done = 0;
    atomic_store(&may_end, false);
    CHECK_OK(loop_run(cancels_the_uncancellable, &done));
}

/* ---- a worker ------------------------------------------------------------------ */

enum { CALLS_MAX = 64, JOBS_MAX = 256 };
struct deed {
    struct job job; /* first: a job is its deed */
    int number;
};
struct office {
    struct worker *worker;
    int jobs_max, sizes[CALLS_MAX], calls, seen[JOBS_MAX], seen_count, finished[JOBS_MAX], finished_count;
    atomic_int inside, let_in; /* calls that have begun, and how many may go on */
    bool is_held;
    struct err outcome[JOBS_MAX];
    struct deed deeds[JOBS_MAX];
    int next_deed;
};
static void works(void *self, struct job *jobs)
{
    struct office *o = self;
    int call = atomic_fetch_add(&o->inside, 1);
    while (o->is_held && atomic_load(&o->let_in) <= call) sched_yield();
    for (struct job *j = jobs; j; j = j->next) {
        struct deed *d = (struct deed *)(void *)j;
        o->seen[o->seen_count++] = d->number;
        o->sizes[o->calls]++;
        j->outcome = d->number % 10 == 9 ? err(ERR_CONFLICT, "a nine") : OK;
    }
    o->calls++;
}
static struct err does_one(struct ctx *cx, void *arg)
{
    struct office *o = arg;
    int number = o->next_deed++;
    struct deed *d = &o->deeds[number];
    d->number = number;
    o->outcome[number] = worker_do(cx, o->worker, &d->job);
    o->finished[o->finished_count++] = number;
    return OK;
}
/* Until the worker is inside its n-th call. */
static struct err until_inside(struct ctx *cx, struct office *o, int n)
{
    while (atomic_load(&o->inside) < n) TRY(wait_turn(cx));
    return OK;
}

static struct err hires(struct ctx *cx, void *arg)
{
    struct office *o = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    o->is_held = true;
    o->worker = worker_open(cx->loop, "worker", o->jobs_max, works, o);
    if (!o->worker) return err(ERR_IO, "no worker");
    TRY(scope_spawn(&inner, does_one, o));
    TRY(until_inside(cx, o, 1)); /* it works on the first: the next ones gather */
    for (int i = 0; i < 25; i++) TRY(scope_spawn(&inner, does_one, o));
    for (int i = 0; i < 3; i++) TRY(wait_turn(cx));
    if (worker_queued(o->worker) != 25) return err(ERR_IO, "they are not queued");
    atomic_store(&o->let_in, CALLS_MAX);
    struct err e = scope_close(&inner);
    worker_close(o->worker);
    return e;
}
TEST(a_worker_takes_all_that_waits_up_to_its_bound_and_keeps_order)
{
    struct office o = {.jobs_max = 10};
    CHECK_OK(loop_run(hires, &o));
    CHECK(o.calls == 4 && o.sizes[0] == 1 && o.sizes[1] == 10 && o.sizes[2] == 10 && o.sizes[3] == 5);
    CHECK(o.seen_count == 26 && o.finished_count == 26);
    for (int i = 0; i < 26; i++) {
        CHECK(o.seen[i] == i && o.finished[i] == i);
        CHECK(o.outcome[i].code == (i % 10 == 9 ? ERR_CONFLICT : ERR_NONE));
    }
}

/* Gives the worker time to run off with what came before. */
static struct err hesitates(struct ctx *cx, void *arg)
{
    struct office *o = arg;
    for (int i = 0; i < 2000 && atomic_load(&o->inside) == 0; i++) sched_yield();
    return does_one(cx, arg);
}
static struct err comes_together(struct ctx *cx, void *arg)
{
    struct office *o = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    o->worker = worker_open(cx->loop, "worker", JOBS_MAX, works, o);
    if (!o->worker) return err(ERR_IO, "no worker");
    for (int i = 0; i < 99; i++) TRY(scope_spawn(&inner, does_one, o));
    TRY(scope_spawn(&inner, hesitates, o));
    struct err e = scope_close(&inner);
    worker_close(o->worker);
    return e;
}
TEST(jobs_that_come_together_are_taken_together)
{
    struct office o = {0};
    CHECK_OK(loop_run(comes_together, &o));
    CHECK(o.calls == 1 && o.sizes[0] == 100);
}

static struct err asks_too_much(struct ctx *cx, void *arg)
{
    struct office *o = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    o->is_held = true;
    o->worker = worker_open(cx->loop, "worker", JOBS_MAX, works, o);
    if (!o->worker) return err(ERR_IO, "no worker");
    worker_bound(o->worker, 2);
    TRY(scope_spawn(&inner, does_one, o));
    TRY(until_inside(cx, o, 1));
    for (int i = 0; i < 3; i++) TRY(scope_spawn(&inner, does_one, o));
    for (int i = 0; i < 3; i++) TRY(wait_turn(cx));
    atomic_store(&o->let_in, CALLS_MAX);
    struct err e = scope_close(&inner);
    worker_close(o->worker);
    return e;
}
TEST(a_worker_with_a_full_queue_is_busy)
{
    struct office o = {0};
    CHECK_OK(loop_run(asks_too_much, &o));
    for (int i = 0; i < 3; i++) CHECK(!failed(o.outcome[i]));
    CHECK(o.outcome[3].code == ERR_BUSY);
}

static struct err cancels_what_is_queued(struct ctx *cx, void *arg)
{
    struct office *o = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    o->is_held = true;
    o->worker = worker_open(cx->loop, "worker", JOBS_MAX, works, o);
    if (!o->worker) return err(ERR_IO, "no worker");
    TRY(scope_spawn(&inner, does_one, o));
    TRY(until_inside(cx, o, 1));
    TRY(scope_spawn(&inner, does_one, o));
    TRY(wait_turn(cx));
    scope_cancel(&scope);
    TRY(scope_spawn(&inner, does_one, o)); /* too late to begin */
    TRY(wait_turn(cx));
    atomic_store(&o->let_in, CALLS_MAX);
    struct err e = scope_close(&inner);
    worker_close(o->worker);
    return e;
}
TEST(a_job_once_queued_is_done_though_its_scope_was_cancelled)
{
    struct office o = {0};
    CHECK_OK(loop_run(cancels_what_is_queued, &o));
    CHECK(o.seen_count == 2);
    CHECK(!failed(o.outcome[0]) && !failed(o.outcome[1]) && o.outcome[2].code == ERR_CANCELLED);
}

static struct err closes_before_they_are_done(struct ctx *cx, void *arg)
{
    struct office *o = arg;
    o->worker = worker_open(cx->loop, "worker", JOBS_MAX, works, o);
    if (!o->worker) return err(ERR_IO, "no worker");
    for (int i = 0; i < 5; i++) TRY(scope_spawn(cx, does_one, o));
    TRY(wait_turn(cx));
    worker_close(o->worker);
    return OK;
}
TEST(closing_a_worker_does_what_is_queued_and_answers)
{
    struct office o = {0};
    CHECK_OK(loop_run(closes_before_they_are_done, &o));
    CHECK(o.seen_count == 5 && o.finished_count == 5);
}
