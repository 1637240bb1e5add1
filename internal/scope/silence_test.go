package scope_test

import (
	"fmt"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// TestSilence holds the edges of the rule: over ten times the 99th-percentile spacing by nearest rank, and at least
// ten minutes. Each case is a run of spacings in milliseconds, of which the last is the one in question.
func TestSilence(t *testing.T) {
	repeat := func(n int, spacing int64) []int64 {
		out := make([]int64, n)
		for i := range out {
			out[i] = spacing
		}
		return out
	}
	for _, c := range []struct {
		name   string
		usual  []int64
		last   int64
		silent bool
	}{
		{"ten minutes", repeat(200, 1000), 600_000, true},
		{"a millisecond less", repeat(200, 1000), 599_999, false},
		{"ten times the usual", repeat(200, 60_000), 600_000, false},
		{"over ten times the usual", repeat(200, 60_000), 600_001, true},
		{"ten times a usual hour", repeat(200, 3_600_000), 36_000_000, false},
		{"over ten times a usual hour", repeat(200, 3_600_000), 36_000_001, true},
		{"a hundred spacings: the largest is over the 99th percentile", repeat(99, 1000), 600_000, true},
		{"99 spacings: the largest is the 99th percentile", repeat(98, 1000), 600_000, false},
		{"two of 101 are large: the 99th percentile is one of them", append(repeat(99, 1000), 700_000), 700_000, false},
		{"two of 200 are large", append(repeat(198, 1000), 700_000), 700_000, true},
		{"two of 199 are large", append(repeat(197, 1000), 700_000), 700_000, false},
		{"all at once", repeat(200, 0), 600_000, true},
		{"one spacing", nil, 600_000, false},
	} {
		var lines []send
		at := start + 12_345
		add := func() {
			lines = append(lines, send{"gw", int64(len(lines)), fmt.Sprintf(`{"time":%d,"subject":7,"fields":["name"]}`, at)})
		}
		add()
		for _, d := range c.usual {
			at += d
			add()
		}
		from := at
		at += c.last
		add()
		// Late records: the order of arrival does not matter.
		for i := range lines {
			j := (i * 7) % len(lines)
			lines[i], lines[j] = lines[j], lines[i]
		}
		view := openView(t, lines, 32)
		found := silentAt(count(t, view, whosaw.Filter{{}}), from)
		if found != c.silent {
			t.Errorf("%s: silent is %v, want %v", c.name, found, c.silent)
		}
		if found {
			silentTouches(t, view, from, at)
		}
	}
}

// silentTouches asks for stretches that end and begin at the edges of a silence, between records at from and to.
func silentTouches(t *testing.T, view *ledger.View, from, to int64) {
	t.Helper()
	for _, c := range []struct {
		name     string
		from, to int64
		want     bool
	}{
		{"up to the record before it", 0, from + 1, false},
		{"one millisecond of it", 0, from + 2, true},
		{"its last millisecond", to - 1, 0, true},
		{"from the record after it", to, 0, false},
		{"within", from + 1000, from + 2000, true},
	} {
		f := whosaw.Filter{{From: whosaw.Time(c.from), To: whosaw.Time(c.to)}}
		if got := silentAt(count(t, view, f), from); got != c.want {
			t.Errorf("%s: silent is %v, want %v", c.name, got, c.want)
		}
	}
}

func silentAt(a whosaw.ScopeAnswer, from int64) bool {
	for _, g := range a.Gaps {
		if g.Kind == whosaw.GapSilent && int64(*g.From) == from {
			return true
		}
	}
	return false
}
