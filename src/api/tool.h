/* api/tool.h: attaching sub-agents; shared by the tool paths and an update's `graph`.
 *
 * One change of attachments at a time: or two of them, each good by itself, would close a circle. */
#pragma once
#include "api/agent.h"

/* Wait for the turn; from then on tools_end must be called. */
struct err tools_begin(struct ctx *, struct call *) MUST_CHECK;
void tools_end(struct call *);
/* May this agent have that one attached? ERR_DENIED: another organisation's. What else is wrong is a fault at
 * `loc`: no such agent, itself, a circle. */
struct err tools_check(struct ctx *, struct call *, const struct agent_row *self, struct str target_id, const struct loc *) MUST_CHECK;
