package ledger

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// The open log is a file of blocks: a header, then a frame for each group of records that was
// acknowledged together. Every frame begins on a block and fills its last one up, so that a
// write that a power cut left half done shows as a block of zeros or a short file, and cannot
// touch the frame before. docs/formats/ledger.md has the bytes.
const (
	logBlock   = 512 // the smallest sector a disk writes whole
	logVersion = 2   // 1 has no secret
	logMagic   = "whosawLG"
	frameMagic = "\xf5wlf" // no UTF-8 text holds it
	frameHead  = 28
	logFill    = 0xff // never 0: zeros mean "not written"

	// maxPayload bounds what a frame carries and so what recovery reads at once.
	maxPayload = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// updateChecksum goes on with a checksum of what came before b.
func updateChecksum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

const (
	logSuffix     = ".log"
	segmentSuffix = ".seg"
	tempSuffix    = ".tmp"
)

// partName names the file of the part that begins at a sequence.
func partName(dir string, first uint64, suffix string) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", first, suffix))
}

// logWriter appends frames to an open log. After an error it must not be used again: what the
// file holds from then on is known only to recovery.
type logWriter struct {
	f      file
	name   string
	end    int64
	secret *[secretSize]byte // of the segment to be; nil: the log is of version 1
}

// createLog makes the log of the records from first on. It exists in whole or not at all.
func createLog(d disk, dir string, first uint64) (*logWriter, error) {
	name := partName(dir, first, logSuffix)
	secret := new([secretSize]byte)
	rand.Read(secret[:])
	block := make([]byte, 0, logBlock)
	block = append(block, logMagic...)
	block = binary.LittleEndian.AppendUint32(block, logVersion)
	block = binary.LittleEndian.AppendUint64(block, first)
	block = append(block, secret[:]...)
	block = binary.LittleEndian.AppendUint32(block, checksum(block))
	f, err := placeFile(d, name, func(f file) error {
		_, err := f.WriteAt(fillBlock(block), 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("create log: %w%s", err, cure(err))
	}
	return &logWriter{f: f, name: name, end: logBlock, secret: secret}, nil
}

// placeFile makes a file under its name only when all of it is on disk. The file stays open. After
// ErrDiskFull there is nothing of it.
func placeFile(d disk, name string, write func(file) error) (file, error) {
	temp := name + tempSuffix
	f, err := d.Create(temp)
	if err != nil {
		if noSpace(err) {
			err = &fullError{err}
		}
		return nil, err
	}
	if err = write(f); err != nil && noSpace(err) {
		f.Close()
		if e := d.Remove(temp); e != nil {
			return nil, errors.Join(err, fmt.Errorf("remove unfinished file: %w", e))
		}
		return nil, &fullError{err}
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = d.Rename(temp, name)
	}
	if err == nil {
		err = d.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func fillBlock(b []byte) []byte {
	for len(b)%logBlock != 0 {
		b = append(b, logFill)
	}
	return b
}

// beginFrame gives an empty frame that the records are appended to.
func beginFrame(b []byte) []byte {
	return append(b[:0], make([]byte, frameHead)...)
}

// finishFrame makes of the appended records a frame as it lies on disk.
func finishFrame(b []byte, first uint64, count int) []byte {
	head := append(b[:0], frameMagic...)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(b)-frameHead))
	head = binary.LittleEndian.AppendUint64(head, first)
	head = binary.LittleEndian.AppendUint32(head, uint32(count))
	head = binary.LittleEndian.AppendUint32(head, checksum(b[frameHead:]))
	binary.LittleEndian.AppendUint32(head, checksum(head))
	return fillBlock(b)
}

// write puts a finished frame on disk. After ErrDiskFull the file must be cut to its end.
func (w *logWriter) write(frame []byte) error {
	if _, err := w.f.WriteAt(frame, w.end); err != nil {
		full := noSpace(err)
		if err = fmt.Errorf("write log: %w%s", err, cure(err)); full {
			err = &fullError{err}
		}
		return err
	}
	if err := w.f.Sync(); err != nil {
		return fmt.Errorf("sync log: %w%s", err, cure(err))
	}
	w.end += int64(len(frame))
	return nil
}

// logFrame is a frame that was read.
type logFrame struct {
	offset  int64
	first   uint64
	count   int
	payload []byte // valid until the next frame is read
}

// logReader reads the frames of a log.
type logReader struct {
	f      *os.File
	name   string
	size   int64
	first  uint64
	secret *[secretSize]byte // nil: none is in the header
	next   uint64            // the sequence that the next frame must begin with
	pos    int64             // the end of the last good frame
	last   int64             // where the last good frame begins, 0 if there is none
	buf    []byte
}

func openLog(name string) (*logReader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open log: %w%s", err, cure(err))
	}
	r := &logReader{f: f, name: name}
	if err := r.header(); err != nil {
		f.Close()
		return nil, err
	}
	return r, nil
}

func (r *logReader) Close() error { return r.f.Close() }

func (r *logReader) damage(offset int64, what string) error {
	return &DamageError{File: r.name, Offset: offset, What: what, First: r.next}
}

func (r *logReader) header() error {
	info, err := r.f.Stat()
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	r.size = info.Size()
	if err := r.head(); err != nil {
		return err
	}
	if want := partName(filepath.Dir(r.name), r.first, logSuffix); want != r.name {
		return r.damage(12, "the header names another first sequence than the file's name")
	}
	return nil
}

// head reads the block that a log begins with.
func (r *logReader) head() error {
	if r.size < logBlock {
		return r.damage(r.size, "the file ends within its header")
	}
	b := make([]byte, logBlock)
	if _, err := r.f.ReadAt(b, 0); err != nil {
		return fmt.Errorf("read log %s: %w", r.name, err)
	}
	// The version says where the checksum is, so it is believed only under one of them.
	version := binary.LittleEndian.Uint32(b[8:])
	head := 24
	if version > 1 {
		head += secretSize
	}
	switch {
	case string(b[:8]) != logMagic:
		return r.damage(0, "this is not a log of a ledger")
	case binary.LittleEndian.Uint32(b[head-4:]) != checksum(b[:head-4]):
		return r.damage(0, "the header does not match its checksum")
	case version == 0 || version > logVersion:
		return &NewerError{File: r.name, Version: version}
	case !filled(b[head:]):
		return r.damage(int64(head), "the header is not filled up as it should be")
	}
	if version > 1 {
		r.secret = (*[secretSize]byte)(bytes.Clone(b[20 : 20+secretSize]))
	}
	if r.first = binary.LittleEndian.Uint64(b[12:]); r.first == 0 {
		return r.damage(12, "the header names no first sequence")
	}
	r.next, r.pos = r.first, logBlock
	return nil
}

func filled(b []byte) bool {
	for _, c := range b {
		if c != logFill {
			return false
		}
	}
	return true
}

// frame gives the next frame, io.EOF after the last. torn allows that the last write was never
// finished: then the log ends before it. Anything else that is not a frame is damage.
func (r *logReader) frame(torn bool) (logFrame, error) {
	if r.pos == r.size {
		return logFrame{}, io.EOF
	}
	at, err := r.parse(r.pos)
	if err != nil {
		return logFrame{}, err
	}
	if at.payload == nil {
		if !torn {
			return logFrame{}, r.damage(r.pos, "a frame does not match its checksum")
		}
		return logFrame{}, r.tail()
	}
	if at.first != r.next {
		return logFrame{}, r.damage(r.pos, fmt.Sprintf("a frame begins with sequence %d where %d is due", at.first, r.next))
	}
	r.last = r.pos
	r.pos += frameSize(len(at.payload))
	r.next += uint64(at.count)
	return at, nil
}

// frameSize is what a frame takes on disk.
func frameSize(payload int) int64 {
	return int64(frameHead+payload+logBlock-1) / logBlock * logBlock
}

// parse reads the frame at an offset. payload is nil if there is no good one.
func (r *logReader) parse(offset int64) (logFrame, error) {
	var head [frameHead]byte
	if r.size-offset < frameHead {
		return logFrame{}, nil
	}
	if _, err := r.f.ReadAt(head[:], offset); err != nil {
		return logFrame{}, fmt.Errorf("read log %s: %w", r.name, err)
	}
	n, ok := frameLength(head[:])
	size := frameSize(n)
	if !ok || r.size-offset < size {
		return logFrame{}, nil
	}
	if int64(cap(r.buf)) < size {
		r.buf = make([]byte, size)
	}
	b := r.buf[:size]
	if _, err := r.f.ReadAt(b, offset); err != nil {
		return logFrame{}, fmt.Errorf("read log %s: %w", r.name, err)
	}
	payload := b[frameHead : frameHead+n]
	if checksum(payload) != binary.LittleEndian.Uint32(head[20:]) || !filled(b[frameHead+n:]) {
		return logFrame{}, nil
	}
	return logFrame{
		offset:  offset,
		first:   binary.LittleEndian.Uint64(head[8:]),
		count:   int(binary.LittleEndian.Uint32(head[16:])),
		payload: payload,
	}, nil
}

// frameLength reads the length of the payload from a frame's head.
func frameLength(head []byte) (n int, ok bool) {
	n = int(binary.LittleEndian.Uint32(head[4:]))
	ok = string(head[:4]) == frameMagic && checksum(head[:frameHead-4]) == binary.LittleEndian.Uint32(head[frameHead-4:])
	return n, ok && n > 0 && n <= maxPayload && binary.LittleEndian.Uint32(head[16:]) > 0
}

// tail judges what follows the last good frame: io.EOF if it is what a write leaves that a crash
// stopped, and damage if it is not. Each frame is synced before the next is written, so a frame
// that has another behind it was acknowledged; and a stopped write lacks its end or a block.
func (r *logReader) tail() error {
	for offset := r.pos + logBlock; offset < r.size; offset += logBlock {
		at, err := r.parse(offset)
		if err != nil {
			return err
		}
		if at.payload != nil {
			return r.damage(r.pos, "a frame does not match its checksum, and there are good ones behind it")
		}
	}
	head := make([]byte, logBlock)
	rest := r.size - r.pos
	if rest < logBlock {
		return io.EOF
	}
	if _, err := r.f.ReadAt(head, r.pos); err != nil {
		return fmt.Errorf("read log %s: %w", r.name, err)
	}
	if n, ok := frameLength(head); ok && rest < frameSize(n) {
		return io.EOF
	}
	zero := make([]byte, logBlock)
	block := make([]byte, logBlock)
	for offset := r.pos; offset < r.size; offset += logBlock {
		n, err := r.f.ReadAt(block, offset)
		if err != nil && err != io.EOF {
			return fmt.Errorf("read log %s: %w", r.name, err)
		}
		if n > 0 && bytes.Equal(block[:n], zero[:n]) {
			return io.EOF
		}
	}
	return r.damage(r.pos, "the last frame does not match its checksum, and it is not one that a crash left half written")
}
