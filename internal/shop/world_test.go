package shop_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/guard"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/config"
	server "github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/proxy"
	"github.com/whosaw/whosaw/internal/shop"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// house is a shop in front of a whosaw server: pages behind the middleware, the API behind the proxy.
type house struct {
	t     testing.TB
	shop  *shop.Shop
	live  *pipeline.Live
	guard *guard.Client // of the pages
	app   *guard.Client // of the API
	pages *httptest.Server
	api   *httptest.Server
	log   *logs
	path  string // of the shop's file
	front string // the header in which something in front says the client's address
	admin string // where the server is told decisions, and the secret
	token string
}

// logs keeps what was logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// open opens a shop of some customers that nobody guards.
func open(t testing.TB, change ...func(*shop.Config)) *shop.Shop {
	t.Helper()
	cfg := shop.Config{Path: filepath.Join(t.TempDir(), "shop.db"), Customers: 40, Agents: 3, Seed: 7}
	for _, fn := range change {
		fn(&cfg)
	}
	s, err := shop.Open(t.Context(), cfg)
	check(t, err)
	t.Cleanup(func() { check(t, s.Close(context.Background())) })
	return s
}

// newHouse starts everything, configured by the files that the shop gives.
func newHouse(t testing.TB, mode string, change ...func(*shop.Config)) *house {
	t.Helper()
	h := &house{t: t, log: &logs{}}
	log := slog.New(slog.NewTextHandler(h.log, nil))
	dir := t.TempDir()
	var wrap func(http.Handler) http.Handler // known when the server runs, which needs the shop's keys
	var send func(context.Context, []whosaw.Record) error
	h.shop = open(t, append(change, func(c *shop.Config) {
		c.Logger, h.path, h.front = log, c.Path, c.AddressHeader
		c.Guard = func(next http.Handler) http.Handler { return wrap(next) }
		c.Send = func(ctx context.Context, records []whosaw.Record) error { return send(ctx, records) }
		c.Wait = 30 * time.Second // so that what a test looks at is on record
	})...)
	for name, data := range map[string][]byte{"catalog.yaml": shop.Catalog(), "whosaw.yaml": shop.Server(mode), "jwks.json": h.shop.JWKS()} {
		check(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	cfg, err := config.Load(filepath.Join(dir, "whosaw.yaml"))
	check(t, err)
	cat, err := catalog.Load(cfg.Path(cfg.Catalog))
	check(t, err)
	led, err := ledger.Open(ledger.Config{Dir: filepath.Join(dir, "data")})
	check(t, err)
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "state.db"))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	tokens := auth.New(db, rand.Reader, time.Now, pipeline.AllTypes.Names())
	alarms, err := alarm.New(db, nil, alarm.Options{Now: time.Now})
	check(t, err)
	judge, err := server.New(t.Context(), server.Options{
		Config: cfg.Guard, Catalog: cat, DB: db, Path: cfg.Path, Logger: log, Now: time.Now,
		Write: func(ctx context.Context, r []whosaw.Record) (uint64, error) { return h.live.WriteAll(ctx, r) },
	})
	check(t, err)
	h.live, err = pipeline.Start(pipeline.LiveConfig{
		Ledger: led, Catalog: cat, Logger: log, Now: time.Now, Raise: api.Raise(alarms, log), Verdict: api.KeepVerdict(alarms), Appended: api.Appended(judge),
	})
	check(t, err)
	t.Cleanup(func() { h.live.Close(context.Background()) })
	api.LoadGuard(t.Context(), judge, led, time.Now, log)
	a, err := api.New(api.Config{
		Live: h.live, Auth: tokens, Alarms: alarms, Logger: log, Now: time.Now, MaxBody: 4 << 20, MaxDecompressed: 16 << 20, QueryTimeout: time.Minute,
		QueryConcurrent: 2, QueryWorkers: 1, QueryMemory: 1 << 30, Hosts: []string{"127.0.0.1"}, Version: "test", Guard: judge,
	})
	check(t, err)
	mux := http.NewServeMux()
	a.Register(mux, false)
	public := httptest.NewServer(mux)
	t.Cleanup(public.Close)
	secret := func(source string, types ...string) string {
		_, s, err := tokens.Create(t.Context(), auth.Spec{Name: source, Role: auth.RoleIngest, Sources: []string{source}, Types: types}, "test")
		check(t, err)
		return s
	}
	_, h.token, err = tokens.Create(t.Context(), auth.Spec{Name: "boss", Role: auth.RoleAdmin}, "test")
	check(t, err)
	h.admin = public.URL
	send = shop.Post(public.URL, secret("login", "issuance", "subject", "reason", "key", "person", "feed"), "login")
	client := func(door string) *guard.Client {
		c, err := guard.New(guard.Config{
			Server: public.URL, Token: secret(door, "access"), Door: door, Cookie: shop.Cookie, AddressHeader: h.front, Logger: log, Timeout: 30 * time.Second,
			Declared: func(r *http.Request) bool {
				return door == shop.Door && r.Method == "GET" && strings.HasPrefix(r.URL.Path, "/me/addresses")
			},
		})
		check(t, err)
		t.Cleanup(func() { c.Close(context.Background()) })
		return c
	}
	h.guard, h.app = client(shop.Door), client(shop.APIDoor)
	wrap = h.guard.Wrap
	h.pages = httptest.NewServer(h.shop.Handler())
	t.Cleanup(h.pages.Close)
	service := httptest.NewServer(h.shop.API())
	t.Cleanup(service.Close)
	up, err := url.Parse(service.URL)
	check(t, err)
	p, err := proxy.New(proxy.Config{Upstream: up, Guard: h.app, Catalog: cat, Logger: log, Now: time.Now})
	check(t, err)
	h.api = httptest.NewServer(p)
	t.Cleanup(h.api.Close)
	check(t, h.shop.Announce(t.Context()))
	return h
}

// unguarded serves the same shop with no guard at all: the same keys and customers.
func (h *house) unguarded() (pages, api string) {
	h.t.Helper()
	s := open(h.t, func(c *shop.Config) { c.Path = h.path })
	p, a := httptest.NewServer(s.Handler()), httptest.NewServer(s.API())
	h.t.Cleanup(p.Close)
	h.t.Cleanup(a.Close)
	return p.URL, a.URL
}

// browser is somebody with cookies who follows no redirect.
func browser(t testing.TB) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	check(t, err)
	return &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// answer is what a request got.
type answer struct {
	status int
	body   string
	header http.Header
}

func do(t testing.TB, c *http.Client, method, address string, form url.Values, header ...string) answer {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, address, body)
	check(t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(req)
	check(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	check(t, err)
	return answer{res.StatusCode, string(b), res.Header}
}

// logIn logs a customer in at the pages.
func (h *house) logIn(l shop.Login, header ...string) *http.Client {
	h.t.Helper()
	c := browser(h.t)
	if a := do(h.t, c, "POST", h.pages.URL+"/login", url.Values{"email": {l.Email}, "password": {l.Password}}, header...); a.status != 303 {
		h.t.Fatalf("log-in: %d %s", a.status, a.body)
	}
	return c
}

func (h *house) deskIn(l shop.Login) *http.Client {
	h.t.Helper()
	c := browser(h.t)
	if a := do(h.t, c, "POST", h.pages.URL+"/desk/login", url.Values{"agent": {l.ID}, "password": {l.Password}}); a.status != 303 {
		h.t.Fatalf("desk log-in: %d %s", a.status, a.body)
	}
	return c
}

func (h *house) visitors() []shop.Login {
	h.t.Helper()
	v, err := h.shop.Visitors(h.t.Context())
	check(h.t, err)
	return v
}

func (h *house) apiIn(l shop.Login, header ...string) string {
	h.t.Helper()
	body := fmt.Sprintf(`{"email":%q,"password":%q}`, l.Email, l.Password)
	req, err := http.NewRequestWithContext(h.t.Context(), "POST", h.api.URL+"/api/login", strings.NewReader(body))
	check(h.t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	check(h.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	check(h.t, err)
	_, token, _ := strings.Cut(string(b), `"token":"`)
	if token, _, _ = strings.Cut(token, `"`); res.StatusCode != 200 || token == "" {
		h.t.Fatalf("API log-in: %d", res.StatusCode)
	}
	return token
}

// decide has the guard hold a standing decision.
func (h *house) decide(spec string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), "POST", h.admin+"/v1/guard/decisions", strings.NewReader(spec))
	check(h.t, err)
	req.Header.Set("Authorization", "Bearer "+h.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	check(h.t, err)
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 201 {
		h.t.Fatalf("decision: %d %s", res.StatusCode, b)
	}
}

// records gives what the ledger has, once everything that was to be sent is.
func (h *house) records(types ...whosaw.Type) []whosaw.Record {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for h.guard.Stats().Waiting+h.app.Stats().Waiting > 0 { // the senders have no other way to be asked
		select {
		case <-tick.C:
		case <-ctx.Done():
			h.t.Fatal("access records are still not sent")
		}
	}
	check(h.t, h.live.CaughtUp(ctx))
	view, err := h.live.Ledger().View(0)
	check(h.t, err)
	defer view.Close()
	var out []whosaw.Record
	check(h.t, view.Records(ctx, 0, func(_ uint64, r *whosaw.Record) error {
		if slices.Contains(types, r.Type) {
			out = append(out, r.Clone())
		}
		return nil
	}))
	return out
}
