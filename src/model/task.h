/* model/task.h: what a task is, what a turn of it asked for, and where its status may go.
 *
 * One struct holds a task as it is shown: the columns of its row, and what the shown turn
 * asked for and gave. One table of fields (task_shape) reads an invoke's body into it, keeps what the
 * turn asked for (turn.request, sealed), and writes the reply.
 *
 * Pure: no clock, no waiting. Texts are borrowed from the arena that they were read into. */
#pragma once
#include "base/shape.h"

enum task_status {
    TASK_PENDING,
    TASK_EXECUTING,
    TASK_PAUSED,
    TASK_ERROR,     /* no answer could be had                  */
    TASK_FAILED,    /* an answer came and cannot be accepted   */
    TASK_COMPLETED,
    TASK_STOPPED,
    TASK_STATUS_COUNT
};
extern const char *const task_status_words[]; /* in that order; ends with null */

enum think_mode { THINK_DEFAULT, THINK_HARDER };
enum effort { EFFORT_LOW, EFFORT_MEDIUM, EFFORT_HIGH, EFFORT_XHIGH }; /* indices of effort_words (model/agent.h) */

struct task_user { /* the end user, as the caller describes it; grants nothing */
    bool is_there;
    struct str id, first_name, last_name, email, additional_attributes, role, timezone;
    bool is_super_admin;
};
struct task_input {
    struct str text, files;           /* files: a JSON list of URLs */
    struct task_user user;
    struct str attachments, principal; /* JSON; at = null: not given */
};

struct task {
    /* The row: who it is and where it hangs. */
    int64_t n;                 /* identity, never reused */
    int64_t org, owner;        /* organisation; the agent that the whole tree belongs to */
    int64_t root, parent;      /* parent 0: it is its own root */
    int64_t depth, run, slot;  /* run: the lease */
    int64_t turn, turns;       /* the one that is shown; accepted so far */
    bool is_named, is_outside, is_deleting;
    bool has_children;         /* when the row was read */
    struct str sealed;         /* what of the row is sealed: the title */

    struct str id, agent_id, organization_id;
    struct task_input input;
    int status;
    struct str internal_status, last_executed_node_id, agent_version;
    int64_t created_at, started_at, paused_at, finished_at, updated_at;
    struct str result;
    struct str parent_execution, sub_executions, finished_sub_executions;
    bool is_manually_stopped;
    struct str payload_extension, hitl_request, pending_eca_request, source, worker_id, additional_context;
    struct str instructions_override, expected_output, test_run_node_id, voice_id, output_schema;
    bool is_orchestration, events_streaming, used_mutating_tools, is_continuous;
    int output_format;         /* FORMAT_… (model/agent.h); -1 while it is not known */
    struct str mcp_servers, triggering_agent_id, title;
    int think_mode;
    bool disable_attachment_injection;
    struct str deep_planning;
    int64_t execution_attempts;
    struct str user_tokens, user_oidc_token;
    bool return_metrics;
    int64_t prompt_tokens, completion_tokens;
    struct str used_tools;
    double duration;
    struct str model_provider, model_name;           /* effective */
    int llm_reasoning_effort;                        /* effective; -1 while it is not known */
    struct str llm_model_provider, llm_model_name;   /* as asked for */
    bool background_auth_eligible;

    /* Asked for, and not shown. */
    bool run_locally;
    struct str draft;          /* the agent's content, frozen, when version "draft" was asked for */
};
extern const struct shape task_shape;

/* Copy every text that it borrows into the arena. */
void task_keep(struct arena *, struct task *);
/* A body was read: what the table cannot say (text or files, the id's form). */
void task_check(struct task *, const struct given *, struct json body, struct faults *);
/* It was deleted while somebody waited for it: what is told of it last. */
void task_was_deleted(struct task *, int64_t now_us);
/* Take out what streams must not show. */
void task_hide_tokens(struct task *);

/* By its format, or because it has a schema. */
bool task_wants_json(const struct task *);
bool task_is_final(int status);
/* May an engine's run move a task so? (A new turn and a status from outside go their own ways.) */
bool task_may_become(int from, int to);
/* Is it an id that a caller may choose? Null, or the reason why not. */
const char *task_id_fault(struct str id);
/* Set the end of a turn: status, finished_at, duration. ERR_CONFLICT if the status may not follow. */
struct err task_move(struct task *, int to, int64_t now_us) MUST_CHECK;
