package console_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/scope"
)

// asking is a page, or a part of one, as a browser asks for it.
type asking struct {
	name string
	path func() string // found when it is asked: by a click on what came before
	form url.Values    // of what is posted; nil: GET
}

// sample is every page and part that a site serves, over one ledger.
type sample struct {
	*site
	t   testing.TB
	all []asking
}

const bigKey = "login-2024-b" // of the theft, in the ledger of bench/ as in that of million

// guardedPages puts a real guard behind Contain.
func guardedPages(t testing.TB) func(*console.Config) {
	return func(c *console.Config) {
		cfg := guard.Config{Mode: guard.ModeEnforce, Doors: []guard.DoorConfig{{Name: "gateway-1", Kind: guard.KindDecide}}}
		g, err := guard.New(t.Context(), guard.Options{Config: cfg, DB: c.State, Now: c.Now, Logger: slog.New(slog.DiscardHandler)})
		check(t, err)
		c.Contain = console.Guarded(g, c.Now)
	}
}

// everyPage fills what pages are about (findings, incidents, a notice, versions, a leaver), and lists them all.
func (s *site) everyPage(t testing.TB) *sample {
	x := &sample{site: s, t: t}
	at := s.now().UnixMilli()
	_, err := s.ledger.Append(t.Context(), []whosaw.Record{
		{Type: whosaw.TypeKey, Time: at, Source: "vault", Position: at, Key: bigKey, Ref: &whosaw.Reference{State: "active", Use: "log-in", Readers: []string{"lee"}}},
		{Type: whosaw.TypePerson, Time: at, Source: "vault", Position: at + 1, Ref: &whosaw.Reference{Person: "lee", State: "left", Since: at, Keys: []string{bigKey}}},
	})
	check(t, err)
	x.plain("login", "/login")
	x.plain("now", "/")
	x.plain("server", "/server")
	x.plain("settings", "/settings")
	x.plain("keys", "/keys")
	x.plain("keys/key", "/keys/key?id="+bigKey)
	x.plain("keys/preview", "/keys/preview?id="+bigKey)
	x.add("keys/offboarding", x.click("/keys", `href="(/keys/offboarding/[^"]+)"`))
	x.scopes()
	x.findings()
	x.incidents()
	x.subjects()
	return x
}

func (x *sample) add(name string, path func() string) {
	x.all = append(x.all, asking{name: name, path: path})
}

func (x *sample) plain(name, path string) { x.add(name, func() string { return path }) }

// click finds a way on a page when it is asked for.
func (x *sample) click(page, way string) func() string {
	return func() string {
		text, _ := x.get(asking{path: func() string { return page }})
		m := regexp.MustCompile(way).FindSubmatch(text)
		if m == nil {
			x.t.Fatalf("%s has no %s", page, way)
		}
		return html.UnescapeString(string(m[1]))
	}
}

func (x *sample) handle(f whosaw.Filter) string {
	id, err := x.console.HandleOf(x.t.Context(), f)
	check(x.t, err)
	return "/scope/" + id
}

func (x *sample) scopes() {
	x.plain("scope", "/scope")
	members := []string{"route", "key", "network", "client", "agent_class"}
	for _, f := range []struct {
		name   string
		filter whosaw.Filter
	}{{"all", whosaw.Filter{{}}}, {"key", whosaw.Filter{{Key: []string{bigKey}}}}, {"key-route", whosaw.Filter{{Key: []string{bigKey}, Route: []string{"GET /me"}}}}} {
		at := x.handle(f.filter)
		x.plain(f.name, at)
		for _, part := range []string{"/counts", "/course", "/list", "/list?at=20"} {
			x.plain(f.name+part, at+part)
		}
		x.plain(f.name+"/list-then", at+"/list?at=20&seq="+strconv.FormatUint(x.live.Last()/2+12345, 10))
		x.plain(f.name+"/list-end", at+"/list?at="+strconv.Itoa(1<<40))
		for _, by := range members {
			x.plain(f.name+"/narrow-"+by, at+"/narrow?by="+by)
		}
	}
	// A value clicked in the list of everything, and the pages that it leads to.
	every := x.handle(whosaw.Filter{{}})
	for _, by := range members {
		clicked := ""
		page := func(part string) func() string {
			return func() string {
				if clicked == "" {
					clicked = x.narrowed(every, by)
				}
				return clicked + part
			}
		}
		for _, part := range []string{"", "/counts", "/course", "/list"} {
			x.add("all-by-"+by+part, page(part))
		}
	}
	key, err := x.console.HandleOf(x.t.Context(), whosaw.Filter{{Key: []string{bigKey}}})
	check(x.t, err)
	x.add("key/compare", func() string {
		x.post("/scope/"+key+"/save", url.Values{"name": {"bench"}, "note": {"one"}})
		x.post(x.handle(whosaw.Filter{{Key: []string{bigKey}, Route: []string{"GET /me"}}})+"/save", url.Values{"name": {"bench"}, "note": {"two"}})
		return "/scope/" + key + "/compare"
	})
	x.all = append(x.all, asking{name: "key/export", path: func() string { return "/scope/" + key + "/export" }, form: url.Values{"form": {"csv"}}},
		asking{name: "key/why", path: func() string { return "/scope/" + key + "/why" }, form: url.Values{"subject": {x.customer(1000)}}})
}

// narrowed is the page of a filter with the first value of a member; of one that nothing has, with one that nothing has.
func (x *sample) narrowed(at, by string) string {
	var text []byte
	for next := at + "/narrow?by=" + by; next != ""; {
		text, next = x.get(asking{path: func() string { return next }})
	}
	member, value := by, "none"
	if m := regexp.MustCompile(`name="member" value="([^"]*)"><input type="hidden" name="value" value="([^"]*)"`).FindSubmatch(text); m != nil {
		member, value = string(m[1]), html.UnescapeString(string(m[2]))
	} else if by == "network" {
		value = "192.0.2.0/24"
	}
	return x.posted(at+"/edit", url.Values{"member": {member}, "value": {value}})
}

func (x *sample) findings() {
	x.raised(x.t, whosaw.Filter{{Key: []string{bigKey}}})
	found, _, err := x.alarms.Findings(x.t.Context(), alarmAll)
	check(x.t, err)
	path := fmt.Sprintf("/findings/%d", found[0].Number)
	x.plain("findings", "/findings")
	x.plain("finding", path)
	x.plain("finding/figures", path+"/figures")
	x.plain("finding/contain", path+"/contain")
}

// incidents opens one with the theft, as people do, and a small one with a notice: who is told does not depend on the ledger's size.
func (x *sample) incidents() {
	found, _, err := x.alarms.Findings(x.t.Context(), alarmAll)
	check(x.t, err)
	big, err := x.api.OpenIncident(x.t.Context(), kim, api.IncidentSpec{Title: "the backup key", Findings: []string{found[0].Finding.ID}})
	check(x.t, err)
	small, err := x.api.OpenIncident(x.t.Context(), kim, api.IncidentSpec{Title: "one customer", Findings: []string{found[0].Finding.ID}})
	check(x.t, err)
	_, handle, _ := strings.Cut(x.handle(whosaw.Filter{{Subject: []string{x.customer(1000)}}}), "/scope/")
	x.plain("incidents", "/incidents")
	x.add("incident", func() string {
		x.post(fmt.Sprintf("/incidents/%d/version", big), url.Values{"reason": {"by cause"}})
		return fmt.Sprintf("/incidents/%d", big)
	})
	document := x.click(fmt.Sprintf("/incidents/%d", big), `href="(/incidents/\d+/document\?[^"]+)"`)
	x.add("incident/document", document)
	x.add("incident/print", func() string { return strings.Replace(document(), "/document?", "/print?", 1) })
	made := ""
	notice := func() string {
		if made == "" {
			x.post(fmt.Sprintf("/incidents/%d/version", small), url.Values{"reason": {"one"}, "handle": {handle}})
			made = x.posted(fmt.Sprintf("/incidents/%d/notices", small), url.Values{})
		}
		return made
	}
	x.add("notice", notice)
	x.add("notice/progress", func() string { return notice() + "/progress" })
}

func (x *sample) subjects() {
	x.plain("subject-form", "/subject")
	subject := func(name, id string) (path string) {
		path, err := x.console.SubjectPath(x.t.Context(), id)
		check(x.t, err)
		x.plain(name, path)
		return path
	}
	subject("subject", x.customer(1000))
	first := subject("subject-first", x.customer(0)) // of bench/'s customers the one that is opened most
	x.plain("subject-first-only", first+"?only=unexplained")
	subject("subject-another", x.customer(2000)) // its first look is that of a server that has shown others
	// One with more accesses than a page has.
	id := "bench-" + strconv.FormatInt(x.now().UnixMilli(), 10)
	var list []whosaw.Record
	for i := range 200 {
		list = append(list, whosaw.Record{
			Time: x.now().UnixMilli(), Source: "gateway-2", Position: x.now().UnixMilli()*1000 + int64(i), Route: "GET /me", Status: 200, Fields: meFields, Subjects: []string{id},
			Principal: "customer:" + id, Credential: "c", Key: "login-main", IP: netip.AddrFrom4([4]byte{100, 64, 0, 1}),
		})
	}
	_, err := x.ledger.Append(x.t.Context(), list)
	check(x.t, err)
	x.add("subject-page/more", x.click(subject("subject-page", id), `hx-get="([^"]+/more\?[^"]+)"`))
}

// customer is the nth whom the key was shown.
func (x *sample) customer(n int) (id string) {
	q, err := x.live.Ask(scope.Config{Workers: 2, Zone: time.UTC})
	check(x.t, err)
	defer q.Close()
	enough := errors.New("enough")
	err = q.List(x.t.Context(), whosaw.Filter{{Key: []string{bigKey}, Route: []string{"GET /me"}}}, func(row whosaw.ListRow) error {
		id = row.Subject
		if n--; n >= 0 {
			return nil
		}
		return enough
	})
	if !errors.Is(err, enough) {
		x.t.Fatal("the key was shown nobody", err)
	}
	return id
}

// posted sends a form, and gives the address that it leads to.
func (x *sample) posted(path string, form url.Values) string {
	res, err := x.post(path, form)
	check(x.t, err)
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK {
		x.t.Fatalf("%s: %s %v %.600s", path, res.Status, err, text)
	}
	return res.Request.URL.Path
}

// get asks for a page or part, and gives the address of its next turn; "": it is whole.
func (x *sample) get(a asking) (text []byte, next string) {
	var res *http.Response
	var err error
	path := a.path()
	if a.form != nil {
		res, err = x.post(path, a.form)
	} else {
		res, err = x.client.Get(x.url + path)
	}
	check(x.t, err)
	defer res.Body.Close()
	if text, err = io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK || bytes.Contains(text, []byte(`action="/login"`)) && a.name != "login" {
		x.t.Fatalf("%s %s: %s %v %.600s", a.name, path, res.Status, err, text)
	}
	if m := onItsOwn.FindSubmatch(text); m != nil {
		next = html.UnescapeString(string(m[1]))
	}
	return text, next
}

// TestPages: every page and part is among those that BenchmarkPages measures, and is there.
func TestPages(t *testing.T) {
	s := newSite(t, guardedPages(t))
	s.million(3000)
	check(t, s.ledger.Seal(t.Context()))
	s.signIn()
	x := s.everyPage(t)
	mux := http.NewServeMux()
	s.console.Register(mux)
	measured := map[string]bool{}
	for _, a := range x.all {
		method := http.MethodGet
		if a.form != nil {
			method = http.MethodPost
		}
		for turns := 0; turns < 50; turns++ {
			_, next := x.get(a)
			if next == "" {
				break
			}
			a.path = func() string { return next }
		}
		req, err := http.NewRequestWithContext(context.Background(), method, a.path(), nil)
		check(t, err)
		_, pattern := mux.Handler(req)
		measured[pattern] = true
	}
	for _, pattern := range console.Patterns(s.console) {
		switch {
		case measured[pattern], pattern == "GET /live": // BenchmarkWatched
		case pattern == "POST /scope/{handle}/why", pattern == "POST /scope/{handle}/export", strings.HasPrefix(pattern, "GET "):
			t.Errorf("%s is not measured", pattern)
		}
	}
}
