package detect

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
)

// accusation is a finding in the making, and afterwards what accesses are compared with.
type accusation struct {
	d          detector
	kind       kind // of the unit the filter names
	unit       string
	term       whosaw.Term
	told       *whosaw.Term `state:"-"` // refused: what is named of it
	prefix     netip.Prefix `state:"-"` // of term.IP
	narrow     bool         `state:"-"` // it could only name what was met so far
	rank       int          `state:"-"` // the lowest of those that crossed at a record is raised
	accesses   int64        `state:"-"`
	subjects   int64        `state:"-"`
	statistic  float64      `state:"-"`
	threshold  float64      `state:"-"`
	says       string       `state:"-"`
	first      int64        // event time of the first accused access
	trials     int64        `state:"-"`
	hits       int64        `state:"-"`
	descending bool         `state:"-"`

	id     uint64    // of the unit, once it covers
	serial uint64    // in order of beginning to cover
	file   *dossier  `state:"-"` // what it belongs to, once it covers
	peers  bool      `state:"-"` // spreader: held against its peers
	of     string    `state:"-"` // id of the finding that it became, or that it widened; "": of none
	bare   bool      `state:"-"` // budget: of what nothing explains
	ownP0  float64   `state:"-"` // unexplained: the unit's own rate, where that was crossed
	alone  bool      `state:"-"` // it is a finding of its own, whatever else is known
	cause  cause     `state:"-"` // what the accused accesses came with, and
	people []subject `state:"-"` // whose data they showed: until it is raised
}

// term gives the filter that is the unit itself.
func (e *Engine) term(k kind, v *view) (t whosaw.Term, unit string) {
	r := v.r
	var value string
	switch k {
	case kindKey:
		value = r.Key
		t.Key = literal(value)
	case kindClient:
		value = r.Client
		t.Client = literal(value)
	case kindPrincipal:
		value = r.Principal
		t.Principal = literal(value)
	case kindCredential:
		value = r.Credential
		t.Credential = literal(value)
	case kindCell:
		value = v.cellName()
		if r.Key != "" {
			t.Key = literal(r.Key)
		}
		if r.ASN != 0 {
			t.ASN = whosaw.Numbers{strconv.FormatUint(uint64(r.ASN), 10)}
		} else if r.Country != "" {
			t.Country = literal(r.Country)
		}
		if v.class.name != "" {
			t.AgentClass = literal(v.class.name)
		}
	case kindNetwork:
		value = networkOf(r.IP.Unmap()).String()
		t.IP = []string{value}
	case kindIP:
		value = r.IP.Unmap().String()
		t.IP = []string{value}
	}
	if r.Realm != "" {
		t.Realm = literal(r.Realm)
	}
	return t, kindNames[k] + ":" + strings.Clone(value)
}

// literal gives a filter's list of one value, which must hold as it stands.
func literal(s string) []string {
	if strings.HasPrefix(s, "!") {
		return []string{"!" + s}
	}
	return []string{clone(s)}
}

// slice is a narrower look at the evidence: only entries that share these members with the raising access.
type slice struct{ key, client, class, opened, unissued bool }

func (s slice) holds(en *entry, v *view) bool {
	return (!s.key || en.key == uint32(v.key)) && (!s.client || en.client == uint32(v.client)) &&
		(!s.class || en.class == uint32(v.class.hash)) &&
		(!s.opened || en.flags&entOpened != 0) &&
		(!s.unissued || en.flags&entIssued == 0)
}

// narrow writes the slice into a filter.
func (s slice) narrow(t *whosaw.Term, v *view) {
	if s.key {
		t.Key = literal(v.r.Key)
	}
	if s.client {
		t.Client = literal(v.r.Client)
	}
	if s.class {
		t.AgentClass = literal(v.class.name)
	}
	if s.opened {
		t.Outcome = []string{whosaw.OutcomeDisclosed.String(), whosaw.OutcomeAbsent.String()}
	}
}

// evidence is what an excursion shows of a slice.
type evidence struct {
	accesses, accused int64 // that match, and of those the ones accused
	sure              int64 // of those, the ones accused by themselves, not by the company they keep
	opened            int64 // accesses that asked for a subject
	trials, hits      int64
	subjects          int64 // distinct, disclosed
	first             int64 // least event time
	people            map[subject]struct{}
	cause             cause
}

func (ev evidence) majority() bool { return 2*ev.accused > ev.accesses }

// accuse builds the finding of a unit that crossed: the plainest filter of which more than half of what it matched since the
// excursion began is accused. nil if there is none.
func (e *Engine) accuse(d detector, u *unit, v *view) *accusation {
	x := u.ex[d]
	if x == nil {
		return nil
	}
	j := x.crossedTest(e.rule[d].h, e.rule[d].bank.n)
	if j < 0 {
		return nil
	}
	ev := x.ev[x.start[j]:]
	switch d {
	case unexplained:
		return e.accuseUnexplained(u, v, ev, j)
	case refused:
		return e.accuseRefused(u, v, ev, j)
	case dormant, stranger, monotone:
		return e.accusePeople(d, u, v, ev, j)
	}
	t, name := e.term(u.kind, v)
	a := &accusation{d: d, kind: u.kind, unit: name, statistic: x.s[j], threshold: e.rule[d].h, descending: d == traversal && 1<<j&e.downward != 0}
	no := false
	if d == unissued {
		t.Issued = &no
	} else {
		t.Explained = &no
	}
	var accused map[subject]struct{}
	if d == traversal {
		accused = hitSubjects(ev, j)
	}
	if of := e.covering(unissued, v); of != nil && d != unissued && (of.unit == name || of.kind == kindKey) {
		// The cause is known: the credentials were never issued. Honest accesses that merely lack a reason stay out.
		forged := slices.DeleteFunc(slices.Clone(ev), func(en entry) bool { return en.time < int64(of.term.From) })
		a.kind, a.unit, a.prefix = of.kind, of.unit, of.prefix
		a.take(of.term, weigh(forged, j, v, slice{key: of.kind == kindKey, unissued: true}, accused))
		a.rank = e.rank(a, v)
		e.describe(a, v)
		return a
	}
	common := commonMembers(ev, j, v)
	base := slice{key: common.key && u.kind != kindKey && u.kind != kindCell}
	tries := []slice{base}
	if d != unissued {
		opened := slice{key: base.key, opened: true}
		tries = append(tries, opened)
		if common.class && u.kind != kindCell {
			tries = append(tries, slice{key: base.key, opened: true, class: true})
		}
		if common.client && u.kind != kindClient {
			tries = append(tries, slice{key: base.key, opened: true, client: true})
			if common.class && u.kind != kindCell {
				tries = append(tries, slice{key: base.key, opened: true, client: true, class: true})
			}
		}
	}
	for _, s := range tries {
		got := weigh(ev, j, v, s, accused)
		got.sure = got.accused
		if d == nonexistent {
			got.accused, got.sure = got.hits, got.hits
			if 2*got.hits > got.trials || e.ownPast(u, ev, got) {
				got.accused = got.opened
			}
		}
		if !got.majority() {
			continue
		}
		whole := e.wholeHistory(d, u, ev, got) || d != unissued && u.kind == kindKey && s.class && u.wholeClass(ev, j, v, got)
		if !whole && d != unissued && !e.pastEnded(u, ev, got) {
			continue
		}
		if d != unissued && u.kind == kindKey && !s.class && common.class {
			// The key's others need not be accused with it where the thief's program tells him from them.
			fine := s
			fine.class = true
			if with := weigh(ev, j, v, fine, accused); u.tells(v) && with.hits == got.hits && u.wholeClass(ev, j, v, got) {
				s, whole, with.sure = fine, true, got.sure
				with.accused = min(got.accused, with.accesses)
				got = with
			}
		}
		s.narrow(&t, v)
		if !whole {
			t.From = whosaw.Time(got.first)
		}
		a.take(t, got)
		if d == unissued {
			e.widen(a, u, v, got, base.key)
		}
		a.rank = e.rank(a, v)
		e.describe(a, v)
		return a
	}
	e.lastResort(a, t, u, ev, j, v, base, accused)
	return a
}

// established is how long a log must have run before a coarse unit without an honest past is believed to have none.
const established = day

// rank orders accusations of units that crossed at one record. One that holds without a beginning, by all that is known of
// its unit, comes first: then the coarser unit says more about the cause, and catches the thief's next address too. But
// where the log is young, or the unit has an honest past, the finer unit is less likely to meet honest accesses later.
func (e *Engine) rank(a *accusation, v *view) int {
	fine := [nKinds]int{kindPrincipal: 0, kindCell: 1, kindNetwork: 2, kindIP: 3, kindCredential: 4, kindClient: 5, kindKey: 6}
	if v.r.ASN == 0 && v.r.Country == "" {
		fine[kindCell] = 5 // without an origin it is a program used by many
	}
	past := [nKinds]int{kindPrincipal: 0, kindCredential: 1, kindIP: 2, kindNetwork: 3, kindCell: 4, kindKey: 5, kindClient: 6}
	switch {
	case a.narrow:
		return 40 + past[a.kind]
	case a.term.From != 0:
		return 20 + past[a.kind]
	case a.term.Issued == nil && e.clock-e.began < established:
		return 10 + fine[a.kind]
	}
	return int(a.kind)
}

// crossedTest gives the test that stands highest above the threshold, -1 if none does.
func (x *excursion) crossedTest(h float64, n int) int {
	best := -1
	for j := range n {
		if x.s[j] >= h && (best < 0 || x.s[j] > x.s[best]) {
			best = j
		}
	}
	return best
}

// hitSubjects are the subjects met in order: their other pages are accused with them.
func hitSubjects(ev []entry, j int) map[subject]struct{} {
	set := make(map[subject]struct{})
	for i := range ev {
		if ev[i].hits>>j&1 == 1 {
			set[ev[i].subject] = struct{}{}
		}
	}
	return set
}

// commonMembers are those that all hits share with the raising access.
func commonMembers(ev []entry, j int, v *view) slice {
	s := slice{key: v.key != 0, client: v.client != 0, class: v.class.hash != 0}
	for i := range ev {
		if en := &ev[i]; en.hits>>j&1 == 1 {
			s.key = s.key && en.key == uint32(v.key)
			s.client = s.client && en.client == uint32(v.client)
			s.class = s.class && en.class == uint32(v.class.hash)
		}
	}
	return s
}

// weigh counts what a slice of the evidence holds. Entries of one access follow each other.
func weigh(ev []entry, j int, v *view, s slice, accused map[subject]struct{}) evidence {
	var got evidence
	subjects := make(map[subject]struct{})
	var access uint32
	counted, charged, asked := false, false, false
	for i := range ev {
		en := &ev[i]
		if en.access != access {
			access, counted, charged, asked = en.access, false, false, false
		}
		if !s.holds(en, v) {
			continue
		}
		if !counted {
			counted = true
			got.accesses++
		}
		if en.flags&entOpened != 0 && en.subject != 0 && !asked {
			asked = true
			got.opened++
		}
		if en.flags&entTrial != 0 {
			got.trials++
		}
		hit := en.hits>>j&1 == 1
		if hit {
			got.hits++
		}
		_, met := accused[en.subject]
		if (met || en.flags&entAccused != 0) && !charged {
			charged = true
			got.accused++
		}
		if hit || met || en.flags&entAccused != 0 {
			got.cause.add(en)
		}
		if en.flags&entDisclosed != 0 && en.subject != 0 {
			subjects[en.subject] = struct{}{}
		}
		if got.first == 0 || en.time < got.first {
			got.first = en.time
		}
	}
	got.subjects, got.people = int64(len(subjects)), subjects
	return got
}

// ownPast reports whether three quarters of what the unit asked for in the excursion go beyond what it asked for before: then
// the found ones between the absent ones belong to the same hand. A unit that began with the excursion has no past.
func (e *Engine) ownPast(u *unit, ev []entry, got evidence) bool {
	if u.pastUnknown {
		return false
	}
	in := int64(ev[len(ev)-1].access - ev[0].access + 1)
	before := u.total - in
	if before <= 0 {
		return true
	}
	was := max(ev[0].time-u.first, 1)
	lasts := max(ev[len(ev)-1].time-ev[0].time, 0)
	return 4*float64(before)*float64(lasts)/float64(was) < float64(got.opened)
}

// wholeHistory reports whether more than half of all that is known of the unit is accused. Then the filter needs no
// beginning, and also finds what the thief tried before anybody could notice.
func (e *Engine) wholeHistory(d detector, u *unit, ev []entry, got evidence) bool {
	if d == unissued || u.pastUnknown {
		return false // see widen
	}
	in := int64(ev[len(ev)-1].access - ev[0].access + 1)
	return 2*got.accused > got.accesses+max(0, u.total-in)
}

// pastEnded reports whether the honest past of a unit may be left out by giving the filter a beginning. By its own past there
// should be several honest accesses in the excursion, and there are not half as many, even with all
// that is not surely the thief's: it is over. Or what is accused already
// outweighs a day of it, and the unit is not one that very many share. Otherwise the majority is that of a moment, and
// honest accesses will go on when the thief has left.
func (e *Engine) pastEnded(u *unit, ev []entry, got evidence) bool {
	if u.pastUnknown {
		return false
	}
	in := int64(ev[len(ev)-1].access - ev[0].access + 1)
	was := max(ev[0].time-u.first, 1)
	lasts := max(ev[len(ev)-1].time-ev[0].time, 0)
	rate := float64(max(0, u.total-in)) / float64(was)
	if expected := rate * float64(lasts); expected >= 3 && 2*float64(got.accesses-got.sure) < expected {
		return true
	}
	return !coarse(u.kind) && rate*float64(day) < float64(got.accused)
}

// widen turns an accusation of never-issued credentials into one of their key (or client) as a whole, if most of what
// that would match is accused: the key is the cause, an address is not.
func (e *Engine) widen(a *accusation, u *unit, v *view, got evidence, sameKey bool) {
	k := kindKey
	if u.kind == kindClient {
		k = kindClient
	} else if u.kind != kindKey && !sameKey {
		return
	}
	s := e.scope(v, k)
	if s == nil || 2*got.accused <= s.total {
		return
	}
	t, name := e.term(k, v)
	t.Issued = a.term.Issued
	a.term, a.kind, a.unit = t, k, name
}

// take writes the filter and the counts into the accusation.
func (a *accusation) take(t whosaw.Term, got evidence) {
	a.term, a.first = t, got.first
	a.accesses, a.subjects, a.trials, a.hits = got.accesses, got.subjects, got.trials, got.hits
	a.people, a.cause = sortedKeys(got.people), got.cause
}

// lastResort accuses only what was met: the asking for absent subjects, the subjects met in order, the
// credentials judged. It is what remains where honest and accused accesses share every member.
func (e *Engine) lastResort(a *accusation, t whosaw.Term, u *unit, ev []entry, j int, v *view, base slice, accused map[subject]struct{}) {
	base.narrow(&t, v)
	a.narrow = true
	a.rank = e.rank(a, v)
	only := ev
	switch a.d {
	case nonexistent:
		t.Outcome = []string{whosaw.OutcomeAbsent.String()}
		only = slices.DeleteFunc(slices.Clone(ev), func(en entry) bool { return en.flags&(entOpened|entDisclosed) != entOpened })
	case traversal:
		only = slices.DeleteFunc(slices.Clone(ev), func(en entry) bool { _, ok := accused[en.subject]; return !ok })
		seen := make(map[subject]struct{})
		for i := range only {
			s := only[i].subject
			if _, ok := seen[s]; !ok && len(seen) < maxNamed {
				seen[s] = struct{}{}
				n, _ := s.number() // only numbers have neighbours
				t.Subject = append(t.Subject, strconv.FormatUint(n, 10))
			}
		}
	case unissued:
		only = slices.DeleteFunc(slices.Clone(ev), func(en entry) bool { return en.flags&entAccused == 0 })
		for _, c := range u.ex[unissued].creds {
			t.Credential = append(t.Credential, literal(c)...)
		}
	}
	got := weigh(only, j, v, base, accused)
	t.From = whosaw.Time(got.first)
	a.take(t, got)
	e.describe(a, v)
}

// raise gives the finding out and keeps the accusation, so that what it matches drives nothing else. One of the same cause as an
// open finding is no finding of its own: that one grows.
func (e *Engine) raise(a *accusation, v *view) (raised bool) {
	if !e.rule[a.d].on {
		return
	}
	a.fix()
	f, by := e.sameCause(a, v)
	if f == nil && e.excuses(a, v) {
		return false
	}
	if a.narrow {
		e.hush(a.d, v)
	} else {
		a.id = e.unit(v, a.kind, true).id
	}
	e.peak.to(a.d, a.statistic/a.threshold)
	if f != nil {
		a.of = f.id
		e.widenTo(f, a, v, by)
		if e.probing() {
			e.probe.pass[a.d].Widened = append(e.probe.pass[a.d].Widened, f.id)
		}
		return false
	}
	e.stats[a.d].findings++
	if n := e.judgedNot[lesson{text(a.unit), uint64(a.d)}]; n > 0 {
		a.says += fmt.Sprintf(" %s on it was judged explained or false before.", capital(count(int64(n), "finding", "findings")))
	}
	id := e.findingID(a, v.r)
	a.of = id
	e.openDossier(a, v, id)
	e.findings = append(e.findings, whosaw.Finding{
		ID:        id,
		Time:      whosaw.Time(v.r.Time),
		Seen:      e.seenBy(v),
		Detector:  detectorNames[a.d],
		Unit:      a.unit,
		Filter:    whosaw.Filter{a.toldTerm()},
		Accesses:  a.accesses,
		Subjects:  a.subjects,
		Statistic: a.statistic,
		Threshold: a.threshold,
		Says:      a.says,
		Technique: e.rule[a.d].technique,
	})
	if e.probe != nil {
		e.probe.tell(&e.findings[len(e.findings)-1], a.d, v.seq)
	}
	if a.d == unissued && len(a.term.Key) > 0 {
		e.leaverKey(a, v)
	}
	return true
}

// fix works out what the filter is compared with.
func (a *accusation) fix() {
	if p, err := whosaw.ParseNetwork(firstOf(a.term.IP)); err == nil {
		a.prefix = p
	}
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// findingID hashes the detector, the unit and what identifies the raising access apart from where it was read: the same
// log under another name, or cut, gives the same id. One access may raise several of one detector and unit (a page that shows two fields more): each
// after the first counts up.
func (e *Engine) findingID(a *accusation, r *whosaw.Record) string {
	id := hashFinding(a, r, 0)
	for n := 1; e.dossiers[id] != nil; n++ {
		id = hashFinding(a, r, n)
	}
	return id
}

func hashFinding(a *accusation, r *whosaw.Record, n int) string {
	h := sha256.New()
	ip := ""
	if r.IP.IsValid() {
		ip = r.IP.Unmap().String()
	}
	for _, s := range []string{
		detectorNames[a.d], a.unit, r.Realm, strconv.FormatInt(r.Time, 10), r.ID, r.Key, r.Client, r.Principal, r.Credential, ip,
	} {
		h.Write([]byte(s))
		h.Write([]byte{0})
	}
	if n > 0 {
		h.Write([]byte(strconv.Itoa(n)))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// covered reports whether a raised finding of the detector matches the access, which then adds to what it counts.
func (e *Engine) covered(d detector, v *view) bool {
	a := e.covering(d, v)
	if a != nil {
		e.grow(a, v)
	}
	return a != nil
}

// covering gives the first accusation of the detector that matches the access, nil if there is none.
func (e *Engine) covering(d detector, v *view) *accusation {
	if e.opened[d] == 0 {
		return nil
	}
	e.identify(v)
	for k := range nKinds {
		u := e.unit(v, k, false)
		if u == nil || !u.accused {
			continue
		}
		for _, a := range u.open {
			if a.d == d && a.matches(v) {
				if a.file != nil {
					if e.coveredBy = a.file.id; e.probing() {
						e.probe.pass[d].Covered = a.file.id
					}
				}
				return a
			}
		}
	}
	return nil
}

// matches compares an access with the members that accusations use.
func (a *accusation) matches(v *view) bool {
	t, r := &a.term, v.r
	switch {
	case !has(t.Key, r.Key), !has(t.Client, r.Client), !has(t.Principal, r.Principal), !has(t.Credential, r.Credential),
		!has(t.Country, r.Country), !has(t.AgentClass, v.class.name), !has(t.Realm, r.Realm), !has(t.Route, r.Route), !has(t.Outcome, v.outcome.String()):
		return false
	case len(t.ASN) > 0 && !has(t.ASN, strconv.FormatUint(uint64(r.ASN), 10)):
		return false
	case len(t.IP) > 0 && !a.prefix.Contains(r.IP.Unmap()):
		return false
	case t.Issued != nil && *t.Issued != v.issued, t.Explained != nil && *t.Explained != v.explained:
		return false
	case t.From != 0 && r.Time < int64(t.From):
		return false
	case len(t.Subject) == 1 && others(t.Subject[0]):
		return slices.ContainsFunc(v.subjects, func(s string) bool { return s != t.Subject[0][1:] })
	case len(t.Subject) > 0:
		return slices.ContainsFunc(v.subjects, func(s string) bool { return has(t.Subject, s) })
	}
	return true
}

// others reports whether a filter's value stands for everybody else.
func others(s string) bool { return len(s) > 1 && s[0] == '!' && s[1] != '!' }

// has reports whether a filter's list, if there is one, holds the value.
func has(list []string, s string) bool {
	if len(list) == 0 {
		return true
	}
	for _, w := range list {
		if w == s || len(w) == len(s)+1 && w[0] == '!' && w[1] == '!' && w[1:] == s {
			return true
		}
	}
	return false
}
