package index

import (
	"encoding/binary"
	"math/bits"
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
	b, width, mask := p.b, p.width, p.mask
	bit := uint(from) * width
	for i := range dst {
		dst[i] = binary.LittleEndian.Uint64(b[bit>>3:]) >> (bit & 7) & mask
		bit += width
	}
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
