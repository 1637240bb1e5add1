package detect

import (
	"fmt"
	"strings"

	"github.com/whosaw/whosaw"
)

// curiousSample is of how many customers one teaches how often customers are shown others on a route.
const curiousSample = 64

var customerClass = classOf(customerPrefix)

// curious asks unexplained's question of customers: is whom they are shown themselves? It is called for accesses that open
// subjects and that a customer claims to make. What explains a customer is at hand, so nothing is waited for; and customers answer for nobody
// but themselves, so only principal and credential are watched.
func (e *Engine) curious(v *view) {
	if v.outcome != whosaw.OutcomeDisclosed {
		return
	}
	if v.own {
		e.ownPage(v)
		return
	}
	if v.explained {
		return
	}
	if e.covered(unexplained, v) {
		e.frozenBy(v, customerClass)
		return
	}
	st := &e.stats[unexplained]
	s := e.stratum(v, &e.rule[unexplained].envelope, customerClass)
	claimed := strings.TrimPrefix(v.principal, customerPrefix)
	others := false
	for _, name := range v.subjects {
		others = others || name != claimed && !e.ref.Explained(v.r.Realm, v.principal, name, v.r.Time, v.issued)
	}
	if !others {
		return
	}
	for _, k := range e.ofCustomers {
		if u := e.unit(v, k, true); u != nil {
			u.bare++
			u.customer = u.customer || u.ex[unexplained] == nil
		}
	}
	learns := !e.changing(v)
	var w *weights
	for _, name := range v.subjects {
		if name == claimed || e.ref.Explained(v.r.Realm, v.principal, name, v.r.Time, v.issued) {
			continue
		}
		e.otherParty(v, name)
		id := subjectOf(name)
		if learns && sampled(id) {
			e.learn(s, v.principalDay(), true)
		}
		if w == nil {
			if w = e.unexplainedWeights(s, v); w == nil {
				return
			}
			st.judged++
		}
		st.trials++
		en := v.entry(id)
		en.flags |= entAccused
		t := trial{d: unexplained, w: w, valid: w.use, hits: w.use, once: uint64(id)}
		for _, k := range e.ofCustomers {
			if u := v.units[k]; u != nil && e.drive(u, v, t, &en) {
				e.crossed[unexplained] |= 1 << k
			}
		}
	}
	e.settle(unexplained, v)
}

// ownPage is a customer who is shown their own data: nearly every access.
func (e *Engine) ownPage(v *view) {
	id := subjectOf(v.subjects[0])
	if e.nosy == 0 && !sampled(id) {
		return
	}
	if sampled(id) {
		e.ownParty(v)
	}
	e.identify(v)
	s := e.stratum(v, &e.rule[unexplained].envelope, customerClass)
	if sampled(id) && !e.changing(v) {
		e.learn(s, v.principalDay(), false)
	}
	if e.nosy == 0 {
		return
	}
	for _, k := range e.ofCustomers {
		if u := e.unit(v, k, false); u != nil {
			w := s.rateNow()
			e.miss(u, v, trial{d: unexplained, w: w, valid: w.use, once: uint64(id)})
		}
	}
}

// sampled picks the subjects whose openings teach, by their customers and by others alike.
func sampled(id subject) bool { return mix(uint64(id))%curiousSample == 0 }

// notThemselves is the filter member that leaves out the customer's own pages, which without issuances nothing explains either.
// Of an id that begins with an exclamation mark it cannot be said.
func notThemselves(principal string) []string {
	claimed := strings.TrimPrefix(principal, customerPrefix)
	if claimed == "" || claimed[0] == '!' {
		return nil
	}
	return []string{"!" + claimed}
}

func curiousSays(a *accusation) string {
	return fmt.Sprintf("Someone behind %s is shown other customers: %s of %s so far, where customers are shown themselves. Does the page check whose data it shows?",
		behind(a), count(a.accesses, "access", "accesses"), count(a.subjects, "customer", "customers"))
}
