package detect

import (
	"slices"
	"strconv"

	"github.com/whosaw/whosaw"
)

// What dormant, stranger and monotone share: a question about each customer who is shown, once a day, whose honest answer is nearly
// always no; and findings that accuse a unit as a whole only where it is one that few share.

// ofPeople reports whether a detector is one of these. Their narrow findings name customers, and one a day for a key is enough.
func ofPeople(d detector) bool { return d == dormant || d == stranger || d == monotone }

// tryPeople asks the three questions about one subject of an access that nothing explains.
func (e *Engine) tryPeople(v *view, name string, en *entry) {
	if !e.covered(dormant, v) {
		e.tryDormant(v, name, en)
	}
	if v.house != 0 {
		return // staff and programs come from where they come from, and open what they open
	}
	if (v.own || v.principal == "" && v.r.Credential != "" && len(v.subjects) == 1) && !e.covered(stranger, v) {
		e.tryStranger(v, name, en)
	}
	if !v.issued && !v.crawls() && !e.covered(monotone, v) {
		e.tryMonotone(v, name, en)
	}
}

// ask drives the units of an access over a trial about one subject. wide and fine are the steps of units that very many share, and
// of the others; nil: no trial for them.
func (e *Engine) ask(d detector, v *view, name string, en *entry, wide, fine *weights, valid, hits uint8) {
	t := trial{d: d}
	for _, k := range e.rule[d].watched {
		u := v.units[k]
		if u == nil {
			continue
		}
		t.w = fine
		if coarse(k) {
			t.w = wide
		}
		t.valid, t.hits, t.once = 0, 0, 0
		if t.w != nil {
			t.valid = valid & t.w.use
			t.hits = hits & t.valid
		}
		if t.valid != 0 {
			t.once = uint64(en.subject) // a page that is no trial does not use it up
		}
		if t.hits == 0 && !u.has(d) {
			continue
		}
		if t.hits == 0 && coarse(k) {
			// Of a key that everybody uses only the hits are kept: they are what a finding can name.
			if t.valid != 0 && e.hot[d][k] > 0 {
				e.miss(u, v, t)
			}
			continue
		}
		if e.drive(u, v, t, en) {
			e.crossed[d] |= 1 << k
		}
		if t.hits == 0 {
			continue
		}
		if x := u.ex[d]; x != nil && x.ev[len(x.ev)-1].flags&entTrial != 0 && len(x.creds) < maxNamed {
			x.creds = append(x.creds, clone(name))
		}
	}
}

// accusePeople builds a finding of those detectors: of a unit that few share as a whole, if most of what it was shown is accused and
// that is not a matter of a moment; else it names the customers.
func (e *Engine) accusePeople(d detector, u *unit, v *view, ev []entry, j int) *accusation {
	t, name := e.term(u.kind, v)
	no := false
	t.Explained = &no
	a := &accusation{d: d, kind: u.kind, unit: name, statistic: u.ex[d].s[j], threshold: e.rule[d].h}
	accused := hitSubjects(ev, j)
	common := commonMembers(ev, j, v)
	base := slice{key: common.key && u.kind != kindCell, opened: true}
	tries := []slice{base}
	if common.class {
		tries = append(tries, slice{key: base.key, opened: true, class: true})
	}
	if common.client {
		tries = append(tries, slice{key: base.key, opened: true, client: true, class: common.class})
	}
	for _, s := range tries {
		if coarse(u.kind) {
			break
		}
		got := weigh(ev, j, v, s, accused)
		got.sure = got.accused
		switch {
		case 2*got.hits > got.trials || e.ownPast(u, ev, got):
			got.accused = got.opened
		case d == dormant && 5*got.hits > got.trials:
			// Of a shop's customers a quarter is dormant: somebody who does not look whom he opens has opened thrice as many at least.
			got.accused = min(got.opened, 3*got.accused)
		}
		if !got.majority() {
			continue
		}
		whole := e.wholeHistory(d, u, ev, got)
		if !whole && !e.pastEnded(u, ev, got) {
			continue
		}
		s.narrow(&t, v)
		if !whole {
			t.From = whosaw.Time(got.first)
		}
		a.take(t, got)
		a.rank = e.rank(a, v)
		e.describe(a, v)
		return a
	}
	a.narrow = true
	a.rank = e.rank(a, v)
	t.Outcome = []string{whosaw.OutcomeDisclosed.String()}
	t.Subject = namesOf(ev, j, u.ex[d].creds)
	only := slices.DeleteFunc(slices.Clone(ev), func(en entry) bool { _, ok := accused[en.subject]; return !ok })
	got := weigh(only, j, v, slice{}, accused)
	got.trials = max(got.trials, got.hits)
	t.From = whosaw.Time(got.first)
	a.take(t, got)
	e.describe(a, v)
	return a
}

// namesOf lists the subjects of the hits, of whom those that are numbers are known by the evidence itself.
func namesOf(ev []entry, j int, names []string) []string {
	var out []string
	seen := make(map[subject]struct{})
	for i := range ev {
		s := ev[i].subject
		if ev[i].hits>>j&1 == 0 {
			continue
		}
		if _, ok := seen[s]; ok {
			continue
		}
		n, ok := s.number()
		if !ok {
			out = nil
			for _, name := range names {
				out = append(out, literal(name)...)
			}
			return out
		}
		seen[s] = struct{}{}
		if len(out) < maxNamed {
			out = append(out, strconv.FormatUint(n, 10))
		}
	}
	return out
}
