package admin

import (
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// FuzzUsageQuestion: a query is either refused with a reason for each fault, or
// asks for what the store can answer.
func FuzzUsageQuestion(f *testing.F) {
	for _, seed := range []string{
		``, `from=2026-01-31&to=2026-02-01T00:00:00%2b02:00&group_by=day,key&key=0`, `key_name=a&outcome=ok&format=csv`, `from=&from=`, `&&=&=x`,
		`group_by=day,hour`, `cursor=AAZJm1h_3mkAAAAAAAAEKQ&limit=1000`, `limit=-1&cursor=*`, `from=9999-12-31`, `model=%00`, "to=2026-01-31T12:00:00.999999999Z",
	} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, query string) {
		var ctx fasthttp.RequestCtx
		ctx.Request.URI().SetQueryString(query)
		q := ask(&ctx, "from", "to", "group_by", "key", "key_name", "model", "provider", "endpoint", "outcome", "limit", "cursor", "format")
		filter, groups, limit, after := q.filter(now), q.groups(), q.limit(), q.cursor()
		q.wantsCSV()
		for _, p := range q.problems {
			if p.Field == "" || p.Message == "" {
				t.Fatalf("%q: %v", query, q.problems)
			}
		}
		if len(q.problems) > 0 {
			return
		}
		_, asked := q.given["group_by"]
		switch {
		case !filter.From.Before(filter.To), filter.From.Year() < 1969, filter.To.Year() > 9000,
			groups == nil, asked && wrongGroups(groups) != "", limit < 1, limit > maxPage, after.At.Year() > 9000,
			!isText(filter.Model + filter.Provider + filter.Endpoint + filter.Outcome):
			t.Fatalf("%q asks for %+v by %q, %d after %+v", query, filter, groups, limit, after)
		}
	})
}
