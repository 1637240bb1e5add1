package detect

import (
	"fmt"
	"slices"

	"github.com/whosaw/whosaw"
)

// maxDoors bounds the routes that are log-ins: houses have a handful.
const maxDoors = 1 << 10

// refusedClass keeps the strata of refused apart from those of other questions about a route.
const refusedClass = 2

// refused asks of an address's first log-in of the day whether it was refused. A log-in is a route that has refused (401, 403)
// somebody without a credential. It is called for accesses without one.
func (e *Engine) refused(v *view) {
	r := v.r
	hit := r.Status == 401 || r.Status == 403 || r.Status == 0 && v.outcome == whosaw.OutcomeRefused
	if !hit && len(e.doors) == 0 || !r.IP.IsValid() {
		return
	}
	s := e.door(v, hit)
	if s == nil {
		return
	}
	if a := e.covering(refused, v); a != nil {
		e.grow(a, v)
		e.refuses(a.file, v)
		if !e.changing(v) {
			a.file.learnLater(s.id, v.ids[kindNetwork], hit)
		}
		s.freeze(e.coveredBy)
		return
	}
	fits := r.Status/100 == 2 || r.Status/100 == 3
	if fits {
		e.fits(v)
	}
	st, w := &e.stats[refused], s.rateNow()
	if w.p0 > s.ceiling {
		s.tooMany()
		st.skip(whyManyRefused)
	}
	e.identify(v)
	en := v.entry(0)
	t := trial{d: refused, w: w, valid: w.use, once: v.ids[kindIP]}
	switch {
	case hit:
		en.flags |= entAccused
		t.hits = t.valid
	case !fits:
		return // too many requests, an outage: neither in nor out
	}
	if !e.changing(v) {
		e.learn(s, v.ids[kindNetwork], hit)
	} else {
		s.freeze(byChange)
	}
	if w.p0 > s.ceiling {
		return
	}
	st.judged++
	st.trials++
	for _, k := range e.rule[refused].watched {
		u := e.unit(v, k, hit)
		if u == nil {
			continue
		}
		if !hit {
			if u.has(refused) {
				u.answeredTry(r.IP.Unmap().String())
			}
			e.miss(u, v, t)
			continue
		}
		if e.drive(u, v, t, &en) {
			e.crossed[refused] |= 1 << k
		}
		if x := u.ex[refused]; x != nil && len(x.creds) < maxNamed {
			x.creds = append(x.creds, r.IP.Unmap().String())
		}
	}
	e.settle(refused, v)
}

// door gives the rate of a route that is a log-in, nil if it is none as far as is known.
func (e *Engine) door(v *view, hit bool) *stratum {
	id := mix(v.realm ^ v.route)
	s := e.doors[id]
	if s == nil && hit && len(e.doors) < maxDoors {
		s = e.stratum(v, &e.rule[refused].envelope, refusedClass)
		e.doors[id] = s
		return s
	}
	if s != nil {
		e.at(s, v)
	}
	return s
}

// accuseRefused builds the finding: the refusals. Who got in from there is not told by them.
func (e *Engine) accuseRefused(u *unit, v *view, ev []entry, j int) *accusation {
	t, name := e.term(u.kind, v)
	t.Route = literal(v.r.Route)
	t.Outcome = []string{v.outcome.String()}
	a := &accusation{d: refused, kind: u.kind, unit: name, statistic: u.ex[refused].s[j], threshold: e.rule[refused].h}
	got := weigh(ev, j, v, slice{}, nil)
	t.From = whosaw.Time(got.first)
	a.take(t, got)
	a.rank = slices.Index(e.rule[refused].watched, u.kind)
	a.nameTriers(u.ex[refused].ev, u.ex[refused].creds)
	e.describe(a, v)
	return a
}

func refusedSays(a *accusation, v *view) string {
	return fmt.Sprintf("Someone behind %s tries to get in at %s: %s refused so far, from %s where the first try of the day is refused, which is rare for honest ones. Who got in from there between the refusals is not known to be honest: look at those customers.",
		behind(a), quote(v.r.Route), count(a.accesses, "try", "tries"), count(a.trials, "address", "addresses"))
}
