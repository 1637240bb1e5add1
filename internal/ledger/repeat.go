package ledger

import (
	"bytes"
	"context"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/whosaw/whosaw"
)

// earlierParts are the parts before the open one.
type earlierParts struct {
	sealed []viewPart
	frozen *openPart
}

func (l *Ledger) earlier() earlierParts {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := earlierParts{sealed: l.sealed}
	if l.frozen != nil {
		e.frozen = l.frozen.openPart
	}
	if l.justSealed != nil {
		l.repeats.add(l.justSealed)
		l.justSealed = nil
	}
	return e
}

// judge looks for the record of an item in a part in memory, and in what the batch has added to
// it so far.
func (o *openPart) judge(it *item, b *batch) error {
	var found whosaw.Record
	number, ok, err := o.known.find(it.hash, func(number int) (bool, error) {
		var err error
		if n := number - o.count(); n >= 0 {
			found = *b.items[b.taken[n]].r
		} else {
			found, err = o.record(number)
		}
		return err == nil && sameIdentity(it.r, &found), err
	})
	if ok && err == nil {
		it.settle(&found, o.first+uint64(number))
	}
	return err
}

// settle answers for a record that is there already: the same again, or another of that name.
func (it *item) settle(found *whosaw.Record, sequence uint64) {
	if it.r.ID != "" { // where it was read is no part of what it says
		found.Source, found.Position = it.r.Source, it.r.Position
	}
	*it.receipt = Receipt{Conflict, sequence}
	if bytes.Equal(appendRecord(nil, found), it.encoded[4:]) {
		it.receipt.Ack = Repeat
	}
	it.done = true
}

// repeats looks for records in sealed segments. It remembers what it read of the few segments it
// looked into last: what comes late or again mostly falls into one.
type repeats struct {
	zip   *zstd.Decoder
	known []*knownSegment // the one used last comes last
}

const (
	maxKnown = 4 // segments whose identities are kept, up to 24 bytes a record
	maxFull  = 1 // of those, segments whose records are kept
)

// knownSegment is what is remembered of a segment.
type knownSegment struct {
	seg        *segment
	identities identities
	refs       []refRow // without their bytes until full is read
	full       *Chunk   // nil: not read, or let go
}

// sealed settles the items of a batch that are in sealed segments. Each segment that may hold
// any is visited once.
func (k *repeats) sealed(b *batch, parts []viewPart) error {
	if len(parts) == 0 {
		return nil
	}
	times := span{min: b.items[0].r.Time, max: b.items[0].r.Time}
	for i := range b.items {
		times.take(b.items[i].r.Time, false)
	}
	var asked []*item
	for i := range parts {
		s := parts[i].seg
		if s.spans.time.max < times.min || s.spans.time.min > times.max {
			continue
		}
		asked = asked[:0]
		for i := range b.items {
			if it := &b.items[i]; !it.done && s.spans.mayHold(it.r) {
				asked = append(asked, it)
			}
		}
		if len(asked) == 0 {
			continue
		}
		known, err := k.segment(s)
		if err != nil {
			return err
		}
		for _, it := range asked {
			if err := k.judge(known, it); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge looks for the record of an item in a segment.
func (k *repeats) judge(known *knownSegment, it *item) error {
	var found whosaw.Record
	number, ok, err := known.identities.find(it.hash, func(number int) (bool, error) {
		if err := k.read(known); err != nil {
			return false, err
		}
		row, ref := locate(known.seg.first, known.refs, number)
		if ref < 0 {
			found = known.full.Record(row)
			return sameIdentity(it.r, &found), nil
		}
		found = whosaw.Record{}
		err := decodeRecord(known.refs[ref].bytes, &found)
		return err == nil && sameIdentity(it.r, &found), err
	})
	if ok && err == nil {
		it.settle(&found, known.seg.first+uint64(number))
	}
	return err
}

// read reads all of a segment's records, and lets another's go.
func (k *repeats) read(known *knownSegment) error {
	if known.full != nil {
		return nil
	}
	full := 0
	for _, other := range slices.Backward(k.known) {
		if other.full == nil {
			continue
		}
		if full++; full >= maxFull {
			other.full = nil
			for i := range other.refs {
				other.refs[i].bytes = ""
			}
		}
	}
	c, refs, err := known.load(k.zip, ColAll)
	if err == nil {
		known.full, known.refs = c, refs
	}
	return err
}

func (known *knownSegment) load(zip *zstd.Decoder, cols Columns) (*Chunk, []refRow, error) {
	l, err := newSegmentLoader(known.seg, zip)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	refs, err := l.references(false)
	if err != nil {
		return nil, nil, err
	}
	c, err := l.load(context.Background(), cols, refs)
	return c, refs, err
}

// segment gives what is remembered of a segment, or reads it.
func (k *repeats) segment(s *segment) (*knownSegment, error) {
	for i, known := range k.known {
		if known.seg == s {
			k.known = append(slices.Delete(k.known, i, i+1), known)
			return known, nil
		}
	}
	known := &knownSegment{seg: s}
	c, refs, err := known.load(k.zip, ColRealm|ColSource|ColRest)
	if err != nil {
		return nil, err
	}
	hashes := make([]uint64, s.spans.records)
	for i, seq := range c.Seq {
		r := whosaw.Record{
			ID: c.ID.At(i), Realm: c.Realm.At(i), Time: c.Time[i], Source: c.Source.At(i), Position: c.Position[i],
		}
		hashes[seq-s.first] = identityHash(&r)
	}
	for _, ref := range refs {
		var r whosaw.Record
		if err := decodeRecord(ref.bytes, &r); err != nil {
			return nil, err
		}
		hashes[ref.seq-s.first] = identityHash(&r)
	}
	known.identities.hashes, known.refs = hashes, sequencesOf(refs)
	k.add(known)
	return known, nil
}

func (k *repeats) add(known *knownSegment) {
	if len(k.known) == maxKnown {
		k.known = slices.Delete(k.known, 0, 1)
	}
	k.known = append(k.known, known)
}

// sequencesOf gives references without their bytes.
func sequencesOf(refs []refRow) []refRow {
	out := make([]refRow, len(refs))
	for i := range refs {
		out[i].seq = refs[i].seq
	}
	return out
}
