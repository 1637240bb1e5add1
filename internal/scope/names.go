package scope

import (
	"strconv"
	"strings"
	"sync"
)

// subjectKey is a subject id within one question: below 1<<63 the integer id itself, else
// subjectKey &^ stringKey is its number in a names table. Two ids are equal iff their keys are.
type subjectKey uint64

const stringKey subjectKey = 1 << 63

// integerID gives the integer that s is the canonical decimal form of. "007", "-1" and what does not fit
// 63 bits are not: they stay strings.
func integerID(s string) (subjectKey, bool) {
	if len(s) == 0 || len(s) > 19 || (s[0] == '0' && len(s) > 1) {
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + uint64(d) // 19 digits stay below 1e19 < 1<<64
	}
	if n >= uint64(stringKey) {
		return 0, false
	}
	return subjectKey(n), true
}

// names numbers strings in the order they are first seen. Safe for concurrent use.
type names struct {
	mu   sync.RWMutex
	ids  map[string]uint32
	list []string
	b    *budget
}

// nameBytes is about what a name takes beside its text: an entry of the map and one of the list.
const nameBytes = 64

func newNames(b *budget) *names { return &names{ids: make(map[string]uint32), b: b} }

// id gives the number of s. It keeps a copy of s, so that a chunk's memory is not held by one name.
func (n *names) id(s string) uint32 {
	if id, ok := n.find(s); ok {
		return id
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, ok := n.ids[s]; ok {
		return id
	}
	if uint64(len(n.list)) >= 1<<32-1 {
		panic("BUG: more than 4 billion distinct names in one question")
	}
	n.b.take(len(s) + nameBytes)
	s = strings.Clone(s)
	id := uint32(len(n.list))
	n.list = append(n.list, s)
	n.ids[s] = id
	return id
}

// find gives the number of s if it has one. s may lie in a mapped file, see [index.Guarded].
func (n *names) find(s string) (id uint32, ok bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	id, ok = n.ids[s]
	return id, ok
}

// name gives the string with the number. Not to be called while id may be.
func (n *names) name(id uint32) string { return n.list[id] }

// key gives the key of a subject id.
func (n *names) key(s string) subjectKey {
	if k, ok := integerID(s); ok {
		return k
	}
	return stringKey | subjectKey(n.id(s))
}

// subject gives the id that a key stands for. Not to be called while key may be.
func (n *names) subject(k subjectKey) string {
	if k&stringKey != 0 {
		return n.name(uint32(k &^ stringKey))
	}
	return strconv.FormatUint(uint64(k), 10)
}

// lessID reports whether a comes before b in a list: shorter ids first, then bytewise.
func compareID(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
