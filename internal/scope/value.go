package scope

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/whosaw/whosaw"
)

// parseValues reads the values of one member, nil if it has none; parse reads one without its "!". An
// error names the member and the place, never the value: it may be personal data.
func parseValues[T comparable](member string, list []string, parse func(s string) (T, error)) (*values[T], error) {
	if len(list) == 0 {
		return nil, nil
	}
	v := &values[T]{yes: make(map[T]struct{}), no: make(map[T]struct{})}
	for i, s := range list {
		text, not := whosaw.ParseValue(s)
		x, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("filter member %s, value %d: %w", member, i+1, err)
		}
		if not {
			v.no[x] = struct{}{}
		} else {
			v.yes[x] = struct{}{}
		}
	}
	return v, nil
}

var errEmpty = errors.New("is empty; give a value, or leave the member out")

func whole(s string) (string, error) {
	if s == "" {
		return "", errEmpty
	}
	return s, nil
}

// realm takes the empty string too: it is the default realm, not a missing one.
func realm(s string) (string, error) { return s, nil }

// networks are the values of the member ip.
type networks struct{ yes, no networkSet }

// networkSet holds networks and, per address family, the lengths that occur: an address is looked up once
// per length, however many networks there are.
type networkSet struct {
	nets   map[netip.Prefix]struct{}
	v4, v6 []int
	ranges []addrRange // the same networks
}

func parseNetworks(member string, list []string) (*networks, error) {
	v, err := parseValues(member, list, whosaw.ParseNetwork)
	if err != nil || v == nil {
		return nil, err
	}
	return &networks{newNetworkSet(v.yes), newNetworkSet(v.no)}, nil
}

func newNetworkSet(nets map[netip.Prefix]struct{}) networkSet {
	s := networkSet{nets: nets}
	var seen4, seen6 [129]bool
	for n := range nets {
		if n.Addr().Is4() {
			seen4[n.Bits()] = true
		} else {
			seen6[n.Bits()] = true
		}
	}
	for bits := range 129 {
		if seen4[bits] {
			s.v4 = append(s.v4, bits)
		}
		if seen6[bits] {
			s.v6 = append(s.v6, bits)
		}
	}
	s.order()
	return s
}

func (s *networkSet) contains(addr netip.Addr) bool {
	lengths := s.v6
	if addr.Is4() {
		lengths = s.v4
	}
	for _, bits := range lengths {
		if net, err := addr.Prefix(bits); err == nil && has(s.nets, net) {
			return true
		}
	}
	return false
}

// accept is values.accept; the zero address is a missing one.
func (n *networks) accept(addr netip.Addr) bool {
	if !addr.IsValid() {
		return len(n.yes.nets) == 0
	}
	addr = addr.Unmap()
	if len(n.yes.nets) > 0 && !n.yes.contains(addr) {
		return false
	}
	return !n.no.contains(addr)
}
