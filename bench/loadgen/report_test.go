package loadgen

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// took is a result with these latencies.
func took(times ...time.Duration) *Result {
	r := &Result{Requests: int64(len(times)), Right: int64(len(times))}
	for _, d := range times {
		r.Latency.Record(d)
		r.FirstByte.Record(d / 2)
	}
	return r
}

func twoTargets() *Report {
	return &Report{Plan: quick, Targets: []Measured{
		{Name: "http://a", Rounds: []*Result{took(2 * time.Millisecond), took(6 * time.Millisecond)}},
		{Name: "http://b?<&", Rounds: []*Result{took(time.Millisecond), took(2 * time.Millisecond)}},
	}}
}

func TestTheRatioIsTheMiddleRoundsWithItsSpread(t *testing.T) {
	got := twoTargets().ratio(measures[0], 1)
	if want := (Ratio{Median: 2.5, Least: 2, Most: 3}); got != want {
		t.Errorf("%v; want %v", got, want)
	}
}

func TestTheTableNamesWhatWasAskedFor(t *testing.T) {
	r := twoTargets()
	r.Targets[0].Rounds[0].fault("429 rate_limit_exceeded", 7)
	var b strings.Builder
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"http://a", "p99.9", "429 rate_limit_exceeded  7", "latency ratio", "2.50 (2.00-3.00)", "6.00 ms", "first byte http://a"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
	if strings.Contains(b.String(), "gap") {
		t.Errorf("gaps of no stream:\n%s", &b)
	}
}

func TestTheJSONHasTheFigures(t *testing.T) {
	text, err := json.Marshal(Sweep{twoTargets()})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Format string
		Runs   []struct {
			Targets []struct {
				Requests int64
				Times    map[string]map[string]time.Duration `json:"times_ns"`
			}
			Ratio map[string]map[string]Ratio
		}
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Format != Format || len(got.Runs) != 1 || len(got.Runs[0].Targets) != 2 {
		t.Fatalf("%s", text)
	}
	run := got.Runs[0]
	if run.Targets[0].Requests != 2 || run.Targets[0].Times["latency"]["max"] != 6*time.Millisecond || run.Ratio["latency"]["max"].Median != 2.5 {
		t.Errorf("%s", text)
	}
}

// TestTheShapeOfTheJSONIsStable: scripts read it. A field that goes, or is
// called otherwise, breaks them: then Format has another number.
func TestTheShapeOfTheJSONIsStable(t *testing.T) {
	r := twoTargets()
	r.Targets[0].Rounds[0].fault("timeout", 1)
	text, err := json.MarshalIndent(Sweep{r, r}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "sweep.json", append(text, '\n'))
}

// TestThePictureIsTheSame: a golden file, to be looked at when it changes.
func TestThePictureIsTheSame(t *testing.T) {
	slower := twoTargets()
	slower.Plan.Rate = 400
	slower.Targets[0].Rounds = append(slower.Targets[0].Rounds, took(20*time.Millisecond, 40*time.Millisecond))
	var b bytes.Buffer
	if err := (Sweep{twoTargets(), slower}).Plot(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "sweep.svg", b.Bytes())
}

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("it is not as in %s; go test -update rewrites it:\n%s", name, got)
	}
}

// TestThePictureIsXML: whatever was measured, nothing at all included, and
// every point lies in the plot.
func TestThePictureIsXML(t *testing.T) {
	f := func(lines int, s Sweep) {
		t.Helper()
		r := s[0]
		var b strings.Builder
		if err := s.Plot(&b); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
			t.Errorf("no numbers in\n%s", &b)
		}
		drawn, texts := 0, ""
		for in := xml.NewDecoder(strings.NewReader(b.String())); ; {
			token, err := in.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in\n%s", err, &b)
			}
			switch token := token.(type) {
			case xml.StartElement:
				if token.Name.Local == "polyline" {
					drawn++
				}
			case xml.CharData:
				texts += string(token)
			}
		}
		if drawn != lines {
			t.Errorf("%d lines; want %d", drawn, lines)
		}
		for _, title := range []string{"Latency by percentile", "share of the requests", "latency (logarithmic)", r.Targets[0].Name} {
			if !strings.Contains(texts, title) {
				t.Errorf("no %q in\n%s", title, &b)
			}
		}
	}
	alone := func(times ...time.Duration) *Report {
		return &Report{Plan: quick, Targets: []Measured{{Name: "http://a", Rounds: []*Result{took(times...)}}}}
	}
	f(2, Sweep{twoTargets()})
	f(0, Sweep{alone()})
	f(1, Sweep{alone(0)})
	f(1, Sweep{alone(time.Hour, time.Second, 1)})
	f(4+6, Sweep{twoTargets(), twoTargets()}) // by percentile, and three of each target by rate
	f(1+3, Sweep{alone(), alone(time.Second)})
	f(0+3, Sweep{alone(), alone()})
	closed := alone(time.Second)
	closed.Plan.Rate, closed.Plan.Closed = 0, true
	f(1, Sweep{closed})
}
