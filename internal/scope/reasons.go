package scope

import (
	"context"
	"fmt"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/reference"
)

// reasons gives an index that knows what may explain the chunk's accesses.
func (c *chunk) reasons(w *chunkWorld) *reference.Index {
	if w.known != nil {
		return w.known
	}
	if w.why == nil {
		if !w.many() {
			return c.whole(w)
		}
		why, err := c.q.reasons(c.ctx, w.world)
		if err != nil {
			if c.err == nil {
				c.err = err
			}
			why = reference.New()
		}
		w.why = why
	}
	return w.why
}

// reasons gives an index of the reasons and contacts of a world that may explain what the question's terms ask about. It has no issuances.
func (q *question) reasons(ctx context.Context, w *world) (*reference.Index, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if why := q.why[w]; why != nil {
		return why, nil
	}
	why, err := q.leaseReasons(ctx, w)
	if why == nil && err == nil {
		why = reference.New()
		err = q.readReasons(ctx, w, why)
	}
	if err != nil {
		return nil, err
	}
	if q.why == nil {
		q.why = map[*world]*reference.Index{}
	}
	q.why[w] = why
	return why, nil
}

// mayExplain reports whether a record may explain an access that the question asks about.
func (q *question) mayExplain(r *whosaw.Record) bool {
	return slices.ContainsFunc(q.terms, func(t *term) bool {
		return reference.Explains(r, t.from, t.to) && (r.Type != whosaw.TypeReason || r.Principal == "" || t.maybeBy(r.Principal))
	})
}

// maybeBy reports whether a term may match accesses by a principal: those that name it, and those that name none, which may be by whomever their
// credential was issued to.
func (t *term) maybeBy(principal string) bool {
	for _, m := range t.texts {
		if m.col == ledger.ColPrincipal && !m.accept(principal) && !m.accept("") {
			return false
		}
	}
	return true
}

// explains reports whether records of a kind may explain something.
func explains(kind whosaw.Type) bool { return kind == whosaw.TypeReason || kind == whosaw.TypeSubject }

// readReasons adds the records of a world that may explain what the question asks about to an index.
func (q *question) readReasons(ctx context.Context, w *world, to *reference.Index) error {
	for i, p := range q.view.Parts() {
		if p.First > w.asOf {
			break
		}
		err := q.view.SomeReferences(ctx, i, func(seq uint64, kind whosaw.Type, _, _ string) bool { return seq <= w.asOf && explains(kind) },
			func(seq uint64, r *whosaw.Record) error {
				if q.mayExplain(r) {
					to.Apply(seq, r)
				}
				return nil
			})
		if err != nil {
			return fmt.Errorf("read reference records: %w", err)
		}
	}
	return nil
}
