package profiling

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// maxRecorded is how much a recording may hold; then it ends before its time.
// What the runtime has in hand at that moment comes on top.
const maxRecorded = 64 << 20

const (
	blockRate     = 10_000 // nanoseconds: one sample for so much waiting
	mutexFraction = 100    // one of so many waits for a lock
)

// recorder is a profile that takes its time. stop comes once after a start
// that did not fail.
type recorder struct {
	preset, most int64 // seconds
	start        func(w io.Writer) error
	stop         func(w io.Writer)
}

var recordings = map[string]*recorder{
	"profile": {30, 60, pprof.StartCPUProfile, func(io.Writer) { pprof.StopCPUProfile() }},
	"trace":   {1, 10, trace.Start, func(io.Writer) { trace.Stop() }},
	"block": {
		10, 60,
		func(io.Writer) error { runtime.SetBlockProfileRate(blockRate); return nil },
		func(w io.Writer) { runtime.SetBlockProfileRate(0); _ = pprof.Lookup("block").WriteTo(w, 0) },
	},
	"mutex": {
		10, 60,
		func(io.Writer) error { runtime.SetMutexProfileFraction(mutexFraction); return nil },
		func(w io.Writer) { runtime.SetMutexProfileFraction(0); _ = pprof.Lookup("mutex").WriteTo(w, 0) },
	},
}

// record answers with what a recorder has recorded for the seconds that were
// asked for.
func (p *Pages) record(ctx *fasthttp.RequestCtx, name string, r *recorder) {
	length, ok := r.length(ctx.QueryArgs())
	if !ok {
		refuse(ctx, fasthttp.StatusBadRequest, fmt.Sprintf("seconds must be from 1 to %d", r.most))
		return
	}
	select {
	case p.recording <- struct{}{}:
		defer func() { <-p.recording }()
	default:
		refuse(ctx, fasthttp.StatusConflict, "another recording is under way: one is made at a time")
		return
	}
	b := newRecord()
	if err := r.start(b); err != nil {
		refuse(ctx, fasthttp.StatusConflict, "the recording does not start: "+err.Error())
		return
	}
	p.wait(ctx.Conn(), length, b.full)
	r.stop(b)
	deliver(ctx, name, b.bytes())
}

// length is how long to record.
func (r *recorder) length(args *fasthttp.Args) (time.Duration, bool) {
	if !args.Has("seconds") {
		return time.Duration(r.preset) * time.Second, true
	}
	n, err := args.GetUint("seconds")
	return time.Duration(n) * time.Second, err == nil && n >= 1 && int64(n) <= r.most
}

// wait returns when the time is over, the client has left, the record is full
// or the process ends.
func (p *Pages) wait(conn net.Conn, length time.Duration, full <-chan struct{}) {
	left := make(chan struct{})
	if p.Watch != nil {
		stop := p.Watch(conn, func() { close(left) })
		defer stop()
	}
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-left:
	case <-full:
	case <-p.Ended:
	}
}

// record is what a recorder writes, from goroutines of its own.
type record struct {
	full chan struct{} // closed when it holds maxRecorded

	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func newRecord() *record { return &record{full: make(chan struct{})} }

// Write implements io.Writer.
func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.buf.Len()
	n, err := r.buf.Write(p)
	if before < maxRecorded && r.buf.Len() >= maxRecorded {
		close(r.full)
	}
	return n, err
}

// bytes are what was written. Nobody writes any more.
func (r *record) bytes() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.Bytes()
}
