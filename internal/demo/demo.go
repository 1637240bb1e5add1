package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw/internal/config"
)

// Config says how a demo runs. Version, Logger and Now must be given.
type Config struct {
	Listen    string        // host:port on loopback; port 0: any free one
	Data      string        // directory that is kept; "": a temporary one, which is removed
	Customers int           // of the shop. 0: 5,000
	Seed      uint64        // what customers and visits follow from
	Span      time.Duration // of a harvest. 0: a minute
	Days      int           // of the shop's past. 0: 15, which a season is of
	Zone      string        // of days and clocks, as in Asia/Seoul; "": the machine's
	Version   string
	Operator  string // the account that runs it
	Logger    *slog.Logger
	Now       func() time.Time // with the monotonic clock
}

// The bounds of what a demo is given.
const (
	defaultCustomers = 5_000
	leastCustomers   = 100
	mostCustomers    = 200_000
	defaultSpan      = time.Minute
)

// Demo is a page that leads through the story, and the world that it happens in. Begun anew, the story has a new world.
type Demo struct {
	cfg   Config
	dir   string
	temp  bool // dir is removed at the end
	tcp   net.Listener
	url   string
	pages *pages

	mu      sync.Mutex
	world   *world // nil: it is being made
	made    int    // worlds, with the one that is being made
	console string // where the server's pages are, from the first world on
	stage   stage
	anew    chan struct{} // somebody wants to begin again
	changed chan struct{} // closed and made anew when the world, or how far it is, has changed
}

// stage is how far a world is that is being made.
type stage struct {
	name        string
	done, total int
}

// Open listens. Nothing is served before [Demo.Run].
func Open(cfg Config) (*Demo, error) {
	if cfg.Customers == 0 {
		cfg.Customers = defaultCustomers
	}
	if cfg.Span == 0 {
		cfg.Span = defaultSpan
	}
	if cfg.Days == 0 {
		cfg.Days = pastDays
	}
	if cfg.Zone == "" {
		cfg.Zone = "Local"
	}
	if cfg.Customers < leastCustomers || cfg.Customers > mostCustomers {
		return nil, fmt.Errorf("%d customers: give %d to %d", cfg.Customers, leastCustomers, mostCustomers)
	}
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil || !config.IsLoopback(host) {
		return nil, fmt.Errorf("listen on %q: give an address of this machine alone, as 127.0.0.1:0; the demo lets in whoever reaches it", cfg.Listen)
	}
	d := &Demo{cfg: cfg, dir: cfg.Data, anew: make(chan struct{}, 1), changed: make(chan struct{}), console: "127.0.0.1:0"}
	if d.pages, err = newPages(d); err != nil {
		return nil, err
	}
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "whosaw-demo-"); err != nil {
			return nil, fmt.Errorf("make a temporary directory: %w", err)
		}
		d.temp = true
	} else if err := empty(d.dir); err != nil {
		return nil, err
	}
	if d.tcp, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w; name another address with --listen", cfg.Listen, err), d.remove())
	}
	d.url = named("http://" + d.tcp.Addr().String())
	return d, nil
}

// empty makes a directory, and refuses one that holds something.
func empty(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look into the directory: %w", err)
	}
	if len(list) > 0 {
		return fmt.Errorf("%s is not empty: name a directory that is not there yet", dir)
	}
	return nil
}

// URL is where the demo's page is.
func (d *Demo) URL() string { return d.url }

// Dir is where what is written lies.
func (d *Demo) Dir() string { return d.dir }

// Run serves the page and runs the world behind it until ctx ends. Then all of it ends, and what was written is removed unless a directory was named.
func (d *Demo) Run(ctx context.Context) error {
	srv := &http.Server{
		Handler: ours(d.pages.handler()), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, ErrorLog: slog.NewLogLogger(d.cfg.Logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(d.tcp) }()
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	beside.Go(func() { d.pages.run(watching) })
	err := d.worlds(ctx)
	stop() // watchers first
	beside.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	if e := srv.Shutdown(end); e != nil {
		srv.Close()
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, d.remove())
}

func (d *Demo) remove() error {
	if !d.temp {
		return nil
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("remove what the demo has written: %w", err)
	}
	return nil
}

// worlds makes one world after the other, as the visitor begins again, until ctx ends or one fails.
func (d *Demo) worlds(ctx context.Context) error {
	for {
		d.mu.Lock()
		d.made++
		dir := filepath.Join(d.dir, strconv.Itoa(d.made))
		console := d.console // where the server's pages are to be
		d.mu.Unlock()
		w, err := openWorld(ctx, &d.cfg, d.pages.words, dir, console, d.say)
		if err != nil {
			if ctx.Err() != nil {
				return nil // told to stop while it was being made
			}
			return err
		}
		d.set(w)
		again := false
		select {
		case <-ctx.Done():
		case <-d.anew:
			again = true
		case <-w.gone:
		}
		d.set(nil)
		if err := w.close(); err != nil || !again {
			return err
		}
		if d.temp {
			if err := os.RemoveAll(dir); err != nil {
				return fmt.Errorf("remove what the demo has written: %w", err)
			}
		}
	}
}

// say notes how far a world is.
func (d *Demo) say(name string, done, total int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stage = stage{name, done, total}
	d.change()
}

// set shows a world, or that one is being made.
func (d *Demo) set(w *world) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.world, d.stage = w, stage{}
	if w != nil {
		select { // it is the new one for whoever has asked until now
		case <-d.anew:
		default:
		}
		d.console = strings.TrimPrefix(w.srv.URL(), "http://") // the next one is where this one was
	}
	d.change()
}

// change wakes those who wait. mu must be held.
func (d *Demo) change() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// now gives the world, or nil and how far the one is that is being made.
func (d *Demo) now() (*world, stage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.world, d.stage
}

// again has a new world made. While one is being made it is that one: who clicks twice begins once.
func (d *Demo) again() {
	d.mu.Lock()
	making := d.world == nil
	d.mu.Unlock()
	if making {
		return
	}
	select {
	case d.anew <- struct{}{}:
	default: // it is wanted already
	}
}

// Ready waits until the shop is open, and reports whether it is.
func (d *Demo) Ready(ctx context.Context) bool {
	for {
		d.mu.Lock()
		w, changed := d.world, d.changed
		d.mu.Unlock()
		if w != nil {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// gone waits until the world that is to be replaced is not shown any more.
func (d *Demo) gone(ctx context.Context) {
	for {
		d.mu.Lock()
		w, changed := d.world, d.changed
		d.mu.Unlock()
		if w == nil {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
