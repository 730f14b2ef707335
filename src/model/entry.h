/* model/entry.h: what an entry of the journal says.
 *
 * The journal is one table: in order, what happened to a task. Thread, stream, next prompt and
 * recovery are readings of it. Status entries have no body: what they say stands in the
 * turn's row. The bodies of the others are JSON, sealed.
 *
 * Pure. Memory: in the arena that was read into. Errors: ERR_IO "not what was stored". */
#pragma once
#include "base/json.h"

/* Numbers, as in the rows: never change one. */
enum entry_kind {
    ENTRY_CREATED = 1, /* a turn begins                                              */
    ENTRY_UPDATED,     /* it runs; body {"attempts":N} when it is begun again        */
    ENTRY_SAID,        /* a finished model turn: text, thought, tool calls           */
    ENTRY_TRIGGER,     /* a call made a sub-task                                     */
    ENTRY_RESULT,      /* a call's result                                            */
    ENTRY_FINISHED,    /* the turn has ended                                         */
};
struct entry {
    int64_t n, root, task, turn, run, at;
    enum entry_kind kind;
    struct str body; /* in clear; empty when there is none */
};

/* A call as the model made it, and as events show it. */
struct said_call {
    struct str request_id;   /* ours */
    struct str id;           /* the model's tool_call_id */
    struct str name;
    struct str arguments;    /* JSON text; what came when it is broken */
    struct str operation_id; /* the attachment; empty: nobody offered such a tool */
    bool is_broken;
};
struct said {
    int64_t step;            /* names the model turn while it is said: see engine/position.h */
    struct str text, thought;
    const struct said_call *calls;
    int calls_count;
    int64_t prompt_tokens, completion_tokens;
    bool is_partial;         /* broken off: shown in streams, and told to no model again */
};
struct str said_body(struct arena *, const struct said *);
struct err said_read(struct arena *, struct str body, struct said *) MUST_CHECK;

struct trigger {
    int64_t said;            /* n of the entry with the call … */
    int64_t call;            /* … and its place there */
    int64_t task;            /* the sub-task's n */
    struct str task_id, agent_id;
};
struct str trigger_body(struct arena *, const struct trigger *);
struct err trigger_read(struct arena *, struct str body, struct trigger *) MUST_CHECK;

struct tool_outcome {
    int64_t said, call;
    struct str text;
    bool is_error;
};
struct str outcome_body(struct arena *, const struct tool_outcome *);
struct err outcome_read(struct arena *, struct str body, struct tool_outcome *) MUST_CHECK;

struct str updated_body(struct arena *, int64_t attempts);
int64_t updated_attempts(struct arena *, struct str body); /* 1 when there is no body */
