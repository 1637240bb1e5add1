package detect

import (
	"slices"
	"strings"

	"github.com/whosaw/whosaw/internal/snapshot"
)

// enoughPeers is how many actors of a class with a past of their own it takes to hold a newcomer against them.
const enoughPeers = 5

// peerCap is the cap of a class's newcomers on a day. It is worked out once a day, from what was known then.
type peerCap struct {
	on   int32
	most int64
	ok   bool
}

// peersOf gives the class of principals that an actor is held against; "": keys and clients have none.
func peersOf(name string) string {
	rest, ok := strings.CutPrefix(name, kindNames[kindPrincipal]+":")
	if !ok {
		return ""
	}
	class, _, ok := strings.Cut(rest, ":")
	if !ok {
		return ""
	}
	return class
}

// learntFromPeers is the cap of an actor that has no past of its own yet: what its peers' busiest days would allow, those of their own first
// weeks, in which everybody is new to them, among them.
func (e *Engine) learntFromPeers(p *spread, on int32) (most int64, ok bool) {
	class := peersOf(p.name)
	if class == "" {
		return 0, false
	}
	on = min(on, dayOf(e.sure)+1) // what one from the future is held against must hold today too
	if c := e.peerCaps[class]; c != nil && c.on >= on {
		return c.most, c.ok
	}
	var busiest []int64
	for _, x := range e.spreads { // their order does not matter: what they give is sorted
		if x == p || x.d != p.d || x.blind || peersOf(x.name) != class {
			continue
		}
		if _, ok := e.learnt(x, on); ok {
			busiest = append(busiest, int64(max(x.rush, x.busiest(on))))
		}
	}
	c := &peerCap{on: on}
	if n := len(busiest); n >= enoughPeers {
		slices.Sort(busiest)
		c.ok = true
		c.most = max(e.knobs.leastSpread, e.knobs.timesMedian*busiest[n/2], e.knobs.timesSecond*busiest[n-2])
	}
	if len(e.peerCaps) < maxPrincipalClasses || e.peerCaps[class] != nil {
		e.peerCaps[clone(class)] = c
	}
	return c.most, c.ok
}

// busiest is the most that an actor was shown on a day before, findings aside.
func (p *spread) busiest(on int32) (most int32) {
	for i := range p.days {
		if x := &p.days[i]; x.on < on && x.on > on-ringDays && x.raised == 0 {
			most = max(most, x.fresh)
		}
	}
	return most
}

// rushing keeps the busiest day of an actor's first week.
func (p *spread) rushing(day *spreadDay) {
	if p.first == 0 {
		p.first = day.on
	}
	if day.on < p.first+7 && day.raised == 0 {
		p.rush = max(p.rush, day.fresh)
	}
}

func (e *Engine) peersState(c *snapshot.Codec) {
	snapshot.Map(c, &e.peerCaps, maxPrincipalClasses, c.String, pointer(c, func(p *peerCap, c *snapshot.Codec) {
		snapshot.Int(c, &p.on)
		snapshot.Int(c, &p.most)
		c.Bool(&p.ok)
	}))
}
