package main

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"llmproxy/config"
)

// logQueue is how many lines may wait for a slow log. More are dropped and
// counted: a request never waits for the log.
const logQueue = 4096

// newLogger returns the process's logger. close writes what is queued.
func newLogger(o *config.Options, w io.Writer) (log *slog.Logger, close func()) {
	q := newQueuedWriter(w, logQueue)
	options := &slog.HandlerOptions{Level: o.LogLevel}
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(q, options)), q.Close
	}
	return slog.New(slog.NewTextHandler(q, options)), q.Close
}

// queuedWriter writes lines on a goroutine of its own. Close ends it.
type queuedWriter struct {
	w       io.Writer
	lines   chan []byte
	dropped atomic.Int64
	quit    chan struct{}
	done    chan struct{}
	closing sync.Once
}

func newQueuedWriter(w io.Writer, room int) *queuedWriter {
	q := &queuedWriter{w: w, lines: make(chan []byte, room), quit: make(chan struct{}), done: make(chan struct{})}
	go q.run()
	return q
}

// Write queues one line; it never blocks and never fails. A line that comes
// after Close is lost.
func (q *queuedWriter) Write(p []byte) (int, error) {
	select {
	case q.lines <- append([]byte(nil), p...):
	default:
		q.dropped.Add(1)
	}
	return len(p), nil
}

func (q *queuedWriter) run() {
	defer close(q.done)
	for {
		select {
		case line := <-q.lines:
			q.write(line)
		case <-q.quit:
			for len(q.lines) > 0 {
				q.write(<-q.lines)
			}
			return
		}
	}
}

func (q *queuedWriter) write(line []byte) {
	_, _ = q.w.Write(line)
	if n := q.dropped.Swap(0); n > 0 {
		fmt.Fprintf(q.w, "time=%s level=WARN msg=\"log lines dropped\" lines=%d\n", time.Now().Format(time.RFC3339), n)
	}
}

// Close writes what is queued, for a second at most.
func (q *queuedWriter) Close() {
	q.closing.Do(func() { close(q.quit) })
	select {
	case <-q.done:
	case <-time.After(time.Second):
	}
}
