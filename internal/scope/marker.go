package scope

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw/internal/catalog"
)

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
				done, err := own.block(ctx, part)
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

func newSum() *sum { return &sum{versions: make(map[*catalog.Version]bool), gaps: newGapSum()} }

// take adds what a worker found.
func (m *marks) take(w *marker) {
	gaps := w.sum.gaps
	gaps.noSubject, gaps.unmatched = w.noSubject, w.unmatched
	gaps.noSubject.count, gaps.unmatched.count = w.noSubjectCount, w.unmatchCount
	m.sum.merge(w.sum)
	for k, b := range w.maps.of {
		m.kinds[k] = append(m.kinds[k], b)
	}
	w.people.flush()
}

// marker is one worker's way through the blocks.
type marker struct {
	blockReader
	w      *world
	sum    *sum
	maps   *bitmaps
	people *writer // of subjects that have no bits

	// The tallies of gaps that depend on shapes: how far they reach, and apart from that how many accesses they have,
	// because not each is added by itself.
	noSubject, unmatched         tally
	noSubjectCount, unmatchCount int64

	// Of the block at hand.
	feeds map[feedKey]*blockFeed
	masks map[uint64]*maskShapes
}

func newMarker(q *question, w *world, people *table) *marker {
	return &marker{
		blockReader: newBlockReader(q), w: w, sum: newSum(), maps: &bitmaps{b: q.budget, of: map[kind]*bitmap{}}, people: people.writer(),
	}
}

// block adds what the block of a part tells. done is false if the part must be read instead; then nothing was added.
func (m *marker) block(ctx context.Context, part int) (done bool, err error) {
	masks, spans, ok, err := m.begin(ctx, part)
	if err != nil || !ok || len(spans) == 0 {
		return ok, err
	}
	m.feeds, m.masks = map[feedKey]*blockFeed{}, map[uint64]*maskShapes{}
	g, err := m.gaps()
	if err != nil {
		return false, bypass(err)
	}
	m.each(masks, spans, func(o, lo, hi int, mask uint64) { m.origin(g, o, lo, hi, mask) })
	m.flush()
	return true, nil
}

// maskShapes is what the shapes of a block's only version mean for origins that a set of terms can match.
type maskShapes struct {
	each                 bool  // rows must be looked at one by one
	border               *term // the only term, if the block's times reach over its bounds or it asks what was issued
	disclosed            bool  // some shape is, and so on
	noSubject, unmatched bool
	shapes               []maskShape
	realm                uint32 // for which shapes have bitmaps, + 1
}

// maskShape is one of maskShapes.
type maskShape struct {
	access int64   // 1 if a row is an access that matches
	bulk   int64   // rows that were added
	shown  bool    // something was disclosed
	gaps   bool    // it is in gaps: nobody is named, or no version knows the route
	to     *bitmap // nil: nobody is shown anything
}

// shapesOf gives what the shapes mean for a mask.
func (m *marker) shapesOf(mask uint64) *maskShapes {
	s := m.masks[mask]
	if s != nil {
		return s
	}
	compares := m.compares(mask)
	var border *term
	if only := m.q.terms[0]; compares && len(m.q.terms) == 1 && len(m.versions) == 1 && len(only.subject) == 0 {
		compares, border = false, only
	}
	s = &maskShapes{
		border: border,
		each:   compares || !m.subjects.Plain() || m.subjects.Limit() > markLimit,
		shapes: make([]maskShape, m.shapes.Len()),
	}
	for i, x := range m.versions[0].shapes {
		if x.pass&mask == 0 {
			continue
		}
		if x.shape.First {
			s.shapes[i].access = 1
			s.shapes[i].gaps = x.unmatched || x.disclosed && !x.shape.Subject
		}
		s.shapes[i].shown = x.disclosed
		s.disclosed = s.disclosed || x.disclosed
		s.noSubject = s.noSubject || x.disclosed && !x.shape.Subject
		s.unmatched = s.unmatched || x.unmatched && x.shape.First
	}
	m.masks[mask] = s
	return s
}

// aim gives the bitmaps for rows of a realm. It reports false if there are more kinds than bitmaps.
func (m *marker) aim(s *maskShapes, mask uint64, realm uint32) bool {
	if s.realm == realm+1 {
		return true
	}
	s.realm = 0
	for i, x := range m.versions[0].shapes {
		if x.pass&mask != 0 && x.disclosed && x.shape.Subject {
			if s.shapes[i].to = m.maps.get(kind{realm, x.set, x.others}); s.shapes[i].to == nil {
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
	switch {
	case s.each || unit != nil && unit.ask || !m.aim(s, mask, m.realmID(o)):
		m.rows(g, o, lo, hi, mask, unit)
		return
	case s.border != nil || !g.covered(s, unit):
		m.timed(g, s, o, lo, hi, unit)
		return
	}
	accesses := int64(0)
	for rows := m.b.Each(lo, hi); rows.Next(); {
		x := &s.shapes[rows.Shape]
		x.bulk++
		accesses += x.access
		if x.to != nil {
			x.to.add(rows.Subject)
		}
	}
	if unit != nil && !unit.known && accesses > 0 {
		t := unit.tally
		t.merge(&tally{count: accesses, first: t.first, last: t.last, source: g.source(o)})
	}
}

// timed is origin where times matter, but nothing else of a row beside its shape.
func (m *marker) timed(g *blockGaps, s *maskShapes, o, lo, hi int, unit *blockFeed) {
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	asked, issued := false, false
	if s.border != nil {
		from, to = s.border.from, s.border.to
		if asked = s.border.issued != nil; asked {
			issued = *s.border.issued
		}
	}
	none := tally{first: math.MaxInt64, last: math.MinInt64}
	all, shown := none, none
	source := g.source(o)
	i := lo - 1
	for rows := m.b.Each(lo, hi); rows.Next(); {
		i++
		t := m.b.Time(i)
		if t < from || t >= to || asked && m.issued.Row(i) != issued {
			continue
		}
		x := &s.shapes[rows.Shape]
		x.bulk++
		if x.access != 0 {
			all.count++
			all.first, all.last = min(all.first, t), max(all.last, t)
			if x.gaps {
				g.shape(m.versions[0].shapes[rows.Shape], t, source)
			}
		}
		if x.shown {
			shown.count++
			shown.first, shown.last = min(shown.first, t), max(shown.last, t)
		}
		if x.to != nil {
			x.to.add(rows.Subject)
		}
	}
	m.sum.span.merge(&shown)
	if unit != nil && !unit.known && all.count > 0 {
		all.source = source
		g.without(unit, &all)
	}
}

// rows adds an origin's rows one by one.
func (m *marker) rows(g *blockGaps, o, lo, hi int, mask uint64, unit *blockFeed) {
	shift, low := m.b.ShapeBits(), uint64(1)<<m.b.ShapeBits()-1
	source, realm, v := g.source(o), m.realmID(o), m.versions[0]
	for i := lo; i < hi; i++ {
		who, t := m.who.At(i), m.b.Time(i)
		v = m.at(v, t)
		s := v.shapes[who&low]
		if !m.matches(mask&s.pass, s, i, who>>shift, t) {
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

// disclose adds a subject.
func (m *marker) disclose(subject uint64, t int64, s *blockShape, realm uint32) {
	key := m.key(subject)
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
		for i := range x.shapes {
			n := x.shapes[i].bulk
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
					m.noSubjectCount += n
				}
				if s.unmatched {
					m.unmatchCount += n
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
