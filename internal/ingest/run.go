package ingest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/klauspost/compress/s2"
)

// Runs on disk are compressed lightly: sorted records resemble their neighbours, and the disk is the slower part. The
// compression's checksums find damage.
const runBlock = 256 << 10

const runHeader = 8 + 4 + 8 + 4 // time, rank, position, length

// runWriter writes one run.
type runWriter struct {
	path string
	f    *os.File
	z    *s2.Writer
	w    *bufio.Writer
	h    [runHeader]byte
}

func newRunWriter(dir string, n int) (*runWriter, error) {
	path := filepath.Join(dir, "run-"+strconv.Itoa(n))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	z := s2.NewWriter(f, s2.WriterConcurrency(1), s2.WriterBlockSize(runBlock))
	return &runWriter{path: path, f: f, z: z, w: bufio.NewWriterSize(z, runBlock)}, nil
}

func (w *runWriter) add(k key, payload []byte) error {
	h := &w.h
	binary.LittleEndian.PutUint64(h[0:], uint64(k.time))
	binary.LittleEndian.PutUint32(h[8:], k.rank)
	binary.LittleEndian.PutUint64(h[12:], uint64(k.pos))
	binary.LittleEndian.PutUint32(h[20:], uint32(len(payload)))
	if _, err := w.w.Write(h[:]); err != nil {
		return err
	}
	_, err := w.w.Write(payload)
	return err
}

func (w *runWriter) finish() error {
	return errors.Join(w.w.Flush(), w.z.Close(), w.f.Close())
}

// discard gives up on the run; the file goes with its directory.
func (w *runWriter) discard() error { return w.f.Close() }

// runReader reads one run.
type runReader struct {
	f       *os.File
	r       *bufio.Reader
	key     key
	payload []byte
	h       [runHeader]byte
}

func openRun(path string) (*runReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	z := s2.NewReader(f, s2.ReaderMaxBlockSize(runBlock), s2.ReaderAllocBlock(runBlock))
	return &runReader{f: f, r: bufio.NewReaderSize(z, 64<<10)}, nil
}

func (r *runReader) next() (bool, error) {
	h := &r.h
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		if err == io.EOF {
			return false, nil
		}
		return false, err
	}
	r.key.time = int64(binary.LittleEndian.Uint64(h[0:]))
	r.key.rank = binary.LittleEndian.Uint32(h[8:])
	r.key.pos = int64(binary.LittleEndian.Uint64(h[12:]))
	n := int(binary.LittleEndian.Uint32(h[20:]))
	if cap(r.payload) < n {
		r.payload = make([]byte, n, n*2)
	}
	r.payload = r.payload[:n]
	if _, err := io.ReadFull(r.r, r.payload); err != nil {
		return false, errSpill
	}
	return true, nil
}

func (r *runReader) head() (key, []byte) { return r.key, r.payload }

func (r *runReader) close() error { return r.f.Close() }
