package scope

import (
	"math"
	"sync"

	"github.com/whosaw/whosaw/internal/index"
)

// rowBatch is rows that are looked at together.
type rowBatch struct {
	who   [batchRows]uint64
	times [batchRows]uint64
}

const batchRows = 1 << 10

// bulk adds rows of which the shape decides everything but what bounds of time and issuances do.
func (m *marker) bulk(g *blockGaps, s *maskShapes, j *joined32, unit *blockFeed) {
	from, to := int64(math.MinInt64), int64(math.MaxInt64)
	asked, issued := false, false
	if s.border != nil {
		from, to = s.border.from, s.border.to
		if asked = s.border.issued != nil; asked {
			issued = *s.border.issued
		}
	}
	inside := from <= m.from && m.to < to
	covered := m.covered(g, s, unit, j.o)
	timed := !inside || !covered
	if !m.check(j.lo, j.hi, timed) {
		return
	}
	if to <= m.from || from > m.to {
		return
	}
	// Times are compared as the block has them, less its least.
	least, greatest := uint64(max(from, m.from)-m.from), uint64(min(to-1, m.to)-m.from)
	var span classSpans
	span.begin(s.class)
	before, without := int64(0), unit != nil && !unit.known
	if without {
		before = m.accesses(s)
	}
	who, times := m.b.Who(), m.b.Times()
	at := j.lo
	if inside && covered && !asked {
		at = j.hi
		for lo := j.lo; lo < j.hi; {
			if lo = m.b.Mark(lo, j.hi, s.to, &s.bulk); lo < j.hi {
				subject, shape, err := m.b.WhoOf(lo)
				if err != nil {
					m.err = err
					return
				}
				m.page(s.to[shape], subject)
			}
		}
	}
	for lo := at; lo < j.hi; lo += batchRows {
		n := min(batchRows, j.hi-lo)
		rows := m.batch.who[:n]
		who.Fill(rows, lo)
		if timed {
			times.Fill(m.batch.times[:n], lo)
		}
		if asked {
			n = m.keepIssued(lo, n, issued, timed)
		}
		if !inside {
			n = m.keepTimes(n, least, greatest-least)
		}
		if !covered {
			span.add(s.class, m.batch.who[:n], m.batch.times[:n], uint64(1)<<m.b.ShapeBits()-1)
		}
		m.add(s, m.batch.who[:n])
	}
	source := g.source(j.o)
	if !covered {
		m.widen(g, &span, source)
	}
	if !without {
		return
	}
	if n := m.accesses(s) - before; n > 0 {
		all := tally{count: n, source: source}
		switch {
		case !covered:
			all.first, all.last, _ = span.of(classAccess, m.from)
		case unit.tally != nil && unit.tally.covers(m.from, m.to):
			all.first, all.last = unit.tally.first, unit.tally.last
		default:
			all.first, all.last = unit.reach.first, unit.reach.last
		}
		g.without(unit, &all)
	}
}

// accesses is how many were added in bulk.
func (m *marker) accesses(s *maskShapes) (n int64) {
	for i, class := range s.class {
		if class&classAccess != 0 {
			n += int64(s.bulk[0][i]) + int64(s.bulk[1][i])
		}
	}
	return n
}

// keepIssued leaves of a batch, rows from lo on, those whose credential was issued, or was not.
func (m *marker) keepIssued(lo, n int, issued, timed bool) int {
	kept := 0
	who, times := &m.batch.who, &m.batch.times
	for i := range n {
		who[kept] = who[i]
		if timed {
			times[kept] = times[i]
		}
		if m.issued.Row(lo+i) == issued {
			kept++
		}
	}
	return kept
}

// keepTimes leaves of a batch what lies within a stretch of time.
func (m *marker) keepTimes(n int, from, length uint64) int {
	kept := 0
	who, times := &m.batch.who, &m.batch.times
	for i := range n {
		t := times[i]
		who[kept], times[kept] = who[i], t
		if t-from <= length {
			kept++
		}
	}
	return kept
}

// add adds rows: their number for each shape, and a bit for each subject.
func (m *marker) add(s *maskShapes, who []uint64) {
	shift, low := m.b.ShapeBits(), uint64(1)<<m.b.ShapeBits()-1
	to, even, odd := s.to, s.bulk[0], s.bulk[1]
	for _, v := range who {
		shape, subject := v&low, v>>shift
		even[shape]++
		even, odd = odd, even
		p := to[shape][subject>>pageShift]
		if p == nil {
			p = m.page(to[shape], subject)
		}
		p[subject>>6&uint64(pageWords-1)] |= 1 << (subject & 63)
	}
}

// page makes the page that a subject's bit is in.
func (m *marker) page(pages []*index.Bits, subject uint64) *index.Bits {
	m.q.budget.take(pageWords * 8) // a question that has spent its budget is given up soon
	p := new(index.Bits)
	pages[subject>>pageShift] = p
	return p
}

// classSpans is from when to when there were rows, by class. Times are those of a block, less its least.
type classSpans struct {
	first, last [classes]uint64
	// A time from sure to till widens nothing, of whatever class its row is.
	sure, till uint64
	can        [classes]bool // rows may have it, and it matters
}

// begin begins with no rows. class is what rows may have, by shape.
func (c *classSpans) begin(class []uint8) {
	for i := range c.first {
		c.first[i], c.last[i], c.can[i] = math.MaxUint64, 0, false
	}
	for _, x := range class {
		c.can[x] = true
	}
	// Rows that do not match widen nothing.
	c.first[0], c.last[0], c.can[0] = 0, math.MaxUint64, false
	c.sure, c.till = math.MaxUint64, 0
}

func (c *classSpans) add(class []uint8, who, times []uint64, low uint64) {
	for i, t := range times {
		if t >= c.sure && t <= c.till {
			continue
		}
		x := class[who[i]&low]
		if t >= c.first[x] && t <= c.last[x] {
			continue
		}
		c.first[x], c.last[x] = min(c.first[x], t), max(c.last[x], t)
		// A class that no row had so far is first at any time: while there is one, nothing is sure.
		c.sure, c.till = 0, math.MaxUint64
		for k := range c.first {
			if c.can[k] {
				c.sure, c.till = max(c.sure, c.first[k]), min(c.till, c.last[k])
			}
		}
	}
}

// of gives the range of the rows that have a bit of their class, as event times; ok is false if there are none.
func (c *classSpans) of(bit int, least int64) (first, last int64, ok bool) {
	from, to := uint64(math.MaxUint64), uint64(0)
	for x := range c.first {
		if x&bit != 0 && c.first[x] <= c.last[x] {
			from, to, ok = min(from, c.first[x]), max(to, c.last[x]), true
		}
	}
	if !ok {
		return math.MaxInt64, math.MinInt64, false
	}
	return least + int64(from), least + int64(to), true
}

// widen widens the tallies that depend on shapes.
func (m *marker) widen(g *blockGaps, span *classSpans, source string) {
	for _, x := range []struct {
		bit    int
		to     *tally
		source string
	}{{classShown, &m.sum.span, ""}, {classNoSubject, &m.noSubject, source}, {classUnmatched, &m.unmatched, source}} {
		if first, last, ok := span.of(x.bit, m.from); ok {
			t := tally{count: 1, first: first, last: last}
			if x.source != "" {
				t.source = g.keep(x.to, x.source)
			}
			x.to.merge(&t)
		}
	}
}

// covered reports whether nothing that rows of some origins add to depends on their times: it is known already, to this worker or
// another, of times as early as the block's and as late.
func (m *marker) covered(g *blockGaps, s *maskShapes, f *blockFeed, o int) bool {
	named := func(t *tally) bool {
		return t.covers(m.from, m.to) && (t.mixed || t.source == g.source(o))
	}
	return (!s.disclosed || m.sum.span.covers(m.from, m.to) || m.reached.span.covers(m.from, m.to)) &&
		(!s.noSubject || named(&m.noSubject) || named(&m.reached.noSubject)) &&
		(!s.unmatched || named(&m.unmatched) || named(&m.reached.unmatched)) &&
		(f == nil || f.known || f.tally != nil && f.tally.covers(m.from, m.to) || f.reach.covers(m.from, m.to))
}

// reached is from when to when something was found.
type reached struct{ span, noSubject, unmatched tally }

// knownTimes is what all workers found so far: what one of them knows, the others need not look for.
type knownTimes struct {
	mu sync.Mutex
	reached
	units map[feedUnit]tally
}

// take notes what a worker found.
func (k *knownTimes) take(m *marker) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.span.merge(&m.sum.span)
	k.noSubject.merge(&m.noSubject)
	k.unmatched.merge(&m.unmatched)
	for unit, t := range m.sum.gaps.noFeed {
		old := k.units[unit]
		old.merge(t)
		k.units[unit] = old
	}
}

func (k *knownTimes) get() reached {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reached
}

func (k *knownTimes) unit(u feedUnit) tally {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.units[u]
}
