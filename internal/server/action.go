package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/rules"
)

// WithActions gives the guard's configuration with what rules say is done with what their findings accuse, each as an entry of guard.findings: such
// decisions expire, can be undone, end with a verdict, and only tell of themselves in shadow mode, as all others. An entry of the file's own for the
// detector holds instead. A rule that no door can carry out is refused, with all that are.
func WithActions(c guard.Config, set *rules.Set) (guard.Config, error) {
	if set == nil {
		set = rules.Shipped()
	}
	var errs []error
	for i := range set.Rules {
		r := &set.Rules[i]
		if r.Off != "" || r.Action == rules.Alarm || slices.ContainsFunc(c.Findings, func(f guard.FindingConfig) bool { return f.Detector == r.Detector }) {
			continue
		}
		bad := func(text string) {
			errs = append(errs, fmt.Errorf("%s: rule %s: action: %s: %s; or write action: alarm, which tells people", r.File, r.Name, r.Action, text))
		}
		entry := guard.FindingConfig{Detector: r.Detector, For: r.For}
		if err := entry.Action.UnmarshalText([]byte(r.Action)); err != nil {
			bad(err.Error())
			continue
		}
		if c.Mode == guard.ModeOff || c.Mode == "" {
			bad("the guard is off, so nothing would do it: set guard.mode to shadow or enforce in whosaw.yaml, and list a door")
			continue
		}
		with := c
		with.Findings = append(slices.Clone(c.Findings), entry)
		key := fmt.Sprintf("findings[%d]", len(c.Findings))
		for _, f := range with.Check() {
			if strings.HasPrefix(f.Key, key) {
				bad(f.Says)
				with = c
			}
		}
		c = with
	}
	return c, errors.Join(errs...)
}
