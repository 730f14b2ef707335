/* Everything at once, in an order that a seed decides: nested scopes, gates, sleeps, deadlines,
 * shields, cancelling from outside. What must hold at the end holds for every seed. */
#include "test.h"
#include "base/clock.h"
#include "base/log.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "io/offload.h"

enum { SEEDS = 60, DEPTH_MAX = 4, GATES = 3, STEPS_MAX = 6, SCOPES_MAX = 64, FIBERS_MAX = 300 };
struct storm {
    uint64_t seed;
    struct gate gates[GATES];
    struct mailbox box;
    struct worker *worker;
    struct scope *scopes[SCOPES_MAX]; /* open now */
    int begun, ended, scopes_open, cleanups_due, jobs_done;
    int left_early; /* a wait went well in a cancelled scope */
};
struct actor { /* lives in the arena of who spawned it, who outlives it */
    struct storm *storm;
    int depth;
};

static int chance(struct storm *s, int n)
{
    s->seed = s->seed * 6364136223846793005u + 1442695040888963407u;
    return (int)(s->seed >> 33) % n;
}

static struct err acts(struct ctx *, void *);
static void cleans(void *arg) { ((struct storm *)arg)->cleanups_due--; }

static void works(void *self, struct job *jobs)
{
    (void)self;
    for (; jobs; jobs = jobs->next) jobs->outcome = OK;
}

static struct err sends_a_job(struct ctx *cx, struct storm *s)
{
    struct job job;
    struct err e = worker_do(cx, s->worker, &job);
    s->jobs_done += !failed(e);
    return e;
}

static struct err waits_somehow(struct ctx *cx, struct storm *s)
{
    bool was_cancelled = cx->scope->is_cancelled;
    void *item = s;
    struct err e = OK;
    switch (chance(s, 8)) {
    case 0: e = gate_wait(cx, &s->gates[chance(s, GATES)], "storm"); break;
    case 1: e = gate_wait_ms(cx, &s->gates[chance(s, GATES)], chance(s, 20), "storm"); break;
    case 2: e = wait_ms(cx, chance(s, 20)); break;
    case 3: e = mailbox_put(cx, &s->box, item); return OK;
    case 4: e = mailbox_take(cx, &s->box, &item); return OK;
    case 5: e = sends_a_job(cx, s); break;
    case 6: gate_open(&s->gates[chance(s, GATES)]); return OK;
    default: e = wait_turn(cx);
    }
    if (was_cancelled && e.code != ERR_CANCELLED) s->left_early++;
    return e.code == ERR_TIMEOUT && chance(s, 4) ? OK : e;
}

static int free_place(const struct storm *s)
{
    for (int i = 0; i < SCOPES_MAX; i++)
        if (!s->scopes[i]) return i;
    return -1;
}

static struct err opens_a_scope(struct ctx *cx, struct actor *a)
{
    struct storm *s = a->storm;
    struct scope scope;
    struct cleanup cleanup;
    struct ctx inner = chance(s, 5) ? scope_open(&scope, cx) : scope_open_shielded(&scope, cx, 1 + chance(s, 30));
    if (!chance(s, 4)) inner.deadline_ms = clock_mono_ms() + 1 + chance(s, 30);
    int place = free_place(s);
    if (place >= 0) s->scopes[place] = &scope;
    s->scopes_open++;
    s->cleanups_due++;
    scope_defer(&inner, &cleanup, cleans, s);

    struct err e = OK;
    for (int i = chance(s, 4); i > 0 && !failed(e) && s->begun < FIBERS_MAX; i--) {
        struct actor *child = NEW(cx->arena, struct actor);
        *child = (struct actor){s, a->depth + 1};
        s->begun++;
        e = scope_spawn(&inner, acts, child);
    }
    if (!failed(e)) e = waits_somehow(&inner, s);
    if (failed(e)) scope_cancel(&scope);
    struct err closed = scope_close(&inner);
    if (place >= 0) s->scopes[place] = NULL;
    s->scopes_open--;
    return failed(e) ? e : closed;
}

static struct err acts_on(struct ctx *cx, struct actor *a)
{
    struct storm *s = a->storm;
    for (int step = chance(s, STEPS_MAX); step >= 0; step--) {
        if (a->depth < DEPTH_MAX && !chance(s, 2)) TRY(opens_a_scope(cx, a));
        else TRY(waits_somehow(cx, s));
        if (!chance(s, 40)) return errf(cx->arena, ERR_UPSTREAM, "by chance");
    }
    return OK;
}
static struct err acts(struct ctx *cx, void *arg)
{
    struct actor *a = arg;
    struct err e = acts_on(cx, a);
    a->storm->ended++;
    return e;
}

/* From outside: time passes, gates open, somebody is cancelled. */
static struct err storms(struct ctx *cx, void *arg)
{
    struct storm *s = arg;
    struct scope scope;
    struct ctx inner = scope_open(&scope, cx);
    s->box = mailbox_new(cx->arena, 2);
    s->worker = worker_open(cx->loop, "worker", 4, works, s);
    if (!s->worker) return err(ERR_IO, "no worker");
    struct actor first = {s, 0};
    s->begun++;
    TRY(scope_spawn(&inner, acts, &first));
    for (int i = 0; i < 400 && scope.fibers_count > 0; i++) {
        for (int k = chance(s, 3); k >= 0; k--) TRY(wait_turn(cx));
        struct scope *chosen = s->scopes[chance(s, SCOPES_MAX)];
        if (chosen && !chance(s, 3)) scope_cancel(chosen);
        if (!chance(s, 3)) gate_open(&s->gates[chance(s, GATES)]);
        loop_test_advance(cx->loop, chance(s, 5));
    }
    scope_cancel(&scope);
    mailbox_close(&s->box);
    while (scope.fibers_count > 0) { /* shielded ones may wait for time or a gate */
        for (int i = 0; i < GATES; i++) gate_open(&s->gates[i]);
        loop_test_advance(cx->loop, 10);
        TRY(wait_turn(cx));
    }
    (void)!scope_close(&inner).code;
    worker_close(s->worker);
    return OK;
}

TEST(in_any_storm_all_that_begins_also_ends)
{
    log_open(-1);
    int fibers = 0;
    struct storm last = {0};
    struct err e = OK;
    for (uint64_t seed = 1; seed <= SEEDS && !failed(e); seed++) {
        struct storm s = {.seed = seed};
        clock_test_freeze(0);
        e = loop_run(storms, &s);
        clock_test_thaw();
        fibers += s.begun;
        last = s;
        if (s.begun != s.ended || s.scopes_open || s.cleanups_due || s.left_early || fiber_count()) break;
    }
    log_open(2);
    CHECK_OK(e);
    CHECK(last.begun == last.ended && last.scopes_open == 0 && last.cleanups_due == 0);
    CHECK(last.left_early == 0 && fiber_count() == 0);
    for (int i = 0; i < GATES; i++) CHECK(!gate_is_waited_for(&last.gates[i]));
    CHECK(fibers > 10 * SEEDS); /* it was a storm */
}
