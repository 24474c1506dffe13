-- The way back of nothing. The file usage.db stays as it is.
SELECT 1;
