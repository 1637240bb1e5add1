package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/rehearsal"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/rules"
	"github.com/whosaw/whosaw/internal/scope"
	"github.com/whosaw/whosaw/internal/server"
)

// tryFlags are the flags of replay.
type tryFlags struct {
	rules  []string
	truth  string
	config string
	data   dataFlags
	in     inputFlags
	json   bool
}

func (m *Main) replayCommand() *cobra.Command {
	var f tryFlags
	cmd := &cobra.Command{
		Use:   "replay --rules FILE|DIR [--data DIR | LOG…]",
		Short: "What new rules would have done with the past, beside those in force, before they go live",
		Long: `Lets the rules in force and the new ones, laid over them, judge the same past side by side: the ledger of --data, logs, or the
directory that whosaw sim --out made. A server that has the ledger open replays it itself, and holds two more sets of detectors in memory
meanwhile; where that is too much, restore a backup and replay that.

It says what each found, whom findings accuse that are honest, how many customers each attacker had been shown before it was noticed, how
high the statistics rose, and how often they crossed the levels 6, 8, 10 and 12 against the bound. With a simulated shop's truth.jsonl that
is exact. Without, verdicts in the ledger say what findings were; what nobody has judged is not known.`,
		Example: `  whosaw replay --rules rules/nonexistent.yaml --data ./data
  whosaw replay --rules ./rules --config whosaw.yaml --data ./restored --json
  whosaw sim --scenario insider-agent --seed 6 --out shop && whosaw replay --rules ./rules shop`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(f.rules) == 0:
				return usagef("no rules named: give --rules FILE or DIR")
			case len(args) == 0 && f.data.dir == "":
				return usagef("nothing to replay: give --data DIR, or logs")
			case len(args) > 0 && cmd.Flags().Changed("data"):
				return usagef("give --data DIR or logs, not both")
			}
			return nil
		},
		RunE: run(func(cmd *cobra.Command, args []string) error {
			answer, err := m.replay(cmd.Context(), &f, args)
			if err != nil {
				return err
			}
			if f.json {
				return writeJSON(m.Stdout, answer)
			}
			return m.writeReplay(answer)
		}),
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&f.rules, "rules", nil, "the new rules: files, or directories of them")
	flags.StringVar(&f.truth, "truth", "", "truth.jsonl of the simulated shop whose records the ledger or the logs hold")
	flags.StringVar(&f.config, "config", os.Getenv("WHOSAW_CONFIG"), "configuration file of the server: the rules in force, and the load (or WHOSAW_CONFIG)")
	f.data.add(flags)
	f.in.add(flags)
	flags.BoolVar(&f.json, "json", false, "the answer as one JSON document")
	return cmd
}

// replay finds the past, and compares.
func (m *Main) replay(ctx context.Context, f *tryFlags, logs []string) (_ *rehearsal.Comparison, err error) {
	dir := f.data.dir
	if len(logs) > 0 {
		dir = ""
	} else if r, err := m.serverOf(ctx, f.data); r != nil || err != nil {
		if err != nil {
			return nil, err
		}
		answer, err := m.replayThere(ctx, f, r)
		return answer, errors.Join(err, r.close())
	}
	loaded := rulesFlags{config: f.config, dir: dir}
	old, _, err := loaded.load()
	if err != nil {
		return nil, err
	}
	now, _, err := loaded.load(f.rules...)
	if err != nil {
		return nil, err
	}
	shop := ""
	if len(logs) == 1 {
		if _, err := os.Stat(filepath.Join(logs[0], "truth.jsonl")); err == nil {
			shop = logs[0]
			if f.truth == "" {
				f.truth = filepath.Join(shop, "truth.jsonl")
			}
			if f.data.catalog == "" {
				f.data.catalog = filepath.Join(shop, server.CatalogName)
			}
		}
	}
	truth, err := readTruth(f.truth)
	if err != nil {
		return nil, err
	}
	bar := m.newProgress(f.in.quiet)
	defer bar.clear()
	if len(logs) == 0 {
		names := strings.Join(f.rules, " ")
		act := whosaw.Record{Type: whosaw.TypeAct, Principal: "staff:" + operator(), Ref: &whosaw.Reference{Kind: "replay", Note: names[:min(len(names), maxNote)]}}
		past, end, err := m.offline(ctx, &replayFlags{data: f.data, config: f.config, quiet: true}, &act)
		if err != nil {
			return nil, err
		}
		answer, err := m.compare(ctx, past.View, past.Catalog, old, now, truth, bar)
		return answer, errors.Join(err, end())
	}
	cat, err := server.LoadCatalog(f.data.catalog, "")
	if err != nil {
		return nil, err
	}
	c, err := pipeline.Open(ctx, pipeline.Config{TempDir: os.Getenv("TMPDIR"), Catalog: cat, Detect: old})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	bar.note("reading …")
	if shop != "" {
		err = m.readShop(ctx, c, filepath.Join(shop, "records.jsonl"))
	} else {
		err = m.readLogs(ctx, c, f, cat, logs, bar)
	}
	if err != nil {
		return nil, err
	}
	view, err := c.Ledger().View(0)
	if err != nil {
		return nil, err
	}
	answer, err := m.compare(ctx, view, cat, old, now, truth, bar)
	return answer, errors.Join(err, view.Close())
}

// replayThere has a running server replay its past: its rules are those in force.
func (m *Main) replayThere(ctx context.Context, f *tryFlags, r *remote) (*rehearsal.Comparison, error) {
	if f.config != "" {
		fmt.Fprintln(m.Stderr, "whosaw: a server runs: its own rules and load are those in force, whatever --config says")
	}
	files, err := rules.Files(f.rules...)
	if err != nil {
		return nil, err
	}
	var in api.Rehearsal
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		in.Rules = append(in.Rules, api.RuleFile{Name: file, Text: string(data)})
	}
	if f.truth != "" {
		data, err := os.ReadFile(f.truth)
		if err != nil {
			return nil, fmt.Errorf("read the truth: %w", err)
		}
		in.Truth = string(data)
	}
	bar := m.newProgress(f.in.quiet)
	defer bar.clear()
	bar.note("the server replays its ledger by both …")
	var answer rehearsal.Comparison
	err = r.call(ctx, "POST", "/v1/local/replay", in, &answer)
	return &answer, err
}

// maxNote bounds what an act says of the files that were tried.
const maxNote = 1000

func readTruth(file string) (*rehearsal.Truth, error) {
	if file == "" {
		return nil, nil
	}
	r, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open the truth: %w", err)
	}
	t, err := rehearsal.ReadTruth(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

func (m *Main) compare(ctx context.Context, view *ledger.View, cat *catalog.Catalog, old, now detect.Config, truth *rehearsal.Truth, bar *progress) (*rehearsal.Comparison, error) {
	return rehearsal.Replay(ctx, rehearsal.Config{
		View: view, Scope: scope.New(view, cat, scope.Config{}), Catalog: cat, Old: old, New: now, Truth: truth,
		Progress: bar.steps("replaying by both", 0, 1, m.Now()),
	})
}

// readShop takes a simulated shop's records in the order of their arrival, as a server would.
func (m *Main) readShop(ctx context.Context, c *pipeline.Case, file string) error {
	in, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing: a simulated shop is what whosaw sim --out makes", file)
	}
	if err != nil {
		return fmt.Errorf("open the shop's records: %w", err)
	}
	defer in.Close()
	feed := c.Feed(ctx)
	_, err = feed.Close(func() error {
		lines := bufio.NewScanner(in)
		lines.Buffer(make([]byte, 1<<16), whosaw.MaxLine)
		var d whosaw.Decoder
		batch := make([]whosaw.Record, 0, 2048)
		for n := int64(1); lines.Scan(); n++ {
			var r whosaw.Record
			if err := d.Decode(lines.Bytes(), m.Now().Add(24*time.Hour).UnixMilli(), &r); err != nil {
				return fmt.Errorf("%s: line %d: %w", file, n, err)
			}
			r.Source, r.Position = "sim", n
			if batch = append(batch, r); len(batch) == cap(batch) {
				if err := errors.Join(feed.Take(batch), ctx.Err()); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		return feed.Take(batch)
	}())
	return err
}

func (m *Main) readLogs(ctx context.Context, c *pipeline.Case, f *tryFlags, cat *catalog.Catalog, logs []string, bar *progress) (err error) {
	opts, err := m.options(&f.in)
	if err != nil {
		return err
	}
	opts.Catalog = cat
	if bar != nil {
		opts.Progress = bar.update
	}
	plan, err := ingest.NewPlan(ctx, logs, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plan.Close()) }()
	read, err := c.Import(ctx, plan, opts, nil)
	if err == nil {
		bar.clear()
		m.notes(&read, f.in.mapping)
	}
	return err
}

// writeReplay writes what a person decides by.
func (m *Main) writeReplay(c *rehearsal.Comparison) error {
	w := m.Stdout
	fmt.Fprintf(w, "%s of %s, %s to %s UTC\n", figure.Of(c.Accesses, "access", "accesses"), figure.Of(c.Records, "record", "records"), clock(c.From), clock(c.To))
	if len(c.Changed) == 0 {
		fmt.Fprintln(w, "the new rules say what those in force say")
	}
	for _, ch := range c.Changed {
		fmt.Fprintf(w, "%s (%s): %s\n", report.Safe(ch.Rule), report.Safe(ch.File), report.Safe(strings.Join(ch.Says, "; ")))
	}
	fmt.Fprintln(w)
	if err := m.replaySums(c); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := m.replayLevels(c); err != nil {
		return err
	}
	if len(c.Old.Findings)+len(c.New.Findings) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := report.NewTable("", "seen (UTC)", "detector", "unit", "is", "customers lost by then", "customers shown by then", "S or count", "id")
	t.Right(5, 6, 7)
	rows := 0
	add := func(mark string, f *rehearsal.Judged) {
		if rows++; rows > 200 {
			return
		}
		lost := "not known"
		if f.Lost != nil {
			lost = figure.Int(*f.Lost)
		} else if f.Whose == "false" || f.Whose == "explained" {
			lost = "0"
		}
		t.Row(mark, clock(&f.Seen), f.Detector, f.Unit, whose(f), lost, figure.Int(f.Shown), fmt.Sprintf("%.4g", f.Statistic), f.ID)
	}
	for i := range c.Old.Findings {
		if f := &c.Old.Findings[i]; !f.Both {
			add("gone", f)
		}
	}
	for i := range c.New.Findings {
		mark := "new"
		if c.New.Findings[i].Both {
			mark = "kept"
		}
		add(mark, &c.New.Findings[i])
	}
	if err := t.Write(w); err != nil {
		return err
	}
	if rows > 200 {
		fmt.Fprintf(w, "and %s more in the answer of --json\n", figure.Int(int64(rows-200)))
	}
	return nil
}

// whose says what a finding is, and how that is known.
func whose(f *rehearsal.Judged) string {
	switch {
	case f.Whose == "" && len(f.Filter) == 0:
		return "accuses no access"
	case f.Whose == "":
		return "not known"
	case f.By == "truth" && f.Whose == "false":
		return "false alarm"
	case f.By == "truth":
		return "attack " + f.Whose
	case f.By == "overlap":
		return "like one judged " + f.Whose
	}
	return "judged " + f.Whose
}

func orUnknown(n *int64) string {
	if n == nil {
		return "not known"
	}
	return figure.Int(*n)
}

// replaySums writes the figures side by side.
func (m *Main) replaySums(c *rehearsal.Comparison) error {
	t := report.NewTable("", "in force", "new")
	t.Right(1, 2)
	o, n := &c.Old, &c.New
	t.Row("findings", figure.Int(int64(len(o.Findings))), figure.Int(int64(len(n.Findings))))
	falseAlarms := func(s *rehearsal.Side) string {
		text := figure.Int(int64(s.FalseAlarms))
		if s.Unjudged > 0 {
			text += fmt.Sprintf(", and %s nobody has judged", figure.Int(int64(s.Unjudged)))
		}
		return text
	}
	t.Row("false alarms", falseAlarms(o), falseAlarms(n))
	t.Row("honest actors hit", orUnknown(o.HonestActors), orUnknown(n.HonestActors))
	t.Row("honest accesses hit", orUnknown(o.HonestAccesses), orUnknown(n.HonestAccesses))
	t.Row("customers lost before it was noticed", orUnknown(o.Lost), orUnknown(n.Lost))
	for i := range n.Attackers {
		a, b := caught(&o.Attackers[i]), caught(&n.Attackers[i])
		t.Row("  "+n.Attackers[i].Name, a, b)
	}
	return t.Write(m.Stdout)
}

func caught(a *rehearsal.Attacker) string {
	if !a.Noticed {
		return fmt.Sprintf("never noticed: all %s", figure.Int(a.Customers))
	}
	return fmt.Sprintf("%s of %s, by %s", figure.Int(a.Lost), figure.Int(a.Customers), a.First)
}

// replayLevels writes how high the statistics rose, in force and new: the attacks' own rises are among them.
func (m *Main) replayLevels(c *rehearsal.Comparison) error {
	head := []string{"detector", "rules", "findings", "trials", "h", "highest S/h"}
	for _, h := range detect.Levels {
		head = append(head, fmt.Sprintf("S over %g", h))
	}
	t := report.NewTable(head...)
	t.Right(2, 3, 4, 5, 6, 7, 8, 9)
	row := func(d *rehearsal.Detector, rules string) {
		if d == nil {
			return
		}
		cells := []string{d.Detector, rules, figure.Int(int64(d.Findings)), figure.Int(d.Trials), "fact", ""}
		if d.H > 1 {
			cells[4], cells[5] = fmt.Sprintf("%.1f", d.H), fmt.Sprintf("%.2f", d.Highest)
			for i := range detect.Levels {
				cells = append(cells, fmt.Sprintf("%s of %s", figure.Int(d.Reached[i]), figure.Int(d.Bound[i])))
			}
		} else {
			cells = append(cells, "", "", "", "")
		}
		t.Row(cells...)
	}
	for _, name := range detect.Detectors() {
		a, b := accountOf(c.Old.Detectors, name), accountOf(c.New.Detectors, name)
		if a != nil && b != nil && *a == *b {
			row(b, "both")
			continue
		}
		row(a, "in force")
		row(b, "new")
	}
	if err := t.Write(m.Stdout); err != nil {
		return err
	}
	fmt.Fprintln(m.Stdout, "S over: how often a test rose so high, of how often honest trials may at most; what attacks did is counted too")
	return nil
}

func accountOf(list []rehearsal.Detector, name string) *rehearsal.Detector {
	for i := range list {
		if list[i].Detector == name {
			return &list[i]
		}
	}
	return nil
}
