/* engine/sub_agent.h: the kind of tool that starts a run. Private to engine/. */
#pragma once
#include "engine/prompt.h"

/* Do a call of a sub-agent: make the sub-task (or take up the one that was made before a crash), wait for its
 * end, give its result. What goes wrong there is news for the model: outcome->is_error. Errors: ours alone. */
struct err sub_agent_call(struct ctx *, struct run *, const struct offer *, const struct said_call *, const struct open_call *,
                          struct tool_outcome *outcome) MUST_CHECK;
