package loadgen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"llmproxy/internal/fakeprovider"
)

// always answers every request so.
func always(a fakeprovider.Answer) fakeprovider.Handler {
	return func(*fakeprovider.Request) fakeprovider.Answer { return a }
}

// after is a right answer that takes so long.
func after(d time.Duration) fakeprovider.Answer {
	a := fakeprovider.OK(completion)
	a.Delay = d
	return a
}

// TestAServerThatIsSlowerThanTheRateLetsEveryoneWaitLonger: 40 requests are
// due in 200 ms, and take 20 ms each on the one connection: the last is
// answered after 800 ms or more, and waited for 600 of them. The closed loop
// beside it asks when it may, and sees nothing of that.
func TestAServerThatIsSlowerThanTheRateLetsEveryoneWaitLonger(t *testing.T) {
	t.Parallel()
	const takes = 20 * time.Millisecond
	p := start(t, always(after(takes)))
	plan := quick
	plan.Connections = 1
	open := load(t, p, plan)
	if open.Right != 40 || open.Latency.Max() < 600*time.Millisecond || open.Latency.Quantile(0.5) < 300*time.Millisecond {
		t.Errorf("%d right, p50 %v, max %v", open.Right, open.Latency.Quantile(0.5), open.Latency.Max())
	}
	if open.InTime > 10 || open.Waited < 35 {
		t.Errorf("%d answered in time, %d waited", open.InTime, open.Waited)
	}
	plan.Rate, plan.Closed = 0, true
	closed := load(t, p, plan)
	if closed.Requests < 1 || closed.Requests > 10 || closed.Right != closed.Requests {
		t.Errorf("%d requests, %d right", closed.Requests, closed.Right)
	}
	if a, b := closed.Latency.Quantile(0), open.Latency.Quantile(0.5); a < takes || a >= b {
		t.Errorf("closed: %v; open: %v", a, b)
	}
}

// TestAClosedLoopKeepsAllConnectionsBusy: as many requests are open at once as
// there are connections, no more, and all that were begun are counted.
func TestAClosedLoopKeepsAllConnectionsBusy(t *testing.T) {
	t.Parallel()
	var at, most atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := at.Add(1)
		defer at.Add(-1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		time.Sleep(20 * time.Millisecond) // an answer takes its time
		io.WriteString(w, completion)
	}))
	defer srv.Close()
	target, err := NewTarget(srv.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	plan := quick
	plan.Rate, plan.Closed, plan.Connections, plan.Warm = 0, true, 6, 50*time.Millisecond
	r, err := Run(t.Context(), target, plan)
	if err != nil {
		t.Fatal(err)
	}
	if most.Load() != 6 || r.Right != r.Requests || r.Requests < 6 || r.Requests > 60+6 || r.Opened != 6 {
		t.Errorf("%d at once, %d requests, %d right, %d connections", most.Load(), r.Requests, r.Right, r.Opened)
	}
	if r.InTime > r.Right+6 || r.Late.Max() != 0 || r.Waited != 0 {
		t.Errorf("%d in time, late %v, %d waited", r.InTime, r.Late.Max(), r.Waited)
	}
}

// TestAServerThatIsAwayIsNotHammered: a closed loop pauses after each refusal.
func TestAServerThatIsAwayIsNotHammered(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	target, err := NewTarget(srv.URL, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	srv.Close()
	plan := quick
	plan.Rate, plan.Closed, plan.Connections = 0, true, 2
	r, err := Run(t.Context(), target, plan)
	if err != nil {
		t.Fatal(err)
	}
	if r.Requests < 1 || r.Requests > 2*21 || r.Faults[refused] != r.Requests {
		t.Errorf("%d requests, %v", r.Requests, r.Faults)
	}
}

// TestRandomMomentsHaveTheRate: as many requests as evenly spaced ones, at the
// same moments in every run, unevenly.
func TestRandomMomentsHaveTheRate(t *testing.T) {
	r := &run{plan: Plan{Rate: 1000, Poisson: true}}
	moments := func() (all []time.Duration) {
		after := r.schedule()
		for i := range int64(10_000) {
			all = append(all, after(i))
		}
		return all
	}
	first := moments()
	if !slices.IsSorted(first) || !slices.Equal(first, moments()) {
		t.Error("not in order, or others the second time")
	}
	if last := first[len(first)-1]; last < 9500*time.Millisecond || last > 10500*time.Millisecond {
		t.Errorf("10000 requests in %v", last)
	}
	long := 0 // e^-2 of the pauses are longer than two means
	for i := 1; i < len(first); i++ {
		if first[i]-first[i-1] > 2*time.Millisecond {
			long++
		}
	}
	if long < 1200 || long > 1500 {
		t.Errorf("%d of 10000 pauses are longer than twice their mean", long)
	}
}

// TestEachRequestMayHaveAConnectionOfItsOwn: and says that it is the last.
func TestEachRequestMayHaveAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	f := func(fresh bool, opened int64) {
		t.Helper()
		p := start(t, always(fakeprovider.OK(completion)))
		plan := quick
		plan.Connections, plan.Fresh = 3, fresh
		r := load(t, p, plan)
		q := p.Next(t)
		if r.Right != 40 || r.Opened != opened || (q.Header.Get("Connection") == "close") != fresh {
			t.Errorf("fresh %v: %d right, %d connections, Connection: %q", fresh, r.Right, r.Opened, q.Header.Get("Connection"))
		}
	}
	f(true, 40)
	f(false, 3)
}

// TestCertificatesAreChecked: with the server's own authority all is right,
// without it nothing is sent, and the fault says why.
func TestCertificatesAreChecked(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, completion) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // failed handshakes are the point
	srv.StartTLS()
	defer srv.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	f := func(trust *tls.Config, right int64, faults int64) {
		t.Helper()
		target, err := NewTarget(srv.URL, "", trust)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(t.Context(), target, quick)
		if err != nil {
			t.Fatal(err)
		}
		if r.Requests != 40 || r.Right != right || r.Faults[untrusted] != faults {
			t.Errorf("%d requests, %d right, %v", r.Requests, r.Right, r.Faults)
		}
	}
	f(&tls.Config{RootCAs: roots}, 40, 0)
	f(nil, 0, 40)
}

// TestEventsThatSayWhenTheyWereSentHaveAOneWayDelay: of those that come before
// that, the clock is another, and they are counted by themselves.
func TestEventsThatSayWhenTheyWereSentHaveAOneWayDelay(t *testing.T) {
	t.Parallel()
	const ago = 50 * time.Millisecond
	f := func(sent time.Duration, delays uint64, skewed int64) {
		t.Helper()
		p := start(t, func(*fakeprovider.Request) fakeprovider.Answer {
			data := fakeprovider.Data(fmt.Sprintf(`{"sent_ns":%d,"choices":[{}]}`, time.Now().Add(sent).UnixNano()))
			return fakeprovider.Events(data, data, fakeprovider.Data(`{"choices":[]}`), fakeprovider.Data("[DONE]"))
		})
		plan := quick
		plan.Stream = true
		r := load(t, p, plan)
		if r.Right != 40 || uint64(r.Delay.Count()) != delays || r.Skewed != skewed {
			t.Errorf("%d right, %d delays, %d skewed: %v", r.Right, r.Delay.Count(), r.Skewed, r.Faults)
		}
		if delays > 0 && (r.Delay.Quantile(0) < ago || r.Delay.Quantile(0) > ago+r.Latency.Max()) {
			t.Errorf("one way %v, of a latency of %v", r.Delay.Quantile(0), r.Latency.Max())
		}
	}
	f(-ago, 80, 0)
	f(time.Hour, 0, 80)
}

// TestTwoTargetsAreLoadedInTurn: in the other order in every second round, at
// each rate, and the slower one is the slower one.
func TestTwoTargetsAreLoadedInTurn(t *testing.T) {
	t.Parallel()
	slow := start(t, always(after(40*time.Millisecond)))
	fast := start(t, always(fakeprovider.OK(completion)))
	var targets []*Target
	for _, p := range []*fakeprovider.Provider{slow, fast} {
		target, err := NewTarget(p.URL(), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target)
	}
	plan := quick
	plan.Time, plan.Connections = 100*time.Millisecond, 32
	var turns []string
	s, err := Measure(t.Context(), targets, plan, []float64{50, 100}, 2, func(round int, target *Target, p *Plan) {
		turns = append(turns, fmt.Sprint(p.Rate, round, target == targets[0]))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"50 0 true", "50 0 false", "50 1 false", "50 1 true", "100 0 true", "100 0 false", "100 1 false", "100 1 true"}
	if !slices.Equal(turns, want) {
		t.Errorf("%q; want %q", turns, want)
	}
	if n := slow.Count(); n != 30 || fast.Count() != n || s.Wrong() != 0 {
		t.Errorf("%d and %d requests, %d wrong", n, fast.Count(), s.Wrong())
	}
	for _, r := range s {
		if got := r.ratio(measures[0], 0.5); got.Least <= 1 || got.Median < got.Least || got.Most < got.Median {
			t.Errorf("at %g/s: the ratio is %v", r.Plan.Rate, got)
		}
	}
}
