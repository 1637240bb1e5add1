package door

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/whosaw/whosaw/internal/guard"
)

// Judge is what doors ask.
type Judge interface {
	// Decide judges a request before it is answered.
	Decide(ctx context.Context, q *guard.Request) guard.Decision
	// Observe judges an answer before it leaves.
	Observe(ctx context.Context, a *guard.Answer) guard.Decision
}

// Bounds of a question over HTTP.
const (
	MaxBody  = 1 << 20
	MaxBatch = 1000
)

// Question is the body of POST /v1/decide: one request, or several.
type Question struct {
	guard.Request
	Requests []guard.Request `json:"requests,omitempty"`
}

// AnswerQuestion is the body of POST /v1/decide/answer.
type AnswerQuestion struct {
	guard.Answer
	Answers []guard.Answer `json:"answers,omitempty"`
}

// Decisions answers a question with several requests, in their order.
type Decisions struct {
	Decisions []Decision `json:"decisions"`
}

// Decision is a decision as it is written.
type Decision struct {
	guard.Decision
	Status int     `json:"status,omitempty"`      // with which a door that speaks HTTP refuses
	TTL    float64 `json:"ttl"`                   // seconds
	Retry  int64   `json:"retry_after,omitempty"` // seconds
}

// Written gives a decision as it is written.
func Written(d guard.Decision) Decision {
	out := Decision{Decision: d, Status: d.Status(), TTL: d.TTL.Seconds()}
	if d.Retry > 0 {
		out.Retry = int64((d.Retry + time.Second - 1) / time.Second)
	}
	return out
}

// ErrBatch says that a question asks about more than may be.
var ErrBatch = errors.New("a question asks about 1 to 1000 requests: send it in parts")

// Decide answers a question. name is the door's where its address says it, else the question does.
func (q *Question) Decide(ctx context.Context, j Judge, name string) (any, error) {
	if len(q.Requests) == 0 {
		named(&q.Request, name)
		return Written(j.Decide(ctx, &q.Request)), nil
	}
	if len(q.Requests) > MaxBatch {
		return nil, ErrBatch
	}
	out := Decisions{Decisions: make([]Decision, len(q.Requests))}
	for i := range q.Requests {
		if q.Requests[i].Door == "" {
			q.Requests[i].Door = q.Door
		}
		named(&q.Requests[i], name)
		out.Decisions[i] = Written(j.Decide(ctx, &q.Requests[i]))
	}
	return out, nil
}

// Observe answers a question about answers.
func (q *AnswerQuestion) Observe(ctx context.Context, j Judge, name string) (any, error) {
	if len(q.Answers) == 0 {
		named(&q.Request, name)
		return Written(j.Observe(ctx, &q.Answer)), nil
	}
	if len(q.Answers) > MaxBatch {
		return nil, ErrBatch
	}
	out := Decisions{Decisions: make([]Decision, len(q.Answers))}
	for i := range q.Answers {
		if q.Answers[i].Door == "" {
			q.Answers[i].Door = q.Door
		}
		named(&q.Answers[i].Request, name)
		out.Decisions[i] = Written(j.Observe(ctx, &q.Answers[i]))
	}
	return out, nil
}

func named(q *guard.Request, name string) {
	if name != "" {
		q.Door = name
	}
}

// decideHandler answers POST /v1/decide on an address of its own.
func decideHandler(j Judge, name string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/decide", func(w http.ResponseWriter, r *http.Request) {
		var q Question
		if !read(w, r, &q) {
			return
		}
		answer, err := q.Decide(r.Context(), j, name)
		write(w, answer, err)
	})
	mux.HandleFunc("POST /v1/decide/answer", func(w http.ResponseWriter, r *http.Request) {
		var q AnswerQuestion
		if !read(w, r, &q) {
			return
		}
		answer, err := q.Observe(r.Context(), j, name)
		write(w, answer, err)
	})
	return mux
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err == nil {
		return true
	}
	write(w, nil, errors.New("the question cannot be read: send one JSON document as docs/formats/guard.md describes it"))
	return false
}

// fault is an answer to a question that has none, in the form of the API's errors.
type fault struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

func write(w http.ResponseWriter, answer any, err error) {
	status := http.StatusOK
	if err != nil {
		var f fault
		f.Error.Code, f.Error.Message = "invalid", err.Error()
		answer, status = f, http.StatusBadRequest
	}
	data, err := json.Marshal(answer)
	if err != nil {
		panic("BUG: encode a decision: " + err.Error())
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // whoever asked has gone
}
