package issued

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// sieveWords are the 64 bits in memory that spare runs most questions about what was never issued: one in a hundred of those of fifty million
// issuances reaches them, one in three of two hundred million. Tests set it lower.
var sieveWords = 1 << 23

const (
	sieveProbes = 4
	blockWords  = 8 // that an issuance's bits lie in: a cache line
)

// Set is every issuance of a ledger: the last ones in memory, in some 60 bytes each, the others in an Archive behind a sieve. It needs no state
// on disk and is made anew from the records. Not safe for concurrent use.
type Set struct {
	old   Archive
	most  int
	heads map[[hashSize]byte]uint32 // by credential, its last entry in list, + 1
	list  []entry
	next  []uint32 // of the same credential, + 1
	sieve []uint64
}

// NewSet gives an empty set that holds about so many issuances in memory. Others lie in files of a directory, which is emptied first: nobody else may use it.
func NewSet(most int, dir string) (*Set, error) {
	s := &Set{most: most, heads: map[[hashSize]byte]uint32{}}
	s.old.Keep(dir)
	if err := s.old.Saved(); err != nil { // no run is known: all go
		return nil, fmt.Errorf("remove old issuances: %w", err)
	}
	return s, nil
}

// Add adds an issuance. What is not named is empty; without a credential it is none.
func (s *Set) Add(realm, credential, key, who string) {
	if credential == "" {
		return
	}
	x := entryOf(realm, credential, key, who)
	hash := [hashSize]byte(x[:])
	head := s.heads[hash]
	for at := head; at != 0; at = s.next[at-1] {
		if s.list[at-1] == x {
			return
		}
	}
	s.list, s.next = append(s.list, x), append(s.next, head)
	s.heads[hash] = uint32(len(s.list))
	if len(s.list) >= s.most {
		s.spill()
	}
}

// spill makes a run of what is held in memory.
func (s *Set) spill() {
	if s.sieve == nil {
		s.sieve = make([]uint64, sieveWords)
	}
	for i := range s.list {
		block, bits := s.place(&s.list[i])
		for _, bit := range bits {
			block[bit>>6] |= 1 << (bit & 63)
		}
	}
	slices.SortFunc(s.list, func(x, y entry) int { return bytes.Compare(x[:], y[:]) })
	s.old.put(s.list)
	clear(s.heads)
	s.list, s.next = s.list[:0], s.next[:0]
	_ = s.old.Saved() // what cannot be removed is when the next set is made
}

// place gives the bits of the sieve that are a credential's.
func (s *Set) place(x *entry) (block []uint64, bits [sieveProbes]uint) {
	at := binary.LittleEndian.Uint32(x[:]) % uint32(len(s.sieve)/blockWords) * blockWords
	for i := range bits {
		bits[i] = uint(x[4+2*i]) | uint(x[5+2*i]&1)<<8
	}
	return s.sieve[at : at+blockWords], bits
}

// spilt reports whether a run may have an issuance of the credential.
func (s *Set) spilt(x *entry) bool {
	if s.sieve == nil {
		return false
	}
	block, bits := s.place(x)
	for _, bit := range bits {
		if block[bit>>6]>>(bit&63)&1 == 0 {
			return false
		}
	}
	return true
}

// Ask is a question about a credential.
type Ask struct {
	Issued bool // the answer
	entry  entry
}

// Settler answers many questions to a set at once. Runs are read in their order.
type Settler struct {
	s    *Set
	left []*Ask
}

// Settle begins to ask.
func (s *Set) Settle() *Settler { return &Settler{s: s} }

// Ask asks whether an issuance of the credential agrees on key and principal wherever both name them. The answer is there after End.
func (q *Settler) Ask(realm, credential, key, principal string, a *Ask) {
	*a = Ask{}
	if credential == "" {
		return
	}
	s, x := q.s, &a.entry
	x.credential(realm, credential)
	head, before := s.heads[[hashSize]byte(x[:])], s.spilt(x)
	if head == 0 && !before {
		return
	}
	x.partners(key, principal)
	for at := head; at != 0; at = s.next[at-1] {
		if x.agreesWith(s.list[at-1][:]) {
			a.Issued = true
			return
		}
	}
	if before {
		q.left = append(q.left, a)
	}
}

// End gives all answers. After a read that failed they are not all right: see Faults.
func (q *Settler) End() {
	slices.SortFunc(q.left, func(x, y *Ask) int { return bytes.Compare(x.entry[:], y.entry[:]) })
	q.s.old.settle(q.left)
	q.left = nil
}

// Faults is how many reads failed.
func (s *Set) Faults() int64 { return s.old.faults }

// Close removes the files. The set must not be used any more.
func (s *Set) Close() error {
	return errors.Join(s.old.Close(), s.old.Saved()) // no run is known: all go
}
