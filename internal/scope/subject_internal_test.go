package scope

import (
	"testing"

	"github.com/whosaw/whosaw/internal/ledger"
)

// TestSkipped: a part is not looked into if all that it has was on pages before, or is older than enough that were found.
func TestSkipped(t *testing.T) {
	page := place{asOf: 90, time: 500, seq: 40}
	for _, c := range []struct {
		name     string
		worker   newestWorker
		min, max int64
		want     bool
	}{
		{"nothing is known", newestWorker{n: 1}, 1, 2, false},
		{"all of it was on pages before", newestWorker{n: 1, after: page}, 501, 600, true},
		{"the place lies in it", newestWorker{n: 1, after: page}, 500, 600, false},
		{"it is behind the place", newestWorker{n: 1, after: page}, 400, 499, false},
		{"enough are newer", newestWorker{n: 1, after: page, full: true, bar: 500}, 400, 499, true},
		{"one may be as new", newestWorker{n: 1, after: page, full: true, bar: 500}, 400, 500, false},
	} {
		if got := c.worker.skip(ledger.Part{MinTime: c.min, MaxTime: c.max}); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
}
