package detect

import (
	"cmp"
	"slices"
)

// Spent is how much of its budget of new customers an actor has used on its newest day.
type Spent struct {
	Unit  string // kind and value, as in "principal:partner:acme"
	Fresh int64
	Cap   int64
	Set   bool // by configuration; else learnt from the actor's own days
	Day   int64
}

// Spent gives the actors nearest their caps, of those whose newest day is not before a day.
func (e *Engine) Spent(since int64, n int) []Spent {
	var out []Spent
	for _, p := range e.spreads {
		day := &p.days[p.last%ringDays]
		if p.name == "" || int64(p.last) < since || day.on != p.last {
			continue
		}
		s := Spent{Unit: p.name, Fresh: int64(day.fresh), Day: int64(p.last), Set: p.cap > 0, Cap: p.cap}
		if !s.Set {
			most, ok := e.learnt(p, p.last)
			if !ok {
				continue
			}
			s.Cap = most
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Spent) int {
		return cmp.Or(cmp.Compare(float64(b.Fresh)/float64(b.Cap), float64(a.Fresh)/float64(a.Cap)), cmp.Compare(a.Unit, b.Unit))
	})
	return out[:min(n, len(out))]
}
