package ledger_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// spread gives n records at even times.
func spread(from time.Time, n int, over time.Duration, position int) []whosaw.Record {
	all := numbered(position, n)
	for i := range all {
		all[i].Time = from.Add(over * time.Duration(i) / time.Duration(n)).UnixMilli()
	}
	return all
}

func TestGrowth(t *testing.T) {
	const aDay = 24 * time.Hour
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	ago := func(days float64) time.Time { return now.Add(-time.Duration(days * float64(aDay))) }
	odd := func(r []whosaw.Record, at time.Time) []whosaw.Record {
		r[len(r)/2].Time = at.UnixMilli()
		return r
	}
	for _, c := range []struct {
		name    string
		records []whosaw.Record
		days    int
		want    float64 // records a day; 0: not known
		over    float64
	}{
		{"nothing", nil, 7, 0, 0},
		{"half a day", spread(ago(0.5), 500, aDay/2, 0), 7, 0, 0},
		{"even", spread(ago(20), 4000, 20*aDay, 0), 7, 200, 7},
		{"younger than asked", spread(ago(4), 800, 4*aDay, 0), 7, 200, 4},
		{"quiet since", spread(ago(40), 4000, 20*aDay, 0), 7, 0.0001, 7},
		{"faster of late", append(spread(ago(30), 1000, 20*aDay, 0), spread(ago(10), 5000, 10*aDay, 50_000)...), 7, 500, 7},
		{"one in the future", odd(spread(ago(20), 4000, 20*aDay, 0), ago(-3000)), 7, 200, 7},
		{"one long ago", odd(spread(ago(20), 4000, 20*aDay, 0), ago(3000)), 7, 200, 7},
		{"an old month came late", append(spread(ago(20), 4000, 20*aDay, 0), spread(ago(60), 700, aDay, 50_000)...), 7, 300, 7},
	} {
		l := open(t, ledger.Config{Dir: t.TempDir(), SegmentRecords: 100, Throwaway: true})
		if len(c.records) > 0 {
			appendAll(t, l, c.records, ledger.Accepted)
			if err := l.Seal(ctx); err != nil {
				t.Fatal(err)
			}
		}
		v := view(t, l, 0)
		g, ok := v.Growth(now, c.days)
		if ok != (c.want > 0) || math.Abs(g.Records-c.want) > max(0.08*c.want, 0.001) || math.Abs(g.Days-c.over) > 0.1 {
			t.Errorf("%s: %+v, %v, want %v a day over %v days", c.name, g, ok, c.want, c.over)
		}
		if ok && c.want > 1 {
			each := float64(v.Bytes()) / float64(len(c.records))
			if days, ok := g.Full(1 << 30); !ok || math.Abs(days*g.Records*each/(1<<30)-1) > 0.01 {
				t.Errorf("%s: full in %v days, %v", c.name, days, ok)
			}
		}
		closing(t, l)
	}
	if _, ok := (ledger.Growth{}).Full(1); ok {
		t.Error("a ledger that does not grow is full some day")
	}
}

func TestSpace(t *testing.T) {
	free, size, err := ledger.Space(t.TempDir())
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("NOT TESTED: free space is not known on this system")
	}
	if err != nil || free <= 0 || size < free {
		t.Errorf("%d of %d bytes are free, %v", free, size, err)
	}
	if _, _, err := ledger.Space("/there/is/nothing"); err == nil {
		t.Error("there is space where nothing is")
	}
}
