package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/pipeline"
)

//go:embed templates/*.html static
var files embed.FS

// Config is what the pages stand on.
type Config struct {
	API    *api.API
	Auth   *auth.Store
	Alarms *alarm.Dispatcher
	Logger *slog.Logger
	Zone   *time.Location
	URL    string // of the server, for the commands that are shown
	Secure bool   // cookies over TLS only
}

// Console serves the pages. Safe for concurrent use.
type Console struct {
	cfg   Config
	pages *template.Template
}

// New gives a console.
func New(cfg Config) (*Console, error) {
	pages, err := template.New("").Funcs(template.FuncMap{
		"int":   figure.Int,
		"count": func(n int64, one, many string) string { return figure.Of(n, one, many) },
		"time": func(zone *time.Location, t any) string {
			switch t := t.(type) {
			case whosaw.Time:
				return stamp(zone, t)
			case *whosaw.Time:
				return stamp(zone, *t)
			}
			return ""
		},
	}).ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	return &Console{cfg: cfg, pages: pages}, nil
}

func stamp(zone *time.Location, t whosaw.Time) string {
	return time.UnixMilli(int64(t)).In(zone).Format("2006-01-02 15:04:05 MST")
}

// Register adds the pages to a mux.
func (c *Console) Register(mux *http.ServeMux) {
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic("BUG: the embedded files have no static/: " + err.Error())
	}
	assets := http.StripPrefix("/static/", http.FileServerFS(static))
	mux.Handle("GET /static/", guarded(func(w http.ResponseWriter, r *http.Request) { assets.ServeHTTP(w, r) }))
	mux.Handle("GET /{$}", guarded(c.home))
	mux.Handle("GET /login", guarded(c.login))
	mux.Handle("POST /login", guarded(c.redeem))
	mux.Handle("POST /logout", guarded(c.logout))
	mux.Handle("POST /tokens", guarded(c.token))
}

// guarded sends the policy of invariant 2 with everything.
func guarded(fn http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		fn(w, r)
	})
}

// home is what home.html shows.
type home struct {
	Title    string
	Who, URL string
	Zone     *time.Location
	Status   api.Status
	Findings []api.Found
	Types    []string
	Made     *api.NewToken
	Fault    string
}

func (c *Console) home(w http.ResponseWriter, r *http.Request) { c.show(w, r, nil, "") }

// signedIn finds who is there, or answers for the page.
func (c *Console) signedIn(w http.ResponseWriter, r *http.Request) (api.Who, bool) {
	who, err := c.cfg.API.Visitor(r)
	if err != nil {
		c.fail(w, err)
		return who, false
	}
	if !who.Role.May(auth.RoleRead) {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return who, false
	}
	return who, true
}

func (c *Console) fail(w http.ResponseWriter, err error) {
	var e *api.Error
	if errors.As(err, &e) {
		http.Error(w, e.Error(), e.Status)
		return
	}
	c.cfg.Logger.Error("show a page", "error", err)
	http.Error(w, "the page could not be made: the server's log says why", http.StatusInternalServerError)
}

func (c *Console) show(w http.ResponseWriter, r *http.Request, made *api.NewToken, fault string) {
	who, ok := c.signedIn(w, r)
	if !ok {
		return
	}
	page := home{Title: "whosaw", Who: who.Name, URL: c.cfg.URL, Zone: c.cfg.Zone, Types: pipeline.AllTypes.Names(), Made: made, Fault: fault}
	var err error
	if page.Status, err = c.cfg.API.Status(r.Context()); err != nil {
		c.fail(w, err)
		return
	}
	if page.Findings, err = c.cfg.API.Newest(r.Context(), 50); err != nil {
		c.fail(w, err)
		return
	}
	if n := page.Status.Alarms.Open; n > 0 {
		page.Title = figure.Of(n, "open finding", "open findings") + " · whosaw"
	}
	c.page(w, "home.html", page, http.StatusOK)
}

func (c *Console) page(w http.ResponseWriter, name string, data any, status int) {
	var out bytes.Buffer
	if err := c.pages.ExecuteTemplate(&out, name, data); err != nil {
		c.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // whoever asked has gone
}

// login is what login.html shows.
type login struct{ Title, Fault string }

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	if err := c.cfg.API.Ours(r); err != nil {
		c.fail(w, err)
		return
	}
	c.page(w, "login.html", login{Title: "Sign in · whosaw"}, http.StatusOK)
}

func (c *Console) redeem(w http.ResponseWriter, r *http.Request) {
	if err := c.cfg.API.Ours(r); err != nil {
		c.fail(w, err)
		return
	}
	secret, session, err := c.cfg.Auth.Redeem(r.Context(), r.PostFormValue("code"))
	if errors.Is(err, auth.ErrLinkGone) {
		c.page(w, "login.html", login{"Sign in · whosaw", "This code was used already, is older than an hour, or is not one of this server."}, http.StatusUnauthorized)
		return
	}
	if err == nil {
		err = c.cfg.API.SignedIn(r.Context(), session)
	}
	if err != nil {
		c.fail(w, err)
		return
	}
	c.cookie(w, secret, int(auth.SessionLife/time.Second))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (c *Console) cookie(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: api.CookieName, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: c.cfg.Secure, SameSite: http.SameSiteStrictMode,
	})
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	if err := c.cfg.API.Ours(r); err != nil {
		c.fail(w, err)
		return
	}
	if k, err := r.Cookie(api.CookieName); err == nil {
		if err := c.cfg.Auth.End(context.WithoutCancel(r.Context()), k.Value); err != nil {
			c.fail(w, err)
			return
		}
	}
	c.cookie(w, "", -1)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func (c *Console) token(w http.ResponseWriter, r *http.Request) {
	who, ok := c.signedIn(w, r)
	if !ok {
		return
	}
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return
	}
	made, err := c.cfg.API.MakeToken(r.Context(), who, api.TokenSpec{Name: r.PostFormValue("name"), Types: r.PostForm["type"]})
	if err != nil {
		var e *api.Error
		var spec *auth.BadSpec
		if errors.As(err, &spec) || errors.As(err, &e) {
			c.show(w, r, nil, err.Error())
			return
		}
		c.fail(w, err)
		return
	}
	c.show(w, r, &made, "")
}
