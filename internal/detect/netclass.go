package detect

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/whosaw/whosaw/internal/snapshot"
)

const (
	// maxDeclared bounds the classes of networks that a configuration declares.
	maxDeclared = 64
	// maxNetClasses are told apart on a route, maxNetClassesAll on all routes together, 40 bytes each; maxKnownClasses of those have rates, 0.4 kB
	// each. What comes after goes by the route.
	maxNetClasses    = 254
	maxNetClassesAll = 1 << 16
	maxKnownClasses  = 1 << 14

	noClass    = uint8(0)
	otherClass = uint8(255) // of a network whose class there was no room for

	// byASN marks classes that are an autonomous system: above all that are declared.
	byASN = uint64(1) << 63
)

// NetworkClass is a kind of networks that the house knows: offices, carriers that put many behind one address, hosting companies.
type NetworkClass struct {
	Name     string
	Prefixes []netip.Prefix
	ASNs     []uint32
}

// CheckNetworks reports what is wrong with declared classes of networks.
func CheckNetworks(list []NetworkClass) error {
	if len(list) > maxDeclared {
		return fmt.Errorf("%d classes of networks: give %d at most", len(list), maxDeclared)
	}
	names := map[string]bool{}
	for i := range list {
		c := &list[i]
		switch {
		case c.Name == "" || strings.TrimSpace(c.Name) != c.Name:
			return errors.New("name: give the class one, as in office")
		case names[c.Name]:
			return fmt.Errorf("name: %q is there twice", c.Name)
		case len(c.Prefixes)+len(c.ASNs) == 0:
			return fmt.Errorf("%s: give addresses, asns or lists: no network is in it", c.Name)
		case slices.Contains(c.ASNs, 0):
			return fmt.Errorf("%s: asns: 0 is no autonomous system", c.Name)
		}
		names[c.Name] = true
	}
	return nil
}

// netTable tells the declared class of an address. Made from the configuration.
type netTable struct {
	from  []netip.Addr // where another class begins
	class []uint64     // from there on; 0: none
	asns  map[uint32]uint64
	names map[uint64]string
}

// newNetTable lays the prefixes of all classes flat. Of several that fit, the class declared first holds; addresses go before systems.
func newNetTable(list []NetworkClass) (t netTable) {
	type edge struct {
		at    netip.Addr
		class int
		opens bool
	}
	var edges []edge
	list = list[:min(len(list), maxDeclared)] // Check refuses more
	t.names = make(map[uint64]string, len(list))
	ids := make([]uint64, len(list))
	for i := range list {
		ids[i] = text(list[i].Name) &^ byASN
		t.names[ids[i]] = list[i].Name
		for _, p := range list[i].Prefixes {
			first := p.Masked().Addr()
			edges = append(edges, edge{first, i, true})
			if end := behind1(p); end.IsValid() {
				edges = append(edges, edge{end, i, false})
			}
		}
		for _, asn := range list[i].ASNs {
			if t.asns == nil {
				t.asns = make(map[uint32]uint64)
			}
			if _, ok := t.asns[asn]; !ok {
				t.asns[asn] = ids[i]
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.class, b.class)) })
	var open [maxDeclared]int
	some := uint64(0)
	for i, e := range edges {
		if e.opens {
			open[e.class]++
		} else {
			open[e.class]--
		}
		if some &^= 1 << e.class; open[e.class] > 0 {
			some |= 1 << e.class
		}
		if i+1 < len(edges) && edges[i+1].at == e.at {
			continue
		}
		class := uint64(0)
		if some != 0 {
			class = ids[bits.TrailingZeros64(some)]
		}
		if n := len(t.class); n == 0 || t.class[n-1] != class {
			t.from, t.class = append(t.from, e.at), append(t.class, class)
		}
	}
	return t
}

// behind1 is the first address behind a prefix; not valid if there is none. Those of IPv6 come after those of IPv4.
func behind1(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	if end := last.Next(); end.IsValid() || !last.Is4() {
		return end
	}
	return netip.IPv6Unspecified()
}

// of gives the class that an address is declared to be in, 0 if it is in none.
func (t *netTable) of(ip netip.Addr, asn uint32) uint64 {
	if len(t.from) > 0 && ip.IsValid() {
		at, met := slices.BinarySearchFunc(t.from, ip.Unmap().WithZone(""), netip.Addr.Compare)
		if !met {
			at--
		}
		if at >= 0 && t.class[at] != 0 {
			return t.class[at]
		}
	}
	return t.asns[asn]
}

// netClass gives the class of the network that an access comes from: the declared one, else its autonomous system; 0 if nothing says it.
func (e *Engine) netClass(v *view) uint64 {
	if !v.placed {
		v.placed = true
		if v.net = e.nets.of(v.r.IP, v.r.ASN); v.net == 0 && v.r.ASN != 0 {
			v.net = uint64(v.r.ASN) | byASN
		}
	}
	return v.net
}

// netName is a class for people.
func (e *Engine) netName(id uint64) string {
	if id&byASN != 0 {
		return fmt.Sprintf("AS%d", id&^byASN)
	}
	return e.nets.names[id]
}

// netRate is what is known of the networks of one class on a route: an envelope over them, as the route's is over all.
type netRate struct {
	id    uint64
	over  int64  // accesses not judged because its p0 was over the ceiling
	at    uint8  // step of the median; noStep: not known
	known bool   // enough networks have been met: their rates are counted
	n     int32  `state:"-"` // networks with enough trials: counted again when they are read
	stale int32  // changes of rates since the median was worked out
	rates *rates `state:"-"` // the same
}

// rates counts networks by rate.
type rates [rateSteps + 1]uint16

// classify notes the class of the network that asks: of several that its accesses name the least, so that the order does not matter.
func (e *Engine) classify(s *stratum, t *tried) {
	if s.net == 0 || t.class == otherClass || t.class != noClass && s.nets[t.class-1].id <= s.net {
		return
	}
	to := e.classPlace(s, s.net)
	if to == otherClass && t.class != noClass {
		return // there was room for the one it has
	}
	from := t.class
	t.class = to
	if t.step == noStep {
		return
	}
	if from != noClass {
		k := &s.nets[from-1]
		if k.n--; k.known {
			k.rates[t.step]--
		}
		e.classMoved(s, from)
	}
	if to != otherClass {
		e.classGains(s, to, noStep, t.step)
	}
}

// classPlace gives the place of a class on a route, plus one.
func (e *Engine) classPlace(s *stratum, id uint64) uint8 {
	for i := range s.nets {
		if s.nets[i].id == id {
			return uint8(i + 1)
		}
	}
	if len(s.nets) >= maxNetClasses || e.netClasses >= maxNetClassesAll {
		return otherClass
	}
	e.netClasses++
	s.nets = append(s.nets, netRate{id: id, at: noStep})
	return uint8(len(s.nets))
}

// classGains moves a network of a class from one rate to another; from noStep: it is new to the rates.
func (e *Engine) classGains(s *stratum, place, from, to uint8) {
	k := &s.nets[place-1]
	if from == noStep {
		k.n++
	}
	switch {
	case k.known:
		if from != noStep {
			k.rates[from]--
		}
		k.rates[to]++
	case k.n >= s.units && e.knownClasses < maxKnownClasses:
		k.known = true
		e.knownClasses++
		s.countClass(place)
		k.stale = k.n // at once
	}
	e.classMoved(s, place)
}

// countClass counts a class's networks by rate.
func (s *stratum) countClass(place uint8) {
	k := &s.nets[place-1]
	k.rates = &rates{}
	for i := range s.networks.list {
		if t := &s.networks.list[i]; t.id != 0 && t.class == place && t.step != noStep {
			k.rates[t.step]++
		}
	}
}

// classMoved works a class's rate out again, now and then.
func (e *Engine) classMoved(s *stratum, place uint8) {
	k := &s.nets[place-1]
	if k.stale++; !k.known || k.stale <= k.n/8 {
		return
	}
	k.stale = 0
	if at := k.median(s.units); at != k.at {
		k.at = at
		s.raise()
	}
}

// median gives the step of the median network, noStep where too few are known.
func (k *netRate) median(units int32) uint8 {
	if k.n < units || !k.known {
		return noStep
	}
	below := int32(0)
	for step, n := range k.rates {
		if below += int32(n); 2*below > k.n {
			return uint8(step)
		}
	}
	return noStep
}

// netP0 is the honest rate of a class's networks: at least the route's, which few networks must not lower, and at most a multiple of it: a thief
// chooses where he comes from, and may be most of a class.
func (s *stratum) netP0(k *netRate) float64 {
	if k.at == noStep {
		return s.w.p0
	}
	return max(s.w.p0, min(s.times*upperEnd(k.at), timesOfRoute*s.w.p0, 0.9))
}

// raise works out the steps of the classes whose rate lies above the route's.
func (s *stratum) raise() {
	s.raised = nil
	for i := range s.nets {
		k := &s.nets[i]
		p0 := s.netP0(k)
		if p0 <= s.w.p0 {
			continue
		}
		if s.raised == nil {
			s.raised = make(map[uint64]*weights)
		}
		w := s.bank.weights(p0)
		s.raised[k.id] = &w
	}
}

// netNow gives the steps for the networks of the class that the access in hand comes from: those of the route, where it has no higher rate.
func (s *stratum) netNow() *weights {
	if s.raised != nil {
		if w := s.raised[s.net]; w != nil {
			return w
		}
	}
	return &s.w
}

// tooMany counts an access that is not judged because the rate that holds for it is above the ceiling.
func (s *stratum) tooMany() {
	if s.w.p0 <= s.ceiling && s.netNow().p0 > s.ceiling {
		for i := range s.nets {
			if s.nets[i].id == s.net {
				s.nets[i].over++
				return
			}
		}
	}
	s.over++
}

// rateName says whose rate holds for the access in hand.
func (e *Engine) rateName(s *stratum) string {
	name := s.route
	if name == "" {
		name = "other routes"
	}
	if s.class != "" {
		name += ", " + s.class
	}
	now := s.rateNow()
	switch {
	case s.d == stranger:
		now = s.netNow()
	case now != &s.w && now == s.hourNow():
		h, _ := hourOfWeek(s.hour)
		return name + ", " + hourName(int(h)) + " (UTC)"
	}
	if now != &s.w {
		return name + ", from networks of class " + e.netName(s.net)
	}
	return name
}

// netBaselines are those of a stratum's classes: what is declared, and what has a higher rate.
func (e *Engine) netBaselines(out []Baseline, s *stratum, of Baseline) []Baseline {
	for i := range s.nets {
		k := &s.nets[i]
		p0 := s.netP0(k)
		if k.id&byASN != 0 && p0 <= s.w.p0 {
			continue
		}
		b := of
		b.Networks, b.P0, b.Known, b.NotJudged, b.Untaught, b.FrozenBy = e.netName(k.id), p0, int64(k.n), k.over, 0, ""
		switch {
		case k.at == noStep:
			b.Says = fmt.Sprintf("goes by the route until %d such networks are known", s.units)
		case p0 > s.ceiling:
			b.Judged = false
			b.Says = fmt.Sprintf("nobody is judged there who comes from such a network: %s is above the ceiling of %s", percent(p0), percent(s.ceiling))
		case p0 > s.w.p0:
			b.Says = fmt.Sprintf("%v times the median of such networks, at most %d times the route's rate", s.times, timesOfRoute)
		default:
			b.Says = "such networks have no higher rate than the route, so that holds"
		}
		out = append(out, b)
	}
	return out
}

// netsSay is what a baseline says of its classes of networks.
func (e *Engine) netsSay(s *stratum) string {
	known, most, at := 0, 0.0, uint64(0)
	for i := range s.nets {
		k := &s.nets[i]
		if k.at == noStep {
			continue
		}
		known++
		if p0 := s.netP0(k); p0 > s.w.p0 && p0 > most {
			most, at = p0, k.id
		}
	}
	switch {
	case known == 0:
		return "; no class of networks is known by itself yet"
	case at == 0:
		return fmt.Sprintf("; %s known by themselves, none with a higher rate", count(int64(known), "class of networks is", "classes of networks are"))
	}
	return fmt.Sprintf("; %s known by themselves, %d with a higher rate, up to %s from %s", count(int64(known), "class of networks is", "classes of networks are"), len(s.raised), percent(most), e.netName(at))
}

// netsState walks over the classes; their networks come after.
func (s *stratum) netsState(c *snapshot.Codec) {
	snapshot.Slice(c, &s.nets, maxNetClasses, func(k *netRate) {
		c.Hash(&k.id)
		snapshot.Int(c, &k.over)
		snapshot.Uint(c, &k.at)
		snapshot.Int(c, &k.stale)
		c.Bool(&k.known)
		if k.id == 0 || k.at != noStep && k.at > rateSteps {
			c.Fail("a class of networks has a rate that there is not")
			k.at = noStep
		}
	})
}

// countClasses counts anew what the classes' networks ask for, once those are read or joined.
func (e *Engine) countClasses(s *stratum) {
	e.netClasses += len(s.nets)
	for i := range s.nets {
		s.nets[i].n = 0
		if s.nets[i].known {
			e.knownClasses++
			s.countClass(uint8(i + 1))
		}
	}
	for i := range s.networks.list {
		if t := &s.networks.list[i]; t.id != 0 && t.class != noClass && t.class != otherClass && t.step != noStep {
			s.nets[t.class-1].n++
		}
	}
	s.raise()
}

// joinClass takes over the class of a network that another engine holds; to is that of this one.
func (e *Engine) joinClass(s, o *stratum, to, from uint8) uint8 {
	if from == noClass || from == otherClass {
		return max(to, from)
	}
	id := o.nets[from-1].id
	if to != noClass && to != otherClass && s.nets[to-1].id <= id {
		return to
	}
	if at := e.classPlace(s, id); at != otherClass || to == noClass {
		return at
	}
	return to
}

// joinNets works the rates of the classes out again.
func (e *Engine) joinNets(s, o *stratum) {
	for i := range o.nets {
		if at := e.classPlace(s, o.nets[i].id); at != otherClass {
			s.nets[at-1].over += o.nets[i].over
		}
	}
	n := make([]int32, len(s.nets))
	for i := range s.networks.list {
		if t := &s.networks.list[i]; t.id != 0 && t.class != noClass && t.class != otherClass && t.step != noStep {
			n[t.class-1]++
		}
	}
	for i := range s.nets {
		k := &s.nets[i]
		if k.n = n[i]; k.n >= s.units && !k.known && e.knownClasses < maxKnownClasses {
			k.known = true
			e.knownClasses++
		}
		if k.known {
			s.countClass(uint8(i + 1))
		}
		k.stale, k.at = 0, k.median(s.units)
	}
	s.raise()
}
