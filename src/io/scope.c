#include "io/scope.h"
#include "io/strand.h"
#include "io/waiter.h"
#include "base/clock.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void enter(struct scope *s, struct scope *parent, struct loop *loop)
{
    *s = (struct scope){.loop = loop, .parent = parent};
    if (!parent) return;
    s->next_sibling = parent->first_child;
    if (s->next_sibling) s->next_sibling->link = &s->next_sibling;
    s->link = &parent->first_child;
    parent->first_child = s;
}

static void leave(struct scope *s)
{
    if (!s->link) return;
    *s->link = s->next_sibling;
    if (s->next_sibling) s->next_sibling->link = s->link;
    s->link = NULL;
}

struct ctx scope_open(struct scope *scope, struct ctx *parent)
{
    enter(scope, parent->scope, parent->loop);
    scope->is_cancelled = parent->scope->is_cancelled;
    struct ctx inner = *parent;
    inner.scope = scope;
    return inner;
}

struct ctx scope_open_shielded(struct scope *scope, struct ctx *parent, int64_t budget_ms)
{
    enter(scope, parent->scope, parent->loop);
    scope->is_shielded = true;
    struct ctx inner = *parent;
    inner.scope = scope;
    inner.deadline_ms = budget_ms > 0 ? clock_mono_ms() + budget_ms : 0;
    return inner;
}

void scope_open_root(struct scope *scope, struct loop *loop) { enter(scope, NULL, loop); }

/* ---- fibers of a scope ------------------------------------------------------- */

/* The sentence may lie in the arena of the fiber that failed, which is about to go. */
static struct err keep(struct err e)
{
    char *copy = e.what ? strdup(e.what) : NULL;
    return err(e.code, copy);
}

/* Give the kept sentence to whoever closes the scope. */
static struct err hand_over(struct err kept, struct arena *arena)
{
    if (!failed(kept)) return OK;
    struct err e = err(kept.code, kept.what ? arena_printf(arena, "%s", kept.what) : "a part of this failed");
    free((char *)(uintptr_t)kept.what);
    return e;
}

static void strand_main(void *arg)
{
    struct strand *strand = arg;
    struct scope *scope = strand->scope;
    struct ctx cx = {
        .loop = scope->loop,
        .scope = scope,
        .fiber = strand->fiber,
        .arena = &strand->arena,
        .deadline_ms = strand->deadline_ms,
    };
    struct err e = strand->fn(&cx, strand->arg);
    if (failed(e) && e.code != ERR_CANCELLED && !failed(scope->first)) {
        scope->first = keep(e);
        scope_cancel(scope);
    }
    arena_free(&strand->arena);

    *strand->link = strand->next;
    if (strand->next) strand->next->link = strand->link;
    if (--scope->fibers_count == 0 && scope->closer) strand_ready(scope->loop, scope->closer);
}

struct err scope_spawn(struct ctx *cx, fiber_fn *fn, void *arg)
{
    struct scope *scope = cx->scope;
    struct strand *strand = malloc(sizeof *strand);
    struct fiber *fiber = strand ? fiber_new(strand_main, strand) : NULL;
    if (!fiber) {
        free(strand);
        return err(ERR_LIMIT, "there is no stack for one more fiber");
    }
    *strand = (struct strand){
        .fiber = fiber,
        .scope = scope,
        .next = scope->strands,
        .link = &scope->strands,
        .arena = arena_new(),
        .deadline_ms = cx->deadline_ms,
        .fn = fn,
        .arg = arg,
    };
    if (strand->next) strand->next->link = &strand->next;
    scope->strands = strand;
    scope->fibers_count++;
    fiber_note(fiber, "not begun");
    strand_ready(scope->loop, strand);
    return OK;
}

/* ---- cancelling -------------------------------------------------------------- */

static void cancel_one(struct scope *s)
{
    s->is_cancelled = true;
    while (s->waiters) waiter_end(s->waiters, ERR_CANCELLED);
}

/* What comes after `s` below `top` when the children of `s` are (or are not) entered. */
static struct scope *next_below(struct scope *s, const struct scope *top, bool enters)
{
    if (enters && s->first_child) return s->first_child;
    while (s != top && !s->next_sibling) s = s->parent;
    return s == top ? NULL : s->next_sibling;
}

struct scope *scope_next(struct scope *s, const struct scope *top) { return next_below(s, top, true); }

void scope_cancel(struct scope *scope)
{
    if (scope->is_cancelled) return;
    for (struct scope *s = scope; s;) {
        bool enters = s == scope || !s->is_shielded;
        if (enters) cancel_one(s);
        s = next_below(s, scope, enters);
    }
}

/* ---- closing ----------------------------------------------------------------- */

void scope_defer(struct ctx *cx, struct cleanup *cleanup, cleanup_fn *fn, void *arg)
{
    *cleanup = (struct cleanup){.fn = fn, .arg = arg, .older = cx->scope->cleanups};
    cx->scope->cleanups = cleanup;
}

/* A clean-up may be gone once it ran, and may register another. */
static void run_cleanups(struct scope *s)
{
    while (s->cleanups) {
        struct cleanup *c = s->cleanups;
        s->cleanups = c->older;
        c->fn(c->arg);
    }
}

struct err scope_close(struct ctx *cx)
{
    struct scope *scope = cx->scope;
    assert(scope->parent && !scope->closer);
    scope->closer = strand_of(cx);
    while (scope->fibers_count > 0) strand_park(cx, "scope_close");
    run_cleanups(scope);
    assert(!scope->first_child && !scope->waiters);
    leave(scope);
    return hand_over(scope->first, cx->arena);
}

struct err scope_close_root(struct scope *scope)
{
    /* Nobody's arena is left to hold the sentence. */
    static _Thread_local char what[256];
    run_cleanups(scope);
    struct err e = scope->first;
    if (!failed(e)) return OK;
    strncpy(what, e.what ? e.what : "the first fiber failed", sizeof what - 1);
    free((char *)(uintptr_t)e.what);
    return err(e.code, what);
}
