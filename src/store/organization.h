/* store/organization.h: tenants. Their names are plain; the server alone opens their keys.
 *
 * Errors    Those of store/db.h and keyring.h, and what is said below. */
#pragma once
#include "store/store.h"

struct organization {
    int64_t n;
    struct str id, name;
    int64_t created_at;
    bool is_deleting;
};
/* By its name; made when it is new. ERR_CONFLICT: it is being deleted. */
struct err store_organization_named(struct ctx *, struct store *, struct str name, struct organization *out) MUST_CHECK;
/* By its id or its name, also while it is being deleted. ERR_NOT_FOUND. Does not wait. */
struct err store_organization_find(struct ctx *, struct store *, struct str id_or_name, struct organization *out) MUST_CHECK;
/* All of them, in the order of their making. */
struct err store_organization_list(struct ctx *, struct store *, struct organization **out, int *count) MUST_CHECK;
/* The organisation's own key; its slot is taken when this is first asked. The caller drops it. */
struct err store_organization_secret(struct ctx *, struct store *, int64_t org, struct secret *out) MUST_CHECK;

/* ---- deleting ------------------------------------------------------------------------- */
struct holdings { /* what it owns, or owned */
    int64_t agents, tasks, keys;
};
/* From the commit on it, its keys and its agents are gone for everybody; *out is what it owned then. */
struct err store_organization_mark(struct ctx *, struct store *, int64_t org, struct holdings *out) MUST_CHECK;
/* The number of one that is marked; 0: there is none. Does not wait. */
struct err store_organization_marked(struct ctx *, struct store *, int64_t *org) MUST_CHECK;
/* Its row goes, and what hangs from it; *slot is `erasing` now (0: it had none). ERR_CONFLICT: an agent was made meanwhile;
 * it is marked now. */
struct err store_organization_remove(struct ctx *, struct store *, int64_t org, int64_t *slot) MUST_CHECK;
/* Does not wait. */
struct err store_organization_is_there(struct ctx *, struct store *, int64_t org, bool *out) MUST_CHECK;
