/* engine/quota.h: how much one organisation may ask of the server, where the operator has set a limit.
 *
 * Messages are counted in a bucket that refills evenly over a minute, in memory: a restart forgets. What its runs ask of
 * themselves (sub-tasks) is not counted as messages. Private to engine/. */
#pragma once
#include "engine/registry.h"

/* One message more. ERR_QUOTA. */
struct err quota_message(struct engine *, int64_t org) MUST_CHECK;
/* One root task more that would run. ERR_QUOTA. */
struct err quota_run(const struct engine *, int64_t org) MUST_CHECK;
void quota_forget_all(struct engine *);
