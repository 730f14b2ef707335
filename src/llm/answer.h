/* llm/answer.h: the deltas of one answer, collected into a turn. Pure.
 *
 * Memory    What is said grows on the heap until answer_turn() copies it; answer_free() always.
 * Errors    Kept in `fault`, the first one wins; nothing is collected after it. */
#pragma once
#include "llm/characters.h"
#include "llm/turn.h"

struct answer_call {
    int index;             /* the server's, or LLM_SOME_CALL */
    struct buf id, name, arguments;
};
struct answer {
    int64_t bytes_max;     /* of texts, thoughts and arguments together */
    int calls_max;
    llm_say_fn *say;
    void *arg;
    struct buf text, thought, refusal;
    struct characters text_end, thought_end, refusal_end;
    struct answer_call *calls;
    int calls_count, calls_capacity;
    int64_t bytes_count;
    struct llm_usage usage;
    char finish[32];
    bool has_begun;        /* something of the answer came: from here on nothing is tried again */
    bool is_finished;      /* a finish reason came */
    bool is_ended;         /* and so did the end */
    struct buf failure;    /* what the stream said when it failed; has_failed */
    bool has_failed;
    struct err fault;      /* ERR_LIMIT, ERR_UPSTREAM, ERR_MEMORY, each with a literal */
};
llm_delta_fn answer_hear;  /* arg: the answer */
/* Everything into the arena, the last characters said. */
struct err answer_turn(struct arena *, struct answer *, struct llm_turn *out) MUST_CHECK;
void answer_free(struct answer *);
