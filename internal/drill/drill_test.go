package drill_test

import (
	"math"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/drill"
	"github.com/whosaw/whosaw/internal/sim"
)

// TestCase runs the case at 1 : 1000 (33,674 customers) and holds every figure against a count over lines and labels.
func TestCase(t *testing.T) {
	cfg := drill.Config{Scenario: "stolen-key", Seed: 6, Customers: 33_674, Days: 2}
	if raceOn || testing.Short() {
		cfg.Customers = 1000
	}
	o, err := drill.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	newBrute(t, cfg).check(t, o)
	a := o.Attackers[0]
	if !a.All.Noticed || a.All.Lost > 20 || a.All.Missed > 0 {
		t.Errorf("the case: %+v", a.All)
	}
	if got := drill.Untouched([]*drill.Outcome{o}); len(got) > 0 {
		t.Errorf("no test looked at %v", got)
	}
}

// TestScenarios holds every scenario's figures, in a small shop, against a count.
func TestScenarios(t *testing.T) {
	for _, s := range sim.Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			cfg := drill.Config{Scenario: s.Name, Seed: 3, Customers: 300, Days: 5}
			if raceOn {
				cfg.Customers, cfg.Days = 60, 3
			}
			o, err := drill.Run(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			newBrute(t, cfg).check(t, o)
			checkNulls(t, drill.Summarize(cfg, []*drill.Outcome{o}))
			// In the smallest shop an insider may find nobody to look at.
			if n := len(o.Attackers); s.Name == "honest" && n > 0 || s.Name != "honest" && n == 0 && !raceOn {
				t.Errorf("%d attackers", len(o.Attackers))
			}
		})
	}
}

// TestBehindADoor: a list is shown before a record says so, and is lost; a door that holds the answer which exceeds a budget lets nothing of it pass.
func TestBehindADoor(t *testing.T) {
	cfg := drill.Config{Scenario: "bulk-job", Seed: 3, Customers: 1000, Days: 5}
	if raceOn {
		cfg.Customers = 300
	}
	lost := map[bool]int64{}
	for _, capped := range []bool{false, true} {
		if cfg.Detect.Budgets = nil; capped {
			cfg.Detect.Budgets = drill.Budgets()
		}
		o, err := drill.Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if o.Alarms() > 0 {
			t.Errorf("with budgets %t: %d false alarms", capped, o.Alarms())
		}
		a := &o.Attackers[0]
		lost[capped] = a.Door
		if !capped && a.Door != a.All.Lost {
			t.Errorf("without a budget a door lets %d pass, and %d are lost", a.Door, a.All.Lost)
		}
		if capped && (a.Door > 100 || a.Door >= a.All.Lost) {
			t.Errorf("with a budget of a hundred a door lets %d pass of %d", a.Door, a.All.Lost)
		}
		if s := drill.Summarize(cfg, []*drill.Outcome{o}); s.Attackers[0].Door.Worst != a.Door {
			t.Errorf("summed up it is %+v, want %d", s.Attackers[0].Door, a.Door)
		}
	}
	if lost[false] <= lost[true] {
		t.Errorf("lost without %d, with %d: the test shows nothing", lost[false], lost[true])
	}
}

// TestUpperLimit holds the limit against the table in Garwood (1936), one-sided 95 %.
func TestUpperLimit(t *testing.T) {
	for n, want := range map[int64]float64{0: 3, 1: 4.744, 2: 6.296, 3: 7.754, 5: 10.513, 10: 16.962, 30: 40.691, 1000: 1053.6} {
		if got := drill.UpperLimit(n); math.Abs(got-want) > 0.001*math.Max(1, want/10) {
			t.Errorf("limit for %d: %v, want %v", n, got, want)
		}
	}
}

func i64(n int64) *int64 { return &n }

// TestSummary: never is worse than any number, and a median of an even number is the worse of the two in the middle.
func TestSummary(t *testing.T) {
	run := func(seed uint64, lost *int64) *drill.Outcome {
		s := drill.Score{Detector: "unissued", Lost: 900}
		if lost != nil {
			s.Noticed, s.Lost, s.Later, s.After, s.First, s.Findings, s.Missed = true, *lost, *lost-1, i64(*lost*10), "unissued", 1, *lost+1
		}
		all := s
		all.Detector = ""
		return &drill.Outcome{
			Seed: seed, Accesses: 1000, Honest: 990, Attackers: []drill.Attacker{{Name: "a", Accesses: 10, Customers: 900, Scores: []drill.Score{s}, All: all}},
			Findings: []drill.Found{
				{Finding: whosaw.Finding{Filter: whosaw.Filter{{}}}, Attacker: "a"}, {Finding: whosaw.Finding{Filter: whosaw.Filter{{}}}},
				{Finding: whosaw.Finding{Detector: "key_policy"}}, // accuses no access, so it is no false alarm
			},
			Levels: []drill.Level{{Detector: "unissued", Trials: 100, Tests: 12, Highest: float64(seed) / 10, Reached: [4]int64{2, 1}}},
			Events: []drill.Event{{Name: "nat", Accesses: 5, Answers: int64(seed - 6), Highest: float64(seed) / 100, Detector: "unissued"}, {Name: "idle", Accesses: 1}},
		}
	}
	s := drill.Summarize(drill.Config{Scenario: "x"}, []*drill.Outcome{run(6, i64(4)), run(7, nil), run(8, i64(2))})
	row := s.Attackers[0].Rows[0]
	if row.Noticed != 2 || row.Of != 3 || *row.LostMedian != 4 || row.LostWorst != nil || *row.LaterMedian != 3 || row.LaterWorst != nil || *row.AfterMedian != 40 || row.AfterWorst != nil ||
		row.Missed != (drill.Spread{Median: 5, Worst: 5}) {
		t.Errorf("row %+v", row)
	}
	if all := s.Attackers[0].All; all.First["unissued"] != 2 || *all.LostMedian != 4 {
		t.Errorf("over all %+v", all)
	}
	if h := s.Honest; h.Accesses != 2970 || h.Alarms != 3 || math.Abs(h.PerMillion-7.754/2970*1e6) > 1 {
		t.Errorf("honest %+v", h)
	}
	if e := s.Events; len(e) != 2 || e[1].Name != "nat" || e[1].Accesses != 15 || e[1].Answers != 3 || e[1].Highest != 0.08 {
		t.Errorf("events %+v", e)
	}
	if l := s.Levels; len(l) != 1 || l[0].Trials != 300 || l[0].Highest != 0.8 || l[0].Reached != [4]int64{6, 3} || math.Abs(l[0].Bound(0)-300*12*math.Exp(-6)) > 1e-9 {
		t.Errorf("levels %+v", l)
	}
	if got := drill.Untouched(s.Runs); len(got) != 1 || got[0] != "idle" {
		t.Errorf("untouched %v", got)
	}
}
