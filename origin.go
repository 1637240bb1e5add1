package whosaw

import (
	"errors"
	"net/netip"
	"strings"
)

var (
	errNotIP      = errors.New("not an IP address")
	errNotNetwork = errors.New("not an IP address or network; give it as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32")
	errNotASN     = errors.New("not an AS number; give it as 4766 or AS4766")
)

// ParseIP reads an address. An IPv4-mapped IPv6 address becomes IPv4. Ports, brackets and zones
// are refused: they are no part of an address that can be compared.
func ParseIP(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, errNotIP // netip's own error repeats the value
	}
	return a.Unmap(), nil
}

// parseIP4 reads dotted decimals, as nearly all addresses in logs are, faster than netip.
func parseIP4(s string) (netip.Addr, bool) {
	var a [4]byte
	n, v, digits := 0, 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c-'0' <= 9:
			if digits > 0 && v == 0 {
				return netip.Addr{}, false // a leading zero: octal to some readers
			}
			v = v*10 + int(c-'0')
			digits++
			if v > 255 {
				return netip.Addr{}, false
			}
		case c == '.' && digits > 0 && n < 3:
			a[n] = byte(v)
			n, v, digits = n+1, 0, 0
		default:
			return netip.Addr{}, false
		}
	}
	if n != 3 || digits == 0 {
		return netip.Addr{}, false
	}
	a[3] = byte(v)
	return netip.AddrFrom4(a), true
}

// hintIP says what is probably wrong with an address.
func hintIP(s string) string {
	_, errPort := netip.ParseAddrPort(s)
	_, errPrefix := netip.ParsePrefix(s)
	switch {
	case errPort == nil:
		return "leave the port out"
	case strings.HasPrefix(s, "["):
		return "leave the brackets out"
	case strings.Contains(s, "%"):
		return "leave the zone out"
	case strings.Contains(s, ","):
		return "give one address: the client's, as your own proxy saw it"
	case errPrefix == nil:
		return "give one address, not a network"
	}
	return "give it as 203.0.113.7 or 2001:db8::7, or leave it out"
}

// ParseNetwork reads a network, or an address as the network of that one address. IPv4-mapped
// IPv6 becomes IPv4, and bits beyond the prefix are cleared.
func ParseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := ParseIP(s)
		if err != nil {
			return netip.Prefix{}, errNotNetwork
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errNotNetwork
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// ParseASN reads "AS4766" or "4766".
func ParseASN(s string) (uint32, error) {
	if len(s) > 2 && (s[0]|0x20) == 'a' && (s[1]|0x20) == 's' {
		s = s[2:]
	}
	v, ok := parseInt(s)
	if !ok || v < 0 || v > 1<<32-1 {
		return 0, errNotASN
	}
	return uint32(v), nil
}
