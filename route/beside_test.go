package route

import (
	"context"
	"testing"
	"time"

	"llmproxy/config"
)

// paused is a source that is slow to load, as a database can be.
type paused struct {
	set     *config.Set
	loading chan struct{} // told when a load begins
	resume  chan struct{}
}

func (p *paused) Load(context.Context) (*config.Set, error) {
	p.loading <- struct{}{}
	<-p.resume
	return p.set, nil
}

func (p *paused) Version(context.Context) (int64, time.Time, error) {
	return p.set.Version, time.Time{}, nil
}

// A table is built by whoever reloads, beside the one that serves:
// readers get the old one meanwhile, at once and without an allocation, and the
// new one when it is whole.
func TestTablesAreBuiltBesideTheRequests(t *testing.T) {
	p := &paused{declare("a m=x"), make(chan struct{}), make(chan struct{})}
	p.set.Version = 2
	l := NewLive(newTestBuilder(), p, nil)
	t.Cleanup(l.Close)
	old, err := l.Apply(declare("a m=x"))
	if err != nil {
		t.Fatal(err)
	}
	reloaded := make(chan error, 1)
	go func() {
		_, err := l.Reload(context.Background())
		reloaded <- err
	}()
	<-p.loading
	if n := testing.AllocsPerRun(100, func() {
		if l.Table() != old || l.Table().Route([]byte("m")) == nil {
			t.Error("another table serves during the reload")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a reader", n)
	}
	close(p.resume)
	if err := <-reloaded; err != nil {
		t.Fatal(err)
	}
	if l.Table() == old || l.Table().Version != 2 {
		t.Error("the new table does not serve")
	}
}
