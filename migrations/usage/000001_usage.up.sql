-- What one embedded gateway was used for: a record for each admitted request, and
-- sums by the hour and the day. It is a file of its own, so that bulk writes do not keep
-- those of the configuration waiting, and a look at that file's soundness does
-- not have to read gigabytes.
--
-- first_at and last_at are in microseconds of Unix time, hour and day in seconds.

-- Records are in blocks of some thousand, packed (usage/block.go): a row for
-- each, with its indexes, cost twenty times as much. Those of a block are of one
-- day (UTC). marks are what a question can ask for that is in the block: 32 bits
-- of a sum over each key id, model, provider, endpoint and outcome, in order.
CREATE TABLE usage_blocks (
    last_at  INTEGER NOT NULL,
    id       INTEGER NOT NULL, -- of its usage_packed
    first_at INTEGER NOT NULL,
    records  INTEGER NOT NULL,
    marks    BLOB NOT NULL,
    PRIMARY KEY (last_at, id)
) STRICT, WITHOUT ROWID;

-- Apart, so that whoever looks for a block does not turn over the pages of all.
CREATE TABLE usage_packed (
    id     INTEGER PRIMARY KEY,
    packed BLOB NOT NULL
) STRICT;

CREATE TABLE usage_hourly (
    hour              INTEGER NOT NULL,
    api_key_id        INTEGER NOT NULL,
    api_key_name      TEXT NOT NULL,
    endpoint          TEXT NOT NULL,
    model             TEXT NOT NULL,
    provider          TEXT NOT NULL,
    outcome           TEXT NOT NULL,
    requests          INTEGER NOT NULL,
    errors            INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    reasoning_tokens  INTEGER NOT NULL,
    cost_microusd     INTEGER NOT NULL,
    duration_us       INTEGER NOT NULL,
    ttft_us           INTEGER NOT NULL,
    ttft_requests     INTEGER NOT NULL,
    PRIMARY KEY (hour, api_key_id, model, provider, endpoint, outcome, api_key_name)
) STRICT, WITHOUT ROWID;

-- The same by the day (UTC): a report over months reads a row where it would read 24.
CREATE TABLE usage_daily (
    day               INTEGER NOT NULL,
    api_key_id        INTEGER NOT NULL,
    api_key_name      TEXT NOT NULL,
    endpoint          TEXT NOT NULL,
    model             TEXT NOT NULL,
    provider          TEXT NOT NULL,
    outcome           TEXT NOT NULL,
    requests          INTEGER NOT NULL,
    errors            INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    reasoning_tokens  INTEGER NOT NULL,
    cost_microusd     INTEGER NOT NULL,
    duration_us       INTEGER NOT NULL,
    ttft_us           INTEGER NOT NULL,
    ttft_requests     INTEGER NOT NULL,
    PRIMARY KEY (day, api_key_id, model, provider, endpoint, outcome, api_key_name)
) STRICT, WITHOUT ROWID;

-- What the last batches add to the sums: a row for each batch, until many are
-- added at once (store/usage_owed.go). What is here is in no sum yet.
CREATE TABLE usage_owed (
    id   INTEGER PRIMARY KEY,
    sums BLOB NOT NULL
) STRICT;

-- Up to where each process's journal is in the tables above: written in the
-- same transaction, so that nothing is counted twice. updated_at is in seconds
-- of Unix time.
CREATE TABLE usage_journals (
    journal_id INTEGER PRIMARY KEY,
    position   INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
