#include "io/timers.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_before(const struct timer *a, const struct timer *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void place(struct timers *t, struct timer *timer, int at)
{
    t->heap[at] = timer;
    timer->heap_at = at;
}

/* Put `timer` at the hole `at` or where the order wants it, above or below. */
static void sift(struct timers *t, struct timer *timer, int at)
{
    for (; at > 1 && is_before(timer, t->heap[at / 2]); at /= 2) place(t, t->heap[at / 2], at);
    for (int child; (child = at * 2) <= t->count; at = child) {
        if (child < t->count && is_before(t->heap[child + 1], t->heap[child])) child++;
        if (!is_before(t->heap[child], timer)) break;
        place(t, t->heap[child], at);
    }
    place(t, timer, at);
}

void timers_put(struct timers *t, struct timer *timer)
{
    assert(timer->heap_at == 0);
    if (t->count + 1 >= t->capacity) {
        int more = t->capacity ? t->capacity * 2 : 64;
        struct timer **heap = realloc(t->heap, (size_t)more * sizeof *heap);
        if (!heap) {
            fputs("no memory for a timer\n", stderr);
            abort(); /* without its timers a server waits for ever */
        }
        t->heap = heap;
        t->capacity = more;
    }
    timer->order = t->order++;
    sift(t, timer, ++t->count);
}

void timers_take(struct timers *t, struct timer *timer)
{
    int at = timer->heap_at;
    assert(at > 0 && t->heap[at] == timer);
    struct timer *last = t->heap[t->count--];
    timer->heap_at = 0;
    if (last != timer) sift(t, last, at);
}

bool timers_next(const struct timers *t, int64_t *due_ms)
{
    if (t->count == 0) return false;
    *due_ms = t->heap[1]->due_ms;
    return true;
}

void timers_fire(struct timers *t, int64_t now_ms)
{
    uint64_t end = t->order;
    while (t->count > 0 && t->heap[1]->due_ms <= now_ms && t->heap[1]->order < end) {
        struct timer *timer = t->heap[1];
        timers_take(t, timer);
        timer->fn(timer->arg);
    }
}

void timers_free(struct timers *t)
{
    free(t->heap);
    *t = (struct timers){0};
}
