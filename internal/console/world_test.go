package console_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	mrand "math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/meter"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/regime"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// base is when the tests' clocks begin: Sunday 22 November 2026, 03:12:44 in Seoul.
var base = time.Date(2026, 11, 21, 18, 12, 44, 0, time.UTC)

// site is a server's pages over real stores.
type site struct {
	t       testing.TB
	url     string
	auth    *auth.Store
	live    *pipeline.Live
	alarms  *alarm.Dispatcher
	api     *api.API
	console *console.Console
	client  *http.Client
	ledger  *ledger.Ledger
	relay   *relay
	notices *notice.Book

	incidents *incident.Book
	dir       string
	stop      func() // the server, not the stores
	honest    string // a customer who opened their own page
	taken     int64  // customers that the theft was shown
	visited   int64  // accesses that visits made

	mu      sync.Mutex
	started time.Time
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return base.Add(time.Since(s.started))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func seoul(t testing.TB) *time.Location {
	loc, err := time.LoadLocation("Asia/Seoul")
	check(t, err)
	return loc
}

func newSite(t testing.TB, change ...func(*console.Config)) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), started: time.Now()}
	var err error
	kept := s.dir
	if *benchLedger != "" {
		kept = *benchLedger
	}
	s.ledger, err = ledger.Open(ledger.Config{Dir: kept})
	check(t, err)
	if *benchLedger != "" {
		s.standAtEnd()
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(s.dir, "state.db"))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	s.auth = auth.New(db, rand.Reader, s.now, pipeline.AllTypes.Names())
	s.alarms, err = alarm.New(db, nil, alarm.Options{Now: s.now})
	check(t, err)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	m := meter.New(s.now)
	raise, closing, hold := api.Raise(s.alarms, log), context.Background(), func() {}
	stand := make(chan struct{})
	if *benchLedger != "" {
		// The detectors stand still at their first finding, as where they have long caught up: else they would read on meanwhile.
		var held context.Context
		held, hold = context.WithCancel(closing)
		once := sync.OnceFunc(func() { close(stand) })
		raise, closing = func(context.Context, []pipeline.Raised) error { once(); <-held.Done(); return held.Err() }, held
	}
	s.live, err = pipeline.Start(pipeline.LiveConfig{
		Ledger: s.ledger, Catalog: catalog.Rules(), Logger: log, Now: s.now, Raise: raise, Verdict: api.KeepVerdict(s.alarms), Watch: m.Watch,
	})
	check(t, err)
	t.Cleanup(func() { hold(); s.live.Close(closing) })
	if *benchLedger != "" {
		caught := make(chan error, 1)
		go func() { caught <- s.live.CaughtUp(t.Context()) }()
		select {
		case <-stand:
		case err := <-caught:
			check(t, err)
		}
	}
	laws, err := regime.Shipped()
	check(t, err)
	s.incidents = api.OpenIncidents(s.live, incident.Config{DB: db, Dir: filepath.Join(s.dir, "incident"), Now: s.now})
	s.notices, err = notice.NewBook(notice.BookConfig{DB: db, Dir: filepath.Join(s.dir, "notice"), Incidents: s.incidents, Config: s.noticeConfig(), Random: rand.Reader, Now: s.now, Log: log})
	check(t, err)
	sending, halt := context.WithCancel(context.Background())
	sent, send := make(chan struct{}), s.notices.Begin(sending)
	go func() { defer close(sent); send() }()
	t.Cleanup(func() { halt(); <-sent; check(t, s.notices.Close()) })
	s.api, err = api.New(api.Config{
		Incidents: api.Incidents{Laws: laws, Jurisdictions: []string{"KR"}, Book: s.incidents}, Notices: s.notices,
		Live: s.live, Auth: s.auth, Alarms: s.alarms, Logger: log, Now: s.now, Hosts: []string{"127.0.0.1", "localhost"}, Version: "test", Zone: seoul(t),
		QueryTimeout: time.Minute, QueryConcurrent: 4, QueryWorkers: 2, QueryMemory: 1 << 30,
	})
	check(t, err)
	cfg := console.Config{
		API: s.api, Auth: s.auth, Alarms: s.alarms, Live: s.live, Meter: m, State: db, Logger: log, Now: s.now, Zone: seoul(t), URL: "http://whosaw.example", Notices: s.notices,
	}
	for _, fn := range change {
		fn(&cfg)
	}
	if cfg.Keys == nil {
		cfg.Keys = keys.New(keys.Config{DB: db, View: func() (*ledger.View, error) { return s.ledger.View(0) }, Write: s.live.State, Now: s.now})
	}
	s.console, err = console.New(cfg)
	check(t, err)
	mux := http.NewServeMux()
	s.api.Register(mux, false)
	s.console.Register(mux)
	srv := httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.console.Run(ctx) }()
	s.stop = sync.OnceFunc(func() { cancel(); <-done; srv.CloseClientConnections(); srv.Close() })
	t.Cleanup(s.stop)
	s.url = srv.URL
	jar, err := cookiejar.New(nil)
	check(t, err)
	s.client = &http.Client{Jar: jar}
	return s
}

// standAtEnd sets the clock behind the last access of the ledger: what pages show of the last day is there.
func (s *site) standAtEnd() {
	view, err := s.ledger.View(0)
	check(s.t, err)
	defer view.Close()
	last := base.UnixMilli()
	for i, p := range view.Parts() {
		if i == 0 || p.MaxTime > last {
			last = p.MaxTime
		}
	}
	s.started = time.Now().Add(base.Sub(time.UnixMilli(last + 60_000)))
}

// signIn gives a session's cookie.
func (s *site) signIn() *http.Cookie {
	s.t.Helper()
	code, err := s.auth.NewLink(s.t.Context(), "test")
	check(s.t, err)
	secret, _, err := s.auth.Redeem(s.t.Context(), code)
	check(s.t, err)
	c := &http.Cookie{Name: api.CookieName, Value: secret, Path: "/"}
	u, err := url.Parse(s.url)
	check(s.t, err)
	s.client.Jar.SetCookies(u, []*http.Cookie{c})
	return c
}

// take hands records in as a sender does, and waits until they are judged.
func (s *site) take(source string, records []whosaw.Record) {
	s.t.Helper()
	for len(records) > 0 {
		n := min(len(records), 8192)
		b := &ingest.Batch{Lines: int64(n), Records: records[:n:n], LineOf: make([]int64, n)}
		_, err := s.live.Take(s.t.Context(), b, pipeline.Sender{Name: "token:" + source, Types: pipeline.AllTypes})
		check(s.t, err)
		records = records[n:]
	}
	check(s.t, s.live.CaughtUp(s.t.Context()))
}

// story makes days of an honest shop up to now and, with theft, a key that is used for tokens no log-in issued.
type story struct {
	days  int
	busy  float64 // accesses a minute and route at noon
	theft time.Duration
	pace  time.Duration
	pool  int // customers; 0: 40,000
}

type page struct {
	route  string
	share  float64
	fields []string
	masked []string
	kind   string
}

var shopPages = []page{
	{"GET /me", 1, []string{"email", "name"}, nil, "customer"},
	{"GET /me/addresses", .7, []string{"address", "name", "phone"}, []string{"door_code"}, "customer"},
	{"GET /me/orders", 1.4, []string{"name", "order_history"}, nil, "customer"},
	{"GET /courier/stops", .6, []string{"address", "door_code", "name", "phone"}, nil, "courier"},
	{"GET /cc/customers/{id}", .25, []string{"email", "name", "phone"}, nil, "staff"},
	{"GET /partner/orders/{id}", .4, []string{"name", "order_history"}, nil, "partner"},
}

func (s *site) tell(st story) {
	s.t.Helper()
	r := mrand.New(mrand.NewPCG(1, 2))
	if st.pool == 0 {
		st.pool = 40_000
	}
	now := s.now()
	from := now.Add(-time.Duration(st.days) * 24 * time.Hour).Truncate(time.Minute)
	var list []whosaw.Record
	add := func(rec whosaw.Record) {
		rec.Source, rec.Position = "gateway-1", int64(len(list)+1)
		list = append(list, rec)
	}
	add(whosaw.Record{Type: whosaw.TypeKey, Time: from.UnixMilli(), Key: "login-main", Ref: &whosaw.Reference{State: "active", Use: "log-in", Readers: []string{"kim"}}})
	add(whosaw.Record{Type: whosaw.TypeKey, Time: from.UnixMilli(), Key: "login-2024-b", Ref: &whosaw.Reference{State: "active", Use: "log-in, backup", Readers: []string{"kim", "lee"}}})
	add(whosaw.Record{Type: whosaw.TypePerson, Time: from.UnixMilli(), Ref: &whosaw.Reference{Person: "kim", State: "active", Keys: []string{"login-main", "login-2024-b"}, Principals: []string{"staff:kim"}}})
	add(whosaw.Record{Type: whosaw.TypePerson, Time: from.UnixMilli(), Ref: &whosaw.Reference{Person: "lee", State: "left", Since: from.UnixMilli(), Keys: []string{"login-2024-b"}}})
	add(whosaw.Record{Type: whosaw.TypeFeed, Time: from.UnixMilli(), Key: "login-main", Ref: &whosaw.Reference{Of: "issuance", HasLost: true}})
	add(whosaw.Record{Type: whosaw.TypeFeed, Time: from.UnixMilli(), Key: "login-2024-b", Ref: &whosaw.Reference{Of: "issuance", HasLost: true}})
	thief := now.Add(-st.theft)
	next := thief
	member, n := 10_479_912, 0
	for at := from; at.Before(now); at = at.Add(time.Minute) {
		hour := float64(at.In(seoul(s.t)).Hour()) + float64(at.Minute())/60
		day := .55 - .45*math.Cos((hour-3)*math.Pi/12)
		for _, p := range shopPages {
			want := st.busy * p.share * day
			k := int(want + r.NormFloat64()*math.Sqrt(want)*.7 + .5)
			for i := range k {
				n++
				t := at.Add(time.Duration(float64(i) / float64(k) * float64(time.Minute)))
				if t.After(now) {
					break
				}
				s.visit(&p, r, t, n, st.pool, add)
			}
		}
		for st.theft > 0 && !next.After(at.Add(time.Minute)) && next.Before(now) {
			absent := r.IntN(10) > 3
			rec := whosaw.Record{
				Time: next.UnixMilli(), Route: "GET /me", Status: 200, Fields: []string{"email", "name"}, Subjects: []string{fmt.Sprint(member)},
				Principal: fmt.Sprintf("customer:%d", member), Credential: fmt.Sprintf("forged-%d", member), Key: "login-2024-b",
				IP: netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + member%16)}), ASN: []uint32{64500, 64500, 64502, 64511}[member%4], Country: "NL", Agent: "python-requests/2.31", TLS: "t13d1516h2_8daaf6152771_e5627efa2ab1",
			}
			if absent {
				rec.Status, rec.Fields = 404, []string{}
			} else if member%3 == 0 {
				rec.Route, rec.Fields, rec.Masked = "GET /me/addresses", []string{"address", "name", "phone"}, []string{"door_code"}
				rec.Others = int64(member % 4)
			}
			if !absent {
				s.taken++
			}
			add(rec)
			member++
			next = next.Add(st.pace)
		}
	}
	s.take("gateway-1", list)
}

func (s *site) visit(p *page, r *mrand.Rand, t time.Time, n, pool int, add func(whosaw.Record)) {
	id := 10_000_000 + r.IntN(pool)
	rec := whosaw.Record{Time: t.UnixMilli(), Route: p.route, Status: 200, Fields: p.fields, Masked: p.masked, Subjects: []string{fmt.Sprint(id)}, Agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"}
	switch p.kind {
	case "customer":
		s.honest = fmt.Sprint(id)
		rec.Principal, rec.Credential, rec.Key = fmt.Sprintf("customer:%d", id), fmt.Sprintf("c%d", n), "login-main"
		rec.IP = netip.AddrFrom4([4]byte{100, 64, byte(id >> 8), byte(id)})
		rec.ASN, rec.Country = 64496, "KR"
		add(whosaw.Record{Type: whosaw.TypeIssuance, Time: t.UnixMilli(), Credential: rec.Credential, Key: rec.Key, Subjects: rec.Subjects, Ref: &whosaw.Reference{}})
	case "courier":
		rec.Principal, rec.IP = fmt.Sprintf("courier:c-%d", 4400+r.IntN(12)), netip.AddrFrom4([4]byte{10, 20, 0, byte(r.IntN(200))})
		add(whosaw.Record{Type: whosaw.TypeReason, Time: t.UnixMilli(), Principal: rec.Principal, Subjects: rec.Subjects, Ref: &whosaw.Reference{Kind: "delivery", From: t.UnixMilli() - 1000, Until: t.UnixMilli() + 3_600_000}})
	case "staff":
		rec.Principal, rec.IP = fmt.Sprintf("staff:cc-%d", 1180+r.IntN(9)), netip.AddrFrom4([4]byte{203, 0, 113, 208})
		add(whosaw.Record{Type: whosaw.TypeReason, Time: t.UnixMilli(), Principal: rec.Principal, Subjects: rec.Subjects, Ref: &whosaw.Reference{Kind: "ticket", From: t.UnixMilli() - 1000, Until: t.UnixMilli() + 3_600_000}})
	default:
		rec.Principal, rec.Client, rec.IP = "partner:acme-parcel", "acme", netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(14))})
		add(whosaw.Record{Type: whosaw.TypeReason, Time: t.UnixMilli(), Principal: rec.Principal, Subjects: rec.Subjects, Ref: &whosaw.Reference{Kind: "order", From: t.UnixMilli() - 1000, Until: t.UnixMilli() + 3_600_000}})
	}
	add(rec)
}

// eventually waits until something is so: live parts are made once a second.
func (s *site) eventually(what string, is func() bool) {
	s.t.Helper()
	deadline := time.NewTimer(time.Minute) // tests run beside each other on few cores
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatal("not so: " + what)
		}
	}
}

var alarmAll = alarm.Query{Limit: 100}
