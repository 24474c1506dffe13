DROP TABLE usage_blocks;
DROP TABLE usage_packed;
DROP TABLE usage_owed;
DROP TABLE usage_hourly;
DROP TABLE usage_daily;
DROP TABLE usage_journals;
