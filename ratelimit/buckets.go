package ratelimit

import "sync"

// Buckets holds what limits each client key, by the id of its credential: its
// bucket of requests, its allowance of tokens, its seats.
//
// It is asked when a routing table is built, which then holds what it was
// given: no request comes here, so a short lock on one of its shards is all it
// takes.
type Buckets struct {
	shards [64]shard
}

type shard struct {
	mu   sync.Mutex // guards keys
	keys map[int64]*limits
}

// limits are one key's; nil where it has never had one.
type limits struct {
	bucket    *Bucket
	allowance *Allowance
	seats     *Seats
	typical   *Typical
}

// NewBuckets makes an empty Buckets.
func NewBuckets() *Buckets {
	m := new(Buckets)
	for i := range m.shards {
		m.shards[i].keys = map[int64]*limits{}
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
	of := s.of(id)
	switch {
	case of.bucket == nil:
		of.bucket = newBucket(perSecond)
	case of.bucket.limit != perSecond:
		of.bucket = of.bucket.withLimit(perSecond)
	}
	return of.bucket
}

// Allowance returns the allowance of a credential: always the same one, whose
// limit is changed for all who hold it.
func (m *Buckets) Allowance(id, perMinute int64) *Allowance {
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of(id)
	if of.allowance == nil {
		of.allowance = newAllowance(perMinute)
	}
	of.allowance.setLimit(perMinute)
	return of.allowance
}

// Seats returns the seats of a credential: always the same ones. Whoever sits
// when there are fewer all at once stays.
func (m *Buckets) Seats(id, atOnce int64) *Seats {
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of(id)
	if of.seats == nil {
		of.seats = new(Seats)
	}
	of.seats.limit.Store(max(atOnce, 0))
	return of.seats
}

// Typical returns what is known of the answers to a credential.
func (m *Buckets) Typical(id int64) *Typical {
	s := m.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.of(id)
	if of.typical == nil {
		of.typical = new(Typical)
	}
	return of.typical
}

// of returns the limits of a credential. The caller holds mu.
func (s *shard) of(id int64) *limits {
	l := s.keys[id]
	if l == nil {
		l = new(limits)
		s.keys[id] = l
	}
	return l
}

// Keep forgets the credentials that keep does not name. Tables that still have
// their limits may go on using them.
func (m *Buckets) Keep(keep func(id int64) bool) {
	for i := range m.shards {
		m.shards[i].keep(keep)
	}
}

func (s *shard) keep(keep func(id int64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.keys {
		if !keep(id) {
			delete(s.keys, id)
		}
	}
}

// Len is the number of credentials that have limits.
func (m *Buckets) Len() int {
	n := 0
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		n += len(s.keys)
		s.mu.Unlock()
	}
	return n
}

// shard spreads ids, which a database counts up, by their low bits.
func (m *Buckets) shard(id int64) *shard { return &m.shards[uint64(id)%uint64(len(m.shards))] }
