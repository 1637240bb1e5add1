package snapshot

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// Codec walks over state. It writes what it is shown, or reads into it. After an error it writes nothing, and reads zeros; Err
// gives the error.
type Codec struct {
	w   *bufio.Writer
	r   *bufio.Reader
	err error
	buf [binary.MaxVarintLen64]byte
}

// Writer gives a codec that writes. Flush must be called at the end.
func Writer(w io.Writer) *Codec { return &Codec{w: bufio.NewWriterSize(w, 1<<16)} }

// Reader gives a codec that reads.
func Reader(r io.Reader) *Codec { return &Codec{r: bufio.NewReaderSize(r, 1<<16)} }

// Reading reports whether the codec reads.
func (c *Codec) Reading() bool { return c.r != nil }

// Err is the first error.
func (c *Codec) Err() error { return c.err }

// ErrDamaged is state that no codec wrote.
var ErrDamaged = errors.New("the state is damaged")

// Fail makes the walk fail: what was read contradicts itself.
func (c *Codec) Fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
	}
}

// Flush hands over what was written.
func (c *Codec) Flush() error {
	if c.err == nil {
		c.err = c.w.Flush()
	}
	return c.err
}

func (c *Codec) write(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
}

func (c *Codec) read(b []byte) {
	if c.err != nil {
		clear(b)
		return
	}
	if _, err := io.ReadFull(c.r, b); err != nil {
		clear(b)
		c.broken(err)
	}
}

func (c *Codec) broken(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		c.Fail("it ends too early")
		return
	}
	c.err = fmt.Errorf("read state: %w", err)
}

func (c *Codec) uvarint(x uint64) uint64 {
	if c.err != nil {
		return 0
	}
	if c.w != nil {
		c.write(c.buf[:binary.PutUvarint(c.buf[:], x)])
		return x
	}
	for shift, n := 0, uint64(0); ; shift += 7 {
		b, err := c.r.ReadByte()
		switch {
		case err != nil:
			c.broken(err)
			return 0
		case shift == 63 && b > 1:
			c.Fail("a number is too long")
			return 0
		}
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
}

// Uint walks over a whole number from 0.
func Uint[T ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64](c *Codec, p *T) {
	n := c.uvarint(uint64(*p))
	if c.r == nil {
		return
	}
	if *p = T(n); uint64(*p) != n {
		*p = 0
		c.Fail("a number is too large")
	}
}

// Int walks over a whole number.
func Int[T ~int | ~int8 | ~int16 | ~int32 | ~int64](c *Codec, p *T) {
	x := int64(*p)
	n := c.uvarint(uint64(x)<<1 ^ uint64(x>>63))
	if c.r == nil {
		return
	}
	x = int64(n>>1) ^ -int64(n&1)
	if *p = T(x); int64(*p) != x {
		*p = 0
		c.Fail("a number is too large")
	}
}

// Hash walks over eight bytes that are as likely to be large as small.
func (c *Codec) Hash(p *uint64) {
	if c.w != nil {
		c.write(binary.LittleEndian.AppendUint64(c.buf[:0], *p))
		return
	}
	c.read(c.buf[:8])
	*p = binary.LittleEndian.Uint64(c.buf[:8])
}

// Float walks over a number.
func (c *Codec) Float(p *float64) {
	bits := math.Float64bits(*p)
	c.Hash(&bits)
	if c.r != nil {
		*p = math.Float64frombits(bits)
	}
}

// Bool walks over yes or no.
func (c *Codec) Bool(p *bool) {
	n := uint64(0)
	if *p {
		n = 1
	}
	n = c.uvarint(n)
	if c.r == nil {
		return
	}
	if n > 1 {
		c.Fail("neither yes nor no")
	}
	*p = n == 1
}

// MaxString is the longest text that is kept: a longer one is neither written nor read.
const MaxString = 1 << 20

// String walks over a text.
func (c *Codec) String(p *string) {
	if c.w != nil && c.err == nil && len(*p) > MaxString {
		c.err = fmt.Errorf("a text of %d bytes cannot be kept: at most %d can", len(*p), MaxString)
	}
	n := c.length(len(*p), MaxString)
	if c.w != nil {
		if c.err == nil {
			_, c.err = c.w.WriteString(*p)
		}
		return
	}
	b := make([]byte, 0, min(n, 1<<12))
	for len(b) < n && c.err == nil {
		k := min(n-len(b), 1<<12)
		b = slices.Grow(b, k)[:len(b)+k]
		c.read(b[len(b)-k:])
	}
	*p = string(b)
	if c.err != nil {
		*p = ""
	}
}

// Bytes walks over bytes of a fixed number.
func (c *Codec) Bytes(b []byte) {
	if c.w != nil {
		c.write(b)
		return
	}
	c.read(b)
}

// length walks over a number of entries.
func (c *Codec) length(n, most int) int {
	if c.w != nil && n > most {
		c.Fail("%d entries, at most %d are expected", n, most)
		return 0
	}
	x := c.uvarint(uint64(n))
	if x > uint64(most) {
		c.Fail("%d entries, at most %d are expected", x, most)
		return 0
	}
	return int(x)
}

// Len walks over the number of entries of something that is walked over by the caller. A caller who reads must not make room for all of
// them at once.
func (c *Codec) Len(n, most int) int { return c.length(n, most) }

// Slice walks over a list. An empty one that is not nil is read as nil.
func Slice[T any](c *Codec, p *[]T, most int, each func(*T)) {
	n := c.length(len(*p), most)
	if c.w != nil {
		for i := range *p {
			each(&(*p)[i])
		}
		return
	}
	*p = nil
	if n > 0 {
		*p = make([]T, 0, min(n, 1<<10))
	}
	for range n {
		var x T
		each(&x)
		if c.err != nil {
			*p = nil
			return
		}
		*p = append(*p, x)
	}
}

// Map walks over a map, in order of its keys. Of an empty one nothing is read: the caller's stays as it is, nil or not.
func Map[K cmp.Ordered, V any](c *Codec, p *map[K]V, most int, key func(*K), value func(*V)) {
	n := c.length(len(*p), most)
	if c.w != nil {
		keys := make([]K, 0, n)
		for k := range *p {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			v := (*p)[k]
			key(&k)
			value(&v)
		}
		return
	}
	if *p == nil && n > 0 {
		*p = make(map[K]V, min(n, 1<<10))
	}
	for range n {
		var k K
		var v V
		key(&k)
		value(&v)
		if c.err != nil {
			return
		}
		if _, twice := (*p)[k]; twice {
			c.Fail("a key is there twice")
			return
		}
		(*p)[k] = v
	}
}

// Words walks over a list of words of which many are zero, as of a sparse table: runs of zeros are one number.
func (c *Codec) Words(p *[]uint64, most int) {
	n := c.length(len(*p), most)
	if c.w != nil {
		for at := 0; at < n; {
			zeros := at
			for zeros < n && (*p)[zeros] == 0 {
				zeros++
			}
			full := zeros
			for full < n && (*p)[full] != 0 {
				full++
			}
			c.uvarint(uint64(zeros - at))
			c.uvarint(uint64(full - zeros))
			for i := zeros; i < full; i++ {
				c.Hash(&(*p)[i])
			}
			at = full
		}
		return
	}
	*p = nil
	if n > 0 && c.err == nil {
		*p = make([]uint64, n)
	}
	for at := 0; at < n && c.err == nil; {
		zeros, full := c.uvarint(0), c.uvarint(0)
		if zeros > uint64(n-at) || full > uint64(n-at)-zeros || zeros+full == 0 {
			c.Fail("a run is too long")
			return
		}
		at += int(zeros)
		for range full {
			c.Hash(&(*p)[at])
			at++
		}
	}
}

// Mark walks over a word that says which part follows: a walk that went astray ends there.
func (c *Codec) Mark(part string) {
	got := part
	c.String(&got)
	if c.err == nil && got != part {
		c.Fail("part %q is where %q should be", got, part)
	}
}

// Strings walks over a list of texts.
func (c *Codec) Strings(p *[]string, most int) { Slice(c, p, most, c.String) }

// Hashes walks over a list of hashes.
func (c *Codec) Hashes(p *[]uint64, most int) { Slice(c, p, most, c.Hash) }
