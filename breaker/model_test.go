package breaker

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a Breaker in plain words: no bits, no atomics, every instant in
// full, every request of the window remembered.
type model struct {
	b *Breaker // for its settings and for its random numbers

	kind               kind
	step, term         int
	failures, refusals int
	cuts               int
	end                int64
	probe              int // the one under way, 0 for none

	limitEnd             int64
	limitStep, limitTerm int

	counted   []counted
	ejections int64
	outSince  int64
	lastProbe int
}

type counted struct {
	at                 int64
	failures, requests int
}

// modelPass is what the model gives out.
type modelPass struct {
	term, limitTerm, probe int
	begun                  bool
}

func (m *model) enter(now int64) (modelPass, bool) {
	p := modelPass{term: m.term, limitTerm: m.limitTerm}
	switch {
	case now < m.limitEnd:
		return p, false
	case m.kind == closed:
		return p, true
	case now < m.end:
		return p, false
	}
	m.lastProbe++
	m.probe, p.probe = m.lastProbe, m.lastProbe
	m.end = wholeMs(now + int64(m.b.settings.Probe))
	return p, true
}

func (m *model) ready(now int64) bool {
	return now >= m.limitEnd && (m.kind == closed || now >= m.end)
}

func (m *model) state(now int64) State {
	switch {
	case m.kind == auth:
		return Auth
	case m.kind == open && m.probe == 0 && now < m.end:
		return Open
	case m.kind == open:
		return HalfOpen
	case now < m.limitEnd:
		return Resting
	}
	return Closed
}

func (m *model) since() int64 {
	if m.kind == closed {
		return 0
	}
	return m.outSince
}

func (m *model) succeeded(p modelPass, now int64) {
	if p.limitTerm == m.limitTerm && now >= m.limitEnd {
		m.limitStep = 0
	}
	if p.term != m.term {
		return
	}
	m.failures, m.refusals, m.cuts, m.step = 0, 0, 0, 0
	if m.kind == closed {
		if !p.begun {
			m.counted = append(m.counted, counted{now, 0, 1})
		}
		return
	}
	m.kind, m.probe, m.counted = closed, 0, nil
	m.term++
}

func (m *model) began(p modelPass, now int64) modelPass {
	if p.begun {
		return p
	}
	p.begun = true
	if p.limitTerm == m.limitTerm && now >= m.limitEnd {
		m.limitStep = 0
	}
	if p.term != m.term {
		return p
	}
	m.failures, m.refusals = 0, 0
	if m.kind != closed {
		m.step = m.nextStep(open) // of the next rest, if the answer breaks off
		m.kind, m.probe, m.counted, m.cuts = closed, 0, nil, 0
		m.term++
		p.term, p.probe = m.term, 0
	}
	m.counted = append(m.counted, counted{now, 0, 1})
	return p
}

func (m *model) failed(p modelPass, now int64) {
	switch {
	case p.term != m.term:
	case m.kind == closed && p.begun:
		m.counted = append(m.counted, counted{now, 1, 0})
		m.cuts++
		if m.cuts >= m.b.settings.Consecutive || m.step > 0 || m.tooMany(now) {
			m.leaveOut(open, m.step, now)
		}
	case m.kind == closed:
		m.counted = append(m.counted, counted{now, 1, 1})
		m.failures++
		if m.failures >= m.b.settings.Consecutive || m.tooMany(now) {
			m.leaveOut(open, m.step, now)
		}
	case p.probe != 0 && p.probe == m.probe:
		m.leaveOut(open, m.nextStep(open), now)
	}
}

func (m *model) refused(p modelPass, now int64) {
	switch {
	case p.term != m.term:
	case m.kind == closed:
		if m.refusals++; m.refusals >= m.b.settings.Refusals {
			m.leaveOut(auth, 0, now)
		}
	case p.probe != 0 && p.probe == m.probe:
		m.leaveOut(auth, m.nextStep(auth), now)
	}
}

func (m *model) limited(p modelPass, now, until int64) {
	m.abandoned(p, now)
	resting := now < m.limitEnd
	if until > now {
		end := wholeMs(min(until, now+int64(m.b.settings.MaxLimited)))
		if !resting || end > m.limitEnd {
			m.limitEnd = end
			m.limitTerm++
		}
		return
	}
	if !resting && p.limitTerm == m.limitTerm {
		m.limitEnd = wholeMs(now + m.length(open, m.limitStep, m.limitTerm))
		m.limitStep++
		m.limitTerm++
	}
}

func (m *model) abandoned(p modelPass, now int64) {
	if p.term == m.term && p.probe != 0 && p.probe == m.probe {
		m.probe, m.end = 0, now
		m.term++
	}
}

func (m *model) leaveOut(k kind, step int, now int64) {
	if m.kind == closed {
		m.ejections++
		m.outSince = now
	}
	m.kind, m.step, m.probe, m.failures, m.refusals, m.cuts = k, min(step, mostSteps), 0, 0, 0, 0
	m.end = wholeMs(now + m.length(k, step, m.term))
	m.term++
}

func (m *model) nextStep(k kind) int {
	if m.kind == k {
		return m.step + 1
	}
	return 0
}

func (m *model) length(k kind, step, term int) int64 {
	first, last := m.b.settings.BaseRest, m.b.settings.MaxRest
	if k == auth {
		first, last = m.b.settings.AuthRest, m.b.settings.MaxAuthRest
	}
	return int64(scale{first, last}.between(step, m.b.random(uint64(term))))
}

func (m *model) tooMany(now int64) bool {
	width := int64(m.b.settings.Window) / slots
	m.counted = slices.DeleteFunc(m.counted, func(c counted) bool { return c.at/width <= now/width-slots })
	failures, requests := 0, 0
	for _, c := range m.counted {
		failures += c.failures
		requests += c.requests
	}
	requests = max(requests, failures)
	return requests >= m.b.settings.MinRequests &&
		float64(failures) >= float64(requests)*float64(m.b.settings.RatioPercent)/100
}

func wholeMs(at int64) int64 { return (at + ms - 1) / ms * ms }

// Whatever is asked and reported, in whatever order, the words say what the
// model says.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := New(Settings{
			Consecutive: rapid.IntRange(1, 8).Draw(t, "consecutive"),
			MinRequests: rapid.IntRange(3, 30).Draw(t, "min"),
			Probe:       time.Duration(rapid.Int64Range(1, 40).Draw(t, "probe")) * time.Second,
		}, rapid.Uint64().Draw(t, "seed"))
		m := &model{b: b}
		now := start
		type pair struct {
			pass  Pass
			model modelPass
		}
		var under []pair
		report := func(f func(Pass, modelPass)) func(*rapid.T) {
			return func(t *rapid.T) {
				if len(under) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(under)-1).Draw(t, "whose")
				f(under[i].pass, under[i].model)
				if rapid.Bool().Draw(t, "once") {
					under = slices.Delete(under, i, i+1)
				}
			}
		}
		wait := func(most int64) func(*rapid.T) {
			return func(t *rapid.T) { now += rapid.Int64Range(0, most).Draw(t, "ns") }
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				pass, ok := b.Enter(now)
				modelPass, want := m.enter(now)
				if ok != want || pass.Probe() != (modelPass.probe != 0) {
					t.Fatalf("Enter = %v, probe %v; want %v, probe %v", ok, pass.Probe(), want, modelPass.probe != 0)
				}
				under = append(under, pair{pass, modelPass})
			},
			"began": func(t *rapid.T) {
				if len(under) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(under)-1).Draw(t, "whose")
				under[i] = pair{b.Began(under[i].pass, now), m.began(under[i].model, now)}
			},
			"succeeded":  report(func(p Pass, mp modelPass) { b.Succeeded(p, now); m.succeeded(mp, now) }),
			"failed":     report(func(p Pass, mp modelPass) { b.Failed(p, now); m.failed(mp, now) }),
			"failed too": report(func(p Pass, mp modelPass) { b.Failed(p, now); m.failed(mp, now) }),
			"refused":    report(func(p Pass, mp modelPass) { b.Refused(p, now); m.refused(mp, now) }),
			"abandoned":  report(func(p Pass, mp modelPass) { b.Abandoned(p, now); m.abandoned(mp, now) }),
			"limited":    report(func(p Pass, mp modelPass) { b.Limited(p, now, 0); m.limited(mp, now, 0) }),
			"limited until": report(func(p Pass, mp modelPass) {
				until := now + rapid.Int64Range(-s, 100*s).Draw(t, "until")
				b.Limited(p, now, until)
				m.limited(mp, now, until)
			}),
			"moment": wait(2 * ms), "second": wait(s), "minute": wait(60 * s), "hour": wait(3600 * s),
			"": func(t *rapid.T) {
				if got, want := b.State(now), m.state(now); got != want {
					t.Fatalf("State is %v, want %v", got, want)
				}
				if got, want := b.Ready(now), m.ready(now); got != want {
					t.Fatalf("Ready is %v, want %v", got, want)
				}
				if b.Ejections() != m.ejections || b.Since() != m.since() {
					t.Fatalf("%d ejections since %d, want %d since %d", b.Ejections(), b.Since(), m.ejections, m.since())
				}
			},
		})
	})
}
