package index

import (
	"encoding/binary"
	"math/bits"
)

// Monotone is a run of numbers none of which is less than the one before, in little more than two bits each and what
// their spacing needs (Elias and Fano): the low bits of each, packed; of the high bits how much they grow, in unary, as a bitmap in which
// a one is a number and a zero a step up; and where each 256th one and zero lies.
type Monotone struct {
	n       int
	largest uint64
	low     Packed
	high    []byte // whole words
	ones    []byte // u32 each
	zeros   []byte
	look    *looker // at what At and Search read, before they do; nil: it was looked at
}

// looker looks at the checksums of what is read of a section.
type looker struct {
	b   *Reader
	s   section
	err error
}

// at gives n bytes of the section, zeros if they cannot be read.
func (l *looker) at(from, n int) []byte {
	if l.err == nil {
		var in []byte
		if in, l.err = l.b.read(l.s, from, from+n); l.err == nil {
			return in
		}
	}
	return nothing[:n]
}

var nothing [16]byte

const (
	monotoneHead  = 8 // bytes: the largest number
	monotoneEvery = 8 // bits of a one's or a zero's number below those that have their place written down
)

// monotoneWidth gives the low bits that are packed.
func monotoneWidth(n int, largest uint64) uint {
	each := largest / uint64(max(n, 1))
	if each == 0 {
		return 0
	}
	return min(uint(bits.Len64(each))-1, maxWidth)
}

// monotoneParts gives the bytes of each part behind the head.
func monotoneParts(n int, width uint, largest uint64) (low, high, ones, zeros uint64) {
	steps := largest >> width
	return uint64(packedSize(n, width)), (uint64(n) + steps + 1 + 63) / 64 * 8, 4 * (uint64(n)>>monotoneEvery + 1), 4 * (steps>>monotoneEvery + 1)
}

// appendMonotone writes numbers, the last of which is at most largest.
func appendMonotone[T uint32 | uint64](b []byte, numbers []T, largest uint64) ([]byte, uint) {
	width := monotoneWidth(len(numbers), largest)
	b = binary.LittleEndian.AppendUint64(b, largest)
	lows := make([]uint64, len(numbers))
	_, size, _, _ := monotoneParts(len(numbers), width, largest)
	high := make([]uint64, size/8)
	for i, v := range numbers {
		lows[i] = uint64(v) & (1<<width - 1)
		at := uint64(v)>>width + uint64(i)
		high[at>>6] |= 1 << (at & 63)
	}
	b = appendPacked(b, lows, width)
	for _, w := range high {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	steps := largest >> width
	var ones, zeros []byte
	nOne, nZero := 0, uint64(0)
	for at := range uint32(len(numbers)) + uint32(steps) + 1 {
		if high[at>>6]>>(at&63)&1 != 0 {
			if nOne&(1<<monotoneEvery-1) == 0 {
				ones = binary.LittleEndian.AppendUint32(ones, at)
			}
			nOne++
			continue
		}
		if nZero&(1<<monotoneEvery-1) == 0 {
			zeros = binary.LittleEndian.AppendUint32(zeros, at)
		}
		nZero++
	}
	if len(numbers)&(1<<monotoneEvery-1) == 0 {
		ones = binary.LittleEndian.AppendUint32(ones, 0) // there is one more than there are numbers for
	}
	return append(append(b, ones...), zeros...), width
}

// newMonotone reads a section; ok is false if it is not as long as its numbers need.
func newMonotone(b []byte, n int, width uint) (m Monotone, ok bool) {
	if len(b) < monotoneHead {
		return m, false
	}
	m = Monotone{n: n, largest: binary.LittleEndian.Uint64(b)}
	if width != monotoneWidth(n, m.largest) || m.largest>>width > 1<<32-1-uint64(n) {
		return m, false
	}
	low, high, ones, zeros := monotoneParts(n, width, m.largest)
	if uint64(len(b)) != monotoneHead+low+high+ones+zeros {
		return m, false
	}
	b = b[monotoneHead:]
	m.low, b = newPacked(b[:low], n, width), b[low:]
	m.high, b = b[:high], b[high:]
	m.ones, m.zeros = b[:ones], b[ones:]
	return m, true
}

// Len is how many numbers there are.
func (m *Monotone) Len() int { return m.n }

// Largest is below no number.
func (m *Monotone) Largest() uint64 { return m.largest }

func (m *Monotone) word(i int) uint64 {
	if m.look != nil {
		return binary.LittleEndian.Uint64(m.look.at(m.highAt()+8*i, 8))
	}
	return binary.LittleEndian.Uint64(m.high[8*i:])
}

// lowOf gives the low bits of a number.
func (m *Monotone) lowOf(i int) uint64 {
	if m.look != nil {
		bit := uint(i) * m.low.width
		return binary.LittleEndian.Uint64(m.look.at(monotoneHead+int(bit>>3), 8)) >> (bit & 7) & m.low.mask
	}
	return m.low.At(i)
}

// sampled gives where a one or a zero lies, by the part that says so, and where that part begins.
func (m *Monotone) sampled(part []byte, begin, i int) int {
	at := i >> monotoneEvery * 4
	if m.look != nil {
		return int(binary.LittleEndian.Uint32(m.look.at(begin+at, 4)))
	}
	return int(binary.LittleEndian.Uint32(part[at:]))
}

func (m *Monotone) highAt() int  { return monotoneHead + len(m.low.b) }
func (m *Monotone) onesAt() int  { return m.highAt() + len(m.high) }
func (m *Monotone) zerosAt() int { return m.onesAt() + len(m.ones) }

// one gives the place of a number's one, as a word with the ones from it on, and that word's place. What does not read
// has no ones.
func (m *Monotone) one(i int) (word uint64, at int) {
	from := m.sampled(m.ones, m.onesAt(), i)
	at = from >> 6
	if at >= len(m.high)/8 {
		return 0, at
	}
	word = m.word(at) &^ (1<<(from&63) - 1)
	for left := i & (1<<monotoneEvery - 1); ; {
		n := bits.OnesCount64(word)
		if n > left {
			return word &^ (1<<nthOne(word, left) - 1), at
		}
		left -= n
		if at++; at >= len(m.high)/8 {
			return 0, at
		}
		word = m.word(at)
	}
}

// nthOne gives the place of a word's one by its number from 0: the word has more.
func nthOne(word uint64, n int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	// How many ones each byte has, then those up to and with it.
	s := word - word>>1&(0x55*ones)
	s = s&(0x33*ones) + s>>2&(0x33*ones)
	s = ((s + s>>4) & (0x0f * ones)) * ones
	// Bytes that have no more than n have their highest bit after this: the place is in the one behind them.
	at := bits.OnesCount64(((uint64(n)*ones|tops)-s)&tops) * 8
	return at + int(oneInByte[word>>at&255][uint(n)-uint(s<<8>>at&255)])
}

// oneInByte has for each byte the places of its ones.
var oneInByte = func() (t [256][8]uint8) {
	for b := range t {
		n := 0
		for i := range 8 {
			if b>>i&1 != 0 {
				t[b][n] = uint8(i)
				n++
			}
		}
	}
	return t
}()

// At gives a number.
func (m *Monotone) At(i int) uint64 {
	word, at := m.one(i)
	high := uint64(at<<6 + bits.TrailingZeros64(word) - i)
	return min(high<<m.low.width|m.lowOf(i), m.largest)
}

// Fill gives the numbers from one on, as many as dst holds.
func (m *Monotone) Fill(dst []uint64, from int) {
	if len(dst) == 0 {
		return
	}
	m.low.Fill(dst, from)
	word, at := m.one(from)
	width, high, largest := m.low.width, m.high, m.largest
	for i := range dst {
		for word == 0 {
			if at++; 8*at >= len(high) {
				for ; i < len(dst); i++ {
					dst[i] = largest
				}
				return
			}
			word = binary.LittleEndian.Uint64(high[8*at:])
		}
		step := uint64(at<<6 + bits.TrailingZeros64(word) - from - i)
		word &= word - 1
		dst[i] = min(step<<width|dst[i], largest)
	}
}

// Search gives the place of the first number that is at least x.
func (m *Monotone) Search(x uint64) int {
	i, _, _ := m.search(x)
	return i
}

// Equal gives the places of the numbers that are x.
func (m *Monotone) Equal(x uint64) (from, to int) {
	from, word, at := m.search(x)
	step, low := x>>m.low.width, x&m.low.mask
	for to = from; to < m.n; to++ {
		for word == 0 {
			if at++; 8*at >= len(m.high) {
				return from, to
			}
			word = m.word(at)
		}
		if uint64(at<<6+bits.TrailingZeros64(word)-to) != step || m.lowOf(to) != low {
			break
		}
		word &= word - 1
	}
	return from, to
}

// search is Search that gives the number's one too, as the function one does.
func (m *Monotone) search(x uint64) (i int, word uint64, at int) {
	if x > m.largest || m.n == 0 {
		return m.n, 0, 0
	}
	// The numbers whose high bits are less lie before the step to those of x.
	step, place := x>>m.low.width, 0
	if step > 0 {
		place = m.zero(step-1) + 1
		i = place - int(step)
	}
	if at = place >> 6; i < 0 || i >= m.n || 8*at >= len(m.high) {
		return m.n, 0, 0
	}
	word = m.word(at) &^ (1<<(place&63) - 1)
	low := x & m.low.mask
	for ; i < m.n; i++ {
		for word == 0 {
			if at++; 8*at >= len(m.high) {
				return m.n, 0, at
			}
			word = m.word(at)
		}
		if high := uint64(at<<6 + bits.TrailingZeros64(word) - i); high > step || high == step && m.lowOf(i) >= low {
			return i, word, at
		}
		word &= word - 1
	}
	return m.n, 0, at
}

// zero gives the place of a step.
func (m *Monotone) zero(step uint64) int {
	from := m.sampled(m.zeros, m.zerosAt(), int(step))
	at := from >> 6
	if at >= len(m.high)/8 {
		return len(m.high) * 8
	}
	word := ^m.word(at) &^ (1<<(from&63) - 1)
	for left := int(step & (1<<monotoneEvery - 1)); ; {
		n := bits.OnesCount64(word)
		if n > left {
			return at<<6 + nthOne(word, left)
		}
		left -= n
		if at++; at >= len(m.high)/8 {
			return len(m.high) * 8
		}
		word = ^m.word(at)
	}
}
