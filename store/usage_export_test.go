package store

// LatestQuery is the statement behind Latest, for EXPLAIN.
func (u *Usage) LatestQuery(f UsageFilter, after UsageCursor, n int) (string, []any) {
	return u.latestQuery(f, after, n)
}

// SumsQuery is the statement behind Sums, for EXPLAIN.
func (u *Usage) SumsQuery(q UsageQuery) (string, []any) {
	groups, err := q.groups()
	if err != nil {
		panic(err)
	}
	return u.sumsQuery(q, groups)
}
