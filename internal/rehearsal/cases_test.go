package rehearsal_test

import (
	"slices"
	"testing"

	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/rehearsal"
	"github.com/whosaw/whosaw/internal/rules"
)

// TestShippedRules runs the cases of every rule that comes with whosaw. A detector without a rule file, or a rule
// without cases of both kinds, is no detector: this is where a new one is told so.
func TestShippedRules(t *testing.T) {
	set := rules.Shipped()
	var list []*rules.Rule
	for _, d := range detect.Detectors() {
		r := set.Of(d)
		if r == nil {
			t.Errorf("detector %s has no rule: write internal/rules/%s.yaml, as docs/formats/rules.md says", d, d)
			continue
		}
		list = append(list, r)
	}
	for i := range set.Rules {
		if !slices.Contains(detect.Detectors(), set.Rules[i].Detector) {
			t.Errorf("%s: no detector of that name", set.Rules[i].File)
		}
	}
	results := rehearsal.Test(detect.Config{}, list)
	fires := map[string][2]int{}
	for i := range results {
		r := &results[i]
		if !r.OK {
			t.Errorf("%s:%d: case %q should fire: %v, and did: %s", r.File, r.Line, r.Case, r.Expected, r.Says())
		}
		if len(r.Others) > 0 {
			t.Logf("%s:%d: case %q: also found by %v", r.File, r.Line, r.Case, r.Others)
		}
		n := fires[r.Detector]
		if r.Expected {
			n[0]++
		} else {
			n[1]++
		}
		fires[r.Detector] = n
	}
	for _, d := range detect.Detectors() {
		if n := fires[d]; n[0] == 0 || n[1] == 0 {
			t.Errorf("%s: %d cases fire and %d do not", d, n[0], n[1])
		}
	}
	if rehearsal.Passed(results) == t.Failed() {
		t.Errorf("Passed says %v", rehearsal.Passed(results))
	}
}
