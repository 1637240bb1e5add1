package index

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Dir is the directory of blocks within a data directory.
const Dir = "index"

const (
	suffix     = ".idx"
	tempSuffix = ".tmp"
)

// Store is the blocks of a data directory. Safe for concurrent use.
type Store struct {
	dir       string
	throwaway bool

	finding sync.Mutex // held while finders are written

	issuer  issuer
	gone    atomic.Uint64 // of the last view that was pruned, see Gone
	lacking chan struct{} // see Lacking

	mu      sync.Mutex
	found   *finderSet        // nil: not looked for
	blocks  map[uint64]*known // by first sequence
	retired []retired
	digests map[uint64]knownDigest
	closed  bool
	failed  error

	views func() (oldest, next uint64) // of the ledger; nil: nobody tells
}

// known is a block that was looked for.
type known struct {
	segment ledger.SegmentID
	block   *Block // nil: there is none
	cannot  bool   // the segment cannot have one
}

// close unmaps what there is of a block. Nobody may use it any more.
func (k *known) close() error {
	if k.block == nil {
		return nil
	}
	return errors.Join(k.block.side.close(), k.block.from.close())
}

// retired is a block that is given to nobody any more who has none yet, but that views older than one may use.
type retired struct {
	*known
	until uint64 // the number of that view
}

// Config says where blocks lie.
type Config struct {
	Dir       string // the data directory
	Throwaway bool   // no fsync
}

// Open gives the store of a data directory. Nothing is read or made before it is needed.
func Open(cfg Config) *Store {
	return &Store{
		dir: filepath.Join(cfg.Dir, Dir), throwaway: cfg.Throwaway, blocks: map[uint64]*known{}, digests: map[uint64]knownDigest{},
		lacking: make(chan struct{}, 1), issuer: issuer{held: heldIssuances},
	}
}

// Attach opens the store of a ledger and has it build the block of every segment that is sealed from now on. The
// ledger must be closed before the store.
func Attach(l *ledger.Ledger, throwaway bool) *Store {
	s := Open(Config{Dir: l.Dir(), Throwaway: throwaway})
	s.views = l.Views
	l.OnViewClosed(s.sweep)
	l.OnSeal(func(p *ledger.Part, c *ledger.Chunk, references ledger.References) {
		if err := s.Add(p, c, references); err != nil {
			s.fail(err)
		}
	})
	return s
}

// fail notes why something could not be written.
func (s *Store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
}

// Failure gives the last reason why a block could not be written while the ledger was: its segment is read instead, until
// Build succeeds.
func (s *Store) Failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// Close unmaps the blocks: none of them may be used any more.
func (s *Store) Close() error {
	s.issuer.mu.Lock()
	s.issuer.forget()
	s.issuer.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, k := range s.blocks {
		errs = append(errs, k.close())
	}
	for _, r := range s.retired {
		errs = append(errs, r.close())
	}
	s.blocks, s.retired = nil, nil
	if s.found != nil {
		for _, f := range s.found.list {
			errs = append(errs, f.file.Close())
		}
	}
	s.found = newFinderSet(nil)
	return errors.Join(errs...)
}

// Block gives the block of a view's part, nil if it has none that can be used.
func (s *Store) Block(p *ledger.Part) *Block {
	if !p.Whole() || p.Accesses == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.blocks[p.First]
	if k != nil && k.block != nil && k.block.unusable() && k.block.from.replaced() {
		// There is another, or it was written to: whether it is good is found out anew.
		s.retire(k)
		delete(s.blocks, p.First)
		k = nil
	}
	if k == nil || k.segment != p.Segment {
		if s.closed {
			return nil
		}
		if k != nil && k.block != nil {
			return nil // a view of another ledger: leave it alone
		}
		if old := s.usedBefore(p); old != nil {
			return old
		}
		made := &known{segment: p.Segment}
		s.mu.Unlock()
		made.block = s.load(p) // others may load theirs meanwhile
		s.mu.Lock()
		if now := s.blocks[p.First]; s.closed || now != k {
			// Somebody else was faster, or the store is closed.
			_ = made.close()
			if s.closed || now == nil || now.segment != p.Segment {
				return nil
			}
			made = now
		} else {
			s.blocks[p.First] = made
		}
		k = made
	}
	if k.block != nil && k.block.unusable() {
		return nil
	}
	return k.block
}

// retire keeps a block for the views that may use it. mu must be held.
func (s *Store) retire(k *known) {
	if k.block == nil {
		return
	}
	until := uint64(math.MaxUint64)
	if s.views != nil {
		_, until = s.views()
	}
	s.retired = append(s.retired, retired{k, until})
}

// usedBefore gives the block of a part that was purged, for a view from before. mu must be held.
func (s *Store) usedBefore(p *ledger.Part) *Block {
	for _, r := range s.retired {
		if r.segment == p.Segment && !r.block.unusable() {
			return r.block
		}
	}
	return nil
}

// sweep unmaps the retired blocks that no view uses any more: only then does the system give the space of removed files back.
func (s *Store) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.retired) == 0 || s.views == nil {
		return
	}
	oldest, _ := s.views()
	s.retired = slices.DeleteFunc(s.retired, func(r retired) bool {
		if r.until > oldest {
			return false
		}
		_ = r.close() // of what was only read
		return true
	})
}

func (s *Store) name(first uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d%s", first, suffix))
}

// Ahead maps the blocks of some parts, several at once: each has to be read for.
func (s *Store) Ahead(parts []*ledger.Part) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(aheadAtOnce, len(parts)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(parts)); i = next.Add(1) - 1 {
				s.Block(parts[i])
			}
		})
	}
	wg.Wait()
}

const aheadAtOnce = 8

// load maps a block. That there is none is no error, whatever the cause.
func (s *Store) load(p *ledger.Part) *Block {
	m, err := openMapping(s.name(p.First))
	if err != nil {
		return nil
	}
	var blk *Block
	err = Guarded(func() (err error) {
		blk, err = parse(m.b, p.Segment)
		return err
	})
	if err != nil {
		_ = m.close()
		return nil
	}
	blk.name, blk.from = m.name, m
	return blk
}

// Missing lists the parts of a view, by their place, that could have a block and have none.
func (s *Store) Missing(view *ledger.View) []int {
	var list []int
	for i, p := range view.Parts() {
		if !p.Whole() || p.Accesses == 0 || s.Block(&p) != nil {
			continue
		}
		s.mu.Lock()
		k := s.blocks[p.First]
		can := k != nil && !k.cannot
		s.mu.Unlock()
		if can {
			list = append(list, i)
		}
	}
	return list
}

// Build builds what a view's segments lack, the newest first, and removes what lies beside segments that are gone.
func (s *Store) Build(ctx context.Context, view *ledger.View) error {
	if err := s.Prune(view); err != nil {
		return err
	}
	parts := view.Parts()
	blocks := s.Missing(view)
	for i := len(parts) - 1; i >= 0; i-- {
		p := &parts[i]
		references := func(fn func(seq uint64, r *whosaw.Record) error) error { return view.PartReferences(ctx, i, fn) }
		block, digest := slices.Contains(blocks, i), p.Whole() && s.Digest(p) == nil
		if !block && !digest {
			continue
		}
		cols := Columns | rest
		if !block {
			cols = ledger.ColSource
		}
		c, err := view.Load(ctx, i, cols)
		if err != nil {
			return fmt.Errorf("build index: %w", err)
		}
		if digest {
			if err := s.addDigest(p, c, references); err != nil {
				return err
			}
		}
		if block {
			if err := s.addBlock(p, c, nil); err != nil {
				return err
			}
		}
	}
	return s.buildFinders(parts)
}

// Add builds what there is beside a sealed segment from its records. c holds all columns.
func (s *Store) Add(p *ledger.Part, c *ledger.Chunk, references ledger.References) error {
	if !s.follow(p) {
		return s.add(p, c, references, nil)
	}
	x := &s.issuer
	defer x.mu.Unlock()
	var own []uint64
	learning := func(fn func(seq uint64, r *whosaw.Record) error) error {
		err := references(func(seq uint64, r *whosaw.Record) error {
			x.learn(r, &own)
			return fn(seq, r)
		})
		if err != nil {
			x.forget() // it has some of the segment's
		}
		return err
	}
	err := s.add(p, c, learning, func(made *built) error {
		if x.known == nil {
			return nil
		}
		m := sideMaker{c, made.access, x.issued(c)}
		t := m.make(p.Last, x.gone, own)
		if !x.sure() {
			return nil // see lack
		}
		return s.placeIssued(p, binary.LittleEndian.Uint32(made.block[len(made.block)-tailSize+4:]), t)
	})
	if x.known == nil {
		s.lack()
		return err
	}
	if x.last = p.Last; bare(p) {
		err = errors.Join(err, s.placeBare(p, x.gone, own))
	}
	return err
}

func (s *Store) add(p *ledger.Part, c *ledger.Chunk, references ledger.References, beside func(made *built) error) error {
	err := s.addDigest(p, c, references)
	if p.Accesses > 0 {
		err = errors.Join(err, s.addBlock(p, c, beside))
	}
	return err
}

// rowsIn is how many rows the block of a chunk has.
func rowsIn(c *ledger.Chunk) (n int) {
	for i := range c.N {
		n += max(1, int(c.SubjectStart[i+1]-c.SubjectStart[i]))
	}
	return n
}

// addBlock builds the block of a sealed segment. beside, if not nil, is called before the block is there.
func (s *Store) addBlock(p *ledger.Part, c *ledger.Chunk, beside func(made *built) error) error {
	made, err := build(p.Segment, c)
	if errors.Is(err, errCannot) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			s.blocks[p.First] = &known{segment: p.Segment, cannot: true}
		}
		return nil
	}
	if err == nil {
		err = s.addFinder(p, rowsIn(c), made.finds) // of a block without one all rows are looked at
	}
	if err == nil && beside != nil {
		err = beside(made)
	}
	if err == nil {
		err = s.place(s.name(p.First), made.block)
	}
	if err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.blocks[p.First]; !s.closed && (k == nil || k.block == nil) {
		delete(s.blocks, p.First) // it is looked for again
	}
	return nil
}

// place puts a file under its name when it is whole and on disk.
func (s *Store) place(name string, b []byte) error {
	return s.placeBy(name, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// placeBy is place for what is written piece by piece.
func (s *Store) placeBy(name string, write func(w io.Writer) error) (err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	temp := name + tempSuffix
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
			if e := os.Remove(temp); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if !s.throwaway {
		if err = f.Sync(); err != nil {
			return err
		}
	}
	if err = os.Rename(temp, name); err != nil {
		return err
	}
	return f.Close()
}

// Prune removes what lies beside segments that retention removed: it says the same.
func (s *Store) Prune(view *ledger.View) error {
	var errs []error
	removed := false
	gone := map[uint64]bool{}
	for _, p := range view.Purged() {
		gone[p.First] = true
	}
	if now := Gone(view); s.gone.Swap(now) != now {
		s.lack()
	}
	if len(gone) > 0 {
		s.finding.Lock()
		errs = append(errs, s.dropFrom(func(x finderSegment) bool { return gone[x.first] }))
		s.finding.Unlock()
	}
	for _, p := range view.Purged() {
		s.mu.Lock()
		delete(s.digests, p.First)
		if k := s.blocks[p.First]; k != nil && !s.closed {
			s.retire(k)
			delete(s.blocks, p.First)
		}
		s.mu.Unlock()
		for _, name := range [...]string{s.name(p.First), s.sideName(p.First), s.digestName(p.First)} {
			if err := os.Remove(name); err == nil {
				removed = true
			} else if !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("remove from index: %w", err))
			}
		}
	}
	if removed && !s.throwaway {
		d, err := os.Open(s.dir)
		if err == nil {
			err = errors.Join(d.Sync(), d.Close())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("sync index: %w", err))
		}
	}
	s.sweep()
	return errors.Join(errs...)
}
