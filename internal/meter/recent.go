package meter

// recent remembers pairs of a group and a subject with the minute they were last met, in 8 bytes each at most three quarters full:
// 48 bits of their hash and 16 of the minute. Three pairs in a hundred million are taken for another.
type recent struct {
	slots []uint64 // 0: free
	n     int
	most  int   // slots
	keep  int64 // minutes after which a pair is as good as never met
	again int64 // before this minute there is no use in looking for room
}

func newRecent(most int, keep int64) *recent {
	return &recent{slots: make([]uint64, min(most, 1<<10)), most: most, keep: keep}
}

// mix spreads a hash over all bits.
func mix(h uint64) uint64 {
	h ^= h >> 31
	h *= 0x9e3779b97f4a7c15
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	return h ^ h>>32
}

// meet notes that a pair was met at a minute, and gives the minute it was last met before, 0 if that is too long ago or never. ok is
// false if there is no room: then nothing is known of it.
func (s *recent) meet(h uint64, minute int64) (before int64, ok bool) {
	h = mix(h) | 1<<63
	at := s.find(h)
	if s.slots[at] != 0 {
		last := s.minute(s.slots[at], minute)
		if minute >= last {
			s.slots[at] = h>>16<<16 | uint64(uint16(minute))
		}
		if minute-last > s.keep {
			return 0, true
		}
		return last, true
	}
	if 4*(s.n+1) > 3*len(s.slots) {
		if !s.grow(minute) {
			return 0, false
		}
		at = s.find(h)
	}
	s.slots[at] = h>>16<<16 | uint64(uint16(minute))
	s.n++
	return 0, true
}

func (s *recent) find(h uint64) uint64 {
	mask := uint64(len(s.slots) - 1)
	at := h >> 20 & mask
	for s.slots[at] != 0 && s.slots[at]>>16 != h>>16 {
		at = (at + 1) & mask
	}
	return at
}

// minute gives the whole minute of a slot, of which 16 bits are kept, near another.
func (s *recent) minute(slot uint64, near int64) int64 {
	return near + int64(int16(uint16(slot)-uint16(near)))
}

// grow makes room, first of pairs whose time is over.
func (s *recent) grow(now int64) bool {
	if now < s.again {
		return false
	}
	old, live := s.slots, 0
	for _, slot := range old {
		if slot != 0 && now-s.minute(slot, now) <= s.keep {
			live++
		}
	}
	size := len(old)
	for 2*(live+1) > size && size < s.most {
		size *= 2
	}
	if 3*live > 2*size {
		s.again = now + 5 // little room would be had for looking at all of it
		return false
	}
	s.slots, s.n = make([]uint64, size), live
	for _, slot := range old {
		if slot != 0 && now-s.minute(slot, now) <= s.keep {
			s.slots[s.find(slot)] = slot
		}
	}
	return true
}
