package index

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Packed is a run of numbers, each of the same number of bits.
type Packed struct {
	b     []byte // with padding bytes behind what the numbers need
	n     int
	width uint
	mask  uint64
}

const (
	maxWidth = 56 // or 64: so a number lies within the 8 bytes from its first on
	padding  = 8  // bytes that may be read behind the last number
)

// widthOf gives the bits that numbers up to largest have.
func widthOf(largest uint64) uint {
	n := uint(bits.Len64(largest))
	if n > maxWidth {
		return 64
	}
	return n
}

// packedSize is what n numbers take, padding included.
func packedSize(n int, width uint) int { return int((uint64(n)*uint64(width)+7)/8) + padding }

func newPacked(b []byte, n int, width uint) Packed {
	return Packed{b: b, n: n, width: width, mask: 1<<width - 1}
}

// Len is how many numbers there are.
func (p *Packed) Len() int { return p.n }

// At gives a number.
func (p *Packed) At(i int) uint64 {
	bit := uint(i) * p.width
	return binary.LittleEndian.Uint64(p.b[bit>>3:]) >> (bit & 7) & p.mask
}

// Fill gives the numbers from one on, as many as dst holds.
func (p *Packed) Fill(dst []uint64, from int) {
	width, mask := p.width, p.mask
	bit, base := p.stretch(from, len(dst))
	for i := range dst {
		dst[i] = word(base, bit) >> (bit & 7) & mask
		bit += width
	}
}

// stretch gives where numbers begin, as bits behind a byte. It panics if they do not all lie in the packed bytes, so that they can be
// read without looking again.
func (p *Packed) stretch(from, n int) (bit uint, base unsafe.Pointer) {
	bit = uint(from) * p.width
	if n > 0 {
		_ = p.b[bit>>3 : (bit+uint(n-1)*p.width)>>3+padding]
	}
	return bit, unsafe.Pointer(unsafe.SliceData(p.b))
}

// word gives the 8 bytes from the one on that has a bit.
func word(base unsafe.Pointer, bit uint) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(base, bit>>3))[:])
}

// span gives the bytes that hold the numbers from lo up to hi, with those that are read beside.
func (p *Packed) span(lo, hi int) (from, to int) {
	return int(uint(lo) * p.width >> 3), int(uint(hi)*p.width>>3) + padding
}

// appendPacked writes numbers, each below 1<<width.
func appendPacked[T uint8 | uint16 | uint32 | uint64](b []byte, numbers []T, width uint) []byte {
	if width == 0 {
		return append(b, make([]byte, padding)...)
	}
	var word uint64
	var have uint
	for _, v := range numbers {
		word |= uint64(v) << have
		if have += width; have >= 64 {
			b = binary.LittleEndian.AppendUint64(b, word)
			have -= 64
			word = uint64(v) >> (width - have)
		}
	}
	b = binary.LittleEndian.AppendUint64(b, word)
	written := len(numbers)*int(width)/64*8 + 8
	return append(b, make([]byte, packedSize(len(numbers), width)-written)...)
}
