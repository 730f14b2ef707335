/* engine/act.h: what stopping and erasing have in common: a fiber of the engine's own names a tree, lets nothing
 * start in it, and waits until all that lives in it is at rest. Private to engine/. */
#pragma once
#include "engine/registry.h"

/* The act of this kind on exactly this task, begun if there is none: everything of it that lives is covered from here on.
 * `main` is its fiber. The caller drops it. */
struct err act_open(struct ctx *, struct engine *, const struct task *, bool is_erasure, fiber_fn *main, struct act **out) MUST_CHECK;
/* Wait for its outcome, at most `ms` (0: no bound): ERR_BUSY after that, and it goes on by itself. Drops it. */
struct err act_join(struct ctx *, struct act *, int64_t ms) MUST_CHECK;
/* In its fiber: tell every run that is covered to end, and wait until none is left. */
struct err act_rest(struct ctx *, struct act *, enum run_order) MUST_CHECK;
bool act_has_life(const struct act *);
/* In its fiber, last: tell the outcome to all who wait. */
void act_finish(struct act *, struct err outcome);
void act_drop(struct act *);
/* Stop a task without waiting for it. */
void act_stop_behind(struct engine *, const struct task *);
