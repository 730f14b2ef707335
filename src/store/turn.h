/* store/turn.h: rows of turns: what one message asked for, and how it ended.
 *
 * Memory    Everything read is in cx->arena. Errors: those of store/db.h and store/seal.h. */
#pragma once
#include "model/task.h"
#include "store/store.h"

struct turn_row {
    int64_t number;
    struct str agent_id, version;
    int status;
    bool is_stopped;
    int64_t attempts, created_at, started_at, finished_at;
    int64_t prompt_tokens, completion_tokens;
    int64_t answer;                     /* n of the entry whose text is the result; 0: none */
    struct str request, result, body;   /* sealed; body: of the entry `answer` */
};
/* Sealed: the request is what task_shape keeps of the task. */
struct err store_turn_insert(struct ctx *, struct store *, struct batch *, const struct secret *, const struct task *,
                             int64_t number, int64_t created_at) MUST_CHECK;
/* Begin it, or begin it again (attempts). */
void store_turn_begin(struct batch *, const struct task *);
/* Tokens, status, times and outcome of the shown turn, as in the task. `answer` 0: the result (if any) stands in the row itself. */
struct err store_turn_finish(struct ctx *, struct store *, struct batch *, const struct secret *, const struct task *,
                             int64_t answer) MUST_CHECK;
void store_turn_count(struct batch *, const struct task *, int64_t prompt_tokens, int64_t completion_tokens);
/* A turn that never began ends as stopped. */
void store_turn_stop(struct batch *, int64_t org, int64_t task, int64_t number, int64_t now_us);

/* Does not wait. ERR_NOT_FOUND. */
struct err store_turn_get(struct ctx *, struct store *, const struct task *, int64_t number, struct turn_row *out) MUST_CHECK;
/* The first turn that waits, 0 if none does. Does not wait. */
struct err store_turn_next(struct ctx *, struct store *, const struct task *, int64_t *number) MUST_CHECK;
struct err store_turn_waiting(struct ctx *, struct store *, int64_t org, int64_t task, int64_t *count) MUST_CHECK;
/* All turns from `first` on, at most `limit`, in order, with answer bodies. */
struct err store_turn_list(struct ctx *, struct store *, const struct task *, int64_t first, int limit, struct turn_row **rows,
                           int *count) MUST_CHECK;
/* The request into a task that holds defaults; the texts of the outcome. */
struct err store_turn_open(struct ctx *, struct store *, const struct secret *, const struct turn_row *, struct task *) MUST_CHECK;
/* The result: of the entry, or of the row; at = null when there is none. */
struct err store_turn_result(struct ctx *, struct store *, const struct secret *, const struct task *, const struct turn_row *,
                             struct str *result, struct str *used_tools) MUST_CHECK;
