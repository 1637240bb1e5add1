package scope

import (
	"context"
	"maps"
	"math/bits"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
)

// Page is some rows of a list, with the count.
type Page struct {
	Count whosaw.ScopeAnswer
	Rows  []whosaw.ListRow
}

// maxPage is how many rows a page may have.
const maxPage = 200

// Page gives the rows of [Engine.List] from a place on, at most n: it finds who they are among the subjects that are known, and
// reads what was disclosed of these alone. While not all is known there are no rows.
func (m *Memo) Page(ctx context.Context, e *Engine, filter whosaw.Filter, at int64, n int, until time.Time) (Page, Progress, error) {
	c, err := m.counted(ctx, e, filter, until)
	if err != nil {
		return Page{}, Progress{}, err
	}
	page := Page{Count: c.answer}
	if !c.Whole() {
		return page, c.Progress, nil
	}
	if c.people.len() > maxMemoPeople {
		return Page{}, Progress{}, ErrNoMemo
	}
	who := c.order().page(at, min(n, maxPage))
	page.Rows, err = m.rows(ctx, c, filter, who)
	return page, c.Progress, err
}

// ordering is the order of a list's subjects: those that have bits, by realm, and the others between them.
type ordering struct {
	q      *question
	realms []realmBits // by name
	pages  int
	counts []int64 // of the pages before each, one more than there are pages
	others []entry
	below  []uint64 // the least number that comes behind each of others
}

type realmBits struct {
	realm uint32
	pages []*index.Bits
}

func (c *counts) order() *ordering {
	o := &ordering{q: c.question}
	if c.marks != nil {
		seen := map[uint32]bool{}
		for k := range c.marks.kinds {
			if !seen[k.realm] {
				seen[k.realm] = true
				o.realms = append(o.realms, realmBits{k.realm, c.marks.unionOf(k.realm)})
			}
		}
	}
	slices.SortFunc(o.realms, func(a, b realmBits) int { return o.byRealm(a.realm, b.realm) })
	for _, r := range o.realms {
		o.pages = max(o.pages, len(r.pages))
	}
	o.counts = make([]int64, o.pages+1)
	for at := range o.pages {
		o.counts[at+1] = o.counts[at]
		for _, r := range o.realms {
			if at < len(r.pages) && r.pages[at] != nil {
				o.counts[at+1] += r.pages[at].Count()
			}
		}
	}
	c.people.each(func(e *entry) { o.others = append(o.others, *e) })
	slices.SortFunc(o.others, func(a, b entry) int {
		if a.key == b.key {
			return o.byRealm(a.realm, b.realm)
		}
		return compareID(o.q.ids.subject(a.key), o.q.ids.subject(b.key))
	})
	o.below = make([]uint64, len(o.others))
	for i := range o.others {
		id := o.q.ids.subject(o.others[i].key)
		o.below[i] = uint64(sort.Search(markLimit, func(n int) bool { return compareID(strconv.Itoa(n), id) >= 0 }))
	}
	return o
}

func (o *ordering) byRealm(a, b uint32) int {
	return strings.Compare(o.q.realms.name(a), o.q.realms.name(b))
}

// before is how many subjects that have bits have a lower number.
func (o *ordering) before(number uint64) int64 {
	at := int(number >> pageShift)
	if at >= o.pages {
		return o.counts[o.pages]
	}
	n := o.counts[at]
	word, bit := int(number>>6)&(pageWords-1), number&63
	for _, r := range o.realms {
		if at >= len(r.pages) || r.pages[at] == nil {
			continue
		}
		for _, w := range r.pages[at][:word] {
			n += int64(bits.OnesCount64(w))
		}
		n += int64(bits.OnesCount64(r.pages[at][word] & (1<<bit - 1)))
	}
	return n
}

// page gives those from a place on.
func (o *ordering) page(at int64, n int) (out []entry) {
	// The first of others that stands at the place or behind it.
	i := sort.Search(len(o.others), func(i int) bool { return o.before(o.below[i])+int64(i) >= at })
	skip := at - int64(i) // of those that have bits
	for len(out) < n {
		if i < len(o.others) && o.before(o.below[i]) <= skip {
			out = append(out, o.others[i])
			i++
			continue
		}
		if skip >= o.counts[o.pages] {
			break
		}
		out = append(out, o.nth(skip))
		skip++
	}
	return out
}

// nth gives the subject with bits that so many come before.
func (o *ordering) nth(n int64) entry {
	at := sort.Search(o.pages, func(i int) bool { return o.counts[i+1] > n })
	n -= o.counts[at]
	for word := range pageWords {
		var some int64
		for _, r := range o.realms {
			some += int64(bits.OnesCount64(r.word(at, word)))
		}
		if n >= some {
			n -= some
			continue
		}
		for bit := range 64 {
			for _, r := range o.realms {
				if r.word(at, word)>>bit&1 == 0 {
					continue
				}
				if n == 0 {
					return entry{key: subjectKey(at<<pageShift | word<<6 | bit), realm: r.realm}
				}
				n--
			}
		}
	}
	panic("BUG: there are fewer subjects than were counted")
}

func (r *realmBits) word(page, word int) uint64 {
	if page >= len(r.pages) || r.pages[page] == nil {
		return 0
	}
	return r.pages[page][word]
}

// person is a subject of a page.
type person struct{ realm, id string }

// rowSums are the rows of a page's subjects, as far as whole segments tell.
type rowSums struct{ rows map[person]whosaw.ListRow }

// rowBytes is about what a row takes beside its texts.
const rowBytes = 256

func (s *rowSums) bytes() (n int64) {
	for p, row := range s.rows {
		n += rowBytes + 2*int64(len(p.id)+len(p.realm))
		for _, f := range row.Fields {
			n += int64(len(f)) + 16
		}
	}
	return n
}

// add adds what was disclosed of a subject besides.
func (s *rowSums) add(row whosaw.ListRow) {
	p := person{row.Realm, row.Subject}
	had, ok := s.rows[p]
	if !ok {
		row.Subject, row.Realm = strings.Clone(row.Subject), strings.Clone(row.Realm)
		s.rows[p] = row
		return
	}
	had.First, had.Last, had.Accesses = min(had.First, row.First), max(had.Last, row.Last), had.Accesses+row.Accesses
	if !slices.Equal(had.Fields, row.Fields) {
		fields := slices.Concat(had.Fields, row.Fields)
		slices.Sort(fields)
		had.Fields = slices.Compact(fields)
	}
	s.rows[p] = had
}

// rows lists some subjects of a filter, in the order given. What whole segments told of them is kept too.
func (m *Memo) rows(ctx context.Context, c *counts, filter whosaw.Filter, who []entry) ([]whosaw.ListRow, error) {
	if len(who) == 0 {
		return nil, nil
	}
	only, people, what := newSubjectMember(), make([]person, len(who)), strings.Builder{}
	what.WriteString("rows")
	for i, e := range who {
		people[i] = person{strings.Clone(c.realms.name(e.realm)), strings.Clone(c.ids.subject(e.key))}
		only.add(people[i].id, false)
		what.WriteString(strconv.Quote(people[i].id)) // of all realms
	}
	kind := memoKind{what: what.String(), more: func(ctx context.Context, q *question, old sums, blocks []int, _ time.Time) (sums, []asked, []int, error) {
		s := &rowSums{rows: map[person]whosaw.ListRow{}}
		if old != nil {
			s.rows = maps.Clone(old.(*rowSums).rows)
		}
		l, err := q.linesWith(ctx, only, blocks, []int{}, s)
		if err != nil {
			return nil, nil, nil, err
		}
		return s, l.done, l.missed, nil
	}}
	k, err := m.know(ctx, c.Engine, filter, kind, time.Time{})
	if err != nil {
		return nil, err
	}
	q, err := c.ask(filter)
	if err != nil {
		return nil, err
	}
	defer q.done()
	q.parts = q.view.Parts()
	all := &rowSums{rows: map[person]whosaw.ListRow{}}
	if k.sums != nil {
		all.rows = maps.Clone(k.sums.(*rowSums).rows)
	}
	cut, rest, err := m.cut(ctx, q, filter, kind.what, k.rest, func(q *question, part []int) (sums, error) {
		s := &rowSums{rows: map[person]whosaw.ListRow{}}
		_, err := q.linesWith(ctx, only, nil, part, s)
		return s, err
	})
	if err != nil {
		return nil, err
	}
	if cut != nil {
		for _, row := range cut.(*rowSums).rows {
			all.add(row)
		}
	}
	slices.Sort(rest)
	if _, err := q.linesWith(ctx, only, nil, rest, all); err != nil {
		return nil, err
	}
	out := make([]whosaw.ListRow, len(who))
	for i, p := range people {
		out[i] = all.rows[p]
	}
	return out, nil
}

// linesWith adds to rows what blocks, and parts beside them, tell of some subjects.
func (q *question) linesWith(ctx context.Context, only *subjectMember, blocks, rest []int, to *rowSums) (*lineup, error) {
	for _, t := range q.terms {
		t.keep(only)
	}
	l, err := q.linesOf(ctx, blocks, rest, false)
	if err != nil {
		return nil, err
	}
	return l, q.listed(ctx, l.people, l.realms, func(row whosaw.ListRow) error { to.add(row); return nil })
}
