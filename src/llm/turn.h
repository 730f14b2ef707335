/* llm/turn.h: the one place that calls a model: send, stream, retry, count.
 *
 * A broken connection or a 408, 409, 429 or 5xx before the first token is tried again with
 * back-off and jitter, honouring Retry-After up to retry_wait_ms. After the first token nothing
 * is tried again.
 *
 * Memory    The turn is in cx->arena. The dialogue is borrowed.
 * Errors    ERR_UPSTREAM: no answer could be had; the sentence names the provider, the status and
 *           what it said (at most 500 bytes, printable, the key cut out). ERR_DENIED: the guard refused
 *           the address. ERR_LIMIT: the answer is longer than answer_bytes_max. Time limits of
 *           ours are ERR_UPSTREAM with a sentence. ERR_CANCELLED: the socket is closed already. */
#pragma once
#include "io/ctx.h"
#include "llm/llm.h"
#include "net/client.h"

struct llm_limits {
    int64_t connect_ms, first_token_ms, silence_ms, turn_ms; /* turn_ms 0 = none */
    int64_t retry_first_ms, retry_wait_ms;
    int tries;              /* in all, at least 1 */
    int64_t answer_bytes_max;
    int calls_max;          /* tool calls in one turn; more is an ERR_UPSTREAM */
};
struct llm {                /* what every call shares; made at start */
    struct client *client;
    struct guard *guard;
    struct llm_limits limits;
};
struct llm_turn {
    struct str text, thought, refusal;
    struct llm_call *calls;  /* in the order in which the model began them */
    int calls_count;
    struct llm_usage usage;
    struct str finish;
};
/* Called for each piece of the answer's text, whole UTF-8 characters only; must not wait. */
typedef void llm_say_fn(void *arg, struct str piece);

struct err llm_turn(struct ctx *, const struct llm *, const struct llm_model *, const struct llm_dialogue *,
                    llm_say_fn *say, void *arg, struct llm_turn *out) MUST_CHECK;
