package api

import (
	"context"
	"net/http"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// Fault says what an error is for the one who asked, as the API would answer it.
func (a *API) Fault(ctx context.Context, err error) *Error { return answerTo(ctx, err) }

// Ask begins the work on a question of a page, as a route of the API does: it is in the ledger first, in the name of who asks; it has
// its turn, its time and its snapshot. end must be called. An error of the question belongs to [API.Fault], with the context given.
func (a *API) Ask(r *http.Request, who Who, kind string, filter whosaw.Filter) (ctx context.Context, q *pipeline.Question, end func(), err error) {
	r = r.WithContext(context.WithValue(r.Context(), whoKey{}, who))
	if err := a.record(r, kind, filter); err != nil {
		return nil, nil, nil, err
	}
	return a.query(r, "")
}

// Again begins a part of a question that is on record: the next turn of an answer that takes several, or what is done about it. That it is
// on record, in the name of the same person and with the same filter, is the caller's to hold.
func (a *API) Again(r *http.Request, who Who) (ctx context.Context, q *pipeline.Question, end func(), err error) {
	return a.query(r.WithContext(context.WithValue(r.Context(), whoKey{}, who)), "")
}

// MayChange refuses who may only read.
func (a *API) MayChange(who Who) error { return allowed(admins, who) }

// NotFound is the answer for what is not there.
func NotFound(says string) error {
	return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: says}
}

// Invalid is the answer for what cannot be meant.
func Invalid(says, cure string) error { return invalid(cure, "%s", says) }

// Note writes into the ledger what somebody did on a page.
func (a *API) Note(ctx context.Context, who Who, ref whosaw.Reference) error {
	return a.noteBy(ctx, who, ref)
}
