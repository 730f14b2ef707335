/* store/agent.h: agents, their versions and their credentials, sealed with the agent's key.
 *
 * Errors    Those of store/db.h, keyring.h and seal.h, and what is said below. */
#pragma once
#include "model/agent.h"
#include "model/page.h"
#include "store/idempotent.h"
#include "model/tool.h"
#include "store/store.h"

struct agent_row {
    int64_t n, org;
    struct str id, unique_name;
    int64_t slot;
    int status;             /* enum agent_status */
    int64_t version;        /* the latest deployed */
    bool is_pending, is_deleting;
    int64_t created_at, updated_at;
    struct str draft, secret; /* sealed */
};

/* By its id, whosever it is: the caller tells 403 from 404. ERR_NOT_FOUND "Agent not found". Does not wait. */
struct err store_agent_find(struct ctx *, struct store *, struct str id, struct agent_row *out) MUST_CHECK;
/* By its number, in its organisation. */
struct err store_agent_get(struct ctx *, struct store *, int64_t org, int64_t n, struct agent_row *out) MUST_CHECK;

/* The content of the draft (number 0) or of a deployed version. Columns of the row are filled in (id, unique_name,
 * status, version, is_latest, has_pending_changes, created_at); organization_id, webhook_url and the views of attachments
 * are not. ERR_NOT_FOUND: "No such version", or the agent was removed since its row was read. Does not wait. */
enum { VERSION_DRAFT = 0 };
struct err store_agent_version(struct ctx *, struct store *, const struct agent_row *, int64_t number, struct agent *out) MUST_CHECK;
struct err store_agent_secret(struct ctx *, struct store *, const struct agent_row *, struct agent_secret *out) MUST_CHECK;

/* What a view and the model see of a sub-agent: its draft, or its latest deployed version. Deleted, or not of
 * this organisation: is_there is false. */
struct err store_agent_target(struct ctx *, struct store *, int64_t org, struct str id, bool is_deployed,
                              struct tool_target *out) MUST_CHECK;

/* Make it, with version 1. Fills the row and agent.id, unique_name, created_at. ERR_CONFLICT: a request of the same
 * Idempotency-Key (null: none) was quicker. */
struct err store_agent_create(struct ctx *, struct store *, int64_t org, struct agent *, const struct agent_secret *,
                              const struct idempotent *, struct agent_row *out) MUST_CHECK;
/* Save the draft, the secret (null: unchanged) and the status; deploy it as the next version too. The row is what
 * was read before and is brought up to date. ERR_CONFLICT: somebody else has saved since, or it is being deleted: read again. */
struct err store_agent_save(struct ctx *, struct store *, struct agent_row *, const struct agent *,
                            const struct agent_secret *, bool is_deployed) MUST_CHECK;

/* Newest first, without those being deleted. */
struct err store_agent_list(struct ctx *, struct store *, int64_t org, struct page, struct agent_row **rows, int *count,
                            int64_t *total) MUST_CHECK;
struct err store_agent_list_all(struct ctx *, struct store *, int64_t org, struct agent_row **rows, int *count) MUST_CHECK;

/* From the commit on it is deleted for everybody. ERR_NOT_FOUND: it is already. */
struct err store_agent_mark(struct ctx *, struct store *, const struct agent_row *) MUST_CHECK;
/* Remove its rows, in pieces, and destroy its key. It must be marked; its tasks must be gone. */
struct err store_agent_remove(struct ctx *, struct store *, const struct agent_row *) MUST_CHECK;
/* Recovery: those that are marked, of every organisation; at most `limit`. */
struct err store_agent_marked(struct ctx *, struct store *, int limit, struct agent_row **rows, int *count) MUST_CHECK;
