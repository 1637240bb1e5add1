package scope

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
)

// cut gives what the segment tells in which the sequence of a question lies, and the parts that are left to be read. No block tells of a part of a segment,
// so it is read once, and kept as of that sequence: it does not change either. nil: there is no such segment, or of what it tells too much.
func (m *Memo) cut(
	ctx context.Context, q *question, filter whosaw.Filter, what string, rest []int, read func(q *question, part []int) (sums, error),
) (sums, []int, error) {
	at := slices.IndexFunc(rest, func(i int) bool { return q.parts[i].Whole() && q.parts[i].Last > q.asOf[0] })
	if at < 0 {
		return nil, rest, nil
	}
	w, err := q.at(ctx, 0)
	if err != nil {
		return nil, nil, err
	}
	// What was issued as of then, and to whom, can only change when retention removes it.
	key, err := memoKeyOf(fmt.Sprintf("%s as of %d without %x", what, q.asOf[0], index.Gone(q.view)), filter, q.cat)
	if err != nil {
		return nil, nil, err
	}
	part := rest[at : at+1 : at+1]
	p := &q.parts[part[0]]
	left := slices.Delete(slices.Clone(rest), at, at+1)
	m.mu.Lock()
	i := slices.IndexFunc(m.kept, func(x *memory) bool { return x.key == key && x.print == w.print && x.parts[p.First].id == p.Segment })
	var kept *memory
	if i >= 0 {
		kept = m.kept[i]
	}
	m.mu.Unlock()
	if kept != nil {
		m.use(kept)
		return kept.sums, left, nil
	}
	if m.tooLarge(key) {
		return nil, rest, nil
	}
	own, err := q.ask(filter) // with numbers of its own for names: what is kept has them
	if err != nil {
		return nil, nil, err
	}
	defer own.done()
	own.parts = own.view.Parts()
	s, err := read(own, part)
	if err == nil {
		err = own.intact()
	}
	if errors.Is(err, ErrNoMemo) {
		return nil, rest, nil
	}
	if err != nil {
		return nil, nil, err
	}
	m.keep(&memory{key: key, parts: map[uint64]source{p.First: {id: p.Segment}}, print: w.print, sums: s})
	return s, left, nil
}

// cutCount adds to a count what is kept of the segment in which its sequence lies, and gives the parts that are left to be read.
func (m *Memo) cutCount(ctx context.Context, c *counts, filter whosaw.Filter, rest []int) ([]int, error) {
	s, rest, err := m.cut(ctx, c.question, filter, "count", rest, func(q *question, part []int) (sums, error) {
		people := newTable(q.sets, q.budget)
		sum, err := q.sum(ctx, q.columns()|gapColumns, part, people, true)
		if err != nil {
			return nil, err
		}
		sum.gaps.own()
		of := &marks{q: q, kinds: map[kind][]*bitmap{}, sum: sum}
		if !of.many(people) {
			of.drain(people)
		}
		if q.budget.spent() {
			return nil, ErrMemory
		}
		return q.countSums(of, people)
	})
	if s != nil {
		s.(*countSums).into(c.marks, c.people)
	}
	return rest, err
}

// own copies the texts that lie within a part that was read.
func (g *gapSum) own() {
	routes := make(map[string]int64, len(g.routes))
	for route, n := range g.routes {
		routes[strings.Clone(route)] = n
	}
	g.routes = routes
	for _, t := range append(slices.Collect(maps.Values(g.noFeed)), &g.noSubject, &g.unmatched) {
		t.source = strings.Clone(t.source)
	}
}
