package scope

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// subjectPage is how many accesses a page has if nobody says.
const subjectPage = 100

// Subject gives the accesses to one subject that match a filter, newest first, whatever their outcome, as their
// sources told them, but without their positions there. realm nil means every realm. limit 0 gives pages of 100. cursor "" begins; Next of the answer goes on
// with the same realm, id and filter, and sees the ledger as the first page did, whatever came since.
func (e *Engine) Subject(ctx context.Context, realm *string, id string, filter whosaw.Filter, limit int, cursor string) (whosaw.SubjectAnswer, error) {
	answer := whosaw.SubjectAnswer{Subject: id, Accesses: []whosaw.Record{}}
	switch {
	case id == "" || len(id) > whosaw.MaxSubject:
		return answer, fmt.Errorf("subject id of %d bytes: give one of 1 to %d", len(id), whosaw.MaxSubject)
	case limit < 0:
		return answer, fmt.Errorf("limit %d is negative: give a number of accesses, or 0 for %d", limit, subjectPage)
	case limit == 0:
		limit = subjectPage
	}
	after := place{asOf: e.last}
	if cursor != "" {
		var err error
		if after, err = readCursor(cursor); err != nil {
			return answer, err
		}
		if after.asOf > e.last {
			return answer, ErrCursor
		}
	}
	pinned := slices.Clone(filter)
	for i := range pinned {
		if pinned[i].AsOf == 0 || pinned[i].AsOf > after.asOf {
			pinned[i].AsOf = after.asOf
		}
	}
	err := e.answer([]whosaw.Filter{pinned}, func(q *question) error {
		for _, t := range q.terms {
			t.only(id, realm)
		}
		return q.subject(ctx, &answer, after, limit)
	})
	return answer, err
}

// subject fills in a page of the accesses to one subject.
func (q *question) subject(ctx context.Context, answer *whosaw.SubjectAnswer, after place, limit int) error {
	for again := false; ; again = true {
		found, records, more, err := q.page(ctx, answer.Subject, after, limit)
		if errors.Is(err, errBlock) && !again {
			continue // the block is not asked any more
		}
		if err != nil {
			return err
		}
		answer.Next = ""
		if more {
			last := found[limit-1]
			answer.Next = place{after.asOf, last.time, last.seq}.cursor()
		}
		answer.Accesses, answer.Gaps = records, q.purgedGaps()
		return nil
	}
}

// page finds and reads a page of the accesses, and tells whether there are more.
func (q *question) page(ctx context.Context, id string, after place, limit int) (found []spot, records []whosaw.Record, more bool, err error) {
	late, err := q.judgedLater(ctx)
	if err != nil {
		return nil, nil, false, err
	}
	if late != nil {
		return q.judgedPage(ctx, late, id, after, limit)
	}
	if found, err = q.newest(ctx, id, after, limit+1); err != nil {
		return nil, nil, false, err
	}
	if more = len(found) > limit; more {
		found = found[:limit]
	}
	records, err = q.records(ctx, found)
	return found, records, more, err
}

// spot is an access by where it lies.
type spot struct {
	time int64
	seq  uint64
	part int
	row  uint32
	// block, if not nil, says that row is one of a block. Then seq is the access's only where another row of the subject has the same
	// time; else it is the part's first, which orders it among others as well.
	block *index.Block
}

// newer orders spots: newest first, and of the same time the one that came last.
func newer(a, b spot) int {
	return cmp.Or(cmp.Compare(b.time, a.time), cmp.Compare(b.seq, a.seq))
}

// newest gives the n newest matching accesses of a subject after a place.
func (q *question) newest(ctx context.Context, id string, after place, n int) ([]spot, error) {
	q.parts = q.view.Parts()
	parts := q.parts
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	// Newest parts first: once n accesses are found, older parts need not be read.
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(parts[b].MaxTime, parts[a].MaxTime) })
	var found []spot
	if q.index != nil {
		var err error
		if found, order, err = q.newestInBlocks(ctx, id, after, n, parts, order); err != nil {
			return nil, err
		}
	}
	var workers []*newestWorker
	err := q.scanParts(ctx, q.columns(), order, func() (work, func(ledger.Part) bool) {
		w := &newestWorker{n: n, after: after, found: slices.Clone(found)}
		if len(workers) > 0 {
			w.found = nil
		}
		w.cut()
		workers = append(workers, w)
		return w.chunk, w.skip
	})
	if err != nil {
		return nil, err
	}
	var all []spot
	for _, w := range workers {
		all = append(all, w.found...)
	}
	slices.SortFunc(all, newer)
	return all[:min(n, len(all))], nil
}

// newestWorker keeps the n newest of what it sees; found has up to twice as many, so that sorting is rare.
type newestWorker struct {
	n     int
	after place
	found []spot
	bar   int64 // with full: n accesses at this time or later are in found
	full  bool
}

// skip reports whether a part has none of them: all that it has is older, or was on a page before.
func (w *newestWorker) skip(p ledger.Part) bool {
	return w.full && p.MaxTime < w.bar || w.after.seq != 0 && p.MinTime > w.after.time
}

func (w *newestWorker) chunk(c *chunk) error {
	err := c.match(0, func(row uint32) {
		s := spot{time: c.Time[row], seq: c.Seq[row], part: c.part, row: row}
		if w.after.seq != 0 && newer(s, spot{time: w.after.time, seq: w.after.seq}) <= 0 {
			return
		}
		if w.full && s.time < w.bar {
			return
		}
		w.found = append(w.found, s)
		if len(w.found) >= 2*w.n+1024 {
			w.cut()
		}
	})
	w.cut()
	return err
}

func (w *newestWorker) cut() {
	if len(w.found) < w.n {
		return
	}
	slices.SortFunc(w.found, newer)
	w.found = w.found[:w.n]
	w.full, w.bar = true, w.found[w.n-1].time
}

// records reads the accesses at the spots.
func (q *question) records(ctx context.Context, spots []spot) ([]whosaw.Record, error) {
	out := make([]whosaw.Record, len(spots))
	done := make([]bool, len(spots))
	if err := q.recordsOfBlocks(ctx, spots, out, done); err != nil {
		return nil, err
	}
	for i := range spots {
		if done[i] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		c, err := q.view.Load(ctx, spots[i].part, ledger.ColAll)
		if err != nil {
			return nil, fmt.Errorf("load part %d: %w", spots[i].part, err)
		}
		for j := i; j < len(spots); j++ {
			if spots[j].part == spots[i].part && !done[j] {
				r := c.Record(int(spots[j].row))
				r.Position = 0
				out[j], done[j] = r.Clone(), true
			}
		}
	}
	return out, nil
}

// place is where a page ended: after the access with this time and sequence, of the ledger as of asOf.
type place struct {
	asOf uint64
	time int64
	seq  uint64
}

var ErrCursor = errors.New("the cursor is not one of this ledger: ask again without it")

// A cursor is a version, the place, and a checksum that finds what was mistyped. It names no subject.
const cursorVersion = 1

func (p place) cursor() string {
	b := []byte{cursorVersion}
	b = binary.AppendUvarint(b, p.asOf)
	b = binary.AppendVarint(b, p.time)
	b = binary.AppendUvarint(b, p.seq)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

func readCursor(s string) (place, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) < 8 || b[0] != cursorVersion {
		return place{}, ErrCursor
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(sum) {
		return place{}, ErrCursor
	}
	var p place
	body = body[1:]
	asOf, n := binary.Uvarint(body)
	if n <= 0 {
		return place{}, ErrCursor
	}
	body = body[n:]
	at, n := binary.Varint(body)
	if n <= 0 {
		return place{}, ErrCursor
	}
	body = body[n:]
	seq, n := binary.Uvarint(body)
	if n <= 0 || n != len(body) || seq == 0 || asOf == 0 {
		return place{}, ErrCursor
	}
	p.asOf, p.time, p.seq = asOf, at, seq
	return p, nil
}
