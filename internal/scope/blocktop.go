package scope

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/whosaw/whosaw"
)

// How the largest groups are found without counting all. What a group has in a block is at most how often the subject changes
// from one of its rows to the next: its changes. First the values with the most changes are counted out in each block, day by day;
// what they have sets a bar. Of the others, only groups that can reach it are counted out: those with enough changes in
// one of the blocks that have much of their day. Where that does not leave out most, all groups are counted, some days at a time.

// topFirst is how many values of each block are counted out first. Tests set it lower.
var topFirst = 64

// topHeld is about how many bytes of subjects are held at once. Tests set it lower.
var topHeld = int64(1 << 28)

// topCells is up to how many values times days have a place each; beyond it a map does.
const topCells = 1 << 22

// topMore is how many groups are held to be counted out one by one, topDays of how many days at a time. Tests set them lower.
var (
	topMore = 1 << 17
	topDays = 16
)

// blockTop is a call of Top that asks blocks.
type blockTop struct {
	*topper
	q      *question
	by     string
	limit  int // 0: all
	open   dimOpener
	blocks []int
	sets   subjectSets
	rest   map[topGroup]*topRest // of the parts that have no block

	mu     sync.Mutex
	missed []int
	few    int                     // blocks that have few values
	known  map[int]map[string]int  // by block, codes of values that were met
	days   map[int64]map[int]int64 // by day, how many of its rows lie in which block; -1 stands for the rest
	begun  []topLine               // counted out in single blocks
	best   []topLine
}

// topGroup is a day and a value.
type topGroup struct {
	day   int64
	value string
}

type topLine struct {
	topGroup
	subjects, accesses int64
}

// topRest is what the parts without a block have of a group.
type topRest struct {
	accesses int64
	members  []member
}

// compareTop orders groups: most subjects first, then by day, then by value.
func compareTop(a, b topLine) int {
	return cmp.Or(cmp.Compare(b.subjects, a.subjects), cmp.Compare(a.day, b.day), strings.Compare(a.value, b.value))
}

// topBlocks gives what asks blocks for the largest groups, and the parts that must be read; nil if blocks cannot tell.
func (q *question) topBlocks(t *topper, by string, limit int) (*blockTop, []int) {
	open, ok := blockDimensions[by]
	if !ok || !q.inBlocks() {
		return nil, nil
	}
	blocks, rest := q.split()
	if len(blocks) == 0 {
		return nil, nil
	}
	b := &blockTop{topper: t, q: q, by: by, limit: limit, open: open, blocks: blocks, days: map[int64]map[int]int64{}, known: map[int]map[string]int{}, sets: subjectSets{b: q.budget}}
	for _, i := range blocks {
		if x := q.index.Block(&q.parts[i]); x != nil && x.LargestSubject() < 1<<32 {
			b.sets.limit = max(b.sets.limit, subjectKey(x.LargestSubject())+1)
		}
	}
	return b, rest
}

// run answers. rest are the parts that have no block. It reports false if a block turned out to be damaged.
func (b *blockTop) run(ctx context.Context, rest []int) ([]whosaw.TopRow, bool, error) {
	first := b.limit > 0 && b.limit <= topMore
	err := b.each(ctx, b.blocks, func(w *topWorker) error { return w.survey(first) })
	if err != nil {
		return nil, false, err
	}
	b.blocks = slices.DeleteFunc(b.blocks, func(i int) bool { return slices.Contains(b.missed, i) })
	rest = append(rest, b.missed...)
	slices.Sort(rest)
	accesses, err := b.read(ctx, b.q, rest)
	if err != nil {
		return nil, false, err
	}
	b.takeRest(accesses)
	done := false
	if first && b.few < len(b.blocks) {
		if done, err = b.largest(ctx); err != nil {
			return nil, false, err
		}
	}
	if !done && !b.spoilt() {
		b.best = nil
		if err := b.all(ctx, slices.Sorted(maps.Keys(b.days))); err != nil {
			return nil, false, err
		}
	}
	if b.q.budget.spent() {
		return nil, false, ErrMemory
	}
	rows := make([]whosaw.TopRow, len(b.best))
	for i, x := range b.best {
		rows[i] = whosaw.TopRow{Day: dayName(x.day), By: b.by, Value: x.value, Subjects: x.subjects, Accesses: x.accesses}
	}
	return rows, !b.spoilt(), nil
}

// takeRest takes what was read of the parts without a block.
func (b *blockTop) takeRest(accesses []int64) {
	b.rest = map[topGroup]*topRest{}
	list := make([]*topRest, len(b.groups.list))
	for g, k := range b.groups.list {
		list[g] = &topRest{accesses: accesses[g]}
		b.rest[topGroup{k.slot, b.values.name(k.value)}] = list[g]
	}
	for i := range b.members.shards {
		for _, m := range b.members.shards[i].slots {
			if m.group != 0 {
				list[m.group-1].members = append(list[m.group-1].members, m)
			}
		}
		b.members.shards[i].slots = nil
	}
	for k, r := range b.rest {
		b.note(k.day, -1, int64(len(r.members)))
	}
}

// note notes how many rows of a day lie in a block.
func (b *blockTop) note(day int64, block int, rows int64) {
	if b.days[day] == nil {
		b.days[day] = map[int]int64{}
	}
	b.days[day][block] += rows
}

// take keeps counted groups, as many as are asked for.
func (b *blockTop) take(lines []topLine) {
	b.best = append(b.best, lines...)
	slices.SortFunc(b.best, compareTop)
	if b.limit > 0 && len(b.best) > b.limit {
		b.best = b.best[:b.limit]
	}
}

// largest finds the answer by a bar. It reports false if all groups must be counted.
func (b *blockTop) largest(ctx context.Context) (bool, error) {
	counted, bar, err := b.bar(ctx)
	if err != nil || bar == 0 || b.spoilt() {
		return false, err
	}
	for _, days := range b.windows() {
		if err := b.reach(ctx, days, bar, counted); err != nil || b.spoilt() {
			return false, err
		}
		if len(b.best) >= b.limit {
			bar = max(bar, b.best[b.limit-1].subjects)
		}
	}
	return true, nil
}

// windows gives the days in order: some at a time if blocks say what is largest, so that few groups are held; else all, because each look reads rows.
func (b *blockTop) windows() [][]int64 {
	days := slices.Sorted(maps.Keys(b.days))
	if !b.listed() {
		return [][]int64{days}
	}
	return slices.Collect(slices.Chunk(days, topDays))
}

// listed reports whether blocks may say what is largest.
func (b *blockTop) listed() bool {
	_, ok := topsOf[b.by]
	return ok && b.q.timesOnly()
}

// reach counts out the groups of some days that can reach the bar, but those that are counted; all groups if too many can.
func (b *blockTop) reach(ctx context.Context, days []int64, bar int64, counted []topGroup) error {
	first, last := days[0], days[len(days)-1]
	groups := map[topGroup]int64{} // and what they have at most
	for k, r := range b.rest {
		if n := int64(len(r.members)); k.day >= first && k.day <= last && n >= b.least(k.day, -1, bar) {
			groups[k] += n
		}
	}
	over := false
	err := b.each(ctx, b.blocksOf(first, last), func(w *topWorker) error {
		found, err := w.reaching(bar, first, last)
		b.mu.Lock()
		defer b.mu.Unlock()
		for k, n := range found {
			groups[k] += n
		}
		if over = over || len(groups) > topMore; over && err == nil {
			return errOver
		}
		return err
	})
	if over {
		b.best = slices.DeleteFunc(b.best, func(x topLine) bool { return x.day >= first && x.day <= last })
		return b.all(ctx, days)
	}
	if err == nil && !b.spoilt() {
		err = b.prune(ctx, groups, bar)
	}
	if err != nil || b.spoilt() {
		return err
	}
	for _, k := range counted {
		delete(groups, k)
	}
	return b.some(ctx, groups)
}

// blocksOf gives the blocks that have some of the days from first to last.
func (b *blockTop) blocksOf(first, last int64) []int {
	return slices.DeleteFunc(slices.Clone(b.blocks), func(i int) bool {
		for day, of := range b.days {
			if _, ok := of[i]; ok && day >= first && day <= last {
				return false
			}
		}
		return true
	})
}

// bar gives how many subjects a group must have: as many groups as are asked for have at least so many; 0 if that is not known.
// Those that it counted out are among the best.
func (b *blockTop) bar(ctx context.Context) (counted []topGroup, bar int64, err error) {
	// What a group has in one block is less than what it has in all: of groups that are told apart it makes a bar.
	for k, r := range b.rest {
		b.begun = append(b.begun, topLine{k, int64(len(r.members)), 0})
	}
	slices.SortFunc(b.begun, compareTop)
	sums, most := map[topGroup]int64{}, []topLine(nil)
	for _, x := range b.begun {
		if _, ok := sums[x.topGroup]; !ok && len(sums) == b.limit-1 {
			bar = x.subjects
		}
		sums[x.topGroup] += x.subjects
	}
	if b.begun = nil; bar == 0 {
		return nil, 0, nil
	}
	// Where many blocks share a day that is far too low: those that seem to have the most are counted out.
	for k, n := range sums {
		most = append(most, topLine{k, n, 0})
	}
	slices.SortFunc(most, compareTop)
	groups := map[topGroup]int64{}
	for _, x := range most[:b.limit] {
		groups[x.topGroup] = x.subjects
		counted = append(counted, x.topGroup)
	}
	if err := b.some(ctx, groups); err != nil || b.spoilt() || len(b.best) < b.limit {
		return nil, 0, err
	}
	return counted, max(bar, b.best[b.limit-1].subjects), nil
}

// some counts out groups, which have about so many subjects, and takes them.
func (b *blockTop) some(ctx context.Context, groups map[topGroup]int64) error {
	list := make([]topGroup, 0, len(groups))
	for k := range groups {
		list = append(list, k)
	}
	slices.SortFunc(list, func(x, y topGroup) int { return cmp.Or(cmp.Compare(x.day, y.day), strings.Compare(x.value, y.value)) })
	for len(list) > 0 {
		n, held := 0, int64(0)
		for n < len(list) && (n == 0 || held < topHeld) {
			held += min(16*groups[list[n]], int64(b.sets.limit)/8+16*int64(b.q.workers))
			n++
		}
		some := list[:n]
		list = list[n:]
		if err := b.count(ctx, some, some[0].day, some[n-1].day); err != nil || b.spoilt() {
			return err
		}
	}
	return nil
}

// prune leaves those of groups that can reach the bar by what all blocks say of them: one that has much in a block may have little in the
// others that have some of its day.
func (b *blockTop) prune(ctx context.Context, groups map[topGroup]int64, bar int64) error {
	if !b.listed() {
		return nil
	}
	asked := map[int64][]string{} // values by day
	for k := range groups {
		asked[k.day] = append(asked[k.day], k.value)
	}
	blocks := slices.DeleteFunc(slices.Clone(b.blocks), func(i int) bool {
		for day := range asked {
			if _, ok := b.days[day][i]; ok {
				return false
			}
		}
		return true
	})
	most, known := map[topGroup]int64{}, true
	err := b.each(ctx, blocks, func(w *topWorker) error {
		bounds, ok, err := w.bounds(asked)
		b.mu.Lock()
		defer b.mu.Unlock()
		known = known && ok
		for k, n := range bounds {
			most[k] += n
		}
		return err
	})
	if err != nil || !known {
		return err
	}
	for k := range groups {
		if r := b.rest[k]; r != nil {
			most[k] += int64(len(r.members))
		}
		if most[k] < bar {
			delete(groups, k)
		}
	}
	return nil
}

// errOver ends a look through the blocks.
var errOver = errors.New("too many groups")

// spoilt reports whether a block turned out to be damaged after all: then nothing holds.
func (b *blockTop) spoilt() bool {
	return len(b.missed) > 0 && slices.ContainsFunc(b.missed, func(i int) bool { return slices.Contains(b.blocks, i) })
}

// least gives how many changes a group must have in one of the blocks that have much of its day, so that it can reach the bar;
// MaxInt64 for the blocks that have little.
func (b *blockTop) least(day int64, block int, bar int64) int64 {
	of := b.days[day]
	sizes := make([]int64, 0, len(of))
	for _, n := range of {
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	little := int64(0)
	for len(sizes) > 1 && little+sizes[0] <= bar/2 {
		little, sizes = little+sizes[0], sizes[1:]
	}
	if of[block] < sizes[0] {
		return math.MaxInt64
	}
	return (bar - little + int64(len(sizes)) - 1) / int64(len(sizes))
}

// all counts all groups of days, which are in order, some days at a time.
func (b *blockTop) all(ctx context.Context, days []int64) error {
	for len(days) > 0 {
		n, held := 0, int64(0)
		for n < len(days) && (n == 0 || held < topHeld) {
			for _, rows := range b.days[days[n]] {
				held += 32 * rows
			}
			n++
		}
		if err := b.count(ctx, nil, days[0], days[n-1]); err != nil || b.spoilt() {
			return err
		}
		days = days[n:]
	}
	return nil
}

// counting is one look through the blocks that counts groups out.
type counting struct {
	*blockTop
	first, last int64             // days
	values      map[string]uint32 // nil: all
	daysOf      map[string][]int64
	names       *names

	mu     sync.Mutex
	groups map[groupKey]uint32
	list   []groupKey
	sums   []topSum
}

// topSum is what a group has: its subjects by the number of the realm.
type topSum struct {
	accesses int64
	realms   []*subjectSet
}

func (s *topSum) set(realm uint32) *subjectSet {
	for len(s.realms) <= int(realm) {
		s.realms = append(s.realms, nil)
	}
	if s.realms[realm] == nil {
		s.realms[realm] = &subjectSet{}
	}
	return s.realms[realm]
}

// count counts groups, or all of some days if only is nil, and takes them.
func (b *blockTop) count(ctx context.Context, only []topGroup, first, last int64) error {
	c := &counting{blockTop: b, first: first, last: last, names: newNames(b.q.budget), groups: map[groupKey]uint32{}}
	if only != nil {
		c.values, c.daysOf = map[string]uint32{}, map[string][]int64{}
		for _, k := range only {
			c.daysOf[k.value] = append(c.daysOf[k.value], k.day)
			c.values[k.value] = c.names.id(k.value)
			c.id(groupKey{k.day, c.values[k.value]})
		}
	}
	if err := b.each(ctx, b.blocksOf(first, last), func(w *topWorker) error { return w.count(c) }); err != nil {
		return err
	}
	for k, r := range b.rest {
		if k.day < first || k.day > last {
			continue
		}
		g := groupKey{k.day, 0}
		if only == nil {
			g.value = c.names.id(k.value)
		} else if id, ok := c.values[k.value]; ok {
			g.value = id
		} else {
			continue
		}
		if _, ok := c.groups[g]; !ok && only != nil {
			continue
		}
		s := c.sum(c.id(g))
		s.accesses += r.accesses
		for _, m := range r.members {
			s.set(m.realm).add(&b.sets, m.key)
		}
	}
	lines := make([]topLine, 0, len(c.list))
	for g, k := range c.list {
		x, s := topLine{topGroup: topGroup{k.slot, c.names.name(k.value)}}, c.sum(uint32(g))
		x.accesses = s.accesses
		for _, set := range s.realms {
			if set != nil {
				x.subjects += set.len(&b.sets)
				set.drop(&b.sets)
			}
		}
		if lines = append(lines, x); len(lines) == cap(lines) || b.limit > 0 && len(lines) > 4*b.limit+1024 {
			b.take(lines)
			lines = lines[:0]
		}
	}
	b.take(lines)
	return nil
}

// id gives the number of a group.
func (c *counting) id(k groupKey) uint32 {
	id, ok := c.groups[k]
	if !ok {
		id = uint32(len(c.list))
		c.groups[k], c.list = id, append(c.list, k)
	}
	return id
}

func (c *counting) sum(g uint32) *topSum {
	for len(c.sums) <= int(g) {
		c.sums = append(c.sums, topSum{})
	}
	return &c.sums[g]
}
