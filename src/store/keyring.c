#include "store/keyring.h"
#include <assert.h>
#include <stdlib.h>
#include "io/offload.h"
#include "io/wait.h"
#include "store/db.h"
#include "store/ring.h"

/* Which slots may be handed out: a bit each in `ready`, set after this process filled the slot, synced it,
 * and knows that its row says free on disk. Rows of earlier processes are gone through once, upwards
 * (`cursor`); what is freed at or below the cursor, or above the slots that were there at the
 * start (`top`), is ours already, since destroying fills. So no row is ever looked at twice: one of a
 * slot that was handed out but whose owner is not committed yet still says free, and
 * filling that again would cost the owner its key. */
enum { TAKE_PATIENCE_MS = 5000, JOBS_MAX = 1024 };

struct slots { /* a growing list */
    int64_t *at;
    int count, room;
};

struct freed;
struct keyring {
    struct db *db;
    struct loop *loop;
    struct ring *ring;
    struct worker *worker;
    int pool;
    int64_t cursor, top, next; /* next: the number of the next new slot */
    uint64_t *ready;
    int64_t words, lowest;     /* of ready[]; no bit is set below word `lowest` */
    int64_t ready_count;
    struct slots unfilled;     /* have a free row, and are ours to fill */
    struct slots untaken;
    struct freed *freed;
    struct gate wanted, filled;
    bool is_tended, is_tending, is_exhausted; /* exhausted: no rows above the cursor */
    struct err trouble;        /* of the last tending */
};

static bool slots_reserve(struct slots *s, int more)
{
    if (s->count + more <= s->room) return true;
    int room = (s->count + more) * 2;
    int64_t *at = realloc(s->at, (size_t)room * sizeof *at);
    if (!at) return false;
    s->at = at;
    s->room = room;
    return true;
}

static const struct err no_memory = {ERR_MEMORY, "there is no memory left for keys"};

/* ---- which are ready --------------------------------------------------------------- */

/* Without memory the slot is forgotten until the next start. */
static void ready_add(struct keyring *k, int64_t slot)
{
    int64_t word = slot / 64;
    if (word >= k->words) {
        int64_t words = word * 2 + 16;
        uint64_t *wider = realloc(k->ready, (size_t)words * sizeof *wider);
        if (!wider) return;
        memset(wider + k->words, 0, (size_t)(words - k->words) * sizeof *wider);
        k->ready = wider;
        k->words = words;
    }
    assert(!(k->ready[word] >> slot % 64 & 1));
    k->ready[word] |= UINT64_C(1) << slot % 64;
    k->ready_count++;
    if (word < k->lowest) k->lowest = word;
}

static int64_t ready_take(struct keyring *k)
{
    assert(k->ready_count > 0);
    while (!k->ready[k->lowest]) k->lowest++;
    int bit = __builtin_ctzll(k->ready[k->lowest]);
    k->ready[k->lowest] &= k->ready[k->lowest] - 1;
    k->ready_count--;
    return k->lowest * 64 + bit;
}

static bool is_ours(const struct keyring *k, int64_t slot) { return slot <= k->cursor || slot > k->top; }

/* ---- overwriting ------------------------------------------------------------------- */

struct overwrite {
    struct job job;
    const int64_t *slots;
    int count;
};

/* The worker: one sync for all that wait. A failure is everybody's: who knows what got to the disk. */
static void overwrite_all(void *self, struct job *jobs)
{
    const struct ring *ring = self;
    struct err e = OK;
    for (struct job *job = jobs; job && !failed(e); job = job->next) {
        struct overwrite *o = (struct overwrite *)job;
        e = ring_overwrite(ring, o->slots, o->count);
    }
    if (!failed(e)) e = ring_sync(ring);
    for (struct job *job = jobs; job; job = job->next) job->outcome = e;
}

static struct err overwrite(struct ctx *cx, struct keyring *k, const int64_t *slots, int count)
{
    struct overwrite o = {.slots = slots, .count = count};
    if (cx->loop && k->worker) return worker_do(cx, k->worker, &o.job);
    overwrite_all(k->ring, &o.job);
    return o.job.outcome;
}

/* ---- destroying -------------------------------------------------------------------- */

/* Neighbours whose `free` rides. In a list, so that closing forgets none. */
struct freed {
    struct keyring *keyring;
    struct freed *next, **link;
    int64_t from, to;
    bool is_ours;
};

static void forget(struct freed *f)
{
    *f->link = f->next;
    if (f->next) f->next->link = f->link;
    free(f);
}

/* The commit that frees them is on disk. */
static void hand_in(void *arg)
{
    struct freed *f = arg;
    for (int64_t slot = f->from; f->is_ours && slot <= f->to; slot++) ready_add(f->keyring, slot);
    forget(f);
}

/* Neighbours of one kind in one statement. */
static void free_slots(struct keyring *k, const int64_t *slots, int count)
{
    for (int at = 0, run; at < count; at += run) {
        bool ours = is_ours(k, slots[at]);
        for (run = 1; at + run < count && slots[at + run] == slots[at] + run && is_ours(k, slots[at + run]) == ours;) run++;
        struct freed *f = malloc(sizeof *f);
        if (!f) continue; /* they stay `erasing` until the next start */
        *f = (struct freed){k, k->freed, &k->freed, slots[at], slots[at + run - 1], ours};
        if (f->next) f->next->link = &f->next;
        k->freed = f;
        db_ride(k->db, "UPDATE slot SET state = 0 WHERE n BETWEEN $1 AND $2 AND state = 1", ARGS(num(f->from), num(f->to)),
                hand_in, f);
    }
}

/* Of none: back when what was asked before is done. */
struct err keyring_destroy(struct ctx *cx, struct keyring *k, const int64_t *slots, int count)
{
    TRY(overwrite(cx, k, slots, count));
    free_slots(k, slots, count);
    return OK;
}

struct err keyring_sweep(struct ctx *cx, struct keyring *k)
{
    struct arena_mark mark = arena_mark(cx->arena);
    struct err e = OK;
    int64_t last = 0;
    for (int found = 1; found && !failed(e);) {
        int64_t slots[256];
        struct rows rows;
        e = db_read(cx, k->db, POINT("SELECT n FROM slot WHERE state = 1 AND n > $1 ORDER BY n LIMIT 256"), ARGS(num(last)), &rows);
        found = failed(e) ? 0 : rows.count;
        for (int i = 0; i < found; i++) slots[i] = last = row_num(&rows, i, 0);
        if (found) e = keyring_destroy(cx, k, slots, found);
        arena_rewind(cx->arena, mark);
    }
    return e;
}

/* A slot whose owner was not committed may have sealed something, so it is erased; but not before its row says so:
 * a commit that failed may be on the disk all the same, and then it belongs to its owner. */
struct err keyring_erase_untaken(struct ctx *cx, struct keyring *k)
{
    while (k->untaken.count) {
        int64_t slots[64];
        int count = k->untaken.count < 64 ? k->untaken.count : 64, erasing = 0;
        struct arena arena = arena_new();
        struct ctx own = *cx;
        own.arena = &arena;
        struct batch *b = batch_new(&arena);
        int64_t taken_back[64];
        for (int i = 0; i < count; i++) {
            taken_back[i] = k->untaken.at[--k->untaken.count];
            batch_add(b, "UPDATE slot SET state = 1 WHERE n = $1 AND state = 0 RETURNING n", ARGS(num(taken_back[i])), ANY_CHANGES);
        }
        struct err e = db_write(&own, k->db, b);
        for (int i = 0; i < count && failed(e); i++) keyring_untake(k, taken_back[i]);
        for (int i = 0; i < count && !failed(e); i++)
            if (batch_rows(b, i)->count) slots[erasing++] = row_num(batch_rows(b, i), 0, 0);
        arena_free(&arena);
        TRY(e);
        TRY(keyring_destroy(cx, k, slots, erasing));
    }
    return OK;
}

/* ---- filling ----------------------------------------------------------------------- */

/* Rows that earlier processes left. */
static struct err find_free(struct ctx *cx, struct keyring *k, int want)
{
    struct arena arena = arena_new();
    struct ctx own = *cx;
    own.arena = &arena;
    struct rows rows;
    struct err e = db_read(&own, k->db, POINT("SELECT n FROM slot WHERE n > $1 AND n <= $2 AND state = 0 ORDER BY n LIMIT $3"),
                           ARGS(num(k->cursor), num(k->top), num(want)), &rows);
    if (!failed(e) && !slots_reserve(&k->unfilled, rows.count)) e = no_memory;
    for (int i = 0; i < rows.count && !failed(e); i++) {
        k->cursor = row_num(&rows, i, 0);
        k->unfilled.at[k->unfilled.count++] = k->cursor;
    }
    if (!failed(e) && rows.count < want) {
        k->cursor = k->top;
        k->is_exhausted = true;
    }
    arena_free(&arena);
    return e;
}

/* New slots have rows before they have keys. */
static struct err make_new(struct ctx *cx, struct keyring *k, int want)
{
    if (!slots_reserve(&k->unfilled, want)) return no_memory;
    struct arena arena = arena_new();
    struct ctx own = *cx;
    own.arena = &arena;
    struct batch *b = batch_new(&arena);
    batch_add(b, "WITH RECURSIVE fresh (n) AS (SELECT $1 UNION ALL SELECT n + 1 FROM fresh WHERE n < $2)"
                 " INSERT INTO slot (n, state) SELECT n, 0 FROM fresh",
              ARGS(num(k->next), num(k->next + want - 1)), want);
    batch_add(b, "UPDATE number SET next = $1 WHERE name = 'slot'", ARGS(num(k->next + want)), 1);
    struct err e = db_write(&own, k->db, b);
    for (int i = 0; i < want && !failed(e); i++) k->unfilled.at[k->unfilled.count++] = k->next++;
    arena_free(&arena);
    return e;
}

static struct err fill(struct ctx *cx, struct keyring *k)
{
    int missing = k->pool - (int)(k->ready_count < k->pool ? k->ready_count : k->pool);
    if (missing > k->unfilled.count && !k->is_exhausted) TRY(find_free(cx, k, missing - k->unfilled.count));
    if (missing > k->unfilled.count) TRY(make_new(cx, k, missing - k->unfilled.count));
    if (k->unfilled.count == 0) return OK;
    TRY(overwrite(cx, k, k->unfilled.at, k->unfilled.count));
    for (int i = 0; i < k->unfilled.count; i++) ready_add(k, k->unfilled.at[i]);
    k->unfilled.count = 0;
    return OK;
}

bool keyring_wants(const struct keyring *k) { return k->ready_count < k->pool / 2 + 1 || k->untaken.count > 0; }

struct err keyring_tend(struct ctx *cx, struct keyring *k)
{
    assert(!k->is_tending);
    k->is_tending = true;
    struct err e = fill(cx, k);
    if (!failed(e)) e = keyring_erase_untaken(cx, k);
    k->trouble = e;
    k->is_tending = false;
    gate_open(&k->filled);
    return e;
}

struct err keyring_wait(struct ctx *cx, struct keyring *k, int64_t ms)
{
    k->is_tended = true;
    if (keyring_wants(k) && !failed(k->trouble)) return OK;
    return gate_wait_ms(cx, &k->wanted, ms, "a keyring that wants filling");
}

/* ---- taking ------------------------------------------------------------------------ */

static struct err wait_for_ready(struct ctx *cx, struct keyring *k)
{
    if (!k->is_tended && !k->is_tending) TRY(keyring_tend(cx, k));
    while (k->ready_count == 0 && k->is_tended) {
        gate_open(&k->wanted);
        struct err e = gate_wait_ms(cx, &k->filled, TAKE_PATIENCE_MS, "a filled slot of the keyring");
        if (e.code == ERR_TIMEOUT) break;
        TRY(e);
        if (k->ready_count == 0 && failed(k->trouble)) return k->trouble;
    }
    return k->ready_count ? OK : err(ERR_BUSY, "the keyring has no filled slot at the moment");
}

struct err keyring_take(struct ctx *cx, struct keyring *k, struct batch *b, int64_t *slot, struct secret *out)
{
    if (k->ready_count == 0) TRY(wait_for_ready(cx, k));
    int64_t taken = ready_take(k);
    if (k->is_tended && keyring_wants(k)) gate_open(&k->wanted);
    struct err e = keyring_key(k, taken, out);
    if (failed(e)) {
        keyring_untake(k, taken);
        return e;
    }
    batch_add(b, "DELETE FROM slot WHERE n = $1 AND state = 0", ARGS(num(taken)), 1);
    *slot = taken;
    return OK;
}

void keyring_untake(struct keyring *k, int64_t slot)
{
    if (!slots_reserve(&k->untaken, 1)) return; /* then its row stays free, and the next start fills it */
    k->untaken.at[k->untaken.count++] = slot;
    if (k->is_tended) gate_open(&k->wanted);
}

struct err keyring_key(struct keyring *k, int64_t slot, struct secret *out)
{
    unsigned char room[CELL_BYTES];
    *out = (struct secret){.key = cell_take(k->ring->cells), .slot = slot};
    bool is_open = ring_unwrap(k->ring, slot, out->key ? out->key : room);
    explicit_bzero(room, sizeof room);
    if (is_open) return OK;
    secret_drop(k, out);
    return err(ERR_IO, "a key of the keyring does not open");
}

const unsigned char *secret_bytes(const struct keyring *k, const struct secret *s, unsigned char room[32])
{
    if (s->key) return s->key;
    return ring_unwrap(k->ring, s->slot, room) ? room : NULL;
}

void secret_drop(struct keyring *k, struct secret *s)
{
    cell_drop(k->ring->cells, s->key);
    *s = (struct secret){0};
}

/* ---- opening ----------------------------------------------------------------------- */

struct err keyring_open(struct ctx *cx, struct db *db, struct ring *ring, int pool, int64_t top, struct keyring **out)
{
    assert(pool >= 1 && pool <= KEYRING_FILL_MAX);
    struct keyring *k = calloc(1, sizeof *k);
    if (!k) return no_memory;
    *k = (struct keyring){.db = db, .loop = cx->loop, .ring = ring, .pool = pool, .top = top, .next = top + 1};
    if (k->next < RING_SLOT_FIRST) k->top = RING_SLOT_FIRST - 1, k->next = RING_SLOT_FIRST;
    if (cx->loop && !(k->worker = worker_open(cx->loop, "keyring", JOBS_MAX, overwrite_all, ring))) {
        free(k);
        return err(ERR_MEMORY, "there is no thread left for the keyring");
    }
    *out = k;
    return OK;
}

void keyring_close(struct keyring *k)
{
    if (k->worker) worker_close(k->worker);
    ring_close(k->ring);
    while (k->freed) forget(k->freed);
    free(k->ready);
    free(k->unfilled.at);
    free(k->untaken.at);
    free(k);
}
