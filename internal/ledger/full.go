package ledger

import (
	"errors"
	"fmt"
	"syscall"
	"time"
)

// A full disk is no fault: space comes back. As long as it can be known that nothing of a write counts,
// the write is undone and the ledger goes on; a failed sync stops the writer as ever, whatever it says.

// sealPause is how long a seal that found no space is not tried again, unless space was freed.
const sealPause = 10 * time.Second

// fullError is a write for which there was no space, and of which nothing counts.
type fullError struct{ err error }

func (e *fullError) Error() string { return e.err.Error() }
func (e *fullError) Unwrap() error { return e.err }

func (e *fullError) Is(target error) bool { return target == ErrDiskFull }

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// ready makes sure that a batch can be taken: from here on only a fault of the disk is in the way, or
// somebody else who takes the space at this moment.
func (l *Ledger) ready(b *batch) error {
	if err := l.sealAgain(); err != nil {
		return err
	}
	if l.partFull() {
		if err := l.rotate(true); err != nil {
			return err
		}
	}
	need := frameSize(b.bytes)
	if err := l.room(need); err != nil {
		return err
	}
	if l.tight {
		return l.probe(need)
	}
	return nil
}

// Room says whether there is more space than is kept in reserve: nil, or an ErrDiskFull that says what is missing. A quota, and a disk
// without a reserve, show only when something is written.
func (l *Ledger) Room() error { return l.room(0) }

func (l *Ledger) room(need int64) error {
	if l.cfg.Reserve <= 0 {
		return nil
	}
	if free, err := l.disk.Free(l.dir); err == nil && free-need < l.cfg.Reserve {
		return fmt.Errorf("%w: the file system of %s has %d bytes free, of which %d are kept in reserve; "+
			"free some space, and the ledger takes records again by itself", ErrDiskFull, l.cfg.Dir, free, l.cfg.Reserve)
	}
	return nil
}

// partFull says that the open part takes no more records.
func (l *Ledger) partFull() bool {
	return l.open.count() >= l.cfg.SegmentRecords || l.log.end >= maxLog
}

// probe finds out whether there is space for a frame, where the last one found none: undoing costs more.
func (l *Ledger) probe(need int64) error {
	_, err := l.log.f.WriteAt(make([]byte, need), l.log.end)
	if err != nil && !noSpace(err) {
		return fmt.Errorf("write log: %w%s", err, cure(err))
	}
	if e := l.log.f.Truncate(l.log.end); e != nil {
		return fmt.Errorf("cut log: %w%s", e, cure(e))
	}
	// Perhaps no frame follows: then the log is sealed as it is, and after a loss of power it would not end where it should.
	if e := l.log.f.Sync(); e != nil {
		return fmt.Errorf("sync log: %w%s", e, cure(e))
	}
	if err != nil {
		return &fullError{fmt.Errorf("write log: %w%s", err, cure(err))}
	}
	return nil
}

// undo makes log and open part what they were before a frame for which there was no space. The records
// of the frame are in the open part already, so that is read again from the log, as when the ledger is
// opened. It gives why, or what stops the writer.
func (l *Ledger) undo(why error) error {
	if err := l.log.f.Truncate(l.log.end); err != nil {
		return fmt.Errorf("cut log after the disk was full: %w%s", err, cure(err))
	}
	if err := l.log.f.Sync(); err != nil {
		return fmt.Errorf("sync log after the disk was full: %w", err)
	}
	r, err := openLog(l.log.name)
	if err != nil {
		return err
	}
	defer r.Close()
	o, err := r.part(false)
	if err != nil {
		return err
	}
	l.mu.Lock()
	count := 0
	if l.opened != nil {
		count = int(l.opened.Last - l.opened.First + 1)
	}
	l.mu.Unlock()
	if r.pos != l.log.end || o.count() != count {
		return r.damage(r.pos, "the log does not end where it was acknowledged")
	}
	l.open, l.tight = o, true
	l.publish()
	return why
}

// stuck gives the part that is full and for whose segment there was no space, if there is one and
// nothing is being done about it.
func (l *Ledger) stuck() *frozenPart {
	if l.sealing != nil {
		select {
		case <-l.sealing:
		default:
			return nil
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.frozen == nil || l.frozen.full == nil {
		return nil
	}
	return l.frozen
}

// sealAgain begins to seal a part again for which there was no space.
func (l *Ledger) sealAgain() error {
	if err := l.failure(); err != nil {
		return err
	}
	if f := l.stuck(); f != nil && l.worthSealing(f) {
		l.startSeal(f)
	}
	return nil
}

// worthSealing says that space was freed since there was none for a segment, or that it is some time
// ago: quotas do not show.
func (l *Ledger) worthSealing(f *frozenPart) bool {
	free, err := l.disk.Free(l.dir)
	since := l.now().Sub(f.tried)
	return err == nil && free > f.free+1<<20 || since >= sealPause || since < 0 // the clock went back
}

// startSeal seals a full part in the background.
func (l *Ledger) startSeal(f *frozenPart) {
	l.mu.Lock()
	f.full = nil
	l.mu.Unlock()
	ended := make(chan struct{})
	l.sealing = ended
	go func() {
		defer close(ended)
		err := l.seal(f)
		if !errors.Is(err, ErrDiskFull) {
			if err != nil {
				l.fail(err)
			}
			return
		}
		free, e := l.disk.Free(l.dir)
		if e != nil {
			free = 0 // time alone decides
		}
		l.mu.Lock()
		f.full, f.free, f.tried = err, free, l.now()
		l.mu.Unlock()
	}()
}
