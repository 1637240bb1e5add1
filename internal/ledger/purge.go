package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Retention removes whole sealed segments. In the place of each stays a tombstone: which records went, of what
// times, and the part of the tree that they were, so that the roots over everything stay what they are. Sequences
// are never given again. A tombstone is placed before its segment is removed, and from then on the segment is
// gone: a crash in between leaves both, and the segment is removed when the ledger is opened.

const (
	goneSuffix  = ".gone"
	goneMagic   = "whosawPG"
	goneVersion = 1

	// maxPurgedSources is how many sources a tombstone names; of more it names none.
	maxPurgedSources = 256
)

// ErrPurged is returned where a snapshot's records were removed by retention meanwhile.
var ErrPurged = errors.New("these records were removed by retention while they were asked for: ask again")

// Purged is a run of records that retention removed.
type Purged struct {
	First, Last      uint64
	MinTime, MaxTime int64 // event times of them
	Accesses         int
	References       int
	Bytes            int64          // that they took on disk
	Sources          []PurgedSource // nil: there were too many
	Before           int64          // what is older was to go, milliseconds since 1970
	When             int64          // they went
}

// PurgedSource is what went of one source.
type PurgedSource struct {
	Source           string
	Records          int
	MinTime, MaxTime int64
}

// tombstone is what stays of a segment.
type tombstone struct {
	Purged
	run leafRun
}

func (t *tombstone) encode() []byte {
	b := binary.AppendUvarint(nil, t.First)
	b = binary.AppendUvarint(b, t.Last+1-t.First)
	b = binary.AppendUvarint(b, uint64(t.Accesses))
	b = span{t.MinTime, t.MaxTime}.append(b)
	b = binary.AppendUvarint(b, uint64(t.Bytes))
	b = span{t.Before, t.When}.append(b)
	b = binary.AppendUvarint(b, uint64(len(t.Sources)))
	for _, s := range t.Sources {
		b = binary.AppendUvarint(b, uint64(len(s.Source)))
		b = append(b, s.Source...)
		b = binary.AppendUvarint(b, uint64(s.Records))
		b = span{s.MinTime, s.MaxTime}.append(b)
	}
	for _, n := range t.run.nodes { // their places follow from the ends of the run
		b = append(b, n.hash[:]...)
	}
	return smallFile(goneMagic, goneVersion, b)
}

func readTombstone(dir string, first uint64) (*tombstone, error) {
	name := partName(dir, first, goneSuffix)
	payload, err := readSmall(name, goneMagic, goneVersion)
	if err != nil {
		return nil, err
	}
	d := &reader{s: payload}
	t := &tombstone{}
	t.First = d.uvarint()
	records := d.upTo(MaxSegmentRecords)
	t.Last = t.First + uint64(records) - 1
	t.Accesses = d.upTo(records)
	t.References = records - t.Accesses
	times := d.span()
	t.MinTime, t.MaxTime = times.min, times.max
	t.Bytes = int64(d.upTo(1 << 40))
	acted := d.span()
	t.Before, t.When = acted.min, acted.max
	for n := d.upTo(maxPurgedSources); n > 0 && d.err == nil; n-- {
		s := PurgedSource{Source: d.take(d.uvarint()), Records: d.upTo(records)}
		times := d.span()
		s.MinTime, s.MaxTime = times.min, times.max
		t.Sources = append(t.Sources, s)
	}
	t.run = leafRun{begin: t.First - 1, end: t.Last}
	t.run.nodes = perfect(t.First-1, t.Last)
	for i := range t.run.nodes {
		copy(t.run.nodes[i].hash[:], d.take(hashSize))
	}
	if err := readAllOf(name, d); err != nil {
		return nil, err
	}
	if t.First != first || records == 0 {
		return nil, &DamageError{File: name, Offset: smallHead, What: "it is of another segment than the file's name says"}
	}
	return t, nil
}

// Purge says what retention would remove of a ledger, or removes it.
type Purge struct {
	Go   []Purged // segments all of whose records are older
	Held []HeldBack
	// Mixed are the segments that have older records and newer ones: they stay until all of theirs are older.
	Mixed int
}

// HeldBack is a segment that a hold keeps.
type HeldBack struct {
	Purged
	Holds []uint64 // their ids
}

// PlanPurge says what Purge would remove: the segments all of whose records have event times before a moment, in
// milliseconds since 1970, and that no hold touches. What is not sealed yet is planned as the segment that it will be;
// Purge does not seal.
func (l *Ledger) PlanPurge(before int64) (Purge, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return Purge{}, ErrClosed
	}
	var out Purge
	parts := slices.Clone(l.sealed)
	if l.frozen != nil {
		parts = append(parts, l.frozen.view)
	}
	if l.opened != nil {
		parts = append(parts, *l.opened)
	}
	for i := range parts {
		p := &parts[i]
		switch {
		case p.MinTime >= before:
			continue
		case p.MaxTime >= before:
			out.Mixed++
			continue
		}
		gone := p.purged(before)
		if ids := l.holding(gone.MinTime, gone.MaxTime); len(ids) > 0 {
			out.Held = append(out.Held, HeldBack{gone, ids})
			continue
		}
		out.Go = append(out.Go, gone)
	}
	return out, nil
}

func (p *viewPart) purged(before int64) Purged {
	g := Purged{
		First: p.First, Last: p.Last, MinTime: p.MinTime, MaxTime: p.MaxTime, Accesses: p.Accesses, References: p.References,
		Bytes: p.Bytes, Before: before,
	}
	if p.seg != nil && len(p.seg.spans.sources) <= maxPurgedSources {
		for _, of := range p.seg.spans.sources {
			g.Sources = append(g.Sources, PurgedSource{of.source, of.records, of.time.min, of.time.max})
		}
	}
	return g
}

// Purge removes the segments that PlanPurge names, one after the other, and gives what went, also when it ends early. A
// segment is read and verified first: of a damaged one nobody could say later what it was. What one holds is looked at
// again when it goes, so a hold that is added meanwhile keeps it.
func (l *Ledger) Purge(ctx context.Context, before int64, when time.Time) (gone []Purged, err error) {
	if l.cfg.ReadOnly {
		return nil, fmt.Errorf("purge: %w", ErrReadOnly)
	}
	plan, err := l.PlanPurge(before)
	if err != nil {
		return nil, fmt.Errorf("purge: %w", err)
	}
	for i := range plan.Go {
		t := &tombstone{Purged: plan.Go[i]}
		if !l.isSealed(t.First) {
			continue
		}
		t.When = when.UnixMilli()
		if t.run, err = l.runOf(ctx, t.First); err != nil {
			return gone, fmt.Errorf("purge records %d to %d: %w", t.First, t.Last, err)
		}
		went := false
		err := l.act(ctx, func() error {
			var err error
			went, err = l.drop(t)
			return err
		})
		if err != nil {
			return gone, fmt.Errorf("purge records %d to %d: %w", t.First, t.Last, err)
		}
		if went {
			gone = append(gone, t.Purged)
		}
	}
	return gone, nil
}

func (l *Ledger) isSealed(first uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.sealed, func(p viewPart) bool { return p.First == first && p.seg != nil })
}

// act has the writer do something between appends. An error that is not of a full disk stops the writer.
func (l *Ledger) act(ctx context.Context, do func() error) error {
	return l.send(ctx, &request{act: do, done: make(chan struct{})})
}

// runOf verifies a segment and gives its leaves.
func (l *Ledger) runOf(ctx context.Context, first uint64) (leafRun, error) {
	v := &verifier{l: l}
	p := &verifyPart{name: partName(l.dir, first, segmentSuffix), first: first}
	if err := v.readSegment(ctx, p); err != nil {
		return leafRun{}, err
	}
	return p.runs[0], nil
}

// drop removes a segment: the only way in which one goes. It runs in the writer. It is false if the segment is
// gone already, or a hold was added that keeps it.
func (l *Ledger) drop(t *tombstone) (bool, error) {
	is := func(p viewPart) bool { return p.First == t.First && p.seg != nil }
	l.mu.Lock() // a seal in the background adds to the sealed
	at := slices.IndexFunc(l.sealed, is)
	var seg *segment
	if at >= 0 {
		seg = l.sealed[at].seg
	}
	l.mu.Unlock()
	if seg == nil || len(l.holding(t.MinTime, t.MaxTime)) > 0 {
		return false, nil
	}
	if err := l.replaceFile(partName(l.dir, t.First, goneSuffix), t.encode()); err != nil {
		return false, err
	}
	l.mu.Lock()
	at = slices.IndexFunc(l.sealed, is)
	l.sealed = slices.Concat(l.sealed[:at], l.sealed[at+1:]) // views have the old one
	l.gone = slices.Concat(l.gone, []*tombstone{t})
	slices.SortFunc(l.gone, func(a, b *tombstone) int { return int(int64(a.First) - int64(b.First)) })
	l.mu.Unlock()
	l.repeats.forget(seg)
	return true, l.removePurged(seg.name)
}

// removePurged removes a file whose tombstone is on disk.
func (l *Ledger) removePurged(name string) error {
	if err := l.disk.Remove(name); err != nil {
		return fmt.Errorf("remove purged segment: %w%s", err, cure(err))
	}
	if err := l.disk.SyncDir(l.dir); err != nil {
		return fmt.Errorf("sync ledger: %w%s", err, cure(err))
	}
	return nil
}

// forget lets go of what is remembered of a segment.
func (k *repeats) forget(s *segment) {
	k.known = slices.DeleteFunc(k.known, func(known *knownSegment) bool { return known.seg == s })
}

// openSegmentFile opens a segment's file; that it was purged meanwhile is said as such.
func openSegmentFile(name string) (*os.File, error) {
	f, err := os.Open(name)
	if err == nil {
		return f, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if _, e := os.Stat(name[:len(name)-len(segmentSuffix)] + goneSuffix); e == nil {
			return nil, fmt.Errorf("open segment: %w", ErrPurged)
		}
	}
	return nil, fmt.Errorf("open segment: %w%s", err, cure(err))
}

// Removed is how many runs of records Purged lists: as long as a ledger's last sequence and this stay, so does what it holds.
func (v *View) Removed() int { return len(v.gone) }

// Purged lists what retention removed of the records that the view would have, in sequence order.
func (v *View) Purged() []Purged {
	out := make([]Purged, 0, len(v.gone))
	for _, t := range v.gone {
		out = append(out, t.Purged)
	}
	return out
}
