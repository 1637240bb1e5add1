package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/guard"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/presented"
)

// Config is what a proxy stands on.
type Config struct {
	Upstream *url.URL // the service: scheme and host
	Guard    *guard.Client
	Catalog  *catalog.Catalog
	Logger   *slog.Logger
	Now      func() time.Time
	// The longest answer that is looked into, in bytes. 0: 8 MiB.
	MaxAnswer int64
	// Let answers through that cannot be looked into. They are counted.
	Unreadable bool
	Transport  http.RoundTripper // nil: http.DefaultTransport's
}

const defaultMaxAnswer = 8 << 20

// Stats counts answers of routes that are looked into.
type Stats struct {
	Read       int64
	Unreadable int64
}

// Proxy is an http.Handler.
type Proxy struct {
	cfg       Config
	handler   http.Handler
	resolvers sync.Pool

	read, unreadable atomic.Int64
}

// New gives a proxy.
func New(cfg Config) (*Proxy, error) {
	if cfg.Upstream == nil || cfg.Upstream.Host == "" || cfg.Upstream.Scheme != "http" && cfg.Upstream.Scheme != "https" {
		return nil, errors.New("the service is not http://host:port or https://host:port")
	}
	if p := cfg.Upstream.Path; p != "" && p != "/" {
		return nil, errors.New("the service's address has a path: routes would not be those of the catalog; leave it out")
	}
	if cfg.MaxAnswer <= 0 {
		cfg.MaxAnswer = defaultMaxAnswer
	}
	p := &Proxy{cfg: cfg}
	p.resolvers.New = func() any { return cfg.Catalog.Resolver() }
	p.handler = cfg.Guard.Wrap(&httputil.ReverseProxy{
		Rewrite: p.rewrite, ModifyResponse: p.look, ErrorHandler: p.failed, FlushInterval: -1, Transport: cfg.Transport,
		ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	})
	return p, nil
}

// Stats gives the counts so far.
func (p *Proxy) Stats() Stats { return Stats{Read: p.read.Load(), Unreadable: p.unreadable.Load()} }

// ServeHTTP judges and forwards.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if two(r) {
		fail(w, http.StatusBadRequest, "bad_request")
		return
	}
	p.handler.ServeHTTP(w, r)
}

// two reports whether the service would be sent another request than is judged: one whose target has a second one in it (x:http://service/path), or
// whose credential is named as one of this connection's headers, which are not passed on. Nobody honest sends such.
func two(r *http.Request) bool {
	if r.URL.Opaque != "" {
		return true
	}
	for _, line := range r.Header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "Cookie") {
				return true
			}
		}
	}
	return false
}

// route finds the entry of a request, its route as the ledger will have it, and whose data it asks for; nil: the catalog says nothing of its answers.
// Of a request that back ends take differently the entry with an answer counts; clear is false where that is not one.
func (p *Proxy) route(r *http.Request) (e *catalog.Route, route string, asked []string, clear bool) {
	now := p.cfg.Now().UnixMilli()
	rec := whosaw.Record{Type: whosaw.TypeAccess, Time: now, Method: r.Method, Path: r.URL.RequestURI()}
	res, _ := p.resolvers.Get().(*catalog.Resolver)
	path := rec.Path
	res.Resolve(&rec)
	all := res.Readings(r.Method, path, catalog.Ask{At: now, Methods: append(presented.Methods(r.Header), presented.Parameters(path)...)})
	p.resolvers.Put(res)
	v := p.cfg.Catalog.At(now)
	if v == nil || rec.Route == "" {
		return nil, "", nil, !all.Unclear
	}
	if e = v.Route(rec.Route); e != nil && e.Answer == nil {
		e = nil
	}
	route, asked, clear = rec.Route, rec.Subjects, !all.Unclear
	for i := range all.Others {
		x := &all.Others[i]
		other := v.Route(x.Route)
		switch {
		case !x.Known || other == nil || other.Answer == nil || other == e:
		case e == nil:
			e, route, asked = other, x.Route, x.Subjects
		default:
			clear = false
		}
	}
	if e == nil {
		return nil, "", nil, clear
	}
	return e, strings.Clone(route), asked, clear
}

func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	r.SetURL(p.cfg.Upstream)
	r.Out.Host = r.In.Host
	r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	r.SetXForwarded()
	if e, _, _, clear := p.route(r.In); e != nil || !clear {
		r.Out.Header.Del("Range")
		r.Out.Header.Del("If-Range")
		r.Out.Header.Set("Accept-Encoding", "identity")
	}
}

var errUnreadable = errors.New("an answer that cannot be looked into was refused")

// look judges an answer before it leaves. Its errors stop the answer.
func (p *Proxy) look(res *http.Response) error {
	r := res.Request.Clone(res.Request.Context())
	e, route, asked, clear := p.route(r)
	if e == nil && clear || res.StatusCode == http.StatusSwitchingProtocols && p.cfg.Unreadable {
		return nil
	}
	if r.Method == http.MethodHead || res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified || res.ContentLength == 0 {
		return nil
	}
	body, whole, why := p.body(res)
	if !clear {
		why = "its request can be read as another route too, whose answers are looked into otherwise"
	}
	if why == "" {
		found, err := e.Answer.Scan(body)
		if err == nil {
			p.read.Add(1)
			if len(found.Subjects) == 0 { // it does not say whose it is: the route does
				found.Subjects = asked
			}
			return p.show(res, e, route, body, found.Subjects, found.Others, found.Fields, found.Mask)
		}
		why = err.Error()
	}
	p.unreadable.Add(1)
	p.cfg.Logger.Warn("an answer cannot be looked into", "route", route, "status", res.StatusCode, "why", why, "let_through", p.cfg.Unreadable)
	if !p.cfg.Unreadable {
		return errUnreadable
	}
	if !whole {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(body), res.Body), res.Body}
		return nil
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// body reads an answer as far as it may; why is empty if it is all there and JSON by its own account.
func (p *Proxy) body(res *http.Response) (body []byte, whole bool, why string) {
	kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols:
		return nil, false, "it is another protocol"
	case res.StatusCode == http.StatusPartialContent:
		return nil, false, "it is partial"
	case res.Header.Get("Content-Encoding") != "" && res.Header.Get("Content-Encoding") != "identity":
		return nil, false, "it is compressed, though it was asked for uncompressed"
	case err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json"):
		return nil, false, "it says that it is no JSON"
	}
	body, err = io.ReadAll(io.LimitReader(res.Body, p.cfg.MaxAnswer+1))
	switch {
	case err != nil:
		return body, true, "the service broke it off"
	case int64(len(body)) > p.cfg.MaxAnswer:
		return body, false, fmt.Sprintf("it is longer than %d bytes", p.cfg.MaxAnswer)
	}
	_ = res.Body.Close() // all of it is read
	return body, true, ""
}

// show asks whether what was found may leave, and puts the answer in its place, masked where it must be.
func (p *Proxy) show(res *http.Response, e *catalog.Route, route string, body []byte, subjects []string, others int64, fields []string,
	mask func([]byte, func(string) bool) []byte) error {
	// What was not found is not shown, whatever the catalog says.
	s := guard.Shown{Subjects: subjects, Fields: []string{}, Others: others, Route: route, Status: res.StatusCode}
	for _, f := range fields {
		if slices.Contains(e.Masked, f) {
			s.Masked = append(s.Masked, f)
		} else {
			s.Fields = append(s.Fields, f)
		}
	}
	m, err := guard.Show(res.Request.Context(), s)
	if err != nil {
		return err
	}
	out := body
	if slices.ContainsFunc(s.Fields, m.Has) {
		out = mask(body, m.Has)
		for _, name := range []string{"Etag", "Last-Modified", "Content-Md5", "Digest", "Repr-Digest", "Content-Digest"} {
			res.Header.Del(name) // of an answer that is another now
		}
	}
	res.Body = io.NopCloser(bytes.NewReader(out))
	res.ContentLength = int64(len(out))
	res.TransferEncoding = nil
	res.Header.Set("Content-Length", strconv.Itoa(len(out)))
	return nil
}

// failed answers where the service did not, or its answer may not leave.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, guard.ErrRefused): // was told
		return
	case !errors.Is(err, errUnreadable) && r.Context().Err() == nil:
		p.cfg.Logger.Warn("the service did not answer", "error", err)
	}
	fail(w, http.StatusBadGateway, "bad_gateway")
}

func fail(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "{\"error\":\""+code+"\"}\n")
}
