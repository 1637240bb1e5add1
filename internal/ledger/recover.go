package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/whosaw/whosaw"
)

// files are the ledger's files by the sequence they begin at.
type files struct {
	segments, logs, gone []uint64 // ascending
	temps                []string
}

// list reads the directory. What is not the ledger's own has no business there: it may be a
// part under a wrong name, so it is not passed over.
func (l *Ledger) list() (files, error) {
	var found files
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return found, fmt.Errorf("list ledger: %w%s", err, cure(err))
	}
	for _, e := range entries {
		name := filepath.Join(l.dir, e.Name())
		stem, temp := strings.CutSuffix(e.Name(), tempSuffix)
		suffix := filepath.Ext(stem)
		digits := strings.TrimSuffix(stem, suffix)
		first, err := strconv.ParseUint(digits, 10, 64)
		switch {
		case stem == holdsName && e.Type().IsRegular():
			if temp {
				found.temps = append(found.temps, name)
			}
		case err != nil || len(digits) != 20 || first == 0 || !e.Type().IsRegular(),
			suffix != logSuffix && suffix != segmentSuffix && suffix != goneSuffix:
			return found, fmt.Errorf("%s is none of the ledger's files: move it to another directory", name)
		case temp:
			found.temps = append(found.temps, name)
		case suffix == logSuffix:
			found.logs = append(found.logs, first)
		case suffix == goneSuffix:
			found.gone = append(found.gone, first)
		default:
			found.segments = append(found.segments, first)
		}
	}
	slices.Sort(found.segments)
	slices.Sort(found.logs)
	slices.Sort(found.gone)
	return found, nil
}

// recover reads what is there and, unless it may only read, finishes what a crash broke off.
func (l *Ledger) recover() error {
	found, err := l.list()
	if err != nil {
		return err
	}
	owner := !l.cfg.ReadOnly
	if owner {
		if err := l.tidy(found.temps); err != nil {
			return err
		}
	}
	if l.holds, err = readHolds(filepath.Join(l.dir, holdsName)); err != nil {
		return err
	}
	next, err := l.openSealed(found)
	if err != nil {
		return err
	}
	logs, err := l.openLogs(found, next)
	if err != nil {
		return err
	}
	if len(logs) == 0 {
		if next > 1 {
			return &DamageError{File: partName(l.dir, next, logSuffix), Offset: -1, What: "the file is not there: it is the open log"}
		}
		l.open = newOpenPart(next, nil)
		if owner {
			l.log, err = createLog(l.disk, l.dir, next)
		}
		return err
	}
	for i, first := range logs {
		if first != next {
			return l.hole(next, first, logSuffix)
		}
		last := i == len(logs)-1
		if err := l.replay(first, last); err != nil {
			return err
		}
		next = first + uint64(l.open.count())
		if last {
			break
		}
		if owner {
			err = l.seal(&frozenPart{openPart: l.open, log: l.log})
		} else {
			l.sealed = append(l.sealed, l.open.view(l.log.end))
		}
		if err != nil {
			return err
		}
	}
	l.publish()
	return nil
}

// openSealed opens the segments and reads the tombstones, which follow each other without a hole, and gives the
// sequence behind them. A segment that has a tombstone is gone.
func (l *Ledger) openSealed(found files) (next uint64, err error) {
	next = 1
	for _, first := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(found.segments, found.gone)))) {
		if first != next {
			return 0, l.hole(next, first, segmentSuffix)
		}
		if slices.Contains(found.gone, first) {
			t, err := readTombstone(l.dir, first)
			if err != nil {
				return 0, err
			}
			if slices.Contains(found.segments, first) && !l.cfg.ReadOnly {
				if err := l.removePurged(partName(l.dir, first, segmentSuffix)); err != nil {
					return 0, err
				}
			}
			l.gone, next = append(l.gone, t), t.Last+1
			continue
		}
		s, err := openSegment(partName(l.dir, first, segmentSuffix))
		if err != nil {
			return 0, err
		}
		l.sealed, next = append(l.sealed, s.view()), s.last()+1
	}
	return next, nil
}

// tidy removes what was begun and never put in place, and makes what was put in place last: the
// process before us may have ended between the two.
func (l *Ledger) tidy(temps []string) error {
	for _, name := range temps {
		if err := l.disk.Remove(name); err != nil {
			return fmt.Errorf("remove unfinished file: %w%s", err, cure(err))
		}
	}
	if err := l.disk.SyncDir(l.dir); err != nil {
		return fmt.Errorf("sync ledger: %w%s", err, cure(err))
	}
	return nil
}

// openLogs gives the logs whose records are in no segment; those that were sealed are removed.
func (l *Ledger) openLogs(found files, next uint64) ([]uint64, error) {
	var logs []uint64
	for _, first := range found.logs {
		name := partName(l.dir, first, logSuffix)
		switch {
		case first >= next:
			logs = append(logs, first)
		case !slices.Contains(found.segments, first) && !slices.Contains(found.gone, first):
			return nil, &DamageError{File: name, What: "its records are in a segment that begins elsewhere"}
		case !l.cfg.ReadOnly:
			if err := l.disk.Remove(name); err != nil {
				return nil, fmt.Errorf("remove sealed log: %w%s", err, cure(err))
			}
		}
	}
	return logs, nil
}

// hole says which records are not there.
func (l *Ledger) hole(next, first uint64, suffix string) error {
	if first < next {
		return &DamageError{
			File: partName(l.dir, first, suffix),
			What: fmt.Sprintf("it begins with sequence %d where %d is due", first, next),
		}
	}
	return &DamageError{
		File:   partName(l.dir, next, segmentSuffix),
		Offset: -1,
		What:   fmt.Sprintf("the file is not there: the records with sequence %d to %d are missing", next, first-1),
		First:  next,
		Last:   first - 1,
	}
}

// replay reads a log into memory. The last log may end in a write that was never finished; it is
// cut off, and its last good frame is written again: if the sync before failed, the frame may be
// in the system's cache only, and syncing it a second time would not help.
func (l *Ledger) replay(first uint64, last bool) error {
	name := partName(l.dir, first, logSuffix)
	r, err := openLog(name)
	if err != nil {
		return err
	}
	defer r.Close()
	if l.open, err = r.part(last); err != nil {
		return err
	}
	l.log = &logWriter{name: name, end: r.pos, secret: r.secret}
	if l.cfg.ReadOnly {
		return nil
	}
	if l.log.f, err = l.disk.Open(name); err != nil {
		return fmt.Errorf("open log: %w%s", err, cure(err))
	}
	if !last {
		return nil
	}
	if err := l.settle(r); err != nil {
		l.log.f.Close()
		return fmt.Errorf("mend end of log: %w%s", err, cure(err))
	}
	return nil
}

// part reads the rest of the log into memory; torn as frame has it.
func (r *logReader) part(torn bool) (*openPart, error) {
	o := newOpenPart(r.first, nil)
	for {
		frame, err := r.frame(torn)
		if err == io.EOF {
			return o, nil
		}
		if err != nil {
			return nil, err
		}
		if err := o.replay(frame); err != nil {
			return nil, r.damage(frame.offset, err.Error())
		}
	}
}

// settle makes the log end after its last good frame, and that frame last.
func (l *Ledger) settle(r *logReader) error {
	if r.size > r.pos {
		if err := l.log.f.Truncate(r.pos); err != nil {
			return err
		}
	}
	if r.last > 0 {
		b := make([]byte, r.pos-r.last)
		if err := readAt(r.f, b, r.last); err != nil {
			return err
		}
		if _, err := l.log.f.WriteAt(b, r.last); err != nil {
			return err
		}
	}
	return l.log.f.Sync()
}

// replay adds the records of a frame.
func (o *openPart) replay(frame logFrame) error {
	b := bytes.Clone(frame.payload)
	records, encoded := make([]*whosaw.Record, 0, frame.count), make([][]byte, 0, frame.count)
	for i := range frame.count {
		if len(b) < 4 {
			return errShort
		}
		n := binary.LittleEndian.Uint32(b)
		if b = b[4:]; uint64(n) > uint64(len(b)) {
			return errShort
		}
		r := new(whosaw.Record)
		if err := decodeRecord(text(b[:n]), r); err != nil {
			return fmt.Errorf("record %d of the frame: %w", i+1, err)
		}
		if o.count()+len(records) == MaxSegmentRecords {
			return fmt.Errorf("more than %d records", MaxSegmentRecords)
		}
		o.spans.take(r)
		o.known.add(identityHash(r))
		records, encoded = append(records, r), append(encoded, b[:n])
		b = b[n:]
	}
	if len(b) > 0 {
		return errNotCanonical
	}
	o.add(records, encoded)
	return nil
}
