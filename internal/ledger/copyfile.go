package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
)

// Every way of a file into a backup and out of it reads all of it against the checksums that the
// ledger itself keeps: a backup is not the place where a damage is first copied and then found.

const copyBlock = 1 << 20

// fileWriter writes a file from its beginning, hashing what goes by.
type fileWriter struct {
	f    file // nil: hash only
	at   int64
	hash hash.Hash
	done func(n int64) // told of progress
	cure func(error) string
}

func newFileWriter(f file) *fileWriter { return &fileWriter{f: f, hash: sha256.New()} }

func (w *fileWriter) Write(b []byte) (int, error) {
	if w.f != nil {
		if _, err := w.f.WriteAt(b, w.at); err != nil {
			return 0, fmt.Errorf("write: %w%s", err, w.cure(err))
		}
	}
	w.hash.Write(b)
	w.at += int64(len(b))
	if w.done != nil {
		w.done(int64(len(b)))
	}
	return len(b), nil
}

func (w *fileWriter) sum() string { return hex.EncodeToString(w.hash.Sum(nil)) }

// segmentCheck compares a segment's bytes as they go by with what its footer said when it was opened.
type segmentCheck struct {
	seg   *segment
	marks []sectionInfo // the runs of bytes under a checksum, in order
	at    int64         // of the run
	run   uint32        // its checksum so far
	n     int           // bytes of it so far
}

func newSegmentCheck(s *segment) *segmentCheck {
	head := binary.LittleEndian.AppendUint32([]byte(segmentMagic), s.version)
	head = binary.LittleEndian.AppendUint32(head, checksum(head))
	foot := s.footer.append(nil)
	tail := binary.LittleEndian.AppendUint32(nil, uint32(len(foot)))
	tail = append(binary.LittleEndian.AppendUint32(tail, checksum(foot)), segmentEndMagic...)
	end := append(foot, tail...)
	marks := append([]sectionInfo{{stored: len(head), sum: checksum(head)}}, s.sections...)
	return &segmentCheck{seg: s, marks: append(marks, sectionInfo{stored: len(end), sum: checksum(end)})}
}

func (c *segmentCheck) write(b []byte) error {
	for len(b) > 0 {
		if len(c.marks) == 0 {
			return c.seg.damage(c.at, "the file goes on behind its end")
		}
		m := c.marks[0]
		part := b[:min(len(b), m.stored-c.n)]
		c.run = updateChecksum(c.run, part)
		c.n += len(part)
		b = b[len(part):]
		if c.n < m.stored {
			return nil
		}
		if c.run != m.sum {
			return c.seg.damage(c.at, "what begins here does not match its checksum")
		}
		c.at, c.run, c.n, c.marks = c.at+int64(m.stored), 0, 0, c.marks[1:]
	}
	return nil
}

// copySegment reads all of a segment and writes it to w.
func copySegment(ctx context.Context, s *segment, w io.Writer) error {
	f, err := openSegmentFile(s.name)
	if err != nil {
		return err
	}
	defer f.Close()
	check := newSegmentCheck(s)
	b := make([]byte, copyBlock)
	for at := int64(0); at < s.size; at += int64(len(b)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		b = b[:min(int64(cap(b)), s.size-at)]
		if err := readAt(f, b, at); err != nil {
			return err
		}
		if err := check.write(b); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	if len(check.marks) > 0 {
		return s.damage(s.size, "the file ends too early")
	}
	return nil
}

// copyFrames reads the rest of a log and writes it to w; with its header if it is at its beginning.
// Afterwards r.next is the sequence behind the last.
func copyFrames(ctx context.Context, r *logReader, w io.Writer) error {
	if r.pos == 0 && r.first != 0 {
		if err := r.head(); err != nil {
			return err
		}
		b := make([]byte, logBlock)
		if err := readAt(r.f, b, 0); err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		at, err := r.frame(false)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(r.buf[:frameSize(len(at.payload))]); err != nil {
			return err
		}
	}
}

// copyPlain reads all of a file and writes it to w.
func copyPlain(ctx context.Context, name string, w io.Writer) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("open file: %w%s", err, cure(err))
	}
	defer f.Close()
	b := make([]byte, copyBlock)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.Read(b)
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w%s", name, err, cure(err))
		}
	}
}

// openPiece gives a reader of a piece of a log in a backup.
func openPiece(name string, p *BackupFile) (*logReader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open backup: %w%s", err, cure(err))
	}
	r := &logReader{f: f, name: name, size: p.Size, next: p.First}
	if p.Offset == 0 {
		r.first = p.First // copyFrames reads the header
	}
	return r, nil
}
