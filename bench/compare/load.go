package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"llmproxy/bench/testbed"
)

// figures are what one server did in one measured window.
type figures struct {
	Requests int64         `json:"requests"`
	Events   int64         `json:"events,omitempty"`
	Took     time.Duration `json:"took_ns"`
	CPU      time.Duration `json:"cpu_ns"`
	P50      time.Duration `json:"p50_ns"`
	P99      time.Duration `json:"p99_ns"`
}

// cost is processor time per request, or per event of streams.
func (f figures) cost() float64 {
	return float64(f.CPU.Microseconds()) / float64(f.units())
}

func (f figures) units() int64 {
	if f.Events > 0 {
		return f.Events
	}
	return f.Requests
}

// driver keeps a server busy: each connection sends its next request when it
// has the answer to the last, or with -rate when its turn comes.
type driver struct {
	o       options
	server  *testbed.Server
	request []byte

	requests, events atomic.Int64
	stopping         atomic.Bool
}

// drive measures one server once. Any wrong answer fails the measurement.
func drive(ctx context.Context, o options, s *testbed.Server) (figures, error) {
	d := &driver{o: o, server: s, request: s.ChatRequest(o.load == "stream", o.request)}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var callers sync.WaitGroup
	took := make([][]time.Duration, o.connections)
	for i := range o.connections {
		callers.Go(func() {
			var err error
			if o.rate > 0 { // not all in the same moment
				time.Sleep(time.Duration(float64(i) * float64(time.Second) / o.rate))
			}
			if took[i], err = d.call(ctx); err != nil {
				cancel(err)
			}
		})
	}
	f, err := d.window(ctx)
	d.stopping.Store(true)
	if err != nil {
		cancel(err)
	}
	callers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return f, cause
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	if len(all) == 0 {
		return f, errors.New("no request was answered")
	}
	f.P50, f.P99 = all[len(all)/2], all[len(all)*99/100]
	return f, nil
}

// window lets the warm-up pass and reads the counters at both ends of the
// measured time.
func (d *driver) window(ctx context.Context) (figures, error) {
	if err := testbed.Pause(ctx, d.o.warm); err != nil {
		return figures{}, err
	}
	before, err := d.server.CPU()
	if err != nil {
		return figures{}, err
	}
	began, requests, events := time.Now(), d.requests.Load(), d.events.Load()
	if err := testbed.Pause(ctx, d.o.measured); err != nil {
		return figures{}, err
	}
	after, err := d.server.CPU()
	return figures{
		Requests: d.requests.Load() - requests,
		Events:   d.events.Load() - events,
		Took:     time.Since(began),
		CPU:      after - before,
	}, err
}

// call sends requests on one connection until the driver stops, and returns
// how long each took.
func (d *driver) call(ctx context.Context) ([]time.Duration, error) {
	conn, err := net.Dial("tcp", d.server.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var took []time.Duration
	var resp fasthttp.Response
	resp.StreamBody = d.o.load == "stream"
	in := bufio.NewReaderSize(conn, 16<<10)
	for due := time.Now(); !d.stopping.Load(); {
		began := time.Now()
		if d.o.rate > 0 {
			// A late answer does not make the next request late: what waits
			// for it counts as waiting (no coordinated omission).
			due = due.Add(time.Duration(float64(time.Second) * float64(d.o.connections) / d.o.rate))
			time.Sleep(time.Until(due))
			began = due
		}
		if _, err := conn.Write(d.request); err != nil {
			return took, err
		}
		if err := d.receive(&resp, in); err != nil {
			return took, err
		}
		took = append(took, time.Since(began))
		d.requests.Add(1)
	}
	return took, nil
}

// receive reads one answer and checks it.
func (d *driver) receive(resp *fasthttp.Response, in *bufio.Reader) error {
	if err := resp.ReadLimitBody(in, 0); err != nil {
		return err
	}
	if resp.StatusCode() != 200 {
		return fmt.Errorf("status %d: %.200s", resp.StatusCode(), resp.Body())
	}
	if d.o.load == "stream" {
		return d.follow(resp)
	}
	if body := resp.Body(); len(body) != d.o.answer || !bytes.HasSuffix(body, []byte("}")) {
		return fmt.Errorf("%d bytes of answer; want %d: %.200s", len(body), d.o.answer, body)
	}
	return nil
}

// follow reads a stream to its end, and counts its events as they come.
func (d *driver) follow(resp *fasthttp.Response) error {
	stream := resp.BodyStream()
	piece := make([]byte, 16<<10)
	events, last := int64(0), byte(0)
	var tail []byte
	for {
		n, err := stream.Read(piece)
		got := int64(0)
		for _, c := range piece[:n] {
			if c == '\n' && last == '\n' {
				got++
			}
			last = c
		}
		events += got
		d.events.Add(got)
		tail = append(tail, piece[:n]...)
		tail = tail[max(0, len(tail)-16):]
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := resp.CloseBodyStream(); err != nil {
		return err
	}
	if events < int64(d.o.events) || !bytes.HasSuffix(tail, []byte("data: [DONE]\n\n")) {
		return fmt.Errorf("a stream of %d events that ends with %q", events, tail)
	}
	return nil
}
