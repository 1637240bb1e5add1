package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

// Code says what kind of an error an answer is.
type Code string

// The codes, and the HTTP status of each.
const (
	CodeInvalid      Code = "invalid"      // 400, 405, 408, 413, 415: the request is not one that can be answered
	CodeUnauthorized Code = "unauthorized" // 401: nobody is known
	CodeForbidden    Code = "forbidden"    // 403: somebody is known who may not
	CodeNotFound     Code = "not_found"    // 404
	CodeConflict     Code = "conflict"     // 409: it is so already, or something else is there
	CodeUnavailable  Code = "unavailable"  // 503, 504, 507: not now; the header Retry-After says when
	CodeInternal     Code = "internal"     // 500: our mistake; the server's log says more
)

// Error is the answer to a request that failed.
type Error struct {
	Status int    `json:"-"`
	Code   Code   `json:"code"`
	Says   string `json:"message"`
	Cure   string `json:"hint,omitempty"`
	Retry  int    `json:"retry_after,omitempty"` // seconds
}

func (e *Error) Error() string {
	if e.Cure == "" {
		return e.Says
	}
	return e.Says + ": " + e.Cure
}

func invalid(cure, format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Code: CodeInvalid, Says: fmt.Sprintf(format, args...), Cure: cure}
}

var (
	errUnauthorized = &Error{Status: http.StatusUnauthorized, Code: CodeUnauthorized, Says: "nobody is known by this request", Cure: "send a token: Authorization: Bearer wst_…; make one with whosaw token create"}
	errNotFound     = &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: "there is nothing under this path", Cure: "see /v1/openapi.yaml"}
	errTimeout      = &Error{Status: http.StatusGatewayTimeout, Code: CodeUnavailable, Says: "the question took longer than one may take", Cure: "ask for a shorter time or a narrower filter, or allow more (query.timeout)"}
	errInternal     = &Error{Status: http.StatusInternalServerError, Code: CodeInternal, Says: "the server could not answer", Cure: "its log says why"}
)

func forbidden(says, cure string) *Error {
	return &Error{Status: http.StatusForbidden, Code: CodeForbidden, Says: says, Cure: cure}
}

func unavailable(says, cure string) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Code: CodeUnavailable, Says: says, Cure: cure, Retry: 5}
}

// unrecorded refuses what could not be written to the ledger; do is what to do again: try, or ask.
func unrecorded(says, do string) *Error {
	return unavailable(says, do+" again when the server can write: whosaw status says what is in its way")
}

// errTooLong is the cause of a question's context when its time is over.
var errTooLong = errors.New("the question took too long")

// answerTo finds what an error is for the one who asked. What is nobody's business but the operator's is internal.
func answerTo(ctx context.Context, err error) *Error {
	var own *Error
	var spec *auth.BadSpec
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &tooBig):
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: CodeInvalid, Says: fmt.Sprintf("the body is longer than %d bytes", tooBig.Limit), Cure: "send it in parts"}
	case errors.As(err, &spec):
		return invalid("", "%v", spec)
	case errors.Is(err, errTooLong), errors.Is(context.Cause(ctx), errTooLong):
		return errTimeout
	case errors.Is(err, scope.ErrMemory):
		return &Error{Status: http.StatusInsufficientStorage, Code: CodeUnavailable, Says: "the question needs more memory than one question may use", Cure: "narrow the filter, ask for a shorter time, or allow more (query.memory)"}
	case errors.Is(err, scope.ErrCursor):
		return invalid("ask again without it", "the cursor is not one of this ledger")
	case errors.Is(err, ledger.ErrDiskFull):
		return &Error{Status: http.StatusInsufficientStorage, Code: CodeUnavailable, Retry: 30,
			Says: "the server's disk is full", Cure: "send it again later: what was acknowledged is kept, and nothing counts twice"}
	case errors.Is(err, pipeline.ErrClosing), errors.Is(err, ledger.ErrClosed):
		return unavailable("the server is stopping", "send it again when it is back")
	case errors.Is(err, auth.ErrNoToken):
		return &Error{Status: http.StatusNotFound, Code: CodeNotFound, Says: err.Error()}
	case ingest.IsBodyError(err):
		return invalid("send the whole body again: nothing counts twice", "%v", err)
	}
	return errInternal
}

// body is an error as it is sent.
type body struct {
	Error *Error `json:"error"`
}

func writeError(w http.ResponseWriter, e *Error) {
	if e.Retry > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(e.Retry))
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="whosaw"`)
	}
	writeJSON(w, e.Status, body{e})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		panic("BUG: encode an answer: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // whoever asked has gone
}
