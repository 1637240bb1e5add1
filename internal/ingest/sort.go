package ingest

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/whosaw/whosaw"
)

const (
	arenaSize    = 4 << 20 // of encoded records in one piece
	batchRecords = 2048
	batchBytes   = 1 << 20
	maxRuns      = 64 // merged at once
	ahead        = 3  // batches between who makes and who takes them
)

// A key is what records are sorted by. Records that agree in it are sorted by their encoded bytes, so the order does
// not depend on the order in which they were read.
type key struct {
	time int64
	rank uint32 // reference records first, then by source
	pos  int64
}

func (k key) compare(o key) int {
	switch {
	case k.time != o.time:
		return cmp.Compare(k.time, o.time)
	case k.rank != o.rank:
		return cmp.Compare(k.rank, o.rank)
	}
	return cmp.Compare(k.pos, o.pos)
}

// entry is a record that waits in memory.
type entry struct {
	key
	arena  uint32
	off, n uint32
}

// sorter sorts records in memory up to its budget and beyond it through sorted runs on disk.
type sorter struct {
	maxRecords int
	maxBytes   int64
	tempDir    string
	workers    int

	sources []string          // sorted; a rank is an index, plus len(sources) for accesses
	ranks   map[string]uint32 // by source

	entries []entry
	arenas  [][]byte
	held    []int // records of each arena that wait
	used    int   // arenas in use
	bytes   int64

	dir  string // of runs; "" until the first
	runs []string
	made int
}

// newSorter makes a sorter for about that many records.
func newSorter(o *Options, sources []string, about int64) *sorter {
	s := &sorter{maxRecords: o.MemoryRecords, maxBytes: o.MemoryBytes, tempDir: o.TempDir, workers: o.Workers, ranks: map[string]uint32{}}
	s.entries = make([]entry, 0, max(64, min(about, int64(o.MemoryRecords))))
	s.sources = slices.Compact(slices.Sorted(slices.Values(sources)))
	for i, name := range s.sources {
		s.ranks[name] = uint32(i)
	}
	return s
}

// add takes a record; nothing of it is kept but a copy.
func (s *sorter) add(r *whosaw.Record) error {
	rank, ok := s.ranks[r.Source]
	if !ok {
		panic("BUG: record of a source that is not in the plan")
	}
	if r.Type == whosaw.TypeAccess {
		rank += uint32(len(s.sources))
	}
	if len(s.entries) >= s.maxRecords || s.bytes >= s.maxBytes {
		if err := s.spill(); err != nil {
			return err
		}
	}
	if s.used == 0 || len(s.arenas[s.used-1]) > arenaSize-(arenaSize>>4) {
		s.nextArena()
	}
	a := s.arenas[s.used-1]
	off := len(a)
	a = appendRecord(a, r)
	s.arenas[s.used-1] = a
	n := len(a) - off
	s.bytes += int64(n)
	s.held[s.used-1]++
	s.entries = append(s.entries, entry{key: key{r.Time, rank, r.Position}, arena: uint32(s.used - 1), off: uint32(off), n: uint32(n)})
	return nil
}

func (s *sorter) nextArena() {
	if s.used == len(s.arenas) {
		s.arenas, s.held = append(s.arenas, make([]byte, 0, arenaSize)), append(s.held, 0)
	}
	s.arenas[s.used], s.held[s.used] = s.arenas[s.used][:0], 0
	s.used++
}

// emitted lets an entry's arena go with the last of its records: what they are emitted to needs the memory. None is added after it.
func (s *sorter) emitted(e *entry) {
	if s.held[e.arena]--; s.held[e.arena] == 0 {
		s.arenas[e.arena] = nil
	}
}

func (s *sorter) payload(e *entry) []byte { return s.arenas[e.arena][e.off : e.off+e.n] }

func (s *sorter) sort() {
	sortBeside(s.entries, s.workers, func(a, b entry) int {
		if c := a.compare(b.key); c != 0 {
			return c
		}
		return bytes.Compare(s.payload(&a), s.payload(&b))
	})
}

// fewToSort is of how many a part is sorted by one goroutine.
const fewToSort = 8192

// sortBeside sorts by that many goroutines. Logs are mostly in order already, so that parts seldom reach into each other.
func sortBeside[E any](all []E, goroutines int, compare func(a, b E) int) {
	if goroutines < 2 || len(all) < fewToSort {
		slices.SortFunc(all, compare)
		return
	}
	half := len(all) / 2
	var other sync.WaitGroup
	other.Go(func() { sortBeside(all[:half], goroutines/2, compare) })
	sortBeside(all[half:], goroutines-goroutines/2, compare)
	other.Wait()
	// What is before the other half as a whole is in its place.
	at, _ := slices.BinarySearchFunc(all[:half], all[half], func(a, b E) int { return cmp.Or(compare(a, b), -1) })
	first, second := slices.Clone(all[at:half]), all[half:]
	for len(first) > 0 && len(second) > 0 {
		if compare(second[0], first[0]) < 0 {
			all[at], second = second[0], second[1:]
		} else {
			all[at], first = first[0], first[1:]
		}
		at++
	}
	copy(all[at:], first)
}

// spill writes what is in memory as a sorted run.
func (s *sorter) spill() error {
	s.sort()
	w, err := s.newRun()
	if err != nil {
		return err
	}
	for i := range s.entries {
		e := &s.entries[i]
		if err := w.add(e.key, s.payload(e)); err != nil {
			return errors.Join(s.spillError(err), w.discard())
		}
	}
	if err := w.finish(); err != nil {
		return s.spillError(err)
	}
	s.runs = append(s.runs, w.path)
	s.entries, s.used, s.bytes = s.entries[:0], 0, 0
	return nil
}

func (s *sorter) spillError(err error) error {
	return fmt.Errorf("sort in %s: %w%s", s.dir, err, diskFull(err))
}

func (s *sorter) newRun() (*runWriter, error) {
	if s.dir == "" {
		dir, err := os.MkdirTemp(s.tempDir, "whosaw-sort-")
		if err != nil {
			return nil, fmt.Errorf("make directory to sort in: %w%s", err, diskFull(err))
		}
		s.dir = dir
	}
	s.made++
	w, err := newRunWriter(s.dir, s.made)
	if err != nil {
		return nil, s.spillError(err)
	}
	return w, nil
}

// close removes what was written.
func (s *sorter) close() error {
	if s.dir == "" {
		return nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("remove sorted runs: %w", err)
	}
	return nil
}

// emit hands everything over in order. The next batch is made while fn has one.
func (s *sorter) emit(ctx context.Context, fn func([]whosaw.Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b := &batch{s: s, ctx: ctx, free: make(chan []whosaw.Record, ahead), made: make(chan []whosaw.Record, ahead)}
	for range ahead {
		b.free <- nil
	}
	var made error
	go func() {
		defer close(b.made)
		made = s.sorted(ctx, b)
	}()
	var err error
	for records := range b.made {
		if ctx.Err() != nil {
			continue // nobody waits for what was made already
		}
		if err = fn(records); err != nil {
			cancel()
		}
		b.free <- records
	}
	return cmp.Or(err, made, ctx.Err())
}

// sorted gives everything to b in order.
func (s *sorter) sorted(ctx context.Context, b *batch) error {
	s.sort()
	if len(s.runs) == 0 {
		for i := range s.entries {
			e := &s.entries[i]
			if err := b.add(e.key, s.payload(e)); err != nil {
				return err
			}
			s.emitted(e)
		}
		return b.flush()
	}
	for len(s.runs) >= maxRuns {
		if err := s.mergeSome(ctx); err != nil {
			return err
		}
	}
	if err := s.merge(ctx, s.runs, &memoryRun{s: s}, b.add); err != nil {
		return err
	}
	return b.flush()
}

// mergeSome makes one run of the first ones.
func (s *sorter) mergeSome(ctx context.Context) error {
	w, err := s.newRun()
	if err != nil {
		return err
	}
	some := s.runs[:maxRuns]
	err = s.merge(ctx, some, nil, func(k key, payload []byte) error {
		if err := w.add(k, payload); err != nil {
			return s.spillError(err)
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, w.discard())
	}
	if err := w.finish(); err != nil {
		return s.spillError(err)
	}
	for _, path := range some {
		if err := os.Remove(path); err != nil {
			return s.spillError(err)
		}
	}
	s.runs = append(slices.Clone(s.runs[maxRuns:]), w.path)
	return nil
}

// A run gives records in order. next moves to the next one and gives false at the end.
type run interface {
	next() (bool, error)
	head() (key, []byte)
}

// memoryRun is what is in memory, sorted.
type memoryRun struct {
	s *sorter
	i int
}

func (m *memoryRun) next() (bool, error) {
	if m.i > 0 {
		m.s.emitted(&m.s.entries[m.i-1])
	}
	m.i++
	return m.i <= len(m.s.entries), nil
}

func (m *memoryRun) head() (key, []byte) {
	e := &m.s.entries[m.i-1]
	return e.key, m.s.payload(e)
}

// merge calls fn with the records of all runs in order.
func (s *sorter) merge(ctx context.Context, paths []string, more run, fn func(key, []byte) error) (err error) {
	var h runHeap
	var readers []*runReader
	defer func() {
		for _, r := range readers {
			err = errors.Join(err, r.close())
		}
	}()
	push := func(r run) error {
		ok, err := r.next()
		if ok {
			h = append(h, r)
		}
		return err
	}
	for _, path := range paths {
		r, err := openRun(path)
		if err != nil {
			return s.spillError(err)
		}
		readers = append(readers, r)
		if err := push(r); err != nil {
			return s.spillError(err)
		}
	}
	if more != nil {
		if err := push(more); err != nil {
			return err
		}
	}
	heap.Init(&h)
	for n := 0; len(h) > 0; n++ {
		if n%batchRecords == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fn(h[0].head()); err != nil {
			return err
		}
		ok, err := h[0].next()
		switch {
		case err != nil:
			return s.spillError(err)
		case ok:
			heap.Fix(&h, 0)
		default:
			heap.Pop(&h)
		}
	}
	return nil
}

// runHeap has the run with the smallest head first.
type runHeap []run

func (h runHeap) Len() int      { return len(h) }
func (h runHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *runHeap) Push(x any)   { *h = append(*h, x.(run)) }
func (h *runHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

func (h runHeap) Less(i, j int) bool {
	a, pa := h[i].head()
	b, pb := h[j].head()
	if c := a.compare(b); c != 0 {
		return c < 0
	}
	return bytes.Compare(pa, pb) < 0
}

// batch gathers records to be emitted.
type batch struct {
	s     *sorter
	ctx   context.Context
	free  chan []whosaw.Record // that nobody uses any more
	made  chan []whosaw.Record
	bytes []byte
	keys  []key
	ends  []int
}

func (b *batch) add(k key, payload []byte) error {
	b.bytes = append(b.bytes, payload...)
	b.keys = append(b.keys, k)
	b.ends = append(b.ends, len(b.bytes))
	if len(b.keys) >= batchRecords || len(b.bytes) >= batchBytes {
		return b.flush()
	}
	return nil
}

func (b *batch) flush() error {
	if len(b.keys) == 0 {
		return nil
	}
	var records []whosaw.Record
	select {
	case records = <-b.free:
	case <-b.ctx.Done():
		return b.ctx.Err()
	}
	text := string(b.bytes) // the memory that the records' strings share
	var d recordDecoder
	records = slices.Grow(records[:0], batchRecords)[:len(b.keys)]
	start := 0
	for i, k := range b.keys {
		r := &records[i]
		if !d.decode(text[start:b.ends[i]], r) {
			return errSpill
		}
		r.Time, r.Position = k.time, k.pos
		r.Source = b.s.sources[int(k.rank)%len(b.s.sources)]
		start = b.ends[i]
	}
	b.bytes, b.keys, b.ends = b.bytes[:0], b.keys[:0], b.ends[:0]
	b.made <- records // there is room for all of them
	return nil
}
