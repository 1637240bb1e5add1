package scope

import (
	"context"
	"slices"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
)

// maxMemoPeople is how many subjects that have no bits are kept: with more of them nothing is.
const maxMemoPeople = 1 << 18

// countSums are what Count adds up. Numbers of names are those of the question that made them.
type countSums struct {
	numbering
	sum    *sum
	kinds  map[kind]*bitmap
	people []entry // without bits
	size   int64
}

func (s *countSums) bytes() int64 { return s.size }

// count is the kind of Count and of pages of a list.
var memoCount = memoKind{what: "count", feeds: true, more: countMore}

// countMore reads on for Count.
func countMore(ctx context.Context, q *question, old sums, blocks []int, until time.Time) (sums, []asked, []int, error) {
	people := newTable(q.sets, q.budget)
	m := &marks{q: q, kinds: map[kind][]*bitmap{}, sum: newSum()}
	if old != nil {
		old.(*countSums).into(m, people)
	}
	more, done, missed, err := q.markBlocks(ctx, people, blocks, until)
	if err != nil {
		return nil, nil, nil, err
	}
	if q.budget.spent() {
		return nil, nil, nil, ErrMemory
	}
	m.sum.merge(more.sum)
	for k, own := range more.kinds {
		m.kinds[k] = append(m.kinds[k], own...)
	}
	s, err := q.countSums(m, people)
	return s, done, missed, err
}

// countSums makes of what was added up what can be kept.
func (q *question) countSums(m *marks, people *table) (sums, error) {
	s := &countSums{numbering: q.numbering(), sum: m.sum, kinds: make(map[kind]*bitmap, len(m.kinds))}
	for k, own := range m.kinds {
		s.kinds[k] = united(own)
		s.size += int64(len(s.kinds[k].pages))*8 + 256
		for _, p := range s.kinds[k].pages {
			if p != nil {
				s.size += int64(pageWords) * 8
			}
		}
	}
	if people.len() > maxMemoPeople {
		return nil, ErrNoMemo
	}
	people.each(func(e *entry) { s.people = append(s.people, *e) })
	s.size += int64(len(s.people))*(entryBytes+nameBytes) + int64(len(q.sets.list)+len(s.sum.gaps.noFeed)+len(s.sum.gaps.routes))*200
	return s, nil
}

// united gives the subjects of bitmaps, of which the first is not written: what only it has is shared.
func united(maps []*bitmap) *bitmap {
	if len(maps) == 1 {
		return maps[0]
	}
	out := &bitmap{b: maps[0].b, pages: slices.Clone(maps[0].pages)}
	for _, m := range maps[1:] {
		out.reach(len(m.pages))
		for at, p := range m.pages {
			switch {
			case p == nil:
			case out.pages[at] == nil:
				out.pages[at] = p
			default:
				both := *out.pages[at]
				both.Or(p)
				out.pages[at] = &both
			}
		}
	}
	return out
}

// into gives what is kept to the marks and people of a question that has numbers of its own.
func (s *countSums) into(m *marks, people *table) {
	t := s.numbers(m.q)
	own := *s.sum
	own.seen = nil
	m.sum.merge(&own)
	for set, seen := range s.sum.seen {
		if seen {
			m.sum.see(t.sets[set])
		}
	}
	for k, b := range s.kinds {
		k2 := kind{t.realms[k.realm], t.sets[k.set], k.others}
		m.kinds[k2] = append(m.kinds[k2], b)
	}
	w := people.writer()
	for i := range s.people {
		e := &s.people[i]
		w.add(update{key: t.key(e.key), time: e.first, others: e.others, set: t.sets[e.set], realm: t.realms[e.realm]})
	}
	w.flush()
}

// numbering has the names that a question gave numbers to, without the rest of the question.
type numbering struct {
	sets        *sets
	ids, realms *names
}

func (q *question) numbering() numbering { return numbering{q.sets, q.ids, q.realms} }

// translation gives names of a question their numbers in another.
type translation struct {
	from   numbering
	to     *question
	sets   []uint32
	realms []uint32
}

func (q numbering) numbers(to *question) translation {
	t := translation{from: q, to: to, sets: make([]uint32, len(q.sets.list)), realms: make([]uint32, len(q.realms.list))}
	for i, set := range q.sets.list {
		var clear, masked []string
		q.sets.each(set.clear, nil, func(f string) { clear = append(clear, f) })
		q.sets.each(set.masked, nil, func(f string) { masked = append(masked, f) })
		t.sets[i] = to.sets.id(clear, masked)
	}
	for i, name := range q.realms.list {
		t.realms[i] = to.realms.id(name)
	}
	return t
}

func (t *translation) key(k subjectKey) subjectKey {
	if k&stringKey == 0 {
		return k
	}
	return stringKey | subjectKey(t.to.ids.id(t.from.ids.name(uint32(k&^stringKey))))
}

// Count is [Engine.Count], with what is kept, or learnt until a time (zero: until all is known). The answer of less than all is a lower
// bound of all its counts.
func (m *Memo) Count(ctx context.Context, e *Engine, filter whosaw.Filter, until time.Time) (whosaw.ScopeAnswer, Progress, error) {
	c, err := m.counted(ctx, e, filter, until)
	if err != nil {
		return whosaw.ScopeAnswer{}, Progress{}, err
	}
	return c.answer, c.Progress, nil
}

// counts are an answer with the subjects it is about.
type counts struct {
	*question
	answer whosaw.ScopeAnswer
	marks  *marks
	people *table
	Progress
}

func (m *Memo) counted(ctx context.Context, e *Engine, filter whosaw.Filter, until time.Time) (*counts, error) {
	k, err := m.know(ctx, e, filter, memoCount, until)
	if err != nil {
		return nil, err
	}
	q, err := e.ask(filter)
	if err != nil {
		return nil, err
	}
	defer q.done()
	q.parts = q.view.Parts()
	c := &counts{question: q, people: newTable(q.sets, q.budget), Progress: k.Progress}
	c.marks = &marks{q: q, kinds: map[kind][]*bitmap{}, sum: newSum()}
	if k.sums != nil {
		k.sums.(*countSums).into(c.marks, c.people)
	}
	if k.rest, err = m.cutCount(ctx, c, filter, k.rest); err != nil {
		return nil, err
	}
	slices.Sort(k.rest)
	c.answer, err = q.counted(ctx, filter, c.marks, k.rest, c.people)
	return c, err
}

// unionOf gives the subjects of a realm that have bits.
func (m *marks) unionOf(realm uint32) []*index.Bits {
	var all []*bitmap
	for k, maps := range m.kinds {
		if k.realm == realm {
			all = append(all, maps...)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return united(all).pages
}
