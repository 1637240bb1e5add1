package detect

import (
	"fmt"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/snapshot"
)

const (
	// partyDays are the days whose counts of other parties a page is held against.
	partyDays = 28
	// enoughOwn is how many of its sampled customers a page must have shown themselves.
	enoughOwn = 20
	// timesParty is what a day must be of the busiest day before.
	timesParty = 5
	maxPages   = 1 << 10
)

// page is one on which customers are shown themselves: field drift's second half asks whether it begins to show them another party.
type page struct {
	id    uint64
	since int64
	own   int64 // sampled customers who were shown themselves
	days  [partyDays]partyDay
	who   []string // principals, and
	names []string // whom they were shown on the day counted last, at most maxNamed
	from  int64
	today int32
}

type partyDay struct {
	on     int32
	n      int32
	raised bool
}

func (e *Engine) page(v *view) *page {
	id := mix(v.realm^v.route) | 1
	p := e.pages[id]
	if p == nil && len(e.pages) < maxPages {
		p = &page{id: id, since: v.at}
		e.pages[id] = p
	}
	return p
}

// ownParty notes a customer of the sample who is shown themselves.
func (e *Engine) ownParty(v *view) {
	if p := e.page(v); p != nil {
		p.own++
		e.stats[fieldDrift].judged++
	}
}

// otherParty takes a customer who is shown another, whom nothing links to them.
func (e *Engine) otherParty(v *view, name string) {
	p := e.page(v)
	if p == nil || v.on < p.today {
		return
	}
	if v.on != p.today {
		p.today, p.from, p.who, p.names = v.on, v.r.Time, p.who[:0], p.names[:0]
	}
	day := &p.days[v.on%partyDays]
	if day.on != v.on {
		*day = partyDay{on: v.on}
	}
	p.from = min(p.from, v.r.Time)
	if slices.Contains(p.names, name) || len(p.names) >= maxNamed {
		return
	}
	p.names = append(p.names, clone(name))
	if !slices.Contains(p.who, v.r.Principal) {
		p.who = append(p.who, clone(v.r.Principal))
	}
	day.n++
	e.stats[fieldDrift].trials++
	if day.raised || p.own < enoughOwn || e.clock-p.since < e.knobs.driftAfter || e.changing(v) {
		return
	}
	most := e.knobs.leastParty - 1
	for i := range p.days {
		if d := &p.days[i]; d.on < v.on && d.on > v.on-partyDays && !d.raised {
			most = max(most, timesParty*int64(d.n))
		}
	}
	if int64(day.n) > most {
		day.raised = true
		e.strangeParty(v, p, int64(day.n), most)
	}
}

func (e *Engine) strangeParty(v *view, p *page, n, most int64) {
	no := false
	a := e.fact(fieldDrift, kindKey, "route:"+clone(v.r.Route), v)
	a.narrow, a.alone = true, true
	a.statistic, a.threshold, a.trials = float64(n), float64(most), n
	a.accesses, a.subjects, a.first = n, n, p.from
	a.term = whosaw.Term{Route: literal(v.r.Route), Outcome: []string{whosaw.OutcomeDisclosed.String()}, Explained: &no, From: whosaw.Time(p.from)}
	if v.r.Realm != "" {
		a.term.Realm = literal(v.r.Realm)
	}
	for _, w := range p.who {
		a.term.Principal = append(a.term.Principal, literal(w)...)
	}
	for _, s := range p.names {
		a.term.Subject = append(a.term.Subject, literal(s)...)
	}
	e.describe(a, v)
	e.raise(a, v)
}

func partySays(a *accusation, v *view) string {
	return fmt.Sprintf("%s began to show customers the data of others: %s, shown to %s who are none of them, where customers are shown themselves. Does the page check whose data it shows?",
		quote(v.r.Route), count(a.subjects, "customer", "customers"), count(int64(len(a.term.Principal)), "customer", "customers"))
}

// ofParty reports whether a finding of field drift is about another party, not about a field.
func ofParty(a *accusation) bool { return len(a.term.Field) == 0 }

func (e *Engine) pagesState(c *snapshot.Codec) {
	snapshot.Map(c, &e.pages, maxPages, c.Hash, pointer(c, func(p *page, c *snapshot.Codec) {
		c.Hash(&p.id)
		snapshot.Int(c, &p.since)
		snapshot.Int(c, &p.own)
		for i := range p.days {
			d := &p.days[i]
			snapshot.Int(c, &d.on)
			snapshot.Int(c, &d.n)
			c.Bool(&d.raised)
		}
		c.Strings(&p.who, maxNamed)
		c.Strings(&p.names, maxNamed)
		snapshot.Int(c, &p.from)
		snapshot.Int(c, &p.today)
	}))
}
