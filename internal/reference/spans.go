package reference

import (
	"math"
	"slices"
	"sort"
)

// span is a stretch of event time, [from, until).
type span struct{ from, until int64 }

// forever is the end of an open span.
const forever = math.MaxInt64

// spans is a union of stretches of time: it answers whether a moment lies in any. Nearly every one holds
// a single stretch, which lies in place; more go to sorted runs of doubling length, so that neither many
// stretches nor their order make it slow.
type spans struct {
	first span
	runs  *[][]span // each sorted by from and disjoint; each at most half as long as the one before
}

// add adds a stretch that is not empty.
func (s *spans) add(n span) {
	switch {
	case s.first == (span{}):
		s.first = n
		return
	case n.from <= s.first.until && s.first.from <= n.until:
		s.first = span{min(s.first.from, n.from), max(s.first.until, n.until)}
		return
	case s.runs == nil:
		s.runs = &[][]span{}
	}
	runs := append(*s.runs, []span{n})
	for k := len(runs); k > 1 && len(runs[k-2]) < 2*len(runs[k-1]); k = len(runs) {
		runs = append(runs[:k-2], merge(runs[k-2], runs[k-1]))
	}
	*s.runs = runs
}

// meets reports whether any moment from first to last, both included, lies in a stretch.
func (s *spans) meets(first, last int64) bool {
	if s.first.from <= last && first < s.first.until {
		return true
	}
	if s.runs == nil {
		return false
	}
	for _, run := range *s.runs {
		// Of those that begin by the last moment the latest ends last.
		i := sort.Search(len(run), func(i int) bool { return run[i].from > last })
		if i > 0 && first < run[i-1].until {
			return true
		}
	}
	return false
}

// merge joins two runs into one, and what touches into one stretch.
func merge(a, b []span) []span {
	all := append(append(make([]span, 0, len(a)+len(b)), a...), b...)
	slices.SortFunc(all, func(x, y span) int {
		switch {
		case x.from < y.from:
			return -1
		case x.from > y.from:
			return 1
		}
		return 0
	})
	out := all[:1]
	for _, n := range all[1:] {
		if last := &out[len(out)-1]; n.from <= last.until {
			last.until = max(last.until, n.until)
		} else {
			out = append(out, n)
		}
	}
	return out
}
