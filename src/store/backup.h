/* store/backup.h: copies of a data directory, and a directory from copies.
 *
 * The database is copied first and the keyring after it. So what is deleted between the two is in the first and does not open
 * with the second: a restore removes it, like everything that was deleted before the keyring's copy was made, however
 * old the database's is.
 *
 * Without a loop. Errors    Sentences for the operator; ERR_CONFLICT: a file is there already. */
#pragma once
#include "store/store.h"

struct backup {
    int64_t database_bytes, slots;
};
/* `to` is a directory, made if it is missing; to/agentd.db must not be there. `keyring` is a file, overwritten in place, so that
 * no older keys are left in it. Beside a running server too. */
struct err store_backup(struct ctx *, const struct store_settings *, struct str to, struct str keyring, struct backup *out) MUST_CHECK;

struct restored {
    int64_t tasks, tasks_removed, agents, agents_removed;
};
/* settings->directory must hold no database, but the master key, if it stands there. Agents that do not open go with all their
 * tasks, which are counted where they do not open themselves. */
struct err store_restore(struct ctx *, const struct store_settings *, struct str from, struct str keyring, struct restored *out) MUST_CHECK;
