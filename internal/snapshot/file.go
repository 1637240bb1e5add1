package snapshot

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// magic begins every file; the last byte is the version of the blocks, not of what is in them.
var magic = []byte("whosaw state\x00\x01")

// Header says of what a file is the state.
type Header struct {
	Version  uint64 // of the walk over the state
	Config   [32]byte
	Sequence uint64   // up to which records are in it
	Record   [32]byte // hash of the record of that sequence: the ledger is the same one
}

func (h *Header) state(c *Codec) {
	Uint(c, &h.Version)
	c.Bytes(h.Config[:])
	Uint(c, &h.Sequence)
	c.Bytes(h.Record[:])
}

const (
	blockSize = 1 << 18
	maxBlock  = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blocks writes blocks: length, CRC-32C of number and content, content. A block without content ends the file.
type blocks struct {
	w   *bufio.Writer
	buf []byte
	n   uint64
}

func (b *blocks) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		k := min(len(p), blockSize-len(b.buf))
		b.buf = append(b.buf, p[:k]...)
		p = p[k:]
		if len(b.buf) == blockSize {
			if err := b.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (b *blocks) flush() error {
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(b.buf)))
	binary.LittleEndian.PutUint32(head[4:], sum(b.n, b.buf))
	if _, err := b.w.Write(head[:]); err != nil {
		return err
	}
	_, err := b.w.Write(b.buf)
	b.buf = b.buf[:0]
	b.n++
	return err
}

func sum(number uint64, content []byte) uint32 {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], number)
	return crc32.Update(crc32.Checksum(n[:], castagnoli), castagnoli, content)
}

func (b *blocks) end() error {
	if len(b.buf) > 0 {
		if err := b.flush(); err != nil {
			return err
		}
	}
	if err := b.flush(); err != nil {
		return err
	}
	return b.w.Flush()
}

// Write writes a file in one step: walk is called once, with a codec that writes. It gives the file's size.
func Write(path string, h Header, walk func(*Codec)) (size int64, err error) {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, fmt.Errorf("write state: %w", err)
	}
	err = func() error {
		b := &blocks{w: bufio.NewWriterSize(f, 1<<20)}
		if _, err := b.w.Write(magic); err != nil {
			return err
		}
		c := Writer(b)
		h.state(c)
		walk(c)
		if err := c.Flush(); err != nil {
			return err
		}
		if err := b.end(); err != nil {
			return err
		}
		if size, err = f.Seek(0, io.SeekCurrent); err != nil {
			return err
		}
		return f.Sync()
	}()
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp) // it would be in nobody's way
		return 0, fmt.Errorf("write state: %w", err)
	}
	return size, syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// File is a file that is being read.
type File struct {
	Header Header
	f      io.Closer
	c      *Codec
	b      *unblocks
}

// Open reads a file's header. It must be closed.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	file, err := Decode(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	file.f = f
	return file, nil
}

// Decode reads the header of what is in a reader.
func Decode(r io.Reader) (*File, error) {
	b := &unblocks{r: bufio.NewReaderSize(r, 1<<20)}
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(b.r, head); err != nil || !bytes.Equal(head, magic) {
		return nil, fmt.Errorf("%w: it is no state of this whosaw", ErrDamaged)
	}
	file := &File{c: Reader(b), b: b}
	file.Header.state(file.c)
	return file, file.c.Err()
}

// Read reads the state: walk is called once, with a codec that reads. Where it gives an error, what walk has read must not be used.
func (f *File) Read(walk func(*Codec)) error {
	walk(f.c)
	if f.c.err != nil {
		return f.c.err
	}
	if _, err := f.c.r.ReadByte(); err != io.EOF || !f.b.ended {
		return fmt.Errorf("%w: there is more than there should be", ErrDamaged)
	}
	return nil
}

// Close closes the file.
func (f *File) Close() error {
	if f.f == nil {
		return nil
	}
	return f.f.Close()
}

// unblocks reads blocks.
type unblocks struct {
	r     *bufio.Reader
	buf   []byte
	left  []byte
	n     uint64
	ended bool
}

func (b *unblocks) Read(p []byte) (int, error) {
	if len(b.left) == 0 {
		if b.ended {
			return 0, io.EOF
		}
		if err := b.next(); err != nil {
			return 0, err
		}
		if b.ended {
			return 0, io.EOF
		}
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func (b *unblocks) next() error {
	var head [8]byte
	if _, err := io.ReadFull(b.r, head[:]); err != nil {
		return fmt.Errorf("%w: block %d is cut off", ErrDamaged, b.n)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxBlock {
		return fmt.Errorf("%w: block %d is too long", ErrDamaged, b.n)
	}
	b.buf = slices.Grow(b.buf[:0], int(n))[:n]
	if _, err := io.ReadFull(b.r, b.buf); err != nil {
		return fmt.Errorf("%w: block %d is cut off", ErrDamaged, b.n)
	}
	if sum(b.n, b.buf) != binary.LittleEndian.Uint32(head[4:]) {
		return fmt.Errorf("%w: block %d has another checksum", ErrDamaged, b.n)
	}
	b.n++
	b.left, b.ended = b.buf, n == 0
	return nil
}
