#include "net/lookup.h"
#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/clock.h"
#include "io/loop.h"
#include "io/wait.h"
#include "net/address.h"

enum { THREAD_STACK_BYTES = 512 * 1024 };

/* One look-up. Queued and running it is the pool's (under its mutex), with the waiters' half for the
 * loop alone; finished it is the loop's, and the last waiter frees it. */
struct look {
    struct look *next;         /* in the queue, or among the finished */
    struct look *next_pending; /* of the loop: all that are not finished */
    char host[LOOKUP_HOST_BYTES];
    int64_t tenant;
    lookup_fn *fn;
    struct gate finished;
    int waiters;
    bool is_started, is_finished;
    struct err outcome;
    char addresses[LOOKUP_ADDRESSES_BYTES];
};

/* What threads share with the loop. It outlives the lookup that made it while a thread is still
 * inside the system's resolver or a post is on its way. */
struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct look *queue, **queue_end;
    struct look *finished, **finished_end;
    struct look *running[LOOKUP_THREADS];
    int queued, threads, idle;
    int references; /* the lookup's, each thread's, the post's */
    bool is_closed, is_posted;
    struct loop *loop;
    struct lookup *owner; /* the loop's; null once closed */
};

struct kept {
    char host[LOOKUP_HOST_BYTES];
    int64_t until_ms;
    struct err outcome;
    char addresses[LOOKUP_ADDRESSES_BYTES];
};
struct lookup {
    struct pool *pool;
    struct look *pending;
    lookup_fn *fn;
    struct kept *kept[LOOKUP_KEPT];
    int kept_count;
};

/* ---- the system's resolver ------------------------------------------------------- */
static struct err system_lookup(const char *host, char *addresses, size_t addresses_size)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int code = getaddrinfo(host, NULL, &hints, &found);
    if (code != 0 && strcasecmp(host, "localhost") == 0) { /* RFC 6761: this machine, also where /etc/hosts is missing */
        snprintf(addresses, addresses_size, "127.0.0.1");
        return OK;
    }
    if (code == EAI_AGAIN) return err(ERR_UPSTREAM, "the name cannot be looked up now");
    if (code == EAI_MEMORY) return err(ERR_MEMORY, "there is no memory to look a name up");
    if (code != 0) return err(ERR_UPSTREAM, "the name has no address");
    size_t used = 0;
    addresses[0] = 0;
    for (struct addrinfo *a = found; a; a = a->ai_next) {
        char text[ADDRESS_TEXT_MAX];
        if (!address_text(a->ai_addr, text)) continue;
        size_t count = strlen(text);
        if (used + count + 2 > addresses_size) break; /* ten are plenty */
        if (used > 0) addresses[used++] = ',';
        memcpy(addresses + used, text, count + 1);
        used += count;
    }
    freeaddrinfo(found);
    return used > 0 ? OK : err(ERR_UPSTREAM, "the name has no address");
}

/* ---- threads ---------------------------------------------------------------------- */
static void pool_release(struct pool *pool) /* holds the mutex, and gives it up */
{
    bool is_last = --pool->references == 0;
    pthread_mutex_unlock(&pool->mutex);
    if (!is_last) return;
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->work);
    free(pool);
}

static int running_of(const struct pool *pool, int64_t tenant)
{
    int count = 0;
    for (int i = 0; i < LOOKUP_THREADS; i++) count += pool->running[i] && pool->running[i]->tenant == tenant;
    return count;
}

/* Fewest under way first, then the oldest: so a tenant with a long queue delays itself alone. */
static struct look *take_next(struct pool *pool)
{
    int running = 0, fewest = LOOKUP_TENANT_THREADS;
    for (int i = 0; i < LOOKUP_THREADS; i++) running += pool->running[i] != NULL;
    bool has_room = running - running_of(pool, LOOKUP_OPERATOR) < LOOKUP_TENANTS_THREADS;
    struct look **best = NULL;
    for (struct look **at = &pool->queue; *at; at = &(*at)->next) {
        if ((*at)->tenant != LOOKUP_OPERATOR && !has_room) continue;
        int own = running_of(pool, (*at)->tenant);
        if (own >= fewest) continue;
        fewest = own;
        best = at;
    }
    if (!best) return NULL;
    struct look *look = *best;
    *best = look->next;
    if (!*best) pool->queue_end = best;
    look->next = NULL;
    look->is_started = true;
    pool->queued--;
    return look;
}

static loop_fn hear;

static void run(struct pool *pool, int slot, struct look *look) /* holds the mutex, but for the look-up itself */
{
    pool->running[slot] = look;
    pthread_mutex_unlock(&pool->mutex);
    look->outcome = look->fn(look->host, look->addresses, sizeof look->addresses);
    pthread_mutex_lock(&pool->mutex);
    pool->running[slot] = NULL;
    pthread_cond_broadcast(&pool->work); /* a share became free: somebody else's turn, perhaps */
    if (pool->is_closed) {
        free(look);
        return;
    }
    *pool->finished_end = look;
    pool->finished_end = &look->next;
    if (pool->is_posted) return;
    pool->is_posted = true;
    pool->references++;
    loop_post(pool->loop, hear, pool);
}

static void *thread_main(void *arg)
{
    struct pool *pool = arg;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->is_closed) {
        struct look *look = take_next(pool);
        if (look) {
            int slot = 0; /* there is one: as many as threads */
            while (pool->running[slot]) slot++;
            run(pool, slot, look);
        } else {
            pool->idle++;
            pthread_cond_wait(&pool->work, &pool->mutex);
            pool->idle--;
        }
    }
    pool_release(pool);
    return NULL;
}

/* Signals are the loop's alone. False: no thread, and none before. */
static bool start_thread(struct pool *pool) /* holds the mutex */
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;

    if (pthread_attr_init(&attr) != 0) return pool->threads > 0;
    pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, &attr, thread_main, pool) == 0) {
        pool->threads++;
        pool->references++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return pool->threads > 0;
}

/* ---- what was answered lately ------------------------------------------------------ */
static struct kept *kept_find(struct lookup *l, const char *host)
{
    int64_t now_ms = clock_mono_ms();
    for (int i = 0; i < l->kept_count; i++) {
        if (l->kept[i]->until_ms > now_ms) {
            if (strcmp(l->kept[i]->host, host) == 0) return l->kept[i];
            continue;
        }
        free(l->kept[i]);
        l->kept[i--] = l->kept[--l->kept_count];
    }
    return NULL;
}

static void keep(struct lookup *l, const struct look *look)
{
    bool is_failure = failed(look->outcome);
    if (is_failure && look->outcome.code != ERR_UPSTREAM) return;
    struct kept *kept = kept_find(l, look->host);
    if (!kept && l->kept_count == LOOKUP_KEPT) { /* the one that ends first makes room */
        kept = l->kept[0];
        for (int i = 1; i < l->kept_count; i++)
            if (l->kept[i]->until_ms < kept->until_ms) kept = l->kept[i];
    } else if (!kept) {
        kept = malloc(sizeof *kept);
        if (!kept) return;
        l->kept[l->kept_count++] = kept;
    }
    kept->until_ms = clock_mono_ms() + (is_failure ? LOOKUP_FAILURE_KEPT_MS : LOOKUP_KEPT_MS);
    kept->outcome = look->outcome;
    memcpy(kept->host, look->host, sizeof kept->host);
    memcpy(kept->addresses, look->addresses, sizeof kept->addresses);
}

static void forget_all(struct lookup *l)
{
    while (l->kept_count > 0) free(l->kept[--l->kept_count]);
}

/* ---- the loop's side ----------------------------------------------------------------- */
static void unlink_pending(struct lookup *l, struct look *look)
{
    struct look **at = &l->pending;
    while (*at != look) at = &(*at)->next_pending;
    *at = look->next_pending;
}

/* On the loop: look-ups have finished. */
static void hear(void *arg)
{
    struct pool *pool = arg;
    pthread_mutex_lock(&pool->mutex);
    struct look *finished = pool->finished;
    pool->finished = NULL;
    pool->finished_end = &pool->finished;
    pool->is_posted = false;
    struct lookup *l = pool->owner;
    pool_release(pool);
    while (finished) {
        struct look *look = finished;
        finished = look->next;
        look->is_finished = true;
        unlink_pending(l, look);
        if (look->fn == l->fn) keep(l, look);
        gate_open(&look->finished);
        if (look->waiters == 0) free(look);
    }
}

static struct look *pending_find(const struct lookup *l, const char *host, int64_t tenant)
{
    struct look *look = l->pending;
    while (look && (look->tenant != tenant || strcmp(look->host, host) != 0)) look = look->next_pending;
    return look;
}

static int queued_of(const struct lookup *l, int64_t tenant)
{
    int count = 0;
    for (struct look *look = l->pending; look; look = look->next_pending)
        count += look->tenant == tenant;
    return count;
}

static struct err submit(struct lookup *l, const char *host, int64_t tenant, struct look **out)
{
    struct pool *pool = l->pool;
    if (queued_of(l, tenant) >= LOOKUP_TENANT_QUEUED + LOOKUP_TENANT_THREADS)
        return err(ERR_BUSY, "too many names are being looked up for this organization");
    struct look *look = calloc(1, sizeof *look);
    if (!look) return err(ERR_MEMORY, "there is no memory to look a name up");
    memcpy(look->host, host, strlen(host) + 1);
    look->tenant = tenant;
    look->fn = l->fn;

    pthread_mutex_lock(&pool->mutex);
    bool has_room = pool->queued < LOOKUP_QUEUED;
    bool has_thread = has_room && (pool->idle > pool->queued || pool->threads == LOOKUP_THREADS || start_thread(pool));
    if (has_thread) {
        *pool->queue_end = look;
        pool->queue_end = &look->next;
        pool->queued++;
        pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->mutex);
    if (!has_thread) {
        free(look);
        return err(ERR_BUSY, "too many names are being looked up");
    }
    look->next_pending = l->pending;
    l->pending = look;
    *out = look;
    return OK;
}

/* The last waiter frees what is finished; what nobody waits for any more need not begin. */
static void leave(struct lookup *l, struct look *look)
{
    struct pool *pool = l->pool;
    if (--look->waiters > 0) return;
    bool is_over = look->is_finished;
    if (!is_over) {
        pthread_mutex_lock(&pool->mutex);
        is_over = !look->is_started;
        if (is_over) {
            struct look **at = &pool->queue;
            while (*at != look) at = &(*at)->next;
            *at = look->next;
            if (!*at) pool->queue_end = at;
            pool->queued--;
        }
        pthread_mutex_unlock(&pool->mutex);
        if (is_over) unlink_pending(l, look);
    }
    if (is_over) free(look);
}

static struct err wait_for(struct ctx *cx, struct look *look)
{
    int64_t due_ms = clock_mono_ms() + LOOKUP_WAIT_MS;
    while (!look->is_finished) {
        int64_t left_ms = due_ms - clock_mono_ms();
        struct err e = gate_wait_ms(cx, &look->finished, left_ms > 0 ? left_ms : 0, "a name is looked up");
        if (e.code == ERR_TIMEOUT && clock_mono_ms() >= due_ms)
            return err(ERR_UPSTREAM, "the name was not looked up in time");
        TRY(e);
    }
    return look->outcome;
}

struct err lookup_wait(struct ctx *cx, struct lookup *l, const char *host, int64_t tenant,
                       char addresses[LOOKUP_ADDRESSES_BYTES])
{
    assert(strlen(host) < LOOKUP_HOST_BYTES);
    struct kept *kept = kept_find(l, host);
    if (kept) {
        memcpy(addresses, kept->addresses, LOOKUP_ADDRESSES_BYTES);
        return kept->outcome;
    }
    struct look *look = pending_find(l, host, tenant);
    if (!look) TRY(submit(l, host, tenant, &look));
    look->waiters++;
    struct err e = wait_for(cx, look);
    if (!failed(e)) memcpy(addresses, look->addresses, LOOKUP_ADDRESSES_BYTES);
    leave(l, look);
    return e;
}

struct lookup *lookup_open(struct loop *loop)
{
    struct lookup *l = calloc(1, sizeof *l);
    struct pool *pool = calloc(1, sizeof *pool);
    if (!l || !pool) {
        free(l);
        free(pool);
        return NULL;
    }
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pool->queue_end = &pool->queue;
    pool->finished_end = &pool->finished;
    pool->references = 1;
    pool->loop = loop;
    pool->owner = l;
    l->pool = pool;
    l->fn = system_lookup;
    return l;
}

void lookup_close(struct lookup *l)
{
    if (!l) return;
    struct pool *pool = l->pool;
    pthread_mutex_lock(&pool->mutex);
    pool->is_closed = true;
    pool->owner = NULL;
    while (l->pending) {
        struct look *look = l->pending;
        bool is_running = false;
        for (int i = 0; i < LOOKUP_THREADS; i++) is_running = is_running || pool->running[i] == look;
        assert(look->waiters == 0);
        l->pending = look->next_pending;
        if (!is_running) free(look); /* its thread frees a running one */
    }
    pool->queue = pool->finished = NULL;
    pool->queued = 0;
    pthread_cond_broadcast(&pool->work);
    pool_release(pool);
    forget_all(l);
    free(l);
}

void lookup_test_fn(struct lookup *l, lookup_fn *fn)
{
    l->fn = fn ? fn : system_lookup;
    forget_all(l);
}
