package scope

import (
	"math/bits"
	"slices"
)

// subjectSet is distinct subjects: a list that is sorted now and then, and bits for integers below a limit once that is shorter.
type subjectSet struct {
	list   []subjectKey
	sorted int // as long as it was when it was sorted last
	bits   []uint64
	bytes  int // what was taken of the budget
}

// subjectSets is what sets have in common.
type subjectSets struct {
	b     *budget
	limit subjectKey // of integers that may be bits
}

const firstSort = 512 // subjects

func (s *subjectSet) add(of *subjectSets, k subjectKey) {
	if s.bits != nil && k < of.limit {
		s.bits[k>>6] |= 1 << (k & 63)
		return
	}
	if n := len(s.list); n > 0 && s.list[n-1] == k {
		return
	}
	s.list = append(s.list, k)
	if len(s.list) >= max(firstSort, 2*s.sorted) {
		s.sort(of)
	}
}

// sort leaves each subject of the list once.
func (s *subjectSet) sort(of *subjectSets) {
	slices.Sort(s.list)
	s.list = slices.Compact(s.list)
	if s.bits == nil && len(s.list) >= firstSort/2 && uint64(len(s.list))*256 >= uint64(of.limit) {
		s.bits = make([]uint64, of.limit>>6+1)
		s.take(of, 8*len(s.bits))
		s.list = slices.DeleteFunc(s.list, func(k subjectKey) bool {
			if k < of.limit {
				s.bits[k>>6] |= 1 << (k & 63)
			}
			return k < of.limit
		})
	}
	if grown := len(s.list) - s.sorted; grown > 0 {
		s.take(of, 8*grown)
	}
	s.sorted = len(s.list)
}

func (s *subjectSet) take(of *subjectSets, n int) {
	of.b.take(n)
	s.bytes += n
}

// len is how many subjects there are.
func (s *subjectSet) len(of *subjectSets) int64 {
	s.sort(of)
	n := len(s.list)
	for _, w := range s.bits {
		n += bits.OnesCount64(w)
	}
	return int64(n)
}

// merge adds another set's subjects, which is given up.
func (s *subjectSet) merge(of *subjectSets, o *subjectSet) {
	if o.bits != nil && s.bits == nil {
		*s, *o = *o, *s
	}
	for i, w := range o.bits {
		s.bits[i] |= w
	}
	for _, k := range o.list {
		s.add(of, k)
	}
	o.drop(of)
}

// drop gives the set's memory back.
func (s *subjectSet) drop(of *subjectSets) {
	of.b.left.Add(int64(s.bytes))
	*s = subjectSet{}
}
