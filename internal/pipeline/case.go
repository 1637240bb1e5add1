package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Config says where a case is kept and how it is judged.
type Config struct {
	Dir     string // the data directory; "": a throwaway one, removed by Close
	TempDir string // where a throwaway directory is made; "": the system's
	Catalog *catalog.Catalog
	Detect  detect.Config
	Build   string // the version of the program: a state of the detectors of another one is not read
}

// Case is a ledger with the detectors that follow it. Not safe for concurrent use.
type Case struct {
	ledger   *ledger.Ledger
	index    *index.Store
	engine   *detect.Engine
	catalog  *catalog.Catalog
	findings []whosaw.Finding
	sighted  []whosaw.Finding // and the places to which they spread
	raised   []Raised
	cfg      Config
	judged   uint64 // sequence
	stored   uint64 // up to which a state was read or written
	remove   string // the throwaway directory
	watch    func(seq uint64, r *whosaw.Record)
	shares   *shares // nil: one engine judges all
	torn     bool    // the engines of shares could not be united: no state is written
}

// Open opens or makes the ledger and lets the detectors see what it holds already.
func Open(ctx context.Context, cfg Config) (*Case, error) {
	c := &Case{catalog: cfg.Catalog, cfg: cfg}
	c.engine = c.newEngine()
	lc := ledger.Config{Dir: cfg.Dir}
	if cfg.Dir == "" {
		dir, err := os.MkdirTemp(cfg.TempDir, "whosaw-")
		if err != nil {
			return nil, fmt.Errorf("make a directory for the ledger: %w", err)
		}
		c.remove = dir
		lc = ledger.Config{Dir: dir, Throwaway: true}
	}
	led, err := ledger.Open(lc)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.ledger, c.index = led, index.Attach(led, lc.Throwaway)
	if err := c.replay(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close gives the directory free; a throwaway one is removed.
func (c *Case) Close() error {
	var err error
	if c.ledger != nil && c.remove == "" && c.judged >= c.stored+caseSaves && !c.torn {
		// Without it the next look at the same ledger takes longer, no more.
		_, _ = save(context.Background(), filepath.Join(c.cfg.Dir, stateDir, caseState), c.ledger, c.judged,
			fingerprint(c.cfg.Detect, c.cfg.Catalog, c.cfg.Build), c.engine, &found{c.raised, c.sighted})
	}
	if c.engine != nil {
		err = c.engine.Close()
	}
	if c.ledger != nil {
		err = errors.Join(err, c.ledger.Close(), c.index.Close())
	}
	if c.remove != "" {
		err = errors.Join(err, os.RemoveAll(c.remove))
	}
	return err
}

// Ledger is the case's ledger.
func (c *Case) Ledger() *ledger.Ledger { return c.ledger }

func (c *Case) replay(ctx context.Context) error {
	view, err := c.ledger.View(0)
	if err != nil {
		return err
	}
	if view.Last() > 0 {
		c.resume(ctx, view)
		err = view.Records(ctx, c.judged+1, func(seq uint64, r *whosaw.Record) error {
			c.observe(seq, r)
			return nil
		})
	}
	return errors.Join(err, view.Close())
}

// caseSaves is how many records a case must have judged for its state to be written: a short log is judged as fast as read.
const caseSaves = 200_000

// newEngine gives an engine that has seen nothing.
func (c *Case) newEngine() *detect.Engine {
	e := detect.New(c.cfg.Detect, c.cfg.Catalog)
	if c.cfg.Dir != "" {
		e.KeepIssued(filepath.Join(c.cfg.Dir, stateDir, caseIssued))
	}
	return e
}

// resume starts the detectors from the state that reaches farthest, a case's or a server's, if one serves.
func (c *Case) resume(ctx context.Context, view *ledger.View) {
	if c.remove != "" || c.watch != nil {
		return
	}
	print := fingerprint(c.cfg.Detect, c.cfg.Catalog, c.cfg.Build)
	for _, name := range []string{liveState, caseState} {
		engine, known, seq, err := restore(ctx, filepath.Join(c.cfg.Dir, stateDir, name), view, print, c.newEngine)
		if err != nil {
			continue // a replay gives the same
		}
		if seq <= c.judged {
			_ = engine.Close() // it was only read from
			continue
		}
		_ = c.engine.Close()
		c.engine, c.judged, c.stored = engine, seq, seq
		c.raised, c.sighted, c.findings = known.raised, known.sighted, nil
		for i := range known.raised {
			c.findings = append(c.findings, known.raised[i].Finding)
		}
	}
}

func (c *Case) observe(seq uint64, r *whosaw.Record) {
	if c.watch != nil {
		c.watch(seq, r)
	}
	raised := c.engine.Observe(seq, r)
	c.judged = seq
	for i := range raised {
		c.raised = append(c.raised, Raised{seq, raised[i]})
	}
	c.findings = append(c.findings, raised...)
	c.sighted = append(append(c.sighted, raised...), spread(c.engine.Grown())...)
}

// Read is what an import read.
type Read struct {
	ingest.Summary
	Repeats   int64 // already in the ledger, not counted again
	Conflicts int64 // the same id or position with other content: not taken

	conflicts map[string]int64 // by source
	// FirstConflict is where the first of them was read.
	FirstConflict struct {
		Source   string
		Position int64
	}
	from, to int64
}

// Answer gives the counts of the contract.
func (r *Read) Answer() whosaw.ReadAnswer {
	a := whosaw.ReadAnswer{
		Lines:      r.Lines,
		Accepted:   r.Accepted - r.Repeats - r.Conflicts,
		Rejected:   r.Rejected + r.Conflicts,
		Duplicates: r.Repeats,
	}
	if r.to != 0 {
		from, to := whosaw.Time(r.from), whosaw.Time(r.to)
		a.From, a.To = &from, &to
	}
	return a
}

// Import reads the plan's logs into the ledger and lets the detectors see each accepted record. acknowledged,
// if not nil, is told after each sync how many lines of this import are safe, from one goroutine. When ctx ends or
// anything fails, what was acknowledged stays, and importing the same logs again completes it.
func (c *Case) Import(ctx context.Context, plan *ingest.Plan, opts ingest.Options, acknowledged func(lines int64)) (Read, error) {
	opts.Catalog = c.catalog
	im := newImporter(ctx, c, acknowledged)
	sum, err := ingest.Read(ctx, plan, opts, im.take)
	err = im.finish(err)
	im.read.Summary = sum
	if err != nil {
		return im.read, err
	}
	if err := c.recordRejects(ctx, &im.read, &opts); err != nil {
		return im.read, err
	}
	return im.read, nil
}

// SourceTotal says how many of all the lines of a source could not be taken, and from when to when it speaks, in milliseconds
// since 1970, 0 where nobody knows.
type SourceTotal struct {
	Source   string `json:"source"`
	Lines    int64  `json:"lines"`
	Rejected int64  `json:"rejected"`
	From     int64  `json:"from"`
	Until    int64  `json:"until"`
}

// Totals gives the totals of what was read, by source. The inputs of a source that was made from their content hold the same
// lines, so the largest counts; a source that the user named is all its files.
func (r *Read) Totals(named bool) []SourceTotal {
	totals := map[string]*SourceTotal{}
	paths := map[string]bool{}
	for i := range r.Inputs {
		in := &r.Inputs[i]
		if paths[in.Path] {
			continue
		}
		paths[in.Path] = true
		t := totals[in.Source]
		if t == nil {
			t = &SourceTotal{Source: in.Source}
			totals[in.Source] = t
		}
		if named {
			t.Lines += in.Lines
			t.Rejected += in.Rejected
		} else if in.Lines > t.Lines || in.Rejected > t.Rejected {
			t.Lines, t.Rejected = max(t.Lines, in.Lines), in.Rejected
		}
		if in.MinTime != 0 && (t.From == 0 || in.MinTime < t.From) {
			t.From = in.MinTime
		}
		t.Until = max(t.Until, in.MaxTime)
	}
	var out []SourceTotal
	for _, source := range slices.Sorted(maps.Keys(totals)) {
		t := totals[source]
		t.Rejected += r.conflicts[source]
		out = append(out, *t)
	}
	return out
}

// recordRejects writes into the ledger how many lines of each source could not be read, so that a scope asked later still
// says so. A source that once had rejects and now has none says that too.
func (c *Case) recordRejects(ctx context.Context, read *Read, opts *ingest.Options) error {
	acts, err := rejectActs(ctx, c.ledger, read.Totals(opts.Source != ""))
	if err != nil || len(acts) == 0 {
		return err
	}
	for i := range acts {
		acts[i].Time, acts[i].Source, acts[i].Position = opts.Now, "whosaw", opts.Now
	}
	if _, err := c.ledger.Append(ctx, acts); err != nil {
		return fmt.Errorf("record the rejected lines: %w", err)
	}
	return nil
}

// RecordRejects writes into the ledger what an import could not take.
func (l *Live) RecordRejects(ctx context.Context, totals []SourceTotal) error {
	acts, err := rejectActs(ctx, l.ledger, totals)
	if err != nil {
		return err
	}
	for _, act := range acts {
		if _, err := l.Write(ctx, act); err != nil {
			return fmt.Errorf("record the rejected lines: %w", err)
		}
	}
	return nil
}

// rejectActs gives the records that say totals; time, source and position are the caller's to set.
func rejectActs(ctx context.Context, led *ledger.Ledger, totals []SourceTotal) ([]whosaw.Record, error) {
	had, err := hadRejects(ctx, led)
	if err != nil {
		return nil, err
	}
	var acts []whosaw.Record
	for _, t := range totals {
		if t.Rejected == 0 && !had[t.Source] {
			continue
		}
		acts = append(acts, whosaw.Record{
			Type: whosaw.TypeAct, ID: fmt.Sprintf("rejected:%d of %d:%s", t.Rejected, t.Lines, t.Source),
			Ref: &whosaw.Reference{Kind: "rejected", Of: t.Source, Count: t.Rejected, From: t.From, Until: t.Until, Note: fmt.Sprintf("lines %d", t.Lines)},
		})
	}
	return acts, nil
}

// hadRejects gives the sources of which the ledger says that lines were rejected.
func hadRejects(ctx context.Context, led *ledger.Ledger) (map[string]bool, error) {
	view, err := led.View(0)
	if err != nil {
		return nil, err
	}
	had := map[string]bool{}
	err = view.References(ctx, func(_ uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeAct && r.Ref != nil && r.Ref.Kind == "rejected" {
			had[r.Ref.Of] = true
		}
		return nil
	})
	return had, errors.Join(err, view.Close())
}

// Suggest reads logs only to suggest a catalog.
func Suggest(ctx context.Context, logs []string, opts ingest.Options) (catalog.Suggestion, Read, error) {
	plan, err := ingest.NewPlan(ctx, logs, opts)
	if err != nil {
		return catalog.Suggestion{}, Read{}, err
	}
	suggester := catalog.NewSuggester()
	opts.Observe = suggester.Add
	sum, err := ingest.Read(ctx, plan, opts, nil)
	read := Read{Summary: sum, from: sum.MinTime, to: sum.MaxTime}
	if err = errors.Join(err, plan.Close()); err != nil {
		return catalog.Suggestion{}, read, err
	}
	return suggester.Suggestion(), read, nil
}
