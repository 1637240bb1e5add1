package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/door"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

// Appended hands the guard what is on disk, before its sender is told: who had a log-in recorded can use what it issued.
func Appended(g *guard.Guard) func(records []whosaw.Record, receipts []ledger.Receipt) {
	return func(records []whosaw.Record, receipts []ledger.Receipt) {
		g.Apply(records, func(i int) guard.Place {
			switch r := receipts[i]; r.Ack {
			case ledger.Accepted:
				return guard.Place{Sequence: r.Sequence}
			case ledger.Repeat:
				return guard.Place{Sequence: r.Sequence, Again: true}
			}
			return guard.Place{}
		})
	}
}

// RaiseToo has what is raised become standing decisions, after it is in the book.
func RaiseToo(g *guard.Guard, first func(context.Context, []pipeline.Raised) error) func(context.Context, []pipeline.Raised) error {
	return func(ctx context.Context, raised []pipeline.Raised) error {
		if err := first(ctx, raised); err != nil {
			return err
		}
		list := make([]whosaw.Finding, len(raised))
		for i := range raised {
			list[i] = raised[i].Finding
		}
		return g.Raise(ctx, list)
	}
}

// GrowToo has the places to which findings spread become standing decisions, after they are in the book.
func GrowToo(g *guard.Guard, first func(context.Context, []detect.GrowthStep) error) func(context.Context, []detect.GrowthStep) error {
	return func(ctx context.Context, steps []detect.GrowthStep) error {
		if first != nil {
			if err := first(ctx, steps); err != nil {
				return err
			}
		}
		for i := range steps {
			if err := g.Grow(ctx, &steps[i].Finding, steps[i].Sequence); err != nil {
				return err
			}
		}
		return nil
	}
}

// VerdictToo has the decision of a finding undone that was judged to be none.
func VerdictToo(g *guard.Guard, first func(context.Context, *whosaw.Record) error) func(context.Context, *whosaw.Record) error {
	return func(ctx context.Context, r *whosaw.Record) error {
		if err := first(ctx, r); err != nil {
			return err
		}
		return g.Judged(ctx, r.Ref.Of, r.Ref.Kind, r.Ref.Person)
	}
}

// LoadGuard loads the guard's state from the ledger, trying until it is loaded or ctx ends.
func LoadGuard(ctx context.Context, g *guard.Guard, led *ledger.Ledger, now func() time.Time, log *slog.Logger) {
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, time.Minute) {
		err := loadGuard(ctx, g, led, now)
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Error("the guard cannot be loaded: each route does what its fail mode says; trying again", "error", err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

func loadGuard(ctx context.Context, g *guard.Guard, led *ledger.Ledger, now func() time.Time) error {
	view, err := led.View(0)
	if err != nil {
		return err
	}
	since, old := view.Last()+1, now().Add(-90*24*time.Hour).UnixMilli()
	for _, p := range view.Parts() { // budgets look back for so long
		if p.MaxTime >= old {
			since = min(since, p.First)
		}
	}
	return errors.Join(g.Load(ctx, view, since), view.Close())
}

var errGuardOff = &Error{Status: http.StatusConflict, Code: CodeConflict, Says: "the guard is off", Cure: "set guard.mode to shadow or enforce in whosaw.yaml, list its doors, and start the server again"}

func (a *API) guard() (*guard.Guard, error) {
	if a.cfg.Guard == nil {
		return nil, errGuardOff
	}
	return a.cfg.Guard, nil
}

func (a *API) postDecide(w http.ResponseWriter, r *http.Request) error {
	g, err := a.guard()
	if err != nil {
		return err
	}
	var q door.Question
	if err := readBody(w, r, door.MaxBody, &q); err != nil {
		return err
	}
	for i := -1; i < len(q.Requests); i++ {
		name := q.Door
		if i >= 0 && q.Requests[i].Door != "" {
			name = q.Requests[i].Door
		}
		if i < 0 && len(q.Requests) > 0 {
			continue
		}
		if err := a.doorHere(g, name); err != nil {
			return err
		}
	}
	answer, err := q.Decide(r.Context(), g, "")
	if err != nil {
		return invalid("", "%v", err)
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (a *API) postAnswer(w http.ResponseWriter, r *http.Request) error {
	g, err := a.guard()
	if err != nil {
		return err
	}
	var q door.AnswerQuestion
	if err := readBody(w, r, door.MaxBody, &q); err != nil {
		return err
	}
	answer, err := q.Observe(r.Context(), g, "")
	if err != nil {
		return invalid("", "%v", err)
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// doorHere takes the names of doors that may ask at this server's own address: those that have one of their own are asked for there.
func (a *API) doorHere(g *guard.Guard, name string) error {
	d := g.Config().Door(name)
	switch {
	case d == nil:
		return invalid("name one of guard.doors in whosaw.yaml", "door: there is no door of that name")
	case d.Kind == guard.KindDecide || d.Kind == guard.KindMiddleware || d.Kind == guard.KindProxy:
		return nil
	}
	return invalid("ask at the address of that door, or name one of kind decide", "door: a door of kind %s does not ask here", d.Kind)
}

func (a *API) getGuard(w http.ResponseWriter, r *http.Request) error {
	g, err := a.guard()
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, g.Status())
	return nil
}

// ModeSpec switches the guard's mode.
type ModeSpec struct {
	Mode   guard.Mode `json:"mode"` // shadow or enforce
	Reason string     `json:"reason"`
}

func (a *API) postGuardMode(w http.ResponseWriter, r *http.Request) error {
	g, err := a.guard()
	if err != nil {
		return err
	}
	var in ModeSpec
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if err := g.SetMode(r.Context(), in.Mode, whoOf(r).Name, in.Reason); err != nil {
		return guardFault(err)
	}
	writeJSON(w, http.StatusOK, g.Status())
	return nil
}

// maxListed is how many decisions are listed at once.
const maxListed = 1000

func (a *API) getDecisions(w http.ResponseWriter, r *http.Request) error {
	g, err := a.guard()
	if err != nil {
		return err
	}
	out := struct {
		Decisions []*guard.Standing `json:"decisions"`
	}{g.Book().Holding()}
	if r.URL.Query().Get("all") == "true" {
		if out.Decisions, err = g.Book().All(r.Context(), maxListed); err != nil {
			return err
		}
	}
	if len(out.Decisions) > maxListed {
		out.Decisions = out.Decisions[:maxListed]
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// DecisionSpec is a standing decision to be made, or looked at before.
type DecisionSpec struct {
	Action guard.Action  `json:"action"`
	Filter whosaw.Filter `json:"filter"`
	Mask   []string      `json:"mask,omitempty"`
	Reason string        `json:"reason"`
	For    string        `json:"for"`               // how long: 30m, 24h
	Days   int           `json:"days,omitempty"`    // that the preview looks back; missing: 7
	DryRun bool          `json:"dry_run,omitempty"` // only the preview
}

// Preview says whom a decision would have hit, counted exactly.
type Preview struct {
	From     whosaw.Time        `json:"from"`
	All      PreviewCount       `json:"all"`
	Issued   *PreviewCount      `json:"issued,omitempty"`   // of those, with credentials that a log-in issued: honest, as far as the records say
	Unissued *PreviewCount      `json:"unissued,omitempty"` // and without
	Narrower whosaw.Filter      `json:"narrower,omitempty"` // the same for credentials that were never issued: what to deny where issued ones are hit
	Gaps     []whosaw.Gap       `json:"gaps"`
	Doors    []guard.DoorStatus `json:"doors"`
	Decision *guard.Standing    `json:"decision,omitempty"` // made, where it was no dry run
}

// PreviewCount counts what a filter matches.
type PreviewCount struct {
	Accesses int64 `json:"accesses"`
	Subjects int64 `json:"subjects"` // customers who were shown
}

const (
	defaultPreview = 7
	maxPreview     = 366
)

func (a *API) postDecision(w http.ResponseWriter, r *http.Request) error {
	g, err := a.guard()
	if err != nil {
		return err
	}
	var in DecisionSpec
	if err := readBody(w, r, maxQuestion, &in); err != nil {
		return err
	}
	life, err := time.ParseDuration(in.For)
	if err != nil {
		return invalid("give how long, as in 30m or 24h", "for: it is no length of time")
	}
	if in.Days == 0 {
		in.Days = defaultPreview
	}
	if in.Days < 0 || in.Days > maxPreview {
		return invalid("give 1 to 366", "days: out of range")
	}
	who := whoOf(r).Name
	s := guard.Standing{Action: in.Action, Filter: in.Filter, Mask: in.Mask, Reason: in.Reason, Who: who}
	if err := g.Book().Check(&s, life); err != nil {
		return guardFault(err)
	}
	if in.DryRun {
		if err := a.record(r, "guard_preview", in.Filter); err != nil {
			return err
		}
		p, err := a.preview(r, in.Filter, in.Days)
		if err != nil {
			return err
		}
		p.Doors = g.Status().Doors
		writeJSON(w, http.StatusOK, p)
		return nil
	}
	made, err := g.Book().Add(r.Context(), s, life)
	if err != nil {
		return guardFault(err)
	}
	a.cfg.Logger.Warn("a standing decision was made", "decision", made.ID, "action", made.Action.String(), "who", who)
	writeJSON(w, http.StatusCreated, made)
	return nil
}

// preview counts whom a filter hit in the last days.
func (a *API) preview(r *http.Request, f whosaw.Filter, days int) (Preview, error) {
	ctx, ask, end, err := a.query(r, "")
	if err != nil {
		return Preview{}, err
	}
	defer end()
	out := Preview{From: whosaw.Time(a.cfg.Now().AddDate(0, 0, -days).UnixMilli()), Gaps: []whosaw.Gap{}}
	count := func(issued *bool) (*PreviewCount, error) {
		terms := make(whosaw.Filter, 0, len(f))
		for _, t := range f {
			if issued != nil && t.Issued != nil && *t.Issued != *issued {
				continue
			}
			if issued != nil {
				t.Issued = issued
			}
			t.From = max(t.From, out.From)
			terms = append(terms, t)
		}
		if len(terms) == 0 {
			return &PreviewCount{}, nil
		}
		answer, err := ask.Count(ctx, terms)
		if err != nil {
			return nil, askFault(ctx, err)
		}
		if issued == nil {
			out.Gaps = append(out.Gaps, answer.Gaps...)
		}
		return &PreviewCount{Accesses: answer.Accesses, Subjects: answer.Subjects}, nil
	}
	all, err := count(nil)
	if err != nil {
		return Preview{}, err
	}
	out.All = *all
	yes, no := true, false
	if out.Issued, err = count(&yes); err != nil {
		return Preview{}, err
	}
	if out.Unissued, err = count(&no); err != nil {
		return Preview{}, err
	}
	if out.Issued.Accesses > 0 && out.Unissued.Accesses > 0 {
		for _, t := range f {
			t.Issued = &no
			out.Narrower = append(out.Narrower, t)
		}
	}
	return out, nil
}

func guardFault(err error) error {
	var bad *guard.BadDecision
	switch {
	case errors.As(err, &bad):
		return invalid("", "%v", bad)
	case errors.Is(err, guard.ErrNoDecision):
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: "there is no such decision that still holds", Cure: "whosaw guard decisions shows those that do"}
	case errors.Is(err, guard.ErrFull):
		return &Error{Status: http.StatusConflict, Code: CodeConflict, Says: err.Error()}
	case errors.Is(err, scope.ErrMemory):
		return err
	}
	return fmt.Errorf("guard: %w", err)
}

func (a *API) postUndo(w http.ResponseWriter, r *http.Request) error {
	g, err := a.guard()
	if err != nil {
		return err
	}
	var in struct {
		Reason string `json:"reason"`
	}
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	who := whoOf(r).Name
	s, err := g.Book().Undo(r.Context(), r.PathValue("id"), who, in.Reason)
	if err != nil {
		return guardFault(err)
	}
	a.cfg.Logger.Warn("a standing decision was undone", "decision", s.ID, "who", who)
	writeJSON(w, http.StatusOK, s)
	return nil
}

// getFeed streams standing decisions to gateways that hold a deny list.
func (a *API) getFeed(w http.ResponseWriter, r *http.Request) error {
	g, err := a.guard()
	if err != nil {
		return err
	}
	has := false
	for _, d := range g.Config().Doors {
		has = has || d.Kind == guard.KindFeed
	}
	if !has {
		return &Error{Status: http.StatusConflict, Code: CodeConflict, Says: "no door of kind feed is configured", Cure: "list one in guard.doors: decisions that its readers could not hold are then refused"}
	}
	if err := door.Feed(w, r, g.Book(), a.over); err != nil {
		if !errors.Is(err, door.ErrGone) {
			a.cfg.Logger.Error("the decision feed broke off", "error", err)
		}
		return errSent
	}
	return nil
}
