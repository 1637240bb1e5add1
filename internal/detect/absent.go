package detect

import (
	"strings"

	"github.com/whosaw/whosaw"
)

// harvest runs the two detectors that ask about each subject of an access: does it exist (nonexistent), and is it the next in
// order (traversal).
func (e *Engine) harvest(v *view) {
	if v.explained {
		e.stats[nonexistent].skip(whyExplained)
		e.stats[traversal].skip(whyExplained)
		// A help desk whose every real customer is explained by a ticket must not be judged by its typing errors alone. A
		// customer's own issued session says nothing about anybody else in its key, network or address.
		if v.outcome == whosaw.OutcomeDisclosed && !(v.own && v.issued) {
			e.explainedTrial(v)
			if v.house != 0 {
				e.explainedDormant(v)
			}
		}
		return
	}
	absent, ordered := e.askAbsent(v), !e.covered(traversal, v)
	shown := v.outcome == whosaw.OutcomeDisclosed
	inOrder := false
	for _, s := range v.subjects {
		id := subjectOf(s)
		near := e.neighbours(v, id)
		en := v.entry(id)
		if absent != nil {
			e.tryAbsent(v, absent, s, &en, near)
		}
		if ordered {
			inOrder = e.tryOrder(v, id, &en, near) || inOrder
		}
		if shown {
			e.tryPeople(v, s, &en)
		}
	}
	if inOrder {
		e.stats[traversal].judged++
	}
	if absent != nil && absent.tried {
		e.stats[nonexistent].judged++
	}
	e.remember(v)
	e.settle(nonexistent, v)
	e.settle(traversal, v)
	if shown {
		e.settle(dormant, v)
		e.settle(stranger, v)
		e.settle(monotone, v)
	}
}

// asking is what an access's route says about the question of nonexistent.
type asking struct {
	s      *stratum
	w      weights
	judged bool // the rest is evidence, no trial
	learns bool
	tried  bool // a subject of this access was a trial
}

// askAbsent prepares the question; nil if the access is accused already.
func (e *Engine) askAbsent(v *view) *asking {
	if a := e.covering(nonexistent, v); a != nil {
		e.grow(a, v)
		if !e.changing(v) {
			e.keepAbsent(a.file, v)
		}
		e.frozenBy(v, 0)
		return nil
	}
	st := &e.stats[nonexistent]
	a := &e.asking
	*a = asking{judged: true, learns: !e.changing(v)}
	if v.crawls() {
		// Crawlers follow dead links. What only claims to be one is still watched by traversal and canary.
		st.skip(whyCrawler)
		a.judged, a.learns = false, false
		a.w = weights{p0: e.rule[nonexistent].envelope.floor}
		return a
	}
	if a.s = e.stratum(v, &e.rule[nonexistent].envelope, 0); !a.learns {
		a.s.freeze(byChange)
	}
	a.w = *a.s.rateNow()
	if a.w.p0 > a.s.ceiling {
		a.s.tooMany()
		st.skip(whyCeiling)
		a.judged = false
	}
	return a
}

// tryAbsent asks whether one subject exists.
func (e *Engine) tryAbsent(v *view, a *asking, s string, en *entry, near *[nKinds]nearness) {
	valid, hit, learns := a.w.use, false, a.learns // what no p1 is above teaches too: else a rate could never fall again
	if v.outcome == whosaw.OutcomeAbsent {
		if e.existed(v, s) {
			valid, learns = 0, false // withdrawn or merged: absent, but no invention
		} else {
			hit = true
		}
	}
	if learns {
		e.learn(a.s, v.ids[kindNetwork], hit)
	}
	if !a.judged {
		valid = 0
	}
	t := trial{d: nonexistent, w: &a.w}
	fresh := false
	for _, k := range e.rule[nonexistent].watched {
		u := v.units[k]
		if u == nil {
			continue
		}
		t.valid, t.hits, t.once = valid, 0, 0
		if near[k].here {
			t.valid = 0
		} else if !near[k].known {
			t.once = uint64(en.subject)
		}
		if hit {
			t.hits = t.valid
		}
		fresh = fresh || t.valid != 0
		if e.drive(u, v, t, en) {
			e.crossed[nonexistent] |= 1 << k
		}
	}
	if fresh {
		e.stats[nonexistent].trials++
		a.tried = true
	}
}

// keepAbsent keeps what the route's baseline does not learn while a finding covers the access.
func (e *Engine) keepAbsent(f *dossier, v *view) {
	s := e.stratum(v, &e.rule[nonexistent].envelope, 0)
	for _, name := range v.subjects {
		hit := v.outcome == whosaw.OutcomeAbsent
		if hit && e.existed(v, name) {
			continue
		}
		f.learnLater(s.id, v.ids[kindNetwork], hit)
	}
}

// explainedTrial lowers the tests of suspicious units: an access that a reason or a household explains is a trial that can
// only speak for the unit.
func (e *Engine) explainedTrial(v *view) {
	e.identify(v)
	s := e.stratum(v, &e.rule[nonexistent].envelope, 0)
	learns, w := !e.changing(v), s.rateNow()
	for _, name := range v.subjects {
		if learns {
			e.learn(s, v.ids[kindNetwork], false)
		}
		once := uint64(subjectOf(name))
		for _, k := range e.rule[nonexistent].watched {
			if e.hot[nonexistent][k] == 0 {
				continue
			}
			if u := e.unit(v, k, false); u != nil {
				e.miss(u, v, trial{d: nonexistent, w: w, valid: w.use, once: once})
			}
		}
	}
}

// existed reports whether a subject record names the subject: then it is or was a customer.
func (e *Engine) existed(v *view, subject string) bool {
	_, ok := e.ref.Subject(v.r.Realm, subject, v.r.Time)
	return ok
}

// crawls reports whether an access is by what says that it is a crawler, and has nothing to log in with.
func (v *view) crawls() bool {
	r := v.r
	return r.Principal == "" && r.Credential == "" && r.Key == "" && strings.HasPrefix(v.class.name, "crawler:")
}

func isCustomer(principal string) bool { return strings.HasPrefix(principal, customerPrefix) }
