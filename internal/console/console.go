package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/keys"
	"github.com/whosaw/whosaw/internal/meter"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

//go:embed templates/*.html static words/*.json
var files embed.FS

// Config is what the pages stand on.
type Config struct {
	API     *api.API
	Auth    *auth.Store
	Alarms  *alarm.Dispatcher
	Live    *pipeline.Live
	Meter   *meter.Meter
	Keys    *keys.Keeper
	Notices *notice.Book // nil: there are no notices to people
	State   *sqlite.DB
	Contain Container // nil: nothing can be stopped from here, and the page says so
	Logger  *slog.Logger
	Now     func() time.Time
	Zone    *time.Location
	URL     string // of the server, for the commands that are shown
	Secure  bool   // cookies over TLS only
}

// Console serves the pages. Run must be running for live parts. Safe for concurrent use.
type Console struct {
	cfg   Config
	pages *template.Template
	words dictionary
	watch *watch
	lists listings
	memo  *scope.Memo
	looks looks

	patience time.Duration // turnFor
}

// New gives a console.
func New(cfg Config) (*Console, error) {
	c := &Console{cfg: cfg, memo: scope.NewMemo(memoBytes), patience: turnFor}
	var err error
	if c.words, err = readWords(files); err != nil {
		return nil, err
	}
	if c.pages, err = template.New("").Funcs(functions).ParseFS(files, "templates/*.html"); err != nil {
		return nil, err
	}
	c.watch = newWatch(c)
	return c, nil
}

// Register adds the pages to a mux.
func (c *Console) Register(mux *http.ServeMux) {
	mux.Handle("GET /static/", Static())
	for pattern, fn := range c.forAnybody() {
		mux.Handle(pattern, guarded(fn))
	}
	for pattern, fn := range c.forReaders() {
		mux.Handle(pattern, guarded(c.in(fn)))
	}
	for pattern, fn := range c.forAdmins() {
		mux.Handle(pattern, guarded(c.in(c.changes(fn))))
	}
}

func (c *Console) forAnybody() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{"GET /login": c.login, "POST /login": c.redeem, "POST /logout": c.logout, "POST /prefs": c.prefs}
}

func (c *Console) forReaders() map[string]handler {
	return map[string]handler{
		"GET /{$}":      c.now,
		"GET /live":     c.live,
		"GET /findings": c.findings, "GET /findings/{number}": c.finding, "GET /findings/{number}/figures": c.findingFigures, "GET /findings/{number}/contain": c.findingContain,
		"POST /findings/{number}/verdict": c.verdict,
		"GET /scope":                      c.scopeStart, "GET /scope/{handle}": c.scope, "GET /scope/{handle}/counts": c.scopeCounts, "GET /scope/{handle}/course": c.scopeCourse,
		"GET /scope/{handle}/narrow": c.scopeNarrow, "GET /scope/{handle}/list": c.scopeList, "POST /scope/{handle}/edit": c.scopeEdit,
		"GET /scope/{handle}/compare": c.scopeCompare, "POST /scope/{handle}/why": c.scopeWhy, "POST /scope/{handle}/export": c.scopeExport,
		"GET /subject": c.subjectAsk, "POST /subject": c.subjectGo, "GET /subject/{handle}": c.subject, "GET /subject/{handle}/more": c.subjectMore,
		"GET /keys": c.keysShown, "GET /keys/key": c.key, "GET /keys/preview": c.keyPreview, "GET /keys/offboarding/{id}": c.offboardingShown,
		"GET /incidents": c.incidents, "GET /incidents/{number}": c.incidentShown,
		"GET /incidents/{number}/document": c.document, "GET /incidents/{number}/print": c.documentPrint,
		"GET /notices/{number}": c.noticeShown, "GET /notices/{number}/progress": c.noticeProgress,
		"GET /server": c.server, "POST /tokens": c.token,
		"GET /settings": c.settings,
	}
}

func (c *Console) forAdmins() map[string]handler {
	return map[string]handler{
		"POST /findings/{number}/take": c.take, "POST /findings/{number}/contain": c.contain,
		"POST /scope/{handle}/save": c.scopeSave,
		"POST /keys/act":            c.keyAct, "POST /keys/offboarding/{id}": c.offboardingAct,
		"POST /incidents": c.incidentOpen, "POST /incidents/{number}/event": c.incidentEvent, "POST /incidents/{number}/version": c.incidentVersion,
		"POST /incidents/{number}/sign": c.documentSign, "POST /incidents/{number}/notices": c.noticeMake,
		"POST /notices/{number}/act": c.noticeAct, "POST /notices/{number}/export": c.noticeExport,
	}
}

// changes refuses whoever may only look.
func (c *Console) changes(fn handler) handler {
	return func(w http.ResponseWriter, r *http.Request, who api.Who) error {
		if err := c.cfg.API.MayChange(who); err != nil {
			return err
		}
		return fn(w, r, who)
	}
}

// Static serves what the pages look and move by, under /static/.
func Static() http.Handler {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic("BUG: the embedded files have no static/: " + err.Error())
	}
	assets := http.StripPrefix("/static/", http.FileServerFS(static))
	tags := map[string]string{}
	err = fs.WalkDir(static, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(static, name)
		sum := sha256.Sum256(data)
		tags["/static/"+name] = `"` + hex.EncodeToString(sum[:12]) + `"`
		return err
	})
	if err != nil {
		panic("BUG: the embedded files cannot be read: " + err.Error())
	}
	return guarded(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache") // asked for again each time, and sent again when it has changed
		if tag := tags[r.URL.Path]; tag != "" {
			w.Header().Set("ETag", tag)
		}
		assets.ServeHTTP(w, r)
	})
}

// handler serves somebody who is signed in. What it returns is shown.
type handler func(w http.ResponseWriter, r *http.Request, who api.Who) error

// in lets in who may read.
func (c *Console) in(fn handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, err := c.cfg.API.Visitor(r)
		if err != nil {
			c.fail(w, r, err)
			return
		}
		if !who.Role.May(auth.RoleRead) {
			if r.Header.Get("HX-Request") != "" {
				w.Header().Set("HX-Redirect", "/login")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		if err := fn(w, r, who); err != nil {
			c.fail(w, r, err)
		}
	}
}

// policy forbids whatever is not ours, inline script and inline style.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guarded sends the policy of invariant 2 with everything.
func guarded(fn http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		fn(w, r)
	})
}

// fault is what fault.html shows.
type fault struct {
	*frame
	Says, Cure string
}

// fail shows what went wrong: what is the visitor's business, in words; the rest is in the log.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // whoever asked has gone
	}
	e := c.cfg.API.Fault(r.Context(), err)
	if e.Status >= 500 {
		c.cfg.Logger.Error("show a page", "page", r.Pattern, "error", err)
	}
	f := c.frame(r, api.Who{}, "", "title.fault")
	f.Bare = true
	name := "fault.html"
	if r.Header.Get("HX-Request") != "" {
		name = "faultpart.html"
	}
	c.page(w, r, name, &fault{f, e.Says, e.Cure}, e.Status)
}

// page writes a template.
func (c *Console) page(w http.ResponseWriter, r *http.Request, name string, data any, status int) {
	var out bytes.Buffer
	if err := c.pages.ExecuteTemplate(&out, name, data); err != nil {
		c.cfg.Logger.Error("make a page", "page", name, "error", err)
		http.Error(w, "the page could not be made: the server's log says why", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Vary", "Accept-Language, Cookie, HX-Request")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // whoever asked has gone
}

// wayIn is what login.html shows.
type wayIn struct {
	*frame
	Wrong bool
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	if err := c.cfg.API.Ours(r); err != nil {
		c.fail(w, r, err)
		return
	}
	f := c.frame(r, api.Who{}, "", "title.login")
	f.Bare = true
	c.page(w, r, "login.html", &wayIn{f, false}, http.StatusOK)
}

func (c *Console) redeem(w http.ResponseWriter, r *http.Request) {
	if err := c.cfg.API.Ours(r); err != nil {
		c.fail(w, r, err)
		return
	}
	secret, session, err := c.cfg.Auth.Redeem(r.Context(), r.PostFormValue("code"))
	if errors.Is(err, auth.ErrLinkGone) {
		f := c.frame(r, api.Who{}, "", "title.login")
		f.Bare = true
		c.page(w, r, "login.html", &wayIn{f, true}, http.StatusUnauthorized)
		return
	}
	if err == nil {
		err = c.cfg.API.SignedIn(r.Context(), session)
	}
	if err != nil {
		c.fail(w, r, err)
		return
	}
	c.cookie(w, api.CookieName, secret, auth.SessionLife)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (c *Console) cookie(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, Secure: c.cfg.Secure, SameSite: http.SameSiteStrictMode,
	})
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	if err := c.cfg.API.Ours(r); err != nil {
		c.fail(w, r, err)
		return
	}
	if k, err := r.Cookie(api.CookieName); err == nil {
		if err := c.cfg.Auth.End(context.WithoutCancel(r.Context()), k.Value); err != nil {
			c.fail(w, r, err)
			return
		}
	}
	c.cookie(w, api.CookieName, "", -time.Second)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
