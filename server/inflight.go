package server

import (
	"sync"
	"sync/atomic"
)

// inflight knows the exchanges that wait for a provider, so that a drain can
// end them. It is sharded: an exchange keeps its shard for life, so two
// requests rarely meet at a lock, and nobody meets the drain.
type inflight struct {
	next   atomic.Uint32
	shards [64]inflightShard
}

type inflightShard struct {
	mu  sync.Mutex // guards all, and the slots of those in it
	all []*exchange
	_   [64]byte // keeps the locks of two shards out of one cache line
}

func (f *inflight) newShard() int { return int(f.next.Add(1)) % len(f.shards) }

func (f *inflight) add(x *exchange) {
	s := &f.shards[x.shard]
	s.mu.Lock()
	x.slot = len(s.all)
	s.all = append(s.all, x)
	s.mu.Unlock()
}

// remove forgets the exchange, if it is in flight.
func (f *inflight) remove(x *exchange) {
	s := &f.shards[x.shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.slot < 0 { // looked at under the lock: whoever leaves moves another's slot
		return
	}
	last := len(s.all) - 1
	s.all[x.slot] = s.all[last]
	s.all[x.slot].slot = x.slot
	s.all[last] = nil
	s.all = s.all[:last]
	x.slot = -1
}

// stop ends every exchange in flight.
func (f *inflight) stop(r stopReason) {
	for i := range f.shards {
		s := &f.shards[i]
		s.mu.Lock()
		for _, x := range s.all {
			x.stop(r)
		}
		s.mu.Unlock()
	}
}
