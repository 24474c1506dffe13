package main

import (
	"flag"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"llmproxy/internal/gatewaytest"
)

var soakTime = flag.Duration("soak", 3*time.Second, "how long TestSoak loads the program")

// soakLong is from when on a soak says something of trends: before, a program
// still grows into its load.
const soakLong = 5 * time.Minute

// R32: the program under everything at once, whole answers and streams, clients
// that leave, reloads, a provider that fails: nothing is answered wrongly, and
// nothing is left when it is over. `go test ./cmd/llm-proxy -run TestSoak -v
// -soak 10m -timeout 20m` looks at the trends, too: in the second half memory
// grows by less than 5 %, goroutines and descriptors by less than 2 %. A slope
// of 1 MB an hour, which is the aim, drowns in the collector's rhythm for the
// first hour.
func TestSoak(t *testing.T) {
	s := newSoak(t)
	s.began = time.Now()
	idle := s.sample(t)
	load := s.begin(t)
	samples := s.watch(t, load)
	tally := load.stop()
	t.Log(tally)
	for _, fault := range load.faults {
		t.Error(fault)
	}
	if load.right.Load() == 0 || load.left.Load() == 0 || load.reloads.Load() == 0 {
		t.Error("something was never tried: ", tally)
	}
	s.checkRest(t, idle)
	if *soakTime >= soakLong {
		checkTrends(t, samples[len(samples)/2:])
		s.checkIdle(t, idle)
	}
}

// vitals are what a program that leaks has ever more of.
type vitals struct {
	at                   time.Duration // since the load began
	rss, goroutines, fds float64
	heap                 float64 // in use, the collector's garbage included
	clients, upstream    float64 // open connections
	series               float64 // of metrics
}

func (v vitals) String() string {
	return fmt.Sprintf("%6.1fs rss %.1f MB, heap %.1f MB, %.0f goroutines, %.0f fds, %.0f client and %.0f provider connections, %.0f series",
		v.at.Seconds(), v.rss/1e6, v.heap/1e6, v.goroutines, v.fds, v.clients, v.upstream, v.series)
}

// sample reads the metrics page once.
func (s *soak) sample(t *testing.T) vitals {
	t.Helper()
	_, page := s.Get(t, "/metrics", "")
	f := func(name string) (sum float64) {
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, name+" ") || strings.HasPrefix(line, name+"{") {
				var v float64
				if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &v); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				sum += v
			}
		}
		return sum
	}
	return vitals{
		at: time.Since(s.began), rss: f("process_resident_memory_bytes"), heap: f("go_memstats_heap_inuse_bytes"),
		goroutines: f("go_goroutines"), fds: f("process_open_fds"),
		clients: f("llm_proxy_client_connections"), upstream: f("llm_proxy_upstream_connections"), series: f("llm_proxy_metrics_series"),
	}
}

// watch samples the program until the time is over, about a hundred times.
func (s *soak) watch(t *testing.T, load *soakLoad) (samples []vitals) {
	t.Helper()
	tick := time.NewTicker(max(*soakTime/100, 200*time.Millisecond))
	defer tick.Stop()
	s.began = time.Now()
	for time.Since(s.began) < *soakTime {
		<-tick.C
		v := s.sample(t)
		if samples = append(samples, v); len(samples)%10 == 0 {
			t.Log(v, "; ", load)
		}
	}
	return samples
}

// checkRest holds what is open after the load against what is open for a
// reason: connections to providers stay for a while, and the test has two.
func (s *soak) checkRest(t *testing.T, idle vitals) {
	t.Helper()
	var v vitals
	if !soon(func() bool {
		v = s.sample(t)
		return v.clients <= 2 && v.others() <= idle.others()+soakFiles
	}) {
		t.Errorf("what was open is not closed:\nbefore %v\nafter  %v", idle, v)
	}
	s.AwaitMetric(t, "llm_proxy_active_requests", 0)
	s.AwaitMetric(t, "llm_proxy_queued_requests", 0)
	if n := s.Metric(t, "llm_proxy_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
	for _, p := range s.providers {
		p.Faults() // a client that leaves within its request is none of theirs
	}
	t.Log("before the load: ", idle)
	t.Log("after the load:  ", v)
}

// others are the descriptors that are no connections.
func (v vitals) others() float64 { return v.fds - v.clients - v.upstream }

// soakFiles is how many files the embedded store may open for a while.
const soakFiles = 4

// checkIdle waits until idle connections and fasthttp's workers have ended,
// which takes a minute, and finds the program as it was.
func (s *soak) checkIdle(t *testing.T, idle vitals) {
	t.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var v vitals
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); <-tick.C {
		if v = s.sample(t); v.upstream == 0 && v.goroutines <= idle.goroutines+4 && v.fds <= idle.fds+soakFiles {
			t.Log("at rest:         ", v)
			return
		}
	}
	t.Errorf("the program does not come to rest:\nbefore %v\nafter  %v", idle, v)
}

// checkTrends fits lines through the samples; what grows more than its bound
// over their time is a leak.
func checkTrends(t *testing.T, samples []vitals) {
	t.Helper()
	f := func(name string, bound float64, of func(vitals) float64) {
		t.Helper()
		var at, values []float64
		for _, v := range samples {
			at, values = append(at, v.at.Hours()), append(values, of(v))
		}
		slope, mean := fitted(at, values)
		grown := slope * (at[len(at)-1] - at[0]) / mean
		t.Logf("%s: mean %.4g, %+.2f %% in %v (%+.3g an hour)", name, mean, 100*grown, samples[len(samples)-1].at-samples[0].at, slope)
		if grown > bound {
			t.Errorf("%s grows by %.1f %%", name, 100*grown)
		}
	}
	f("resident bytes", 0.05, func(v vitals) float64 { return v.rss })
	f("goroutines", 0.02, func(v vitals) float64 { return v.goroutines })
	f("descriptors", 0.02, func(v vitals) float64 { return v.fds })
}

// fitted is the slope of the line through the points that has the least
// squares, and the mean of the values.
func fitted(x, y []float64) (slope, mean float64) {
	var sx, sy, sxx, sxy float64
	n := float64(len(x))
	for i := range x {
		sx, sy, sxx, sxy = sx+x[i], sy+y[i], sxx+x[i]*x[i], sxy+x[i]*y[i]
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx), sy / n
}

// A soak that sees no leak must be able to see one.
func TestFitted(t *testing.T) {
	slope, mean := fitted([]float64{1, 2, 3, 4}, []float64{10, 13, 14, 17})
	if math.Abs(slope-2.2) > 1e-9 || mean != 13.5 {
		t.Errorf("slope %v, mean %v", slope, mean)
	}
}

// soak is the program with its providers.
type soak struct {
	*gatewaytest.Gateway
	soakProviders
	key   string
	began time.Time
}
