package scope

import (
	"context"

	"github.com/whosaw/whosaw"
)

// filtersAtOnce bounds the filters of one pass: each holds its candidates of a part.
const filtersAtOnce = 32

// Against holds filters against truths: how many accesses each filter matches, and how many of those each truth matches
// too, both[filter][truth]. Unlike Overlap it does not compare the filters with each other, so there may be thousands.
func (e *Engine) Against(ctx context.Context, truths, filters []whosaw.Filter) (sizes []int64, both [][]int64, err error) {
	sizes, both = make([]int64, len(filters)), make([][]int64, len(filters))
	for from := 0; from < len(filters); from += filtersAtOnce {
		to := min(from+filtersAtOnce, len(filters))
		if err := e.against(ctx, truths, filters[from:to], sizes[from:to], both[from:to]); err != nil {
			return nil, nil, err
		}
	}
	return sizes, both, nil
}

func (e *Engine) against(ctx context.Context, truths, filters []whosaw.Filter, sizes []int64, both [][]int64) error {
	q, err := e.ask(append(append(make([]whosaw.Filter, 0, len(truths)+len(filters)), truths...), filters...)...)
	if err != nil {
		return err
	}
	defer q.done()
	n, m := len(filters), len(truths)
	var sums [][]int64 // one a worker: for each filter its size, then what it shares with each truth
	err = q.scan(ctx, q.late(), func() work {
		sum := make([]int64, n*(m+1))
		sums = append(sums, sum)
		sets := make([][]uint64, m)
		return func(c *chunk) error {
			for i := range sets {
				set := make([]uint64, (c.N+63)/64)
				if err := c.match(i, func(row uint32) { set[row/64] |= 1 << (row % 64) }); err != nil {
					return err
				}
				sets[i] = set
			}
			for i := range n {
				at := sum[i*(m+1):]
				err := c.match(m+i, func(row uint32) {
					at[0]++
					for j, set := range sets {
						at[1+j] += int64(set[row/64] >> (row % 64) & 1)
					}
				})
				if err != nil {
					return err
				}
			}
			return ctx.Err()
		}
	})
	if err != nil {
		return err
	}
	for i := range n {
		both[i] = make([]int64, m)
		for _, sum := range sums {
			sizes[i] += sum[i*(m+1)]
			for j := range m {
				both[i][j] += sum[i*(m+1)+1+j]
			}
		}
	}
	return nil
}
