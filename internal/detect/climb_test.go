package detect_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
)

// TestClimb: the steps that are told of a finding add up to its statistic, and the last of them reaches the threshold.
func TestClimb(t *testing.T) {
	e := detect.New(detect.Config{}, nil)
	found := 0
	for i := range 4000 {
		r := whosaw.Record{
			Time: 1_795_000_000_000 + int64(i)*1000, Source: "a", Position: int64(i), Route: "GET /me", Status: 200, Fields: []string{"name"},
			Subjects: []string{fmt.Sprint(7_000_000 + i*13)}, Key: "backup", Credential: fmt.Sprint("c", i),
		}
		if i%2 == 0 {
			r.Status, r.Fields = 404, []string{}
		}
		for _, f := range e.Observe(uint64(i+1), &r) {
			c, ok := e.Climb(f.ID)
			if f.Threshold == 1 {
				if ok {
					t.Errorf("%s is a fact and has a climb", f.Detector)
				}
				continue
			}
			if !ok || len(c.Steps) == 0 {
				t.Fatalf("%s has no climb", f.Detector)
			}
			found++
			last := c.Steps[len(c.Steps)-1]
			if math.Abs(last.S-f.Statistic) > 1e-3 || last.S < f.Threshold {
				t.Errorf("%s climbs to %v, its statistic is %v of %v", f.Detector, last.S, f.Statistic, f.Threshold)
			}
			for i, s := range c.Steps[:len(c.Steps)-1] {
				if s.S >= f.Threshold {
					t.Errorf("%s stood at %v after step %d of %d already", f.Detector, s.S, i+1, len(c.Steps))
				}
			}
			if !last.Numbered || last.Subject < 7_000_000 {
				t.Errorf("the last customer is told as %d", last.Subject)
			}
		}
	}
	if found == 0 {
		t.Fatal("nothing was found: this test proves nothing")
	}
}
