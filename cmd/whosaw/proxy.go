package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw/guard"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/presented"
	"github.com/whosaw/whosaw/internal/proxy"
	"github.com/whosaw/whosaw/internal/server"
)

type proxyFlags struct {
	listen, upstream, server, token, door, source, catalog, address, cookie, cert, key string
	open                                                                               []string
	unreadable                                                                         string
	most                                                                               int64
	beyond                                                                             bool
}

func (m *Main) proxyCommand() *cobra.Command {
	var f proxyFlags
	cmd := &cobra.Command{
		Use:   "proxy",
		Short: "Stand before a service: judge each request, look into JSON answers, let out what may leave",
		Long: `A reverse proxy for a service in any language. Each request is judged by a running whosaw server (guard in whosaw.yaml, a door of kind proxy). Of
routes whose catalog entry says where a JSON answer has what (answer), the answer is looked into before it leaves: whose data it shows is counted
against budgets, fields are masked, and with hold its record is durable first. Everything else streams through untouched.`,
		Example: `  whosaw proxy --listen 127.0.0.1:8080 --upstream http://127.0.0.1:3000 --server http://127.0.0.1:8470 \
      --token-file proxy.token --door api --catalog catalog.yaml
  whosaw proxy … --fail-open "GET /products/*"      requests that pass while the server cannot be asked; others are refused`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error { return m.proxy(cmd.Context(), &f) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8080", "host:port to serve on; port 0: any free one")
	flags.BoolVar(&f.beyond, "beyond-loopback", false, "serve other machines without TLS: only where something in front does it")
	flags.StringVar(&f.cert, "tls-cert", "", "certificate chain, PEM")
	flags.StringVar(&f.key, "tls-key", "", "its private key, PEM")
	flags.StringVar(&f.upstream, "upstream", "", "the service: http://host:port")
	flags.StringVar(&f.server, "server", "http://"+config.DefaultListen, "the whosaw server: http://host:port, https://host:port or unix:/path of the door's own socket")
	flags.StringVar(&f.token, "token-file", "", "file with a token of role ingest for the source (or WHOSAW_TOKEN)")
	flags.StringVar(&f.door, "door", "", "the door's name in whosaw.yaml, of kind proxy")
	flags.StringVar(&f.source, "source", "", "source of the access records (default: the door's name)")
	flags.StringVar(&f.catalog, "catalog", "", "catalog that says where answers have what")
	flags.StringVar(&f.address, "address-header", "", "header whose last address is the client's, as X-Forwarded-For; only where nothing else reaches the proxy")
	flags.StringVar(&f.cookie, "cookie", "", "cookie that holds the session, where requests carry no Authorization")
	flags.StringArrayVar(&f.open, "fail-open", nil, `route that is let through while the server cannot be asked, as "GET /products/*" or "* /static/*" (repeatable)`)
	flags.StringVar(&f.unreadable, "unreadable", "refuse", "answers that cannot be looked into (no JSON, compressed, too long): refuse or pass")
	flags.Int64Var(&f.most, "max-answer", 8<<20, "bytes of the longest answer that is looked into")
	return cmd
}

func (m *Main) proxy(ctx context.Context, f *proxyFlags) (err error) {
	host, _, err := net.SplitHostPort(f.listen)
	switch {
	case err != nil:
		return usagef("--listen %q: give host:port", f.listen)
	case f.upstream == "" || f.door == "" || f.catalog == "":
		return usagef("give --upstream, --door and --catalog")
	case f.unreadable != "refuse" && f.unreadable != "pass":
		return usagef("--unreadable takes refuse or pass")
	case (f.cert == "") != (f.key == ""):
		return usagef("give --tls-cert and --tls-key together")
	case !config.IsLoopback(host) && f.cert == "" && !f.beyond:
		return usagef("--listen %s reaches other machines: give --tls-cert and --tls-key, or --beyond-loopback where something in front does TLS", f.listen)
	}
	secret, err := token(f.token, "WHOSAW_TOKEN")
	if err != nil {
		return err
	}
	up, err := url.Parse(f.upstream)
	if err != nil {
		return usagef("--upstream is no address: give http://host:port")
	}
	cat, err := catalog.Load(f.catalog)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(m.Stderr, nil))
	client, err := guard.New(guard.Config{
		Server: f.server, Token: secret, Door: f.door, Source: f.source, Cookie: f.cookie, AddressHeader: f.address, Logger: log, Now: m.Now,
		Open: func(r *http.Request) bool { return fits(f.open, r) },
	})
	if err != nil {
		return err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.Background(), server.StopTime)
		defer cancel()
		err = errors.Join(err, client.Close(end))
	}()
	p, err := proxy.New(proxy.Config{
		Upstream: up, Guard: client, Catalog: cat, Logger: log, Now: m.Now, MaxAnswer: f.most, Unreadable: f.unreadable == "pass",
	})
	if err != nil {
		return err
	}
	return m.serveProxy(ctx, f, p, client, log)
}

// serveProxy serves until ctx ends, lets requests end, and says what it did.
func (m *Main) serveProxy(ctx context.Context, f *proxyFlags, p *proxy.Proxy, client *guard.Client, log *slog.Logger) error {
	l, err := net.Listen("tcp", f.listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", f.listen, err)
	}
	scheme := "http"
	if f.cert != "" {
		scheme = "https"
		keys := &server.KeyPair{Cert: f.cert, Key: f.key}
		if _, err := keys.Get(nil); err != nil {
			return errors.Join(err, l.Close())
		}
		l = tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: keys.Get, NextProtos: []string{"h2", "http/1.1"}})
	}
	srv := &http.Server{
		Handler: p, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	fmt.Fprintf(m.Stderr, "whosaw: proxy for %s on %s://%s\n", f.upstream, scheme, l.Addr())
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err = <-failed:
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), server.StopTime)
		defer cancel()
		if e := srv.Shutdown(end); e != nil {
			srv.Close() // streams that do not end are broken off
		}
		if err = <-failed; errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
	}
	s, a := client.Stats(), p.Stats()
	log.Info("stopped", "judged", s.Judged, "refused", s.Refused, "opened", s.Opened, "closed", s.Closed, "records", s.Sent, "waiting", s.Waiting, "lost", s.Lost,
		"answers_read", a.Read, "answers_unreadable", a.Unreadable)
	return err
}

// fits reports whether a request is one of routes: "GET /a" is itself, "GET /a/*" what begins so, "*" any method. A path that is not plain fits none.
func fits(routes []string, r *http.Request) bool {
	path := r.URL.EscapedPath()
	if strings.ContainsAny(path, `%;\`) || strings.Contains(path, "..") || strings.Contains(path, "//") || len(presented.Methods(r.Header))+len(presented.Parameters(r.URL.RequestURI())) > 0 {
		return false
	}
	for _, route := range routes {
		method, want, ok := strings.Cut(route, " ")
		if !ok || method != "*" && method != r.Method {
			continue
		}
		if begin, cut := strings.CutSuffix(want, "*"); path == want || cut && strings.HasPrefix(path, begin) {
			return true
		}
	}
	return false
}
