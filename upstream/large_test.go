package upstream

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"testing"
)

// An answer of any size and any cuts passes in the reader's own buffer: 100 MB,
// lines of 1 MiB, chunks from one byte up.
func TestLargeAnswers(t *testing.T) {
	f := func(name string, total int, chunk func() int) {
		t.Helper()
		sums := make(chan [sha256.Size]byte, 1)
		p := provide(t, func(p *peer) {
			if _, okay := p.request(); !okay {
				return
			}
			p.say(streamHead)
			h := sha256.New()
			line := make([]byte, 1<<20)
			for i := range line {
				line[i] = byte('a' + i*i%26)
			}
			line[len(line)-1] = '\n'
			at := 0
			for left := total; left > 0; {
				n := min(chunk(), left, len(line)-at)
				part := line[at : at+n]
				if fmt.Fprintf(p, "%x\r\n%s\r\n", n, part); at+n == len(line) {
					at = 0
				} else {
					at += n
				}
				h.Write(part)
				left -= n
			}
			p.say(lastChunk)
			sums <- sum(h)
			p.request()
		})
		c := p.client()
		var a Attempt
		if err := a.Send(c, stream("{}")); err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		n, err := io.CopyBuffer(h, onlyReader{&a}, make([]byte, 32<<10))
		a.Close()
		if err != nil || n != int64(total) || sum(h) != <-sums {
			t.Errorf("%s: got %d bytes of %d, or others, and %v", name, n, total, err)
		}
		if s := c.Stats(); s.Idle != 1 {
			t.Errorf("%s: got %+v, want the connection kept", name, s)
		}
		p.stop()
	}
	f("100 MB", 100<<20, func() int { return 1 << 20 })
	f("small chunks", 1<<20, func() int { return 1 + rand.N(200) })
	f("single bytes", 20_000, func() int { return 1 })
	f("odd chunks", 20<<20, func() int { return 1 + rand.N(100_000) })
}

func sum(h hash.Hash) [sha256.Size]byte { return [sha256.Size]byte(h.Sum(nil)) }
