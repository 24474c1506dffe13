DROP TABLE usage_records;
DROP TABLE usage_hourly;
DROP TABLE usage_daily;
DROP TABLE usage_journals;
