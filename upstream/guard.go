package upstream

import (
	"fmt"
	"net/netip"
	"syscall"
)

// refused are the addresses that no provider has, but that a name could be
// made to resolve to: the metadata services of clouds, which hand out
// credentials to whoever asks from the right machine, and other spellings of
// them. Loopback and private ranges (10/8, 172.16/12, 192.168/16, fc00::/7) and
// 100.64/10, which Tailscale and carriers use, are where self-hosted models
// live: they are not in the list. SECURITY.md tells operators.
var refused = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),          // "this host": a connect to 0.0.0.0 reaches the loopback
	netip.MustParsePrefix("169.254.0.0/16"),     // link-local: metadata of AWS, Azure, GCP and most others
	netip.MustParsePrefix("100.100.100.200/32"), // metadata of Alibaba Cloud
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure's wire server
	netip.MustParsePrefix("192.0.0.192/32"),     // metadata of Oracle Cloud
	netip.MustParsePrefix("224.0.0.0/4"),        // multicast
	netip.MustParsePrefix("240.0.0.0/4"),        // reserved, broadcast

	netip.MustParsePrefix("::/128"),
	netip.MustParsePrefix("fe80::/10"),              // link-local
	netip.MustParsePrefix("fec0::/10"),              // site-local, withdrawn by RFC 3879
	netip.MustParsePrefix("fd00:ec2::/32"),          // metadata of AWS
	netip.MustParsePrefix("ff00::/8"),               // multicast
	netip.MustParsePrefix("64:ff9b:1::/48"),         // local NAT64, RFC 8215: holds an IPv4 address somewhere
	netip.MustParsePrefix("2002::/16"),              // 6to4, withdrawn by RFC 7526
	netip.MustParsePrefix("2001::/32"),              // Teredo
	netip.MustParsePrefix("fd20:ce::254/128"),       // metadata of GCP
	netip.MustParsePrefix("fd00:a9fe:a9fe::1/128"),  // metadata of Akamai (Linode)
	netip.MustParsePrefix("fd00:100::100:200/128"),  // metadata of Alibaba Cloud
	netip.MustParsePrefix("fd00:42::42/128"),        // metadata of Scaleway
	netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), // metadata of Oracle Cloud
}

var (
	nat64        = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052: how IPv6-only networks reach IPv4
	v4compatible = netip.MustParsePrefix("::/96")           // RFC 4291, withdrawn; ::1 lies in it
	v4translated = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765, of stateless translators
)

// guard refuses a connection by the address it would really go to. It runs
// between name lookup and connect, once per address tried, so that no name
// that resolves differently the second time gets around it.
func guard(network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: not an IP address", ErrAddressRefused)
	}
	if forbidden(to.Addr()) {
		return fmt.Errorf("%w: link-local, metadata and reserved addresses need the operator's leave", ErrAddressRefused)
	}
	return nil
}

// forbidden reports whether the address, or the IPv4 address it disguises, is
// one of the refused.
func forbidden(ip netip.Addr) bool {
	ip = undisguise(ip.WithZone(""))
	for _, p := range refused {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// undisguise returns the IPv4 address inside a mapped, translated, NAT64 or
// compatible IPv6 address, and any other address as it is.
func undisguise(ip netip.Addr) netip.Addr {
	ip = ip.Unmap()
	compatible := v4compatible.Contains(ip) && ip != netip.IPv6Loopback() && !ip.IsUnspecified()
	if !compatible && !nat64.Contains(ip) && !v4translated.Contains(ip) {
		return ip
	}
	b := ip.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}
