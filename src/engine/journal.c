/* engine/journal.c: written first, then announced. */
#include "engine/journal.h"
#include "base/clock.h"
#include "store/entry.h"
#include <assert.h>

struct journal journal_new(struct ctx *cx, struct run *run)
{
    return (struct journal){.run = run, .batch = batch_new(cx->arena)};
}

struct err journal_add(struct ctx *cx, struct journal *j, enum entry_kind kind, struct str body, int64_t *n)
{
    struct run *run = j->run;
    assert(j->entries_count < JOURNAL_ENTRIES_MAX);
    struct entry *e = &j->entries[j->entries_count++];
    *e = (struct entry){
        .n = store_number(run->engine->store),
        .root = run->task.root,
        .task = run->task.n,
        .turn = run->task.turn,
        .run = run->task.run,
        .at = j->at ? j->at : clock_now_us(),
        .kind = kind,
        .body = body,
    };
    if (n) *n = e->n;
    return store_entry_insert(cx, run->engine->store, j->batch, &run->secret, run->task.org, e);
}

struct err journal_write(struct ctx *cx, struct journal *j)
{
    TRY(db_write(cx, j->run->engine->store->db, j->batch));
    journal_announce(j->run->tree, j->entries, j->entries_count);
    return OK;
}

void speech_begin(struct run *run)
{
    run->speech.step = store_number(run->engine->store);
    run->speech.entry = 0;
    run->speech.text.count = 0;
}

void speech_add(void *arg, struct str piece)
{
    struct run *run = arg;
    buf_add_str(&run->speech.text, piece);
    gate_open(&run->tree->changed);
}

void speech_end(struct run *run)
{
    if (run->speech.text.at) explicit_bzero(run->speech.text.at, run->speech.text.capacity);
    buf_free(&run->speech.text);
    run->speech.step = 0;
    run->speech.entry = 0;
}
