package detect

import (
	"hash/maphash"
	"math/bits"

	"github.com/whosaw/whosaw"
)

// known is a cache of credentials found issued: no record takes that back, a session asks for several pages within minutes,
// and the reference records, which are exact, cost several waits for memory. It changes no answer. Its seed is drawn: a thief
// must not be able to make a credential that meets another's hash.
type known struct {
	sets []knownSet // nil until the first issuance; a power of two
	seed maphash.Seed
	key  memo
}

// knownSet is a cache line of the cache.
type knownSet struct {
	hashes [4]uint64
	// counted is the generation of the daily set in which the credential was counted: while that lasts, it need not be asked
	// again whether this is the first use of the day.
	counted [4]uint32
	next    uint32 // the place that is given away next
	_       [12]byte
}

// knownSets makes the cache hold 262,144 credentials in 4 MB.
const knownSets = 1 << 16

func (k *known) begin() {
	if k.sets == nil {
		k.sets = make([]knownSet, knownSets)
	}
}

// hash stands for what an issuance must agree with.
func (k *known) hash(r *whosaw.Record) uint64 {
	h := maphash.String(k.seed, r.Credential) ^ bits.RotateLeft64(maphash.String(k.seed, r.Principal), 21)
	key, ok := k.key.get(r.Key)
	if !ok {
		key = k.key.put(r.Key, bits.RotateLeft64(maphash.String(k.seed, r.Key), 42))
	}
	h ^= key
	if r.Realm != "" {
		h ^= bits.RotateLeft64(maphash.String(k.seed, r.Realm), 7)
	}
	return h | 1<<63 // never that of a free place
}

// set gives the set that a hash belongs to.
func (k *known) set(h uint64) *knownSet { return &k.sets[h&uint64(len(k.sets)-1)] }

// find gives the place of a hash's generation, nil if the hash is not in.
func (k *known) find(h uint64) *uint32 {
	s := k.set(h)
	for i := range s.hashes {
		if s.hashes[i] == h {
			return &s.counted[i]
		}
	}
	return nil
}

// put adds a hash that is not in.
func (k *known) put(h uint64) *uint32 {
	s := k.set(h)
	i := s.next % uint32(len(s.hashes))
	s.next++
	s.hashes[i], s.counted[i] = h, 0
	return &s.counted[i]
}

// memo remembers the hash of the text that came last: a house has one or two keys and clients.
type memo struct {
	text []byte
	hash uint64
}

func (m *memo) get(s string) (hash uint64, ok bool) { return m.hash, string(m.text) == s }

func (m *memo) put(s string, hash uint64) uint64 {
	m.text, m.hash = append(m.text[:0], s...), hash
	return hash
}

// of gives the hash of a text.
func (m *memo) of(s string) uint64 {
	h, ok := m.get(s)
	if !ok {
		h = m.put(s, text(s))
	}
	return h
}
