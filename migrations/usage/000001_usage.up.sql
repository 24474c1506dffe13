-- What one embedded gateway was used for: a row for each admitted request, and
-- sums by the hour and the day. It is a file of its own, so that bulk writes do not keep
-- those of the configuration waiting, and a look at that file's soundness does
-- not have to read gigabytes.
--
-- at is in microseconds of Unix time, hour and day in seconds.

CREATE TABLE usage_records (
    at                INTEGER NOT NULL,
    id                INTEGER NOT NULL,
    api_key_id        INTEGER NOT NULL,
    cost_microusd     INTEGER NOT NULL,
    ttft_us           INTEGER NOT NULL,
    duration_us       INTEGER NOT NULL,
    overhead_us       INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens     INTEGER NOT NULL,
    reasoning_tokens  INTEGER NOT NULL,
    status            INTEGER NOT NULL,
    attempts          INTEGER NOT NULL,
    stream            INTEGER NOT NULL,
    request_id        TEXT NOT NULL,
    api_key_name      TEXT NOT NULL,
    endpoint          TEXT NOT NULL,
    model             TEXT NOT NULL,
    upstream_model    TEXT NOT NULL,
    provider          TEXT NOT NULL,
    outcome           TEXT NOT NULL,
    detail            TEXT NOT NULL,
    source            TEXT NOT NULL
) STRICT;

-- The newest rows, of all and of one key, model, provider, endpoint or outcome.
CREATE INDEX usage_records_at ON usage_records (at);
CREATE INDEX usage_records_api_key ON usage_records (api_key_id, at);
CREATE INDEX usage_records_model ON usage_records (model, at);
CREATE INDEX usage_records_provider ON usage_records (provider, at);
CREATE INDEX usage_records_endpoint ON usage_records (endpoint, at);
CREATE INDEX usage_records_outcome ON usage_records (outcome, at);

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

-- Up to where each process's journal is in the tables above: written in the
-- same transaction, so that nothing is counted twice. updated_at is in seconds
-- of Unix time.
CREATE TABLE usage_journals (
    journal_id INTEGER PRIMARY KEY,
    position   INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
