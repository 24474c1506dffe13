package upstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// S12: the addresses that no name may lead to, in all their spellings, and
// those that self-hosted models live at. What holds an IPv4 address is judged
// by that one.
func TestGuardedAddresses(t *testing.T) {
	f := func(refused bool, addrs ...string) {
		t.Helper()
		for _, addr := range addrs {
			ap := net.JoinHostPort(addr, "80")
			if err := guard("tcp", ap, nil); errors.Is(err, ErrAddressRefused) != refused {
				t.Errorf("%s: got %v, want refused %v", addr, err, refused)
			}
		}
	}
	f(true, "169.254.169.254", "169.254.0.1", "169.254.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.192")
	f(true, "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255")
	f(true, "::", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "feff::1", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42", "fd00:c1::a9fe:a9fe", "fd00:a9fe:a9fe::1", "fd00:100::100:200", "ff02::1")
	f(true, "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:0.0.0.0", "::ffff:100.100.100.200", "::169.254.169.254", "::a9fe:a9fe",
		"::ffff:0:169.254.169.254", "::ffff:0:0.0.0.0", "64:ff9b::0.0.0.0", "64:ff9b::100.100.100.200")
	f(true, "2002:a9fe:a9fe::1", "2002:7f00:1::", "64:ff9b::169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00::", "2001:0:1::1")
	f(true, "name", "", "0177.0.0.1", "2852039166", "0xa9.0xfe.0xa9.0xfe")
	f(false, "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "100.127.255.254", "fd12:3456::1", "fd00::1",
		"::ffff:10.0.0.1", "::ffff:100.64.0.1", "64:ff9b::10.0.0.1", "64:ff9b::100.64.0.1", "::ffff:0:10.0.0.1")
	f(false, "1.1.1.1", "104.18.7.192", "169.253.0.1", "169.255.0.1", "2606:4700::6812:7c0", "2001:db8::1", "64:ff9b::104.18.7.192", "::ffff:104.18.7.192", "223.255.255.255")
}

// S12: the check is of the address that is dialed, each time: a name that
// resolves to something else the second time (rebinding) does not get around
// it, nor does one that has a good address among others.
func TestGuardLooksAtWhatIsDialed(t *testing.T) {
	p := provide(t, answers(ok))
	_, port, _ := net.SplitHostPort(p.ln.Addr().String())
	addrs := []string{"127.0.0.1"}
	toName := func(s *Settings) { s.APIBase = "http://model.example:" + port }
	c := p.client(toName)
	c.dialer.Resolver = resolving(func() []string { return addrs })
	var a Attempt
	if _, _, err := exchange(&a, c, post("{}")); err != nil {
		t.Fatalf("loopback by name: %v", err)
	}
	c.Close()
	f := func(to ...string) {
		t.Helper()
		addrs = to
		_, _, err := exchange(&a, c, post("{}"))
		if e := asError(t, err); !errors.Is(err, ErrAddressRefused) || e.Phase != Connect || e.Sent || strings.Contains(e.Error(), to[0]) {
			t.Errorf("%v: got %v", to, err)
		}
	}
	f("169.254.169.254")
	f("169.254.169.254", "fd00:ec2::254")
	f("0.0.0.0")
	f("64:ff9b::a9fe:a9fe")
	f("::ffff:169.254.169.254")
	f("2002:a9fe:a9fe::1")
	f("64:ff9b:1::a9fe:a9fe", "fec0::1")
	if n := p.conns.Load(); n != 1 {
		t.Errorf("got %d connections, want 1", n)
	}

	lenient := p.client(toName, func(s *Settings) { s.AllowLinkLocal = true })
	lenient.dialer.Resolver = resolving(func() []string { return []string{"0.0.0.0"} })
	if _, _, err := exchange(&a, lenient, post("{}")); err != nil {
		t.Errorf("allowed by the operator: %v", err)
	}
}

// resolving makes a resolver that answers every name with addrs.
func resolving(addrs func() []string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go answerName(theirs, addrs())
		return ours, nil
	}}
}

// answerName answers one query of the DNS, as over TCP.
func answerName(c net.Conn, addrs []string) {
	defer c.Close()
	size := make([]byte, 2)
	if _, err := io.ReadFull(c, size); err != nil {
		return
	}
	m := make([]byte, binary.BigEndian.Uint16(size))
	if _, err := io.ReadFull(c, m); err != nil {
		return
	}
	end := 12 + bytes.IndexByte(m[12:], 0) + 5 // header, name, type, class
	kind := binary.BigEndian.Uint16(m[end-4:])
	m = m[:end]
	m[2], m[3] = 0x81, 0x80               // an answer, recursion available
	copy(m[6:], []byte{0, 0, 0, 0, 0, 0}) // counts of answers and the rest
	for _, a := range addrs {
		ip := netip.MustParseAddr(a)
		if ip.Is4() != (kind == 1) || ip.Is6() != (kind == 28) {
			continue
		}
		m[7]++
		raw := ip.AsSlice()
		m = append(m, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(raw)))
		m = append(m, raw...)
	}
	c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
}
