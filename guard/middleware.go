package guard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw/internal/presented"
)

// ErrRefused says that the answer must not leave. Whoever asked was told, or, where part of the answer had left, will see it break off.
var ErrRefused = errors.New("guard: the answer was refused")

// ErrNotWrapped says that a handler is not behind [Client.Wrap].
var ErrNotWrapped = errors.New("guard: the handler is not behind Wrap")

// Shown is what an answer, or the part of it that comes next, shows. Where neither Fields nor Masked is given (nil) the catalog says which fields; else
// they are all there is, and both empty means that nothing is shown.
type Shown struct {
	Subjects []string // whose data: customer ids
	Fields   []string // names of the fields shown in clear, as the catalog has them
	Masked   []string // shown masked
	Others   int64    // entries of people who are no customers, as in an address book
	Route    string   // instead of method and path: a route of the catalog
	Status   int      // of the answer; 0: it is a good one, and not recorded
}

// Mask says which of the fields that were to be shown in clear must be masked.
type Mask struct {
	all    bool
	fields []string
}

// Has reports whether a field must be masked.
func (m Mask) Has(field string) bool { return m.all || slices.Contains(m.fields, field) }

type stateKey struct{}

// state is one request's.
type state struct {
	c      *Client
	q      question
	hold   bool
	masks  Mask
	id     identity
	writer *writer

	mu    sync.Mutex  // one Show at a time
	shown atomic.Bool // what the answer shows was said
}

// Show says what the answer shows, before it is written, and waits for the decision: ErrRefused means that the handler must stop. What the mask
// has must be masked by the handler, and is recorded so. It may be called again before a later part of the answer.
func Show(ctx context.Context, s Shown) (Mask, error) {
	st, _ := ctx.Value(stateKey{}).(*state)
	if st == nil {
		return Mask{}, ErrNotWrapped
	}
	return st.show(ctx, s)
}

// Wrap judges each request before next answers it.
func (c *Client) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st := &state{c: c, q: c.question(r)}
		d, err := c.decide(r.Context(), &st.q)
		switch {
		case err != nil && !c.mayOpen(r, err):
			unavailable(w)
			return
		case err == nil && d.Status != 0:
			c.refused.Add(1)
			refuse(w, &d)
			return
		}
		st.hold, st.id, st.masks = d.Hold, d.Identity, maskOf(&d)
		st.writer = &writer{ResponseWriter: w}
		if c.cfg.Declared != nil && c.cfg.Declared(r) {
			st.writer.undeclared = func() bool { return !st.shown.Load() }
		}
		whole := false
		defer func() { st.end(r.Context(), whole) }() // a handler panics where whoever reads goes before the end, and was shown what came until then
		next.ServeHTTP(st.writer, r.WithContext(context.WithValue(r.Context(), stateKey{}, st)))
		whole = true
	})
}

func maskOf(d *decision) Mask {
	if d.Action != "mask" {
		return Mask{}
	}
	return Mask{all: len(d.Masked) == 0, fields: d.Masked}
}

// mayOpen counts a request that could not be judged, and says whether it is let through.
func (c *Client) mayOpen(r *http.Request, err error) bool {
	if c.cfg.Open != nil && c.cfg.Open(r) {
		c.opened.Add(1)
		c.cfg.Logger.Warn("a request was let through unjudged", "error", err)
		return true
	}
	c.shut.Add(1)
	c.cfg.Logger.Warn("a request was refused unjudged", "error", err)
	return false
}

func (c *Client) question(r *http.Request) question {
	q := question{
		Request: r.Header.Get("X-Request-Id"), Door: c.cfg.Door, Method: r.Method, Path: r.URL.RequestURI(),
		Methods: presented.Methods(r.Header), IP: c.address(r), Agent: r.UserAgent(), Credential: presented.Credential(r.Header["Authorization"], r.Header["Cookie"], c.cfg.Cookie),
	}
	if q.Request == "" || len(q.Request) > 128 {
		q.Request = newID()
	}
	if scheme, rest, ok := strings.Cut(q.Credential, " "); ok && strings.EqualFold(scheme, "bearer") {
		q.Credential = strings.TrimSpace(rest)
	}
	return q
}

func (c *Client) decide(ctx context.Context, q *question) (decision, error) {
	key := cacheKey(q)
	if d, ok := c.cache.get(key, time.Now()); ok {
		c.judged.Add(1)
		return d, nil
	}
	var d decision
	if err := c.ask(ctx, "/v1/decide", q, &d); err != nil {
		return d, err
	}
	c.judged.Add(1)
	c.cache.put(key, d, time.Now())
	return d, nil
}

func (st *state) show(ctx context.Context, s Shown) (Mask, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.writer.refused() {
		return Mask{}, ErrRefused
	}
	q := st.q
	q.Subjects, q.Fields, q.Masked, q.Others, q.Status = s.Subjects, s.Fields, s.Masked, s.Others, s.Status
	if s.Route != "" {
		q.Route = s.Route
	}
	var d decision
	mask, hold := st.masks, st.hold
	err := st.c.ask(ctx, "/v1/decide/answer", &q, &d)
	switch {
	case err != nil && !(st.c.cfg.Open != nil && st.c.cfg.Open(st.request(ctx, &q))):
		st.c.shut.Add(1)
		st.writer.refuse(func(w http.ResponseWriter) { unavailable(w) })
		return Mask{}, ErrRefused
	case err != nil:
		st.c.opened.Add(1)
		st.c.cfg.Logger.Warn("an answer was let through unjudged", "error", err)
	case d.Status != 0:
		st.c.refused.Add(1)
		st.writer.refuse(func(w http.ResponseWriter) { refuse(w, &d) })
		return Mask{}, ErrRefused
	default:
		hold = hold || d.Hold
		if m := maskOf(&d); m.all || len(m.fields) > 0 {
			mask = Mask{all: mask.all || m.all, fields: slices.Concat(mask.fields, m.fields)}
		}
	}
	line := st.record(&q, s, mask)
	st.shown.Store(true)
	if !hold {
		st.c.enqueue(ctx, line)
		return mask, nil
	}
	if rejected, _, err := st.c.records(ctx, line); err != nil || rejected > 0 {
		st.c.shut.Add(1)
		st.c.cfg.Logger.Error("an answer was held back: its record could not be made durable", "error", err)
		st.writer.refuse(func(w http.ResponseWriter) { unavailable(w) })
		return Mask{}, ErrRefused
	}
	st.c.sent.Add(1)
	return mask, nil
}

// request is the request again, as far as Open may want it.
func (st *state) request(ctx context.Context, q *question) *http.Request {
	r, err := http.NewRequestWithContext(ctx, q.Method, "http://service"+q.Path, nil)
	if err != nil {
		r, _ = http.NewRequestWithContext(ctx, http.MethodGet, "http://service/", nil)
	}
	if len(q.Methods) > 0 {
		r.Header[presented.Overrides[0]] = q.Methods
	}
	return r
}

// end records an answer of which the handler did not say what it shows, and breaks off one that was refused half-way. Where the handler
// panicked (whole is false) there is an answer only if it had begun.
func (st *state) end(ctx context.Context, whole bool) {
	if st.writer.broken() {
		panic(http.ErrAbortHandler)
	}
	if !st.shown.Load() && !st.writer.refused() && (whole || st.writer.begun()) {
		q := st.q
		q.Status = st.writer.status()
		st.c.enqueue(ctx, st.record(&q, Shown{}, Mask{}))
	}
}

// access is an access record.
type access struct {
	Type       string   `json:"type"`
	ID         string   `json:"id"`
	Time       string   `json:"time"`
	Realm      string   `json:"realm,omitempty"`
	Subjects   []string `json:"subjects,omitempty"`
	Others     int64    `json:"others,omitempty"`
	Route      string   `json:"route,omitempty"`
	Method     string   `json:"method,omitempty"`
	Path       string   `json:"path,omitempty"`
	Fields     []string `json:"fields,omitzero"` // empty and not nil: none
	Masked     []string `json:"masked,omitzero"`
	Status     int      `json:"status,omitempty"`
	Outcome    string   `json:"outcome,omitempty"`
	Principal  string   `json:"principal,omitempty"`
	Credential string   `json:"credential,omitempty"`
	Key        string   `json:"key,omitempty"`
	Client     string   `json:"client,omitempty"`
	IP         string   `json:"ip,omitempty"`
	Agent      string   `json:"agent,omitempty"`
	Request    string   `json:"request,omitempty"`
}

func (st *state) record(q *question, s Shown, mask Mask) []byte {
	a := access{
		Type: "access", ID: newID(), Time: st.c.cfg.Now().UTC().Format("2006-01-02T15:04:05.000Z"), Realm: st.id.Realm, Subjects: s.Subjects, Others: s.Others,
		Route: q.Route, Status: q.Status, Principal: st.id.Principal, Credential: st.id.Credential, Key: st.id.Key, Client: st.id.Client,
		IP: q.IP, Agent: q.Agent, Request: q.Request,
	}
	if a.Route == "" {
		a.Method, a.Path = q.Method, q.Path
	}
	if s.Fields != nil || s.Masked != nil {
		a.Fields, a.Masked = []string{}, append([]string{}, s.Masked...)
	}
	for _, f := range s.Fields {
		if mask.Has(f) {
			a.Masked = append(a.Masked, f)
		} else if !slices.Contains(a.Fields, f) {
			a.Fields = append(a.Fields, f)
		}
	}
	a.Masked = slices.DeleteFunc(a.Masked, func(f string) bool { return slices.Contains(a.Fields, f) })
	slices.Sort(a.Masked)
	a.Masked = slices.Compact(a.Masked)
	if len(s.Fields)+len(s.Masked) > 0 {
		a.Outcome = "disclosed"
	}
	line, err := json.Marshal(a)
	if err != nil {
		panic("BUG: encode an access: " + err.Error())
	}
	return append(line, '\n')
}

// writer is a ResponseWriter that can be closed before anything leaves.
type writer struct {
	http.ResponseWriter

	mu     sync.Mutex
	code   int // 0: nothing was written
	no     bool
	midway bool // refused when part of it had left

	undeclared func() bool // nil: what the answer shows need not be said
}

// mayBegin refuses a good answer of which nobody said what it shows.
func (w *writer) mayBegin(code int) bool {
	if w.undeclared == nil || w.code != 0 || code >= 300 || !w.undeclared() {
		return true
	}
	w.no = true
	answer(w.ResponseWriter, http.StatusInternalServerError, "undeclared")
	return false
}

func (w *writer) refused() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.no
}

func (w *writer) broken() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.midway
}

func (w *writer) begun() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.code != 0
}

func (w *writer) status() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}

// refuse writes the refusal instead of the answer; if part of that has left, what comes goes nowhere.
func (w *writer) refuse(answer func(http.ResponseWriter)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.no = true
	if w.code != 0 {
		w.midway = true
		return
	}
	h := w.ResponseWriter.Header()
	for name := range h { // what the handler said of the answer that does not come
		delete(h, name)
	}
	answer(w.ResponseWriter)
}

// WriteHeader begins the answer.
func (w *writer) WriteHeader(code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.no || code >= 200 && !w.mayBegin(code) {
		return
	}
	if code >= 200 && w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write writes part of the answer.
func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.no || !w.mayBegin(http.StatusOK) {
		return 0, ErrRefused
	}
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends what was written so far.
func (w *writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.no || !w.mayBegin(http.StatusOK) {
		return
	}
	if w.code == 0 {
		w.code = http.StatusOK
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // one that cannot flush has nothing to say
}

func refuse(w http.ResponseWriter, d *decision) {
	h := w.Header()
	if d.Retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(d.Retry, 10))
	}
	if d.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	code := "refused"
	if len(d.Reasons) > 0 {
		code = d.Reasons[0].Code
	}
	answer(w, d.Status, code)
}

func unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "5")
	answer(w, http.StatusServiceUnavailable, "unavailable")
}

// answer is all that somebody who is refused is told: a code.
func answer(w http.ResponseWriter, status int, code string) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	body, err := json.Marshal(map[string]string{"error": code})
	if err != nil {
		panic("BUG: encode an answer: " + err.Error())
	}
	_, _ = w.Write(append(body, '\n'))
}
