/* store/census.h: how many rows there are, of everybody: for the operator's metrics. */
#pragma once
#include "store/store.h"

struct census {
    int64_t organizations, agents, tasks, turns, entries, slots_free, slots_erasing;
    int64_t orphans; /* rows whose owner is gone, keys that two share: always 0 */
};
/* Looks at every row, on a reader's thread. */
struct err store_census(struct ctx *, struct store *, struct census *out) MUST_CHECK;
