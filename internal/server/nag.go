package server

import (
	"context"
	"time"

	"github.com/whosaw/whosaw/internal/alarm"
)

// nagEvery is how often overdue offboardings are looked for.
const nagEvery = time.Minute

// nag raises offboardings that are overdue, each once a day, and keeps the key set free of keys that a log says were revoked.
func (s *Server) nag(ctx context.Context) {
	tick := time.NewTicker(nagEvery)
	defer tick.Stop()
	for {
		if err := s.raiseOverdue(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("look for overdue offboardings", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) raiseOverdue(ctx context.Context) error {
	found, err := s.keys.Overdue(ctx)
	if err != nil || len(found) == 0 {
		return err
	}
	list := make([]alarm.Raised, len(found))
	for i := range found {
		list[i].Finding = found[i]
	}
	out, err := s.alarms.Raise(ctx, list...)
	if err == nil && out.New > 0 {
		s.log.Warn("offboardings are overdue", "new", out.New)
	}
	return err
}
