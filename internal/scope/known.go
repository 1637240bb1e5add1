package scope

import (
	"context"
	"fmt"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
)

// Known keeps what all reference records of a ledger say from one view to the next, so that a question about a view to which records were added
// reads those alone. The zero value works; it belongs to one ledger, and is safe for concurrent use.
//
// What is kept is as of one sequence, and goes on to a later one only when no question uses it: a question never sees what came after its
// view. One that cannot have it reads all records for itself.
type Known struct {
	mu    sync.Mutex
	all   *reference.Index // nil: nothing is kept
	asOf  uint64
	gone  uint64 // see index.Gone: what retention removes, nobody knows any more
	users int

	few few // instead, where there are too many issuances
}

// maxKnown is how many issuances are kept at most, of some 70 bytes each. What is more is read for each view.
const maxKnown = 1 << 22

// lease gives what is known as of a view's end, nil if it cannot be had. release must be called when it is not used any more.
func (k *Known) lease(ctx context.Context, view *ledger.View) (all *reference.Index, release func(), err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	asOf, gone := view.Last(), index.Gone(view)
	if k.all == nil || k.gone != gone || k.asOf != asOf {
		switch {
		case k.users > 0:
			return nil, nil, nil
		case k.all == nil || k.gone != gone:
			k.all, k.asOf, k.gone = reference.New(), 0, gone
		case k.asOf > asOf:
			return nil, nil, nil
		}
		if err := k.advance(ctx, view); err != nil {
			k.all = nil // it may have some of a part's records
			return nil, nil, err
		}
	}
	all = k.all
	if all.Held() > maxKnown {
		k.all = nil
		return all, func() {}, nil
	}
	k.users++
	return all, func() {
		k.mu.Lock()
		k.users--
		k.mu.Unlock()
	}, nil
}

// advance adds the records of a view that are not known yet.
func (k *Known) advance(ctx context.Context, view *ledger.View) error {
	for i, p := range view.Parts() {
		if p.Last <= k.asOf {
			continue
		}
		err := view.PartReferences(ctx, i, func(seq uint64, r *whosaw.Record) error {
			if seq > k.asOf {
				k.all.Apply(seq, r)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read reference records: %w", err)
		}
	}
	k.asOf = view.Last()
	return nil
}

// whole gives an index of all records of one of the question's worlds, not only of those about feeds.
func (q *question) whole(ctx context.Context, w *world) (*reference.Index, error) {
	if q.known == nil || !w.partial || w.asOf != q.last || w.kept() {
		return w.whole(ctx)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.leased == nil {
		all, release, err := q.known.lease(ctx, q.view)
		if err != nil {
			return nil, err
		}
		if all == nil {
			return w.whole(ctx)
		}
		q.leased, q.release = all, release
	}
	return q.leased, nil
}

// done ends a question: what it leased may go on to the next.
func (q *question) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for part, rows := range q.readers {
		_ = rows.Close() // of what was only read
		delete(q.readers, part)
	}
	if q.release != nil {
		q.release()
		q.leased, q.release = nil, nil
	}
}
