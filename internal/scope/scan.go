package scope

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// shownColumns are the columns from which access.go works out what an access showed. The joins' columns are
// added where the catalog has joins.
const shownColumns = ledger.ColRealm | ledger.ColRoute | ledger.ColFields | ledger.ColMasked | ledger.ColStatus |
	ledger.ColOutcome | ledger.ColSubjects | ledger.ColOthers

// columns gives what must be loaded to find and to show the accesses that a question's terms match.
func (q *question) columns() ledger.Columns {
	cols := shownColumns
	if joins(q.cat) {
		cols |= ledger.ColCredential | ledger.ColPrincipal
	}
	if q.judges() {
		cols |= ledger.ColCredential | ledger.ColKey | ledger.ColPrincipal
		if q.index != nil && q.references() > manyReferences {
			cols |= index.IssuedColumns // see table
		}
	}
	return cols
}

// judges reports whether a term asks what was issued or explained.
func (q *question) judges() bool {
	return slices.ContainsFunc(q.terms, func(t *term) bool { return t.issued != nil || t.expl != nil })
}

// joins reports whether a catalog has routes whose subject is joined. The rules know routes that nobody
// listed, so they may.
func joins(cat *catalog.Catalog) bool {
	return cat != nil && (cat.Suggested() || slices.ContainsFunc(cat.Versions(), func(v *catalog.Version) bool {
		return slices.ContainsFunc(v.Routes(), func(r *catalog.Route) bool { return r.Join != catalog.JoinNone })
	}))
}

// work is what one worker does with a chunk. It is called by one goroutine at a time.
type work func(c *chunk) error

// scan reads each part that a term can match and gives it, with the candidates found, to a worker. The columns
// that pick candidates are loaded first, and late only where there are any. newWork is called once a
// worker, before any part is read. skip, if not nil, is asked by the worker that is to read a part.
func (q *question) scan(ctx context.Context, late ledger.Columns, newWork func() work) error {
	return q.scanParts(ctx, late, nil, func() (work, func(ledger.Part) bool) { return newWork(), nil })
}

// scanParts is scan with an order of parts (nil: the view's), in which each worker may skip parts.
func (q *question) scanParts(ctx context.Context, late ledger.Columns, order []int, newWork func() (work, func(ledger.Part) bool)) error {
	parts := q.view.Parts()
	if order == nil {
		order = make([]int, len(parts))
		for i := range order {
			order[i] = i
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, min(q.workers, len(parts))) {
		do, skip := newWork()
		wg.Go(func() {
			r := reader{question: q, late: late}
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(order) {
					return
				}
				if skip != nil && skip(parts[order[i]]) {
					continue
				}
				err := r.read(ctx, order[i], &parts[order[i]], do)
				if err == nil && q.budget.spent() {
					err = ErrMemory
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return nil
}

// reader is one worker's way through the parts. It keeps the space for rows from part to part.
type reader struct {
	*question
	late ledger.Columns
	rows [][]uint32 // candidates of each term
}

// read loads a part and works on its candidates.
func (r *reader) read(ctx context.Context, part int, p *ledger.Part, do work) error {
	var early ledger.Columns
	var live []*term
	for _, t := range r.terms {
		if p.Accesses > 0 && p.First <= t.asOf && p.MinTime < t.to && p.MaxTime >= t.from {
			live = append(live, t)
			early |= t.early
		}
	}
	if len(live) == 0 {
		return nil
	}
	for _, t := range live {
		if t.early == 0 {
			early |= r.late // its candidates are all there is: load once
		}
	}
	c, err := r.view.Load(ctx, part, early)
	if err != nil {
		return fmt.Errorf("load part %d: %w", part, err)
	}
	if r.rows == nil {
		r.rows = make([][]uint32, len(r.terms))
	}
	found := false
	for i := range r.rows {
		r.rows[i] = r.rows[i][:0]
	}
	for _, t := range live {
		r.rows[t.index] = candidates(c, t, r.rows[t.index])
		found = found || len(r.rows[t.index]) > 0
	}
	if !found {
		return nil
	}
	if more := r.late &^ early; more != 0 {
		rest, err := r.view.Load(ctx, part, more)
		if err != nil {
			return fmt.Errorf("load part %d: %w", part, err)
		}
		if rest.N != c.N {
			panic("BUG: a part of a view has two lengths")
		}
		c = join(c, early, rest)
	}
	return do(newChunk(ctx, r.question, part, c, r.rows))
}

// join gives a chunk with the columns of both: a's are those in cols.
func join(a *ledger.Chunk, cols ledger.Columns, b *ledger.Chunk) *ledger.Chunk {
	c := *b
	for _, s := range []struct {
		col      ledger.Columns
		dst, src *ledger.Strings
	}{
		{ledger.ColRealm, &c.Realm, &a.Realm}, {ledger.ColSource, &c.Source, &a.Source},
		{ledger.ColRoute, &c.Route, &a.Route}, {ledger.ColPrincipal, &c.Principal, &a.Principal},
		{ledger.ColCredential, &c.Credential, &a.Credential}, {ledger.ColKey, &c.Key, &a.Key},
		{ledger.ColClient, &c.Client, &a.Client}, {ledger.ColCountry, &c.Country, &a.Country},
		{ledger.ColAgent, &c.Agent, &a.Agent}, {ledger.ColTLS, &c.TLS, &a.TLS},
	} {
		if cols&s.col != 0 {
			*s.dst = *s.src
		}
	}
	if cols&ledger.ColIP != 0 {
		c.IP = a.IP
	}
	if cols&ledger.ColFields != 0 {
		c.Fields = a.Fields
	}
	if cols&ledger.ColMasked != 0 {
		c.Masked = a.Masked
	}
	if cols&ledger.ColASN != 0 {
		c.ASN = a.ASN
	}
	if cols&ledger.ColStatus != 0 {
		c.Status = a.Status
	}
	if cols&ledger.ColOutcome != 0 {
		c.Outcome = a.Outcome
	}
	if cols&ledger.ColOthers != 0 {
		c.Others = a.Others
	}
	if cols&ledger.ColSubjects != 0 {
		c.SubjectStart, c.SubjectIDs, c.SubjectStrings = a.SubjectStart, a.SubjectIDs, a.SubjectStrings
	}
	return &c
}

// candidates appends the rows that pass all of a term's members that need no catalog and no reference record. A row
// that is left out cannot match.
func candidates(c *ledger.Chunk, t *term, rows []uint32) []uint32 {
	n := c.N
	if n == 0 {
		return rows
	}
	if c.Seq[n-1] > t.asOf {
		n = sort.Search(n, func(i int) bool { return c.Seq[i] > t.asOf })
	}
	type test struct {
		codes []uint32
		allow []bool
		share float64 // of the dictionary that is allowed
	}
	var tests []test
	for _, col := range t.columns {
		allow := col.allow(c)
		yes := 0
		for _, ok := range allow {
			if ok {
				yes++
			}
		}
		if yes == 0 {
			return rows
		}
		if yes < len(allow) {
			tests = append(tests, test{col.codes(c), allow, float64(yes) / float64(len(allow))})
		}
	}
	slices.SortStableFunc(tests, func(a, b test) int {
		if a.share < b.share {
			return -1
		}
		return 1
	})
	if len(tests) > 0 {
		codes, allow := tests[0].codes[:n], tests[0].allow
		for i, code := range codes {
			if allow[code] {
				rows = append(rows, uint32(i))
			}
		}
		for _, s := range tests[1:] {
			rows = slices.DeleteFunc(rows, func(row uint32) bool { return !s.allow[s.codes[row]] })
		}
	} else {
		rows = slices.Grow(rows, n)
		for i := range n {
			rows = append(rows, uint32(i))
		}
	}
	if t.from != math.MinInt64 || t.to != math.MaxInt64 {
		rows = slices.DeleteFunc(rows, func(row uint32) bool { return c.Time[row] < t.from || c.Time[row] >= t.to })
	}
	for _, m := range t.numbers {
		rows = slices.DeleteFunc(rows, func(row uint32) bool { return !m.allow(c, row) })
	}
	for _, m := range t.subject {
		if m.positive {
			rows = subjectCandidates(c, m, rows)
		}
	}
	return rows
}

// subjectCandidates drops the rows that name subjects, none of which is kept. A row that names none stays: the
// catalog may join it to one.
func subjectCandidates(c *ledger.Chunk, m *subjectMember, rows []uint32) []uint32 {
	var texts []bool // by number; empty: none is kept
	if len(m.yesText) > 0 {
		texts = make([]bool, len(c.SubjectStrings))
		for i, s := range c.SubjectStrings {
			texts[i] = m.keepsText(s)
		}
	}
	one, single := m.single()
	return slices.DeleteFunc(rows, func(row uint32) bool {
		ids := c.SubjectIDs[c.SubjectStart[row]:c.SubjectStart[row+1]]
		for _, id := range ids {
			switch {
			case id&ledger.SubjectString != 0:
				if i := int(id &^ ledger.SubjectString); i < len(texts) && texts[i] {
					return false
				}
			case single:
				if subjectKey(id) == one {
					return false
				}
			case m.keepsInt(subjectKey(id)):
				return false
			}
		}
		return len(ids) > 0
	})
}
