DROP TABLE credentials;
DROP TABLE providers;
DROP TABLE config_version;
DROP FUNCTION llm_proxy_touch();
DROP FUNCTION llm_proxy_raise_version();
DROP FUNCTION llm_proxy_announce_version();
