-- The first schema. Rule for all that follow: only forward, additive, numbered, and
-- tested from every released version. Written in the dialect that SQLite and
-- PostgreSQL share; times are microseconds since 1970, status words are numbers
-- from model/. auto_vacuum=INCREMENTAL is set before the first table is made.
--
-- What a person, a model or a tool wrote is sealed (BLOB) with its owner's key. Plain:
-- ids, `source`, status, times, counts, names of organisations, labels of keys.
-- A tenant's table names its organisation, and hangs from task, agent or
-- organization by a foreign key with cascade.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,          -- installation, generation, schema
    value TEXT NOT NULL
) WITHOUT ROWID;

-- Numbers are drawn in blocks that are reserved on disk first, so none is ever used twice.
CREATE TABLE number (
    name TEXT PRIMARY KEY,
    next INTEGER NOT NULL
) WITHOUT ROWID;

-- Slots of the keyring that seal nothing. A slot in use has no row here.
CREATE TABLE slot (
    n     INTEGER PRIMARY KEY,
    state INTEGER NOT NULL           -- 0 free, 1 erasing
);
CREATE INDEX slot_erasing ON slot (n) WHERE state = 1;

CREATE TABLE organization (
    n          INTEGER PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL UNIQUE,
    slot       INTEGER,              -- taken when first needed
    created_at INTEGER NOT NULL
);

CREATE TABLE api_key (
    id           TEXT PRIMARY KEY,
    org          INTEGER NOT NULL REFERENCES organization (n) ON DELETE CASCADE,
    hash         BLOB NOT NULL UNIQUE,
    label        TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,            -- to the minute
    revoked_at   INTEGER
) WITHOUT ROWID;
CREATE INDEX api_key_by_org ON api_key (org);

CREATE TABLE agent (
    n           INTEGER PRIMARY KEY,
    org         INTEGER NOT NULL REFERENCES organization (n) ON DELETE CASCADE,
    id          TEXT NOT NULL UNIQUE,
    unique_name TEXT NOT NULL,
    slot        INTEGER NOT NULL,
    status      INTEGER NOT NULL,
    version     INTEGER NOT NULL,    -- the latest deployed
    deleting    INTEGER NOT NULL DEFAULT 0,
    is_pending  INTEGER NOT NULL DEFAULT 0,  -- the draft differs from the latest version
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    draft       BLOB NOT NULL,       -- sealed: what was last saved
    secret      BLOB,                -- sealed: credentials, the newest for every version
    UNIQUE (org, unique_name)
);
CREATE INDEX agent_by_org ON agent (org, deleting, n);
CREATE INDEX agent_deleting ON agent (n) WHERE deleting = 1;

CREATE TABLE version (
    agent      INTEGER NOT NULL REFERENCES agent (n) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    org        INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    content    BLOB NOT NULL,        -- sealed
    PRIMARY KEY (agent, number)
) WITHOUT ROWID;

-- `n` is a task's identity: never reused, unlike the id that a caller may choose.
-- `run` is its lease: raised by every start, stop, resume and delete.
CREATE TABLE task (
    n          INTEGER PRIMARY KEY,
    org        INTEGER NOT NULL REFERENCES organization (n) ON DELETE CASCADE,
    id         TEXT NOT NULL,
    is_named   INTEGER NOT NULL,     -- the caller chose the id
    agent_id   TEXT NOT NULL,
    owner      INTEGER NOT NULL,     -- the agent (agent.n) of the root: the whole tree goes with it
    root       INTEGER NOT NULL REFERENCES task (n) ON DELETE CASCADE,
    parent     INTEGER,              -- another task of the same root
    depth      INTEGER NOT NULL,
    run        INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    status     INTEGER NOT NULL,     -- of the turn that is shown
    deleting   INTEGER NOT NULL DEFAULT 0,
    is_outside INTEGER NOT NULL DEFAULT 0,  -- somebody else runs it
    turn       INTEGER NOT NULL,     -- the one that is shown
    turns      INTEGER NOT NULL,     -- accepted so far
    triggering_agent_id TEXT,
    source     TEXT NOT NULL,
    user_hash  BLOB,                 -- keyed hash of the end user's id
    internal_hash BLOB,              -- keyed hash of internal_status
    prompt_tokens     INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    sealed     BLOB,                 -- title, internal_status and the like
    UNIQUE (root, n),
    UNIQUE (id, org)
);
CREATE INDEX task_by_org ON task (org, n);
CREATE INDEX task_by_agent ON task (org, agent_id, n);
CREATE INDEX task_by_status ON task (org, status, n);
CREATE INDEX task_by_agent_status ON task (org, agent_id, status, n);
CREATE INDEX task_by_parent ON task (parent, n) WHERE parent IS NOT NULL;
CREATE INDEX task_by_user ON task (org, user_hash, n) WHERE user_hash IS NOT NULL;
CREATE INDEX task_deleting ON task (n) WHERE deleting = 1;
-- What a start takes up: pending, executing, or with a turn that waits.
CREATE INDEX task_unfinished ON task (n) WHERE status < 2 OR turns > turn;

-- What one message asked for; it exists while it waits, before it has an entry.
CREATE TABLE turn (
    task        INTEGER NOT NULL REFERENCES task (n) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    org         INTEGER NOT NULL,
    agent_id    TEXT NOT NULL,
    version     TEXT NOT NULL,       -- "3", or "draft"
    status      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 1,
    is_stopped  INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL,    -- accepted
    started_at  INTEGER,
    paused_at   INTEGER,
    finished_at INTEGER,
    prompt_tokens     INTEGER NOT NULL DEFAULT 0,
    completion_tokens INTEGER NOT NULL DEFAULT 0,
    answer      INTEGER,             -- the entry whose text is the result
    result      BLOB,                -- sealed: a result that no entry holds, tools used
    request     BLOB NOT NULL,       -- sealed: the frozen request
    PRIMARY KEY (task, number)
) WITHOUT ROWID;

-- The journal: what happened to a task, in order. The thread, the stream, the next prompt
-- and recovery are readings of it. `n` rises over the whole installation.
CREATE TABLE entry (
    root INTEGER NOT NULL,
    task INTEGER NOT NULL,
    n    INTEGER NOT NULL,
    org  INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    run  INTEGER NOT NULL,           -- the lease of whoever wrote it
    kind INTEGER NOT NULL,
    at   INTEGER NOT NULL,
    body BLOB,                       -- sealed
    PRIMARY KEY (root, task, n),
    FOREIGN KEY (root, task) REFERENCES task (root, n) ON DELETE CASCADE
) WITHOUT ROWID;

-- A run that was stopped, replaced or deleted writes nothing any more.
CREATE TRIGGER entry_needs_the_lease BEFORE INSERT ON entry
WHEN (SELECT run FROM task WHERE n = NEW.task) IS NOT NEW.run
BEGIN
    SELECT RAISE(ABORT, 'stale run');
END;
