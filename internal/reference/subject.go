package reference

import (
	"slices"
	"sort"

	"github.com/whosaw/whosaw"
)

// SubjectState is what subject records say of a subject at a time.
type SubjectState struct {
	State     string // active, withdrawn, merged, canary; "" before the first record's since
	Since     int64  // since when it is in that state; for "" when the first one begins
	LastLogin int64  // the latest that records of that time state; 0: none
	Into      string // of a merged subject: the one it was merged into
}

// state is a subject's state in a byte.
type state uint8

const (
	unnamed state = iota // no subject record
	unsaid               // a record without a state
	active
	withdrawn
	merged
	canary
)

var stateNames = [...]string{"", "", "active", "withdrawn", "merged", "canary"}

func stateOf(s string) state {
	for i := int(active); i < len(stateNames); i++ {
		if stateNames[i] == s {
			return state(i)
		}
	}
	return unsaid
}

// life is the one record of a subject, or says where its history lies.
type life struct {
	since, lastLogin int64
	history          uint32 // index in histories and 1; 0: there is only this
	state            state
}

// history holds a subject's records by since, then by sequence.
type history []event

// event is one subject record, with what holds from then on: a member that a record leaves out is what
// it was before.
type event struct {
	since     int64
	lastLogin int64 // stated; 0: not
	state     state // stated; unsaid: not
	into      uint32
	contacts  []uint32 // stated, sorted; nil: not

	now struct {
		state     state
		since     int64
		lastLogin int64
		into      uint32 // number of the subject and 1
		contacts  []uint32
	}
}

// subject applies a subject record.
func (g *realm) subject(r *whosaw.Record) {
	if len(r.Subjects) == 0 {
		return
	}
	ref := reference(r)
	id, _ := g.subjects.intern(r.Subjects[0])
	e := event{since: since(r), lastLogin: ref.LastLogin, state: stateOf(ref.State)}
	if ref.Into != "" {
		into, _ := g.subjects.intern(ref.Into)
		e.into = into + 1
	}
	if ref.Contacts != nil {
		e.contacts = make([]uint32, 0, len(ref.Contacts))
		for _, s := range ref.Contacts {
			c, _ := g.subjects.intern(s)
			e.contacts = append(e.contacts, c)
		}
		slices.Sort(e.contacts)
	}
	for len(g.lives) <= int(id) {
		g.lives = append(g.lives, life{})
	}
	l := &g.lives[id]
	was := g.last(l)
	g.live(l, e)
	if l.state == unnamed {
		panic("BUG: an applied subject record left its subject unnamed")
	}
	if was == unnamed {
		g.subjectCount++
	}
	switch now := g.last(l); {
	case now == canary && was != canary:
		g.canaries++
	case now != canary && was == canary:
		g.canaries--
	}
}

// live adds an event to a life.
func (g *realm) live(l *life, e event) {
	if l.state == unnamed && e.into == 0 && e.contacts == nil {
		l.since, l.lastLogin, l.state = e.since, e.lastLogin, e.state
		return
	}
	if l.history == 0 {
		var h history
		if l.state != unnamed {
			h.add(event{since: l.since, lastLogin: l.lastLogin, state: l.state})
		}
		l.state = unsaid
		g.histories = append(g.histories, h)
		l.history = uint32(len(g.histories))
	}
	g.histories[l.history-1].add(e)
}

// last gives the state after all records.
func (g *realm) last(l *life) state {
	if l.history == 0 {
		return l.state
	}
	h := g.histories[l.history-1]
	return h[len(h)-1].now.state
}

func (h *history) add(e event) {
	list := *h
	at := sort.Search(len(list), func(i int) bool { return list[i].since > e.since })
	list = slices.Insert(list, at, e)
	*h = list
	h.settle(at)
}

// settle works out what holds from an event on.
func (h *history) settle(at int) {
	list := *h
	for i := at; i < len(list); i++ {
		e := &list[i]
		e.now.state, e.now.since, e.now.lastLogin, e.now.into, e.now.contacts = e.state, e.since, e.lastLogin, e.into, e.contacts
		if i == 0 {
			continue
		}
		was := &list[i-1].now
		if e.state == unsaid || e.state == was.state {
			e.now.state, e.now.since = was.state, was.since
			if e.into == 0 {
				e.now.into = was.into
			}
		}
		e.now.lastLogin = max(e.lastLogin, was.lastLogin)
		if e.contacts == nil {
			e.now.contacts = was.contacts
		}
	}
}

// at gives the event that holds at time t, nil before the first.
func (h history) at(t int64) *event {
	i := sort.Search(len(h), func(i int) bool { return h[i].since > t })
	if i == 0 {
		return nil
	}
	return &h[i-1]
}

// life gives the life of a subject, nil if no record names it.
func (g *realm) life(subject string) *life {
	id, ok := g.subjects.find(subject)
	if !ok || int(id) >= len(g.lives) || g.lives[id].state == unnamed {
		return nil
	}
	return &g.lives[id]
}

// Subject gives the state of a subject at event time t; ok is false if no record names it.
func (x *Index) Subject(realm, subject string, t int64) (SubjectState, bool) {
	g := x.realms[realm]
	if g == nil {
		return SubjectState{}, false
	}
	l := g.life(subject)
	switch {
	case l == nil:
		return SubjectState{}, false
	case l.history == 0 && t < l.since:
		return SubjectState{Since: l.since}, true
	case l.history == 0:
		return SubjectState{State: stateNames[l.state], Since: l.since, LastLogin: l.lastLogin}, true
	}
	h := g.histories[l.history-1]
	e := h.at(t)
	if e == nil {
		return SubjectState{Since: h[0].since}, true
	}
	s := SubjectState{State: stateNames[e.now.state], Since: e.now.since, LastLogin: e.now.lastLogin}
	if e.now.into != 0 {
		s.Into = g.subjects.text(e.now.into - 1)
	}
	return s, true
}

// Subjects is the number of subjects that subject records name in the realm, and how many are canaries
// by the latest of their records.
func (x *Index) Subjects(realm string) (all, canaries int) {
	g := x.realms[realm]
	if g == nil {
		return 0, 0
	}
	return g.subjectCount, g.canaries
}

// contactsAt reports whether records that hold at time t name other among the subject's contacts.
func (g *realm) contactsAt(subject, other uint32, t int64) bool {
	if int(subject) >= len(g.lives) || g.lives[subject].history == 0 {
		return false
	}
	e := g.histories[g.lives[subject].history-1].at(t)
	if e == nil {
		return false
	}
	_, ok := slices.BinarySearch(e.now.contacts, other)
	return ok
}
