package detect

import (
	"slices"

	"github.com/whosaw/whosaw"
)

// neverIssued raises a credential that is not in a feed declared complete: one is a fact.
func (e *Engine) neverIssued(v *view) {
	k := kindKey
	switch r := v.r; {
	case r.Key != "" && e.ref.KeyKnown(r.Realm, r.Key):
	case r.Client != "":
		k = kindClient
	case r.Principal != "" && !isCustomer(r.Principal):
		k = kindPrincipal
	case r.IP.IsValid():
		k = kindIP
	default:
		k = kindCredential
	}
	t, name := e.term(k, v)
	no := false
	t.Issued = &no
	a := e.fact(unissued, k, name, v)
	if s := e.scope(v, k); s == nil || k != kindKey && k != kindClient || 2*s.accused <= s.total {
		// Accesses without any credential are not issued either: a filter that takes them with it would name people whom
		// nobody robbed. So the credential itself is named, until most of what the wide filter takes is accused.
		if e.facts >= e.knobs.factsPerDay && e.factsDay == e.today {
			e.stats[unissued].skip(whyMany)
			return
		}
		if e.factsDay != e.today {
			e.factsDay, e.facts = e.today, 0
		}
		e.facts++
		t.Credential = literal(v.r.Credential)
		a.narrow = true
	}
	a.term = t
	e.describe(a, v)
	e.raise(a, v)
}

// fact is an accusation that rests on one access.
func (e *Engine) fact(d detector, k kind, name string, v *view) *accusation {
	a := &accusation{d: d, kind: k, unit: name, accesses: 1, statistic: 1, threshold: 1, first: v.r.Time}
	en := v.entry(0)
	a.cause.add(&en)
	st := &e.stats[d]
	st.highest = max(st.highest, 1)
	if v.outcome == whosaw.OutcomeDisclosed {
		for i, s := range v.subjects {
			if !slices.Contains(v.subjects[:i], s) {
				a.subjects++
				a.people = append(a.people, subjectOf(s))
			}
		}
	}
	return a
}

// canary raises the opening of a planted customer. It is called for accesses that nothing explains.
func (e *Engine) canary(v *view) {
	if v.outcome != whosaw.OutcomeDisclosed {
		return
	}
	st := &e.stats[canary]
	st.judged++
	r := v.r
	planted := ""
	for _, s := range v.subjects {
		st.trials++
		if state, ok := e.ref.Subject(r.Realm, s, r.Time); ok && state.State == "canary" {
			planted = s
			break
		}
	}
	if planted == "" || e.covered(canary, v) {
		return
	}
	for k := range nKinds {
		if u := v.units[k]; u != nil {
			u.canaries++
		}
	}
	no := false
	k, blind := e.canaryActor(v, planted)
	if k == nKinds {
		st.skip(whyNoActor)
		return
	}
	u := e.unit(v, k, true)
	if !blind && e.hushed(canary, v) {
		return
	}
	t, name := e.term(k, v)
	a := e.fact(canary, k, name, v)
	switch {
	case k == kindKey && e.forgedKey(v):
		t.Issued = &no
	case blind:
		t.Explained = &no
		if r.Key != "" && (k == kindIP || k == kindNetwork) {
			t.Key = literal(r.Key)
		}
		if u.pastUnknown {
			t.From = whosaw.Time(r.Time)
		}
	default:
		t.Explained = &no
		t.Subject = literal(planted)
		a.narrow = true
		a.subjects = 1
	}
	a.term = t
	e.describe(a, v)
	e.raise(a, v)
}

// canaryActor gives the unit to accuse, and whether that is all it does that nothing explains. If every unit opens far more
// customers than a blind picker would who met as many canaries, all are shared with honest actors, and only the opening
// itself is sure.
func (e *Engine) canaryActor(v *view, planted string) (k kind, blind bool) {
	r := v.r
	if e.forgedKey(v) {
		return kindKey, true
	}
	order := []kind{kindCell, kindNetwork, kindIP, kindCredential, kindClient, kindKey}
	if e.clock-e.began >= established {
		order = []kind{kindKey, kindClient, kindCell, kindNetwork, kindIP, kindCredential}
	}
	if r.Principal != "" && r.Principal != customerPrefix+planted {
		order = []kind{kindPrincipal}
	}
	// Where no log-ins are on record, nothing explains what honest customers open either: a few of their pages in a network look
	// like what a blind picker opens before it meets a planted one. Only a unit that began today is then its alone.
	mixed := len(order) > 1 && r.Principal != "" && e.realm(v.realm, v.r.Realm).watermark == 0 && e.clock-e.began >= established
	all, canaries := e.ref.Subjects(r.Realm)
	for _, k := range order {
		u := v.units[k]
		if u == nil || !e.watches(canary, k) || mixed && (k == kindKey || k == kindClient || v.r.Time-u.first >= established) {
			continue
		}
		if canaries > 0 && u.total*int64(canaries) <= e.knobs.timesBlind*int64(all)*int64(u.canaries) {
			return k, true
		}
	}
	for _, k := range []kind{kindPrincipal, kindIP, kindCredential, kindClient, kindKey} {
		if v.ids[k] != 0 && (k != kindPrincipal || len(order) == 1) {
			return k, false
		}
	}
	return nKinds, false
}

// forgedKey reports whether the access's credential is not issued, its key has a feed, and most of the key's accesses
// without an issuance are accused already, or this is the first.
func (e *Engine) forgedKey(v *view) bool {
	r := v.r
	if v.issued || r.Credential == "" || r.Key == "" || e.legacy.has(v.ids[kindCredential]) {
		return false
	}
	s := e.scope(v, kindKey)
	return s != nil && (s.total == 0 || 2*s.accused > s.total) && e.ref.IssuanceFeed(r.Realm, r.Key, r.Client, r.Route, r.Time).Known
}
