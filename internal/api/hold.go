package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/retention"
)

// HoldSpec is a hold to be set.
type HoldSpec struct {
	From   whosaw.Time `json:"from,omitzero"`
	To     whosaw.Time `json:"to,omitzero"`
	Reason string      `json:"reason"`
}

// maxHoldReason bounds what people write, in bytes.
const maxHoldReason = 4000

// keeper acts on the ledger in the name of whoever asks.
func keeper(live *pipeline.Live, who string, now func() time.Time) *retention.Keeper {
	return &retention.Keeper{
		Ledger: live.Ledger(), Index: live.Index(), Who: who, Now: now,
		Act: func(ctx context.Context, who string, act whosaw.Reference) error {
			_, err := live.Write(ctx, whosaw.Record{Type: whosaw.TypeAct, Principal: who, Ref: &act})
			return err
		},
	}
}

func (a *API) getHolds(w http.ResponseWriter, _ *http.Request) error {
	holds := a.cfg.Live.Ledger().Holds()
	out := make([]retention.Hold, len(holds))
	for i := range holds {
		out[i] = retention.HoldOf(&holds[i])
	}
	writeJSON(w, http.StatusOK, map[string]any{"holds": out})
	return nil
}

func (a *API) postHold(w http.ResponseWriter, r *http.Request) error {
	var in HoldSpec
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	switch {
	case in.Reason == "" || len(in.Reason) > maxHoldReason:
		return invalid("name the case or the order, in at most 4000 bytes, without personal data", "reason: there is none, or it is too long")
	case in.To != 0 && in.To <= in.From:
		return invalid("give a later end, or leave it out", "to: the end is not after the beginning")
	}
	h, err := keeper(a.cfg.Live, whoOf(r).Name, a.cfg.Now).Hold(r.Context(), int64(in.From), int64(in.To), in.Reason)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, retention.HoldOf(&h))
	return nil
}

func (a *API) postRelease(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Reason string `json:"reason"`
	}
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if in.Reason == "" || len(in.Reason) > maxHoldReason {
		return invalid("say in at most 4000 bytes why it may go", "reason: there is none, or it is too long")
	}
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		return invalid("give its number", "there is no such hold")
	}
	h, err := keeper(a.cfg.Live, whoOf(r).Name, a.cfg.Now).Release(r.Context(), id, in.Reason)
	if errors.Is(err, ledger.ErrNoHold) {
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: err.Error()}
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, retention.HoldOf(&h))
	return nil
}

// RemovalSpec asks for retention.
type RemovalSpec struct {
	Days  int  `json:"days"` // what is older, by event time
	Apply bool `json:"apply"`
}

func (a *API) postRetention(w http.ResponseWriter, r *http.Request) error {
	var in RemovalSpec
	var err error
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if in.Days < 1 || in.Days > 36_500 {
		return invalid("give 1 to 36500", "days: out of range")
	}
	before := a.cfg.Now().Add(-time.Duration(in.Days) * 24 * time.Hour).UnixMilli()
	out := RemovalAnswer{}
	if out.Removal, err = keeper(a.cfg.Live, whoOf(r).Name, a.cfg.Now).Retain(r.Context(), before, in.Apply); err != nil {
		return err
	}
	holds := HoldsInForce(a.cfg.Live.Ledger())
	if out.Lists, err = a.cfg.Incidents.Book.Retain(r.Context(), whoOf(r).Name, time.UnixMilli(before), holds, in.Apply); err != nil {
		return err
	}
	if a.cfg.Notices != nil {
		if out.Rosters, err = a.cfg.Notices.Retain(r.Context(), whoOf(r).Name, time.UnixMilli(before), holds, in.Apply); err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// RemovalAnswer is what retention removed, or would.
type RemovalAnswer struct {
	retention.Removal
	Lists   []incident.ListRemoval `json:"lists"`   // of scope versions, those that stay too
	Rosters []notice.RosterRemoval `json:"rosters"` // who was told by notices, those that stay too
}

// HoldsInForce gives the numbers of the legal holds that nobody has released.
func HoldsInForce(led *ledger.Ledger) []uint64 {
	var out []uint64
	for _, h := range led.Holds() {
		if h := retention.HoldOf(&h); h.Released == nil {
			out = append(out, h.ID)
		}
	}
	return out
}
