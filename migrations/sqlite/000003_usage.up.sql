-- The usage of an embedded gateway is in a file of its own, usage.db, whose
-- tables are those of migrations/usage: nothing changes here.
SELECT 1;
