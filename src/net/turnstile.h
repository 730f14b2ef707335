/* net/turnstile.h: at most so many go through in one turn of the loop, in the order in which they came. */
#pragma once
#include "io/loop.h"

struct queued;
struct turnstile {
    struct loop *loop;
    int at_once;
    int through; /* in this turn */
    struct queued *first, **last;
    struct timer next_turn;
};
void turnstile_open(struct turnstile *, struct loop *, int at_once); /* it does not move any more */
struct err turnstile_pass(struct ctx *, struct turnstile *, const char *what) MUST_CHECK;
void turnstile_close(struct turnstile *); /* nobody waits */
