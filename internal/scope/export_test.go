package scope

import (
	"context"

	"github.com/whosaw/whosaw/internal/ledger"
)

// TopFirst sets how many values Top counts out first.
func TopFirst(n int) { topFirst = n }

// ManyReferences sets from how many reference records on not all issuances are held.
func ManyReferences(n int64) (before int64) {
	before, manyReferences = manyReferences, n
	return before
}

// MostReasons sets how many reasons are kept.
func MostReasons(n int) (before int) {
	before, mostReasons = mostReasons, n
	return before
}

// TopKept sets how many of the values with most a memo keeps in order.
func TopKept(n int) { topKept = n }

// TopSmall sets what Top holds at once, and from how many codes on it numbers those that occur, to little.
func TopSmall(held int64, dense int) { topHeld, denseFrom = held, dense }

// TopFew sets how many groups of how many days Top holds to count them out one by one.
func TopFew(groups, days int) { topMore, topDays = groups, days }

// Lease uses what is kept of a view as a question does.
func (k *Known) Lease(ctx context.Context, view *ledger.View) (release func(), err error) {
	_, release, err = k.lease(ctx, view)
	return release, err
}

// Kept is the sequence as of which something is kept, 0 if nothing is.
func (k *Known) Kept() uint64 {
	k.all.mu.Lock()
	defer k.all.mu.Unlock()
	if k.all.index == nil {
		return 0
	}
	return k.all.asOf
}

// MaxFew sets how many credentials are kept of a ledger with many issuances.
func MaxFew(n int) (before int) {
	before, maxFew = maxFew, n
	return before
}

// FewKept is the sequence as of which the records of few credentials are kept, 0 if none are.
func (k *Known) FewKept() uint64 {
	k.few.mu.Lock()
	defer k.few.mu.Unlock()
	if k.few.kept == nil {
		return 0
	}
	return k.few.kept.asOf
}

// FewCredentials is of how many credentials the records are kept.
func (k *Known) FewCredentials() int {
	k.few.mu.Lock()
	defer k.few.mu.Unlock()
	if k.few.kept == nil {
		return 0
	}
	return len(k.few.kept.asked.sorted)
}

// JudgedAtOnce sets how many accesses are judged at once.
func JudgedAtOnce(n int) (before int) {
	before, judgedAtOnce = judgedAtOnce, n
	return before
}
