package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/whosaw/whosaw/internal/drill"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/server"
)

// drillOnto weaves an attack into the user's own records.
func (m *Main) drillOnto(ctx context.Context, logs []string, f *drillFlags) (err error) {
	if !slices.Contains(drill.Weaves(), f.scenario) {
		return usagef("--onto --scenario %s: what can be woven into your own records are %s", f.scenario, strings.Join(drill.Weaves(), ", "))
	}
	share := 0
	if f.share != "" {
		if share, err = perMillion(f.share); err != nil {
			return usagef("--share %s: %v", f.share, err)
		}
	}
	opts, err := m.options(&f.in)
	if err != nil {
		return err
	}
	cat, err := server.LoadCatalog(f.catalog, "")
	if err != nil {
		return err
	}
	opts.Catalog = cat
	plan, err := ingest.NewPlan(ctx, logs, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plan.Close()) }()
	bar := m.newProgress(f.in.quiet)
	defer bar.clear()
	if bar != nil {
		opts.Progress = bar.update
	}
	c, err := pipeline.Open(ctx, pipeline.Config{TempDir: opts.TempDir, Catalog: cat})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	read, err := c.Import(ctx, plan, opts, nil)
	if err != nil {
		return m.drillStopped(ctx, bar, err)
	}
	cfg := drill.OntoConfig{Scenario: f.scenario, Seed: f.seed, Share: share, Catalog: cat, TempDir: opts.TempDir}
	if bar != nil {
		began := m.Now()
		cfg.Progress = func(pass, of int, done float64) { bar.steps("drill", pass, of, began)(done) }
	}
	answer, err := drill.Onto(ctx, c, cfg)
	if err != nil {
		return m.drillStopped(ctx, bar, err)
	}
	bar.clear()
	if f.json {
		err = writeJSON(m.Stdout, answer)
	} else {
		err = answer.WriteText(m.Stdout, logs, m.textOptions(nil))
	}
	if err != nil {
		return err
	}
	m.notes(&read, f.in.mapping)
	if read.Rejected > 0 {
		fmt.Fprintf(m.Stderr, "whosaw: %d lines could not be read; whosaw doctor says why\n", read.Rejected)
	}
	return nil
}

// drillStopped says what an interrupted drill leaves: nothing. Other errors pass.
func (m *Main) drillStopped(ctx context.Context, bar *progress, err error) error {
	if ctx.Err() == nil {
		return err
	}
	bar.clear()
	fmt.Fprintln(m.Stderr, "whosaw: stopped; a drill keeps nothing, so the next one begins anew.")
	return errInterrupted
}
