package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// Found is a finding with what became of it.
type Found struct {
	whosaw.Finding
	Number       int64        `json:"number"`
	Sequence     uint64       `json:"sequence"`
	RaisedAt     whosaw.Time  `json:"raised_at"`
	State        alarm.State  `json:"state"`
	SuppressedBy int64        `json:"suppressed_by,omitempty"`
	Owner        string       `json:"owner,omitempty"`    // who has it
	Assigned     *whosaw.Time `json:"assigned,omitempty"` // since when
	// Grown is what it counts by now, and how wide its filter is; nil: it has not grown since it was raised.
	Grown *Grown `json:"grown,omitempty"`
	// Of one finding: how it grew, and who had it, the last first.
	Growth      []alarm.Step       `json:"growth,omitempty"`
	Assignments []alarm.Assignment `json:"assignments,omitempty"`
	Verdicts    []alarm.Judgement  `json:"verdicts,omitempty"`   // of one finding, the last first
	Deliveries  []alarm.Delivery   `json:"deliveries,omitempty"` // of one finding
}

// Grown is how far a finding has grown.
type Grown struct {
	Accesses int64         `json:"accesses"`
	Subjects int64         `json:"subjects"`
	Last     whosaw.Time   `json:"last"`             // event time of its last access
	Filter   whosaw.Filter `json:"filter,omitempty"` // with what it spread to; left out while the detectors have not seen it since the start
}

func (a *API) found(r *alarm.Recorded) Found {
	out := Found{Finding: r.Finding, Number: r.Number, Sequence: r.Sequence, RaisedAt: r.RaisedAt, State: r.State, SuppressedBy: r.SuppressedBy,
		Owner: r.Owner, Assigned: r.Assigned}
	if g := r.Grown; g != nil {
		out.Grown = &Grown{Accesses: g.Accesses, Subjects: g.Subjects, Last: g.Time}
	}
	if g, ok := a.cfg.Live.Growth(r.Finding.ID); ok && (out.Grown != nil || g.Accesses > r.Finding.Accesses) {
		if out.Grown == nil || g.Accesses >= out.Grown.Accesses { // while the detectors catch up, the book knows more
			out.Grown = &Grown{Accesses: g.Accesses, Subjects: g.Subjects, Last: whosaw.Time(g.Last), Filter: g.Filter}
		}
	}
	return out
}

// Grow keeps how findings grow in the book, and has it told.
func Grow(alarms *alarm.Dispatcher) func(ctx context.Context, steps []detect.GrowthStep) error {
	return func(ctx context.Context, steps []detect.GrowthStep) error {
		list := make([]alarm.Step, len(steps))
		for i := range steps {
			list[i] = alarm.Step{Kind: steps[i].Kind, Sequence: steps[i].Sequence, Finding: steps[i].Finding}
		}
		return alarms.Grow(ctx, list...)
	}
}

// Raise keeps what the pipeline raises in the book, and has it told.
func Raise(alarms *alarm.Dispatcher, log *slog.Logger) func(ctx context.Context, raised []pipeline.Raised) error {
	return func(ctx context.Context, raised []pipeline.Raised) error {
		list := make([]alarm.Raised, len(raised))
		for i := range raised {
			list[i] = alarm.Raised{Finding: raised[i].Finding, Sequence: raised[i].Sequence}
		}
		out, err := alarms.Raise(ctx, list...)
		if err == nil && out.New > 0 {
			log.Warn("findings raised", "new", out.New, "suppressed", out.Suppressed)
		}
		return err
	}
}

// KeepVerdict keeps the judgements of the ledger in the book. One about a finding that the book does not have (the rules have
// changed since), or that is none of the contract, stays in the ledger only.
func KeepVerdict(alarms *alarm.Dispatcher) func(ctx context.Context, r *whosaw.Record) error {
	return func(ctx context.Context, r *whosaw.Record) error {
		if r.Type == whosaw.TypeAct {
			return keepAssignment(ctx, alarms, r)
		}
		kind := alarm.State(r.Ref.Kind)
		// What the book would refuse would be tried for ever, and nothing judged meanwhile.
		if reason := strings.TrimSpace(r.Ref.Note); reason == "" || len(r.Ref.Note) > alarm.MaxReason || r.Ref.Person == "" || kind != alarm.Harvest && kind != alarm.Explained && kind != alarm.False {
			return nil
		}
		err := alarms.Verdict(ctx, r.Ref.Of, alarm.Judgement{Kind: kind, Reason: r.Ref.Note, Who: r.Ref.Person, At: whosaw.Time(r.Time)})
		if errors.Is(err, alarm.ErrUnknown) {
			return nil
		}
		return err
	}
}

// keepAssignment keeps who has a finding.
func keepAssignment(ctx context.Context, alarms *alarm.Dispatcher, r *whosaw.Record) error {
	if len(r.Ref.Person) > alarm.MaxOwner || strings.ContainsAny(r.Ref.Person, "\r\n\x00") || len(r.Ref.Note) > alarm.MaxReason || r.Principal == "" {
		return nil
	}
	err := alarms.Assign(ctx, r.Ref.Of, alarm.Assignment{Owner: r.Ref.Person, Who: r.Principal, Reason: r.Ref.Note, At: whosaw.Time(r.Time)})
	if errors.Is(err, alarm.ErrUnknown) {
		return nil
	}
	return err
}

// getFindings lists findings, the newest first.
func (a *API) getFindings(w http.ResponseWriter, r *http.Request) error {
	q, err := findingQuery(r)
	if err != nil {
		return err
	}
	if q.wait {
		// What was on disk when the question came has been judged when it is answered.
		if err := a.cfg.Live.CaughtUp(r.Context()); err != nil {
			return err
		}
	}
	list, next, err := a.cfg.Alarms.Findings(r.Context(), q.Query)
	if err != nil {
		return err
	}
	out := struct {
		Findings []Found `json:"findings"`
		Next     string  `json:"next"`
	}{Findings: make([]Found, len(list))}
	for i := range list {
		out.Findings[i] = a.found(&list[i])
	}
	if next > 0 {
		out.Next = strconv.FormatInt(next, 10)
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// Newest gives the newest findings, for a page.
func (a *API) Newest(ctx context.Context, n int) ([]Found, error) {
	list, _, err := a.cfg.Alarms.Findings(ctx, alarm.Query{Limit: n})
	out := make([]Found, len(list))
	for i := range list {
		out[i] = a.found(&list[i])
	}
	return out, err
}

type findingFilter struct {
	alarm.Query
	wait bool
}

func findingQuery(r *http.Request) (findingFilter, error) {
	v := r.URL.Query()
	q := findingFilter{Query: alarm.Query{Detector: v.Get("detector"), Unit: v.Get("unit"), State: alarm.State(v.Get("state")), Owner: v.Get("owner")}, wait: v.Get("wait") == "true"}
	switch q.State {
	case "", alarm.Open, alarm.Assigned, alarm.Harvest, alarm.Explained, alarm.False:
	default:
		return q, invalid("give open, assigned, harvest, explained or false", "state: there is no such state")
	}
	if v.Has("realm") {
		realm := v.Get("realm")
		q.Realm = &realm
	}
	number := func(name string, most int64) (int64, error) {
		if v.Get(name) == "" {
			return 0, nil
		}
		n, err := strconv.ParseInt(v.Get(name), 10, 64)
		if err != nil || n < 1 || n > most {
			return 0, invalid("give a whole number from 1", "%s: out of range", name)
		}
		return n, nil
	}
	limit, err := number("limit", 1000)
	if err != nil {
		return q, err
	}
	q.Limit = int(limit)
	q.Before, err = number("next", 1<<62)
	return q, err
}

func (a *API) getFinding(w http.ResponseWriter, r *http.Request) error {
	out, err := a.finding(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// finding gives the finding of the path, with its verdicts and deliveries.
func (a *API) finding(r *http.Request) (Found, error) {
	id, err := a.cfg.Alarms.Resolve(r.Context(), r.PathValue("id"))
	if err != nil {
		return Found{}, alarmFault(err)
	}
	rec, err := a.cfg.Alarms.Finding(r.Context(), id)
	if err != nil {
		return Found{}, alarmFault(err)
	}
	out := a.found(&rec)
	if out.Growth, err = a.cfg.Alarms.Growth(r.Context(), id); err != nil {
		return Found{}, err
	}
	if out.Assignments, err = a.cfg.Alarms.Assignments(r.Context(), id); err != nil {
		return Found{}, err
	}
	if out.Verdicts, err = a.cfg.Alarms.Verdicts(r.Context(), id); err != nil {
		return Found{}, err
	}
	out.Deliveries, err = a.cfg.Alarms.Deliveries(r.Context(), id)
	return out, err
}

// alarmFault tells what is not there, or not as it must be, from faults of ours.
func alarmFault(err error) error {
	if errors.Is(err, alarm.ErrAmbiguous) {
		return invalid("give more of the id", "%v", err)
	}
	if errors.Is(err, alarm.ErrUnknown) {
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: err.Error()}
	}
	return err
}

// Judgement is what somebody makes of a finding.
type Judgement struct {
	Verdict string `json:"verdict"` // harvest, explained, false
	Reason  string `json:"reason"`
}

// postVerdict writes a judgement into the ledger; from there it comes into the book, now and after every restart alike.
func (a *API) postVerdict(w http.ResponseWriter, r *http.Request) error {
	var in Judgement
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if err := a.Judge(r.Context(), whoOf(r), r.PathValue("id"), in); err != nil {
		return err
	}
	out, err := a.finding(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// Judge keeps what somebody makes of a finding, and returns when it is in the book.
func (a *API) Judge(ctx context.Context, who Who, id string, in Judgement) error {
	if err := allowed(admins, who); err != nil {
		return err
	}
	switch alarm.State(in.Verdict) {
	case alarm.Harvest, alarm.Explained, alarm.False:
	default:
		return invalid("give harvest, explained or false", "verdict: there is no such verdict")
	}
	if in.Reason = strings.TrimSpace(in.Reason); in.Reason == "" || len(in.Reason) > alarm.MaxReason {
		return invalid(fmt.Sprintf("say in at most %d bytes why: who reads it later was not there", alarm.MaxReason), "reason: there is none, or it is too long")
	}
	id, err := a.cfg.Alarms.Resolve(ctx, id)
	if err != nil {
		return alarmFault(err)
	}
	rec := whosaw.Record{Type: whosaw.TypeVerdict, Principal: who.Name, Ref: &whosaw.Reference{
		Kind: in.Verdict, Of: id, Person: who.Name, Note: in.Reason,
	}}
	if _, err := a.cfg.Live.Write(ctx, rec); err != nil {
		return unrecorded("the verdict could not be recorded", "try")
	}
	return a.cfg.Live.CaughtUp(ctx)
}

// Assignment gives a finding to somebody.
type Assignment struct {
	Owner  string `json:"owner"` // left out: whoever asks; "": it is given back
	Reason string `json:"reason,omitempty"`
}

// postAssign writes into the ledger who has a finding; from there it comes into the book.
func (a *API) postAssign(w http.ResponseWriter, r *http.Request) error {
	var in struct {
		Owner  *string `json:"owner"`
		Reason string  `json:"reason"`
	}
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	who := whoOf(r)
	out := Assignment{Owner: who.Name, Reason: strings.TrimSpace(in.Reason)}
	if in.Owner != nil {
		out.Owner = strings.TrimSpace(*in.Owner)
	}
	if err := a.Assign(r.Context(), who, r.PathValue("id"), out); err != nil {
		return err
	}
	found, err := a.finding(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, found)
	return nil
}

// Assign keeps who works on a finding, and returns when it is in the book.
func (a *API) Assign(ctx context.Context, who Who, id string, in Assignment) error {
	if err := allowed(admins, who); err != nil {
		return err
	}
	switch {
	case len(in.Owner) > alarm.MaxOwner || strings.ContainsAny(in.Owner, "\r\n\x00"):
		return invalid(fmt.Sprintf("give a name of at most %d bytes, on one line", alarm.MaxOwner), "owner: it is no name")
	case len(in.Reason) > alarm.MaxReason:
		return invalid(fmt.Sprintf("say it in at most %d bytes", alarm.MaxReason), "reason: it is too long")
	}
	id, err := a.cfg.Alarms.Resolve(ctx, id)
	if err != nil {
		return alarmFault(err)
	}
	rec := whosaw.Record{Type: whosaw.TypeAct, Principal: who.Name, Ref: &whosaw.Reference{
		Kind: pipeline.ActAssigned, Of: id, Person: in.Owner, Note: in.Reason,
	}}
	if _, err := a.cfg.Live.Write(ctx, rec); err != nil {
		return unrecorded("who has the finding could not be recorded", "try")
	}
	return a.cfg.Live.CaughtUp(ctx)
}

func (a *API) getSuppressions(w http.ResponseWriter, r *http.Request) error {
	list, err := a.cfg.Alarms.Suppressions(r.Context(), r.URL.Query().Get("all") == "true")
	if err != nil {
		return err
	}
	if list == nil {
		list = []alarm.Suppression{}
	}
	writeJSON(w, http.StatusOK, map[string]any{"suppressions": list})
	return nil
}

// SuppressionSpec keeps findings from being told for a time.
type SuppressionSpec struct {
	Detector string      `json:"detector,omitempty"`
	Unit     string      `json:"unit,omitempty"`
	Realm    *string     `json:"realm,omitempty"`
	Reason   string      `json:"reason"`
	Until    whosaw.Time `json:"until"`
}

func (a *API) postSuppression(w http.ResponseWriter, r *http.Request) error {
	var in SuppressionSpec
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if in.Detector != "" && !slices.Contains(detect.Detectors(), in.Detector) {
		return invalid("give one of "+strings.Join(detect.Detectors(), ", "), "detector: there is no such detector")
	}
	if in.Unit != "" && !isUnit(in.Unit) {
		return invalid("write a unit as findings do: "+strings.Join(detect.Units(), ":…, ")+":…", "unit: there is no such kind of unit")
	}
	s := alarm.Suppression{Detector: in.Detector, Unit: in.Unit, Realm: in.Realm, Reason: in.Reason, Who: whoOf(r).Name, Until: in.Until}
	id, err := a.cfg.Alarms.Suppress(r.Context(), s)
	var store *sqlite.Error
	switch {
	case errors.As(err, &store), r.Context().Err() != nil:
		return err
	case err != nil:
		return invalid("", "%v", err)
	}
	act := whosaw.Reference{Kind: "suppressed", Of: strings.TrimSpace(in.Detector + " " + in.Unit), Person: s.Who, Note: in.Reason, Until: int64(in.Until)}
	if err := a.note(r, act); err != nil {
		return errors.Join(err, a.cfg.Alarms.Lift(context.WithoutCancel(r.Context()), id, s.Who))
	}
	writeJSON(w, http.StatusCreated, map[string]any{"id": id})
	return nil
}

// isUnit reports whether a text is written as a finding's unit is.
func isUnit(unit string) bool {
	kind, value, ok := strings.Cut(unit, ":")
	return ok && value != "" && slices.Contains(detect.Units(), kind)
}

func (a *API) deleteSuppression(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return invalid("give its number", "there is no such suppression")
	}
	who := whoOf(r).Name
	if err := a.cfg.Alarms.Lift(r.Context(), id, who); err != nil {
		return alarmFault(err)
	}
	if err := a.note(r, whosaw.Reference{Kind: "suppression_lifted", Of: strconv.FormatInt(id, 10), Person: who}); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"id": id})
	return nil
}

func (a *API) getChannels(w http.ResponseWriter, r *http.Request) error {
	st, err := a.cfg.Alarms.Status(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"channels": st.Channels})
	return nil
}

// Tested says what came of a test alarm.
type Tested struct {
	Channel string  `json:"channel"`
	Sent    bool    `json:"sent"`
	Seconds float64 `json:"seconds"`
	Says    string  `json:"says,omitempty"` // why not, and the cure
}

func (a *API) postChannelTest(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	if err := a.note(r, whosaw.Reference{Kind: "channel_tested", Of: name, Person: whoOf(r).Name}); err != nil {
		return err
	}
	began := a.cfg.Now()
	err := a.cfg.Alarms.Test(r.Context(), name)
	if errors.Is(err, alarm.ErrUnknown) {
		return alarmFault(err)
	}
	out := Tested{Channel: name, Sent: err == nil, Seconds: a.cfg.Now().Sub(began).Round(time.Millisecond).Seconds()}
	if err != nil {
		out.Says = err.Error()
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}
