package catalog

import (
	"slices"

	"github.com/whosaw/whosaw"
)

// Shown is what an access showed.
type Shown struct {
	Fields, Masked []string // sorted, distinct, not overlapping; not to be written
	Others         int64
	Outcome        whosaw.Outcome // never OutcomeUnstated
	Matched        bool           // the catalog knows the route, or the record states its fields
}

// Show applies the catalog to an access: fields and masked as stated (nil: not stated), status, stated
// outcome, and whether it has a subject. rt may be nil. Pure: equal arguments give equal answers, so
// callers may cache by them.
func Show(rt *Route, fields, masked []string, status int, stated whosaw.Outcome, others int64, hasSubject bool) Shown {
	s := Shown{Fields: fields, Masked: masked, Others: others, Matched: rt != nil || fields != nil || masked != nil}
	if rt != nil && (hasSubject || !rt.NeedsSubject) {
		if fields == nil {
			s.Fields = rt.Fields
		}
		if masked == nil {
			s.Masked = rt.Masked
		}
		if others == 0 {
			s.Others = rt.Others
		}
	}
	s.Masked = without(s.Masked, s.Fields)
	s.Outcome = outcome(rt, status, stated, len(s.Fields)+len(s.Masked) > 0)
	return s
}

// outcome: what the record states wins, then the catalog's rule for the status, then the status itself.
func outcome(rt *Route, status int, stated whosaw.Outcome, shows bool) whosaw.Outcome {
	if stated != whosaw.OutcomeUnstated {
		return stated
	}
	if rt != nil {
		if o, ok := rt.rule(status); ok {
			return o
		}
	}
	switch {
	case status == 404 || status == 410:
		return whosaw.OutcomeAbsent
	case status == 401 || status == 403 || status == 429:
		return whosaw.OutcomeRefused
	case (status == 0 || status/100 == 2) && shows:
		return whosaw.OutcomeDisclosed
	}
	return whosaw.OutcomeNone
}

// rule gives the entry's outcome for a status: for that status, or for its class.
func (r *Route) rule(status int) (whosaw.Outcome, bool) {
	if o, ok := r.statuses[status]; ok {
		return o, true
	}
	if status >= 100 && status <= 999 {
		if o := r.classes[status/100]; o != whosaw.OutcomeUnstated {
			return o, true
		}
	}
	return whosaw.OutcomeUnstated, false
}

// without gives a without what is in b; both are sorted. Mostly that is a itself.
func without(a, b []string) []string {
	if !slices.ContainsFunc(a, func(s string) bool { return has(b, s) }) {
		return a
	}
	out := make([]string, 0, len(a))
	for _, s := range a {
		if !has(b, s) {
			out = append(out, s)
		}
	}
	return out
}

func has(sorted []string, s string) bool {
	_, ok := slices.BinarySearch(sorted, s)
	return ok
}
