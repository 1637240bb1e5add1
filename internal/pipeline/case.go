package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/ledger"
)

// Config says where a case is kept and how it is judged.
type Config struct {
	Dir     string // the data directory; "": a throwaway one, removed by Close
	TempDir string // where a throwaway directory is made; "": the system's
	Catalog *catalog.Catalog
	Detect  detect.Config
}

// Case is a ledger with the detectors that follow it. Not safe for concurrent use.
type Case struct {
	ledger   *ledger.Ledger
	engine   *detect.Engine
	catalog  *catalog.Catalog
	findings []whosaw.Finding
	remove   string // the throwaway directory
	watch    func(seq uint64, r *whosaw.Record)
}

// Open opens or makes the ledger and lets the detectors see what it holds already.
func Open(ctx context.Context, cfg Config) (*Case, error) {
	c := &Case{catalog: cfg.Catalog, engine: detect.New(cfg.Detect, cfg.Catalog)}
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
	c.ledger = led
	if err := c.replay(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close gives the directory free; a throwaway one is removed.
func (c *Case) Close() error {
	var err error
	if c.ledger != nil {
		err = c.ledger.Close()
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
		err = view.Records(ctx, 1, func(seq uint64, r *whosaw.Record) error {
			c.observe(seq, r)
			return nil
		})
	}
	return errors.Join(err, view.Close())
}

func (c *Case) observe(seq uint64, r *whosaw.Record) {
	if c.watch != nil {
		c.watch(seq, r)
	}
	c.findings = append(c.findings, c.engine.Observe(seq, r)...)
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

// recordRejects writes into the ledger how many lines of each source could not be read, so that a scope
// asked later still says so. A source that once had rejects and now has none says that too. The inputs of a source that was
// made from their content hold the same lines, so the largest counts; a source that the user named is all its files.
func (c *Case) recordRejects(ctx context.Context, read *Read, opts *ingest.Options) error {
	type total struct {
		lines, rejected, from, until int64
	}
	totals := map[string]*total{}
	paths := map[string]bool{}
	var sources []string
	for i := range read.Inputs {
		in := &read.Inputs[i]
		if paths[in.Path] {
			continue
		}
		paths[in.Path] = true
		t := totals[in.Source]
		if t == nil {
			t = &total{}
			totals[in.Source] = t
			sources = append(sources, in.Source)
		}
		if opts.Source != "" {
			t.lines += in.Lines
			t.rejected += in.Rejected
		} else if in.Lines > t.lines || in.Rejected > t.rejected {
			t.lines, t.rejected = max(t.lines, in.Lines), in.Rejected
		}
		if in.MinTime != 0 && (t.from == 0 || in.MinTime < t.from) {
			t.from = in.MinTime
		}
		t.until = max(t.until, in.MaxTime)
	}
	had, err := c.hadRejects(ctx)
	if err != nil {
		return err
	}
	slices.Sort(sources)
	var acts []whosaw.Record
	for _, source := range sources {
		t := totals[source]
		n := t.rejected + read.conflicts[source]
		if n == 0 && !had[source] {
			continue
		}
		act := RejectedAct(source, n, t.lines, t.from, t.until)
		act.Time, act.Source, act.Position = opts.Now, "whosaw", opts.Now
		acts = append(acts, act)
	}
	if len(acts) == 0 {
		return nil
	}
	if _, err := c.ledger.Append(ctx, acts); err != nil {
		return fmt.Errorf("record the rejected lines: %w", err)
	}
	return nil
}

// RejectedAct is the record that says how many of all the lines of a source were rejected, in milliseconds from when to when the
// source speaks. Time, source and position are the caller's to set, or [Live.Write]'s.
func RejectedAct(source string, rejected, lines, from, until int64) whosaw.Record {
	return whosaw.Record{
		Type: whosaw.TypeAct, ID: fmt.Sprintf("rejected:%d of %d:%s", rejected, lines, source),
		Ref: &whosaw.Reference{Kind: "rejected", Of: source, Count: rejected, From: from, Until: until, Note: fmt.Sprintf("lines %d", lines)},
	}
}

// hadRejects gives the sources of which the ledger says that lines were rejected.
func (c *Case) hadRejects(ctx context.Context) (map[string]bool, error) {
	view, err := c.ledger.View(0)
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
