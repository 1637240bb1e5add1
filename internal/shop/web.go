package shop

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/whosaw/whosaw/guard"
)

//go:embed templates/*.html static
var files embed.FS

// policy lets a page load the shop's own style and pictures and send its forms to the shop: no script, no frame, nobody else.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxForm is the longest form or JSON body that is read.
const maxForm = 64 << 10

// Handler serves the pages. Only what shows nobody's data stands before the guard: style and pictures.
func (s *Shop) Handler() http.Handler {
	pages := http.NewServeMux()
	s.customerPages(pages)
	s.deskPages(pages)
	var judged http.Handler = pages
	if s.cfg.Guard != nil {
		judged = s.cfg.Guard(pages)
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic("BUG: the shop's static files: " + err.Error())
	}
	all := http.NewServeMux()
	all.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(static)))
	all.Handle("/", s.friendly(judged))
	protect := http.NewCrossOriginProtection()
	protect.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.sorry(w, r, http.StatusForbidden, "This form came from another site", "Open the page here and send it again.", "")
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers(w.Header())
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		protect.Handler(all).ServeHTTP(w, r)
	})
}

func headers(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// friendly shows a person a page where the guard refuses with a code. Programs get what the guard said.
func (s *Shop) friendly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept"), "text/html") {
			next.ServeHTTP(w, r)
			return
		}
		k := &kind{ResponseWriter: w}
		next.ServeHTTP(k, r)
		if !k.refused {
			return
		}
		headers(w.Header())
		w.Header().Del("WWW-Authenticate")
		title, says := "Please try again in a moment", "We cannot show this page right now."
		switch k.code {
		case http.StatusUnauthorized:
			title, says = "Please log in again", "Your session is not valid any more. Nothing was changed."
			s.setCookie(w, r, "", -1)
		case http.StatusForbidden:
			title, says = "This page is closed to you", "If you need it for your work, talk to your team lead."
		}
		s.sorry(w, r, k.code, title, says, k.body.String())
	})
}

// kind holds back an answer that is a code in JSON, as only the guard gives on pages.
type kind struct {
	http.ResponseWriter
	code    int
	refused bool
	body    bytes.Buffer
}

func (k *kind) WriteHeader(code int) {
	if k.code == 0 && code >= 400 && k.Header().Get("Content-Type") == "application/json" {
		k.refused = true
	}
	if code >= 200 {
		k.code = code
	}
	if !k.refused {
		k.ResponseWriter.WriteHeader(code)
	}
}

func (k *kind) Write(p []byte) (int, error) {
	if k.refused {
		return k.body.Write(p)
	}
	if k.code == 0 {
		k.code = http.StatusOK
	}
	return k.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (k *kind) Unwrap() http.ResponseWriter { return k.ResponseWriter }

var templates = func() map[string]*template.Template {
	layout := template.Must(template.ParseFS(files, "templates/layout.html"))
	out := map[string]*template.Template{}
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		panic("BUG: the shop's templates: " + err.Error())
	}
	for _, file := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(file, "templates/"), ".html")
		if name != "layout" {
			out[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, file))
		}
	}
	return out
}()

// view is what every page has.
type view struct {
	Title string
	Desk  bool // the call centre's look
	In    bool // somebody is logged in, as far as their cookie says
	Here  string
	Page  any
}

func (s *Shop) render(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	v.Here = r.URL.Path
	var b bytes.Buffer
	if err := templates[name].ExecuteTemplate(&b, "layout", v); err != nil {
		s.log.Error("a page of the shop cannot be made", "page", name, "error", err)
		http.Error(w, "this page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // whoever asked has gone
}

type sorryPage struct{ Says, Code string }

// sorry is a page that says that something did not work. It shows nobody's data.
func (s *Shop) sorry(w http.ResponseWriter, r *http.Request, status int, title, says, code string) {
	v := view{Title: title, Desk: strings.HasPrefix(r.URL.Path, "/desk"), Page: sorryPage{says, strings.Trim(strings.TrimPrefix(strings.TrimSpace(code), `{"error":`), `"}`)}}
	if status == http.StatusNotFound {
		_, v.In = s.session(r, issuerOf(r))
	}
	s.render(w, r, status, "sorry", v)
}

// trouble answers an error: what is not there, or what nobody but the log is told of.
func (s *Shop) trouble(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errNone):
		s.sorry(w, r, http.StatusNotFound, "There is nothing here", "The page or the account you asked for does not exist.", "")
	case r.Context().Err() != nil: // whoever asked has gone
	default:
		s.log.Error("a request to the shop failed", "route", r.Pattern, "error", err)
		s.sorry(w, r, http.StatusInternalServerError, "Something went wrong", "It is our fault. Please try again in a moment.", "")
	}
}

func issuerOf(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, "/desk") {
		return DeskIssuer
	}
	return Issuer
}

// session says who is asking. It looks where the middleware looks, in the same order: else one would judge another than the other serves.
func (s *Shop) session(r *http.Request, issuer string) (who, bool) {
	token := bearer(r)
	if token == "" {
		if c, err := r.Cookie(Cookie); err == nil {
			token = c.Value
		}
	}
	if token == "" {
		return who{}, false
	}
	u, err := s.check(token, issuer)
	return u, err == nil
}

func bearer(r *http.Request) string {
	token := r.Header.Get("Authorization")
	if scheme, rest, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "bearer") {
		token = strings.TrimSpace(rest)
	}
	return token
}

// setCookie gives a token to a browser. seconds below zero takes it back.
func (s *Shop) setCookie(w http.ResponseWriter, r *http.Request, token string, seconds int) {
	http.SetCookie(w, &http.Cookie{Name: Cookie, Value: token, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil})
}

// letIn issues a token: the record of it is on its way before the token is.
func (s *Shop) letIn(r *http.Request, issuer, subject, client, ip string) (string, error) {
	now := s.cfg.Now()
	c := claimsFor(issuer, subject, client, now)
	key := s.keys[0]
	if s.backup.Load() {
		key = s.keys[1]
	}
	token, err := sign(key, c)
	if err != nil {
		return "", err
	}
	principal := "customer:" + subject
	if issuer == DeskIssuer {
		principal = "staff:" + subject
	}
	s.tell.tell(r.Context(), issuance(&c, key.KeyID, principal, ip, now))
	return token, nil
}

// address is the client's; more is how many proxies of whosaw stand in front of this handler.
func (s *Shop) address(r *http.Request, more int) string {
	header := s.cfg.AddressHeader
	back := 1 + more
	if header == "" {
		header, back = "X-Forwarded-For", more
	}
	if back > 0 {
		list := strings.Split(strings.Join(r.Header.Values(header), ","), ",")
		if len(list) >= back {
			return strings.TrimSpace(list[len(list)-back])
		}
		return ""
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

func parseIP(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// safeNext is where a log-in leads: a page of this shop or, whatever was asked for, the start.
func safeNext(next, start string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return start
	}
	return next
}

// exposure collects what a page is about to show, value by value, so that what is said of it is what stands on it.
type exposure struct {
	clear, masked []string
	others        int64
}

func add(list []string, field, value string) []string {
	if value == "" {
		return list
	}
	for _, f := range list {
		if f == field {
			return list
		}
	}
	return append(list, field)
}

func (e *exposure) show(field, value string) { e.clear = add(e.clear, field, value) }
func (e *exposure) mask(field, value string) { e.masked = add(e.masked, field, value) }

// declare says what a page shows, before it is written. false: it was refused, and whoever asked was told.
func (s *Shop) declare(r *http.Request, subject string, e *exposure) (guard.Mask, bool) {
	if s.cfg.Guard == nil {
		return guard.Mask{}, true
	}
	if r.Method == http.MethodHead { // its answer has no body
		e = &exposure{}
	}
	if e.clear == nil {
		e.clear = []string{} // nothing, which is not the same as nothing said
	}
	m, err := guard.Show(r.Context(), guard.Shown{Subjects: []string{subject}, Fields: e.clear, Masked: e.masked, Others: e.others})
	if errors.Is(err, guard.ErrRefused) {
		return m, false
	}
	if err != nil {
		s.log.Error("a page of the shop cannot say what it shows", "error", err)
		return m, false
	}
	return m, true
}
