package scope

import (
	"sync"
	"unsafe"

	"github.com/whosaw/whosaw/internal/near"
)

// rooms gives one worker pieces of memory for a T each: out of a pool where that has some, for memory that was just used costs less; else the first
// few one by one, and then many at once in large pages.
type rooms[T any] struct {
	made int
	rest []T
}

const (
	roomsBytes = 4 << 20 // that are made at once
	roomsFew   = 1 << 20 // bytes that are made one by one before
)

// get gives a piece, all zero or as it was put back.
func (r *rooms[T]) get(pool *sync.Pool) *T {
	if p, ok := pool.Get().(*T); ok {
		return p
	}
	size := int(unsafe.Sizeof(*new(T)))
	if len(r.rest) == 0 {
		if r.made += size; r.made <= roomsFew {
			return new(T)
		}
		r.rest = near.Large[T](roomsBytes / size)
	}
	p := &r.rest[0]
	r.rest = r.rest[1:]
	return p
}
