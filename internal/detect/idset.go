package detect

import (
	"math/bits"

	"github.com/whosaw/whosaw/internal/near"
)

// idset is a set of numbers that answers what lies near one. Neighbours share a block of 64, so dense sets are small.
// The zero value is empty.
type idset struct {
	one  idblock // the first block lies in place: most units meet one or two customers a day
	more *idmore // the others; nil: never any
}

type idmore struct {
	slots []idblock // up to eight in order of arrival, beyond: open addressing, at most three quarters full
	n     int       // blocks in slots
}

type idblock struct {
	block uint64 // number / 64 + 1; 0: free
	word  uint64
}

const (
	flatBlocks = 8
	// reach is how far a neighbour may be. Wide enough to step over the numbers that nobody holds (57 % in the case:
	// 0.57^8 is 1 %), narrow enough that honest accesses to a large shop have no neighbours at all.
	reach = 8
)

func (s *idset) blocks() int {
	if s.one.block == 0 {
		return 0
	}
	if s.more == nil {
		return 1
	}
	return s.more.n + 1
}

func (s *idset) word(block uint64) uint64 {
	if s.one.block == block {
		return s.one.word
	}
	if s.more == nil {
		return 0
	}
	slots := s.more.slots
	if len(slots) <= flatBlocks {
		for i := range slots {
			if slots[i].block == block {
				return slots[i].word
			}
		}
		return 0
	}
	mask := uint64(len(slots) - 1)
	for i := mix(block) & mask; ; i = (i + 1) & mask {
		switch slots[i].block {
		case block:
			return slots[i].word
		case 0:
			return 0
		}
	}
}

// bring gathers where a number's block lies, if not in place.
func (s *idset) bring(x uint64, l *near.Lines) {
	if s.more == nil {
		return
	}
	switch slots := s.more.slots; {
	case len(slots) == 0:
	case len(slots) <= flatBlocks:
		near.Add(l, &slots[0])
	default:
		near.Add(l, &slots[mix(x/64+1)&uint64(len(slots)-1)])
	}
}

// reset empties the set.
func (s *idset) reset() {
	s.one = idblock{}
	if m := s.more; m != nil {
		if len(m.slots) > flatBlocks {
			m.slots = nil
		}
		m.slots, m.n = m.slots[:0], 0
	}
}

// add puts a number in.
func (s *idset) add(x uint64) {
	block, bit := x/64+1, uint64(1)<<(x%64)
	if s.one.block == 0 || s.one.block == block {
		s.one.block = block
		s.one.word |= bit
		return
	}
	if s.more == nil {
		s.more = &idmore{}
	}
	m := s.more
	if len(m.slots) <= flatBlocks {
		for i := range m.slots {
			if m.slots[i].block == block {
				m.slots[i].word |= bit
				return
			}
		}
		if len(m.slots) < flatBlocks {
			m.slots = append(m.slots, idblock{block, bit})
			m.n++
			return
		}
		m.grow(4 * flatBlocks)
	} else if 4*(m.n+1) > 3*len(m.slots) {
		m.grow(2 * len(m.slots))
	}
	if i := m.slot(block); m.slots[i].block == 0 {
		m.slots[i] = idblock{block, bit}
		m.n++
	} else {
		m.slots[i].word |= bit
	}
}

// addBlock adds a block that is not in.
func (s *idset) addBlock(b idblock) {
	first := b.word & -b.word
	n := (b.block-1)*64 + uint64(bits.TrailingZeros64(first))
	s.add(n)
	if s.one.block == b.block {
		s.one.word = b.word
		return
	}
	m := s.more
	for i := range m.slots {
		if len(m.slots) > flatBlocks {
			i = int(m.slot(b.block))
		}
		if m.slots[i].block == b.block {
			m.slots[i].word = b.word
			return
		}
	}
}

// put adds a number where that needs no more than most blocks, and reports whether it was not there.
func (s *idset) put(x uint64, most int) bool {
	if s.word(x/64+1)>>(x%64)&1 == 1 || s.blocks() >= most && s.word(x/64+1) == 0 {
		return false
	}
	s.add(x)
	return true
}

func (s *idmore) slot(block uint64) uint64 {
	mask := uint64(len(s.slots) - 1)
	i := mix(block) & mask
	for s.slots[i].block != 0 && s.slots[i].block != block {
		i = (i + 1) & mask
	}
	return i
}

func (s *idmore) grow(size int) {
	old := s.slots
	s.slots = make([]idblock, size)
	for _, b := range old {
		if b.block != 0 {
			s.slots[s.slot(b.block)] = b
		}
	}
}

// near reports whether the set holds the number, one of the reach below it, and one of the reach above it.
func (s *idset) near(x uint64) (here, below, above bool) {
	if s.one.block == 0 {
		return false, false, false
	}
	block, at := x/64+1, x%64
	w := s.word(block)
	here = w>>at&1 == 1
	// The reach below is bits [at-reach, at) of this block, and the top of the one before.
	lower := w << (64 - at) // bits below at, pushed to the top; nothing if at is 0
	if at == 0 {
		lower = 0
	}
	below = lower>>(64-reach) != 0
	if at < reach && block > 1 {
		below = below || s.word(block-1)>>(64-reach+at) != 0
	}
	upper := w >> at >> 1
	above = upper&(1<<reach-1) != 0
	if at > 63-reach {
		above = above || s.word(block+1)&(1<<(reach-(63-at))-1) != 0
	}
	return here, below, above
}

// number reads a subject id that is a number in its plain form: digits without a leading zero, below 10^18.
func number(s string) (x uint64, ok bool) {
	if len(s) == 0 || len(s) > 18 || s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		x = x*10 + uint64(c)
	}
	return x, true
}
