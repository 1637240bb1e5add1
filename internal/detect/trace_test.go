package detect_test

import (
	"math"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// TestTrace holds the trace against the engine's own account: every access is told of, the answers add up to the trials,
// the highest statistic is the same, and asking changes no finding.
func TestTrace(t *testing.T) {
	forged := newWorld(4)
	forged.shop(3, 3000, 50_000, true)
	forged.theft(start+2*day, 1, 800, 16, second)
	unknown := newWorld(1)
	unknown.shop(2, 1000, 50_000, false)
	unknown.add(canaryRecord(40))
	unknown.theft(start+day, 1, 300, 1, second)
	for name, w := range map[string]*world{"feed": forged, "no feed": unknown} {
		rs := w.sorted()
		_, want := run(detect.Config{}, rs)
		e := detect.New(detect.Config{}, nil)
		told := map[uint64]int{}
		highest := map[string]float64{}
		var answers int64
		e.Trace(func(touch detect.Touch) {
			told[touch.Seq]++
			answers += touch.Answers
			if (touch.Height > 0) != (touch.Detector != "") {
				t.Fatalf("%s: height %v by detector %q", name, touch.Height, touch.Detector)
			}
			highest[touch.Detector] = max(highest[touch.Detector], touch.Height)
		})
		var got []raised
		for i := range rs {
			r := rs[i]
			for _, f := range e.Observe(uint64(i+1), &r) {
				got = append(got, raised{f, i})
			}
			n := told[uint64(i+1)]
			if rs[i].Type == whosaw.TypeAccess != (n > 0) {
				t.Fatalf("%s: record %d of type %s was told of %d times", name, i, rs[i].Type, n)
			}
		}
		if d := gocmp.Diff(want, got, gocmp.AllowUnexported(raised{})); d != "" {
			t.Errorf("%s: the trace changed the findings:\n%s", name, d)
		}
		twice := 0
		for _, n := range told {
			if n > 2 {
				t.Errorf("%s: an access was told of %d times", name, n)
			}
			if n == 2 {
				twice++
			}
		}
		var trials int64
		top, topBy := 0.0, ""
		for _, s := range e.Status() {
			trials += s.Trials
			if h := s.Highest / s.Threshold; h > top {
				top, topBy = h, s.Detector
			}
		}
		if answers != trials {
			t.Errorf("%s: %d answers told of, %d trials", name, answers, trials)
		}
		if len(want) == 0 {
			t.Errorf("%s: no finding: the test shows too little", name)
		}
		if math.Abs(highest[topBy]-top) > 1e-9 {
			t.Errorf("%s: highest %v by %s told of, the engine says %v", name, highest[topBy], topBy, top)
		}
		if name == "feed" && twice == 0 {
			t.Errorf("%s: nothing waited for its issuance", name)
		}
	}
}
