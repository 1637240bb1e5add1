package detect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
)

const (
	// ringDays are the days an actor's counts are held, ringSlots those for which there is room: a clock that is ahead, by no more than farAhead,
	// takes no place of a day of the past.
	ringDays  = 31
	ringSlots = 2*ringDays + 1
	// maxSpreads bounds the actors watched, about two kilobytes each: houses have some thousands of staff, partners and programs.
	maxSpreads = 1 << 14
)

// spread is what one actor was shown.
type spread struct {
	d     detector
	shown pairset
	days  [ringSlots]spreadDay
	blind bool     // of some customers it cannot be said whether they are new
	last  int32    // the day counted last
	bare  bool     // only what nothing explained is counted
	names []string // of the customers new on it since it was, at most maxNamed
	name  string   // of the actor's unit
	cap   int64    // a day's, where it is configured
	first int32    // day on which it was first shown somebody
	rush  int32    // the most new customers of a day of its first week

	caps   []int64 // what its cap was at the end of each month of its own, the latest last
	capped int32   // the day on which the last of them was noted
}

// spreadDay is one day of it.
type spreadDay struct {
	on      int32
	fresh   int32 // new customers
	matched int32 // accesses that were counted
	accused int32 // of them, those that showed somebody new
	from    int64 // least event time of those
	// raised is the finding that came on it, or that covers it, by which it teaches nothing: a hash of its id, 0 if there is none.
	raised uint32
}

// setBudgets reads the caps.
func (e *Engine) setBudgets(list []Budget) {
	for _, b := range list {
		what, name, _ := strings.Cut(b.Of, ":")
		k, id := kindPrincipal, uint64(0)
		switch what {
		case "principal":
			id = classOf(name + ":")
		case "client":
			k, id = kindClient, text(name)
		case "key":
			k, id = kindKey, text(name)
		default:
			panic("BUG: a budget that was not checked")
		}
		list := &e.budgets[k]
		if b.Unexplained {
			list, e.bareBudgeted = &e.bareBudgets[k], true
		}
		if *list == nil {
			*list = make(map[uint64]Budget)
		}
		(*list)[id] = b
		e.budgeted = true
	}
}

// spend counts an access against the configured budgets: those of all customers, whatever explains it, and those of what nothing explains.
func (e *Engine) spend(v *view) {
	if v.outcome != whosaw.OutcomeDisclosed {
		return
	}
	e.identify(v)
	e.stats[budget].judged++
	e.spendOn(v, &e.budgets, v.subjects)
	if !v.explained && e.bareBudgeted {
		e.spendOn(v, &e.bareBudgets, e.bareSubjects(v))
	}
}

// bareSubjects gives those of an access's subjects that nothing explains at about its time: the access may be told by a clock that is slow, and
// its reason by one that is right.
func (e *Engine) bareSubjects(v *view) []string {
	e.bareNames = e.bareNames[:0]
	for _, name := range v.subjects {
		if !e.ref.ExplainedNear(v.r.Realm, v.principal, name, v.r.Time, e.knobs.budgetSkew, v.issued) {
			e.bareNames = append(e.bareNames, name)
		}
	}
	return e.bareNames
}

func (e *Engine) spendOn(v *view, budgets *[nKinds]map[uint64]Budget, subjects []string) {
	if len(budgets[kindPrincipal]) > 0 && e.watches(budget, kindPrincipal) && v.principal != "" && !v.own {
		if b, ok := budgets[kindPrincipal][classOf(v.principal)]; ok {
			e.shows(budget, kindPrincipal, v, subjects, &b)
		}
	}
	if b, ok := budgets[kindClient][v.client]; ok && v.client != 0 && e.watches(budget, kindClient) {
		e.shows(budget, kindClient, v, subjects, &b)
	}
	if b, ok := budgets[kindKey][v.key]; ok && v.key != 0 && e.watches(budget, kindKey) {
		e.shows(budget, kindKey, v, subjects, &b)
	}
}

// spreadTo counts what staff, a partner or a program was shown and nothing explains, against the past of the actor. It is
// called once reasons had time to come, where there are any.
func (e *Engine) spreadTo(v *view, subjects []string) {
	if len(subjects) == 0 {
		return
	}
	e.identify(v)
	e.stats[spreader].judged++
	for _, k := range e.rule[spreader].watched {
		if by := e.shows(spreader, k, v, subjects, nil); by != 0 {
			e.calm(v, by)
			return
		}
	}
}

// calm keeps the actors of an access, one of which was accused, from being accused of the same today.
func (e *Engine) calm(v *view, by uint32) {
	for _, k := range e.rule[spreader].watched {
		if p := e.spreads[spreadID(spreader, v.ids[k], false)]; p != nil {
			if day := p.day(v.day, dayOf(e.sure)); day != nil && day.raised == 0 {
				day.raised = by
			}
		}
	}
}

// spreadID tells apart what is counted of one actor; bare: only what nothing explained.
func spreadID(d detector, id uint64, bare bool) uint64 {
	if bare {
		id = ^id
	}
	return id ^ uint64(d)<<1
}

// spreadOf gives an actor's state, nil if no more are watched.
func (e *Engine) spreadOf(d detector, id uint64, bare bool) *spread {
	id = spreadID(d, id, bare)
	p := e.spreads[id]
	if p == nil && len(e.spreads) < maxSpreads {
		p = &spread{d: d, bare: bare}
		e.spreads[id] = p
	}
	return p
}

// shows adds subjects to what an actor was shown. If that is too many it gives the finding, as its day holds it; else 0.
func (e *Engine) shows(d detector, k kind, v *view, subjects []string, b *Budget) uint32 {
	st := &e.stats[d]
	if v.ids[k] == 0 {
		return 0
	}
	cover := e.covering(d, v)
	if cover != nil {
		e.grow(cover, v)
	}
	p := e.spreadOf(d, v.ids[k], b != nil && b.Unexplained)
	if p == nil {
		st.skip(whyPairs)
		return 0
	}
	on := v.day
	day := p.day(on, dayOf(e.sure))
	if day == nil {
		st.skip(whyLate)
		return 0
	}
	if p.name == "" {
		_, p.name = e.term(k, v)
		if b != nil {
			p.cap = b.Day
		}
	}
	if cover != nil {
		day.raised = heldBy(cover.file.id) // counted on, so that it is right again should the finding be judged away
	}
	before := day.fresh
	for i, name := range subjects {
		if slices.Contains(subjects[:min(i, 64)], name) {
			continue
		}
		room := e.pairs < e.cfg.MaxPairs
		fresh, grown := p.shown.show(uint64(subjectOf(name)), on, room)
		e.pairs += grown
		p.blind = p.blind || fresh && !room
		st.trials++
		if fresh {
			day.fresh++
			if len(p.names) < maxNamed {
				p.names = append(p.names, clone(name))
			}
		}
	}
	if e.probing() {
		_, name := e.term(k, v)
		e.probe.count(d, name, int64(before), int64(day.fresh))
	}
	day.matched++
	if cover != nil && cover.id == v.ids[k] {
		cover.file.subjects += int64(day.fresh - before)
	}
	if day.fresh == before {
		return 0
	}
	p.rushing(day)
	day.accused++
	if day.from == 0 || v.r.Time < day.from {
		day.from = v.r.Time
	}
	if p.blind {
		st.skip(whyPairs)
		return 0
	}
	if day.raised != 0 || !e.overspent(d, k, v, p, day, b) {
		return 0
	}
	return day.raised
}

// day gives the counts of a day, nil if it is too long ago. Each access counts on its own day, so that one from a wrong clock
// fills no other; today is by the sure clock.
func (p *spread) day(on, today int32) *spreadDay {
	if on <= today-ringDays {
		return nil
	}
	if on != p.last {
		p.last, p.names = on, p.names[:0]
	}
	day := &p.days[on%ringSlots]
	if day.on != on {
		*day = spreadDay{on: on}
	}
	return day
}

// overspent raises an actor that was shown more new customers than its cap.
func (e *Engine) overspent(d detector, k kind, v *view, p *spread, day *spreadDay, b *Budget) bool {
	over, most := int64(day.fresh), int64(0)
	from, matched, accused := day.from, int64(day.matched), int64(day.accused)
	peers := false
	if b == nil {
		var ok bool
		if most, ok = e.learnt(p, day.on); ok {
			most = e.slowly(p, day.on, most)
		} else {
			most, ok = e.learntFromPeers(p, day.on)
			peers = true
		}
		if !ok {
			e.stats[d].skip(whyNoPast)
			return false
		}
	} else if most = b.Day; most == 0 || over <= most {
		if b.Month == 0 {
			return false
		}
		over, most = 0, b.Month
		from, matched, accused = v.r.Time, 0, 0
		for i := range p.days {
			if x := &p.days[i]; x.on > day.on-30 && x.on <= day.on && x.matched > 0 {
				over, matched, accused = over+int64(x.fresh), matched+int64(x.matched), accused+int64(x.accused)
				if x.from != 0 {
					from = min(from, x.from)
				}
			}
		}
	}
	if over <= most {
		return false
	}
	t, name := e.term(k, v)
	if b == nil || p.bare {
		no := false
		t.Explained = &no
	}
	t.Outcome = []string{whosaw.OutcomeDisclosed.String()}
	t.From = whosaw.Time(from)
	a := &accusation{d: d, kind: k, unit: name, statistic: float64(over), threshold: float64(most), first: from, accesses: accused, subjects: over, peers: peers, bare: p.bare}
	if 2*accused <= matched {
		// Most of what it is shown it was shown before: only the new ones of the day are accused.
		a.narrow = true
		a.accesses = int64(day.accused)
		t.From = whosaw.Time(day.from)
		for _, s := range p.names {
			t.Subject = append(t.Subject, literal(s)...)
		}
		a.subjects = int64(len(t.Subject))
	}
	a.term = t
	st := &e.stats[d]
	st.highest = max(st.highest, 1)
	e.describe(a, v)
	if e.raise(a, v); a.of == "" {
		return false // a verdict speaks for it: asked again at the next
	}
	day.raised = heldBy(a.of)
	return true
}

// heldBy is how a day names a finding.
func heldBy(id string) uint32 { return uint32(text(id)) | 1 }

// giveBack has the days teach that a finding kept from it, of all actors that it calmed: not those that another finding holds.
func (e *Engine) giveBack(f *dossier) {
	by := heldBy(f.id)
	for _, p := range e.spreads { // each is changed alone: their order does not matter
		if p.d != f.d {
			continue
		}
		held := false
		for i := range p.days {
			if day := &p.days[i]; day.raised == by {
				day.raised, held = 0, true
			}
		}
		if held {
			p.caps, p.capped = nil, dayOf(f.last) // what it does now is what it does
		}
	}
}

// learnt is an actor's own cap: several times its median day, twice its second busiest, and never few.
func (e *Engine) learnt(p *spread, on int32) (most int64, ok bool) {
	var past [ringSlots]int64
	n := 0
	for i := range p.days {
		if x := &p.days[i]; x.on < on && x.on > on-ringDays && x.matched > 0 && x.raised == 0 {
			past[n] = int64(x.fresh)
			n++
		}
	}
	if n < max(1, e.knobs.enoughPast) {
		return 0, false
	}
	slices.Sort(past[:n])
	return max(e.knobs.leastSpread, e.knobs.timesMedian*past[n/2], e.knobs.timesSecond*past[max(0, n-2)]), true
}

const (
	// capMonth is how many days make a month of an actor's own, capMonths how many of them are held.
	capMonth  = 30
	capMonths = 12
)

// slowly bounds how fast an actor's cap grows: to so many times the lowest that it had at the end of a month of the last year. By the last month
// alone, whoever fills the cap every day doubles it every second.
func (e *Engine) slowly(p *spread, on int32, most int64) int64 {
	if p.capped == 0 {
		p.capped = p.first
	}
	if len(p.caps) > 0 && e.knobs.timesYear > 0 {
		most = min(most, e.knobs.timesYear*slices.Min(p.caps))
	}
	if on-p.capped >= capMonth {
		p.caps = append(p.caps, most)
		p.caps = p.caps[max(0, len(p.caps)-capMonths):]
		p.capped = on
	}
	return most
}

func spreadSays(a *accusation) string {
	cap := "four times what it is shown on most of its days, and twice a busy one (and no more than four times the lowest such of a year)"
	switch {
	case a.d == budget && a.bare:
		cap = "no reason explained them when they were shown, and its budget of such"
	case a.d == budget:
		cap = "its budget"
	case a.peers:
		cap = "it has no past of its own yet; four times what others of its kind are shown on a busy day"
	}
	tail := ""
	if a.narrow {
		tail = " Most of what it opens it was shown before, so only these customers are accused."
	}
	return fmt.Sprintf("%s was shown %s it had not been shown in the 90 days before; %s is %d.%s",
		capital(behind(a)), count(int64(a.statistic), "customer", "customers"), cap, int64(a.threshold), tail)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
