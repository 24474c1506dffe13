package admin_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"llmproxy/admin"
	"llmproxy/config"
	"llmproxy/internal/pgtest"
	"llmproxy/store"
	"llmproxy/usage"
)

// ledger is a gateway with a ledger, whose clock stands at noon of today (UTC):
// what is older than the ledger keeps would not be taken.
type ledger struct {
	*gateway
	usage *store.Usage
	from  store.Store // of the configuration
}

func noon() time.Time { return time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour) }

func startLedger(t *testing.T, s store.Store, dir string) *ledger {
	t.Helper()
	t.Cleanup(s.Close)
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	l := &ledger{usage: store.OpenUsage(s, store.UsageOptions{Dir: dir}), from: s}
	t.Cleanup(l.usage.Close)
	l.gateway = start(t, func(d *admin.Deps) { d.Store, d.Usage = s, l.usage })
	l.now = noon()
	return l
}

// onBoth runs a test with a ledger in each of the databases.
func onBoth(t *testing.T, f func(t *testing.T, l *ledger)) {
	open := func(t *testing.T, o store.Options) *ledger {
		s, err := store.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		return startLedger(t, s, o.Dir)
	}
	t.Run("postgresql", func(t *testing.T) { f(t, open(t, store.Options{URL: pgtest.New(t)})) })
	t.Run("sqlite", func(t *testing.T) { f(t, open(t, store.Options{Dir: t.TempDir()})) })
}

func (l *ledger) ship(records ...usage.Record) {
	l.t.Helper()
	if _, err := l.usage.Ship(l.t.Context(), usage.Batch{Journal: 1, To: 1, Records: records}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *ledger) add(name string) int64 {
	l.t.Helper()
	c := config.Credential{Hash: config.HashKey(name + config.NewKey()), Name: name, Enabled: true}
	if _, err := l.from.AddCredential(l.t.Context(), &c); err != nil {
		l.t.Fatal(err)
	}
	return c.ID
}

// twoKeys ships what two keys used, today and yesterday.
func (l *ledger) twoKeys() {
	alice, bob := l.add("alice"), l.add("bob")
	record := func(id uint64, before time.Duration, change func(*usage.Record)) usage.Record {
		r := usage.Record{
			ID: id, RequestID: fmt.Sprint("req-", id), At: l.now.Add(-before), APIKeyID: alice, APIKeyName: "alice",
			Endpoint: "/v1/chat/completions", Model: "gpt-4o", UpstreamModel: "gpt-4o-2024-11-20", Provider: "east",
			Status: 200, Attempts: 1, Prompt: 100, Completion: 20, Cached: 40, Source: usage.Upstream,
			CostMicroUSD: 1500, Duration: 1234567 * time.Microsecond, Overhead: 61 * time.Microsecond,
		}
		change(&r)
		return r
	}
	l.ship(
		record(1, 5*time.Minute, func(r *usage.Record) { r.Stream, r.TTFT = true, 250500*time.Microsecond }),
		record(2, 10*time.Minute, func(*usage.Record) {}),
		record(3, 2*time.Hour, func(r *usage.Record) {
			r.APIKeyID, r.APIKeyName, r.Model, r.UpstreamModel = bob, "bob", "@SUM(1+1)*cmd|' /C calc'!A0", "x"
			r.Outcome, r.Status, r.Provider, r.Code, r.CostMicroUSD, r.Source = usage.Failed, 504, "", "upstream_timeout", 0, usage.None
		}),
		record(4, 13*time.Hour, func(r *usage.Record) {
			r.APIKeyID, r.APIKeyName, r.Reasoning = bob, "bob", 5
			r.Outcome, r.Status, r.Phase, r.Source = usage.Cancelled, 499, "event", usage.Partial
		}),
		record(5, 40*time.Hour, func(r *usage.Record) { r.APIKeyID, r.APIKeyName, r.RequestID = 0, "anonymous", `+a "quoted", id` }),
	)
}

// golden compares an answer with a file, its days and cursor named.
func (l *ledger) golden(name string, a answer) {
	l.t.Helper()
	for i, word := range []string{"TODAY", "YESTERDAY", "BEFORE"} {
		a.body = strings.ReplaceAll(a.body, l.now.AddDate(0, 0, -i).Format(time.DateOnly), word)
	}
	a.body = aCursor.ReplaceAllString(a.body, `"next_cursor":"CURSOR"`)
	golden(l.t, name, a)
}

var aCursor = regexp.MustCompile(`"next_cursor":"[^"]*"`)

func (l *ledger) csv(query string) [][]string {
	l.t.Helper()
	got := l.want(200, "GET", query, "")
	if kind := got.header.Get("Content-Type"); kind != "text/csv; charset=utf-8" {
		l.t.Errorf("%s is %s", query, kind)
	}
	lines, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
	if err != nil {
		l.t.Fatalf("%s: %v in\n%s", query, err, got.body)
	}
	return lines
}

// What was used is told as JSON and as CSV, the same in both databases.
func TestUsageIsReported(t *testing.T) {
	onBoth(t, func(t *testing.T, l *ledger) {
		l.twoKeys()
		f := func(name, query string, headers ...string) {
			t.Helper()
			l.golden(name, l.want(200, "GET", "/admin/v1/"+query, "", headers...))
		}
		since := l.now.AddDate(0, 0, -1).Format(time.DateOnly)
		f("usage_total", "usage")
		f("usage_by_day_key", "usage?group_by=key,day&from="+since+"&to="+l.now.AddDate(0, 0, 1).Format(time.DateOnly))
		f("usage_by_hour_outcome", "usage?group_by=outcome,hour,provider&key_name=bob")
		f("usage_empty", "usage?group_by=model&key=99")
		f("usage_csv", "usage?group_by=model,endpoint", "Accept: text/csv")
		f("usage_total_csv", "usage?format=csv&key=99")
		f("requests", "requests?limit=3&from="+since)
		f("requests_csv", "requests?format=csv&from="+l.now.AddDate(0, 0, -2).Format(time.RFC3339))
		if rows := l.csv("/admin/v1/usage?format=csv&group_by=day&from=" + since); len(rows) != 3 {
			t.Errorf("%v is not a header and two days", rows)
		}
		// A '+' that nobody escaped is meant.
		l.want(200, "GET", "/admin/v1/usage?from=2026-01-01T00:00:00+02:00", "")
	})
}

// CSV and JSON say the same.
func TestUsageIsTheSameInBothForms(t *testing.T) {
	onBoth(t, func(t *testing.T, l *ledger) {
		l.twoKeys()
		f := func(path, list string) {
			t.Helper()
			table := l.csv(path + "&format=csv")
			var whole map[string]json.RawMessage
			l.want(200, "GET", path+"&format=json", "").decode(t, &whole)
			var rows []map[string]any
			if err := json.Unmarshal(whole[list], &rows); err != nil || len(rows) != len(table)-1 || len(rows) == 0 {
				t.Fatalf("%s: %d rows and %d lines, %v", path, len(rows), len(table), err)
			}
			for i, row := range rows {
				if len(row) != len(table[0]) {
					t.Errorf("%s: %v is not %v", path, row, table[0])
				}
				for j, name := range table[0] {
					want := ""
					switch v := row[name].(type) {
					case string:
						want = v
					case float64:
						want = strconv.FormatFloat(v, 'f', -1, 64)
					case bool:
						want = strconv.FormatBool(v)
					}
					if got := strings.TrimPrefix(table[1+i][j], "'"); got != want {
						t.Errorf("%s: %s of row %d is %q, and %q in JSON", path, name, i, got, want)
					}
				}
			}
		}
		f("/admin/v1/usage?group_by=day,key,model,provider,endpoint,outcome&from="+l.now.AddDate(0, 0, -3).Format(time.DateOnly), "rows")
		f("/admin/v1/usage?group_by=hour", "rows")
		f("/admin/v1/requests?from="+l.now.AddDate(0, 0, -3).Format(time.DateOnly), "requests")
	})
}

// Pages hold each record once, whatever their size; the last one says so.
func TestRequestsArePaged(t *testing.T) {
	onBoth(t, func(t *testing.T, l *ledger) {
		var records []usage.Record
		for i := range 57 { // some at the same time
			records = append(records, usage.Record{
				ID: uint64(i), RequestID: fmt.Sprint(i), At: l.now.Add(-time.Duration(i/3) * time.Millisecond), APIKeyID: int64(i % 2), Endpoint: "/v1/embeddings",
				Model: "m", Provider: "p", Status: 200, Attempts: 1,
			})
		}
		l.ship(records...)
		for _, limit := range []int{1, 7, 19, 56, 57, 1000} {
			want, got := map[string]bool{}, map[string]bool{}
			for _, r := range records {
				want[r.RequestID] = r.APIKeyID == 1
			}
			cursor := ""
			for pages := 0; ; pages++ {
				path := fmt.Sprintf("/admin/v1/requests?key=1&to=%s&limit=%d", url.QueryEscape(l.now.Add(time.Second).Format(time.RFC3339)), limit) + cursor
				var page struct {
					Requests []struct {
						ID string `json:"request_id"`
					}
					Next *string `json:"next_cursor"`
				}
				table := l.want(200, "GET", path+"&format=csv", "")
				l.want(200, "GET", path, "").decode(t, &page)
				for _, r := range page.Requests {
					if got[r.ID] {
						t.Errorf("limit %d: %s comes twice", limit, r.ID)
					}
					got[r.ID] = true
				}
				if len(page.Requests) > limit || pages > len(records) {
					t.Fatalf("limit %d: page %d has %d", limit, pages, len(page.Requests))
				}
				if page.Next == nil {
					if table.header.Get("X-Next-Cursor") != "" {
						t.Error("there is a next page of CSV, but not of JSON")
					}
					break
				}
				if table.header.Get("X-Next-Cursor") != *page.Next {
					t.Error("the next page of CSV is another")
				}
				cursor = "&cursor=" + *page.Next
			}
			for id, there := range want {
				if got[id] != there {
					t.Errorf("limit %d: %s is there: %t", limit, id, got[id])
				}
			}
		}
	})
}

// A question with faults is answered with all of them.
func TestUsageQuestionsThatAreRefused(t *testing.T) {
	s, dir := sqliteStore(t)
	l := startLedger(t, s, dir)
	f := func(query, want string) {
		t.Helper()
		if got := l.want(422, "GET", "/admin/v1/"+query, "").faults(t); got != want {
			t.Errorf("%s: faults %q, want %q", query, got, want)
		}
	}
	f("usage?from=yesterday", "from")
	f("usage?from=2026-13-01", "from")
	f("usage?from=1969-12-31", "from")
	f("usage?to=99999-01-01", "to")
	f("usage?from=2026-02-01&to=2026-01-31", "from")
	f("usage?from=2026-01-31&to=2026-01-31", "from")
	f("usage?from=9000-01-01", "from")
	f("usage?group_by=model,modell", "group_by")
	f("usage?group_by=", "group_by")
	f("usage?group_by=model,model", "group_by")
	f("usage?group_by=day,model,hour", "group_by")
	f("usage?key=alice", "key")
	f("usage?key=-1", "key")
	f("usage?key=9223372036854775808", "key")
	f("usage?key=1&key_name=alice", "key_name")
	f("usage?key_name=nobody", "key_name")
	f("usage?model=", "model")
	f("usage?model=a&model=b", "model")
	f("usage?model=%00", "model")
	f("usage?provider=%ff", "provider")
	f("usage?outcome=OK", "outcome")
	f("usage?format=xml", "format")
	f("usage?limit=3", "limit")
	f("usage?cursor=x", "cursor")
	f("requests?group_by=model", "group_by")
	f("requests?limit=0", "limit")
	f("requests?limit=1001", "limit")
	f("requests?limit=1.5", "limit")
	f("requests?cursor=x", "cursor")
	f("requests?cursor=_____________________w", "cursor")
	golden(t, "usage_invalid", l.want(422, "GET", "/admin/v1/usage?from=soon&to=2026-13-01&group_by=day,hour&key=x&outcome=done&modle=a&format=xml", ""))

	l.add("twin")
	l.add("twin")
	f("requests?key_name=twin", "key_name")
}

func sqliteStore(t *testing.T) (store.Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// S03: whatever stands in a parameter, the database takes it for a value: the
// answer is a refusal or empty, never an error, and nothing is changed.
func TestUsageParametersAreOnlyValues(t *testing.T) {
	onBoth(t, func(t *testing.T, l *ledger) {
		l.twoKeys()
		before := l.want(200, "GET", "/admin/v1/usage?group_by=model,key", "").body
		for _, trick := range tricks {
			for _, name := range []string{"from", "to", "group_by", "key", "key_name", "model", "provider", "endpoint", "outcome", "limit", "cursor", "format", trick} {
				for _, path := range []string{"/admin/v1/usage", "/admin/v1/requests"} {
					got := l.do("GET", path+"?"+url.QueryEscape(name)+"="+url.QueryEscape(trick), "")
					free := slices.Contains([]string{"model", "provider", "endpoint"}, name)
					nothing := strings.Contains(got.body, `"requests":0`) || strings.Contains(got.body, `"requests":[]`)
					switch {
					case got.status == 422 && got.header.Get("X-Evil") == "":
					case got.status == 200 && free && nothing:
					default:
						t.Errorf("%s with %q in %s: %d %.300s", path, trick, name, got.status, got.body)
					}
				}
			}
		}
		for _, text := range []string{"model; DROP TABLE usage_hourly", "day)) --", "1", "*", "api_key_id", "count(*)"} {
			l.want(422, "GET", "/admin/v1/usage?group_by="+url.QueryEscape(text), "")
		}
		if after := l.want(200, "GET", "/admin/v1/usage?group_by=model,key", "").body; after != before {
			t.Errorf("before %s\nafter %s", before, after)
		}
	})
}

// What names of models and keys are in a table, no spreadsheet takes for a
// formula: https://owasp.org/www-community/attacks/CSV_Injection
func TestCellsAreNoFormulas(t *testing.T) {
	s, dir := sqliteStore(t)
	l := startLedger(t, s, dir)
	texts := []string{"=1+1", "+1", "-1", "@SUM(1)", "\tx", "\r=1", "\n=1", " =1", "＝1", "=cmd|' /C calc'!A0", `=HYPERLINK("http://x","y")`, `a,"=1`, "a\n=1", "'=1", "gpt-4", "a=b", "1-2"}
	var records []usage.Record
	for i, text := range texts {
		records = append(records, usage.Record{ID: uint64(i), At: l.now.Add(-time.Minute), APIKeyName: text, APIKeyID: int64(i), Model: text, RequestID: text, UpstreamModel: text, Provider: text, Endpoint: text})
	}
	l.ship(records...)
	found := map[string]bool{}
	for _, path := range []string{"usage?group_by=key,model,provider,endpoint&format=csv", "requests?format=csv"} {
		for _, row := range l.csv("/admin/v1/" + path)[1:] {
			for _, c := range row {
				found[c] = true
				if bare := strings.TrimLeft(c, " "); bare != "" && strings.Contains("=+-@\t\r\n＝", string([]rune(bare)[0])) {
					t.Errorf("%s: %q is a formula", path, c)
				}
			}
		}
	}
	for _, text := range []string{"gpt-4", "a=b", "1-2", "'=1+1", "'-1"} {
		if !found[text] {
			t.Errorf("%q is not there", text)
		}
	}
}
