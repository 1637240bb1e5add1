package ledger

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"unsafe"
)

// table finds codes by the hash of their values. A slot is 0, or the hash above the code; codes
// begin at 1. Whoever asks compares the values.
type table struct {
	slots []uint64
	used  int
}

// begin gives the slot where the search for a hash starts.
func (t *table) begin(hash uint32) int {
	t.reserve(1)
	return int(hash) & (len(t.slots) - 1)
}

// reserve makes room for n more values.
func (t *table) reserve(n int) {
	for 2*(t.used+n) > len(t.slots) {
		t.grow()
	}
}

// at gives what slot i holds: 0, or a code. found says that the hash is the same.
func (t *table) at(i int, hash uint32) (code uint32, found bool) {
	s := t.slots[i]
	return uint32(s), uint32(s>>32) == hash
}

func (t *table) next(i int) int { return (i + 1) & (len(t.slots) - 1) }

// set fills the empty slot i.
func (t *table) set(i int, hash, code uint32) {
	t.slots[i] = uint64(hash)<<32 | uint64(code)
	t.used++
}

func (t *table) grow() {
	old := t.slots
	t.slots = make([]uint64, max(64, 4*len(old)))
	for _, s := range old {
		if s == 0 {
			continue
		}
		i := int(s>>32) & (len(t.slots) - 1)
		for t.slots[i] != 0 {
			i = t.next(i)
		}
		t.slots[i] = s
	}
}

// interned is a column of values as it grows. The values are kept in the order of their first
// appearance, 0 being "missing". It only ever appends: whoever holds its slices as they were at
// some row may read them while more rows come. A column that nobody fills takes no memory.
type interned struct {
	codes  []uint32 // of each row; rows past its end have 0
	values []string
	table  table
	last   uint32 // used last
}

// fill sets n rows of a column that is left empty until a row has more than zero.
func fill[T comparable](column []T, row, n int, value func(i int) T) []T {
	var zero T
	at := 0
	if len(column) == 0 {
		for at < n && value(at) == zero {
			at++
		}
		if at == n {
			return column
		}
	}
	column = extend(column, row, n)
	for ; at < n; at++ {
		column[row+at] = value(at)
	}
	return column
}

// extend makes a column one of row+n rows. The new ones are zero.
func extend[T any](column []T, row, n int) []T {
	if row+n > cap(column) {
		column = slices.Grow(column, max(row+n-len(column), len(column)))
	}
	return column[:row+n] // past its length a column was never written to
}

// push appends a value. Columns grow to great lengths: doubling moves them half as often as
// append does.
func push[T any](column []T, value T) []T {
	if len(column) == cap(column) {
		column = slices.Grow(column, max(64, len(column)))
	}
	return append(column, value)
}

// roomFor gives an empty column with room for what one like it came to.
func roomFor[T any](like []T) []T {
	if len(like) == 0 {
		return nil
	}
	return make([]T, 0, len(like)+len(like)/16)
}

// like makes room for a column that grows as another one did.
func (c *interned) like(other *interned) {
	c.codes, c.values = roomFor(other.codes), roomFor(other.values)
	if n := len(other.table.slots); n > 0 {
		c.table.slots = make([]uint64, n)
	}
}

// block is how many rows are added together. Looking up a value among a million costs a few
// waits for memory; the values of a block are looked up side by side, so that they wait together.
const block = 512

// lookups is what is known of the values of a block before they are added.
type lookups struct {
	values [block]string
	hashes [block]uint32
	likely [block]uint32
	warm   byte // keeps the compiler from leaving reads out
}

// add sets the values of the rows from row on to the first n values in the block, "" for missing.
// Where likely holds codes already, they are guesses, 0 being none: a value is looked up only where its guess is wrong.
// fresh, if not nil, is called for each new value with its place in the block.
func (c *interned) add(row, n int, at *lookups, guessed bool, a *arena, fresh func(i int)) {
	if c.same(row, n, at) {
		return
	}
	c.table.reserve(n)
	if !guessed {
		clear(at.likely[:n])
	}
	for i, v := range at.values[:n] {
		if at.hashes[i] = 0; at.likely[i] == 0 {
			at.hashes[i] = uint32(hashString(v))
		}
	}
	mask := uint32(len(c.table.slots) - 1)
	for i, h := range at.hashes[:n] {
		if at.likely[i] != 0 {
			continue
		}
		for j := h & mask; ; j = (j + 1) & mask {
			s := c.table.slots[j]
			if s != 0 && uint32(s>>32) != h {
				continue
			}
			at.likely[i] = uint32(s)
			break
		}
	}
	warm := byte(0)
	for _, code := range at.likely[:n] {
		if code != 0 {
			warm ^= c.values[code][0]
		}
	}
	at.warm = warm
	c.codes = extend(c.codes, row, n)
	codes := c.codes[row:]
	for i, v := range at.values[:n] {
		if v == "" {
			continue
		}
		if code := at.likely[i]; code != 0 && equal(c.values[code], v) {
			codes[i] = code
			continue
		}
		h := at.hashes[i]
		if h == 0 { // the guess was wrong
			h = uint32(hashString(v))
		}
		code, isNew := c.code(v, h, a)
		if codes[i] = code; isNew && fresh != nil {
			fresh(i)
		}
	}
	c.last = codes[n-1]
}

// same adds the values of a block if all are missing or all are the one before.
func (c *interned) same(row, n int, at *lookups) bool {
	v := at.values[0]
	for _, w := range at.values[1:n] {
		if !equal(w, v) {
			return false
		}
	}
	code := uint32(0)
	if v != "" {
		if code = c.last; code == 0 || c.values[code] != v {
			return false
		}
	}
	if code == 0 && len(c.codes) == 0 {
		return true
	}
	c.codes = extend(c.codes, row, n)
	for i := range c.codes[row:] {
		c.codes[row+i] = code
	}
	return true
}

// equal reports whether two strings are the same. Most are short: comparing them word by word here
// takes half the time of calling for it.
func equal(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	p, q, n := unsafe.Pointer(unsafe.StringData(a)), unsafe.Pointer(unsafe.StringData(b)), uintptr(len(a))
	switch {
	case p == q || n == 0:
		return true
	case n > 16:
		return a == b
	case n >= 8:
		return word8(p, 0) == word8(q, 0) && word8(p, n-8) == word8(q, n-8)
	case n >= 4:
		return word4(p, 0) == word4(q, 0) && word4(p, n-4) == word4(q, n-4)
	}
	return a[0] == b[0] && a[n/2] == b[n/2] && a[n-1] == b[n-1]
}

func word8(p unsafe.Pointer, at uintptr) uint64 { return *(*uint64)(unsafe.Add(p, at)) }
func word4(p unsafe.Pointer, at uintptr) uint32 { return *(*uint32)(unsafe.Add(p, at)) }

// code gives the code of a value that is not empty, and whether it is a new one.
func (c *interned) code(value string, hash uint32, a *arena) (code uint32, fresh bool) {
	i := c.table.begin(hash)
	for {
		code, same := c.table.at(i, hash)
		if code == 0 {
			break
		}
		if same && c.values[code] == value {
			c.last = code
			return code, false
		}
		i = c.table.next(i)
	}
	if len(c.values) == 0 {
		c.values = push(c.values, "")
	}
	code = uint32(len(c.values))
	c.values = push(c.values, a.keep(value))
	c.table.set(i, hash, code)
	c.last = code
	return code, true
}

// arena holds the bytes of strings, many to an allocation. Its strings never change.
type arena struct{ free []byte }

const arenaBlock = 64 << 10

func (a *arena) keep(s string) string {
	if s == "" {
		return ""
	}
	if len(s) > len(a.free) {
		if len(s) > arenaBlock/8 {
			b := []byte(s)
			return unsafe.String(&b[0], len(b))
		}
		a.free = make([]byte, arenaBlock)
	}
	b := a.free[:len(s)]
	copy(b, s)
	a.free = a.free[len(s):]
	return unsafe.String(&b[0], len(b))
}

// seed makes hashes unlike those of other processes, so that nobody outside can choose values
// that all fall on one slot.
var seed = maphash.MakeSeed()

var mixKey, shortKey = maphash.String(seed, "mix") | 1, maphash.String(seed, "short") | 1

// hashString hashes a string. Short ones are hashed here, which spares a call.
func hashString(s string) uint64 {
	p, n := unsafe.Pointer(unsafe.StringData(s)), uintptr(len(s))
	var a, b uint64
	switch {
	case n > 16:
		return maphash.String(seed, s)
	case n >= 8:
		a, b = word8(p, 0), word8(p, n-8)
	case n >= 4:
		a, b = uint64(word4(p, 0)), uint64(word4(p, n-4))
	case n > 0:
		a = uint64(s[0]) | uint64(s[n/2])<<8 | uint64(s[n-1])<<16
	}
	hi, lo := bits.Mul64(a^mixKey, b^shortKey)
	return mix(hi^lo, uint64(n))
}

// mix hashes two numbers.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^mixKey, b^0x9e3779b97f4a7c15)
	hi, lo = bits.Mul64(hi^lo^mixKey, 0xd6e8feb86659fd93)
	return hi ^ lo
}
