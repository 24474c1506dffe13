package overload

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What has arrived and stands in the kernel's list of what is ready counts, not
// only what the runtime has taken from there: on a busy gateway most of the
// waiting is done there.
func TestProbeWaitsWithTheSockets(t *testing.T) {
	p, err := newProbe()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if d := p.delay(); d != 0 {
		t.Errorf("delay %v before anything was sent", d)
	}
	// With more than one, a processor that has nothing to do takes the probe from
	// the list while another works through what it took before.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const n = 600
	var late atomic.Int64
	l := newLine(t, n, func() {
		if p.arrivals() > 0 {
			late.Add(1)
		}
		spin(200 * time.Microsecond)
	})
	l.arrive()
	p.send() // behind all of them
	l.served.Wait()
	// The runtime takes 128 at a time from the kernel's list: those that are
	// taken together with the probe may run after it.
	if late.Load() > n/2 {
		t.Errorf("the probe overtook %d of %d that were there before it", late.Load(), n)
	}
	for p.arrivals() == 0 {
		<-time.After(time.Millisecond)
	}
	if d := p.delay(); d <= 0 {
		t.Errorf("delay %v", d)
	}
	if d := p.delay(); d != 0 {
		t.Errorf("delay %v when nothing was sent", d)
	}
}

// A probe that does not arrive is a delay as long as it is on its way.
func TestProbeOnItsWay(t *testing.T) {
	p, err := newProbe()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	p.mu.Lock()
	p.began = time.Now().Add(-time.Second)
	p.mu.Unlock()
	p.send() // no second one
	if d := p.delay(); d < time.Second {
		t.Errorf("delay %v", d)
	}
	p.arrived(time.Now())
	if d := p.delay(); d < time.Second || p.arrivals() != 0 {
		t.Errorf("delay %v", d)
	}
}

// arrivals is how many bytes have arrived since the last delay.
func (p *probe) arrivals() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

// line is pipes, each of which somebody waits at, to work when a byte has come.
type line struct {
	in     []*os.File
	served sync.WaitGroup
}

// newLine returns when all wait.
func newLine(t *testing.T, n int, work func()) *line {
	l := &line{}
	var here sync.WaitGroup
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close(); r.Close() })
		l.in = append(l.in, w)
		here.Add(1)
		l.served.Go(func() {
			here.Done() // and on to Read: nobody else runs meanwhile
			var b [1]byte
			r.Read(b[:])
			work()
		})
	}
	here.Wait()
	return l
}

func (l *line) arrive() {
	for _, w := range l.in {
		w.Write([]byte{0})
	}
}

func spin(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
		_ = began
	}
}
