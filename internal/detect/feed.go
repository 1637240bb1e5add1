package detect

import (
	"cmp"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/reference"
)

const (
	// waitAtMost is how long an access waits for its feed to move on.
	waitAtMost = day
	maxScopes  = 1 << 16
)

// share counts how often credentials were found issued, and in how many networks they were not. The second is counted in
// networks, so that a thief with a million forged credentials weighs no more than the networks he comes from.
type share struct {
	issued   int64 // credentials, each once a day
	networks map[uint64]struct{}
	without  int64 // networks that used a credential never issued
}

// feedScope is what is known of the credentials of one key, or of one client.
type feedScope struct {
	share
	id      uint64
	realm   *realm
	name    string // key:NAME or client:NAME
	since   int64  // event time of its first access
	total   int64  // accesses that are not issued, as far as it was decided
	accused int64  // those of credentials that were judged and never issued
}

// realm is what the engine keeps for one name space.
type realm struct {
	share
	name      string
	since     int64 // event time when it was met
	watermark int64 // greatest event time of an issuance
	classes   map[uint64]*class
	waiting   waiting // judged when the feed has moved past them
	frontiers [nKinds]frontier
	early     uint64 // the highest number that two networks had shown in the log's first week
	wakes     waking
	strangers strangers `state:"-"` // found again by their ids
}

func (e *Engine) realm(id uint64, name string) *realm {
	if last := &e.realmLast; last.id == id && last.x != nil {
		return last.x
	}
	x := e.realms[id]
	if x == nil {
		x = &realm{name: clone(name), since: e.seen}
		e.realms[id] = x
		e.realmList = append(e.realmList, x)
	}
	e.realmLast.id, e.realmLast.x = id, x
	return x
}

// scope gives the feed scope of a key or client; nil for neither, and beyond maxScopes.
func (e *Engine) scope(v *view, k kind) *feedScope {
	id := v.ids[k]
	if id == 0 {
		return nil
	}
	last := &e.scopeLast[k&1]
	if s := *last; s != nil && s.id == id {
		return s
	}
	s := e.scopes[id]
	if s == nil && len(e.scopes) < maxScopes {
		_, name := e.term(k, v)
		s = &feedScope{id: id, realm: e.realm(v.realm, v.r.Realm), name: name, since: v.at}
		e.scopes[id] = s
		e.scopeList = append(e.scopeList, s)
	}
	*last = s
	return s
}

// owner is the scope that an access is judged in: its key's, else its client's.
func (e *Engine) owner(v *view) *feedScope {
	if s := e.scope(v, kindKey); s != nil {
		return s
	}
	return e.scope(v, kindClient)
}

// ownerID is the id of that scope, 0 if there is none.
func (e *Engine) ownerID(v *view) uint64 {
	if e.owner(v) == nil {
		return 0
	}
	if v.ids[kindKey] != 0 {
		return v.ids[kindKey]
	}
	return v.ids[kindClient]
}

// tally counts an access that is not issued.
func (e *Engine) tally(v *view, accused bool) {
	for _, k := range [2]kind{kindKey, kindClient} {
		if s := e.scope(v, k); s != nil {
			s.total++
			if accused {
				s.accused++
			}
		}
	}
}

// unissued asks of each credential whether it was ever issued.
func (e *Engine) unissued(v *view) {
	st := &e.stats[unissued]
	if v.issued {
		e.wasIssued(v)
		return
	}
	e.identify(v)
	r := v.r
	if r.Credential == "" {
		st.skip(whyNoCredential)
		e.tally(v, false)
		e.watch(v, 0)
		return
	}
	if a := e.covering(unissued, v); a != nil {
		e.grow(a, v)
		// The networks in which credentials have no issuance.
		a.file.learnLater(v.realm|1<<63, v.ids[kindNetwork], true)
		a.file.learnLater(e.ownerID(v), v.ids[kindNetwork], true)
		return
	}
	feed := e.ref.IssuanceFeed(r.Realm, r.Key, r.Client, r.Route, r.Time)
	if !feed.Known {
		st.skip(whyNoFeed)
		e.legacy.add(v.ids[kindCredential])
		e.tally(v, false)
		e.watch(v, 0)
		return
	}
	if e.queue.full(unissued, e.cfg.MaxPending) {
		e.expire()
		if e.queue.full(unissued, e.cfg.MaxPending) {
			st.skip(whyQueueFull)
			return
		}
	}
	e.hold(v, unissued, 0)
}

// issuedBy is when the issuance of an access is no longer expected. The lag is counted from the clock, which an access may be behind: its
// server's clock may be slow. Where the feed is declared complete, so is by how much clocks may differ: that is its lag.
func (e *Engine) issuedBy(at int64, feed reference.Feed) int64 {
	if feed.Complete() {
		return at + e.lag(feed)
	}
	from := max(at, min(e.sure, at+e.knobs.issuedSkew)) // no clock that is ahead holds it up for longer
	if at < e.sure-hour && !e.queue.full(unissued, e.cfg.MaxPending/2) {
		from = e.sure // no clock is so far ahead: the access is late, and so may its issuance be
	}
	due := from + e.lag(feed)
	if e.sorted() {
		due += e.knobs.issuedSkew
	}
	return due
}

// lag is how long an issuance may be late: as declared. A declared loss without a lag means at once; without either, the
// default.
func (e *Engine) lag(f reference.Feed) int64 {
	if f.Lag == 0 && !f.Declared {
		return e.cfg.FeedLag
	}
	return f.Lag
}

// wasIssued is an answer that speaks for a unit: a credential's first use of the day, found issued.
func (e *Engine) wasIssued(v *view) {
	st := &e.stats[unissued]
	st.judged++
	if e.daily.done(v.on, *v.counted) {
		return
	}
	fresh := e.daily.add(v.on, mix(text(v.r.Credential)^v.realm))
	*v.counted = e.daily.gen
	if !fresh {
		return
	}
	v.issuedToday = true
	st.trials++
	e.identify(v)
	e.familiar(v)
	x, own := e.realm(v.realm, v.r.Realm), e.owner(v)
	x.issued++
	if own != nil {
		own.issued++
	}
	hot := false
	for _, k := range e.rule[unissued].watched {
		hot = hot || e.hot[unissued][k] > 0
	}
	if !hot {
		return
	}
	feed := e.ref.IssuanceFeed(v.r.Realm, v.r.Key, v.r.Client, v.r.Route, v.r.Time)
	p0, ok := e.honestUnissued(feed, x, own)
	if !ok || feed.Complete() {
		return
	}
	w := e.unissuedWeights(p0)
	for _, k := range e.rule[unissued].watched {
		if e.hot[unissued][k] > 0 {
			if u := e.unit(v, k, false); u != nil {
				e.miss(u, v, trial{d: unissued, w: w, valid: w.use})
			}
		}
	}
}

// honestUnissued is p0: the declared loss; else what the realm and the key itself have shown so far, with three networks on
// top (the 95 % upper limit that silence supports), so that a feed must have proved itself before it accuses.
func (e *Engine) honestUnissued(feed reference.Feed, x *realm, own *feedScope) (p0 float64, ok bool) {
	if feed.Declared {
		p0 = max(feed.Lost, e.knobs.declaredFloor)
		return p0, p0 <= e.rule[unissued].envelope.ceiling
	}
	return e.inferred(&x.share, own)
}

// inferred is p0 where no feed record states the loss.
func (e *Engine) inferred(x *share, own *feedScope) (p0 float64, ok bool) {
	by, top := &e.rule[unissued].envelope, e.knobs.networksOnTop
	if x.issued == 0 {
		return 1, false
	}
	p0 = max(by.floor, float64(x.without+top)/float64(x.issued))
	if own != nil {
		p0 = max(p0, float64(own.without+top)/float64(own.issued+min(x.issued, e.knobs.borrowed)))
	}
	return p0, p0 <= by.ceiling
}

func (e *Engine) unissuedWeights(p0 float64) *weights {
	if e.lastWeights.p0 != p0 {
		e.lastWeights = e.rule[unissued].bank.weights(p0)
	}
	return &e.lastWeights
}

// issuance moves the realm's feed on, and judges what waited for that.
func (e *Engine) issuance(r *whosaw.Record) {
	x := e.realm(text(r.Realm), r.Realm)
	t := min(r.Time, e.sure) // one issuer's wrong clock says not that the others' have come up to then
	if t <= x.watermark {
		return
	}
	x.watermark = t
	e.judgeAll(x.waiting.before(x.watermark + 1))
}

// judgeAll judges accesses that waited for their feed to move on, in the order in which they came to wait.
func (e *Engine) judgeAll(due []*held) {
	slices.SortFunc(due, func(a, b *held) int { return cmp.Compare(a.order, b.order) })
	for _, h := range due {
		e.queue.leave(h)
		e.judge(h)
	}
}

// judgeDue judges the accesses whose issuance is no longer expected.
func (e *Engine) judgeDue() {
	for len(e.queue.heap) > 0 && e.queue.heap[0].due <= e.sure {
		h := e.queue.pop()
		if e.again(&h) {
			continue
		}
		if h.d == unexplained {
			e.reasonDue(&h)
			continue
		}
		r := &h.rec
		feed := e.ref.IssuanceFeed(r.Realm, r.Key, r.Client, r.Route, r.Time)
		if x := e.realm(h.realm, h.rec.Realm); !feed.Declared && x.watermark < h.at {
			// A feed that stands still has not lost anything yet. It moves on with the next issuance of the realm.
			x.waiting.push(h)
			continue
		}
		e.queue.leave(&h)
		e.judge(&h)
	}
}

// expire gives up on accesses whose feed has not moved for a day.
func (e *Engine) expire() {
	for _, x := range e.realms { // each is changed alone: their order does not matter
		e.giveUp(&x.waiting, whyFeedStopped)
		for _, c := range x.classes {
			e.giveUp(&c.waiting, whyReasonsStopped)
		}
	}
}

func (e *Engine) giveUp(w *waiting, why why) {
	for _, h := range w.before(e.clock - waitAtMost) {
		e.queue.leave(h)
		e.stats[h.d].skip(why)
	}
}

// judge decides about an access whose lag has passed.
func (e *Engine) judge(h *held) {
	if e.probe != nil {
		e.watched(h.seq, &e.held, func() { e.decideFor(h) })
		return
	}
	if e.trace != nil {
		e.traced(h.seq, func() { e.decideFor(h) })
		return
	}
	e.decideFor(h)
}

func (e *Engine) decideFor(h *held) {
	if h.d == unexplained {
		e.decideReason(h)
	} else {
		e.decide(h)
	}
}

func (e *Engine) decide(h *held) {
	v := &e.held
	e.look(v, &h.rec, nil)
	v.seq = h.seq
	if v.issued {
		e.wasIssued(v)
		return
	}
	e.identify(v)
	if e.covered(unissued, v) {
		return
	}
	st := &e.stats[unissued]
	id := v.ids[kindCredential]
	switch {
	case e.legacy.has(id):
		st.skip(whyLegacy)
		e.tally(v, false)
		e.watch(v, 0)
		return
	case e.judged.has(id):
		e.tally(v, true)
		e.watch(v, entAccused)
		return
	}
	r := v.r
	feed := e.ref.IssuanceFeed(r.Realm, r.Key, r.Client, r.Route, r.Time)
	x, own := e.realm(v.realm, v.r.Realm), e.owner(v)
	p0, ok := e.honestUnissued(feed, x, own)
	if !feed.Declared {
		x.miss(v.ids[kindNetwork])
		if own != nil {
			own.miss(v.ids[kindNetwork])
		}
	}
	if !ok {
		st.skip(whyFeedThin)
		e.legacy.add(id)
		e.tally(v, false)
		e.watch(v, 0)
		return
	}
	st.judged++
	st.trials++
	e.judged.add(id)
	e.tally(v, true)
	if feed.Complete() {
		e.neverIssued(v)
		return
	}
	w := e.unissuedWeights(p0)
	entries := e.entries(v, entAccused)
	for _, k := range e.rule[unissued].watched {
		if k == kindPrincipal && isCustomer(r.Principal) {
			continue // one principal, one customer: there is nothing to add up
		}
		u := e.unit(v, k, true)
		if u == nil {
			continue
		}
		if e.drive(u, v, trial{d: unissued, w: w, valid: w.use, hits: w.use}, &entries[0]) {
			e.crossed[unissued] |= 1 << k
		}
		for i := range entries[1:] {
			e.witness(u, unissued, v, &entries[1+i])
		}
		if x := u.ex[unissued]; x != nil && len(x.creds) < maxNamed {
			x.creds = append(x.creds, r.Credential)
		}
	}
	e.settle(unissued, v)
}

// watch adds an access that is not issued, and no trial, to the excursions that it belongs to.
func (e *Engine) watch(v *view, flags uint8) {
	for _, k := range e.rule[unissued].watched {
		if e.hot[unissued][k] == 0 {
			continue
		}
		if u := e.unit(v, k, false); u != nil && u.ex[unissued] != nil {
			entries := e.entries(v, flags)
			for i := range entries {
				e.witness(u, unissued, v, &entries[i])
			}
		}
	}
}

// entries are the access as evidence, one per subject, at least one.
func (e *Engine) entries(v *view, flags uint8) []entry {
	e.scratch = e.scratch[:0]
	for _, s := range v.subjects {
		e.scratch = append(e.scratch, v.entry(subjectOf(s)))
	}
	if len(v.subjects) == 0 {
		e.scratch = append(e.scratch, v.entry(0))
	}
	for i := range e.scratch {
		e.scratch[i].flags |= flags
	}
	return e.scratch
}

// maxShareNetworks bounds the networks remembered; beyond, each counts as new, which makes the test more careful.
const maxShareNetworks = 4096

func (s *share) miss(network uint64) {
	if _, ok := s.networks[network]; ok {
		return
	}
	if s.networks == nil {
		s.networks = make(map[uint64]struct{})
	}
	if len(s.networks) < maxShareNetworks {
		s.networks[network] = struct{}{}
	}
	s.without++
}
