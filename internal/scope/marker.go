package scope

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/ledger"
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
	blockReader
	w      *world
	sum    *sum
	maps   *bitmaps
	people *writer // of subjects that have no bits

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
func (m *marker) block(p *ledger.Part) (done bool, err error) {
	masks, spans, ok, err := m.begin(p)
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
	n := m.shapes.Len()
	s = &maskShapes{
		each: m.compares(mask) || !m.subjects.Plain() || m.subjects.Limit() > markLimit, access: make([]int64, n), bulk: make([]int64, n), maps: make([]*bitmap, n),
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
		v = m.at(v, t)
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
