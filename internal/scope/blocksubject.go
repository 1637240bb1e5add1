package scope

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
)

// subjectFinder finds the newest accesses of one subject in blocks: a hash gives the stretches of rows that can have it, and an
// access is put together from its rows, so that no segment is read.
type subjectFinder struct {
	q     *question
	id    string
	after place
	n     int
	where *index.Where
	reads readBy // what the terms need of a record beside its origin and shape

	mu     sync.Mutex
	joined map[string]bool // routes whose accesses may be joined to a subject
}

// readBy says which of a record's strings are read to judge it.
type readBy struct{ any, credential bool }

// newestInBlocks gives what the blocks of some parts have of the n newest matching accesses, and the parts that must be read.
func (q *question) newestInBlocks(ctx context.Context, id string, after place, n int, parts []ledger.Part, order []int) (found []spot, rest []int, err error) {
	f := &subjectFinder{q: q, id: id, after: after, n: n, where: q.where(id), joined: map[string]bool{}}
	for _, t := range q.terms {
		credential := t.issued != nil || t.expl != nil || slices.ContainsFunc(t.texts, func(m textMember) bool { return m.col == ledger.ColCredential })
		f.reads.credential = f.reads.credential || credential
		f.reads.any = f.reads.any || credential || t.field != nil || t.outcome != nil || t.classes != nil || t.nets != nil || t.asn != nil ||
			t.status != nil || len(t.subject) > 1 || slices.ContainsFunc(t.texts, func(m textMember) bool { return m.col != ledger.ColRealm })
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	rest = []int{} // none is not all
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, min(q.workers, len(order))) {
		wg.Go(func() {
			w := &newestWorker{n: n, after: after}
			var unread []int
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(order) {
					break
				}
				p := &parts[order[i]]
				if w.skip(*p) || !q.canMatch(p) {
					continue
				}
				ok := false
				err := index.Guarded(func() (err error) {
					ok, err = f.part(ctx, w, order[i], p)
					return err
				})
				if err != nil {
					cancel(err)
					break
				}
				if !ok {
					unread = append(unread, order[i])
				}
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			found, rest = append(found, w.found...), append(rest, unread...)
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(rest, func(a, b int) int { return cmp.Compare(slices.Index(order, a), slices.Index(order, b)) })
	return found, rest, nil
}

// canMatch reports whether a term can match an access of a part.
func (q *question) canMatch(p *ledger.Part) bool {
	return p.Accesses > 0 && slices.ContainsFunc(q.terms, func(t *term) bool {
		return p.First <= t.asOf && p.MinTime < t.to && p.MaxTime >= t.from
	})
}

// part looks into a part's block. It reports false if the part must be read.
func (f *subjectFinder) part(ctx context.Context, w *newestWorker, part int, p *ledger.Part) (bool, error) {
	if !p.Whole() || slices.ContainsFunc(f.q.terms, func(t *term) bool { return p.First <= t.asOf && t.asOf < p.Last }) {
		return false, nil
	}
	spans, known := f.where.In(p)
	if known && len(spans) == 0 && !joins(f.q.cat) {
		return true, nil // most segments have nothing of a subject
	}
	b := f.q.index.Block(p)
	if b == nil {
		return false, nil
	}
	f.q.stands(b)
	if !known {
		spans = []index.Span{{From: 0, To: b.Rows()}}
	}
	shapes, err := b.Shapes()
	if err != nil {
		return false, bypass(err)
	}
	if joins, err := f.joins(&shapes); err != nil || joins {
		return false, bypass(err)
	}
	rows := b.Reader()
	defer func() { f.q.keep(part, rows, w) }()
	spots, err := f.rows(rows, &shapes, spans, w, part, p)
	if err != nil {
		return false, bypass(err)
	}
	table, ok, err := f.tableOf(ctx, part, p, b, len(spots))
	if err != nil || !ok {
		return false, err
	}
	kept := 0
	texts := partTexts{view: f.q.view, part: part}
	defer texts.close()
	for i := range spots {
		if kept == f.n {
			break
		}
		yes, err := f.judge(ctx, rows, &texts, &spots[i], table)
		if err != nil {
			return false, bypass(err)
		}
		if yes {
			w.found = append(w.found, spots[i])
			kept++
		}
	}
	w.cut()
	return true, nil
}

// tableOf gives the side table of a part's block if the terms ask what it tells about some rows, and the issuances are too many to be held. ok is false if the
// part must be read.
func (f *subjectFinder) tableOf(ctx context.Context, part int, p *ledger.Part, b *index.Block, rows int) (x *index.Issued, ok bool, err error) {
	if rows == 0 || !f.q.judges() {
		return nil, true, nil
	}
	w, err := f.q.at(ctx, 0)
	if err != nil || !w.many() {
		return nil, true, err
	}
	if len(f.q.asOf) > 1 {
		return nil, false, nil // a table holds as of one sequence
	}
	x, err = f.q.issuedOf(ctx, part, p, b, true)
	return x, x != nil, err
}

// maxReaders is how many readers, an open file each, are kept between finding accesses and putting them together.
const maxReaders = 64

// keep keeps a part's reader if one of its accesses was found, else closes it.
func (q *question) keep(part int, rows *index.Reader, w *newestWorker) {
	if slices.ContainsFunc(w.found, func(s spot) bool { return s.part == part }) {
		q.mu.Lock()
		defer q.mu.Unlock()
		if len(q.readers) < maxReaders {
			if q.readers == nil {
				q.readers = make(map[int]*index.Reader)
			}
			if old := q.readers[part]; old != nil {
				_ = old.Close() // of what was only read
			}
			q.readers[part] = rows
			return
		}
	}
	_ = rows.Close() // of what was only read
}

// reader gives the reader of a part's block, the one that was kept or another. It must be closed.
func (q *question) reader(part int, b *index.Block) *index.Reader {
	q.mu.Lock()
	defer q.mu.Unlock()
	if rows := q.readers[part]; rows != nil && rows.Block == b {
		delete(q.readers, part)
		return rows
	}
	return b.Reader()
}

// joins reports whether a block has accesses without a subject that the catalog may join to one: only the segment tells to
// whom.
func (f *subjectFinder) joins(shapes *index.Texts) (bool, error) {
	if !joins(f.q.cat) {
		return false, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range shapes.Len() {
		text := shapes.At(i + 1)
		if index.NamesSubject(text) {
			continue
		}
		s, err := index.ParseShape(text)
		if err != nil {
			return false, err
		}
		yes, known := f.joined[s.Route]
		if !known {
			yes = slices.ContainsFunc(f.q.cat.Versions(), func(v *catalog.Version) bool {
				r := v.Route(s.Route)
				return r != nil && r.Join != catalog.JoinNone
			})
			f.joined[strings.Clone(s.Route)] = yes
		}
		if yes {
			return true, nil
		}
	}
	return false, nil
}

// rows gives the subject's rows that may be among the newest, newest first.
func (f *subjectFinder) rows(b *index.Reader, shapes *index.Texts, spans []index.Span, w *newestWorker, part int, p *ledger.Part) ([]spot, error) {
	subjects, err := b.Subjects()
	if err != nil {
		return nil, err
	}
	var number uint64
	var ok bool
	if k, isInt := integerID(f.id); isInt {
		number, ok = subjects.FindInt(uint64(k))
	} else {
		number, ok = subjects.FindText(f.id)
	}
	if !ok {
		return nil, nil
	}
	var out []spot
	for _, s := range spans {
		err := b.RowsOf(s, number, func(row int, shape uint64) error {
			if !index.NamesSubject(shapes.At(int(shape) + 1)) {
				return nil
			}
			x, ok, err := f.spot(b, w, row, part, p)
			if ok {
				out = append(out, x)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, newer)
	// An access may name its subject twice.
	return slices.CompactFunc(out, func(x, y spot) bool { return x.time == y.time && x.seq == y.seq }), nil
}

// spot makes one of a row; ok is false if it is not asked for.
func (f *subjectFinder) spot(b *index.Reader, w *newestWorker, row, part int, p *ledger.Part) (x spot, ok bool, err error) {
	x = spot{part: part, row: uint32(row), block: b.Block, seq: p.First}
	if x.time, err = b.TimeOf(row); err != nil {
		return x, false, err
	}
	if w.full && x.time < w.bar || f.after.seq != 0 && x.time > f.after.time {
		return x, false, nil
	}
	last := p.Last // a row that is alone with its time is any of the part's
	seq, told, err := b.Seq(row)
	if told {
		x.seq, last = seq, seq
	}
	return x, f.after.seq == 0 || x.time != f.after.time || last < f.after.seq, err
}

// partTexts opens a part's strings when one is asked for.
type partTexts struct {
	view   *ledger.View
	part   int
	opened *ledger.Texts
}

func (t *partTexts) credential(col ledger.TextColumn, code uint32) (string, error) {
	if col != ledger.TextCredential || code == 0 {
		return "", nil
	}
	if t.opened == nil {
		var err error
		if t.opened, err = t.view.Texts(t.part); err != nil {
			return "", err
		}
	}
	return t.opened.At(col, code)
}

func (t *partTexts) close() {
	if t.opened != nil {
		_ = t.opened.Close() // of what was only read
	}
}

// judge reports whether the access of a row matches one of the terms.
func (f *subjectFinder) judge(ctx context.Context, rows *index.Reader, texts *partTexts, s *spot, table *index.Issued) (bool, error) {
	r := whosaw.Record{Time: s.time}
	var err error
	if f.reads.any {
		text := func(ledger.TextColumn, uint32) (string, error) { return "", nil }
		if f.reads.credential {
			text = texts.credential
		}
		if r, _, err = rows.Record(int(s.row), text); err != nil {
			return false, err
		}
	} else if r.Realm, err = rows.RealmOf(int(s.row)); err != nil {
		return false, err
	}
	var issued *bool
	if table != nil {
		yes := table.Row(int(s.row))
		issued = &yes
	}
	parts := f.q.parts
	for _, t := range f.q.filters[0] {
		if parts[s.part].First > t.asOf || r.Time < t.from || r.Time >= t.to {
			continue
		}
		if yes, err := f.q.accepts(ctx, t, &r, f.reads.any, issued); err != nil || yes {
			return yes, err
		}
	}
	return false, nil
}

// accepts reports whether a term matches an access that names its subjects; times and sequences were looked at. Only the realm is
// looked at if all is false. issued may say whether its credential was issued, which is looked up if it is nil.
func (q *question) accepts(ctx context.Context, t *term, r *whosaw.Record, all bool, issued *bool) (bool, error) {
	for _, m := range t.texts {
		if !m.accept(textOf(r, m.col)) {
			return false, nil
		}
	}
	if !all {
		return true, nil
	}
	if t.classes != nil && !t.classes.accept(whosaw.AgentClass(r.Agent)) || t.nets != nil && !t.nets.accept(r.IP) ||
		t.asn != nil && !t.asn.accept(r.ASN) || t.status != nil && !t.status.accept(uint16(r.Status)) {
		return false, nil
	}
	if t.field != nil || t.outcome != nil {
		var route *catalog.Route
		if q.cat != nil {
			if v := q.cat.At(r.Time); v != nil {
				route = v.Route(r.Route)
			}
		}
		shown := catalog.Show(route, r.Fields, r.Masked, r.Status, r.Outcome, 0, len(r.Subjects) > 0)
		if t.field != nil && !t.field.acceptSet(shown.Fields) || t.outcome != nil && !t.outcome.accept(shown.Outcome.String()) {
			return false, nil
		}
	}
	if !slices.ContainsFunc(r.Subjects, t.keepsID) {
		return false, nil
	}
	if t.issued == nil && t.expl == nil {
		return true, nil
	}
	return q.agrees(ctx, t, r, issued)
}

// agrees reports whether what reference records say of an access that names its subjects is what a term asks.
func (q *question) agrees(ctx context.Context, t *term, r *whosaw.Record, issued *bool) (bool, error) {
	w, err := q.at(ctx, t.world)
	if err != nil {
		return false, err
	}
	if issued == nil {
		all, err := q.whole(ctx, w)
		if err != nil {
			return false, err
		}
		yes := r.Credential != "" && all.Issued(r.Realm, r.Credential, r.Key, r.Principal)
		return (t.issued == nil || *t.issued == yes) && (t.expl == nil || *t.expl == (&told{all, all}).explained(r, r.Subjects, yes)), nil
	}
	if t.issued != nil && *t.issued != *issued {
		return false, nil
	}
	if t.expl == nil {
		return true, nil
	}
	if r.Principal != "" || !*issued { // nobody asks to whom
		why, err := q.reasons(ctx, w)
		known := told{reference.New(), why}
		return err == nil && *t.expl == known.explained(r, r.Subjects, *issued), err
	}
	yes := false
	err = q.judge(ctx, w, []whosaw.Record{*r}, func(known told) { yes = known.explained(r, r.Subjects, true) })
	return err == nil && *t.expl == yes, err
}

// keepsID reports whether a term keeps a subject.
func (t *term) keepsID(id string) bool {
	k, isInt := integerID(id)
	for _, m := range t.subject {
		if isInt && !m.keepsInt(k) || !isInt && !m.keepsText(id) {
			return false
		}
	}
	return true
}

// textOf gives a member of a record that is a column of strings.
func textOf(r *whosaw.Record, col ledger.Columns) string {
	switch col {
	case ledger.ColRealm:
		return r.Realm
	case ledger.ColSource:
		return r.Source
	case ledger.ColRoute:
		return r.Route
	case ledger.ColPrincipal:
		return r.Principal
	case ledger.ColCredential:
		return r.Credential
	case ledger.ColKey:
		return r.Key
	case ledger.ColClient:
		return r.Client
	case ledger.ColCountry:
		return r.Country
	case ledger.ColAgent:
		return r.Agent
	case ledger.ColTLS:
		return r.TLS
	}
	panic("BUG: column " + strconv.Itoa(int(col)) + " is not of strings")
}

// errBlock says that a block turned out to be damaged after its rows were found.
var errBlock = errors.New("a block is damaged")

// recordsOfBlocks fills in the records of the spots that are rows of blocks.
func (q *question) recordsOfBlocks(ctx context.Context, spots []spot, out []whosaw.Record, done []bool) error {
	order := make([]int, 0, len(spots))
	for i := range spots {
		if spots[i].block != nil {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(spots[a].part, spots[b].part), cmp.Compare(spots[a].row, spots[b].row))
	})
	var parts [][]int
	for len(order) > 0 {
		n := 1
		for n < len(order) && spots[order[n]].part == spots[order[0]].part {
			n++
		}
		parts, order = append(parts, order[:n]), order[n:]
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(q.workers, len(parts)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(parts) {
					return
				}
				err := index.Guarded(func() error { return q.recordsOfBlock(spots, parts[i], out, done) })
				var damage *index.DamageError
				switch {
				case errors.As(err, &damage):
					cancel(errBlock)
				case err != nil:
					cancel(fmt.Errorf("read part %d: %w", spots[parts[i][0]].part, err))
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// recordsOfBlock fills in the records of the spots, some of all, that are rows of one block.
func (q *question) recordsOfBlock(spots []spot, some []int, out []whosaw.Record, done []bool) (err error) {
	first := &spots[some[0]]
	texts, err := q.view.Texts(first.part)
	if err != nil {
		return err
	}
	rows := q.reader(first.part, first.block)
	defer func() { err = errors.Join(err, rows.Close(), texts.Close()) }()
	for _, i := range some {
		r, _, err := rows.Record(int(spots[i].row), texts.At)
		if err != nil {
			return err
		}
		out[i], done[i] = r.Clone(), true
	}
	return nil
}
