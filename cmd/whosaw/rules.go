package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/rehearsal"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/rules"
	"github.com/whosaw/whosaw/internal/server"
)

// rulesFlags say which rules are loaded.
type rulesFlags struct {
	config, dir string
}

func (f *rulesFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.config, "config", os.Getenv("WHOSAW_CONFIG"), "configuration file of the server, for its rules and load (or WHOSAW_CONFIG)")
	flags.StringVar(&f.dir, "data", os.Getenv("WHOSAW_DATA"), "data directory of the server, for the rules kept there (or WHOSAW_DATA)")
}

// load gives the detectors' configuration with the rules that hold, and files laid over them.
func (f *rulesFlags) load(files ...string) (detect.Config, []*rules.Rule, error) {
	cfg, err := config.Load(f.config)
	if err != nil {
		return detect.Config{}, nil, err
	}
	dc, err := server.EngineConfig(cfg, f.dir)
	if err != nil {
		return dc, nil, err
	}
	if dc.Rules == nil {
		dc.Rules = rules.Shipped()
	}
	paths, err := rules.Files(files...)
	if err != nil {
		return dc, nil, err
	}
	var own []*rules.Rule
	var errs []error
	for _, path := range paths {
		list, err := rules.ParseFile(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		own = append(own, list...)
	}
	if err := errors.Join(errs...); err != nil {
		return dc, nil, err
	}
	if dc.Rules, err = dc.Rules.With(own...); err != nil {
		return dc, nil, err
	}
	return dc, own, dc.Check()
}

func (m *Main) rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "What the detectors go by: list it, look at a rule, try rules on their cases",
		Long: `A rule says what one detector watches: which units, how rare its hit is for honest traffic, which attack rates it looks for,
and how many false alarms it may bring. Each rule file carries cases that must fire and cases that must not.

Rules of your own are YAML files in the directory that whosaw.yaml names under rules. One with the name of a shipped rule
replaces it, or switches it off. docs/formats/rules.md has every member. Try them before they go live: rules test, then replay.`,
	}
	cmd.AddCommand(m.rulesList(), m.rulesShow(), m.rulesTest())
	return cmd
}

// ruleRow is a rule in the JSON answer of rules list.
type ruleRow struct {
	Rule           string    `json:"rule"`
	Detector       string    `json:"detector"`
	Off            string    `json:"off,omitempty"`
	Units          []string  `json:"units"`
	P1             []float64 `json:"p1"`
	Floor          float64   `json:"p0_floor"`
	Ceiling        float64   `json:"p0_ceiling"`
	H              float64   `json:"h"`            // of sequential tests; 0: it states facts or counts
	SilentBelow    float64   `json:"silent_below"` // the rate of hits under which S falls on average
	AlarmsPerMonth float64   `json:"alarms_per_month"`
	Action         string    `json:"action"`
	Attack         []string  `json:"attack"`
	OWASP          []string  `json:"owasp"`
	Cases          int       `json:"cases"`
	File           string    `json:"file"`
	Text           string    `json:"text"`
}

func (m *Main) rulesList() *cobra.Command {
	var f rulesFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [FILE…]",
		Short: "The rules that are loaded, with the h that follows from all of them",
		Example: `  whosaw rules list
  whosaw rules list --config whosaw.yaml
  whosaw rules list ./rules --json                     as if these were laid over them`,
		RunE: run(func(_ *cobra.Command, args []string) error {
			dc, _, err := f.load(args...)
			if err != nil {
				return err
			}
			rows := []ruleRow{}
			for i := range dc.Rules.Rules {
				rows = append(rows, newRuleRow(dc, &dc.Rules.Rules[i]))
			}
			if asJSON {
				return writeJSON(m.Stdout, rows)
			}
			t := report.NewTable("rule", "units", "p0 from", "p1", "h", "silent below", "alarms a month", "does", "cases", "from")
			t.Right(2, 4, 5, 8)
			for _, r := range rows {
				if r.Off != "" {
					t.Row(r.Rule, "off: "+r.Off, "", "", "", "", "", "", "", r.File)
					continue
				}
				row := []string{r.Rule, strings.Join(r.Units, " "), "", "", "fact", "", "", r.Action, figure.Int(int64(r.Cases)), r.File}
				if r.H > 0 {
					row[2], row[3], row[4] = number(r.Floor), numbers(r.P1), fmt.Sprintf("%.1f", r.H)
					row[5] = fmt.Sprintf("%.3g", r.SilentBelow)
					row[6] = "its share of " + number(dc.AlarmsPerMonth)
					if r.AlarmsPerMonth > 0 {
						row[6] = number(r.AlarmsPerMonth)
					}
				}
				t.Row(row...)
			}
			return t.Write(m.Stdout)
		}),
	}
	f.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func newRuleRow(dc detect.Config, r *rules.Rule) ruleRow {
	row := ruleRow{
		Rule: r.Name, Detector: r.Detector, Off: r.Off, Units: list(r.Units), P1: list(r.P1), Floor: r.P0.Floor, Ceiling: r.P0.Ceiling,
		SilentBelow: r.SilentBelow(), AlarmsPerMonth: r.AlarmsPerMonth, Action: r.Action, Attack: list(r.Attack), OWASP: list(r.OWASP), Cases: len(r.Cases), File: r.File, Text: r.Text,
	}
	if r.Off == "" {
		row.H = dc.ThresholdOf(r.Detector)
	}
	return row
}

// list gives an empty list for none: JSON has no null for it.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func numbers(list []float64) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = number(v)
	}
	return strings.Join(out, " ")
}

// ruleNames completes the names of the shipped rules.
func ruleNames(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for i := range rules.Shipped().Rules {
		out = append(out, rules.Shipped().Rules[i].Name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (m *Main) rulesShow() *cobra.Command {
	var f rulesFlags
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "A rule's file, cases and all: what to begin one of your own with",
		Example: `  whosaw rules show nonexistent
  whosaw rules show nonexistent > rules/nonexistent.yaml`,
		Args:              needOne("a rule's name, as whosaw rules list shows them"),
		ValidArgsFunction: ruleNames,
		RunE: run(func(_ *cobra.Command, args []string) error {
			dc, _, err := f.load()
			if err != nil {
				return err
			}
			r := dc.Rules.Named(args[0])
			if r == nil {
				return usagef("no rule is named %q: whosaw rules list shows them", args[0])
			}
			_, err = m.Stdout.Write(r.Source())
			return err
		}),
	}
	f.add(cmd.Flags())
	return cmd
}

// rulesTested is the JSON answer of rules test.
type rulesTested struct {
	Passed bool               `json:"passed"`
	Cases  []rehearsal.Result `json:"cases"`
}

// errCases is what rules test ends with when a case did not do what it says.
var errCases = errors.New("not every case does what it says")

func (m *Main) rulesTest() *cobra.Command {
	var f rulesFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test [FILE…]",
		Short: "Run the cases of rules: those that must fire, and those that must not; exit 1 if one does not do what it says",
		Long: `Runs each case through the detectors as they will be: with all rules loaded, the files laid over them, and the h that follows. With
files, or directories of them, only their cases are run; else those of every rule that is loaded.

S/h is how high the rule's statistic rose; a finding is raised at 1. A case that is silent at 0.9 will not stay so for long.`,
		Example: `  whosaw rules test
  whosaw rules test ./rules
  whosaw rules test my-nonexistent.yaml --config whosaw.yaml --json`,
		RunE: run(func(_ *cobra.Command, args []string) error {
			dc, own, err := f.load(args...)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				for i := range dc.Rules.Rules {
					own = append(own, &dc.Rules.Rules[i])
				}
			}
			results := rehearsal.Test(dc, own)
			passed := rehearsal.Passed(results)
			if asJSON {
				err = writeJSON(m.Stdout, rulesTested{passed, results})
			} else {
				err = m.writeCases(results)
			}
			if err == nil && !passed {
				err = errCases
			}
			return err
		}),
	}
	f.add(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

func (m *Main) writeCases(results []rehearsal.Result) error {
	t := report.NewTable("", "rule", "case", "must", "did", "also found by", "where")
	bad := 0
	for i := range results {
		r := &results[i]
		mark, must := "ok", "be silent"
		if r.Expected {
			must = "fire"
		}
		if !r.OK {
			mark, bad = "NOT", bad+1
		}
		t.Row(mark, r.Rule, r.Case, must, r.Says(), strings.Join(r.Others, " "), fmt.Sprintf("%s:%d", r.File, r.Line))
	}
	if err := t.Write(m.Stdout); err != nil {
		return err
	}
	fmt.Fprintf(m.Stderr, "whosaw: %s, %s not as written\n", figure.Of(int64(len(results)), "case", "cases"), figure.Int(int64(bad)))
	return nil
}
