/* api/export.h: everything that an organisation owns, in clear, in one file.
 *
 * Agents and tasks stand there as GET shows them, with every version and every turn; the journal's entries as they are
 * kept. Stored credentials are not among it, nor are API keys: nothing reads them back. */
#pragma once
#include "io/ctx.h"
#include "store/organization.h"

struct exported {
    int64_t agents, tasks, bytes;
};
/* `path` is absolute, and of no file yet; mode 0600. What is deleted meanwhile is left out. After a failure there is no file. */
struct err export_organization(struct ctx *, struct store *, const struct organization *, struct str path, struct exported *out) MUST_CHECK;
