-- What the fleet was used for: a row for each admitted request, and sums by the
-- hour and the day. Only gateways write here.

-- Partitions are days (UTC), made a day ahead and dropped whole by the gateways:
-- usage_records_p20260131. No primary key: (at, id) is unique but for a chance
-- that nobody needs to pay an index for.
CREATE TABLE usage_records (
    at                timestamptz NOT NULL,
    id                bigint NOT NULL,
    api_key_id        bigint NOT NULL,
    cost_microusd     bigint NOT NULL,
    ttft_us           bigint NOT NULL,
    duration_us       bigint NOT NULL,
    overhead_us       integer NOT NULL,
    prompt_tokens     integer NOT NULL,
    completion_tokens integer NOT NULL,
    cached_tokens     integer NOT NULL,
    reasoning_tokens  integer NOT NULL,
    status            smallint NOT NULL,
    attempts          smallint NOT NULL,
    stream            boolean NOT NULL,
    request_id        text NOT NULL,
    api_key_name      text NOT NULL,
    endpoint          text NOT NULL,
    model             text NOT NULL,
    upstream_model    text NOT NULL,
    provider          text NOT NULL,
    outcome           text NOT NULL,
    detail            text NOT NULL,
    source            text NOT NULL
) PARTITION BY RANGE (at);

COMMENT ON COLUMN usage_records.outcome IS 'ok, rejected, error, truncated or client_gone';
COMMENT ON COLUMN usage_records.detail IS 'of error its code, of client_gone what the request waited for';
COMMENT ON COLUMN usage_records.source IS 'where the token counts come from: upstream, counted, estimated, partial or none';

-- The newest rows, of all and of one key, model, provider, endpoint or outcome.
CREATE INDEX usage_records_at ON usage_records (at);
CREATE INDEX usage_records_api_key ON usage_records (api_key_id, at);
CREATE INDEX usage_records_model ON usage_records (model, at);
CREATE INDEX usage_records_provider ON usage_records (provider, at);
CREATE INDEX usage_records_endpoint ON usage_records (endpoint, at);
CREATE INDEX usage_records_outcome ON usage_records (outcome, at);

CREATE TABLE usage_hourly (
    hour              timestamptz NOT NULL,
    api_key_id        bigint NOT NULL,
    api_key_name      text NOT NULL,
    endpoint          text NOT NULL,
    model             text NOT NULL,
    provider          text NOT NULL,
    outcome           text NOT NULL,
    requests          bigint NOT NULL,
    errors            bigint NOT NULL,
    prompt_tokens     bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cached_tokens     bigint NOT NULL,
    reasoning_tokens  bigint NOT NULL,
    cost_microusd     bigint NOT NULL,
    duration_us       bigint NOT NULL,
    ttft_us           bigint NOT NULL,
    ttft_requests     bigint NOT NULL,
    PRIMARY KEY (hour, api_key_id, model, provider, endpoint, outcome, api_key_name)
);

-- The same by the day (UTC): a report over months reads a row where it would read 24.
CREATE TABLE usage_daily (
    day               timestamptz NOT NULL,
    api_key_id        bigint NOT NULL,
    api_key_name      text NOT NULL,
    endpoint          text NOT NULL,
    model             text NOT NULL,
    provider          text NOT NULL,
    outcome           text NOT NULL,
    requests          bigint NOT NULL,
    errors            bigint NOT NULL,
    prompt_tokens     bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    cached_tokens     bigint NOT NULL,
    reasoning_tokens  bigint NOT NULL,
    cost_microusd     bigint NOT NULL,
    duration_us       bigint NOT NULL,
    ttft_us           bigint NOT NULL,
    ttft_requests     bigint NOT NULL,
    PRIMARY KEY (day, api_key_id, model, provider, endpoint, outcome, api_key_name)
);

COMMENT ON COLUMN usage_hourly.errors IS 'requests that ended in error or truncated, or with a status of 400 or more that the client saw';

-- Up to where each gateway's journal is in the tables above: written in the
-- same transaction, so that nothing is counted twice.
CREATE TABLE usage_journals (
    journal_id bigint PRIMARY KEY,
    position   bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
