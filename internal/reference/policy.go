package reference

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// KeyPolicy is what a house asks of its signing keys. A zero member asks nothing.
type KeyPolicy struct {
	LongestLife    int64 `json:"longest_life_hours,omitempty"`   // from creation or the last rotation in place to retirement
	NoHumanReaders bool  `json:"no_human_readers,omitempty"`     // only programs may read the key
	Owner          bool  `json:"owner,omitempty"`                // somebody answers for the key, and has not left
	RotateWithin   int64 `json:"rotate_within_hours,omitempty"`  // after a person who could read it has left
	DisposeWithin  int64 `json:"dispose_within_hours,omitempty"` // after it was retired or revoked
}

// Asks reports whether anything is asked of keys.
func (p KeyPolicy) Asks() bool { return p != KeyPolicy{} }

// maxPolicyHours is a hundred years.
const maxPolicyHours = 876_600

// ParseKeyPolicy reads what a policy's record holds.
func ParseKeyPolicy(text string) (KeyPolicy, error) {
	var p KeyPolicy
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return KeyPolicy{}, fmt.Errorf("read key policy: %w", err)
	}
	return p, p.Check()
}

// Check finds what cannot work.
func (p KeyPolicy) Check() error {
	for name, hours := range map[string]int64{"longest life": p.LongestLife, "rotate within": p.RotateWithin, "dispose within": p.DisposeWithin} {
		if hours < 0 || hours > maxPolicyHours {
			return fmt.Errorf("key policy: %s: give between an hour and a hundred years, or nothing", name)
		}
	}
	return nil
}

// String is the policy as its record holds it.
func (p KeyPolicy) String() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic("BUG: encode a key policy: " + err.Error())
	}
	return string(text)
}

// BreachKind is how a key breaks its policy.
type BreachKind string

// The breaches.
const (
	TooOld      BreachKind = "too_old"      // it lives longer than the policy allows
	HumanReader BreachKind = "human_reader" // a person could read it, or did
	NoOwner     BreachKind = "no_owner"     // nobody answers for it
	OwnerLeft   BreachKind = "owner_left"
	NotRotated  BreachKind = "not_rotated"  // a person who could read it has left
	NotDisposed BreachKind = "not_disposed" // it was retired or revoked, and its material is still there
)

// Breach is one way in which a key breaks the policy.
type Breach struct {
	Kind   BreachKind `json:"kind"`
	Person string     `json:"person,omitempty"`
	Since  int64      `json:"since"` // of what broke it: the read, the leaving, the retirement, the creation
	At     int64      `json:"at"`    // from when on it is a breach
}

// ownerGrace is how long a key that turned up may be without an owner on record.
const ownerGrace = 24 * hour

const hour = 60 * 60 * 1000

// Breaches lists how a key breaks the policy, also from a later time on as things stand: those whose At has come by t are in
// force at t. They are ordered by At.
func (x *Index) Breaches(realm, name string, p KeyPolicy, t int64) []Breach {
	g := x.realms[realm]
	if g == nil || g.keys[name] == nil {
		return nil
	}
	k := g.keys[name]
	s := x.Key(realm, name, t)
	ended := s.State == "retired" || s.State == "revoked"
	if k.disposed != 0 && k.disposed <= t {
		return nil // nothing is left of it
	}
	var out []Breach
	if ended {
		if p.DisposeWithin > 0 {
			out = append(out, Breach{NotDisposed, "", s.Since, s.Since + p.DisposeWithin*hour})
		}
		if s.State == "revoked" {
			return out
		}
	}
	for person, since := range k.readers {
		if since > t || !Human(person) {
			continue
		}
		if p.NoHumanReaders && !ended {
			out = append(out, Breach{HumanReader, person, since, since})
		}
		left := g.left(person, t)
		if p.RotateWithin > 0 && left != 0 && !ended && k.rotated < left {
			out = append(out, Breach{NotRotated, person, left, left + p.RotateWithin*hour})
		}
	}
	if born := max(k.created, k.rotated); p.LongestLife > 0 && !ended && born != 0 {
		out = append(out, Breach{TooOld, "", born, born + p.LongestLife*hour})
	}
	if p.Owner && !ended {
		if owner := k.owner; owner == "" {
			out = append(out, Breach{NoOwner, "", k.seen, k.seen + ownerGrace})
		} else if left := g.left(owner, t); left != 0 {
			out = append(out, Breach{OwnerLeft, owner, left, left})
		}
	}
	slices.SortFunc(out, func(a, b Breach) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Person, b.Person))
	})
	return out
}

// Human reports whether a reader or an owner of a key is a person: whoever is not said to be a program.
func Human(reader string) bool { return reader != "" && !strings.HasPrefix(reader, "service:") }

// left gives since when a person has left at time t, 0 if not.
func (g *realm) left(person string, t int64) int64 {
	p := g.persons[person]
	if p == nil {
		return 0
	}
	if n := p.states.at(t); n != nil && n.nowState == "left" {
		return n.nowSince
	}
	return 0
}

// Left gives since when a person has left at event time t, 0 if no record says so.
func (x *Index) Left(realm, person string, t int64) int64 {
	if g := x.realms[realm]; g != nil {
		return g.left(person, t)
	}
	return 0
}

// happen notes what a key record says of the key's life, beside its state.
func (k *key) happen(kind, state, owner string, since, t int64) {
	if k.seen == 0 || t < k.seen {
		k.seen = t
	}
	if owner != "" && t >= k.ownedAt {
		k.owner, k.ownedAt = strings.Clone(owner), t
	}
	switch {
	case kind == "disposed":
		if k.disposed == 0 || since < k.disposed {
			k.disposed = since
		}
	case kind == "rotated":
		k.rotated = max(k.rotated, since)
	case kind == "created" || kind == "" && state == "active":
		if k.created == 0 || since < k.created {
			k.created = since
		}
	}
}

// KeyLife is what key records say of a key's life beside its state. 0 and "": no record says.
type KeyLife struct {
	Created, Rotated, Disposed int64
	Owner                      string
}

// Life gives the life of a key, by all records so far.
func (x *Index) Life(realm, key string) KeyLife {
	g := x.realms[realm]
	if g == nil || g.keys[key] == nil {
		return KeyLife{}
	}
	k := g.keys[key]
	return KeyLife{k.created, k.rotated, k.disposed, k.owner}
}
