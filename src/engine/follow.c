/* engine/follow.c: a journal is read as it grows.
 *
 * What was written comes from the notes that the tree keeps for its followers, or from the disk; what is
 * being said now comes from where it grows, as chunks. A reader never holds anything that a run
 * waits for: who is slow is behind, and reads from the disk what is no longer noted. */
#include "base/clock.h"
#include "engine/event.h"
#include "engine/journal.h"
#include "store/entry.h"
#include "store/task.h"
#include <stdlib.h>

enum { PAGE = 32, OUT_BYTES = 1 << 16, EVENTS_ALL = 1 << 20 /* more than any entry has */ };

struct follower {
    struct engine *engine;
    struct tree *tree;
    struct task *task, shown;   /* the row, with the turn that it began with */
    struct secret secret;
    int64_t only_turn;          /* 0: all */
    int64_t own_turn;           /* of the last own entry … */
    bool is_turn_over;          /* … which told of its end */
    enum sub_tasks sub_tasks;
    struct position at;
    bool is_beyond;             /* it was past everything: nothing more, then the end */
    int64_t resume_n, resume_events; /* of this entry so many were seen before */
    struct position_live live[POSITION_LIVE_MAX];
    struct arena arena;         /* of nodes */
    struct task_node *nodes;    /* the tree below the task, as it was last read */
    int nodes_count;
    int64_t told;               /* the tree's `announced` when everything written was told; -1: not yet */
    bool is_over;
    int64_t sent_ms;            /* when something was last appended */
};

bool position_is_one(struct str s)
{
    struct position_live live[POSITION_LIVE_MAX];
    struct position p = {.live = live};
    return position_read(s, &p);
}

/* Keep the turn at hand as it was asked for: a deletion leaves nothing that it could be read from. */
static struct err keep_shown(struct ctx *cx, struct follower *f)
{
    if (f->task->input.text.at || f->task->input.files.count) return OK;
    int64_t turn = f->only_turn ? f->only_turn : f->task->turn;
    /* A stream may be open for long: what reading it took goes at once, only the texts stay. */
    struct arena arena = {.wipe = true};
    struct ctx own = *cx;
    own.arena = &arena;
    struct err e = store_task_show(&own, f->engine->store, &f->secret, f->task, turn, MOMENT_NOW, 0);
    task_keep(cx->arena, f->task);
    arena_free(&arena);
    return e.code == ERR_MEMORY ? e : OK;
}

struct err follow_open(struct ctx *cx, struct engine *engine, const struct task *task, int64_t turn, int64_t after,
                       struct str position, enum sub_tasks sub_tasks, struct follower **out)
{
    struct follower *f = calloc(1, sizeof *f);
    if (!f) return err(ERR_MEMORY, "there is no memory for this request");
    f->engine = engine;
    f->at.live = f->live;
    f->arena.wipe = true;
    f->only_turn = turn;
    f->told = -1;
    f->sub_tasks = sub_tasks;
    f->sent_ms = clock_mono_ms();
    if (position.count && !position_read(position, &f->at)) {
        free(f);
        return err(ERR_INVALID, "not a position");
    }
    if (!position.count || f->at.task != task->n) f->at = (struct position){.task = task->n, .n = after, .live = f->live};
    f->is_beyond = position.count && f->at.n > store_number(engine->store);
    if (f->at.events) {
        f->resume_n = f->at.n--;
        f->resume_events = f->at.events;
    }
    f->task = &f->shown;
    f->shown = *task;
    struct task *row = NEW(cx->arena, struct task);
    struct err e = store_task_secret(engine->store, task, &f->secret);
    /* Its key may have been destroyed since it was accepted: then there is nothing to open, but for its end to tell. */
    if (failed(e) && store_task_get(cx, engine->store, task->org, task->n, row).code == ERR_NOT_FOUND) e = OK;
    if (!failed(e)) {
        f->tree = tree_hold(engine, task->root);
        if (!f->tree) e = err(ERR_MEMORY, "there is no memory for this request");
    }
    if (!failed(e)) e = keep_shown(cx, f);
    if (failed(e)) {
        if (f->tree) tree_drop(f->tree);
        secret_drop(engine->store->keyring, &f->secret);
        free(f);
        return e;
    }
    f->tree->followers++;
    *out = f;
    return OK;
}

void follow_close(struct follower *f)
{
    if (!f) return;
    f->tree->followers--;
    tree_drop(f->tree);
    secret_drop(f->engine->store->keyring, &f->secret);
    arena_free(&f->arena);
    free(f);
}

/* ---- who is below ---------------------------------------------------------------------- */

static const struct task_node *known(const struct follower *f, int64_t n)
{
    for (int i = 0; i < f->nodes_count; i++)
        if (f->nodes[i].n == n) return &f->nodes[i];
    return NULL;
}

/* The node of a task below ours; null: it is not below, or it is gone. One that is not known makes us read the tree
 * anew, unless it is older than ours and so cannot be below. */
static struct err node_of(struct ctx *cx, struct follower *f, int64_t n, const struct task_node **out)
{
    *out = known(f, n);
    if (*out || n < f->task->n) return OK;
    struct ctx own = *cx;
    arena_free(&f->arena);
    own.arena = &f->arena;
    f->nodes_count = 0;
    TRY(store_task_tree(&own, f->engine->store, f->task->org, f->task->n, &f->nodes, &f->nodes_count));
    *out = known(f, n);
    return OK;
}

/* ---- one entry --------------------------------------------------------------------------- */

struct telling { /* an entry on its way out */
    struct follower *f;
    struct buf *out;
    const struct entry *entry;
    const struct task_node *node; /* null: our own task's */
    const struct secret *secret;
    struct event_of of;
};

/* Was this event of the entry seen before the reader came back? If not, the position is moved to it. */
static bool is_new(struct telling *t, int64_t events)
{
    struct follower *f = t->f;
    if (t->entry->n == f->resume_n && events <= f->resume_events) return false;
    f->at.n = t->entry->n;
    f->at.events = events;
    return true;
}

static void open_event(struct telling *t, const char *type) { event_open(t->out, &t->f->at, type, &t->of, t->entry->at); }

static struct err show(struct ctx *cx, struct telling *t, enum task_moment moment, struct task *out)
{
    struct store *store = t->f->engine->store;
    TRY(store_task_get(cx, store, t->f->task->org, t->entry->task, out));
    TRY(store_task_show(cx, store, t->secret, out, t->entry->turn, moment, t->entry->n));
    if (moment == MOMENT_EXECUTING) out->execution_attempts = updated_attempts(cx->arena, t->entry->body);
    out->updated_at = t->entry->at;
    return OK;
}

static struct err tell_status(struct ctx *cx, struct telling *t, const char *type, enum task_moment moment)
{
    struct task *task = NEW(cx->arena, struct task);
    TRY(show(cx, t, moment, task));
    if (is_new(t, 1)) {
        open_event(t, t->node ? "task_updated" : type);
        event_task(t->out, task);
        event_close(t->out);
    }
    return OK;
}

/* The rest of a text of which `seen` bytes were told. */
static void tell_chunk(struct buf *out, const struct position *at, const struct event_of *of, struct str text, int64_t seen,
                       int64_t time)
{
    event_open(out, at, "chunk", of, time);
    json_put_text(out, str_cut(text, (size_t)seen, text.count));
    event_close(out);
}

static struct err tell_said(struct ctx *cx, struct telling *t)
{
    struct said said;
    TRY(said_read(cx->arena, t->entry->body, &said));
    struct follower *f = t->f;
    bool has_chunks = !t->node || f->sub_tasks == SUB_TASKS_ALL;
    int64_t seen = position_seen(&f->at, said.step);
    position_see(&f->at, said.step, 0);
    if (is_new(t, 1) && has_chunks && (int64_t)said.text.count > seen)
        tell_chunk(t->out, &f->at, &t->of, said.text, seen, t->entry->at);
    if (said.thought.count && is_new(t, 2)) {
        open_event(t, "think");
        event_thought(t->out, said.thought);
        event_close(t->out);
    }
    for (int i = 0; i < said.calls_count; i++) {
        if (!is_new(t, 3 + i)) continue;
        open_event(t, "tool_call_request");
        event_call(t->out, &said.calls[i], 0);
        event_close(t->out);
    }
    return OK;
}

/* The call that a trigger or a result belongs to. */
static struct err call_of(struct ctx *cx, struct telling *t, int64_t said_n, int64_t index, const struct said_call **out)
{
    struct entry *entry = NEW(cx->arena, struct entry);
    struct said said;
    TRY(store_entry_get(cx, t->f->engine->store, t->secret, t->f->task->org, t->entry->root, t->entry->task, said_n, entry));
    TRY(said_read(cx->arena, entry->body, &said));
    if (index < 0 || index >= said.calls_count) return err(ERR_IO, "an entry names a call that is not there");
    *out = &said.calls[index];
    return OK;
}

static struct err tell_trigger(struct ctx *cx, struct telling *t)
{
    struct trigger trigger;
    const struct said_call *call;
    TRY(trigger_read(cx->arena, t->entry->body, &trigger));
    if (!is_new(t, 1)) return OK;
    TRY(call_of(cx, t, trigger.said, trigger.call, &call));
    open_event(t, "sub_agent_trigger");
    event_trigger(t->out, &trigger, call);
    event_close(t->out);
    return OK;
}

static struct err tell_result(struct ctx *cx, struct telling *t)
{
    struct tool_outcome outcome;
    const struct said_call *call;
    TRY(outcome_read(cx->arena, t->entry->body, &outcome));
    if (!is_new(t, 1)) return OK;
    TRY(call_of(cx, t, outcome.said, outcome.call, &call));
    open_event(t, "tool_call_result");
    event_call(t->out, call, &outcome);
    event_close(t->out);
    return OK;
}

static struct err tell_kind(struct ctx *cx, struct telling *t)
{
    switch (t->entry->kind) {
    case ENTRY_CREATED: return tell_status(cx, t, "task_created", MOMENT_CREATED);
    case ENTRY_UPDATED: return tell_status(cx, t, "task_updated", MOMENT_EXECUTING);
    case ENTRY_SAID: return tell_said(cx, t);
    case ENTRY_TRIGGER: return tell_trigger(cx, t);
    case ENTRY_RESULT: return tell_result(cx, t);
    case ENTRY_FINISHED: return tell_status(cx, t, "task_finished", MOMENT_FINISHED);
    }
    return OK;
}

/* Was the task of an entry deleted while we read? Then the entry is left out; any other failure would be a silent gap, so
 * it ends the stream, and the reader comes back. */
static struct err unless_deleted(struct ctx *cx, struct follower *f, int64_t task, struct err failure)
{
    struct task *row = NEW(cx->arena, struct task);
    if (!failed(failure) || failure.code == ERR_MEMORY) return failure;
    struct err e = store_task_get(cx, f->engine->store, f->task->org, task, row);
    return e.code == ERR_NOT_FOUND || (!failed(e) && row->is_deleting) ? OK : failure;
}

/* `is_sealed`: it comes from the disk as it lies there. */
static struct err tell(struct ctx *cx, struct follower *f, struct entry *e, bool is_sealed, struct buf *out)
{
    struct telling t = {.f = f, .out = out, .entry = e, .secret = &f->secret, .of = {f->task->id, f->task->organization_id}};
    struct secret secret = {0};
    struct err failure = OK;
    if (e->task == f->task->n) {
        f->own_turn = e->turn;
        if (f->only_turn && e->turn != f->only_turn) return OK;
    } else {
        if (f->sub_tasks == SUB_TASKS_NONE || (f->only_turn && f->own_turn != f->only_turn)) return OK;
        TRY(node_of(cx, f, e->task, &t.node));
        if (!t.node) return OK;
        t.of.task_id = t.node->id;
        t.secret = &secret;
        failure = keyring_key(f->engine->store->keyring, t.node->slot, &secret);
    }
    if (!failed(failure) && is_sealed) failure = store_entry_open(cx, f->engine->store, t.secret, e);
    if (!failed(failure)) failure = tell_kind(cx, &t);
    secret_drop(f->engine->store->keyring, &secret);
    if (!failed(failure) && !t.node) {
        f->is_turn_over = e->kind == ENTRY_FINISHED;
        if (f->is_turn_over && f->only_turn) f->is_over = true;
    }
    return unless_deleted(cx, f, e->task, failure);
}

/* ---- what was written, and what is being said ------------------------------------------------- */

/* An entry is behind us, whether this reader was told of it or not: another one, who hears more, may go on from here. */
static void pass(struct follower *f, int64_t n)
{
    if (f->at.n != n) f->at.events = EVENTS_ALL;
    f->at.n = n;
}

static struct err tell_notes(struct ctx *cx, struct follower *f, struct buf *out)
{
    for (struct note *note = f->tree->first; note && !f->is_over && out->count < OUT_BYTES; note = note->next) {
        if (note->entry.n <= f->at.n) continue;
        struct entry e = note->entry;
        TRY(tell(cx, f, &e, false, out));
        pass(f, note->entry.n);
    }
    return OK;
}

/* The next entries on the disk. Those of one task lie together; a tree's are picked from all over it, so that is done
 * only where there are children. Whether there are is asked after the entries were read: a commit may land between
 * the two reads, and a child that it makes must not be passed over. */
static struct err read_page(struct ctx *cx, struct follower *f, struct entry **entries, int *count, bool *is_sealed)
{
    struct store *store = f->engine->store;
    bool has_children = false;
    *is_sealed = false;
    TRY(store_entry_list(cx, store, &f->secret, f->task->org, f->task->root, f->task->n, f->at.n, PAGE, entries, count));
    if (f->sub_tasks == SUB_TASKS_NONE) return OK;
    TRY(store_task_has_children(cx, store, f->task->org, f->task->n, &has_children));
    if (!has_children) return OK;
    *is_sealed = true;
    return store_entry_list_tree(cx, store, f->task->org, f->task->root, f->at.n, PAGE, entries, count);
}

static struct err tell_rows(struct ctx *cx, struct follower *f, struct buf *out)
{
    for (int count = PAGE; count == PAGE && !f->is_over && out->count < OUT_BYTES;) {
        struct arena_mark mark = arena_mark(cx->arena);
        struct entry *entries;
        bool is_sealed;
        TRY(read_page(cx, f, &entries, &count, &is_sealed));
        for (int i = 0; i < count && !f->is_over && out->count < OUT_BYTES; i++) {
            int64_t n = entries[i].n;
            TRY(tell(cx, f, &entries[i], is_sealed, out));
            pass(f, n);
        }
        arena_rewind(cx->arena, mark);
    }
    return OK;
}

static struct err tell_speech(struct ctx *cx, struct follower *f, struct run *run, struct buf *out)
{
    struct speech *speech = &run->speech;
    struct event_of of = {run->task.id, run->task.organization_id};
    if (f->is_beyond || !speech->step || speech->text.is_failed || (speech->entry && f->at.n >= speech->entry)) return OK;
    if (run->task.n == f->task->n) {
        if (f->only_turn && run->task.turn != f->only_turn) return OK;
    } else {
        const struct task_node *node;
        if (f->sub_tasks != SUB_TASKS_ALL || (f->only_turn && f->own_turn != f->only_turn)) return OK;
        TRY(node_of(cx, f, run->task.n, &node));
        if (!node) return OK;
    }
    struct str text = buf_str(&speech->text);
    int64_t seen = position_seen(&f->at, speech->step);
    if ((int64_t)text.count <= seen) return OK;
    if (!seen && f->at.live_count == POSITION_LIVE_MAX) return OK; /* told when it is written */
    position_see(&f->at, speech->step, (int64_t)text.count);
    tell_chunk(out, &f->at, &of, text, seen, clock_now_us());
    return OK;
}

static struct err tell_written(struct ctx *cx, struct follower *f, struct buf *out)
{
    int64_t announced = f->tree->announced;
    if (f->told == announced) return OK; /* only the speech grows: that costs no look at the disk */
    if (f->tree->notes_from && f->at.n >= f->tree->notes_from - 1 && !f->resume_n) TRY(tell_notes(cx, f, out));
    else TRY(tell_rows(cx, f, out));
    if (f->at.n >= f->resume_n) f->resume_n = 0;
    if (out->count >= OUT_BYTES) return OK;
    f->told = announced;
    if (f->resume_n) { /* the entry is not for this reader, or it is gone */
        f->at.n = f->resume_n;
        f->at.events = f->resume_events;
        f->resume_n = 0;
    }
    return OK;
}

static struct err tell_news(struct ctx *cx, struct follower *f, struct buf *out)
{
    TRY(tell_written(cx, f, out));
    if (out->count >= OUT_BYTES) return OK;
    for (struct run *run = f->tree->runs; run && !f->is_over; run = run->next_in_tree) TRY(tell_speech(cx, f, run, out));
    return OK;
}

/* ---- the end ---------------------------------------------------------------------------------------- */

/* The task is being deleted, or is gone: its stream ends as if it had been stopped. A turn of which the end was told does
 * not end a second time. */
static void tell_deletion(struct follower *f, struct buf *out)
{
    f->is_over = true;
    if (f->is_turn_over) return;
    struct event_of of = {f->task->id, f->task->organization_id};
    int64_t now = clock_now_us();
    task_was_deleted(f->task, now);
    if (f->at.events < INT64_MAX) f->at.events++; /* a position from outside may be anything */
    event_open(out, &f->at, "task_finished", &of, now);
    event_task(out, f->task);
    event_close(out);
}

/* Does anything run or wait? Asked when there is no news. */
static struct err look_for_end(struct ctx *cx, struct follower *f, struct buf *out)
{
    struct engine *engine = f->engine;
    if (engine_is_erased(engine, f->task->n)) {
        tell_deletion(f, out);
        return OK;
    }
    if (engine_is_erasing(engine, f->task->n)) return OK; /* we are stirred when it is on disk */
    struct run *run = run_of(engine, f->task->n);
    if (run && run->order != RUN_IS_ERASED) return OK;
    struct task *row = NEW(cx->arena, struct task);
    struct err e = store_task_get(cx, engine->store, f->task->org, f->task->n, row);
    if (e.code == ERR_NOT_FOUND || (!failed(e) && row->is_deleting)) tell_deletion(f, out);
    else if (failed(e)) return e;
    else if (!f->only_turn && !run && row->turn == row->turns && (task_is_final(row->status) || row->status == TASK_PAUSED))
        /* What a stop has written it has yet to announce. */
        f->is_over = !act_over(engine, f->task->n);
    return OK;
}

struct err follow_next(struct ctx *cx, struct follower *f, struct buf *out, bool *is_end)
{
    struct engine *engine = f->engine;
    size_t before = out->count;
    for (;;) {
        struct arena_mark mark = arena_mark(cx->arena);
        TRY(tell_news(cx, f, out));
        if (out->count == before && !f->is_over) TRY(look_for_end(cx, f, out));
        arena_rewind(cx->arena, mark);
        *is_end = f->is_over;
        if (out->count > before || f->is_over) break;
        int64_t left = f->sent_ms + engine->settings.heartbeat_ms - clock_mono_ms();
        struct err e = left > 0 ? gate_wait_ms(cx, &f->tree->changed, left, "news of a task") : err(ERR_TIMEOUT, 0);
        if (e.code == ERR_TIMEOUT) {
            event_heartbeat(out);
            break;
        }
        TRY(e);
        /* The first chunk leaves at once; the next ones wait a little for company. */
        int64_t company = f->sent_ms + engine->settings.stream_flush_ms - clock_mono_ms();
        if (company > 0) TRY(wait_ms(cx, company));
    }
    f->sent_ms = clock_mono_ms();
    return OK;
}
