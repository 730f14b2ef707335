#include "io/loop.h"
#include "io/fiber.h"
#include "io/strand.h"
#include "io/timers.h"
#include "io/watches.h"
#include "base/clock.h"
#include "base/log.h"
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

enum {
    SLICE_MS_MAX = 10,
    SLOW_LOG_MS = 1000, /* at most one line about slow slices in this time */
    /* Fibers that wake each other go on for so many rounds, or so long, before we look at the
     * sockets again: each look is a system call, but nobody may starve them. */
    ROUNDS_MAX = 16,
    ROUNDS_US_MAX = 2000,
};

struct loop {
    uv_loop_t uv;
    struct scope root;
    int offloaded;

    /* Who can run, oldest first. */
    struct strand *ready, *ready_last;
    struct deferred deferred; /* head and end of a ring */
    struct timers timers;
    struct watches watches;
    struct signal_handler *signals;

    uv_timer_t alarm;      /* for the earliest timer */
    int64_t alarm_due_ms;  /* 0: not set */

    /* From other threads. They wake the loop only while it sleeps, or is about to: it says
     * so before it looks at the queue for the last time. An eventfd of our own, because the
     * receiver of a uv_async spins until its sender, whom the write may have put off the processor, is
     * out of the call. */
    int wake_fd;
    struct watch *wake;
    atomic_bool may_sleep, has_posts;
    atomic_int posters; /* who is in loop_post(): the loop ends after them */
    pthread_mutex_t lock;
    struct post *posts, *posts_last;

    int64_t slice_begun_us;
    int64_t slow_slices, slow_logged_us;
};

uv_loop_t *loop_uv(struct loop *loop) { return &loop->uv; }
int *loop_offloaded(struct loop *loop) { return &loop->offloaded; }
struct watches *loop_watches(struct loop *loop) { return &loop->watches; }

/* ---- the run queue ------------------------------------------------------------- */

/* The clock is read once per slice: the end of one is the beginning of the next. */
void slice_begins(struct loop *loop)
{
    if (loop->slice_begun_us) return;
    atomic_store(&loop->may_sleep, false); /* it has woken up: no need to wake it */
    loop->slice_begun_us = clock_mono_us();
}

static void note_slow(struct loop *loop, const char *what, int64_t slice_us)
{
    loop->slow_slices++;
    if (loop->slow_logged_us && loop->slice_begun_us - loop->slow_logged_us < SLOW_LOG_MS * 1000) return;
    loop->slow_logged_us = loop->slice_begun_us;
    log_event(EVENT_loop_slow_slice, LOG_NUM("ms", slice_us / 1000), LOG_WORD("then", what), LOG_NUM("count", loop->slow_slices));
}

void slice_ends(struct loop *loop, const char *what)
{
    int64_t slice_us = -loop->slice_begun_us;
    loop->slice_begun_us = clock_mono_us();
    slice_us += loop->slice_begun_us;
    if (slice_us > SLICE_MS_MAX * 1000) note_slow(loop, what, slice_us);
}

void loop_pardon(struct loop *loop) { loop->slice_begun_us = clock_mono_us(); }

int64_t loop_slow_slices(const struct loop *loop) { return loop->slow_slices; }

void strand_ready(struct loop *loop, struct strand *strand)
{
    assert(!strand->is_ready);
    strand->is_ready = true;
    strand->next_ready = NULL;
    *(loop->ready ? &loop->ready_last->next_ready : &loop->ready) = strand;
    loop->ready_last = strand;
}

void strand_park(struct ctx *cx, const char *what)
{
    struct strand *strand = strand_of(cx);
    strand->since_ms = cx->loop->slice_begun_us / 1000;
    fiber_note(cx->fiber, what);
    fiber_park();
}

/* Whoever can run now, once each; who becomes ready meanwhile stays in the queue. */
static void run_round(struct loop *loop)
{
    struct strand *last = loop->ready_last;
    for (bool more = loop->ready; more;) {
        struct strand *strand = loop->ready;
        more = strand != last;
        loop->ready = strand->next_ready;
        strand->is_ready = false;
        fiber_resume(strand->fiber);
        slice_ends(loop, fiber_has_ended(strand->fiber) ? "end" : fiber_note_of(strand->fiber));
        if (!fiber_has_ended(strand->fiber)) continue;
        fiber_free(strand->fiber);
        free(strand);
    }
}

static bool has_deferred(const struct loop *loop) { return loop->deferred.next != &loop->deferred; }

void loop_defer(struct loop *loop, struct deferred *d, loop_fn *fn, void *arg)
{
    if (d->next) return;
    struct deferred *ring = &loop->deferred;
    *d = (struct deferred){.next = ring, .previous = ring->previous, .fn = fn, .arg = arg};
    d->previous->next = d;
    ring->previous = d;
}

void loop_undefer(struct deferred *d)
{
    if (!d->next) return;
    d->previous->next = d->next;
    d->next->previous = d->previous;
    d->next = NULL;
}

/* What is deferred by these waits for the next time. */
static void run_deferred(struct loop *loop)
{
    if (!has_deferred(loop)) return;
    struct deferred mine = loop->deferred; /* the ring moves over to a head of our own */
    mine.next->previous = mine.previous->next = &mine;
    loop->deferred.next = loop->deferred.previous = &loop->deferred;
    while (mine.next != &mine) {
        struct deferred *d = mine.next;
        loop_undefer(d);
        d->fn(d->arg);
        slice_ends(loop, "deferred");
    }
}

static void run_what_can(struct loop *loop)
{
    int64_t begun_us = loop->slice_begun_us;
    for (int round = 0; round < ROUNDS_MAX && (loop->ready || has_deferred(loop)); round++) {
        if (round > 0 && loop->slice_begun_us - begun_us > ROUNDS_US_MAX) break;
        if (loop->ready) run_round(loop);
        if (!loop->ready) run_deferred(loop);
    }
    run_deferred(loop);
}

/* ---- from other threads -------------------------------------------------------- */

void loop_post_node(struct loop *loop, struct post *post)
{
    post->next = NULL;
    atomic_fetch_add(&loop->posters, 1);
    pthread_mutex_lock(&loop->lock);
    *(loop->posts ? &loop->posts_last->next : &loop->posts) = post;
    loop->posts_last = post;
    atomic_store(&loop->has_posts, true);
    pthread_mutex_unlock(&loop->lock);
    /* Not under the lock, for which the loop would wake up in vain. */
    if (atomic_exchange(&loop->may_sleep, false)) {
        ssize_t n = write(loop->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
        assert(n == sizeof(uint64_t));
        (void)n;
    }
    atomic_fetch_sub(&loop->posters, 1);
}

struct posted {
    struct post post;
    loop_fn *fn;
    void *arg;
};

static void run_posted(void *at)
{
    struct posted call = *(struct posted *)at;
    free(at);
    call.fn(call.arg);
}

void loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
    struct posted *p = malloc(sizeof *p);
    if (!p) {
        fputs("no memory to wake the loop\n", stderr);
        abort(); /* whoever waits for this would wait for ever */
    }
    *p = (struct posted){.post = {.fn = run_posted, .arg = p}, .fn = fn, .arg = arg};
    loop_post_node(loop, &p->post);
}

static void run_posts(struct loop *loop)
{
    if (!atomic_load(&loop->has_posts)) return;
    pthread_mutex_lock(&loop->lock);
    struct post *list = loop->posts;
    loop->posts = NULL;
    atomic_store(&loop->has_posts, false);
    pthread_mutex_unlock(&loop->lock);
    while (list) {
        struct post post = *list; /* its owner may take it back as soon as fn runs */
        list = post.next;
        post.fn(post.arg);
        slice_ends(loop, "post");
    }
}

/* run_posts() follows every poll. */
static void on_wake(void *arg, int events)
{
    struct loop *loop = arg;
    uint64_t count;
    (void)events;
    (void)!read(loop->wake_fd, &count, sizeof count);
}

/* ---- timers and signals -------------------------------------------------------- */

void timer_set(struct loop *loop, struct timer *timer, int64_t due_ms, loop_fn *fn, void *arg)
{
    timer_stop(timer);
    timer->loop = loop;
    timer->due_ms = due_ms;
    timer->fn = fn;
    timer->arg = arg;
    timers_put(&loop->timers, timer);
}

void timer_stop(struct timer *timer)
{
    if (timer->heap_at) timers_take(&timer->loop->timers, timer);
}

static void fire_timers(struct loop *loop)
{
    int64_t due_ms;
    if (!timers_next(&loop->timers, &due_ms)) return;
    timers_fire(&loop->timers, clock_mono_ms());
    slice_ends(loop, "timers");
}

void loop_test_advance(struct loop *loop, int64_t ms)
{
    clock_test_advance_ms(ms);
    loop->slice_begun_us += ms * 1000; /* the watchdog does not count this */
    fire_timers(loop);
}

/* It repeats until set_alarm() is asked again: libuv may call this just before it goes to sleep. */
static void on_alarm(uv_timer_t *alarm) { ((struct loop *)alarm->data)->alarm_due_ms = 0; }

/* False: something is due already. */
static bool set_alarm(struct loop *loop)
{
    int64_t due_ms;
    if (!timers_next(&loop->timers, &due_ms)) {
        uv_timer_stop(&loop->alarm);
        loop->alarm_due_ms = 0;
        return true;
    }
    if (due_ms == loop->alarm_due_ms) return true;
    int64_t now_ms = loop->slice_begun_us / 1000; /* the last slice ended just now */
    if (due_ms <= now_ms) return false;
    uv_update_time(&loop->uv);
    uv_timer_start(&loop->alarm, on_alarm, (uint64_t)(due_ms - now_ms), 1);
    loop->alarm_due_ms = due_ms;
    return true;
}

struct signal_handler {
    uv_signal_t uv;
    struct signal_handler *next;
    loop_fn *fn;
    void *arg;
};

static void on_signal(uv_signal_t *uv, int signal)
{
    (void)signal;
    struct signal_handler *s = uv->data;
    s->fn(s->arg);
}

static void on_signal_closed(uv_handle_t *handle) { free(handle->data); }

struct err loop_on_signal(struct loop *loop, int signal, loop_fn *fn, void *arg)
{
    struct signal_handler *s = malloc(sizeof *s);
    if (!s) return err(ERR_MEMORY, "no memory for a signal's handler");
    *s = (struct signal_handler){.next = loop->signals, .fn = fn, .arg = arg};
    if (uv_signal_init(&loop->uv, &s->uv) != 0) {
        free(s);
        return err(ERR_IO, "no handler for signals can be set up");
    }
    s->uv.data = s;
    loop->signals = s;
    if (uv_signal_start(&s->uv, on_signal, signal) != 0) return err(ERR_IO, "this signal cannot be handled");
    return OK;
}

/* ---- the loop -------------------------------------------------------------------- */

static void poll_events(struct loop *loop)
{
    watches_flush(&loop->watches);
    bool sleeps = set_alarm(loop) && !loop->ready && !has_deferred(loop);
    if (sleeps) {
        atomic_store(&loop->may_sleep, true);
        sleeps = !atomic_load(&loop->has_posts);
    }
    loop->slice_begun_us = 0; /* not known before the first callback: we may sleep */
    uv_run(&loop->uv, sleeps ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    atomic_store(&loop->may_sleep, false);
    loop->slice_begun_us = clock_mono_us();
}

static struct err loop_open(struct loop *loop)
{
    if (uv_loop_init(&loop->uv) != 0) return err(ERR_IO, "no event loop can be made");
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->wake = loop->wake_fd < 0 ? NULL : watch_open(loop, loop->wake_fd, on_wake, loop);
    if (!loop->wake) {
        if (loop->wake_fd >= 0) close(loop->wake_fd);
        uv_loop_close(&loop->uv);
        return err(ERR_IO, "no event loop can be made");
    }
    watch_want(loop->wake, WATCH_READ);
    uv_timer_init(&loop->uv, &loop->alarm);
    loop->alarm.data = loop;
    pthread_mutex_init(&loop->lock, NULL);
    signal(SIGPIPE, SIG_IGN); /* a peer that hung up is an error of the write, not the end of the process */
    loop->deferred.next = loop->deferred.previous = &loop->deferred;
    scope_open_root(&loop->root, loop);
    loop->slice_begun_us = clock_mono_us();
    return OK;
}

static void loop_close(struct loop *loop)
{
    while (atomic_load(&loop->posters) > 0) sched_yield();
    for (struct signal_handler *s = loop->signals; s; s = s->next) uv_close((uv_handle_t *)&s->uv, on_signal_closed);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    watch_close(loop->wake);
    while (uv_run(&loop->uv, UV_RUN_NOWAIT)) continue;
    assert(loop->watches.count == 0); /* a watch was not closed by whoever opened it */
    close(loop->wake_fd);
    int is_busy = uv_loop_close(&loop->uv);
    assert(!is_busy);
    (void)is_busy;
    pthread_mutex_destroy(&loop->lock);
    timers_free(&loop->timers);
    fiber_pool_trim(0);
}

struct err loop_run(fiber_fn *fn, void *arg)
{
    assert(!fiber_self());
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop) return err(ERR_MEMORY, "no memory for an event loop");
    struct err opened = loop_open(loop);
    if (failed(opened)) {
        free(loop);
        return opened;
    }
    struct ctx outside = {.loop = loop, .scope = &loop->root};
    struct err begun = scope_spawn(&outside, fn, arg);
    while (loop->root.fibers_count > 0) {
        run_what_can(loop);
        if (loop->root.fibers_count == 0) break;
        poll_events(loop);
        run_posts(loop);
        fire_timers(loop);
    }
    struct err e = scope_close_root(&loop->root);
    run_deferred(loop);
    run_posts(loop);
    loop_close(loop);
    free(loop);
    return failed(begun) ? begun : e;
}

/* ---- the debug page -------------------------------------------------------------- */

void loop_each_fiber(struct loop *loop, loop_fiber_fn *fn, void *arg)
{
    for (struct scope *s = &loop->root; s; s = scope_next(s, &loop->root))
        for (struct strand *f = s->strands; f; f = f->next)
            if (f->fiber != fiber_self()) fn(arg, fiber_note_of(f->fiber), f->since_ms);
}
