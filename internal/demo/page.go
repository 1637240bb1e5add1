package demo

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/figure"
)

//go:embed templates/*.html static words/*.json
var files embed.FS

// pages serve the story. The look is the console's.
type pages struct {
	d         *Demo
	words     console.Words
	templates *template.Template

	mu       sync.Mutex
	watchers map[chan []byte]listener
	ended    bool
}

// listener is what one browser looks at.
type listener struct {
	lang string
	at   int // the step; -1: the world that is being made
}

func newPages(d *Demo) (*pages, error) {
	p := &pages{d: d, watchers: map[chan []byte]listener{}}
	var err error
	if p.words, err = console.ReadWords(files); err != nil {
		return nil, err
	}
	p.templates, err = template.New("").Funcs(template.FuncMap{"int": figure.Int, "safe": console.Safe}).ParseFS(files, "templates/*.html")
	return p, err
}

func (p *pages) handler() http.Handler {
	mux := http.NewServeMux()
	static, err := fs.Sub(files, "static")
	if err != nil {
		panic("BUG: the embedded files have no static/: " + err.Error())
	}
	mux.Handle("GET /static/", console.Static())
	mux.Handle("GET /demo/", console.Strict(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		http.StripPrefix("/demo/", http.FileServerFS(static)).ServeHTTP(w, r)
	}))
	for pattern, fn := range map[string]http.HandlerFunc{
		"GET /{$}": p.start, "GET /step/{id}": p.step, "GET /live": p.live, "GET /open": p.open, "POST /next": p.next, "POST /again": p.again, "POST /act": p.act, "POST /lang": p.lang,
		"GET /mail/{number}": p.mail, "GET /mail/{number}/page": p.mailForm, "POST /mail": p.findMail,
	} {
		mux.Handle(pattern, console.Strict(fn))
	}
	return http.NewCrossOriginProtection().Handler(mux)
}

// view is what a page shows.
type view struct {
	console.Speech
	Languages []string
	Theme     string
	At        int // the step
	Steps     []station
	Opening   bool // the world is being made
	Stages    []stageView
	Heading   string
	Lead      string
	Panels    []panel
	Running   bool
	Clock     string
	Fault     string
	Next      string // what the button says; "": there is no next step
	CanNext   bool
	Back      string // address of the step before; "": there is none
	Path      string
	Made      int // which world: a page of another one loads again
}

// station is a step as the head shows it.
type station struct {
	N    int
	ID   string
	Name string
	Now  bool
	Open bool
}

// stageView is one thing that is done before the shop opens.
type stageView struct {
	Name        string
	Done, Doing bool
	Part        string
}

// panel is one column: a figure, and what belongs to it.
type panel struct {
	Kind     string // calm, off, on, plain: the hue of what it shows
	Glyph    string
	Head     string
	Sign     string
	Figure   string
	Label    template.HTML
	Says     template.HTML // a sentence, larger
	Plot     *plot
	Facts    []fact
	First    []action // before the tables
	Tables   []table
	Letter   []string // a text as it goes out, in paragraphs
	LetterIn string   // its language
	Below    []template.HTML
	TailHead string
	Tail     []tailLine
	Notes    []template.HTML
	Gaps     []string // why the figure is at least
	Links    []way
	Actions  []action
}

type fact struct {
	Label, Value, Of string
	Bad              bool
}

// table has a label in each row, and cells.
type table struct {
	Caption string
	Head    []string
	Rows    []tableRow
	Timed   bool // the labels are moments
}

type tableRow struct {
	Label, Below string
	Cells        []cell
	Ahead        bool // it has not come yet
}

type cell struct {
	Text, Below string
	Bad         bool
}

type tailLine struct {
	At, Number, Says, Kind string
}

// way is a link to what the server or the shop shows.
type way struct {
	Href, Text string
}

type action struct {
	Do, Text string
	Held     bool
	Off      bool
}

// stages are what is done before the shop opens, in order.
var stages = []string{"shop", "server", "past", "people"}

// view makes a page as everything is now.
func (p *pages) view(sp console.Speech, at int) *view {
	w, st := p.d.now()
	v := &view{Speech: sp, Languages: p.words.Languages(), At: at}
	for i := range steps {
		v.Steps = append(v.Steps, station{N: i + 1, ID: steps[i].id, Name: sp.T("step." + steps[i].id + ".name"), Now: i == at})
	}
	if w == nil {
		v.At, v.Opening = -1, true
		v.Heading, v.Lead = sp.T("opening.heading"), sp.T("opening.lead", figure.Int(int64(p.d.cfg.Customers)))
		for i, name := range stages {
			doing := false
			for j, other := range stages {
				doing = doing || other == st.name && i == j
			}
			s := stageView{Name: sp.T("opening."+name, strconv.Itoa(p.d.cfg.Days)), Doing: doing, Done: before(stages, name, st.name)}
			if doing && st.total > 0 {
				s.Part = sp.T("opening.part", figure.Int(int64(st.done)), figure.Int(int64(st.total)))
			}
			v.Stages = append(v.Stages, s)
		}
		return v
	}
	p.d.mu.Lock()
	v.Made = p.d.made
	p.d.mu.Unlock()
	w.mu.Lock()
	reached, running, fault := w.reached, w.running, w.fault
	w.mu.Unlock()
	for i := range v.Steps {
		v.Steps[i].Open = i <= reached
	}
	id := steps[at].id
	v.Heading, v.Lead = sp.T("step."+id+".heading"), sp.T("step."+id+".lead", figure.Int(w.people), figure.Int(w.highest))
	v.Path = "/step/" + id
	v.Running = running && at == reached
	if fault != nil && at == reached {
		v.Fault = console.Safe(fault.Error())
	}
	v.Panels = steps[at].show(w, v)
	if at > 0 {
		v.Back = "/step/" + steps[at-1].id
	}
	if at+1 < len(steps) {
		v.Next, v.CanNext = sp.T("step."+steps[at+1].id+".next"), true
	}
	return v
}

// before reports whether name stands before other in list.
func before(list []string, name, other string) bool {
	for _, x := range list {
		switch x {
		case other:
			return false
		case name:
			return other != ""
		}
	}
	return false
}

func (p *pages) show(w http.ResponseWriter, r *http.Request, at int) {
	v := p.view(p.words.Of(r), at)
	v.Theme = console.Theme(r)
	var out bytes.Buffer
	if err := p.templates.ExecuteTemplate(&out, "page.html", v); err != nil {
		p.d.cfg.Logger.Error("make the demo's page", "error", err)
		http.Error(w, "the page could not be made: the demo's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Vary", "Accept-Language, Cookie")
	_, _ = w.Write(out.Bytes()) // whoever asked has gone
}

// start leads to where the story is.
func (p *pages) start(w http.ResponseWriter, r *http.Request) {
	world, _ := p.d.now()
	if world == nil {
		p.show(w, r, -1)
		return
	}
	http.Redirect(w, r, "/step/"+steps[world.at()].id, http.StatusSeeOther)
}

// at is how far the story is.
func (s *story) at() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reached
}

func (p *pages) step(w http.ResponseWriter, r *http.Request) {
	at := stepAt(r.PathValue("id"))
	world, _ := p.d.now()
	switch {
	case at < 0:
		http.NotFound(w, r)
	case world == nil || at > world.at():
		http.Redirect(w, r, "/", http.StatusSeeOther)
	default:
		p.show(w, r, at)
	}
}

func (p *pages) next(w http.ResponseWriter, r *http.Request) {
	from := stepAt(r.PostFormValue("from"))
	world, _ := p.d.now()
	if world == nil || from < 0 || from+1 >= len(steps) {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	world.next(from)
	http.Redirect(w, r, "/step/"+steps[min(from+1, world.at())].id, http.StatusSeeOther)
}

func (p *pages) again(w http.ResponseWriter, r *http.Request) {
	p.d.again()
	p.d.gone(r.Context())
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *pages) act(w http.ResponseWriter, r *http.Request) {
	world, _ := p.d.now()
	to := "/"
	if world != nil {
		step, err := world.act(r.PostFormValue("do"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		to = "/step/" + step
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (p *pages) lang(w http.ResponseWriter, r *http.Request) {
	p.words.SetLanguage(w, r.PostFormValue("lang"))
	back := r.PostFormValue("back")
	if !strings.HasPrefix(back, "/step/") {
		back = "/"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// open leads to a page of the server, with a session for it.
func (p *pages) open(w http.ResponseWriter, r *http.Request) {
	world, _ := p.d.now()
	to := r.URL.Query().Get("to")
	if world == nil || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if c, err := r.Cookie(api.CookieName); err != nil || !world.signedIn(r.Context(), c.Value) {
		secret, err := world.signIn(r.Context())
		if err != nil {
			p.d.cfg.Logger.Error("sign the visitor in", "error", err)
			http.Error(w, "you could not be signed in: the demo's log says why", http.StatusInternalServerError)
			return
		}
		http.SetCookie(w, &http.Cookie{
			Name: api.CookieName, Value: secret, Path: "/", MaxAge: int(auth.SessionLife / time.Second), HttpOnly: true, SameSite: http.SameSiteStrictMode,
		})
	}
	http.Redirect(w, r, named(world.srv.URL())+to, http.StatusSeeOther)
}

func (w *world) signedIn(ctx context.Context, secret string) bool {
	_, err := w.srv.Auth().Session(ctx, secret)
	return err == nil
}
