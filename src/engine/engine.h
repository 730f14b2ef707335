/* engine/engine.h: how tasks run, and end.
 *
 * A task is not a request: the engine runs it in a scope of its own and keeps its journal, and every
 * way of invoking an agent is a way of reading that journal. api/ knows this header alone.
 *
 * Threads   The loop's.
 * Errors    Sentences are for the caller of the API: ERR_NOT_FOUND 404, ERR_CONFLICT 409, ERR_BUSY 503,
 *           ERR_INVALID with the faults that were added; ERR_QUOTA 429. */
#pragma once
#include "base/shape.h"
#include "io/ctx.h"
#include "model/task.h"
#include "store/agent.h"
#include "store/idempotent.h"
#include "store/store.h"

struct engine;
struct holdings;
struct llm;
struct engine_settings {
    int64_t runs_max, pending_max, turns_waiting_max, tree_depth_max, sub_tasks_max, steps_max;
    int64_t turn_ms_max, turn_tokens_max, org_runs_max, org_creates_max; /* 0: no limit */
    int64_t history_bytes_max, rest_wait_ms, erase_rows_max;
    int64_t retention_days; /* 0: tasks stay */
    int64_t heartbeat_ms, stream_flush_ms;
    struct str operator_key, operator_base; /* OPENAI_API_KEY, OPENAI_BASE_URL; empty = none */
};

/* `llm` and `store` must outlive it. */
struct err engine_open(struct ctx *, const struct engine_settings *, struct store *, const struct llm *, struct engine **out) MUST_CHECK;
/* Finish what a crash or a stop left: deletes first, to their end; then every unfinished task goes on. Before the
 * server listens. */
struct err engine_recover(struct ctx *, struct engine *) MUST_CHECK;
/* No run starts any more; those that live are cancelled and left resumable. Waits until all are at rest. */
void engine_close(struct ctx *, struct engine *);

/* ---- starting ------------------------------------------------------------------ */

/* One message for an agent. */
struct acceptance {
    const struct agent_row *agent;
    struct str version;     /* as asked for; at = null: the latest */
    struct task *task;      /* the body, read and checked; becomes the task as that turn, pending */
    struct faults *faults;  /* what only a look at other objects can tell */
    int64_t org;
    struct str org_id;
    struct run *parent;     /* a sub-agent's call: who makes it, … */
    int64_t said, call;     /* … in which entry, at which place; the parent's journal gets the trigger */
    const struct idempotent *once; /* the request's Idempotency-Key; null: none */
    bool is_again;          /* out: it was made before; `task` is its row, task->turn the turn */
    int64_t after;          /* out: every entry of this turn has a higher number */
    bool is_beaten;         /* engine/start.c's own */
};
/* Accept a turn: from here on it is on disk and will run, whoever listens. */
struct err engine_start(struct ctx *, struct engine *, struct acceptance *) MUST_CHECK;

/* ---- reading ------------------------------------------------------------------- */

/* Wait until a turn has ended, at most `ms` (below 0: no bound); then *task is that turn as it is. `task` names it (n,
 * root, org) and is filled anew. ERR_NOT_FOUND: it was deleted meanwhile, and *task is as it was. */
struct err engine_wait(struct ctx *, struct engine *, struct task *, int64_t turn, int64_t ms) MUST_CHECK;

enum sub_tasks { SUB_TASKS_STEPS, SUB_TASKS_ALL, SUB_TASKS_NONE }; /* the contract's words, in order */
struct follower;
/* Follow a task's journal from a position ("" = from entry `after` on, 0 = from its start). `turn`: only that
 * turn, then the end; 0 = all. ERR_INVALID: not a position. The task's texts are borrowed until follow_close. */
struct err follow_open(struct ctx *, struct engine *, const struct task *, int64_t turn, int64_t after,
                       struct str position, enum sub_tasks, struct follower **out) MUST_CHECK;
bool position_is_one(struct str);
/* Append what has happened since as events of a stream; waits while there is nothing, and then may
 * append a heartbeat. *is_end: nothing follows. */
struct err follow_next(struct ctx *, struct follower *, struct buf *out, bool *is_end) MUST_CHECK;
void follow_close(struct follower *);

/* ---- ending --------------------------------------------------------------------- */

/* Stop a task and its tree, and keep what there is. Back when all is at rest, its upstream connections
 * closed, and the ending is on disk. A task that has ended is left as it is. */
struct err engine_stop(struct ctx *, struct engine *, const struct task *) MUST_CHECK;
/* Stop it, fence it, erase it, in that order. When this returns OK no row, no byte and no key of the tree is left.
 * Whoever comes meanwhile joins. ERR_BUSY: not at rest in time; it goes on by itself. */
struct err engine_erase(struct ctx *, struct engine *, const struct task *) MUST_CHECK;
/* The same for an id whose row is gone already, while its key is not. ERR_NOT_FOUND: none such is being erased. */
struct err engine_join_erasure(struct ctx *, struct engine *, int64_t org, struct str id) MUST_CHECK;
/* From the return on the agent and its trees are gone for everybody; they are erased behind it. */
struct err engine_erase_agent(struct ctx *, struct engine *, const struct agent_row *) MUST_CHECK;
/* Everything that an organisation owns, its keys, and itself; back when nothing of it is left. *out is what it owned. Once
 * it is marked it does not come back: interrupted, it is ended by the next start. */
struct err engine_erase_organization(struct ctx *, struct engine *, int64_t org, struct holdings *out) MUST_CHECK;
/* Every tree in which this end user ever spoke. *tasks tells how many tasks went, also when it fails half way. */
struct err engine_erase_person(struct ctx *, struct engine *, int64_t org, struct str user, int64_t *tasks) MUST_CHECK;
/* Is it being erased by one of the two? */
bool engine_is_erasing(const struct engine *, int64_t n);
/* And is that on disk? Before, nobody may be told: after a crash the task would go on. */
bool engine_is_erased(const struct engine *, int64_t n);

struct engine_counts {
    int64_t runs, pending, followers, acts;
};
struct engine_counts engine_counts(const struct engine *);
