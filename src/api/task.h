/* api/task.h: what handlers of tasks share. */
#pragma once
#include "api/call.h"
#include "engine/engine.h"
#include "store/task.h"

/* The task that the path names, as its row says; 404, 403, or it is the caller's. */
struct err task_of_caller(struct ctx *, struct call *, struct task *out) MUST_CHECK;
/* Answer with a task, whole, as it is now. */
struct err reply_task(struct ctx *, struct call *, struct task *) MUST_CHECK;
/* As above, with what the struct says. */
struct err reply_task_as_it_is(struct call *, const struct task *) MUST_CHECK;
/* Answer with a stream of what a follower tells, until its end; the follower is closed. */
struct err reply_stream(struct ctx *, struct call *, struct follower *) MUST_CHECK;
