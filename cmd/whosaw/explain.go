package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/server"
)

// replayFlags name a ledger, and by what its detectors go where no server runs.
type replayFlags struct {
	data   dataFlags
	config string
	quiet  bool
}

func (f *replayFlags) add(cmd *cobra.Command) {
	f.data.add(cmd.Flags())
	cmd.Flags().StringVar(&f.config, "config", os.Getenv("WHOSAW_CONFIG"), "configuration file of the server, where it does not run: its rules and load (or WHOSAW_CONFIG)")
	cmd.Flags().BoolVar(&f.quiet, "quiet", false, "no progress on standard error")
}

// offline opens a ledger that no server has open, records an act in it, and gives its replay. end must be called.
func (m *Main) offline(ctx context.Context, f *replayFlags, act *whosaw.Record) (_ *pipeline.Replay, end func() error, err error) {
	dir := f.data.dir
	if err := needLedger(dir, "make one with whosaw investigate --data DIR LOG…"); err != nil {
		return nil, nil, err
	}
	cfg, err := config.Load(f.config)
	if err != nil {
		return nil, nil, err
	}
	dc, err := server.EngineConfig(cfg, dir)
	if err != nil {
		return nil, nil, err
	}
	file := f.data.catalog
	if file == "" && cfg.Catalog != "" {
		file = cfg.Path(cfg.Catalog)
	}
	cat, err := server.LoadCatalog(file, dir)
	if err != nil {
		return nil, nil, err
	}
	led, err := ledger.Open(ledger.Config{Dir: dir})
	if err != nil {
		return nil, nil, err
	}
	if act != nil {
		now := m.Now()
		act.Time, act.Source, act.Position = now.UnixMilli(), "operator", now.UnixNano()
		if _, err := led.Append(ctx, []whosaw.Record{*act}); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("record the question: %w", err), led.Close())
		}
	}
	view, err := led.View(0)
	if err != nil {
		return nil, nil, errors.Join(err, led.Close())
	}
	bar := m.newProgress(f.quiet)
	replay := &pipeline.Replay{View: view, Detect: dc, Catalog: cat, Progress: bar.steps("replaying the ledger", 0, 1, m.Now())}
	return replay, func() error {
		bar.clear()
		return errors.Join(view.Close(), led.Close())
	}, nil
}

// serverOf finds the server of a directory; nil: none runs.
func (m *Main) serverOf(ctx context.Context, d dataFlags) (*remote, error) {
	if d.dir == "" {
		return nil, usagef("no data directory: give --data DIR (or set WHOSAW_DATA)")
	}
	r, err := dial(ctx, d.dir)
	if err == nil && r != nil && d.catalog != "" {
		return nil, errors.Join(usagef("a server runs on %s and answers with its own catalog: leave out --catalog", d.dir), r.close())
	}
	return r, err
}

// findingID is how a finding's id looks; a record's own id may be given with id: before it.
var findingID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// parseWhich reads what names a record.
func parseWhich(arg string) (pipeline.Which, error) {
	kind, value, found := strings.Cut(arg, ":")
	switch {
	case found && kind == "id" && value != "":
		return pipeline.Which{ID: value}, nil
	case found && kind == "finding" && value != "":
		return pipeline.Which{Finding: value}, nil
	}
	if n, err := strconv.ParseUint(arg, 10, 64); err == nil && n > 0 && len(arg) < 16 {
		return pipeline.Which{Sequence: n}, nil
	}
	if findingID.MatchString(arg) {
		return pipeline.Which{Finding: arg}, nil
	}
	if arg == "" {
		return pipeline.Which{}, usagef("name a record: its sequence, id:ITS-ID, or a finding's id")
	}
	return pipeline.Which{ID: arg}, nil
}

func (m *Main) explainCommand() *cobra.Command {
	var f replayFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain RECORD",
		Short: "What one record added to which statistic of the detectors, and why to no other",
		Long: `RECORD is a sequence (as whosaw finding show prints it), the id that the sender gave a record (id:ITS-ID where it looks like a number),
or a finding's id, as whosaw investigate and whosaw finding list print it: then the access that raised it. No server needs to run, or to have run.

For each detector: whether the access answered its question, for which units, with which honest rate p0, and where each statistic S stood
before and after; or why it was not judged, what explains it, or which finding covers it. An access whose issuance or reason was
waited for is looked at twice.

It replays the ledger up to the record, so it takes as long as the detectors took. The question is written into the ledger.`,
		Example: `  whosaw explain 48213 --data ./data
  whosaw explain id:gw-20261103-77 --data ./data --json
  whosaw explain 7b1f03c9d2e84a65 --data ./data        the access that raised this finding`,
		Args: needOne("a record: its sequence, its id, or a finding's id"),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			which, err := parseWhich(args[0])
			if err != nil {
				return err
			}
			x, err := m.explain(ctx, &f, which)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, x)
			}
			return m.writeExplained(x)
		}),
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	return cmd
}

// errNamed says how what can be explained is named.
func errNamed(err error) error {
	return fmt.Errorf("%w; a record is named by its sequence, or by the id that its sender gave it (id: before it where it looks like a number), a finding by its id as whosaw investigate and whosaw finding list print it (finding: and its first characters do)", err)
}

func (m *Main) explain(ctx context.Context, f *replayFlags, which pipeline.Which) (*pipeline.Explained, error) {
	r, err := m.serverOf(ctx, f.data)
	if err != nil {
		return nil, err
	}
	if r != nil {
		var x pipeline.Explained
		err := r.call(ctx, "POST", "/v1/explain", which, &x)
		if e := (*api.Error)(nil); errors.As(err, &e) && e.Code == api.CodeNotFound {
			err = errNamed(errors.New(e.Says))
		}
		return &x, errors.Join(err, r.close())
	}
	act := pipeline.AskedRecord("staff:"+operator(), which)
	replay, end, err := m.offline(ctx, f, &act)
	if err != nil {
		return nil, err
	}
	x, err := replay.Explain(ctx, which)
	if errors.Is(err, pipeline.ErrNoRecord) {
		err = errNamed(err)
	}
	return x, errors.Join(err, end())
}

func (m *Main) writeExplained(x *pipeline.Explained) error {
	w := m.Stdout
	line := func(name, value string) { fmt.Fprintf(w, "%-10s %s\n", name, report.Safe(value)) }
	line("record", fmt.Sprintf("%s, from %s", figure.Int(int64(x.Sequence)), x.Source))
	line("says", string(x.Record))
	if len(x.Same) > 0 {
		line("note", fmt.Sprintf("%s with this id: the first is shown", figure.Of(int64(len(x.Same)), "further record", "further records")))
	}
	if x.What == nil {
		line("detectors", x.Says)
		return nil
	}
	issued, explained := "no", "nothing"
	if x.What.Issued {
		issued = "yes"
	}
	if x.What.ExplainedBy != "" {
		explained = x.What.ExplainedBy
	}
	line("issued", issued)
	line("explained", "by "+explained)
	line("outcome", x.What.Outcome)
	for i, p := range x.What.Passes {
		if i == 0 {
			fmt.Fprintf(w, "\nWhen it came:\n")
		} else {
			fmt.Fprintf(w, "\nWhen its issuance or reason was no longer expected, at record %s:\n", figure.Int(int64(p.At)))
		}
		t := report.NewTable("detector", "says", "unit", "p0", "p1", "S before", "S after", "h", "p0 is of")
		t.Right(3, 4, 5, 6, 7)
		for k := range p.Detectors {
			m.explainRows(t, &p.Detectors[k], i > 0)
		}
		if err := t.Write(w); err != nil {
			return err
		}
	}
	if len(x.What.Waits) > 0 {
		fmt.Fprintf(w, "\nStill waiting, at the end of the ledger: %s.\n", strings.Join(x.What.Waits, ", "))
	}
	return nil
}

// explainRows writes a detector's part. In the second pass only the one that waited has something to say.
func (m *Main) explainRows(t *report.Table, a *detect.Answering, again bool) {
	says := map[string]string{
		detect.StateAsked: "asked", detect.StateNotJudged: "not judged: " + strings.Join(a.Why, "; "), detect.StateCovered: "covered by finding " + a.Covered,
		detect.StateWaits: "waits for its issuance or reason", detect.StateNothing: "asks nothing of such a record",
	}[a.State]
	if a.State == detect.StateNothing && again {
		return
	}
	if a.State == detect.StateAsked && len(a.Why) > 0 {
		says += "; " + strings.Join(a.Why, "; ")
	}
	if len(a.Raised) > 0 {
		says += "; raised finding " + strings.Join(a.Raised, ", ")
	}
	if len(a.Widened) > 0 {
		says += "; widened finding " + strings.Join(a.Widened, ", ")
	}
	rows := 0
	first := func() string {
		if rows++; rows == 1 {
			return a.Detector
		}
		return ""
	}
	for _, u := range a.Units {
		answer := strings.ReplaceAll(u.Answer, "_", " ")
		if u.Why != "" {
			answer += ": " + u.Why
		}
		if u.Answer == "no_trial" || unmoved(u.Tests) {
			t.Row(first(), answer, u.Unit, number(u.P0), "", "", "", fmt.Sprintf("%.1f", u.H), u.Rate)
			continue
		}
		for i, s := range u.Tests {
			if i > 0 {
				answer = ""
			}
			p1 := number(s.P1)
			if s.Down {
				p1 += " down"
			}
			t.Row(first(), answer, u.Unit, fmt.Sprintf("%.4g", u.P0), p1, fmt.Sprintf("%.2f", s.Before), fmt.Sprintf("%.2f", s.After), fmt.Sprintf("%.1f", u.H), u.Rate)
		}
	}
	for _, c := range a.Counts {
		t.Row(first(), fmt.Sprintf("new customers that day: %d, before %d", c.After, c.Before), c.Unit, "", "", "", "", "", "")
	}
	if rows == 0 || len(a.Raised)+len(a.Widened) > 0 {
		t.Row(first(), says, "", "", "", "", "", "", "")
	}
}

func unmoved(tests []detect.Moved) bool {
	for _, t := range tests {
		if t.Before != t.After {
			return false
		}
	}
	return true
}

func (m *Main) baselineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "baseline",
		Short: "What the detectors have learnt to be honest",
	}
	cmd.AddCommand(m.baselineShow())
	return cmd
}

func (m *Main) baselineShow() *cobra.Command {
	var f replayFlags
	var detector, route string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Per route: the honest rate, on what it stands, what froze it, and what cannot be judged yet",
		Long: `What was learnt, by detector, route and class of principals: the honest rate p0, the number of units that it stands on, since when, what
froze it (a finding, or a declared change), whether it is above the ceiling, so that nobody is judged there, and what a cold start waits
for. Asks the server of the directory; where none runs, it replays the ledger.`,
		Example: `  whosaw baseline show --data ./data
  whosaw baseline show --data ./data --detector unexplained --route "GET /desk/customers/{id}"
  whosaw baseline show --data ./data --json`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			answer, err := m.baselines(cmd.Context(), &f, detector, route)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, answer)
			}
			return m.writeBaselines(answer)
		}),
	}
	f.add(cmd)
	cmd.Flags().StringVar(&detector, "detector", "", "only of this detector")
	cmd.Flags().StringVar(&route, "route", "", "only of this route")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the answer as one JSON document")
	if err := cmd.RegisterFlagCompletionFunc("detector", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return detect.Detectors(), cobra.ShellCompDirectiveNoFileComp
	}); err != nil {
		panic("BUG: " + err.Error())
	}
	return cmd
}

func (m *Main) baselines(ctx context.Context, f *replayFlags, detector, route string) (*api.Baselines, error) {
	r, err := m.serverOf(ctx, f.data)
	if err != nil {
		return nil, err
	}
	q := url.Values{"wait": {"true"}, "detector": {detector}, "route": {route}}
	if r != nil {
		var answer api.Baselines
		return &answer, errors.Join(r.call(ctx, "GET", "/v1/baseline?"+q.Encode(), nil, &answer), r.close())
	}
	act := pipeline.AskedBaselines("staff:"+operator(), detector, route)
	replay, end, err := m.offline(ctx, f, &act)
	if err != nil {
		return nil, err
	}
	all, err := replay.Baselines(ctx)
	last := replay.View.Last()
	if err = errors.Join(err, end()); err != nil {
		return nil, err
	}
	return api.NewBaselines(all, last, detector, route), nil
}

func (m *Main) writeBaselines(answer *api.Baselines) error {
	t := report.NewTable("detector", "route or unit", "class", "p0", "stands on", "since (UTC)", "judged", "frozen by", "says")
	t.Right(3)
	for i := range answer.Baselines {
		b := &answer.Baselines[i]
		what := b.Route + b.Unit
		if b.Realm != "" {
			what = b.Realm + ": " + what
		}
		p0, on, judged, frozen := "", "", "yes", ""
		if b.P0 > 0 {
			p0 = fmt.Sprintf("%.4g", b.P0)
		}
		if b.Of != "" {
			on = figure.Int(b.Known) + " " + b.Of
			if b.Known < b.Needed {
				on = fmt.Sprintf("%s of %s %s", figure.Int(b.Known), figure.Int(b.Needed), b.Of)
			}
		}
		if !b.Judged {
			judged = "no"
		}
		if b.Untaught > 0 {
			frozen = fmt.Sprintf("%s (%s)", b.FrozenBy, figure.Of(b.Untaught, "access", "accesses"))
		}
		class := b.Class
		if b.Networks != "" {
			class = strings.TrimPrefix(class+", networks: "+b.Networks, ", ")
		}
		t.Row(b.Detector, what, class, p0, on, clock(&b.Since), judged, frozen, b.Says)
	}
	return t.Write(m.Stdout)
}
