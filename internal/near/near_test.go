package near_test

import (
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

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

// BenchmarkFetch is what a line of a gigabyte costs that lies in no cache, in processor time: fetched side by side and then read, read side by
// side, and read one after the other. The first is the least that a detector pays for a line that it must touch.
func BenchmarkFetch(b *testing.B) {
	lines := make([][8]uint64, 1<<24)
	for i := range lines {
		lines[i][0] = 1
	}
	var at [128]uint32
	x := uint64(1)
	next := func(of uint64) uint32 {
		x = x*6364136223846793005 + 1442695040888963407
		return uint32((x>>32 ^ of) % uint64(len(lines)))
	}
	var sum uint64
	var l near.Lines
	for _, way := range []struct {
		name string
		read func()
	}{
		{"fetched", func() {
			for i := range at {
				at[i] = next(0)
				near.Add(&l, &lines[at[i]])
			}
			l.Fetch()
			for _, i := range at {
				sum += lines[i][0]
			}
		}},
		{"read", func() {
			of := uint64(0)
			for range at {
				of += lines[next(0)][0]
			}
			sum += of
		}},
		{"one-by-one", func() {
			for range at {
				sum += lines[next(sum&(1<<40))][0]
			}
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			before := cpu()
			for b.Loop() {
				way.read()
			}
			b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N)/float64(len(at)), "ns/line")
		})
	}
	if sum == 0 {
		b.Fatal("nothing was read")
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestLarge writes to the end of memory of several sizes, and past the collector.
func TestLarge(t *testing.T) {
	for _, n := range []int{0, 1, 500, 4096/8 + 1, 1 << 19, 1<<20 + 3} {
		list := near.Large[uint64](n)
		if len(list) != n {
			t.Fatalf("%d values for %d", len(list), n)
		}
		for i := range list {
			if list[i] != 0 {
				t.Fatalf("value %d of %d is not 0", i, n)
			}
			list[i] = uint64(i)
		}
		runtime.GC()
		for i := range list {
			if list[i] != uint64(i) {
				t.Fatalf("value %d of %d is %d", i, n, list[i])
			}
		}
	}
}
