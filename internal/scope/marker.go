package scope

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
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
	m, _, missed, err := q.markBlocks(ctx, people, blocks, time.Time{})
	return m, append(rest, missed...), err
}

// markBlocks asks blocks, whose order it changes, and lists those that were asked and those whose parts must be read themselves. None is
// begun after until, if that is not zero, but for the first ones.
func (q *question) markBlocks(ctx context.Context, people *table, blocks []int, until time.Time) (m *marks, done []asked, rest []int, err error) {
	w, err := q.at(ctx, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	m = &marks{q: q, kinds: map[kind][]*bitmap{}, sum: newSum()}
	known := &knownTimes{units: map[feedUnit]tally{}}
	scatter(blocks)
	for range max(1, min(q.workers, len(blocks))) {
		wg.Go(func() {
			own := newMarker(q, w, people, known)
			var told []asked
			var missed []int
			for ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(blocks) || at >= q.workers && late(until) {
					break
				}
				part := blocks[at]
				if ahead := at + q.workers; ahead < len(blocks) {
					if b := q.index.Block(&q.parts[blocks[ahead]]); b != nil {
						b.AskOrigins()
					}
				}
				ok := false
				err := index.Guarded(func() (err error) {
					ok, err = own.block(ctx, part)
					return err
				})
				if err == nil && q.budget.spent() {
					err = ErrMemory
				}
				if err != nil {
					cancel(err)
					return
				}
				if ok {
					told = append(told, asked{part, own.issued})
				} else {
					missed = append(missed, part)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			done, rest = append(done, told...), append(rest, missed...)
			m.take(own)
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, nil, nil, err
	}
	return m, done, rest, nil
}

// late reports whether a time that is not zero has come.
func late(until time.Time) bool { return !until.IsZero() && time.Now().After(until) }

func newSum() *sum { return &sum{versions: make(map[*catalog.Version]bool), gaps: newGapSum()} }

// take adds what a worker found.
func (m *marks) take(w *marker) {
	gaps := w.sum.gaps
	// A worker that has no times of its own looked at none because others had them.
	if gaps.noSubject = w.noSubject; gaps.noSubject.count == 0 {
		gaps.noSubject = w.reached.noSubject
	}
	if gaps.unmatched = w.unmatched; gaps.unmatched.count == 0 {
		gaps.unmatched = w.reached.unmatched
	}
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
	known  *knownTimes
	err    error // a block is not as it was written

	// The tallies of gaps that depend on shapes: how far they reach, and apart from that how many accesses they have,
	// because not each is added by itself.
	noSubject, unmatched         tally
	noSubjectCount, unmatchCount int64

	// Of the block at hand.
	reached reached
	feeds   map[feedKey]*blockFeed
	masks   map[uint64]*maskShapes
	varying []index.Column // of what groups of origins have in common: those that are not the same all over the block
	nobody  []*index.Bits  // where the bits of rows that show nobody go

	batch rowBatch
}

func newMarker(q *question, w *world, people *table, known *knownTimes) *marker {
	m := &marker{
		blockReader: newBlockReader(q), w: w, sum: newSum(), maps: &bitmaps{b: q.budget, of: map[kind]*bitmap{}}, people: people.writer(),
		known: known,
	}
	m.lazy = true
	return m
}

// block adds what the block of a part tells. done is false if the part must be read instead; then nothing was added. If the
// block turns out not to be as it was written when some of it was added, that is an error.
func (m *marker) block(ctx context.Context, part int) (done bool, err error) {
	m.reached = m.known.get()
	p := &m.q.parts[part]
	m.timed = !m.reached.span.covers(p.MinTime, p.MaxTime) && !m.sum.span.covers(p.MinTime, p.MaxTime)
	masks, spans, ok, err := m.begin(ctx, part)
	if err != nil || !ok || len(spans) == 0 {
		return ok, err
	}
	m.feeds, m.masks, m.nobody = map[feedKey]*blockFeed{}, map[uint64]*maskShapes{}, nil
	g, err := m.gaps()
	if err != nil {
		return false, bypass(err)
	}
	m.varying = m.varying[:0]
	for _, c := range []index.Column{g.client, g.origin, g.credential, m.realm} {
		if !c.Constant() {
			m.varying = append(m.varying, c)
		}
	}
	m.groups(masks, spans, func(a, b int) bool { return g.sameKey(b) && m.alike(a, b) }, func(j *joined32) { m.origin(g, j) })
	if m.err != nil {
		return false, m.err
	}
	m.flush()
	m.known.take(m)
	return true, nil
}

// alike reports whether two origins of one key have the same of everything that counting looks at.
func (m *marker) alike(a, b int) bool {
	for i := range m.varying {
		if m.varying[i].At(a) != m.varying[i].At(b) {
			return false
		}
	}
	return true
}

// maskShapes is what the shapes of a block's only version mean for origins that a set of terms can match.
type maskShapes struct {
	each                 bool  // rows must be looked at one by one
	border               *term // the only term, if the block's times reach over its bounds or it asks what was issued
	disclosed            bool  // some shape is, and so on
	noSubject, unmatched bool
	class                []uint8         // by shape
	bulk                 [2][]uint32     // rows that were added, by shape: two, because the processor waits for a number it has just written
	to                   [][]*index.Bits // by shape
	realm                uint32          // for which shapes have bitmaps, + 1
}

// What a row is, as far as times are concerned.
const (
	classAccess    = 1 << iota // an access that matches
	classShown                 // something was disclosed
	classNoSubject             // and it names nobody
	classUnmatched             // no version knows the route
	classes
)

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
	shapes := m.versions[0].shapes
	s = &maskShapes{
		border: border,
		each:   compares || !m.subjects.Plain() || m.subjects.Limit() > markLimit,
		class:  make([]uint8, len(shapes)),
		bulk:   [2][]uint32{make([]uint32, len(shapes)), make([]uint32, len(shapes))},
	}
	for i, x := range shapes {
		if x.pass&mask == 0 {
			continue
		}
		if x.shape.First {
			s.class[i] |= classAccess
			if x.disclosed && !x.shape.Subject {
				s.class[i] |= classNoSubject
				s.noSubject = true
			}
			if x.unmatched {
				s.class[i] |= classUnmatched
				s.unmatched = true
			}
		}
		if x.disclosed {
			s.class[i] |= classShown
			s.disclosed = true
		}
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
	pages := int(m.b.LargestSubject()>>pageShift) + 1
	if m.nobody == nil {
		m.nobody = slices.Repeat([]*index.Bits{new(index.Bits)}, pages)
	}
	s.to = make([][]*index.Bits, len(s.class))
	for i, x := range m.versions[0].shapes {
		s.to[i] = m.nobody
		if x.pass&mask != 0 && x.disclosed && x.shape.Subject {
			to := m.maps.get(kind{realm, x.set, x.others})
			if to == nil {
				return false
			}
			to.reach(pages)
			s.to[i] = to.pages
		}
	}
	s.realm = realm + 1
	return true
}

// origin adds the rows of some origins.
func (m *marker) origin(g *blockGaps, j *joined32) {
	if j.lo == j.hi || m.err != nil {
		return
	}
	s := m.shapesOf(j.mask)
	unit := g.feed(j.o)
	if s.each || unit != nil && unit.ask || !m.aim(s, j.mask, m.realmID(j.o)) {
		if m.check(j.lo, j.hi, true) {
			m.rows(g, j.o, j.lo, j.hi, j.mask, unit)
		}
		return
	}
	m.bulk(g, s, j, unit)
}

// check looks at the checksums of rows. It reports false if they are not as they were written.
func (m *marker) check(lo, hi int, times bool) bool {
	m.err = m.b.CheckRows(lo, hi, times)
	return m.err == nil
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
		for i, s := range m.versions[0].shapes {
			n := int64(x.bulk[0][i]) + int64(x.bulk[1][i])
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
