package door_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/whosaw/whosaw"
	middleware "github.com/whosaw/whosaw/guard"
	"github.com/whosaw/whosaw/internal/answer"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/detect"
	"github.com/whosaw/whosaw/internal/door"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/proxy"
	"github.com/whosaw/whosaw/internal/sim"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// stand is a shop's service with a ledger, detectors and a guard behind one door, at a time that the test sets.
type stand struct {
	t     testing.TB
	dir   string
	clock atomic.Int64
	live  *pipeline.Live
	guard *guard.Guard // nil: off
	key   *ecdsa.PrivateKey
	cfg   guard.Config
	db    *sqlite.DB

	service *httptest.Server
	through func(r *http.Request) (status int) // sends a request by the door
	at      string                             // where the door listens; "" if it has no address
	mu      sync.Mutex
	record  *whosaw.Record // what the request under way is, if it is let through
}

// classes are the issuers of the shop: each makes principals of one class.
var classes = []string{"customer", "staff", "service", "partner"}

func newStand(t testing.TB, cat *catalog.Catalog, kind guard.Kind, change ...func(*guard.Config)) *stand {
	t.Helper()
	return newStandIn(t, t.TempDir(), cat, kind, change...)
}

// memory gives a directory in memory where the machine has one: tens of thousands of requests, each of which is made durable, are no test of
// the disk.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "whosaw-door-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	return dir
}

func newStandIn(t testing.TB, dir string, cat *catalog.Catalog, kind guard.Kind, change ...func(*guard.Config)) *stand {
	t.Helper()
	s := &stand{t: t, dir: dir}
	led, err := ledger.Open(ledger.Config{Dir: s.dir})
	check(t, err)
	log := slog.New(slog.DiscardHandler)
	lc := pipeline.LiveConfig{
		Ledger: led, Catalog: cat, Logger: log, Now: s.now, Detect: detect.Config{RetiredGrace: int64(sim.TokenDays()) * 24 * 3600 * 1000}, Raise: func(context.Context, []pipeline.Raised) error { return nil },
	}
	if kind != "" {
		s.openGuard(cat, kind, &lc, change)
	}
	s.live, err = pipeline.Start(lc)
	check(t, err)
	t.Cleanup(func() { check(t, s.live.Close(context.Background())) })
	s.service = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.service.Close)
	s.through = s.direct
	if s.guard != nil {
		view, err := led.View(0)
		check(t, err)
		check(t, s.guard.Load(t.Context(), view, 0))
		check(t, view.Close())
		if kind.Can().Has(guard.CanCount) {
			s.openSeeing(cat, kind)
		} else {
			s.openDoor(kind)
		}
	}
	return s
}

func (s *stand) now() time.Time {
	if ms := s.clock.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Now()
}

func (s *stand) openGuard(cat *catalog.Catalog, kind guard.Kind, lc *pipeline.LiveConfig, change []func(*guard.Config)) {
	t := s.t
	var err error
	s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	var set jose.JSONWebKeySet
	for _, kid := range []string{"login-2026-a", "login-2026-b", "staff-2026-a", "jobs-2026-a", "partner-2025", "backup-2024"} {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: s.key.Public(), KeyID: kid, Use: "sig", Algorithm: "ES256"})
	}
	data, err := json.Marshal(set)
	check(t, err)
	jwks := filepath.Join(s.dir, "jwks.json")
	check(t, os.WriteFile(jwks, data, 0o600))
	s.cfg = guard.Default()
	s.cfg.Mode = guard.ModeEnforce
	d := guard.DoorConfig{Name: "edge", Kind: kind}
	switch kind {
	case guard.KindNginx:
		d.Listen = "unix:" + filepath.Join(s.dir, "door.sock")
		d.SocketMode = "0666"
	case guard.KindEnvoy, guard.KindDecide:
		d.Listen = "127.0.0.1:0"
	}
	s.cfg.Doors = []guard.DoorConfig{d}
	for _, c := range classes {
		s.cfg.Tokens.Issuers = append(s.cfg.Tokens.Issuers, guard.Issuer{
			Issuer: "https://login.shop.example/" + c, JWKSFile: jwks, Algorithms: []string{"ES256"}, Principal: c + ":",
		})
	}
	s.cfg.Unconfirmed.Wait = 0
	for _, fn := range change {
		fn(&s.cfg)
	}
	if faults := s.cfg.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(s.dir, "state.db"))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	s.db = db
	s.guard, err = guard.New(t.Context(), guard.Options{
		Config: s.cfg, Catalog: cat, DB: db, Logger: lc.Logger, Now: s.now,
		Write: func(ctx context.Context, r []whosaw.Record) (uint64, error) { return s.live.WriteAll(ctx, r) },
	})
	check(t, err)
	lc.Appended = api.Appended(s.guard)
	lc.Raise = api.RaiseToo(s.guard, lc.Raise)
	lc.Grow = api.GrowToo(s.guard, nil)
}

// serve is the shop's service: it shows what it is asked for, and says so in its log.
func (s *stand) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	rec := s.record
	s.mu.Unlock()
	if rec == nil {
		fmt.Fprint(w, "hello")
		return
	}
	if s.guard != nil && s.cfg.Doors[0].Kind.Can().Has(guard.CanCount) {
		s.answer(w, r, rec)
		return
	}
	if _, err := s.live.TakeRecords(r.Context(), []whosaw.Record{rec.Clone()}); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(max(200, rec.Status))
}

// answer is the service behind a door that sees answers: the door keeps the record. Behind the middleware the handler says what it shows, behind
// the proxy it says nothing.
func (s *stand) answer(w http.ResponseWriter, r *http.Request, rec *whosaw.Record) {
	fields := rec.Fields
	if fields == nil && len(rec.Subjects) > 0 {
		fields = []string{"name"}
	}
	if rec.Status != 200 {
		fields = nil
	}
	shown := rec.Subjects
	if len(fields) == 0 {
		shown = nil
	}
	if s.cfg.Doors[0].Kind == guard.KindMiddleware {
		if len(shown) > 0 {
			if _, err := middleware.Show(r.Context(), middleware.Shown{Subjects: shown, Fields: fields, Route: rec.Route}); err != nil {
				return
			}
		}
		w.WriteHeader(max(200, rec.Status))
		return
	}
	body := map[string]any{"people": shown}
	for _, f := range fields {
		body[f] = "something"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(max(200, rec.Status))
	check(s.t, json.NewEncoder(w).Encode(body))
}

// server is what the middleware and the proxy ask: decisions, answers, and records, which it makes durable.
func (s *stand) server(cat *catalog.Catalog) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/decide", door.DecideHandler(s.guard, "edge"))
	mux.Handle("/v1/decide/answer", door.DecideHandler(s.guard, "edge"))
	var position atomic.Int64
	mux.HandleFunc("POST /v1/records", func(w http.ResponseWriter, r *http.Request) {
		var dec whosaw.Decoder
		var batch []whosaw.Record
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			var rec whosaw.Record
			check(s.t, dec.Decode(bytes.Clone(lines.Bytes()), s.now().UnixMilli()+whosaw.MaxAhead, &rec))
			cat.Resolver().Resolve(&rec)
			rec.Source, rec.Position = "edge", position.Add(1)
			batch = append(batch, rec.Clone())
		}
		check(s.t, lines.Err())
		_, err := s.live.TakeRecords(r.Context(), batch)
		check(s.t, err)
		fmt.Fprint(w, `{"rejected":0}`)
	})
	return mux
}

// looked gives a catalog by which the proxy finds in the service's answers whom they show.
func looked(t testing.TB) *catalog.Catalog {
	t.Helper()
	cat, err := catalog.Parse("catalog.yaml", sim.Catalog())
	check(t, err)
	for _, v := range cat.Versions() {
		for _, r := range v.Routes() {
			var spec answer.Spec
			check(t, spec.AddSubject("people[]"))
			for _, f := range slices.Concat(r.Fields, r.Masked) {
				check(t, spec.AddField(f, f))
			}
			r.Answer = &spec
		}
	}
	return cat
}

// openSeeing puts a door that sees answers in front of the service.
func (s *stand) openSeeing(cat *catalog.Catalog, kind guard.Kind) {
	t := s.t
	api := httptest.NewServer(s.server(cat))
	client, err := middleware.New(middleware.Config{
		Server: api.URL, Token: "wst_test", Door: "edge", Now: s.now, AddressHeader: "X-Test-Ip", Timeout: time.Minute,
	})
	check(t, err)
	var front http.Handler = client.Wrap(http.HandlerFunc(s.serve))
	if kind == guard.KindProxy {
		up, err := url.Parse(s.service.URL)
		check(t, err)
		front, err = proxy.New(proxy.Config{Upstream: up, Guard: client, Catalog: looked(t), Logger: slog.New(slog.DiscardHandler), Now: s.now})
		check(t, err)
	}
	web := httptest.NewServer(front)
	s.through = func(r *http.Request) int {
		r.URL.Host = strings.TrimPrefix(web.URL, "http://")
		return send(t, http.DefaultClient, r)
	}
	t.Cleanup(func() {
		web.Close()
		check(t, client.Close(context.Background()))
		api.Close()
	})
}

func (s *stand) direct(r *http.Request) int { return send(s.t, http.DefaultClient, r) }

func send(t testing.TB, c *http.Client, r *http.Request) int {
	t.Helper()
	res, err := c.Do(r)
	check(t, err)
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	check(t, err)
	return res.StatusCode
}

// openDoor puts the door in front of the service.
func (s *stand) openDoor(kind guard.Kind) {
	t := s.t
	doors, err := door.Open(s.cfg.Doors, s.guard, slog.New(slog.DiscardHandler))
	check(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error)
	go func() { done <- doors.Run(ctx) }()
	t.Cleanup(func() { cancel(); check(t, <-done) })
	at := doors.Address("edge")
	s.at = at
	switch kind {
	case guard.KindDecide:
		s.through = func(r *http.Request) int { return s.byDecide("http://"+at+"/v1/decide", r) }
	case guard.KindNginx:
		addr := startNginx(t, at, s.service.URL)
		client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}}}
		s.through = func(r *http.Request) int { return send(t, client, r) }
	case guard.KindEnvoy:
		conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
		check(t, err)
		t.Cleanup(func() { conn.Close() })
		s.through = func(r *http.Request) int { return s.byEnvoy(authv3.NewAuthorizationClient(conn), r) }
	}
}

func (s *stand) address(path string) string { return "http://" + s.at + path }

// nginx is what nginx asks, without nginx.
func (s *stand) nginx() http.Handler { return door.NginxHandler(s.guard, &s.cfg.Doors[0]) }

// byDecide is a program that asks before it answers.
func (s *stand) byDecide(url string, r *http.Request) int {
	q := guard.Request{
		ID: "r1", Method: r.Method, Path: r.URL.RequestURI(), Credential: guard.Secret(r.Header.Get("Authorization")), Agent: r.UserAgent(),
		IP: netip.MustParseAddr(r.Header.Get("X-Test-Ip")),
	}
	body, err := json.Marshal(&q)
	check(s.t, err)
	res, err := http.Post(url, "application/json", bytes.NewReader(body))
	check(s.t, err)
	defer res.Body.Close()
	var d struct {
		Action string
		Status int
	}
	check(s.t, json.NewDecoder(res.Body).Decode(&d))
	if d.Action != "allow" {
		return d.Status
	}
	return s.direct(r)
}

// byEnvoy asks as Envoy does, and answers as it would.
func (s *stand) byEnvoy(c authv3.AuthorizationClient, r *http.Request) int {
	headers := map[string]string{"user-agent": r.UserAgent()}
	if a := r.Header.Get("Authorization"); a != "" {
		headers["authorization"] = a
	}
	out, err := c.Check(r.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: r.Header.Get("X-Test-Ip"), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 443},
		}}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: r.Method, Path: r.URL.RequestURI(), Host: r.Host, Scheme: "https", Headers: headers,
		}},
	}})
	check(s.t, err)
	if out.GetOkResponse() == nil {
		return int(out.GetDeniedResponse().GetStatus().GetCode())
	}
	return s.direct(r)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// needNginx finds nginx, or skips; under WHOSAW_STRICT=1 a missing one fails.
func needNginx(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("WHOSAW_STRICT") != "" {
		t.Fatal("nginx is missing: run scripts/tools")
	}
	t.Skip("nginx is missing: run scripts/tools")
	return ""
}

// startNginx runs a real nginx with the lines of docs/formats/guard.md, and gives its address.
func startNginx(t testing.TB, socket, service string) string {
	t.Helper()
	head, location := nginxLines(t)
	head = strings.ReplaceAll(head, "unix:/run/whosaw/edge.sock", "unix:"+socket)
	// The address of the client is not the test's own: what sends it there says it.
	location = strings.ReplaceAll(location, "$remote_addr", "$http_x_test_ip")
	return runNginx(t, head, location, "auth_request /_whosaw;", service)
}

// startPlainNginx runs nginx before a service, and nothing else.
func startPlainNginx(t testing.TB, service string) string {
	return runNginx(t, "", "", "", service)
}

func runNginx(t testing.TB, head, location, ask, service string) string {
	t.Helper()
	nginx := needNginx(t)
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	addr := l.Addr().String()
	check(t, l.Close())
	user := ""
	if os.Geteuid() == 0 { // its worker would be somebody who may not look into the test's directory
		user = "user root; "
	}
	conf := fmt.Sprintf(`daemon off; %[6]spid %[1]s/pid; error_log %[1]s/error.log; worker_processes 1;
events { worker_connections 512; }
http {
client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s; access_log off;
keepalive_requests 1000000;
upstream service { server %[5]s; keepalive 32; }
%[2]s
server { listen %[3]s;
%[4]s
location / { %[7]s proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://service; } }
}
`, dir, head, addr, location, strings.TrimPrefix(service, "http://"), user, ask)
	file := filepath.Join(dir, "nginx.conf")
	check(t, os.WriteFile(file, []byte(conf), 0o600))
	cmd := exec.Command(nginx, "-p", dir, "-c", file)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	check(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	})
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return addr
		}
		select {
		case <-tick.C:
		case err := <-ended:
			ended <- err
			text, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Fatalf("nginx ended: %v\n%s%s", err, errs.String(), text)
		case <-deadline.C:
			t.Fatal("nginx does not listen")
		}
	}
}

// nginxLines are the lines that docs/formats/guard.md prints.
func nginxLines(t testing.TB) (head, location string) {
	t.Helper()
	data, err := os.ReadFile("../../docs/formats/guard.md")
	check(t, err)
	var blocks []string
	var block *strings.Builder
	for line := range strings.SplitSeq(string(data), "\n") {
		switch {
		case strings.HasPrefix(line, "```nginx"):
			block = &strings.Builder{}
		case strings.HasPrefix(line, "```") && block != nil:
			blocks = append(blocks, block.String())
			block = nil
		case block != nil:
			block.WriteString(line + "\n")
		}
	}
	if len(blocks) < 2 {
		t.Fatal("docs/formats/guard.md has no nginx lines: one block for http, one for the server")
	}
	return blocks[0], blocks[1]
}

// shopEvent is one record line of the simulated shop.
type shopEvent struct {
	record    whosaw.Record
	attack    bool
	disclosed bool
	subjects  []string
}

// play makes the shop's days, and what happens in them.
func play(t testing.TB, cfg sim.Config) (warm, watched []shopEvent) {
	t.Helper()
	cfg.Start = sim.Example().Start
	var dec whosaw.Decoder
	n := int64(0)
	cfg.Observe = func(line []byte, label sim.Label) error {
		var e shopEvent
		if err := dec.Decode(bytes.Clone(line), cfg.Start+400*24*3600*1000, &e.record); err != nil {
			return err
		}
		n++
		e.record.Source, e.record.Position = "shop", n
		e.attack, e.disclosed = label.Attack != "", label.Disclosed
		e.subjects = append(e.subjects, label.Subjects...)
		if e.record.Time < cfg.Start {
			warm = append(warm, e)
		} else {
			watched = append(watched, e)
		}
		return nil
	}
	_, err := sim.Run(cfg, io.Discard)
	check(t, err)
	return warm, watched
}

// around takes, of all that happens, the requests from a while before the thief's first to a while behind his last of so many; what was before is
// history.
func around(events []shopEvent, attacks, while int) (history, watched []shopEvent) {
	first, last, n := -1, 0, 0
	for i := range events {
		if !events[i].attack || n == attacks {
			continue
		}
		if n++; first < 0 {
			first = i
		}
		last = i
	}
	from := max(0, first-while)
	return events[:from], events[from:min(len(events), last+while)]
}

// issuances gives when a log-in issued which credential.
func issuances(lists ...[]shopEvent) map[string]int64 {
	issued := map[string]int64{}
	for _, list := range lists {
		for i := range list {
			if r := &list[i].record; r.Type == whosaw.TypeIssuance {
				issued[r.Credential] = r.Time
			}
		}
	}
	return issued
}

// unfed leaves out what says which log-ins there were.
func unfed(events []shopEvent) []shopEvent {
	return slices.DeleteFunc(slices.Clone(events), func(e shopEvent) bool {
		r := &e.record
		return r.Type == whosaw.TypeIssuance || r.Type == whosaw.TypeFeed && r.Ref.Of == "issuance"
	})
}

// told makes the feeds what a test wants them to be.
func told(events []shopEvent, lag, lost float64) []shopEvent {
	out := make([]shopEvent, 0, len(events))
	for _, e := range events {
		if e.record.Type == whosaw.TypeFeed {
			ref := *e.record.Ref
			ref.Lag, ref.Lost, ref.HasLost = lag, lost, true
			e.record.Ref = &ref
		}
		out = append(out, e)
	}
	return out
}

// take puts records into the ledger as they are.
func (s *stand) take(events []shopEvent) {
	s.t.Helper()
	var batch []whosaw.Record
	flush := func() {
		if len(batch) > 0 {
			_, err := s.live.TakeRecords(s.t.Context(), batch)
			check(s.t, err)
			batch = nil
		}
	}
	for i := range events {
		s.clock.Store(max(s.clock.Load(), events[i].record.Time))
		batch = append(batch, events[i].record.Clone())
		if len(batch) == 2000 {
			flush()
		}
	}
	flush()
	check(s.t, s.live.CaughtUp(s.t.Context()))
}

// tally is what came of the watched days.
type tally struct {
	lost     map[string]bool // customers shown to the thief
	attacks  int             // requests of the thief
	let      int             // of them, let through
	honest   int             // requests of everybody else
	refused  int             // of them, refused
	shared   int             // refused ones of the very staff or program whose account the thief uses
	besides  int             // honest ones with a key that the thief has too
	examples []string
}

// replay sends the accesses of the watched days as requests through the door, one after another; everything else goes into the ledger.
func (s *stand) replay(events []shopEvent, issued map[string]int64) *tally {
	s.t.Helper()
	thief := map[string]bool{} // staff and programs in whose name the thief comes
	keys := map[string]bool{}  // that he has
	for i := range events {
		if events[i].attack {
			keys[events[i].record.Key] = true
		}
		if p := events[i].record.Principal; events[i].attack && p != "" && !strings.HasPrefix(p, "customer:") {
			thief[p] = true
		}
	}
	tokens := map[string]string{}
	out := &tally{lost: map[string]bool{}}
	tended := int64(0)
	for i := range events {
		e := &events[i]
		s.clock.Store(max(s.clock.Load(), e.record.Time))
		if now := s.clock.Load(); s.guard != nil && now-tended >= 1000 {
			s.guard.Tend(s.t.Context())
			tended = now
		}
		if e.record.Type != whosaw.TypeAccess {
			_, err := s.live.TakeRecords(s.t.Context(), []whosaw.Record{e.record.Clone()})
			check(s.t, err)
			continue
		}
		status := s.request(e, issued, tokens)
		passed := status == max(200, e.record.Status)
		switch {
		case e.attack:
			out.attacks++
			if passed {
				out.let++
			}
			if passed && e.disclosed {
				for _, id := range e.subjects {
					out.lost[id] = true
				}
			}
		default:
			out.honest++
			if keys[e.record.Key] {
				out.besides++
			}
			if !passed && thief[e.record.Principal] {
				out.shared++
			} else if !passed {
				out.refused++
				if len(out.examples) < 5 {
					out.examples = append(out.examples, fmt.Sprintf("%s by %s with key %s: %d", e.record.Route, e.record.Principal, e.record.Key, status))
				}
			}
		}
	}
	return out
}

// request sends one access as a request with a token that is signed as its record says.
func (s *stand) request(e *shopEvent, issued map[string]int64, tokens map[string]string) int {
	s.t.Helper()
	r := &e.record
	method, path, _ := strings.Cut(r.Route, " ")
	parts := strings.Split(path, "/")
	for i, p := range parts {
		switch {
		case p == "{customer}" && len(r.Subjects) > 0:
			parts[i] = r.Subjects[0]
		case strings.HasPrefix(p, "{"):
			parts[i] = "1"
		}
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.service.URL+strings.Join(parts, "/"), nil)
	check(s.t, err)
	req.Header.Set("User-Agent", r.Agent)
	req.Header.Set("X-Test-Ip", r.IP.String())
	if r.Credential != "" && s.key != nil {
		id := r.Credential + " " + r.Principal + " " + r.Key
		if tokens[id] == "" {
			tokens[id] = s.token(r, issued)
		}
		req.Header.Set("Authorization", "Bearer "+tokens[id])
	}
	s.mu.Lock()
	s.record = r
	s.mu.Unlock()
	return s.through(req)
}

// token signs what the record says its credential is.
func (s *stand) token(r *whosaw.Record, issued map[string]int64) string {
	s.t.Helper()
	class, sub, _ := strings.Cut(r.Principal, ":")
	at, ok := issued[r.Credential]
	if !ok {
		at = s.clock.Load()
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: r.Key}}, nil)
	check(s.t, err)
	text, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": "https://login.shop.example/" + class, "sub": sub, "jti": r.Credential, "client_id": r.Client, "iat": at / 1000, "exp": at/1000 + 365*24*3600,
	}).Serialize()
	check(s.t, err)
	return text
}

// events reads server-sent events.
type events struct {
	scan *bufio.Scanner
}

// next gives the next event.
func (e *events) next(t testing.TB) (id int64, kind, data string) {
	t.Helper()
	for e.scan.Scan() {
		switch name, value, _ := strings.Cut(e.scan.Text(), ": "); name {
		case "id":
			n, err := strconv.ParseInt(value, 10, 64)
			check(t, err)
			id = n
		case "event":
			kind = value
		case "data":
			data = value
		case "":
			if kind != "" {
				return id, kind, data
			}
		}
	}
	t.Fatalf("the feed ended: %v", e.scan.Err())
	return 0, "", ""
}
