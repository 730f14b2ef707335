#include "test.h"
#include "base/clock.h"
#include "io/loop.h"
#include "io/wait.h"

struct story {
    char said[64];
    size_t count;
    struct gate gate;
    struct err outcome[8];
    int64_t at_ms[8];
    bool is_waited_for;
};
static void say(struct story *s, char c) { s->said[s->count++] = c; }
static struct err run(struct story *s, fiber_fn *fn)
{
    clock_test_freeze(0);
    struct err e = loop_run(fn, s);
    clock_test_thaw();
    return e;
}
/* Everybody who can run has run, also those whom these have woken. */
static struct err settle(struct ctx *cx)
{
    for (int i = 0; i < 4; i++) TRY(wait_turn(cx));
    return OK;
}

/* ---- gates --------------------------------------------------------------------- */

struct visitor {
    struct story *story;
    char letter;
    int64_t ms;
};
static struct err visits(struct ctx *cx, void *arg)
{
    struct visitor *v = arg;
    struct err e = gate_wait_ms(cx, &v->story->gate, v->ms, "test");
    say(v->story, failed(e) ? '!' : v->letter);
    return e.code == ERR_TIMEOUT ? OK : e;
}
static struct err opens_for_three(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct visitor v[3] = {{s, 'a', -1}, {s, 'b', 10}, {s, 'c', -1}};
    for (int i = 0; i < 3; i++) TRY(scope_spawn(&inner, visits, &v[i]));
    TRY(settle(cx));
    s->is_waited_for = gate_is_waited_for(&s->gate);
    gate_open(&s->gate);
    say(s, '-');
    return scope_close(&inner);
}
TEST(a_gate_lets_waiters_through_in_the_order_they_came)
{
    struct story s = {0};
    CHECK_OK(run(&s, opens_for_three));
    CHECK(s.is_waited_for && !gate_is_waited_for(&s.gate));
    CHECK(str_is(str(s.said), "-abc"));
}

static struct err one_in_the_middle_gives_up(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct visitor v[3] = {{s, 'a', -1}, {s, 'b', 10}, {s, 'c', -1}};
    for (int i = 0; i < 3; i++) TRY(scope_spawn(&inner, visits, &v[i]));
    TRY(settle(cx));
    loop_test_advance(cx->loop, 9);
    TRY(settle(cx));
    say(s, '9');
    loop_test_advance(cx->loop, 1);
    TRY(settle(cx));
    gate_open(&s->gate);
    return scope_close(&inner);
}
TEST(who_gives_up_leaves_the_gate_and_the_others_stay)
{
    struct story s = {0};
    CHECK_OK(run(&s, one_in_the_middle_gives_up));
    CHECK(str_is(str(s.said), "9!ac"));
}

static struct err opens_before_anybody_comes(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    gate_open(&s->gate);
    s->outcome[0] = gate_wait_ms(cx, &s->gate, 0, "test");
    return OK;
}
TEST(a_gate_remembers_nothing_and_zero_ms_is_at_once)
{
    struct story s = {0};
    CHECK_OK(run(&s, opens_before_anybody_comes));
    CHECK(s.outcome[0].code == ERR_TIMEOUT);
}

/* ---- time ---------------------------------------------------------------------- */

static struct err sleeps(struct ctx *cx, void *arg)
{
    struct visitor *v = arg;
    TRY(wait_ms(cx, v->ms));
    say(v->story, v->letter);
    return OK;
}
static struct err wakes_sleepers(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct visitor v[5] = {{s, 'c', 30}, {s, 'a', 10}, {s, 'd', 30}, {s, 'b', 20}, {s, 'e', 30}};
    for (int i = 0; i < 5; i++) TRY(scope_spawn(&inner, sleeps, &v[i]));
    TRY(settle(cx));
    loop_test_advance(cx->loop, 10);
    TRY(settle(cx));
    say(s, '-');
    loop_test_advance(cx->loop, 100);
    return scope_close(&inner);
}
TEST(sleepers_wake_by_time_and_then_by_who_slept_first)
{
    struct story s = {0};
    CHECK_OK(run(&s, wakes_sleepers));
    CHECK(str_is(str(s.said), "a-bcde"));
}

static struct err waits_under_a_deadline(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    s->outcome[0] = gate_wait(cx, &s->gate, "test");
    s->outcome[1] = gate_wait(cx, &s->gate, "test");
    s->outcome[2] = wait_turn(cx);
    s->outcome[3] = wait_ms(cx, 1);
    return OK;
}
static struct err gives_a_deadline(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    inner.deadline_ms = clock_mono_ms() + 50;
    TRY(scope_spawn(&inner, waits_under_a_deadline, s));
    TRY(settle(cx));
    loop_test_advance(cx->loop, 49);
    TRY(settle(cx));
    s->is_waited_for = gate_is_waited_for(&s->gate);
    loop_test_advance(cx->loop, 1);
    return scope_close(&inner);
}
TEST(a_deadline_is_inherited_and_ends_every_wait)
{
    struct story s = {0};
    CHECK_OK(run(&s, gives_a_deadline));
    CHECK(s.is_waited_for);
    for (int i = 0; i < 4; i++) CHECK(s.outcome[i].code == ERR_TIMEOUT);
}

static struct err sleeps_beyond_its_deadline(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct ctx inner = *cx;
    inner.deadline_ms = clock_mono_ms() + 20;
    s->outcome[0] = wait_ms(&inner, 20); /* just in time */
    inner.deadline_ms = clock_mono_ms() + 20;
    s->outcome[1] = wait_ms(&inner, 21);
    inner.deadline_ms = clock_mono_ms() + 20;
    s->outcome[2] = gate_wait_ms(&inner, &s->gate, 1000, "test");
    return OK;
}
static struct err lets_time_pass(struct ctx *cx, void *arg)
{
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    TRY(scope_spawn(&inner, sleeps_beyond_its_deadline, arg));
    for (int i = 0; i < 3; i++) {
        TRY(settle(cx));
        loop_test_advance(cx->loop, 20);
    }
    return scope_close(&inner);
}
TEST(the_earlier_of_own_time_and_deadline_counts)
{
    struct story s = {0};
    CHECK_OK(run(&s, lets_time_pass));
    CHECK(!failed(s.outcome[0]));
    CHECK(s.outcome[1].code == ERR_TIMEOUT && s.outcome[2].code == ERR_TIMEOUT);
}

/* ---- cancelling each kind of wait ------------------------------------------------ */

static struct err waits_in_each_way(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scopes[3];
    for (int i = 0; i < 3; i++) {
        struct ctx inner = scope_open(&scopes[i], cx);
        struct err e = i == 0 ? gate_wait(&inner, &s->gate, "test")
                     : i == 1 ? gate_wait_ms(&inner, &s->gate, 1000, "test")
                              : wait_ms(&inner, 1000);
        s->outcome[i] = e;
        TRY(scope_close(&inner));
    }
    return OK;
}
static struct err cancels_each(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    TRY(scope_spawn(&inner, waits_in_each_way, s));
    for (int i = 0; i < 3; i++) {
        TRY(settle(cx));
        scope_cancel(scope.first_child);
    }
    TRY(settle(cx));
    s->is_waited_for = gate_is_waited_for(&s->gate);
    return scope_close(&inner);
}
TEST(every_wait_ends_when_its_scope_is_cancelled)
{
    struct story s = {0};
    CHECK_OK(run(&s, cancels_each));
    for (int i = 0; i < 3; i++) CHECK(s.outcome[i].code == ERR_CANCELLED);
    CHECK(!s.is_waited_for);
}

static struct err opened_then_cancelled(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct visitor v = {s, 'a', -1};
    TRY(scope_spawn(&inner, visits, &v));
    TRY(settle(cx));
    gate_open(&s->gate);
    scope_cancel(&scope);
    return scope_close(&inner);
}
TEST(what_happened_before_the_cancelling_counts)
{
    struct story s = {0};
    CHECK_OK(run(&s, opened_then_cancelled));
    CHECK(str_is(str(s.said), "a"));
}

/* ---- turns --------------------------------------------------------------------- */

static struct err says_thrice(struct ctx *cx, void *arg)
{
    struct visitor *v = arg;
    for (int i = 0; i < 3; i++) {
        say(v->story, v->letter);
        TRY(wait_turn(cx));
    }
    return OK;
}
static struct err takes_turns(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct visitor v[2] = {{s, 'a', 0}, {s, 'b', 0}};
    for (int i = 0; i < 2; i++) TRY(scope_spawn(&inner, says_thrice, &v[i]));
    return scope_close(&inner);
}
TEST(who_waits_a_turn_lets_all_others_go_first)
{
    struct story s = {0};
    CHECK_OK(run(&s, takes_turns));
    CHECK(str_is(str(s.said), "ababab"));
}
