package detect

import (
	"encoding/json"
	"net/netip"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/snapshot"
)

// StateVersion is that of the walk below: a change of what is walked over, or in which order, makes it another.
const StateVersion = 12

// State walks over everything that the engine holds between two records: it writes it, or reads it into an engine that has seen
// nothing and has the same configuration. Whoever gives the engine, or anything it holds, a member walks over it here, or tags
// it `state:"-"` and says why it may be empty after a start. TestStateIsWhole holds this. After an error the engine must not be used.
//
// The steps that nobody has taken (see Grown) are not part of it.
func (e *Engine) State(c *snapshot.Codec) {
	e.clocksState(c)
	e.ref.State(c)
	e.baselineState(c)
	c.Mark("units")
	e.table.state(c, e)
	for d := range e.hot {
		for k := range e.hot[d] {
			snapshot.Int(c, &e.hot[d][k])
		}
	}
	snapshot.Int(c, &e.nosy)
	snapshot.Int(c, &e.evidence)
	c.Mark("feeds")
	snapshot.Slice(c, &e.realmList, maxAny, pointer(c, (*realm).state))
	places := make(map[*realm]int, len(e.realmList))
	for i, x := range e.realmList {
		places[x] = i
		e.realms[text(x.name)] = x
		if c.Reading() {
			x.wakes.learn(e)
		}
	}
	snapshot.Slice(c, &e.scopeList, maxScopes, pointer(c, func(s *feedScope, c *snapshot.Codec) { s.state(c, e, places) }))
	e.queue.state(c)
	e.legacy.state(c)
	e.judged.state(c)
	e.daily.state(c)
	e.archive.State(c)
	c.Mark("keys")
	e.keysState(c)
	set(c, &e.drifted, maxDrifted)
	c.Mark("actors")
	snapshot.Map(c, &e.spreads, maxSpreads, c.Hash, pointer(c, (*spread).state))
	snapshot.Int(c, &e.pairs)
	e.peersState(c)
	e.ownsState(c)
	c.Mark("history")
	e.history.state(c)
	c.Bool(&e.people)
	e.volumeState(c)
	e.pagesState(c)
	c.Mark("findings")
	e.dossiersState(c)
	e.climbsState(c)
	c.Mark("end")
	if c.Reading() {
		e.known.begin() // there may have been issuances
	}
}

// maxAny bounds what only memory bounds.
const maxAny = 1 << 31

func pointer[T any](c *snapshot.Codec, walk func(*T, *snapshot.Codec)) func(**T) {
	return func(p **T) {
		if c.Reading() {
			*p = new(T)
		}
		walk(*p, c)
	}
}

// set walks over a set of hashes.
func set(c *snapshot.Codec, p *map[uint64]struct{}, most int) {
	snapshot.Map(c, p, most, c.Hash, func(*struct{}) {})
}

func (e *Engine) clocksState(c *snapshot.Codec) {
	c.Mark("clocks")
	snapshot.Uint(c, &e.count)
	snapshot.Uint(c, &e.views)
	snapshot.Uint(c, &e.seq)
	for _, t := range []*int64{&e.seen, &e.clock, &e.began, &e.sure, &e.next, &e.pace, &e.timed, &e.backward} {
		snapshot.Int(c, t)
	}
	snapshot.Int(c, &e.today)
	snapshot.Int(c, &e.ahead)
	snapshot.Int(c, &e.facts)
	snapshot.Int(c, &e.factsDay)
	c.Bool(&e.canaries)
	snapshot.Slice(c, &e.frozen, maxFrozen, func(s *span) {
		c.Hash(&s.realm)
		snapshot.Uint(c, &s.from)
		snapshot.Uint(c, &s.until)
		snapshot.Uint(c, &s.moves)
	})
	for d := range e.stats {
		e.stats[d].state(c)
	}
}

func (s *stat) state(c *snapshot.Codec) {
	for _, n := range []*int64{&s.accesses, &s.judged, &s.trials, &s.findings} {
		snapshot.Int(c, n)
	}
	c.Float(&s.highest)
	for i := range s.reached {
		snapshot.Int(c, &s.reached[i])
	}
	for i := range s.why {
		snapshot.Int(c, &s.why[i])
	}
}

func (e *Engine) baselineState(c *snapshot.Codec) {
	c.Mark("baselines")
	snapshot.Slice(c, &e.strataList, maxStrata+int(nDetectors), func(p **stratum) {
		if c.Reading() {
			*p = &stratum{}
		}
		(*p).state(c, e)
		if c.Reading() {
			e.strata[(*p).id] = *p
		}
	})
	snapshot.Int(c, &e.networks)
	doors := sortedKeys(e.doors)
	snapshot.Slice(c, &doors, maxDoors, func(id *uint64) {
		var of uint64
		if s := e.doors[*id]; s != nil {
			of = s.id
		}
		c.Hash(id)
		c.Hash(&of)
		if c.Reading() {
			if e.doors[*id] = e.strata[of]; e.strata[of] == nil {
				c.Fail("a log-in has no baseline")
			}
		}
	})
}

func (s *stratum) state(c *snapshot.Codec, e *Engine) {
	var d detector
	if !c.Reading() {
		d = s.d
	}
	snapshot.Uint(c, &d)
	if d >= nSequential {
		c.Fail("a baseline of no test")
		d = 0
	}
	s.envelope = e.envelopeState(c, d, s.envelope)
	c.Hash(&s.id)
	for _, t := range []*string{&s.route, &s.realm, &s.class, &s.frozenBy} {
		c.String(t)
	}
	s.netsState(c)
	s.networks.state(c, len(s.nets))
	for i := range s.rates {
		snapshot.Int(c, &s.rates[i])
	}
	snapshot.Int(c, &s.enough)
	snapshot.Int(c, &s.stale)
	for _, n := range []*int64{&s.over, &s.n, &s.hits, &s.since, &s.untaught} {
		snapshot.Int(c, n)
	}
	p0 := s.w.p0
	c.Float(&p0)
	if c.Reading() {
		s.w = s.bank.weights(p0)
		e.countClasses(s)
	}
	s.hoursState(c, e)
}

func (t *table) state(c *snapshot.Codec, e *Engine) {
	snapshot.Slice(c, &t.list, maxAny, func(p **unit) {
		if c.Reading() {
			*p = &unit{place: int32(t.m.n)}
		}
		(*p).state(c)
		if !c.Reading() || c.Err() != nil {
			return
		}
		if (*p).id == 0 || t.m.get((*p).id) != nil {
			c.Fail("a unit is there twice")
			return
		}
		t.m.put(*p)
	})
	snapshot.Int(c, &t.hand)
	snapshot.Int(c, &t.dropped)
	snapshot.Int(c, &t.folded)
	snapshot.Int(c, &t.ids)
}

func (u *unit) state(c *snapshot.Codec) {
	c.Hash(&u.id)
	snapshot.Uint(c, &u.kind)
	if u.kind >= nKinds {
		c.Fail("a unit of no kind")
	}
	parent := u.parent != 0
	if c.Bool(&parent); parent {
		c.Hash(&u.parent)
	}
	snapshot.Uint(c, &u.last)
	snapshot.Int(c, &u.total)
	snapshot.Int(c, &u.first)
	snapshot.Int(c, &u.day)
	c.Bool(&u.customer)
	c.Bool(&u.pastUnknown)
	u.ids.state(c)
	snapshot.Int(c, &u.canaries)
	snapshot.Int(c, &u.bare)
	mixed := u.mix != nil
	if c.Bool(&mixed); mixed {
		if c.Reading() {
			u.mix = mixture{}
		}
		u.mix.state(c)
	}
	some := uint32(0)
	for d := range nDetectors {
		if u.quiet[d] != 0 {
			some |= 1 << d
		}
		if d < nSequential && u.ex[d] != nil {
			some |= 1 << (16 + d)
		}
	}
	snapshot.Uint(c, &some)
	for d := range nDetectors {
		if some>>d&1 == 1 {
			snapshot.Int(c, &u.quiet[d])
		}
	}
	for d := range nSequential {
		if some>>(16+d)&1 == 0 {
			continue
		}
		if c.Reading() {
			u.set(d, &excursion{})
		}
		u.ex[d].state(c)
	}
}

var _ = [1]struct{}{}[(uint(nDetectors)+15)/32] // the bits of some are enough

func (x *excursion) state(c *snapshot.Codec) {
	for j := range x.s {
		c.Float(&x.s[j])
		snapshot.Int(c, &x.start[j])
		snapshot.Uint(c, &x.level[j])
	}
	snapshot.Slice(c, &x.ev, maxAny, func(en *entry) { en.state(c) })
	set(c, &x.seen, maxSeen)
	snapshot.Int(c, &x.seenOn)
	snapshot.Uint(c, &x.record)
	snapshot.Uint(c, &x.access)
	c.Strings(&x.creds, maxNamed)
	for j := range x.start {
		if x.start[j] < 0 || int(x.start[j]) > len(x.ev) || x.s[j] > 0 && int(x.start[j]) == len(x.ev) || int(x.level[j]) > len(Levels) {
			c.Fail("evidence is missing")
		}
	}
}

func (en *entry) state(c *snapshot.Codec) {
	snapshot.Int(c, &en.time)
	c.Hash((*uint64)(&en.subject))
	for _, h := range []*uint32{&en.key, &en.client, &en.class, &en.access, &en.credential, &en.network, &en.print} {
		snapshot.Uint(c, h)
	}
	p0 := float64(en.p0)
	c.Float(&p0)
	en.p0 = float32(p0)
	snapshot.Uint(c, &en.flags)
	snapshot.Uint(c, &en.hits)
}

// state writes the blocks in order: where they lie hangs on the order in which they came, which no answer does.
func (s *idset) state(c *snapshot.Codec) {
	var list []idblock
	if !c.Reading() && s.one.block != 0 {
		list = append(list, s.one)
		rest := make([]idblock, 0, s.blocks())
		if s.more != nil {
			for _, b := range s.more.slots {
				if b.block != 0 {
					rest = append(rest, b)
				}
			}
		}
		slices.SortFunc(rest, func(a, b idblock) int {
			if a.block < b.block {
				return -1
			}
			return 1
		})
		list = append(list, rest...)
	}
	snapshot.Slice(c, &list, maxAny, func(b *idblock) {
		snapshot.Uint(c, &b.block)
		c.Hash(&b.word)
	})
	if !c.Reading() {
		return
	}
	for _, b := range list {
		if b.block == 0 || b.word == 0 || s.word(b.block) != 0 {
			c.Fail("a set of numbers is no set")
			return
		}
		s.addBlock(b)
	}
}

func (p *pairset) state(c *snapshot.Codec) {
	type placed struct{ at, slot uint64 }
	list := make([]placed, 0, p.n)
	for at, s := range p.slots {
		if s != 0 {
			list = append(list, placed{uint64(at), s})
		}
	}
	size := len(p.slots)
	snapshot.Int(c, &size)
	snapshot.Slice(c, &list, maxAny, func(x *placed) {
		snapshot.Uint(c, &x.at)
		c.Hash(&x.slot)
	})
	if !c.Reading() || c.Err() != nil || size == 0 && len(list) == 0 {
		return
	}
	if size < 8 || size&(size-1) != 0 || size > max(8, 4*(len(list)+1)) || 4*len(list) > 3*size {
		c.Fail("a set of pairs is no set")
		return
	}
	p.slots, p.n = make([]uint64, size), len(list)
	for _, x := range list {
		if x.at >= uint64(size) || x.slot == 0 || p.slots[x.at] != 0 {
			c.Fail("a set of pairs is no set")
			return
		}
		p.slots[x.at] = x.slot
	}
}

func (x *share) state(c *snapshot.Codec) {
	snapshot.Int(c, &x.issued)
	set(c, &x.networks, maxShareNetworks)
	snapshot.Int(c, &x.without)
}

func (s *feedScope) state(c *snapshot.Codec, e *Engine, places map[*realm]int) {
	s.share.state(c)
	at := places[s.realm]
	snapshot.Int(c, &at)
	if at < 0 || at >= len(e.realmList) {
		c.Fail("a feed of no realm")
		return
	}
	s.realm = e.realmList[at]
	c.String(&s.name)
	snapshot.Int(c, &s.since)
	if c.Hash(&s.id); c.Reading() {
		e.scopes[s.id] = s
	}
	snapshot.Int(c, &s.total)
	snapshot.Int(c, &s.accused)
}

func (x *realm) state(c *snapshot.Codec) {
	x.share.state(c)
	c.String(&x.name)
	snapshot.Int(c, &x.since)
	snapshot.Int(c, &x.watermark)
	snapshot.Map(c, &x.classes, maxPrincipalClasses+1, c.Hash, pointer(c, (*class).state))
	x.waiting.state(c)
	snapshot.Uint(c, &x.early)
	x.wakes.state(c)
	for k := range x.frontiers {
		f := &x.frontiers[k]
		f.now.state(c)
		f.settled.state(c)
		snapshot.Slice(c, &f.days, frontierDays, func(t *twoHighest) { t.state(c) })
	}
}

func (t *twoHighest) state(c *snapshot.Codec) {
	c.Hash(&t.unit)
	c.Hash(&t.other)
	snapshot.Uint(c, &t.highest)
	snapshot.Uint(c, &t.second)
}

func (x *class) state(c *snapshot.Codec) {
	snapshot.Int(c, &x.watermark)
	x.waiting.state(c)
	snapshot.Int(c, &x.first)
	for h := range x.came {
		snapshot.Uint(c, &x.came[h])
		snapshot.Int(c, &x.on[h])
	}
}

func (w *waiting) state(c *snapshot.Codec) {
	snapshot.Slice(c, &w.heap, maxAny, pointer(c, (*held).state))
	snapshot.Uint(c, &w.count)
}

func (q *queue) state(c *snapshot.Codec) {
	snapshot.Slice(c, &q.heap, maxAny, func(h *held) { h.state(c) })
	snapshot.Uint(c, &q.order)
	snapshot.Int(c, &q.pending)
	for d := range q.waiting {
		snapshot.Int(c, &q.waiting[d])
		snapshot.Int(c, &q.weights[d])
	}
}

func (h *held) state(c *snapshot.Codec) {
	snapshot.Int(c, &h.due)
	snapshot.Int(c, &h.at)
	snapshot.Uint(c, &h.order)
	snapshot.Uint(c, &h.seq)
	snapshot.Uint(c, &h.d)
	c.Hash(&h.class)
	c.Hash(&h.realm)
	recordState(c, &h.rec)
	if h.d != unissued && h.d != unexplained {
		c.Fail("an access waits for nothing")
	}
}

const maxList = 1 << 20

// recordState walks over what keep keeps of a record.
func recordState(c *snapshot.Codec, r *whosaw.Record) {
	for _, s := range []*string{&r.ID, &r.Realm, &r.Route, &r.Principal, &r.Credential, &r.Key, &r.Client, &r.Country, &r.Agent, &r.TLS} {
		c.String(s)
	}
	snapshot.Int(c, &r.Time)
	snapshot.Int(c, &r.Others)
	snapshot.Int(c, &r.Status)
	snapshot.Uint(c, &r.Outcome)
	snapshot.Uint(c, &r.ASN)
	ip := ""
	if r.IP.IsValid() {
		ip = r.IP.String()
	}
	if c.String(&ip); c.Reading() && ip != "" {
		var err error
		if r.IP, err = netip.ParseAddr(ip); err != nil {
			c.Fail("an address is none")
		}
	}
	for _, list := range []*[]string{&r.Subjects, &r.Fields, &r.Masked} {
		said := *list != nil
		c.Bool(&said)
		c.Strings(list, maxList)
		if said && *list == nil {
			*list = []string{}
		}
	}
}

func (b *bloom) state(c *snapshot.Codec) {
	for _, p := range []*[]uint64{&b.young, &b.old} {
		c.Words(p, int(b.size()))
		if n := uint64(len(*p)); n != 0 && n != b.size() {
			c.Fail("a filter has another size")
			*p = nil
		}
	}
	snapshot.Int(c, &b.n)
	snapshot.Uint(c, &b.gen)
}

func (d *daily) state(c *snapshot.Codec) {
	d.bloom.state(c)
	snapshot.Int(c, &d.day)
}

func (m *memory) state(c *snapshot.Codec) {
	set(c, &m.young, memoryHalf)
	set(c, &m.old, memoryHalf)
}

func (e *Engine) keysState(c *snapshot.Codec) {
	snapshot.Slice(c, &e.keyList, maxKeys, pointer(c, (*keyWatch).state))
	for _, n := range []*int64{&e.policy.LongestLife, &e.policy.RotateWithin, &e.policy.DisposeWithin, &e.policyClock} {
		snapshot.Int(c, n)
	}
	for _, b := range []*bool{&e.policy.NoHumanReaders, &e.policy.Owner, &e.policied} {
		c.Bool(b)
	}
	snapshot.Map(c, &e.leavers, maxLeavers, c.Hash, pointer(c, func(l *leaver, c *snapshot.Codec) {
		c.String(&l.person)
		snapshot.Int(c, &l.at)
		c.Bool(&l.raised)
	}))
	snapshot.Map(c, &e.principals, maxLeavers, c.Hash, func(p *[]string) { c.Strings(p, maxList) })
	if !c.Reading() {
		return
	}
	for _, w := range e.keyList {
		e.keys[unitID(kindKey, text(w.realm), text(w.name))] = w
	}
}

func (w *keyWatch) state(c *snapshot.Codec) {
	c.String(&w.realm)
	c.String(&w.name)
	c.Bool(&w.dated)
	for _, n := range []*int64{&w.leftAt, &w.inUse, &w.lastUse, &w.from, &w.accused, &w.matched, &w.began, &w.met} {
		snapshot.Int(c, n)
	}
	snapshot.Uint(c, &w.ended)
	set(c, &w.people, maxExcursion)
	for j := range w.bare.s {
		c.Float(&w.bare.s[j])
	}
	set(c, &w.bare.tried, maxExcursion)
	snapshot.Int(c, &w.bare.accesses)
	set(c, &w.bare.people, maxExcursion)
	c.Bool(&w.leaver)
	c.Bool(&w.forged)
	set(c, &w.breaches, maxBreaches)
}

func (p *spread) state(c *snapshot.Codec) {
	snapshot.Uint(c, &p.d)
	p.shown.state(c)
	for i := range p.days {
		d := &p.days[i]
		for _, n := range []*int32{&d.on, &d.fresh, &d.matched, &d.accused} {
			snapshot.Int(c, n)
		}
		snapshot.Int(c, &d.from)
		snapshot.Uint(c, &d.raised)
	}
	c.Bool(&p.blind)
	c.Bool(&p.bare)
	snapshot.Int(c, &p.last)
	c.Strings(&p.names, maxNamed)
	c.String(&p.name)
	snapshot.Int(c, &p.cap)
	snapshot.Int(c, &p.first)
	snapshot.Int(c, &p.rush)
	snapshot.Slice(c, &p.caps, capMonths, func(n *int64) { snapshot.Int(c, n) })
	snapshot.Int(c, &p.capped)
}

func (e *Engine) dossiersState(c *snapshot.Codec) {
	for d := range e.opened {
		snapshot.Int(c, &e.opened[d])
	}
	snapshot.Uint(c, &e.covers)
	snapshot.Slice(c, &e.dossierList, maxAny, func(p **dossier) {
		if c.Reading() {
			*p = &dossier{}
		}
		(*p).state(c)
		e.dossiers[(*p).id] = *p
	})
	e.precedentsState(c)
	judged := sortedLessons(e.judgedNot)
	snapshot.Slice(c, &judged, maxDossiers, func(k *lesson) {
		n := e.judgedNot[*k]
		c.Hash(&k.of)
		c.Hash(&k.unit)
		snapshot.Int(c, &n)
		if c.Reading() {
			e.judgedNot[*k] = n
		}
	})
	if c.Reading() && c.Err() == nil {
		e.coverAgain(c)
	}
}

// coverAgain hands the accusations back to their units, in the order in which they began to cover.
func (e *Engine) coverAgain(c *snapshot.Codec) {
	var all []*accusation
	for _, f := range e.dossierList {
		for _, a := range f.parts {
			a.file = f
			if f.judged != cleared {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, func(a, b *accusation) int {
		if a.serial < b.serial {
			return -1
		}
		return 1
	})
	for _, a := range all {
		u := e.table.m.get(a.id)
		if u == nil {
			c.Fail("a finding accuses a unit that is not there")
			return
		}
		u.cover(a)
	}
}

func (f *dossier) state(c *snapshot.Codec) {
	c.String(&f.id)
	snapshot.Uint(c, &f.d)
	c.String(&f.unit)
	c.Hash(&f.realm)
	snapshot.Uint(c, &f.judged)
	if f.d >= nDetectors || f.judged > cleared {
		c.Fail("a finding of no detector")
	}
	filterState(c, &f.filter)
	snapshot.Slice(c, &f.parts, maxTerms, pointer(c, (*accusation).state))
	snapshot.Int(c, &f.day)
	for _, n := range []*int64{&f.accesses, &f.subjects, &f.last, &f.told, &f.counted, &f.busiest} {
		snapshot.Int(c, n)
	}
	snapshot.Uint(c, &f.view)
	f.people[0].state(c)
	f.people[1].state(c)
	f.cause.state(c)
	f.triesState(c)
	kept := sortedLessons(f.kept)
	snapshot.Slice(c, &kept, maxKept, func(k *lesson) {
		l := f.kept[*k]
		c.Hash(&k.of)
		c.Hash(&k.unit)
		snapshot.Uint(c, &l.n)
		snapshot.Uint(c, &l.hits)
		if c.Reading() {
			if f.kept == nil {
				f.kept = make(map[lesson]lessons)
			}
			f.kept[*k] = l
		}
	})
}

func (x *cause) state(c *snapshot.Codec) {
	snapshot.Uint(c, &x.hours)
	for _, m := range []*map[uint32]int32{&x.credentials, &x.networks, &x.prints} {
		snapshot.Map(c, m, maxCause, func(h *uint32) { snapshot.Uint(c, h) }, func(n *int32) { snapshot.Int(c, n) })
	}
}

func (a *accusation) state(c *snapshot.Codec) {
	snapshot.Uint(c, &a.d)
	snapshot.Uint(c, &a.kind)
	if a.d >= nDetectors || a.kind >= nKinds {
		c.Fail("an accusation of nobody")
	}
	c.String(&a.unit)
	f := whosaw.Filter{a.term}
	filterState(c, &f)
	if c.Reading() {
		if len(f) != 1 {
			c.Fail("an accusation has no filter")
			return
		}
		a.term = f[0]
		a.fix()
	}
	snapshot.Int(c, &a.first)
	c.Hash(&a.id)
	snapshot.Uint(c, &a.serial)
}

// filterState walks over a filter as users write it: findings are few.
func filterState(c *snapshot.Codec, f *whosaw.Filter) {
	s := ""
	if !c.Reading() {
		b, err := json.Marshal(*f)
		if err != nil {
			c.Fail("a filter cannot be written: %v", err)
		}
		s = string(b)
	}
	c.String(&s)
	if !c.Reading() || c.Err() != nil {
		return
	}
	if err := json.Unmarshal([]byte(s), f); err != nil || f.Validate() != nil {
		c.Fail("a filter is none")
	}
}

func (e *Engine) climbsState(c *snapshot.Codec) {
	snapshot.Slice(c, &e.climbList, maxClimbs, func(id *string) {
		x := e.climbs[*id]
		c.String(id)
		x.state(c)
		if c.Reading() {
			if e.climbs == nil {
				e.climbs = make(map[string]Climb)
			}
			e.climbs[*id] = x
		}
	})
}

func (x *Climb) state(c *snapshot.Codec) {
	snapshot.Slice(c, &x.Steps, maxSteps, func(s *Step) {
		snapshot.Int(c, &s.Time)
		c.Hash(&s.Subject)
		for _, b := range []*bool{&s.Numbered, &s.Disclosed, &s.Absent, &s.Hit, &s.Trial} {
			c.Bool(b)
		}
		c.Float(&s.Adds)
		c.Float(&s.S)
	})
	snapshot.Int(c, &x.Before)
	c.Float(&x.Start)
	c.Float(&x.Rate)
}
