package ratelimit

import "testing"

// A reload builds a new table; the client must not get a fresh burst from that.
func TestBucketsKeepTheirStateAcrossReloads(t *testing.T) {
	m := NewBuckets()
	b := m.Get(7, 10)
	for range 10 {
		b.Take(start)
	}
	if again := m.Get(7, 10); again != b {
		t.Error("the same rate gave another bucket")
	}
	if other := m.Get(8, 10); !other.Take(start).OK {
		t.Error("another key shares the bucket")
	}
}

// A changed rate goes on with the part of the burst that is used.
func TestChangedRateKeepsWhatIsUsed(t *testing.T) {
	f := func(before, taken, after, remaining int64) {
		t.Helper()
		m := NewBuckets()
		b := m.Get(1, before)
		for range taken {
			b.Take(start)
		}
		if left := burst(m.Get(1, after), start+1000); left != remaining {
			t.Errorf("%d of %d used, then %d per second: %d more admitted, want %d", taken, before, after, left, remaining)
		}
	}
	f(100, 0, 10, 10)
	f(100, 100, 10, 0)
	f(100, 50, 10, 5)
	f(100, 51, 10, 4)
	f(10, 10, 100, 0)
	f(10, 5, 100, 50)
	f(100, 99, 1, 0)
	f(100, 50, 0, 0)
	f(0, 50, 100, 100)
	f(100, 50, 100_000, 50_000)
	f(100_000, 50_000, 100, 50)
}

// What a reload leaves used is free again when its second is over, no later.
func TestChangedRateEndsWithItsSecond(t *testing.T) {
	f := func(before, after int64) {
		t.Helper()
		m := NewBuckets()
		burst(m.Get(1, before), start)
		b := m.Get(1, after)
		if v := b.Take(start + second*99/100); v.OK {
			t.Errorf("%d to %d per second: admitted within the second", before, after)
		}
		if v := b.Take(start + second); !v.OK {
			t.Errorf("%d to %d per second: refused after the second: %+v", before, after, v)
		}
	}
	f(100, 10)
	f(10, 100)
	f(1, 100_000)
	f(100_000, 1)
}

// Requests in flight keep the bucket of the table they began with.
func TestOldBucketStaysGood(t *testing.T) {
	m := NewBuckets()
	old := m.Get(1, 5)
	m.Get(1, 1000)
	if got := burst(old, start); got != 5 {
		t.Errorf("%d admitted, want 5", got)
	}
}

func TestKeepForgets(t *testing.T) {
	m := NewBuckets()
	for id := range int64(1000) {
		burst(m.Get(id, 1), start)
	}
	m.Keep(func(id int64) bool { return id%2 == 0 })
	if n := m.Len(); n != 500 {
		t.Errorf("%d buckets left, want 500", n)
	}
	if m.Get(2, 1).Take(start).OK {
		t.Error("a kept key lost what it had used")
	}
	if !m.Get(3, 1).Take(start).OK {
		t.Error("a forgotten key still has what it had used")
	}
}

func TestLimits(t *testing.T) {
	f := func(perSecond, want int64) {
		t.Helper()
		if got := NewBuckets().Get(1, perSecond).Limit(); got != want {
			t.Errorf("%d per second: limit is %d, want %d", perSecond, got, want)
		}
	}
	f(-1, 0)
	f(0, 0)
	f(1, 1)
	f(MaxRate, MaxRate)
	f(300_000_000, MaxRate)
	f(1<<62, MaxRate)
}

// burst takes at one instant until it is refused.
func burst(b *Bucket, now int64) (admitted int64) {
	for b.Take(now).OK {
		admitted++
	}
	return admitted
}
