package api_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// explained asks about the record that raised a finding, and what was learnt.
func (w *world) explained(secret string, f api.Found) {
	w.t.Helper()
	var x pipeline.Explained
	a := w.ask(secret, "POST", "/v1/explain", fmt.Sprintf(`{"finding":%q}`, f.ID))
	a.decode(w.t, &x)
	if a.status != 200 || x.What == nil {
		w.t.Fatalf("explain: %d %s", a.status, a.body)
	}
	raised := false
	for _, p := range x.What.Passes {
		for _, d := range p.Detectors {
			for _, id := range d.Raised {
				raised = raised || id == f.ID && d.Detector == f.Detector
			}
		}
	}
	if !raised {
		w.t.Errorf("the record that raised finding %s does not say so: %s", f.ID, a.body)
	}
	a = w.ask(secret, "POST", "/v1/explain", fmt.Sprintf(`{"sequence":%d}`, x.Sequence))
	var again pipeline.Explained
	a.decode(w.t, &again)
	if again.Sequence != x.Sequence || string(again.Record) != string(x.Record) {
		w.t.Errorf("by sequence: %s", a.body)
	}
	w.ask(secret, "POST", "/v1/explain", `{"sequence":1}`)
	var b api.Baselines
	a = w.ask(secret, "GET", "/v1/baseline?wait=true&detector=nonexistent", "")
	a.decode(w.t, &b)
	if len(b.Baselines) == 0 || b.Baselines[0].Detector != "nonexistent" || b.Judged == 0 {
		w.t.Errorf("baseline: %d %s", a.status, a.body)
	}
}

// TestExplainRefuses: what names no record, and who asked is on record.
func TestExplainRefuses(t *testing.T) {
	w := newWorld(t)
	read := w.token(auth.Spec{Name: "r", Role: auth.RoleRead})
	w.ask(w.token(auth.Spec{Name: "gw", Role: auth.RoleIngest}), "POST", "/v1/records?source=gw", shop(false))
	for body, want := range map[string]int{`{}`: 400, `{"sequence":1,"id":"a"}`: 400, `{"colour":1}`: 400, `{"sequence":99999999}`: 404, `{"id":"nobody-has-it"}`: 404, `{"finding":"ffff"}`: 404} {
		if a := w.ask(read, "POST", "/v1/explain", body); a.status != want {
			t.Errorf("%s: %d %s, want %d", body, a.status, a.body, want)
		}
	}
	if a := w.ask(read, "GET", "/v1/baseline?detector=dormant", ""); a.status != 200 {
		t.Errorf("baseline: %d %s", a.status, a.body)
	}
	view, err := w.live.Ledger().View(0)
	check(t, err)
	defer view.Close()
	asked, learnt := 0, 0
	check(t, view.References(context.Background(), func(_ uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeAct && r.Ref.Kind == "baseline" && r.Principal == "token:r" && r.Ref.Note == `{"detector":"dormant"}` {
			learnt++
		}
		if r.Type == whosaw.TypeAct && r.Ref.Kind == "explain" {
			asked++
			if r.Principal != "token:r" || !strings.HasPrefix(r.Ref.Note, `{"`) {
				t.Errorf("act %+v", r)
			}
		}
		return nil
	}))
	if asked != 3 {
		t.Errorf("%d questions are on record, want 3", asked)
	}
	if learnt != 1 {
		t.Errorf("%d questions for baselines are on record, want 1", learnt)
	}
}
