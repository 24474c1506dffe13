package store_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"testing"

	"llmproxy/internal/pgtest"
	"llmproxy/store"
	"llmproxy/usage"
)

// cutter carries connections to a database, and cuts each after a number of
// bytes that the database answered, wherever that is, and every other one when
// it says that it committed, instead of that.
type cutter struct {
	ln     net.Listener
	target string
	done   sync.WaitGroup

	mu     sync.Mutex // guards random
	random *rand.Rand
}

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	at, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{ln: ln, target: at.Host, random: rand.New(rand.NewPCG(3, 4))}
	c.done.Go(c.accept)
	t.Cleanup(func() { ln.Close(); c.done.Wait() })
	return c
}

func (c *cutter) url(target string) string {
	at, _ := url.Parse(target)
	at.Host = c.ln.Addr().String()
	return at.String()
}

func (c *cutter) accept() {
	for {
		near, err := c.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.target)
		if err != nil {
			near.Close()
			continue
		}
		most, deaf := c.temper()
		c.done.Go(func() { c.carry(far, near, 1<<40, false) })
		c.done.Go(func() { c.carry(near, far, most, deaf) })
	}
}

// temper is how many bytes of answers a connection lives for (its beginning
// takes some 400, a batch about as many), and whether it may hear of a commit.
func (c *cutter) temper() (bytes int, deaf bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return 700 + c.random.IntN(3000), c.random.IntN(2) == 0
}

func (c *cutter) carry(to, from net.Conn, most int, deaf bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 4096)
	for most > 0 {
		n, err := from.Read(buf[:min(len(buf), most)])
		if deaf && bytes.Contains(buf[:n], []byte("COMMIT\x00")) {
			return
		}
		if _, writeErr := to.Write(buf[:n]); err != nil || writeErr != nil {
			return
		}
		most -= n
	}
}

// R38: over connections that break at any moment, the answers to commits
// included, every record comes into PostgreSQL once, and once into the sums,
// though what is shipped again has grown, or shrunk, meanwhile.
func TestUsageOverConnectionsThatBreak(t *testing.T) {
	direct := postgresHome(t, pgtest.New(t))
	direct.usage(t, 30)
	c := newCutter(t, direct.options.URL)
	h := &home{options: store.Options{URL: c.url(direct.options.URL)}}
	u := store.OpenUsage(h.openBare(t), store.UsageOptions{Days: 30})
	t.Cleanup(u.Close)

	const all = 1500
	records := drawUsage(all, 1)
	random := rand.New(rand.NewPCG(5, 6))
	failed, already := 0, 0
	for at := int64(0); at < all; {
		b := usage.Batch{Journal: 5, From: at, To: min(all, at+1+random.Int64N(80))}
		b.Records = records[b.From:b.To]
		done, err := u.Ship(ctx(t), b)
		switch {
		case err != nil && !errors.Is(err, store.ErrUnavailable):
			t.Fatal(err)
		case err != nil:
			failed++
			continue
		case done.Already:
			already++
		}
		at = done.Position
	}

	var rows, ids, sum int
	if err := direct.hand.QueryRow("SELECT count(*), count(DISTINCT request_id), (SELECT sum(requests) FROM usage_hourly) FROM usage_records").Scan(&rows, &ids, &sum); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d calls failed, %d were answered that it was there already", failed, already)
	if rows != all || ids != all || sum != all {
		t.Errorf("%d rows of %d requests, %d in the sums, want %d", rows, ids, sum, all)
	}
	if failed == 0 || already == 0 {
		t.Error("nothing broke, or never at a commit")
	}
}
