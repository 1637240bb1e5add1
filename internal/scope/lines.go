package scope

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw/internal/index"
)

// Subjects that are small integers are listed from arrays with a place for each: no hashing, and they are in order.
const (
	lineShift = 12 // of a subject: its page
	linePage  = 1 << lineShift
	linePages = markLimit >> lineShift
	lineBytes = 16

	lowBits    = 26 // of accesses, and of a set's number; the time above them is less than that of nine years
	low        = 1<<lowBits - 1
	smallSets  = 64
	lineLength = 1 << (64 - lowBits) // milliseconds
)

// line is what was disclosed of one subject. It is small, because what a list costs is to find each in memory. All 0: nothing was.
type line struct {
	first uint64 // how long before lineLength the first access was, above the number of accesses: so the greatest is the first
	last  uint64 // time since lineup.base, above the number of the set
}

// lines are the lines of one realm.
type lines struct {
	pages []*[linePage]line
	base  int64                  // what times are counted from
	locks [pieceLocks]sync.Mutex // of pieces, while they are added to
}

// entry puts a line into e.
func (l *lines) entry(x *line, e *entry) {
	e.first, e.last = l.base+lineLength-1-int64(x.first>>lowBits), l.base+int64(x.last>>lowBits)
	e.accesses, e.set = int64(x.first&low), uint32(x.last&low)
}

// next finds the first line from a subject on, and puts it into e.
func (l *lines) next(subject *uint64, e *entry) bool {
	for at := *subject; at < markLimit; {
		p := l.pages[at>>lineShift]
		if p == nil {
			at = (at>>lineShift + 1) << lineShift
			continue
		}
		for i := at & (linePage - 1); i < linePage; i++ {
			if x := &p[i]; x.first != 0 {
				e.key = subjectKey(at&^(linePage-1) | i)
				l.entry(x, e)
				*subject = uint64(e.key) + 1
				return true
			}
		}
		at = (at>>lineShift + 1) << lineShift
	}
	*subject = markLimit
	return false
}

// errDense says that arrays would take more than the question may use.
var errDense = errors.New("too many subjects for arrays")

// lines sums what was disclosed of each subject of the question's first filter: of some in arrays, by realm, of the rest
// in a table.
func (q *question) lines(ctx context.Context) (*table, map[uint32]*lines, error) {
	if !q.inBlocks() {
		people := newTable(q.sets, q.budget)
		_, err := q.sum(ctx, q.columns(), nil, people, false)
		return people, nil, err
	}
	blocks, rest := q.split()
	scatter(blocks)
	l, err := q.linesOf(ctx, blocks, rest, true)
	return l.people, l.realms, err
}

// linesOf sums blocks, parts beside them and, if so wanted, the parts of the blocks that cannot tell.
func (q *question) linesOf(ctx context.Context, blocks, rest []int, missedToo bool) (*lineup, error) {
	base, until := int64(math.MaxInt64), int64(math.MinInt64)
	for _, at := range append(slices.Clone(blocks), rest...) {
		base, until = min(base, q.parts[at].MinTime), max(until, q.parts[at].MaxTime)
	}
	before := q.budget.left.Load()
	for dense := until-base < lineLength; ; dense = false {
		people := newTable(q.sets, q.budget)
		l := &lineup{question: q, people: people, base: base}
		if dense {
			l.realms = map[uint32]*lines{}
		}
		missed, err := l.run(ctx, blocks)
		if err == nil {
			read := append([]int{}, rest...) // nil would be all
			if missedToo {
				read = append(read, missed...)
			}
			_, err = q.sum(ctx, q.columns(), read, people, false)
		}
		if err == nil {
			err = l.drain()
		}
		if err == nil && q.budget.spent() {
			err = ErrMemory
		}
		if errors.Is(err, errDense) {
			q.budget.begin(before)
			continue
		}
		return l, err
	}
}

// lineup sums blocks, on all workers.
type lineup struct {
	*question
	people *table

	mu     sync.Mutex
	realms map[uint32]*lines // nil: everything goes to the table
	base   int64             // of the times in them
	done   []asked
	missed []int
}

func (l *lineup) run(ctx context.Context, blocks []int) ([]int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range max(1, min(l.workers, len(blocks))) {
		wg.Go(func() {
			w := newLiner(l)
			for ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(blocks) {
					break
				}
				done := false
				err := index.Guarded(func() (err error) {
					done, err = w.block(ctx, blocks[at])
					return err
				})
				switch {
				case err != nil:
				case w.over || l.realms != nil && l.budget.spent():
					err = errDense
				case l.budget.spent():
					err = ErrMemory
				}
				if err != nil {
					cancel(err)
					break
				}
				l.note(blocks[at], done, w.issued)
			}
			w.settleAll()
			if w.over {
				cancel(errDense)
			}
			w.people.flush()
		})
	}
	wg.Wait()
	return l.missed, context.Cause(ctx)
}

// note notes that a part's block told, or that the part must be read itself.
func (l *lineup) note(part int, done bool, issued *index.Issued) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if done {
		l.done = append(l.done, asked{part, issued})
	} else {
		l.missed = append(l.missed, part)
	}
}

// realm gives the lines of a realm.
func (l *lineup) realm(realm uint32) *lines {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.realms == nil {
		return nil
	}
	x := l.realms[realm]
	if x == nil {
		x = &lines{pages: make([]*[linePage]line, linePages), base: l.base}
		l.realms[realm] = x
	}
	return x
}

// drain moves what a table has of the subjects that have lines. The error is errDense if a line cannot hold it.
func (l *lineup) drain() error {
	if len(l.realms) == 0 {
		return nil
	}
	w := liner{lineup: l, unions: map[uint64]uint32{}}
	l.people.drain(func(e *entry) bool {
		if uint64(e.key) >= markLimit {
			return false
		}
		x := w.line(l.realm(e.realm), uint64(e.key))
		w.put(x, uint64(e.first-l.base), e.set)
		w.put(x, uint64(e.last-l.base), e.set)
		// Two were counted, or what was there before and two.
		accesses := int64(x.first&low) - 2 + e.accesses
		w.over = w.over || accesses > low
		x.first = x.first&^low | uint64(accesses)&low
		return true
	})
	if w.over {
		return errDense
	}
	return nil
}

// liner is one worker of a lineup.
type liner struct {
	blockReader
	*lineup
	people *writer
	deals  map[*lines]*deal
	unions map[uint64]uint32
	pairs  [smallSets * smallSets]uint16 // the same for sets with small numbers, the union's number if it is small; 1 more, 0: not looked up yet
	over   bool                          // a line cannot hold what was added

	// Of the block at hand.
	sets    map[uint64][]int64 // by terms that can match: for each shape the set that its rows show, -1 if none
	byRealm map[uint32]*lines

	batch rowBatch

	lineRoom rooms[[linePage]line]
	hitRoom  rooms[[dealMost]uint64]
}

func newLiner(l *lineup) *liner {
	return &liner{
		blockReader: newBlockReader(l.question), lineup: l, people: l.people.writer(), deals: map[*lines]*deal{}, unions: map[uint64]uint32{},
	}
}

func (w *liner) block(ctx context.Context, part int) (done bool, err error) {
	masks, spans, ok, err := w.begin(ctx, part)
	if err != nil || !ok || len(spans) == 0 {
		return ok, err
	}
	w.sets, w.byRealm = map[uint64][]int64{}, map[uint32]*lines{}
	constant := w.blockReader.realm.Constant()
	w.groups(masks, spans, func(a, b int) bool { return constant || w.blockReader.realm.At(a) == w.blockReader.realm.At(b) }, w.group)
	return true, nil
}

// border gives the only term if nothing but its bounds of time and what it asks of issuances decides about rows whose shape
// it matches.
func (r *blockReader) border() *term {
	if only := r.q.terms[0]; len(r.q.terms) == 1 && len(r.versions) == 1 && len(only.subject) == 0 {
		return only
	}
	return nil
}

// shapesOf gives the set that rows of each shape show if one of the terms matches; nil if that depends on the row.
func (w *liner) shapesOf(mask uint64) []int64 {
	sets, ok := w.sets[mask]
	if ok {
		return sets
	}
	if w.border() != nil || !w.compares(mask) {
		for _, s := range w.versions[0].shapes {
			set := int64(-1)
			if s.pass&mask != 0 && s.disclosed && s.shape.Subject {
				set = int64(s.set)
			}
			sets = append(sets, set)
		}
	}
	w.sets[mask] = sets
	return sets
}

// group adds the rows of origins of one realm.
func (w *liner) group(j *joined32) {
	sets := w.shapesOf(j.mask)
	realm := w.realmID(j.o)
	to, ok := w.byRealm[realm]
	if !ok {
		to = w.lineup.realm(realm)
		w.byRealm[realm] = to
	}
	if sets != nil && to != nil && w.blockReader.subjects.Plain() && w.b.LargestSubject() < markLimit {
		w.bulk(j, sets, to)
		return
	}
	shift, shapes := w.b.ShapeBits(), uint64(1)<<w.b.ShapeBits()-1
	v := w.versions[0]
	for i := j.lo; i < j.hi; i++ {
		who, t := w.who.At(i), w.b.Time(i)
		v = w.at(v, t)
		s := v.shapes[who&shapes]
		if !s.disclosed || !s.shape.Subject || !w.matches(j.mask&s.pass, s, i, who>>shift, t) {
			continue
		}
		w.add(to, w.key(who>>shift), realm, t, s.set)
	}
}

// bulk is group for rows of which the shape decides everything but what bounds of time and issuances do.
func (w *liner) bulk(j *joined32, sets []int64, to *lines) {
	small := true
	for _, set := range sets {
		small = small && set < 1<<index.HitSet
	}
	from, until := w.from, w.to
	asked, issued := false, false
	if x := w.border(); x != nil {
		from, until = max(from, x.from), min(until, x.to-1)
		if asked = x.issued != nil; asked {
			issued = *x.issued
		}
	}
	if from > until {
		return
	}
	// Times are compared as the block has them, less its least.
	least, length := uint64(from-w.from), uint64(until-from)
	base := uint64(w.from - w.lineup.base)
	shift, shapes := w.b.ShapeBits(), uint64(1)<<w.b.ShapeBits()-1
	d := w.dealer(to, w.b.LargestSubject())
	if small && !asked {
		for lo := j.lo; lo < j.hi; {
			if lo = w.b.Deal(lo, j.hi, sets, least, length, base, d.pieces); lo < j.hi {
				w.full(d, w.who.At(lo)>>shift>>pieceShift)
			}
		}
		return
	}
	times := w.b.Times()
	for lo := j.lo; lo < j.hi; lo += batchRows {
		rows := w.batch.who[:min(batchRows, j.hi-lo)]
		w.who.Fill(rows, lo)
		at := w.batch.times[:len(rows)]
		times.Fill(at, lo)
		for i, who := range rows {
			t, set := at[i], sets[who&shapes]
			if set < 0 || t-least > length || asked && w.issued.Row(lo+i) != issued {
				continue
			}
			if small {
				d.add(w, who>>shift, t+base, uint64(set))
			} else {
				w.put1(to, who>>shift, t+base, uint32(set))
			}
		}
	}
}

func (w *liner) add(to *lines, key subjectKey, realm uint32, t int64, set uint32) {
	if to == nil || uint64(key) >= markLimit {
		w.people.add(update{key: key, time: t, set: set, realm: realm})
		return
	}
	w.put1(to, uint64(key), uint64(t-w.base), set)
}

// put adds an access to a line. t is counted from the base.
func (w *liner) put(x *line, t uint64, set uint32) {
	accesses, old := x.first&low+1, uint32(x.last&low)
	w.over = w.over || accesses > low || set > low
	if old != set {
		set = w.union(old, set)
		w.over = w.over || set > low
	}
	x.first = max(x.first>>lowBits, lineLength-1-t)<<lowBits | accesses&low
	x.last = max(x.last>>lowBits, t)<<lowBits | uint64(set)&low
}

// line gives the place of a subject.
func (w *liner) line(to *lines, subject uint64) *line {
	return &w.page(to, subject)[subject&(linePage-1)]
}

// page gives the page of a subject.
func (w *liner) page(to *lines, subject uint64) *[linePage]line {
	p := to.pages[subject>>lineShift]
	if p == nil {
		w.budget.take(linePage * lineBytes)
		p = w.lineRoom.get(&pageRoom)
		to.pages[subject>>lineShift] = p
	}
	return p
}

// pageRoom has pages without lines.
var pageRoom sync.Pool

// drop gives the memory of a page back, of which nobody needs the lines any more.
func (l *lines) drop(page int) {
	p := l.pages[page]
	l.pages[page] = nil
	clear(p[:])
	pageRoom.Put(p)
}

// union gives the number of what either of two sets has.
func (w *liner) union(a, b uint32) uint32 {
	if a == b || a == 0 { // 0 is nothing
		return b
	}
	pair := uint64(a)<<32 | uint64(b)
	set, ok := w.unions[pair]
	if !ok {
		set = w.lineup.sets.union(a, b)
		w.unions[pair] = set
	}
	return set
}
