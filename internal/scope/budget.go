package scope

import (
	"errors"
	"math"
	"sync/atomic"
)

// ErrMemory says that a question would need more memory than Config.Memory allows.
var ErrMemory = errors.New("the question needs more memory than one question may use: narrow the filter, ask for a shorter time, or allow more (query.memory)")

// budget is the memory that one question may use for what it counts: subjects, names, sums. What is read of a part at a time
// is not in it. Safe for concurrent use.
type budget struct {
	left atomic.Int64
	lost atomic.Bool // something was not kept, because there was no room: whatever is given back, the answer would lack it
}

func newBudget(bytes int64) *budget {
	b := &budget{}
	if bytes <= 0 {
		bytes = math.MaxInt64
	}
	b.left.Store(bytes)
	return b
}

// take spends n bytes and reports whether they were there.
func (b *budget) take(n int) bool { return b.left.Add(-int64(n)) >= 0 }

// room is take for something that is not kept if its bytes are not there.
func (b *budget) room(n int) bool {
	ok := b.take(n)
	if !ok {
		b.lost.Store(true)
	}
	return ok
}

// begin begins again with what was left before, and with nothing counted.
func (b *budget) begin(left int64) {
	b.left.Store(left)
	b.lost.Store(false)
}

// spent reports whether the question must be given up. Who adds to a table must ask after the last thing was added.
func (b *budget) spent() bool { return b.left.Load() < 0 || b.lost.Load() }
