package guard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

// Ledger is what the state is loaded from. [ledger.View] is one.
type Ledger interface {
	// References calls fn with each record that is not an access, in sequence order.
	References(ctx context.Context, fn func(seq uint64, r *whosaw.Record) error) error
	// Records calls fn with each record from a sequence on, in sequence order.
	Records(ctx context.Context, from uint64, fn func(seq uint64, r *whosaw.Record) error) error
}

// Load takes what is in the ledger. Until it returns nil the guard is not ready. What is appended meanwhile is handed to
// [Guard.Apply]; what comes both ways counts once. since is a sequence from which on accesses count for budgets.
func (g *Guard) Load(ctx context.Context, view Ledger, since uint64) error {
	began := g.now()
	g.state.Age(began.UnixMilli())
	found := map[string]*recalled{}
	batch := make([]whosaw.Record, 0, batchLock)
	sequences := make([]uint64, 0, batchLock)
	give := func() {
		g.state.Apply(batch, func(i int) Place { return Place{Sequence: sequences[i]} })
		batch, sequences = batch[:0], sequences[:0]
	}
	err := view.References(ctx, func(seq uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeDecision {
			g.remember(seq, r, found)
			return nil
		}
		batch, sequences = append(batch, *r), append(sequences, seq)
		if len(batch) == batchLock {
			give()
		}
		return nil
	})
	give()
	if err == nil && g.budgets.any() {
		err = view.Records(ctx, since, func(_ uint64, r *whosaw.Record) error {
			g.shown(r)
			return nil
		})
	}
	if err == nil {
		err = g.book.recall(ctx, found)
	}
	if err != nil {
		return fmt.Errorf("load the guard's state: %w", err)
	}
	g.state.Loaded()
	g.log.Info("the guard is ready", "mode", string(g.cfg.Mode), "doors", len(g.cfg.Doors), "decisions", len(g.book.Holding()), "seconds", g.now().Sub(began).Seconds())
	return nil
}

// remember takes a decision record of before the start.
func (g *Guard) remember(seq uint64, r *whosaw.Record, found map[string]*recalled) {
	if r.Ref == nil {
		return
	}
	switch r.Ref.Use {
	case useStanding:
		x := found[r.Ref.Of]
		if x == nil {
			x = &recalled{}
			found[r.Ref.Of] = x
		}
		if r.Ref.Kind == kindUndo {
			x.undone = true
			return
		}
		kept := r.Clone()
		x.made, x.sequence = &kept, seq
	case string(SchemeJWT), string(SchemeOpaque), string(SchemeSession):
		if r.Ref.Of != string(CodeUnconfirmed) {
			return
		}
		kept := r.Clone()
		key := kept.Key
		if kept.Ref.Use == string(SchemeSession) {
			key = sessionKey
		}
		g.pending.restore(Identity{
			Scheme: Scheme(kept.Ref.Use), Credential: kept.Credential, Key: key, Client: kept.Client, Principal: kept.Principal, Realm: kept.Realm,
		}, time.UnixMilli(kept.Time), g.now())
	}
}

// Apply takes records as they are acknowledged. When it returns, decisions know them.
func (g *Guard) Apply(records []whosaw.Record, place func(i int) Place) {
	g.state.Apply(records, place)
	if !g.budgets.any() {
		return
	}
	for i := range records {
		if records[i].Type == whosaw.TypeAccess && place(i).Sequence != 0 {
			g.shown(&records[i])
		}
	}
}

// shown counts what an access showed against the budget of its actor.
func (g *Guard) shown(r *whosaw.Record) {
	if r.Type != whosaw.TypeAccess {
		return
	}
	id := Identity{Realm: r.Realm, Principal: r.Principal, Client: r.Client, Key: r.Key, Credential: r.Credential}
	capped := false
	for i := range g.budgets.list {
		_, ok := g.budgets.list[i].caps(&id)
		capped = capped || ok
	}
	if !capped {
		return
	}
	var rt *catalog.Route
	if v := g.catalog.At(r.Time); v != nil {
		rt = v.Route(r.Route)
	}
	subjects := r.Subjects
	if len(subjects) == 0 && rt != nil {
		if s, ok := rt.Join.Claimed(r.Principal); ok {
			subjects = []string{s}
		}
	}
	if catalog.Show(rt, r.Fields, r.Masked, r.Status, r.Outcome, r.Others, len(subjects) > 0).Outcome != whosaw.OutcomeDisclosed {
		return
	}
	g.state.mu.RLock()
	id.Issued = g.state.ref.Issued(r.Realm, r.Credential, r.Key, r.Principal)
	g.state.mu.RUnlock()
	var open []string
	for _, s := range subjects {
		if !g.state.explainedNear(&id, s, r.Time) {
			open = append(open, s)
		}
	}
	if len(open) > 0 {
		id.Principal = strings.Clone(id.Principal)
		g.budgets.see(&id, open, time.UnixMilli(r.Time), g.now())
	}
}

// ErrNotReady says that the guard is loading, or that its ledger is gone.
var ErrNotReady = errors.New("the guard cannot judge")

// Ready reports whether requests are judged, and why not.
func (g *Guard) Ready() error {
	if _, err := g.state.Sound(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotReady, err)
	}
	return nil
}

// Status is what the guard says of itself.
type Status struct {
	Mode        Mode         `json:"mode"`
	Configured  Mode         `json:"configured"` // the mode at the next start
	Ready       bool         `json:"ready"`
	Trouble     []string     `json:"trouble"` // what keeps it from judging, or from judging well
	Doors       []DoorStatus `json:"doors"`
	Decisions   int          `json:"decisions"` // that hold
	Counts      []Count      `json:"counts"`    // since the start
	Issued      int          `json:"issued"`    // issuances held
	Unconfirmed int          `json:"unconfirmed"`
	Tokens      int          `json:"tokens"`  // remembered
	Hits        uint64       `json:"hits"`    // tokens that were remembered, since the start
	Waiting     int          `json:"waiting"` // requests, for an issuance
	Crowded     int64        `json:"crowded"`
	Ambiguous   int64        `json:"ambiguous"` // requests that could be read as another route too, since the start
	Lost        int64        `json:"lost"`      // decisions that are in no record
}

// DoorStatus is a door and what it can enforce.
type DoorStatus struct {
	Name string   `json:"name"`
	Kind Kind     `json:"kind"`
	Can  []string `json:"can"`
}

// Status says how the guard is.
func (g *Guard) Status() Status {
	s := Status{Mode: g.Mode(), Configured: g.cfg.Mode, Ready: true, Trouble: g.tokens.trouble(), Counts: g.Counts(), Decisions: len(g.book.Holding()),
		Issued: g.state.Issuances(), Unconfirmed: g.pending.count(), Waiting: g.state.waiting.count(), Crowded: g.count.crowded.Load(), Ambiguous: g.count.ambiguous.Load(), Lost: g.record.lost.Load(), Doors: []DoorStatus{}}
	s.Tokens, s.Hits = g.tokens.cache.size()
	if err := g.Ready(); err != nil {
		s.Ready = false
		s.Trouble = append(s.Trouble, err.Error())
	}
	if s.Trouble == nil {
		s.Trouble = []string{}
	}
	for i := range g.cfg.Doors {
		d := DoorStatus{Name: g.cfg.Doors[i].Name, Kind: g.cfg.Doors[i].Kind}
		for _, c := range Controls() {
			if d.Kind.Can().Has(c) {
				d.Can = append(d.Can, c.String())
			}
		}
		s.Doors = append(s.Doors, d)
	}
	return s
}
