package detect_test

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// explained replays a log and asks about the access of one sequence.
func explained(t *testing.T, cfg detect.Config, rs []whosaw.Record, seq uint64) (*detect.Explanation, []raised) {
	t.Helper()
	e := detect.New(cfg, nil)
	e.Explain(seq)
	var fs []raised
	for i := range rs {
		r := rs[i]
		for _, f := range e.Observe(uint64(i+1), &r) {
			fs = append(fs, raised{f, i})
		}
	}
	x, whole := e.Explanation()
	if x == nil || !whole {
		t.Fatalf("sequence %d: explanation %+v, whole %t", seq, x, whole)
	}
	return x, fs
}

func answering(x *detect.Explanation, pass int, detector string) detect.Answering {
	for _, a := range x.Passes[pass].Detectors {
		if a.Detector == detector {
			return a
		}
	}
	return detect.Answering{}
}

// What is told of each access adds up to the findings: the one that raised it stands above h there, those before it rise to that,
// those after it are covered; and asking changes no finding.
func TestExplainAddsUp(t *testing.T) {
	w := newWorld(1)
	w.shop(2, 300, 20_000, false)
	w.theft(start+day, 1, 120, 1, second)
	rs := w.sorted()
	_, want := run(detect.Config{}, rs)
	of := by(want, "nonexistent")
	if len(of) == 0 {
		t.Fatal("no finding: the test shows nothing")
	}
	first := of[0]
	x, got := explained(t, detect.Config{}, rs, uint64(first.at+1))
	if d := gocmp.Diff(want, got, gocmp.AllowUnexported(raised{})); d != "" {
		t.Fatalf("asking changed the findings:\n%s", d)
	}
	a := answering(x, 0, "nonexistent")
	crossed := false
	for _, u := range a.Units {
		for _, m := range u.Tests {
			crossed = crossed || m.After >= u.H && m.Before < u.H
		}
	}
	if a.State != detect.StateAsked || !crossed || len(a.Raised) != 1 || a.Raised[0] != first.ID || x.Issued || x.ExplainedBy != "" {
		t.Errorf("the raising access: %+v", a)
	}
	covered := 0
	for i := first.at + 1; i < len(rs) && covered < 3; i++ {
		if !w.bad[rs[i].Position] {
			continue
		}
		x, _ := explained(t, detect.Config{}, rs, uint64(i+1))
		if a := answering(x, 0, "nonexistent"); a.State != detect.StateCovered || a.Covered != first.ID || len(a.Units) != 0 {
			t.Errorf("record %d is covered: %+v", i+1, a)
		}
		covered++
	}
	if covered == 0 {
		t.Error("no access is covered: the test shows too little")
	}
}

// An access that waits for its issuance is told of twice, and then says what it did.
func TestExplainWaits(t *testing.T) {
	w := newWorld(4)
	w.shop(3, 1000, 50_000, true)
	w.theft(start+2*day, 1, 200, 16, second)
	rs := w.sorted()
	twice := false
	for i := range rs {
		if !w.bad[rs[i].Position] {
			continue
		}
		x, _ := explained(t, detect.Config{}, rs, uint64(i+1))
		if a := answering(x, 0, "unissued"); a.State != detect.StateWaits {
			t.Fatalf("record %d: %+v", i+1, a)
		}
		if len(x.Passes) == 2 {
			a := answering(x, 1, "unissued")
			if a.State != detect.StateAsked || len(a.Units) == 0 || a.Units[0].Answer != "hit" || a.Units[0].P0 < 1e-3 {
				t.Errorf("record %d: %+v", i+1, a)
			}
			twice = true
		}
		break
	}
	if !twice {
		t.Error("the first forged access was not looked at twice")
	}
	// An honest one, issued.
	for i := range rs {
		if rs[i].Type == whosaw.TypeAccess && rs[i].Credential != "" && !w.bad[rs[i].Position] && i > len(rs)/2 {
			x, _ := explained(t, detect.Config{}, rs, uint64(i+1))
			if !x.Issued || x.ExplainedBy != "own session" {
				t.Errorf("record %d: %+v", i+1, x)
			}
			break
		}
	}
	var told []uint64
	e := detect.New(detect.Config{}, nil)
	e.WatchRaised(func(_ string, access uint64) { told = append(told, access) })
	n := 0
	for i := range rs {
		r := rs[i]
		n += len(e.Observe(uint64(i+1), &r))
	}
	if len(told) != n || n == 0 {
		t.Fatalf("%d findings, %d told of", n, len(told))
	}
	for _, seq := range told {
		if rs[seq-1].Type != whosaw.TypeAccess {
			t.Errorf("record %d raised a finding", seq)
		}
	}
}

// Why a customer was no trial of a unit is said exactly.
func TestExplainNoTrial(t *testing.T) {
	w := newWorld(1)
	at := func(i int64, subject int, found bool) {
		r := get(start+i*minute, subject, found)
		r.IP = ip(7)
		w.add(r)
	}
	at(0, 100, true)
	at(1, 100, true) // again
	at(2, 104, true) // one neighbour, below
	at(3, 102, true) // between two
	at(4, 900, true) // alone
	w.add(whosaw.Record{Type: whosaw.TypeSubject, Time: start + 4*minute, Subjects: []string{"5000"}, Ref: &whosaw.Reference{State: "withdrawn"}})
	at(5, 5000, false)
	rs := w.sorted()
	for seq, want := range map[uint64]map[string]string{
		2: {"nonexistent": "this unit met the customer today", "traversal": "this unit met the customer today"},
		4: {"traversal": "it has neighbours on both sides among the numbers met today"},
		6: {"traversal": "it has no neighbour among the numbers met today"},
		7: {"nonexistent": "a subject record says that the customer existed"},
	} {
		x, _ := explained(t, detect.Config{}, rs, seq)
		for detector, why := range want {
			a := answering(x, 0, detector)
			if len(a.Units) == 0 || a.Units[0].Answer != "no_trial" || a.Units[0].Why != why {
				t.Errorf("record %d, %s: %+v, want %q", seq, detector, a.Units, why)
			}
		}
	}
	if x, _ := explained(t, detect.Config{}, rs, 3); answering(x, 0, "traversal").Units[0].Answer != "hit" {
		t.Errorf("one neighbour below: %+v", answering(x, 0, "traversal"))
	}
}
