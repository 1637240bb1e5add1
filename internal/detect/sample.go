package detect

import (
	"slices"

	"github.com/whosaw/whosaw/internal/near"
	"github.com/whosaw/whosaw/internal/snapshot"
)

// tried is what a unit of a baseline asked for.
type tried struct {
	id      uint64 // 0: a free place
	n, hits uint32
	step    uint8 // in rates; noStep: too few trials
	class   uint8 // of networks: a place in the baseline's list, plus one; see netclass.go

	hour      uint16 // its newest, the lower bits of the hours since 1970
	hn, hhits uint16 // trials and hits of that
}

// mostTried is how many trials a unit's rate is of; then all count half. A whole house may come through one network, and its counts must not
// begin anew.
const mostTried = 1 << 31

// add counts trials, and of them hits.
func (t *tried) add(n, hits uint32) {
	all, of := uint64(t.n)+uint64(n), uint64(t.hits)+uint64(hits)
	for ; all > mostTried; all, of = all/2, of/2 {
	}
	t.n, t.hits = uint32(all), uint32(of)
}

// sample holds the units of a baseline in an open-addressing table. Every trial looks one up, and once the sample is full most units are
// not in it: the sieve, which stays in the processor's caches, says so for all but one in twenty.
type sample struct {
	list  []tried // a power of two, at most half full
	n     int
	sieve []uint64 `state:"-"` // a bit for each of the ids' hashes; nil while the sample is small
}

const (
	sieveBits = 1 << 16
	sieveFrom = 512 // units
)

func sieved(id uint64) (word int, bit uint64) {
	at := id >> 40 % sieveBits
	return int(at / 64), 1 << (at % 64)
}

// get gives a unit, nil if it is not in.
func (s *sample) get(id uint64) *tried {
	if s.n == 0 {
		return nil
	}
	if s.sieve != nil {
		if word, bit := sieved(id); s.sieve[word]&bit == 0 {
			return nil
		}
	}
	if t := s.find(id); t.id == id {
		return t
	}
	return nil
}

// bring gathers where a unit lies.
func (s *sample) bring(id uint64, l *near.Lines) {
	if s.n == 0 {
		return
	}
	if s.sieve != nil {
		if word, bit := sieved(id); s.sieve[word]&bit == 0 {
			return
		}
	}
	near.Add(l, &s.list[id>>8&uint64(len(s.list)-1)])
}

// find gives the place of a unit, or the free place where it belongs.
func (s *sample) find(id uint64) *tried {
	mask := uint64(len(s.list) - 1)
	for i := id >> 8 & mask; ; i = (i + 1) & mask {
		if t := &s.list[i]; t.id == id || t.id == 0 {
			return t
		}
	}
}

// put adds a unit that is not in.
func (s *sample) put(id uint64) *tried {
	if 2*(s.n+1) > len(s.list) {
		old := s.list
		s.list = make([]tried, max(16, 2*len(old)))
		for i := range old {
			if old[i].id != 0 {
				*s.find(old[i].id) = old[i]
			}
		}
	}
	s.n++
	t := s.find(id)
	*t = tried{id: id, step: noStep}
	switch {
	case s.sieve != nil:
		s.sift(id)
	case s.n == sieveFrom:
		s.sieve = make([]uint64, sieveBits/64)
		for i := range s.list {
			if s.list[i].id != 0 {
				s.sift(s.list[i].id)
			}
		}
	}
	return t
}

func (s *sample) sift(id uint64) {
	word, bit := sieved(id)
	s.sieve[word] |= bit
}

// state writes the units in order: where they lie hangs on the order in which they came, which no answer does. There are so many classes.
func (s *sample) state(c *snapshot.Codec, classes int) {
	units := make([]tried, 0, s.n)
	for _, t := range s.list {
		if t.id != 0 {
			units = append(units, t)
		}
	}
	slices.SortFunc(units, func(a, b tried) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	snapshot.Slice(c, &units, maxNetworks, func(t *tried) {
		c.Hash(&t.id)
		snapshot.Uint(c, &t.n)
		snapshot.Uint(c, &t.hits)
		snapshot.Uint(c, &t.step)
		snapshot.Uint(c, &t.class)
		for _, x := range []*uint16{&t.hour, &t.hn, &t.hhits} {
			snapshot.Uint(c, x)
		}
	})
	if !c.Reading() {
		return
	}
	for _, t := range units {
		if t.id == 0 || s.get(t.id) != nil || t.step > rateSteps && t.step != noStep || t.class != otherClass && int(t.class) > classes {
			c.Fail("a baseline's unit is out of range, or there twice")
			return
		}
		*s.put(t.id) = t
	}
}
