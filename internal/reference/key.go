package reference

import (
	"slices"
	"sort"
	"strings"

	"github.com/whosaw/whosaw"
)

// KeyState is what key and person records say of a key at a time.
type KeyState struct {
	State  string // active, retired, revoked; "" if no record says so for that time
	Since  int64  // since when it is in that state
	Until  int64  // end of validity, 0: none stated
	Left   string // a person who could read it and has left by then, of several who left first; "" if none
	LeftAt int64
}

// key holds the records of one key.
type key struct {
	states  timeline
	kills   []span           // by an operator, each until one took it back, in sequence order
	readers map[string]int64 // person to the time from which a record says that they could read it

	// For the policy; 0 where no record says.
	seen     int64 // event time of the first record about it
	created  int64
	rotated  int64 // the last time, in place
	disposed int64
	owner    string
	ownedAt  int64
}

// staff holds the records of one person of the house.
type staff struct{ states timeline }

// timeline is a history of states, by since, then by sequence.
type timeline []turn

// turn is one record of a timeline, and what holds from then on.
type turn struct {
	since, until int64  // until as stated; 0: not
	state        string // as stated; "": not

	nowState string
	nowSince int64
	nowUntil int64
}

func (l *timeline) add(n turn) {
	list := *l
	at := sort.Search(len(list), func(i int) bool { return list[i].since > n.since })
	list = slices.Insert(list, at, n)
	for i := at; i < len(list); i++ {
		n := &list[i]
		n.nowState, n.nowSince, n.nowUntil = n.state, n.since, n.until
		if i == 0 {
			continue
		}
		was := &list[i-1]
		if n.state == "" || n.state == was.nowState {
			n.nowState, n.nowSince = was.nowState, was.nowSince
		}
		if n.until == 0 {
			n.nowUntil = was.nowUntil
		}
	}
	*l = list
}

// at gives the turn that holds at time t, nil before the first.
func (l timeline) at(t int64) *turn {
	i := sort.Search(len(l), func(i int) bool { return l[i].since > t })
	if i == 0 {
		return nil
	}
	return &l[i-1]
}

func (g *realm) keyNamed(name string) *key {
	k := g.keys[name]
	if k == nil {
		k = &key{readers: map[string]int64{}}
		g.keys[strings.Clone(name)] = k
	}
	return k
}

// read notes that a record which holds from t says that the person could read the key.
func (k *key) read(person string, t int64) {
	if was, ok := k.readers[person]; !ok || t < was {
		k.readers[strings.Clone(person)] = t
	}
}

// key applies a key record.
func (g *realm) key(r *whosaw.Record) {
	if r.Key == "" {
		return
	}
	ref, t := reference(r), since(r)
	k := g.keyNamed(r.Key)
	if ref.State != "" || ref.Until != 0 { // else it says what happened to the key, not how it stands
		k.states.add(turn{since: t, until: ref.Until, state: strings.Clone(ref.State)})
	}
	if r.Source == operator {
		k.killed(ref.State, t)
	}
	for _, person := range ref.Readers {
		k.read(person, t)
	}
	k.happen(ref.Kind, ref.State, ref.Person, t, r.Time)
}

// operator is the source of what was typed at this server. No sender can have it.
const operator = "operator"

// killed notes that an operator revoked the key, or gave it another state. A kill stands until then, whatever a log says.
func (k *key) killed(state string, t int64) {
	last := len(k.kills) - 1
	open := last >= 0 && k.kills[last].until == forever
	switch {
	case state == "revoked" && !open:
		k.kills = append(k.kills, span{t, forever})
	case state == "revoked":
		k.kills[last].from = min(k.kills[last].from, t)
	case state != "" && open:
		k.kills[last].until = max(t, k.kills[last].from)
	}
}

// person applies a person record.
func (g *realm) person(r *whosaw.Record) {
	ref, t := reference(r), since(r)
	if ref.Person == "" {
		return
	}
	p := g.persons[ref.Person]
	if p == nil {
		p = &staff{}
		g.persons[strings.Clone(ref.Person)] = p
	}
	p.states.add(turn{since: t, state: strings.Clone(ref.State)})
	for _, name := range ref.Keys {
		g.keyNamed(name).read(ref.Person, t)
	}
}

// Key gives the state of a key at event time t.
func (x *Index) Key(realm, key string, t int64) KeyState {
	g := x.realms[realm]
	if g == nil {
		return KeyState{}
	}
	k := g.keys[key]
	if k == nil {
		return KeyState{}
	}
	var s KeyState
	if n := k.states.at(t); n != nil {
		s.State, s.Until = n.nowState, n.nowUntil
		if s.State != "" {
			s.Since = n.nowSince
		}
	}
	for _, x := range k.kills {
		if x.from <= t && t < x.until && s.State != "revoked" {
			s.State, s.Since = "revoked", x.from
		}
	}
	for person, from := range k.readers {
		p := g.persons[person]
		if p == nil || from > t {
			continue
		}
		if n := p.states.at(t); n != nil && n.nowState == "left" {
			if s.Left == "" || n.nowSince < s.LeftAt || n.nowSince == s.LeftAt && person < s.Left {
				s.Left, s.LeftAt = person, n.nowSince
			}
		}
	}
	return s
}
