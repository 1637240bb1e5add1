package guard_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw/guard"
)

// server is a whosaw server as the middleware sees it.
type server struct {
	*httptest.Server

	mu      sync.Mutex
	asked   []map[string]any // questions, of both kinds
	lines   int              // of records taken
	posts   int              // of records that came
	told    []string         // queries that said what was lost
	decide  func(question map[string]any) string
	answer  func(question map[string]any) string
	records int           // the status that records get; 0: 200
	hold    chan struct{} // records wait for it, if there is one
	ids     []string      // with told
	deaf    int           // how often nobody hears that it was told
}

const allow = `{"action":"allow"}`

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{decide: func(map[string]any) string { return allow }, answer: func(map[string]any) string { return allow }}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.URL.Path == "/v1/records" {
		s.mu.Lock()
		hold := s.hold
		s.posts++
		s.mu.Unlock()
		if hold != nil {
			<-hold
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.records != 0 {
			w.WriteHeader(s.records)
			return
		}
		s.lines += bytes.Count(body, []byte("\n"))
		if q := r.URL.Query(); q.Get("lost") != "" {
			s.told = append(s.told, q.Get("source")+" "+q.Get("lost"))
			s.ids = append(s.ids, q.Get("lost_id"))
			if s.deaf > 0 {
				s.deaf--
				w.WriteHeader(http.StatusBadGateway) // it has it, and what is between does not say so
				return
			}
		}
		_, _ = io.WriteString(w, `{"rejected":0}`)
		return
	}
	q := map[string]any{}
	if err := json.Unmarshal(body, &q); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, q)
	if r.URL.Path == "/v1/decide/answer" {
		_, _ = io.WriteString(w, s.answer(q))
		return
	}
	_, _ = io.WriteString(w, s.decide(q))
}

func (s *server) set(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}

// wait waits until something holds, which a request or the sender brings about.
func (s *server) wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		ok := holds()
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		}
	}
}

// logged is what the client says.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newClient(t *testing.T, s *server, change func(*guard.Config)) (*guard.Client, *logged) {
	t.Helper()
	out := &logged{}
	cfg := guard.Config{Server: s.URL, Token: "wst_secret", Door: "shop", Logger: slog.New(slog.NewTextHandler(out, nil))}
	if change != nil {
		change(&cfg)
	}
	c, err := guard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c, out
}

// service is a handler behind the client, on a real connection.
func service(t *testing.T, c *guard.Client, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	web := httptest.NewUnstartedServer(c.Wrap(h))
	web.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	web.Start()
	t.Cleanup(web.Close)
	return web
}

func get(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer token-of-kim")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, string(data), err
}

// show says that the answer shows customer 7, and shows it.
func show(w http.ResponseWriter, r *http.Request) {
	m, err := guard.Show(r.Context(), guard.Shown{Subjects: []string{"7"}, Fields: []string{"name", "phone"}})
	if err != nil {
		_, _ = io.WriteString(w, "phone 010-1234") // a careless handler
		return
	}
	phone := "010-1234"
	if m.Has("phone") {
		phone = "****"
	}
	_, _ = io.WriteString(w, "name kim, phone "+phone)
}

// A refusal comes before the handler, or from Show, and nothing that the handler writes then leaves.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		decide, answer string
		status         int
		body           string
	}{
		"allowed":           {allow, allow, 200, "name kim, phone 010-1234"},
		"request refused":   {`{"action":"deny","status":401,"reasons":[{"code":"unissued"}]}`, allow, 401, `{"error":"unissued"}`},
		"answer refused":    {allow, `{"action":"throttle","status":429,"retry_after":9,"reasons":[{"code":"budget"}]}`, 429, `{"error":"budget"}`},
		"masked":            {allow, `{"action":"mask","masked":["phone"]}`, 200, "name kim, phone ****"},
		"masked by request": {`{"action":"mask"}`, allow, 200, "name kim, phone ****"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.decide, s.answer = func(map[string]any) string { return c.decide }, func(map[string]any) string { return c.answer }
			client, out := newClient(t, s, nil)
			web := service(t, client, show)
			status, body, err := get(t, web.URL+"/customers/7")
			if err != nil || status != c.status || strings.TrimSpace(body) != c.body {
				t.Errorf("%d %q %v", status, body, err)
			}
			if err := client.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if strings.Contains(out.text(), "token-of-kim") || strings.Contains(out.text(), "wst_secret") {
				t.Error("a secret is in the log")
			}
			if want := map[bool]int{true: 1, false: 0}[c.status == 200]; s.lines != want {
				t.Errorf("%d records, want %d", s.lines, want)
			}
		})
	}
}

// What is refused when part of the answer has left breaks off: whoever reads it sees that it is not whole.
func TestRefusedHalfWay(t *testing.T) {
	s := newServer(t)
	s.answer = func(q map[string]any) string {
		if subjects, _ := q["subjects"].([]any); len(subjects) > 0 && subjects[0] == "8" {
			return `{"action":"deny","status":403}`
		}
		return allow
	}
	client, _ := newClient(t, s, nil)
	web := service(t, client, func(w http.ResponseWriter, r *http.Request) {
		for _, id := range []string{"7", "8", "9"} {
			if _, err := guard.Show(r.Context(), guard.Shown{Subjects: []string{id}, Fields: []string{"name"}}); err != nil {
				_, _ = io.WriteString(w, "all the others")
				return
			}
			_, _ = io.WriteString(w, "customer "+id+"\n")
			w.(http.Flusher).Flush()
		}
	})
	_, body, err := get(t, web.URL+"/list")
	if err == nil || strings.Contains(body, "8") || strings.Contains(body, "others") {
		t.Errorf("%q, %v", body, err)
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A decision is done again for as long as it says, for the same credential, method and path, and no other.
func TestRememberedDecisions(t *testing.T) {
	s := newServer(t)
	s.decide = func(map[string]any) string { return `{"action":"allow","ttl":3600}` }
	client, _ := newClient(t, s, nil)
	web := service(t, client, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	for _, path := range []string{"/a", "/a", "/b", "/a"} {
		if status, _, err := get(t, web.URL+path); status != 200 || err != nil {
			t.Fatal(status, err)
		}
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(s.asked) != 2 || s.lines != 4 {
		t.Errorf("asked %d times, %d records", len(s.asked), s.lines)
	}
}

// Records wait in memory, no more than may; then requests wait. What is lost is counted, said in the log, and the server is told of it as soon as it takes
// anything, so that it is a gap there.
func TestRecordsAreBoundedAndLossIsLoud(t *testing.T) {
	s := newServer(t)
	s.hold = make(chan struct{})
	client, out := newClient(t, s, func(c *guard.Config) { c.Backlog, c.Timeout = 3, 2*time.Second })
	web := service(t, client, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	for range 4 { // one with the sender, three wait
		if status, _, err := get(t, web.URL); status != 200 || err != nil {
			t.Fatal(status, err)
		}
		s.wait(t, "the first record is with the sender", func() bool { return s.posts == 1 })
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, web.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
		done <- err
	}()
	s.wait(t, "the fifth waits", func() bool { return client.Stats().Waiting == 5 })
	cancel() // whoever asked goes: its record waits on, and then it is lost
	<-done
	s.wait(t, "it is lost", func() bool { return client.Stats().Lost == 1 })
	if !strings.Contains(out.text(), "level=ERROR") || !strings.Contains(out.text(), "access records were lost") {
		t.Errorf("nobody was told: %s", out.text())
	}
	close(s.hold)
	s.set(func() { s.hold = nil })
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if st := client.Stats(); s.lines != 4 || st.Sent != 4 || st.Lost != 1 || st.Waiting != 0 || len(s.told) != 1 || s.told[0] != "shop 1" {
		t.Errorf("%d records arrived, the server was told %q: %+v", s.lines, s.told, st)
	}
}

// What waits at the end is sent before Close returns; what cannot be is counted, and Close says so.
func TestCloseSendsWhatIsLeft(t *testing.T) {
	s := newServer(t)
	s.records = http.StatusServiceUnavailable
	client, _ := newClient(t, s, nil)
	web := service(t, client, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	for range 20 {
		if status, _, err := get(t, web.URL); status != 200 || err != nil {
			t.Fatal(status, err)
		}
	}
	s.set(func() { s.records = 0 })
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if s.lines != 20 || client.Stats().Sent != 20 {
		t.Errorf("%d of 20 records arrived", s.lines)
	}

	s.set(func() { s.records = http.StatusServiceUnavailable })
	other, _ := newClient(t, s, nil)
	web = service(t, other, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	if status, _, err := get(t, web.URL); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := other.Close(ctx); err == nil || other.Stats().Lost != 1 {
		t.Errorf("%v, %+v", err, other.Stats())
	}
}

// An answer that is held leaves when its record is durable, and not when it is not.
func TestHeld(t *testing.T) {
	s := newServer(t)
	s.decide = func(map[string]any) string { return `{"action":"allow","hold":true}` }
	client, _ := newClient(t, s, nil)
	web := service(t, client, show)
	if status, body, err := get(t, web.URL+"/customers/7"); status != 200 || s.lines != 1 || err != nil {
		t.Errorf("%d %q %v, %d records", status, body, err, s.lines)
	}
	s.set(func() { s.records = http.StatusInsufficientStorage })
	if status, body, err := get(t, web.URL+"/customers/7"); status != 503 || strings.Contains(body, "kim") || err != nil {
		t.Errorf("%d %q %v", status, body, err)
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Whoever goes before the end of an answer was shown its beginning: the handler panics then, as httputil's proxy does, and the access is on record.
func TestBrokenOffIsRecorded(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		lines   int
	}{
		{"part has left", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "name kim, ")
			panic(http.ErrAbortHandler)
		}, 1},
		{"nothing has", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0},
		{"it was said before", func(w http.ResponseWriter, r *http.Request) {
			show(w, r)
			panic(http.ErrAbortHandler)
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			client, _ := newClient(t, s, nil)
			web := service(t, client, c.handler)
			if _, _, err := get(t, web.URL+"/customers/7"); err == nil {
				t.Error("the answer came whole")
			}
			web.Close()
			if err := client.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if s.lines != c.lines {
				t.Errorf("%d records, want %d", s.lines, c.lines)
			}
		})
	}
}

// What shows nothing and what leaves it to the catalog are told apart on the way to the server.
func TestNothingIsNotLeftOut(t *testing.T) {
	s := newServer(t)
	client, _ := newClient(t, s, nil)
	web := service(t, client, func(_ http.ResponseWriter, r *http.Request) {
		shown := guard.Shown{Subjects: []string{"7"}}
		if r.URL.Path == "/nothing" {
			shown.Fields = []string{}
		}
		if _, err := guard.Show(r.Context(), shown); err != nil {
			t.Error(err)
		}
	})
	for i, path := range []string{"/catalog", "/nothing"} {
		if _, _, err := get(t, web.URL+path); err != nil {
			t.Fatal(err)
		}
		if fields, given := s.asked[2*i+1]["fields"]; given != (path == "/nothing") {
			t.Errorf("%s: the server was told fields %v", path, fields)
		}
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What a handler or a service behind it may take for the credential is what the server is asked about, and where two would do, neither alone.
func TestCredentialsInHeaders(t *testing.T) {
	s := newServer(t)
	client, _ := newClient(t, s, func(c *guard.Config) { c.Cookie = "sid" })
	h := client.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for i, c := range []struct {
		authorization, cookie []string
		want                  any
	}{
		{nil, nil, nil},
		{nil, []string{"a=1; sid=good; b=2"}, "good"},
		{nil, []string{"sid=good; sid=forged"}, "good, forged"},
		{nil, []string{"sid=good", "SID=forged"}, "good, forged"},
		{nil, []string{"sid =forged,\""}, `forged,"`},
		{[]string{"Bearer good"}, []string{"sid=x"}, "good"},
		{[]string{"Bearer good", "Bearer forged"}, nil, "good, Bearer forged"},
		{[]string{"", "bearer forged"}, nil, "forged"},
	} {
		req := httptest.NewRequest(http.MethodGet, "/me", nil)
		req.Header = http.Header{"Authorization": c.authorization, "Cookie": c.cookie}
		h.ServeHTTP(httptest.NewRecorder(), req)
		if got := s.asked[i]["credential"]; got != c.want {
			t.Errorf("%q, %q: asked about %q, want %q", c.authorization, c.cookie, got, c.want)
		}
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A method that a header names beside the request's own is told to the server, and no decision about another is taken for it.
func TestOtherMethodsInHeaders(t *testing.T) {
	s := newServer(t)
	client, _ := newClient(t, s, nil)
	h := client.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for i, name := range []string{"", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		req := httptest.NewRequest(http.MethodPost, "/me", nil)
		want := "<nil>"
		if name != "" {
			req.Header.Set(name, "DELETE")
			want = "[DELETE]"
		}
		h.ServeHTTP(httptest.NewRecorder(), req)
		if got := fmt.Sprint(s.asked[i]["methods"]); got != want {
			t.Errorf("%s: the server was told %s", name, got)
		}
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A loss that the server was told of, without the client hearing so, is told again as it was, and what was lost since apart from it: the server, which
// knows an id, counts neither twice.
func TestLossIsToldOnce(t *testing.T) {
	s := newServer(t)
	s.records, s.deaf = http.StatusBadRequest, 1
	client, _ := newClient(t, s, nil)
	web := service(t, client, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	ask := func() {
		t.Helper()
		if status, _, err := get(t, web.URL); status != 200 || err != nil {
			t.Fatal(status, err)
		}
	}
	ask()
	s.wait(t, "one is lost", func() bool { return client.Stats().Lost == 1 })
	s.set(func() { s.records = 0 })
	ask()
	s.wait(t, "the server was told", func() bool { return len(s.told) == 1 })
	s.set(func() { s.records = http.StatusBadRequest })
	ask()
	s.wait(t, "another is lost", func() bool { return client.Stats().Lost == 2 })
	s.set(func() { s.records = 0 })
	ask()
	s.wait(t, "the server was told of both", func() bool { return len(s.told) == 3 })
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if want := []string{"shop 1", "shop 1", "shop 1"}; !slices.Equal(s.told, want) || s.ids[0] != s.ids[1] || s.ids[1] == s.ids[2] {
		t.Errorf("the server was told %q under %q", s.told, s.ids)
	}
}
