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

// spent reports whether the question must be given up.
func (b *budget) spent() bool { return b.left.Load() < 0 }
