package loadgen

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
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
	text, err := json.Marshal(twoTargets())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Targets []struct {
			Requests int64
			Times    map[string]map[string]time.Duration `json:"times_ns"`
		}
		Ratio map[string]map[string]Ratio
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Targets) != 2 || got.Targets[0].Requests != 2 || got.Targets[0].Times["latency"]["max"] != 6*time.Millisecond || got.Ratio["latency"]["max"].Median != 2.5 {
		t.Errorf("%s", text)
	}
}

// TestThePictureIsXML: whatever was measured, nothing at all included, and
// every point lies in the plot.
func TestThePictureIsXML(t *testing.T) {
	f := func(lines int, r *Report) {
		t.Helper()
		var b strings.Builder
		if err := r.Plot(&b); err != nil {
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
	f(2, twoTargets())
	f(0, &Report{Plan: quick, Targets: []Measured{{Name: "http://a", Rounds: []*Result{took()}}}})
	f(1, &Report{Plan: quick, Targets: []Measured{{Name: "http://a", Rounds: []*Result{took(0)}}}})
	f(1, &Report{Plan: quick, Targets: []Measured{{Name: "http://a", Rounds: []*Result{took(time.Hour, time.Second, 1)}}}})
}
