package detect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
)

const (
	// wakeDays are the days of the past that say how many of those who come were dormant, leastWakeDays how many it takes, and
	// leastWakes how many customers a day must have seen to count.
	wakeDays      = 28
	leastWakeDays = 7
	leastWakes    = 50
	dormantClass  = 3 // keeps its strata apart from those of other questions about a route
)

// waking is how many of the customers who come on a day had been dormant.
type waking struct {
	day        int32
	n, hits    int64
	spoiled    bool        // a finding came on it, or a change was on: it teaches nothing
	past       []wakingDay // the latest last
	known      bool        // there is enough of it
	wide, fine weights
}

type wakingDay struct{ n, hits int64 }

// note counts a customer's first coming on a day.
func (w *waking) note(e *Engine, on int32, hit, learns bool) {
	if on > w.day {
		w.over(e)
		w.day = on
	}
	if on < w.day {
		return
	}
	w.spoiled = w.spoiled || !learns
	w.n++
	if hit {
		w.hits++
	}
}

// over closes a day.
func (w *waking) over(e *Engine) {
	if w.n >= leastWakes && !w.spoiled {
		if len(w.past) == wakeDays {
			w.past = slices.Delete(w.past, 0, 1)
		}
		w.past = append(w.past, wakingDay{w.n, w.hits})
		w.learn(e)
	}
	w.n, w.hits, w.spoiled = 0, 0, false
}

// learn sets p0: so many times the median day, and no less than what the silence of so many customers supports with 95 % (three in all).
func (w *waking) learn(e *Engine) {
	if len(w.past) < leastWakeDays {
		return
	}
	rates := make([]float64, 0, wakeDays)
	var n int64
	for _, d := range w.past {
		n += d.n
		rates = append(rates, float64(d.hits)/float64(d.n))
	}
	slices.Sort(rates)
	p0 := max(e.rule[dormant].envelope.times*rates[len(rates)/2], 3/float64(n))
	w.known = true
	b := &e.rule[dormant].bank
	w.wide = b.weights(min(max(p0, e.rule[dormant].envelope.floor), 0.9))
	w.fine = b.weights(min(max(p0, e.knobs.fewDormant), 0.9))
}

// logins notes that a customer logged in, and what that says of how many dormant ones come of themselves.
func (e *Engine) logins(r *whosaw.Record) {
	name := ""
	switch {
	case r.Principal == "" && len(r.Subjects) > 0:
		name = r.Subjects[0]
	default:
		var ok bool
		if name, ok = strings.CutPrefix(r.Principal, customerPrefix); !ok {
			return
		}
	}
	realm, at := text(r.Realm), e.until(r.Time)
	on := dayOf(at)
	s := subjectOf(name)
	h := historyID(metSubject, realm, s, 0)
	slot := e.history.find(h)
	if slot != nil && sinceDay(slot, on) <= 0 {
		return
	}
	if hit, known := e.isDormant(r.Realm, name, s, at, slot); known {
		x := e.realm(realm, r.Realm)
		x.wakes.note(e, on, hit, !e.changed(realm, r.Time, movesPeople))
	}
	e.comes(slot, h, on)
}

// comes remembers that a customer came.
func (e *Engine) comes(slot *uint64, h historyKey, on int32) {
	if slot == nil {
		if slot = e.history.put(h, dayOf(e.sure), e.cfg.MaxHistory); slot == nil {
			return
		}
	}
	meet(slot, on)
}

// isDormant reports whether a customer has not logged in for half a year, by subject records and by the log-ins seen since. known is
// false for those of whom neither says anything.
func (e *Engine) isDormant(realm, name string, s subject, t int64, slot *uint64) (hit, known bool) {
	last := int64(0)
	if slot != nil {
		last = t - int64(max(0, sinceDay(slot, dayOf(t))))*day
	}
	if e.people {
		if st, ok := e.ref.Subject(realm, name, t); ok {
			if st.State != "active" {
				return false, false // canaries and those who left are other detectors' business
			}
			if st.LastLogin != 0 {
				last = max(last, st.LastLogin)
			} else if last == 0 {
				return false, false
			}
		}
	}
	if last == 0 {
		// Never seen in half a year, though the number was given out before.
		x := e.realm(text(realm), realm)
		n, ok := s.number()
		return true, ok && e.clock-e.began >= e.knobs.dormantAfter && n <= x.early && n != 0
	}
	return t-last >= e.knobs.dormantAfter, true
}

// tryDormant asks whether a customer who is shown has not logged in for half a year.
func (e *Engine) tryDormant(v *view, name string, en *entry) {
	if v.outcome != whosaw.OutcomeDisclosed {
		return
	}
	switch {
	case v.own:
		e.tryOwnDormant(v, name, en)
	case !isCustomer(v.principal): // customers who open others are unexplained's business
		e.tryOtherDormant(v, name, en)
	}
}

// tryOwnDormant asks it of a session that claims to be the customer.
func (e *Engine) tryOwnDormant(v *view, name string, en *entry) {
	st, x := &e.stats[dormant], e.realm(v.realm, v.r.Realm)
	h := historyID(metSubject, v.realm, en.subject, 0)
	slot := e.history.find(h)
	fresh := slot == nil || sinceDay(slot, v.on) > 0
	hit, known := false, false
	if fresh {
		hit, known = e.isDormant(v.r.Realm, name, en.subject, v.at, slot)
		if x.watermark == 0 {
			// No log-in is on record, so the session stands for it.
			if known {
				x.wakes.note(e, v.on, hit, !e.changed(v.realm, v.r.Time, movesPeople))
			}
			e.comes(slot, h, v.on)
		}
	}
	w := &x.wakes
	switch {
	case !fresh:
	case !known:
		st.skip(whyNoHistory)
	case !w.known:
		st.skip(whyNoWakes)
		known = false
	case e.changed(v.realm, v.r.Time, movesPeople):
		st.skip(whyChange)
		known = false
	case w.fine.p0 > e.rule[dormant].envelope.ceiling:
		st.skip(whyManyDormant)
		known = false
	}
	valid, hits := uint8(0), uint8(0)
	if known {
		st.judged++
		st.trials++
		valid = allTests
		if hit {
			hits = allTests
		}
	}
	e.ask(dormant, v, name, en, &w.wide, &w.fine, valid, hits)
}

// allTests are the tests of a bank.
const allTests uint8 = 1<<maxBank - 1

// tryOtherDormant asks it of staff, partners and programs, and of accesses that do not say whose they are.
func (e *Engine) tryOtherDormant(v *view, name string, en *entry) {
	st := &e.stats[dormant]
	s, hit, known := e.otherDormant(v, name, en.subject)
	if !known {
		return
	}
	valid, hits := allTests, uint8(0)
	switch {
	case s.enough < s.units:
		st.skip(whyNoWakes)
		valid = 0
	case e.changed(v.realm, v.r.Time, movesPeople):
		st.skip(whyChange)
		valid = 0
	case s.rateNow().p0 > s.ceiling:
		s.tooMany()
		st.skip(whyManyDormant)
		valid = 0
	default:
		st.judged++
		st.trials++
	}
	if hit {
		hits = valid
	}
	w := s.rateNow()
	e.ask(dormant, v, name, en, w, w, valid, hits)
}

// otherDormant looks the customer up, and learns.
func (e *Engine) otherDormant(v *view, name string, s subject) (rate *stratum, hit, known bool) {
	x := e.realm(v.realm, v.r.Realm)
	if x.wakes.day == 0 {
		e.stats[dormant].skip(whyNoLogins)
		return nil, false, false // nobody's log-ins are on record, so records of old say nothing of today
	}
	slot := e.history.find(historyID(metSubject, v.realm, s, 0))
	if hit, known = e.isDormant(v.r.Realm, name, s, v.at, slot); !known {
		e.stats[dormant].skip(whyNoHistory)
		return nil, false, false
	}
	unit := v.ids[kindNetwork]
	by := &e.othersDormant
	if v.house != 0 {
		by, unit = &e.houseDormant, v.principalDay()
	}
	rate = e.stratum(v, by, dormantClass^v.house)
	if !e.changed(v.realm, v.r.Time, movesPeople) {
		e.learn(rate, unit, hit)
	}
	return rate, hit, true
}

// explainedDormant is an opening by staff, partners or programs that a reason explains: an answer that speaks for its units, and
// tells how many dormant customers such work meets.
func (e *Engine) explainedDormant(v *view) {
	for _, name := range v.subjects {
		id := subjectOf(name)
		s, _, known := e.otherDormant(v, name, id)
		if !known {
			continue
		}
		for _, k := range e.rule[dormant].watched {
			if e.hot[dormant][k] == 0 {
				continue
			}
			if u := e.unit(v, k, false); u != nil {
				w := s.rateNow()
				e.miss(u, v, trial{d: dormant, w: w, valid: w.use, once: uint64(id)})
			}
		}
	}
}

func dormantSays(a *accusation) string {
	tail := ""
	if a.narrow {
		tail = " Others opened there are not dormant and may be honest, so only these customers are accused."
	}
	return fmt.Sprintf("Someone behind %s opens customers who have not logged in for half a year: %d of them, where few of those who come are dormant. A mailing that wakes them looks the same, unless a change record of kind campaign declares it.%s",
		behind(a), a.hits, tail)
}
