package scope

import (
	"math"
	"strconv"
	"testing"

	"github.com/whosaw/whosaw"
)

// TestAppend holds the list's own way of writing numbers and times against the usual one.
func TestAppend(t *testing.T) {
	list := []uint64{math.MaxUint64, 0, 9, 10, 99, 100}
	for n := uint64(1); n < 1<<62; n = n*3 + 1 {
		list = append(list, n-1, n, n+1, n*10)
	}
	for n := uint64(1); n < 1e18; n *= 10 {
		list = append(list, n-1, n, n+1)
	}
	var days dayTexts
	var room [lineText]byte
	for _, n := range list {
		if got, want := string(room[:putNumber(room[:], n)]), strconv.FormatUint(n, 10); got != want {
			t.Errorf("%d is written as %s", n, got)
		}
		for _, ms := range []int64{int64(n), -int64(n), int64(n) + 1_764_000_000_000} {
			if got, want := string(room[:days.put(room[:], ms)]), whosaw.Time(ms).String(); got != want {
				t.Errorf("time %d is written as %q, want %q", ms, got, want)
			}
		}
	}
}
