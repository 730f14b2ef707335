/* engine/prompt.h: what the model is told: the system prompt, the thread, the tools.
 *
 * The thread is read backwards from the journal, newest turn first, until history_bytes_max is full; a
 * turn is told whole, with its tool calls and results, or not at all. Of the turn that runs everything is
 * told that was written down before a crash; calls whose result was not are left open.
 *
 * Memory    In cx->arena. Private to engine/.
 * Errors    ERR_LIMIT: the message alone is too long. ERR_UPSTREAM: no model can be asked. Sentences are for the caller. */
#pragma once
#include "engine/registry.h"
#include "llm/llm.h"
#include "model/entry.h"
#include "model/tool.h"

struct offer {                  /* a function that the model may call */
    struct str function;
    struct str operation_id;    /* the attachment */
    struct str target_id;       /* the sub-agent */
};
struct open_call {              /* made before a crash, result not on disk */
    int64_t said;
    int call;
    int64_t sub_task;           /* n of the sub-task that it made; 0: none */
};
struct used_tool {              /* a call that was made before a crash */
    struct str name;
    struct used_tool *next;
};
struct prompt {
    const struct agent *agent;
    struct llm_model model;
    struct llm_dialogue dialogue;
    struct offer *offers;
    int offers_count;
    int steps_done;             /* model turns of this turn so far */
    int64_t calls_done, tokens_used;
    struct used_tool *used;     /* of these steps, in their order */
    struct said *last;          /* the model turn whose calls are open, or null */
    int64_t last_n;
    struct open_call *open;
    int open_count;
};
struct err prompt_build(struct ctx *, struct run *, struct prompt *out) MUST_CHECK;
const struct offer *prompt_offer(const struct prompt *, struct str function); /* null: nobody offered it */

/* More of the same dialogue: what the model said, and what a call gave. */
void dialogue_said(struct arena *, struct llm_dialogue *, const struct said *);
void dialogue_result(struct arena *, struct llm_dialogue *, struct str call_id, struct str text);
