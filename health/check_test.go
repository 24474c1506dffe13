package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"llmproxy/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// subject is a provider whose models "good…" answer and all others do not.
func subject(id int64, key string, enabled bool, models ...string) health.Subject {
	s := health.Subject{ID: id, Key: key, Enabled: enabled, Probe: func(_ context.Context, model string, _ time.Duration) (time.Duration, error) {
		if !strings.HasPrefix(model, "own-good") {
			return 3 * time.Millisecond, errors.New("answered 500")
		}
		return 2 * time.Millisecond, nil
	}}
	for _, m := range models {
		s.Models = append(s.Models, health.Named{Public: m, Own: "own-" + m})
	}
	return s
}

func TestCheck(t *testing.T) {
	c := health.NewChecker(func() []health.Subject {
		return []health.Subject{
			subject(1, "a", true, "good", "bad"), subject(2, "b", true, "bad"), subject(3, "c", false, "good"), subject(4, "d", true),
		}
	}, health.Limits{})
	f := func(q health.Query, status, providers string) {
		t.Helper()
		r := c.Check(t.Context(), q)
		var got []string
		for _, p := range r.Providers {
			got = append(got, p.Key+"="+p.Status)
		}
		if r.Status != status || strings.Join(got, " ") != providers {
			t.Errorf("%+v: %s %v, want %s %s", q, r.Status, got, status, providers)
		}
	}
	f(health.Query{}, health.Degraded, "a=healthy b=unhealthy c=disabled d=unknown")
	f(health.Query{ProviderIDs: []int64{1}}, health.Healthy, "a=healthy")
	f(health.Query{ProviderIDs: []int64{2, 3}}, health.Unhealthy, "b=unhealthy c=disabled")
	f(health.Query{Models: []string{"bad"}}, health.Unhealthy, "a=unhealthy b=unhealthy c=disabled d=unknown")
	f(health.Query{ProviderIDs: []int64{9}}, health.Unknown, "")
	r := c.Check(t.Context(), health.Query{ProviderIDs: []int64{1}})
	text, _ := json.Marshal(r.Providers[0].Models)
	if want := `[{"model":"good","status":"healthy","response_time_ms":2,"error":null},{"model":"bad","status":"unhealthy","response_time_ms":3,"error":"answered 500"}]`; string(text) != want {
		t.Errorf("models: %s, want %s", text, want)
	}
}

// No more calls run at once than the query allows, and what finds no time is unknown.
func TestCheckIsBounded(t *testing.T) {
	var running, most atomic.Int64
	release := make(chan struct{})
	s := subject(1, "a", true, "good1", "good2", "good3", "good4")
	s.Probe = func(context.Context, string, time.Duration) (time.Duration, error) {
		if n := running.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer running.Add(-1)
		<-release
		return time.Millisecond, nil
	}
	c := health.NewChecker(func() []health.Subject { return []health.Subject{s} }, health.Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(); close(release) })
	r := c.Check(ctx, health.Query{MaxConcurrent: 2})
	if most.Load() != 2 {
		t.Errorf("%d calls at once, want 2", most.Load())
	}
	unknown := 0
	for _, m := range r.Providers[0].Models {
		if m.Status == health.Unknown {
			unknown++
		}
	}
	if unknown == 0 {
		t.Error("nothing was left out although the time was over")
	}
}

// Many who ask for the detailed report cost one check.
func TestDetailedIsKept(t *testing.T) {
	var asked atomic.Int64
	c := health.NewChecker(func() []health.Subject { asked.Add(1); return nil }, health.Limits{})
	for range 10 {
		if got := c.Detailed(t.Context()); !strings.Contains(string(got), `"status":"unknown"`) {
			t.Fatalf("%s", got)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("checked %d times", asked.Load())
	}
}

// Everybody is asked at his own interval, nobody before the first has passed.
func TestMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		asked := map[string]int{}
		reports := map[string]int{}
		watch := func(key string, interval time.Duration, err error) health.Watched {
			return health.Watched{
				Key: key, Interval: interval,
				Probe: func(context.Context) error {
					mu.Lock()
					defer mu.Unlock()
					asked[key]++
					return err
				},
				Report: func(got error) {
					mu.Lock()
					defer mu.Unlock()
					if got != err {
						t.Errorf("%s: reported %v, want %v", key, got, err)
					}
					reports[key]++
				},
			}
		}
		m := health.NewMonitor(func() []health.Watched {
			return []health.Watched{watch("a", 10*time.Second, nil), watch("b", 25*time.Second, errors.New("no"))}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 65*time.Second+time.Millisecond)
		defer cancel()
		m.Run(ctx, time.Second)
		if asked["a"] != 6 || asked["b"] != 2 || reports["a"] != 6 || reports["b"] != 2 {
			t.Errorf("asked %v, reported %v", asked, reports)
		}
	})
}

// A call does not outlast its interval, and what was ended by the end of the
// Monitor is not reported.
func TestMonitorBoundsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		reported := 0
		m := health.NewMonitor(func() []health.Watched {
			return []health.Watched{{
				Key: "a", Interval: 5 * time.Second,
				Probe: func(ctx context.Context) error {
					began := time.Now()
					<-ctx.Done()
					took = time.Since(began)
					return ctx.Err()
				},
				Report: func(error) { reported++ },
			}}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 13*time.Second)
		defer cancel()
		m.Run(ctx, time.Second)
		if took > 5*time.Second || reported != 1 {
			t.Errorf("a call took %v, %d reported", took, reported)
		}
	})
}

// A provider of many models costs a few calls, and the report of one that has more
// is counted; who names models gets all that he named.
func TestModelsOfACheckAreBounded(t *testing.T) {
	many := make([]string, 15)
	for i := range many {
		many[i] = fmt.Sprintf("good%02d", i)
	}
	f := func(limits health.Limits, q health.Query, tested, counted int) {
		t.Helper()
		var at atomic.Int64
		limits.AtModels = func() { at.Add(1) }
		c := health.NewChecker(func() []health.Subject {
			return []health.Subject{subject(1, "a", true, many...), subject(2, "b", true, many[:3]...)}
		}, limits)
		if n := len(c.Check(t.Context(), q).Providers[0].Models); n != tested || int(at.Load()) != counted {
			t.Errorf("%+v: tested %d, counted %d; want %d, %d", q, n, at.Load(), tested, counted)
		}
	}
	f(health.Limits{}, health.Query{}, 10, 1)
	f(health.Limits{Models: 3}, health.Query{}, 3, 1) // the second provider has no more
	f(health.Limits{Models: 15}, health.Query{}, 15, 0)
	f(health.Limits{Models: 3}, health.Query{Models: many}, 15, 0)
}
