package detect

import (
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/snapshot"
)

// What becomes of a finding of refused. Its test crosses on something that honest people share, so the refusals of all of it would name whoever
// mistyped there. Who mistypes gets in soon after, from the same address; who tries leaked passwords does not. So only addresses are named
// at which a refusal was left unanswered, and of the credentials given to such an address those of customers who never came from there.

const (
	// answeredIn is how long somebody looks for the right password.
	answeredIn = 10 * minute
	// maxTries bounds the refusals that wait for an answer, maxTriers the addresses that a finding names.
	maxTries  = 1 << 12
	maxTriers = 1 << 14
	// triersStep is how many addresses and credentials make a step of the finding; fewer do after a day.
	triersStep = 64
	// triesBefore is how many unanswered refusals of the last day an address must have had for a credential given to it to be accused.
	triesBefore = 2
	// besiegedAtMost is how many of the latest findings are asked about a credential that is given.
	besiegedAtMost = 256
)

// tries follows the refusals that a finding covers.
type tries struct {
	open  []try               // not answered yet, the oldest first
	by    map[uint64]*trier   // addresses with unanswered refusals
	given map[uint64]struct{} // credentials named

	// Since the last step:
	ready            []uint64 // addresses with unanswered refusals
	creds            []string // credentials to be named
	since            int64    // event time of the first of them
	at               int64    // and of the step, by the sure clock
	answered, missed int64    // refusals that were answered, and that were not
}

// try is a refusal that may be answered yet.
type try struct {
	id   uint64
	name string // of the address
	t    int64
}

// trier is an address with refusals that nobody answered.
type trier struct {
	name  string
	last  int64
	n     int32 // without a day between them
	waits bool  // among the ready ones
}

// answeredTry takes an address from those that an excursion would name: it got in.
func (u *unit) answeredTry(address string) {
	if x := u.ex[refused]; x != nil {
		x.creds = slices.DeleteFunc(x.creds, func(s string) bool { return s == address })
	}
}

// nameTriers narrows an accusation to the addresses whose refusals were not answered so far. Where all were, the log-in refuses everybody's
// first try: then all of that is named.
func (a *accusation) nameTriers(ev []entry, addresses []string) {
	if len(addresses) == 0 {
		return
	}
	t := a.term
	t.IP = nil
	for _, s := range addresses {
		if !slices.Contains(t.IP, s) {
			t.IP = append(t.IP, s)
		}
	}
	for i := range ev {
		if at := whosaw.Time(ev[i].time); t.From == 0 || at < t.From {
			t.From = at
		}
	}
	a.told = &t
	a.accesses, a.trials = int64(len(addresses)), int64(len(t.IP))
}

// toldTerm is the filter that is told, which is narrower than what the accusation covers where people share that.
func (a *accusation) toldTerm() whosaw.Term {
	if a.told != nil {
		return *a.told
	}
	return a.term
}

// follow begins to follow the tries that an accusation covers.
func (f *dossier) follow(a *accusation, v *view) {
	if a.told == nil {
		return
	}
	if f.tries == nil {
		f.tries = &tries{by: make(map[uint64]*trier), given: make(map[uint64]struct{}), at: v.at}
	}
	for _, s := range a.told.IP {
		if id := text(s); f.tries.by[id] == nil && len(f.tries.by) < maxTriers {
			f.tries.by[id] = &trier{name: s, last: v.at, n: 1}
		}
	}
}

// refuses takes a refusal that a finding of refused covers.
func (e *Engine) refuses(f *dossier, v *view) {
	x := f.tries
	if x == nil || f.judged != notJudged {
		return
	}
	if len(x.open) == maxTries {
		x.left(x.open[0])
		x.open = slices.Delete(x.open, 0, 1)
	}
	name := v.r.IP.Unmap().String()
	x.open = append(x.open, try{text(name), name, v.at})
	e.tellTriers(f, v)
}

// fits takes a try that got in: it answers the latest refusal of its address.
func (e *Engine) fits(v *view) {
	if e.opened[refused] == 0 {
		return
	}
	e.identify(v)
	var asked *dossier
	for _, k := range e.rule[refused].watched {
		u := e.unit(v, k, false)
		if u == nil || !u.accused {
			continue
		}
		for _, a := range u.open {
			if a.d != refused || a.file == nil || a.file.tries == nil || a.file == asked || !has(a.term.Route, v.r.Route) {
				continue
			}
			asked = a.file
			asked.tries.answer(v)
			e.tellTriers(asked, v)
		}
	}
}

func (x *tries) answer(v *view) {
	id := text(v.r.IP.Unmap().String())
	for i := len(x.open) - 1; i >= 0; i-- {
		if t := &x.open[i]; t.id == id && v.at-t.t <= answeredIn {
			x.open = slices.Delete(x.open, i, i+1)
			x.answered++
			return
		}
	}
}

// left notes that nobody answered a refusal.
func (x *tries) left(t try) {
	x.missed++
	r := x.by[t.id]
	if r == nil {
		if len(x.by) >= maxTriers {
			return
		}
		r = &trier{name: t.name}
		x.by[t.id] = r
	}
	if t.t-r.last > day {
		r.n = 0
	}
	r.n++
	r.last = max(r.last, t.t)
	if !r.waits && len(x.ready) < maxNamed {
		r.waits = true
		x.ready = append(x.ready, t.id)
	}
	if x.since == 0 || t.t < x.since {
		x.since = t.t
	}
}

// tellTriers widens a finding by the addresses and credentials that are due. Where most of the refusals were answered since the last step, whoever
// gave up was no thief: then nobody is named.
func (e *Engine) tellTriers(f *dossier, v *view) {
	x := f.tries
	n := 0
	for n < len(x.open) && x.open[n].t+answeredIn < e.sure {
		x.left(x.open[n])
		n++
	}
	x.open = slices.Delete(x.open, 0, n)
	if due := len(x.ready) + len(x.creds); due == 0 || due < triersStep && e.sure-x.at < day {
		return
	}
	if f.judged == notJudged && x.missed > x.answered && len(x.ready) > 0 {
		e.widenByTriers(f, v)
	}
	for _, id := range x.ready {
		x.by[id].waits = false
	}
	x.ready, x.creds, x.since, x.answered, x.missed = nil, nil, 0, 0, 0
	x.at = e.sure
}

// widenByTriers is one step: the addresses at which it goes on, and the credentials that were given to such.
func (e *Engine) widenByTriers(f *dossier, v *view) {
	x := f.tries
	step := f.filter[0]
	step.IP, step.From = nil, whosaw.Time(x.since)
	for _, id := range x.ready {
		step.IP = append(step.IP, x.by[id].name)
	}
	added := whosaw.Filter{step}
	if len(x.creds) > 0 {
		added = append(added, whosaw.Term{Realm: step.Realm, Credential: x.creds})
	}
	for _, t := range added {
		f.filter = joinLists(f.filter, t)
	}
	e.stepOf(f, stepAddress, v, added)
}

// joinLists adds a term that lists addresses or credentials to the last of the filter's that does so and has room.
func joinLists(filter whosaw.Filter, t whosaw.Term) whosaw.Filter {
	filter = slices.Clone(filter)
	for i := len(filter) - 1; i >= 0; i-- {
		w := &filter[i]
		switch {
		case len(t.IP) > 0 && len(w.IP) > 0 && len(w.Credential) == 0 && len(w.IP)+len(t.IP) <= maxNamed:
			w.IP, w.From = merged(w.IP, t.IP), min(w.From, t.From)
			return filter
		case len(t.IP) == 0 && len(w.IP) == 0 && len(w.Credential) > 0 && len(w.Credential)+len(t.Credential) <= maxNamed:
			w.Credential = merged(w.Credential, t.Credential)
			return filter
		}
	}
	if len(filter) >= maxTerms {
		return filter
	}
	return append(filter, t)
}

// givenTo looks at a credential that is given to an address at which passwords are tried: the thief's, if its customer never came from there.
func (e *Engine) givenTo(r *whosaw.Record) {
	if e.opened[refused] == 0 || !r.IP.IsValid() || r.Credential == "" || e.clock-e.began < e.knobs.warmUp {
		return
	}
	name := customerOf(r)
	if name == "" {
		return
	}
	realm, from := text(r.Realm), text(r.IP.Unmap().String())
	for i := len(e.dossierList) - 1; i >= max(0, len(e.dossierList)-besiegedAtMost); i-- {
		f := e.dossierList[i]
		if f.d != refused || f.realm != realm || f.judged != notJudged || f.tries == nil {
			continue
		}
		w := f.tries.by[from]
		if w == nil || w.n < triesBefore || r.Time-w.last > day || len(f.tries.creds) >= maxNamed || len(f.tries.given) >= maxTriers {
			continue
		}
		_, network := address(r.IP.Unmap())
		if e.history.find(historyID(metNetwork, realm, subjectOf(name), unitID(kindNetwork, realm, network))) != nil {
			return
		}
		if id := text(r.Credential); !f.tries.has(id) {
			f.tries.given[id] = struct{}{}
			f.tries.creds = append(f.tries.creds, literal(r.Credential)...)
		}
		return
	}
}

func (x *tries) has(credential uint64) bool {
	_, ok := x.given[credential]
	return ok
}

// customerOf gives the customer whom an issuance is for, "" if it is nobody's or a principal's who is no customer.
func customerOf(r *whosaw.Record) string {
	if r.Principal == "" && len(r.Subjects) > 0 {
		return r.Subjects[0]
	}
	name, ok := strings.CutPrefix(r.Principal, customerPrefix)
	if !ok {
		return ""
	}
	return name
}

func (f *dossier) triesState(c *snapshot.Codec) {
	held := f.tries != nil
	c.Bool(&held)
	if !held {
		return
	}
	if c.Reading() {
		f.tries = &tries{given: make(map[uint64]struct{})}
	}
	x := f.tries
	snapshot.Slice(c, &x.open, maxTries, func(t *try) {
		c.Hash(&t.id)
		c.String(&t.name)
		snapshot.Int(c, &t.t)
	})
	snapshot.Map(c, &x.by, maxTriers, c.Hash, pointer(c, func(r *trier, c *snapshot.Codec) {
		c.String(&r.name)
		snapshot.Int(c, &r.last)
		snapshot.Int(c, &r.n)
		c.Bool(&r.waits)
	}))
	snapshot.Slice(c, &x.ready, maxNamed, func(id *uint64) {
		c.Hash(id)
		if c.Reading() && x.by[*id] == nil {
			c.Fail("an address to be named is not known")
			x.by = map[uint64]*trier{*id: {}}
		}
	})
	c.Strings(&x.creds, maxNamed)
	set(c, &x.given, maxTriers)
	for _, n := range []*int64{&x.since, &x.at, &x.answered, &x.missed} {
		snapshot.Int(c, n)
	}
	if c.Reading() && x.by == nil {
		x.by = make(map[uint64]*trier)
	}
}
