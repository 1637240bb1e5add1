package detect

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/snapshot"
)

const (
	// precedentDays is how long a verdict speaks for what was judged, and mostPrecedents how many are remembered.
	precedentDays  = 90
	mostPrecedents = 1 << 12
	// A day may hold half as much again as the busiest that was judged: jobs grow.
	precedentMore, precedentOf = 3, 2
)

// precedent is what a verdict explained or false says of the same unit from then on: what it did is no finding of that detector again, at those
// hours, from there, and up to as many customers a day. A thief in its place has no more than the job had.
type precedent struct {
	d        detector
	unit     string
	realm    string
	from     int64 // event time
	hours    uint32
	day      int64 // customers a day
	networks map[uint32]int32
	prints   map[uint32]int32
	on       int32
	used     int64 // on that day
}

// precedes reports whether a verdict may speak for later findings of a detector. What rests on a credential, a key or a declared cap is put right
// at its cause, or is a finding again.
func precedes(d detector) bool {
	switch d {
	case nonexistent, traversal, unexplained, refused, dormant, stranger, monotone, canary, spreader:
		return true
	}
	return false
}

func precedentID(realm uint64, unit string, d detector) lesson {
	return lesson{mix(realm ^ text(unit)), uint64(d)}
}

// setPrecedent takes a verdict that a finding was none.
func (e *Engine) setPrecedent(f *dossier) {
	if !precedes(f.d) {
		return
	}
	k := precedentID(f.realm, f.unit, f.d)
	p := e.precedents[k]
	if p == nil {
		if len(e.precedents) >= mostPrecedents && !e.forgetPrecedent() {
			return
		}
		p = &precedent{d: f.d, unit: f.unit, realm: firstOf(f.filter[0].Realm)}
		e.precedents[k] = p
	}
	p.from = e.sure
	p.hours |= f.cause.hours
	p.day = max(p.day, f.busiest)
	p.networks = addAll(p.networks, f.cause.networks)
	p.prints = addAll(p.prints, f.cause.prints)
}

// forgetPrecedent drops one that is over.
func (e *Engine) forgetPrecedent() bool {
	for _, k := range sortedLessons(e.precedents) {
		if e.precedents[k].over(e.sure) {
			delete(e.precedents, k)
			return true
		}
	}
	return false
}

func (p *precedent) over(t int64) bool { return t-p.from > precedentDays*day }

// most is what the precedent speaks for on a day.
func (p *precedent) most() int64 { return p.day * precedentMore / precedentOf }

// excuses reports whether a precedent speaks for an accusation, and takes it from what is left of the day.
func (e *Engine) excuses(a *accusation, v *view) bool {
	p := e.precedents[precedentID(v.realm, a.unit, a.d)]
	if p == nil || p.over(v.at) || v.at < p.from-day {
		return false
	}
	h := v.r.Time / hour % 24
	near := uint32(1)<<h | 1<<((h+1)%24) | 1<<((h+23)%24)
	switch {
	case p.hours&near == 0:
		return false
	case len(p.networks) > 0 && !meets(a.cause.networks, p.networks, a.cause.accesses):
		return false
	case len(p.prints) > 0 && !meets(a.cause.prints, p.prints, a.cause.accesses):
		return false
	}
	on := max(v.on, p.on) // a late access is of the day that is counted
	if on != p.on {
		p.on, p.used = on, 0
	}
	n := max(a.accesses, a.subjects, int64(len(a.people)), 1)
	used := p.used + n
	if a.d == spreader { // its count is the day's
		used = n
	}
	if used > p.most() {
		return false
	}
	p.used = used
	e.stats[a.d].skip(whyPrecedent)
	return true
}

// precedentBaselines list what verdicts speak for.
func (e *Engine) precedentBaselines(out []Baseline, d detector) []Baseline {
	var rows []Baseline
	for _, p := range e.precedents { // in no order: sorted below
		if p.d != d || p.over(e.sure) {
			continue
		}
		rows = append(rows, Baseline{
			Detector: detectorNames[d], Realm: p.realm, Unit: p.unit, Of: "customers on the busiest day judged", Known: p.day, Since: whosaw.Time(p.from), Judged: true,
			Says: fmt.Sprintf("judged explained or false: no finding again until %s for up to %s a day, at %s of the day or beside them, from where it was then",
				date(p.from+precedentDays*day), count(p.most(), "customer", "customers"), count(int64(bits.OnesCount32(p.hours)), "hour", "hours")),
		})
	}
	slices.SortFunc(rows, func(a, b Baseline) int { return cmp.Or(cmp.Compare(a.Realm, b.Realm), cmp.Compare(a.Unit, b.Unit)) })
	return append(out, rows...)
}

func (e *Engine) precedentsState(c *snapshot.Codec) {
	keys := sortedLessons(e.precedents)
	snapshot.Slice(c, &keys, mostPrecedents, func(k *lesson) {
		p := e.precedents[*k]
		if c.Reading() {
			p = &precedent{}
		}
		c.Hash(&k.of)
		c.Hash(&k.unit)
		snapshot.Uint(c, &p.d)
		if p.d >= nDetectors {
			c.Fail("a precedent of no detector")
			return
		}
		c.String(&p.unit)
		c.String(&p.realm)
		snapshot.Int(c, &p.from)
		snapshot.Uint(c, &p.hours)
		snapshot.Int(c, &p.day)
		for _, m := range []*map[uint32]int32{&p.networks, &p.prints} {
			snapshot.Map(c, m, maxCause, func(h *uint32) { snapshot.Uint(c, h) }, func(n *int32) { snapshot.Int(c, n) })
		}
		snapshot.Int(c, &p.on)
		snapshot.Int(c, &p.used)
		if c.Reading() {
			e.precedents[*k] = p
		}
	})
}
