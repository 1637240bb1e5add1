package scope

import (
	"context"
	"math"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// maxBlockTerms is how many terms a question to blocks may have: an origin has a bit for each.
const maxBlockTerms = 64

// inBlocks reports whether blocks have what the question's terms ask.
func (q *question) inBlocks() bool {
	if q.index == nil || len(q.asOf) != 1 || len(q.terms) > maxBlockTerms {
		return false
	}
	for _, t := range q.terms {
		if t.issued != nil || t.expl != nil ||
			slices.ContainsFunc(t.texts, func(m textMember) bool { return m.col&(ledger.ColCredential|ledger.ColPrincipal) != 0 }) {
			return false
		}
	}
	return true
}

// split lists the parts that a term can match: those whose blocks can be asked, and those that must be read.
func (q *question) split() (blocks, rest []int) {
	rest = []int{}
	parts := q.view.Parts()
	for i := range parts {
		p := &parts[i]
		if p.Accesses == 0 || !slices.ContainsFunc(q.terms, func(t *term) bool {
			return p.First <= t.asOf && p.MinTime < t.to && p.MaxTime >= t.from
		}) {
			continue
		}
		if p.Last <= q.asOf[0] && q.index.Block(p) != nil {
			blocks = append(blocks, i)
		} else {
			rest = append(rest, i)
		}
	}
	return blocks, rest
}

// mark asks the blocks of the question's first filter, and lists the parts that must be read themselves: nil if that
// is all of them. Subjects that have no bits go to people.
func (q *question) mark(ctx context.Context, people *table) (*marks, []int, error) {
	if !q.inBlocks() {
		return nil, nil, nil
	}
	blocks, rest := q.split()
	if len(blocks) == 0 {
		return nil, rest, nil
	}
	w, err := q.at(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := q.view.Parts()
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	m := &marks{q: q, kinds: map[kind][]*bitmap{}, sum: newSum()}
	scatter(blocks)
	for range max(1, min(q.workers, len(blocks))) {
		wg.Go(func() {
			own := newMarker(q, w, people)
			var missed []int
			for ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(blocks) {
					break
				}
				part := blocks[at]
				done, err := own.block(&parts[part])
				if err == nil && q.budget.spent() {
					err = ErrMemory
				}
				if err != nil {
					cancel(err)
					return
				}
				if !done {
					missed = append(missed, part)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			rest = append(rest, missed...)
			m.take(own)
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, nil, err
	}
	return m, rest, nil
}

// scatter puts blocks into an order in which the earliest and latest come first and the others halve what lies
// between, again and again. So after a few blocks the range of times of what is added up is known, and most blocks
// lie within it: their rows' times need not be read.
func scatter(blocks []int) {
	if len(blocks) < 3 {
		return
	}
	last, middle := blocks[len(blocks)-1], slices.Clone(blocks[1:len(blocks)-1])
	width := bits.Len(uint(len(middle)))
	out := append(blocks[:1], last)
	for i := range 1 << width {
		if at := int(bits.Reverse64(uint64(i)) >> (64 - width)); at < len(middle) {
			out = append(out, middle[at])
		}
	}
}

func newSum() *sum { return &sum{versions: make(map[*catalog.Version]bool), gaps: newGapSum()} }

// take adds what a worker found.
func (m *marks) take(w *marker) {
	m.sum.merge(w.sum)
	for k, b := range w.maps.of {
		m.kinds[k] = append(m.kinds[k], b)
	}
	w.people.flush()
}

// marker is one worker's way through the blocks.
type marker struct {
	q      *question
	w      *world
	sum    *sum
	maps   *bitmaps
	people *writer // of subjects that have no bits
	shown  map[shownKey]*blockShape

	// Of the block at hand.
	b        *index.Block
	from, to int64 // its times
	shapes   index.Texts
	versions []*blockVersion
	who      index.Packed
	realm    index.Column
	realms   []uint32 // the question's numbers + 1
	realmOf  index.Texts
	subjects index.Subjects
	feeds    map[feedKey]*blockFeed
	masks    map[uint64]*maskShapes
	keys     []subjectKey // of subjects by number, 1 more; 0: not looked up yet
}

// shownKey is a shape under a version of the catalog.
type shownKey struct {
	version *catalog.Version
	shape   string
}

// blockShape is what rows of one shape showed.
type blockShape struct {
	shape                        index.Shape
	version                      *catalog.Version
	set                          uint32
	others                       int64
	pass                         uint64 // terms whose members of the shape hold
	disclosed, unmatched, joined bool
}

// blockVersion is a version of the catalog that is valid for some of a block's times, and what its shapes show.
type blockVersion struct {
	from, to int64 // [from, to)
	shapes   []*blockShape
}

func newMarker(q *question, w *world, people *table) *marker {
	return &marker{q: q, w: w, sum: newSum(), maps: &bitmaps{b: q.budget, of: map[kind]*bitmap{}}, people: people.writer(), shown: map[shownKey]*blockShape{}}
}

// block adds what the block of a part tells. done is false if the part must be read instead; then nothing was added.
func (m *marker) block(p *ledger.Part) (done bool, err error) {
	b := m.q.index.Block(p)
	if b == nil {
		return false, nil
	}
	m.b = b
	m.from, m.to = b.Range()
	ok, err := m.open()
	if err != nil || !ok {
		return false, m.bypass(err)
	}
	masks, spans, err := m.origins()
	if err != nil || len(spans) == 0 {
		return err == nil, m.bypass(err)
	}
	starts, err := b.Starts()
	if err != nil {
		return false, m.bypass(err)
	}
	// Every checksum before anything is added.
	for _, s := range spans {
		if err := b.CheckRows(int(starts.At(s.from)), int(starts.At(s.to)), true); err != nil {
			return false, m.bypass(err)
		}
	}
	g, err := m.gaps()
	if err != nil {
		return false, m.bypass(err)
	}
	for _, s := range spans {
		lo := int(starts.At(s.from))
		for o := s.from; o < s.to; o++ {
			hi := int(starts.At(o + 1))
			mask := uint64(1)
			if masks != nil {
				mask = masks[o]
			}
			m.origin(g, o, lo, hi, mask)
			lo = hi
		}
	}
	m.flush()
	return true, nil
}

// bypass leaves a damaged block to the segment it was built from.
func (m *marker) bypass(err error) error {
	if _, ok := err.(*index.DamageError); ok {
		return nil
	}
	return err
}

// open makes the block's shapes ready. It reports false if they need what only the segment has.
func (m *marker) open() (bool, error) {
	var err error
	if m.shapes, err = m.b.Shapes(); err != nil {
		return false, err
	}
	if m.subjects, err = m.b.Subjects(); err != nil {
		return false, err
	}
	if m.realm, m.realmOf, err = m.b.Realm(); err != nil {
		return false, err
	}
	m.who = m.b.Who()
	m.realms = make([]uint32, m.realmOf.Len()+1)
	m.feeds, m.masks = map[feedKey]*blockFeed{}, map[uint64]*maskShapes{}
	m.keys = nil
	m.versions = m.versions[:0]
	for t := m.from; ; {
		v := m.version(t)
		for i := range m.shapes.Len() {
			s, err := m.show(v, i)
			if err != nil {
				return false, err
			}
			if s.joined || !s.shape.First && m.keepsSome() {
				return false, nil
			}
			v.shapes = append(v.shapes, s)
		}
		m.versions = append(m.versions, v)
		if v.to > m.to {
			return true, nil
		}
		t = v.to
	}
}

// keepsSome reports whether a term keeps some subjects only.
func (m *marker) keepsSome() bool {
	return slices.ContainsFunc(m.q.terms, func(t *term) bool { return len(t.subject) > 0 })
}

// version gives the stretch around t in which one version, or none, is valid.
func (m *marker) version(t int64) *blockVersion {
	v := &blockVersion{from: math.MinInt64, to: math.MaxInt64}
	if m.q.cat == nil {
		return v
	}
	for _, x := range m.q.cat.Versions() {
		if x.From != 0 && x.From > t {
			v.to = min(v.to, x.From)
		}
		if x.Until != 0 && x.Until > t {
			v.to = min(v.to, x.Until)
		}
	}
	v.from = t
	return v
}

// show gives what rows of a shape showed.
func (m *marker) show(v *blockVersion, i int) (*blockShape, error) {
	var version *catalog.Version
	if m.q.cat != nil {
		version = m.q.cat.At(v.from)
	}
	text := m.shapes.At(i + 1)
	if s := m.shown[shownKey{version, text}]; s != nil {
		return s, nil
	}
	text = strings.Clone(text)
	shape, err := index.ParseShape(text)
	if err != nil {
		return nil, err
	}
	var route *catalog.Route
	if version != nil {
		route = version.Route(shape.Route)
	}
	shown := catalog.Show(route, shape.Fields, shape.Masked, int(shape.Status), whosaw.Outcome(shape.Outcome), 0, shape.Subject)
	s := &blockShape{
		shape: shape, version: version, set: m.q.sets.id(shown.Fields, shown.Masked),
		disclosed: shown.Outcome == whosaw.OutcomeDisclosed, unmatched: !shown.Matched,
		joined: !shape.Subject && route != nil && route.Join != catalog.JoinNone,
	}
	if s.others = shape.Others; s.others == 0 {
		s.others = shown.Others
	}
	if !shape.First || !shape.Subject {
		s.others = 0
	}
	for _, t := range m.q.terms {
		if (t.field == nil || t.field.acceptSet(shown.Fields)) && (t.outcome == nil || t.outcome.accept(shown.Outcome.String())) &&
			(t.status == nil || t.status.accept(shape.Status)) && t.acceptsRoute(shape.Route) {
			s.pass |= 1 << t.index
		}
	}
	m.shown[shownKey{version, text}] = s
	return s, nil
}

func (t *term) acceptsRoute(route string) bool {
	for _, m := range t.texts {
		if m.col == ledger.ColRoute && !m.accept(route) {
			return false
		}
	}
	return true
}

// origins gives those that a term can match, and for each of the block's origins those terms: nil if there is one term only.
func (m *marker) origins() (masks []uint64, spans []span32, err error) {
	if len(m.q.terms) == 1 {
		spans, err = m.q.terms[0].origins(m.b)
		return nil, spans, err
	}
	masks = make([]uint64, m.b.Origins())
	for _, t := range m.q.terms {
		if m.from >= t.to || m.to < t.from {
			continue
		}
		own, err := t.origins(m.b)
		if err != nil {
			return nil, nil, err
		}
		for _, s := range own {
			for o := s.from; o < s.to; o++ {
				masks[o] |= 1 << t.index
			}
		}
	}
	for o, mask := range masks {
		if mask != 0 {
			spans = joined(spans, span32{o, o + 1})
		}
	}
	return masks, spans, nil
}

// maskShapes is what the shapes of a block's only version mean for origins that a set of terms can match.
type maskShapes struct {
	each                 bool // rows must be looked at one by one
	disclosed            bool // some shape is, and so on
	noSubject, unmatched bool
	access               []int64   // by shape: 1 if a row of it is an access that matches
	bulk                 []int64   // by shape: rows that were not looked at one by one
	maps                 []*bitmap // of the realm that follows
	realm                uint32    // + 1
}

// shapesOf gives what the shapes mean for a mask.
func (m *marker) shapesOf(mask uint64) *maskShapes {
	s := m.masks[mask]
	if s != nil {
		return s
	}
	s = &maskShapes{each: len(m.versions) > 1 || !m.subjects.Plain(), access: make([]int64, m.shapes.Len()), bulk: make([]int64, m.shapes.Len()), maps: make([]*bitmap, m.shapes.Len())}
	for _, t := range m.q.terms {
		if mask>>t.index&1 != 0 && (m.from < t.from || m.to >= t.to || len(t.subject) > 0) {
			s.each = true
		}
	}
	for i, x := range m.versions[0].shapes {
		if x.pass&mask == 0 {
			continue
		}
		if x.shape.First {
			s.access[i] = 1
		}
		s.disclosed = s.disclosed || x.disclosed
		s.noSubject = s.noSubject || x.disclosed && !x.shape.Subject
		s.unmatched = s.unmatched || x.unmatched && x.shape.First
	}
	m.masks[mask] = s
	return s
}

// realmID gives the question's number of an origin's realm.
func (m *marker) realmID(o int) uint32 {
	code := m.realm.At(o)
	if m.realms[code] == 0 {
		m.realms[code] = m.q.realms.id(m.realmOf.At(int(code))) + 1
	}
	return m.realms[code] - 1
}

// aim gives the bitmaps for rows of a realm. It reports false if there are more kinds than bitmaps.
func (m *marker) aim(s *maskShapes, mask uint64, realm uint32) bool {
	if s.realm == realm+1 {
		return true
	}
	s.realm = 0
	for i, x := range m.versions[0].shapes {
		if x.pass&mask != 0 && x.disclosed && x.shape.Subject {
			if s.maps[i] = m.maps.get(kind{realm, x.set, x.others}); s.maps[i] == nil {
				return false
			}
		}
	}
	s.realm = realm + 1
	return true
}

// origin adds an origin's rows.
func (m *marker) origin(g *blockGaps, o, lo, hi int, mask uint64) {
	s := m.shapesOf(mask)
	unit := g.feed(o)
	if s.each || !g.covered(s, unit) || !m.aim(s, mask, m.realmID(o)) {
		m.rows(g, o, lo, hi, mask, unit)
		return
	}
	shift, low := m.b.ShapeBits(), uint64(1)<<m.b.ShapeBits()-1
	accesses := int64(0)
	for i := lo; i < hi; i++ {
		v := m.who.At(i)
		x := v & low
		s.bulk[x]++
		accesses += s.access[x]
		if to := s.maps[x]; to != nil {
			to.add(v >> shift)
		}
	}
	if unit != nil && !unit.known && accesses > 0 {
		t := unit.tally
		t.merge(&tally{count: accesses, first: t.first, last: t.last, source: g.source(o)})
	}
}

// rows adds an origin's rows one by one.
func (m *marker) rows(g *blockGaps, o, lo, hi int, mask uint64, unit *blockFeed) {
	shift, low := m.b.ShapeBits(), uint64(1)<<m.b.ShapeBits()-1
	source, realm, v := g.source(o), m.realmID(o), m.versions[0]
	for i := lo; i < hi; i++ {
		who, t := m.who.At(i), m.b.Time(i)
		for k := 0; t < v.from || t >= v.to; k++ {
			v = m.versions[k]
		}
		s := v.shapes[who&low]
		if !m.matches(mask&s.pass, s, who>>shift, t) {
			continue
		}
		if s.shape.First {
			m.sum.accesses++
			if s.version != nil && s.version != m.sum.version {
				m.sum.versions[s.version], m.sum.version = true, s.version
			}
			g.add(s, unit, t, source)
		}
		if !s.disclosed {
			continue
		}
		m.sum.disclosures++
		m.sum.see(s.set)
		m.sum.span.add(t, "")
		if s.shape.Subject {
			m.disclose(who>>shift, t, s, realm)
		}
	}
}

// matches reports whether one of the terms of a mask matches a row.
func (m *marker) matches(mask uint64, s *blockShape, subject uint64, t int64) bool {
	for ; mask != 0; mask &= mask - 1 {
		x := m.q.terms[bits.TrailingZeros64(mask)]
		if t >= x.from && t < x.to && (len(x.subject) == 0 || m.keeps(x, s, subject)) {
			return true
		}
	}
	return false
}

// keeps reports whether a term keeps a row's subject. A row without one passes unless one is asked for.
func (m *marker) keeps(t *term, s *blockShape, subject uint64) bool {
	if !s.shape.Subject {
		return !slices.ContainsFunc(t.subject, func(k *subjectMember) bool { return k.positive })
	}
	id, text, isText := m.subjects.Get(subject)
	for _, k := range t.subject {
		if isText && !k.keepsText(text) || !isText && !k.keepsInt(subjectKey(id)) {
			return false
		}
	}
	return true
}

// disclose adds a subject.
func (m *marker) disclose(subject uint64, t int64, s *blockShape, realm uint32) {
	key := subjectKey(subject)
	if !m.subjects.Plain() {
		if m.keys == nil {
			m.keys = make([]subjectKey, m.subjects.Limit())
		}
		if m.keys[subject] == 0 {
			id, text, isText := m.subjects.Get(subject)
			if key = subjectKey(id); isText {
				key = m.q.ids.key(text)
			}
			m.keys[subject] = key + 1 // no key is the greatest number
		}
		key = m.keys[subject] - 1
	}
	if uint64(key) < markLimit {
		if to := m.maps.get(kind{realm, s.set, s.others}); to != nil {
			to.add(uint64(key))
			return
		}
	}
	m.people.add(update{key: key, time: t, others: s.others, set: s.set, realm: realm})
}

// flush adds up the rows that were not looked at one by one.
func (m *marker) flush() {
	for mask, x := range m.masks {
		for i, n := range x.bulk {
			s := m.versions[0].shapes[i]
			if n == 0 || s.pass&mask == 0 {
				continue
			}
			if s.shape.First {
				m.sum.accesses += n
				if s.version != nil {
					m.sum.versions[s.version] = true
				}
				if s.disclosed && !s.shape.Subject {
					widen(&m.sum.gaps.noSubject, n)
				}
				if s.unmatched {
					widen(&m.sum.gaps.unmatched, n)
					m.sum.gaps.routes[s.shape.Route] += n
				}
			}
			if s.disclosed {
				m.sum.disclosures += n
				m.sum.see(s.set)
			}
		}
	}
}
