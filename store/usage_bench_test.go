package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"llmproxy/store"
	"llmproxy/usage"
)

// BenchmarkShip stores batches as the shipper does; an operation is a record.
// cpu-ns/op is what the processors did for it, the kernel's part included:
// the time that a disk takes to sync is in ns/op only.
func BenchmarkShip(b *testing.B) {
	f := func(batch, keys int) {
		b.Run(fmt.Sprintf("batch=%d/keys=%d", batch, keys), func(b *testing.B) {
			u := benchUsage(b)
			stored, records := 0, make([]usage.Record, batch)
			var encoded []byte
			cpu := cpuTime()
			for i := 0; b.Loop(); i++ {
				if i%batch > 0 {
					continue
				}
				paused := cpuTime()
				b.StopTimer()
				encoded = encoded[:0]
				for j := range records {
					records[j] = usualRecord(i+j, keys)
					encoded = usage.AppendRecord(encoded, &records[j])
				}
				b.StartTimer()
				cpu += cpuTime() - paused
				to := int64(i + batch)
				done, err := u.Ship(b.Context(), usage.Batch{Journal: 1, From: int64(i), To: to, Records: records, Encoded: encoded})
				if err != nil || done.Position != to {
					b.Fatalf("%+v, %v", done, err)
				}
				stored += batch
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(stored), "cpu-ns/op")
			checkStored(b, u, stored)
		})
	}
	f(100, 50)
	f(500, 50)
	f(2000, 50)
	f(2000, 10_000)
}

// BenchmarkLedger is the whole way of a record, from the request's call until
// it is in usage.db: queue, journal, and back from there.
func BenchmarkLedger(b *testing.B) {
	u := benchUsage(b)
	l := usage.NewLedger(usage.Options{Dir: b.TempDir(), Store: u, Queue: 1 << 20})
	cpu := cpuTime()
	n := 0
	for b.Loop() {
		l.Record(usualRecord(n, 50))
		if n++; n%5000 == 0 {
			time.Sleep(50 * time.Millisecond) // 100,000 requests in a second at most
		}
	}
	l.Close(context.Background())
	b.ReportMetric(float64(cpuTime()-cpu)/float64(n), "cpu-ns/op")
	checkStored(b, u, n)
}

func benchUsage(b *testing.B) *store.Usage {
	b.Helper()
	s, err := store.Open(store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	u := store.OpenUsage(s, store.UsageOptions{Dir: b.TempDir(), Days: 30})
	b.Cleanup(func() { u.Close(); s.Close() })
	if _, err := u.Tidy(b.Context()); err != nil {
		b.Fatal(err)
	}
	return u
}

func checkStored(b *testing.B, u *store.Usage, stored int) {
	b.Helper()
	sums, err := u.Sums(b.Context(), store.UsageQuery{})
	if err != nil || len(sums) != 1 || sums[0].Requests != int64(stored) {
		b.Fatalf("%d stored, sums %+v, %v", stored, sums, err)
	}
}

// cpuTime is what this process has had of the processors.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

var benchBegan, benchIDs = time.Now(), requestIDs()

// requestIDs are some that share nothing.
func requestIDs() []string {
	random, ids := rand.New(rand.NewPCG(1, 2)), make([]string, 4096)
	for i := range ids {
		ids[i] = fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", random.Uint32(), random.Uint32N(1<<16), random.Uint32N(1<<12), random.Uint32N(1<<16), random.Uint64N(1<<48))
	}
	return ids
}

var benchNames = func() (names [10_000]string) {
	for i := range names {
		names[i] = fmt.Sprint("team-", i)
	}
	return names
}()

// usualRecord is a record of one of so many keys, each of which uses 4 models,
// each of which two providers serve.
func usualRecord(n, keys int) usage.Record {
	key := n * 7919 % keys
	r := usage.Record{
		ID: uint64(n), RequestID: benchIDs[n%len(benchIDs)], At: benchBegan.Add(time.Duration(n) * 100 * time.Microsecond),
		APIKeyID: int64(key), APIKeyName: benchNames[key], Endpoint: "/v1/chat/completions",
		Model: [...]string{"gpt-5-mini", "gpt-5", "o4-mini", "claude-sonnet-5"}[n/3%4], UpstreamModel: "gpt-5-mini-2026-08-07",
		Provider: [...]string{"openai-main", "azure-west"}[n/5%2], Status: 200, Stream: n%2 == 0, Attempts: 1,
		Source: usage.Upstream, Prompt: int64(n * 31 % 4000), Completion: int64(n * 17 % 900), Cached: int64(n % 500), CostMicroUSD: int64(n * 13 % 20000),
		TTFT: time.Duration(n*977%900000) * time.Microsecond, Duration: time.Duration(n*7717%9000000) * time.Microsecond, Overhead: 90 * time.Microsecond,
	}
	if n%100 == 0 {
		r.Outcome, r.Code = usage.Failed, "upstream_timeout"
	}
	return r
}
