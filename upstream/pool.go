package upstream

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	defaultMaxIdle = 1024
	idleTimeout    = 45 * time.Second
	// maxAge ends connections now and then, so that a provider that moved to
	// other addresses is followed there.
	maxAge = 10 * time.Minute
)

// pool keeps a provider's idle connections, the last used on top.
//
// A mutex rather than a lock-free stack: it is held for a few instructions,
// and the stack would need an allocation per put against the ABA problem.
type pool struct {
	most    int     // lines kept
	surplus Counter // lines that were closed because there were so many; may be nil

	mu      sync.Mutex // guards all below
	lines   []*line    // oldest first
	closed  bool
	janitor *time.Timer // set while lines is not empty
}

// take returns the idle line that was used last, nil if there is none, and how
// many were closed on the way because they had been idle for too long. Whether the
// provider has closed it shows when it is asked.
func (p *pool) take(now int64) (l *line, dead int) {
	for {
		l := p.pop()
		if l == nil || now-l.idleSince < int64(idleTimeout) {
			return l, dead
		}
		l.close()
		dead++
	}
}

func (p *pool) pop() *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.lines)
	if n == 0 {
		return nil
	}
	l := p.lines[n-1]
	p.lines[n-1] = nil
	p.lines = p.lines[:n-1]
	return l
}

// put makes l idle, or closes it: too old, too many, or the pool is closed.
func (p *pool) put(l *line, now int64) {
	l.idleSince = now
	if now >= l.expires || !p.push(l) {
		l.close()
	}
}

func (p *pool) push(l *line) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if len(p.lines) >= p.most {
		if p.surplus != nil {
			p.surplus.Inc()
		}
		return false
	}
	p.lines = append(p.lines, l)
	if p.janitor == nil {
		p.janitor = time.AfterFunc(idleTimeout, p.sweep)
	}
	return true
}

// sweep closes what was idle for too long. It runs on the timer's goroutine
// and comes again only while something is idle.
func (p *pool) sweep() {
	for _, l := range p.expired(clock()) {
		l.close()
	}
}

func (p *pool) expired(now int64) []*line {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	n := 0
	for n < len(p.lines) && now-p.lines[n].idleSince >= int64(idleTimeout) {
		n++
	}
	old := append([]*line(nil), p.lines[:n]...)
	kept := copy(p.lines, p.lines[n:])
	clear(p.lines[kept:])
	p.lines = p.lines[:kept]
	if len(p.lines) == 0 {
		p.janitor = nil
		return old
	}
	p.janitor.Reset(idleTimeout / 3)
	return old
}

// close closes the idle lines; none is kept from now on.
func (p *pool) close() {
	p.mu.Lock()
	lines := p.lines
	p.lines, p.closed = nil, true
	if p.janitor != nil {
		p.janitor.Stop()
		p.janitor = nil
	}
	p.mu.Unlock()
	for _, l := range lines {
		l.close()
	}
}

func (p *pool) idle() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.lines))
}

// lifetime is how long a new connection may be pooled. It differs, so that
// connections of one burst do not end in one burst.
func lifetime() int64 { return int64(maxAge)/2 + rand.Int64N(int64(maxAge)/2) }
