package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/scope"
	"github.com/whosaw/whosaw/internal/server"
)

// investigateFlags are the flags of investigate.
type investigateFlags struct {
	in            inputFlags
	data, catalog string
	zone          string
	report        string
	json          bool
	failOnFinding bool
}

func (m *Main) investigateCommand() *cobra.Command {
	var f investigateFlags
	cmd := &cobra.Command{
		Use:   "investigate LOG…",
		Short: "Did somebody harvest customers? Since when, through what, and whose data did they see?",
		Long: `Reads access logs and answers: did somebody harvest customers' data, since when, through what, and exactly whose
data did they see. Where the logs cannot tell, it says so and how to mend that.

LOG is a file, a directory, or - for standard input: whosaw's record lines, Apache or nginx combined, JSON logs (nginx, Envoy,
Traefik, Caddy, or any other with --mapping), CloudTrail, audit logs of Vault and OpenBao; plain, gzip or zstd. The order of the files does not
matter. Without --data nothing is kept.`,
		Example: `  whosaw investigate /var/log/nginx/access.log*
  zcat old.gz | whosaw investigate -
  whosaw investigate --data ./case --report report.html LOG…
  whosaw investigate --json --fail-on-finding LOG…       for scripts: exit 3 if there is a finding`,
		Args: needLogs,
		RunE: run(func(cmd *cobra.Command, args []string) error { return m.investigate(cmd.Context(), args, &f) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "keep the ledger in this directory, to ask it more, or go on with it")
	flags.StringVar(&f.catalog, "catalog", "", "catalog file: which route shows which fields (default: a suggested one)")
	flags.BoolVar(&f.json, "json", false, "the answer as one JSON document")
	flags.StringVar(&f.report, "report", "", "also write the answer as one HTML page")
	flags.BoolVar(&f.failOnFinding, "fail-on-finding", false, "exit with 3 if there is a finding")
	addZone(flags, &f.zone)
	f.in.add(flags)
	return cmd
}

func (m *Main) investigate(ctx context.Context, logs []string, f *investigateFlags) error {
	zone, err := loadZone(f.zone)
	if err != nil {
		return err
	}
	if err := reportPlace(f.report); err != nil { // before an hour of reading, not after it
		return err
	}
	began := m.Now()
	study, err := m.study(ctx, logs, &f.in, f.catalog, f.data, zone)
	if err != nil {
		return err
	}
	result := &study.result
	result.Read.Seconds = m.Now().Sub(began).Round(time.Millisecond).Seconds()
	data := m.reportData(study, logs, f, zone)
	if f.report != "" {
		if err := writeReport(f.report, data); err != nil {
			return err
		}
	}
	if f.json {
		err = writeJSON(m.Stdout, result.Investigation)
	} else {
		err = report.WriteText(m.Stdout, data, m.textOptions(zone))
	}
	if err != nil {
		return err
	}
	m.notes(&study.read, f.in.mapping)
	for _, path := range study.short {
		fmt.Fprintf(m.Stderr, "whosaw: %s is shorter than 4 KiB: when it has grown, its lines count again unless it is read with --source NAME now and then\n", report.Safe(path))
	}
	if f.failOnFinding && len(result.Findings) > 0 {
		return errFinding
	}
	return nil
}

// notes says on standard error what a reader of the answer should know about the logs.
func (m *Main) notes(read *pipeline.Read, mapping string) {
	say := func(format string, args ...any) {
		fmt.Fprintf(m.Stderr, "whosaw: %s\n", report.Safe(fmt.Sprintf(format, args...)))
	}
	for _, note := range read.Notes {
		say("%s", note)
	}
	for _, p := range read.Problems {
		say("not read: %s", p)
	}
	for i := range read.Inputs {
		if in := &read.Inputs[i]; in.Note != "" {
			say("%s: %s", in.Path, in.Note)
		}
	}
	if mapping != "" && !slices.ContainsFunc(read.Inputs, func(in ingest.InputSummary) bool { return strings.HasPrefix(in.Format, ingest.FormatMapping) }) {
		say("the mapping %s fitted no log and was not used: none has the member it takes the time from", mapping)
	}
	if read.Unknown > 0 {
		say("%s with names that whosaw does not know were left out", figure.Of(read.Unknown, "member", "members"))
	}
	if read.Unkept > 0 {
		say("%s did not fit into the reject file; they are counted", figure.Of(read.Unkept, "rejected line", "rejected lines"))
	}
}

// importRejects is where a data directory keeps the lines that the last run could not read. rejects.jsonl is the server's.
const importRejects = "investigate-rejects.jsonl"

// study is logs read into a case, and the answer.
type study struct {
	read    pipeline.Read
	result  pipeline.Result
	catalog *catalog.Catalog
	short   []string // logs whose source will change when they grow
	safe    int64    // lines that a server has acknowledged
}

// shortLogs lists the logs under 4 KiB that go into a kept ledger: their source is made from the first 4 KiB, so it changes
// when they grow, and what is in them now would count again.
func shortLogs(plan *ingest.Plan, in *inputFlags, dir string) []string {
	if dir == "" || in.source != "" {
		return nil
	}
	var short []string
	for i := range plan.Inputs {
		if p := &plan.Inputs[i]; p.Size >= 0 && p.Size < 4096 && p.Compression == "" {
			short = append(short, p.Path)
		}
	}
	return short
}

// study reads logs into the data directory (or a throwaway one) and investigates.
func (m *Main) study(ctx context.Context, logs []string, in *inputFlags, catalogFile, dir string, zone *time.Location) (_ *study, err error) {
	opts, err := m.options(in)
	if err != nil {
		return nil, err
	}
	cat, err := server.LoadCatalog(catalogFile, dir)
	if err != nil {
		return nil, err
	}
	opts.Catalog = cat
	if dir != "" && in.rejects == "" {
		in.rejects = filepath.Join(dir, importRejects)
		opts.RejectFile = in.rejects
	}
	plan, err := ingest.NewPlan(ctx, logs, opts)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plan.Close()) }()
	bar := m.newProgress(in.quiet)
	defer bar.clear()
	if bar != nil {
		opts.Progress = bar.update
	}
	if dir != "" {
		r, err := dial(ctx, dir)
		if err != nil {
			return nil, err
		}
		if r != nil {
			defer r.close()
			if catalogFile != "" {
				return nil, usagef("a server runs on %s and reads with its own catalog: leave out --catalog, or name that one in its whosaw.yaml", dir)
			}
			s := &study{catalog: cat, short: shortLogs(plan, in, dir)}
			r.zone = zone.String()
			if err := r.study(ctx, plan, opts, s, bar); err != nil {
				bar.clear()
				return nil, m.stopped(ctx, err, dir, s.safe)
			}
			return s, nil
		}
	}
	dc, err := server.EngineConfig(config.Default(), dir)
	if err != nil {
		return nil, err
	}
	c, err := pipeline.Open(ctx, pipeline.Config{Dir: dir, TempDir: opts.TempDir, Catalog: cat, Detect: dc, Build: version()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if catalogFile != "" && dir != "" {
		if err := server.KeepCatalog(catalogFile, dir); err != nil {
			return nil, err
		}
	}
	s := &study{catalog: cat, short: shortLogs(plan, in, dir)}
	var safe int64
	s.read, err = c.Import(ctx, plan, opts, func(lines int64) {
		safe = lines
		if m.acknowledged != nil {
			m.acknowledged(lines)
		}
	})
	if err != nil {
		bar.clear()
		return nil, m.stopped(ctx, err, dir, safe)
	}
	bar.note("counting …")
	if s.result, err = c.Investigate(ctx, scope.Config{Zone: zone}); err != nil {
		bar.clear()
		return nil, m.stopped(ctx, err, dir, safe)
	}
	s.result.Read = s.read.Answer()
	return s, nil
}

// stopped says what an interrupted run leaves and how to go on; other errors pass.
func (m *Main) stopped(ctx context.Context, err error, dir string, safe int64) error {
	if ctx.Err() == nil {
		if dir != "" {
			return fmt.Errorf("%w; what was acknowledged before (%s lines) is kept in %s: the same command goes on from there", err, figure.Int(safe), dir)
		}
		return err
	}
	if dir == "" {
		fmt.Fprintln(m.Stderr, "whosaw: stopped; nothing is kept. With --data DIR a stopped run can be continued.")
	} else {
		fmt.Fprintf(m.Stderr, "whosaw: stopped; %s lines of this run are safe in %s. The same command goes on from there, and nothing is counted twice.\n",
			figure.Int(safe), report.Safe(dir))
	}
	return errInterrupted
}

// reportPlace fails where no page could be written.
func reportPlace(name string) error {
	if name == "" {
		return nil
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return usagef("--report %s is a directory: name a file, as %s", name, filepath.Join(name, "report.html"))
	}
	dir := filepath.Dir(name)
	if info, err := os.Stat(dir); err == nil && !info.IsDir() || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return usagef("--report %s: there is no directory %s: make it, or name another", name, dir)
	}
	return nil
}

// writeReport writes the page. A name that is no plain file (a device, a pipe) is written to directly.
func writeReport(name string, data report.Data) error {
	var page bytes.Buffer
	if err := report.WriteHTML(&page, data); err != nil {
		return err
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		if err := os.WriteFile(name, page.Bytes(), 0o600); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		return nil
	}
	if err := server.WriteWhole(name, page.Bytes()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// reportData arranges the answer for a person.
func (m *Main) reportData(s *study, logs []string, f *investigateFlags, zone *time.Location) report.Data {
	d := report.Data{
		Made: m.Now(), Version: version(), Zone: zone, Sources: logs, Read: s.result.Read,
		Catalog: s.catalog.Name(), Suggested: s.catalog.Suggested() && s.result.Doctor.Shares["fields"].Count < s.result.Doctor.Accesses, Ledger: f.data,
		Findings: s.result.Findings, Doctor: s.result.Doctor,
	}
	if s.read.Rejected > 0 {
		d.RejectFile = f.in.rejects
	}
	for _, r := range s.read.Rejects {
		d.Rejects = append(d.Rejects, report.Reject{Source: r.First.File, Line: r.First.Line, Reason: rejectReason(&r)})
	}
	if s.read.Conflicts > 0 {
		first := s.read.FirstConflict
		d.Rejects = append(d.Rejects, report.Reject{
			Source: fmt.Sprintf("source %s, byte %d", first.Source, first.Position),
			Reason: fmt.Sprintf("the same id or position as an earlier record, with other content (%s); the earlier one is kept. A log that is read with another catalog or mapping than before needs a new data directory", figure.Of(s.read.Conflicts, "time", "times")),
		})
	}
	all := drawn(&s.result.All)
	d.All = &all
	for i := range s.result.Scopes {
		d.Scopes = append(d.Scopes, drawn(&s.result.Scopes[i]))
	}
	d.Next = next(s, logs, f)
	return d
}

// rejectReason says why, how often, and the cure.
func rejectReason(r *ingest.RejectCount) string {
	text := r.Reason
	if r.Count > 1 {
		text += " (first of " + figure.Int(r.Count) + ")"
	}
	if r.Hint != "" {
		text += "; " + r.Hint
	}
	return text
}

func drawn(p *pipeline.Picture) report.Scope {
	s := report.Scope{Answer: p.Scope, Absent: p.Absent, Timeline: report.Timeline{Step: p.Step}}
	for _, b := range p.Timeline {
		s.Timeline.Buckets = append(s.Timeline.Buckets, report.Bucket{At: int64(b.Time), N: b.New})
	}
	for _, t := range p.Tops {
		s.Tops = append(s.Tops, report.Top{By: t.By, Rows: t.Rows})
	}
	return s
}

// next lists the commands that a colleague would try now.
func next(s *study, logs []string, f *investigateFlags) []report.Command {
	var out []report.Command
	add := func(says, line string) { out = append(out, report.Command{Says: says, Line: line}) }
	how := f.reading() + " " + quoteAll(logs)
	dir := f.data
	if dir == "" {
		dir = "./case"
		add("keep the ledger, to ask it more", "whosaw investigate --data ./case"+how)
	} else {
		how = " --data " + quote(dir) + how
	}
	for i := range s.result.Scopes {
		flags, ok := filterArgs(s.result.Scopes[i].Scope.Filter)
		if !ok {
			continue
		}
		add("the list of people to tell", "whosaw scope --data "+quote(dir)+flags+" --list csv > affected.csv")
		break
	}
	if len(s.result.Findings) > 0 && f.data != "" {
		add("what raised the first finding, step by step", "whosaw explain "+s.result.Findings[0].ID+" --data "+quote(dir))
	}
	if len(s.result.Scopes) == 0 && s.result.All.Scope.Disclosures > 0 {
		add("who saw most", "whosaw top --data "+quote(dir)+" --by ip")
	}
	if s.catalog.Suggested() {
		add("say which page shows what", "whosaw catalog suggest"+f.in.reading()+" "+quoteAll(logs)+" > catalog.yaml")
	}
	if f.report == "" {
		add("the same as a page", "whosaw investigate --report report.html"+how)
	}
	if len(s.result.Doctor.Add) > 0 {
		add("the log lines to add (also: envoy, spring, express)", s.result.Doctor.Add[0].Setup)
	}
	return out
}

// reading writes the flags that say how the logs were read, so that the commands offered read them alike.
func (f *investigateFlags) reading() string {
	text := f.in.reading()
	if f.catalog != "" {
		text = " --catalog " + quote(f.catalog) + text
	}
	if f.zone != "UTC" {
		text += " --zone " + quote(f.zone)
	}
	return text
}

func (in *inputFlags) reading() string {
	var b strings.Builder
	for _, flag := range []struct{ name, value string }{{"format", in.format}, {"mapping", in.mapping}, {"source", in.source}} {
		if flag.value != "" {
			b.WriteString(" --" + flag.name + " " + quote(flag.value))
		}
	}
	return b.String()
}

func quoteAll(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = quote(a)
	}
	if len(out) > 4 {
		return strings.Join(out[:3], " ") + " …"
	}
	return strings.Join(out, " ")
}

// quote writes an argument the way a shell takes it.
func quote(s string) string {
	plain := func(r rune) bool {
		return r == '-' || r == '_' || r == '.' || r == '/' || r == ':' || r == '+' || r == '@' || r == '%' || r == '=' || r == ',' ||
			'0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
