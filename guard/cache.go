package guard

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxCached bounds the decisions that are remembered.
const maxCached = 1 << 16

// cache remembers decisions that may be done again without asking. The zero value is ready.
type cache struct {
	mu sync.Mutex
	by map[[32]byte]cached
}

type cached struct {
	d     decision
	until time.Time // by the monotonic clock
}

func cacheKey(q *question) [32]byte {
	h := sha256.New()
	for _, part := range []string{q.Credential, q.Method, q.Path, q.IP} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	for _, m := range q.Methods {
		h.Write([]byte(m))
		h.Write([]byte{0})
	}
	return [32]byte(h.Sum(nil))
}

func (c *cache) get(key [32]byte, now time.Time) (decision, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.by[key]
	if ok && !now.Before(e.until) {
		delete(c.by, key)
		return decision{}, false
	}
	return e.d, ok
}

func (c *cache) put(key [32]byte, d decision, now time.Time) {
	if d.TTL <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[[32]byte]cached{}
	}
	if len(c.by) >= maxCached {
		for k := range c.by { // any: what is left out is asked again
			delete(c.by, k)
			break
		}
	}
	c.by[key] = cached{d, now.Add(time.Duration(d.TTL * float64(time.Second)))}
}
