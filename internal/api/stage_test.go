package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/regime"
)

// TestStages: when a clock is told of, and what is said at each of these moments and just before it.
func TestStages(t *testing.T) {
	since := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	after := func(d time.Duration) time.Time { return since.Add(d) }
	for name, c := range map[string]struct {
		due  time.Duration // 0: the law gives no number
		want []api.Stage
	}{
		"72 hours": {72 * time.Hour, []api.Stage{{"start", since}, {"half", after(36 * time.Hour)}, {"two_hours", after(70 * time.Hour)}, {"expiry", after(72*time.Hour + 1)}}},
		"3 hours":  {3 * time.Hour, []api.Stage{{"start", since}, {"two_hours", after(time.Hour)}, {"expiry", after(3*time.Hour + 1)}}},
		"1 hour":   {time.Hour, []api.Stage{{"start", since}, {"two_hours", since}, {"expiry", after(time.Hour + 1)}}},
		"no delay": {0, []api.Stage{{"start", since}}},
	} {
		clock := regime.Clock{Law: "law", Duty: "authority", Whom: "the authority", State: regime.Running, Since: since, Words: "without delay"}
		if c.due > 0 {
			clock.Due = after(c.due)
		}
		got := api.Stages(&clock)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		says := map[string]string{"start": "A clock runs", "half": "Half of the time is over", "two_hours": "Less than two hours left", "expiry": "OVERDUE since"}
		for i, s := range got {
			if i+1 < len(got) && got[i+1].At.Equal(s.At) {
				continue // the next one takes its place
			}
			if s.Name == "expiry" {
				clock.State = regime.Overdue
			}
			if line := api.Telling(&clock, s.At); !strings.HasPrefix(line, says[s.Name]) || !strings.Contains(line, "law/authority") {
				t.Errorf("%s at %s: %q", name, s.Name, line)
			}
			if line := api.Telling(&clock, s.At.Add(-1)); i > 0 && strings.HasPrefix(line, says[s.Name]) {
				t.Errorf("%s before %s: %q", name, s.Name, line)
			}
		}
		clock.State = regime.Met
		if line := api.Telling(&clock, after(100*time.Hour)); line != "" {
			t.Errorf("%s, and done: %q", name, line)
		}
	}
}
