package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/regime"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

const now = 1795000000000 // November 2026

// world is a server's API over real stores, as a test sees it.
type world struct {
	t      *testing.T
	api    *api.API
	live   *pipeline.Live
	auth   *auth.Store
	alarms *alarm.Dispatcher
	keys   *keys.Keeper
	fake   door
	public *httptest.Server
	local  *httptest.Server
	dir    string
	log    *bytes.Buffer
	logMu  sync.Mutex
	sent   []alarm.Message

	guard *guard.Guard // nil: it is off
	relay relay        // of notices

	router routers.Router
	config api.Config
	seen   map[string]bool // operations whose good answer was checked
}

func (w *world) Write(p []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.String()
}

// door stands for a guard: it refuses everything or nothing, and keeps what it was told to refuse.
type door struct {
	refuse bool
	denied []whosaw.Filter
}

func (d *door) Try(context.Context, keys.Probe) (keys.Answer, error) {
	return keys.Answer{Refused: d.refuse, Because: "test"}, nil
}

func (d *door) Deny(_ context.Context, f whosaw.Filter, _ time.Time, _, _ string) (string, error) {
	d.denied = append(d.denied, f)
	return "d-1", nil
}

// Send is a channel that keeps what it is told.
func (w *world) Send(_ context.Context, m *alarm.Message) error {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	w.sent = append(w.sent, *m)
	return nil
}

func newWorld(t *testing.T, change ...func(*api.Config)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), log: &bytes.Buffer{}, seen: map[string]bool{}}
	clock := func() time.Time { return time.UnixMilli(now) }
	led, err := ledger.Open(ledger.Config{Dir: w.dir})
	check(t, err)
	db, err := sqlite.Open(t.Context(), filepath.Join(w.dir, "state.db"))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	w.auth = auth.New(db, rand.Reader, clock, pipeline.AllTypes.Names())
	w.alarms, err = alarm.New(db, []alarm.Channel{{Name: "desk", Kind: "test", Sender: w}}, alarm.Options{Now: clock})
	check(t, err)
	rejects, err := ingest.OpenRejectLog(filepath.Join(w.dir, "rejects.jsonl"), 0)
	check(t, err)
	t.Cleanup(func() { rejects.Close() })
	logger := slog.New(slog.NewTextHandler(w, nil))
	w.live, err = pipeline.Start(pipeline.LiveConfig{
		Ledger: led, Catalog: catalog.Rules(), Rejects: rejects, Logger: logger, Now: clock,
		Raise: api.Raise(w.alarms, logger), Verdict: api.KeepVerdict(w.alarms),
		Appended: func(records []whosaw.Record, receipts []ledger.Receipt) {
			if w.guard != nil {
				api.Appended(w.guard)(records, receipts)
			}
		},
	})
	check(t, err)
	t.Cleanup(func() { w.live.Close(context.Background()) })
	w.keys = keys.New(keys.Config{DB: db, View: func() (*ledger.View, error) { return w.live.Ledger().View(0) }, Write: w.live.State, Now: clock, Guard: &w.fake})
	cfg := api.Config{
		Keys: w.keys, Live: w.live, Auth: w.auth, Alarms: w.alarms, Logger: logger, Now: clock,
		MaxBody: 1 << 20, MaxDecompressed: 4 << 20, QueryTimeout: time.Minute, QueryConcurrent: 2, QueryWorkers: 1, QueryMemory: 1 << 30,
		Formats: []ingest.StreamOptions{{Source: "nginx-1", Format: ingest.FormatNginx}},
		Hosts:   []string{"127.0.0.1"}, Version: "test",
	}
	laws, err := regime.Shipped()
	check(t, err)
	cfg.Incidents = api.Incidents{Laws: laws, Book: api.OpenIncidents(w.live, incident.Config{DB: db, Dir: filepath.Join(w.dir, "incident"), Now: clock})}
	cfg.Notices = w.openNotices(db, cfg.Incidents.Book, logger)
	for _, fn := range change {
		fn(&cfg)
	}
	w.guard, w.config = cfg.Guard, cfg
	w.api, err = api.New(cfg)
	check(t, err)
	public, local := http.NewServeMux(), http.NewServeMux()
	w.api.Register(public, false)
	w.api.Register(local, true)
	w.public, w.local = httptest.NewServer(public), httptest.NewServer(local)
	t.Cleanup(w.public.Close)
	t.Cleanup(w.local.Close)
	w.openAPI()
	return w
}

// text reads a body that is described as a string.
func text(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	data, err := io.ReadAll(body)
	return string(data), err
}

func init() {
	for _, kind := range []string{"application/x-ndjson", "text/csv", "application/yaml", "application/jwk-set+json"} {
		openapi3filter.RegisterBodyDecoder(kind, text)
	}
}

func (w *world) openAPI() {
	res, err := http.Get(w.public.URL + "/v1/openapi.yaml")
	check(w.t, err)
	data, err := io.ReadAll(res.Body)
	check(w.t, err)
	res.Body.Close()
	doc, err := openapi3.NewLoader().LoadFromData(data)
	check(w.t, err)
	doc.Servers = openapi3.Servers{{URL: w.public.URL}}
	check(w.t, doc.Validate(w.t.Context()))
	w.router, err = legacy.NewRouter(doc)
	check(w.t, err)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// token makes a token and gives its secret.
func (w *world) token(spec auth.Spec) string {
	w.t.Helper()
	_, secret, err := w.auth.Create(w.t.Context(), spec, "test")
	check(w.t, err)
	return secret
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a *answer) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("answer %d %s: %v", a.status, a.body, err)
	}
}

// ask sends a request and holds the answer, and a good request too, against openapi.yaml.
func (w *world) ask(secret, method, path, body string, header ...string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.public.URL+path, strings.NewReader(body))
	check(w.t, err)
	if secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, "/v1/records") {
		req.Header.Set("Content-Type", "application/x-ndjson")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	check(w.t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	check(w.t, err)
	out := answer{res.StatusCode, res.Header, string(data)}
	w.describe(req, body, &out)
	return out
}

func (w *world) describe(req *http.Request, body string, out *answer) {
	w.t.Helper()
	route, params, err := w.router.FindRoute(req)
	if err != nil {
		if out.status < 400 {
			w.t.Errorf("%s %s is answered, and openapi.yaml does not know it", req.Method, req.URL.Path)
		}
		return
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options}
	req.Body = io.NopCloser(strings.NewReader(body))
	if err := openapi3filter.ValidateRequest(w.t.Context(), in); err != nil && out.status < 400 {
		w.t.Errorf("%s %s was answered, and openapi.yaml would refuse it: %v", req.Method, req.URL.Path, err)
	}
	if err := openapi3filter.ValidateResponse(w.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: out.status, Header: out.header, Body: io.NopCloser(strings.NewReader(out.body)), Options: options,
	}); err != nil {
		w.t.Errorf("%s %s: the answer %d is not as openapi.yaml has it: %v", req.Method, req.URL.Path, out.status, err)
	}
	if out.status < 300 {
		w.seen[route.Operation.OperationID] = true
	}
}

// shop gives record lines of honest sessions and, with theft, of forged ones with the key "backup".
func shop(theft bool) string {
	var b strings.Builder
	for i := range 1500 {
		minute := i * 6
		at := fmt.Sprintf("2026-03-%02dT%02d:%02d", 2+minute/1440, minute/60%24, minute%60)
		id := 1 + (i*7919)%3000
		fmt.Fprintf(&b, `{"type":"issuance","time":"%s:00Z","credential":"c%d","key":"main","subject":%d}`+"\n", at, i, id)
		fmt.Fprintf(&b, `{"time":"%s:30Z","route":"GET /me","status":200,"fields":["name"],"subject":%d,"principal":"customer:%d","credential":"c%d","key":"main","ip":"198.18.%d.%d"}`+"\n", at, id, id, i, id/250, id%250)
	}
	for i := 0; theft && i < 400; i++ {
		status, fields := 200, `"fields":["name"],`
		if i%2 == 0 {
			status, fields = 404, ""
		}
		fmt.Fprintf(&b, `{"time":"2026-03-08T03:%02d:%02dZ","route":"GET /me","status":%d,%s"subject":%d,"principal":"customer:%d","credential":"x%d","key":"backup","ip":"203.0.113.9"}`+"\n",
			i/60, i%60, status, fields, 1+i, 1+i, i)
	}
	return b.String()
}
