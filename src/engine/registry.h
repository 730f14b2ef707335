/* engine/registry.h: the runs alive in this process, the trees they belong to, and who is ending them.
 *
 * A run is in here before its commit and until it is at rest, so that whoever asks, without waiting,
 * whether something lives, gets the truth. What must be seen together (the runs of one root, its
 * followers, what was written last) is a tree; it lives as long as somebody holds it.
 *
 * An act is a stop or a delete under way: it names a task and all below it, and nothing
 * starts under it. Private to engine/. */
#pragma once
#include "base/map.h"
#include "engine/agents.h"
#include "io/scope.h"
#include "io/wait.h"
#include "model/entry.h"

/* Why a run was told to end. Whoever says so writes down how the task ended, but for the last two. */
enum run_order { RUN_GOES_ON, RUN_IS_STOPPED, RUN_IS_ERASED, RUN_IS_LEFT /* resumable */, RUN_LOST_ITS_AGENT };

/* What a run is saying at this moment: a preview of the entry that it will become. */
struct speech {
    int64_t step;          /* its name; 0: nothing is being said */
    int64_t entry;         /* the entry's number, once it is being written */
    struct buf text;
};

struct run {
    struct engine *engine;
    struct tree *tree;
    struct run *next_in_tree, *next_in_bucket;
    struct arena arena;    /* of `task` */
    struct task task;      /* the row and the turn that runs; `run` is our lease */
    struct known_agent *agent; /* who speaks in this turn; null: not known yet, or a draft */
    struct secret secret;
    struct scope scope;    /* of the turn that runs: cancelling it ends the turn */
    bool is_open;          /* the scope is */
    bool has_begun;        /* the turn's beginning is on disk */
    bool has_next;         /* another turn waits behind it */
    enum run_order order;
    struct speech speech;
};

/* An entry that followers need not fetch from the disk. */
struct note {
    struct note *next;
    struct entry entry;    /* the body is a copy behind it */
};
enum { NOTES_MAX = 64, NOTES_BYTES_MAX = 1 << 18 };

struct tree {
    struct engine *engine;
    int64_t root;
    struct tree *next_in_bucket;
    int holders;           /* runs, followers, waiters */
    int followers;
    struct run *runs;
    struct gate changed;   /* something was said or settled */
    struct gate settled;   /* an entry was written, a run is at rest */
    struct note *first, *last; /* everything written from `notes_from` on */
    int64_t notes_from;    /* 0: no notes are kept */
    int notes_count;
    size_t notes_bytes;
    int64_t announced;     /* how often something was written since the tree is held */
};

struct act_node {
    int64_t n;
    struct str id;
};
struct act {
    struct act *next;
    bool is_erasure, is_done;
    bool is_marked;        /* an erasure that is on disk: it may be told, and ends only when it is done */
    int64_t org, n, root;
    struct arena arena;    /* of nodes */
    struct act_node *nodes; /* every task there was at its beginning, n rising */
    int nodes_count;
    int holders;
    int64_t erased;        /* how many tasks went with it */
    struct err outcome;
    struct gate done;
    struct engine *engine;
};

enum { BUCKETS = 4096 };
struct pending {
    struct pending *prior, *next;
    int64_t org, n;
};
struct engine {
    struct engine_settings settings;
    struct store *store;
    const struct llm *llm;
    struct scope scope;
    struct ctx cx;         /* of the scope: runs and acts are spawned under it */
    struct arena arena;
    bool is_closing;
    int64_t runs_count;
    struct gate rest;      /* an act is done, a run is at rest */
    bool is_sweeping;      /* the fiber that erases what is marked is there … */
    bool is_sweep_wanted;  /* … and has to look once more */
    struct gate swept;     /* it has ended */
    struct act *acts;
    struct known_agents agents;
    struct map pending;    /* by task.n: who waits for a place, … */
    struct pending *pending_first, *pending_last; /* … and in which order */
    int64_t pending_count;
    struct map buckets;    /* by organisation: engine/quota.c */
    struct run *runs[BUCKETS];
    struct tree *trees[BUCKETS];
};

/* ---- runs ------------------------------------------------------------------------ */
struct run *run_of(const struct engine *, int64_t task);
/* A new run in the registry, for a task that has none; its fiber is spawned by run_spawn. Null: no memory. */
struct run *run_new(struct engine *, int64_t n, int64_t root);
/* ERR_LIMIT: there is no stack for it. */
struct err run_spawn(struct run *) MUST_CHECK;
void run_forget(struct run *);
/* End it: its waits return ERR_CANCELLED. The first order counts, but that erasing beats all. */
void run_give_order(struct run *, enum run_order);
/* A further turn of this task is on disk: whoever runs it looks again before it ends. */
void run_call(const struct engine *, int64_t task);
bool engine_has_place(const struct engine *);

/* See to it that a task with a waiting turn runs, or waits for a place. Does not wait. */
struct err engine_take_up(struct engine *, int64_t org, int64_t n) MUST_CHECK;
void engine_take_next(struct engine *); /* a place is free */
void engine_leave_queue(struct engine *, int64_t n); /* it waits for no place any more */

/* ---- trees -------------------------------------------------------------------------- */
struct tree *tree_hold(struct engine *, int64_t root); /* null: no memory */
void tree_drop(struct tree *);
struct tree *tree_of(const struct engine *, int64_t root); /* null: nobody holds it */
/* Whoever waits at it looks again. */
void tree_stir(struct engine *, int64_t root);
/* What was noted is forgotten: followers ask the disk. */
void tree_forget_notes(struct engine *, int64_t root);

/* ---- acts ---------------------------------------------------------------------------- */
/* The act that this task, or one above it, is under; null: none. Looks at what lives, not at the disk. */
struct act *act_over(const struct engine *, int64_t n);
bool act_covers(const struct act *, const struct engine *, int64_t n);
/* The erasure that a caller's id is under, also when its row is gone and its key is not yet; null: none. */
struct act *act_erasing(const struct engine *, int64_t org, struct str id);
/* Was there this task at its beginning? */
bool act_names(const struct act *, int64_t n);
/* ERR_CONFLICT under an erasure; waits for the end of a stop. */
struct err act_clear(struct ctx *, struct engine *, int64_t n) MUST_CHECK;
