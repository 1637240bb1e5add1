package server

import (
	"context"
	"time"

	"github.com/whosaw/whosaw/internal/pipeline"
)

// attendEvery is how often deadlines are looked at, and findings that have no incident yet.
const attendEvery = time.Minute

// raised has what was just raised looked at.
func (s *Server) raised(raise func(context.Context, []pipeline.Raised) error) func(context.Context, []pipeline.Raised) error {
	return func(ctx context.Context, list []pipeline.Raised) error {
		err := raise(ctx, list)
		if err == nil {
			s.look()
		}
		return err
	}
}

// look has incidents attended to now.
func (s *Server) look() {
	select {
	case s.changed <- struct{}{}:
	default: // it is known already
	}
}

// attend opens incidents for findings and has people told of deadlines, until ctx ends. What fails is tried again a minute later.
func (s *Server) attend(ctx context.Context) {
	tick := time.NewTicker(attendEvery)
	defer tick.Stop()
	for {
		if err := s.api.Attend(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("a finding has no incident yet", "error", err)
		}
		if err := s.api.Deadlines(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("deadlines are not told", "error", err)
		}
		select {
		case <-tick.C:
		case <-s.changed:
		case <-ctx.Done():
			return
		}
	}
}
