package detect_test

import (
	"fmt"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// shown is one that reads so many customers, all new if fresh, else also three times as many that it was shown before.
func shown(principal string, on, at int64, from, n int, fresh bool) (rs []whosaw.Record) {
	for i := range n {
		again := 1
		if !fresh {
			again = 4
		}
		for k := range again {
			c := from + 1000*i
			if k > 0 {
				c = 1 + 1000*(i%60) // as on the first day
			}
			r := get(start+on*day+at+int64(4*i+k)*second, c, true)
			r.Principal, r.Client, r.IP = principal, "jobs", ip(6)
			rs = append(rs, r)
		}
	}
	return rs
}

// TestVerdictGivesBackItsDays: a verdict that a finding of spreader was none gives the days back to the baseline that this finding held, of all actors
// that it calmed, whether it named the actor or only the new customers; and no day of another finding.
func TestVerdictGivesBackItsDays(t *testing.T) {
	type event struct {
		fresh   bool
		n       int
		verdict string
	}
	for name, c := range map[string]struct {
		events []event
		last   string  // who reads 700 in the end, at another hour
		cap    float64 // of that; 0: it is no finding
	}{
		"both were harvest":           {[]event{{false, 500, "harvest"}, {false, 600, "harvest"}}, "service:a", 240},
		"both were none":              {[]event{{false, 500, "false"}, {false, 600, "explained"}}, "service:a", 0},
		"one was harvest":             {[]event{{false, 500, "harvest"}, {true, 600, "false"}}, "service:a", 240},
		"both were none, client":      {[]event{{false, 500, "false"}, {false, 600, "explained"}}, "service:new", 0},
		"one was harvest, the client": {[]event{{false, 500, "harvest"}, {true, 600, "false"}}, "service:new", 240},
	} {
		var rs []whosaw.Record
		for d := range int64(12) {
			rs = append(rs, shown("service:a", d, hour, 1+int(d), 60, true)...)
		}
		for i, v := range c.events {
			on := 12 + 3*int64(i)
			rs = append(rs, shown("service:a", on, hour, 1_000_000*(i+1), v.n, v.fresh)...)
			_, fs := run(detect.Config{}, rs)
			if fs = by(fs, "spreader"); len(fs) != i+1 {
				t.Fatalf("%s: after %d: %v", name, i, fs)
			}
			rs = append(rs, verdict(start+(on+1)*day, fs[i].ID, v.verdict))
		}
		last := len(rs)
		rs = append(rs, shown(c.last, 20, 13*hour, 9_000_000, 700, true)...)
		_, fs := run(detect.Config{}, rs)
		got := "nothing"
		for _, f := range by(fs, "spreader") {
			if f.at >= last {
				got = fmt.Sprint(f.Threshold)
			}
		}
		want := "nothing"
		if c.cap > 0 {
			want = fmt.Sprint(c.cap)
		}
		if got != want {
			t.Errorf("%s: the last is a finding above %s, want %s", name, got, want)
		}
	}
}
