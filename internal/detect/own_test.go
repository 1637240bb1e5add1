package detect_test

import (
	"math"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// job is a program that opens customers one by one, each with its order; on the days from drip on some more, for whom there is none.
func (w *world) job(days, daily, drip, extra int) {
	for d := range days {
		for i := range daily {
			t := start + int64(d)*day + int64(i)*day/int64(daily)
			r := get(t, w.customer(1_000_000), true)
			r.Route, r.Principal, r.Credential, r.Key, r.Client, r.IP = "GET /members/{id}", "service:points", "job", "jobs", "points", ip(8)
			if d >= drip && i%(daily/extra) == 1 {
				w.attack(r)
				continue
			}
			w.add(reasonRecord(t, r))
			w.add(r)
		}
	}
}

// A program that never lacks a reason begins to read some customers more: under one in a hundred, which is usual on routes, and far
// above what is usual for it.
func TestUnexplainedByOwnPast(t *testing.T) {
	w := newWorld(64)
	w.job(14, 900, 9, 8)
	_, fs := run(detect.Config{}, w.sorted())
	if fs = by(fs, "unexplained"); len(fs) != 1 || fs[0].Unit != "principal:service:points" || !strings.Contains(fs[0].Says, "own past") {
		t.Fatalf("findings %v", fs)
	}
	if lost := w.lost(w.sorted(), fs[0]); lost > 32 {
		t.Errorf("%d customers lost", lost)
	}
	e, fs := run(ruled(t, "rule: unexplained\nsettings: {own_p1: 0}"), w.sorted())
	if len(by(fs, "unexplained")) != 0 {
		t.Errorf("found without its own past, so this shows nothing: %v", fs)
	}
	if h := e.Status()[3]; h.Tests != 21 {
		t.Errorf("%d tests without it", h.Tests)
	}
}

// What a finding accuses does not teach the program's own rate, and neither does a day or two of lost reasons raise an alarm once such
// days are known.
func TestOwnPastLearns(t *testing.T) {
	own := func(e *detect.Engine) (b detect.Baseline) {
		for _, b = range e.Baselines() {
			if b.Unit == "principal:service:points" {
				return b
			}
		}
		t.Fatalf("no baseline of the program's own: %+v", e.Baselines())
		return b
	}
	w := newWorld(65)
	w.job(20, 2000, 10, 40)
	e, _ := run(detect.Config{}, w.sorted())
	if b := own(e); b.P0 > 0.0012 || !b.Judged {
		t.Errorf("ten days of a thief have taught it %+v", b)
	}
	w = newWorld(66)
	for d := range 20 { // some days lack a dozen of their reasons, late in the day
		extra := 1
		if d%4 == 1 {
			extra = 12
		}
		v := newWorld(uint64(1000 + d))
		v.job(1, 2000, 0, extra)
		for _, r := range v.records {
			r.Time += int64(d) * day
			if r.Ref != nil {
				reason := *r.Ref
				reason.From, reason.Until = reason.From+int64(d)*day, reason.Until+int64(d)*day
				r.Ref = &reason
			}
			w.add(r)
		}
	}
	e = quiet(t, w)
	if b := own(e); b.P0 < 0.005 || b.Judged {
		t.Errorf("days on which reasons are lost have taught it %+v", b)
	}
}

// At the honest rate itself the test by a principal's own past crosses the lower levels no more often than its bound.
func TestOwnPastFalseAlarmBound(t *testing.T) {
	w := newWorld(67)
	const daily = 4000
	w.add(whosaw.Record{Type: whosaw.TypeChange, Time: start, Ref: &whosaw.Reference{From: start + 8*day, Until: start + 1000*day}})
	for d := range 38 {
		for i := range daily {
			at := start + int64(d)*day + int64(i)*day/daily
			r := get(at, 1+i, true)
			r.Route, r.Principal = "GET /members/{id}", "service:points"
			if d < 8 && i != 0 || d >= 8 && w.rng.Float64() >= 0.005 {
				w.add(reasonRecord(at, r))
			}
			w.add(r)
		}
	}
	e, _ := run(ruled(t, "rule: unexplained\nsettings: {own_p1: 0.05, own_floor: 0.005}"), w.records)
	s := e.Status()[3]
	if s.Trials < 100_000 {
		t.Fatalf("status %+v", s)
	}
	for k, h := range detect.Levels {
		bound := float64(s.Trials) * math.Exp(-h) // of one test: those of the route have twice this rate as p0
		t.Logf("h=%v: %d crossings, bound %.0f over %d trials", h, s.Reached[k], bound, s.Trials)
		if float64(s.Reached[k]) > bound+3*math.Sqrt(bound)+3 {
			t.Errorf("h=%v: %d crossings, the bound is %.0f", h, s.Reached[k], bound)
		}
	}
	if s.Reached[0] == 0 {
		t.Error("no crossing at the lowest level: the test tests nothing")
	}
}
