package ratelimit

import "sync"

// Buckets holds the buckets of all client keys, by the id of the credential.
//
// It is asked when a routing table is built, which then holds the *Bucket: no
// request comes here, so a short lock on one of its shards is all it takes.
type Buckets struct {
	shards [64]shard
}

type shard struct {
	mu      sync.Mutex // guards buckets
	buckets map[int64]*Bucket
}

// NewBuckets makes an empty Buckets.
func NewBuckets() *Buckets {
	m := new(Buckets)
	for i := range m.shards {
		m.shards[i].buckets = map[int64]*Bucket{}
	}
	return m
}

// Get returns the bucket of a credential: the same one for the same rate, and
// for another rate a new one that goes on with what is used. Requests in flight
// keep the bucket of the table they began with. (What they take from now on is
// not known to the new one; when its table is then not taken into service, what
// is used in between is forgotten once. Both is less than a burst.)
func (m *Buckets) Get(id, perSecond int64) *Bucket {
	perSecond = min(max(perSecond, 0), MaxRate)
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[id]
	switch {
	case b == nil:
		b = newBucket(perSecond)
	case b.limit != perSecond:
		b = b.withLimit(perSecond)
	}
	s.buckets[id] = b
	return b
}

// Keep forgets the buckets of the credentials that keep does not name. Tables
// that still have them may go on using them.
func (m *Buckets) Keep(keep func(id int64) bool) {
	for i := range m.shards {
		m.shards[i].keep(keep)
	}
}

func (s *shard) keep(keep func(id int64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.buckets {
		if !keep(id) {
			delete(s.buckets, id)
		}
	}
}

// Len is the number of buckets.
func (m *Buckets) Len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.buckets)
		s.mu.Unlock()
	}
	return n
}

// shard spreads ids, which a database counts up, by their low bits.
func (m *Buckets) shard(id int64) *shard { return &m.shards[uint64(id)%uint64(len(m.shards))] }
