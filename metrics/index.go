package metrics

import (
	"maps"
	"sync/atomic"
)

// requestIndex finds the Requests of a Key without a lock: a change copies one
// of its shards, so that the first request of each key pays for little.
type requestIndex struct {
	shards [64]atomic.Pointer[map[Key]*Requests]
}

func (x *requestIndex) init() {
	for i := range x.shards {
		x.shards[i].Store(&map[Key]*Requests{})
	}
}

func (x *requestIndex) get(k Key) *Requests { return (*x.shard(k).Load())[k] }

// addLocked needs Registry.mu.
func (x *requestIndex) addLocked(k Key, q *Requests) {
	shard := x.shard(k)
	old := *shard.Load()
	m := make(map[Key]*Requests, len(old)+1)
	for k, q := range old {
		m[k] = q
	}
	m[k] = q
	shard.Store(&m)
}

// removeLocked forgets what drop says; it needs Registry.mu.
func (x *requestIndex) removeLocked(drop func(*Requests) bool) {
	for i := range x.shards {
		old := *x.shards[i].Load()
		var m map[Key]*Requests // a copy, once there is something to drop
		for k, q := range old {
			if !drop(q) {
				continue
			}
			if m == nil {
				m = maps.Clone(old)
			}
			delete(m, k)
		}
		if m != nil {
			x.shards[i].Store(&m)
		}
	}
}

// all returns every Requests, in no order.
func (x *requestIndex) all() []*Requests {
	n := 0
	for i := range x.shards {
		n += len(*x.shards[i].Load())
	}
	all := make([]*Requests, 0, n)
	for i := range x.shards {
		for _, q := range *x.shards[i].Load() {
			all = append(all, q)
		}
	}
	return all
}

func (x *requestIndex) shard(k Key) *atomic.Pointer[map[Key]*Requests] {
	// Multiplying by odd constants and taking the top bits spreads small
	// numbers well; FNV's prime and the golden ratio are as good as any.
	const prime, golden = 0x100000001b3, 0x9e3779b97f4a7c15
	h := uint64(k.Method)
	for _, l := range [...]Label{k.Endpoint, k.Model, k.Provider, k.APIKey} {
		h = (h ^ uint64(l)) * prime
	}
	return &x.shards[h*golden>>58]
}
