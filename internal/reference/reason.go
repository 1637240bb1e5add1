package reference

import (
	"strings"

	"github.com/whosaw/whosaw"
)

// reasonKey is whom a reason is about: a subject's number and 1, a principal, or both.
type reasonKey struct {
	subject   uint32
	principal who
}

// forms says in which forms a realm's reasons come, so that none is looked for where none can be.
type forms uint8

const (
	ofAll       forms = 1 << iota // a principal may open anybody
	ofAnyone                      // anybody may open a subject
	ofCustomers                   // a customer may open a subject
	ofHouse                       // another principal may
)

func (k reasonKey) form() forms {
	switch {
	case k.subject == 0:
		return ofAll
	case k.principal == noOne:
		return ofAnyone
	case k.principal&customerMark != 0:
		return ofCustomers
	}
	return ofHouse
}

// reason applies a reason record.
func (g *realm) reason(r *whosaw.Record) {
	s, ok := stretch(r)
	if !ok || r.Principal == "" && len(r.Subjects) == 0 {
		return
	}
	k := reasonKey{principal: g.whoIs(r.Principal)}
	if len(r.Subjects) == 0 {
		g.explain(k, s)
		return
	}
	for _, subject := range r.Subjects {
		id, _ := g.subjects.intern(subject)
		k.subject = id + 1
		g.explain(k, s)
	}
}

func (g *realm) explain(k reasonKey, s span) {
	known := g.reasons[k]
	known.add(s)
	g.reasons[k] = known
	g.forms |= k.form()
}

// Claimant gives who an access is by: the principal that its credential claims, or where the record names none, the
// customer whose log-in issued the credential. "" if neither is known.
func (x *Index) Claimant(realm, credential, principal string, issued bool) string {
	if principal != "" || !issued {
		return principal
	}
	if subject, ok := x.SubjectOf(realm, credential); ok {
		return customer + subject
	}
	return ""
}

// Explains reports whether a record is one of those that Explained goes by, for accesses at event times from one on and before another.
func Explains(r *whosaw.Record, from, to int64) bool {
	switch r.Type {
	case whosaw.TypeReason:
		s, ok := stretch(r)
		return ok && s.from < to && s.until > from
	case whosaw.TypeSubject:
		return r.Ref != nil && r.Ref.Contacts != nil // whatever the time: they hold until a record states others
	}
	return false
}

// Explaining is how many entries Explained may look at: pairs of subject and principal that have a reason, and subjects with a history.
func (x *Index) Explaining() (n int) {
	for _, g := range x.realms {
		n += len(g.reasons) + len(g.histories)
	}
	return n
}

// Explained reports whether the principal's access to the subject at event time t is explained: by a reason
// record that covers it, as the customer's own issued session, or by a household link. Without a principal
// or a subject there is nothing to explain, and it is not.
func (x *Index) Explained(realm, principal, subject string, t int64, issued bool) bool {
	return x.Because(realm, principal, subject, t, issued) != Unexplained
}

// ExplainedNear is Explained for an access whose time, or whose reasons' times, may be off by so much: what covers any moment within skew of t
// explains it too.
func (x *Index) ExplainedNear(realm, principal, subject string, t, skew int64, issued bool) bool {
	return x.because(realm, principal, subject, t, skew, issued) != Unexplained
}

// Because is what explains an access.
type Because uint8

// What may explain an access.
const (
	Unexplained Because = iota
	OwnSession
	Reason
	Household
)

// String gives the word for it, "" for Unexplained.
func (b Because) String() string { return [...]string{"", "own session", "reason", "household"}[b] }

// Because says what explains an access, as Explained asks.
func (x *Index) Because(realm, principal, subject string, t int64, issued bool) Because {
	return x.because(realm, principal, subject, t, 0, issued)
}

func (x *Index) because(realm, principal, subject string, t, skew int64, issued bool) Because {
	if principal == "" || subject == "" {
		return Unexplained
	}
	claimed, isCustomer := strings.CutPrefix(principal, customer)
	if issued && isCustomer && claimed == subject {
		return OwnSession
	}
	g := x.realms[realm]
	if g == nil {
		return Unexplained
	}
	forms := g.forms &^ ofCustomers
	if isCustomer && claimed != "" {
		forms = g.forms &^ ofHouse
	}
	household := isCustomer && claimed != subject && len(g.histories) > 0
	if forms == 0 && !household {
		return Unexplained
	}
	w := stranger
	if forms&^ofAnyone != 0 {
		if w = g.findWho(principal); w != stranger && forms&ofAll != 0 && g.covered(reasonKey{0, w}, t, skew) {
			return Reason
		}
	}
	id, known := g.subjects.find(subject)
	if !known {
		return Unexplained
	}
	if forms&ofAnyone != 0 && g.covered(reasonKey{id + 1, noOne}, t, skew) ||
		w != stranger && forms&(ofCustomers|ofHouse) != 0 && g.covered(reasonKey{id + 1, w}, t, skew) {
		return Reason
	}
	if !household {
		return Unexplained
	}
	other, ok := g.subjects.find(claimed)
	if ok && g.household(id, other, t) || ok && skew > 0 && (g.household(id, other, t-skew) || g.household(id, other, t+skew)) {
		return Household
	}
	return Unexplained
}

// household reports whether both named each other as contacts at a time.
func (g *realm) household(a, b uint32, t int64) bool {
	return g.contactsAt(a, b, t) && g.contactsAt(b, a, t)
}

func (g *realm) covered(k reasonKey, t, skew int64) bool {
	s, ok := g.reasons[k]
	return ok && s.meets(t-skew, t+skew)
}
