package scope

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// journal has the issuances behind a sequence, by the hashes of their credentials: what side tables may not know yet.
type journal struct {
	from uint64 // it has all behind this sequence
	list []journalEntry

	mu    sync.Mutex
	since map[uint64][]uint32 // sorted hashes of those behind a sequence
}

type journalEntry struct {
	seq  uint64
	hash uint32
}

// after gives the hashes of the issuances behind a sequence, sorted; ok is false if the journal does not reach back to it.
func (j *journal) after(seq uint64) (hashes []uint32, ok bool) {
	if seq < j.from {
		return nil, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	hashes, ok = j.since[seq]
	if ok {
		return hashes, true
	}
	for _, e := range j.list[sort.Search(len(j.list), func(i int) bool { return j.list[i].seq > seq }):] {
		hashes = append(hashes, e.hash)
	}
	slices.Sort(hashes)
	if j.since == nil {
		j.since = map[uint64][]uint32{}
	}
	j.since[seq] = hashes
	return hashes, true
}

// issuances gives the journal of the issuances that one of the view's side tables may not know.
func (w *world) issuances(ctx context.Context) (*journal, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.journal != nil {
		return w.journal, nil
	}
	e := w.engine
	j := &journal{from: e.index.IssuedFloor(e.view)}
	for i, p := range e.view.Parts() {
		if p.Last <= j.from || p.First > w.asOf {
			continue
		}
		err := e.view.PartReferences(ctx, i, func(seq uint64, r *whosaw.Record) error {
			if r.Type == whosaw.TypeIssuance && seq > j.from && seq <= w.asOf {
				j.list = append(j.list, journalEntry{seq, index.CredentialHash(r.Realm, r.Credential)})
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read reference records: %w", err)
		}
	}
	w.journal = j
	return j, nil
}

// asksIssued reports whether a term asks whether credentials were issued.
func (q *question) asksIssued() bool {
	return slices.ContainsFunc(q.terms, func(t *term) bool { return t.issued != nil })
}

var errUnmade = errors.New("there is no side table")

// issuedOf gives the side table of a part's block as of the question's sequence; nil if the part must be read, or if there is
// none and it is not to be made.
func (q *question) issuedOf(ctx context.Context, part int, p *ledger.Part, b *index.Block, make bool) (*index.Issued, error) {
	w, err := q.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	late, err := w.issuances(ctx)
	if err != nil {
		return nil, err
	}
	asOf, gone, later := q.asOf[0], index.Gone(q.view), false
	x, err := q.index.Issued(p, b, func(x *index.Issued) bool {
		if x.Gone() != gone {
			return false
		}
		if later = x.AsOf() > asOf; later {
			return true // it knows issuances that the question must not
		}
		if x.AsOf() == asOf {
			return true
		}
		hashes, ok := late.after(x.AsOf())
		if ok = ok && !x.Touches(hashes); ok {
			x.Holds(asOf)
		}
		return ok
	}, func() (*index.Issued, error) {
		if !make {
			return nil, errUnmade
		}
		c, err := q.view.Load(ctx, part, index.Columns|ledger.ColPrincipal)
		if err != nil {
			return nil, fmt.Errorf("load part %d: %w", part, err)
		}
		own := newChunk(ctx, q, part, c, nil)
		x, err := index.MakeIssued(c, asOf, gone, func(i int) bool { return own.issued(uint32(i), 0) }, func(i int) (uint32, bool) {
			credential := c.Credential.At(i)
			return index.CredentialHash(c.Realm.At(i), credential), credential != ""
		})
		if err == nil {
			err = own.err
		}
		return x, err
	})
	if later || err == errUnmade {
		return nil, nil
	}
	return x, err
}
