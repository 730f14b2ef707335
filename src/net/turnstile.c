#include "net/turnstile.h"
#include <assert.h>
#include <stddef.h>
#include "base/clock.h"
#include "io/wait.h"

struct queued { /* on the stack of the fiber that waits */
    struct queued *next;
    struct gate gate;
    bool is_called;
};

void turnstile_open(struct turnstile *t, struct loop *loop, int at_once)
{
    *t = (struct turnstile){.loop = loop, .at_once = at_once, .last = &t->first};
}

static void next_turn(void *arg)
{
    struct turnstile *t = arg;
    for (t->through = 0; t->first && t->through < t->at_once; t->through++) {
        struct queued *q = t->first;
        t->first = q->next;
        if (!t->first) t->last = &t->first;
        q->is_called = true;
        gate_open(&q->gate);
    }
}

static void leave(struct turnstile *t, struct queued *own)
{
    struct queued **at = &t->first;
    while (*at != own) at = &(*at)->next;
    *at = own->next;
    if (!*at) t->last = at;
}

/* The timer is set by whoever went through or left, so that it goes off only after they did what they
 * came for. */
struct err turnstile_pass(struct ctx *cx, struct turnstile *t, const char *what)
{
    struct queued own = {0};
    struct err e = OK;
    if (!t->first && t->through < t->at_once) {
        t->through++;
    } else {
        *t->last = &own;
        t->last = &own.next;
        while (!own.is_called && !failed(e)) e = gate_wait(cx, &own.gate, what);
        if (!own.is_called) leave(t, &own);
    }
    if (!t->next_turn.heap_at) timer_set(t->loop, &t->next_turn, clock_mono_ms(), next_turn, t);
    return e;
}

void turnstile_close(struct turnstile *t)
{
    assert(!t->first);
    timer_stop(&t->next_turn);
}
