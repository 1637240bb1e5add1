package rehearsal

import (
	"fmt"
	"time"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/rules"
)

// Result is what became of a rule's case.
type Result struct {
	Rule     string `json:"rule"`
	Detector string `json:"detector"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Case     string `json:"case"`
	Expected bool   `json:"expected"` // that it fires
	Fired    bool   `json:"fired"`
	OK       bool   `json:"ok"`
	// At is the record that raised the first finding of the rule, from 1 on, and After how long that is after the case's beginning;
	// where it did not fire, the record at which its test stood highest.
	At      uint64   `json:"record"`
	Records int      `json:"records"`
	After   int64    `json:"after_ms"`
	Unit    string   `json:"unit,omitempty"`
	Height  float64  `json:"height"` // the highest S/h that the rule's tests reached; 1 and more is a finding's
	H       float64  `json:"h"`      // of the rule; 1 for facts
	Others  []string `json:"others"` // detectors that found something in it too
	Error   string   `json:"error,omitempty"`
}

// Test runs the cases of rules through an engine that goes by all the rules of a configuration, cfg.Rules among them.
func Test(cfg detect.Config, list []*rules.Rule) []Result {
	out := []Result{}
	for _, r := range list {
		if r.Off != "" {
			continue
		}
		for i := range r.Cases {
			out = append(out, try(cfg, r, &r.Cases[i]))
		}
	}
	return out
}

// Passed reports whether every case did what it says.
func Passed(results []Result) bool {
	for i := range results {
		if !results[i].OK {
			return false
		}
	}
	return true
}

// try runs one case.
func try(cfg detect.Config, r *rules.Rule, c *rules.Case) Result {
	out := Result{Rule: r.Name, Detector: r.Detector, File: r.File, Line: c.Line, Case: c.Name, Expected: c.Fires, H: 1, Others: []string{}}
	records, err := c.Records()
	var cat *catalog.Catalog
	if err == nil && c.Catalog != nil {
		cat, err = catalog.Parse(fmt.Sprintf("the catalog of case %q", c.Name), c.Catalog)
	}
	cfg.Budgets = c.Budgets
	if err != nil {
		out.Error = err.Error()
		return out
	}
	out.Records = len(records)
	engine := detect.New(cfg, cat)
	highest := map[string]float64{}
	var top uint64
	engine.Trace(func(t detect.Touch) {
		if t.Detector == r.Detector && t.Height > highest[r.Detector] {
			top = t.Seq
		}
		highest[t.Detector] = max(highest[t.Detector], t.Height)
	})
	others := map[string]bool{}
	for i := range records {
		for _, f := range engine.Observe(uint64(i+1), &records[i]) {
			switch {
			case f.Detector != r.Detector:
				if !others[f.Detector] {
					others[f.Detector] = true
					out.Others = append(out.Others, f.Detector)
				}
			case !out.Fired:
				out.Fired, out.Unit, out.At, out.H = true, f.Unit, uint64(i+1), f.Threshold
			}
		}
	}
	for _, s := range engine.Status() {
		if s.Detector == r.Detector && !out.Fired {
			out.H = s.Threshold
		}
	}
	if out.Height = highest[r.Detector]; !out.Fired {
		out.At = top
	}
	if out.At > 0 {
		out.After = records[out.At-1].Time - rules.CaseStart
	}
	out.OK = out.Fired == out.Expected && (!out.Fired || c.Unit == "" || c.Unit == out.Unit)
	return out
}

// Says is a result in a sentence.
func (r *Result) Says() string {
	switch {
	case r.Error != "":
		return r.Error
	case r.Fired:
		s := fmt.Sprintf("fired at record %d of %d, %s in, on %s", r.At, r.Records, time.Duration(r.After)*time.Millisecond, r.Unit)
		return s + fmt.Sprintf(", S/h %.2f", r.Height)
	case r.Height == 0:
		return "silent: no test rose"
	}
	return fmt.Sprintf("silent: S/h %.2f at most, at record %d of %d", r.Height, r.At, r.Records)
}
