package joint

import "github.com/whosaw/whosaw"

// Turns gives the times at which the records of one source have their turns.
func Turns(records []*whosaw.Record) (at []int64, order []*whosaw.Record) {
	t := &turns{emit: func(x timed) { at, order = append(at, x.at), append(order, x.r) }}
	for _, r := range records {
		t.add(r)
	}
	t.end()
	return at, order
}
