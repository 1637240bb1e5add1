package scope

import (
	"cmp"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
)

// addrCounts are the accesses of IPv4 addresses, or of networks by their first address, in order. There may be as many as accesses.
type addrCounts []addrCount

type addrCount struct{ addr, n uint32 }

const addrBytes = 8

// networkBits are those of an IPv4 address that its network does not have.
const networkBits = 8

// addrNumber gives an IPv4 address, or the first one of a network, that is written out; ok is false for anything else.
func addrNumber(v string) (addr uint32, ok bool) {
	a, err := netip.ParseAddr(v)
	if err != nil {
		p, err := netip.ParsePrefix(v)
		if err != nil {
			return 0, false
		}
		a = p.Addr()
	}
	if !a.Is4() {
		return 0, false
	}
	b := a.As4()
	return binary.BigEndian.Uint32(b[:]), true
}

// appendAddr writes it as the dimension does.
func appendAddr(text []byte, by string, addr uint32) []byte {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], addr)
	a := netip.AddrFrom4(b)
	if by == "network" {
		return netip.PrefixFrom(a, 32-networkBits).AppendTo(text)
	}
	return a.AppendTo(text)
}

func (c addrCounts) of(addr uint32) int64 {
	i, ok := slices.BinarySearchFunc(c, addr, func(x addrCount, addr uint32) int { return cmp.Compare(x.addr, addr) })
	if !ok {
		return 0
	}
	return int64(c[i].n)
}

// addrs gives the counts of a block's IPv4 addresses, nil if its values are none, and the last code that they have. Counts are by code.
func (w *topWorker) addrs(by string, counts []int64) (out addrCounts, behind int) {
	v4 := w.dim.v4
	if v4 == nil {
		return nil, 0
	}
	some := 0
	for _, n := range counts[1 : v4.Len()+1] {
		if n != 0 {
			some++
		}
	}
	w.q.budget.take(some * addrBytes) // a question that has spent its budget is given up soon
	out = make(addrCounts, 0, some)
	var batch [batchRows]uint64
	for from := 0; from < v4.Len(); from += batchRows {
		addrs := batch[:min(batchRows, v4.Len()-from)]
		v4.Fill(addrs, from)
		for i, n := range counts[1+from : 1+from+len(addrs)] {
			if n == 0 {
				continue
			}
			addr := uint32(addrs[i])
			if by == "network" {
				addr = addr >> networkBits << networkBits
			}
			out = append(out, addrCount{addr, uint32(n)}) // a segment has no more
		}
	}
	return out, v4.Len()
}

// joinAddrs adds up, the shortest first; none of them is written. ok is false if a number is too large.
func joinAddrs(runs []addrCounts) (out addrCounts, ok bool) {
	for len(runs) > 1 {
		slices.SortFunc(runs, func(a, b addrCounts) int { return cmp.Compare(len(b), len(a)) })
		n := len(runs)
		both, ok := joinTwo(runs[n-2], runs[n-1])
		if !ok {
			return nil, false
		}
		runs = append(runs[:n-2], both)
	}
	if len(runs) == 0 {
		return nil, true
	}
	return runs[0], true
}

func joinTwo(a, b addrCounts) (addrCounts, bool) {
	if len(a) == 0 {
		return b, true
	}
	out := make(addrCounts, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch x, y := a[0], b[0]; {
		case x.addr < y.addr:
			out, a = append(out, x), a[1:]
		case x.addr > y.addr:
			out, b = append(out, y), b[1:]
		default:
			n := uint64(x.n) + uint64(y.n)
			if n > math.MaxUint32 {
				return nil, false
			}
			out, a, b = append(out, addrCount{x.addr, uint32(n)}), a[1:], b[1:]
		}
	}
	out = append(append(out, a...), b...)
	if spare := cap(out) - len(out); spare > len(out)/4 {
		out = slices.Clone(out)
	}
	return out, true
}
