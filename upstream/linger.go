package upstream

import "time"

// A stream's consumer is through at its last event, but the answer ends with
// the empty chunk after it, which many servers write a moment later. Closing
// at once would cost a new connection, TLS handshake and all, for every stream;
// waiting in Close would cost the client's time. So an unread end that is not
// there yet is awaited aside, for no longer than a provider may go on working
// for a client that left.
const (
	lingerTime   = 30 * time.Millisecond
	lingerBytes  = 4 << 10
	maxLingering = 256 // a client; above, connections are closed at once
)

// linger waits for the end of a body that nobody reads any more on a goroutine
// of its own, and keeps the line if it comes in time.
func (c *Client) linger(l *line, b body) {
	if c.lingering.Add(1) > maxLingering {
		c.lingering.Add(-1)
		l.drop()
		return
	}
	go func() {
		defer c.lingering.Add(-1)
		by := clock() + int64(lingerTime)
		ended := b.drain(func(p []byte) (int, error) { return l.read(p, clock(), by) })
		if !ended {
			l.drop()
			return
		}
		c.counters.lingered.Add(1)
		c.keep(l)
	}()
}

// drain reads a short rest of a body away and reports whether it ended there.
func (b *body) drain(read func(p []byte) (int, error)) bool {
	scrap := acquireBuffer(0)
	defer scrap.release()
	for got := 0; !b.done && got < lingerBytes; {
		n, err := read(b.room(scrap.b))
		if n == 0 && err != nil {
			return false
		}
		if _, err := b.decode(scrap.b[:n]); err != nil {
			return false
		}
		got += n
	}
	return b.reusable()
}

// skim takes what is there of an unread body, without waiting for more.
func (a *Attempt) skim() {
	if len(a.rest) > lingerBytes || !a.body.near() {
		return
	}
	if _, err := a.body.decode(a.rest); err != nil {
		a.hurt = true
		return
	}
	a.rest = nil
	a.body.drain(a.line.readNow)
}

// keep gives a line whose last answer ended cleanly back to the pool.
func (c *Client) keep(l *line) {
	if l.tls != nil && !l.settled() {
		l.drop()
		return
	}
	c.pool.put(l, clock())
}
