package reference

import (
	"errors"
	"maps"
	"strings"

	"github.com/whosaw/whosaw"
)

// Index holds what the reference records up to a sequence say. Apply and the questions must not run at
// the same time; questions alone may.
type Index struct {
	realms map[string]*realm
	bound  int        // issuances of a realm that are held; 0: all
	forget func(*Old) `state:"-"`
	now    int64      `state:"-"` // of an index that ages; 0: it does not
	// How long a credential lives whose issuance says no end; 0: for good.
	longest int64 `state:"-"`
}

// Old are issuances of a realm that a bounded index is about to forget.
type Old struct {
	Realm string
	g     *realm
	l     *issuances
}

// Len is how many there are at least.
func (o *Old) Len() int { return o.l.size }

// Each calls fn with each: its credential, and its key and principal where they are named.
func (o *Old) Each(fn func(credential, key, who string)) {
	keys := make([]string, len(o.g.feeds.keys)+1)
	for name, n := range o.g.feeds.keys {
		keys[n] = name
	}
	who := func(w who) string {
		switch {
		case w == noOne:
			return ""
		case w&customerMark != 0:
			return customer + o.g.subjects.text(uint32(w>>1)-1)
		}
		return o.g.principals.text(uint32(w>>1) - 1)
	}
	for id := range o.l.first {
		credential := o.l.credentials.text(uint32(id))
		if c := o.l.more[uint32(id)]; c != nil {
			for _, n := range c.list {
				fn(credential, keys[n.key], who(n.who))
			}
			continue
		}
		n := &o.l.first[id]
		fn(credential, keys[n.key], who(n.who))
	}
}

// realm holds the records of one realm.
type realm struct {
	late, early issuances // early ones came before; empty if the index is not bounded
	forgotten   bool      // there were earlier ones still
	until       int64     // the greatest event time among those
	aged        aging     `state:"-"` // of an index that ages: those with an end
	principals  names     // of issuances and reasons, other than customers
	subjects    names     // numbers index lives, as far as that reaches
	lives       []life
	histories   []history // of subjects with more than a state; lives say which
	feeds       feeds
	reasons     map[reasonKey]spans
	forms       forms `state:"-"` // of the reasons
	keys        map[string]*key
	persons     map[string]*staff

	subjectCount, canaries int
}

// New gives an empty index.
func New() *Index { return &Index{realms: map[string]*realm{}} }

// Bound makes the index hold at most n issuances of each realm, at least half of that the latest ones; 0: all. What is
// forgotten was never issued by the index's account: who bounds it keeps other account of that, of what forget is told of before (nil: nobody
// is). Call it before Apply.
func (x *Index) Bound(n int, forget func(*Old)) { x.bound, x.forget = n, forget }

// Forgotten gives the greatest event time of the realm's issuances that a bounded index has forgotten; ok is false if there
// are none.
func (x *Index) Forgotten(realm string) (until int64, ok bool) {
	g := x.realms[realm]
	if g == nil {
		return 0, false
	}
	return g.until, g.forgotten
}

// Apply adds a record. Accesses are ignored. Records come in sequence order. The record's strings are
// copied, never kept.
func (x *Index) Apply(seq uint64, r *whosaw.Record) {
	switch r.Type {
	case whosaw.TypeIssuance:
		x.realm(r.Realm).issue(r, x)
	case whosaw.TypeSubject:
		x.realm(r.Realm).subject(r)
	case whosaw.TypePerson:
		x.realm(r.Realm).person(r)
	case whosaw.TypeKey:
		x.realm(r.Realm).key(r)
	case whosaw.TypeReason:
		x.realm(r.Realm).reason(r)
	case whosaw.TypeFeed:
		x.realm(r.Realm).feeds.declare(seq, r)
	}
}

// realm gives the realm of that name, made if need be.
func (x *Index) realm(name string) *realm {
	g := x.realms[name]
	if g == nil {
		g = &realm{reasons: map[reasonKey]spans{}, keys: map[string]*key{}, persons: map[string]*staff{}}
		x.realms[strings.Clone(name)] = g
	}
	return g
}

// customer is the prefix of a principal that claims to be a customer.
const customer = "customer:"

// who is a principal in 4 bytes: noOne, or a number in subjects or in principals with its mark.
type who uint32

const (
	noOne        who = 0
	customerMark who = 1         // who = number+1 << 1 | mark
	anyone       who = 1<<32 - 1 // stands for every principal in a pairing
	stranger     who = 1<<32 - 2 // a principal that no record names: equal to none that is
)

// whoIs gives the principal's number, made if need be.
func (g *realm) whoIs(principal string) who {
	if principal == "" {
		return noOne
	}
	if subject, ok := strings.CutPrefix(principal, customer); ok && subject != "" {
		return g.customerIs(subject)
	}
	id, _ := g.principals.intern(principal)
	return who(id+1) << 1
}

func (g *realm) customerIs(subject string) who {
	id, _ := g.subjects.intern(subject)
	return who(id+1)<<1 | customerMark
}

// findWho gives the principal's number, stranger if no record names it.
func (g *realm) findWho(principal string) who {
	if principal == "" {
		return noOne
	}
	if subject, ok := strings.CutPrefix(principal, customer); ok && subject != "" {
		if id, ok := g.subjects.find(subject); ok {
			return who(id+1)<<1 | customerMark
		}
		return stranger
	}
	if id, ok := g.principals.find(principal); ok {
		return who(id+1) << 1
	}
	return stranger
}

// since gives the event time from which a record holds.
func since(r *whosaw.Record) int64 {
	if r.Ref != nil && r.Ref.Since != 0 {
		return r.Ref.Since
	}
	return r.Time
}

// stretch gives the event times for which a record with from and until holds; ok is false if there are none.
func stretch(r *whosaw.Record) (s span, ok bool) {
	s = span{r.Time, forever}
	if r.Ref != nil {
		if r.Ref.From != 0 {
			s.from = r.Ref.From
		}
		if r.Ref.Until != 0 {
			s.until = r.Ref.Until
		}
	}
	return s, s.from < s.until
}

var noReference whosaw.Reference

// reference gives the members of a reference record, empty ones if it has none.
func reference(r *whosaw.Record) *whosaw.Reference {
	if r.Ref == nil {
		return &noReference
	}
	return r.Ref
}

// Merge takes over the realms of another index, which must not be used any more. The two must hold different realms.
func (x *Index) Merge(o *Index) error {
	for name := range o.realms {
		if x.realms[name] != nil {
			return errors.New("merge reference records: both hold a realm")
		}
	}
	maps.Copy(x.realms, o.realms)
	return nil
}
