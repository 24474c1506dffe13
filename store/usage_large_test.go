package store_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"llmproxy/internal/pgtest"
	"llmproxy/store"
	"llmproxy/usage"
)

// usageRecords is for the long form: `go test ./store -run LargeUsage -usage-records 10000000 -timeout 2h`.
var usageRecords = flag.Int("usage-records", 1_000, "records that TestLargeUsageAnswersSoon asks about")

// What people ask of a month of records is answered within two seconds, however
// many there are: reports from the sums by the hour, the newest records by an
// index, or by what is known of each block. How soon is asked of the long form alone: a few records prove nothing,
// and the race detector makes them slow.
func TestLargeUsageAnswersSoon(t *testing.T) {
	limit := 2 * time.Second
	if *usageRecords < 100_000 {
		limit = time.Minute
	}
	f := func(name string, h *home) {
		t.Run(name, func(t *testing.T) {
			u := h.usage(t, 30)
			began := time.Now()
			loadMonth(t, u, *usageRecords)
			t.Logf("%d records loaded in %v", *usageRecords, time.Since(began))
			if info, err := os.Stat(filepath.Join(h.options.Dir, usageFile)); err == nil && h.options.URL == "" {
				t.Logf("%d bytes of %s a record", info.Size()/int64(*usageRecords), usageFile)
			}
			if _, err := h.hand.Exec("ANALYZE"); err != nil { // of ten million it takes its time
				t.Fatal(err)
			}
			for _, groups := range [][]string{{}, {"day"}, {"hour"}, {"key"}, {"model", "provider"}, {"day", "key", "model"}} {
				began := time.Now()
				rows, err := u.Sums(ctx(t), store.UsageQuery{GroupBy: groups, UsageFilter: store.UsageFilter{From: today().AddDate(0, 0, -30)}})
				took := time.Since(began)
				var n int64
				for _, r := range rows {
					n += r.Requests
				}
				if err != nil || took > limit || len(rows) < store.MaxUsageRows && n != int64(*usageRecords) {
					t.Errorf("sums by %v: %v after %v, %d requests", groups, err, took, n)
				}
				t.Logf("sums by %v: %d rows in %v", groups, len(rows), took)
			}
			key, rare := int64(7), int64(50)
			for what, f := range map[string]store.UsageFilter{
				"all": {}, "key": {KeyID: &key}, "model": {Model: "model-3"}, "provider": {Provider: "provider-1"},
				"endpoint": {Endpoint: "/v1/embeddings"}, "outcome": {Outcome: "truncated"}, "key and outcome": {KeyID: &key, Outcome: "truncated"},
				"one of 10,000 records": {KeyID: &rare}, "an outcome of one in 100,000": {Outcome: "client_gone"},
				"nothing together": {Endpoint: "/v1/embeddings", Outcome: "truncated"}, "no such model": {Model: "gpt"},
			} {
				began := time.Now()
				records, err := u.Latest(ctx(t), f, store.UsageCursor{At: today().AddDate(0, 0, -10)}, 100)
				took := time.Since(began)
				if err != nil || took > limit || (len(records) == 0) != strings.HasPrefix(what, "no") {
					t.Errorf("latest by %s: %d records, %v after %v", what, len(records), err, took)
				}
				t.Logf("latest by %s: %d records in %v", what, len(records), took)
			}
		})
	}
	f("sqlite", sqliteHome(t))
	f("postgresql", postgresHome(t, pgtest.New(t)))
}

// loadMonth spreads records over 29 days and 50 keys, each of which uses 4 of 20
// models, each of which two providers serve.
func loadMonth(t *testing.T, u *store.Usage, n int) {
	t.Helper()
	const batch = 2048
	records := make([]usage.Record, 0, batch)
	step := 29 * 24 * time.Hour / time.Duration(n)
	for i := 0; i < n; {
		records = records[:0]
		from := int64(i)
		for ; len(records) < batch && i < n; i++ {
			key, model := i%50, (i%50+i/50%4)%20
			r := usage.Record{
				ID: uint64(i), RequestID: fmt.Sprintf("0b6f4b0e-7a36-4b8f-9d4d-%012d", i), At: today().Add(time.Duration(i-n) * step),
				APIKeyID: int64(key), APIKeyName: fmt.Sprint("key-", key), Model: fmt.Sprint("model-", model),
				Provider: fmt.Sprint("provider-", (model+i/7%2)%4), UpstreamModel: "upstream", Endpoint: "/v1/chat/completions",
				Status: 200, Attempts: 1, Prompt: 1000, Completion: 100, Source: usage.Upstream, Duration: time.Second,
			}
			if i%40 == 3 {
				r.Endpoint = "/v1/embeddings"
			}
			switch {
			case i%80 == 7:
				r.Outcome = usage.Truncated
			case i%10_000 == 11:
				r.APIKeyID, r.APIKeyName = 50, "key-50"
			case i%100_000 == 21:
				r.Outcome = usage.Cancelled
			}
			records = append(records, r)
		}
		ship(t, u, usage.Batch{Journal: 9, From: from, To: int64(i), Records: records})
	}
}
