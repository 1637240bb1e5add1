package detect

import (
	"fmt"

	"github.com/whosaw/whosaw"
)

// maxLeavers bounds the principals of people who have left; further ones are not judged.
const maxLeavers = 1 << 18

// maxPrincipals bounds those of one person.
const maxPrincipals = 1 << 10

// leaver is a principal of somebody who has left.
type leaver struct {
	person string
	at     int64
	raised bool // a finding was, since they left
}

// peopleAndKeys judges what a person or key record says.
func (e *Engine) peopleAndKeys(r *whosaw.Record) {
	switch {
	case r.Ref == nil:
		return
	case r.Type == whosaw.TypePerson:
		e.noteLeaver(r)
	default:
		e.leaverRead(r)
	}
	before := e.policyClock
	e.policyClock = max(before, e.around(r.Time))
	if r.Type == whosaw.TypeKey && before/hour == e.policyClock/hour {
		if w := e.keys[unitID(kindKey, text(r.Realm), text(r.Key))]; w != nil {
			e.keyPolicy(w) // others are as they were
		}
		return
	}
	e.keyPolicy(e.keyList...)
}

// noteLeaver keeps the principals of people who have left, and forgets those of people who are back.
func (e *Engine) noteLeaver(r *whosaw.Record) {
	ref := r.Ref
	at := e.ref.Left(r.Realm, ref.Person, r.Time)
	if at == 0 && ref.State == "left" {
		at = ref.Since // it is said ahead
	}
	names := append([]string{"staff:" + ref.Person}, ref.Principals...)
	for _, name := range append(names, e.principals[unitID(kindPrincipal, text(r.Realm), text(ref.Person))]...) {
		id := unitID(kindPrincipal, text(r.Realm), text(name))
		switch was := e.leavers[id]; {
		case at == 0:
			delete(e.leavers, id)
		case was != nil && was.at == at:
		case len(e.leavers) < maxLeavers:
			e.leavers[id] = &leaver{person: clone(ref.Person), at: at}
		}
	}
	if len(ref.Principals) > 0 && len(e.principals) < maxLeavers {
		id := unitID(kindPrincipal, text(r.Realm), text(ref.Person))
		known := map[string]bool{}
		for _, name := range e.principals[id] {
			known[name] = true
		}
		for _, name := range ref.Principals {
			if !known[name] && len(e.principals[id]) < maxPrincipals {
				e.principals[id] = append(e.principals[id], clone(name))
			}
		}
	}
}

// offboarded asks of an access whether it is by somebody who has left, or with a key that slept and that somebody who has left
// could read.
func (e *Engine) offboarded(v *view) {
	if !v.opened() || !e.rule[offboarded].on {
		return // refused: the door doing its work
	}
	r := v.r
	if e.watches(offboarded, kindPrincipal) && len(e.leavers) > 0 && r.Principal != "" {
		e.stats[offboarded].judged++
		if l := e.leavers[unitID(kindPrincipal, v.realm, text(r.Principal))]; l != nil && r.Time >= l.at+e.knobs.leftSkew {
			e.leaverOpened(v, l)
		}
	}
	if r.Key == "" || len(e.keys) == 0 || !e.watches(offboarded, kindKey) {
		return
	}
	w := e.keys[e.idOf(v, kindKey)]
	if w == nil {
		return
	}
	last := max(w.met, w.began, e.began)
	w.met = max(w.met, v.at)
	if w.leftAt == 0 || r.Time < w.leftAt+e.knobs.leftSkew || v.at-last < e.knobs.asleep || e.covered(offboarded, v) {
		return
	}
	e.identify(v)
	e.stats[offboarded].trials++
	t, name := e.term(kindKey, v)
	t.From = whosaw.Time(r.Time)
	a := e.fact(offboarded, kindKey, name, v)
	a.term = t
	a.says = fmt.Sprintf("Key %s, which a person could read who left on %s and which was not replaced, had not been met for %s, and is used now. That it is this person is not established.",
		quote(r.Key), date(w.leftAt), count((v.at-last)/day, "day", "days"))
	e.raise(a, v)
}

// leaverOpened raises the first access by an account of somebody who has left.
func (e *Engine) leaverOpened(v *view, l *leaver) {
	st := &e.stats[offboarded]
	st.trials++
	if l.raised || e.covered(offboarded, v) {
		return
	}
	l.raised = true
	e.identify(v)
	t, name := e.term(kindPrincipal, v)
	t.From = whosaw.Time(l.at + e.knobs.leftSkew)
	t.Outcome = []string{whosaw.OutcomeDisclosed.String(), whosaw.OutcomeAbsent.String()}
	a := e.fact(offboarded, kindPrincipal, name, v)
	a.term = t
	a.says = fmt.Sprintf("An account of a person who left on %s opens customers. Who uses it is not established.", date(l.at))
	e.raise(a, v)
}

// leaverRead raises that somebody who has left read, exported or used a key.
func (e *Engine) leaverRead(r *whosaw.Record) {
	ref := r.Ref
	if !e.rule[offboarded].on || ref.Kind != "read" && ref.Kind != "exported" && ref.Kind != "used" {
		return
	}
	who := ref.Readers
	if len(who) == 0 && r.Principal != "" {
		if l := e.leavers[unitID(kindPrincipal, text(r.Realm), text(r.Principal))]; l != nil {
			who = []string{l.person}
		}
	}
	for _, person := range who {
		left := e.ref.Left(r.Realm, person, r.Time)
		if left == 0 || r.Time < left+e.knobs.leftSkew {
			continue
		}
		did := map[string]string{"read": "was read", "exported": "was exported", "used": "was used"}[ref.Kind]
		e.state(offboarded, "key:"+clone(r.Key), clone(r.Realm), person, r.Time,
			fmt.Sprintf("Key %s %s by an account of a person who left on %s: close that account, and replace the key.", quote(r.Key), did, date(left)))
	}
}
