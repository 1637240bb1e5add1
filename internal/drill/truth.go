package drill

import (
	"strings"

	"github.com/whosaw/whosaw"
)

// A record's source tells the score whose it is: no detector reads it, and a filter can ask for it.
const (
	honestSource = "honest"
	attackSource = "attack/" // and the attacker's name
	eventSource  = "honest/" // and the awkward event's name
)

// truth is what is known of a run's attacks, by attacker.
type truth struct {
	attackers []*taking // in the order of their first record
	canaries  map[string]bool
	from, to  int64 // event times of accesses
}

// taking is what one attacker did.
type taking struct {
	name  string
	first int64            // event time of the first access
	began int64            // and of the first that disclosed somebody
	shown []string         // whom that one disclosed: no detector can be earlier
	lost  map[string]int64 // subject, within its realm, to when it was first disclosed
}

func newTruth() *truth { return &truth{canaries: make(map[string]bool)} }

// subjectName tells subjects of realms apart.
func subjectName(realm, subject string) string { return realm + "\x00" + subject }

// plant notes a customer that is planted.
func (t *truth) plant(r *whosaw.Record) {
	if r.Type == whosaw.TypeSubject && r.Ref != nil && r.Ref.State == "canary" && len(r.Subjects) > 0 {
		t.canaries[subjectName(r.Realm, strings.Clone(r.Subjects[0]))] = true
	}
}

// span widens the run's range of time.
func (t *truth) span(at int64) {
	if t.from == 0 || at < t.from {
		t.from = at
	}
	t.to = max(t.to, at)
}

// take notes an access of an attacker.
func (t *truth) take(name string, r *whosaw.Record, subjects []string, disclosed bool) {
	a := t.attacker(name)
	if a.first == 0 || r.Time < a.first {
		a.first = r.Time
	}
	if !disclosed {
		return
	}
	if len(subjects) > 0 && (a.began == 0 || r.Time < a.began) {
		a.began, a.shown = r.Time, a.shown[:0]
		for _, s := range subjects {
			a.shown = append(a.shown, subjectName(r.Realm, s))
		}
	}
	for _, s := range subjects {
		s = subjectName(r.Realm, s)
		if at, ok := a.lost[s]; !ok || r.Time < at {
			a.lost[s] = r.Time
		}
	}
}

func (t *truth) attacker(name string) *taking {
	for _, a := range t.attackers {
		if a.name == name {
			return a
		}
	}
	a := &taking{name: strings.Clone(name), lost: make(map[string]int64)}
	t.attackers = append(t.attackers, a)
	return a
}

// customers counts the real customers whom the attacker had seen by a time; 0 asks for all.
func (t *truth) customers(a *taking, by int64) int64 {
	var n int64
	for s, at := range a.lost {
		if (by == 0 || at <= by) && !t.canaries[s] {
			n++
		}
	}
	return n
}

// opening counts the real customers whom the attacker's first answer showed.
func (t *truth) opening(a *taking) int64 {
	shown := make(map[string]struct{}, len(a.shown))
	for _, s := range a.shown {
		if !t.canaries[s] {
			shown[s] = struct{}{}
		}
	}
	return int64(len(shown))
}

// customersBefore counts the real customers whom the attacker had seen before a time.
func (t *truth) customersBefore(a *taking, at int64) int64 {
	if at <= a.first {
		return 0
	}
	return t.customers(a, at-1)
}

// filters give each attacker's accesses, in their order.
func (t *truth) filters() []whosaw.Filter {
	var out []whosaw.Filter
	for _, a := range t.attackers {
		out = append(out, whosaw.Filter{{Source: []string{attackSource + a.name}}})
	}
	return out
}
