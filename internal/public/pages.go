package public

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/incident"
)

// Config is what the pages stand on.
type Config struct {
	Organisation string // as people know it
	Book         *incident.Book
	Lookups      *Lookups
	// Genuine looks for the notice that a code is of; nil: no notices with codes are sent. ErrNotGenuine: it is of none.
	Genuine func(ctx context.Context, code string) (Genuine, error)
	Zone    *time.Location // of days
	// Forwarded says that a proxy of the house is in front, which puts the caller's address at the end of X-Forwarded-For.
	Forwarded bool
	Now       func() time.Time
	Logger    *slog.Logger
}

// Genuine is what is said of a notice that was sent. Whom it was sent to is not said.
type Genuine struct {
	Incident int64
	Sent     time.Time
	Sample   bool // it is of a sample that the house made: no customer was sent it
}

// ErrNotGenuine is a code of no notice.
var ErrNotGenuine = errors.New("no notice has this code")

// Pages serves the public pages. Safe for concurrent use.
type Pages struct {
	cfg       Config
	words     map[string]*words
	templates *template.Template
	asks      *limit // codes and secrets
	loads     *limit // pages and buckets
}

// How often a network may ask, a minute, and how much of it at once. Carriers put a great many people behind a few networks.
const (
	asksMinute, asksAtOnce   = 120, 240
	loadsMinute, loadsAtOnce = 1200, 2400
)

// New makes the pages.
func New(cfg Config) (*Pages, error) {
	p := &Pages{cfg: cfg, asks: newLimit(asksAtOnce, asksMinute), loads: newLimit(loadsAtOnce, loadsMinute)}
	var err error
	if p.words, err = readWords(); err != nil {
		return nil, err
	}
	p.templates, err = template.New("").ParseFS(files, "templates/*.html")
	return p, err
}

// policy forbids whatever is not ours, inline script and inline style.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxBody is the longest form.
const maxBody = 8 << 10

// Handler serves all of it.
func (p *Pages) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.on(p.loads, p.home))
	mux.HandleFunc("GET /notice", p.on(p.loads, p.notice))
	mux.HandleFunc("POST /notice", p.on(p.asks, p.check))
	mux.HandleFunc("GET /affected", p.on(p.loads, p.affected))
	mux.HandleFunc("GET /affected/{incident}", p.on(p.loads, p.affected))
	mux.HandleFunc("POST /affected/{incident}", p.on(p.asks, p.lookUp))
	mux.HandleFunc("GET /affected/{incident}/{build}/{bucket}", p.on(p.loads, p.bucket))
	mux.HandleFunc("GET /static/", p.on(p.loads, p.static()))
	mux.HandleFunc("/", p.on(p.loads, func(http.ResponseWriter, *http.Request) error { return errNotFound }))
	return mux
}

var (
	errNotFound = errors.New("there is no such page")
	errBadForm  = errors.New("the form cannot be read")
)

// on lets a network in within its limit, and sends what every answer has.
func (p *Pages) on(l *limit, fn func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if ok, wait := l.take(networkOf(p.address(r)), p.cfg.Now()); !ok {
			seconds := int(math.Ceil(wait.Seconds()))
			h.Set("Retry-After", fmt.Sprint(seconds))
			f := p.frame(r, "", "fault.title")
			f.Says = f.T("fault.busy", seconds)
			p.page(w, "fault.html", f, http.StatusTooManyRequests)
			return
		}
		err := fn(w, r)
		if err == nil || r.Context().Err() != nil {
			return
		}
		f, status := p.frame(r, "", "fault.title"), http.StatusInternalServerError
		switch {
		case errors.Is(err, errNotFound):
			status, f.Says = http.StatusNotFound, f.T("fault.notfound")
		case errors.Is(err, errBadForm):
			status, f.Says = http.StatusBadRequest, f.T("fault.form")
		default:
			f.Says = f.T("fault.broken")
			p.cfg.Logger.Error("show a public page", "page", r.Pattern, "error", err)
		}
		p.page(w, "fault.html", f, status)
	}
}

// address is who asks.
func (p *Pages) address(r *http.Request) netip.Addr {
	if p.cfg.Forwarded {
		list := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",") // what the proxy added comes last
		if a, err := netip.ParseAddr(strings.TrimSpace(list[len(list)-1])); err == nil {
			return a
		}
	}
	a, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.IPv6Unspecified()
	}
	return a.Addr()
}

// frame is what every page has.
type frame struct {
	*words
	Org       string
	Page      string
	Path      string
	TitleKey  string
	Languages []string
	Says      template.HTML
}

// Title is the tab's. No code stands in it.
func (f *frame) Title() string { return f.texts[f.TitleKey] + " · " + f.Org }

func (p *Pages) frame(r *http.Request, page, title string) *frame {
	w := choose(p.words, r.FormValue("lang"), r.Header.Get("Accept-Language"))
	return &frame{words: w, Org: p.cfg.Organisation, Page: page, Path: r.URL.Path, TitleKey: title, Languages: languages(p.words)}
}

// pageLen is what pages are filled up to, or a multiple of it, so that their length does not say what they say.
const pageLen = 16 << 10

func (p *Pages) page(w http.ResponseWriter, name string, data any, status int) {
	var out bytes.Buffer
	if err := p.templates.ExecuteTemplate(&out, name, data); err != nil {
		p.cfg.Logger.Error("make a public page", "page", name, "error", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	out.WriteString(strings.Repeat(" ", (pageLen-out.Len()%pageLen)%pageLen))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", fmt.Sprint(out.Len()))
	h.Set("Vary", "Accept-Language")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // whoever asked has gone
}

func (p *Pages) static() func(w http.ResponseWriter, r *http.Request) error {
	sub, err := fs.Sub(files, "static")
	if err != nil {
		panic("BUG: the embedded files have no static/: " + err.Error())
	}
	serve := http.StripPrefix("/static/", http.FileServerFS(sub))
	return func(w http.ResponseWriter, r *http.Request) error {
		data, err := fs.ReadFile(sub, strings.TrimPrefix(r.URL.Path, "/static/"))
		if err != nil {
			return errNotFound
		}
		sum := sha256.Sum256(data)
		w.Header().Set("Cache-Control", "no-cache") // asked for again each time, and sent again when it has changed
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:12])+`"`)
		serve.ServeHTTP(w, r)
		return nil
	}
}

// titleOf is the incident as the public knows it.
func titleOf(in *incident.Incident) string {
	title := ""
	for _, e := range in.Timeline {
		if e.Kind == incident.Offered || e.Kind == incident.Posted {
			title = e.Title
		}
	}
	return title
}
