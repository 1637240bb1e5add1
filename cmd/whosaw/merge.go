package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/joint"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/server"
)

// mergeFlags are the flags of merge.
type mergeFlags struct {
	data, catalog, config string
	json, quiet           bool
}

// actMerge is the kind of the act that says that ledgers were merged. It stands in each of them, and first in the joint one.
const actMerge = "merge"

func (m *Main) mergeCommand() *cobra.Command {
	var f mergeFlags
	cmd := &cobra.Command{
		Use:   "merge [--data JOINT] DIR DIR…",
		Short: "What several servers saw of one shop, judged as one: attacks of which each has only a part",
		Long: `Brings the ledgers of several data directories together, in the order in which things happened, lets the detectors judge them as one server
would have that took all of it, and says of each attack when the directories together show it, and when each would have alone. A finding of one directory that
all together do not bear out is named too: a credential that one directory met, and another issued.

With --data JOINT the joint ledger is kept, with what the detectors know at its end: scope, subject, top, explain, investigate and serve go on from
it. The same command again adds what has come since. Without --data nothing is kept.

A record that several directories hold counts once. The directories stay as they are, but for the record that you asked. Each needs the detectors' memory once,
and all together once more. A directory that a server has open, or that lies on another machine, is brought here with whosaw backup and whosaw restore.`,
		Example: `  whosaw merge ./seoul ./busan
  whosaw merge --data ./joint ./seoul ./busan && whosaw scope --data ./joint --key backup-2024
  whosaw merge --json --config whosaw.yaml --catalog catalog.yaml ./seoul ./busan`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usagef("%s takes two data directories or more; %s given", cmd.CommandPath(), figure.Of(int64(len(args)), "is", "are"))
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: run(func(cmd *cobra.Command, args []string) error { return m.merge(cmd.Context(), &f, args) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "keep the joint ledger in this directory: a new one, or that of an earlier merge")
	flags.StringVar(&f.catalog, "catalog", "", "catalog file (default: the one that the directories keep)")
	flags.StringVar(&f.config, "config", "", "configuration file: the rules and the load that all are judged by (default: the rules that the directories keep)")
	flags.BoolVar(&f.json, "json", false, "the answer as one JSON document")
	flags.BoolVar(&f.quiet, "quiet", false, "no progress on standard error")
	if err := cmd.MarkFlagDirname("data"); err != nil {
		panic("BUG: " + err.Error())
	}
	return cmd
}

func (m *Main) merge(ctx context.Context, f *mergeFlags, dirs []string) (err error) {
	if err := m.mergeable(ctx, f, dirs); err != nil {
		return err
	}
	by, err := f.judgedBy(dirs)
	if err != nil {
		return err
	}
	act := whosaw.Record{Type: whosaw.TypeAct, Principal: "staff:" + operator(), Ref: &whosaw.Reference{Kind: actMerge, Note: mergeNote(f.data, dirs)}}
	now := m.Now()
	act.Time, act.Source, act.Position = now.UnixMilli(), "operator", now.UnixNano()
	var sources []joint.Source
	for _, dir := range dirs {
		led, view, err := m.openSource(ctx, dir, act)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, view.Close(), led.Close()) }()
		sources = append(sources, joint.Source{Name: dir, View: view})
	}
	c, err := pipeline.Open(ctx, pipeline.Config{Dir: f.data, TempDir: os.Getenv("TMPDIR"), Catalog: by.catalog, Detect: by.detect, Build: version()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if f.data != "" {
		if err := by.keep(f.data); err != nil {
			return err
		}
	}
	bar := m.newProgress(f.quiet)
	defer bar.clear()
	answer, err := joint.Judge(ctx, joint.Config{
		Sources: sources, Case: c, Detect: by.detect, Catalog: by.catalog, First: act,
		Progress: bar.steps("judging them together, and each alone", 0, 1, m.Now()),
	})
	bar.clear()
	if err != nil {
		return m.mergeStopped(ctx, f.data, err)
	}
	if f.json {
		return writeJSON(m.Stdout, answer)
	}
	return m.writeMerged(answer, f.data)
}

// mergeNote says what was merged to what, as far as an act has room.
func mergeNote(data string, dirs []string) string {
	note := strings.Join(dirs, " ")
	if data != "" {
		note += " to " + data
	}
	return note[:min(len(note), maxNote)]
}

// mergeStopped says what an interrupted run leaves; other errors pass.
func (m *Main) mergeStopped(ctx context.Context, dir string, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if dir == "" {
		fmt.Fprintln(m.Stderr, "whosaw: stopped; nothing is kept.")
	} else {
		fmt.Fprintf(m.Stderr, "whosaw: stopped; the ledger in %s holds a part. The same command goes on from there, and nothing is counted twice.\n", report.Safe(dir))
	}
	return errInterrupted
}

// mergeable refuses directories that are no ledgers, that are one, or that somebody has open, before anything is read.
func (m *Main) mergeable(ctx context.Context, f *mergeFlags, dirs []string) error {
	var seen []fs.FileInfo
	for i, dir := range dirs {
		if err := needLedger(dir, "name a data directory of whosaw serve or whosaw investigate --data"); err != nil {
			return err
		}
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("look at the data directory: %w", err)
		}
		if k := slices.IndexFunc(seen, func(o fs.FileInfo) bool { return os.SameFile(info, o) }); k >= 0 {
			return usagef("%s and %s are one directory: name each once", dirs[k], dirs[i])
		}
		seen = append(seen, info)
		r, err := dial(ctx, dir)
		if err != nil {
			return err
		}
		if r != nil {
			return errors.Join(fmt.Errorf("a server runs on %s: merge a copy of it, made while it goes on: whosaw backup --data %s --to BACKUP && whosaw restore --from BACKUP --data COPY",
				dir, quote(dir)), r.close())
		}
	}
	if f.data == "" {
		return nil
	}
	info, err := os.Stat(f.data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the data directory: %w", err)
	}
	if k := slices.IndexFunc(seen, func(o fs.FileInfo) bool { return os.SameFile(info, o) }); k >= 0 {
		return usagef("--data %s is %s, which is merged: name a new directory for the joint ledger", f.data, dirs[k])
	}
	r, err := dial(ctx, f.data)
	if err != nil {
		return err
	}
	if r != nil {
		return errors.Join(fmt.Errorf("a server runs on %s: stop it, or name a new directory with --data", f.data), r.close())
	}
	return ofMerge(ctx, f.data)
}

// ofMerge refuses a directory whose ledger no merge began.
func ofMerge(ctx context.Context, dir string) (err error) {
	if _, err := os.Stat(filepath.Join(dir, "ledger")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	led, err := ledger.Open(ledger.Config{Dir: dir, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, led.Close()) }()
	view, err := led.View(0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, view.Close()) }()
	began, errFirst := view.Last() == 0, errors.New("first")
	err = view.Records(ctx, 1, func(_ uint64, r *whosaw.Record) error {
		began = r.Type == whosaw.TypeAct && r.Ref != nil && r.Ref.Kind == actMerge
		return errFirst
	})
	if err != nil && !errors.Is(err, errFirst) {
		return err
	}
	if !began {
		return usagef("--data %s holds a ledger that no merge began, and merging would mix others' records into it: name a new directory", dir)
	}
	return nil
}

// judgedBy is what all that is merged is judged by.
type judgedBy struct {
	detect           detect.Config
	catalog          *catalog.Catalog
	file, rules, dir string // the catalog and the rules, where they were named; else those of the directory hold
}

// judgedBy finds what is named, else what all directories keep.
func (f *mergeFlags) judgedBy(dirs []string) (*judgedBy, error) {
	cfg, err := config.Load(f.config)
	if err != nil {
		return nil, err
	}
	by := &judgedBy{file: f.catalog, rules: cfg.Path(cfg.Rules), dir: dirs[0]}
	if by.file == "" && cfg.Catalog != "" {
		by.file = cfg.Path(cfg.Catalog)
	}
	for i, dir := range dirs {
		dc, err := server.EngineConfig(cfg, dir)
		if err != nil {
			return nil, err
		}
		cat, err := server.LoadCatalog(by.file, dir)
		if err != nil {
			return nil, err
		}
		switch {
		case i == 0:
			by.detect, by.catalog = dc, cat
		case dc.Fingerprint() != by.detect.Fingerprint():
			return nil, usagef("%s and %s keep different rules (%s): name a configuration whose rules all are judged by, with --config FILE", by.dir, dir, server.RulesName)
		case cat.Fingerprint() != by.catalog.Fingerprint():
			return nil, usagef("%s and %s keep different catalogs (%s): name the one that all are judged by, with --catalog FILE", by.dir, dir, server.CatalogName)
		}
	}
	return by, nil
}

// keep copies what all was judged by beside the joint ledger, so that later questions are asked with it.
func (by *judgedBy) keep(dir string) error {
	kept := func(named, name string) string {
		if named != "" {
			return named
		}
		file := filepath.Join(by.dir, name)
		if _, err := os.Stat(file); err != nil {
			return "" // what comes with whosaw
		}
		return file
	}
	if file := kept(by.file, server.CatalogName); file != "" {
		if err := server.KeepCatalog(file, dir); err != nil {
			return err
		}
	}
	if path := kept(by.rules, server.RulesName); path != "" {
		return server.KeepRules(path, dir)
	}
	return nil
}

// openSource opens a directory that is merged, and records there that it is.
func (m *Main) openSource(ctx context.Context, dir string, act whosaw.Record) (*ledger.Ledger, *ledger.View, error) {
	led, err := ledger.Open(ledger.Config{Dir: dir})
	switch {
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		if led, err = ledger.Open(ledger.Config{Dir: dir, ReadOnly: true}); err == nil {
			fmt.Fprintf(m.Stderr, "whosaw: %s cannot be written, so that it was merged is not on record there\n", report.Safe(dir))
		}
	case err == nil:
		if _, err = led.Append(ctx, []whosaw.Record{act}); err != nil {
			err = errors.Join(fmt.Errorf("record that %s is merged: %w", dir, err), led.Close())
		}
	}
	if err != nil {
		return nil, nil, err
	}
	view, err := led.View(0)
	if err != nil {
		return nil, nil, errors.Join(err, led.Close())
	}
	return led, view, nil
}

// writeMerged writes what a person decides by.
func (m *Main) writeMerged(a *joint.Answer, dir string) error {
	w := m.Stdout
	t := report.NewTable("", "records", "accesses", "from (UTC)", "to (UTC)", "findings")
	t.Right(1, 2, 5)
	for _, p := range a.Directories {
		t.Row(p.Name+" alone", figure.Int(p.Records), figure.Int(p.Accesses), clock(p.From), clock(p.To), figure.Int(int64(len(p.Findings))))
	}
	t.Row("together", figure.Int(a.Added), figure.Int(a.Accesses), "", "", figure.Int(int64(len(a.Findings))))
	if err := t.Write(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	m.mergedNotes(a)
	if len(a.Attacks) == 0 {
		fmt.Fprintln(w, "No finding in them together.")
	}
	for i := range a.Attacks {
		if err := m.writeAttack(i+1, &a.Attacks[i]); err != nil {
			return err
		}
	}
	if len(a.Alone) > 0 {
		fmt.Fprintln(w, "Findings of one alone about what all together do not accuse:")
		t := report.NewTable("by", "seen (UTC)", "detector", "unit", "finding", "says")
		for i := range a.Alone {
			x := &a.Alone[i]
			t.Row(x.Name, clock(&x.Finding.Seen), x.Finding.Detector, x.Finding.Unit, x.Finding.ID, x.Finding.Says)
		}
		if err := t.Write(w); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	if dir == "" {
		fmt.Fprintln(w, "Nothing was kept. With --data JOINT the joint ledger is, to ask it more.")
		return nil
	}
	fmt.Fprintf(w, "%s can be asked now: whosaw investigate, scope, subject, top, explain, serve.\n", report.Safe(dir))
	for i := range a.Attacks {
		if s := a.Attacks[i].Scope; s != nil {
			if flags, ok := filterArgs(s.Filter); ok {
				fmt.Fprintf(w, "  whosaw scope --data %s%s --list csv > affected.csv\n", quote(dir), report.Safe(flags))
				break
			}
		}
	}
	return nil
}

// mergedNotes says what the figures leave out.
func (m *Main) mergedNotes(a *joint.Answer) {
	w, any := m.Stdout, false
	say := func(n int64, one, many, says string) {
		if n > 0 {
			any = true
			fmt.Fprintf(w, "%s %s\n", figure.Of(n, one, many), says)
		}
	}
	say(a.Repeats, "record", "records", "came again, from another directory or an earlier merge: counted once")
	say(a.Conflicts, "record", "records", "not taken: another one with the same id, or the same source and position, says something else")
	left := int64(0)
	for _, p := range a.Directories {
		left += p.LeftOut
		say(p.Purged, "record", "records", "of "+report.Safe(p.Name)+" were removed by retention before: nothing here knows them")
	}
	say(left, "record of what an operator", "records of what operators", "did stay where they are")
	if a.Engines > 1 {
		any = true
		fmt.Fprintf(w, "%s judged by %s, which were merged\n", figure.Of(int64(a.Realms), "realm", "realms"), figure.Of(int64(a.Engines), "set of detectors", "sets of detectors"))
	}
	if any {
		fmt.Fprintln(w)
	}
}

// writeAttack writes who would have seen one attack when.
func (m *Main) writeAttack(n int, a *joint.Attack) error {
	w := m.Stdout
	says, all := "accuses no access", ""
	if a.Scope != nil {
		says = figure.Of(a.Scope.Accesses, "access", "accesses") + ", " + figure.Of(a.Scope.Subjects, "customer", "customers") + " disclosed"
		all = "all " + figure.Int(a.Scope.Subjects)
	}
	fmt.Fprintf(w, "Attack %d: %s\n", n, says)
	t := report.NewTable("seen by", "first (UTC)", "detector", "unit", "customers lost by then", "finding")
	t.Right(4)
	row := func(name string, s *joint.Sight) {
		if s.Seen == nil {
			t.Row(name, "never", "", "", all, "")
			return
		}
		lost := ""
		if s.Lost != nil {
			lost = figure.Int(*s.Lost)
		}
		t.Row(name, clock(s.Seen), s.Detector, s.Unit, lost, s.Finding)
	}
	row("together", &a.Joint)
	for i := range a.Alone {
		row(a.Alone[i].Name+" alone", &a.Alone[i])
	}
	if err := t.Write(w); err != nil {
		return err
	}
	if a.First() == nil {
		fmt.Fprintln(w, "None of them shows it alone.")
	}
	fmt.Fprintln(w)
	return nil
}
