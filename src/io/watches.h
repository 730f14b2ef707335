/* io/watches.h: the watches of one loop. For the files of this folder only. */
#pragma once
#include "io/loop.h"

struct watches {
    struct watch *changed; /* wanted differs from what the kernel was told */
    int count;
};
struct watches *loop_watches(struct loop *);
/* Tell the kernel, before the loop polls: wishes that came and went cost nothing. */
void watches_flush(struct watches *);
