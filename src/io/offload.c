#include "io/offload.h"
#include "io/strand.h"
#include "io/waiter.h"
#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

enum { OFFLOADED_MAX = 1024, QUEUED_MAX_USUAL = 65536 };

/* ---- one function on libuv's pool ------------------------------------------------ */

struct offloaded { /* on the waiting fiber's stack */
    uv_work_t work;
    struct loop *loop;
    struct strand *strand;
    offload_fn *fn;
    void *arg;
    struct err outcome;
    bool is_done;
};

static void on_pool(uv_work_t *work)
{
    struct offloaded *o = work->data;
    o->outcome = o->fn(o->arg);
}

static void after_pool(uv_work_t *work, int status)
{
    (void)status; /* nobody calls uv_cancel */
    struct offloaded *o = work->data;
    o->is_done = true;
    strand_ready(o->loop, o->strand);
}

struct err offload(struct ctx *cx, offload_fn *fn, void *arg)
{
    TRY(wait_may_begin(cx));
    int *out = loop_offloaded(cx->loop);
    if (*out >= OFFLOADED_MAX) return err(ERR_BUSY, "too much is waiting for a thread");
    struct offloaded o = {.loop = cx->loop, .strand = strand_of(cx), .fn = fn, .arg = arg};
    o.work.data = &o;
    if (uv_queue_work(loop_uv(cx->loop), &o.work, on_pool, after_pool) != 0)
        return err(ERR_BUSY, "no thread takes this");
    ++*out;
    while (!o.is_done) strand_park(cx, "offload");
    --*out;
    return o.outcome;
}

/* ---- a worker --------------------------------------------------------------------
 *
 * A job's way: `gathered` (the loop's, no lock) until the fibers that can run have run;
 * then all at once to `queue`, with one signal, and that only if the thread sleeps; from
 * there in one grab to the worker's function; then all at once to `done`, with one post,
 * and that only if none is on its way; then its fiber runs. So many jobs that come together
 * cost two wake-ups, whatever their number. */
struct pending { /* on the waiting fiber's stack */
    struct pending *next;
    struct job *job;
    struct strand *strand;
    bool is_done;
};
struct queue {
    struct pending *first, *last;
    int count;
};
struct worker {
    struct loop *loop;
    worker_fn *fn;
    void *self;
    int jobs_max, queued_max;
    pthread_t thread;

    /* The loop's. */
    struct queue gathered;
    struct deferred handing_over;
    bool is_closed; /* the thread has ended */

    pthread_mutex_t lock; /* of what follows */
    struct queue queue, done;
    bool sleeps, is_closing, has_post;
    sem_t alarm; /* rung once for each sleep. A condition variable makes one system call more each time */
    struct post post;
    atomic_int queued; /* of queue; written under the lock, read without */
};

static void queue_add(struct queue *q, struct queue more)
{
    if (!more.first) return;
    *(q->first ? &q->last->next : &q->first) = more.first;
    q->last = more.last;
    q->count += more.count;
}

static struct queue queue_take(struct queue *q, int max)
{
    struct queue taken = *q;
    if (q->count <= max) {
        *q = (struct queue){0};
        return taken;
    }
    struct pending *last = q->first;
    for (int i = 1; i < max; i++) last = last->next;
    taken.last = last;
    taken.count = max;
    q->first = last->next;
    q->count -= max;
    last->next = NULL;
    return taken;
}

static void worker_free(struct worker *w)
{
    loop_undefer(&w->handing_over);
    sem_destroy(&w->alarm);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void wake_done(void *at)
{
    struct worker *w = at;
    pthread_mutex_lock(&w->lock);
    struct queue done = queue_take(&w->done, w->done.count);
    w->has_post = false;
    pthread_mutex_unlock(&w->lock);
    for (struct pending *p = done.first, *next; p; p = next) {
        next = p->next;
        p->is_done = true;
        strand_ready(w->loop, p->strand);
    }
    if (w->is_closed) worker_free(w);
}

static void run_jobs(struct worker *w, struct queue batch)
{
    for (struct pending *p = batch.first; p; p = p->next) p->job->next = p->next ? p->next->job : NULL;
    w->fn(w->self, batch.first->job);
}

/* With the lock held; it is not, meanwhile. Whoever rings clears `sleeps`, so that nobody else does. */
static void sleep_until_rung(struct worker *w)
{
    w->sleeps = true;
    pthread_mutex_unlock(&w->lock);
    while (sem_wait(&w->alarm) != 0) continue; /* a debugger interrupts it */
    pthread_mutex_lock(&w->lock);
}

static void *worker_main(void *at)
{
    struct worker *w = at;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->queue.first && !w->is_closing) sleep_until_rung(w);
        if (!w->queue.first) break;
        struct queue batch = queue_take(&w->queue, w->jobs_max);
        atomic_store(&w->queued, w->queue.count);
        pthread_mutex_unlock(&w->lock);
        run_jobs(w, batch);
        pthread_mutex_lock(&w->lock);
        queue_add(&w->done, batch);
        if (w->has_post) continue;
        w->has_post = true;
        pthread_mutex_unlock(&w->lock); /* else the loop would wake up to find it locked */
        loop_post_node(w->loop, &w->post);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void unlock_and_ring(struct worker *w)
{
    bool must_ring = w->sleeps;
    w->sleeps = false;
    pthread_mutex_unlock(&w->lock);
    if (must_ring) sem_post(&w->alarm);
}

static void hand_over(void *at)
{
    struct worker *w = at;
    loop_undefer(&w->handing_over);
    pthread_mutex_lock(&w->lock);
    queue_add(&w->queue, w->gathered);
    atomic_store(&w->queued, w->queue.count);
    w->gathered = (struct queue){0};
    unlock_and_ring(w);
}

struct err worker_do(struct ctx *cx, struct worker *w, struct job *job)
{
    assert(!w->is_closing);
    TRY(wait_may_begin(cx));
    if (worker_queued(w) >= w->queued_max) return err(ERR_BUSY, "too much is waiting for this thread");
    struct pending p = {.job = job, .strand = strand_of(cx)};
    queue_add(&w->gathered, (struct queue){&p, &p, 1});
    loop_defer(w->loop, &w->handing_over, hand_over, w);
    while (!p.is_done) strand_park(cx, "worker_do");
    return job->outcome;
}

int worker_queued(const struct worker *w) { return w->gathered.count + atomic_load(&w->queued); }
void worker_bound(struct worker *w, int queued_max) { w->queued_max = queued_max; }

/* A thread of ours handles no signals: they belong to the loop's. */
static bool start_thread(struct worker *w, const char *name)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool is_started = pthread_create(&w->thread, NULL, worker_main, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (is_started) pthread_setname_np(w->thread, name); /* at most 15 letters; else it has none */
    return is_started;
}

struct worker *worker_open(struct loop *loop, const char *name, int jobs_max, worker_fn *fn, void *self)
{
    assert(jobs_max > 0);
    struct worker *w = malloc(sizeof *w);
    if (!w) return NULL;
    *w = (struct worker){.loop = loop, .fn = fn, .self = self, .jobs_max = jobs_max, .queued_max = QUEUED_MAX_USUAL};
    w->post = (struct post){.fn = wake_done, .arg = w};
    pthread_mutex_init(&w->lock, NULL);
    sem_init(&w->alarm, 0, 0);
    if (start_thread(w, name)) return w;
    sem_destroy(&w->alarm);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return NULL;
}

/* Blocks the loop until the thread has ended: it is called when a server stops. The fibers whose
 * jobs were done meanwhile run afterwards. */
void worker_close(struct worker *w)
{
    hand_over(w);
    pthread_mutex_lock(&w->lock);
    w->is_closing = true;
    unlock_and_ring(w);
    pthread_join(w->thread, NULL);
    w->is_closed = true;
    if (!w->has_post) worker_free(w); /* else the post that is on its way does it */
}
