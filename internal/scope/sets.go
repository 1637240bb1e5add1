package scope

import (
	"encoding/binary"
	"slices"
	"sync"
)

// sets numbers what was shown: pairs of a set of fields in clear and a set of fields masked. A subject's
// row holds one number instead of two bit masks, so that any number of field names stays exact.
// Number 0 is "nothing". Safe for concurrent use.
type sets struct {
	mu     sync.RWMutex
	fields map[string]int
	names  []string
	ids    map[string]uint32
	list   []shownSet
}

// shownSet is a set of fields as bits numbered by sets.names.
type shownSet struct{ clear, masked []uint64 }

func newSets() *sets {
	return &sets{fields: make(map[string]int), ids: map[string]uint32{string(encode(shownSet{})): 0}, list: []shownSet{{}}}
}

// id gives the number of what was shown in clear and masked.
func (s *sets) id(clear, masked []string) uint32 {
	if len(clear) == 0 && len(masked) == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.intern(shownSet{s.bits(clear), s.bits(masked)})
}

func (s *sets) bits(fields []string) []uint64 {
	var bits []uint64
	for _, f := range fields {
		i, ok := s.fields[f]
		if !ok {
			i = len(s.names)
			s.names = append(s.names, f)
			s.fields[f] = i
		}
		for len(bits) <= i/64 {
			bits = append(bits, 0)
		}
		bits[i/64] |= 1 << (i % 64)
	}
	return bits
}

func (s *sets) intern(set shownSet) uint32 {
	key := encode(set)
	if id, ok := s.ids[string(key)]; ok {
		return id
	}
	id := uint32(len(s.list))
	s.list = append(s.list, set)
	s.ids[string(key)] = id
	return id
}

// union gives the number of what either showed.
func (s *sets) union(a, b uint32) uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, y := s.list[a], s.list[b]
	return s.intern(shownSet{unite(x.clear, y.clear), unite(x.masked, y.masked)})
}

// count gives, from how many subjects were shown each set, of how many each field was shown in
// clear, and of how many it was shown masked and never in clear. Fields of nobody are left out.
func (s *sets) count(subjects []int64) (clear, masked map[string]int64) {
	clear, masked = make(map[string]int64), make(map[string]int64)
	for id, n := range subjects {
		if n == 0 {
			continue
		}
		set := s.list[id]
		s.each(set.clear, nil, func(f string) { clear[f] += n })
		s.each(set.masked, set.clear, func(f string) { masked[f] += n })
	}
	return clear, masked
}

// clear lists the fields of a set that were shown in clear, sorted.
func (s *sets) clear(id uint32) []string {
	out := []string{}
	s.each(s.list[id].clear, nil, func(f string) { out = append(out, f) })
	slices.Sort(out)
	return out
}

// shown calls fn with each field of a set, in clear or masked.
func (s *sets) shown(id uint32, fn func(field string)) {
	s.each(s.list[id].clear, nil, fn)
	s.each(s.list[id].masked, s.list[id].clear, fn)
}

// each calls fn with the field of each bit that is in bits and not in but.
func (s *sets) each(bits, but []uint64, fn func(field string)) {
	for w, word := range bits {
		if w < len(but) {
			word &^= but[w]
		}
		for i := 0; word != 0; i++ {
			if word&1 != 0 {
				fn(s.names[w*64+i])
			}
			word >>= 1
		}
	}
}

func unite(a, b []uint64) []uint64 {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, w := range b {
		out[i] |= w
	}
	return out
}

// encode gives the bytes by which equal sets are found. bits has no trailing zero words, as
// bit i is only reached by setting it.
func encode(set shownSet) []byte {
	key := binary.AppendUvarint(nil, uint64(len(set.clear)))
	for _, w := range set.clear {
		key = binary.LittleEndian.AppendUint64(key, w)
	}
	for _, w := range set.masked {
		key = binary.LittleEndian.AppendUint64(key, w)
	}
	return key
}
