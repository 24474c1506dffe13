package upstream

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	nameExists  = 0
	nameUnknown = 3 // NXDOMAIN

	nameHost = "provider.test"
)

// names is a name server on UDP that knows one IPv4 address, whoever asks for
// whatever name, or none.
type names struct {
	t    *testing.T
	conn net.PacketConn
	wait sync.WaitGroup

	mu    sync.Mutex // guards what follows
	ip    net.IP     // nil: the name does not exist
	held  chan struct{}
	asked int
}

func startNames(t *testing.T, ip string) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &names{t: t, conn: conn, held: make(chan struct{})}
	close(n.held)
	n.set(ip)
	n.wait.Go(n.serve)
	t.Cleanup(func() {
		n.letGo()
		conn.Close()
		n.wait.Wait()
	})
	return n
}

// set changes the address; "" takes the name away.
func (n *names) set(ip string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ip = net.ParseIP(ip).To4()
}

// hold keeps questions from being answered until letGo.
func (n *names) hold() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = make(chan struct{})
}

func (n *names) letGo() {
	n.mu.Lock()
	defer n.mu.Unlock()
	select {
	case <-n.held:
	default:
		close(n.held)
	}
}

func (n *names) serve() {
	for {
		question := make([]byte, 1500)
		size, from, err := n.conn.ReadFrom(question)
		if err != nil {
			return
		}
		n.mu.Lock()
		n.asked++
		held := n.held
		n.mu.Unlock()
		n.wait.Go(func() {
			<-held
			if answer := n.answer(question[:size]); answer != nil {
				_, _ = n.conn.WriteTo(answer, from) // who asked may be gone
			}
		})
	}
}

// answer makes the message of RFC 1035 for a question: its header and its only
// question again, and an address if one of IPv4 was asked for.
func (n *names) answer(question []byte) []byte {
	const header = 12
	end := header
	for end < len(question) && question[end] != 0 {
		end += 1 + int(question[end])
	}
	end += 5 // the root, the type and the class
	if end > len(question) {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	wantsIPv4 := binary.BigEndian.Uint16(question[end-4:]) == 1
	a := append([]byte(nil), question[:end]...)
	code, answers := byte(nameExists), byte(0)
	switch {
	case n.ip == nil:
		code = nameUnknown
	case wantsIPv4:
		answers = 1
		a = append(a, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4) // the name above, A, IN, for a second, four bytes
		a = append(a, n.ip...)
	}
	a[2], a[3] = 0x84, code // an answer, from who knows
	copy(a[4:header], []byte{0, 1, 0, answers, 0, 0, 0, 0})
	return a
}

// client makes a client that knows the provider by name alone.
func (n *names) client(p *provider, connect time.Duration) *Client {
	_, port, _ := net.SplitHostPort(p.ln.Addr().String())
	c := p.client(func(s *Settings) {
		s.APIBase = "http://" + nameHost + ":" + port
		s.Timeouts.Connect = connect
	})
	c.dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", n.conn.LocalAddr().String())
	}}
	return c
}

// twoAddresses starts providers on one port of two addresses.
func twoAddresses(t *testing.T, one, two func(*peer)) (first, second *provider) {
	t.Helper()
	for range 20 {
		a, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(a.Addr().String())
		b, err := net.Listen("tcp", "127.0.0.2:"+port)
		if err == nil {
			return provideOn(t, a, one), provideOn(t, b, two)
		}
		a.Close()
	}
	t.Skip("this machine has no 127.0.0.2")
	return nil, nil
}

// R51: a provider whose name points elsewhere is asked there by the next
// connection; what runs on an old one runs on to its end.
func TestNameThatMoves(t *testing.T) {
	goOn := make(chan struct{})
	first, second := twoAddresses(t, func(p *peer) {
		p.request()
		p.say(streamHead + "5\r\n:one\n\r\n")
		<-goOn
		p.say("5\r\n:two\n\r\n" + lastChunk)
		p.left()
	}, answers(ok))
	n := startNames(t, "127.0.0.1")
	c := n.client(first, 5*time.Second)

	var running, next Attempt
	if err := running.Send(c, stream("{}")); err != nil {
		t.Fatal(err)
	}
	n.set("127.0.0.2")
	if _, _, err := exchange(&next, c, post("{}")); err != nil {
		t.Fatal(err)
	}
	if got := second.conns.Load(); got != 1 {
		t.Errorf("the new address got %d connections, want 1", got)
	}
	n.set("") // a name that is gone ends nothing either
	close(goOn)
	running.Await(Event)
	if got, err := read(&running); err != nil || got != ":one\n:two\n" {
		t.Errorf("the running stream: %q, %v", got, err)
	}
	running.Close()
	if got := first.conns.Load(); got != 1 {
		t.Errorf("the old address got %d connections, want 1", got)
	}
}

// R51: without a name no connection is made, which is known at once and may be
// tried elsewhere; connections that are there serve on.
func TestNameThatIsGone(t *testing.T) {
	p := provide(t, answers(ok))
	n := startNames(t, "127.0.0.1")
	c := n.client(p, 5*time.Second)
	var a Attempt
	if _, _, err := exchange(&a, c, post("{}")); err != nil {
		t.Fatal(err)
	}
	n.set("")
	if _, _, err := exchange(&a, c, post("{}")); err != nil {
		t.Errorf("on a connection that was there: %v", err)
	}
	c.pool.pop().close()
	began := time.Now()
	_, _, err := exchange(&a, c, post("{}"))
	if e := asError(t, err); e.Phase != Connect || e.Sent || e.Timeout || strings.Contains(e.Error(), nameHost) {
		t.Errorf("got %v %#v", e, e)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("an unknown name was noticed after %v", took)
	}
	n.set("127.0.0.1")
	if _, _, err := exchange(&a, c, post("{}")); err != nil {
		t.Errorf("with the name back: %v", err)
	}
}

// R51: a name server that takes its time holds a request up for the connect
// limit and no longer, and many requests do not ask it many times.
func TestNameThatTakesLong(t *testing.T) {
	const limit = 200 * time.Millisecond
	p := provide(t, answers(ok))
	n := startNames(t, "127.0.0.1")
	c := n.client(p, limit)
	n.hold()
	var asking sync.WaitGroup
	for range 20 {
		asking.Go(func() {
			var a Attempt
			began := time.Now()
			_, _, err := exchange(&a, c, post("{}"))
			took := time.Since(began)
			if e, _ := err.(*Error); e == nil || e.Phase != Connect || !e.Timeout || e.Sent {
				t.Errorf("got %v", err)
			}
			if took < limit-limit/10 || took > limit+2*time.Second {
				t.Errorf("held up for %v, want %v", took, limit)
			}
		})
	}
	asking.Wait()
	n.mu.Lock()
	if n.asked > 10 { // for two kinds of address each; who comes late may ask once more
		t.Errorf("20 requests asked %d questions", n.asked)
	}
	n.mu.Unlock()
	if got := p.conns.Load(); got != 0 {
		t.Errorf("%d connections without an address", got)
	}
	n.letGo()
	c.settings.Timeouts.Connect = 5 * time.Second
	var a Attempt
	if _, _, err := exchange(&a, c, post("{}")); err != nil {
		t.Errorf("with answers again: %v", err)
	}
}
