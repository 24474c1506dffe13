package metrics

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDurations(t *testing.T) {
	f := func(b *bounds, took time.Duration, le string) {
		t.Helper()
		var d Durations
		d.init(b)
		d.Observe(took)
		if d.count() != 1 {
			t.Errorf("%v: %d observations", took, d.count())
		}
		for i := range d.counts {
			bucket := "+Inf"
			if i < len(b.le) {
				bucket = b.le[i]
			}
			if d.counts[i].Load() == 1 && bucket != le {
				t.Errorf("%v: in the bucket of %s, want %s", took, bucket, le)
			}
		}
	}
	f(requestBuckets, 0, "0.01")
	f(requestBuckets, 10*time.Millisecond, "0.01") // bounds are inclusive
	f(requestBuckets, 10*time.Millisecond+time.Microsecond, "0.025")
	f(requestBuckets, 600*time.Second, "600")
	f(requestBuckets, 601*time.Second, "+Inf")
	f(requestBuckets, math.MaxInt64, "+Inf")
	f(requestBuckets, -time.Hour, "0.01") // a clock that stepped back
	f(overheadBuckets, 999, "1e-06")
	f(overheadBuckets, 1001, "2.5e-06")
	f(ttftBuckets, 119*time.Second, "120")
}

func TestSpeeds(t *testing.T) {
	f := func(perSecond float64, count uint64, sum float64) {
		t.Helper()
		var s Speeds
		s.init(speedBuckets)
		s.Observe(perSecond)
		if got := float64(s.sum.Load()) * speedBuckets.unit; s.count() != count || got != sum {
			t.Errorf("%v: %d observations, sum %v, want %d and %v", perSecond, s.count(), got, count, sum)
		}
	}
	f(0, 1, 0)
	f(61.5, 1, 61.5)
	f(-1, 0, 0)
	f(math.NaN(), 0, 0)
	f(math.Inf(-1), 0, 0)
	f(math.Inf(1), 1, 1e12) // no time between the first event and the last
}

// The page's buckets are cumulative, and the last is the count.
func TestHistogramOnThePage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := New(Options{})
		d := &r.Model(None, None).TTFT
		var total time.Duration
		took := rapid.SliceOfN(rapid.Int64Range(0, int64(200*time.Second)/1000), 1, 50).Draw(t, "microseconds")
		for _, us := range took {
			d.Observe(time.Duration(us) * time.Microsecond)
			total += time.Duration(us) * time.Microsecond
		}
		m := samples(t, scrape(t, r))
		const labels = `model="none",provider="none"`
		for i, upper := range ttftBuckets.upper {
			want := 0.
			for _, us := range took {
				if us <= upper {
					want++
				}
			}
			if got := m[fmt.Sprintf(`llm_proxy_ttft_seconds_bucket{%s,le="%s"}`, labels, ttftBuckets.le[i])]; got != want {
				t.Fatalf("up to %s: got %v, want %v", ttftBuckets.le[i], got, want)
			}
		}
		if got := m[`llm_proxy_ttft_seconds_bucket{`+labels+`,le="+Inf"}`]; got != float64(len(took)) {
			t.Fatalf("+Inf: got %v, want %d", got, len(took))
		}
		if got := m[`llm_proxy_ttft_seconds_sum{`+labels+`}`]; math.Abs(got-total.Seconds()) > 1e-9*total.Seconds() {
			t.Fatalf("sum: got %v, want %v", got, total.Seconds())
		}
	})
}

func TestBucketsAreFew(t *testing.T) {
	for _, b := range []*bounds{requestBuckets, ttftBuckets, overheadBuckets, speedBuckets} {
		if len(b.upper) > 16 {
			t.Errorf("%d buckets", len(b.upper))
		}
	}
}
