package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/whosaw/whosaw/internal/ledger"
)

// A finder says for some segments which stretches of their blocks' rows can have a subject: one look for many segments. A subject is
// known by a hash, whose first bits tell a bucket, the next ones a cell of it, the rest stays with the entry. An entry may be another
// subject's: whoever asks looks at the rows. docs/formats/ledger.md has the bytes.
const (
	finderVersion = version<<8 | 1 // rows are those of a version of blocks
	finderMagic   = "whosawIF"
	finderSuffix  = ".sub"
	finderHead    = 8 + 4
	finderTail    = 4 + 4 + 8

	stretchBits = 8  // of a row's number: its stretch has 256 rows
	hashBits    = 40 // of a subject's hash
	cellBits    = 11 // of a hash: the cells of a bucket, at most
	keyStretch  = 24 // bits of an entry's key below its hash, when it is made

	maxFinder = 1 << 32
)

// SubjectHash is the hash by which finders know a subject.
func SubjectHash(id string) uint64 {
	if n, ok := integer(id); ok {
		return hashOfInt(n)
	}
	return hashOfText(id)
}

func hashOfInt(n uint64) uint64 { return mixed(n) >> (64 - hashBits) }

func hashOfText(s string) uint64 { return mixed(fnv(fnvBasis, s)^1<<63) >> (64 - hashBits) }

// FNV-1a.
const (
	fnvBasis = 0xcbf29ce484222325
	fnvPrime = 0x100000001b3
)

func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

func mixed(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// Span is rows [From, To).
type Span struct{ From, To int }

// found is an entry of a finder: a subject with some hash may have rows in a stretch of a segment.
type found struct {
	hash    uint64
	segment int // of the finder's
	stretch uint32
}

// finderSegment is a segment that a finder knows.
type finderSegment struct {
	first uint64
	id    ledger.SegmentID
	rows  int
}

// finderShape says how a finder's entries are written.
type finderShape struct {
	level                uint
	own, rest            uint // bits of a hash by which cells are told, and those kept beside each entry
	segmentBits, rowBits uint
}

func (s *finderShape) cells() uint      { return min(s.own, cellBits) }
func (s *finderShape) buckets() int     { return 1 << (s.own - s.cells()) }
func (s *finderShape) width() uint      { return s.rest + s.segmentBits + s.rowBits }
func (s *finderShape) bucketBits() uint { return s.own - s.cells() }

// bucketOf gives the bucket of a hash, and from its cell on what is kept of the hash.
func (s *finderShape) bucketOf(hash uint64) (bucket int, tail uint64) {
	kept := hash >> (hashBits - s.own - s.rest)
	low := s.cells() + s.rest
	return int(kept >> low), kept & (1<<low - 1)
}

// bucketSize is how many bytes a bucket of n entries takes.
func (s *finderShape) bucketSize(n int) int { return s.mapSize(n) + (n*int(s.width())+7)/8 }

// mapSize is how many of them tell the cells.
func (s *finderShape) mapSize(n int) int { return (n + 1<<s.cells() + 7) / 8 }

// finder is a finder's file. It is read as it is asked, without being mapped: it may be removed meanwhile.
type finder struct {
	finderShape
	name     string
	file     *os.File
	segments []finderSegment
	starts   []uint32 // of the buckets in the file, and the end
	counts   []uint32 // of their entries
	sums     []uint32 // of their bytes
	broken   atomic.Bool
}

// finderWriter writes a finder, bucket by bucket.
type finderWriter struct {
	finderShape
	w      io.Writer
	b      []byte
	at     int64
	counts []uint32
	sums   []uint32
	values []uint64
}

func newFinderWriter(w io.Writer, shape finderShape) *finderWriter {
	out := &finderWriter{finderShape: shape, w: w}
	out.b = binary.LittleEndian.AppendUint32(append(out.b, finderMagic...), finderVersion)
	return out
}

// flush writes what was made.
func (w *finderWriter) flush() error {
	w.at += int64(len(w.b))
	_, err := w.w.Write(w.b)
	w.b = w.b[:0]
	return err
}

// bucket writes the entries of the next bucket: the tail of the hash over segment and stretch, sorted.
func (w *finderWriter) bucket(keys []uint64) error {
	from := len(w.b)
	w.b = append(w.b, make([]byte, w.mapSize(len(keys)))...)
	cells, at, cell := w.b[from:], 0, uint64(0)
	low := w.segmentBits + w.rowBits + w.rest
	w.values = w.values[:0]
	for _, k := range keys {
		at += int(k>>low - cell)
		cell = k >> low
		cells[at>>3] |= 1 << (at & 7)
		at++
		w.values = append(w.values, k&(1<<low-1))
	}
	w.b = appendPacked(w.b, w.values, w.width())
	w.b = w.b[:from+w.bucketSize(len(keys))] // without the filling
	w.counts, w.sums = append(w.counts, uint32(len(keys))), append(w.sums, checksum(w.b[from:]))
	if len(w.b) < 1<<18 {
		return nil
	}
	return w.flush()
}

// finish writes what tells where everything is.
func (w *finderWriter) finish(segments []finderSegment) error {
	if w.at+int64(len(w.b)) >= maxFinder {
		return errFinder
	}
	from := len(w.b)
	w.b = append(w.b, byte(w.level), byte(w.own), byte(w.rest), byte(w.segmentBits), byte(w.rowBits))
	w.b = binary.AppendUvarint(w.b, uint64(len(segments)))
	for _, s := range segments {
		w.b = append(binary.AppendUvarint(w.b, s.first), s.id[:]...)
		w.b = binary.AppendUvarint(w.b, uint64(s.rows))
	}
	for i, n := range w.counts {
		w.b = binary.LittleEndian.AppendUint32(binary.AppendUvarint(w.b, uint64(n)), w.sums[i])
	}
	foot := w.b[from:]
	// The checksum is over the beginning of the file too: nothing else is over that.
	sum := updateChecksum(checksum(binary.LittleEndian.AppendUint32([]byte(finderMagic), finderVersion)), foot)
	w.b = binary.LittleEndian.AppendUint32(w.b, uint32(len(foot)))
	w.b = append(binary.LittleEndian.AppendUint32(w.b, sum), finderMagic...)
	return w.flush()
}

var errFinder = errors.New("the finder does not read")

// openFinder reads what a finder's file says of itself.
func openFinder(name string) (f *finder, err error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	var tail [finderTail]byte
	size := info.Size()
	if size < finderHead+finderTail || size >= maxFinder+1<<28 {
		return nil, errFinder
	}
	if _, err := file.ReadAt(tail[:], size-finderTail); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(tail[:]))
	if string(tail[8:]) != finderMagic || n > size-finderHead-finderTail {
		return nil, errFinder
	}
	var head [finderHead]byte
	if _, err := file.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	foot := make([]byte, n)
	if _, err := file.ReadAt(foot, size-finderTail-n); err != nil {
		return nil, err
	}
	if string(head[:8]) != finderMagic || binary.LittleEndian.Uint32(head[8:]) != finderVersion ||
		updateChecksum(checksum(head[:]), foot) != binary.LittleEndian.Uint32(tail[4:]) {
		return nil, errFinder
	}
	if f, err = parseFinder(foot, size-finderTail-n); err == nil {
		f.name, f.file = name, file
	}
	return f, err
}

// parseFinder reads the footer of a finder whose buckets end at a place.
func parseFinder(foot []byte, end int64) (*finder, error) {
	d := decoder{b: foot}
	kind := d.take(5)
	if kind == nil {
		return nil, errFinder
	}
	f := &finder{finderShape: finderShape{uint(kind[0]), uint(kind[1]), uint(kind[2]), uint(kind[3]), uint(kind[4])}}
	if f.own > hashBits || f.rest > hashBits-f.own || f.segmentBits > 8 || f.rowBits > keyStretch || f.width() > maxWidth || f.bucketBits() > 26 {
		return nil, errFinder
	}
	for range d.count(1 << f.segmentBits) {
		s := finderSegment{first: d.uvarint()}
		copy(s.id[:], d.take(len(s.id)))
		s.rows = d.count(maxRows)
		f.segments = append(f.segments, s)
	}
	n := f.buckets()
	if n*5 > len(d.b) {
		return nil, errFinder
	}
	at := int64(finderHead)
	f.starts, f.counts, f.sums = make([]uint32, 0, n+1), make([]uint32, 0, n), make([]uint32, 0, n)
	for range n {
		count := d.count(maxRows)
		sum := d.take(4)
		if d.bad {
			return nil, errFinder
		}
		f.starts, f.counts, f.sums = append(f.starts, uint32(at)), append(f.counts, uint32(count)), append(f.sums, binary.LittleEndian.Uint32(sum))
		if at += int64(f.bucketSize(count)); at > end {
			return nil, errFinder
		}
	}
	if at != end || len(d.b) > 0 {
		return nil, errFinder
	}
	f.starts = append(f.starts, uint32(at))
	return f, nil
}

// rooms are buffers for buckets.
var rooms = sync.Pool{New: func() any { return new([]byte) }}

// read calls fn with the bytes of a bucket, which it may not keep, filled up so that numbers can be read.
func (f *finder) read(bucket int, fn func(b []byte)) error {
	room := rooms.Get().(*[]byte)
	defer rooms.Put(room)
	n := int(f.starts[bucket+1] - f.starts[bucket])
	*room = slices.Grow((*room)[:0], n+padding)[:n+padding]
	b := *room
	if _, err := f.file.ReadAt(b[:n], int64(f.starts[bucket])); err != nil {
		return fmt.Errorf("read where subjects are: %w", err)
	}
	if checksum(b[:n]) != f.sums[bucket] {
		return errFinder
	}
	clear(b[n:])
	fn(b)
	return nil
}

// find calls fn with the entries of a hash.
func (f *finder) find(hash uint64, fn func(segment int, stretch uint32)) error {
	bucket, tail := f.bucketOf(hash)
	return f.read(bucket, func(b []byte) {
		cell, rest := int(tail>>f.rest), tail&(1<<f.rest-1)
		cells, values := f.parts(bucket, b)
		at := 0 // of the bit behind the end of the cell before
		if cell > 0 {
			at = nthZero(cells, cell-1) + 1
		}
		for i := at - cell; i >= 0 && i < values.n && at < 8*len(cells) && cells[at>>3]>>(at&7)&1 != 0; i, at = i+1, at+1 {
			if v := values.At(i); v>>(f.segmentBits+f.rowBits) == rest {
				fn(int(v>>f.rowBits&(1<<f.segmentBits-1)), uint32(v&(1<<f.rowBits-1)))
			}
		}
	})
}

// parts gives the cells and the entries of a bucket's bytes.
func (f *finder) parts(bucket int, b []byte) (cells []byte, values Packed) {
	n := int(f.counts[bucket])
	size := f.mapSize(n)
	return b[:size], newPacked(b[size:], n, f.width())
}

// nthZero gives the place of a zero by its number from 0; the end if there is none.
func nthZero(b []byte, n int) int {
	at := 0
	for ; at+8 <= len(b); at += 8 {
		zeros := bits.OnesCount64(^binary.LittleEndian.Uint64(b[at:]))
		if n < zeros {
			return at*8 + nthOne(^binary.LittleEndian.Uint64(b[at:]), n)
		}
		n -= zeros
	}
	for ; at < len(b); at++ {
		for bit := range 8 {
			if b[at]>>bit&1 == 0 {
				if n == 0 {
					return at*8 + bit
				}
				n--
			}
		}
	}
	return len(b)*8 - 1
}

// each calls fn with all entries, bucket by bucket.
func (f *finder) each(bucket int, fn func(x found)) error {
	return f.read(bucket, func(b []byte) {
		cells, values := f.parts(bucket, b)
		cell := uint64(0)
		for i, at := 0, 0; i < values.n && at < 8*len(cells); at++ {
			if cells[at>>3]>>(at&7)&1 == 0 {
				cell++
				continue
			}
			v := values.At(i)
			i++
			tail := cell<<f.rest | v>>(f.segmentBits+f.rowBits)
			fn(found{
				hash:    (uint64(bucket)<<(f.cells()+f.rest) | tail) << (hashBits - f.own - f.rest),
				segment: int(v >> f.rowBits & (1<<f.segmentBits - 1)), stretch: uint32(v & (1<<f.rowBits - 1)),
			})
		}
	})
}
