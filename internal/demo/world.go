package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/guard"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/console"
	judge "github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/proxy"
	"github.com/whosaw/whosaw/internal/regime"
	"github.com/whosaw/whosaw/internal/server"
	"github.com/whosaw/whosaw/internal/shop"
)

// The sources of records: the shop, for what its pages show and what it tells of log-ins and tickets, and the proxy before its API.
const (
	shopSource = shop.Door
	appSource  = shop.APIDoor
)

// addressHeader is where the edge in front of the shop says the client's address. Only the edge and the demo's own traffic reach what is behind it.
const addressHeader = "X-Forwarded-For"

// agents of the call-centre desk.
const agents = 6

// world is one shop with its customers, its server, its thief, and how far the story is. The story begins anew in a new one.
type world struct {
	cfg   *Config
	dir   string
	log   *slog.Logger
	words console.Words

	srv      *server.Server
	shop     *shop.Shop
	pages    *guard.Client
	app      *guard.Client
	highest  int64  // the highest number that was ever given to a customer
	people   int64  // customers of the shop
	pagesURL string // behind the edge: where traffic comes from
	appURL   string
	shopURL  string // the edge, for the visitor
	visitor  shop.Login
	agent    shop.Login
	honest   *honest
	thief    *thief
	began    time.Time // when the live traffic began

	// What the end of the story stands on.
	room        *mailroom
	contactsURL string // the shop's look-up, for the server alone
	noticeURL   string // the public pages, behind the shop's own address
	secret      string // by which the shop knows whosaw
	codes       func(ctx context.Context, customer string) ([]shop.Code, error)
	laws        []*regime.Law
	desk        desk

	zone    *time.Location
	post    func(ctx context.Context, records []whosaw.Record) error // to the server, as the shop
	fronts  []*http.Server
	serving sync.WaitGroup       // fronts and traffic
	stops   []context.CancelFunc // the server's first
	gone    chan struct{}        // closed when the server has ended
	ran     error                // what it ended with

	story
}

// openWorld builds everything and has customers come. say is told how far it is. What was opened is closed on an error.
func openWorld(ctx context.Context, cfg *Config, words console.Words, dir, at string, say func(stage string, done, total int)) (*world, error) {
	w := &world{cfg: cfg, words: words, dir: dir, log: cfg.Logger, gone: make(chan struct{})}
	w.story.world = w
	if err := w.open(ctx, at, say); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) open(ctx context.Context, at string, say func(stage string, done, total int)) error {
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return fmt.Errorf("make the demo's directory: %w", err)
	}
	say("shop", 0, 0)
	var err error
	if w.zone, err = time.LoadLocation(w.cfg.Zone); err != nil {
		return fmt.Errorf("find the time zone: %w", err)
	}
	w.shop, err = shop.Open(ctx, shop.Config{
		Path: filepath.Join(w.dir, "shop.db"), Customers: w.cfg.Customers, Agents: agents, Seed: w.cfg.Seed, Now: w.cfg.Now, Logger: w.log, AddressHeader: addressHeader,
		Guard: func(next http.Handler) http.Handler { return w.pages.Wrap(next) }, // asked for when the pages are served
		Send:  func(ctx context.Context, records []whosaw.Record) error { return w.tell(ctx, records) },
		Codes: func(ctx context.Context, customer string) ([]shop.Code, error) { return w.codes(ctx, customer) },
	})
	if err != nil {
		return err
	}
	if w.people, w.highest, err = w.shop.Size(ctx); err != nil {
		return err
	}
	say("server", 0, 0)
	if err := w.openServer(ctx, at); err != nil {
		return err
	}
	if err := w.openShop(ctx); err != nil {
		return err
	}
	if err := w.writePast(ctx, say); err != nil {
		return err
	}
	say("people", 0, 0)
	if err := w.shop.Announce(ctx); err != nil {
		return err
	}
	if err := w.srv.Live().CaughtUp(ctx); err != nil {
		return err
	}
	return w.openTraffic(ctx)
}

// openServer writes the configuration and runs a server by it, as whosaw serve does.
func (w *world) openServer(ctx context.Context, at string) error {
	reserved, err := w.openBeside()
	if err != nil {
		return err
	}
	text := append([]byte("listen: "+at+"\nzone: "+w.cfg.Zone+"\nquery: {concurrent: 4}\n"+
		"offboarding: 8760h # this shop takes its time: what is not done after somebody left is overdue after a year\n"+w.besides()), shop.Server(string(judge.ModeShadow))...)
	file := filepath.Join(w.dir, "whosaw.yaml")
	for name, data := range map[string][]byte{file: text, filepath.Join(w.dir, "catalog.yaml"): shop.Catalog(), filepath.Join(w.dir, "jwks.json"): w.shop.JWKS()} {
		if err := server.WriteWhole(name, data); err != nil {
			return err
		}
	}
	cfg, err := config.Load(file)
	if err != nil {
		return errors.Join(err, reserved.Close())
	}
	if w.laws, err = cfg.Regimes(); err != nil {
		return errors.Join(err, reserved.Close())
	}
	w.srv, err = server.Open(ctx, server.Config{
		Config: cfg, Dir: filepath.Join(w.dir, "data"), Logger: w.log, Now: w.cfg.Now, Version: w.cfg.Version, Operator: w.cfg.Operator,
	})
	if err != nil {
		return errors.Join(err, reserved.Close())
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stops = append(w.stops, stop)
	go func() {
		defer close(w.gone)
		w.ran = w.srv.Run(run)
	}()
	return w.servePublic(reserved)
}

// token makes one for a sender of a source.
func (w *world) token(ctx context.Context, name, source string, types ...string) (string, error) {
	return w.create(ctx, auth.Spec{Name: name, Role: auth.RoleIngest, Sources: []string{source}, Types: types})
}

// create makes a token.
func (w *world) create(ctx context.Context, spec auth.Spec) (string, error) {
	_, secret, err := w.srv.Auth().Create(ctx, spec, "the demo")
	if err != nil {
		return "", fmt.Errorf("make a token for %s: %w", spec.Name, err)
	}
	return secret, nil
}

// openShop puts the guard before the shop's pages and the proxy before its API, and serves both.
func (w *world) openShop(ctx context.Context) error {
	told, err := w.token(ctx, "shop-login", shopSource, "issuance", "subject", "reason", "key", "person", "feed")
	if err != nil {
		return err
	}
	w.post = shop.Post(w.srv.URL(), told, shopSource)
	client := func(door, cookie string) (*guard.Client, error) {
		secret, err := w.token(ctx, door, door)
		if err != nil {
			return nil, err
		}
		return guard.New(guard.Config{
			Server: w.srv.URL(), Token: secret, Door: door, Cookie: cookie, AddressHeader: addressHeader, Timeout: 5 * time.Second, Logger: w.log, Now: w.cfg.Now,
		})
	}
	if w.pages, err = client(shopSource, shop.Cookie); err != nil {
		return err
	}
	if w.app, err = client(appSource, ""); err != nil {
		return err
	}
	asks, err := w.create(ctx, auth.Spec{Name: "shop-codes", Role: auth.RoleLookup})
	if err != nil {
		return err
	}
	w.codes = shop.Codes(w.srv.URL(), asks)
	pages := w.shop.Handler()
	if w.pagesURL, err = w.front(pages); err != nil {
		return err
	}
	if w.shopURL, err = w.front(edge(pages)); err != nil {
		return err
	}
	w.shopURL = named(w.shopURL)
	up, err := w.front(w.shop.API())
	if err != nil {
		return err
	}
	upstream, err := url.Parse(up)
	if err != nil {
		return fmt.Errorf("find the shop's API: %w", err)
	}
	cat, err := catalog.Parse("catalog.yaml", shop.Catalog())
	if err != nil {
		return err
	}
	p, err := proxy.New(proxy.Config{Upstream: upstream, Guard: w.app, Catalog: cat, Logger: w.log, Now: w.cfg.Now})
	if err != nil {
		return err
	}
	w.appURL, err = w.front(p)
	return err
}

// front serves something on a free port of loopback.
func (w *world) front(h http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for the shop: %w", err)
	}
	w.serve(l, h)
	return "http://" + l.Addr().String(), nil
}

// serve serves something on a listener.
func (w *world) serve(l net.Listener, h http.Handler) {
	srv := &http.Server{Handler: ours(h), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, ErrorLog: slog.NewLogLogger(w.log.Handler(), slog.LevelDebug)}
	w.fronts = append(w.fronts, srv)
	w.serving.Go(func() {
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			w.log.Error("the shop is not served any more", "error", err)
		}
	})
}

// edge is what stands before the shop for those who come from outside: it says from where, whatever they say themselves.
func edge(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			host = ""
		}
		r.Header[addressHeader] = []string{host}
		next.ServeHTTP(rw, r)
	})
}

// tell hands in what the shop has to say.
func (w *world) tell(ctx context.Context, records []whosaw.Record) error { return w.post(ctx, records) }

// writePast has the ledger know the shop's last two weeks.
func (w *world) writePast(ctx context.Context, say func(string, int, int)) error {
	logins, err := w.shop.Logins(ctx, 0, w.cfg.Customers)
	if err != nil {
		return err
	}
	desk, err := w.shop.AgentLogins(ctx)
	if err != nil {
		return err
	}
	w.honest = newHonest(w, logins, desk, w.zone)
	p := &past{habits: w.honest.habits, mainKey: shop.MainKey, backupKey: shop.BackupKey, life: sessionLife, days: w.cfg.Days, now: w.cfg.Now()}
	return p.write(ctx, w.srv.Live(), func(done, total int) { say("past", done, total) })
}

// openTraffic has customers and agents come, and the thief be ready.
func (w *world) openTraffic(ctx context.Context) error {
	visitors, err := w.shop.Visitors(ctx)
	if err != nil {
		return err
	}
	w.agent = w.shop.VisitingAgent()
	if len(visitors) > 0 {
		w.visitor = visitors[0]
	}
	w.thief = newThief(w)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stops = append(w.stops, stop)
	w.began = w.cfg.Now()
	w.serving.Go(func() { w.honest.run(run) })
	w.serving.Go(func() { w.story.watch(run) })
	return nil
}

// closeTime is how long what still runs may take to end.
const closeTime = 20 * time.Second

// close ends everything from the end: traffic, fronts, doors, shop, server.
func (w *world) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	w.story.stop()
	for i := len(w.stops) - 1; i > 0; i-- {
		w.stops[i]()
	}
	for _, srv := range w.fronts {
		if err := srv.Shutdown(ctx); err != nil {
			srv.Close()
		}
	}
	w.serving.Wait()
	var errs []error
	for _, c := range []*guard.Client{w.pages, w.app} {
		if c != nil {
			errs = append(errs, c.Close(ctx))
		}
	}
	if w.shop != nil {
		errs = append(errs, w.shop.Close(ctx))
	}
	if w.srv != nil {
		w.stops[0]()
		<-w.gone
		errs = append(errs, w.ran, w.srv.Close())
	}
	if w.room != nil {
		errs = append(errs, w.room.close())
	}
	return errors.Join(errs...)
}

// hostOf is a host without its port.
func hostOf(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.Trim(hostport, "[]")
	}
	return host
}

// named gives an address on loopback under the name localhost: the one under which browsers know it.
func named(base string) string {
	_, port, _ := strings.Cut(strings.TrimPrefix(base, "http://"), ":")
	return "http://localhost:" + port
}

// signIn gives the secret of a session at the server's pages.
func (w *world) signIn(ctx context.Context) (string, error) {
	code, err := w.srv.Auth().NewLink(ctx, "the demo")
	if err != nil {
		return "", err
	}
	secret, session, err := w.srv.Auth().Redeem(ctx, code)
	if err != nil {
		return "", err
	}
	return secret, w.srv.API().SignedIn(ctx, session)
}

// count asks the ledger whom accesses disclosed. It is the demo's own question, for a figure: nobody is shown a customer.
func (w *world) count(ctx context.Context, f whosaw.Filter) (whosaw.ScopeAnswer, error) {
	var answer whosaw.ScopeAnswer
	err := w.ask(func(q *pipeline.Question) error {
		var err error
		answer, err = q.Count(ctx, f)
		return err
	})
	return answer, err
}
