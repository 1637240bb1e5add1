package scope

import (
	"math/bits"
	"math/rand/v2"
	"sync"
)

// A table is cut into shards by the hash of the subject, each with its own lock. Workers gather their
// updates per shard and apply them in batches: no second copy of the table is ever merged, and
// what is touched at a time stays in the processor's cache.
const (
	shardBits = 6
	shards    = 1 << shardBits
	batch     = 64
)

// entry is what was disclosed of one subject.
type entry struct {
	key         subjectKey
	first, last int64
	others      int64 // the largest credited to it
	accesses    int64
	set         uint32 // number in sets
	realm       uint32 // number in the question's realms
}

const entryBytes = 48

// update is one disclosed access of one subject.
type update struct {
	key    subjectKey
	time   int64
	others int64
	set    uint32
	realm  uint32
}

// table sums disclosures per subject.
type table struct {
	sets   *sets
	b      *budget
	seed   uint64
	shards [shards]shard
}

type shard struct {
	mu      sync.Mutex
	slots   []uint32 // 1 + index of the entry; 0: free. Power of two long
	entries []entry
	unions  map[uint64]uint32 // of two set numbers
}

func newTable(s *sets, b *budget) *table { return &table{sets: s, b: b, seed: rand.Uint64()} }

// hash spreads a subject. The seed keeps a sender of ids from choosing ones that collide.
func hash(seed uint64, k subjectKey, realm uint32) uint64 {
	x := uint64(k) ^ seed ^ uint64(realm)*0x9e3779b97f4a7c15
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// gather holds what one worker adds, until a shard has a batch.
type gather[T any] struct {
	apply func(shard int, batch []T)
	bufs  [shards][]T
}

// put gathers x for the shard of its hash.
func (g *gather[T]) put(hash uint64, x T) {
	s := hash >> (64 - shardBits)
	b := g.bufs[s]
	if b == nil {
		b = make([]T, 0, batch)
	}
	b = append(b, x)
	if len(b) == batch {
		g.apply(int(s), b)
		b = b[:0]
	}
	g.bufs[s] = b
}

// flush applies what is still gathered.
func (g *gather[T]) flush() {
	for s, b := range g.bufs {
		if len(b) > 0 {
			g.apply(s, b)
			g.bufs[s] = b[:0]
		}
	}
}

// writer is one worker's way into a table.
type writer struct {
	gather[update]
	seed uint64
}

func (t *table) writer() *writer { return &writer{gather[update]{apply: t.apply}, t.seed} }

func (w *writer) add(u update) { w.put(hash(w.seed, u.key, u.realm), u) }

func (t *table) apply(s int, updates []update) {
	sh := &t.shards[s]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range updates {
		u := &updates[i]
		if len(sh.entries) >= len(sh.slots)/4*3 {
			// What grows takes the new room beside the old.
			if n := max(16, 2*len(sh.slots)); !t.b.room((n - len(sh.slots)) * (4 + entryBytes)) {
				return // the question is given up
			}
			sh.grow(t.seed)
		}
		mask := uint64(len(sh.slots) - 1)
		slot := hash(t.seed, u.key, u.realm) & mask
		for {
			at := sh.slots[slot]
			if at == 0 {
				sh.entries = append(sh.entries, entry{
					key: u.key, realm: u.realm, first: u.time, last: u.time, others: u.others, accesses: 1, set: u.set,
				})
				sh.slots[slot] = uint32(len(sh.entries))
				break
			}
			if e := &sh.entries[at-1]; e.key == u.key && e.realm == u.realm {
				sh.merge(t.sets, e, u)
				break
			}
			slot = (slot + 1) & mask
		}
	}
}

func (sh *shard) merge(all *sets, e *entry, u *update) {
	e.first = min(e.first, u.time)
	e.last = max(e.last, u.time)
	e.others = max(e.others, u.others)
	e.accesses++
	if e.set == u.set || u.set == 0 {
		return
	}
	pair := uint64(e.set)<<32 | uint64(u.set)
	id, ok := sh.unions[pair]
	if !ok {
		id = all.union(e.set, u.set)
		if sh.unions == nil {
			sh.unions = make(map[uint64]uint32)
		}
		sh.unions[pair] = id
	}
	e.set = id
}

func (sh *shard) grow(seed uint64) {
	n := max(16, 2*len(sh.slots))
	if bits.Len(uint(n)) > 32 {
		panic("BUG: more than a hundred billion subjects in one question")
	}
	sh.slots = make([]uint32, n)
	mask := uint64(n - 1)
	for i := range sh.entries {
		slot := hash(seed, sh.entries[i].key, sh.entries[i].realm) & mask
		for sh.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		sh.slots[slot] = uint32(i + 1)
	}
}

// len is the number of subjects. To be called when the writers are done, as each is.
func (t *table) len() int64 {
	var n int64
	for i := range t.shards {
		n += int64(len(t.shards[i].entries))
	}
	return n
}

// each calls fn with every entry, in no order.
func (t *table) each(fn func(e *entry)) {
	for i := range t.shards {
		for j := range t.shards[i].entries {
			fn(&t.shards[i].entries[j])
		}
	}
}

// drain takes out the entries for which fn returns true. Nothing may be added afterwards.
func (t *table) drain(fn func(e *entry) bool) {
	for i := range t.shards {
		sh := &t.shards[i]
		kept := sh.entries[:0]
		for j := range sh.entries {
			if !fn(&sh.entries[j]) {
				kept = append(kept, sh.entries[j])
			}
		}
		sh.entries, sh.slots = kept, nil
	}
}

// member is a subject in a group.
type member struct {
	key   subjectKey
	group uint32 // 1 + the group; 0 marks a free slot
	realm uint32
}

const memberBytes = 16

// memberSet holds distinct subjects of numbered groups, sharded like a table.
type memberSet struct {
	b      *budget
	seed   uint64
	shards [shards]memberShard
}

type memberShard struct {
	mu    sync.Mutex
	slots []member
	n     int
}

func newMemberSet(b *budget) *memberSet { return &memberSet{b: b, seed: rand.Uint64()} }

// memberWriter is one worker's way into a memberSet.
type memberWriter struct {
	gather[member]
	set *memberSet
}

func (m *memberSet) writer() *memberWriter { return &memberWriter{gather[member]{apply: m.apply}, m} }

func (m *memberSet) hash(x *member) uint64 {
	return hash(m.seed^uint64(x.group)*0xd6e8feb86659fd93, x.key, x.realm)
}

func (w *memberWriter) add(group uint32, key subjectKey, realm uint32) {
	x := member{key: key, group: group + 1, realm: realm}
	w.put(w.set.hash(&x), x)
}

func (m *memberSet) apply(s int, members []member) {
	sh := &m.shards[s]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range members {
		if sh.n >= len(sh.slots)/4*3 {
			old := sh.slots
			n := max(16, 2*len(old))
			if !m.b.room((n - len(old)) * memberBytes) {
				return // the question is given up
			}
			sh.slots = make([]member, n)
			for j := range old {
				if old[j].group != 0 {
					*m.slot(sh, &old[j]) = old[j]
				}
			}
		}
		if p := m.slot(sh, &members[i]); p.group == 0 {
			*p = members[i]
			sh.n++
		}
	}
}

// slot finds where x is, or the free place where it belongs.
func (m *memberSet) slot(sh *memberShard, x *member) *member {
	mask := uint64(len(sh.slots) - 1)
	for at := m.hash(x) & mask; ; at = (at + 1) & mask {
		if p := &sh.slots[at]; p.group == 0 || *p == *x {
			return p
		}
	}
}

// count gives the number of distinct subjects of each of n groups.
func (m *memberSet) count(n int) []int64 {
	counts := make([]int64, n)
	for i := range m.shards {
		for j := range m.shards[i].slots {
			if g := m.shards[i].slots[j].group; g != 0 {
				counts[g-1]++
			}
		}
	}
	return counts
}
