/* store/unscoped.h: every statement on a tenant's table that does not name the organisation.
 *
 * All others do, so that no caller can read past it: tests/store/schema.c looks at each statement. (One that is put
 * together from pieces elsewhere says "any organisation" in a comment of its own.) What is
 * here has one of four reasons: a credential is looked up, 403 is told from 404, a crash is recovered from, or the
 * operator asks on the command line. */
#pragma once

/* ---- who is asking: nothing is known yet ------------------------------------------ */
#define SQL_KEY_BY_HASH                                                                          \
    "SELECT k.id, k.label, k.org, o.id, o.name, k.created_at, coalesce(k.last_used_at, 0), 0"    \
    "  FROM api_key AS k JOIN organization AS o ON o.n = k.org"                                  \
    " WHERE k.hash = $1 AND k.revoked_at IS NULL AND o.deleting = 0"

/* ---- the operator's commands --------------------------------------------------------- */
#define SQL_KEYS                                                                                 \
    "SELECT k.id, k.label, k.org, o.id, o.name, k.created_at, coalesce(k.last_used_at, 0),"      \
    "       coalesce(k.revoked_at, 0)"                                                           \
    "  FROM api_key AS k JOIN organization AS o ON o.n = k.org ORDER BY k.created_at, k.id"
#define SQL_KEY_ANY "SELECT 1 FROM api_key LIMIT 1"
#define SQL_KEY_REVOKE "UPDATE api_key SET revoked_at = coalesce(revoked_at, $1) WHERE id = $2"

/* ---- 403 or 404: whose is it? ---------------------------------------------------------- */
#define SQL_AGENT_COLUMNS                                                                        \
    "SELECT n, org, id, unique_name, slot, status, version, is_pending, deleting, created_at, updated_at, draft, secret"
#define SQL_AGENT_BY_ID SQL_AGENT_COLUMNS "  FROM agent WHERE id = $1"

#define SQL_TASK_MADE_BY_SERVER "SELECT 1 FROM task WHERE id = $1 AND is_named = 0"

/* ---- recovery: what a crash left half done ------------------------------------------------ */
#define SQL_AGENTS_MARKED SQL_AGENT_COLUMNS "  FROM agent WHERE deleting = 1 ORDER BY n LIMIT $1"

/* ---- a restore: what opens with this keyring? ------------------------------------------------ */
#define SQL_TASKS_ALL "SELECT org, n FROM task WHERE n > $1 /* any organisation */ ORDER BY n LIMIT $2"
#define SQL_TASKS_COUNT "SELECT count(*) FROM task /* any organisation */"
#define SQL_AGENTS_ALL "SELECT org, n FROM agent WHERE deleting = 0 /* any organisation */ ORDER BY n"
