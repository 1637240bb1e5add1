package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/rehearsal"
	"github.com/whosaw/whosaw/internal/rules"
)

// RuleFile is a file of new rules, as it is written.
type RuleFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Rehearsal asks what rules, laid over those in force, would have done with the server's past.
type Rehearsal struct {
	Rules []RuleFile `json:"rules"`
	Truth string     `json:"truth,omitempty"` // of a simulated shop: its truth.jsonl
}

// maxRehearsal bounds its body: the truth of a large shop fits.
const maxRehearsal = 1 << 30

// postReplay lets the rules in force and new ones judge a snapshot side by side. It holds two more engines in memory meanwhile.
func (a *API) postReplay(w http.ResponseWriter, r *http.Request) error {
	var in Rehearsal
	if err := readBody(w, r, maxRehearsal, &in); err != nil {
		return err
	}
	old, cat := a.cfg.Live.Judging()
	if old.Rules == nil {
		old.Rules = rules.Shipped()
	}
	var own []*rules.Rule
	var names []string
	for _, f := range in.Rules {
		list, err := rules.Parse(f.Name, []byte(f.Text))
		if err != nil {
			return invalid("", "%v", err)
		}
		own = append(own, list...)
		names = append(names, f.Name)
	}
	now := old
	var err error
	if now.Rules, err = old.Rules.With(own...); err == nil {
		err = now.Check()
	}
	if err != nil {
		return invalid("", "%v", err)
	}
	var truth *rehearsal.Truth
	if in.Truth != "" {
		if truth, err = rehearsal.ReadTruth(strings.NewReader(in.Truth)); err != nil {
			return invalid("", "%v", err)
		}
	}
	note := strings.Join(names, " ")
	if err := a.note(r, whosaw.Reference{Kind: "replay", Person: whoOf(r).Name, Note: note[:min(len(note), 1000)]}); err != nil {
		return err
	}
	ctx, ask, end, err := a.query(r, "")
	if err != nil {
		return err
	}
	defer end()
	out, err := rehearsal.Replay(ctx, rehearsal.Config{View: ask.View, Scope: ask.Engine, Catalog: cat, Old: old, New: now, Truth: truth})
	if err != nil {
		return askFault(ctx, fmt.Errorf("try the rules: %w", err))
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}
