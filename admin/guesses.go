package admin

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	guessesAllowed = 20
	guessWindow    = 5 * time.Minute
	guessSources   = 4096 // most addresses remembered: some 300 KB
)

// guesses counts wrong admin keys by where they come from. After 20 in five
// minutes further ones are answered 429 until the five minutes are over. What
// keeps the key from being guessed is its length; this keeps the guessing
// cheap for us and visible.
//
// When the table is full a part of it is forgotten. The zero value is ready.
type guesses struct {
	mu      sync.Mutex // guards sources
	sources map[netip.Prefix]*source
}

type source struct {
	wrong int
	until time.Time // when it is forgotten
}

// add counts one wrong key. It answers how long the source must wait, 0 while
// it need not, and whether this is the first that must.
func (g *guesses) add(from net.IP, now time.Time) (wait time.Duration, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.sourceLocked(network(from), now)
	s.wrong++
	if s.wrong <= guessesAllowed {
		return 0, false
	}
	return s.until.Sub(now), s.wrong == guessesAllowed+1
}

// sourceLocked returns the entry of a network, a fresh one if its time is over.
func (g *guesses) sourceLocked(from netip.Prefix, now time.Time) *source {
	if s := g.sources[from]; s != nil && now.Before(s.until) {
		return s
	}
	if g.sources == nil {
		g.sources = map[netip.Prefix]*source{}
	}
	delete(g.sources, from)
	if len(g.sources) >= guessSources {
		g.forgetLocked(now)
	}
	s := &source{until: now.Add(guessWindow)}
	g.sources[from] = s
	return s
}

// forgetLocked makes room: what is over goes and, if that is not much, an
// arbitrary quarter. A quarter at a time, so that a flood of addresses does
// not search the whole table for each.
func (g *guesses) forgetLocked(now time.Time) {
	for from, s := range g.sources {
		if !now.Before(s.until) {
			delete(g.sources, from)
		}
	}
	for from := range g.sources {
		if len(g.sources) <= guessSources*3/4 {
			break
		}
		delete(g.sources, from)
	}
}

// network is the address of an IPv4 client and the /64 of an IPv6 one, who
// has all of it.
func network(ip net.IP) netip.Prefix {
	addr, _ := netip.AddrFromSlice(ip)
	addr = addr.Unmap()
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits)
	return prefix
}
