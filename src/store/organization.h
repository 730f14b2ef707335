/* store/organization.h: tenants. Their names are plain; the server alone opens their keys. */
#pragma once
#include "store/store.h"

struct organization {
    int64_t n;
    struct str id, name;
};
/* By its name; made when it is new. */
struct err store_organization_named(struct ctx *, struct store *, struct str name, struct organization *out) MUST_CHECK;
/* The organisation's own key; its slot is taken when this is first asked. The caller drops it. */
struct err store_organization_secret(struct ctx *, struct store *, int64_t org, struct secret *out) MUST_CHECK;
