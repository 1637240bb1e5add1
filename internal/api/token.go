package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/auth"
)

// TokenSpec is a token to be made.
type TokenSpec struct {
	Name    string    `json:"name"`
	Role    auth.Role `json:"role"` // ingest (also when missing), send, door, read, admin, lookup
	Sources []string  `json:"sources,omitempty"`
	Types   []string  `json:"types,omitempty"`
	Days    int       `json:"days,omitempty"` // until it expires; missing: never
}

// NewToken is a token and its secret, which is shown this once.
type NewToken struct {
	auth.Token
	Secret string `json:"secret"`
}

func (a *API) getTokens(w http.ResponseWriter, r *http.Request) error {
	list, err := a.cfg.Auth.Tokens(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"tokens": list})
	return nil
}

func (a *API) postToken(w http.ResponseWriter, r *http.Request) error {
	var in TokenSpec
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	made, err := a.MakeToken(r.Context(), whoOf(r), in)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, made)
	return nil
}

// MakeToken makes a token in the name of whoever asks, and says so in the ledger.
func (a *API) MakeToken(ctx context.Context, by Who, in TokenSpec) (NewToken, error) {
	if !by.Role.May(auth.RoleAdmin) {
		return NewToken{}, forbidden("the role "+string(by.Role)+" may not do this", "ask an administrator")
	}
	if in.Role == "" {
		in.Role = auth.RoleIngest
	}
	if in.Days < 0 || in.Days > 36_500 {
		return NewToken{}, invalid("give 1 to 36500, or leave it out", "days: out of range")
	}
	who := by.Name
	t, secret, err := a.cfg.Auth.Create(ctx, auth.Spec{
		Name: in.Name, Role: in.Role, Sources: in.Sources, Types: in.Types, Expires: time.Duration(in.Days) * 24 * time.Hour,
	}, who)
	if err != nil {
		return NewToken{}, err
	}
	note := fmt.Sprintf("%s for %s, types %s", t.Role, strings.Join(t.Sources, " "), strings.Join(t.Types, " "))
	if !t.Role.Sends() {
		note = string(t.Role)
	}
	if err := a.noteBy(ctx, by, whosaw.Reference{Kind: "token_made", Of: "token:" + t.Name, Person: who, Note: note}); err != nil {
		_, e := a.cfg.Auth.Revoke(context.WithoutCancel(ctx), t.ID, who)
		if e != nil {
			a.cfg.Logger.Error("a token that is not on record could not be revoked", "token", t.Name, "error", e)
		}
		return NewToken{}, err
	}
	a.cfg.Logger.Info("token made", "token", t.Name, "role", string(t.Role), "who", who)
	return NewToken{t, secret}, nil
}

func (a *API) deleteToken(w http.ResponseWriter, r *http.Request) error {
	who := whoOf(r).Name
	t, err := a.cfg.Auth.Revoke(r.Context(), r.PathValue("name"), who)
	if err != nil {
		return err
	}
	a.cfg.Logger.Info("token revoked", "token", t.Name, "who", who)
	if err := a.note(r, whosaw.Reference{Kind: "token_revoked", Of: "token:" + t.Name, Person: who}); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, t)
	return nil
}

// SignedIn writes into the ledger that somebody began a session.
func (a *API) SignedIn(ctx context.Context, s auth.Session) error {
	return a.noteBy(ctx, Who{Name: "staff:" + s.Who, Role: s.Role}, whosaw.Reference{Kind: "signed_in", Until: s.Expires})
}

// note writes into the ledger what an operator did.
func (a *API) note(r *http.Request, ref whosaw.Reference) error {
	return a.noteBy(r.Context(), whoOf(r), ref)
}

// noteTime is how long an act may wait to be written.
const noteTime = 30 * time.Second

// noteBy goes on when whoever did it has gone: what was done is on record.
func (a *API) noteBy(ctx context.Context, who Who, ref whosaw.Reference) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	_, err := a.cfg.Live.Write(ctx, whosaw.Record{Type: whosaw.TypeAct, Principal: who.Name, Ref: &ref})
	if err != nil {
		a.cfg.Logger.Error("an act could not be recorded", "kind", ref.Kind, "error", err)
		return unrecorded("it could not be recorded in the ledger", "try")
	}
	return nil
}
