package server

import (
	"context"
	"fmt"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/ledger"
)

// keyGuard is the guard as the register of keys needs it.
type keyGuard struct {
	guard *guard.Guard
	now   func() time.Time
}

func (g keyGuard) Try(ctx context.Context, p keys.Probe) (keys.Answer, error) {
	d, err := g.guard.Try(ctx, guard.Identity{Realm: p.Realm, Key: p.Key, Credential: p.Credential, Principal: p.Principal})
	if err != nil {
		return keys.Answer{}, err
	}
	because := string(d.Because())
	switch {
	case d.Shadow:
		because = "shadow mode on route " + d.Route + " (it would be " + d.Would.String() + ")"
	case d.Action != guard.Deny:
		because += ", " + d.Action.String() + " on route " + d.Route
	}
	return keys.Answer{Refused: d.Action == guard.Deny, Because: because}, nil
}

func (g keyGuard) Deny(ctx context.Context, f whosaw.Filter, until time.Time, reason, who string) (string, error) {
	s, err := g.guard.Book().Add(ctx, guard.Standing{Action: guard.Deny, Filter: f, Reason: reason, Who: who}, until.Sub(g.now()))
	if err != nil {
		return "", fmt.Errorf("make the guard's decision: %w", err)
	}
	return s.ID, nil
}

// openKeys opens the register of keys, with the guard where one runs.
func (s *Server) openKeys() {
	cfg := keys.Config{DB: s.db, View: func() (*ledger.View, error) { return s.live.Ledger().View(0) }, Write: s.live.State, Now: s.now, Within: time.Duration(s.cfg.Offboarding)}
	if s.guard != nil {
		cfg.Guard = keyGuard{s.guard, s.now}
	}
	s.keys = keys.New(cfg)
}
