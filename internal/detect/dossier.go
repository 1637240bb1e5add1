package detect

import (
	"reflect"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
)

// dossier is a finding after it was raised: what it covers, and how it grows. One attack is one finding: what shows the same
// cause in another place makes its filter wider, and is no new finding. A verdict ends that.
type dossier struct {
	id     string
	d      detector
	unit   string // as it was raised
	realm  uint64
	judged verdict
	filter whosaw.Filter // as wide as it is now
	parts  []*accusation // what covers: narrow ones do not

	accesses int64
	subjects int64
	last     int64 // greatest event time of an access
	told     int64 // accesses when growth was last told
	view     uint64
	day      int32    // counted is of
	counted  int64    // customers opened
	busiest  int64    // the most of a day
	people   [2]idset // the distinct subjects: those that are numbers, and the hashes of others
	cause    cause
	tries    *tries // of refused

	// kept is what the baselines would have learnt of the accesses that the finding covers, had it not been there: they
	// learn it when somebody says that the finding was none.
	kept map[lesson]lessons
}

// verdict is what people have made of a finding.
type verdict uint8

const (
	notJudged verdict = iota
	harvested         // it was what it says: it goes on covering
	cleared           // explained or false: it covers nothing
)

// lesson is what one unit teaches one baseline.
type lesson struct{ of, unit uint64 }

type lessons struct{ n, hits uint32 }

// cause is what the accused accesses of a finding came with, in hashes: by that it is known again in another place.
type cause struct {
	credentials map[uint32]int32
	networks    map[uint32]int32 // together with the agent class
	prints      map[uint32]int32 // agent class and TLS fingerprint
	hours       uint32           // of the day, a bit each
	accesses    int32            `state:"-"` // how many entries an accusation gathered it from
}

const (
	// maxCause bounds what a finding is known again by, of each kind.
	maxCause = 1 << 10
	// maxTerms bounds the places to which a finding spreads; what comes after is a finding of its own.
	maxTerms = 64
	// maxKept bounds what is kept for the baselines, and maxDossiers how many judged findings are remembered.
	maxKept     = 1 << 10
	maxDossiers = 1 << 12
	// manyMore is how many times as many accesses are news, and fewMore how many at least.
	manyMore = 10
	fewMore  = 100
	// pauseAgain is how long a finding's accesses must have paused for more of them to be news.
	pauseAgain = day
)

// GrowthStep is how a finding grew at a record. A replay gives the same steps.
//
// The finding in it is what would have been raised, had it been one of its own: its ID is that of the finding that grew, Time and
// Seen are of the step, Unit is where it shows. Its filter is that by which the finding grew, empty where it only counted on;
// Accesses and Subjects are the finding's, up to then.
type GrowthStep struct {
	whosaw.Finding
	Sequence uint64 // of the record
	// Kind is why: "more" (ten times as many accesses as when growth was last told, at least a hundred), "again" (after a pause of a day), or what the
	// cause was known by in another place, where a test has crossed too: "unit", "credential", "fingerprint", "network"; "address": of refused, more of those who try.
	Kind string
}

// Spreads reports whether the filter grew.
func (s *GrowthStep) Spreads() bool { return len(s.Filter) > 0 }

const (
	stepMore        = "more"
	stepAgain       = "again"
	stepUnit        = "unit"
	stepCredential  = "credential"
	stepFingerprint = "fingerprint"
	stepNetwork     = "network"
	stepAddress     = "address"
)

// Growth is how far a finding has grown.
type Growth struct {
	Accesses int64
	Subjects int64
	Last     int64 // event time of the last access
	Filter   whosaw.Filter
}

// Grown takes the steps by which findings grew since it was last called, in order. Who never calls it has them dropped.
func (e *Engine) Grown() []GrowthStep {
	steps := e.steps
	e.steps = nil
	return steps
}

// Growth says how far a finding has grown; ok is false for one that the engine does not remember.
func (e *Engine) Growth(id string) (g Growth, ok bool) {
	f := e.dossiers[id]
	if f == nil {
		return Growth{}, false
	}
	return Growth{f.accesses, f.subjects, f.last, slices.Clone(f.filter)}, true
}

// maxGrowthSteps bounds the steps that nobody has taken.
const maxGrowthSteps = 1 << 12

func (e *Engine) step(f *dossier, kind string, v *view, a *accusation) {
	s := GrowthStep{Sequence: e.seq, Kind: kind, Finding: whosaw.Finding{
		ID: f.id, Time: whosaw.Time(v.r.Time), Seen: e.seenBy(v), Detector: detectorNames[f.d], Unit: f.unit,
		Accesses: f.accesses, Subjects: f.subjects, Technique: e.rule[f.d].technique,
	}}
	if a != nil {
		s.Unit, s.Filter, s.Says = a.unit, whosaw.Filter{a.toldTerm()}, a.says
		s.Statistic, s.Threshold = a.statistic, a.threshold
	}
	e.keepStep(s)
}

// stepOf is a step by which a finding grew without another test: it names more of what it covers.
func (e *Engine) stepOf(f *dossier, kind string, v *view, filter whosaw.Filter) {
	e.keepStep(GrowthStep{Sequence: e.seq, Kind: kind, Finding: whosaw.Finding{
		ID: f.id, Time: whosaw.Time(v.r.Time), Seen: e.seenBy(v), Detector: detectorNames[f.d], Unit: f.unit, Filter: filter,
		Accesses: f.accesses, Subjects: f.subjects, Technique: e.rule[f.d].technique,
	}})
}

func (e *Engine) keepStep(s GrowthStep) {
	if len(e.steps) >= maxGrowthSteps {
		e.steps = e.steps[:copy(e.steps, e.steps[maxGrowthSteps/2:])]
	}
	e.steps = append(e.steps, s)
}

// openDossier begins a finding's dossier.
func (e *Engine) openDossier(a *accusation, v *view, id string) {
	f := &dossier{
		id: id, d: a.d, unit: a.unit, realm: v.realm, filter: whosaw.Filter{a.toldTerm()}, accesses: a.accesses, subjects: a.subjects,
		last: v.at, told: max(a.accesses, 1), view: v.count,
	}
	f.take(a)
	for _, s := range a.people {
		f.show(s)
	}
	f.subjects = max(a.subjects, int64(len(a.people)))
	f.count(v.on, max(a.accesses, f.subjects))
	e.cover(f, a, v)
	if len(e.dossierList) >= 2*maxDossiers {
		e.forgetDossiers()
	}
	e.dossiers[id] = f
	e.dossierList = append(e.dossierList, f)
}

// forgetDossiers lets go of the oldest findings that cover nothing and can grow no more.
func (e *Engine) forgetDossiers() {
	excess := len(e.dossierList) - maxDossiers
	e.dossierList = slices.DeleteFunc(e.dossierList, func(f *dossier) bool {
		if excess > 0 && (f.judged == cleared || f.judged == harvested && len(f.parts) == 0) {
			excess--
			delete(e.dossiers, f.id)
			return true
		}
		return false
	})
}

// cover has what an accusation matches drive its detector no more. A narrow one covers nothing.
func (e *Engine) cover(f *dossier, a *accusation, v *view) {
	if a.narrow {
		return
	}
	a.file = f
	f.follow(a, v)
	e.covers++
	a.serial = e.covers
	f.parts = append(f.parts, a)
	u := e.table.m.get(a.id)
	if u == nil {
		panic("BUG: an accusation of a unit that is not there")
	}
	u.cover(a)
	e.opened[a.d]++
}

// sameCause gives the open finding that shows itself in a new accusation, and what it is known by; nil if there is none. The
// accusation has crossed its threshold by itself, so nothing here is evidence: it only says what belongs together.
func (e *Engine) sameCause(a *accusation, v *view) (f *dossier, by string) {
	if a.alone {
		return nil, ""
	}
	for _, f := range e.dossierList {
		if f.judged != notJudged || f.d != a.d || f.realm != v.realm || len(f.filter) >= maxTerms {
			continue
		}
		switch {
		case f.unit == a.unit:
			return f, stepUnit
		case meets(a.cause.credentials, f.cause.credentials, a.cause.accesses):
			return f, stepCredential
		case meets(a.cause.prints, f.cause.prints, a.cause.accesses):
			return f, stepFingerprint
		case meets(a.cause.networks, f.cause.networks, a.cause.accesses):
			return f, stepNetwork
		}
	}
	return nil, ""
}

// meets reports whether at least half of the accesses came with what is known.
func meets(got, known map[uint32]int32, of int32) bool {
	var n int32
	for h, c := range got {
		if _, ok := known[h]; ok {
			n += c
		}
	}
	return n > 0 && 2*n >= of
}

// widenTo widens a finding by an accusation of the same cause.
func (e *Engine) widenTo(f *dossier, a *accusation, v *view, by string) {
	if a.told != nil {
		f.filter = joinLists(f.filter, *a.told)
	} else {
		f.filter = union(f.filter, a.term)
	}
	f.take(a)
	fresh := int64(0)
	for _, s := range a.people {
		if f.show(s) {
			fresh++
		}
	}
	f.accesses += a.accesses
	f.subjects += fresh
	f.count(v.on, max(a.accesses, fresh))
	if len(a.people) == 0 {
		f.subjects += a.subjects
	}
	f.last = max(f.last, v.at)
	f.told, f.view = max(f.accesses, 1), v.count
	e.cover(f, a, v)
	e.step(f, by, v, a)
}

// union adds a term to a filter. One that differs only in the credentials or the subjects it lists joins that.
func union(filter whosaw.Filter, t whosaw.Term) whosaw.Filter {
	for i := range filter {
		if joined, ok := join(filter[i], t); ok {
			filter = slices.Clone(filter)
			filter[i] = joined
			return filter
		}
	}
	return append(slices.Clone(filter), t)
}

// join gives a term that matches what either matches, if one can be written.
func join(a, b whosaw.Term) (whosaw.Term, bool) {
	from := min(a.From, b.From)
	x, y := a, b
	x.From, y.From = 0, 0
	if reflect.DeepEqual(x, y) {
		a.From = from
		return a, true
	}
	switch {
	case len(a.Credential) > 0 && len(b.Credential) > 0:
		x.Credential, y.Credential = nil, nil
		list := merged(a.Credential, b.Credential)
		if !reflect.DeepEqual(x, y) || len(list) > maxNamed {
			return a, false
		}
		a.Credential = list
	case len(a.Subject) > 0 && len(b.Subject) > 0 && !others(a.Subject[0]) && !others(b.Subject[0]):
		x.Subject, y.Subject = nil, nil
		list := merged(a.Subject, b.Subject)
		if !reflect.DeepEqual(x, y) || len(list) > maxNamed {
			return a, false
		}
		a.Subject = list
	default:
		return a, false
	}
	a.From = from
	return a, true
}

func merged(a, b []string) []string {
	out := slices.Clone(a)
	in := make(map[string]struct{}, len(a))
	for _, s := range a {
		in[s] = struct{}{}
	}
	for _, s := range b {
		if _, ok := in[s]; !ok {
			in[s] = struct{}{}
			out = append(out, s)
		}
	}
	return out
}

// count adds up a day's openings.
func (f *dossier) count(on int32, n int64) {
	if on > f.day {
		f.day, f.counted = on, 0
	}
	f.counted += n
	f.busiest = max(f.busiest, f.counted)
}

// take adds an accusation's cause to what the finding is known by.
func (f *dossier) take(a *accusation) {
	f.cause.credentials = addAll(f.cause.credentials, a.cause.credentials)
	f.cause.networks = addAll(f.cause.networks, a.cause.networks)
	f.cause.prints = addAll(f.cause.prints, a.cause.prints)
	f.cause.hours |= a.cause.hours
	a.cause, a.people = cause{}, nil
}

func addAll(to, from map[uint32]int32) map[uint32]int32 {
	for _, h := range sortedKeys(from) {
		to = note(to, h)
	}
	return to
}

func note(to map[uint32]int32, h uint32) map[uint32]int32 {
	if _, ok := to[h]; ok || h == 0 || len(to) >= maxCause {
		return to
	}
	if to == nil {
		to = make(map[uint32]int32)
	}
	to[h] = 1
	return to
}

// show adds a subject, and reports whether it was not there. When the sets are full it says no: what is counted is a least.
func (f *dossier) show(s subject) bool {
	n, number := s.number()
	set := &f.people[1]
	if number {
		set = &f.people[0]
	}
	return set.put(n, maxPeople)
}

// maxPeople bounds the blocks of a finding's distinct subjects, 16 to 32 bytes each: tens of millions of neighbouring
// numbers. The exact number is a scope's.
const maxPeople = 1 << 21

// grow counts an access that meets the filter of a raised finding, once.
func (e *Engine) grow(a *accusation, v *view) {
	f := a.file
	if f == nil || f.judged == cleared || f.view == v.count {
		return
	}
	f.view = v.count
	f.accesses++
	f.count(v.on, int64(max(1, len(v.subjects))))
	f.cause.hours |= 1 << (v.r.Time / hour % 24)
	if v.outcome == whosaw.OutcomeDisclosed && a.d != spreader && a.d != budget { // those count the new ones, see shows
		for _, s := range v.subjects {
			if f.show(subjectOf(s)) {
				f.subjects++
			}
		}
	}
	en := v.entry(0)
	f.cause.credentials = note(f.cause.credentials, en.credential)
	f.cause.networks = note(f.cause.networks, en.from())
	f.cause.prints = note(f.cause.prints, en.print)
	kind := ""
	switch {
	case f.accesses >= max(manyMore*f.told, fewMore):
		kind = stepMore
	case v.at-f.last > pauseAgain:
		kind = stepAgain
	}
	f.last = max(f.last, v.at)
	if kind != "" {
		f.told = f.accesses
		e.step(f, kind, v, nil)
	}
}

// learnLater keeps what a baseline would learn of a covered access.
func (f *dossier) learnLater(of, unit uint64, hit bool) {
	if of == 0 || unit == 0 {
		return
	}
	k := lesson{of, unit}
	t, ok := f.kept[k]
	if !ok && len(f.kept) >= maxKept {
		return
	}
	if f.kept == nil {
		f.kept = make(map[lesson]lessons)
	}
	if t.n++; t.n == mostTried { // as a unit's own count
		t.n, t.hits = t.n/2, t.hits/2
	}
	if hit {
		t.hits++
	}
	f.kept[k] = t
}

// judgement takes a verdict on a finding, from its own place in the ledger on. An explained or false one covers nothing
// from then on: its units are judged anew, and the baselines learn what was kept from them. What was harvested stays
// covered, and grows no wider: where it shows itself next is a new finding, which is told.
func (e *Engine) judgement(r *whosaw.Record) {
	if r.Ref == nil {
		return
	}
	f := e.dossiers[r.Ref.Of]
	if f == nil {
		return
	}
	switch r.Ref.Kind {
	case "harvest":
		if f.judged == cleared {
			for _, a := range f.parts {
				e.covers++
				a.serial = e.covers
				u := e.unitAgain(a)
				u.cover(a)
				e.opened[a.d]++
			}
		}
		f.judged = harvested
		delete(e.precedents, precedentID(f.realm, f.unit, f.d))
	case "explained", "false":
		if f.judged != cleared {
			e.clear(f)
			e.setPrecedent(f)
		}
		f.judged = cleared
	}
}

// clear lifts what a finding covers.
func (e *Engine) clear(f *dossier) {
	for _, a := range f.parts {
		if u := e.table.m.get(a.id); u != nil {
			u.uncover(a)
			e.opened[a.d]--
		}
	}
	if f.d == spreader || f.d == budget {
		e.giveBack(f)
	}
	if x := e.flows[mix(f.realm^(text(strings.TrimPrefix(f.unit, "route:"))|1))|1]; x != nil && f.d == volume {
		if d := &x.days[dayOf(f.last)%volumeDays]; d.on == dayOf(f.last) {
			d.frozen = false // what was usual after all is learnt
		}
	}
	if k := (lesson{text(f.unit), uint64(f.d)}); e.judgedNot[k] > 0 || len(e.judgedNot) < maxDossiers {
		e.judgedNot[k]++
	}
	for _, k := range sortedLessons(f.kept) {
		t := f.kept[k]
		if f.d == unissued {
			if s := e.scopes[k.of]; s != nil {
				s.miss(k.unit)
			} else if x := e.realms[f.realm]; x != nil && k.of == f.realm|1<<63 {
				x.miss(k.unit)
			}
		} else if s := e.strata[k.of]; s != nil {
			e.learnMany(s, k.unit, t)
		}
	}
	f.kept = nil
}

// unitAgain gives the unit of an accusation, made if it went.
func (e *Engine) unitAgain(a *accusation) *unit {
	u := e.table.m.get(a.id)
	if u == nil {
		u = &unit{id: a.id, kind: a.kind, first: a.first, last: e.count, pastUnknown: true, place: int32(len(e.table.list))}
		e.table.m.put(u)
		e.table.list = append(e.table.list, u)
	}
	return u
}

func sortedLessons[V any](m map[lesson]V) []lesson {
	out := make([]lesson, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b lesson) int {
		if a.of != b.of {
			if a.of < b.of {
				return -1
			}
			return 1
		}
		if a.unit < b.unit {
			return -1
		}
		return 1
	})
	return out
}

func sortedKeys[K ~uint32 | ~uint64, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// from is the network and the class of agent that an entry came with; 0 unless both are known: a network alone is shared by many.
func (en *entry) from() uint32 {
	if en.network == 0 || en.class == 0 {
		return 0
	}
	return uint32(mix(uint64(en.network)<<32 | uint64(en.class)))
}

// add notes what an accused entry came with.
func (c *cause) add(en *entry) {
	c.accesses++
	c.credentials = count32(c.credentials, en.credential)
	c.networks = count32(c.networks, en.from())
	c.prints = count32(c.prints, en.print)
	c.hours |= 1 << (en.time / hour % 24)
}

func count32(m map[uint32]int32, h uint32) map[uint32]int32 {
	if h == 0 {
		return m
	}
	if m == nil {
		m = make(map[uint32]int32)
	}
	m[h]++
	return m
}
