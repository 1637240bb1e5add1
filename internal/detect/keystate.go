package detect

import (
	"math"
	"slices"

	"github.com/whosaw/whosaw"
)

// keyWatch is a key that key or person records name.
type keyWatch struct {
	realm, name string
	dated       bool  // a record states an end: retired, revoked or until
	leftAt      int64 // when the first person who could read it left; 0: nobody
	inUse       int64 // accesses since then
	lastUse     int64

	ended   ending
	from    int64 // of what follows
	accused int64 // accesses that the ending forbids
	matched int64 // accesses that the plain filter would match
	people  map[uint64]struct{}
	bare    bareTail
	leaver  bool // the finding about the one who left was raised
	forged  bool // unissued accuses credentials signed with it

	began, met int64               // since when it is watched, and when it was last met
	breaches   map[uint64]struct{} // of the policy, that were raised
}

// bareTail is what a retired key showed with credentials that have no issuance, where the feed loses some: the lost one of an honest session that
// lives on looks the same, so it takes more of them than are lost.
type bareTail struct {
	s        [maxBank]float64    // unissued's tests, over credentials met since the key should no longer be
	tried    map[uint64]struct{} // those that have no issuance
	accesses int64
	people   map[uint64]struct{}
}

// ending is why a key should no longer be met.
type ending uint8

const (
	notEnded ending = iota
	keyRetired
	keyRevoked
	keyExpired
)

// maxKeys bounds the keys watched: houses have tens. Further ones are counted as not judged.
const maxKeys = 1 << 16

// watchKeys notes what a key or person record says of keys. The states themselves stay with the reference records.
func (e *Engine) watchKeys(r *whosaw.Record) {
	if r.Ref == nil {
		return
	}
	if r.Type == whosaw.TypeKey && r.Key != "" {
		if w := e.watchKey(r.Realm, r.Key); w != nil && (r.Ref.State == "retired" || r.Ref.State == "revoked" || r.Ref.Until != 0) {
			w.dated = true
		}
	}
	for _, key := range r.Ref.Keys {
		e.watchKey(r.Realm, key)
	}
	realm := text(r.Realm)
	for _, w := range e.keyList {
		if text(w.realm) == realm {
			w.leftAt = e.ref.Key(w.realm, w.name, math.MaxInt64).LeftAt
		}
	}
}

func (e *Engine) watchKey(realm, key string) *keyWatch {
	id := unitID(kindKey, text(realm), text(key))
	w := e.keys[id]
	if w == nil && len(e.keys) < maxKeys {
		w = &keyWatch{realm: clone(realm), name: clone(key), began: e.clock}
		e.keys[id] = w
		e.keyList = append(e.keyList, w)
	}
	return w
}

// keyState asks whether a key may still be met.
func (e *Engine) keyState(v *view) {
	r := v.r
	if r.Key == "" {
		return
	}
	w := e.keys[e.idOf(v, kindKey)]
	if w == nil {
		return
	}
	st := &e.stats[keyState]
	st.judged++
	st.trials++
	if w.leftAt != 0 && r.Time >= w.leftAt {
		w.inUse++
		w.lastUse = max(w.lastUse, v.at)
	}
	if !w.dated || !v.opened() {
		return // a refused access is the door doing its work
	}
	e.identify(v)
	s := e.ref.Key(r.Realm, r.Key, r.Time)
	ended, from := notEnded, int64(math.MaxInt64)
	if s.State == "retired" {
		ended, from = keyRetired, s.Since+e.cfg.RetiredGrace
	}
	if s.State == "revoked" && s.Since+e.knobs.keySkew <= r.Time {
		ended, from = keyRevoked, s.Since+e.knobs.keySkew
	}
	// A retired key's honest sessions live on to its end of validity, and no longer.
	if s.Until != 0 && s.Until+e.knobs.keySkew <= r.Time && (ended != keyRevoked || r.Time < from) {
		ended, from = keyExpired, s.Until+e.knobs.keySkew
	}
	if ended == notEnded || r.Time < from || e.covered(keyState, v) {
		return
	}
	if w.ended != ended || w.from != from {
		w.ended, w.from, w.accused, w.matched, w.people, w.bare = ended, from, 0, 0, nil, bareTail{}
	}
	w.matched++
	if ended == keyRetired && e.honestTail(v, s.Since) {
		st.skip(whyTail)
		if v.issuedToday {
			e.bareMiss(w, v)
		}
		return
	}
	w.accused++
	showed(&w.people, v)
	e.ended(w, v)
}

// showed adds those whom an access disclosed to a set.
func showed(people *map[uint64]struct{}, v *view) {
	if v.outcome != whosaw.OutcomeDisclosed {
		return
	}
	if *people == nil {
		*people = make(map[uint64]struct{})
	}
	for _, subject := range v.subjects {
		if len(*people) < maxExcursion {
			(*people)[text(subject)] = struct{}{}
		}
	}
}

// bareWeights are the steps of a key's test of credentials without an issuance, nil if nobody can be judged by that.
func (e *Engine) bareWeights(v *view) *weights {
	r := v.r
	p0, ok := e.honestUnissued(e.ref.IssuanceFeed(r.Realm, r.Key, r.Client, r.Route, r.Time), e.realm(v.realm, r.Realm), e.owner(v))
	if !ok {
		return nil
	}
	return e.unissuedWeights(p0)
}

// bareMiss lowers the test for a credential of the honest tail, once a day.
func (e *Engine) bareMiss(w *keyWatch, v *view) {
	if w.bare.s == [maxBank]float64{} {
		return
	}
	if steps := e.bareWeights(v); steps != nil {
		for j := range w.bare.s {
			if steps.use>>j&1 == 1 {
				w.bare.s[j] = max(0, w.bare.s[j]+steps.down[j])
			}
		}
	}
}

// bareHit counts an access by a credential without an issuance, each credential once for ever, and gives the highest statistic.
func (e *Engine) bareHit(w *keyWatch, v *view) float64 {
	b := &w.bare
	b.accesses++
	showed(&b.people, v)
	if _, met := b.tried[v.ids[kindCredential]]; !met && len(b.tried) < maxExcursion {
		if b.tried == nil {
			b.tried = make(map[uint64]struct{})
		}
		b.tried[v.ids[kindCredential]] = struct{}{}
		if steps := e.bareWeights(v); steps != nil {
			for j := range b.s {
				if steps.use>>j&1 == 1 {
					b.s[j] += steps.up[j]
				}
			}
		}
	}
	return slices.Max(b.s[:])
}

// honestTail reports whether a credential was given out before its key was retired, as far as can be known: it then lives on
// to its end.
func (e *Engine) honestTail(v *view, retired int64) bool {
	r := v.r
	if at, ok := e.ref.IssuedAt(r.Realm, r.Credential, r.Key, r.Principal); ok {
		return at < retired
	}
	if v.issued {
		return true // so long ago that it is not known when
	}
	return e.legacy.has(v.ids[kindCredential]) && e.ref.IssuanceFeed(r.Realm, r.Key, r.Client, r.Route, r.Time).Known
}

// ended raises a key that should no longer be met.
func (e *Engine) ended(w *keyWatch, v *view) {
	r := v.r
	t, name := e.term(kindKey, v)
	t.From = whosaw.Time(w.from)
	t.Outcome = []string{whosaw.OutcomeDisclosed.String(), whosaw.OutcomeAbsent.String()}
	a := e.fact(keyState, kindKey, name, v)
	feed := e.ref.IssuanceFeed(r.Realm, r.Key, r.Client, r.Route, r.Time)
	if w.ended == keyRetired && !v.issued && r.Credential != "" && feed.Known {
		if !feed.Complete() {
			// One issuance in many is lost in life, and its session lives on too, even under a key that somebody had a copy of.
			s, h := e.bareHit(w, v), e.rule[unissued].h
			if s < h || !w.forged && e.covering(unissued, v) == nil {
				e.stats[keyState].skip(whyLost)
				return
			}
			a.statistic, a.threshold, a.accesses, a.subjects = s, h, w.bare.accesses, int64(len(w.bare.people))
			w.bare = bareTail{}
		}
		no := false
		t.Issued = &no
	} else {
		if 2*w.accused <= w.matched {
			e.stats[keyState].skip(whyTail)
			return // most of what the key shows is the honest tail
		}
		a.accesses, a.subjects = w.accused, int64(len(w.people))
	}
	a.term = t
	e.describeKey(a, v, w.ended)
	e.raise(a, v)
}

// leaverKey raises a key that somebody who left could read, once credentials signed with it turn out never issued. That
// such a key is merely in use accuses nobody: Status says it.
func (e *Engine) leaverKey(from *accusation, v *view) {
	w := e.keys[v.ids[kindKey]]
	if w == nil {
		return
	}
	w.forged = true
	if w.leaver || w.leftAt == 0 || from.first < w.leftAt {
		return
	}
	w.leaver = true
	t, name := e.term(kindKey, v)
	t.Issued, t.From = from.term.Issued, whosaw.Time(w.leftAt)
	if s := e.scope(v, kindKey); s == nil || 2*s.accused <= s.total {
		t.From = max(t.From, whosaw.Time(from.first))
	}
	a := &accusation{
		d: keyState, kind: kindKey, unit: name, term: t, first: from.first, accesses: from.accesses, subjects: from.subjects,
		statistic: from.statistic, threshold: from.threshold, alone: true,
	}
	e.describeLeaver(a, v, w.leftAt)
	e.raise(a, v)
}
