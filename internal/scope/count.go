package scope

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Count answers what the accesses that match a filter disclosed, with the gaps.
func (e *Engine) Count(ctx context.Context, filter whosaw.Filter) (whosaw.ScopeAnswer, error) {
	var answer whosaw.ScopeAnswer
	err := e.answer([]whosaw.Filter{filter}, func(q *question) error {
		people := newTable(q.sets, q.budget)
		marks, rest, err := q.mark(ctx, people)
		if err == nil {
			answer, err = q.counted(ctx, filter, marks, rest, people)
		}
		return err
	})
	if err != nil {
		return whosaw.ScopeAnswer{}, err
	}
	return answer, nil
}

// gapColumns are those that gaps need: no_feed looks at key, client and credential, and gaps name the source.
const gapColumns = ledger.ColKey | ledger.ColClient | ledger.ColCredential | ledger.ColSource

// counted answers from what blocks told and from the parts that are left.
func (q *question) counted(ctx context.Context, filter whosaw.Filter, marks *marks, rest []int, people *table) (whosaw.ScopeAnswer, error) {
	sum, err := q.sum(ctx, q.columns()|gapColumns, rest, people, true)
	if err != nil {
		return whosaw.ScopeAnswer{}, err
	}
	marks.into(sum, people)
	if q.budget.spent() {
		return whosaw.ScopeAnswer{}, ErrMemory
	}
	answer := whosaw.ScopeAnswer{
		Filter: filter, Accesses: sum.accesses, Disclosures: sum.disclosures, Subjects: people.len() + marks.subjects(),
		First: sum.span.from(), Last: sum.span.to(), Catalog: q.catalogNames(sum), NotReached: q.notReached(sum),
	}
	bySet := make([]int64, len(q.sets.list))
	people.each(func(e *entry) {
		bySet[e.set]++
		answer.Others = addOthers(answer.Others, e.others)
	})
	answer.Fields, answer.Masked = q.sets.count(bySet)
	marks.count(&answer)
	if answer.Gaps, err = q.gaps(ctx, sum); err != nil {
		return whosaw.ScopeAnswer{}, err
	}
	return answer, nil
}

// addOthers adds: no address book is so long that the sum must turn negative.
func addOthers(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// sum is what is added up over accesses, beside the subjects' table.
type sum struct {
	accesses, disclosures int64
	span                  tally // of disclosures
	versions              map[*catalog.Version]bool
	version               *catalog.Version // put into versions last
	seen                  []bool           // by number of set: something disclosed it

	gaps *gapSum // nil: not asked
}

// sum runs over the accesses of some parts (nil: of all) that match the question's first filter.
func (q *question) sum(ctx context.Context, late ledger.Columns, parts []int, people *table, withGaps bool) (*sum, error) {
	var sums []*sum
	var writers []*writer
	err := q.scanParts(ctx, late, parts, func() (work, func(ledger.Part) bool) {
		s := &sum{versions: make(map[*catalog.Version]bool)}
		if withGaps {
			s.gaps = newGapSum()
		}
		w := people.writer()
		sums, writers = append(sums, s), append(writers, w)
		return func(c *chunk) error {
			var g *chunkGaps
			if withGaps {
				g = s.gaps.chunk(c)
			}
			return c.hits(0, func(h *hit) { s.add(c, h, w, g) })
		}, nil
	})
	if err != nil {
		return nil, err
	}
	total := newSum()
	for i, s := range sums {
		writers[i].flush()
		total.merge(s)
	}
	if q.budget.spent() {
		return nil, ErrMemory
	}
	return total, nil
}

func (s *sum) add(c *chunk, h *hit, w *writer, g *chunkGaps) {
	s.accesses++
	if v := h.shape.version; v != nil && v != s.version {
		s.versions[v], s.version = true, v
	}
	if g != nil {
		g.add(c, h)
	}
	if !h.disclosed {
		return
	}
	t := c.Time[h.row]
	s.span.add(t, "")
	if len(h.pairs) == 0 {
		s.disclosures++
		s.see(h.shape.set)
		return
	}
	s.disclosures += int64(len(h.pairs))
	realm := c.realm(h.row)
	for i := range h.pairs {
		p := &h.pairs[i]
		if i == 0 || p.set != h.pairs[i-1].set {
			s.see(p.set)
		}
		w.add(update{key: p.key, time: t, others: p.others, set: p.set, realm: realm})
	}
}

func (s *sum) see(set uint32) {
	for len(s.seen) <= int(set) {
		s.seen = append(s.seen, false)
	}
	s.seen[set] = true
}

func (s *sum) merge(o *sum) {
	s.accesses += o.accesses
	s.disclosures += o.disclosures
	s.span.merge(&o.span)
	for v := range o.versions {
		s.versions[v] = true
	}
	for set, seen := range o.seen {
		if seen {
			s.see(uint32(set))
		}
	}
	if o.gaps != nil {
		s.gaps.merge(o.gaps)
	}
}

// catalogNames names the versions that were valid when the accesses were made, in order of validity.
func (q *question) catalogNames(s *sum) string {
	if q.cat == nil || len(s.versions) == 0 {
		return ""
	}
	if q.cat.Suggested() {
		return catalog.SuggestedName
	}
	var list []string
	for _, v := range q.cat.Versions() {
		if s.versions[v] && !slices.Contains(list, v.Name) {
			list = append(list, v.Name)
		}
	}
	return strings.Join(list, ", ")
}

// notReached lists the fields that the user's catalog knows of and nothing disclosed showed.
func (q *question) notReached(s *sum) []string {
	out := []string{}
	if q.cat == nil || q.cat.Suggested() {
		return out
	}
	shown := make(map[string]bool)
	for set, seen := range s.seen {
		if seen {
			q.sets.shown(uint32(set), func(f string) { shown[f] = true })
		}
	}
	for _, f := range q.cat.Known() {
		if !shown[f] {
			out = append(out, f)
		}
	}
	return out
}

// tally counts accesses with the range of their times and their source, if they have one in common.
type tally struct {
	count       int64
	first, last int64
	source      string
	mixed       bool
}

func (t *tally) add(time int64, source string) {
	t.merge(&tally{count: 1, first: time, last: time, source: source})
}

func (t *tally) merge(o *tally) {
	switch {
	case o.count == 0:
	case t.count == 0:
		*t = *o
	default:
		t.count += o.count
		t.first, t.last = min(t.first, o.first), max(t.last, o.last)
		t.mixed = t.mixed || o.mixed || t.source != o.source
	}
}

// covers reports whether it has times as early and as late as these.
func (t *tally) covers(from, to int64) bool { return t.count > 0 && t.first <= from && t.last >= to }

func (t *tally) from() *whosaw.Time { return t.time(t.first) }
func (t *tally) to() *whosaw.Time   { return t.time(t.last) }

// time gives nil for a tally of nothing.
func (t *tally) time(ms int64) *whosaw.Time {
	if t.count == 0 {
		return nil
	}
	return stamp(ms)
}

func stamp(ms int64) *whosaw.Time {
	t := whosaw.Time(ms)
	return &t
}

// origin is the source that all have in common, "" if there are several.
func (t *tally) origin() string {
	if t.mixed {
		return ""
	}
	return t.source
}
