package scope

import (
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
)

// Known keeps what the reference records of a ledger say from one view to the next, so that a question about a view to which records were added
// reads those alone. The zero value works; it belongs to one ledger, and is safe for concurrent use.
//
// What is kept is as of one sequence, and goes on to a later one only when no question uses it: a question never sees what came after its
// view. One that cannot have it reads the records for itself.
type Known struct {
	all kept // what all records say
	// Where issuances are too many to be held:
	reasons kept // what reasons and contacts say
	few     few  // issuances of some credentials
}

// kept is one index.
type kept struct {
	mu    sync.Mutex
	index *reference.Index // nil: nothing is kept
	asOf  uint64
	gone  uint64 // see index.Gone: what retention removes, nobody knows any more
	users int
	large bool // it is too large, and not made again
}

// maxKnown is how many issuances, or reasons, are kept at most, of some 70 or 100 bytes each. What is more is read for each view.
const maxKnown = 1 << 22

// lease gives what all records say as of a view's end, nil if it cannot be had. release must be called when it is not used any more.
func (k *Known) lease(ctx context.Context, view *ledger.View) (all *reference.Index, release func(), err error) {
	all, release, err = k.all.lease(ctx, view, choice{kind: func(whosaw.Type) bool { return true }})
	if all != nil && all.Held() > maxKnown {
		k.all.drop()
	}
	return all, release, err
}

// leaseReasons is lease for reasons and contacts alone. What is too large to be kept cannot be had.
func (k *Known) leaseReasons(ctx context.Context, view *ledger.View) (why *reference.Index, release func(), err error) {
	return k.reasons.lease(ctx, view, choice{
		explains, func(r *whosaw.Record) bool { return reference.Explains(r, math.MinInt64, math.MaxInt64) },
		func(x *reference.Index) bool { return x.Explaining() > mostReasons },
	})
}

// choice says what is kept.
type choice struct {
	kind   func(kind whosaw.Type) bool
	record func(r *whosaw.Record) bool   // of those kinds; nil: all
	large  func(x *reference.Index) bool // nothing at all, then; nil: never
}

// mostReasons is maxKnown for reasons. Tests set it lower.
var mostReasons = maxKnown

// lease gives what the chosen records say as of a view's end, but nothing once that is too large.
func (k *kept) lease(ctx context.Context, view *ledger.View, of choice) (all *reference.Index, release func(), err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	asOf, gone := view.Last(), index.Gone(view)
	if k.large && k.gone == gone {
		return nil, nil, nil
	}
	if k.index == nil || k.gone != gone || k.asOf != asOf {
		switch {
		case k.users > 0:
			return nil, nil, nil
		case k.index == nil || k.gone != gone:
			k.index, k.asOf, k.gone, k.large = reference.New(), 0, gone, false
		case k.asOf > asOf:
			return nil, nil, nil
		}
		if err := k.advance(ctx, view, of); err != nil || k.large {
			k.index = nil // it may have some of a part's records
			return nil, nil, err
		}
	}
	k.users++
	return k.index, func() {
		k.mu.Lock()
		k.users--
		k.mu.Unlock()
	}, nil
}

// drop keeps nothing any more: who uses it has it.
func (k *kept) drop() {
	k.mu.Lock()
	k.index = nil
	k.mu.Unlock()
}

// advance adds the records of a view that are not known yet.
func (k *kept) advance(ctx context.Context, view *ledger.View, of choice) error {
	for i, p := range view.Parts() {
		if p.Last <= k.asOf {
			continue
		}
		err := view.SomeReferences(ctx, i, func(seq uint64, kind whosaw.Type, _, _ string) bool { return seq > k.asOf && of.kind(kind) },
			func(seq uint64, r *whosaw.Record) error {
				if of.record == nil || of.record(r) {
					k.index.Apply(seq, r)
				}
				return nil
			})
		if err != nil {
			return fmt.Errorf("read reference records: %w", err)
		}
		if k.large = of.large != nil && of.large(k.index); k.large {
			return nil
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
		q.leased, q.releases = all, append(q.releases, release)
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
	for _, release := range q.releases {
		release()
	}
	q.leased, q.releases, q.why = nil, nil, nil
}

// leaseReasons gives what is kept of reasons for one of the question's worlds, nil if that cannot be had. The question is held.
func (q *question) leaseReasons(ctx context.Context, w *world) (*reference.Index, error) {
	if q.known == nil || w.asOf != q.last {
		return nil, nil
	}
	why, release, err := q.known.leaseReasons(ctx, q.view)
	if why != nil {
		q.releases = append(q.releases, release)
	}
	return why, err
}
