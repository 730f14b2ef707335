/* engine/registry.c: what lives in this process, found by number. */
#include "engine/registry.h"
#include "base/clock.h"
#include "engine/journal.h"
#include "engine/run.h"
#include "store/task.h"
#include <stdlib.h>

static unsigned bucket(int64_t n) { return (unsigned)((uint64_t)n * 0x9E3779B97F4A7C15u >> 52) & (BUCKETS - 1); }

/* ---- trees ------------------------------------------------------------------------- */

struct tree *tree_of(const struct engine *engine, int64_t root)
{
    struct tree *t = engine->trees[bucket(root)];
    while (t && t->root != root) t = t->next_in_bucket;
    return t;
}

struct tree *tree_hold(struct engine *engine, int64_t root)
{
    struct tree *t = tree_of(engine, root), **head = &engine->trees[bucket(root)];
    if (t) {
        t->holders++;
        return t;
    }
    t = calloc(1, sizeof *t);
    if (!t) return NULL;
    *t = (struct tree){.engine = engine, .root = root, .next_in_bucket = *head, .holders = 1};
    return *head = t;
}

void tree_stir(struct engine *engine, int64_t root)
{
    struct tree *t = tree_of(engine, root);
    if (!t) return;
    gate_open(&t->changed);
    gate_open(&t->settled);
}

static void drop_note(struct tree *t)
{
    struct note *note = t->first;
    t->first = note->next;
    if (!t->first) t->last = NULL;
    t->notes_count--;
    t->notes_bytes -= note->entry.body.count;
    explicit_bzero(note + 1, note->entry.body.count);
    free(note);
}

static void forget_notes(struct tree *t)
{
    while (t->first) drop_note(t);
    t->notes_from = 0;
}

void tree_forget_notes(struct engine *engine, int64_t root)
{
    struct tree *t = tree_of(engine, root);
    if (t) forget_notes(t);
}

void tree_drop(struct tree *t)
{
    if (--t->holders) return;
    struct tree **at = &t->engine->trees[bucket(t->root)];
    while (*at != t) at = &(*at)->next_in_bucket;
    *at = t->next_in_bucket;
    forget_notes(t);
    free(t);
}

/* Keep an entry for followers, who then need not ask the disk; the oldest notes go. */
static void keep_note(struct tree *t, const struct entry *e)
{
    struct note *note = malloc(sizeof *note + e->body.count);
    if (!note) { /* they ask the disk then */
        forget_notes(t);
        return;
    }
    *note = (struct note){.entry = *e};
    char *body = (char *)(note + 1);
    if (e->body.count) memcpy(body, e->body.at, e->body.count);
    note->entry.body = str_n(body, e->body.count);
    if (t->last) t->last->next = note;
    else t->first = note;
    t->last = note;
    t->notes_count++;
    t->notes_bytes += e->body.count;
    if (!t->notes_from) t->notes_from = e->n;
    while (t->notes_count > NOTES_MAX || (t->notes_bytes > NOTES_BYTES_MAX && t->notes_count > 1)) {
        t->notes_from = t->first->entry.n + 1;
        drop_note(t);
    }
}

void journal_announce(struct tree *t, const struct entry *entries, int count)
{
    t->announced++;
    if (!t->followers) forget_notes(t);
    for (int i = 0; i < count && t->followers; i++) keep_note(t, &entries[i]);
    gate_open(&t->changed);
    gate_open(&t->settled);
}

/* ---- runs --------------------------------------------------------------------------- */

struct run *run_of(const struct engine *engine, int64_t task)
{
    struct run *r = engine->runs[bucket(task)];
    while (r && r->task.n != task) r = r->next_in_bucket;
    return r;
}

struct run *run_new(struct engine *engine, int64_t n, int64_t root)
{
    struct run *r = calloc(1, sizeof *r);
    struct tree *tree = r ? tree_hold(engine, root) : NULL;
    if (!tree) {
        free(r);
        return NULL;
    }
    r->engine = engine;
    r->tree = tree;
    r->arena.wipe = true;
    r->task.n = n;
    r->task.root = root;
    r->next_in_tree = tree->runs;
    tree->runs = r;
    struct run **head = &engine->runs[bucket(n)];
    r->next_in_bucket = *head;
    *head = r;
    engine->runs_count++;
    return r;
}

/* Out of the registry; its place stays empty. */
static void drop_run(struct run *r)
{
    struct engine *engine = r->engine;
    struct run **at = &engine->runs[bucket(r->task.n)];
    while (*at != r) at = &(*at)->next_in_bucket;
    *at = r->next_in_bucket;
    at = &r->tree->runs;
    while (*at != r) at = &(*at)->next_in_tree;
    *at = r->next_in_tree;
    engine->runs_count--;
    speech_end(r);
    agents_drop(r->agent);
    secret_drop(engine->store->keyring, &r->secret);
    arena_free(&r->arena);
    gate_open(&r->tree->changed);
    gate_open(&r->tree->settled);
    gate_open(&engine->rest);
    tree_drop(r->tree);
    free(r);
}

void run_forget(struct run *r)
{
    struct engine *engine = r->engine;
    drop_run(r);
    engine_take_next(engine);
}

struct err run_spawn(struct run *r) { return scope_spawn(&r->engine->cx, run_main, r); }

void run_give_order(struct run *r, enum run_order order)
{
    if (r->order == RUN_GOES_ON || order == RUN_IS_ERASED) r->order = order;
    if (r->is_open) scope_cancel(&r->scope);
}

void run_call(const struct engine *engine, int64_t task)
{
    struct run *r = run_of(engine, task);
    if (r) r->has_next = true;
}

bool engine_has_place(const struct engine *engine) { return engine->runs_count < engine->settings.runs_max; }

/* ---- taking up ------------------------------------------------------------------------- */

/* At the end of the queue; who stands in it already keeps its place. */
static struct err wait_for_place(struct engine *engine, int64_t org, int64_t n)
{
    if (map_get(&engine->pending, n)) return OK;
    struct pending *p = malloc(sizeof *p);
    if (!p || !map_put(&engine->pending, n, p)) {
        free(p);
        return err(ERR_MEMORY, "there is no memory for this request");
    }
    *p = (struct pending){.prior = engine->pending_last, .org = org, .n = n};
    *(p->prior ? &p->prior->next : &engine->pending_first) = p;
    engine->pending_last = p;
    engine->pending_count++;
    return OK;
}

void engine_leave_queue(struct engine *engine, int64_t n)
{
    struct pending *p = map_take(&engine->pending, n);
    if (!p) return;
    *(p->prior ? &p->prior->next : &engine->pending_first) = p->next;
    *(p->next ? &p->next->prior : &engine->pending_last) = p->prior;
    engine->pending_count--;
    free(p);
}

/* Read the row into a run of its own and let it go. What is gone, is held outside or is under an act, is not. */
static struct err take_up(struct engine *engine, int64_t org, int64_t n)
{
    if (engine->is_closing || run_of(engine, n) || act_over(engine, n)) return OK;
    struct arena arena = arena_new();
    struct ctx cx = engine->cx;
    cx.arena = &arena;
    struct task task;
    struct err e = store_task_get(&cx, engine->store, org, n, &task);
    struct run *run = NULL;
    if (!failed(e) && !task.is_outside && !task.is_deleting) {
        run = run_new(engine, n, task.root);
        if (!run) e = err(ERR_MEMORY, "there is no memory for this request");
    }
    if (run) {
        run->task.org = org;
        e = run_spawn(run);
        if (failed(e)) drop_run(run); /* and its place to nobody: there is no stack for others either */
    }
    arena_free(&arena);
    return e.code == ERR_NOT_FOUND ? OK : e;
}

struct err engine_take_up(struct engine *engine, int64_t org, int64_t n)
{
    if (engine->is_closing || run_of(engine, n)) return OK;
    if (!engine_has_place(engine)) return wait_for_place(engine, org, n);
    struct err e = take_up(engine, org, n);
    return e.code == ERR_LIMIT ? wait_for_place(engine, org, n) : e; /* there is no stack: when the next run ends */
}

void engine_take_next(struct engine *engine)
{
    while (engine->pending_first && engine_has_place(engine) && !engine->is_closing) {
        struct pending *p = engine->pending_first;
        if (failed(take_up(engine, p->org, p->n))) return; /* no stack, no memory: when the next run ends */
        engine_leave_queue(engine, p->n);
    }
}

/* ---- acts -------------------------------------------------------------------------------- */

bool act_names(const struct act *act, int64_t n)
{
    int low = 0, high = act->nodes_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (act->nodes[middle].n < n) low = middle + 1;
        else high = middle;
    }
    return low < act->nodes_count && act->nodes[low].n == n;
}

/* A task that is younger than the act is found through its parents, which are alive or were named. */
bool act_covers(const struct act *act, const struct engine *engine, int64_t n)
{
    while (n) {
        if (act_names(act, n)) return true;
        struct run *run = run_of(engine, n);
        n = run ? run->task.parent : 0;
    }
    return false;
}

struct act *act_over(const struct engine *engine, int64_t n)
{
    struct act *found = NULL;
    for (struct act *act = engine->acts; act; act = act->next)
        if (!act->is_done && act_covers(act, engine, n)) {
            if (act->is_erasure) return act;
            found = act;
        }
    return found;
}

struct act *act_erasing(const struct engine *engine, int64_t org, struct str id)
{
    for (struct act *act = engine->acts; act; act = act->next)
        for (int i = 0; act->is_erasure && !act->is_done && act->org == org && i < act->nodes_count; i++)
            if (str_eq(act->nodes[i].id, id)) return act;
    return NULL;
}

struct err act_clear(struct ctx *cx, struct engine *engine, int64_t n)
{
    for (;;) {
        struct act *act = act_over(engine, n);
        if (!act) return OK;
        if (act->is_erasure) return err(ERR_CONFLICT, "Task is being deleted");
        TRY(gate_wait(cx, &engine->rest, "the end of a stop"));
    }
}

bool engine_is_erasing(const struct engine *engine, int64_t n)
{
    struct act *act = act_over(engine, n);
    return act && act->is_erasure;
}

bool engine_is_erased(const struct engine *engine, int64_t n)
{
    struct act *act = act_over(engine, n);
    return act && act->is_erasure && act->is_marked;
}

struct engine_counts engine_counts(const struct engine *engine)
{
    struct engine_counts c = {.runs = engine->runs_count, .pending = engine->pending_count};
    for (struct act *act = engine->acts; act; act = act->next) c.acts++;
    for (int i = 0; i < BUCKETS; i++)
        for (struct tree *t = engine->trees[i]; t; t = t->next_in_bucket) c.followers += t->followers;
    return c;
}
