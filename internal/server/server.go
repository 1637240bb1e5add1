package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/door"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/meter"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// Config says what runs, and where.
type Config struct {
	Config *config.Config // checked
	Dir    string         // the data directory; it is made if it is not there
	Logger *slog.Logger
	Now    func() time.Time
	// Version of the program: the state of the detectors is read from one of the same version only.
	Version string
	// Quiet serves only the owner of the directory, over the socket, for one command: no address, no guard, and nobody is told of anything.
	Quiet bool
	// Serving is told where the server is, and at the first start the code of a link by which an administrator comes in once; nil: nobody is,
	// and no link is made.
	Serving func(url, code string)
	// Operator is the account that runs the process, for what it does by itself: staff:kim.
	Operator string

	SegmentRecords int           // 0: the ledger's own
	Idle           time.Duration // how long a sender may say nothing; 0: the API's own
}

// Server is everything that runs, in the order it is opened. Close undoes it from the end.
type Server struct {
	own    Config
	cfg    *config.Config
	dir    string
	log    *slog.Logger
	now    func() time.Time
	zone   *time.Location
	led    *ledger.Ledger // until live has it
	db     *sqlite.DB
	auth   *auth.Store
	alarms *alarm.Dispatcher
	reject *ingest.RejectLog
	live   *pipeline.Live
	guard  *guard.Guard // nil: it is off
	doors  *door.Server
	keys   *keys.Keeper
	inputs inputs
	api    *api.API

	incidents *incident.Book
	notices   *notice.Book
	everybody *everybody    // nil: there are no public pages
	changed   chan struct{} // something was raised, or happened in an incident

	meter  *meter.Meter
	pages  *console.Console
	local  *http.Server
	public *http.Server
	socket net.Listener
	tcp    net.Listener
	url    string
	fresh  bool // this is the first start
}

// StopTime is how long a server that was told to stop lets requests and detectors end by themselves.
const StopTime = 20 * time.Second

// Open opens stores and listeners. Nothing is served before [Server.Run].
func Open(ctx context.Context, own Config) (*Server, error) {
	s := &Server{own: own, cfg: own.Config, dir: own.Dir, log: own.Logger, now: own.Now, changed: make(chan struct{}, 1)}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// URL is the address under which people reach the server; "" where it is quiet.
func (s *Server) URL() string { return s.url }

// PublicURL is where the public pages are served, for a proxy in front of them; "" where there are none.
func (s *Server) PublicURL() string {
	if s.everybody == nil {
		return ""
	}
	return s.everybody.scheme + "://" + s.everybody.listener.Addr().String()
}

// Live is the ledger with the detectors that follow it.
func (s *Server) Live() *pipeline.Live { return s.live }

// Auth keeps who may do what.
func (s *Server) Auth() *auth.Store { return s.auth }

// Alarms is the book of findings.
func (s *Server) Alarms() *alarm.Dispatcher { return s.alarms }

// Guard judges requests; nil: it is off.
func (s *Server) Guard() *guard.Guard { return s.guard }

// Keys is the register of signing keys.
func (s *Server) Keys() *keys.Keeper { return s.keys }

// Notices are those to people.
func (s *Server) Notices() *notice.Book { return s.notices }

// API answers programs.
func (s *Server) API() *api.API { return s.api }

// Pages are for people; nil where it is quiet.
func (s *Server) Pages() *console.Console { return s.pages }

// open opens stores and listeners. The ledger comes first: its lock is that of the data directory.
func (s *Server) open(ctx context.Context) (err error) {
	if s.zone, err = s.cfg.Location(); err != nil {
		return err
	}
	cat, err := s.catalog()
	if err != nil {
		return err
	}
	files := ledger.Config{Dir: s.dir, Reserve: int64(s.cfg.Ingest.DiskReserve), SegmentRecords: s.own.SegmentRecords}
	if s.own.Quiet {
		files.Reserve = 0
	}
	if s.led, err = ledger.Open(files); err != nil {
		return err
	}
	if s.cfg.Catalog != "" {
		if err := KeepCatalog(s.cfg.Path(s.cfg.Catalog), s.dir); err != nil {
			return err
		}
	}
	dc, err := EngineConfig(s.cfg, s.dir)
	if err != nil {
		return err
	}
	if s.db, err = sqlite.Open(ctx, filepath.Join(s.dir, StateName)); err != nil {
		return err
	}
	s.auth = auth.New(s.db, rand.Reader, s.now, pipeline.AllTypes.Names())
	if s.fresh, err = s.auth.Fresh(ctx); err != nil {
		return err
	}
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.openAlarms(); err != nil {
		return err
	}
	if s.reject, err = ingest.OpenRejectLog(filepath.Join(s.dir, "rejects.jsonl"), int64(s.cfg.Ingest.RejectFile)); err != nil {
		return err
	}
	raise, grow := api.Raise(s.alarms, s.log), api.Grow(s.alarms)
	if s.own.Quiet {
		// A finding in the book counts as told. The server, with its own channels and settings, raises what it finds at its next start.
		raise = func(context.Context, []pipeline.Raised) error { return nil }
		grow = nil
	}
	s.meter = meter.New(s.now)
	lc := pipeline.LiveConfig{
		Watch: s.meter.Watch, Ledger: s.led, Catalog: cat, Detect: dc, Raise: s.raised(raise), Grow: grow, Verdict: api.KeepVerdict(s.alarms),
		Anew: s.fresh, Build: s.own.Version, WatchBack: meter.Memory,
		Rejects: s.reject, Backlog: s.cfg.Ingest.Backlog, Logger: s.log, Now: s.now,
	}
	if !s.own.Quiet {
		lc.StateDir = s.dir // for one command it is not worth writing, and what is found is told by the server
	}
	if err := s.openGuard(ctx, &lc); err != nil {
		return err
	}
	if s.live, err = pipeline.Start(lc); err != nil {
		return err
	}
	s.led = nil
	s.openKeys()
	if err := s.keepRules(ctx); err != nil {
		return err
	}
	if err := s.openInputs(); err != nil {
		return err
	}
	return s.openAPI()
}

func (s *Server) catalog() (*catalog.Catalog, error) {
	if s.cfg.Catalog == "" {
		return LoadCatalog("", s.dir)
	}
	return catalog.Load(s.cfg.Path(s.cfg.Catalog))
}

func (s *Server) openAlarms() error {
	cfg := s.cfg.Alarm
	if s.own.Quiet {
		cfg.Channels = nil
	}
	channels, err := cfg.Open(alarm.Self{Version: s.own.Version, Now: s.now})
	if err != nil {
		return err
	}
	s.alarms, err = alarm.New(s.db, channels, alarm.Options{Config: cfg, Now: s.now, Log: s.log})
	return err
}

// SocketName is the unix socket in the data directory.
const SocketName = "whosaw.sock"

// listen opens the socket and the address.
func (s *Server) listen() error {
	path := filepath.Join(s.dir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // ours is the lock: nobody else's socket
		return fmt.Errorf("remove an old socket: %w", err)
	}
	var err error
	if s.socket, err = listenUnix(path); err != nil || s.own.Quiet {
		return err
	}
	tcp, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w; name another address with --listen", s.cfg.Listen, err)
	}
	s.tcp = tcp
	scheme := "http"
	if s.cfg.TLS.Cert != "" {
		scheme = "https"
		if s.tcp, err = s.secured(tcp, &s.cfg.TLS); err != nil {
			return err
		}
	}
	s.url = s.cfg.URL
	if s.url == "" {
		s.url = scheme + "://" + tcp.Addr().String()
	}
	return nil
}

// secured puts TLS over a listener.
func (s *Server) secured(tcp net.Listener, cfg *config.TLS) (net.Listener, error) {
	keys := &KeyPair{Cert: s.cfg.Path(cfg.Cert), Key: s.cfg.Path(cfg.Key)}
	if _, err := keys.Get(nil); err != nil {
		return tcp, err
	}
	return tls.NewListener(tcp, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: keys.Get, NextProtos: []string{"h2", "http/1.1"}}), nil
}

// hosts are the names under which pages are served.
func (s *Server) hosts() []string {
	var out []string
	if u, err := url.Parse(s.url); err == nil {
		out = append(out, u.Hostname())
	}
	host, _, err := net.SplitHostPort(s.cfg.Listen)
	if err != nil || !config.IsLoopback(host) {
		if s.cfg.URL == "" {
			return nil // reached under names that nobody told us
		}
		return out
	}
	return slices.Compact(append(out, "localhost", "127.0.0.1", "::1"))
}

// private reports whether only this machine reaches the server: not where a proxy in front lets others in.
func (s *Server) private() bool {
	host, _, err := net.SplitHostPort(s.cfg.Listen)
	u, e := url.Parse(s.url)
	return err == nil && e == nil && config.IsLoopback(host) && config.IsLoopback(u.Hostname())
}

func (s *Server) openAPI() error {
	q := &s.cfg.Query
	secure := s.cfg.TLS.Cert != "" || s.cfg.TLS.Off || strings.HasPrefix(s.url, "https:")
	ac := api.Config{
		Keys: s.keys, Live: s.live, Auth: s.auth, Alarms: s.alarms, Guard: s.guard, Logger: s.log, Now: s.now,
		MaxBody: int64(s.cfg.Ingest.MaxBody), MaxDecompressed: int64(s.cfg.Ingest.MaxDecompressed), Zone: s.zone,
		QueryTimeout: time.Duration(q.Timeout), QueryConcurrent: q.Concurrent, QueryWorkers: q.Workers, QueryMemory: int64(q.Memory),
		URL: s.url, Hosts: s.hosts(), Secure: secure, Inputs: s.inputs.status, Disk: s.disk, Idle: s.own.Idle, Backup: s.backup, Version: s.own.Version,
	}
	for _, f := range s.cfg.Ingest.Sources {
		ac.Formats = append(ac.Formats, ingest.StreamOptions{Source: f.Name, Format: f.Format, Mapping: s.cfg.Path(f.Mapping), Keys: &s.cfg.Keys})
	}
	laws, err := s.cfg.Regimes()
	if err != nil {
		return err
	}
	s.incidents = api.OpenIncidents(s.live, incident.Config{
		DB: s.db, Dir: filepath.Join(s.dir, IncidentDir), Now: s.now, Changed: func() { s.everybody.nudge(); s.look() },
	})
	ac.Incidents = api.Incidents{Book: s.incidents, Laws: laws, Jurisdictions: s.cfg.Incident.Jurisdictions, Open: api.OpenRule(s.cfg.Incident.Open)}
	s.notices, err = notice.NewBook(notice.BookConfig{
		DB: s.db, Dir: filepath.Join(s.dir, NoticeDir), Incidents: s.incidents, Config: s.cfg.Notices(), Random: rand.Reader, Now: s.now, Zone: s.zone, Log: s.log, Same: s.auth.SamePerson,
	})
	if err != nil {
		return err
	}
	ac.Notices = s.notices
	if err := s.openPublic(&ac); err != nil {
		return err
	}
	if s.api, err = api.New(ac); err != nil {
		return err
	}
	var contain console.Container
	if s.guard != nil {
		contain = console.Guarded(s.guard, s.now)
	}
	s.pages, err = console.New(console.Config{
		Keys: s.keys, Contain: contain, API: s.api, Auth: s.auth, Alarms: s.alarms, Live: s.live, Meter: s.meter, State: s.db, Logger: s.log, Now: s.now, Notices: s.notices,
		Zone: s.zone, URL: s.url, Secure: secure,
	})
	if err != nil {
		return err
	}
	public, local := http.NewServeMux(), http.NewServeMux()
	s.api.Register(public, false)
	s.api.Register(local, true)
	s.pages.Register(public)
	public.Handle("GET /metrics", s.api.Metrics(s.private()))
	for _, mux := range []*http.ServeMux{public, local} {
		mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
		mux.HandleFunc("GET /readyz", s.ready)
	}
	s.public = s.httpServer(s.api.Patient(public))
	s.local = s.httpServer(local)
	s.local.ConnContext = api.WithPeer
	return nil
}

func (s *Server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.api.Ready(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "not ready: %v\n", err)
		return
	}
	fmt.Fprintln(w, "ready")
}

// Run serves until ctx ends or a listener fails.
func (s *Server) Run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { s.alarms.Run(background) })
	running.Go(func() {
		// What a crash left without its act in the ledger.
		if err := s.incidents.Anchor(background); err != nil && background.Err() == nil {
			s.log.Error("events of incidents are not in the ledger yet", "error", err)
		}
		// And lists that are on record as removed.
		if err := s.incidents.Sweep(background); err != nil && background.Err() == nil {
			s.log.Error("lists that retention removed are still there", "error", err)
		}
	})
	running.Go(s.notices.Begin(background)) // before anybody can ask for a wave
	running.Go(func() { s.api.Run(background) })
	running.Go(func() { s.nag(background) })
	running.Go(func() { s.attend(background) })
	running.Go(func() { s.pages.Run(background) })
	failed := make(chan error, 5)
	stopGuard := s.runGuard(background, &running, failed)
	running.Go(func() {
		if err := s.inputs.run(background); err != nil {
			failed <- err
		}
	})
	stopPublic := s.runPublic(background, &running, failed)
	for _, srv := range []struct {
		server   *http.Server
		listener net.Listener
	}{{s.public, s.tcp}, {s.local, s.socket}} {
		running.Go(func() {
			if err := srv.server.Serve(srv.listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serve on %s: %w", srv.listener.Addr(), err)
			}
		})
	}
	err := s.welcome(context.WithoutCancel(ctx)) // who is told to stop meanwhile stops in order
	if err == nil {
		select {
		case <-ctx.Done():
			s.log.Info("stopping")
		case err = <-failed:
		}
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), StopTime)
	defer cancel()
	stop() // watchers and channels first: what they wait for does not come any more
	for _, srv := range []*http.Server{s.public, s.local} {
		if e := srv.Shutdown(grace); e != nil {
			srv.Close() // the requests that are left are broken off; nothing of them was acknowledged
		}
	}
	stopPublic(grace)
	stopGuard()
	running.Wait()
	return err
}

// welcome says where the server is, and at the first start how an administrator comes in.
func (s *Server) welcome(ctx context.Context) error {
	s.log.Info("serving", "url", s.url, "data", s.dir, "version", s.own.Version, "config", s.cfg.File())
	if s.own.Serving == nil {
		return nil
	}
	code := ""
	if s.fresh {
		var err error
		if code, err = s.auth.NewLink(ctx, "the first start"); err != nil {
			return err
		}
	}
	s.own.Serving(s.url, code)
	return nil
}

// ServeOwner serves the owner of the directory over the socket until StopOwner: what a quiet server does instead of Run.
func (s *Server) ServeOwner() error { return s.local.Serve(s.socket) }

// StopOwner lets what the owner asked end until ctx does: another command may have found this socket, and its question is answered.
func (s *Server) StopOwner(ctx context.Context) {
	if err := s.local.Shutdown(ctx); err != nil {
		_ = s.local.Close()
	}
}

// Close undoes Open, from its end.
func (s *Server) Close() error {
	var errs []error
	ctx, cancel := context.WithTimeout(context.Background(), StopTime)
	defer cancel()
	if s.own.Quiet {
		cancel() // what the detectors have not seen they see another time
	}
	for _, l := range []net.Listener{s.tcp, s.socket} {
		if l != nil {
			_ = l.Close() // closed already where the servers ran
		}
	}
	errs = append(errs, s.doors.Close(), s.everybody.close())
	if s.notices != nil {
		errs = append(errs, s.notices.Close())
	}
	if s.live != nil {
		errs = append(errs, s.live.Close(ctx))
	}
	if s.reject != nil {
		errs = append(errs, s.reject.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.led != nil {
		errs = append(errs, s.led.Close())
	}
	return errors.Join(errs...)
}

// disk says how full the file system of the data directory is, and how long it will last.
func (s *Server) disk() (api.Disk, error) {
	free, size, err := ledger.Space(s.dir)
	if err != nil {
		return api.Disk{}, err
	}
	view, err := s.live.Ledger().View(0)
	if err != nil {
		return api.Disk{}, err
	}
	defer view.Close()
	d := api.Disk{Free: free, Size: size}
	if g, ok := view.Growth(s.now(), growthDays); ok {
		d.PerDay = int64(g.Bytes)
		if days, ok := g.Full(free - int64(s.cfg.Ingest.DiskReserve)); ok {
			d.Days = &days
		}
	}
	return d, nil
}

// growthDays are how many days the forecast of the disk looks back: whole weeks, as weekends differ.
const growthDays = 14

// backup makes a backup of the live ledger in a directory.
func (s *Server) backup(ctx context.Context, dst string) (any, error) {
	return Backup(ctx, BackupConfig{Ledger: s.live.Ledger(), DB: s.db, To: dst, Version: s.own.Version, Now: s.now})
}
