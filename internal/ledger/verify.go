package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw"
)

// VerifyConfig says what is verified.
type VerifyConfig struct {
	Dir      string     // the data directory
	Saved    *SavedRoot // a root of this ledger from before; nil: none
	Workers  int        // parts that are read at once; 0: one for each processor
	Progress func(done, total int64)
}

// Verified is what a ledger in which nothing is wrong holds.
type Verified struct {
	Segments int    `json:"segments"`
	Logs     int    `json:"logs"`
	Bytes    int64  `json:"bytes"`    // that were read
	Sequence uint64 `json:"sequence"` // of the last record
	Records  uint64 `json:"records"`  // that were read
	Purged   uint64 `json:"purged"`   // records that retention removed; they are under the root

	// Root is the root of the tree over the records up to Rooted. That is the last one, but in a ledger whose open log
	// an older whosaw began: until that log is sealed its records have no leaves.
	Root   Hash   `json:"root"`
	Rooted uint64 `json:"rooted"`
	// Torn is how many bytes lie behind the last record where a write did not end. Nobody was told that it had.
	Torn int64 `json:"torn"`

	Parts []PartRoot `json:"parts"` // in order, as far as Rooted
	// Saved is the last sequence up to which the root was compared with a saved one; 0 if none was given.
	Saved uint64 `json:"saved"`
}

// PartRoot is the root of the tree over the records up to the end of a part.
type PartRoot struct {
	Last uint64 `json:"last"`
	Root Hash   `json:"root"`
}

// Verify reads every byte below Dir/ledger, decodes every record, and works out the root of the tree over
// them. The error is a [DamageError] for the first thing that is not as it was written, and a
// [RewriteError] if everything is sound and not what a saved root says.
func Verify(ctx context.Context, cfg VerifyConfig) (Verified, error) {
	l := &Ledger{cfg: Config{Dir: cfg.Dir, ReadOnly: true}, dir: filepath.Join(cfg.Dir, "ledger"), disk: osDisk{}}
	if err := l.directories(); err != nil {
		return Verified{}, fmt.Errorf("verify ledger: %w", err)
	}
	held, err := lock(cfg.Dir, true)
	if err != nil {
		return Verified{}, fmt.Errorf("verify ledger: %w", err)
	}
	out, err := l.verify(ctx, cfg)
	if err := errors.Join(err, unlock(held, false)); err != nil {
		return Verified{}, fmt.Errorf("verify ledger: %w", err)
	}
	return out, nil
}

func (l *Ledger) verify(ctx context.Context, cfg VerifyConfig) (Verified, error) {
	v := &verifier{l: l, cfg: cfg}
	if cfg.Saved != nil {
		v.cuts = cfg.Saved.sequences()
	}
	if v.cfg.Workers <= 0 {
		v.cfg.Workers = runtime.GOMAXPROCS(0)
	}
	var err error
	if l.unzip, err = newDecompressor(v.cfg.Workers); err != nil {
		return Verified{}, fmt.Errorf("make decompressor: %w", err)
	}
	defer l.unzip.Close()
	if err := v.list(); err != nil {
		return Verified{}, err
	}
	v.readAll(ctx)
	return v.join(ctx)
}

// verifier is one run.
type verifier struct {
	l       *Ledger
	cfg     VerifyConfig
	cuts    []uint64 // sequences at which the root is wanted, ascending
	parts   []*verifyPart
	total   int64
	done    atomic.Int64
	telling sync.Mutex
}

// verifyPart is a file of the ledger, and what was read of it.
type verifyPart struct {
	name  string
	first uint64
	size  int64
	open  bool // the open log
	spare bool // a log whose segment is there too

	last uint64    // first-1: it holds nothing
	acts []holdAct // among its records
	runs []leafRun // up to each cut, and to the end; nil: its records have no leaves
	torn int64
	err  error
}

// holdAct is a record that says that a hold was set or released.
type holdAct struct {
	seq uint64
	id  string
	set bool
}

// look keeps what is said of holds.
func (p *verifyPart) look(seq uint64, r *whosaw.Record) {
	if r.Type == whosaw.TypeAct && r.Ref != nil && (r.Ref.Kind == ActHold || r.Ref.Kind == ActHoldRelease) {
		p.acts = append(p.acts, holdAct{seq, r.Ref.Of, r.Ref.Kind == ActHold})
	}
}

// list finds the files.
func (v *verifier) list() error {
	found, err := v.l.list()
	if err != nil {
		return err
	}
	if v.l.holds, err = readHolds(filepath.Join(v.l.dir, holdsName)); err != nil {
		return err
	}
	add := func(first uint64, suffix string) *verifyPart {
		p := &verifyPart{name: partName(v.l.dir, first, suffix), first: first}
		v.parts = append(v.parts, p)
		return p
	}
	for _, first := range found.gone {
		add(first, goneSuffix)
	}
	for _, first := range found.segments {
		add(first, segmentSuffix).spare = slices.Contains(found.gone, first)
	}
	for _, first := range found.logs {
		p := add(first, logSuffix)
		p.spare = slices.Contains(found.segments, first) || slices.Contains(found.gone, first)
		p.open = first == found.logs[len(found.logs)-1]
	}
	slices.SortStableFunc(v.parts, func(a, b *verifyPart) int {
		if a.first < b.first {
			return -1
		}
		if a.first > b.first {
			return 1
		}
		return 0
	})
	for _, p := range v.parts {
		info, err := os.Stat(p.name)
		if err != nil {
			return fmt.Errorf("find ledger: %w%s", err, cure(err))
		}
		p.size = info.Size()
		v.total += p.size
	}
	if len(v.parts) > 0 && len(found.logs) == 0 {
		return &DamageError{File: v.l.dir, Offset: -1, What: "there is no open log in it"}
	}
	return nil
}

// readAll reads the parts, the first ones first. After an error no further one is begun: those before
// have been, and the first error in order is the one that counts.
func (v *verifier) readAll(ctx context.Context) {
	var next atomic.Int64
	var failed atomic.Bool
	var wg sync.WaitGroup
	for range v.cfg.Workers {
		wg.Go(func() {
			for !failed.Load() {
				i := next.Add(1) - 1
				if i >= int64(len(v.parts)) {
					return
				}
				p := v.parts[i]
				if p.err = ctx.Err(); p.err == nil {
					p.err = v.read(ctx, p)
				}
				if p.err != nil {
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
}

func (v *verifier) progress(n int) {
	done := v.done.Add(int64(n))
	if v.cfg.Progress != nil {
		v.telling.Lock()
		defer v.telling.Unlock()
		v.cfg.Progress(done, v.total)
	}
}

func (v *verifier) read(ctx context.Context, p *verifyPart) error {
	var err error
	switch filepath.Ext(p.name) {
	case segmentSuffix:
		err = v.readSegment(ctx, p)
	case goneSuffix:
		err = v.readTombstone(p)
	default:
		err = v.readLog(ctx, p)
	}
	var damage *DamageError
	if errors.As(err, &damage) && damage.First == 0 {
		damage.First = p.first // as the file's name says
	}
	return err
}

// leaves are what a part's records are hashed into: a run up to each cut within it.
type leaves struct {
	hash *leafHasher
	cuts []uint64
	runs []leafRun
}

func (v *verifier) leaves(p *verifyPart, secret *[secretSize]byte) *leaves {
	from, _ := slices.BinarySearch(v.cuts, p.first)
	return &leaves{hash: newLeafHasher(secret), cuts: v.cuts[from:], runs: []leafRun{{begin: p.first - 1, end: p.first - 1}}}
}

func (s *leaves) add(seq uint64, canonical []byte) {
	run := &s.runs[len(s.runs)-1]
	run.leaf(s.hash.hash(seq, canonical))
	if len(s.cuts) > 0 && s.cuts[0] == seq {
		s.cuts = s.cuts[1:]
		s.runs = append(s.runs, leafRun{begin: run.end, end: run.end})
	}
}

// readSegment reads a segment twice over: its bytes against their checksums, then what they say.
func (v *verifier) readSegment(ctx context.Context, p *verifyPart) error {
	s, err := openSegment(p.name)
	if err != nil {
		return err
	}
	p.last = s.last()
	w := newFileWriter(nil)
	w.done = func(n int64) { v.progress(int(n)) }
	if err := copySegment(ctx, s, w); err != nil {
		return err
	}
	l, err := newSegmentLoader(s, v.l.unzip)
	if err != nil {
		return err
	}
	defer l.Close()
	refs, err := l.references(false)
	if err != nil {
		return err
	}
	c, err := l.load(ctx, ColAll, refs)
	if err != nil {
		return err
	}
	out, says := v.leaves(p, &s.secret), spans{}
	var b []byte
	row := 0
	for seq := s.first; seq <= s.last(); seq++ {
		var r whosaw.Record
		if len(refs) > 0 && refs[0].seq == seq {
			if err := decodeRecord(refs[0].bytes, &r); err != nil {
				return l.fault(columnReferences, sectionDict, err)
			}
			b = append(b[:0], refs[0].bytes...)
			refs = refs[1:]
		} else {
			r = c.Record(row)
			b = appendRecord(b[:0], &r)
			row++
		}
		says.take(&r)
		p.look(seq, &r)
		out.add(seq, b)
		if seq%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	f := footer{s.first, row, says, s.secret, s.sections}
	if !bytes.Equal(f.append(nil), s.footer.append(nil)) {
		return s.damage(s.sectionsEnd(), "the footer says of the records what they do not say themselves")
	}
	p.runs = out.runs
	return nil
}

// sectionsEnd is where the footer begins.
func (s *segment) sectionsEnd() int64 {
	end := int64(segmentHead)
	for _, info := range s.sections {
		end += int64(info.stored)
	}
	return end
}

// readTombstone has the leaves of what is gone. There are no roots within it.
func (v *verifier) readTombstone(p *verifyPart) error {
	t, err := readTombstone(v.l.dir, p.first)
	if err != nil {
		return err
	}
	p.last, p.runs = t.Last, []leafRun{t.run}
	v.progress(int(p.size))
	return nil
}

func (v *verifier) readLog(ctx context.Context, p *verifyPart) error {
	r, err := openLog(p.name)
	if err != nil {
		return err
	}
	defer r.Close()
	v.progress(logBlock)
	var out *leaves
	if r.secret != nil {
		out = v.leaves(p, r.secret)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := r.pos
		frame, err := r.frame(p.open && !p.spare)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		seq, rest := frame.first, frame.payload
		for range frame.count {
			if len(rest) < 4 || uint64(binary.LittleEndian.Uint32(rest)) > uint64(len(rest)-4) {
				return logDamage(r, frame.offset, seq, errShort)
			}
			n := binary.LittleEndian.Uint32(rest)
			var record whosaw.Record
			if err := decodeRecord(string(rest[4:4+n]), &record); err != nil {
				return logDamage(r, frame.offset, seq, err)
			}
			p.look(seq, &record)
			if out != nil {
				out.add(seq, rest[4:4+n])
			}
			rest = rest[4+n:]
			seq++
		}
		if len(rest) > 0 {
			return logDamage(r, frame.offset, seq, errNotCanonical)
		}
		v.progress(int(r.pos - before))
	}
	p.last, p.torn = r.next-1, r.size-r.pos
	if out != nil {
		p.runs = out.runs
	}
	return nil
}

func logDamage(r *logReader, offset int64, seq uint64, err error) error {
	return &DamageError{File: r.name, Offset: offset, What: "a record " + err.Error(), First: seq, Last: seq}
}

// join follows the parts, as opening a ledger does, and compares the roots on the way.
func (v *verifier) join(ctx context.Context) (Verified, error) {
	var out Verified
	next, tree, rooted := uint64(1), leafRun{}, true
	for _, p := range v.parts {
		suffix := filepath.Ext(p.name)
		if p.first != next && !p.spare {
			return out, v.l.hole(next, p.first, suffix)
		}
		if p.err != nil {
			return out, p.err
		}
		out.Bytes += p.size
		if p.spare { // its segment or its tombstone is there
			if suffix == logSuffix {
				out.Logs++
			}
			continue
		}
		switch suffix {
		case segmentSuffix:
			out.Segments++
			out.Records += p.last + 1 - p.first
		case goneSuffix:
			out.Purged += p.last + 1 - p.first
		default:
			out.Logs++
			out.Records += p.last + 1 - p.first
		}
		out.Torn += p.torn
		out.Sequence, next = p.last, p.last+1
		if rooted = rooted && p.runs != nil; !rooted {
			continue
		}
		begin := p.first
		for i := range p.runs {
			tree.join(&p.runs[i])
			if err := v.compare(&out, p, begin, &tree); err != nil {
				return out, err
			}
			begin = tree.end + 1
		}
		if p.last >= p.first {
			out.Parts = append(out.Parts, PartRoot{p.last, tree.root()})
		}
	}
	if err := ctx.Err(); err != nil {
		return out, err
	}
	out.Rooted, out.Root = tree.end, tree.root()
	if err := v.lostHolds(); err != nil {
		return out, err
	}
	return out, v.rest(&out)
}

// lostHolds finds a hold that the ledger says was set, and not that it was released, and that does not hold.
func (v *verifier) lostHolds() error {
	set := map[string]uint64{} // the sequence of the act, by id
	for _, p := range v.parts {
		if p.spare {
			continue
		}
		for _, a := range p.acts {
			if a.set {
				set[a.id] = a.seq
			} else {
				delete(set, a.id)
			}
		}
	}
	for id, seq := range set {
		n, err := strconv.ParseUint(id, 10, 64)
		if err == nil && n > 0 && n <= uint64(len(v.l.holds)) && v.l.holds[n-1].Released == 0 {
			continue
		}
		return &DamageError{
			File: filepath.Join(v.l.dir, holdsName), Offset: -1, First: seq, Last: seq,
			What: fmt.Sprintf("record %d says that hold %s was set, and the holds do not have it, or as released", seq, id),
		}
	}
	return nil
}

// compare compares the root so far with the one that was saved for this sequence, if there is one.
func (v *verifier) compare(out *Verified, p *verifyPart, begin uint64, tree *leafRun) error {
	if v.cfg.Saved == nil || tree.end == 0 {
		return nil
	}
	saved, ok := v.cfg.Saved.at(tree.end)
	if !ok {
		return nil
	}
	if root := Hash(tree.root()); root != saved {
		return &RewriteError{File: p.name, First: max(out.Saved+1, 1), Last: tree.end, Saved: saved, Found: root}
	}
	out.Saved = tree.end
	return nil
}

// rest finds that the ledger ends before a root that was saved.
func (v *verifier) rest(out *Verified) error {
	if v.cfg.Saved == nil || out.Saved == v.cfg.Saved.Sequence {
		return nil
	}
	if out.Sequence < v.cfg.Saved.Sequence {
		return &RewriteError{File: v.l.dir, First: out.Sequence + 1, Last: v.cfg.Saved.Sequence, Saved: v.cfg.Saved.Root, Short: true}
	}
	for _, p := range v.parts { // a root within what is gone cannot be worked out any more
		if filepath.Ext(p.name) == goneSuffix && p.first <= v.cfg.Saved.Sequence && v.cfg.Saved.Sequence < p.last {
			return nil
		}
	}
	return &RewriteError{File: v.l.dir, First: out.Saved + 1, Last: v.cfg.Saved.Sequence, Saved: v.cfg.Saved.Root}
}
