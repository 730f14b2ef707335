/* io/watch.c: readiness of a descriptor, by uv_poll.
 *
 * What is wanted is only noted; the kernel is told once, before the loop polls. So an
 * owner may stop and start as often as it likes while it works: what ends as it
 * began costs no system call. */
#include "io/strand.h"
#include "io/watches.h"
#include <assert.h>
#include <stdlib.h>
#include <uv.h>

struct watch {
    uv_poll_t poll;
    struct loop *loop;
    struct watches *all;
    struct watch *next_changed, **link; /* link null: not in the list */
    int wanted, told;
    watch_fn *fn;
    void *arg;
};

static int to_uv(int events)
{
    return (events & WATCH_READ ? UV_READABLE : 0) | (events & WATCH_WRITE ? UV_WRITABLE : 0);
}

static void note_change(struct watch *w)
{
    if (w->link || w->wanted == w->told) return;
    w->next_changed = w->all->changed;
    if (w->next_changed) w->next_changed->link = &w->next_changed;
    w->link = &w->all->changed;
    w->all->changed = w;
}

static void forget_change(struct watch *w)
{
    if (!w->link) return;
    *w->link = w->next_changed;
    if (w->next_changed) w->next_changed->link = w->link;
    w->link = NULL;
}

/* Only what is wanted now is said: an earlier callback of the same poll may have changed it. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    int seen = (events & UV_READABLE ? WATCH_READ : 0) | (events & UV_WRITABLE ? WATCH_WRITE : 0);
    if (status < 0) { /* an error of the socket; libuv has stopped watching it */
        seen = WATCH_READ | WATCH_WRITE;
        w->told = 0;
        note_change(w);
    }
    if (!(w->wanted & seen)) return;
    struct loop *loop = w->loop; /* the callback may close the watch */
    slice_begins(loop);
    w->fn(w->arg, status < 0 ? seen : w->wanted & seen);
    slice_ends(loop, "watch");
}

struct watch *watch_open(struct loop *loop, int fd, watch_fn *fn, void *arg)
{
    struct watch *w = malloc(sizeof *w);
    if (!w) return NULL;
    *w = (struct watch){.loop = loop, .all = loop_watches(loop), .fn = fn, .arg = arg};
    if (uv_poll_init(loop_uv(loop), &w->poll, fd) != 0) {
        free(w);
        return NULL;
    }
    w->poll.data = w;
    w->all->count++;
    return w;
}

void watch_want(struct watch *w, int events)
{
    w->wanted = events;
    note_change(w);
}

static void on_closed(uv_handle_t *handle) { free(handle->data); }

void watch_close(struct watch *w)
{
    forget_change(w);
    w->all->count--;
    uv_close((uv_handle_t *)&w->poll, on_closed);
}

void watches_flush(struct watches *all)
{
    while (all->changed) {
        struct watch *w = all->changed;
        forget_change(w);
        if (w->wanted == w->told) continue;
        int failed_with = w->wanted ? uv_poll_start(&w->poll, to_uv(w->wanted), on_poll) : uv_poll_stop(&w->poll);
        assert(failed_with == 0);
        (void)failed_with;
        w->told = w->wanted;
    }
}
