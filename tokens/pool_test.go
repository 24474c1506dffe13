package tokens

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type result struct{ prompt, completion Count }

func text(s string) func(*Tally) { return func(t *Tally) { t.Text([]byte(s)) } }

func TestPoolCounts(t *testing.T) {
	p := NewPool(Options{})
	defer p.Close(context.Background())
	f := func(job Job, want result) {
		t.Helper()
		done := make(chan result, 1)
		job.Done = func(prompt, completion Count) { done <- result{prompt, completion} }
		if !p.Submit(job) {
			t.Fatal("refused")
		}
		if got := <-done; got != want {
			t.Errorf("%s: got %+v, want %+v", job.Model, got, want)
		}
	}
	f(Job{Model: "gpt-4o", Prompt: text("2 + 2 = 4"), Completion: text("tiktoken is great!")},
		result{Count{Tokens: 7}, Count{Tokens: 6}})
	f(Job{Model: "text-embedding-3-small", Prompt: text("お誕生日おめでとう")}, result{Count{Tokens: 9}, Count{}})
	f(Job{Model: "gpt-4o"}, result{})

	// An unknown model's tokens are not o200k's.
	f(Job{Model: "claude", Prompt: text("2 + 2 = 4")}, result{prompt: Count{Tokens: 7, Estimated: true}})
}

// The budget of exact bytes belongs to the job: prompt and answer share it.
func TestExactBytes(t *testing.T) {
	p := NewPool(Options{ExactBytes: 1000})
	defer p.Close(context.Background())
	done := make(chan result)
	p.Submit(Job{
		Model: "gpt-4o", Prompt: text(strings.Repeat("word ", 200)), Completion: text(strings.Repeat("word ", 200)),
		Done: func(prompt, completion Count) { done <- result{prompt, completion} },
	})
	want := result{Count{Tokens: 201}, Count{Tokens: 250, Estimated: true}}
	if got := <-done; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// blocked is a pool whose only worker is busy until release is called.
func blocked(o Options) (p *Pool, release func()) {
	o.Workers = 1
	p = NewPool(o)
	working, wait := make(chan struct{}), make(chan struct{})
	p.Submit(Job{Prompt: func(*Tally) { close(working); <-wait }, Done: func(Count, Count) {}})
	<-working
	return p, func() { close(wait) }
}

// A full queue refuses at once, and what it has taken it counts.
func TestQueueIsBounded(t *testing.T) {
	p, release := blocked(Options{Queue: 3})
	var done atomic.Int64
	job := Job{Model: "gpt-4o", Prompt: text("a"), Done: func(Count, Count) { done.Add(1) }}
	for i := range 3 {
		if !p.Submit(job) {
			t.Errorf("job %d refused", i)
		}
	}
	if p.Submit(job) {
		t.Error("a job found room in a full queue")
	}
	if n := p.Queued(); n != 3 {
		t.Errorf("%d jobs wait, want 3", n)
	}
	release()
	p.Close(context.Background())
	if n := done.Load(); n != 3 {
		t.Errorf("%d jobs were done, want 3", n)
	}
}

// So does a queue that holds too many bytes.
func TestQueueBytesAreBounded(t *testing.T) {
	p, release := blocked(Options{QueueBytes: 100})
	job := func(size int) Job { return Job{Size: size, Done: func(Count, Count) {}} }
	f := func(size int, want bool) {
		t.Helper()
		if got := p.Submit(job(size)); got != want {
			t.Errorf("job of %d bytes with %d held: taken is %t, want %t", size, p.held.Load(), got, want)
		}
	}
	f(101, false)
	f(60, true)
	f(60, false)
	f(40, true)
	f(1, false)
	f(0, true)
	release()
	p.Close(context.Background())
	if n := p.held.Load(); n != 0 {
		t.Errorf("%d bytes are still held", n)
	}
	if !p.TooLarge(101) || p.TooLarge(100) {
		t.Error("TooLarge is wrong")
	}
}

func TestClosedPoolRefuses(t *testing.T) {
	p := NewPool(Options{})
	p.Close(context.Background())
	p.Close(context.Background()) // twice is as good
	if p.Submit(Job{Done: func(Count, Count) {}}) {
		t.Error("a closed pool took a job")
	}
}

// When the time to shut down is up, everything that waits is estimated and done.
func TestCloseInAHurry(t *testing.T) {
	p, release := blocked(Options{})
	var estimated atomic.Int64
	for range 100 {
		p.Submit(Job{Model: "gpt-4o", Prompt: text(strings.Repeat("word ", 80)), Done: func(prompt, _ Count) {
			if prompt == (Count{Tokens: 100, Estimated: true}) {
				estimated.Add(1)
			}
		}})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	closed := make(chan struct{})
	go func() { p.Close(ctx); close(closed) }()
	for !p.hurry.Load() { // set by Close, which waits for the worker
		runtime.Gosched()
	}
	release()
	<-closed
	if n := estimated.Load(); n != 100 {
		t.Errorf("%d jobs were estimated, want 100", n)
	}
}

// A panic, whoever's, ends neither the worker nor the job: Done is called.
func TestPanics(t *testing.T) {
	p := NewPool(Options{Workers: 1})
	done := make(chan result, 1)
	report := func(prompt, completion Count) { done <- result{prompt, completion} }
	p.Submit(Job{Model: "gpt-4o", Prompt: func(t *Tally) { t.Message(); panic("odd body") }, Completion: text("a"), Done: report})
	if got, want := <-done, (result{Count{Tokens: 3, Estimated: true}, Count{Tokens: 1}}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p.Submit(Job{Model: "gpt-4o", Done: func(Count, Count) { panic("odd sink") }})
	p.Submit(Job{Model: "gpt-4o", Prompt: text("a"), Done: report})
	if got, want := <-done, (result{prompt: Count{Tokens: 1}}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p.Close(context.Background())
	if n := p.Panics(); n != 2 {
		t.Errorf("%d panics were counted, want 2", n)
	}
}

// Every job that was taken is done once, while many submit and one closes.
func TestEveryJobIsDoneOnce(t *testing.T) {
	p := NewPool(Options{Workers: 2, Queue: 8})
	var taken, done atomic.Int64
	var crowd sync.WaitGroup
	half := make(chan struct{})
	for g := range 4 {
		crowd.Go(func() {
			for i := range 200 {
				if g == 0 && i == 100 {
					close(half)
				}
				if p.Submit(Job{
					Model: fmt.Sprint("gpt-", 3+i%3), Size: i, Prompt: text("some words"),
					Done: func(Count, Count) { done.Add(1) },
				}) {
					taken.Add(1)
				}
			}
		})
	}
	<-half
	p.Close(context.Background())
	crowd.Wait()
	if taken.Load() != done.Load() || taken.Load() == 0 {
		t.Errorf("%d jobs taken, %d done", taken.Load(), done.Load())
	}
	if n := p.held.Load(); n != 0 {
		t.Errorf("%d bytes are still held", n)
	}
}
