package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// held is a writer that takes a line only when it is let.
type held struct {
	let  chan struct{} // closed: takes all
	came chan struct{} // has a token for each line that came
	took chan struct{} // and for each that was taken
	fail atomic.Bool
	buf  bytes.Buffer // after the Log's Close
}

func newHeld() *held {
	return &held{let: make(chan struct{}), came: make(chan struct{}, 100), took: make(chan struct{}, 100)}
}

func (h *held) Write(p []byte) (int, error) {
	h.came <- struct{}{}
	<-h.let
	defer func() { h.took <- struct{}{} }()
	if h.fail.Load() {
		return 0, errors.New("broken")
	}
	return h.buf.Write(p)
}

// read parses lines of JSON.
func read(t *testing.T, text string) (lines []map[string]any) {
	t.Helper()
	for raw := range strings.Lines(text) {
		var line map[string]any
		if err := json.Unmarshal([]byte(raw), &line); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		lines = append(lines, line)
	}
	return lines
}

// As many lines wait as there is room for, further ones are counted, and at
// their place a line says how many there were.
func TestFullQueueLosesAndTells(t *testing.T) {
	w := newHeld()
	l := Open(w, Options{Level: slog.LevelError, JSON: true, Lines: 3})
	var lost atomic.Int64
	l.OnLost(func() { lost.Add(1) })
	say := func(from, to int) {
		for n := from; n <= to; n++ {
			l.Error(fmt.Sprint(n))
		}
	}
	say(1, 1)
	<-w.came
	say(2, 4) // which wait
	say(5, 9) // which are lost
	if lost.Load() != 5 {
		t.Errorf("%d lines are counted as lost, want 5", lost.Load())
	}
	close(w.let)
	for range 4 {
		<-w.took
	}
	say(10, 11)
	l.Close()
	var got []string
	for _, line := range read(t, w.buf.String()) {
		got = append(got, fmt.Sprint(line["msg"], " ", line["lines"]))
	}
	want := "1 <nil>|2 <nil>|3 <nil>|4 <nil>|log lines lost 5|10 <nil>|11 <nil>"
	if said := strings.Join(got, "|"); said != want {
		t.Errorf("written is\n%s, want\n%s", said, want)
	}
	if lost.Load() != 5 {
		t.Errorf("%d lines are counted as lost in the end", lost.Load())
	}
}

// Every line is written or told of, whoever logs at once.
func TestNoLineIsLostWithoutCount(t *testing.T) {
	var w bytes.Buffer
	l := Open(&w, Options{JSON: true, Lines: 16})
	var lost atomic.Int64
	l.OnLost(func() { lost.Add(1) })
	const each, writers = 2000, 8
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				l.Info("x", "more", strings.Repeat("y", 100))
			}
		})
	}
	all.Wait()
	l.Close()
	written, told := 0, 0.0
	for _, line := range read(t, w.String()) {
		if line["msg"] == "x" {
			written++
			continue
		}
		told += line["lines"].(float64)
	}
	if told != float64(lost.Load()) || written+int(told) != each*writers {
		t.Errorf("%d written, %v told as lost, %d counted, of %d", written, told, lost.Load(), each*writers)
	}
}

// Lines are written at the end, in order, and one that comes after it harms nobody.
func TestCloseWritesWhatWaits(t *testing.T) {
	for _, asJSON := range []bool{true, false} {
		var w bytes.Buffer
		l := Open(&w, Options{JSON: asJSON, Lines: 1000})
		for n := range 1000 {
			l.Info("x", "n", n)
		}
		l.Close()
		l.Close()
		l.Info("late")
		if got := strings.Count(w.String(), "\n"); got != 1000 || strings.Contains(w.String(), "late") {
			t.Errorf("JSON %v: %d lines, want 1000", asJSON, got)
		}
	}
}

// A pipe that nobody reads stops neither who logs nor the end. When somebody
// reads again, what is left comes, and what was lost is told.
func TestPipeThatNobodyReads(t *testing.T) {
	t.Parallel()
	for _, read := range []bool{false, true} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		l := Open(w, Options{JSON: true, Lines: 16})
		var lost atomic.Int64
		l.OnLost(func() { lost.Add(1) })
		began := time.Now()
		for range 5000 { // of a KB: more than a pipe holds
			l.Info("x", "more", strings.Repeat("y", 1000))
		}
		if lost.Load() == 0 {
			t.Error("nothing is lost: the pipe held it all")
		}
		var text []byte
		done := make(chan struct{})
		if read {
			go func() { text, _ = io.ReadAll(r); close(done) }()
		}
		l.Close()
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
		w.Close() // ends the writer of the pipe that is not read
		if read {
			if <-done; !strings.Contains(string(text), `"log lines lost","lines":`) {
				t.Errorf("the log does not tell of %d lost lines: …%s", lost.Load(), text[max(0, len(text)-300):])
			}
		}
		<-l.queue.done
		r.Close()
	}
}

// What the writer refuses is lost, counted, and told of when it takes lines again.
func TestRefusedLinesAreTold(t *testing.T) {
	w := newHeld()
	close(w.let)
	w.fail.Store(true)
	l := Open(w, Options{JSON: true, Lines: 100})
	lost := make(chan struct{}, 10)
	l.OnLost(func() { lost <- struct{}{} })
	for range 3 {
		l.Info("refused")
		<-lost
	}
	w.fail.Store(false)
	l.Info("taken")
	l.Close()
	lines := read(t, w.buf.String())
	if len(lines) != 2 || lines[0]["lines"] != 3.0 || lines[1]["msg"] != "taken" {
		t.Errorf("%v", lines)
	}
}
