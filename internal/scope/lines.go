package scope

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Subjects that are small integers are listed from arrays with a place for each: no hashing, and they are in order.
const (
	lineShift = 12 // of a subject: its page
	linePage  = 1 << lineShift
	linePages = markLimit >> lineShift
	lineBytes = 32
)

// line is what was disclosed of one subject.
type line struct {
	first, last int64
	accesses    int64 // 0: nothing was
	set         uint32
}

// lines are the lines of one realm. Each page belongs to one worker.
type lines struct{ pages []*[linePage]line }

// next finds the first line from a subject on, and puts it into e.
func (l *lines) next(subject *uint64, e *entry) bool {
	for at := *subject; at < markLimit; {
		p := l.pages[at>>lineShift]
		if p == nil {
			at = (at>>lineShift + 1) << lineShift
			continue
		}
		for i := at & (linePage - 1); i < linePage; i++ {
			if x := &p[i]; x.accesses != 0 {
				e.key = subjectKey(at&^(linePage-1) | i)
				e.first, e.last, e.accesses, e.set = x.first, x.last, x.accesses, x.set
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
	people := newTable(q.sets, q.budget)
	if !q.inBlocks() {
		_, err := q.sum(ctx, q.columns(), nil, people, false)
		return people, nil, err
	}
	blocks, rest := q.split()
	scatter(blocks)
	l := &lineup{question: q, people: people, realms: map[uint32]*lines{}}
	before := q.budget.left.Load()
	missed, err := l.run(ctx, blocks)
	if errors.Is(err, errDense) {
		q.budget.left.Store(before)
		people = newTable(q.sets, q.budget)
		l = &lineup{question: q, people: people}
		missed, err = l.run(ctx, blocks)
	}
	if err != nil {
		return nil, nil, err
	}
	if _, err := q.sum(ctx, q.columns(), append(rest, missed...), people, false); err != nil {
		return nil, nil, err
	}
	l.drain()
	if q.budget.spent() {
		return nil, nil, ErrMemory
	}
	return people, l.realms, nil
}

// lineup sums blocks, on all workers: each reads all blocks and keeps the subjects of its own pages, so none waits for
// another.
type lineup struct {
	*question
	people *table

	mu     sync.Mutex
	realms map[uint32]*lines // nil: everything goes to the table
	missed []int
}

func (l *lineup) run(ctx context.Context, blocks []int) ([]int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	workers := max(1, l.workers)
	for me := range workers {
		wg.Go(func() {
			w := liner{blockReader: newBlockReader(l.question), lineup: l, people: l.people.writer(), me: uint64(me), of: uint64(workers)}
			for _, part := range blocks {
				if ctx.Err() != nil {
					return
				}
				done, err := w.block(ctx, part)
				if err == nil && l.budget.spent() {
					err = ErrMemory
					if l.realms != nil {
						err = errDense
					}
				}
				if err != nil {
					cancel(err)
					return
				}
				if !done {
					l.miss(part)
				}
			}
			w.people.flush()
		})
	}
	wg.Wait()
	return l.missed, context.Cause(ctx)
}

// miss notes a part that must be read itself: every worker finds the same ones.
func (l *lineup) miss(part int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.missed, part) {
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
		x = &lines{pages: make([]*[linePage]line, linePages)}
		l.realms[realm] = x
	}
	return x
}

// drain moves what a table has of the subjects that have lines.
func (l *lineup) drain() {
	if len(l.realms) == 0 {
		return
	}
	w := liner{lineup: l, unions: map[uint64]uint32{}}
	l.people.drain(func(e *entry) bool {
		if uint64(e.key) >= markLimit {
			return false
		}
		x := w.line(l.realm(e.realm), uint64(e.key))
		if x.accesses == 0 {
			*x = line{e.first, e.last, e.accesses, e.set}
			return true
		}
		x.first, x.last, x.accesses = min(x.first, e.first), max(x.last, e.last), x.accesses+e.accesses
		x.set = w.union(x.set, e.set)
		return true
	})
}

// liner is one worker of a lineup.
type liner struct {
	blockReader
	*lineup
	people *writer
	me, of uint64
	unions map[uint64]uint32

	// Of the block at hand.
	sets    map[uint64][]int64 // by terms that can match: for each shape the set that its rows show, -1 if none
	byRealm map[uint32]*lines
}

func (w *liner) block(ctx context.Context, part int) (done bool, err error) {
	masks, spans, ok, err := w.begin(ctx, part)
	if err != nil || !ok || len(spans) == 0 {
		return ok, err
	}
	w.sets, w.byRealm = map[uint64][]int64{}, map[uint32]*lines{}
	if w.unions == nil {
		w.unions = map[uint64]uint32{}
	}
	w.each(masks, spans, w.origin)
	return true, nil
}

// shapesOf gives the set that rows of each shape show if one of the terms matches.
func (w *liner) shapesOf(mask uint64) []int64 {
	sets, ok := w.sets[mask]
	if ok {
		return sets
	}
	if !w.compares(mask) {
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

func (w *liner) origin(o, lo, hi int, mask uint64) {
	sets := w.shapesOf(mask)
	shift, low := w.b.ShapeBits(), uint64(1)<<w.b.ShapeBits()-1
	realm := w.realmID(o)
	to, ok := w.byRealm[realm]
	if !ok {
		to = w.lineup.realm(realm)
		w.byRealm[realm] = to
	}
	plain, v := w.blockReader.subjects.Plain(), w.versions[0]
	for i := lo; i < hi; i++ {
		who := w.who.At(i)
		key := subjectKey(who >> shift)
		if plain && uint64(key)>>lineShift%w.of != w.me {
			continue
		}
		set := int64(-1)
		var t int64
		if sets != nil {
			if set = sets[who&low]; set < 0 {
				continue
			}
			t = w.b.Time(i)
		} else {
			t = w.b.Time(i)
			v = w.at(v, t)
			s := v.shapes[who&low]
			if !s.disclosed || !s.shape.Subject || !w.matches(mask&s.pass, s, i, who>>shift, t) {
				continue
			}
			set = int64(s.set)
		}
		if !plain {
			if key = w.key(who >> shift); uint64(key)>>lineShift%w.of != w.me {
				continue
			}
		}
		w.add(to, key, realm, t, uint32(set))
	}
}

func (w *liner) add(to *lines, key subjectKey, realm uint32, t int64, set uint32) {
	if to == nil || uint64(key) >= markLimit {
		w.people.add(update{key: key, time: t, set: set, realm: realm})
		return
	}
	x := w.line(to, uint64(key))
	if x.accesses == 0 {
		*x = line{t, t, 1, set}
		return
	}
	x.first, x.last, x.accesses = min(x.first, t), max(x.last, t), x.accesses+1
	if x.set != set {
		x.set = w.union(x.set, set)
	}
}

// line gives the place of a subject.
func (w *liner) line(to *lines, subject uint64) *line {
	p := to.pages[subject>>lineShift]
	if p == nil {
		w.budget.take(linePage * lineBytes)
		p = new([linePage]line)
		to.pages[subject>>lineShift] = p
	}
	return &p[subject&(linePage-1)]
}

func (w *liner) union(a, b uint32) uint32 {
	if a == b {
		return a
	}
	pair := uint64(a)<<32 | uint64(b)
	set, ok := w.unions[pair]
	if !ok {
		set = w.lineup.sets.union(a, b)
		w.unions[pair] = set
	}
	return set
}
