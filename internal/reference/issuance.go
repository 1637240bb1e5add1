package reference

import "github.com/whosaw/whosaw"

// issuance is what is kept of the first issuance of a credential. Most have no other.
type issuance struct {
	time int64 // event time; of equal issuances the earliest
	key  uint32
	who  who    // the principal: as named, else the customer that the subject is
	owns who    // the subject, as a customer; noOne if none is named
	ends uint32 `state:"-"` // minutes since 1970; 0: not known, or the index does not age
}

// sameAs compares all but the time.
func (i issuance) sameAs(o issuance) bool {
	return i.key == o.key && i.who == o.who && i.owns == o.owns
}

// agrees reports whether the issuance agrees on key and principal wherever both name them.
func (i issuance) agrees(key uint32, w who) bool {
	return (i.key == 0 || key == 0 || i.key == key) && (i.who == noOne || w == noOne || i.who == w)
}

// chain holds the issuances of a credential that has several.
type chain struct {
	list  []issuance // distinct but for the time
	index map[issuance]int
	// earliest is kept for long chains only: the earliest time by key and principal, each of which may stand
	// for any (see anyKey). It makes a question one look-up however many issuances there are.
	earliest map[pairing]int64
	owner    who // of the latest issuance that names one
	ownedAt  int64
}

// longChain is how many issuances are looked through one by one.
const longChain = 16

type pairing struct {
	key uint32
	who who
}

// Keys are numbered from 1; 0 is none.
const (
	anyKey     uint32 = 1<<32 - 1 // stands for every key in a pairing
	strangeKey uint32 = 1<<32 - 2 // a key that no issuance names
)

// issuances finds issuances by their credentials.
type issuances struct {
	credentials names // numbers index first
	first       []issuance
	more        map[uint32]*chain // of credentials with more than one issuance
	size        int               // all that differ in more than their time
	until       int64             // the greatest event time of all
}

// issue applies an issuance.
func (g *realm) issue(r *whosaw.Record, x *Index) {
	g.feeds.seen(r)
	if r.Credential == "" {
		return
	}
	l, ends := g.place(r, x)
	if l == nil {
		return
	}
	n := issuance{ends: ends, time: r.Time, key: g.feeds.keyNumber(r.Key), who: g.whoIs(r.Principal)}
	if len(r.Subjects) > 0 {
		n.owns = g.customerIs(r.Subjects[0])
		if n.who == noOne {
			n.who = n.owns
		}
	} else if n.who&customerMark != 0 {
		n.owns = n.who
	}
	if x.bound > 0 && g.late.size >= max(1, x.bound/2) {
		if g.early.size > 0 {
			if x.forget != nil {
				x.forget(&Old{r.Realm, g, &g.early})
			}
			g.forgotten, g.until = true, max(g.until, g.early.until)
		}
		g.early, g.late = g.late, issuances{}
	}
	l.add(r.Credential, n)
}

func (l *issuances) add(credential string, n issuance) {
	l.until = max(l.until, n.time)
	id, fresh := l.credentials.intern(credential)
	if fresh {
		l.first = append(l.first, n)
		l.size++
		return
	}
	c := l.more[id]
	if c == nil {
		c = &chain{}
		c.add(l.first[id])
		if l.more == nil {
			l.more = map[uint32]*chain{}
		}
		l.more[id] = c
	}
	l.size -= len(c.list)
	c.add(n)
	l.size += len(c.list)
}

// agreeing gives the earliest time of the credential's issuances that agree on key and principal.
func (l *issuances) agreeing(credential string, key uint32, w who, now int64) (t int64, ok bool) {
	id, ok := l.credentials.find(credential)
	if !ok {
		return 0, false
	}
	return l.agreeingOf(id, key, w, now)
}

// agreeingOf is agreeing for a credential's number.
func (l *issuances) agreeingOf(id uint32, key uint32, w who, now int64) (t int64, ok bool) {
	if c := l.more[id]; c != nil {
		return c.agreeing(key, w, now)
	}
	i := l.first[id]
	return i.time, i.agrees(key, w) && !i.ended(now)
}

// owner gives the customer of the credential's issuance, of several the latest that names one, and its time.
func (l *issuances) owner(credential string) (owner who, at int64) {
	id, ok := l.credentials.find(credential)
	if !ok {
		return noOne, 0
	}
	if c := l.more[id]; c != nil {
		return c.owner, c.ownedAt
	}
	return l.first[id].owns, l.first[id].time
}

// add adds an issuance: one that is there already only moves times.
func (c *chain) add(n issuance) {
	// Issuances come in sequence order, so of two at the same time the later one wins here.
	if n.owns != noOne && (c.owner == noOne || n.time >= c.ownedAt) {
		c.owner, c.ownedAt = n.owns, n.time
	}
	if i := c.position(n); i >= 0 {
		c.list[i].time = min(c.list[i].time, n.time)
		c.list[i].ends = max(c.list[i].ends, n.ends) // within a list all have an end, or none has
	} else {
		c.list = append(c.list, n)
		if c.index != nil {
			k := n
			k.time, k.ends = 0, 0
			c.index[k] = len(c.list) - 1
		}
	}
	if len(c.list) > longChain && c.earliest == nil {
		c.index, c.earliest = map[issuance]int{}, map[pairing]int64{}
		for i, o := range c.list {
			c.note(o)
			o.time, o.ends = 0, 0
			c.index[o] = i
		}
		return
	}
	if c.earliest != nil {
		c.note(n)
	}
}

// position gives the place of an issuance equal to n but for the time, -1 if there is none.
func (c *chain) position(n issuance) int {
	if c.index != nil {
		n.time, n.ends = 0, 0
		if i, ok := c.index[n]; ok {
			return i
		}
		return -1
	}
	for i, o := range c.list {
		if o.sameAs(n) {
			return i
		}
	}
	return -1
}

func (c *chain) note(n issuance) {
	for _, p := range [4]pairing{{n.key, n.who}, {n.key, anyone}, {anyKey, n.who}, {anyKey, anyone}} {
		if t, ok := c.earliest[p]; !ok || n.time < t {
			c.earliest[p] = n.time
		}
	}
}

// agreeing gives the earliest time of the issuances that agree on key and principal.
func (c *chain) agreeing(key uint32, w who, now int64) (t int64, ok bool) {
	if c.earliest == nil {
		for _, i := range c.list {
			if i.agrees(key, w) && !i.ended(now) && (!ok || i.time < t) {
				t, ok = i.time, true
			}
		}
		return t, ok
	}
	keys, whos := [2]uint32{key, 0}, [2]who{w, noOne}
	if key == 0 {
		keys = [2]uint32{anyKey, anyKey}
	}
	if w == noOne {
		whos = [2]who{anyone, anyone}
	}
	for _, k := range keys {
		for _, w := range whos {
			if e, found := c.earliest[pairing{k, w}]; found && (!ok || e < t) {
				t, ok = e, true
			}
		}
	}
	return t, ok
}

// Issued reports whether an issuance with this credential agrees on key and principal wherever both name them.
func (x *Index) Issued(realm, credential, key, principal string) bool {
	_, ok := x.IssuedAt(realm, credential, key, principal)
	return ok
}

// IssuedAt gives the event time of the earliest agreeing issuance of the credential; ok is false if there is none.
func (x *Index) IssuedAt(realm, credential, key, principal string) (t int64, ok bool) {
	g := x.realms[realm]
	if g == nil || credential == "" {
		return 0, false
	}
	if g.early.size == 0 && len(g.aged.all) == 0 {
		// One list: of a credential that was never issued, as most are that many accesses bring, nothing else is looked up.
		id, ok := g.late.credentials.find(credential)
		if !ok {
			return 0, false
		}
		return g.late.agreeingOf(id, g.feeds.findKey(key), g.findWho(principal), x.now)
	}
	k, w := g.feeds.findKey(key), g.findWho(principal)
	t, ok = g.late.agreeing(credential, k, w, x.now)
	if g.early.size > 0 {
		if e, found := g.early.agreeing(credential, k, w, x.now); found && (!ok || e < t) {
			t, ok = e, true
		}
	}
	for _, a := range g.aged.all {
		if e, found := a.agreeing(credential, k, w, x.now); found && (!ok || e < t) {
			t, ok = e, true
		}
	}
	return t, ok
}

// SubjectOf gives the subject of the credential's issuance: of several the latest that names a subject or
// a customer.
func (x *Index) SubjectOf(realm, credential string) (subject string, ok bool) {
	g := x.realms[realm]
	if g == nil || credential == "" {
		return "", false
	}
	owner, at := g.late.owner(credential)
	if e, was := g.early.owner(credential); e != noOne && (owner == noOne || was > at) {
		owner, at = e, was
	}
	for _, a := range g.aged.all {
		if e, was := a.owner(credential); e != noOne && (owner == noOne || was > at) {
			owner, at = e, was
		}
	}
	if owner == noOne {
		return "", false
	}
	return g.subjects.text(uint32(owner>>1) - 1), true
}
