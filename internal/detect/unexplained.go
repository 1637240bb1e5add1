package detect

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/reference"
)

// maxPrincipalClasses bounds the kinds of principals told apart in a realm: houses have a handful.
const maxPrincipalClasses = 64

// class is a kind of principal: staff, partners, programs. Each may have its reasons from a system of its own, which may stand
// still while the others go on.
type class struct {
	watermark int64   // greatest event time of its reasons
	waiting   waiting // judged when its reasons have moved past them

	first int32     // day of its first reason
	came  [24]uint8 // days on which reasons came in an hour of the day, the latest lowest
	on    [24]int32 // which that is
}

// mark notes that reasons come at a time.
func (c *class) mark(t int64) {
	d, h := dayOf(t), t/hour%24
	if c.first == 0 {
		c.first = d
	}
	if d > c.on[h] {
		c.came[h] <<= min(d-c.on[h], 8)
		c.on[h] = d
	}
	if back := c.on[h] - d; back < 8 {
		c.came[h] |= 1 << back
	}
}

// expects reports whether reasons come about that hour on two of the seven days before, or it is too early to say: then silence
// is a feed that stands still. A nightly batch is silent by day.
func (c *class) expects(t int64) bool {
	d := dayOf(t)
	if d-c.first < 3 {
		return true
	}
	for h := t/hour + 23; h <= t/hour+25; h++ {
		days := uint16(c.came[h%24])
		if back := d - c.on[h%24]; back >= 0 {
			days <<= min(back, 8)
		} else {
			days >>= min(-back, 8)
		}
		if bits.OnesCount8(uint8(days&^1)) >= 2 {
			return true
		}
	}
	return false
}

// classWord is the kind of a principal in words.
func classWord(principal string) string {
	word, _, _ := strings.Cut(principal, ":")
	return word
}

// classOf hashes the kind of a principal, the word before the colon.
func classOf(principal string) uint64 {
	word, _, ok := strings.Cut(principal, ":")
	if !ok {
		return 1
	}
	return text(word) | 1
}

// reasonsFor gives the class of a principal, nil if nothing ever gave a reason to any of it. Only reasons make classes: what
// accesses claim to be must not.
func (x *realm) reasonsFor(id uint64) *class {
	if c := x.classes[id]; c != nil {
		return c
	}
	return x.classes[0]
}

// class gives a class of principals that has reasons; the further ones, and reasons for everybody, share one.
func (x *realm) class(id uint64) *class {
	c := x.classes[id]
	if c != nil {
		return c
	}
	if x.classes == nil {
		x.classes = make(map[uint64]*class)
	}
	if len(x.classes) >= maxPrincipalClasses {
		id = 0
		if c = x.classes[id]; c != nil {
			return c
		}
	}
	c = &class{}
	x.classes[id] = c
	return c
}

// reason moves the reasons of a class of principals on, and judges what waited for that.
func (e *Engine) reason(r *whosaw.Record) {
	t := min(r.Time, e.sure) // tomorrow's round says that reasons come, not that tomorrow's are here
	x := e.realm(text(r.Realm), r.Realm)
	if r.Principal == "" {
		x.class(0)
		for _, id := range x.classIDs() {
			e.reasonsUntil(x.classes[id], t)
		}
	} else if !isCustomer(r.Principal) {
		e.reasonsUntil(x.class(classOf(r.Principal)), t)
	}
	e.judgeDue()
}

// classIDs gives the classes in an order of their own.
func (x *realm) classIDs() []uint64 {
	ids := make([]uint64, 0, len(x.classes))
	for id := range x.classes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (e *Engine) reasonsUntil(c *class, t int64) {
	c.mark(t)
	if t <= c.watermark {
		return
	}
	c.watermark = t
	e.judgeAll(c.waiting.before(t + 1))
}

// unexplained asks of each customer that staff, a partner or a program is shown whether anything explains it. It is called for
// accesses that open subjects and whose principal is no customer.
func (e *Engine) unexplained(v *view) {
	if v.outcome != whosaw.OutcomeDisclosed {
		return // what was not shown harms nobody; nonexistent asks about it
	}
	st := &e.stats[unexplained]
	if v.explained {
		st.judged++
		e.identify(v)
		e.reasoned(v, v.subjects)
		return
	}
	r := v.r
	feed := e.ref.ReasonFeed(r.Realm, r.Key, r.Client, r.Route, r.Time)
	if !feed.Known || !feed.Declared && e.realm(v.realm, v.r.Realm).reasonsFor(v.house) == nil {
		st.skip(whyNoReasons)
		e.spreadTo(v, v.subjects)
		return
	}
	if a := e.covering(unexplained, v); a != nil {
		e.grow(a, v)
		if s := e.stratum(v, &e.rule[unexplained].envelope, v.house); !e.changing(v) {
			for range v.subjects {
				a.file.learnLater(s.id, v.principalDay(), true)
			}
		}
		e.frozenBy(v, v.house)
		if o := e.own(v); o != nil {
			o.spoil(e, v)
		}
		return
	}
	if e.queue.full(unexplained, e.cfg.MaxPending) {
		e.expire()
		if e.queue.full(unexplained, e.cfg.MaxPending) {
			st.skip(whyQueueFull)
			return
		}
	}
	e.hold(v, unexplained, v.house)
}

// reasonBy is when the reason of an access is no longer expected. The lag is counted from the clock: what comes hours late, as a branch office's
// records may, has its reason in the same late stream. Half the queue is for what comes in time, however long the old log that somebody sends.
func (e *Engine) reasonBy(at int64, feed reference.Feed) int64 {
	lag := feed.Lag
	if lag == 0 && !feed.Declared {
		lag = e.knobs.reasonSkew
	}
	if at < e.sure && !e.queue.full(unexplained, e.cfg.MaxPending/2) {
		at = e.sure
	}
	return at + lag
}

// reasoned takes subjects of an access that something explains: answers that speak for its units.
func (e *Engine) reasoned(v *view, subjects []string) {
	if len(subjects) == 0 {
		return
	}
	st := &e.stats[unexplained]
	s := e.stratum(v, &e.rule[unexplained].envelope, v.house)
	learns := !e.changing(v)
	if !learns {
		s.freeze(byChange)
	}
	o := e.own(v)
	if o != nil {
		o.shows(e, v, subjects, learns)
	}
	hot := false
	for _, k := range e.rule[unexplained].watched {
		hot = hot || e.hot[unexplained][k] > 0
	}
	for _, name := range subjects {
		st.trials++
		if learns {
			e.learn(s, v.principalDay(), false)
		}
		if !hot {
			continue
		}
		once := uint64(subjectOf(name))
		for _, k := range e.rule[unexplained].watched {
			if e.hot[unexplained][k] == 0 {
				continue
			}
			if u := e.unit(v, k, false); u != nil {
				w := s.rateNow()
				if k == kindPrincipal {
					w = e.withOwn(w, o)
				}
				e.miss(u, v, trial{d: unexplained, w: w, valid: w.use, once: once})
			}
		}
	}
}

// principalDay is what the baseline counts as one: a principal's day. A single program has many days, and a thief in it only
// those that are left.
func (v *view) principalDay() uint64 {
	if v.ids[kindPrincipal] == 0 {
		return mix(text(v.principal)^uint64(v.day)) | 1
	}
	return mix(v.ids[kindPrincipal]^uint64(v.day)) | 1
}

// reasonDue judges an access whose reason is no longer expected.
func (e *Engine) reasonDue(h *held) {
	r := &h.rec
	feed := e.ref.ReasonFeed(r.Realm, r.Key, r.Client, r.Route, r.Time)
	if c := e.realm(h.realm, h.rec.Realm).reasonsFor(h.class); c != nil && !feed.Declared && c.watermark < h.at && c.expects(h.at) {
		// Reasons that stand still are late, not missing.
		c.waiting.push(*h)
		return
	}
	e.queue.leave(h)
	e.judge(h)
}

// decideReason decides about an access whose reasons were waited for.
func (e *Engine) decideReason(h *held) {
	v := &e.held
	e.look(v, &h.rec, nil)
	v.seq = h.seq
	e.identify(v)
	st := &e.stats[unexplained]
	if v.house == 0 {
		return
	}
	o := e.own(v)
	if e.covered(unexplained, v) {
		e.frozenBy(v, v.house)
		if o != nil {
			o.spoil(e, v)
		}
		return
	}
	if v.explained {
		st.judged++
		e.reasoned(v, v.subjects)
		return
	}
	late, without := e.partReasoned(v)
	for k := range nKinds {
		if u := e.unit(v, k, true); u != nil {
			u.bare++
		}
	}
	e.spreadTo(v, without)
	s := e.stratum(v, &e.rule[unexplained].envelope, v.house)
	if o != nil && len(without) > 0 {
		o.lacks(e, v, without, !e.changing(v))
	}
	w := e.unexplainedWeights(s, v)
	if w == nil {
		if !e.changing(v) {
			for range without {
				e.learn(s, v.principalDay(), true)
			}
		}
		e.reasoned(v, late)
		return
	}
	st.judged++
	e.reasoned(v, late)
	if len(without) == 0 {
		// The filter of a finding would take it all the same.
		for _, k := range e.rule[unexplained].watched {
			if u := v.units[k]; u != nil {
				en := v.entry(subjectOf(v.subjects[0]))
				e.witness(u, unexplained, v, &en)
			}
		}
		return
	}
	for _, name := range without {
		e.tryReason(v, s, w, o, name)
	}
	e.settle(unexplained, v)
}

// partReasoned tells an access's subjects that a reason covers at about its time from those that none does.
func (e *Engine) partReasoned(v *view) (with, without []string) {
	for _, name := range v.subjects {
		if e.ref.ExplainedNear(v.r.Realm, v.principal, name, v.r.Time, e.knobs.reasonSkew, v.issued) {
			with = append(with, name)
		} else {
			without = append(without, name)
		}
	}
	return with, without
}

// unexplainedWeights gives the steps on a route, nil if nobody is judged there.
func (e *Engine) unexplainedWeights(s *stratum, v *view) *weights {
	st, now := &e.stats[unexplained], s.rateNow()
	switch {
	case s.enough < s.units && s.n-s.hits < max(e.knobs.reasonsAtLeast, e.knobs.explainedEach*s.hits):
		st.skip(whyNoReasons)
		return nil
	case now.p0 > s.ceiling:
		s.tooMany()
		st.skip(whyTooMany)
		return nil
	}
	r := v.r
	feed := e.ref.ReasonFeed(r.Realm, r.Key, r.Client, r.Route, r.Time)
	if feed.Declared && feed.Lost > now.p0 {
		if feed.Lost > s.ceiling {
			st.skip(whyTooMany)
			return nil
		}
		w := s.bank.weights(feed.Lost)
		return &w
	}
	return now
}

// tryReason is a trial of one subject that nothing explains.
func (e *Engine) tryReason(v *view, s *stratum, w *weights, o *ownRate, name string) {
	e.stats[unexplained].trials++
	if !e.changing(v) {
		e.learn(s, v.principalDay(), true)
	}
	id := subjectOf(name)
	en := v.entry(id)
	en.flags |= entAccused
	for _, k := range e.rule[unexplained].watched {
		steps := w
		if k == kindPrincipal {
			steps = e.withOwn(w, o)
		}
		t := trial{d: unexplained, w: steps, valid: steps.use, hits: steps.use, once: uint64(id)}
		if u := v.units[k]; u != nil && e.drive(u, v, t, &en) {
			e.crossed[unexplained] |= 1 << k
		}
	}
}

// accuseUnexplained builds the finding: what the unit was shown and nothing explains. All of that is what was asked about, so
// it needs a beginning only if most of it was before. Should most of it have had its reason a little early or late, only the
// raising access is accused.
func (e *Engine) accuseUnexplained(u *unit, v *view, ev []entry, j int) *accusation {
	t, name := e.term(u.kind, v)
	no := false
	t.Explained = &no
	t.Outcome = []string{whosaw.OutcomeDisclosed.String()}
	a := &accusation{d: unexplained, kind: u.kind, unit: name, statistic: u.ex[unexplained].s[j], threshold: e.rule[unexplained].h}
	got := weigh(ev, j, v, slice{}, nil)
	a.rank = slices.Index(e.rule[unexplained].watched, u.kind)
	if v.house == 0 {
		t.Subject = notThemselves(v.principal)
	}
	if u.pastUnknown || 2*got.accused <= u.bare {
		t.From = whosaw.Time(got.first)
	}
	if !got.majority() {
		a.narrow = true
		a.rank += len(e.rule[unexplained].watched)
		last := ev[len(ev)-1].access
		got = weigh(slices.DeleteFunc(slices.Clone(ev), func(en entry) bool { return en.access != last }), j, v, slice{}, nil)
		t.Subject = nil
		for _, s := range v.subjects {
			t.Subject = append(t.Subject, literal(s)...)
		}
		t.From = whosaw.Time(got.first)
	}
	if e.ownTest != 0 && j == int(e.ownTest) {
		if o := e.own(v); o != nil {
			a.ownP0 = o.p0
		}
	}
	a.take(t, got)
	e.describe(a, v)
	return a
}

func (e *Engine) describeUnexplained(a *accusation, v *view) {
	s := e.stratum(v, &e.rule[unexplained].envelope, v.house)
	rule := fmt.Sprintf("where reasons are missing for less than %s as a rule", percent(s.w.p0))
	if a.ownP0 > 0 {
		rule = ownSays(a.ownP0)
	}
	a.says = fmt.Sprintf("Someone behind %s opens customers whom no reason on record links to them: %s of %s so far, %s. A reason that was never recorded looks the same.",
		behind(a), count(a.accesses, "access", "accesses"), count(a.subjects, "customer", "customers"), rule)
}
