package logging

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// queue is an io.Writer that never blocks: a goroutine of its own writes the
// lines, as many wait as there is room for, and further ones are lost. What
// stands at the place of those that were is a line that says how many.
type queue struct {
	w      io.Writer    // run's, until done
	notice slog.Handler // writes to w; run's too
	lines  chan line
	room   sync.Pool // of *[]byte: what a line was copied to
	missed atomic.Int64
	onLost atomic.Pointer[func()]

	closing sync.Once
	quit    chan struct{}
	done    chan struct{} // closed when run has ended
}

// line is one that waits. Its text is the queue's, from Write until it is written.
type line struct {
	text   *[]byte
	missed int64 // how many were lost before it
}

// keptLine is the largest buffer that is kept for the next line.
const keptLine = 4 << 10

func newQueue(w io.Writer, notice slog.Handler, lines int) *queue {
	q := &queue{w: w, notice: notice, lines: make(chan line, lines), quit: make(chan struct{}), done: make(chan struct{})}
	q.room.New = func() any { return new([]byte) }
	go q.run()
	return q
}

// Write queues a copy of one line. It never blocks and never fails.
func (q *queue) Write(p []byte) (int, error) {
	if len(q.lines) == cap(q.lines) { // who is stuck gets no copies
		q.lose()
		return len(p), nil
	}
	l := line{text: q.room.Get().(*[]byte), missed: q.missed.Swap(0)}
	*l.text = append((*l.text)[:0], p...)
	select {
	case q.lines <- l:
	default:
		q.missed.Add(l.missed)
		q.free(l)
		q.lose()
	}
	return len(p), nil
}

// lose counts a line that will not be written.
func (q *queue) lose() {
	q.missed.Add(1)
	if f := q.onLost.Load(); f != nil {
		(*f)()
	}
}

func (q *queue) free(l line) {
	if cap(*l.text) <= keptLine {
		q.room.Put(l.text)
	}
}

func (q *queue) run() {
	defer close(q.done)
	for {
		select {
		case l := <-q.lines:
			q.write(l)
		case <-q.quit:
			for len(q.lines) > 0 {
				q.write(<-q.lines)
			}
			q.tell(q.missed.Swap(0))
			return
		}
	}
}

// write writes a line, after a word on those that were lost before it. One
// that the writer does not take is lost too.
func (q *queue) write(l line) {
	q.tell(l.missed)
	_, err := q.w.Write(*l.text)
	q.free(l)
	if err != nil {
		q.lose()
	}
}

// tell says at any level how many lines were lost here.
func (q *queue) tell(missed int64) {
	if missed == 0 {
		return
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines lost", 0)
	r.AddAttrs(slog.Int64("lines", missed))
	if q.notice.Handle(context.Background(), r) != nil {
		q.missed.Add(missed) // for the next that passes
	}
}

// close ends run once it has written what waits. It waits for that at most so long.
func (q *queue) close(wait time.Duration) {
	q.closing.Do(func() { close(q.quit) })
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-q.done:
	case <-timer.C:
	}
}
