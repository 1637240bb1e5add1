package ledger

import (
	"crypto/rand"
	"fmt"

	"github.com/whosaw/whosaw"
)

// rotate begins a new log and has the old one sealed while appends go on. more says that as much
// again is expected.
func (l *Ledger) rotate(more bool) error {
	if err := l.waitForSeal(); err != nil {
		return err
	}
	next := l.open.first + uint64(l.open.count())
	log, err := createLog(l.disk, l.dir, next)
	if err != nil {
		return err
	}
	full := &frozenPart{openPart: l.open, view: l.open.view(l.log.end), log: l.log}
	var like *openPart
	if more {
		like = full.openPart
	}
	l.open, l.log = newOpenPart(next, like), log
	full.holders = nil
	l.mu.Lock()
	l.frozen, l.opened = full, nil
	l.mu.Unlock()
	l.startSeal(full)
	return nil
}

// waitForSeal waits until the seal in the background has ended. A part for which there was no space is
// tried again if that may help; if it did not, the error is ErrDiskFull.
func (l *Ledger) waitForSeal() error {
	for again := false; ; again = true {
		l.endSeal()
		if err := l.failure(); err != nil {
			return err
		}
		f := l.stuck()
		if f == nil {
			return nil
		}
		if again || !l.worthSealing(f) {
			return f.full
		}
		l.startSeal(f)
	}
}

// endSeal waits until the seal in the background has ended, whatever came of it.
func (l *Ledger) endSeal() {
	if l.sealing != nil {
		<-l.sealing
	}
}

// sealNow seals the open part, if it holds anything, and waits.
func (l *Ledger) sealNow() error {
	if l.open.count() > 0 {
		if err := l.rotate(false); err != nil {
			return err
		}
	}
	return l.waitForSeal()
}

// seal turns a full part into a segment. The log goes only when the segment is on disk under its
// name: a crash in between leaves both, and the log is removed when the ledger is opened.
func (l *Ledger) seal(full *frozenPart) error {
	secret := full.log.secret
	if secret == nil {
		secret = new([secretSize]byte)
		rand.Read(secret[:])
	}
	name := partName(l.dir, full.first, segmentSuffix)
	f, err := placeFile(l.disk, name, func(f file) error {
		return writeSegment(f, l.zip, full.openPart, *secret)
	})
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("write segment: %w%s", err, cure(err))
	}
	s, err := openSegment(name)
	if err != nil {
		return err
	}
	full.log.f.Close() // synced long ago
	if err := l.disk.Remove(full.log.name); err != nil {
		return fmt.Errorf("remove sealed log: %w%s", err, cure(err))
	}
	if err := l.disk.SyncDir(l.dir); err != nil {
		return fmt.Errorf("sync ledger: %w%s", err, cure(err))
	}
	known := &knownSegment{
		seg:        s,
		identities: identities{hashes: full.known.hashes}, // the table is the writer's
		refs:       sequencesOf(full.refs),
	}
	l.mu.Lock()
	l.sealed, l.frozen, l.justSealed = append(l.sealed, s.view()), nil, known
	on := l.onSeal
	l.mu.Unlock()
	if on != nil {
		p := s.view().Part
		on(&p, full.chunk().only(ColAll), func(fn func(seq uint64, r *whosaw.Record) error) error {
			for _, ref := range full.refs {
				if err := full.view.give(ref, fn); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return nil
}

// References calls fn with each record of a part that is not an access, in sequence order.
type References func(fn func(seq uint64, r *whosaw.Record) error) error

// OnSeal has fn called with each segment that is sealed from now on and its records, which may not be kept: by one goroutine,
// before the next segment is sealed, so that what fn makes of them is bounded. What is acknowledged does not wait for it, until
// as much again has come.
func (l *Ledger) OnSeal(fn func(p *Part, c *Chunk, references References)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onSeal = fn
}
