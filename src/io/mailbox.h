/* io/mailbox.h: a bounded queue of pointers between fibers of one loop.
 *
 * Errors    mailbox_put waits while it is full; mailbox_try_put says ERR_LIMIT.
 *           After mailbox_close, takers get what is left and then ERR_CLOSED. */
#pragma once
#include "io/wait.h"

struct mailbox {
    void **slots;
    int capacity, first, count;
    bool is_closed;
    struct gate changed;
};
/* Slots live in the arena. */
struct mailbox mailbox_new(struct arena *, int capacity);
struct err mailbox_put(struct ctx *, struct mailbox *, void *item) MUST_CHECK;
struct err mailbox_try_put(struct mailbox *, void *item) MUST_CHECK;
struct err mailbox_take(struct ctx *, struct mailbox *, void **item) MUST_CHECK;
void mailbox_close(struct mailbox *);
