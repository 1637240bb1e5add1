package rehearsal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/drill"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/rehearsal"
	"github.com/whosaw/whosaw/internal/rules"
	"github.com/whosaw/whosaw/internal/scope"
	"github.com/whosaw/whosaw/internal/sim"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shop puts a simulated shop into a ledger, in the order of arrival, and gives its truth.jsonl.
func shop(t *testing.T, cfg sim.Config) (*pipeline.Case, []byte) {
	t.Helper()
	c, err := pipeline.Open(t.Context(), pipeline.Config{TempDir: t.TempDir(), Catalog: catalog.Rules()})
	check(t, err)
	t.Cleanup(func() { check(t, c.Close()) })
	var truth bytes.Buffer
	var d whosaw.Decoder
	var batch []whosaw.Record
	feed := c.Feed(t.Context())
	cfg.Observe = func(line []byte, l sim.Label) error {
		var r whosaw.Record
		if err := d.Decode(line, cfg.Start+1000*24*3_600_000, &r); err != nil {
			return err
		}
		r.Source, r.Position = "sim", int64(len(batch))
		batch = append(batch, r.Clone())
		if l.Attack == "" || r.Type != whosaw.TypeAccess {
			return nil
		}
		return json.NewEncoder(&truth).Encode(map[string]any{"id": r.ID, "attack": l.Attack, "subjects": l.Subjects, "disclosed": l.Disclosed})
	}
	_, err = sim.Run(cfg, nil)
	check(t, err)
	_, err = feed.Close(feed.Take(batch))
	check(t, err)
	return c, truth.Bytes()
}

// replay compares over a case's ledger.
func replay(t *testing.T, c *pipeline.Case, old, now detect.Config, truth []byte) *rehearsal.Comparison {
	t.Helper()
	var known *rehearsal.Truth
	if truth != nil {
		var err error
		known, err = rehearsal.ReadTruth(bytes.NewReader(truth))
		check(t, err)
	}
	view, err := c.Ledger().View(0)
	check(t, err)
	out, err := rehearsal.Replay(t.Context(), rehearsal.Config{
		View: view, Scope: scope.New(view, catalog.Rules(), scope.Config{}), Catalog: catalog.Rules(), Old: old, New: now, Truth: known,
	})
	check(t, errors.Join(err, view.Close()))
	return out
}

// ruled lays rules over the shipped ones.
func ruled(t *testing.T, text string) detect.Config {
	t.Helper()
	const cases = "\ncases:\n  - {case: a, fires: true, records: [{subject: 7}]}\n  - {case: b, fires: false, records: [{subject: 7}]}\n"
	list, err := rules.Parse("new.yaml", []byte(strings.ReplaceAll(text, "CASES", cases)))
	check(t, err)
	set, err := rules.Shipped().With(list...)
	check(t, err)
	return detect.Config{Rules: set}
}

// TestReplayAgainstDrill: what a replay says of the rules in force is what the drill says of the same shop, which shares no code with it.
func TestReplayAgainstDrill(t *testing.T) {
	for _, scenario := range []string{"insider-agent", "stolen-key"} {
		cfg := sim.Config{Scenario: scenario, Seed: 6, Customers: 800, Days: 8, Start: sim.Example().Start}
		c, truth := shop(t, cfg)
		got := replay(t, c, detect.Config{}, detect.Config{}, truth)
		want, err := drill.Run(context.Background(), drill.Config{Scenario: scenario, Seed: 6, Customers: 800, Days: 8, Start: cfg.Start, TempDir: t.TempDir()})
		check(t, err)
		if got.Known != rehearsal.KnownTruth || got.Accesses != want.Accesses || len(got.Changed) != 0 {
			t.Errorf("%s: %d accesses known by %s, the drill has %d; changed %v", scenario, got.Accesses, got.Known, want.Accesses, got.Changed)
		}
		for _, side := range []*rehearsal.Side{&got.Old, &got.New} {
			if len(side.Findings) != len(want.Findings) || int64(side.FalseAlarms) != want.Alarms() || side.Unjudged != 0 {
				t.Errorf("%s: %d findings, %d false; the drill has %d and %d", scenario, len(side.Findings), side.FalseAlarms, len(want.Findings), want.Alarms())
			}
			for i, a := range want.Attackers {
				b := side.Attackers[i]
				if b.Name != a.Name || b.Accesses != a.Accesses || b.Customers != a.Customers || b.Noticed != a.All.Noticed || b.Lost != a.All.Lost || b.First != a.All.First {
					t.Errorf("%s: %+v, the drill says %+v", scenario, b, a.All)
				}
				if !b.Noticed {
					t.Errorf("%s was never noticed: the test shows nothing", a.Name)
				}
				if *side.HonestAccesses != a.All.Caught {
					t.Errorf("%s: %d honest accesses hit, the drill says %d", scenario, *side.HonestAccesses, a.All.Caught)
				}
			}
			for i := range want.Levels {
				l, d := &want.Levels[i], &side.Detectors[i]
				if d.Detector != l.Detector || d.Trials != l.Trials || d.Reached != l.Reached || d.Highest != l.Highest {
					t.Errorf("%s: %+v, the drill says %+v", scenario, d, l)
				}
			}
		}
	}
}

// TestReplayShowsTheDifference: a rule that is off is missed, one that is too keen hits honest actors, and both are counted.
func TestReplayShowsTheDifference(t *testing.T) {
	c, truth := shop(t, sim.Config{Scenario: "insider-agent", Seed: 6, Customers: 800, Days: 8, Start: sim.Example().Start})
	off := replay(t, c, detect.Config{}, ruled(t, "rule: unexplained\noff: a test"), truth)
	if len(off.Changed) != 1 || off.Changed[0].Says[0] != "off: a test" || len(off.Old.Findings) == 0 || len(off.New.Findings) != 0 ||
		*off.New.Lost != off.New.Attackers[0].Customers || *off.New.Lost <= *off.Old.Lost || off.Old.Findings[0].Both {
		t.Errorf("%+v", off)
	}
	keen := replay(t, c, detect.Config{}, ruled(t, "rule: refused\np0: {floor: 0.001, ceiling: 0.9}\np1: [0.01, 0.02]CASES---\nrule: nonexistent\np0: {floor: 0.0001, young: 0.0001, ceiling: 0.5}\np1: [0.001, 0.002]CASES"), truth)
	if keen.New.FalseAlarms == 0 || *keen.New.HonestActors == 0 || *keen.Old.HonestActors != 0 || len(keen.Changed) != 2 {
		t.Errorf("%d false alarms on %d honest actors; in force %d; changed %v", keen.New.FalseAlarms, *keen.New.HonestActors, *keen.Old.HonestActors, keen.Changed)
	}
}

// TestReplayWithoutTruth: nothing is known until somebody has judged; then the verdict holds for the finding and for those like it.
func TestReplayWithoutTruth(t *testing.T) {
	c, _ := shop(t, sim.Config{Scenario: "insider-agent", Seed: 6, Customers: 800, Days: 8, Start: sim.Example().Start})
	now := ruled(t, "rule: unexplained\nunits: [principal, client]\np0: {floor: 0.005}CASES")
	before := replay(t, c, detect.Config{}, now, nil)
	if before.Known != rehearsal.KnownNothing || before.Old.HonestActors != nil || before.Old.Lost != nil || before.Old.Unjudged != len(before.Old.Findings) || before.Old.Findings[0].Whose != "" {
		t.Fatalf("%+v", before.Old)
	}
	verdict := whosaw.Record{Type: whosaw.TypeVerdict, Time: int64(*before.To), Source: "operator", Position: 1, Principal: "staff:boss",
		Ref: &whosaw.Reference{Kind: "explained", Of: before.Old.Findings[0].ID, Note: "a test"}}
	_, err := c.Ledger().Append(t.Context(), []whosaw.Record{verdict})
	check(t, err)
	after := replay(t, c, detect.Config{}, now, nil)
	o, n := &after.Old.Findings[0], &after.New.Findings[0]
	if after.Known != rehearsal.KnownVerdicts || o.Whose != "explained" || o.By != "verdict" || n.Whose != "explained" || n.By != "overlap" && n.ID != o.ID {
		t.Errorf("%+v\n%+v", o, n)
	}
	if after.New.FalseAlarms == 0 || after.New.Unjudged == 0 && (after.New.HonestActors == nil || *after.New.HonestActors == 0) {
		t.Errorf("%+v", after.New)
	}
}

// TestReplayAccusesNoAccess: what a key policy finds rests on records of keys and matches no access, so no truth about accesses makes it false, and
// nobody has to have judged it for the rest to be known.
func TestReplayAccusesNoAccess(t *testing.T) {
	c, truth := shop(t, sim.Config{Scenario: "honest", Seed: 6, Customers: 100, Days: 1, Start: sim.Example().Start})
	before := replay(t, c, detect.Config{}, detect.Config{}, truth)
	_, err := c.Ledger().Append(t.Context(), []whosaw.Record{
		{Type: whosaw.TypeAct, Time: int64(*before.To), Source: "operator", Position: 1, Ref: &whosaw.Reference{Kind: detect.KeyPolicyAct, Note: `{"no_human_readers":true}`}},
		{Type: whosaw.TypeKey, Time: int64(*before.To), Source: "operator", Position: 2, Key: "backup", Ref: &whosaw.Reference{Kind: "exported", Readers: []string{"kim"}}},
	})
	check(t, err)
	for name, truth := range map[string][]byte{"by the truth": truth, "by nothing": nil} {
		got := replay(t, c, detect.Config{}, detect.Config{}, truth).New
		n := 0
		for _, f := range got.Findings {
			if f.Detector != "key_policy" {
				continue
			}
			if n++; f.Whose != "" || f.By != "" || f.Shown != 0 {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if n == 0 {
			t.Fatalf("%s: no key breaks the policy: %+v", name, got.Findings)
		}
		if got.FalseAlarms != before.New.FalseAlarms || got.Unjudged != 0 || got.HonestActors == nil {
			t.Errorf("%s: %d false alarms, %d unjudged, honest actors %v", name, got.FalseAlarms, got.Unjudged, got.HonestActors)
		}
	}
}

func TestReadTruth(t *testing.T) {
	for _, bad := range []string{"{}\n", "[]\n", `{"id":"a"}` + "\n", "x\n"} {
		if _, err := rehearsal.ReadTruth(strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	c, _ := shop(t, sim.Config{Scenario: "honest", Seed: 6, Customers: 100, Days: 1, Start: sim.Example().Start})
	view, err := c.Ledger().View(0)
	check(t, err)
	defer view.Close()
	other, err := rehearsal.ReadTruth(strings.NewReader(`{"id":"nobody-has-it","attack":"x","subjects":["1"],"disclosed":true}`))
	check(t, err)
	if _, err := rehearsal.Replay(t.Context(), rehearsal.Config{View: view, Scope: scope.New(view, nil, scope.Config{}), Truth: other}); err == nil {
		t.Error("the truth of another log is taken")
	}
}
