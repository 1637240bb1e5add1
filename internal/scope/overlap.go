package scope

import (
	"context"
	"math/bits"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Overlap gives, in one pass, how many accesses each filter matches, and how many each pair of them
// matches both: inter[i][j], with inter[i][i] == sizes[i].
func (e *Engine) Overlap(ctx context.Context, filters []whosaw.Filter) (sizes []int64, inter [][]int64, err error) {
	q, err := e.ask(filters...)
	if err != nil {
		return nil, nil, err
	}
	defer q.done()
	var sums [][]int64 // one a worker, of len(filters)²
	n := len(filters)
	err = q.scan(ctx, q.late(), func() work {
		sum := make([]int64, n*n)
		sums = append(sums, sum)
		var sets [][]uint64
		return func(c *chunk) error {
			words := (c.N + 63) / 64
			sets = sets[:0]
			for f := range n {
				if err := ctx.Err(); err != nil {
					return err
				}
				set := make([]uint64, words)
				if err := c.match(f, func(row uint32) { set[row/64] |= 1 << (row % 64) }); err != nil {
					return err
				}
				sets = append(sets, set)
			}
			for i := range n {
				if err := ctx.Err(); err != nil {
					return err
				}
				for j := range i + 1 {
					both := 0
					for w := range words {
						both += bits.OnesCount64(sets[i][w] & sets[j][w])
					}
					sum[i*n+j] += int64(both)
				}
			}
			return nil
		}
	})
	if err != nil {
		return nil, nil, err
	}
	sizes, inter = make([]int64, n), make([][]int64, n)
	for i := range n {
		inter[i] = make([]int64, n)
	}
	for _, sum := range sums {
		for i := range n {
			for j := range i + 1 {
				inter[i][j] += sum[i*n+j]
				if i != j {
					inter[j][i] += sum[i*n+j]
				}
			}
		}
	}
	for i := range n {
		sizes[i] = inter[i][i]
	}
	return sizes, inter, nil
}

// late gives the columns that matching needs beside those that pick candidates.
func (q *question) late() ledger.Columns {
	for _, t := range q.terms {
		if !t.plain() {
			return q.columns()
		}
	}
	return 0
}
