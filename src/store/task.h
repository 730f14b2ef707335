/* store/task.h: rows of tasks.
 *
 * Reading gives a struct task: the row, and then (store_task_show) what its shown turn asked
 * for and gave. Writing adds statements to a batch, so that a task, its turn and its entries
 * are one commit. Every statement names the organisation, but for those of recovery.
 *
 * Memory    Everything read is in cx->arena.
 * Errors    ERR_NOT_FOUND "Task not found"; ERR_DENIED: another organisation's, with an id that the
 *           server made; those of store/db.h and store/seal.h. */
#pragma once
#include "model/page.h"
#include "model/task.h"
#include "store/store.h"

/* The row of a caller's task, by its id; one that is being deleted, or whose agent is, is not found.
 * Does not wait. */
struct err store_task_find(struct ctx *, struct store *, int64_t org, struct str id, struct task *out) MUST_CHECK;
/* By its number, also while it is being deleted. Does not wait. */
struct err store_task_get(struct ctx *, struct store *, int64_t org, int64_t n, struct task *out) MUST_CHECK;
/* The task in whose row `id` stands, even if it is being deleted: for telling 409 from a new task. Does not wait. */
struct err store_task_holding(struct ctx *, struct store *, int64_t org, struct str id, struct task *out) MUST_CHECK;

/* An id that is not the caller's: ERR_DENIED if the server made it for somebody else, ERR_NOT_FOUND otherwise. Does not wait. */
struct err store_task_whose(struct ctx *, struct store *, struct str id) MUST_CHECK;

/* Which moment of a turn is shown. */
enum task_moment { MOMENT_NOW, MOMENT_CREATED, MOMENT_EXECUTING, MOMENT_FINISHED };
/* Of a row that was just read: fill in what a turn asked for and gave, and the children. For other moments than now: as it was at
 * that moment, `at` being the number of the entry that said so. Does not wait. */
struct err store_task_show(struct ctx *, struct store *, const struct secret *, struct task *, int64_t turn,
                           enum task_moment, int64_t at) MUST_CHECK;
/* The key of a task's content. The caller drops it. */
struct err store_task_secret(struct store *, const struct task *, struct secret *out) MUST_CHECK;

/* ---- lists ------------------------------------------------------------------- */
struct task_filter { /* at = null, status -1, org alone: not asked for */
    int64_t org;
    struct str agent_id, parent_id, triggering_agent_id;
    struct str user_hash, internal_hash; /* see store_task_hash */
    int status;
};
struct task_item {
    struct task row;
    struct str user_id; /* at = null: none */
};
/* Newest first, with the exact total. */
struct err store_task_list(struct ctx *, struct store *, const struct task_filter *, struct page, struct task_item **items,
                           int *count, int64_t *total) MUST_CHECK;
/* How a personal value is looked up: its keyed hash. `purpose` is "user" or "internal_status". */
struct err store_task_hash(struct ctx *, struct store *, int64_t org, const char *purpose, struct str plain,
                           struct str *hash) MUST_CHECK;

/* ---- trees ---------------------------------------------------------------------- */
struct task_node {
    int64_t n, parent, run, turn, turns; /* parent 0: none */
    struct str id, agent_id;
    int status;
    bool is_outside, is_deleting;
    int64_t slot;
};
/* A task and all below it, parents before children, in creation order. */
struct err store_task_tree(struct ctx *, struct store *, int64_t org, int64_t n, struct task_node **nodes, int *count) MUST_CHECK;
struct err store_task_has_children(struct ctx *, struct store *, int64_t org, int64_t n, bool *out) MUST_CHECK;
/* How many tasks a root has, itself included; counts to `limit` at most. Does not wait. */
struct err store_task_tree_count(struct ctx *, struct store *, int64_t org, int64_t root, int64_t limit, int64_t *count) MUST_CHECK;
/* Is one of its ancestors, or the task itself, one of these two? Does not wait. */
struct err store_task_is_below(struct ctx *, struct store *, int64_t org, int64_t n, int64_t ancestor, bool *out) MUST_CHECK;

/* ---- writing ------------------------------------------------------------------------ */
/* A new task, status and times as in `task`; its slot was taken in the same batch. Expects that the parent and the
 * owner are there and not being deleted. */
struct err store_task_insert(struct ctx *, struct store *, struct batch *, const struct secret *, const struct task *) MUST_CHECK;
/* A turn becomes the one that is shown: its status, a new lease, source. Expects the old lease. */
void store_task_begin(struct batch *, const struct task *, int64_t old_run);
/* The shown turn's status and tokens; expects the lease. */
void store_task_moved(struct batch *, const struct task *);
/* One turn more was accepted: expects `turns` as in the task, and that it is not being deleted. Of a task at rest
 * it becomes the one that is shown, pending. */
void store_task_accept(struct batch *, const struct task *, int64_t now_us);
/* Title and the end user's hash of the newest turn. */
struct err store_task_describe(struct ctx *, struct store *, struct batch *, const struct secret *, const struct task *) MUST_CHECK;

/* ---- deleting ------------------------------------------------------------------------- */
/* The tree becomes unreachable and every lease in it is raised. Expects the task. */
void store_task_mark(struct batch *, int64_t org, int64_t n, int64_t now_us);
/* One piece of the journal of a marked tree. `index` tells batch_changed(). */
int store_task_drop_entries(struct batch *, int64_t org, int64_t n, int64_t rows_max);
/* The slots become `erasing`, and the rows go. batch_rows(index) are the slots. */
int store_task_drop(struct batch *, int64_t org, int64_t n);
/* How many rows hang from the tree, counted to `limit`. Does not wait. */
struct err store_task_rows(struct ctx *, struct store *, int64_t org, int64_t n, int64_t limit, int64_t *count) MUST_CHECK;

/* ---- recovery: of every organisation ------------------------------------------------------ */
struct task_place {
    int64_t org, n;
};
/* Marked, and not below a marked one; at most `limit`. */
struct err store_task_marked(struct ctx *, struct store *, int limit, struct task_place **places, int *count) MUST_CHECK;
/* Pending or executing, held by nobody outside, with a number above `after`; at most `limit`. */
struct err store_task_unfinished(struct ctx *, struct store *, int64_t after, int limit, struct task_place **places,
                                 int *count) MUST_CHECK;
/* The roots that belong to an agent, with a number above `after`; at most `limit`. */
struct err store_task_of_agent(struct ctx *, struct store *, int64_t org, int64_t agent, int64_t after, int limit,
                               struct task_place **places, int *count) MUST_CHECK;
/* The roots of the trees in which an end user (store_task_hash) ever spoke, above `after`; at most `limit`. */
struct err store_task_of_person(struct ctx *, struct store *, int64_t org, struct str hash, int64_t after, int limit,
                                struct task_place **places, int *count) MUST_CHECK;
/* One step of a walk over all tasks, at most `limit` of them, from *after on: the roots among them that came to an end and were
 * last touched before this moment. Moves *after; *is_end: what follows is younger, or nothing. Does not wait. */
struct err store_task_expired(struct ctx *, struct store *, int64_t before_us, int limit, int64_t *after,
                              struct task_place **places, int *count, bool *is_end) MUST_CHECK;
/* A walk over all tasks of an organisation, above `after`; at most `limit`. Does not wait. */
struct err store_task_walk(struct ctx *, struct store *, int64_t org, int64_t after, int limit, struct task_place **places,
                           int *count) MUST_CHECK;
