package breaker

import "testing"

func TestNoAllocations(t *testing.T) {
	b, now := New(Settings{}, 1), start
	f := func(name string, step func()) {
		t.Helper()
		if n := testing.AllocsPerRun(1000, step); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
	f("a good request", func() {
		if !b.Ready(now) {
			t.Fatal("not ready")
		}
		p, _ := b.Enter(now)
		b.Succeeded(p, now)
		now += s
	})
	f("an outage", func() {
		for range 5 {
			p, _ := b.Enter(now)
			b.Failed(p, now)
		}
		now += 31 * s
		p, ok := b.Enter(now)
		if !ok || !p.Probe() {
			t.Fatal("no probe")
		}
		b.Succeeded(p, now)
	})
	f("a stream", func() {
		p, _ := b.Enter(now)
		p = b.Began(p, now)
		b.Succeeded(p, now+s)
		now += s
	})
	f("an outage of streams", func() {
		for range 5 {
			p, _ := b.Enter(now)
			b.Failed(b.Began(p, now), now)
		}
		now += 31 * s
		p, ok := b.Enter(now)
		if !ok || !p.Probe() {
			t.Fatal("no probe")
		}
		b.Succeeded(b.Began(p, now), now)
	})
	f("a limit and a refusal", func() {
		p, _ := b.Enter(now)
		b.Limited(p, now, 0)
		b.Refused(p, now)
		b.Abandoned(p, now)
		now += 31 * s
		p, _ = b.Enter(now)
		b.Succeeded(p, now)
		_ = b.State(now).String()
	})
}

// BenchmarkReady is what a pick asks of each target.
func BenchmarkReady(b *testing.B) {
	br := New(Settings{}, 1)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ready, asked := 0, 0
		for pb.Next() {
			asked++
			if br.Ready(start) {
				ready++
			}
		}
		if ready != asked {
			b.Errorf("ready %d times of %d", ready, asked)
		}
	})
}

// BenchmarkGoodRequest is all that a request costs that goes well.
func BenchmarkGoodRequest(b *testing.B) {
	br := New(Settings{}, 1)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		now := start
		for pb.Next() {
			p, ok := br.Enter(now)
			if !ok {
				b.Error("not admitted")
				return
			}
			br.Succeeded(p, now)
			now += 20_000
		}
	})
	if br.Ejections() != 0 || br.State(start) != Closed {
		b.Errorf("%v after %d ejections", br.State(start), br.Ejections())
	}
}

// BenchmarkOutage is a target that fails for everyone: 5 failures, then a rest
// during which it is asked a hundred times for nothing, then a success.
func BenchmarkOutage(b *testing.B) {
	br, now := New(Settings{}, 1), start
	b.ReportAllocs()
	rounds := int64(0)
	for b.Loop() {
		for range 5 {
			p, _ := br.Enter(now)
			br.Failed(p, now)
		}
		for range 100 {
			if br.Ready(now) {
				b.Fatal("ready during the rest")
			}
		}
		now += 2 * s
		p, _ := br.Enter(now)
		br.Succeeded(p, now)
		rounds++
	}
	if br.Ejections() != rounds {
		b.Errorf("%d ejections in %d rounds", br.Ejections(), rounds)
	}
}
