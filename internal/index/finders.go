package index

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/whosaw/whosaw/internal/ledger"
)

// A segment has a finder of its own at first. Eight that have equally many segments are joined to one, up to 64 segments, so that a
// question looks at few, and each entry is written three times at most.
const (
	finderFan    = 8
	finderLevels = 2 // above that of one segment
)

// finderSet is the finders there are. It does not change: a change makes another. Who looks into one that is gone meanwhile still reads it: its file
// is closed when nobody has it any more.
type finderSet struct {
	list []*finder
	at   map[uint64]finderPlace // by a segment's first sequence
}

type finderPlace struct{ finder, segment int }

func newFinderSet(list []*finder) *finderSet {
	s := &finderSet{list: list, at: map[uint64]finderPlace{}}
	for i, f := range list {
		for j := range f.segments {
			s.at[f.segments[j].first] = finderPlace{i, j}
		}
	}
	return s
}

// knows reports whether a finder that can be used knows a segment.
func (s *finderSet) knows(first uint64, id ledger.SegmentID) bool {
	at, ok := s.at[first]
	return ok && s.list[at.finder].segments[at.segment].id == id && !s.list[at.finder].broken.Load()
}

// finders gives those there are. They are looked for once.
func (s *Store) finders() *finderSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.findersLocked()
}

func (s *Store) findersLocked() *finderSet {
	if s.found != nil {
		return s.found
	}
	var list []*finder
	if names, err := os.ReadDir(s.dir); err == nil && !s.closed {
		for _, x := range names {
			if !strings.HasSuffix(x.Name(), finderSuffix) {
				continue
			}
			if f, err := openFinder(filepath.Join(s.dir, x.Name())); err == nil {
				list = append(list, f)
			}
		}
	}
	// Those of many segments first: the ones they were joined from may still be there.
	slices.SortFunc(list, func(a, b *finder) int {
		return cmp.Or(cmp.Compare(len(b.segments), len(a.segments)), cmp.Compare(a.name, b.name))
	})
	known := map[uint64]bool{}
	list = slices.DeleteFunc(list, func(f *finder) bool {
		if slices.ContainsFunc(f.segments, func(x finderSegment) bool { return known[x.first] }) {
			_ = f.file.Close()
			return true
		}
		for _, x := range f.segments {
			known[x.first] = true
		}
		return false
	})
	s.found = newFinderSet(list)
	return s.found
}

// replaceFinders has some finders take the place of others, whose files go.
func (s *Store) replaceFinders(gone []*finder, come ...*finder) error {
	s.mu.Lock()
	list := slices.DeleteFunc(slices.Clone(s.findersLocked().list), func(f *finder) bool { return slices.Contains(gone, f) })
	if s.closed {
		for _, f := range come {
			_ = f.file.Close()
		}
	} else {
		s.found = newFinderSet(append(list, come...))
	}
	s.mu.Unlock()
	var errs []error
	for _, f := range gone {
		if slices.ContainsFunc(come, func(x *finder) bool { return x.name == f.name }) {
			continue // it was written over
		}
		if err := os.Remove(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove from index: %w", err))
		}
	}
	return errors.Join(errs...)
}

// addFinder writes where the subjects of a segment are, and joins what can be.
func (s *Store) addFinder(p *ledger.Part, rows int, keys []uint64) error {
	s.finding.Lock()
	defer s.finding.Unlock()
	if set := s.finders(); set.knows(p.First, p.Segment) {
		return nil
	}
	if err := s.dropFrom(func(x finderSegment) bool { return x.first == p.First }); err != nil {
		return err
	}
	own := max(1, widthOf(uint64(len(keys)))+1)
	shape := finderShape{own: own, rest: min(hashBits-own, 3*finderLevels), rowBits: widthOf(uint64(rows) >> stretchBits)}
	f, err := s.writeFinder([]finderSegment{{p.First, p.Segment, rows}}, shape, func(w *finderWriter) error {
		var bucket []uint64
		for n := range w.buckets() {
			bucket = bucket[:0]
			for len(keys) > 0 {
				at, tail := w.bucketOf(keys[0] >> keyStretch)
				if at != n {
					break
				}
				bucket = append(bucket, tail<<w.rowBits|keys[0]&(1<<keyStretch-1))
				keys = keys[1:]
			}
			slices.Sort(bucket)
			if err := w.bucket(slices.Compact(bucket)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = s.replaceFinders(nil, f)
	}
	if err != nil {
		return err
	}
	return s.joinFinders()
}

// writeFinder writes a finder's file and opens it.
func (s *Store) writeFinder(segments []finderSegment, shape finderShape, fill func(w *finderWriter) error) (*finder, error) {
	name := filepath.Join(s.dir, fmt.Sprintf("%020d-%d%s", segments[0].first, shape.level, finderSuffix))
	err := s.placeBy(name, func(out io.Writer) error {
		w := newFinderWriter(out, shape)
		if err := fill(w); err != nil {
			return err
		}
		return w.finish(segments)
	})
	if err != nil {
		return nil, fmt.Errorf("write where subjects are: %w", err)
	}
	return openFinder(name)
}

// joinFinders joins finders while there are enough of one kind, the oldest first.
func (s *Store) joinFinders() error {
	for level := range uint(finderLevels) {
		for {
			var some []*finder
			for _, f := range s.finders().list {
				if f.level == level && !f.broken.Load() {
					some = append(some, f)
				}
			}
			if len(some) < finderFan {
				break
			}
			slices.SortFunc(some, func(a, b *finder) int { return cmp.Compare(a.segments[0].first, b.segments[0].first) })
			some = some[:finderFan]
			size := int64(0)
			for _, f := range some {
				size += int64(f.starts[f.buckets()])
			}
			if size > maxFinder/2 {
				break
			}
			f, err := s.join(some, level+1, nil)
			if errors.Is(err, errFinder) {
				break // one is damaged, and made again
			}
			if err == nil {
				err = s.replaceFinders(some, f)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// join writes what some finders say into one, without the segments that are to be left out.
func (s *Store) join(from []*finder, level uint, without func(x finderSegment) bool) (*finder, error) {
	var segments []finderSegment
	for _, f := range from {
		for _, x := range f.segments {
			if without == nil || !without(x) {
				segments = append(segments, x)
			}
		}
	}
	slices.SortFunc(segments, func(a, b finderSegment) int { return cmp.Compare(a.first, b.first) })
	entries, kept, rowBits := 0, uint(hashBits), uint(0)
	inputs := make([]joined, len(from))
	for i, f := range from {
		for _, n := range f.counts {
			entries += int(n)
		}
		kept, rowBits = min(kept, f.own+f.rest), max(rowBits, f.rowBits)
		inputs[i] = joined{finder: f}
		for _, x := range f.segments {
			at, ok := slices.BinarySearchFunc(segments, x.first, func(s finderSegment, first uint64) int { return cmp.Compare(s.first, first) })
			if !ok {
				at = -1
			}
			inputs[i].segment = append(inputs[i].segment, at)
		}
	}
	own := min(kept, max(1, widthOf(uint64(entries))+1))
	shape := finderShape{
		level: level, own: own, rest: min(kept-own, 3*(finderLevels-level)), segmentBits: widthOf(uint64(len(segments) - 1)), rowBits: rowBits,
	}
	return s.writeFinder(segments, shape, func(w *finderWriter) error {
		var bucket []uint64
		for n := range w.buckets() {
			bucket = bucket[:0]
			for i := range inputs {
				err := inputs[i].until(uint64(n+1)<<(hashBits-w.bucketBits()), func(x found) {
					_, tail := w.bucketOf(x.hash)
					bucket = append(bucket, (tail<<w.segmentBits|uint64(x.segment))<<w.rowBits|uint64(x.stretch))
				})
				if err != nil {
					return err
				}
			}
			slices.Sort(bucket)
			if err := w.bucket(slices.Compact(bucket)); err != nil {
				return err
			}
		}
		return nil
	})
}

// joined is a finder that is read from its beginning to its end.
type joined struct {
	*finder
	segment []int   // the number that each of its segments has from now on; -1: none
	waiting []found // in order of their hashes
	next    int     // bucket
}

// until calls fn with the entries whose hash is below a limit and that were not given before.
func (j *joined) until(limit uint64, fn func(x found)) error {
	for {
		for i, x := range j.waiting {
			if x.hash >= limit {
				j.waiting = j.waiting[i:]
				return nil
			}
			if x.segment = j.segmentOf(x.segment); x.segment >= 0 {
				fn(x)
			}
		}
		j.waiting = j.waiting[:0]
		if j.next == j.buckets() || uint64(j.next)<<(hashBits-j.bucketBits()) >= limit {
			return nil
		}
		err := j.each(j.next, func(x found) { j.waiting = append(j.waiting, x) })
		if err != nil {
			j.broken.Store(true)
			return err
		}
		// Within a cell they are in order already: an entry's bits above its segment are of its hash.
		j.next++
	}
}

func (j *joined) segmentOf(i int) int {
	if i >= len(j.segment) {
		return -1
	}
	return j.segment[i]
}

// dropFrom has no finder know some segments any more.
func (s *Store) dropFrom(without func(x finderSegment) bool) error {
	var errs []error
	for _, f := range s.finders().list {
		if !slices.ContainsFunc(f.segments, without) {
			continue
		}
		var come []*finder
		if slices.ContainsFunc(f.segments, func(x finderSegment) bool { return !without(x) }) && !f.broken.Load() {
			x, err := s.join([]*finder{f}, f.level, without)
			switch {
			case err == nil:
				come = append(come, x)
			case !errors.Is(err, errFinder): // what is damaged goes, and is made again from the blocks
				errs = append(errs, err)
				continue
			}
		}
		errs = append(errs, s.replaceFinders([]*finder{f}, come...))
	}
	return errors.Join(errs...)
}

// Where says where one subject's rows are. Safe for concurrent use.
type Where struct {
	hash  uint64
	set   *finderSet
	looks []lookedUp // by finder
}

type lookedUp struct {
	once sync.Once
	ok   bool
	all  []found
}

// Where looks for a subject.
func (s *Store) Where(id string) *Where {
	set := s.finders()
	return &Where{hash: SubjectHash(id), set: set, looks: make([]lookedUp, len(set.list))}
}

// In gives, in order, stretches of the rows of a part's block in which all rows of the subject lie. known is false if no finder tells: any row may be.
func (w *Where) In(p *ledger.Part) (spans []Span, known bool) {
	if !w.set.knows(p.First, p.Segment) {
		return nil, false
	}
	at := w.set.at[p.First]
	f, look := w.set.list[at.finder], &w.looks[at.finder]
	look.once.Do(func() {
		err := f.find(w.hash, func(segment int, stretch uint32) {
			look.all = append(look.all, found{segment: segment, stretch: stretch})
		})
		look.ok = err == nil
		if errors.Is(err, errFinder) {
			f.broken.Store(true)
		}
	})
	if !look.ok {
		return nil, false
	}
	rows := f.segments[at.segment].rows
	for _, x := range look.all { // an entry's stretch is in its lowest bits, so they are in order
		if x.segment != at.segment {
			continue
		}
		lo := int(x.stretch) << stretchBits
		hi := min(lo+1<<stretchBits, rows)
		if lo >= hi {
			continue
		}
		if n := len(spans); n > 0 && spans[n-1].To == lo {
			spans[n-1].To = hi
		} else {
			spans = append(spans, Span{lo, hi})
		}
	}
	return spans, true
}

// unfound lists the parts that have a block and that no finder knows.
func (s *Store) unfound(parts []ledger.Part) (list []int) {
	set := s.finders()
	for i := range parts {
		if p := &parts[i]; p.Accesses > 0 && p.Whole() && !set.knows(p.First, p.Segment) {
			list = append(list, i)
		}
	}
	return list
}

// buildFinders makes what finders lack, from blocks, and removes what is of no use.
func (s *Store) buildFinders(parts []ledger.Part) error {
	if err := s.sweepFinders(); err != nil {
		return err
	}
	for _, i := range s.unfound(parts) {
		b := s.Block(&parts[i])
		if b == nil {
			continue
		}
		var keys []uint64
		err := Guarded(func() (err error) {
			if keys, err = b.finds(); err == nil {
				err = b.Intact()
			}
			return err
		})
		if err != nil {
			continue // it is damaged: its segment is read
		}
		if err := s.addFinder(&parts[i], b.head.rows, keys); err != nil {
			return err
		}
	}
	return nil
}

// sweepFinders removes the files of finders that are not used: of another version, not as they were written, or joined to one since.
func (s *Store) sweepFinders() error {
	s.finding.Lock()
	defer s.finding.Unlock()
	used := map[string]bool{}
	for _, f := range s.finders().list {
		used[f.name] = true
	}
	names, err := filepath.Glob(filepath.Join(s.dir, "*"+finderSuffix))
	var errs []error
	for _, name := range names {
		if !used[name] {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("remove from index: %w", err))
			}
		}
	}
	return errors.Join(append(errs, err)...)
}
