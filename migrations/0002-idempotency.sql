-- What a POST with an Idempotency-Key has made. It holds keyed hashes and no text, and outlives
-- what was made, as a tombstone, until its time is up: so it hangs from the organisation alone.
CREATE TABLE idempotent (
    org   INTEGER NOT NULL REFERENCES organization (n) ON DELETE CASCADE,
    hash  BLOB NOT NULL,             -- of method, path and key
    body  BLOB NOT NULL,             -- of query and body
    n     INTEGER NOT NULL,          -- the task's, or the agent's
    turn  INTEGER NOT NULL,          -- of the task; 0: an agent was made
    after INTEGER NOT NULL,          -- every entry of that turn has a higher number
    at    INTEGER NOT NULL,
    PRIMARY KEY (org, hash)
) WITHOUT ROWID;
CREATE INDEX idempotent_by_age ON idempotent (at);
