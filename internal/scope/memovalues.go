package scope

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Value is a value of a dimension with how many of a filter's accesses have it.
type Value struct {
	Value    string
	Accesses int64
}

// valueSums are the accesses of each value. Those without one are not in them.
type valueSums struct {
	counts map[string]int64
	addrs  addrCounts // those that are IPv4 addresses, or networks of them
	top    []Value    // of both, the ones with most, in order
	size   int64
}

// valueBytes is about what a value takes beside its text.
const valueBytes = 64

// topKept is how many of the values with most are kept in order. Tests set it lower.
var topKept = 1024

func (s *valueSums) bytes() int64 { return s.size }

func (s *valueSums) len() int { return len(s.counts) + len(s.addrs) }

// of gives the accesses of a value, 0 if there are none.
func (s *valueSums) of(v string) int64 {
	if a, ok := addrNumber(v); ok && s.addrs != nil {
		return s.addrs.of(a)
	}
	return s.counts[v]
}

// into has t take the values, but for those of others.
func (s *valueSums) into(t *topValues, by string, others map[string]int64) {
	for v, n := range s.counts {
		if _, ok := others[v]; !ok && n >= t.least() {
			t.take(Value{v, n})
		}
	}
	var text []byte
	for _, x := range s.addrs {
		n, least := int64(x.n), t.least()
		if n < least {
			continue
		}
		text = appendAddr(text[:0], by, x.addr)
		if n == least && string(text) > t.list[t.n-1].Value {
			continue
		}
		if _, ok := others[string(text)]; !ok {
			t.take(Value{string(text), n})
		}
	}
}

// topValues are the values with the most accesses, n of them at most, most first, then by value.
type topValues struct {
	n    int
	list []Value
}

func compareValues(a, b Value) int {
	return cmp.Or(cmp.Compare(b.Accesses, a.Accesses), strings.Compare(a.Value, b.Value))
}

func (t *topValues) take(v Value) {
	if len(t.list) == t.n && (t.n == 0 || compareValues(t.list[t.n-1], v) < 0) {
		return
	}
	i, _ := slices.BinarySearchFunc(t.list, v, compareValues)
	if t.list = slices.Insert(t.list, i, v); len(t.list) > t.n {
		t.list = t.list[:t.n]
	}
}

// least is how many accesses a value has at least that is taken.
func (t *topValues) least() int64 {
	if len(t.list) < t.n || t.n == 0 {
		return 0
	}
	return t.list[t.n-1].Accesses
}

// Values gives the values of a dimension with the most accesses that match a filter, n of them at most, most first, then by value, and how
// many values there are; with what is kept, or learnt until a time (zero: until all is known).
func (m *Memo) Values(ctx context.Context, e *Engine, by string, filter whosaw.Filter, n int, until time.Time) (top []Value, all int, p Progress, err error) {
	at := slices.IndexFunc(dimensions, func(d dimension) bool { return d.name == by })
	if at < 0 {
		return nil, 0, p, fmt.Errorf("values of %q are not known: give one of %s", by, strings.Join(Dimensions(), ", "))
	}
	if by == "principal" || by == "credential" {
		return nil, 0, p, ErrNoMemo // there may be as many as accesses
	}
	k, err := m.know(ctx, e, filter, valuesOf(by), until)
	if err != nil {
		return nil, 0, p, err
	}
	known := &valueSums{}
	if k.sums != nil {
		known = k.sums.(*valueSums)
	}
	q, err := e.ask(filter)
	if err != nil {
		return nil, 0, p, err
	}
	defer q.done()
	rest, err := q.readValues(ctx, dimensions[at], k.rest)
	if err != nil {
		return nil, 0, p, err
	}
	out := topValues{n: n}
	all = known.len()
	for v, count := range rest {
		had := known.of(v)
		if had == 0 {
			all++
		}
		out.take(Value{v, had + count})
	}
	// Of the others, those with most are known; only if too few of these are not among the rest, all are looked at.
	best, others := out, 0
	best.list = slices.Clone(out.list)
	for _, v := range known.top {
		if _, ok := rest[v.Value]; !ok {
			others++
			best.take(v)
		}
	}
	if others < n && len(known.top) < known.len() {
		best = out
		known.into(&best, by, rest)
	}
	return best.list, all, k.Progress, nil
}

// valuesOf is the kind of Values by a dimension.
func valuesOf(by string) memoKind {
	return memoKind{what: "values " + by, more: func(ctx context.Context, q *question, old sums, blocks []int, until time.Time) (sums, []asked, []int, error) {
		return valuesMore(ctx, q, by, old, blocks, until)
	}}
}

// readValues counts the values of parts that have no block.
func (q *question) readValues(ctx context.Context, d dimension, parts []int) (map[string]int64, error) {
	all := map[string]int64{}
	var mu sync.Mutex
	slices.Sort(parts)
	err := q.scanParts(ctx, q.columns()|d.cols, append([]int{}, parts...), func() (work, func(ledger.Part) bool) {
		return func(c *chunk) error {
			column := d.open(c.Chunk)
			counts := make([]int64, column.n)
			err := c.hits(0, func(h *hit) { counts[column.codes[h.row]]++ })
			mu.Lock()
			defer mu.Unlock()
			for code, n := range counts {
				if n > 0 {
					if v := column.value(uint32(code)); v != "" {
						q.addValue(all, v, n)
					}
				}
			}
			return err
		}, nil
	})
	return all, err
}

// addValue adds to a value, and keeps a copy of its text.
func (q *question) addValue(to map[string]int64, v string, n int64) {
	if _, ok := to[v]; !ok {
		q.budget.take(len(v) + valueBytes) // a question that has spent its budget is given up soon
		v = strings.Clone(v)
	}
	to[v] += n
}

// valuesMore reads on for Values.
func valuesMore(ctx context.Context, q *question, by string, old sums, blocks []int, until time.Time) (sums, []asked, []int, error) {
	b := &blockTop{topper: &topper{}, q: q, by: by, open: blockDimensions[by]}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &valueSums{counts: map[string]int64{}}
	var runs []addrCounts
	if old != nil {
		had := old.(*valueSums)
		s.counts, runs = maps.Clone(had.counts), append(runs, had.addrs)
	}
	var done []asked
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range max(1, min(q.workers, len(blocks))) {
		wg.Go(func() {
			w := &topWorker{blockReader: newBlockReader(q), top: b, zone: days{zone: q.zone}, batch: new(topBatch)}
			w.lazy, w.later = true, true
			for ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(blocks) || at >= q.workers && late(until) {
					return
				}
				count := func(w *topWorker) error {
					counts, err := w.values()
					if err != nil {
						return err
					}
					own, behind := w.addrs(by, counts)
					mu.Lock()
					defer mu.Unlock()
					if own != nil {
						runs = append(runs, own)
					}
					for number, n := range counts {
						if n == 0 || number <= behind {
							continue
						}
						v, err := w.value(number)
						if err != nil {
							return err
						}
						if v != "" {
							q.addValue(s.counts, v, n)
						}
					}
					return nil
				}
				err := index.Guarded(func() error { return w.block(ctx, blocks[at], count) })
				if err == nil && q.budget.spent() {
					err = ErrMemory
				}
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				done = append(done, asked{blocks[at], w.issued})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, nil, nil, err
	}
	done = slices.DeleteFunc(done, func(x asked) bool { return slices.Contains(b.missed, x.part) })
	var ok bool
	if s.addrs, ok = joinAddrs(runs); !ok || q.budget.spent() {
		return nil, nil, nil, ErrNoMemo
	}
	top := topValues{n: topKept}
	s.into(&top, by, nil)
	s.top = top.list
	s.size = int64(len(s.addrs))*addrBytes + int64(topKept)*valueBytes
	for v := range s.counts {
		s.size += int64(len(v)) + valueBytes
	}
	return s, done, b.missed, nil
}

// values counts the accesses of a block that match, by the number of their value.
func (w *topWorker) values() ([]int64, error) {
	counts := make([]int64, w.codes())
	if w.failed(w.alike(counts)) {
		return nil, w.err
	}
	if counts[0] >= 0 {
		return counts, nil
	}
	clear(counts)
	w.rows(nil, nil, func(b *topBatch) {
		for i := range b.n {
			counts[b.code[i]] += int64(b.bits[i] & rowFirst)
		}
	})
	return counts, w.err
}

// alike counts without looking at rows one by one, where whole origins match or the shape says all; else it sets the first count to -1.
func (w *topWorker) alike(counts []int64) error {
	t := w.q.terms[0]
	counts[0] = -1
	if w.masks != nil || w.ranges != nil || len(w.versions) > 1 || len(t.subject) > 0 || t.issued != nil || w.from < t.from || w.to >= t.to {
		return nil
	}
	shapes := w.versions[0].shapes
	if w.dim.shapes != nil {
		counts[0] = 0
		of, low := make([]int64, len(shapes)), uint64(1)<<w.b.ShapeBits()-1
		for _, s := range w.rowSpans() {
			if err := w.b.CheckRows(s.From, s.To, false); err != nil {
				return err
			}
			for lo := s.From; lo < s.To; lo += batchRows {
				who := w.batch.who[:min(batchRows, s.To-lo)]
				w.who.Fill(who, lo)
				for _, v := range who {
					of[v&low]++
				}
			}
		}
		for i, n := range of {
			if s := shapes[i]; n > 0 && s.pass&1 != 0 && s.shape.First {
				counts[w.dim.shapes[i]] += n
			}
		}
		return nil
	}
	for _, s := range shapes[:w.shapes.Len()] {
		if s.pass&1 == 0 || !s.shape.First {
			return nil
		}
	}
	counts[0] = 0
	for _, s := range w.spans {
		lo := w.starts.At(s.from)
		for o := s.from; o < s.to; o++ {
			hi, code := w.start(o+1), w.code(o)
			if w.dim.same != nil {
				code = w.dim.same[code]
			}
			counts[code] += int64(hi - lo)
			lo = hi
		}
	}
	return nil
}
