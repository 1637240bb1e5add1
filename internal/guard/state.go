package guard

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/reference"
)

// State is what the ledger's records say of the world, as far as decisions need it. It follows the ledger: [State.Load] takes
// what was there at the start, [State.Apply] what comes. Its methods are safe for concurrent use.
type State struct {
	mu      sync.RWMutex
	ref     *reference.Index
	persons map[personKey]leaving
	applied uint64

	ready  atomic.Bool
	broken atomic.Pointer[error] // the ledger cannot be followed or written

	waiting waiting
}

type personKey struct{ realm, principal string }

// leaving is the latest of what is said of the person behind a principal.
type leaving struct {
	since int64
	left  bool
}

// NewState gives an empty state, which is not ready. longest is how long a credential lives whose issuance says no end; 0: for good.
func NewState(longest time.Duration) *State {
	ref := reference.New()
	ref.Longest(longest.Milliseconds())
	return &State{ref: ref, persons: map[personKey]leaving{}, waiting: waiting{by: map[credentialKey][]chan struct{}{}}}
}

// batchLock is how many records are applied under one lock: who decides waits no longer than that takes.
const batchLock = 256

// Place is where an appended record lies. A sequence of 0 leaves it out. Again says that it was there before: what it says may be
// known already.
type Place struct {
	Sequence uint64
	Again    bool
}

// Apply takes records that are in the ledger.
func (s *State) Apply(records []whosaw.Record, place func(i int) Place) {
	for first := 0; first < len(records); first += batchLock {
		part := records[first:min(first+batchLock, len(records))]
		if !concerns(part) {
			continue
		}
		s.mu.Lock()
		for i := range part {
			if p := place(first + i); p.Sequence != 0 && !(p.Again && s.knows(&part[i])) {
				s.apply(p.Sequence, &part[i])
			}
		}
		s.mu.Unlock()
		for i := range part {
			if r := &part[i]; r.Type == whosaw.TypeIssuance && place(first+i).Sequence != 0 {
				s.waiting.arrived(r.Realm, r.Credential)
			}
		}
	}
}

// concerns reports whether any of the records says something about the world.
func concerns(records []whosaw.Record) bool {
	for i := range records {
		if t := records[i].Type; t != whosaw.TypeAccess && t != whosaw.TypeAct && t != whosaw.TypeVerdict && t != whosaw.TypeDecision {
			return true
		}
	}
	return false
}

// knows reports whether a record that comes again says nothing new. After a write that failed half-way the first part of a call comes
// again as repeats, and is not known. mu must be held.
func (s *State) knows(r *whosaw.Record) bool {
	switch r.Type {
	case whosaw.TypeIssuance:
		return s.ref.Issued(r.Realm, r.Credential, r.Key, r.Principal)
	case whosaw.TypeSubject:
		if len(r.Subjects) == 0 {
			return true
		}
		_, ok := s.ref.Subject(r.Realm, r.Subjects[0], r.Time)
		return ok
	}
	return true
}

// apply takes one record. mu must be held.
func (s *State) apply(seq uint64, r *whosaw.Record) {
	s.applied = max(s.applied, seq)
	s.ref.Apply(seq, r)
	if r.Type != whosaw.TypePerson || r.Ref == nil {
		return
	}
	at := r.Time
	if r.Ref.Since != 0 {
		at = r.Ref.Since
	}
	// A person of the house is staff:PERSON, and whatever else their records name.
	for _, p := range append(slices.Clip(r.Ref.Principals), "staff:"+r.Ref.Person) {
		if was, ok := s.persons[personKey{r.Realm, p}]; !ok || at >= was.since {
			s.persons[personKey{strings.Clone(r.Realm), strings.Clone(p)}] = leaving{at, r.Ref.State == "left"}
		}
	}
}

// Age lets issuances go whose credentials have ended: they are refused as such, whatever is on record of them.
func (s *State) Age(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ref.Age(now)
}

// Issuances gives how many issuances are held.
func (s *State) Issuances() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ref.Held()
}

// Loaded says that the state has everything that was in the ledger at the start.
func (s *State) Loaded() { s.ready.Store(true) }

// Break says that the ledger cannot be followed or written, and why; nil: it can again.
func (s *State) Break(err error) {
	if err == nil {
		s.broken.Store(nil)
		return
	}
	s.broken.Store(&err)
}

// Sound reports why the state cannot be trusted; nil: it can.
func (s *State) Sound() (Code, error) {
	if !s.ready.Load() {
		return CodeNotReady, errLoading
	}
	if err := s.broken.Load(); err != nil {
		return CodeNoState, *err
	}
	return CodeOK, nil
}

var errLoading = errors.New("the guard is loading what the ledger holds")

// facts are what is on record of a credential.
type facts struct {
	feed       reference.Feed
	issued     bool
	owner      string // the principal of its issuance, where it names none itself
	key        reference.KeyState
	subject    subjectFact
	personLeft bool
}

type subjectFact uint8

const (
	subjectUnasked subjectFact = iota // there are no subject records, or nobody to look for
	subjectKnown
	subjectUnknown
)

// look reads what is on record of an identity at a time (milliseconds).
func (s *State) look(id *Identity, route string, now int64) facts {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var f facts
	f.issued = s.ref.Issued(id.Realm, id.Credential, id.Key, id.Principal)
	f.feed = s.ref.IssuanceFeed(id.Realm, id.Key, id.Client, route, now)
	principal := id.Principal
	if principal == "" && f.issued {
		principal = s.ref.Claimant(id.Realm, id.Credential, "", true)
		f.owner = principal
	}
	if id.Key != "" {
		f.key = s.ref.Key(id.Realm, id.Key, now)
	}
	if subject, ok := strings.CutPrefix(principal, defaultPrefix); ok {
		if all, _ := s.ref.Subjects(id.Realm); all > 0 {
			f.subject = subjectUnknown
			if _, ok := s.ref.Subject(id.Realm, subject, now); ok {
				f.subject = subjectKnown
			}
		}
	}
	if p := s.persons[personKey{id.Realm, principal}]; p.left && p.since <= now {
		f.personLeft = true
	}
	return f
}

// issued reports whether the identity's credential was issued.
func (s *State) issued(id *Identity) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ref.Issued(id.Realm, id.Credential, id.Key, id.Principal)
}

// explained reports whether a reason explains that the principal is shown the subject.
func (s *State) explained(id *Identity, subject string, now int64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ref.Explained(id.Realm, id.Principal, subject, now, id.Issued)
}

// clocksDisagree is by how much: a reason that begins so soon after a budget asks for it, or ended so shortly before, explains. The detectors' budget
// has the same five minutes.
const clocksDisagree = int64(5 * time.Minute / time.Millisecond)

// explainedNear is explained, as a budget asks it.
func (s *State) explainedNear(id *Identity, subject string, at int64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ref.ExplainedNear(id.Realm, id.Principal, subject, at, clocksDisagree, id.Issued)
}

// credentialKey is a credential whose issuance is waited for.
type credentialKey struct{ realm, credential string }

// waiting wakes requests when the issuance of their credential comes.
type waiting struct {
	mu sync.Mutex
	by map[credentialKey][]chan struct{}
	n  int
}

// join gives a channel that is closed when an issuance of the credential comes; false if most wait already.
func (w *waiting) join(realm, credential string, most int) (<-chan struct{}, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n >= most {
		return nil, false
	}
	w.n++
	c := make(chan struct{})
	k := credentialKey{realm, credential}
	w.by[k] = append(w.by[k], c)
	return c, true
}

// leave takes a channel back that was given by join.
func (w *waiting) leave(realm, credential string, c <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
	k := credentialKey{realm, credential}
	list := w.by[k]
	for i := range list {
		if list[i] == c {
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(w.by, k)
		return
	}
	w.by[k] = list
}

func (w *waiting) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

func (w *waiting) arrived(realm, credential string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.by) == 0 {
		return
	}
	k := credentialKey{realm, credential}
	for _, c := range w.by[k] {
		close(c)
	}
	delete(w.by, k)
}
