#include "io/mailbox.h"
#include <assert.h>

struct mailbox mailbox_new(struct arena *arena, int capacity)
{
    assert(capacity > 0);
    return (struct mailbox){
        .slots = arena_alloc(arena, (size_t)capacity * sizeof(void *)),
        .capacity = capacity,
    };
}

struct err mailbox_try_put(struct mailbox *m, void *item)
{
    if (m->is_closed) return err(ERR_CLOSED, "the mailbox is closed");
    if (m->count == m->capacity) return err(ERR_LIMIT, "the mailbox is full");
    m->slots[(m->first + m->count++) % m->capacity] = item;
    gate_open(&m->changed);
    return OK;
}

struct err mailbox_put(struct ctx *cx, struct mailbox *m, void *item)
{
    while (!m->is_closed && m->count == m->capacity) TRY(gate_wait(cx, &m->changed, "mailbox_put"));
    return mailbox_try_put(m, item);
}

struct err mailbox_take(struct ctx *cx, struct mailbox *m, void **item)
{
    while (!m->is_closed && m->count == 0) TRY(gate_wait(cx, &m->changed, "mailbox_take"));
    if (m->count == 0) return err(ERR_CLOSED, "the mailbox is closed");
    *item = m->slots[m->first];
    m->first = (m->first + 1) % m->capacity;
    m->count--;
    gate_open(&m->changed);
    return OK;
}

void mailbox_close(struct mailbox *m)
{
    m->is_closed = true;
    gate_open(&m->changed);
}
