package keys

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
)

// The kinds of acts about keys and people.
const (
	ActPolicy   = "key_policy" // sets the policy; the detectors read it too
	ActAdded    = "key_added"
	ActRotated  = "key_rotated"
	ActRetired  = "key_retired"
	ActDisposed = "key_disposed"
	ActKilled   = "key_killed"
	ActRevived  = "key_revived"
	ActPublic   = "key_public"
	ActPeople   = "people"
	ActRevoked  = "offboarding_revoked"
	ActClosed   = "offboarding_closed"
)

// maxEvents bounds the history of one key that is held; of a longer one the newest are.
const maxEvents = 10_000

// maxSessions bounds the credentials of one person that are held, the newest.
const maxSessions = 10_000

type id struct{ realm, name string }

// Register is what the ledger says of keys and people. Its methods are safe for concurrent use.
type Register struct {
	mu       sync.Mutex
	seq      uint64 // folded up to
	ref      *reference.Index
	keys     map[id]*entry
	people   map[id]*person
	sessions map[id][]session // by principal, of staff, services and partners
	work     map[id]map[string]Worked
	closed   map[id]Closing
	policy   reference.KeyPolicy
	set      Act // who set it; zero: nobody
}

// entry is what is folded of one key.
type entry struct {
	use, into string
	readers   map[string]*Reader
	events    []Event
	left      int // events that are not held any more
}

type person struct {
	state      string
	since      int64
	principals map[string]bool
	keys       map[string]bool
}

type session struct {
	credential, key string
	issued, expires int64
}

// Act is who did something, when and why.
type Act struct {
	Who    string      `json:"who,omitempty"`
	At     whosaw.Time `json:"at"`
	Reason string      `json:"reason,omitempty"`
}

// NewRegister gives an empty register.
func NewRegister() *Register {
	return &Register{
		ref: reference.New(), keys: map[id]*entry{}, people: map[id]*person{}, sessions: map[id][]session{}, work: map[id]map[string]Worked{},
		closed: map[id]Closing{},
	}
}

// Follow folds what a view holds beyond what was folded.
func (r *Register) Follow(ctx context.Context, view *ledger.View) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range view.Parts() {
		if p.Last <= r.seq {
			continue
		}
		err := view.PartReferences(ctx, i, func(seq uint64, rec *whosaw.Record) error {
			if seq > r.seq {
				r.apply(seq, rec)
				r.seq = seq // what was folded is not folded again if reading fails further on
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.seq = p.Last
	}
	r.seq = max(r.seq, view.Last())
	return nil
}

func (r *Register) apply(seq uint64, rec *whosaw.Record) {
	if rec.Ref == nil {
		return
	}
	switch rec.Type {
	case whosaw.TypeKey:
		r.ref.Apply(seq, rec)
		r.applyKey(seq, rec)
	case whosaw.TypePerson:
		r.ref.Apply(seq, rec)
		r.applyPerson(seq, rec)
	case whosaw.TypeIssuance:
		r.applyIssuance(rec)
	case whosaw.TypeAct:
		r.applyAct(rec)
	}
}

func (r *Register) key(realm, name string) *entry {
	k := r.keys[id{realm, name}]
	if k == nil {
		k = &entry{readers: map[string]*Reader{}}
		r.keys[id{realm, name}] = k
	}
	return k
}

func since(rec *whosaw.Record) int64 {
	if rec.Ref.Since != 0 {
		return rec.Ref.Since
	}
	return rec.Time
}

func (r *Register) applyKey(seq uint64, rec *whosaw.Record) {
	k, ref := r.key(rec.Realm, rec.Key), rec.Ref
	if ref.Use != "" {
		k.use = ref.Use
	}
	if ref.Into != "" {
		k.into = ref.Into
	}
	at := since(rec)
	for _, who := range ref.Readers {
		k.reader(who).note(ref.Kind, at)
	}
	if ref.Kind == "used" && rec.Principal != "" {
		who := strings.TrimPrefix(rec.Principal, "staff:")
		k.reader(who).note(ref.Kind, at)
	}
	k.event(Event{
		At: whosaw.Time(at), Sequence: seq, Kind: ref.Kind, State: ref.State, Who: rec.Principal, Readers: ref.Readers, Owner: ref.Person, Into: ref.Into,
		Source: rec.Source, Note: ref.Note,
	})
}

func (k *entry) event(e Event) {
	at, _ := slices.BinarySearchFunc(k.events, e, func(a, b Event) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Sequence, b.Sequence)) })
	k.events = slices.Insert(k.events, at, e)
	if len(k.events) > maxEvents {
		k.events = slices.Delete(k.events, 0, 1)
		k.left++
	}
}

func (k *entry) reader(who string) *Reader {
	x := k.readers[who]
	if x == nil {
		x = &Reader{Who: who}
		k.readers[who] = x
	}
	return x
}

func (r *Register) applyPerson(seq uint64, rec *whosaw.Record) {
	ref := rec.Ref
	p := r.people[id{rec.Realm, ref.Person}]
	if p == nil {
		p = &person{principals: map[string]bool{}, keys: map[string]bool{}}
		r.people[id{rec.Realm, ref.Person}] = p
	}
	at := since(rec)
	for _, name := range ref.Principals {
		p.principals[name] = true
	}
	for _, name := range ref.Keys {
		p.keys[name] = true
		k := r.key(rec.Realm, name)
		k.reader(ref.Person).note("", at)
		k.event(Event{At: whosaw.Time(at), Sequence: seq, Who: rec.Principal, Readers: []string{ref.Person}, Source: rec.Source})
	}
	if at >= p.since {
		if ref.State != p.state || p.since == 0 {
			p.since = at
		}
		p.state = ref.State
	}
}

// applyIssuance keeps the sessions of staff, services and partners. Customers have theirs by the million, and none of them leaves the house.
func (r *Register) applyIssuance(rec *whosaw.Record) {
	if rec.Principal == "" || strings.HasPrefix(rec.Principal, "customer:") || rec.Credential == "" {
		return
	}
	at := id{rec.Realm, rec.Principal}
	list := append(r.sessions[at], session{rec.Credential, rec.Key, rec.Time, rec.Ref.Expires})
	if len(list) > maxSessions {
		list = list[1:]
	}
	r.sessions[at] = list
}

func (r *Register) applyAct(rec *whosaw.Record) {
	ref := rec.Ref
	by := Act{rec.Principal, whosaw.Time(rec.Time), rec.Reason}
	switch ref.Kind {
	case ActPolicy:
		if p, err := reference.ParseKeyPolicy(ref.Note); err == nil {
			r.policy, r.set = p, by
		}
	case ActRevoked:
		at := id{rec.Realm, ref.Person}
		if r.work[at] == nil {
			r.work[at] = map[string]Worked{}
		}
		r.work[at][ref.Of] = Worked{Act: by, Decision: ref.Note}
	case ActClosed:
		r.closed[id{rec.Realm, ref.Person}] = Closing{Act: by, Left: whosaw.Time(ref.Since), Tried: ref.Note}
	}
}

// Key is one key of the register. Times are zero where no record says.
type Key struct {
	Realm    string             `json:"realm,omitempty"`
	Key      string             `json:"key"`
	Use      string             `json:"use,omitempty"`
	Owner    string             `json:"owner,omitempty"`
	State    string             `json:"state"` // active, retired, revoked; "unknown": no record says
	Since    whosaw.Time        `json:"since,omitzero"`
	Created  whosaw.Time        `json:"created,omitzero"`
	Rotated  whosaw.Time        `json:"rotated,omitzero"` // the last time, in place
	Into     string             `json:"into,omitempty"`   // the key that replaces it
	Until    whosaw.Time        `json:"until,omitzero"`
	Disposed whosaw.Time        `json:"disposed,omitzero"`
	Public   bool               `json:"public"` // its public key is registered
	Served   bool               `json:"served"` // and in the key set that gateways ask for
	Readers  []Reader           `json:"readers"`
	Breaches []reference.Breach `json:"breaches"`          // in force
	Due      []reference.Breach `json:"due"`               // that come, as things stand
	History  []Event            `json:"history,omitempty"` // of one key, the first first
	Left     int                `json:"history_left_out,omitempty"`
}

// Reader is somebody who could read a key, or did.
type Reader struct {
	Who      string      `json:"who"`            // a person, or service:NAME
	Typed    whosaw.Time `json:"typed,omitzero"` // since when somebody typed that they could
	Read     whosaw.Time `json:"read,omitzero"`  // the first time, by an audit log
	Last     whosaw.Time `json:"last,omitzero"`  // the last time
	Times    int64       `json:"times,omitempty"`
	Exported int64       `json:"exported,omitempty"` // times of these
	Used     int64       `json:"used,omitempty"`     // it was used, which shows nothing of it
	Left     whosaw.Time `json:"left,omitzero"`      // the house
}

func (x *Reader) note(kind string, at int64) {
	t := whosaw.Time(at)
	switch kind {
	case "read", "exported":
		if x.Read == 0 || t < x.Read {
			x.Read = t
		}
		x.Last = max(x.Last, t)
		x.Times++
		if kind == "exported" {
			x.Exported++
		}
	case "used":
		x.Used++
	default:
		if x.Typed == 0 || t < x.Typed {
			x.Typed = t
		}
	}
}

// could reports whether the reader could read the key: using it shows nothing of it.
func (x *Reader) could() bool { return x.Typed != 0 || x.Read != 0 }

// Event is what one record says of a key.
type Event struct {
	At       whosaw.Time `json:"at"`
	Sequence uint64      `json:"sequence"`
	Kind     string      `json:"kind,omitempty"`
	State    string      `json:"state,omitempty"`
	Who      string      `json:"who,omitempty"` // the principal that did it, or said so
	Readers  []string    `json:"readers,omitempty"`
	Owner    string      `json:"owner,omitempty"`
	Into     string      `json:"into,omitempty"`
	Source   string      `json:"source"` // operator: typed here; else the log that says so
	Note     string      `json:"note,omitempty"`
}

// Keys lists the keys as of a time, by realm and name, without their history.
func (r *Register) Keys(now int64) []Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := slices.SortedFunc(maps.Keys(r.keys), func(a, b id) int { return cmp.Or(cmp.Compare(a.realm, b.realm), cmp.Compare(a.name, b.name)) })
	out := make([]Key, 0, len(names))
	for _, at := range names {
		out = append(out, r.view(at, now))
	}
	return out
}

// Key gives one key with its history; ok is false if no record names it.
func (r *Register) Key(realm, name string, now int64) (Key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.keys[id{realm, name}]
	if k == nil {
		return Key{}, false
	}
	out := r.view(id{realm, name}, now)
	out.History, out.Left = slices.Clone(k.events), k.left
	return out, true
}

func (r *Register) view(at id, now int64) Key {
	k := r.keys[at]
	s, life := r.ref.Key(at.realm, at.name, now), r.ref.Life(at.realm, at.name)
	out := Key{
		Realm: at.realm, Key: at.name, Use: k.use, Owner: life.Owner, State: cmp.Or(s.State, "unknown"), Since: whosaw.Time(s.Since), Created: whosaw.Time(life.Created),
		Rotated: whosaw.Time(life.Rotated), Into: k.into, Until: whosaw.Time(s.Until), Disposed: whosaw.Time(life.Disposed),
		Readers: []Reader{}, Breaches: []reference.Breach{}, Due: []reference.Breach{},
	}
	if s.State == "" && life.Created != 0 {
		out.State = "active" // an audit log saw it made, and nothing has ended it
	}
	for _, who := range slices.Sorted(maps.Keys(k.readers)) {
		x := *k.readers[who]
		x.Left = whosaw.Time(r.ref.Left(at.realm, who, now))
		out.Readers = append(out.Readers, x)
	}
	for _, b := range r.ref.Breaches(at.realm, at.name, r.policy, now) {
		if b.At <= now {
			out.Breaches = append(out.Breaches, b)
		} else {
			out.Due = append(out.Due, b)
		}
	}
	return out
}

// Policy gives the policy in force and who set it.
func (r *Register) Policy() (reference.KeyPolicy, Act) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.policy, r.set
}

// Person is somebody of the house.
type Person struct {
	Realm      string      `json:"realm,omitempty"`
	Person     string      `json:"person"`
	State      string      `json:"state"` // active, left
	Since      whosaw.Time `json:"since"`
	Principals []string    `json:"principals"`
	Keys       []string    `json:"keys"` // that they could read: typed and happened
}

// People lists the people, by realm and name.
func (r *Register) People() []Person {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := slices.SortedFunc(maps.Keys(r.people), func(a, b id) int { return cmp.Or(cmp.Compare(a.realm, b.realm), cmp.Compare(a.name, b.name)) })
	out := make([]Person, 0, len(names))
	for _, at := range names {
		p := r.people[at]
		out = append(out, Person{
			Realm: at.realm, Person: at.name, State: p.state, Since: whosaw.Time(p.since), Principals: r.principals(at), Keys: r.readable(at),
		})
	}
	return out
}

// principals are those under which a person acts: staff:NAME, and those that records name.
func (r *Register) principals(at id) []string {
	out := []string{"staff:" + at.name}
	if p := r.people[at]; p != nil {
		for name := range p.principals {
			if name != out[0] {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out[1:])
	return out
}

// readable are the keys that a person could read.
func (r *Register) readable(at id) []string {
	out := []string{}
	for k, e := range r.keys {
		if x := e.readers[at.name]; k.realm == at.realm && x != nil && x.could() {
			out = append(out, k.name)
		}
	}
	slices.Sort(out)
	return out
}
