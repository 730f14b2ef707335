#include "test.h"
#include "base/clock.h"
#include "base/log.h"
#include "io/loop.h"
#include "io/wait.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

struct story {
    char said[256];
    size_t count;
    struct loop *loop;
    struct gate gate;
    struct err outcome[4];
    int64_t number;
    int pipe[2];
};
static void say(struct story *s, char c) { s->said[s->count++] = c; }
static struct err run(struct story *s, fiber_fn *fn)
{
    clock_test_freeze(0);
    struct err e = loop_run(fn, s);
    clock_test_thaw();
    return e;
}

/* The loop has looked at its sockets: it does so after at most 16 rounds of turns. */
static struct err until_polled(struct ctx *cx)
{
    for (int i = 0; i < 40; i++) TRY(wait_turn(cx));
    return OK;
}

/* ---- timers -------------------------------------------------------------------- */

enum { TIMERS = 200 };
struct bell {
    struct story *story;
    struct timer timer;
    int number;
};
static struct bell bells[TIMERS];
static int rung[TIMERS], rung_count;
static void rings(void *arg)
{
    struct bell *b = arg;
    rung[rung_count++] = b->number;
}
static struct err sets_many_timers(struct ctx *cx, void *arg)
{
    (void)arg;
    int64_t now_ms = clock_mono_ms();
    rung_count = 0;
    for (int i = 0; i < TIMERS; i++) {
        bells[i] = (struct bell){.number = i};
        timer_set(cx->loop, &bells[i].timer, now_ms + 1 + (i * 37) % 50, rings, &bells[i]);
    }
    for (int i = 0; i < TIMERS; i += 3) timer_stop(&bells[i].timer);
    for (int i = 1; i < TIMERS; i += 3) /* again, later */
        timer_set(cx->loop, &bells[i].timer, now_ms + 100 + (i * 37) % 50, rings, &bells[i]);
    timer_stop(&bells[0].timer);
    loop_test_advance(cx->loop, 99);
    int early = rung_count;
    loop_test_advance(cx->loop, 1000);
    return early == TIMERS / 3 ? OK : err(ERR_IO, "not those that were due");
}
TEST(timers_ring_in_order_and_stopped_ones_never)
{
    CHECK_OK(run(&(struct story){0}, sets_many_timers));
    int stopped = (TIMERS + 2) / 3;
    CHECK(rung_count == TIMERS - stopped);
    for (int i = 0; i < rung_count; i++) CHECK(rung[i] % 3 != 0);
    for (int i = 1; i < rung_count; i++) {
        struct timer *before = &bells[rung[i - 1]].timer, *after = &bells[rung[i]].timer;
        CHECK(before->due_ms < after->due_ms || (before->due_ms == after->due_ms && before->order < after->order));
    }
}

/* With the clock running: the loop sleeps no longer than until the nearest timer. */
static struct err sleeps_a_little(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    int64_t begun_ms = clock_mono_ms();
    TRY(wait_ms(cx, 3));
    s->number = clock_mono_ms() - begun_ms;
    return OK;
}
TEST(a_real_clock_wakes_the_loop)
{
    struct story s = {0};
    CHECK_OK(loop_run(sleeps_a_little, &s));
    CHECK(s.number >= 3);
}

/* ---- deferring ----------------------------------------------------------------- */

struct errand {
    struct story *story;
    char letter;
    struct deferred deferred;
};
static struct errand errands[3]; /* they outlive the first fiber */
static void says_letter(void *arg)
{
    struct errand *e = arg;
    say(e->story, e->letter);
}
static struct err says_and_defers(struct ctx *cx, void *arg)
{
    struct errand *e = arg;
    say(e->story, '.');
    loop_defer(cx->loop, &e->deferred, says_letter, e);
    loop_defer(cx->loop, &e->deferred, says_letter, e);
    TRY(wait_turn(cx));
    say(e->story, ',');
    loop_defer(cx->loop, &e->deferred, says_letter, e);
    return OK;
}
static struct err defers(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    for (int i = 0; i < 3; i++) errands[i] = (struct errand){.story = s, .letter = "abc"[i]};
    for (int i = 0; i < 3; i++) TRY(scope_spawn(&inner, says_and_defers, &errands[i]));
    TRY(wait_turn(cx));
    loop_undefer(&errands[1].deferred); /* which then comes again, as the last */
    return scope_close(&inner);
}
TEST(what_is_deferred_runs_once_after_all_fibers_that_can_run)
{
    struct story s = {0};
    CHECK_OK(run(&s, defers));
    CHECK(str_is(str(s.said), "...,,,acb"));
}

/* ---- from other threads ---------------------------------------------------------- */

enum { POSTS = 2000, THREADS = 3 };
struct poster {
    struct loop *loop;
    pthread_t thread;
    int received, wrong;
    struct gate *gate;
};
struct letter {
    struct poster *from;
    int number;
};
static struct letter letters[THREADS][POSTS];
static void receives(void *arg)
{
    struct letter *l = arg;
    if (l->number != l->from->received++) l->from->wrong++;
    if (l->from->received == POSTS) gate_open(l->from->gate);
}
static void *posts(void *arg)
{
    struct letter *mine = arg;
    for (int i = 0; i < POSTS; i++) loop_post(mine[i].from->loop, receives, &mine[i]);
    return NULL;
}
static struct err receives_all(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct poster posters[THREADS] = {0};
    for (int t = 0; t < THREADS; t++) {
        posters[t].loop = cx->loop;
        posters[t].gate = &s->gate;
        for (int i = 0; i < POSTS; i++) letters[t][i] = (struct letter){&posters[t], i};
        pthread_create(&posters[t].thread, NULL, posts, letters[t]);
    }
    for (int t = 0; t < THREADS; t++) {
        while (posters[t].received < POSTS) TRY(gate_wait(cx, &s->gate, "test"));
        s->number += posters[t].wrong;
    }
    for (int t = 0; t < THREADS; t++) pthread_join(posters[t].thread, NULL);
    return OK;
}
TEST(posts_from_each_thread_keep_their_order)
{
    struct story s = {0};
    CHECK_OK(loop_run(receives_all, &s));
    CHECK(s.number == 0);
}

static void counts(void *arg) { ++*(int64_t *)arg; }
static struct err posts_at_the_end(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    loop_post(cx->loop, counts, &s->number);
    return OK;
}
TEST(what_was_posted_last_still_runs)
{
    struct story s = {0};
    CHECK_OK(loop_run(posts_at_the_end, &s));
    CHECK(s.number == 1);
}

/* ---- watches ------------------------------------------------------------------- */

static void is_ready(void *arg, int events)
{
    struct story *s = arg;
    s->number = events;
    gate_open(&s->gate);
}
static struct err watches_a_pipe(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    char c;
    struct watch *in = watch_open(cx->loop, s->pipe[0], is_ready, s);
    if (!in) return err(ERR_IO, "no watch");
    watch_want(in, WATCH_READ);
    TRY(until_polled(cx));
    if (s->number) return err(ERR_IO, "ready though empty");
    if (write(s->pipe[1], "ab", 2) != 2) return err(ERR_IO, "write");
    TRY(gate_wait(cx, &s->gate, "test"));
    if (s->number != WATCH_READ || read(s->pipe[0], &c, 1) != 1) return err(ERR_IO, "not readable");
    s->number = 0;
    TRY(gate_wait(cx, &s->gate, "test")); /* still something there: it says so again */
    if (s->number != WATCH_READ || read(s->pipe[0], &c, 1) != 1) return err(ERR_IO, "not level-triggered");
    watch_want(in, 0);
    s->number = 0;
    if (write(s->pipe[1], "c", 1) != 1) return err(ERR_IO, "write");
    TRY(until_polled(cx));
    if (s->number) return err(ERR_IO, "said though not wanted");
    watch_want(in, WATCH_READ);
    watch_close(in);
    TRY(until_polled(cx));
    if (s->number) return err(ERR_IO, "said though closed");
    struct watch *out = watch_open(cx->loop, s->pipe[1], is_ready, s);
    watch_want(out, WATCH_READ | WATCH_WRITE);
    TRY(gate_wait(cx, &s->gate, "test"));
    watch_close(out);
    return s->number == WATCH_WRITE ? OK : err(ERR_IO, "not writable");
}
TEST(a_watch_says_what_is_wanted_while_it_is_so)
{
    struct story s = {0};
    CHECK(pipe(s.pipe) == 0);
    struct err e = loop_run(watches_a_pipe, &s);
    close(s.pipe[0]);
    close(s.pipe[1]);
    CHECK_OK(e);
}

/* As curl does: it takes its hands off a socket and puts them on again. */
static struct err watches_again(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    if (write(s->pipe[1], "a", 1) != 1) return err(ERR_IO, "write");
    for (int i = 0; i < 3; i++) {
        struct watch *in = watch_open(cx->loop, s->pipe[0], is_ready, s);
        if (!in) return err(ERR_IO, "no watch");
        watch_want(in, WATCH_READ);
        TRY(gate_wait(cx, &s->gate, "test"));
        watch_close(in);
    }
    return watch_open(cx->loop, 1000000, is_ready, s) ? err(ERR_IO, "a watch of nothing") : OK;
}
TEST(a_descriptor_can_be_watched_again_at_once)
{
    struct story s = {0};
    CHECK(pipe(s.pipe) == 0);
    struct err e = loop_run(watches_again, &s);
    close(s.pipe[0]);
    close(s.pipe[1]);
    CHECK_OK(e);
}

/* Two watches of one poll: the first callback silences the second. */
struct pair {
    struct watch *watches[2];
    struct gate gate;
    bool is_closing;
    int calls;
};
static void silences_both(void *arg, int events)
{
    struct pair *p = arg;
    (void)events;
    p->calls++;
    for (int i = 0; i < 2; i++)
        if (p->is_closing) watch_close(p->watches[i]);
        else watch_want(p->watches[i], 0);
    gate_open(&p->gate);
}
static struct err watches_two(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct pair p = {.is_closing = s->number};
    if (write(s->pipe[1], "a", 1) != 1) return err(ERR_IO, "write");
    for (int i = 0; i < 2; i++) {
        p.watches[i] = watch_open(cx->loop, s->pipe[i], silences_both, &p);
        watch_want(p.watches[i], i ? WATCH_WRITE : WATCH_READ);
    }
    TRY(gate_wait(cx, &p.gate, "test"));
    TRY(until_polled(cx));
    if (!p.is_closing)
        for (int i = 0; i < 2; i++) watch_close(p.watches[i]);
    return p.calls == 1 ? OK : err(ERR_IO, "a silenced watch spoke");
}
static void watch_two(bool is_closing)
{
    struct story s = {.number = is_closing};
    CHECK(pipe(s.pipe) == 0);
    struct err e = loop_run(watches_two, &s);
    close(s.pipe[0]);
    close(s.pipe[1]);
    CHECK_OK(e);
}
TEST(a_watch_closed_by_another_callback_stays_silent) { watch_two(true); }
TEST(a_watch_no_longer_wanted_by_another_callback_stays_silent) { watch_two(false); }

static struct err turns_until_ready(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    for (int i = 0; i < 1000 && !s->number; i++) TRY(wait_turn(cx));
    return s->number ? OK : err(ERR_IO, "starved");
}
static struct err is_busy(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct watch *out = watch_open(cx->loop, s->pipe[1], is_ready, s);
    watch_want(out, WATCH_WRITE);
    struct err e = turns_until_ready(cx, s);
    watch_close(out);
    return e;
}
TEST(fibers_that_never_rest_do_not_starve_the_sockets)
{
    struct story s = {0};
    CHECK(pipe(s.pipe) == 0);
    struct err e = loop_run(is_busy, &s);
    close(s.pipe[0]);
    close(s.pipe[1]);
    CHECK_OK(e);
}

static struct err hangs_up(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct watch *out = watch_open(cx->loop, s->pipe[1], is_ready, s);
    close(s->pipe[0]); /* nobody will read */
    watch_want(out, WATCH_WRITE);
    TRY(gate_wait(cx, &s->gate, "test"));
    s->outcome[0] = err(s->number & WATCH_WRITE ? ERR_NONE : ERR_IO, NULL);
    TRY(gate_wait(cx, &s->gate, "test")); /* and goes on saying so */
    watch_close(out);
    return OK;
}
TEST(an_error_of_the_descriptor_is_said_as_readiness)
{
    struct story s = {0};
    CHECK(pipe(s.pipe) == 0);
    struct err e = loop_run(hangs_up, &s);
    close(s.pipe[1]);
    CHECK_OK(e);
    CHECK(!failed(s.outcome[0]));
}

/* ---- signals, the watchdog, the debug page ----------------------------------------- */

static void on_signal(void *arg)
{
    struct story *s = arg;
    say(s, 's');
    gate_open(&s->gate);
}
static struct err gets_a_signal(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    TRY(loop_on_signal(cx->loop, SIGUSR1, on_signal, s));
    s->outcome[0] = loop_on_signal(cx->loop, SIGKILL, on_signal, s);
    if (raise(SIGUSR1) != 0) return err(ERR_IO, "raise");
    return gate_wait(cx, &s->gate, "test");
}
TEST(a_signal_is_a_callback_on_the_loop)
{
    struct story s = {0};
    CHECK_OK(loop_run(gets_a_signal, &s));
    CHECK(str_is(str(s.said), "s") && s.outcome[0].code == ERR_IO);
}

static struct err is_slow_twice(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    clock_test_advance_ms(10);
    TRY(wait_turn(cx));
    for (int i = 0; i < 2; i++) {
        clock_test_advance_ms(11);
        TRY(wait_turn(cx));
    }
    s->number = loop_slow_slices(cx->loop);
    return OK;
}
TEST(the_watchdog_counts_slices_over_ten_ms)
{
    struct story s = {0};
    log_open(-1);
    struct err e = run(&s, is_slow_twice);
    log_open(2);
    CHECK_OK(e);
    CHECK(s.number == 2);
}

static void notes(void *arg, const char *note, int64_t since_ms)
{
    struct story *s = arg;
    s->number = since_ms;
    s->count += (size_t)snprintf(s->said + s->count, sizeof s->said - s->count, "%s;", note);
}
static struct err waits_for_lunch(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    return gate_wait(cx, &s->gate, "lunch");
}
static struct err lists_fibers(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    TRY(scope_spawn(&inner, waits_for_lunch, s));
    TRY(wait_turn(cx));
    int64_t parked_ms = clock_mono_ms();
    loop_test_advance(cx->loop, 500);
    loop_each_fiber(cx->loop, notes, s);
    s->number -= parked_ms;
    gate_open(&s->gate);
    return scope_close(&inner);
}
TEST(parked_fibers_are_listed_with_what_they_wait_for)
{
    struct story s = {0};
    CHECK_OK(run(&s, lists_fibers));
    CHECK(str_is(str(s.said), "lunch;") && s.number == 0);
}
