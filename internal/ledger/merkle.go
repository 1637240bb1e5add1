package ledger

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"
)

// The tree over all records is that of RFC 6962, 2.1, with SHA-256: leaf s-1 is record s. A leaf's hash is
// H(0x00 || HMAC(secret, s) || canonical record) with the secret of the part that the record lies in and s
// as eight bytes, the highest first. So a leaf can be shown without its neighbours being guessed from it.

// hashSize is the length of a hash of the tree.
const hashSize = sha256.Size

// treeNode is the root of a perfect subtree: of the leaves index<<level to (index+1)<<level.
type treeNode struct {
	level uint8
	index uint64
	hash  [hashSize]byte
}

// leafRun is a run of leaves, begin to before end, as the fewest perfect subtrees that it fills. Runs
// that follow each other can be joined, and nothing else can be learnt from one.
type leafRun struct {
	begin, end uint64
	nodes      []treeNode
}

// perfect gives the places of the subtrees that a run from begin to end has, without their hashes.
func perfect(begin, end uint64) (nodes []treeNode) {
	for begin < end {
		level := min(bits.TrailingZeros64(begin), bits.Len64(end-begin)-1)
		nodes = append(nodes, treeNode{level: uint8(level), index: begin >> level})
		begin += 1 << level
	}
	return nodes
}

// join adds the run that begins where r ends.
func (r *leafRun) join(o *leafRun) {
	if o.begin != r.end {
		panic("BUG: runs of leaves that do not follow each other")
	}
	for _, n := range o.nodes {
		r.push(n)
	}
	r.end = o.end
}

// leaf adds the next leaf.
func (r *leafRun) leaf(hash [hashSize]byte) {
	r.push(treeNode{0, r.end, hash})
	r.end++
}

// push adds a subtree behind the others and makes one of two that are halves.
func (r *leafRun) push(n treeNode) {
	for len(r.nodes) > 0 {
		left := &r.nodes[len(r.nodes)-1]
		if left.level != n.level || left.index&1 == 1 || left.index+1 != n.index {
			break
		}
		n = treeNode{n.level + 1, left.index / 2, parentHash(&left.hash, &n.hash)}
		r.nodes = r.nodes[:len(r.nodes)-1]
	}
	r.nodes = append(r.nodes, n)
}

// root is the root of the tree whose leaves are the run's, which must begin with the first.
func (r *leafRun) root() [hashSize]byte {
	if r.begin != 0 {
		panic("BUG: the root of leaves that are not the first")
	}
	if len(r.nodes) == 0 {
		return sha256.Sum256(nil)
	}
	root := r.nodes[len(r.nodes)-1].hash
	for i := len(r.nodes) - 2; i >= 0; i-- {
		root = parentHash(&r.nodes[i].hash, &root)
	}
	return root
}

func parentHash(left, right *[hashSize]byte) [hashSize]byte {
	var b [1 + 2*hashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+hashSize:], right[:])
	return sha256.Sum256(b[:])
}

// leafHasher hashes the records of one part. Not safe for concurrent use.
type leafHasher struct {
	mac, leaf hash.Hash
	seq       [8]byte
	buf       []byte
}

func newLeafHasher(secret *[secretSize]byte) *leafHasher {
	return &leafHasher{mac: hmac.New(sha256.New, secret[:]), leaf: sha256.New()}
}

// hash gives the leaf of a record.
func (h *leafHasher) hash(seq uint64, canonical []byte) (out [hashSize]byte) {
	binary.BigEndian.PutUint64(h.seq[:], seq)
	h.mac.Reset()
	h.mac.Write(h.seq[:])
	h.buf = h.mac.Sum(append(h.buf[:0], 0))
	h.leaf.Reset()
	h.leaf.Write(h.buf)
	h.leaf.Write(canonical)
	h.leaf.Sum(out[:0])
	return out
}
