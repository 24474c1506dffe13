DROP TABLE credentials;
DROP TABLE providers;
DROP TABLE config_version;
DROP TABLE settings;
