package detect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
)

// Baseline is what a detector has learnt to be honest for one stratum of accesses: a route, for unexplained with a class of principals,
// for unissued a key or client, for spreader all actors together.
type Baseline struct {
	Detector string `json:"detector"`
	Realm    string `json:"realm,omitempty"`
	Route    string `json:"route,omitempty"`
	Class    string `json:"class,omitempty"` // of principals: staff, partner, service, customer
	Unit     string `json:"unit,omitempty"`  // of unissued: key:NAME, client:NAME; "" is the realm
	// Networks is the class of networks that it is of: a name declared, AS64500; "" is all of them.
	Networks string `json:"networks,omitempty"`
	// P0 is the honest rate in force. 0: the detector has none.
	P0      float64 `json:"p0"`
	Floor   float64 `json:"floor"`
	Ceiling float64 `json:"ceiling"` // above it nobody is judged; 0: there is none
	// It stands on Known Of, and needs Needed: before, P0 is what the rule says for a beginning.
	Of     string      `json:"of"`
	Known  int64       `json:"known"`
	Needed int64       `json:"needed"`
	Since  whosaw.Time `json:"since"` // event time of the first access that it knows
	Judged bool        `json:"judged"`
	// NotJudged counts accesses that were not judged because P0 was above the ceiling.
	NotJudged int64 `json:"not_judged"`
	// Untaught counts accesses that taught nothing, because a finding accuses them or a change was declared; FrozenBy is the id of the
	// last such finding, or "change".
	Untaught int64  `json:"untaught"`
	FrozenBy string `json:"frozen_by,omitempty"`
	Says     string `json:"says"`
}

// freeze notes that an access did not teach a stratum.
func (s *stratum) freeze(by string) {
	s.untaught++
	s.frozenBy = by
}

// frozenBy notes that an access did not teach its stratum, where there is one, because a finding accuses it.
func (e *Engine) frozenBy(v *view, class uint64) {
	if s := e.stratumOf(stratumID(v, class)); s != nil {
		s.freeze(e.coveredBy)
	}
}

// byChange stands for a declared change where a finding's id would stand.
const byChange = "change"

// Baselines lists what was learnt, in the order of the detectors, then by realm, route and class.
func (e *Engine) Baselines() []Baseline {
	out := []Baseline{}
	for d := range nDetectors {
		if !e.rule[d].on {
			continue
		}
		from := len(out)
		switch d {
		case unissued:
			out = e.issuedBaselines(out)
		case traversal:
			by := &e.rule[d].envelope
			out = append(out, Baseline{Detector: detectorNames[d], P0: by.floor, Floor: by.floor, Judged: true, Since: whosaw.Time(e.began),
				Says: "nothing is learnt: of two neighbours honest traffic meets either first equally often"})
		case unexplained:
			out = e.ownBaselines(out)
		case dormant:
			out = e.wakeBaselines(out)
		case volume:
			out = e.flowBaselines(out)
		case spreader:
			out = append(out, e.actorBaseline())
		case fieldDrift:
			if e.drifts || len(e.pages) > 0 {
				out = append(out, e.fieldBaseline())
			}
		}
		out = e.precedentBaselines(out, d)
		for _, s := range e.strataList {
			if s.d == d {
				b := e.stratumBaseline(s)
				out = append(out, b)
				if s.byNet {
					out = e.netBaselines(out, s, b)
				}
			}
		}
		slices.SortStableFunc(out[from:], func(a, b Baseline) int {
			return cmp.Or(strings.Compare(a.Realm, b.Realm), strings.Compare(a.Route, b.Route), strings.Compare(a.Class, b.Class), strings.Compare(a.Unit, b.Unit), strings.Compare(a.Networks, b.Networks))
		})
	}
	return out
}

func (e *Engine) stratumBaseline(s *stratum) Baseline {
	b := Baseline{
		Detector: detectorNames[s.d], Realm: s.realm, Route: s.route, Class: s.class, P0: s.w.p0, Floor: s.floor, Ceiling: s.ceiling,
		Of: "networks with ten trials", Known: int64(s.enough), Needed: int64(s.units), Since: whosaw.Time(s.since), Judged: s.w.p0 <= s.ceiling,
		NotJudged: s.over, Untaught: s.untaught, FrozenBy: s.frozenBy,
	}
	if s.d == unexplained {
		b.Of = "days of principals with ten customers"
	}
	if b.Route == "" {
		b.Route = "(other)"
	}
	if s.envelope == &e.houseDormant {
		b.Of = "days of principals with ten customers"
	}
	young := s.enough < s.units
	least := max(e.knobs.reasonsAtLeast, e.knobs.explainedEach*s.hits)
	switch {
	case !b.Judged:
		b.Says = fmt.Sprintf("nobody is judged there: %s is above the ceiling of %s, so what is asked for is what honest ones do", percent(s.w.p0), percent(s.ceiling))
	case s.d == unexplained && young && s.n-s.hits < least:
		b.Judged = false
		b.Says = fmt.Sprintf("cannot judge yet: it waits for %d openings that a reason explains, and has %d of %d", least, s.n-s.hits, s.n)
	case young && s.cautious():
		b.Judged = false
		b.Says = fmt.Sprintf("cannot judge yet: it waits for %d %s", s.units, b.Of)
	case young:
		b.Says = fmt.Sprintf("judged by what the rule says for a beginning, until %d %s are known", s.units, b.Of)
	default:
		b.Says = fmt.Sprintf("%v times the median, at least the floor", s.times)
	}
	if s.d != stranger {
		b.Says += s.hoursSay()
	}
	if s.byNet {
		b.Says += e.netsSay(s)
	}
	return b
}

// cautious reports whether nobody is judged before the rate is known.
func (s *stratum) cautious() bool { return ofPeople(s.d) }

// wakeBaselines are of the customers who come of themselves, in each realm.
func (e *Engine) wakeBaselines(out []Baseline) []Baseline {
	by := &e.rule[dormant].envelope
	for _, x := range e.realmList {
		w := &x.wakes
		b := Baseline{
			Detector: detectorNames[dormant], Realm: x.name, Class: "customer", P0: w.wide.p0, Floor: by.floor, Ceiling: by.ceiling,
			Of: "days of customers who came", Known: int64(len(w.past)), Needed: leastWakeDays, Since: whosaw.Time(x.since), Judged: w.known && w.fine.p0 <= by.ceiling,
			Says: fmt.Sprintf("twice the median day, at least the floor, and no less than their silence supports; at least %s for a unit that few share", percent(e.knobs.fewDormant)),
		}
		if !w.known {
			b.Says = fmt.Sprintf("cannot judge yet: it waits for %d days on which %d customers came", leastWakeDays, leastWakes)
		}
		out = append(out, b)
	}
	return out
}

// flowBaselines are of the routes whose new customers are counted.
func (e *Engine) flowBaselines(out []Baseline) []Baseline {
	for _, f := range e.flowsByName() {
		b := Baseline{Detector: detectorNames[volume], Realm: f.realm, Route: f.route, Of: "days of the route", Needed: int64(e.knobs.volumeDays), Since: whosaw.Time(f.since)}
		for i := range f.days {
			if d := &f.days[i]; d.on != 0 && d.on < e.today && d.on > e.today-volumeDays {
				if d.frozen {
					b.Untaught++
				} else {
					b.Known++
				}
			}
		}
		b.Judged = b.Known >= b.Needed
		b.Says = fmt.Sprintf("%d times the busiest such hour of the last %d days, at least %d new customers", e.knobs.timesVolume, volumeDays, e.knobs.leastVolume)
		if !b.Judged {
			b.Says = fmt.Sprintf("cannot judge yet: it waits for %d days of the route", b.Needed)
		}
		out = append(out, b)
	}
	return out
}

// issuedBaselines are of the feeds: each realm's, and each key's or client's.
func (e *Engine) issuedBaselines(out []Baseline) []Baseline {
	by := &e.rule[unissued].envelope
	row := func(realm, unit string, since int64, x *share, own *feedScope) Baseline {
		b := Baseline{Detector: detectorNames[unissued], Realm: realm, Unit: unit, Floor: by.floor, Ceiling: by.ceiling, Of: "issued credentials", Since: whosaw.Time(since)}
		b.Known = x.issued
		if own != nil {
			b.Known = own.issued
		}
		b.P0, b.Judged = e.inferred(x, own)
		// So many issued credentials bring the three networks on top of none to the ceiling.
		if own == nil { // a key borrows from its realm
			b.Needed = int64(float64(e.knobs.networksOnTop) / by.ceiling)
		}
		switch {
		case x.issued == 0:
			b.P0 = 0
			b.Says = "no issuance was met yet: without an issuance feed nobody is judged; send issuance records, or declare the feed"
		case !b.Judged:
			b.Says = fmt.Sprintf("cannot judge yet: as far as is known %s of the credentials may lack their issuance; it waits for more that have theirs, or for a feed record that says what is lost", percent(min(1, b.P0)))
		default:
			b.Says = "inferred; where a feed record states the loss, that holds instead"
		}
		return b
	}
	for _, x := range e.realmList {
		out = append(out, row(x.name, "", x.since, &x.share, nil))
	}
	for _, s := range e.scopeList {
		out = append(out, row(s.realm.name, s.name, s.since, &s.realm.share, s))
	}
	return out
}

// actorBaseline is of all actors together: each is held against its own past.
func (e *Engine) actorBaseline() Baseline {
	b := Baseline{Detector: detectorNames[spreader], Of: "actors with a past of their own", Judged: true, Since: whosaw.Time(e.began)}
	actors := int64(0)
	for _, p := range e.spreads { // counted only: their order does not matter
		if p.d != spreader {
			continue
		}
		actors++
		if _, ok := e.learnt(p, dayOf(e.sure)); ok {
			b.Known++
		}
	}
	b.Says = fmt.Sprintf("of %s watched; the others cannot be judged yet: each waits for %d days of its own", count(actors, "actor", "actors"), e.knobs.enoughPast)
	b.Judged = b.Known > 0
	return b
}

func (e *Engine) fieldBaseline() Baseline {
	b := Baseline{Detector: detectorNames[fieldDrift], Of: "fields that no catalog lists", Known: int64(len(e.drifted)), Since: whosaw.Time(e.began), Judged: e.clock-e.began >= e.knobs.driftAfter}
	b.Says = "taken for what the catalog forgot"
	if !b.Judged {
		b.Says = "cannot judge yet: it waits until " + date(e.began+e.knobs.driftAfter) + ", and takes such fields for what the catalog forgot"
	}
	return b
}
