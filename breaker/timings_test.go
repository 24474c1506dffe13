package breaker

import (
	"testing"
	"time"
)

// R07: after how many of a fault a target is out, for how long, one rest after
// another, and what brings it back. Each rest may be a tenth longer, never shorter,
// and never longer than the last one.
func TestEjectionTimings(t *testing.T) {
	began := func(b *Breaker, now int64) { p, _ := b.Enter(now); b.Began(p, now) }
	succeeded := func(b *Breaker, now int64) { p, _ := b.Enter(now); b.Succeeded(p, now) }
	failed := func(b *Breaker, now int64) { p, _ := b.Enter(now); b.Failed(p, now) }
	cut := func(b *Breaker, now int64) { p, _ := b.Enter(now); b.Failed(b.Began(p, now), now) }
	refused := func(b *Breaker, now int64) { p, _ := b.Enter(now); b.Refused(p, now) }

	seconds := func(all ...time.Duration) (rests []time.Duration) {
		for _, s := range all {
			rests = append(rests, s*time.Second)
		}
		return rests
	}
	usual := seconds(1, 2, 4, 8, 16, 30, 30, 30)

	f := func(name string, s Settings, fault func(*Breaker, int64), row int, rests []time.Duration, back func(*Breaker, int64)) {
		t.Helper()
		longest := rests[len(rests)-1]
		for seed := range uint64(50) {
			b, now := New(s, seed), start
			for range row - 1 {
				fault(b, now)
			}
			if !b.Ready(now) {
				t.Fatalf("%s: out after fewer than %d", name, row)
			}
			for i, rest := range rests {
				if fault(b, now); b.Ready(now) {
					t.Fatalf("%s: not out, rest %d", name, i)
				}
				if b.Ready(now + int64(rest) - ms) {
					t.Fatalf("%s, seed %d: rest %d is shorter than %v", name, seed, i, rest)
				}
				if now += int64(min(rest+rest/10, longest)) + ms; !b.Ready(now) {
					t.Fatalf("%s, seed %d: rest %d is longer than %v and a tenth", name, seed, i, rest)
				}
			}
			if back(b, now); b.State(now) != Closed {
				t.Fatalf("%s: not back", name)
			}
		}
	}
	f("failures", Settings{}, failed, 5, usual, succeeded)
	f("failures, and a stream begins", Settings{}, failed, 5, usual, began)
	f("streams that break off", Settings{}, cut, 5, usual, succeeded)
	f("BREAKER_CONSECUTIVE=7", Settings{Consecutive: 7}, failed, 7, usual, succeeded)
	f("BREAKER_MAX_REST_SECS=5", Settings{MaxRest: 5 * time.Second}, failed, 5, seconds(1, 2, 4, 5, 5), succeeded)
	f("refused keys", Settings{}, refused, 3, seconds(60, 120, 240, 480, 600, 600), succeeded)
	f("refused keys, and a stream begins", Settings{}, refused, 3, seconds(60, 120, 240, 480, 600, 600), began)
}
