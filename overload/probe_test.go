package overload

import (
	"os"
	"sync"
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
	l := newLine(t, 600)
	l.arrive()
	p.send() // behind all of them
	sent := time.Now()
	l.served.Wait()
	all := time.Since(sent)
	for !p.idle() {
		<-time.After(time.Millisecond)
	}
	if d := p.delay(); d < all/2 {
		t.Errorf("the probe took %v, those before it %v", d, all)
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
	if d := p.delay(); d < time.Second || !p.idle() {
		t.Errorf("delay %v", d)
	}
}

func (p *probe) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.began.IsZero()
}

// line is pipes, each of which somebody waits at, to do some work when a byte
// has come.
type line struct {
	in     []*os.File
	served sync.WaitGroup
}

func newLine(t *testing.T, n int) *line {
	l := &line{}
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close(); r.Close() })
		l.in = append(l.in, w)
		l.served.Go(func() {
			var b [1]byte
			r.Read(b[:])
			spin(200 * time.Microsecond)
		})
	}
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
