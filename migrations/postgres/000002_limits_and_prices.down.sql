DROP TABLE prices;

ALTER TABLE credentials
    DROP COLUMN tpm_limit,
    DROP COLUMN budget_microusd,
    DROP COLUMN budget_period,
    DROP COLUMN max_concurrency,
    DROP COLUMN expires_at;
