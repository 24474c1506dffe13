package admin_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"llmproxy/admin"
	"llmproxy/store"
	"llmproxy/usage"
)

// Without a ledger, or without its database, the answer says so.
func TestUsageWithoutALedger(t *testing.T) {
	g := start(t)
	golden(t, "usage_off", g.want(503, "GET", "/admin/v1/usage?group_by=nonsense", ""))
	golden(t, "usage_off", g.want(503, "GET", "/admin/v1/requests", ""))

	away := &slowUsage{err: fmt.Errorf("%w: connection refused", store.ErrUnavailable)}
	g = start(t, func(d *admin.Deps) { d.Usage = away })
	golden(t, "usage_away", g.want(503, "GET", "/admin/v1/usage", ""))
	golden(t, "usage_away", g.want(503, "GET", "/admin/v1/requests?format=csv", ""))
	if !strings.Contains(g.log.String(), "connection refused") {
		t.Errorf("the log does not say why:\n%s", g.log)
	}
	away.err = errors.New("a row cannot be read")
	g.want(500, "GET", "/admin/v1/usage", "")
}

// slowUsage is a ledger that answers when it is told to, if it has a gate, and
// notes how many ask at once.
type slowUsage struct {
	gate chan struct{}
	err  error
	rows []store.UsageRow

	mu           sync.Mutex // guards what follows
	asking, most int
}

func (s *slowUsage) wait(ctx context.Context) error {
	s.count(1)
	defer s.count(-1)
	if s.gate == nil {
		return s.err
	}
	select {
	case <-s.gate:
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slowUsage) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking += n
	s.most = max(s.most, s.asking)
}

func (s *slowUsage) Sums(ctx context.Context, q store.UsageQuery) ([]store.UsageRow, error) {
	if len(q.GroupBy) == 0 && len(s.rows) > 0 {
		return []store.UsageRow{{UsageTotals: store.UsageTotals{Requests: 77}}}, s.wait(ctx)
	}
	return s.rows[:min(len(s.rows), q.Limit)], s.wait(ctx)
}

func (s *slowUsage) Latest(ctx context.Context, _ store.UsageFilter, _ store.UsageCursor, _ int) ([]usage.Record, error) {
	return nil, s.wait(ctx)
}

// However many reports are asked for, the database works on two of them.
func TestReportsWaitForTheirTurn(t *testing.T) {
	slow := &slowUsage{gate: make(chan struct{})}
	g := start(t, func(d *admin.Deps) { d.Usage = slow })
	const all = 8
	statuses := make(chan int, all)
	for i := range all {
		go func() {
			statuses <- g.do("GET", []string{"/admin/v1/usage", "/admin/v1/requests"}[i%2], "").status
		}()
	}
	for range all {
		slow.gate <- struct{}{} // one more is let go
		if s := <-statuses; s != 200 {
			t.Errorf("a report is answered %d", s)
		}
	}
	if slow.most > 2 {
		t.Errorf("%d asked at once", slow.most)
	}
}

// A report of more rows than an answer has says so, and its totals are of all.
func TestReportsAreBounded(t *testing.T) {
	slow := &slowUsage{rows: make([]store.UsageRow, store.MaxUsageRows)}
	for i := range slow.rows {
		slow.rows[i].Requests = 1
	}
	g := start(t, func(d *admin.Deps) { d.Usage = slow })
	f := func(truncated bool, rows, requests int) {
		t.Helper()
		var got struct {
			Totals    struct{ Requests int }
			Rows      []struct{ Model string }
			Truncated bool
		}
		g.want(200, "GET", "/admin/v1/usage?group_by=model", "").decode(t, &got)
		if len(got.Rows) != rows || got.Truncated != truncated || got.Totals.Requests != requests {
			t.Errorf("%d rows, truncated: %t, totals %+v", len(got.Rows), got.Truncated, got.Totals)
		}
		table := g.want(200, "GET", "/admin/v1/usage?group_by=model&format=csv", "")
		if lines := strings.Count(table.body, "\n"); lines != rows+1 || (table.header.Get("X-Truncated") == "true") != truncated {
			t.Errorf("%d lines, %v", lines, table.header)
		}
	}
	f(true, store.MaxUsageRows-1, 77)
	slow.rows = slow.rows[1:]
	f(false, store.MaxUsageRows-1, store.MaxUsageRows-1)
}

// The form of an answer is what format says, or else what is accepted first.
func TestFormsOfAReport(t *testing.T) {
	g := start(t, func(d *admin.Deps) { d.Usage = &slowUsage{} })
	f := func(query, accept, want string) {
		t.Helper()
		got := g.want(200, "GET", "/admin/v1/usage"+query, "", "Accept: "+accept)
		if kind, _, _ := strings.Cut(got.header.Get("Content-Type"), ";"); kind != want {
			t.Errorf("%s with Accept %q: %s", query, accept, kind)
		}
		if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s with Accept %q: %v", query, accept, got.header)
		}
	}
	f("", "", "application/json")
	f("", "*/*", "application/json")
	f("", "text/csv", "text/csv")
	f("", "text/csv, application/json;q=0.5", "text/csv")
	f("", "application/json, text/csv", "application/json")
	f("?format=json", "text/csv", "application/json")
	f("?format=csv", "application/json", "text/csv")
	if !reflect.DeepEqual(g.want(200, "GET", "/admin/v1/usage?format=csv", "").header["Content-Disposition"], []string{`attachment; filename="usage.csv"`}) {
		t.Error("a browser does not save it")
	}
}
