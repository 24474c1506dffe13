package store

// LatestQuery is the statement behind Latest of PostgreSQL, for EXPLAIN.
var LatestQuery = latestQuery

// SumsQuery is the statement behind Sums, for EXPLAIN.
func (u *Usage) SumsQuery(q UsageQuery) (string, []any) {
	groups, err := q.groups()
	if err != nil {
		panic(err)
	}
	return u.sumsQuery(q, groups)
}

// CutBlocks makes the blocks of usage.db so small.
func (u *Usage) CutBlocks(most int) { u.db.(*usageSQLite).blockRecords = most }

// Unpacked is how many blocks were unpacked.
func (u *Usage) Unpacked() int64 { return u.db.(*usageSQLite).unpacked.Load() }
