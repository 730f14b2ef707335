/* engine/erase.h: what all who erase many trees have in common. Private to engine/. */
#pragma once
#include "engine/registry.h"
#include "store/task.h"

enum { PLACES_AT_ONCE = 64 };
/* Erase a page (at most PLACES_AT_ONCE) of trees at once, so that they share their syncs. The tasks that went are added to
 * *erased (may be null). The first failure is told when all are done. */
struct err erase_page(struct ctx *, struct engine *, const struct task_place *, int count, int64_t *erased) MUST_CHECK;
/* Their rows are gone: nobody else knows these slots before the next start, so this does not give up. */
struct err erase_keys(struct ctx *, struct engine *, const int64_t *slots, int count) MUST_CHECK;
/* The fiber that erases old tasks, for as long as the engine is there. */
fiber_fn retention_main;
/* Let the fiber run that erases what is marked, agents and organisations, behind whoever marked it. */
void sweep_behind(struct engine *);
