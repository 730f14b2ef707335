/* api/agent.h: what other resources need of agents.
 *
 * Errors    ERR_NOT_FOUND, ERR_DENIED, and those of store/agent.h. */
#pragma once
#include "api/call.h"
#include "store/agent.h"

/* Concurrent changes of one agent are told apart by its `updated_at`: who comes second reads again. */
enum { SAVE_TRIES = 16 };

/* The agent that the path names: unknown or deleted is a 404, another organisation's a 403. */
struct err agent_of_caller(struct ctx *, struct call *, struct agent_row *out) MUST_CHECK;
/* Everything that an answer shows and no row keeps: organisation, webhook, the views of attachments. */
struct err agent_complete(struct ctx *, struct call *, struct agent *) MUST_CHECK;
/* The views alone. */
struct err agent_views(struct ctx *, struct call *, struct agent *) MUST_CHECK;
