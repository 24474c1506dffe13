//go:build unix && !linux

package downstream

import "time"

// transferIO is empty where the net package reads and writes.
type transferIO struct{}

// writePiece is what must be taken within WriteTimeout.
const writePiece = 64 << 10

func (c *Conn) prepare() {}

func (c *Conn) read(p []byte) (int, error) { return c.tcp.Read(p) }

func (c *Conn) Write(p []byte) (int, error) {
	n := 0
	for {
		if d := c.ln.options.WriteTimeout; d > 0 {
			c.expectProgress(time.Now().Add(d))
		}
		m, err := c.tcp.Write(p[n:min(n+writePiece, len(p))])
		n += m
		if err != nil {
			c.noteStall(err)
		}
		if err != nil || n == len(p) {
			return n, err
		}
	}
}
