package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// Received is the answer to records that were sent. Lines = Accepted + Duplicates + Rejected.
type Received struct {
	Source     string     `json:"source"`
	Lines      int64      `json:"lines"`
	Accepted   int64      `json:"accepted"`
	Duplicates int64      `json:"duplicates"` // taken before: this body, or part of it, came again
	Rejected   int64      `json:"rejected"`
	Rejects    []Rejected `json:"rejects"` // the first 100
	Unknown    int64      `json:"unknown"` // members that the contract does not know, left out
	Error      *Error     `json:"error,omitempty"`
}

// Rejected says why a line was not taken. The line itself is in DIR/rejects.jsonl.
type Rejected struct {
	Line   int64  `json:"line"` // from 1
	Reason string `json:"reason"`
	Hint   string `json:"hint"`
}

const maxRejects = 100

func (r *Received) add(b *ingest.Batch, out *pipeline.Outcome) {
	r.Unknown += b.Unknown
	r.Lines += out.Lines
	r.Accepted += out.Accepted
	r.Duplicates += out.Duplicates
	r.Rejected += int64(len(out.Rejects))
	for i := range out.Rejects {
		if len(r.Rejects) == maxRejects {
			break
		}
		x := &out.Rejects[i]
		r.Rejects = append(r.Rejects, Rejected{Line: x.Line, Reason: x.Reason, Hint: x.Hint})
	}
}

// streams are the sources that were sent since the start.
type streams struct {
	catalog *catalog.Catalog
	formats map[string]ingest.StreamOptions

	mu sync.Mutex
	by map[string]*ingest.Stream
}

// maxSources bounds the names that a token for any source may make up.
const maxSources = 10_000

func (s *streams) get(name string) (*ingest.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.by[name]; st != nil {
		return st, nil
	}
	if err := ingest.CheckSource(name); err != nil {
		return nil, invalid("name it with ?source=NAME", "%v", err)
	}
	if len(s.by) >= maxSources {
		return nil, &Error{Status: http.StatusConflict, Code: CodeConflict, Says: fmt.Sprintf("there are %d sources already", maxSources), Cure: "a source is a gateway or an application, not a machine or a request: send under fewer names"}
	}
	o, ok := s.formats[name]
	if !ok {
		o = ingest.StreamOptions{Source: name}
	}
	o.Catalog = s.catalog
	st, err := ingest.NewStream(o)
	if err != nil {
		return nil, err
	}
	if s.by == nil {
		s.by = map[string]*ingest.Stream{}
	}
	s.by[name] = st
	return st, nil
}

// sourceOf finds out which source a request sends, and whether it may.
func sourceOf(r *http.Request, who Who) (string, error) {
	source := r.URL.Query().Get("source")
	if who.Token == nil {
		if source == "" {
			return "", invalid("name it with ?source=NAME", "the source has no name")
		}
		return source, nil
	}
	if source == "" && len(who.Token.Sources) == 1 && who.Token.Sources[0] != auth.AnySource {
		source = who.Token.Sources[0]
	}
	if source == "" {
		return "", invalid("name it with ?source=NAME", "this token may send several sources")
	}
	if !who.Token.MaySend(source) {
		return "", forbidden("this token may not send that source", "use the token of that source, or make one with whosaw token create --source")
	}
	return source, nil
}

// listened notes whether its sender fell silent.
type listened struct {
	r      io.Reader
	silent bool
}

func (l *listened) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	l.silent = l.silent || errors.Is(err, os.ErrDeadlineExceeded)
	return n, err
}

func (a *API) postRecords(w http.ResponseWriter, r *http.Request) error {
	who := whoOf(r)
	source, err := sourceOf(r, who)
	if err != nil {
		return err
	}
	if err := a.lost(r, source); err != nil {
		return err
	}
	switch enc := strings.ToLower(r.Header.Get("Content-Encoding")); enc {
	case "", "identity", "gzip", "zstd": // told by the first bytes
	default:
		return &Error{Status: http.StatusUnsupportedMediaType, Code: CodeInvalid, Says: "this content encoding is not known", Cure: "send plain, gzip or zstd"}
	}
	stream, err := a.streams.get(source)
	if err != nil {
		return err
	}
	sender := pipeline.Sender{Name: who.Name, Types: pipeline.AllTypes}
	if who.Token != nil {
		if sender.Types, err = pipeline.ParseTypes(who.Token.Types); err != nil {
			return err
		}
	}
	if r.ContentLength > a.cfg.MaxBody { // before anything is taken of it
		return &http.MaxBytesError{Limit: a.cfg.MaxBody}
	}
	body := &listened{r: http.MaxBytesReader(w, r.Body, a.cfg.MaxBody)}
	answer := Received{Source: source, Rejects: []Rejected{}}
	var taken int64
	err = stream.DecodeBody(r.Context(), a.cfg.Now().UnixMilli(), body, a.cfg.MaxDecompressed, func(b *ingest.Batch) error {
		out, err := a.cfg.Live.Take(r.Context(), b, sender)
		if err == nil {
			answer.add(b, &out)
			taken += b.Feeds
		}
		return err
	})
	if err != nil {
		switch {
		case body.silent: // it may listen, although it says nothing
			answer.Error = &Error{Status: http.StatusRequestTimeout, Code: CodeInvalid, Says: fmt.Sprintf("nothing came for %v in the middle of the body", a.cfg.Idle), Cure: "send the whole body again: nothing counts twice"}
		case r.Context().Err() != nil:
			return err
		default:
			answer.Error = a.refusal(r, err)
		}
		if answer.Error.Status == http.StatusRequestEntityTooLarge {
			answer.Error.Cure = fmt.Sprintf("the first %d of its lines were taken: send those that follow in shorter bodies", taken)
		}
		if answer.Error.Status >= 500 {
			a.cfg.Logger.Error("records could not be taken", "source", source, "who", who.Name, "error", err)
		}
		if answer.Error.Retry > 0 {
			w.Header().Set("Retry-After", fmt.Sprint(answer.Error.Retry))
		}
		writeJSON(w, answer.Error.Status, &answer)
		return nil
	}
	writeJSON(w, http.StatusOK, &answer)
	return nil
}

// maxLost bounds what a sender may say it lost at once, and how long ago.
const (
	maxLost    = 1 << 40
	maxLostFor = 366 * 24 * 60 * 60 * 1000
)

// lost takes what a sender says of records that it lost itself.
func (a *API) lost(r *http.Request, source string) error {
	q := r.URL.Query()
	if q.Get("lost") == "" {
		return nil
	}
	var n [3]int64
	for i, name := range []string{"lost", "lost_from", "lost_until"} {
		var err error
		if n[i], err = strconv.ParseInt(q.Get(name), 10, 64); err != nil {
			return invalid("give a count, and times in milliseconds since 1970", "%s: it is no number", name)
		}
	}
	id, now := q.Get("lost_id"), a.cfg.Now().UnixMilli()
	if n[0] < 1 || n[0] > maxLost || n[1] > n[2] || n[2] > now+whosaw.MaxAhead || n[2]-n[1] > maxLostFor || id == "" || len(id) > 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return invalid("give lost above 0, lost_from up to lost_until, not in the future and at most a year, and lost_id in hexadecimal digits", "what was lost cannot be taken")
	}
	if err := a.cfg.Live.Lost(r.Context(), source, id, n[0], n[1], n[2]); err != nil {
		return a.refusal(r, err)
	}
	a.cfg.Logger.Error("a sender lost records before they reached this server", "source", source, "records", n[0])
	return nil
}

// refusal is what a sender is told whose records could not be made durable: send them again later.
func (a *API) refusal(r *http.Request, err error) *Error {
	e := answerTo(r.Context(), err)
	if e == errInternal {
		e = unavailable("the records could not be made durable", "send the same body again later: nothing counts twice. The server's log says why")
	}
	return e
}
