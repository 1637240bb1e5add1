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

// Piece is hits of some subjects that wait: N of Hits.
type Piece struct {
	N    int
	Hits []uint64
}

// The parts of a hit, from its lowest bit on: a set's number, the subject within its piece, a time.
const (
	HitSet     = 12
	HitSubject = 14
	HitTime    = HitSet + HitSubject
)

// Deal deals the rows from lo up to hi out to the pieces of their subjects: those of shapes that have a set, -1 being none, at times from least
// on, up to length later. Times are those of Times; base is added to them. It stops before the first row whose piece is full, and returns
// that row, else hi. Checksums must have been looked at.
func (b *Block) Deal(lo, hi int, sets []int64, least, length, base uint64, pieces []Piece) int {
	whoBit, who := b.who.stretch(lo, hi-lo)
	timeBit, times := b.times.stretch(lo, hi-lo)
	whoWidth, whoMask, shift, low := b.who.width, b.who.mask, b.head.shapeBits, b.mask
	timeWidth, timeMask := b.times.width, b.times.mask
	for row := lo; row < hi; row++ {
		v := word(who, whoBit) >> (whoBit & 7) & whoMask
		t := word(times, timeBit) >> (timeBit & 7) & timeMask
		whoBit, timeBit = whoBit+whoWidth, timeBit+timeWidth
		set := sets[v&low]
		if set < 0 || t-least > length {
			continue
		}
		subject := v >> shift
		p := &pieces[subject>>HitSubject]
		n := p.N
		if n == len(p.Hits) {
			return row
		}
		p.Hits[n] = (t+base)<<HitTime | (subject&(1<<HitSubject-1))<<HitSet | uint64(set)
		p.N = n + 1
	}
	return hi
}
