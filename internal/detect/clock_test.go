package detect_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// keysOf names findings by what they are about.
func keysOf(fs []raised) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.Detector+" "+f.Unit)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// traversed is a shop without a feed, whose numbers somebody opens in order with a key of everybody's, but slowly.
func traversed() *world {
	w := newWorld(3)
	w.shop(6, 400, 20_000, false)
	for i := range 200 {
		r := get(start+4*day+int64(i)*10*minute, 5000+i, true)
		r.IP, r.Client = ip(5_000_000), "web"
		w.attack(r)
	}
	return w
}

// TestSparseClock: in a log with one access every six hours the days are closed by those, and by one whose clock is wrong no more than in any other.
func TestSparseClock(t *testing.T) {
	for name, wrong := range map[string]bool{"right": false, "one of 2099": true} {
		t.Run(name, func(t *testing.T) {
			e := detect.New(detect.Config{}, nil)
			seq, found := uint64(0), []string(nil)
			observe := func(r whosaw.Record) {
				seq++
				for _, f := range e.Observe(seq, &r) {
					found = append(found, f.Detector+" "+f.Unit)
				}
			}
			observe(whosaw.Record{Type: whosaw.TypeKey, Time: start, Key: "backup", Ref: &whosaw.Reference{State: "active", Readers: []string{"kim"}}})
			for i := range int64(40) {
				at := start + i*6*hour
				if wrong && i == 20 {
					observe(whosaw.Record{Time: start + 74*365*day, Route: "GET /me", Subjects: []string{"7"}, Principal: "customer:7", Key: "main", Outcome: whosaw.OutcomeDisclosed})
				}
				observe(whosaw.Record{Time: at, Route: "GET /me", Subjects: []string{"7"}, Principal: "customer:7", Key: "main", Outcome: whosaw.OutcomeDisclosed})
				switch i {
				case 4:
					observe(whosaw.Record{Type: whosaw.TypePerson, Time: at, Ref: &whosaw.Reference{Person: "kim", State: "left"}})
				case 36:
					observe(whosaw.Record{Time: at + 1, Route: "GET /me", Subjects: []string{"9"}, Principal: "customer:9", Key: "backup", Outcome: whosaw.OutcomeDisclosed})
				}
			}
			if want := []string{"offboarded key:backup"}; !slices.Equal(found, want) {
				t.Errorf("found %v, want %v", found, want)
			}
		})
	}
}

// seenByRight expects of findings that they are seen at the greatest event time of all records by then but one, whose clock is wrong. A finding that this
// one raises may say its time.
func seenByRight(t *testing.T, where string, log []whosaw.Record, wrong int, fs []raised) {
	t.Helper()
	for _, f := range fs {
		want := int64(0)
		for i := range f.at + 1 {
			if i != wrong {
				want = max(want, log[i].Time)
			}
		}
		if f.at != wrong && int64(f.Seen) != want {
			t.Errorf("%s: %s %s is seen at %d, and the greatest time by then is %d", where, f.Detector, f.Unit, f.Seen, want)
		}
	}
}

// TestWrongClocks: one record whose clock says 1970, 2099, or some weeks or a year ahead, at any place in the log, keeps no detector from what it finds
// and makes none find more.
func TestWrongClocks(t *testing.T) {
	year := int64(365)
	clocks := map[string]int64{"1970": 2 * day, "2099": start + 74*year*day, "three weeks ahead": start + 21*day + 7*hour, "a year ahead": start + (year+12)*day}
	search := func(k int) string { return []string{"GET /search", "GET /me", "GET /search"}[k] }
	for name, log := range map[string]func() *world{
		"a flood": func() *world {
			w := newWorld(90)
			w.comers(12)
			for i := range 4000 {
				r := visit(start+10*day+int64(i)*800, 1_000_000+i*7)
				r.IP = ip(1<<22 + i*256)
				w.attack(r)
			}
			return w
		},
		"a job": func() *world {
			w := newWorld(62)
			for d := range int64(12) {
				w.reads("service:loyalty", d, false, upTo(1+int(d)*7, 60)...)
			}
			w.reads("service:loyalty", 12, true, upTo(500_001, 500)...)
			return w
		},
		"peers": func() *world {
			w := newWorld(68)
			for p := range 6 {
				for d := range int64(9) {
					w.reads(fmt.Sprint("partner:", p), d, false, upTo(1+p*20_000+int(d)*7, 20)...)
				}
			}
			w.reads("partner:new", 9, true, upTo(800_001, 400)...)
			return w
		},
		"members": func() *world {
			w := newWorld(80)
			w.members(18)
			w.memberThief(start+15*day, 300, search, func(i int) int { return home(i * 7 % 1200) })
			return w
		},
		"the order of numbers": traversed,
		"no reason": func() *world {
			w := newWorld(50)
			w.desk(10, 5, 60, true)
			for i := range 40 { // and more boldly in the end
				r := get(start+8*day+10*hour+int64(i)*5*minute, 200_000+i, true)
				r.Route, r.Principal, r.Credential, r.Key, r.Client, r.IP = "GET /desk/customers/{id}", "staff:1", "desk1-8", "staff", "desk", ip(5)
				w.attack(r)
			}
			return w
		},
	} {
		w := log()
		rs := w.sorted()
		_, fs := run(detect.Config{}, rs)
		want := keysOf(fs)
		if len(want) == 0 {
			t.Errorf("%s: nothing is found: the test shows nothing", name)
		}
		bad := slices.IndexFunc(rs, func(r whosaw.Record) bool { return w.bad[r.Position] })
		first := slices.IndexFunc(rs, func(r whosaw.Record) bool { return r.Type == whosaw.TypeAccess })
		for clock, at := range clocks {
			for _, c := range []struct {
				place   string
				i, like int
			}{{"of theirs at first", first, first}, {"of theirs midway", (first + bad) / 2, first}, {"of the thief's just before it", bad, bad + 1}} {
				if clock == "three weeks ahead" && c.i == first {
					continue // as far as anybody can tell the log has a hole
				}
				r := rs[c.like]
				r.Time = at
				log := slices.Insert(slices.Clone(rs), c.i, r)
				_, fs := run(detect.Config{}, log)
				seenByRight(t, name+", with one "+c.place+" from "+clock, log, c.i, fs)
				if got := keysOf(fs); !slices.Equal(got, want) {
					t.Errorf("%s, with one %s from %s:\n got %q\nwant %q", name, c.place, clock, got, want)
				}
			}
		}
	}
}

// wrongClocks gives the log with some more records, at places by chance, whose clocks are wrong.
func wrongClocks(rng *rand.Rand, log []whosaw.Record) []whosaw.Record {
	for range 6 {
		at := 1 + rng.IntN(len(log)-1)
		r := log[at]
		if r.Type > whosaw.TypeVerdict {
			continue
		}
		r.Time, r.Position = start+[]int64{74 * 365 * day, 400 * day, 20*day + 7*hour, -20_000 * day}[rng.IntN(4)], 1<<40+int64(at)
		log = slices.Insert(log, at, r)
	}
	return log
}

// TestSeenOfWrongClock: a finding keeps the time that its record claims, and is seen now by the clock of the others; so is what is found after it. A hole in
// the log is none.
func TestSeenOfWrongClock(t *testing.T) {
	far := start + 74*365*day
	opens := func(at int64, c int) whosaw.Record {
		r := get(at, c, true)
		r.IP, r.Agent, r.Key, r.Principal = ip(c<<12), fmt.Sprintf("tool%d/1.0", c), fmt.Sprint("key", c), ""
		return r
	}
	now := start + 500*minute
	for name, c := range map[string]struct {
		more []whosaw.Record // behind the others, the last of which is of now
		seen []int64
	}{
		"right":          {[]whosaw.Record{opens(now+minute, 100_000)}, []int64{now + minute}},
		"of 2099":        {[]whosaw.Record{opens(far, 100_000), opens(now+minute, 100_001)}, []int64{now, now + minute}},
		"20 days ahead":  {[]whosaw.Record{opens(now+20*day, 100_000), opens(now+minute, 100_001)}, []int64{now + 20*day, now + minute}},
		"late":           {[]whosaw.Record{opens(now-2*hour, 100_000)}, []int64{now}},
		"after a hole":   {[]whosaw.Record{opens(now+20*day, 100_000), opens(now+20*day+minute, 100_001)}, []int64{now + 20*day, now + 20*day + minute}},
		"behind a fact":  {[]whosaw.Record{{Type: whosaw.TypeSubject, Time: now + 30*minute, Subjects: []string{"5"}}, opens(now+minute, 100_000)}, []int64{now + 30*minute}},
		"of wrong facts": {[]whosaw.Record{{Type: whosaw.TypeSubject, Time: far, Subjects: []string{"5"}}, opens(now+minute, 100_000)}, []int64{now + minute}},
	} {
		// Whoever tells of customers may have a wrong clock too, before anybody else speaks.
		log := []whosaw.Record{canaryRecord(100_000), canaryRecord(100_001), {Type: whosaw.TypeSubject, Time: far, Subjects: []string{"6"}}}
		for i := range 501 {
			log = append(log, visit(start+int64(i)*minute, 1+i))
		}
		log = append(log, c.more...)
		_, fs := run(detect.Config{}, log)
		fs = by(fs, "canary")
		var seen []int64
		for _, f := range fs {
			seen = append(seen, int64(f.Seen))
			if f.Time != whosaw.Time(log[f.at].Time) {
				t.Errorf("%s: the finding's time is %d, not what the record claims", name, f.Time)
			}
		}
		if !slices.Equal(seen, c.seen) {
			t.Errorf("%s: seen at %d, want %d", name, seen, c.seen)
		}
	}
}
