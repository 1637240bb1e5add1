package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/klauspost/compress/zstd"

	"github.com/whosaw/whosaw"
)

// View is a snapshot. It stays valid until Close while appends go on.
type View struct {
	parts []viewPart
	gone  []*tombstone // of records up to the view's last
	last  uint64
	zip   *zstd.Decoder

	ledger *Ledger
	number uint64 // see Views
}

// viewPart is a part as a view sees it. It has a segment or a chunk.
type viewPart struct {
	Part
	seg   *segment
	chunk *Chunk   // of an open part: its accesses, columns left short
	refs  []refRow // of an open part
	rows  int      // accesses that are in the view: all, or those up to its last sequence
}

// Part describes one run of records: a sealed segment or the open log.
type Part struct {
	First, Last      uint64 // sequences
	MinTime, MaxTime int64  // event times, of all records
	Accesses         int
	References       int
	Bytes            int64     // on disk
	Segment          SegmentID // zero: the part is no sealed segment, or not the whole of one
}

// Whole reports whether the part is the whole of a sealed segment: nothing in it changes any more.
func (p *Part) Whole() bool { return p.Segment != SegmentID{} }

// SegmentID tells a sealed segment from every other: it is a hash of its footer.
type SegmentID [16]byte

// View gives a snapshot of the records with sequence up to and with asOf (0: all acknowledged so far).
func (l *Ledger) View(asOf uint64) (*View, error) {
	v := &View{zip: l.unzip, ledger: l, number: l.viewed()}
	parts, gone, err := l.snapshot()
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	v.parts = make([]viewPart, 0, len(parts))
	for _, t := range gone {
		if asOf != 0 && t.First > asOf {
			break
		}
		v.gone, v.last = append(v.gone, t), t.Last
	}
	if asOf != 0 {
		v.last = min(v.last, asOf)
	}
	for _, p := range parts {
		if asOf != 0 && p.First > asOf {
			break
		}
		if asOf != 0 && p.Last > asOf {
			if err := v.cut(&p, asOf); err != nil {
				return nil, errors.Join(fmt.Errorf("view as of %d: %w", asOf, err), v.Close())
			}
		}
		v.parts, v.last = append(v.parts, p), max(v.last, p.Last)
	}
	return v, nil
}

// snapshot gives the parts as they are now.
func (l *Ledger) snapshot() ([]viewPart, []*tombstone, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, ErrClosed
	}
	parts := l.sealed[:len(l.sealed):len(l.sealed)]
	if l.frozen != nil {
		parts = append(parts, l.frozen.view)
	}
	if l.opened != nil {
		parts = append(parts, *l.opened)
	}
	return parts, l.gone, nil
}

// viewed gives the number of a view that is open from now on. What it sees is looked at afterwards.
func (l *Ledger) viewed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.views++
	if l.viewing == nil {
		l.viewing = map[uint64]struct{}{}
	}
	l.viewing[l.views] = struct{}{}
	return l.views
}

// Views tells what snapshots are open. They are numbered as they are taken: oldest is the number of the first that was not closed, next that of the
// one to come; they are equal if none is open. What was taken out of the ledger is seen by none that comes later.
func (l *Ledger) Views() (oldest, next uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next = l.views + 1
	oldest = next
	for n := range l.viewing {
		oldest = min(oldest, n)
	}
	return oldest, next
}

// OnViewClosed has fn called after each time that a view was closed. To be called before there is any.
func (l *Ledger) OnViewClosed(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onViewClosed = fn
}

// view gives the part as it is now, with what its log takes on disk.
func (o *openPart) view(bytes int64) viewPart {
	return viewPart{
		Part: Part{
			First:      o.first,
			Last:       o.first + uint64(o.count()) - 1,
			MinTime:    o.spans.time.min,
			MaxTime:    o.spans.time.max,
			Accesses:   o.accesses,
			References: len(o.refs),
			Bytes:      bytes,
		},
		chunk: o.chunk(),
		refs:  o.refs,
		rows:  o.accesses,
	}
}

// view gives the part of a segment.
func (s *segment) view() viewPart {
	return viewPart{
		Part: Part{
			First:      s.first,
			Last:       s.last(),
			MinTime:    s.spans.time.min,
			MaxTime:    s.spans.time.max,
			Accesses:   s.accesses,
			References: s.spans.records - s.accesses,
			Bytes:      s.size,
			Segment:    s.id,
		},
		seg:  s,
		rows: s.accesses,
	}
}

// cut leaves of a part what is up to asOf.
func (v *View) cut(p *viewPart, asOf uint64) error {
	refs, err := v.refs(p, true)
	if err != nil {
		return err
	}
	c, err := v.load(context.Background(), p, 0)
	if err != nil {
		return err
	}
	p.Last, p.Segment = asOf, SegmentID{}
	p.References = sort.Search(len(refs), func(i int) bool { return refs[i].seq > asOf })
	p.rows = sort.Search(len(c.Seq), func(i int) bool { return c.Seq[i] > asOf })
	p.Accesses = p.rows
	p.MinTime, p.MaxTime = math.MaxInt64, math.MinInt64
	for _, t := range c.Time[:p.rows] {
		p.MinTime, p.MaxTime = min(p.MinTime, t), max(p.MaxTime, t)
	}
	if p.References == 0 {
		return nil
	}
	if refs, err = v.refs(p, false); err != nil {
		return err
	}
	for _, ref := range refs[:p.References] {
		var r whosaw.Record
		if err := decodeRecord(ref.bytes, &r); err != nil {
			return p.damage(err)
		}
		p.MinTime, p.MaxTime = min(p.MinTime, r.Time), max(p.MaxTime, r.Time)
	}
	return nil
}

// damage says that a record of the part cannot be read.
func (p *viewPart) damage(err error) error {
	if p.seg == nil {
		return err
	}
	return (&segmentLoader{seg: p.seg}).fault(columnReferences, sectionDict, err)
}

// Close lets go of the snapshot.
func (v *View) Close() error {
	v.parts, v.gone, v.last = nil, nil, 0
	l := v.ledger
	if l == nil {
		return nil
	}
	l.mu.Lock()
	_, open := l.viewing[v.number]
	delete(l.viewing, v.number)
	tell := l.onViewClosed
	l.mu.Unlock()
	if open && tell != nil {
		tell()
	}
	return nil
}

// Last is the greatest sequence in the view, also of records that were purged; 0 if it is empty. Sequences begin at 1.
func (v *View) Last() uint64 { return v.last }

// Bytes is what the view's parts take on disk.
func (v *View) Bytes() int64 {
	n := int64(0)
	for i := range v.parts {
		n += v.parts[i].Bytes
	}
	return n
}

// Parts lists the view's parts in sequence order.
func (v *View) Parts() []Part {
	parts := make([]Part, len(v.parts))
	for i := range parts {
		parts[i] = v.parts[i].Part
	}
	return parts
}

// Load gives the accesses of one part. Safe to call from several goroutines at once. Dictionaries
// may hold values that no row has.
func (v *View) Load(ctx context.Context, part int, cols Columns) (*Chunk, error) {
	if part < 0 || part >= len(v.parts) {
		return nil, errors.New("load part: the view has no such part")
	}
	p := &v.parts[part]
	c, err := v.load(ctx, p, cols)
	if err != nil {
		return nil, fmt.Errorf("load part of sequence %d: %w", p.First, err)
	}
	return c.cut(p.rows), nil
}

// load gives all accesses of a part, whatever the view's last sequence.
func (v *View) load(ctx context.Context, p *viewPart, cols Columns) (*Chunk, error) {
	if p.seg == nil {
		return p.chunk.only(cols), nil
	}
	l, err := newSegmentLoader(p.seg, v.zip)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	refs, err := l.references(true)
	if err != nil {
		return nil, err
	}
	return l.load(ctx, cols, refs)
}

// refs gives all records of a part that are not accesses; or only their sequences.
func (v *View) refs(p *viewPart, sequences bool) ([]refRow, error) {
	if p.seg == nil {
		return p.refs, nil
	}
	l, err := newSegmentLoader(p.seg, v.zip)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.references(sequences)
}

// References calls fn with each record that is not an access, in sequence order. The record may be kept.
func (v *View) References(ctx context.Context, fn func(seq uint64, r *whosaw.Record) error) error {
	for i := range v.parts {
		if err := v.PartReferences(ctx, i, fn); err != nil {
			return err
		}
	}
	return nil
}

// PartReferences is References for one part.
func (v *View) PartReferences(ctx context.Context, part int, fn func(seq uint64, r *whosaw.Record) error) error {
	return v.SomeReferences(ctx, part, nil, fn)
}

// give calls fn with a record that is not an access.
func (p *viewPart) give(ref refRow, fn func(seq uint64, r *whosaw.Record) error) error {
	r := new(whosaw.Record)
	if err := decodeRecord(ref.bytes, r); err != nil {
		return fmt.Errorf("read sequence %d: %w", ref.seq, p.damage(err))
	}
	return fn(ref.seq, r)
}

// Records calls fn with every record from sequence from on, in sequence order. The record may be kept.
func (v *View) Records(ctx context.Context, from uint64, fn func(seq uint64, r *whosaw.Record) error) error {
	for i := range v.parts {
		p := &v.parts[i]
		if p.Last < from {
			continue
		}
		if err := v.partRecords(ctx, p, from, fn); err != nil {
			return err
		}
	}
	return nil
}

func (v *View) partRecords(ctx context.Context, p *viewPart, from uint64, fn func(seq uint64, r *whosaw.Record) error) error {
	refs, err := v.refs(p, false)
	if err != nil {
		return fmt.Errorf("read part of sequence %d: %w", p.First, err)
	}
	refs = refs[:p.References]
	c, err := v.load(ctx, p, ColAll)
	if err != nil {
		return fmt.Errorf("read part of sequence %d: %w", p.First, err)
	}
	c = c.cut(p.rows)
	row := sort.Search(c.N, func(i int) bool { return c.Seq[i] >= from })
	ref := sort.Search(len(refs), func(i int) bool { return refs[i].seq >= from })
	for n := 0; row < c.N || ref < len(refs); n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if row == c.N || ref < len(refs) && refs[ref].seq < c.Seq[row] {
			err = p.give(refs[ref], fn)
			ref++
		} else {
			r := c.Record(row)
			err = fn(c.Seq[row], &r)
			row++
		}
		if err != nil {
			return err
		}
	}
	return nil
}
