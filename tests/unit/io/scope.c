#include "test.h"
#include "base/clock.h"
#include "base/log.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "io/wait.h"

/* Each test runs one first fiber; what happens is noted as letters, in order. */
struct story {
    char said[128];
    size_t count;
    struct gate gate;
    struct err outcome[8];
    struct scope *scope;
};
static void say(struct story *s, char c) { s->said[s->count++] = c; }
static struct err run(struct story *s, fiber_fn *fn)
{
    clock_test_freeze(0);
    struct err e = loop_run(fn, s);
    clock_test_thaw();
    return e;
}

/* ---- starting and ending ------------------------------------------------------- */

static struct err says_a_waits_b(struct ctx *cx, void *arg)
{
    say(arg, 'a');
    TRY(wait_turn(cx));
    say(arg, 'b');
    return OK;
}
static struct err spawns_two(struct ctx *cx, void *arg)
{
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    TRY(scope_spawn(&inner, says_a_waits_b, arg));
    TRY(scope_spawn(&inner, says_a_waits_b, arg));
    say(arg, '1');
    struct err e = scope_close(&inner);
    say(arg, '2');
    return e;
}
TEST(a_scope_closes_when_all_its_fibers_have_ended)
{
    struct story s = {0};
    CHECK_OK(run(&s, spawns_two));
    CHECK(str_is(str(s.said), "1aabb2"));
    CHECK(fiber_count() == 0);
}

static struct err leaves_one_behind(struct ctx *cx, void *arg)
{
    TRY(scope_spawn(cx, says_a_waits_b, arg));
    say(arg, '1');
    return OK;
}
TEST(a_loop_ends_after_the_last_fiber_of_the_first_scope)
{
    struct story s = {0};
    CHECK_OK(run(&s, leaves_one_behind));
    CHECK(str_is(str(s.said), "1ab"));
}

static struct err fails_from_its_own_arena(struct ctx *cx, void *arg)
{
    (void)arg;
    TRY(wait_turn(cx));
    return errf(cx->arena, ERR_LIMIT, "no more than %d", 7);
}
static struct err waits_for_gate(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    s->outcome[0] = gate_wait(cx, &s->gate, "test");
    return s->outcome[0];
}
static struct err has_a_failing_child(struct ctx *cx, void *arg)
{
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    TRY(scope_spawn(&inner, waits_for_gate, arg));
    TRY(scope_spawn(&inner, fails_from_its_own_arena, arg));
    struct err e = scope_close(&inner);
    struct story *s = arg;
    s->outcome[1] = err(e.code, str_is(str(e.what), "no more than 7") ? "kept" : "lost");
    return OK;
}
TEST(the_first_failure_cancels_the_siblings_and_keeps_its_sentence)
{
    struct story s = {0};
    CHECK_OK(run(&s, has_a_failing_child));
    CHECK(s.outcome[0].code == ERR_CANCELLED);
    CHECK(s.outcome[1].code == ERR_LIMIT && str_is(str(s.outcome[1].what), "kept"));
}

static struct err fails(struct ctx *cx, void *arg)
{
    (void)arg;
    return errf(cx->arena, ERR_IO, "broken %s", "pipe");
}
TEST(the_first_fibers_failure_is_what_the_loop_returns)
{
    struct story s = {0};
    struct err e = run(&s, fails);
    CHECK(e.code == ERR_IO && str_is(str(e.what), "broken pipe"));
}

static struct err only_cancelled(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    TRY(scope_spawn(&inner, waits_for_gate, arg));
    TRY(wait_turn(cx));
    scope_cancel(&scope);
    scope_cancel(&scope);
    s->outcome[1] = scope_close(&inner);
    return OK;
}
TEST(being_cancelled_is_no_failure_of_the_scope)
{
    struct story s = {0};
    CHECK_OK(run(&s, only_cancelled));
    CHECK(s.outcome[0].code == ERR_CANCELLED);
    CHECK(!failed(s.outcome[1]));
}

/* ---- cancelling ---------------------------------------------------------------- */

static struct err waits_deep_inside(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope one, two;
    struct ctx first = scope_open(&one, cx), second = scope_open(&two, &first);
    s->outcome[0] = gate_wait(&second, &s->gate, "test");
    s->outcome[1] = scope_close(&second);
    s->outcome[2] = wait_turn(&first);
    TRY(scope_close(&first));
    s->outcome[3] = wait_turn(cx);
    return OK;
}
static struct err cancels_it(struct ctx *cx, void *arg)
{
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    TRY(scope_spawn(&inner, waits_deep_inside, arg));
    TRY(wait_turn(cx));
    scope_cancel(&scope);
    return scope_close(&inner);
}
TEST(cancelling_walks_down_all_scopes)
{
    struct story s = {0};
    CHECK_OK(run(&s, cancels_it));
    CHECK(s.outcome[0].code == ERR_CANCELLED);
    CHECK(!failed(s.outcome[1]));
    CHECK(s.outcome[2].code == ERR_CANCELLED && s.outcome[3].code == ERR_CANCELLED);
}

static struct err writes_the_last_word(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope, below;
    struct ctx last = scope_open_shielded(&scope, cx, 0), deeper = scope_open(&below, &last);
    s->scope = &scope;
    s->outcome[0] = gate_wait(&deeper, &s->gate, "test"); /* cancelled around us meanwhile */
    s->outcome[1] = wait_turn(&deeper);
    TRY(scope_close(&deeper));
    TRY(scope_close(&last));
    s->outcome[2] = wait_turn(cx);
    return OK;
}
static struct err cancels_around_a_shield(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    TRY(scope_spawn(&inner, writes_the_last_word, arg));
    TRY(wait_turn(cx));
    scope_cancel(&scope);
    TRY(wait_turn(cx));
    say(s, gate_is_waited_for(&s->gate) ? 'w' : '-');
    gate_open(&s->gate);
    return scope_close(&inner);
}
TEST(cancelling_stops_at_a_shield)
{
    struct story s = {0};
    CHECK_OK(run(&s, cancels_around_a_shield));
    CHECK(str_is(str(s.said), "w"));
    CHECK(!failed(s.outcome[0]) && !failed(s.outcome[1]));
    CHECK(s.outcome[2].code == ERR_CANCELLED);
}

static struct err cancels_the_shield_itself(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    TRY(scope_spawn(&inner, writes_the_last_word, arg));
    TRY(wait_turn(cx));
    scope_cancel(s->scope);
    return scope_close(&inner);
}
TEST(a_shielded_scope_can_be_cancelled_by_itself)
{
    struct story s = {0};
    CHECK_OK(run(&s, cancels_the_shield_itself));
    CHECK(s.outcome[0].code == ERR_CANCELLED && s.outcome[1].code == ERR_CANCELLED);
    CHECK(!failed(s.outcome[2]));
}

static struct err shields_what_is_cancelled(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope outer, scope, late;
    struct ctx dead = scope_open(&outer, cx);
    dead.deadline_ms = clock_mono_ms() + 5;
    scope_cancel(&outer);
    struct ctx last = scope_open_shielded(&scope, &dead, 100), open = scope_open_shielded(&late, &dead, 0);
    s->outcome[0] = wait_turn(&last);
    s->outcome[1] = err(last.deadline_ms - clock_mono_ms() == 100 ? ERR_NONE : ERR_IO, NULL);
    s->outcome[2] = err(open.deadline_ms == 0 ? ERR_NONE : ERR_IO, NULL);
    TRY(scope_close(&open));
    TRY(scope_close(&last));
    return scope_close(&dead);
}
TEST(a_shield_in_a_cancelled_scope_has_time_of_its_own)
{
    struct story s = {0};
    CHECK_OK(run(&s, shields_what_is_cancelled));
    for (int i = 0; i < 3; i++) CHECK(!failed(s.outcome[i]));
}

static struct err opens_in_a_cancelled_scope(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope outer, scope;
    struct ctx dead = scope_open(&outer, cx);
    scope_cancel(&outer);
    struct ctx inner = scope_open(&scope, &dead);
    s->outcome[0] = wait_turn(&inner);
    TRY(scope_close(&inner));
    return scope_close(&dead);
}
TEST(a_scope_opened_in_a_cancelled_one_is_cancelled)
{
    struct story s = {0};
    CHECK_OK(run(&s, opens_in_a_cancelled_scope));
    CHECK(s.outcome[0].code == ERR_CANCELLED);
}

static struct err starts_in_a_cancelled_scope(struct ctx *cx, void *arg)
{
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    scope_cancel(&scope);
    TRY(scope_spawn(&inner, waits_for_gate, arg));
    return scope_close(&inner);
}
TEST(a_fiber_of_a_cancelled_scope_runs_but_cannot_wait)
{
    struct story s = {0};
    CHECK_OK(run(&s, starts_in_a_cancelled_scope));
    CHECK(s.outcome[0].code == ERR_CANCELLED);
}

/* ---- clean-ups ----------------------------------------------------------------- */

struct letter {
    struct story *story;
    char c;
};
static void says_letter(void *arg)
{
    struct letter *l = arg;
    say(l->story, l->c);
}
static struct err registers_three(struct ctx *cx, void *arg)
{
    struct story *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct letter letters[3] = {{s, 'x'}, {s, 'y'}, {s, 'z'}};
    struct cleanup cleanups[3];
    for (int i = 0; i < 3; i++) scope_defer(&inner, &cleanups[i], says_letter, &letters[i]);
    TRY(scope_spawn(&inner, says_a_waits_b, s));
    TRY(scope_close(&inner));
    say(s, '.');
    return OK;
}
TEST(cleanups_run_in_reverse_after_the_last_fiber)
{
    struct story s = {0};
    CHECK_OK(run(&s, registers_three));
    CHECK(str_is(str(s.said), "abzyx."));
}

/* The first scope is closed by the loop, when the first fiber's locals are gone. */
static struct letter last_letter;
static struct cleanup last_cleanup;
static struct err registers_with_the_first_scope(struct ctx *cx, void *arg)
{
    last_letter = (struct letter){arg, 'z'};
    scope_defer(cx, &last_cleanup, says_letter, &last_letter);
    return says_a_waits_b(cx, arg);
}
TEST(the_first_scopes_cleanups_run_when_the_loop_ends)
{
    struct story s = {0};
    CHECK_OK(run(&s, registers_with_the_first_scope));
    CHECK(str_is(str(s.said), "abz"));
}

/* ---- many ---------------------------------------------------------------------- */

enum {
#if defined(__SANITIZE_THREAD__)
    MANY = 2000, /* its runtime knows no more of them */
#else
    MANY = 10000,
#endif
};
struct crowd {
    struct gate gate;
    int here, gone;
};
static struct err joins(struct ctx *cx, void *arg)
{
    struct crowd *c = arg;
    c->here++;
    TRY(gate_wait(cx, &c->gate, "test"));
    c->gone++;
    return OK;
}
static struct err gathers_a_crowd(struct ctx *cx, void *arg)
{
    struct crowd *c = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    for (int i = 0; i < MANY; i++) TRY(scope_spawn(&inner, joins, c));
    TRY(wait_turn(cx));
    if (c->here != MANY || c->gone != 0) return err(ERR_IO, "not all of them wait");
    gate_open(&c->gate);
    return scope_close(&inner);
}
TEST(ten_thousand_fibers_wait_at_one_gate)
{
    struct crowd c = {0};
    log_open(-1); /* so many in one slice are slow, and that is said */
    struct err e = loop_run(gathers_a_crowd, &c);
    log_open(2);
    CHECK_OK(e);
    CHECK(c.gone == MANY);
}

static struct err spawns_without_end(struct ctx *cx, void *arg)
{
    struct crowd *c = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    struct err e = OK;
    for (int i = 0; i < 10000000 && !failed(e); i++) e = scope_spawn(&inner, joins, c);
    scope_cancel(&scope);
    TRY(scope_close(&inner));
    return e.code == ERR_LIMIT ? OK : err(ERR_IO, "no bound was met");
}
TEST(without_a_stack_to_lend_a_spawn_is_refused)
{
    struct crowd c = {0};
    fiber_test_stacks_max(100);
    struct err e = loop_run(spawns_without_end, &c);
    fiber_test_stacks_max(0);
    CHECK_OK(e);
    CHECK(c.here == 99);
}
