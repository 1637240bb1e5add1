package detect

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// kind is a kind of unit. Their order is the order of preference where several cross at one record: the first
// gives the filter that says most about the cause.
type kind uint8

const (
	kindKey kind = iota
	kindClient
	kindPrincipal
	kindCredential
	kindCell // key x asn x agent class, over all routes: see docs/detection.md
	kindNetwork
	kindIP
	nKinds
)

var kindNames = [nKinds]string{"key", "client", "principal", "credential", "cell", "network", "ip"}

// coarser is the kind a unit flows into when memory is short; nKinds: it stays.
var coarser = [nKinds]kind{nKinds, kindKey, kindKey, kindKey, nKinds, nKinds, kindNetwork}

// unit is what the engine knows of one actor. It exists from the actor's first trial on.
type unit struct {
	// What every access of the unit touches, in one cache line.
	id    uint64
	last  uint64 // count of the record that touched it last
	total int64  // accesses that nothing explains, as far as known
	ids   idset  // numbers of subjects met on day, for traversal
	day   int32  // of ids
	held  uint16 // bit per detector that has an excursion in ex
	kind  kind
	// customer: it is a customer, or a customer's credential, who opened others.
	customer bool
	// pastUnknown: units had been dropped before this one was made, so it may have been one of them.
	pastUnknown bool
	accused     bool `state:"-"` // open holds something

	ex [nSequential]*excursion // the second line

	open     []*accusation     `state:"-"` // findings whose filter names this unit
	mix      mixture           // of a key: what it was met with; nil: nothing
	parent   uint64            // the unit it flows into; 0: none
	first    int64             // event time when the unit was made
	bare     int64             // disclosed accesses of staff, partners and programs that no reason explained once it was due
	place    int32             `state:"-"` // in table.list
	canaries int32             // planted customers it opened
	quiet    [nDetectors]int32 // day number until which no further narrow finding is raised
}

func (u *unit) suspicious() bool { return u.held != 0 || u.accused }

// cover gives the unit another finding that names it.
func (u *unit) cover(a *accusation) { u.open, u.accused = append(u.open, a), true }

// uncover takes a finding from it.
func (u *unit) uncover(a *accusation) {
	u.open = slices.DeleteFunc(u.open, func(o *accusation) bool { return o == a })
	u.accused = len(u.open) > 0
}

// has reports whether the unit has an excursion of a detector.
func (u *unit) has(d detector) bool { return u.held>>d&1 == 1 }

func (u *unit) set(d detector, x *excursion) {
	u.ex[d] = x
	u.held &^= 1 << d
	if x != nil {
		u.held |= 1 << d
	}
}

// table holds the units. list gives eviction its order.
type table struct {
	m       slots
	list    []*unit
	hand    int
	dropped int64 // units without suspicion that made room
	folded  int64 // suspicious units that flowed into their coarser one
	ids     int   // blocks held in all sets
}

// unit gives the unit of a kind for this access, nil if the access has no such member.
func (e *Engine) unit(v *view, k kind, create bool) *unit {
	id := v.ids[k]
	if id == 0 {
		return nil
	}
	if u := v.units[k]; u != nil {
		return u
	}
	u := e.table.m.get(id)
	if u == nil {
		if !create {
			return nil
		}
		if e.table.m.n >= e.cfg.MaxUnits {
			e.makeRoom()
		}
		u = &unit{id: id, kind: k, first: e.around(v.r.Time), pastUnknown: e.table.dropped+e.table.folded > 0, place: int32(len(e.table.list))}
		if c := coarser[k]; c < nKinds {
			u.parent = v.ids[c]
		}
		e.table.m.put(u)
		e.table.list = append(e.table.list, u)
	}
	u.last = e.count
	v.units[k] = u
	return u
}

// roomSteps bounds the search for a unit that may go, per unit that comes.
const roomSteps = 256

// makeRoom drops the coldest of the next units without suspicion. If all are suspicious, the one with the lowest
// statistic flows into its coarser unit; if none has one, the table grows.
func (e *Engine) makeRoom() {
	t := &e.table
	var cold, low *unit
	for range min(roomSteps, len(t.list)) {
		t.hand++
		if t.hand >= len(t.list) {
			t.hand = 0
		}
		u := t.list[t.hand]
		if u.last == e.count {
			continue // belongs to the record in hand
		}
		if !u.suspicious() {
			if cold == nil || u.last < cold.last {
				cold = u
			}
			// Untouched for as many records as there are units: cold enough.
			if e.count-u.last > uint64(len(t.list)) {
				break
			}
		} else if u.parent != 0 && !u.accused && (low == nil || u.height() < low.height()) {
			low = u
		}
	}
	switch {
	case cold != nil:
		t.dropped++
		e.remove(cold)
	case low != nil:
		t.folded++
		e.fold(low)
		e.remove(low)
	}
}

// height is the unit's highest statistic.
func (u *unit) height() float64 {
	top := 0.0
	for _, x := range u.ex {
		if x != nil {
			for _, s := range x.s {
				top = max(top, s)
			}
		}
	}
	return top
}

// fold hands a unit's excursions to its coarser unit. Where that has one already it takes the larger statistic of
// each test: e^max(a,b) <= e^a + e^b, so the bounds of the two add up and no suspicion is lost.
func (e *Engine) fold(u *unit) {
	p := e.table.m.get(u.parent)
	if p == nil {
		p = &unit{id: u.parent, kind: coarser[u.kind], first: u.first, last: u.last, pastUnknown: true, place: int32(len(e.table.list))}
		e.table.m.put(p)
		e.table.list = append(e.table.list, p)
	}
	for d := range u.ex {
		x := u.ex[d]
		if x == nil {
			continue
		}
		u.set(detector(d), nil)
		e.hot[d][u.kind]--
		if detector(d) == unexplained && u.customer {
			e.nosy--
		}
		if p.ex[d] == nil {
			p.set(detector(d), x)
			e.hot[d][p.kind]++
			continue
		}
		for j, s := range x.s {
			if s > p.ex[d].s[j] {
				if p.ex[d].s[j] == 0 {
					p.ex[d].start[j] = 0
				}
				p.ex[d].s[j] = s
			}
		}
		e.evidence -= len(x.ev)
	}
}

func (e *Engine) remove(u *unit) {
	t := &e.table
	t.m.drop(u.id)
	t.ids -= u.ids.blocks()
	end := len(t.list) - 1
	t.list[u.place] = t.list[end]
	t.list[u.place].place = u.place
	t.list[end] = nil
	t.list = t.list[:end]
}

// mix is a 64-bit finaliser (splitmix64): equal inputs of different kinds must not meet.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// unitID never gives 0, which stands for "no such unit".
func unitID(k kind, realm, value uint64) uint64 {
	return mix(value^realm+(uint64(k)+1)*0x9e3779b97f4a7c15) | 1
}

// text hashes a string; 0 stands for the empty one.
func text(s string) uint64 {
	if s == "" {
		return 0
	}
	return xxhash.Sum64String(s) | 1
}

// address gives hashes of an address and of its network: IPv4/24, IPv6/48.
func address(a netip.Addr) (ip, network uint64) {
	if a.Is4() {
		b := a.As4()
		x := uint64(binary.BigEndian.Uint32(b[:]))
		return mix(x + 1), mix(x>>8 + 1<<40)
	}
	b := a.As16()
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	return mix(hi + bits.RotateLeft64(mix(lo+1), 17)), mix(hi>>16 + 1<<50)
}

// networkOf gives the network that an address belongs to as a unit.
func networkOf(a netip.Addr) netip.Prefix {
	n := 48
	if a.Is4() {
		n = 24
	}
	p, err := a.WithZone("").Prefix(n)
	if err != nil {
		panic("BUG: network of an invalid address")
	}
	return p
}
