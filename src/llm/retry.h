/* llm/retry.h: how long to wait before a request is tried again. Pure. */
#pragma once
#include "llm/turn.h"

/* 408, 409, 429 and 5xx pass by themselves. */
bool retry_is_for(int status);
/* Retry-After: seconds, also with a fraction, or an HTTP date. Milliseconds from now; -1: says nothing. */
int64_t retry_after_ms(struct str header, int64_t now_us);
/* Before try number `failures` + 1. `asked_ms` is what the server asked for, -1 = nothing. `chance` is
 * any number: of the back-off up to one half is taken off, so that those who failed together do not come
 * back together; what was asked for is never shortened but by retry_wait_ms. */
int64_t retry_wait_ms(const struct llm_limits *, int failures, int64_t asked_ms, uint64_t chance);
