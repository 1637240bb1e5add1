package scope

import (
	"context"
	"slices"

	"github.com/whosaw/whosaw"
)

// Sequences gives the sequences of the accesses that a filter matches, in order.
func (e *Engine) Sequences(ctx context.Context, filter whosaw.Filter) ([]uint64, error) {
	q, err := e.ask(filter)
	if err != nil {
		return nil, err
	}
	defer q.done()
	var lists []*[]uint64 // one a worker
	err = q.scan(ctx, q.late(), func() work {
		list := new([]uint64)
		lists = append(lists, list)
		return func(c *chunk) error {
			return c.match(0, func(row uint32) { *list = append(*list, c.Seq[row]) })
		}
	})
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, list := range lists {
		all = append(all, *list...)
	}
	slices.Sort(all)
	return all, nil
}
