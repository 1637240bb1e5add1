package scope

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Memo keeps what whole segments told about filters, so that whoever looks again reads only what came since: segments do not change, so
// neither does what they told under the same catalog. What reference records decide is kept with what decided it, and not used when that
// changed. Nothing of a part that is no whole segment, or that has no block, is kept, but of the segment in which the sequence of a question lies ([Memo.cut]). Safe for
// concurrent use.
type Memo struct {
	limit int64

	mu    sync.Mutex
	held  int64
	kept  []*memory // the one used last is last
	busy  map[memoKey]chan struct{}
	large map[uint64]struct{} // hashes of the keys of what would not fit: who shares one is not kept either
}

// maxLarge is how many hashes of what would not fit are kept; with more all are forgotten, and found out again.
const maxLarge = 1 << 14

// NewMemo gives one that holds about so many bytes.
func NewMemo(bytes int64) *Memo {
	return &Memo{limit: bytes, busy: map[memoKey]chan struct{}{}, large: map[uint64]struct{}{}}
}

// Progress says of how many accesses of whole segments an answer knows. An answer that does not know all is a lower bound.
type Progress struct{ Counted, Of int64 }

// Whole reports whether nothing is left out.
func (p Progress) Whole() bool { return p.Counted >= p.Of }

// ErrNoMemo says that a memo does not help with a filter: ask the engine itself.
var ErrNoMemo = errors.New("of this filter nothing can be kept: ask without a memo")

// memoKey is what is kept of what.
type memoKey struct {
	what   string
	filter string // without as_of
	cat    *catalog.Catalog
}

// memory is what some segments told. It is not written once it is kept.
type memory struct {
	key   memoKey
	parts map[uint64]source // by first sequence
	print uint64            // of the world, if the sums depend on it
	sums  sums
}

// source is a segment that a memory has read.
type source struct {
	id     ledger.SegmentID
	issued *index.Issued // by which it was judged what was issued
	missed bool          // its block cannot tell
	asOf   uint64        // if missed: as of which sequence alone, 0 if as of any
}

// sums are what a kind of question adds up.
type sums interface{ bytes() int64 }

// memoKind is a kind of question that can be kept.
type memoKind struct {
	what  string
	feeds bool // it depends on which feeds there are
	// more reads blocks until a time, beginning with old (nil: with nothing), which it must not write. It gives the sums with theirs, the
	// parts that it read and those whose blocks cannot tell.
	more func(ctx context.Context, q *question, old sums, blocks []int, until time.Time) (now sums, done []asked, missed []int, err error)
}

// asked is a block that told, and the side table by which it did.
type asked struct {
	part   int
	issued *index.Issued
}

// knowledge is what is known of a filter for a view.
type knowledge struct {
	sums sums  // nil: nothing
	rest []int // parts that must be read beside
	Progress
}

// maxPerKey is how many memories there are of one key: of now, and of before for who pages through a list.
const maxPerKey = 3

// know gives what is known, reading blocks until a time (zero: until all is known).
func (m *Memo) know(ctx context.Context, e *Engine, filter whosaw.Filter, kind memoKind, until time.Time) (*knowledge, error) {
	var k *knowledge
	err := e.answer([]whosaw.Filter{filter}, func(q *question) (err error) {
		k, err = m.try(ctx, q, filter, kind, until)
		return err
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

func (m *Memo) try(ctx context.Context, q *question, filter whosaw.Filter, kind memoKind, until time.Time) (k *knowledge, err error) {
	key, err := memoKeyOf(kind.what, filter, q.cat)
	if err != nil {
		return nil, err
	}
	if m == nil || !q.inBlocks() || m.tooLarge(key) {
		return nil, ErrNoMemo
	}
	blocks, rest := q.split()
	w, err := q.at(ctx, 0)
	if err != nil {
		return nil, err
	}
	print := uint64(0)
	if kind.feeds {
		print = w.print
	}
	for mine := false; ; {
		old, err := m.find(ctx, q, key, blocks, print)
		if err != nil {
			return nil, err
		}
		k, left := old.of(q, blocks)
		k.rest = append(k.rest, rest...)
		if len(left) == 0 || mine && late(until) {
			return k, nil
		}
		var turn chan struct{}
		if turn, mine = m.begin(key); !mine {
			if !wait(ctx, turn, until) {
				return k, context.Cause(ctx)
			}
			continue
		}
		if err := m.readOn(ctx, q.Engine, filter, kind, key, old, left, print, until); err != nil {
			return nil, err
		}
	}
}

// of gives what a memory (nil: none) knows of some blocks, and those that it does not.
func (m *memory) of(q *question, blocks []int) (k *knowledge, left []int) {
	k = &knowledge{rest: []int{}} // nil would be all
	if m != nil {
		k.sums = m.sums
	}
	for _, i := range blocks {
		p := &q.parts[i]
		k.Of += int64(p.Accesses)
		var from source
		ok := false
		if m != nil {
			from, ok = m.parts[p.First]
			ok = ok && (from.asOf == 0 || from.asOf == q.asOf[0])
		}
		if !ok {
			left = append(left, i)
			continue
		}
		k.Counted += int64(p.Accesses)
		if from.missed {
			k.rest = append(k.rest, i)
		}
	}
	return k, left
}

// readOn reads blocks that a memory does not know, and keeps what both know. It ends the turn that was begun for the key, whatever happens: others
// wait for that.
func (m *Memo) readOn(
	ctx context.Context, e *Engine, filter whosaw.Filter, kind memoKind, key memoKey, old *memory, left []int, print uint64, until time.Time,
) error {
	defer m.end(key)
	q, err := e.ask(filter) // with numbers of its own for names: what is kept has them
	if err != nil {
		return err
	}
	defer q.done()
	q.parts = q.view.Parts()
	next := &memory{key: key, parts: map[uint64]source{}, print: print}
	var had sums
	if old != nil {
		had = old.sums
		for first, from := range old.parts {
			next.parts[first] = from
		}
	}
	slices.Reverse(left) // what came last is counted first
	now, done, missed, err := kind.more(ctx, q, had, left, until)
	if err == nil {
		err = q.intact()
	}
	if err != nil {
		return err
	}
	next.sums = now
	for _, x := range done {
		p := &q.parts[x.part]
		next.parts[p.First] = source{id: p.Segment, issued: x.issued}
	}
	for _, i := range missed {
		p, asOf := &q.parts[i], uint64(0)
		if q.asksIssued() {
			asOf = q.asOf[0] // at another sequence there may be the side table that it needs
		}
		next.parts[p.First] = source{id: p.Segment, missed: true, asOf: asOf}
	}
	if !m.keep(next) {
		return ErrNoMemo
	}
	return nil
}

// wait waits for somebody else's reading; it reports false if the time is over.
func wait(ctx context.Context, turn chan struct{}, until time.Time) bool {
	var over <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		over = t.C
	}
	select {
	case <-turn:
		return true
	case <-over:
		return false
	case <-ctx.Done():
		return false
	}
}

// begin begins to read for a key; if somebody does so already, it gives what is closed when they are done.
func (m *Memo) begin(key memoKey) (turn chan struct{}, mine bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if turn = m.busy[key]; turn != nil {
		return turn, false
	}
	m.busy[key] = make(chan struct{})
	return nil, true
}

func (m *Memo) end(key memoKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.busy[key])
	delete(m.busy, key)
}

// find gives the memory of a key that knows most of some blocks and nothing else; nil if there is none.
func (m *Memo) find(ctx context.Context, q *question, key memoKey, blocks []int, print uint64) (*memory, error) {
	wanted := make(map[uint64]int, len(blocks))
	for _, i := range blocks {
		wanted[q.parts[i].First] = i
	}
	m.mu.Lock()
	var all []*memory
	for _, x := range m.kept {
		if x.key == key && x.print == print {
			all = append(all, x)
		}
	}
	m.mu.Unlock()
	left := make(map[*memory]int, len(all))
	for _, x := range all {
		_, rest := x.of(q, blocks)
		left[x] = len(rest) // not how many it has: of some it may know nothing at this moment
	}
	slices.SortStableFunc(all, func(a, b *memory) int { return left[a] - left[b] })
	for _, x := range all {
		ok, err := x.holds(ctx, q, wanted)
		if err != nil {
			return nil, err
		}
		if ok {
			m.use(x)
			return x, nil
		}
	}
	return nil, nil
}

// holds reports whether what a memory knows is what a question asks, or some of it.
func (m *memory) holds(ctx context.Context, q *question, wanted map[uint64]int) (bool, error) {
	for first, from := range m.parts {
		i, ok := wanted[first]
		if !ok || q.parts[i].Segment != from.id {
			return false, nil
		}
		if from.issued == nil {
			continue
		}
		p := &q.parts[i]
		b := q.index.Block(p)
		if b == nil {
			return false, nil
		}
		if x, err := q.issuedOf(ctx, i, p, b, false); err != nil || x != from.issued {
			return false, err
		}
	}
	return true, nil
}

// use notes that a memory was used.
func (m *Memo) use(x *memory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := slices.Index(m.kept, x); at >= 0 {
		m.kept = append(slices.Delete(m.kept, at, at+1), x)
	}
}

// keep keeps a memory, in place of those that were used longest ago. It reports false if it is too large.
func (m *Memo) keep(x *memory) bool {
	n := x.bytes()
	m.mu.Lock()
	defer m.mu.Unlock()
	if n > m.limit/2 {
		if len(m.large) >= maxLarge {
			clear(m.large)
		}
		m.large[maphash.Comparable(printSeed, x.key)] = struct{}{}
		m.drop(func(y *memory) bool { return y.key == x.key })
		return false
	}
	m.kept, m.held = append(m.kept, x), m.held+n
	same := 0
	for i := len(m.kept) - 1; i >= 0; i-- {
		y := m.kept[i]
		if y.key != x.key {
			continue
		}
		// What knows less than the one that is kept now is of use only to who looks at an earlier moment.
		if same++; same > maxPerKey {
			m.drop(func(z *memory) bool { return z == y })
		}
	}
	for m.held > m.limit && len(m.kept) > 1 {
		m.drop(func(y *memory) bool { return y == m.kept[0] })
	}
	return true
}

// drop forgets memories. mu must be held.
func (m *Memo) drop(which func(x *memory) bool) {
	kept := m.kept[:0:0]
	for _, x := range m.kept {
		if which(x) {
			m.held -= x.bytes()
			continue
		}
		kept = append(kept, x)
	}
	m.kept = kept
}

func (m *Memo) tooLarge(key memoKey) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.large[maphash.Comparable(printSeed, key)]
	return ok
}

// memorySource is about what a source takes.
const memorySource = 64

func (m *memory) bytes() int64 {
	return m.sums.bytes() + int64(len(m.parts))*memorySource + int64(len(m.key.filter)+len(m.key.what))
}

// memoKeyOf gives the key of a filter.
func memoKeyOf(what string, filter whosaw.Filter, cat *catalog.Catalog) (memoKey, error) {
	f := slices.Clone(filter)
	for i := range f {
		f[i].AsOf = 0
	}
	text, err := json.Marshal(f)
	if err != nil {
		return memoKey{}, fmt.Errorf("write filter: %w", err)
	}
	return memoKey{what: what, filter: string(text), cat: cat}, nil
}

// blockWork is what one worker does with blocks.
type blockWork interface {
	reader() *blockReader
	work(masks []uint64, spans []span32) error
}

// eachBlock has workers read blocks until a time, and lists those that were read and those that cannot tell. newWork is called once a
// worker, before any block is read.
func (q *question) eachBlock(ctx context.Context, blocks []int, until time.Time, newWork func() blockWork) (done []asked, missed []int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range max(1, min(q.workers, len(blocks))) {
		w := newWork()
		wg.Go(func() {
			for ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(blocks) || at >= q.workers && late(until) {
					return
				}
				ok := false
				err := index.Guarded(func() error {
					masks, spans, can, err := w.reader().begin(ctx, blocks[at])
					if ok = can; err == nil && ok && len(spans) > 0 {
						err = w.work(masks, spans)
					}
					return err
				})
				if err == nil && q.budget.spent() {
					err = ErrMemory
				}
				if err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				if ok {
					done = append(done, asked{blocks[at], w.reader().issued})
				} else {
					missed = append(missed, blocks[at])
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return done, missed, context.Cause(ctx)
}

// What Ready makes ready, beside the values of a dimension.
const (
	ReadyCount  = "count"
	ReadyCourse = "course"
)

// Ready reads until a time what Count, Course or Values by a dimension would, and answers nothing.
func (m *Memo) Ready(ctx context.Context, e *Engine, filter whosaw.Filter, what string, until time.Time) (Progress, error) {
	kind := valuesOf(what)
	switch what {
	case ReadyCount:
		kind = memoCount
	case ReadyCourse:
		kind = memoCourse
	}
	k, err := m.know(ctx, e, filter, kind, until)
	if err != nil {
		return Progress{}, err
	}
	return k.Progress, nil
}
