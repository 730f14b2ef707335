/* engine/retention.c: finished tasks go when they are old, if the operator wants that.
 *
 * A walk over all tasks, in steps, with a pause after each: what is old is erased the way of a DELETE, a page at once.
 * A task's age is the time since it was last touched, so that a message in an old thread makes it young. A clock that
 * goes back makes tasks younger, and nothing more. */
#include "base/clock.h"
#include "base/log.h"
#include "engine/erase.h"
#include "io/wait.h"

enum { STEP_PAUSE_MS = 10, WALK_PAUSE_MS = 600 * 1000 };
static const int64_t day_us = INT64_C(86400) * 1000000;

static struct err step(struct ctx *cx, struct engine *engine, int64_t before_us, int64_t *after, int64_t *erased, bool *is_end)
{
    struct task_place *places;
    int count;
    /* From the look to the acts nothing waits: no message comes between. */
    TRY(store_task_expired(cx, engine->store, before_us, PLACES_AT_ONCE, after, &places, &count, is_end));
    return erase_page(cx, engine, places, count, erased);
}

static void walk(struct ctx *cx, struct engine *engine)
{
    int64_t before_us = clock_peek_us() - engine->settings.retention_days * day_us, after = 0, erased = 0;
    struct err e = OK;
    for (bool is_end = false; !is_end && !failed(e);) {
        struct arena_mark at = arena_mark(cx->arena);
        e = step(cx, engine, before_us, &after, &erased, &is_end);
        arena_rewind(cx->arena, at);
        if (!failed(e)) e = wait_ms(cx, STEP_PAUSE_MS);
    }
    if (erased) log_event(EVENT_task_expired, LOG_NUM("count", erased));
}

/* What a walk could not do the next one does. */
struct err retention_main(struct ctx *cx, void *arg)
{
    struct engine *engine = arg;
    do walk(cx, engine);
    while (!failed(wait_ms(cx, WALK_PAUSE_MS)));
    return OK;
}
