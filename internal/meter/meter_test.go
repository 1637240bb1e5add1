package meter_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/meter"
)

var now = time.Date(2026, 11, 22, 3, 12, 44, 0, time.UTC)

func shown(at time.Time, route, subject string) *detect.Shown {
	return &detect.Shown{Record: &whosaw.Record{Time: at.UnixMilli(), Route: route, Key: "k"}, Subjects: []string{subject}, Disclosed: true}
}

// TestCounts holds the meter against sets counted plainly, at every minute of the last hour and for the actor.
func TestCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := meter.New(func() time.Time { return now })
		last := map[[2]string]time.Time{}
		minutes := map[string]map[int64]int64{}
		hour := map[string]bool{}
		at := now.Add(-26 * time.Hour)
		for range rapid.IntRange(1, 400).Draw(t, "accesses") {
			at = at.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			if at.After(now) {
				break
			}
			route := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "route")
			subject := fmt.Sprint(rapid.IntRange(1, 12).Draw(t, "subject"))
			m.Watch(shown(at, route, subject))
			for _, r := range []string{route, meter.All} {
				before, ok := last[[2]string{r, subject}]
				if !ok || at.Truncate(time.Minute).Sub(before.Truncate(time.Minute)) > 24*time.Hour {
					if minutes[r] == nil {
						minutes[r] = map[int64]int64{}
					}
					minutes[r][at.Unix()/60]++
				}
				last[[2]string{r, subject}] = at
			}
			if at.Unix()/60 > now.Unix()/60-60 {
				hour[subject] = true
			}
		}
		s := m.Snapshot(10, 10)
		for _, st := range s.Strips {
			for i, p := range st.Hour {
				minute := now.Unix()/60 - 60 + int64(i)
				if want := minutes[st.Route][minute]; p.N != want {
					t.Fatalf("route %s at minute %d: %d new, want %d", st.Route, minute, p.N, want)
				}
			}
		}
		got := int64(0)
		for _, a := range s.Actors {
			if a.Kind == "key" && a.Name == "k" {
				got = a.Subjects
			}
		}
		if got != int64(len(hour)) {
			t.Fatalf("the key was shown %d in the last hour, want %d", got, len(hour))
		}
	})
}

// TestSeason: a season is of days before today, and one day with a theft in it teaches nothing.
func TestSeason(t *testing.T) {
	m := meter.New(func() time.Time { return now })
	n := 0
	show := func(at time.Time, count int) {
		for i := range count {
			n++
			m.Watch(shown(at.Add(time.Duration(i)*time.Millisecond), "GET /me", fmt.Sprint(n)))
		}
	}
	for day := 6; day >= 1; day-- {
		for minute := range 60 {
			count := 10
			if day == 2 {
				count = 500
			}
			show(now.Truncate(time.Hour).Add(time.Duration(minute)*time.Minute).AddDate(0, 0, -day), count)
		}
	}
	show(now.Add(-time.Minute), 40)
	st := m.Snapshot(5, 5).Strips[1]
	if !st.Known || st.High < 10 || st.High > 25 || st.Low > 10 {
		t.Errorf("the season is %d to %d (known %t), want it about 10", st.Low, st.High, st.Known)
	}
	if st.Now != 40 || !st.Over() {
		t.Errorf("40 new in the last minute: %d, over %t", st.Now, st.Over())
	}
}

// TestNoSeason: with fewer than three days nothing is held against a route.
func TestNoSeason(t *testing.T) {
	m := meter.New(func() time.Time { return now })
	for i := range 2 * 24 * 60 {
		m.Watch(shown(now.Add(time.Duration(i-2*24*60)*time.Minute), "GET /me", fmt.Sprint(i)))
	}
	if st := m.Snapshot(5, 5).Strips[1]; st.Known || st.Over() {
		t.Errorf("after two days there is a season: %+v", st.High)
	}
}

func BenchmarkWatch(b *testing.B) {
	m := meter.New(func() time.Time { return now })
	s := shown(now, "GET /me", "1")
	for i := 0; b.Loop(); i++ {
		s.Subjects[0] = fmt.Sprint(i % 1_000_000)
		m.Watch(s)
	}
}
