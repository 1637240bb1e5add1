package detect

// pairset remembers the customers that one actor was shown, with the last day, in 8 bytes each at most three quarters full: 48 bits
// of the customer's hash and 16 of the day. Two customers in a hundred million are taken for one.
type pairset struct {
	slots []uint64 // 0: free
	n     int
}

// shownDays is how long a customer counts as shown.
const shownDays = 90

// show notes that a customer was shown on a day, and reports whether it was new: not shown in the 90 days before. room says
// whether another one may be held; grown is how many more are held afterwards.
func (p *pairset) show(h uint64, on int32, room bool) (fresh bool, grown int) {
	h = mix(h)>>16<<16 | 1<<16
	if p.slots == nil {
		if !room {
			return true, 0
		}
		p.slots = make([]uint64, 8)
	}
	at, found := p.find(h)
	if found {
		last := int32(uint16(p.slots[at]))
		now := int32(uint16(on))
		fresh = now-last > shownDays
		if now > last {
			p.slots[at] = h | uint64(now)
		}
		return fresh, 0
	}
	if !room {
		return true, 0
	}
	if 4*(p.n+1) > 3*len(p.slots) {
		grown = p.grow(on)
		at, _ = p.find(h)
	}
	p.slots[at] = h | uint64(uint16(on))
	p.n++
	return true, grown + 1
}

func (p *pairset) find(h uint64) (at uint64, found bool) {
	mask := uint64(len(p.slots) - 1)
	for at = h >> 20 & mask; p.slots[at] != 0; at = (at + 1) & mask {
		if p.slots[at]>>16 == h>>16 {
			return at, true
		}
	}
	return at, false
}

// grow makes room, first of those whose time is over, also for records that come days late. It gives how many more are held, a negative number.
func (p *pairset) grow(on int32) int {
	before, old := p.n, p.slots
	p.n = 0
	for _, s := range old {
		if s != 0 && int32(uint16(on))-int32(uint16(s)) <= shownDays+ringDays {
			p.n++
		}
	}
	size := 8
	for 2*(p.n+1) > size {
		size *= 2
	}
	p.slots = make([]uint64, size)
	for _, s := range old {
		if s != 0 && int32(uint16(on))-int32(uint16(s)) <= shownDays+ringDays {
			at, _ := p.find(s)
			p.slots[at] = s
		}
	}
	return p.n - before
}
