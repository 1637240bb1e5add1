package near_test

import (
	"slices"
	"testing"

	"github.com/whosaw/whosaw/internal/near"
)

// TestFetch gathers more places than there is room for, and some that are nowhere: nothing is read or changed.
func TestFetch(t *testing.T) {
	var l near.Lines
	list := make([]uint64, 1<<12)
	for i := range list {
		list[i] = uint64(i)
	}
	want := slices.Clone(list)
	for i := range list {
		near.Add(&l, &list[i])
		if i%7 == 0 {
			near.Add[uint64](&l, nil)
		}
		if i%1000 == 0 {
			l.Fetch()
			l.Fetch()
		}
	}
	l.Fetch()
	if !slices.Equal(list, want) {
		t.Fatal("fetching changed what lay there")
	}
	if n := testing.AllocsPerRun(10, func() { near.Add(&l, &list[5]); l.Fetch() }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// BenchmarkFetch is the cost of a line of a gigabyte that nobody has read: fetched side by side, then read, and read one after the other. The
// first is the least that a detector pays for a line that it must touch.
func BenchmarkFetch(b *testing.B) {
	lines := make([][8]uint64, 1<<24)
	for i := range lines {
		lines[i][0] = 1
	}
	var at [256]uint32
	x := uint64(1)
	next := func(of uint64) uint32 {
		x = x*6364136223846793005 + 1442695040888963407
		return uint32((x>>32 ^ of) % uint64(len(lines)))
	}
	var sum uint64
	b.Run("side-by-side", func(b *testing.B) {
		var l near.Lines
		for b.Loop() {
			for i := range at {
				at[i] = next(0)
				near.Add(&l, &lines[at[i]])
			}
			l.Fetch()
			for _, i := range at {
				sum += lines[i][0]
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(at)), "ns/line")
	})
	b.Run("read-only", func(b *testing.B) {
		for b.Loop() {
			for range at {
				sum += lines[next(0)][0]
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(at)), "ns/line")
	})
	b.Run("one-by-one", func(b *testing.B) {
		for b.Loop() {
			for range at {
				sum += lines[next(sum&1<<40)][0]
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(at)), "ns/line")
	})
	if sum == 0 {
		b.Fatal("nothing was read")
	}
}
