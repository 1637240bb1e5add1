package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/public"
)

// everybody is the public pages with their listener.
type everybody struct {
	lookups  *public.Lookups
	server   *http.Server
	listener net.Listener
	scheme   string
	build    chan struct{} // wakes who builds look-ups
	look     chan struct{} // wakes who looks at posted notices
}

// genuine looks for the notice that a code is of.
func (s *Server) genuine(ctx context.Context, code string) (public.Genuine, error) {
	g, err := s.notices.Genuine(ctx, code)
	if errors.Is(err, notice.ErrUnknown) {
		return public.Genuine{}, public.ErrNotGenuine
	}
	if err != nil {
		return public.Genuine{}, err
	}
	return public.Genuine{Incident: g.Incident, Sent: g.Sent, Sample: g.Sample}, nil
}

// openPublic opens the public pages, if they are on, and has the API hand out look-up secrets.
func (s *Server) openPublic(ac *api.Config) error {
	cfg := &s.cfg.Public
	if s.own.Quiet || cfg.Listen == "" {
		return nil
	}
	lookups, err := public.OpenLookups(s.incidents, filepath.Join(s.dir, IncidentDir), s.log)
	if err != nil {
		return err
	}
	pages, err := public.New(public.Config{
		Organisation: cfg.Organisation, Book: s.incidents, Lookups: lookups, Genuine: s.genuine, Zone: s.zone, Forwarded: cfg.Forwarded, Now: s.now, Logger: s.log,
	})
	if err != nil {
		return err
	}
	e := &everybody{lookups: lookups, server: s.httpServer(pages.Handler()), scheme: "http", build: make(chan struct{}, 1), look: make(chan struct{}, 1)}
	e.server.MaxHeaderBytes, e.server.ReadTimeout, e.server.WriteTimeout = 16<<10, 15*time.Second, time.Minute
	s.everybody = e
	if e.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return fmt.Errorf("listen on %s for the public pages: %w; name another address in public.listen", cfg.Listen, err)
	}
	if cfg.TLS.Cert != "" {
		e.scheme = "https"
		if e.listener, err = s.secured(e.listener, &cfg.TLS); err != nil {
			return fmt.Errorf("public.%w", err)
		}
	}
	ac.Secrets = func(_ context.Context, who string, n int64, realm, subject string) ([]api.LookupSecret, error) {
		numbers := []int64{n}
		if n == 0 {
			numbers = lookups.Offers()
		}
		list := []api.LookupSecret{}
		for _, n := range numbers {
			text, link, ok := lookups.Secret(who, n, realm, subject, cfg.URL)
			if !ok {
				return nil, fmt.Errorf("look-up of incident %d: %w", n, incident.ErrUnknown)
			}
			list = append(list, api.LookupSecret{Incident: n, Secret: text, Link: link})
		}
		return list, nil
	}
	return nil
}

// nudge has look-ups and posted notices looked at now. There need be none.
func (e *everybody) nudge() {
	if e == nil {
		return
	}
	for _, c := range []chan struct{}{e.build, e.look} {
		select {
		case c <- struct{}{}:
		default: // it is awake
		}
	}
}

// close lets go of listener and files. There need be none.
func (e *everybody) close() error {
	if e == nil {
		return nil
	}
	if e.listener != nil {
		_ = e.listener.Close() // closed already where the server ran
	}
	return e.lookups.Close()
}

// runPublic serves the public pages, and looks after what is on them. stop ends it within grace.
func (s *Server) runPublic(ctx context.Context, running *sync.WaitGroup, failed chan<- error) (stop func(grace context.Context)) {
	e := s.everybody
	if e == nil {
		return func(context.Context) {}
	}
	running.Go(func() {
		if err := e.server.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve the public pages on %s: %w", e.listener.Addr(), err)
		}
	})
	running.Go(func() { s.keepLookups(ctx) })
	running.Go(func() { s.keepPosted(ctx) })
	s.log.Info("serving the public pages", "address", e.listener.Addr().String(), "url", s.cfg.Public.URL)
	return func(grace context.Context) {
		if err := e.server.Shutdown(grace); err != nil {
			e.server.Close()
		}
	}
}

// keepLookups builds look-ups as incidents offer them, until ctx ends. Those of millions of people take minutes, and nothing else waits for them: a
// posted notice that nobody looks at for so long would have a gap that never was.
func (s *Server) keepLookups(ctx context.Context) {
	every(ctx, s.everybody.build, func() {
		if err := s.everybody.lookups.Sync(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("look-ups are not as the incidents offer them", "error", err)
		}
	})
}

// keepPosted looks whether posted notices can be read, and records how many secrets were handed out, until ctx ends and once more.
func (s *Server) keepPosted(ctx context.Context) {
	handed := func(ctx context.Context) {
		if err := s.recordHanded(ctx); err != nil {
			s.log.Error("secrets that were handed out are not on record", "error", err)
		}
	}
	every(ctx, s.everybody.look, func() {
		if err := s.seePosted(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("posted notices", "error", err)
		}
		handed(ctx)
	})
	handed(context.WithoutCancel(ctx))
}

// every does what is to be done at once, each minute and when it is woken, until ctx ends.
func every(ctx context.Context, wake <-chan struct{}, do func()) {
	tick := time.NewTicker(incident.SeenEvery)
	defer tick.Stop()
	for {
		do()
		select {
		case <-tick.C:
		case <-wake:
		case <-ctx.Done():
			return
		}
	}
}

// seePosted fetches the page as anybody does, and notes which notices stand on it. What is missing there becomes a gap.
func (s *Server) seePosted(ctx context.Context) error {
	list, err := s.incidents.Incidents(ctx)
	if err != nil {
		return err
	}
	standing := public.StandingOf(list)
	if len(standing) == 0 {
		return nil
	}
	page, err := s.fetchPosted(ctx)
	if err != nil {
		return fmt.Errorf("fetch the page: %w", err)
	}
	var errs []error
	for _, n := range standing {
		if !strings.Contains(page, n.Mark()) {
			errs = append(errs, fmt.Errorf("notice %d of incident %d is not on the page", n.Event, n.Incident))
			continue
		}
		errs = append(errs, s.incidents.SawPosting(ctx, n.Incident, n.Event, true))
	}
	return errors.Join(errs...)
}

// fetchPosted reads the page over the listener itself: its certificate is known, and under no name that could be checked.
func (s *Server) fetchPosted(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true, Proxy: nil} //nolint:gosec // our own listener
	defer transport.CloseIdleConnections()
	address := s.everybody.listener.Addr().String()
	if host, port, err := net.SplitHostPort(address); err == nil && net.ParseIP(host).IsUnspecified() {
		address = net.JoinHostPort("localhost", port)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.everybody.scheme+"://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers %s", res.Status)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	return string(text), err
}

// recordHanded writes into the ledger how many secrets a program was given: it could look up everybody with them.
func (s *Server) recordHanded(ctx context.Context) error {
	var errs []error
	for of, n := range s.everybody.lookups.Handed() {
		act := whosaw.Reference{Kind: "lookup_secrets", Of: fmt.Sprintf("incident %d", of.Incident), Person: of.Who, Note: fmt.Sprint(n)}
		if _, err := s.live.Write(ctx, whosaw.Record{Type: whosaw.TypeAct, Principal: of.Who, Ref: &act}); err != nil {
			errs = append(errs, fmt.Errorf("%s was given %d secrets of incident %d: %w", of.Who, n, of.Incident, err))
		}
	}
	return errors.Join(errs...)
}
