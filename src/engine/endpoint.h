/* engine/endpoint.h: which model a turn speaks to, and with whose key.
 *
 * The operator's key goes only to the operator's address: an agent or a call that names another
 * base or provider brings credentials of its own, or calls with none; else a tenant would receive
 * the operator's key. An override of the provider leaves the agent's base, credentials and headers
 * behind: they belong to the other provider.
 *
 * Pure. Errors: ERR_UPSTREAM with a sentence: no address, no translator. */
#pragma once
#include "engine/engine.h"
#include "llm/llm.h"

struct err endpoint_of(struct arena *, const struct engine_settings *, const struct task *, const struct agent *,
                       const struct agent_secret *, struct llm_model *out) MUST_CHECK;
