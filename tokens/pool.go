package tokens

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Options are the limits of a Pool; zeros take the defaults.
type Options struct {
	Workers    int   // goroutines [half of the CPUs, at least one]
	Queue      int   // jobs that may wait [1024]
	QueueBytes int64 // that the waiting jobs may hold [64 MiB]
	ExactBytes int   // of each job are counted, the rest is extrapolated [1 MiB]
}

func (o Options) withDefaults() Options {
	if o.Workers <= 0 {
		o.Workers = max(runtime.GOMAXPROCS(0)/2, 1)
	}
	if o.Queue <= 0 {
		o.Queue = 1024
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 64 << 20
	}
	if o.ExactBytes <= 0 {
		o.ExactBytes = 1 << 20
	}
	return o
}

// Job is a prompt and its answer, to be counted.
//
// Once Submit has taken it the pool's goroutines own what it holds. Prompt and
// Completion run on one of them and bring the texts; nil is nothing. Done is
// called once at the end, whatever happens.
type Job struct {
	Model      string
	Size       int // bytes that the job holds until it is done
	Prompt     func(*Tally)
	Completion func(*Tally)
	Done       func(prompt, completion Count)
}

// Pool counts jobs on its goroutines, which live until Close.
type Pool struct {
	options Options
	jobs    chan Job
	held    atomic.Int64 // bytes of the jobs that wait
	panics  atomic.Uint64
	hurry   atomic.Bool // Close's time is up: estimate from now on
	workers sync.WaitGroup

	closing sync.RWMutex // guards closed; Submit reads it, so that jobs is not closed under it
	closed  bool
}

// NewPool starts the goroutines.
func NewPool(o Options) *Pool {
	o = o.withDefaults()
	p := &Pool{options: o, jobs: make(chan Job, o.Queue)}
	for range o.Workers {
		p.workers.Go(p.work)
	}
	return p
}

// Submit hands a job over. It never waits: false means that the queue is full
// or the pool closed, and that the job is still the caller's, who estimates.
func (p *Pool) Submit(j Job) bool {
	p.closing.RLock()
	defer p.closing.RUnlock()
	if p.closed {
		return false
	}
	if p.held.Add(int64(j.Size)) <= p.options.QueueBytes {
		select {
		case p.jobs <- j:
			return true
		default:
		}
	}
	p.held.Add(-int64(j.Size))
	return false
}

// TooLarge reports whether a job of so many bytes is refused even by an empty
// queue.
func (p *Pool) TooLarge(size int) bool { return int64(size) > p.options.QueueBytes }

// Queued is the number of jobs that wait.
func (p *Pool) Queued() int { return len(p.jobs) }

// Panics is how often the counting went wrong; what it was is estimated.
func (p *Pool) Panics() uint64 { return p.panics.Load() }

// Close takes no more jobs and returns when all are done. What ctx leaves no
// time for is estimated.
func (p *Pool) Close(ctx context.Context) {
	p.closing.Lock()
	if !p.closed {
		p.closed = true
		close(p.jobs)
	}
	p.closing.Unlock()
	stop := context.AfterFunc(ctx, func() { p.hurry.Store(true) })
	defer stop()
	p.workers.Wait()
}

func (p *Pool) work() {
	var counter Counter
	for j := range p.jobs {
		p.do(j, &counter)
		p.held.Add(-int64(j.Size))
	}
}

// do counts one job. Its budget of exact bytes serves the prompt first.
func (p *Pool) do(j Job, c *Counter) {
	budget := p.options.ExactBytes
	if p.hurry.Load() {
		budget = 0
	}
	prompt := p.tally(newTally(c, j.Model, &budget), j.Prompt)
	completion := p.tally(newTally(c, j.Model, &budget), j.Completion)
	p.finish(func() { j.Done(prompt, completion) })
}

// tally runs one half of a job. If that panics, what it had brought counts.
func (p *Pool) tally(t *Tally, bring func(*Tally)) Count {
	if bring == nil {
		return Count{}
	}
	if !p.finish(func() { bring(t) }) {
		t.estimated = true
	}
	p.panics.Add(t.panics)
	return t.Count()
}

// finish runs f and reports whether it came to its end; a panic is counted.
func (p *Pool) finish(f func()) (ok bool) {
	defer func() {
		if recover() != nil {
			p.panics.Add(1)
		}
	}()
	f()
	return true
}
