package detect

import (
	"math/bits"
	"slices"

	"github.com/whosaw/whosaw"
)

// maxDrifted bounds the fields remembered that no catalog lists; further ones are not judged.
const maxDrifted = 1 << 14

// drift asks whether a page shows a field that its catalog does not list. It is called where a catalog that somebody wrote knows the
// route; nearly always all fields are in it.
func (e *Engine) drift(v *view) {
	r := v.r
	if v.outcome != whosaw.OutcomeDisclosed {
		return
	}
	st := &e.stats[fieldDrift]
	st.judged++
	st.trials++
	for _, field := range r.Fields {
		if !slices.Contains(v.rt.Fields, field) {
			e.unlisted(v, field)
		}
	}
}

// unlisted is a field that the catalog does not list for the route: news once.
func (e *Engine) unlisted(v *view, field string) {
	id := mix(v.realm^v.route^bits.RotateLeft64(text(field), 29)) | 1
	if _, known := e.drifted[id]; known {
		return
	}
	if len(e.drifted) >= maxDrifted {
		e.stats[fieldDrift].skip(whyFields)
		return
	}
	e.drifted[id] = struct{}{}
	if e.clock-e.began < e.knobs.driftAfter || e.changing(v) {
		return
	}
	r := v.r
	// A route is no unit: the finding covers nothing, and is raised once.
	a := e.fact(fieldDrift, kindKey, "route:"+clone(r.Route), v)
	a.narrow, a.alone = true, true
	a.term = whosaw.Term{Route: literal(r.Route), Field: literal(field), From: whosaw.Time(r.Time)}
	if r.Realm != "" {
		a.term.Realm = literal(r.Realm)
	}
	e.describe(a, v)
	e.raise(a, v)
}
