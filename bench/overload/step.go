package main

import (
	"slices"
	"sync"
	"time"
)

// step counts what is sent and answered for a while, second by second.
type step struct {
	began time.Time
	loop  bool // closed: an answer is followed by the next request

	mu      sync.Mutex // guards what follows
	seconds []second
	stopped bool
}

// second is what happened in a second: what was due in it, and what was
// answered in it.
type second struct {
	offered, unsent int
	good, refused   []time.Duration // how long they took
	late            []time.Duration // how late requests were sent: this program's own delay
	rss             int64           // the most, in bytes
}

func newStep(loop bool) *step { return &step{began: time.Now(), loop: loop} }

// at returns the second of a moment. The caller holds mu.
func (s *step) at(t time.Time) *second {
	i := max(0, int(t.Sub(s.began)/time.Second))
	for len(s.seconds) <= i {
		s.seconds = append(s.seconds, second{})
	}
	return &s.seconds[i]
}

func (s *step) sent(due, now time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at(due)
	at.offered++
	at.late = append(at.late, now.Sub(due))
	if !ok {
		at.unsent++
	}
}

// answered counts an answer, and reports whether another request is to follow.
func (s *step) answered(good bool, due, now time.Time) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at(now)
	if good {
		at.good = append(at.good, now.Sub(due))
	} else {
		at.refused = append(at.refused, now.Sub(due))
	}
	return s.loop && !s.stopped
}

func (s *step) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}

// note keeps the memory that the gateway holds, and returns how many seconds
// are over.
func (s *step) note(now time.Time, rss int64) (over int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.at(now)
	at.rss = max(at.rss, rss)
	return len(s.seconds) - 1
}

// figures are what a step comes to.
type figures struct {
	Factor     float64       `json:"factor"`
	Offered    float64       `json:"offered_per_second"`
	Goodput    float64       `json:"goodput_per_second"`
	Refused    float64       `json:"refused_per_second"`
	Unsent     float64       `json:"unsent_per_second"`
	P50        time.Duration `json:"p50_ns"` // of those that were let in
	P99        time.Duration `json:"p99_ns"`
	Worst      time.Duration `json:"worst_ns"`
	RefusalP50 time.Duration `json:"refusal_p50_ns"`
	RefusalP99 time.Duration `json:"refusal_p99_ns"`
	LateP99    time.Duration `json:"late_p99_ns"`
	RSS        int64         `json:"rss_bytes"`
}

// figures sums up the whole seconds after warm.
func (s *step) figures(factor float64, warm time.Duration) figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := min(int(warm/time.Second), len(s.seconds)-1)
	to := max(from+1, len(s.seconds)-1) // the last one is not whole
	return sum(factor, s.seconds[from:to])
}

// second sums up one second.
func (s *step) second(factor float64, i int) figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sum(factor, s.seconds[i:i+1])
}

func sum(factor float64, seconds []second) figures {
	var all second
	for _, s := range seconds {
		all.offered += s.offered
		all.unsent += s.unsent
		all.good = append(all.good, s.good...)
		all.refused = append(all.refused, s.refused...)
		all.late = append(all.late, s.late...)
		all.rss = max(all.rss, s.rss)
	}
	per := 1 / float64(len(seconds))
	return figures{
		Factor: factor, Offered: per * float64(all.offered), Unsent: per * float64(all.unsent),
		Goodput: per * float64(len(all.good)), Refused: per * float64(len(all.refused)),
		P50: percentile(all.good, 50), P99: percentile(all.good, 99), Worst: percentile(all.good, 100),
		RefusalP50: percentile(all.refused, 50), RefusalP99: percentile(all.refused, 99),
		LateP99: percentile(all.late, 99), RSS: all.rss,
	}
}

// percentile returns what p percent of the times do not exceed; 0 of none.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	times = slices.Clone(times)
	slices.Sort(times)
	return times[(len(times)-1)*p/100]
}
