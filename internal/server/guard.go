package server

import (
	"context"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/door"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// openGuard makes the guard and ties it to the ledger that is about to run: it hears of every record before the record's sender does, and of
// findings and verdicts after they are kept.
func (s *Server) openGuard(ctx context.Context, lc *pipeline.LiveConfig) error {
	if s.own.Quiet {
		return nil
	}
	policy, err := WithActions(s.cfg.Guard, lc.Detect.Rules)
	if err != nil || policy.Mode == guard.ModeOff {
		return err
	}
	s.guard, err = guard.New(ctx, guard.Options{
		Config: policy, Catalog: lc.Catalog, DB: s.db, Path: s.cfg.Path, Logger: s.log, Now: s.now,
		Write: func(ctx context.Context, records []whosaw.Record) (uint64, error) {
			return s.live.WriteAll(ctx, records)
		},
		Health: func() error {
			if err := s.live.Ledger().Failed(); err != nil {
				return err
			}
			return s.live.Full()
		},
		Alarm: func(ctx context.Context, title, says string) error { return s.alarms.Tell(ctx, "guard", title, says) },
	})
	if err != nil {
		return err
	}
	lc.Appended = api.Appended(s.guard)
	lc.Raise = api.RaiseToo(s.guard, lc.Raise)
	lc.Grow = api.GrowToo(s.guard, lc.Grow)
	lc.Verdict = api.VerdictToo(s.guard, lc.Verdict)
	s.doors, err = door.Open(s.cfg.Guard.Doors, s.guard, s.log)
	return err
}

// runGuard runs the guard and its doors. The doors end with ctx; stop waits for them, and then ends the guard: what is asked until the last
// moment is judged and recorded.
func (s *Server) runGuard(ctx context.Context, running *sync.WaitGroup, failed chan<- error) (stop func()) {
	if s.guard == nil {
		return func() {}
	}
	judging, end := context.WithCancel(context.WithoutCancel(ctx))
	var doors sync.WaitGroup
	running.Go(func() { s.guard.Run(judging) })
	running.Go(func() { api.LoadGuard(ctx, s.guard, s.live.Ledger(), s.now, s.log) })
	doors.Go(func() {
		if err := s.doors.Run(ctx); err != nil {
			failed <- err
		}
	})
	return func() {
		doors.Wait()
		end()
	}
}
