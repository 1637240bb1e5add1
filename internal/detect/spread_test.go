package detect_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// reads is what one principal is shown, one customer an access, over the first hours of a day.
func (w *world) reads(principal string, on int64, bad bool, subjects ...int) {
	for i, s := range subjects {
		r := get(start+on*day+hour+int64(i)*10*second, s, true)
		r.Principal, r.Client, r.Key, r.IP = principal, "jobs-client", "jobs", ip(6)
		if bad {
			w.attack(r)
		} else {
			w.add(r)
		}
	}
}

func upTo(from, n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = from + 100*i
	}
	return list
}

func TestBudget(t *testing.T) {
	w := newWorld(60)
	w.add(whosaw.Record{Type: whosaw.TypeReason, Time: start, Principal: "staff:ann", Ref: &whosaw.Reference{Kind: "job", From: start, Until: start + 90*day}})
	for d := range int64(5) {
		w.reads("staff:ann", d, false, upTo(int(d)*7+1, 20)...)  // a day's budget
		w.reads("staff:ann", d, false, upTo(int(d)*7+1, 20)...)  // again: not new
		w.reads("staff:bob", d, false, upTo(int(d)*7+1, 15)...)  // another's
		w.reads("partner:x", d, false, upTo(int(d)*7+1, 200)...) // of a class without
	}
	cfg := detect.Config{Budgets: []detect.Budget{{Of: "principal:staff", Day: 20, Month: 115}}}
	if _, fs := run(cfg, w.sorted()); len(by(fs, "budget")) != 0 {
		t.Fatalf("within its budget: %v", fs)
	}
	// A reason explains, and does not widen the budget.
	w.reads("staff:ann", 6, true, upTo(3001, 30)...)
	_, fs := run(cfg, w.sorted())
	fs = by(fs, "budget")
	if len(fs) != 1 || fs[0].Unit != "principal:staff:ann" || fs[0].Statistic != 116 || fs[0].Threshold != 115 || fs[0].Subjects != 116 {
		t.Fatalf("findings %v", fs)
	}
	cfg.Budgets[0].Month = 0
	_, fs = run(cfg, w.sorted())
	w.checkMajority(t, w.sorted(), by(fs, "budget"))
	if fs = by(fs, "budget"); len(fs) != 1 || fs[0].Statistic != 21 || fs[0].Accesses != 21 {
		t.Fatalf("findings %v", fs)
	}
}

// What an actor was shown within 90 days is not new; after that it is.
func TestBudgetForgets(t *testing.T) {
	for gap, want := range map[int64]int{90: 0, 91: 1} {
		w := newWorld(61)
		w.reads("service:a", 0, false, upTo(1, 10)...)
		w.reads("service:a", gap, true, upTo(1, 10)...)
		_, fs := run(detect.Config{Budgets: []detect.Budget{{Of: "client:jobs-client", Day: 10, Month: 19}, {Of: "key:other", Day: 1}}}, w.sorted())
		if fs = by(fs, "budget"); len(fs) != 0 {
			t.Errorf("after %d days: %v", gap, fs)
		}
		w.reads("service:a", gap, true, upTo(1, 10)...)
		w.reads("service:a", gap, true, upTo(2, 1+10*(1-want))...)
		_, fs = run(detect.Config{Budgets: []detect.Budget{{Of: "client:jobs-client", Day: 10}}}, w.sorted())
		if fs = by(fs, "budget"); len(fs) != 1 || fs[0].Unit != "client:jobs-client" {
			t.Errorf("after %d days: %v", gap, fs)
		}
	}
}

// A job that reads the day's orders, four times as many after a sale, is held against its own past, without any reason on record.
func TestSpreader(t *testing.T) {
	w := newWorld(62)
	for d := range int64(25) {
		n := 90 + w.rng.IntN(30)
		if d == 12 {
			n *= 3
		}
		list := make([]int, n)
		for i := range list {
			list[i] = w.customer(1 << 20)
		}
		w.reads("service:loyalty", d, false, list...)
	}
	quiet(t, w)
	list := make([]int, 5000)
	for i := range list {
		list[i] = w.customer(1 << 20)
	}
	w.reads("service:loyalty", 26, true, list...)
	fs := caught(t, w, "spreader")
	if len(fs) != 1 || fs[0].Unit != "principal:service:loyalty" || w.lost(w.sorted(), fs[0]) > 700 {
		t.Errorf("findings %v", fs)
	}
}

// An actor that fills its cap day by day, and a little more each time, has it grow to four times what it was, not to a thousand times.
func TestSpreaderGrowsSlowly(t *testing.T) {
	w := newWorld(67)
	var list [][]int
	next := 1
	show := func(d int64, n int, bad bool) {
		w.reads("service:loyalty", d, bad, upTo(next, n)...)
		next++
		if next%100 == 0 {
			next += 1 << 20
		}
		list = append(list, []int{int(d), n})
	}
	for d := range int64(45) {
		show(d, 60+w.rng.IntN(20), false)
	}
	n, threshold := 75.0, 0.0
	for d := int64(45); d < 75 && threshold == 0; d++ {
		show(d, int(n), true)
		n *= 1.35 // below twice the second busiest
		_, fs := run(detect.Config{}, w.sorted())
		if fs = by(fs, "spreader"); len(fs) > 0 {
			threshold = fs[0].Threshold
		}
	}
	if last := list[len(list)-1]; threshold == 0 || threshold > 4*4*80 || last[1] > 2*4*4*80 {
		t.Fatalf("found on day %d at a cap of %v, when it was shown %d", last[0], threshold, last[1])
	}
	whole, _ := run(detect.Config{}, w.sorted())
	met := detect.Met{}
	met.Look(whole)
	again := detect.New(detect.Config{}, nil)
	if err := detect.LoadState(again, detect.SaveState(t, whole)); err != nil {
		t.Fatal(err)
	}
	if d := detect.DiffStates(whole, again); d != "" || !met["spread.caps"] || !met["spread.capped"] {
		t.Errorf("caps held %t, their day %t (-before +after):\n%s", met["spread.caps"], met["spread.capped"], d)
	}
	// Which is what one that grows honestly, by a third in a month, does not come to.
	w = newWorld(68)
	next, list = 1, nil
	grown := 60.0
	for d := range int64(140) {
		show(d, int(grown)+w.rng.IntN(10), false)
		grown *= 1.01
	}
	quiet(t, w)
}

// Where most of what an actor opens is nothing new, only what is new is accused.
func TestSpreaderNarrow(t *testing.T) {
	w := newWorld(63)
	for d := range int64(12) {
		w.reads("service:poll", d, false, upTo(1, 400)...)
		if d == 11 {
			w.reads("service:poll", d, true, upTo(2, 390)...)
		}
	}
	fs := by(caught(t, w, "spreader"), "spreader")
	if len(fs) != 1 || fs[0].Filter[0].From == 0 {
		t.Fatalf("findings %v", fs)
	}
}

func TestSpreaderPairsFull(t *testing.T) {
	w := newWorld(64)
	for d := range int64(20) {
		w.reads("service:a", d, false, upTo(int(d)+1, 60+900*int(d/19))...)
	}
	e, fs := run(detect.Config{MaxPairs: 500}, w.sorted())
	if len(by(fs, "spreader")) != 0 {
		t.Errorf("it judged what it could not remember: %v", fs)
	}
	if l := e.Load(); l.Pairs > 500 {
		t.Errorf("load %+v", l)
	}
	i := slices.IndexFunc(e.Status(), func(s detect.Status) bool { return s.Detector == "spreader" })
	if s := e.Status()[i]; len(s.NotJudged) == 0 {
		t.Errorf("status %+v", s)
	}
}

// No week of its own, late days, a wrong clock: none makes an alarm.
func TestHonestSpread(t *testing.T) {
	w := newWorld(65)
	for p := range 40 {
		for d := range int64(6) {
			list := make([]int, 30*int(d*d+1))
			for i := range list {
				list[i] = w.customer(1 << 22)
			}
			w.reads(fmt.Sprint("partner:", p), d+int64(p)%9, false, list...)
		}
	}
	wrong := get(start+200*day, 5, true)
	wrong.Principal, wrong.Key, wrong.Position = "partner:3", "partners", int64(len(w.records))
	w.records = slices.Insert(w.records, len(w.records)/2, wrong)
	_, fs := runArrival(w)
	for _, f := range fs {
		if f.Unit != "client:jobs-client" && f.Unit != "key:jobs" {
			t.Errorf("finding %v", f)
		}
	}
}

func TestBudgetCheck(t *testing.T) {
	for _, b := range []detect.Budget{{}, {Of: "staff", Day: 1}, {Of: "principal:staff:kim", Day: 1}, {Of: "key:a"}, {Of: "key:a", Day: -1}, {Of: "key:a", Day: 5, Month: 4}} {
		if b.Check() == nil {
			t.Errorf("%+v passes", b)
		}
	}
	for _, b := range []detect.Budget{{Of: "principal:staff", Day: 1}, {Of: "client:a:b", Month: 1}} {
		if err := b.Check(); err != nil {
			t.Errorf("%+v: %v", b, err)
		}
	}
}

// A newcomer is held against its peers: their busiest days, and their first, on which everybody was new to them.
func TestSpreaderPeers(t *testing.T) {
	peers := func(w *world, of, days int) {
		for p := range of {
			for d := range int64(days) {
				list := make([]int, 20+w.rng.IntN(60))
				for i := range list {
					list[i] = w.customer(1 << 20)
				}
				w.reads(fmt.Sprint("partner:", p), d, false, list...)
			}
		}
	}
	for _, c := range []struct {
		of, reads int
		news      bool
	}{{8, 2000, true}, {8, 150, false}, {3, 2000, false}} {
		w := newWorld(66)
		peers(w, c.of, 12)
		list := make([]int, c.reads)
		for i := range list {
			list[i] = w.customer(1 << 20)
		}
		for i := range list {
			r := get(start+12*day+hour+int64(i)*10*second, list[i], true)
			r.Principal, r.Client, r.Key, r.IP = "partner:new", "new", "new", ip(99)
			w.attack(r)
		}
		_, fs := run(detect.Config{}, w.sorted())
		fs = slices.DeleteFunc(by(fs, "spreader"), func(f raised) bool { return f.Unit != "principal:partner:new" })
		if (len(fs) > 0) != c.news {
			t.Errorf("%+v: %v", c, fs)
		}
		for _, f := range fs {
			if lost := w.lost(w.sorted(), f); lost > 400 || !strings.Contains(f.Says, "others of its kind") {
				t.Errorf("after %d: %v", lost, f)
			}
		}
	}
}
