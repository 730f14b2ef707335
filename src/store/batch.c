#include "store/batch.h"
#include <assert.h>

struct batch *batch_new(struct arena *arena)
{
    struct batch *b = NEW(arena, struct batch);
    b->arena = arena;
    b->refused = -1;
    return b;
}

int batch_add(struct batch *b, const char *sql, struct args args, int64_t expected)
{
    struct step *s = NEW(b->arena, struct step);
    size_t bytes = (size_t)args.count * sizeof *args.values;
    struct value *values = arena_alloc(b->arena, bytes);
    if (bytes) memcpy(values, args.values, bytes);
    *s = (struct step){.sql = sql, .args = {values, args.count}, .expected = expected};
    if (b->last) b->last->next = s;
    else b->first = s;
    b->last = s;
    return b->count++;
}

bool batch_is_empty(const struct batch *b) { return b->count == 0; }

static const struct step *step_at(const struct batch *b, int index)
{
    assert(index >= 0 && index < b->count);
    const struct step *s = b->first;
    while (index-- > 0) s = s->next;
    return s;
}

const struct rows *batch_rows(const struct batch *b, int index) { return &step_at(b, index)->rows; }

int64_t batch_changed(const struct batch *b, int index) { return step_at(b, index)->changed; }

int batch_refused(const struct batch *b) { return b->refused; }

void batch_urge(struct batch *b) { b->is_urgent = true; }
