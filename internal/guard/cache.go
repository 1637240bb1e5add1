package guard

import (
	"crypto/sha256"
	"sync"
	"time"
)

// digest is the SHA-256 of a whole token.
type digest [sha256.Size]byte

// cache remembers checked tokens: their signature check and claims, nothing else. It is in two parts: what came once, and what came
// again. A flood of tokens that come once, as forged ones do, passes through the first part and displaces none of the second.
type cache struct {
	shards [cacheShards]shard
}

const cacheShards = 16

type shard struct {
	mu          sync.Mutex
	by          map[digest]*node
	once, again ring
	mostOnce    int
	mostAgain   int
	hits        uint64
	_           [64]byte // shards beside each other do not share a line
}

// node is a checked token, in one of its shard's rings.
type node struct {
	prev, next *node
	digest     digest
	again      bool
	checked    *checked
}

// checked is what the check of a token gave.
type checked struct {
	id    Identity
	until time.Time // by the monotonic clock
	key   *verifyKey
	from  *issuer // who has the key; nil: its issuer was asked
}

// ring is a list of nodes, the latest first.
type ring struct {
	head node
	n    int
}

func (r *ring) push(x *node) {
	if r.head.next == nil {
		r.head.next, r.head.prev = &r.head, &r.head
	}
	x.prev, x.next = &r.head, r.head.next
	x.prev.next, x.next.prev = x, x
	r.n++
}

func (r *ring) cut(x *node) {
	x.prev.next, x.next.prev = x.next, x.prev
	x.prev, x.next = nil, nil
	r.n--
}

func newCache(size int) *cache {
	c := &cache{}
	each := max(2, size/cacheShards)
	for i := range c.shards {
		s := &c.shards[i]
		s.by = map[digest]*node{}
		s.mostOnce = max(1, each/5)
		s.mostAgain = max(1, each-each/5)
	}
	return c
}

func (c *cache) shard(d digest) *shard { return &c.shards[d[0]%cacheShards] }

// get gives what is remembered of a token, if it still holds.
func (c *cache) get(d digest, now time.Time) *checked {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.by[d]
	if x == nil {
		return nil
	}
	if !now.Before(x.checked.until) {
		s.drop(x)
		return nil
	}
	s.hits++
	if x.again {
		s.again.cut(x)
		s.again.push(x)
		return x.checked
	}
	s.once.cut(x)
	x.again = true
	s.again.push(x)
	if s.again.n > s.mostAgain { // the coldest of those is as one that came once
		old := s.again.head.prev
		s.again.cut(old)
		old.again = false
		s.admit(old)
	}
	return x.checked
}

// put remembers a token.
func (c *cache) put(d digest, v *checked) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.by[d]; x != nil {
		x.checked = v
		return
	}
	x := &node{digest: d, checked: v}
	s.by[d] = x
	s.admit(x)
}

// admit puts a node into the first part. mu must be held.
func (s *shard) admit(x *node) {
	s.once.push(x)
	if s.once.n > s.mostOnce {
		s.drop(s.once.head.prev)
	}
}

// forget drops a token.
func (c *cache) forget(d digest) {
	s := c.shard(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.by[d]; x != nil {
		s.drop(x)
	}
}

func (s *shard) drop(x *node) {
	if x.again {
		s.again.cut(x)
	} else {
		s.once.cut(x)
	}
	delete(s.by, x.digest)
}

// size gives how many tokens are remembered, and how often one was found.
func (c *cache) size() (n int, hits uint64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += len(s.by)
		hits += s.hits
		s.mu.Unlock()
	}
	return n, hits
}
