package scope

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw/internal/index"
)

// How the largest groups are found without counting all: a group's rows in a block that disclosed somebody are at least
// as many as its subjects there. So the few groups with the most such rows are counted out first. They set a
// bar; of the rest, only those are counted out that could reach it. If a day's rows lie in m blocks, a group that reaches
// the bar has a share of at least 1/m of it in one of them.
const topCells = 1 << 26 // days times values that are counted in a block

// topFirst is how many groups of each block are counted out first. Tests set it lower.
var topFirst = 64

// blockValues is a dimension in a block: its column, and the values of its codes, "" for missing.
type blockValues struct {
	column index.Column
	n      int // codes, that of missing among them
	value  func(code int) string
	find   func(value string, fn func(code int)) // the codes of a value
	alike  func(code int) bool                   // it has the same value as the code before; nil: no code has
}

func textValues(of func(b *index.Block) (index.Column, index.Texts, error)) func(b *index.Block) (blockValues, bool, error) {
	return func(b *index.Block) (blockValues, bool, error) {
		c, dict, err := of(b)
		return blockValues{column: c, n: dict.Len() + 1, value: dict.At, find: func(value string, fn func(code int)) {
			if code := dict.Find(value); code > 0 {
				fn(code)
			}
		}}, true, err
	}
}

// addrValues is for addresses and their networks. It reports false for a block with IPv4 addresses in IPv6 form: they stand for
// the others, but not beside them.
func addrValues(bits4, bits6 int, text func(a netip.Addr) string) func(b *index.Block) (blockValues, bool, error) {
	return func(b *index.Block) (blockValues, bool, error) {
		c, dict, err := b.IP()
		if err != nil {
			return blockValues{}, false, err
		}
		if from, to := dict.Between(mappedFirst, mappedLast); from < to {
			return blockValues{}, false, nil
		}
		prefix := func(code int) netip.Prefix {
			a, bits := dict.At(code), bits6
			if a.Is4() {
				bits = bits4
			}
			return netip.PrefixFrom(a, bits).Masked()
		}
		v := blockValues{column: c, n: dict.Len() + 1}
		v.value = func(code int) string {
			if code == 0 {
				return ""
			}
			return text(dict.At(code))
		}
		v.find = func(value string, fn func(code int)) {
			n, err := netip.ParsePrefix(value)
			if a, err2 := netip.ParseAddr(value); err2 == nil {
				n, err = netip.PrefixFrom(a, a.BitLen()), nil
			}
			if err != nil {
				return
			}
			s := newNetworkSet(map[netip.Prefix]struct{}{n: {}})
			from, to := dict.Between(s.ranges[0].first, s.ranges[0].last)
			for code := from; code < to; code++ {
				fn(code)
			}
		}
		if bits4 < 32 {
			v.alike = func(code int) bool { return code > 1 && prefix(code) == prefix(code-1) }
		}
		return v, true, nil
	}
}

func asnValues(b *index.Block) (blockValues, bool, error) {
	c, dict, err := b.ASN()
	text := func(code int) string {
		if code == 0 {
			return ""
		}
		return strconv.FormatUint(dict.Value(code), 10)
	}
	return blockValues{column: c, n: dict.Len() + 1, value: text, find: func(value string, fn func(code int)) {
		for code := 1; code <= dict.Len(); code++ {
			if text(code) == value {
				fn(code)
			}
		}
	}}, true, err
}

// blockDimensions are the dimensions that blocks have; ok is false if a block cannot tell after all.
var blockDimensions = map[string]func(b *index.Block) (v blockValues, ok bool, err error){
	"ip":      addrValues(32, 128, netip.Addr.String),
	"network": addrValues(24, 48, network),
	"key":     textValues((*index.Block).Key),
	"client":  textValues((*index.Block).Client),
	"country": textValues((*index.Block).Country),
	"asn":     asnValues,
	"agent":   textValues((*index.Block).Agent),
	"tls":     textValues((*index.Block).TLS),
	"source":  textValues((*index.Block).Source),
}

// blockTop is a call of Top that asks blocks.
type blockTop struct {
	*topper
	q      *question
	open   func(b *index.Block) (blockValues, bool, error)
	blocks []int

	mu       sync.Mutex
	missed   []int
	over     bool // too many days and values to count
	accesses []int64
}

// bounded is a group with rows in a block.
type bounded struct {
	groupKey
	rows int64
}

// topBlocks gives what asks blocks for the largest groups, and the parts that must be read; nil if blocks cannot tell.
func (q *question) topBlocks(t *topper, by string, limit int) (*blockTop, []int) {
	open, ok := blockDimensions[by]
	if !ok || limit == 0 || !q.inBlocks() {
		return nil, nil
	}
	blocks, rest := q.split()
	if len(blocks) == 0 {
		return nil, nil
	}
	return &blockTop{topper: t, q: q, open: open, blocks: blocks}, rest
}

// run finds the groups that the answer is taken from, when the parts that have no block were read: their members are in
// members, and have gives how many each group has. It reports false if all parts must be read.
func (b *blockTop) run(ctx context.Context, limit int, scanned []int64, accesses []int64) (groups []uint32, all []int64, ok bool, err error) {
	b.accesses = accesses
	first := map[groupKey]int64{}
	for g, n := range scanned {
		first[b.groups.list[g]] += n
	}
	shares := map[int64]int64{} // blocks by day
	err = b.each(ctx, func(w *topWorker) error {
		cells, err := w.count()
		if err != nil || cells == nil {
			return err
		}
		top := w.best(cells, topFirst)
		b.mu.Lock()
		defer b.mu.Unlock()
		for day := range cells {
			shares[w.firstDay+int64(day)]++
		}
		for _, x := range top {
			first[x.groupKey] += x.rows
		}
		return nil
	})
	if err != nil || b.over || len(b.missed) > 0 {
		return nil, nil, false, err
	}
	begin := make([]bounded, 0, len(first))
	for k, n := range first {
		begin = append(begin, bounded{k, n})
	}
	slices.SortFunc(begin, func(x, y bounded) int { return cmp.Compare(y.rows, x.rows) })
	chosen := map[groupKey]uint32{}
	for _, x := range begin[:min(len(begin), max(topFirst, 2*limit))] {
		chosen[x.groupKey] = b.groups.id(x.groupKey)
	}
	if len(chosen) < limit {
		return nil, nil, false, nil
	}
	if err := b.exact(ctx, chosen); err != nil {
		return nil, nil, false, err
	}
	subjects := b.members.count(len(b.groups.list))
	var sizes []int64
	for _, g := range chosen {
		sizes = append(sizes, subjects[g])
	}
	slices.Sort(sizes)
	bar := sizes[len(sizes)-limit]
	if bar == 0 {
		return nil, nil, false, nil
	}
	more := map[groupKey]uint32{}
	for g, n := range scanned {
		if k := b.groups.list[g]; n*(shares[k.slot]+1) >= bar {
			more[k] = uint32(g)
		}
	}
	err = b.each(ctx, func(w *topWorker) error {
		cells, err := w.count()
		if err != nil {
			return err
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for day, rows := range cells {
			least := (bar + shares[w.firstDay+int64(day)]) / (shares[w.firstDay+int64(day)] + 1) // of the blocks and the rest
			for code, n := range rows {
				if int64(n) >= least && n > 0 {
					if k, ok := w.group(day, code); ok {
						more[k] = b.groups.id(k)
					}
				}
			}
		}
		return nil
	})
	for k := range chosen {
		delete(more, k)
	}
	if err == nil {
		err = b.exact(ctx, more)
	}
	for _, of := range []map[groupKey]uint32{chosen, more} {
		for _, g := range of {
			groups = append(groups, g)
		}
	}
	for len(b.accesses) < len(b.groups.list) {
		b.accesses = append(b.accesses, 0)
	}
	return groups, b.accesses, true, err
}

// topWorker is one worker's way through the blocks.
type topWorker struct {
	blockReader
	top      *blockTop
	zone     days
	values   blockValues
	masks    []uint64
	spans    []span32
	firstDay int64
	ids      []uint32 // of values by code, + 2; 1: missing
	sum      *memberWriter
}

// each calls fn with each block, on all workers.
func (b *blockTop) each(ctx context.Context, fn func(w *topWorker) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, min(b.q.workers, len(b.blocks))) {
		wg.Go(func() {
			w := &topWorker{blockReader: newBlockReader(b.q), top: b, zone: days{zone: b.q.zone}, sum: b.members.writer()}
			defer w.sum.flush()
			for ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(b.blocks) {
					return
				}
				err := w.block(ctx, b.blocks[at], fn)
				if err == nil && b.q.budget.spent() {
					err = ErrMemory
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (w *topWorker) block(ctx context.Context, part int, fn func(w *topWorker) error) error {
	var ok bool
	var err error
	if w.masks, w.spans, ok, err = w.begin(ctx, part); err != nil {
		return err
	}
	if ok && len(w.spans) > 0 {
		if w.values, ok, err = w.top.open(w.b); ok && err == nil {
			w.firstDay, w.ids = w.zone.of(w.from), make([]uint32, w.values.n)
			return fn(w)
		}
		ok, err = false, bypass(err)
	}
	if !ok {
		w.top.mu.Lock()
		w.top.missed = append(w.top.missed, part)
		w.top.mu.Unlock()
	}
	return err
}

// hits calls fn with the rows that match.
func (w *topWorker) hits(wanted func(o int) bool, fn func(o int, s *blockShape, subject uint64, t int64)) {
	shift, low := w.b.ShapeBits(), uint64(1)<<w.b.ShapeBits()-1
	compares := map[uint64]bool{}
	w.blockReader.each(w.masks, w.spans, func(o, lo, hi int, mask uint64) {
		if !wanted(o) {
			return
		}
		compare, ok := compares[mask]
		if !ok {
			compare = w.compares(mask)
			compares[mask] = compare
		}
		v := w.versions[0]
		for i := lo; i < hi; i++ {
			who, t := w.who.At(i), w.b.Time(i)
			if compare {
				v = w.at(v, t)
			}
			s := v.shapes[who&low]
			if s.pass&mask != 0 && (!compare || w.matches(mask&s.pass, s, i, who>>shift, t)) {
				fn(o, s, who>>shift, t)
			}
		}
	})
}

// count gives by day, from firstDay on, and code how many rows disclosed a subject. nil: there are too many of both.
func (w *topWorker) count() ([][]uint32, error) {
	last := w.zone.of(w.to)
	if (last-w.firstDay+1)*int64(w.values.n) > topCells {
		w.top.mu.Lock()
		w.top.over = true
		w.top.mu.Unlock()
		return nil, nil
	}
	cells := make([][]uint32, last-w.firstDay+1)
	for i := range cells {
		cells[i] = make([]uint32, w.values.n)
	}
	w.hits(func(int) bool { return true }, func(o int, s *blockShape, _ uint64, t int64) {
		if s.disclosed && s.shape.Subject {
			cells[w.zone.of(t)-w.firstDay][w.values.column.At(o)]++
		}
	})
	if w.values.alike != nil {
		w.fold(cells)
	}
	return cells, nil
}

// fold puts the rows of codes with the same value under the first of them.
func (w *topWorker) fold(cells [][]uint32) {
	to := 1
	for code := 1; code < w.values.n; code++ {
		if !w.values.alike(code) {
			to = code
			continue
		}
		for _, rows := range cells {
			rows[to], rows[code] = rows[to]+rows[code], 0
		}
	}
}

// best gives the n groups with the most rows.
func (w *topWorker) best(cells [][]uint32, n int) []bounded {
	type cell struct {
		day, code int
		rows      uint32
	}
	var list []cell
	cut := func() {
		slices.SortFunc(list, func(a, b cell) int { return cmp.Compare(b.rows, a.rows) })
		list = list[:min(n, len(list))]
	}
	least := uint32(0)
	for day, rows := range cells {
		for code, k := range rows {
			if k > least {
				if list = append(list, cell{day, code, k}); len(list) >= 8*n {
					cut()
					least = list[n-1].rows
				}
			}
		}
	}
	cut()
	var out []bounded
	for _, c := range list {
		if k, ok := w.group(c.day, c.code); ok {
			out = append(out, bounded{k, int64(c.rows)})
		}
	}
	return out
}

// valueID gives the question's number of a code's value; false if it stands for a missing one.
func (w *topWorker) valueID(code int) (uint32, bool) {
	if w.ids[code] == 0 {
		w.ids[code] = 1
		if v := w.values.value(code); v != "" {
			w.ids[code] = w.top.values.id(v) + 2
		}
	}
	return w.ids[code] - 2, w.ids[code] > 1
}

func (w *topWorker) group(day, code int) (groupKey, bool) {
	id, ok := w.valueID(code)
	return groupKey{w.firstDay + int64(day), id}, ok
}

// exact counts groups out.
func (b *blockTop) exact(ctx context.Context, groups map[groupKey]uint32) error {
	values := map[string]uint32{}
	for k := range groups {
		values[b.values.name(k.value)] = k.value
	}
	if len(groups) == 0 {
		return nil
	}
	return b.each(ctx, func(w *topWorker) error {
		ids := make([]uint32, w.values.n) // of the values asked for, + 1
		any := false
		for value, id := range values {
			w.values.find(value, func(code int) { ids[code], any = id+1, true })
		}
		if !any {
			return nil
		}
		accesses := map[uint32]int64{}
		w.hits(func(o int) bool { return ids[w.values.column.At(o)] != 0 }, func(o int, s *blockShape, subject uint64, t int64) {
			g, ok := groups[groupKey{w.zone.of(t), ids[w.values.column.At(o)] - 1}]
			if !ok {
				return
			}
			if s.shape.First {
				accesses[g]++
			}
			if s.disclosed && s.shape.Subject {
				w.sum.add(g, w.key(subject), w.realmID(o))
			}
		})
		b.mu.Lock()
		defer b.mu.Unlock()
		for g, n := range accesses {
			for len(b.accesses) <= int(g) {
				b.accesses = append(b.accesses, 0)
			}
			b.accesses[g] += n
		}
		return nil
	})
}
