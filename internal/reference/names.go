package reference

import (
	"math/bits"
	"strconv"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// names numbers texts from 0 in the order they come. It is made for tens of millions of short ids: a
// whole number takes 8 bytes, other texts their bytes and 8 more, each with 11 to 16 of hash table.
type names struct {
	table []uint64 `state:"-"` // tag<<32 | number+1, open addressing; 0: free
	refs  []uint64 // by number: an integer id itself, or stringRef and a place in blocks
	arena arena
}

// maxNames leaves room above every number for marks and for "none".
const maxNames = 1<<31 - 8

// stringRef marks a ref to the arena. Integer ids are below 1<<63.
const stringRef = 1 << 63

// find gives the number of s.
func (n *names) find(s string) (uint32, bool) {
	if len(n.table) == 0 {
		return 0, false
	}
	h := xxhash.Sum64String(s)
	i, ok := n.slot(h, s)
	if !ok {
		return 0, false
	}
	return uint32(n.table[i]) - 1, true
}

// intern gives the number of s, and a new one if it has none.
func (n *names) intern(s string) (id uint32, fresh bool) {
	if len(n.refs)+1 > len(n.table)/4*3 {
		n.grow()
	}
	h := xxhash.Sum64String(s)
	i, ok := n.slot(h, s)
	if ok {
		return uint32(n.table[i]) - 1, false
	}
	if len(n.refs) >= maxNames {
		panic("BUG: 2^31 names in one realm need a wider number")
	}
	id = uint32(len(n.refs))
	n.refs = append(n.refs, n.ref(s))
	n.table[i] = h>>32<<32 | uint64(id+1)
	return id, true
}

// slot gives the place of s in the table, or the free place where it belongs.
func (n *names) slot(h uint64, s string) (uint64, bool) {
	tag := h >> 32
	size := uint64(len(n.table))
	for i := place(h, size); ; {
		e := n.table[i]
		if e == 0 {
			return i, false
		}
		if e>>32 == tag && n.is(uint32(e)-1, s) {
			return i, true
		}
		if i++; i == size {
			i = 0
		}
	}
}

// place maps a hash to a table of any size. It takes the low half: the high half is the tag.
func place(h, size uint64) uint64 {
	hi, _ := bits.Mul64(h<<32|h>>32, size)
	return hi
}

func (n *names) grow() {
	n.rebuild(max(16, len(n.table)+len(n.table)/2))
}

// rebuild makes the table of a size anew.
func (n *names) rebuild(size int) {
	n.table = make([]uint64, size)
	for id := range n.refs {
		h := n.hash(uint32(id))
		i := place(h, uint64(size))
		for n.table[i] != 0 {
			if i++; i == uint64(size) {
				i = 0
			}
		}
		n.table[i] = h>>32<<32 | uint64(id+1)
	}
}

// hash gives the hash of a number's text.
func (n *names) hash(id uint32) uint64 {
	ref := n.refs[id]
	if ref&stringRef == 0 {
		var b [20]byte
		return xxhash.Sum64(strconv.AppendUint(b[:0], ref, 10))
	}
	return xxhash.Sum64String(n.arena.get(ref &^ stringRef))
}

// ref stores s.
func (n *names) ref(s string) uint64 {
	if v, ok := integer(s); ok {
		return v
	}
	return stringRef | n.arena.put(s)
}

// text gives the text of a number.
func (n *names) text(id uint32) string {
	ref := n.refs[id]
	if ref&stringRef == 0 {
		return strconv.FormatUint(ref, 10)
	}
	return n.arena.get(ref &^ stringRef)
}

// is reports whether the text of a number is s, without making a string.
func (n *names) is(id uint32, s string) bool {
	ref := n.refs[id]
	if ref&stringRef == 0 {
		v, ok := integer(s)
		return ok && v == ref
	}
	return n.arena.get(ref&^stringRef) == s
}

// integer gives the value of s if s is how that value is written, and below 1<<63.
func integer(s string) (uint64, bool) {
	if s == "" || len(s) > 18 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	v := uint64(0)
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		v = v*10 + uint64(c)
	}
	return v, true
}

// arena keeps texts in large blocks, so that the collector sees few objects.
type arena struct {
	blocks [][]byte
	open   int // the block being filled
}

// Blocks double from the first size to the last, so that a small arena is small.
const (
	blockBits  = 16
	blockSize  = 1 << blockBits
	firstBlock = 1 << 9
)

// put stores s and gives its place: block<<blockBits | offset. A text longer than a quarter of a block has
// a block of its own.
func (a *arena) put(s string) uint64 {
	var head [10]byte
	n := 0
	for v := uint64(len(s)); ; n++ {
		if v < 0x80 {
			head[n] = byte(v)
			n++
			break
		}
		head[n] = byte(v) | 0x80
		v >>= 7
	}
	need := n + len(s)
	at := a.open
	switch {
	case need > blockSize/4:
		at = len(a.blocks)
		a.blocks = append(a.blocks, make([]byte, 0, need))
	case len(a.blocks) == 0 || len(a.blocks[at])+need > cap(a.blocks[at]):
		size := firstBlock
		if len(a.blocks) > 0 {
			size = min(2*cap(a.blocks[at]), blockSize)
		}
		at = len(a.blocks)
		a.blocks = append(a.blocks, make([]byte, 0, max(size, need)))
		a.open = at
	}
	b := a.blocks[at]
	offset := len(b)
	a.blocks[at] = append(append(b, head[:n]...), s...)
	return uint64(at)<<blockBits | uint64(offset)
}

// get gives the text at a place. It shares the block's memory, which is never written again.
func (a *arena) get(at uint64) string {
	b := a.blocks[at>>blockBits][at&(blockSize-1):]
	n, shift := 0, 0
	for {
		c := b[0]
		b = b[1:]
		n |= int(c&0x7f) << shift
		if c < 0x80 {
			break
		}
		shift += 7
	}
	return unsafe.String(unsafe.SliceData(b), n)
}
