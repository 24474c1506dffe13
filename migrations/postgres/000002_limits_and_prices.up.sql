-- What a client key may use besides its rate, and what tokens cost.

ALTER TABLE credentials
    ADD COLUMN tpm_limit       bigint CHECK (tpm_limit >= 0),
    ADD COLUMN budget_microusd bigint CHECK (budget_microusd >= 0),
    ADD COLUMN budget_period   text NOT NULL DEFAULT 'month' CHECK (budget_period IN ('day', 'month', 'total')),
    ADD COLUMN max_concurrency bigint CHECK (max_concurrency >= 0),
    ADD COLUMN expires_at      timestamptz;

COMMENT ON COLUMN credentials.tpm_limit IS 'tokens per minute; null is unlimited, 0 refuses every request';
COMMENT ON COLUMN credentials.budget_microusd IS 'millionths of a US dollar per budget_period; null is unlimited';
COMMENT ON COLUMN credentials.max_concurrency IS 'requests at once on one gateway; null is unlimited';
COMMENT ON COLUMN credentials.expires_at IS 'the key is refused from then on; null is never';

CREATE TABLE prices (
    id                    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model                 text NOT NULL CHECK (model <> ''),
    provider              text NOT NULL DEFAULT '',
    input_microusd        bigint NOT NULL CHECK (input_microusd >= 0),
    output_microusd       bigint NOT NULL CHECK (output_microusd >= 0),
    cached_input_microusd bigint CHECK (cached_input_microusd >= 0),
    reasoning_microusd    bigint CHECK (reasoning_microusd >= 0),
    source                text NOT NULL DEFAULT '',
    as_of                 text NOT NULL DEFAULT '',
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, model)
);

COMMENT ON TABLE prices IS 'millionths of a US dollar per million tokens';
COMMENT ON COLUMN prices.model IS 'the provider''s name of the model, or a public one; may end in *';
COMMENT ON COLUMN prices.provider IS 'a provider_key; empty: every provider';
COMMENT ON COLUMN prices.cached_input_microusd IS 'null: as input';
COMMENT ON COLUMN prices.reasoning_microusd IS 'null: as output';

CREATE TRIGGER prices_touch BEFORE UPDATE ON prices
    FOR EACH ROW EXECUTE FUNCTION llm_proxy_touch();

CREATE TRIGGER prices_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON prices
    FOR EACH STATEMENT EXECUTE FUNCTION llm_proxy_raise_version();
