package detect_test

import (
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// baselines gives a detector's.
func baselines(e *detect.Engine, detector string) (out []detect.Baseline) {
	for _, b := range e.Baselines() {
		if b.Detector == detector {
			out = append(out, b)
		}
	}
	return out
}

// A cold start says what it cannot judge and what it waits for; what was learnt says on how many units it stands, and what froze it.
func TestBaselines(t *testing.T) {
	w := newWorld(50)
	w.shop(3, 1000, 50_000, false)
	w.desk(12, 6, 60, true)
	rs := w.sorted()
	cold, _ := run(detect.Config{}, rs[:5])
	if b := baselines(cold, "nonexistent"); len(b) != 1 || b[0].P0 != 0.02 || !b[0].Judged || b[0].Known != 0 || b[0].Needed != 20 || !strings.Contains(b[0].Says, "until 20 networks") {
		t.Errorf("cold nonexistent %+v", b)
	}
	if b := baselines(cold, "unissued"); len(b) == 0 || b[0].Judged || !strings.Contains(b[0].Says, "no issuance was met") {
		t.Errorf("cold unissued %+v", b)
	}
	if b := baselines(cold, "spreader"); len(b) != 1 || b[0].Judged || !strings.Contains(b[0].Says, "7 days") {
		t.Errorf("cold spreader %+v", b)
	}
	e, fs := run(detect.Config{}, rs)
	fs = by(fs, "unexplained")
	if len(fs) == 0 {
		t.Fatal("no finding: the test shows too little")
	}
	found := false
	for _, b := range baselines(e, "unexplained") {
		if b.Route != "GET /desk/customers/{id}" {
			continue
		}
		found = true
		if b.Class != "staff" || !b.Judged || b.Known < b.Needed || b.P0 < b.Floor || b.P0 > b.Ceiling || b.Since < whosaw.Time(start) || b.Untaught == 0 || b.FrozenBy != fs[len(fs)-1].ID {
			t.Errorf("%+v", b)
		}
	}
	if !found {
		t.Error("the desk has no baseline")
	}
	last := ""
	for _, b := range e.Baselines() {
		if b.Says == "" || b.Detector == "" {
			t.Errorf("%+v says nothing", b)
		}
		last = b.Detector
	}
	if last == "" {
		t.Error("no baseline")
	}
}

// A declared change freezes; a route above the ceiling says so.
func TestBaselineFrozen(t *testing.T) {
	w := newWorld(3)
	w.add(whosaw.Record{Type: whosaw.TypeChange, Time: start, Ref: &whosaw.Reference{Kind: "campaign", From: start, Until: start + day}})
	for i := range 2000 {
		r := get(start+int64(i)*minute, 1+i, i%3 != 0)
		r.IP = ip(i % 40 << 8)
		w.add(r)
	}
	e, _ := run(detect.Config{}, w.sorted())
	b := baselines(e, "nonexistent")
	if len(b) != 1 || b[0].Untaught < 1000 || b[0].Judged && b[0].FrozenBy == "" {
		t.Errorf("%+v", b)
	}
	w = newWorld(3)
	for i := range 2000 {
		r := get(start+int64(i)*minute, 1+w.rng.IntN(1_000_000), i%3 != 0)
		r.IP = ip(i % 40 << 8)
		w.add(r)
	}
	e, _ = run(detect.Config{}, w.sorted())
	b = baselines(e, "nonexistent")
	if len(b) != 1 || b[0].Judged || !strings.Contains(b[0].Says, "above the ceiling") || b[0].NotJudged == 0 || b[0].Untaught != 0 {
		t.Errorf("%+v", b)
	}
}
