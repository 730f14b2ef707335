-- An organisation that is being deleted is gone for everybody; a start goes on with it.
ALTER TABLE organization ADD COLUMN deleting INTEGER NOT NULL DEFAULT 0;
CREATE INDEX organization_deleting ON organization (n) WHERE deleting = 1;

-- Every end user who ever spoke in a task, by the keyed hash: task.user_hash knows the last one alone,
-- and whoever is erased must be found in the older turns too.
CREATE TABLE person (
    org  INTEGER NOT NULL,
    hash BLOB NOT NULL,
    task INTEGER NOT NULL REFERENCES task (n) ON DELETE CASCADE,
    PRIMARY KEY (org, hash, task)
) WITHOUT ROWID;
CREATE INDEX person_by_task ON person (task);
INSERT INTO person (org, hash, task) SELECT org, user_hash, n FROM task WHERE user_hash IS NOT NULL;
