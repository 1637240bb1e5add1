package main

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
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

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
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

func (m *Main) serveCommand() *cobra.Command {
	var file, data, listen string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Take live records, judge them as they come, tell people",
		Long: `Runs the server: records come in over HTTP, from log files it follows, or from NATS JetStream; the detectors judge them as
they come; findings are told to the channels of whosaw.yaml; questions are answered over HTTP and, for whoever may read the data
directory, over its unix socket, which the other commands use by themselves.

It listens on loopback unless whosaw.yaml says otherwise. At its first start it prints a one-time link for an administrator.`,
		Example: `  whosaw serve --data ./data                             everything by default, on ` + config.DefaultListen + `
  whosaw serve --config whosaw.yaml --data /var/lib/whosaw
  whosaw config example > whosaw.yaml                    every key, with its meaning and default`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if data == "" {
				return usagef("no data directory: give --data DIR; it is made if it is not there")
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			if listen != "" {
				cfg.Listen = listen
				if err := cfg.Check(); err != nil {
					return err
				}
			}
			return m.serve(cmd.Context(), cfg, data)
		}),
	}
	cmd.Flags().StringVar(&file, "config", os.Getenv("WHOSAW_CONFIG"), "configuration file (or WHOSAW_CONFIG); none: the defaults")
	cmd.Flags().StringVar(&data, "data", os.Getenv("WHOSAW_DATA"), "data directory (or WHOSAW_DATA)")
	cmd.Flags().StringVar(&listen, "listen", "", "host:port to serve on, instead of the configuration's; port 0: any free one")
	return cmd
}

// server is everything that runs, in the order it is opened. close undoes it from the end.
type server struct {
	m      *Main
	cfg    *config.Config
	dir    string
	log    *slog.Logger
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

	meter  *meter.Meter
	pages  *console.Console
	local  *http.Server
	public *http.Server
	socket net.Listener
	tcp    net.Listener
	url    string
	fresh  bool // this is the first start
	quiet  bool // only the owner of the directory is served, for one command; nobody is told of anything
}

// stopTime is how long a server that was told to stop lets requests and detectors end by themselves.
const stopTime = 20 * time.Second

func (m *Main) serve(ctx context.Context, cfg *config.Config, dir string) error {
	s := &server{m: m, cfg: cfg, dir: dir, log: m.logger(&cfg.Log)}
	if cfg.Memory > 0 {
		debug.SetMemoryLimit(int64(cfg.Memory))
	}
	err := s.open(ctx)
	if err == nil {
		err = s.run(ctx)
	}
	return errors.Join(err, s.close())
}

func (m *Main) logger(cfg *config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // the configuration was checked
	o := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(m.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(m.Stderr, o))
}

// open opens stores and listeners. The ledger comes first: its lock is that of the data directory.
func (s *server) open(ctx context.Context) (err error) {
	if s.zone, err = s.cfg.Location(); err != nil {
		return err
	}
	cat, err := s.catalog()
	if err != nil {
		return err
	}
	files := ledger.Config{Dir: s.dir, Reserve: int64(s.cfg.Ingest.DiskReserve), SegmentRecords: s.m.segmentRecords}
	if s.quiet {
		files.Reserve = 0
	}
	if s.led, err = ledger.Open(files); err != nil {
		return err
	}
	if s.cfg.Catalog != "" {
		if err := keepCatalog(s.cfg.Path(s.cfg.Catalog), s.dir); err != nil {
			return err
		}
	}
	dc, err := engineConfig(s.cfg, s.dir)
	if err != nil {
		return err
	}
	if s.db, err = sqlite.Open(ctx, filepath.Join(s.dir, "state.db")); err != nil {
		return err
	}
	s.auth = auth.New(s.db, rand.Reader, s.m.Now, pipeline.AllTypes.Names())
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
	if s.quiet {
		// A finding in the book counts as told. The server, with its own channels and settings, raises what it finds at its next start.
		raise = func(context.Context, []pipeline.Raised) error { return nil }
		grow = nil
	}
	s.meter = meter.New(s.m.Now)
	lc := pipeline.LiveConfig{
		Watch: s.meter.Watch, Ledger: s.led, Catalog: cat, Detect: dc, Raise: raise, Grow: grow, Verdict: api.KeepVerdict(s.alarms),
		Anew: s.fresh, Build: version(), WatchBack: meter.Memory,
		Rejects: s.reject, Backlog: s.cfg.Ingest.Backlog, Logger: s.log, Now: s.m.Now,
	}
	if !s.quiet {
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

func (s *server) catalog() (*catalog.Catalog, error) {
	if s.cfg.Catalog == "" {
		return loadCatalog("", s.dir)
	}
	return catalog.Load(s.cfg.Path(s.cfg.Catalog))
}

func (s *server) openAlarms() error {
	cfg := s.cfg.Alarm
	if s.quiet {
		cfg.Channels = nil
	}
	channels, err := cfg.Open(alarm.Self{Version: version(), Now: s.m.Now})
	if err != nil {
		return err
	}
	s.alarms, err = alarm.New(s.db, channels, alarm.Options{Config: cfg, Now: s.m.Now, Log: s.log})
	return err
}

// socketName is the unix socket in the data directory.
const socketName = "whosaw.sock"

// listen opens the socket and the address.
func (s *server) listen() error {
	path := filepath.Join(s.dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // ours is the lock: nobody else's socket
		return fmt.Errorf("remove an old socket: %w", err)
	}
	var err error
	if s.socket, err = listenUnix(path); err != nil || s.quiet {
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
		keys := &keyPair{cert: s.cfg.Path(s.cfg.TLS.Cert), key: s.cfg.Path(s.cfg.TLS.Key)}
		if _, err := keys.get(nil); err != nil {
			return err
		}
		s.tcp = tls.NewListener(tcp, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: keys.get, NextProtos: []string{"h2", "http/1.1"}})
	}
	s.url = s.cfg.URL
	if s.url == "" {
		s.url = scheme + "://" + tcp.Addr().String()
	}
	return nil
}

// keyPair reads a certificate again when its file has changed.
type keyPair struct {
	cert, key string

	mu     sync.Mutex
	at     time.Time
	loaded *tls.Certificate
}

func (k *keyPair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.cert)
	if err == nil && k.loaded != nil && info.ModTime().Equal(k.at) {
		return k.loaded, nil
	}
	var c tls.Certificate
	if err == nil {
		c, err = tls.LoadX509KeyPair(k.cert, k.key)
	}
	if err != nil {
		if k.loaded != nil {
			return k.loaded, nil // it is being replaced
		}
		return nil, fmt.Errorf("read tls.cert and tls.key: %w", err)
	}
	k.loaded, k.at = &c, info.ModTime()
	return k.loaded, nil
}

// hosts are the names under which pages are served.
func (s *server) hosts() []string {
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
func (s *server) private() bool {
	host, _, err := net.SplitHostPort(s.cfg.Listen)
	u, e := url.Parse(s.url)
	return err == nil && e == nil && config.IsLoopback(host) && config.IsLoopback(u.Hostname())
}

func (s *server) openAPI() error {
	q := &s.cfg.Query
	secure := s.cfg.TLS.Cert != "" || s.cfg.TLS.Off || strings.HasPrefix(s.url, "https:")
	ac := api.Config{
		Keys: s.keys, Live: s.live, Auth: s.auth, Alarms: s.alarms, Guard: s.guard, Logger: s.log, Now: s.m.Now,
		MaxBody: int64(s.cfg.Ingest.MaxBody), MaxDecompressed: int64(s.cfg.Ingest.MaxDecompressed), Zone: s.zone,
		QueryTimeout: time.Duration(q.Timeout), QueryConcurrent: q.Concurrent, QueryWorkers: q.Workers, QueryMemory: int64(q.Memory),
		URL: s.url, Hosts: s.hosts(), Secure: secure, Inputs: s.inputs.status, Disk: s.disk, Idle: s.m.idle, Backup: s.backup, Version: version(),
	}
	for _, f := range s.cfg.Ingest.Sources {
		ac.Formats = append(ac.Formats, ingest.StreamOptions{Source: f.Name, Format: f.Format, Mapping: s.cfg.Path(f.Mapping), Keys: &s.cfg.Keys})
	}
	laws, err := s.cfg.Regimes()
	if err != nil {
		return err
	}
	s.incidents = api.OpenIncidents(s.live, incident.Config{DB: s.db, Dir: filepath.Join(s.dir, "incident"), Now: s.m.Now})
	ac.Incidents = api.Incidents{Book: s.incidents, Laws: laws, Jurisdictions: s.cfg.Incident.Jurisdictions}
	if s.api, err = api.New(ac); err != nil {
		return err
	}
	var contain console.Container
	if s.guard != nil {
		contain = console.Guarded(s.guard, s.m.Now)
	}
	s.pages, err = console.New(console.Config{
		Keys: s.keys, Contain: contain, API: s.api, Auth: s.auth, Alarms: s.alarms, Live: s.live, Meter: s.meter, State: s.db, Logger: s.log, Now: s.m.Now,
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

func (s *server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.api.Ready(); err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "not ready: %v\n", err)
		return
	}
	fmt.Fprintln(w, "ready")
}

// run serves until ctx ends or a listener fails.
func (s *server) run(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { s.alarms.Run(background) })
	running.Go(func() {
		// What a crash left without its act in the ledger.
		if err := s.incidents.Anchor(background); err != nil && background.Err() == nil {
			s.log.Error("events of incidents are not in the ledger yet", "error", err)
		}
	})
	running.Go(func() { s.api.Run(background) })
	running.Go(func() { s.nag(background) })
	running.Go(func() { s.pages.Run(background) })
	failed := make(chan error, 4)
	stopGuard := s.runGuard(background, &running, failed)
	running.Go(func() {
		if err := s.inputs.run(background); err != nil {
			failed <- err
		}
	})
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
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	stop() // watchers and channels first: what they wait for does not come any more
	for _, srv := range []*http.Server{s.public, s.local} {
		if e := srv.Shutdown(grace); e != nil {
			srv.Close() // the requests that are left are broken off; nothing of them was acknowledged
		}
	}
	stopGuard()
	running.Wait()
	return err
}

// welcome says where the server is, and at the first start how an administrator comes in.
func (s *server) welcome(ctx context.Context) error {
	fmt.Fprintf(s.m.Stderr, "whosaw: serving %s on %s\n", s.dir, s.url)
	s.log.Info("serving", "url", s.url, "data", s.dir, "version", version(), "config", s.cfg.File())
	if !s.fresh {
		return nil
	}
	code, err := s.auth.NewLink(ctx, "the first start")
	if err != nil {
		return err
	}
	fmt.Fprintf(s.m.Stderr, `whosaw: this is the first start. Open this link within an hour to sign in as administrator; it works once:

    %s/login#%s

whosaw: or make a token for a sender:  whosaw token create web --data %s
`, s.url, code, quote(s.dir))
	return nil
}

// close undoes open, from its end.
func (s *server) close() error {
	var errs []error
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if s.quiet {
		cancel() // what the detectors have not seen they see another time
	}
	for _, l := range []net.Listener{s.tcp, s.socket} {
		if l != nil {
			_ = l.Close() // closed already where the servers ran
		}
	}
	errs = append(errs, s.doors.Close())
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
func (s *server) disk() (api.Disk, error) {
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
	if g, ok := view.Growth(s.m.Now(), growthDays); ok {
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
func (s *server) backup(ctx context.Context, dst string) (any, error) {
	return s.m.runBackup(ctx, s.live.Ledger(), s.db, dst, nil)
}
