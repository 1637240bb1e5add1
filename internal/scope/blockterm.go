package scope

import (
	"net/netip"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// span32 is origins [from, to) of a block.
type span32 struct{ from, to int }

// originTest is a member whose value must be allowed.
type originTest struct {
	column index.Column
	allow  []bool // by code
}

// origins gives those of some spans of a block that pass all of a term's members that origins have.
func (t *term) origins(b *index.Block, spans []span32) ([]span32, error) {
	var keys []int // that the spans are of; nil: all
	var tests []originTest
	for _, m := range t.texts {
		column, dict, ok, err := b.Member(m.col)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue // a member of shapes
		}
		allow := m.allow(&column, &dict)
		if m.col == ledger.ColKey {
			var own []span32
			own, keys = keySpans(&column, allow)
			spans = intersect(spans, own)
			continue
		}
		tests = append(tests, originTest{column, allow})
	}
	if t.classes != nil {
		column, dict, _, err := b.Member(ledger.ColAgent)
		if err != nil {
			return nil, err
		}
		allow := column.Allowed()
		for code := range dict.Len() + 1 {
			allow[code] = t.classes.accept(whosaw.AgentClass(dict.At(code)))
		}
		tests = append(tests, originTest{column, allow})
	}
	if t.asn != nil {
		column, dict, err := b.ASN()
		if err != nil {
			return nil, err
		}
		allow := column.Allowed()
		for code := range dict.Len() + 1 {
			allow[code] = t.asn.accept(uint32(dict.Value(code)))
		}
		tests = append(tests, originTest{column, allow})
	}
	if t.nets != nil {
		column, dict, err := b.IP()
		if err != nil {
			return nil, err
		}
		few, ok, err := t.nets.few(b, &column, &dict, spans, keys)
		switch {
		case err != nil:
			return nil, err
		case ok:
			spans = intersect(spans, few)
		default:
			tests = append(tests, originTest{column, t.nets.codes(&dict)})
		}
	}
	// What is read fastest comes first: the others look at what it leaves.
	slices.SortStableFunc(tests, func(x, y originTest) int {
		switch {
		case x.column.Direct() == y.column.Direct():
			return 0
		case x.column.Direct():
			return -1
		}
		return 1
	})
	return pass(b, spans, tests)
}

// allow says which codes of a dictionary the member accepts.
func (m *textMember) allow(column *index.Column, dict *index.Texts) []bool {
	allow := column.Allowed()
	if len(m.yes) == 0 {
		for i := range dict.Len() + 1 {
			allow[i] = true
		}
	}
	set := func(list map[string]struct{}, to bool) {
		for x := range list {
			if code := dict.Find(x); code > 0 || x == "" {
				allow[code] = to
			}
		}
	}
	set(m.yes, true)
	set(m.no, false)
	return allow
}

// codes says which codes of a dictionary of addresses the networks accept.
func (n *networks) codes(dict *index.Addrs) []bool {
	allow := make([]bool, dict.Len()+1)
	if len(n.yes.nets) == 0 {
		for i := range allow {
			allow[i] = true
		}
	}
	n.yes.mark(dict, allow, true)
	n.no.mark(dict, allow, false)
	return allow
}

// mapped are the IPv6 addresses that stand for IPv4 ones: they lie in IPv4 networks, and in no IPv6 one.
var mappedFirst, mappedLast = netip.MustParseAddr("::ffff:0.0.0.0"), netip.MustParseAddr("::ffff:255.255.255.255")

// mark gives the codes of the addresses that lie in a set's networks a value.
func (s *networkSet) mark(dict *index.Addrs, allow []bool, to bool) {
	if len(s.nets) == 0 {
		return
	}
	put := func(r addrRange) {
		from, end := dict.Between(r.first, r.last)
		for code := from; code < end; code++ {
			allow[code] = to
		}
	}
	if len(s.v6) > 0 {
		from, until := dict.Between(mappedFirst, mappedLast)
		kept := slices.Clone(allow[from:until])
		for _, r := range s.ranges {
			if r.first.Is6() {
				put(r)
			}
		}
		copy(allow[from:until], kept)
	}
	for _, r := range s.ranges {
		if r.first.Is4() {
			put(r)
			put(addrRange{netip.AddrFrom16(r.first.As16()), netip.AddrFrom16(r.last.As16())})
		}
	}
}

// addrRange is the addresses of a network.
type addrRange struct{ first, last netip.Addr }

// order lists the networks as ranges.
func (s *networkSet) order() {
	ranges := make([]addrRange, 0, len(s.nets))
	for n := range s.nets {
		n = n.Masked()
		last := n.Addr().AsSlice()
		for bit := n.Bits(); bit < 8*len(last); bit++ {
			last[bit/8] |= 1 << (7 - bit%8)
		}
		end, _ := netip.AddrFromSlice(last)
		ranges = append(ranges, addrRange{n.Addr(), end})
	}
	slices.SortFunc(ranges, func(a, b addrRange) int { return a.first.Compare(b.first) })
	s.ranges = ranges
}

// keySpans gives the origins whose key's code is allowed, and those codes.
func keySpans(column *index.Column, allow []bool) (out []span32, codes []int) {
	codes = []int{}
	for code, ok := range allow {
		if ok {
			codes = append(codes, code)
			if from, to := column.Range(code); from < to {
				out = joined(out, span32{from, to})
			}
		}
	}
	return out, codes
}

// searchCost is how many origins are looked at one by one in the time in which one is searched for.
const searchCost = 10

// few gives the origins of a few addresses by searching for each, key by key; ok is false if looking at all is faster.
func (n *networks) few(b *index.Block, ips *index.Column, addrs *index.Addrs, spans []span32, keys []int) (out []span32, ok bool, err error) {
	column, dict, err := b.Key()
	if err != nil {
		return nil, false, err
	}
	if keys == nil {
		for code := range dict.Len() + 1 {
			keys = append(keys, code)
		}
	}
	look := 0
	for _, s := range spans {
		look += s.to - s.from
	}
	codes, ok := n.list(addrs, look/searchCost/max(1, len(keys)))
	if !ok {
		return nil, false, nil
	}
	for _, key := range keys {
		if from, to := column.Range(key); from >= to {
			continue
		}
		for _, code := range codes {
			if from, to := ips.Pair(key, code); from < to {
				out = joined(out, span32{from, to})
			}
		}
	}
	return out, true, nil
}

// list gives the codes of a dictionary of addresses that the networks accept, in order; ok is false if there are more than most.
func (n *networks) list(dict *index.Addrs, most int) (codes []int, ok bool) {
	if len(n.yes.nets) == 0 || len(n.no.nets) > 0 || len(n.yes.v6) > 0 {
		for code, allowed := range n.codes(dict) {
			if allowed {
				codes = append(codes, code)
			}
			if len(codes) > most {
				return nil, false
			}
		}
		return codes, true
	}
	take := func(r addrRange) bool {
		from, to := dict.Between(r.first, r.last)
		if to-from > most-len(codes) {
			return false
		}
		for code := from; code < to; code++ {
			codes = append(codes, code)
		}
		return true
	}
	from, until := dict.Between(mappedFirst, mappedLast)
	for _, r := range n.yes.ranges {
		if !take(r) || from < until && !take(addrRange{netip.AddrFrom16(r.first.As16()), netip.AddrFrom16(r.last.As16())}) {
			return nil, false
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes), true
}

// intersect gives the origins that are in both.
func intersect(a, b []span32) (out []span32) {
	for len(a) > 0 && len(b) > 0 {
		if from, to := max(a[0].from, b[0].from), min(a[0].to, b[0].to); from < to {
			out = joined(out, span32{from, to})
		}
		if a[0].to < b[0].to {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

func joined(spans []span32, s span32) []span32 {
	if n := len(spans); n > 0 && spans[n-1].to == s.from {
		spans[n-1].to = s.to
		return spans
	}
	return append(spans, s)
}

// pass leaves of spans the origins that pass all tests.
func pass(b *index.Block, spans []span32, tests []originTest) ([]span32, error) {
	live := tests[:0]
	for _, x := range tests {
		if !slices.Contains(x.allow, true) {
			return nil, nil
		}
		if slices.Contains(x.allow, false) {
			live = append(live, x)
		}
	}
	for _, x := range live {
		var out []span32
		if !x.column.Direct() && len(spans) > 1 {
			codes := window{fill: x.column.Fill, n: x.column.Len()}
			for _, s := range spans {
				for o := s.from; o < s.to; o++ {
					if x.allow[codes.at(o)] {
						out = joined(out, span32{o, o + 1})
					}
				}
			}
			spans = out
			continue
		}
		for _, s := range spans {
			if err := b.Check(&x.column, s.from, s.to); err != nil {
				return nil, err
			}
			x.column.Pass(s.from, s.to, x.allow, func(o int) { out = joined(out, span32{o, o + 1}) })
		}
		spans = out
	}
	return spans, nil
}
