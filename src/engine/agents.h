/* engine/agents.h: deployed agents, opened and parsed once.
 *
 * A deployed version never changes, and every turn of every task needs one: so the versions that were
 * asked for last are kept, for all who run them at the same time. Of the row beside it (status, deleting)
 * nothing is kept.
 *
 * Threads   The loop's.
 * Memory    At most AGENTS_KEPT versions of AGENT_BYTES_KEPT each; a larger one lives as long as somebody
 *           holds it. What is dropped is wiped. Private to engine/. */
#pragma once
#include "engine/engine.h"

enum { AGENTS_KEPT = 64, AGENT_BYTES_KEPT = 1 << 16 };

struct known_agent {
    struct agent agent;
    struct arena arena;   /* of `agent` */
    int64_t n, number;    /* agent.n, the version */
    int64_t used;         /* when it was asked for last: a count */
    int holders;
    bool is_kept;
};
struct known_agents {
    struct known_agent *kept[AGENTS_KEPT];
    int64_t count;        /* of all that was asked for */
};

/* A deployed version, or the draft, which is not kept; until agents_drop. ERR_NOT_FOUND "No such version"; does not wait. */
struct err agents_hold(struct ctx *, struct engine *, const struct agent_row *, int64_t number, struct known_agent **out) MUST_CHECK;
void agents_drop(struct known_agent *); /* null is nothing */
/* The agent is being deleted: whoever holds it may end, nobody finds it. */
void agents_forget(struct engine *, int64_t n);
void agents_forget_all(struct engine *);
