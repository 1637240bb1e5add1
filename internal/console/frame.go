package console

import (
	"html/template"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/figure"
)

// frame is what every page has: its language, who looks, the plate, the clock.
type frame struct {
	speech
	Page      string // of the menu: now, findings, scope, …
	TitleKey  string
	Heading   string // instead of the title's, where the page has its own
	Sub       template.HTML
	Who, Role string
	Admin     bool
	Theme     string // light, dark; "": as the browser has it
	Letters   bool   // keys without Ctrl are on
	Path      string // of this page, to come back to
	Place     string // the server, as people know it
	Bare      bool   // without menu and plate
	Languages []string
	Zone      *time.Location

	Level   plate
	At      time.Time
	Open    int64 // findings
	Tape    template.HTML
	TapeX   string
	TapeHot bool
}

// cookies of what a browser prefers. They say nothing of who it is.
const (
	cookieLang    = "whosaw_lang"
	cookieTheme   = "whosaw_theme"
	cookieLetters = "whosaw_letters"
)

func preferred(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

func (c *Console) speech(r *http.Request) speech {
	return c.words.in(c.words.choose(preferred(r, cookieLang), r.Header.Get("Accept-Language")))
}

func (c *Console) frame(r *http.Request, who api.Who, page, title string) *frame {
	f := &frame{
		speech: c.speech(r), Page: page, TitleKey: title, Who: who.Name, Role: string(who.Role), Admin: who.Role.May(auth.RoleAdmin),
		Letters: preferred(r, cookieLetters) != "off", Path: r.URL.Path, Place: strings.TrimPrefix(strings.TrimPrefix(c.cfg.URL, "https://"), "http://"),
		Languages: c.words.languages(), Zone: c.cfg.Zone, At: c.cfg.Now(),
	}
	if t := preferred(r, cookieTheme); t == "light" || t == "dark" {
		f.Theme = t
	}
	c.lit(f)
	return f
}

// lit sets what the watch knows: the plate, the open findings, the tape.
func (c *Console) lit(f *frame) {
	s := c.watch.state()
	f.Level, f.Open = s.plate(f.speech, f.Zone), s.open
	f.Tape, f.TapeX, f.TapeHot = tape(s)
}

// Title is the tab's: the plate where it is lit, then the page. No id stands in it.
func (f *frame) Title() string { return f.Lit() + f.PageTitle() }

// PageTitle is the title without the plate.
func (f *frame) PageTitle() string { return f.T(f.TitleKey) + " · whosaw" }

// Lit is what the plate puts before a title.
func (f *frame) Lit() string {
	switch f.Level.Level {
	case "harvest":
		return "■ " + f.Level.Word + " " + f.Level.Figure + " · "
	case "blind", "watch", "contained":
		return f.Level.Word + " · "
	}
	return ""
}

// Clock and Date are now, in the server's zone.
func (f *frame) Clock() string { return f.At.In(f.Zone).Format("15:04:05") }

// ZoneName is the zone's short name.
func (f *frame) ZoneName() string { return f.At.In(f.Zone).Format("MST") }

// ZoneSays is what the zone is called; the machine's own zone has only its short name.
func (f *frame) ZoneSays() string {
	if f.Zone == time.Local {
		return f.ZoneName()
	}
	return f.Zone.String()
}

// Date writes the day as the language does.
func (f *frame) Date() string { return f.day(f.At) }

func (f *frame) day(t time.Time) string {
	t = t.In(f.Zone)
	if f.lang == "ko" {
		return t.Format("2006년 1월 2일 (") + []string{"일", "월", "화", "수", "목", "금", "토"}[t.Weekday()] + ")"
	}
	return t.Format("Mon 2 Jan 2006")
}

// Short writes a time today as the clock, one of another day with the day, and one of another year with that too.
func (f *frame) Short(ms int64) string {
	t := time.UnixMilli(ms).In(f.Zone)
	now := f.At.In(f.Zone)
	switch {
	case t.Format(time.DateOnly) == now.Format(time.DateOnly):
		return t.Format("15:04:05")
	case t.Year() != now.Year():
		return f.Day(ms) + t.Format(" 15:04:05")
	case f.lang == "ko":
		return t.Format("1월 2일 15:04:05")
	}
	return t.Format("2 Jan 15:04:05")
}

// Full writes a time with its day, year and zone.
func (f *frame) Full(ms int64) string {
	t := time.UnixMilli(ms).In(f.Zone)
	if f.lang == "ko" {
		return t.Format("2006년 1월 2일 15:04:05 MST")
	}
	return t.Format("2 Jan 2006 15:04:05 MST")
}

// Milli writes the clock with milliseconds.
func (f *frame) Milli(ms int64) string { return time.UnixMilli(ms).In(f.Zone).Format("15:04:05.000") }

// Day writes the day alone.
func (f *frame) Day(ms int64) string {
	t := time.UnixMilli(ms).In(f.Zone)
	if f.lang == "ko" {
		return t.Format("2006년 1월 2일")
	}
	return t.Format("2 Jan 2006")
}

// UTC writes a time as programs do, for titles and copies.
func (f *frame) UTC(ms int64) string { return whosaw.Time(ms).String() }

// Lasting writes how long something lasted: 0.3 s, 21:06 min, 7.0 h, 6.4 days.
func (f *frame) Lasting(d time.Duration) string {
	switch {
	case d < time.Minute:
		return f.T("unit.s", strconv.FormatFloat(max(0, d.Seconds()), 'f', 1, 64))
	case d < time.Hour:
		return f.T("unit.min", strconv.Itoa(int(d.Minutes()))+":"+two(int(d.Seconds())%60))
	case d < 48*time.Hour:
		return f.T("unit.h", strings.TrimSuffix(strconv.FormatFloat(d.Hours(), 'f', 1, 64), ".0"))
	}
	return f.T("unit.days", strconv.FormatFloat(d.Hours()/24, 'f', 1, 64))
}

func two(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

// item is one line of the menu.
type item struct {
	ID, Path, Key string
	Gap           bool
	Count         int64
}

// Menu is the rail.
func (f *frame) Menu() []item {
	return []item{
		{ID: "now", Path: "/", Key: "n"},
		{ID: "findings", Path: "/findings", Key: "f"},
		{ID: "incidents", Path: "/incidents", Key: "i"},
		{ID: "scope", Path: "/scope", Key: "s"},
		{ID: "subject", Path: "/subject", Key: "u"},
		{ID: "keys", Path: "/keys", Key: "k", Gap: true},
		{ID: "server", Path: "/server", Key: "e"},
		{ID: "settings", Path: "/settings", Key: ","},
	}
}

// Tabs are the menu at 390 px.
func (f *frame) Tabs() []item {
	tabs := f.Menu()[:5]
	return append(tabs[:5:5], item{ID: "settings", Path: "/settings"})
}

var functions = template.FuncMap{
	"int":   figure.Int,
	"safe":  safe,
	"ms":    func(t any) int64 { return millis(t) },
	"sub":   func(a, b int64) int64 { return a - b },
	"len64": func(list any) int64 { return int64(reflect.ValueOf(list).Len()) },
	"dict": func(pairs ...any) map[string]any {
		out := map[string]any{}
		for i := 0; i+1 < len(pairs); i += 2 {
			out[pairs[i].(string)] = pairs[i+1]
		}
		return out
	},
}

// millis gives a time of any of our kinds in milliseconds.
func millis(t any) int64 {
	switch t := t.(type) {
	case whosaw.Time:
		return int64(t)
	case *whosaw.Time:
		if t != nil {
			return int64(*t)
		}
	case int64:
		return t
	case time.Time:
		return t.UnixMilli()
	}
	return 0
}

// prefs keeps what a browser prefers and goes back.
func (c *Console) prefs(w http.ResponseWriter, r *http.Request) {
	if err := c.cfg.API.Ours(r); err != nil {
		c.fail(w, r, err)
		return
	}
	const year = 365 * 24 * time.Hour
	if v := r.PostFormValue("lang"); c.words[v] != nil {
		c.cookie(w, cookieLang, v, year)
	}
	switch v := r.PostFormValue("theme"); v {
	case "light", "dark":
		c.cookie(w, cookieTheme, v, year)
	case "auto":
		c.cookie(w, cookieTheme, "", -time.Second)
	}
	switch v := r.PostFormValue("letters"); v {
	case "on", "off":
		c.cookie(w, cookieLetters, v, year)
	}
	back := r.PostFormValue("back")
	if !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\r\n") {
		back = "/"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// settings is the page of what a browser prefers.
func (c *Console) settings(w http.ResponseWriter, r *http.Request, who api.Who) error {
	c.page(w, r, "settings.html", c.frame(r, who, "settings", "title.settings"), http.StatusOK)
	return nil
}

// Lang is the page's language.
func (s speech) Lang() string { return s.lang }

// HasPage reports whether the menu has a page.
func (f *frame) HasPage(id string) bool {
	for _, i := range f.Menu() {
		if i.ID == id {
			return true
		}
	}
	return false
}

// Keys are those beside the menu's: the key, and what it does.
func (f *frame) Keys() [][2]string {
	return [][2]string{
		{"j k", "key.rows"}, {"↵", "key.open"}, {"t", "key.take"}, {"c", "key.contain"}, {"y", "key.copy"}, {"/", "key.filter"}, {"g", "key.goto"}, {"v", "key.save"}, {"d", "key.compare"}, {"x", "key.unexplained"}, {"[ ]", "key.pages"}, {"p", "key.print"}, {"Ctrl ↵", "key.act"}, {"?", "key.help"},
	}
}

// MoreN is how many routes are not shown.
func (p *nowPage) MoreN() int64 { return int64(p.More) }
