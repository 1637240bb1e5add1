package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/regime"
)

// Incidents is what the server knows of incidents and of the law.
type Incidents struct {
	Book          *incident.Book
	Laws          []*regime.Law
	Jurisdictions []string // whose laws are looked at; none: all
	Open          OpenRule // which findings open one by themselves
}

// OpenIncidents opens the book of incidents in a state file, on a ledger that runs: its acts and holds are that ledger's.
func OpenIncidents(live *pipeline.Live, cfg incident.Config) *incident.Book {
	cfg.Act = func(ctx context.Context, who string, act whosaw.Reference) (uint64, error) {
		return live.Write(ctx, whosaw.Record{Type: whosaw.TypeAct, Principal: who, Ref: &act})
	}
	cfg.Hold = func(ctx context.Context, who, reason string) (uint64, error) {
		h, err := keeper(live, who, cfg.Now).Hold(ctx, 0, 0, reason)
		return h.ID, err
	}
	return incident.NewBook(cfg)
}

// IncidentSpec opens an incident: from a finding, or by hand, as after a complaint.
type IncidentSpec struct {
	Title    string   `json:"title"`
	Findings []string `json:"findings,omitempty"`
	Note     string   `json:"note,omitempty"` // without a finding: what was reported, and by whom
	// When it was first suspected; missing: when the first finding was seen, else now.
	Suspected *time.Time `json:"suspected,omitempty"`
}

// IncidentAnswer is an incident with its clocks.
type IncidentAnswer struct {
	*incident.Incident
	// EarlierIncidents are those that were opened before, the newest first.
	EarlierIncidents []EarlierIncident `json:"earlier_incidents"`
	Clocks           []regime.Clock    `json:"clocks"`
	Counsel          string            `json:"counsel"`
}

// EarlierIncident is one that an authority asks for: an incident that was opened before another.
type EarlierIncident struct {
	Number int64     `json:"number"`
	Title  string    `json:"title"`
	State  string    `json:"state"`
	Opened time.Time `json:"opened"`
	Linked bool      `json:"linked"` // somebody said that it belongs to this one
	People *int64    `json:"people"` // customers and entries of others, of its last scope version; null: nobody counted
	Exact  bool      `json:"exact"`  // no gap touches that figure
}

func earlier(in *incident.Incident, all []*incident.Incident) []EarlierIncident {
	out := []EarlierIncident{}
	for _, e := range all {
		if e.Number >= in.Number {
			continue
		}
		row := EarlierIncident{Number: e.Number, Title: e.Title, State: e.State, Opened: e.Opened, Linked: slices.Contains(in.Earlier, e.Number)}
		if v, err := e.Version(0); err == nil {
			people := v.Answer.Subjects + v.Answer.Others
			row.People, row.Exact = &people, len(v.Answer.Gaps) == 0
		}
		out = append(out, row)
	}
	return out
}

// IncidentRow is an incident in a list.
type IncidentRow struct {
	Number   int64         `json:"number"`
	Title    string        `json:"title"`
	State    string        `json:"state"`
	Opened   time.Time     `json:"opened"`
	Owner    string        `json:"owner,omitempty"`
	Versions int           `json:"versions"`
	Next     *regime.Clock `json:"next"` // the clock that is due first; null: none runs
}

func (a *API) incidentFault(err error) error {
	switch {
	case errors.Is(err, incident.ErrUnknown):
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: err.Error()}
	case errors.Is(err, incident.ErrInvalid):
		return invalid("", "%v", err)
	}
	return err
}

func (a *API) getIncidents(w http.ResponseWriter, r *http.Request) error {
	rows, err := a.IncidentRows(r.Context(), langOf(r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"incidents": rows})
	return nil
}

// IncidentRows lists the incidents, the newest first.
func (a *API) IncidentRows(ctx context.Context, lang string) ([]IncidentRow, error) {
	list, err := a.cfg.Incidents.Book.Incidents(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]IncidentRow, len(list))
	for i, in := range list {
		rows[i] = IncidentRow{Number: in.Number, Title: in.Title, State: in.State, Opened: in.Opened, Owner: in.Owner, Versions: len(in.Versions)}
		if c := a.clocks(in, lang); len(c) > 0 && (c[0].State == regime.Overdue || c[0].State == regime.Running) {
			rows[i].Next = &c[0]
		}
	}
	return rows, nil
}

// IncidentsOf gives the numbers of the incidents that a finding belongs to.
func (a *API) IncidentsOf(ctx context.Context, finding string) ([]int64, error) {
	list, err := a.cfg.Incidents.Book.Incidents(ctx)
	if err != nil {
		return nil, err
	}
	var out []int64
	for _, in := range list {
		if slices.Contains(in.Findings, finding) {
			out = append(out, in.Number)
		}
	}
	return out, nil
}

func (a *API) clocks(in *incident.Incident, lang string) []regime.Clock {
	if in.State == incident.StateClosed {
		return []regime.Clock{}
	}
	clocks := in.Clocks(a.cfg.Incidents.Laws, a.cfg.Incidents.Jurisdictions, a.cfg.Now(), lang)
	if clocks == nil {
		clocks = []regime.Clock{}
	}
	return clocks
}

// langOf is the language that texts of the law are asked in.
func langOf(r *http.Request) string {
	if lang := r.URL.Query().Get("lang"); slices.Contains(incident.Languages, lang) {
		return lang
	}
	return "en"
}

func (a *API) postIncident(w http.ResponseWriter, r *http.Request) error {
	var in IncidentSpec
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	n, err := a.OpenIncident(r.Context(), whoOf(r), in)
	if err != nil {
		return err
	}
	return a.sendIncident(w, r, http.StatusCreated, n)
}

// OpenIncident opens an incident in the name of who, and gives its number.
func (a *API) OpenIncident(ctx context.Context, who Who, in IncidentSpec) (int64, error) {
	suspected := a.cfg.Now()
	var err error
	if in.Findings, err = a.wholeIDs(ctx, in.Findings); err != nil {
		return 0, err
	}
	for i, id := range in.Findings {
		f, err := a.cfg.Alarms.Finding(ctx, id)
		if err != nil {
			return 0, alarmFault(err)
		}
		if seen := time.UnixMilli(int64(f.Finding.Seen)); i == 0 || seen.Before(suspected) {
			suspected = seen
		}
	}
	if in.Suspected != nil {
		suspected = *in.Suspected
	}
	n, err := a.cfg.Incidents.Book.Open(ctx, who.Name, incident.Body{Title: in.Title, Findings: in.Findings, Note: in.Note}, suspected)
	return n, a.incidentFault(err)
}

func (a *API) sendIncident(w http.ResponseWriter, r *http.Request, status int, n int64) error {
	in, err := a.Incident(r.Context(), n, langOf(r))
	if err != nil {
		return err
	}
	writeJSON(w, status, in)
	return nil
}

// Incident gives an incident with its clocks.
func (a *API) Incident(ctx context.Context, n int64, lang string) (*IncidentAnswer, error) {
	all, err := a.cfg.Incidents.Book.Incidents(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(in *incident.Incident) bool { return in.Number == n })
	if i < 0 {
		return nil, a.incidentFault(fmt.Errorf("incident %d: %w; list the incidents for their numbers", n, incident.ErrUnknown))
	}
	in := all[i]
	return &IncidentAnswer{Incident: in, EarlierIncidents: earlier(in, all), Clocks: a.clocks(in, lang), Counsel: regime.Counsel}, nil
}

func incidentNumber(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || n < 1 {
		return 0, &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: "there is no such incident", Cure: "give its number: whosaw incident list, or GET /v1/incidents"}
	}
	return n, nil
}

func (a *API) getIncident(w http.ResponseWriter, r *http.Request) error {
	n, err := incidentNumber(r)
	if err != nil {
		return err
	}
	return a.sendIncident(w, r, http.StatusOK, n)
}

// EventSpec is something that happened in an incident.
type EventSpec struct {
	Kind incident.Kind `json:"kind"`
	incident.Body
}

func (a *API) postEvent(w http.ResponseWriter, r *http.Request) error {
	n, err := incidentNumber(r)
	if err != nil {
		return err
	}
	var in EventSpec
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if err := a.RecordEvent(r.Context(), whoOf(r), n, in); err != nil {
		return err
	}
	return a.sendIncident(w, r, http.StatusOK, n)
}

// wholeIDs gives the ids of findings that somebody named by how they begin.
func (a *API) wholeIDs(ctx context.Context, named []string) ([]string, error) {
	var ids []string
	for _, name := range named {
		id, err := a.cfg.Alarms.Resolve(ctx, name)
		if err != nil {
			return nil, alarmFault(err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// RecordEvent adds an event to an incident, in the name of who.
func (a *API) RecordEvent(ctx context.Context, who Who, n int64, in EventSpec) error {
	if in.Kind == incident.Signed {
		return invalid("POST /v1/incidents/N/sign, or whosaw incident sign", "a document is signed off as it was read: signed has a way of its own")
	}
	if in.Kind == incident.Joined {
		var err error
		if in.Findings, err = a.wholeIDs(ctx, in.Findings); err != nil {
			return err
		}
	}
	if err := a.known(&in); err != nil { // what is on record stays there: a slip of the pen would
		return err
	}
	_, err := a.cfg.Incidents.Book.Record(ctx, n, who.Name, in.Kind, in.Body)
	return a.incidentFault(err)
}

// clocksName is where laws and duties are to be found.
const clocksName = "whosaw clock names them, and GET /v1/incidents/N"

// known refuses an event about a duty that no law has, whose clock would run on unnoticed, and a text for what no document has.
func (a *API) known(in *EventSpec) error {
	duty := func(is func(l *regime.Law, d regime.Duty) bool) bool {
		return slices.ContainsFunc(a.cfg.Incidents.Laws, func(l *regime.Law) bool {
			return slices.ContainsFunc(l.Duties, func(d regime.Duty) bool { return is(l, d) })
		})
	}
	switch in.Kind {
	case incident.Told:
		if !duty(func(l *regime.Law, d regime.Duty) bool { return l.ID == in.Law && d.ID == in.Duty }) {
			return invalid(clocksName, "told: no law has the duty %s/%s", in.Law, in.Duty)
		}
	case incident.Stated:
		if in.Statement == nil || slices.Contains(incident.Contents(), in.Statement.Content) {
			return nil
		}
		if !duty(func(_ *regime.Law, d regime.Duty) bool { return slices.Contains(d.Content, in.Statement.Content) }) {
			return invalid("give one of "+strings.Join(incident.Contents(), ", "), "stated: no document has the content %q", in.Statement.Content)
		}
	}
	return nil
}

// VersionSpec asks for the next scope version of an incident.
type VersionSpec struct {
	Filter whosaw.Filter `json:"filter,omitempty"` // missing: by cause, the filters of the incident's findings
	Reason string        `json:"reason"`
}

func (a *API) postVersion(w http.ResponseWriter, r *http.Request) error {
	n, err := incidentNumber(r)
	if err != nil {
		return err
	}
	var in VersionSpec
	if err := readBody(w, r, maxQuestion, &in); err != nil {
		return err
	}
	v, err := a.MakeVersion(r, whoOf(r), n, in)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, v)
	return nil
}

// MakeVersion makes the next scope version of an incident, in the name of who. The question is on record before its answer.
func (a *API) MakeVersion(r *http.Request, who Who, n int64, in VersionSpec) (*incident.Version, error) {
	if in.Filter == nil {
		var err error
		if in.Filter, err = a.cause(r.Context(), n); err != nil {
			return nil, err
		}
	}
	if err := in.Filter.Validate(); err != nil {
		return nil, invalid("", "filter: %v", err)
	}
	ctx, ask, end, err := a.Ask(r, who, "scope_version", in.Filter)
	if err != nil {
		return nil, err
	}
	defer end()
	v, err := a.cfg.Incidents.Book.MakeVersion(ctx, n, who.Name, ask.Engine, ask.View.Last(), in.Filter, in.Reason)
	return v, a.incidentFault(askFault(ctx, err))
}

// cause is what the findings of an incident accuse. One that was judged false or explained accuses nothing any more.
func (a *API) cause(ctx context.Context, n int64) (whosaw.Filter, error) {
	in, err := a.cfg.Incidents.Book.Incident(ctx, n)
	if err != nil {
		return nil, a.incidentFault(err)
	}
	var f whosaw.Filter
	for _, id := range in.Findings {
		found, err := a.cfg.Alarms.Finding(ctx, id)
		if err != nil {
			return nil, alarmFault(err)
		}
		if found.State != alarm.False && found.State != alarm.Explained {
			f = append(f, found.Finding.Filter...)
		}
	}
	if len(f) == 0 {
		return nil, invalid("join those that do (whosaw incident join NUMBER FINDING), or give a filter", "filter: the incident has no finding that says what the cause is")
	}
	return f, nil
}

func (a *API) postVersionList(w http.ResponseWriter, r *http.Request) error {
	n, err := incidentNumber(r)
	if err != nil {
		return err
	}
	number, err := strconv.Atoi(r.PathValue("version"))
	if err != nil {
		number = -1
	}
	var in struct {
		Form string `json:"form"`
	}
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if in.Form != "" && in.Form != "jsonl" && in.Form != "csv" {
		return invalid("give jsonl or csv", "form: there is no such form")
	}
	book := a.cfg.Incidents.Book
	inc, err := book.Incident(r.Context(), n)
	if err != nil {
		return a.incidentFault(err)
	}
	v, err := inc.Version(number)
	if err != nil {
		return a.incidentFault(err)
	}
	who := whoOf(r).Name
	if err := a.note(r, whosaw.Reference{Kind: "incident_list", Of: fmt.Sprintf("incident %d, scope version %d", n, v.Number), Person: who}); err != nil {
		return err
	}
	return a.incidentFault(a.sendList(r.Context(), w, in.Form, func(yield func(whosaw.ListRow) error) error {
		return book.List(r.Context(), n, v, yield)
	}, nil))
}

// ClockRow is a clock of an incident.
type ClockRow struct {
	Incident int64  `json:"incident"`
	Title    string `json:"title"`
	regime.Clock
}

func (a *API) getClocks(w http.ResponseWriter, r *http.Request) error {
	rows, err := a.ClockRows(r.Context(), langOf(r))
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, map[string]any{"clocks": rows, "counsel": regime.Counsel, "jurisdictions": a.cfg.Incidents.Jurisdictions})
	return nil
}

// ClockRows gives the clocks of all incidents that are not closed, what is due first at the top.
func (a *API) ClockRows(ctx context.Context, lang string) ([]ClockRow, error) {
	list, err := a.cfg.Incidents.Book.Incidents(ctx)
	if err != nil {
		return nil, err
	}
	rows := []ClockRow{}
	for _, in := range list {
		for _, c := range a.clocks(in, lang) {
			rows = append(rows, ClockRow{Incident: in.Number, Title: in.Title, Clock: c})
		}
	}
	slices.SortStableFunc(rows, func(a, b ClockRow) int { return regime.Urgency(&a.Clock, &b.Clock) })
	return rows, nil
}

// questions are what the laws ask people, for whoever answers.
func (a *API) getQuestions(w http.ResponseWriter, r *http.Request) error {
	lang := langOf(r)
	type question struct {
		Fact string `json:"fact"`
		Says string `json:"says"`
	}
	out := []question{}
	for _, name := range regime.QuestionNames() {
		out = append(out, question{name, regime.Questions[name].In(lang)})
	}
	writeJSON(w, http.StatusOK, map[string]any{"questions": out})
	return nil
}

// Document makes the document of a duty of an incident, on a scope version (0: the last), as the law asks whose clock runs.
func (a *API) Document(ctx context.Context, n int64, law, duty, lang string, version int) (*incident.Document, error) {
	in, err := a.cfg.Incidents.Book.Incident(ctx, n)
	if err != nil {
		return nil, a.incidentFault(err)
	}
	// The version of the law is that of the clock which runs.
	i := slices.IndexFunc(a.clocks(in, lang), func(c regime.Clock) bool { return c.Law == law && c.Duty == duty })
	if i < 0 {
		return nil, &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: "no clock of this incident has that law and duty", Cure: clocksName}
	}
	ruling := a.clocks(in, lang)[i].Version
	j := slices.IndexFunc(a.cfg.Incidents.Laws, func(l *regime.Law) bool { return l.ID == law && l.Version == ruling })
	doc, err := in.Document(a.cfg.Incidents.Laws[j], duty, lang, version)
	return doc, a.incidentFault(err)
}

func (a *API) getDocument(w http.ResponseWriter, r *http.Request) error {
	n, err := incidentNumber(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	version := 0
	if text := q.Get("version"); text != "" {
		if version, err = strconv.Atoi(text); err != nil || version < 1 {
			return invalid("give the number of a scope version", "version: out of range")
		}
	}
	doc, err := a.Document(r.Context(), n, q.Get("law"), q.Get("duty"), langOf(r), version)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, doc)
	return nil
}

// Signature signs a document off, as it was when somebody read it.
type Signature struct {
	Law     string `json:"law"`
	Duty    string `json:"duty"`
	Lang    string `json:"lang"`
	Version int    `json:"version"` // of the scope
	Hash    string `json:"hash"`    // of the document that was read
}

func (a *API) postSignature(w http.ResponseWriter, r *http.Request) error {
	n, err := incidentNumber(r)
	if err != nil {
		return err
	}
	var in Signature
	if err := readBody(w, r, 1<<20, &in); err != nil {
		return err
	}
	if err := a.Sign(r.Context(), whoOf(r), n, in); err != nil {
		return err
	}
	return a.sendIncident(w, r, http.StatusOK, n)
}

// Sign signs a document off in the name of who.
func (a *API) Sign(ctx context.Context, who Who, n int64, in Signature) error {
	if !slices.Contains(incident.Languages, in.Lang) {
		return invalid("give en, ko, ar or bn", "lang: there are no documents in this language")
	}
	doc, err := a.Document(ctx, n, in.Law, in.Duty, in.Lang, in.Version)
	if err != nil {
		return err
	}
	switch {
	case doc.Hash != in.Hash:
		return &Error{Status: http.StatusConflict, Code: CodeConflict, Says: "the document is not the one that was read", Cure: "read it again, and sign that one"}
	case len(doc.Faults) > 0:
		return invalid("mend what the document's faults say", "the document has %d faults, the first: %s", len(doc.Faults), doc.Faults[0].Says)
	}
	body := incident.Body{Document: fmt.Sprintf("%s/%s %s", in.Law, in.Duty, in.Lang), Hash: doc.Hash, Law: in.Law, Duty: in.Duty, Version: doc.Scope}
	_, err = a.cfg.Incidents.Book.Record(ctx, n, who.Name, incident.Signed, body)
	return a.incidentFault(err)
}

// Verification is what was checked of incidents: their chains of events, the acts of the ledger, the lists of scope versions.
type Verification struct {
	OK bool `json:"ok"`
	incident.Verified
	Says string `json:"says,omitempty"` // the first thing wrong
}

// VerifyIncidents checks a book against the acts of a ledger.
func VerifyIncidents(ctx context.Context, book *incident.Book, view *ledger.View) (Verification, error) {
	done, err := book.Verify(ctx, func(visit func(seq uint64, act *whosaw.Reference) error) error {
		return view.References(ctx, func(seq uint64, r *whosaw.Record) error {
			if r.Type != whosaw.TypeAct || r.Ref == nil {
				return nil
			}
			return visit(seq, r.Ref)
		})
	})
	v := Verification{OK: err == nil, Verified: done}
	if errors.Is(err, incident.ErrRewritten) {
		v.Says, err = err.Error(), nil
	}
	return v, err
}

func (a *API) getVerification(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := a.limit(r)
	defer cancel()
	view, err := a.cfg.Live.Ledger().View(0)
	if err != nil {
		return err
	}
	defer view.Close()
	v, err := VerifyIncidents(ctx, a.cfg.Incidents.Book, view)
	if err != nil {
		return askFault(ctx, err)
	}
	writeJSON(w, http.StatusOK, v)
	return nil
}
