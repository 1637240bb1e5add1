package scope

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// topWorker is one worker's way through the blocks.
type topWorker struct {
	blockReader
	top   *blockTop
	part  int
	zone  days
	dim   blockDim
	masks []uint64
	spans []span32
	batch *topBatch

	dense       map[uint64]uint32 // numbers of codes, where codes are too large
	codeOf      []uint64
	read        *ledger.Texts
	startsAhead ahead
	codesAhead  ahead
	counts      []uint32
	last        []uint64
	places      []int32 // see want
	err         error   // rows are not as they were written
}

// texts gives the strings that the segment keeps.
func (w *topWorker) texts() (*ledger.Texts, error) {
	if w.read == nil {
		var err error
		if w.read, err = w.q.view.Texts(w.part); err != nil {
			return nil, err
		}
	}
	return w.read, nil
}

// each calls fn with blocks, on all workers.
func (b *blockTop) each(ctx context.Context, blocks []int, fn func(w *topWorker) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range max(1, min(b.q.workers, len(blocks))) {
		wg.Go(func() {
			w := &topWorker{blockReader: newBlockReader(b.q), top: b, zone: days{zone: b.q.zone}, batch: new(topBatch)}
			w.lazy, w.later = true, true
			for ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(blocks) {
					return
				}
				err := index.Guarded(func() error { return w.block(ctx, blocks[at], fn) })
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

func (w *topWorker) block(ctx context.Context, part int, fn func(w *topWorker) error) (err error) {
	w.part, w.startsAhead.n, w.codesAhead.n, w.err = part, 0, 0, nil
	var ok bool
	if w.masks, w.spans, ok, err = w.begin(ctx, part); err != nil {
		return err
	}
	defer func() {
		if w.read != nil {
			err = errors.Join(err, w.read.Close())
			w.read = nil
		}
	}()
	if ok && len(w.spans) > 0 {
		if w.dim, ok, err = w.top.open(w); ok && err == nil {
			w.dense, w.codeOf = nil, nil
			if w.dim.runs != nil && w.dim.n > denseFrom {
				// The number of index.PrincipalOwn stays its code: rows are told by it that have no other.
				w.dense, w.codeOf = map[uint64]uint32{index.PrincipalOwn: index.PrincipalOwn}, []uint64{0, index.PrincipalOwn}
			}
			err = fn(w)
			var damage *index.DamageError
			if ok = !errors.As(err, &damage); ok {
				return err
			}
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

// changes counts by number how often the subject changes among a value's rows, and the rows by day.
func (w *topWorker) changes(byDay map[int64]int64) []uint32 {
	n := w.codes()
	if cap(w.counts) < n {
		w.counts, w.last = make([]uint32, n), make([]uint64, n)
	}
	counts, last := w.counts[:n], w.last[:n]
	clear(counts)
	day, begin, until := int64(0), int64(math.MaxInt64), int64(math.MinInt64)
	w.rows(nil, nil, func(b *topBatch) {
		rows := int64(0)
		for i := range b.n {
			if t := b.time[i]; byDay != nil && (t < begin || t >= until) {
				byDay[day] += rows
				day, begin, until = w.dayOf(t)
				rows = 0
			}
			if b.bits[i]&rowCounted == 0 {
				continue
			}
			rows++
			code, who := b.code[i], b.subject[i]<<24|uint64(b.realm[i])
			if counts[code] == 0 || last[code] != who {
				counts[code]++
				last[code] = who
			}
		}
		if byDay != nil {
			byDay[day] += rows
		}
	})
	if n := byDay[0]; n == 0 && begin > 0 {
		delete(byDay, 0) // before the first row
	}
	counts[0] = 0
	return counts
}

// dayOf gives a day, and from when to when nothing else is.
func (w *topWorker) dayOf(t int64) (day, from, until int64) {
	d := w.zone.of(t)
	from = d*86_400_000 - w.zone.offset
	return d, max(from, w.zone.from), min(from+86_400_000, w.zone.until)
}

// fewValues is up to how many values a block is counted out at once.
const fewValues = 256

// survey notes how much of which days a block has; with first, it counts out the values with the most changes.
func (w *topWorker) survey(first bool) error {
	b := w.top
	first = first && w.dim.distinct() > fewValues
	byDay, values, err := w.outline(first)
	if err != nil {
		return err
	}
	var lines []topLine
	if first && len(values) > 0 {
		if lines, err = w.countOut(values); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun = append(b.begun, lines...)
	for day, n := range byDay {
		b.note(day, w.part, n)
	}
	if w.dim.distinct() <= fewValues {
		b.few++
	}
	return nil
}

// outline gives how many rows of which days there are, or at most, and with first the numbers of the values with the most changes.
func (w *topWorker) outline(first bool) (byDay map[int64]int64, values []uint32, err error) {
	most := max(topFirst, w.top.limit)
	byDay = map[int64]int64{}
	tops, list, err := w.tops()
	if err != nil {
		return nil, nil, err
	}
	if tops == nil || first && list == nil {
		counts := w.changes(byDay)
		if first {
			values = largest(counts, most)
		}
		return byDay, values, w.err
	}
	var best []index.Top // of each day that is asked for
	for i, n := range tops.Rows {
		asked := false
		w.overlapped(tops.FirstDay+int64(i), func(day int64) {
			byDay[day] += n
			asked = true
		})
		if !asked || !first {
			continue
		}
		left := most
		list.Each(tops.FirstDay+int64(i), func(x index.Top) bool {
			best = append(best, x)
			left--
			return left > 0
		})
	}
	slices.SortFunc(best, func(x, y index.Top) int {
		return cmp.Or(cmp.Compare(y.Changes, x.Changes), cmp.Compare(x.Day, y.Day), cmp.Compare(x.Code, y.Code))
	})
	seen := map[uint64]bool{}
	for _, x := range best {
		if !seen[x.Code] && len(values) < most {
			seen[x.Code] = true
			values = append(values, w.number(x.Code))
		}
	}
	return byDay, values, nil
}

// tops gives what the block says of its largest, if that says something about the question: it is about times alone; and of the
// dimension, nil if there is no list.
func (w *topWorker) tops() (*index.Tops, *index.TopList, error) {
	if !w.q.timesOnly() {
		return nil, nil, nil
	}
	t, ok, err := w.b.Tops()
	if err != nil || !ok {
		return nil, nil, err
	}
	if of, ok := topsOf[w.top.by]; ok {
		return &t, t.Of(of), nil
	}
	return &t, nil, nil
}

var topsOf = map[string]index.TopsOf{
	"ip": index.TopsIP, "network": index.TopsNetwork, "principal": index.TopsPrincipal, "credential": index.TopsCredential,
	"agent": index.TopsAgent,
}

// timesOnly reports whether the terms ask for nothing but times.
func (q *question) timesOnly() bool {
	return !slices.ContainsFunc(q.terms, func(t *term) bool {
		return len(t.texts) > 0 || t.classes != nil || t.nets != nil || t.asn != nil || t.status != nil || t.field != nil || t.outcome != nil ||
			t.issued != nil || t.expl != nil || len(t.subject) > 0
	})
}

// overlapped calls fn with the days of the question's zone in which some of a UTC day that is asked for lies.
func (w *topWorker) overlapped(utc int64, fn func(day int64)) {
	from, until := max(utc*day, w.from), min(utc*day+day-1, w.to)
	if !slices.ContainsFunc(w.q.terms, func(t *term) bool { return t.from <= until && t.to > from }) {
		return
	}
	for d, last := w.zone.of(from), w.zone.of(until); d <= last; d++ {
		fn(d)
	}
}

// countOut counts values out in this block alone.
func (w *topWorker) countOut(values []uint32) ([]topLine, error) {
	b := w.top
	wanted := w.want(values)
	defer w.unwant(values)
	sums := map[[2]int64]*subjectSet{} // by place in values, with the realm, and day
	w.rows(values, wanted, func(x *topBatch) {
		for i := range x.n {
			if at := wanted[x.code[i]]; at > 0 && x.bits[i]&rowCounted != 0 {
				k := [2]int64{int64(at-1)<<32 | int64(x.realm[i]), w.zone.of(x.time[i])}
				if sums[k] == nil {
					sums[k] = &subjectSet{}
				}
				sums[k].add(&b.sets, w.key(x.subject[i]))
			}
		}
	})
	if w.err != nil {
		return nil, w.err
	}
	subjects := map[[2]int64]int64{}
	for k, s := range sums {
		subjects[[2]int64{k[0] >> 32, k[1]}] += s.len(&b.sets)
		s.drop(&b.sets)
	}
	lines := make([]topLine, 0, len(subjects))
	for k, n := range subjects {
		lines = append(lines, topLine{topGroup: topGroup{day: k[1]}, subjects: n, accesses: k[0]})
	}
	slices.SortFunc(lines, compareTop)
	lines = lines[:min(len(lines), max(topFirst, 2*b.limit))]
	for i := range lines {
		v, err := w.value(int(values[lines[i].accesses]))
		if err != nil {
			return nil, err
		}
		lines[i].value = strings.Clone(v)
	}
	return slices.DeleteFunc(lines, func(x topLine) bool { return x.value == "" }), nil
}

// reaching gives the groups of the days from first to last that have so many changes in this block that they can reach the bar.
func (w *topWorker) reaching(bar, first, last int64) (map[topGroup]int64, error) {
	least, lowest := map[int64]int64{}, int64(math.MaxInt64)
	w.top.mu.Lock()
	for day, of := range w.top.days {
		if _, ok := of[w.part]; ok && day >= first && day <= last {
			least[day] = w.top.least(day, w.part, bar)
			lowest = min(lowest, least[day])
		}
	}
	w.top.mu.Unlock()
	if lowest == math.MaxInt64 {
		return nil, nil
	}
	cells, ok, err := w.listed(least)
	if err == nil && !ok {
		cells = w.counted(least, lowest)
		err = w.err
	}
	if err != nil {
		return nil, err
	}
	out, known := map[topGroup]int64{}, map[string]int{}
	for k, changes := range cells {
		if len(out) > topMore {
			break // it is too many anyway
		}
		v, err := w.value(int(k.number))
		if err != nil {
			return nil, err
		}
		if v != "" {
			v = strings.Clone(v)
			out[topGroup{k.day, v}] += changes
			if known[v] = int(k.number); w.dense != nil {
				known[v] = int(w.codeOf[k.number])
			}
		}
	}
	w.top.mu.Lock()
	defer w.top.mu.Unlock()
	w.top.known[w.part] = known
	return out, nil
}

// topCell is a day and a number in a block.
type topCell struct {
	day    int64
	number uint32
}

// listed gives those that reach the least of their days by what the block says of its largest; ok is false if others may, too.
func (w *topWorker) listed(least map[int64]int64) (cells map[topCell]int64, ok bool, err error) {
	tops, list, err := w.tops()
	if err != nil || list == nil {
		return nil, false, err
	}
	// By day, what the UTC days that it has some of leave for those that are not listed.
	rest, first, last, split := map[int64]int64{}, tops.FirstDay, tops.FirstDay+int64(len(tops.Rows)), false
	for utc := first; utc < last; utc++ {
		w.overlapped(utc, func(day int64) {
			_, ok := rest[day]
			split = split || ok
			if _, ok := least[day]; ok {
				rest[day] += list.Rest(utc)
			}
		})
	}
	for day, n := range rest {
		if n >= least[day] {
			return nil, false, nil
		}
	}
	cells = map[topCell]int64{}
	for utc := first; utc < last; utc++ {
		list.Each(utc, func(x index.Top) bool {
			more := false // further down there may be some that reach the least of a day
			w.overlapped(utc, func(day int64) {
				if _, ok := least[day]; !ok {
					return
				}
				k := topCell{day, w.number(x.Code)}
				if _, ok := cells[k]; !ok {
					cells[k] = rest[day]
				}
				cells[k] += x.Changes - list.Rest(utc)
				more = more || split || x.Changes >= least[day]
			})
			return more
		})
	}
	for k := range cells {
		if cells[k] < least[k.day] {
			delete(cells, k)
		}
	}
	return cells, true, nil
}

// bounds gives what groups have in this block at most; ok is false if it does not say.
func (w *topWorker) bounds(asked map[int64][]string) (out map[topGroup]int64, ok bool, err error) {
	tops, list, err := w.tops()
	if err != nil || list == nil {
		return nil, false, err
	}
	codes, err := w.codesOf(asked)
	if err != nil {
		return nil, false, err
	}
	out = map[topGroup]int64{}
	for i := range tops.Rows {
		utc := tops.FirstDay + int64(i)
		w.overlapped(utc, func(day int64) {
			if len(asked[day]) == 0 {
				return
			}
			listed := map[string]int64{}
			list.Each(utc, func(x index.Top) bool {
				for _, v := range codes[x.Code] {
					listed[v] = max(listed[v], x.Changes)
				}
				return true
			})
			for _, v := range asked[day] {
				n, ok := listed[v]
				if !ok {
					n = list.Rest(utc)
				}
				out[topGroup{day, v}] += n
			}
		})
	}
	return out, true, nil
}

// codesOf gives the values that a code may stand for, of those asked for.
func (w *topWorker) codesOf(asked map[int64][]string) (map[uint64][]string, error) {
	ids, list := map[string]uint32{}, []string(nil)
	for _, values := range asked {
		for _, v := range values {
			if _, ok := ids[v]; !ok {
				ids[v], list = uint32(len(list)), append(list, v)
			}
		}
	}
	out := map[uint64][]string{}
	if w.dim.guess != nil {
		for _, v := range list {
			for _, code := range w.dim.guess(v) {
				out[code] = append(out[code], v)
			}
		}
		return out, nil
	}
	err := w.dim.find(ids, func(code int, id uint32) { out[uint64(code)] = append(out[uint64(code)], list[id]) })
	return out, err
}

// counted gives those that reach the least of their days by counting their changes.
func (w *topWorker) counted(least map[int64]int64, lowest int64) map[topCell]int64 {
	counts, values := w.changes(nil), []uint32(nil)
	for number, n := range counts {
		if int64(n) >= lowest {
			values = append(values, uint32(number))
		}
	}
	if len(values) == 0 {
		return nil
	}
	wanted := w.want(values)
	defer w.unwant(values)
	type cell struct{ changes, last uint64 }
	first := w.zone.of(w.from)
	days := w.zone.of(w.to) - first + 1
	direct := days*int64(len(values)) <= topCells
	var all []cell
	var others map[[2]int64]*cell
	if direct {
		all = make([]cell, days*int64(len(values)))
	} else {
		others = map[[2]int64]*cell{}
	}
	w.rows(values, wanted, func(x *topBatch) {
		for i := range x.n {
			v := wanted[x.code[i]]
			if v == 0 || x.bits[i]&rowCounted == 0 {
				continue
			}
			var at *cell
			if k := [2]int64{int64(v - 1), w.zone.of(x.time[i]) - first}; direct {
				at = &all[k[0]*days+k[1]]
			} else if at = others[k]; at == nil {
				at = &cell{}
				others[k] = at
			}
			if who := x.subject[i]<<24 | uint64(x.realm[i]); at.changes == 0 || at.last != who {
				at.changes, at.last = at.changes+1, who
			}
		}
	})
	out := map[topCell]int64{}
	keep := func(v, d int64, changes uint64) {
		day := first + d
		if n, ok := least[day]; ok && changes > 0 && int64(changes) >= n {
			out[topCell{day, values[v]}] = int64(changes)
		}
	}
	for i := range all {
		keep(int64(i)/days, int64(i)%days, all[i].changes)
	}
	for k, c := range others {
		keep(k[0], k[1], c.changes)
	}
	return out
}

// count counts groups out.
func (w *topWorker) count(c *counting) error {
	names := []uint32{0} // by place, the value's number
	var wanted []int32
	var values []uint32
	if c.values != nil {
		all, err := w.found(c)
		if err != nil || len(all) == 0 {
			return err
		}
		for _, f := range all {
			values, names = append(values, f.number), append(names, f.id)
		}
		wanted = w.want(values)
		defer w.unwant(values)
	}
	own := counting{names: c.names, groups: map[groupKey]uint32{}} // of this block
	ids := map[uint64]uint32{}                                     // of groups, by number and day, + 1
	var last uint64
	var g uint32 // + 1
	var failed error
	sum := func(number uint32, day int64) *topSum {
		k := uint64(number)<<32 | uint64(uint32(day))
		if g == 0 || k != last {
			last = k
			if g = ids[k]; g == 0 {
				g = w.group(c, &own, number, day, wanted, names, &failed) + 1
				ids[k] = g
			}
		}
		if g == noGroup {
			return nil
		}
		return &own.sums[g-1]
	}
	w.rows(values, wanted, func(x *topBatch) {
		for i := range x.n {
			if wanted != nil && wanted[x.code[i]] == 0 || x.code[i] == 0 {
				continue
			}
			day := w.zone.of(x.time[i])
			if day < c.first || day > c.last {
				continue
			}
			s := sum(x.code[i], day)
			if s == nil {
				continue
			}
			if x.bits[i]&rowFirst != 0 {
				s.accesses++
			}
			if x.bits[i]&rowCounted != 0 {
				s.set(x.realm[i]).add(&w.top.sets, w.key(x.subject[i]))
			}
		}
	})
	if err := errors.Join(failed, w.err); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, k := range own.list {
		s, from := c.sum(c.id(k)), &own.sums[i]
		s.accesses += from.accesses
		for realm, set := range from.realms {
			if set != nil {
				s.set(uint32(realm)).merge(&c.sets, set)
			}
		}
	}
	return nil
}

// foundValue is a value by its number in a block.
type foundValue struct{ number, id uint32 }

// found gives those of the values to be counted that a block may have on the days asked for.
func (w *topWorker) found(c *counting) (all []foundValue, err error) {
	look := map[string]uint32{}
	w.top.mu.Lock()
	known := w.top.known[w.part]
	for v, id := range c.values {
		if !slices.ContainsFunc(c.daysOf[v], func(day int64) bool { _, ok := w.top.days[day][w.part]; return ok }) {
			continue
		}
		if code, ok := known[v]; ok {
			all = append(all, foundValue{w.number(uint64(code)), id})
		} else {
			look[v] = id
		}
	}
	w.top.mu.Unlock()
	if len(look) > 0 {
		err = w.dim.find(look, func(code int, id uint32) { all = append(all, foundValue{w.number(uint64(code)), id}) })
	}
	return all, err
}

// noGroup stands for a group that is not asked for.
const noGroup = math.MaxUint32

// group makes the group of a number and a day in a block's own counting; noGroup - 1 if it is not asked for.
func (w *topWorker) group(c, own *counting, number uint32, day int64, wanted []int32, names []uint32, failed *error) uint32 {
	k := groupKey{slot: day}
	if wanted != nil {
		k.value = names[wanted[number]]
		if _, ok := c.groups[k]; !ok {
			return noGroup - 1
		}
	} else {
		v, err := w.value(int(number))
		if err != nil {
			*failed = err
		}
		if err != nil || v == "" {
			return noGroup - 1
		}
		k.value = c.names.id(v)
	}
	id := own.id(k)
	own.sum(id)
	return id
}
