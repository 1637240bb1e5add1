package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
)

// held is the open log as the writer hands it to a backup: what comes later is not the backup's,
// and the file stays readable when it is sealed and removed meanwhile.
type held struct {
	log     *os.File
	name    string
	first   uint64
	last    uint64 // first-1 if it holds none
	end     int64
	sealing <-chan struct{}
}

// hold is the writer's: nothing is being written while it runs.
func (l *Ledger) hold(h *held) error {
	f, err := os.Open(l.log.name)
	if err != nil {
		return fmt.Errorf("open log: %w%s", err, cure(err))
	}
	*h = held{log: f, name: l.log.name, first: l.open.first, end: l.log.end, sealing: l.sealing}
	h.last = h.first - 1
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened != nil { // what was not acknowledged is in l.open too after a failed write
		h.last = l.opened.Last
	}
	return nil
}

// source is one part as a backup reads it: a segment, what stayed of one, or a log up to an acknowledged end.
type source struct {
	seg   *segment
	gone  *tombstone
	log   *os.File
	name  string // of the log
	first uint64
	last  uint64
	end   int64
}

// sources are all parts as of one sequence.
type sources []source

func (s sources) close() {
	for i := range s {
		if s[i].log != nil {
			s[i].log.Close() // only read
		}
	}
}

// last is the sequence up to which they go.
func (s sources) last() uint64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].last
}

// find gives the part that begins at a sequence.
func (s sources) find(first uint64) *source {
	for i := range s {
		if s[i].first == first {
			return &s[i]
		}
	}
	return nil
}

// sources gives all that is acknowledged, with its logs held open. A part that is full is waited for
// until it is sealed.
func (l *Ledger) sources(ctx context.Context) (s sources, err error) {
	var h held
	if l.cfg.ReadOnly {
		if l.log != nil {
			if h.log, err = os.Open(l.log.name); err != nil {
				return nil, fmt.Errorf("open log: %w%s", err, cure(err))
			}
			h.name, h.first, h.end = l.log.name, l.open.first, l.log.end
			h.last = h.first + uint64(l.open.count()) - 1
		}
	} else if err := l.send(ctx, &request{hold: &h, done: make(chan struct{})}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
			if h.log != nil {
				h.log.Close()
			}
		}
	}()
	if h.sealing != nil {
		select {
		case <-h.sealing:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	parts, gone, err := l.snapshot()
	if err != nil {
		return nil, err
	}
	bury := func(before uint64) { // the tombstones that come before a sequence
		for ; len(gone) > 0 && gone[0].First < before; gone = gone[1:] {
			s = append(s, source{gone: gone[0], first: gone[0].First, last: gone[0].Last})
		}
	}
	for _, p := range parts {
		bury(p.First)
		if h.log != nil && p.First >= h.first {
			break
		}
		part := source{seg: p.seg, first: p.First, last: p.Last}
		if p.seg == nil { // its seal failed, or this is a reader
			if part, err = l.fullLog(p); err != nil {
				return s, err
			}
		}
		s = append(s, part)
	}
	bury(math.MaxUint64) // none is behind an open log
	if h.log != nil {
		s = append(s, source{log: h.log, name: h.name, first: h.first, last: h.last, end: h.end})
		h.log = nil
	}
	return s, nil
}

// fullLog gives the log of a full part that is not sealed.
func (l *Ledger) fullLog(p viewPart) (source, error) {
	name := partName(l.dir, p.First, logSuffix)
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		// It is being sealed now, or a seal failed at its very end.
		if seg, err := openSegment(partName(l.dir, p.First, segmentSuffix)); err == nil {
			return source{seg: seg, first: p.First, last: p.Last}, nil
		}
		return source{}, fmt.Errorf("%s was to be sealed, and that ended in the middle: open the ledger again, then back up", name)
	}
	if err != nil {
		return source{}, fmt.Errorf("open log: %w%s", err, cure(err))
	}
	return source{log: f, name: name, first: p.First, last: p.Last, end: p.Bytes}, nil
}
