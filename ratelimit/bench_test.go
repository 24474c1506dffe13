package ratelimit

import (
	"testing"
	"time"
)

// BenchmarkTake hammers a bucket of 100 a second with a request a microsecond:
// most are refused.
func BenchmarkTake(b *testing.B) {
	bucket := newBucket(100)
	var tried, admitted int64
	b.ReportAllocs()
	for now := int64(start); b.Loop(); now += int64(time.Microsecond) {
		tried++
		if bucket.Take(now).OK {
			admitted++
		}
	}
	seconds := tried/1_000_000 + 1
	if admitted == 0 || admitted > 100*seconds {
		b.Fatalf("admitted %d in %d s", admitted, seconds)
	}
}

// BenchmarkTakeAdmitted is the usual case: a key that stays below its limit.
func BenchmarkTakeAdmitted(b *testing.B) {
	bucket := newBucket(1_000_000)
	b.ReportAllocs()
	for now := int64(start); b.Loop(); now += int64(time.Millisecond) {
		if v := bucket.Take(now); !v.OK || v.Limit != 1_000_000 {
			b.Fatalf("%+v", v)
		}
	}
}

// BenchmarkTakeParallel has all processors take from one bucket.
func BenchmarkTakeParallel(b *testing.B) {
	bucket := newBucket(MaxRate)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for now := int64(start); p.Next(); now += int64(time.Microsecond) {
			if v := bucket.Take(now); v.Limit != MaxRate {
				b.Errorf("%+v", v)
				return
			}
		}
	})
}

// BenchmarkAllowance is what a limit of tokens costs a request: what it may
// use is set aside, and settled for what it did use.
func BenchmarkAllowance(b *testing.B) {
	a := newAllowance(1_000_000)
	now := int64(start)
	b.ReportAllocs()
	for b.Loop() {
		reserved, v := a.Reserve(500, now)
		if !v.OK || reserved != 500 {
			b.Fatalf("%d, %+v", reserved, v)
		}
		a.Settle(reserved, 300, now)
		now += int64(time.Second)
	}
	if _, v := a.Reserve(1, now+int64(time.Minute)); v.Remaining != 999_999 {
		b.Errorf("%d are left of a full minute", v.Remaining)
	}
}

// BenchmarkSeats is what a limit of requests at once costs a request.
func BenchmarkSeats(b *testing.B) {
	s := NewBuckets().Seats(1, 3)
	b.ReportAllocs()
	for b.Loop() {
		if !s.Take() {
			b.Fatal("no seat")
		}
		s.Leave()
	}
	if s.Taken() != 0 {
		b.Errorf("%d still sit", s.Taken())
	}
}
