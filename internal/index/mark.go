package index

import "math/bits"

// Bits are a page of a bitmap of subjects.
type Bits [1 << (bitsShift - 6)]uint64

// bitsShift is that of a subject to its page's number.
const bitsShift = 16

// Or adds the subjects of another page.
func (p *Bits) Or(o *Bits) {
	for i := range p {
		p[i] |= o[i]
	}
}

// Count is how many subjects there are.
func (p *Bits) Count() (n int64) {
	for _, word := range p {
		n += int64(bits.OnesCount64(word))
	}
	return n
}

// Mark sets for each row from lo up to hi the bit of its subject, in the bitmap that its shape has in to, and adds one to its
// shape's number in one of counts: in two, because the processor waits for a number that it has just written. It stops before
// the first row whose page is nil, and returns that row, else hi. Checksums must have been looked at.
func (b *Block) Mark(lo, hi int, to [][]*Bits, counts *[2][]uint32) int {
	p := &b.who
	bit, base := p.stretch(lo, hi-lo)
	width, mask, shift, low := p.width, p.mask, b.head.shapeBits, b.mask
	even, odd := counts[0], counts[1]
	for row := lo; row < hi; row++ {
		v := word(base, bit) >> (bit & 7) & mask
		bit += width
		shape, subject := v&low, v>>shift
		page := to[shape][subject>>bitsShift]
		if page == nil {
			return row
		}
		even[shape]++
		even, odd = odd, even
		page[subject>>6&(1<<(bitsShift-6)-1)] |= 1 << (subject & 63)
	}
	return hi
}
