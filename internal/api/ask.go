package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

// Question is what is asked about accesses.
type Question struct {
	Filter whosaw.Filter `json:"filter"` // missing: every access
	Zone   string        `json:"zone"`   // of days, as in Asia/Seoul; missing: the server's

	Subject *string `json:"subject,omitempty"` // of subject: the customer's id
	Realm   *string `json:"realm,omitempty"`   // of subject: missing: any
	Limit   int     `json:"limit,omitempty"`   // of subject and top
	Next    string  `json:"next,omitempty"`    // of subject: the cursor of the page before
	By      string  `json:"by,omitempty"`      // of top

	Form string `json:"form,omitempty"` // of scope/list: jsonl (also when missing) or csv
}

// maxQuestion bounds a question's body: a filter with some hundred thousand values fits.
const maxQuestion = 16 << 20

func readQuestion(w http.ResponseWriter, r *http.Request) (*Question, error) {
	var q Question
	if err := readBody(w, r, maxQuestion, &q); err != nil {
		return nil, err
	}
	if q.Filter == nil {
		q.Filter = whosaw.Filter{{}}
	}
	if err := q.Filter.Validate(); err != nil {
		return nil, invalid("", "filter: %v", err)
	}
	return &q, nil
}

// readBody reads one JSON document. An empty body is an empty document.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil && dec.More() {
		err = errors.New("something follows the document")
	}
	if err == nil {
		return nil
	}
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		return err
	}
	return invalid("send one JSON document as /v1/openapi.yaml describes it", "the body cannot be read: %s", jsonFault(err))
}

// jsonFault words an error of encoding/json without the value it complains of.
func jsonFault(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return "it is no JSON"
	case errors.As(err, &kind):
		return "member " + kind.Field + " is of the wrong kind"
	case strings.HasPrefix(err.Error(), "json: unknown field"):
		return "it has a member that is not known" + strings.TrimPrefix(err.Error(), "json: unknown field")
	}
	return err.Error()
}

// record writes into the ledger who asks what, before it is answered.
func (a *API) record(r *http.Request, kind string, filter whosaw.Filter) error {
	_, err := a.cfg.Live.Write(r.Context(), pipeline.Asked(kind, whoOf(r).Name, filter))
	if err != nil {
		a.cfg.Logger.Error("a question could not be recorded, so it is not answered", "kind", kind, "error", err)
		return unrecorded("the question could not be recorded, so it is not answered", "ask")
	}
	return nil
}

func (a *API) postScope(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuestion(w, r)
	if err != nil {
		return err
	}
	if err := a.record(r, "scope", q.Filter); err != nil {
		return err
	}
	ctx, ask, end, err := a.query(r, q.Zone)
	if err != nil {
		return err
	}
	defer end()
	answer, err := ask.Count(ctx, q.Filter)
	if err != nil {
		return askFault(ctx, err)
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// askFault says that a question was wrong, where the engine says so; its own faults and ends of contexts pass.
func askFault(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (a *API) postList(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuestion(w, r)
	if err != nil {
		return err
	}
	if q.Form != "" && q.Form != "jsonl" && q.Form != "csv" {
		return invalid("give jsonl or csv", "form: there is no such form")
	}
	if err := a.record(r, "list", q.Filter); err != nil {
		return err
	}
	ctx, ask, end, err := a.query(r, q.Zone)
	if err != nil {
		return err
	}
	defer end()
	each := func(yield func(whosaw.ListRow) error) error { return ask.List(ctx, q.Filter, yield) }
	return a.sendList(ctx, w, q.Form, each, func(w io.Writer) error { return ask.WriteCSV(ctx, q.Filter, w) })
}

// beginner calls begin before each writing.
type beginner struct {
	w     io.Writer
	begin func()
}

func (b beginner) Write(p []byte) (int, error) {
	b.begin()
	return b.w.Write(p)
}

// sendList streams the list. An answer that was begun and could not be ended is broken off, so that nobody takes it for whole.
// asCSV, if there is one, writes the same rows faster.
func (a *API) sendList(ctx context.Context, w http.ResponseWriter, form string, each func(yield func(whosaw.ListRow) error) error, asCSV func(w io.Writer) error) error {
	begun := false
	begin := func() {
		if begun {
			return
		}
		begun = true
		h := w.Header()
		h.Set("Content-Type", "application/x-ndjson")
		if form == "csv" {
			h.Set("Content-Type", "text/csv; charset=utf-8")
		}
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
	}
	to := beginner{w, begin}
	var err error
	if form == "csv" && asCSV != nil {
		err = asCSV(to)
	} else {
		out := bufio.NewWriterSize(to, 1<<16)
		rows := scope.NewListWriter(out, form == "csv")
		if err = each(rows.Row); err == nil {
			begin() // of a list without rows too
			err = errors.Join(rows.Flush(), out.Flush())
		}
	}
	if err != nil && begun {
		a.cfg.Logger.Warn("a list was broken off", "error", err)
		panic(http.ErrAbortHandler)
	}
	if err != nil {
		return askFault(ctx, err)
	}
	return nil
}

func (a *API) postSubject(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuestion(w, r)
	if err != nil {
		return err
	}
	switch {
	case q.Subject == nil || *q.Subject == "" || len(*q.Subject) > whosaw.MaxSubject:
		return invalid("give the customer's id, 1 to 256 bytes", "subject: there is none")
	case q.Limit < 0 || q.Limit > 10_000:
		return invalid("give 1 to 10000", "limit: out of range")
	}
	act := slices.Clone(q.Filter)
	for i := range act {
		if len(act[i].Subject) > 0 {
			return invalid("leave it out of the filter", "the customer stands beside the filter")
		}
		act[i].Subject = []string{*q.Subject}
	}
	if err := a.record(r, "subject", act); err != nil {
		return err
	}
	ctx, ask, end, err := a.query(r, q.Zone)
	if err != nil {
		return err
	}
	defer end()
	answer, err := ask.Subject(ctx, q.Realm, *q.Subject, q.Filter, q.Limit, q.Next)
	if err != nil {
		return askFault(ctx, err)
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// GapsHeader has, beside an answer that is a list, what retention removed of what was asked: gaps as JSON, at most maxHeaderGaps.
const GapsHeader = "Whosaw-Gaps"

const maxHeaderGaps = 10

// gapsHeader writes gaps in ASCII.
func gapsHeader(gaps []whosaw.Gap) string {
	text, err := json.Marshal(gaps[:min(len(gaps), maxHeaderGaps)])
	if err != nil {
		panic("BUG: gaps are always JSON")
	}
	var out []byte
	for _, c := range string(text) {
		if c < 0x7f {
			out = append(out, byte(c))
			continue
		}
		for _, u := range utf16.Encode([]rune{c}) {
			out = fmt.Appendf(out, `\u%04x`, u)
		}
	}
	return string(out)
}

func (a *API) postTop(w http.ResponseWriter, r *http.Request) error {
	q, err := readQuestion(w, r)
	if err != nil {
		return err
	}
	switch {
	case !slices.Contains(scope.Dimensions(), q.By):
		return invalid("give one of "+strings.Join(scope.Dimensions(), ", "), "by: there is no such dimension")
	case q.Limit < 0 || q.Limit > 1_000_000:
		return invalid("give 1 to 1000000", "limit: out of range")
	case q.Limit == 0:
		q.Limit = 20
	}
	if err := a.record(r, "top", q.Filter); err != nil {
		return err
	}
	ctx, ask, end, err := a.query(r, q.Zone)
	if err != nil {
		return err
	}
	defer end()
	rows, err := ask.Top(ctx, q.By, q.Filter, q.Limit)
	if err != nil {
		return askFault(ctx, err)
	}
	gaps, err := ask.Purged(q.Filter)
	if err != nil {
		return askFault(ctx, err)
	}
	if len(gaps) > 0 {
		w.Header().Set(GapsHeader, gapsHeader(gaps))
	}
	if rows == nil {
		rows = []whosaw.TopRow{}
	}
	writeJSON(w, http.StatusOK, rows)
	return nil
}

// getInvestigation gives the attacks with their scopes, as whosaw investigate does.
func (a *API) getInvestigation(w http.ResponseWriter, r *http.Request) error {
	result, err := a.investigate(r)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, result.Investigation)
	return nil
}

func (a *API) investigate(r *http.Request) (pipeline.Result, error) {
	if err := a.record(r, "investigate", whosaw.Filter{{}}); err != nil {
		return pipeline.Result{}, err
	}
	loc, err := a.location(r.URL.Query().Get("zone"))
	if err != nil {
		return pipeline.Result{}, err
	}
	ctx, cancel := a.limit(r)
	defer cancel()
	select {
	case a.turns <- struct{}{}:
		defer func() { <-a.turns }()
	case <-ctx.Done():
		return pipeline.Result{}, unavailable("other questions are being worked on", "ask again when they are answered")
	}
	result, err := a.cfg.Live.Investigate(ctx, scope.Config{Workers: a.cfg.QueryWorkers, Zone: loc, Memory: a.cfg.QueryMemory})
	if err != nil {
		return result, askFault(ctx, err)
	}
	return result, nil
}
