package catalog_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

func suggest(records []whosaw.Record) catalog.Suggestion {
	g := catalog.NewSuggester()
	for i := range records {
		g.Add(&records[i])
	}
	return g.Suggestion()
}

// page gives n accesses, with %d in the path counting.
func page(n int, method, path string, status int) []whosaw.Record {
	var out []whosaw.Record
	for i := range n {
		p := path
		if strings.Contains(p, "%d") {
			p = fmt.Sprintf(p, i)
		}
		out = append(out, whosaw.Record{Method: method, Path: p, Status: status})
	}
	return out
}

func find(t *testing.T, s catalog.Suggestion, route string) catalog.Template {
	t.Helper()
	for _, m := range s.Templates {
		if m.Route == route {
			return m
		}
	}
	t.Fatalf("no template %q in %+v", route, s.Templates)
	return catalog.Template{}
}

func TestSuggest(t *testing.T) {
	var all []whosaw.Record
	all = append(all, page(500, "GET", "/customers/%d", 200)...)
	all = append(all, page(30, "GET", "/customers/9000%d", 404)...)
	all = append(all, page(300, "GET", "/customers/%d/orders", 200)...)
	all = append(all, page(90, "GET", "/search?customer_id=%d", 200)...)
	all = append(all, page(40, "GET", "/orders/%d/items/%d", 200)...)
	all = append(all, page(60, "POST", "/login", 200)...)
	all = append(all, page(70, "GET", "/me/orders", 200)...)
	all = append(all, page(50, "GET", "/static/app.%d.js", 200)...)
	all = append(all, page(20, "GET", "/wp-login.php", 404)...)
	for i := range 40 {
		all = append(all, page(1, "GET", "/blog/a-post-about-"+strings.Repeat("x", i+1), 200)...)
	}
	for _, s := range []string{"orders", "products", "carts", "stores", "brands", "prices"} {
		all = append(all, page(10, "GET", "/api/"+s, 200)...)
	}
	for i := range all {
		if all[i].Path == "/login" || all[i].Path == "/me/orders" {
			all[i].Credential, all[i].Principal = "s", "customer:7"
		}
	}
	all = append(all, whosaw.Record{Type: whosaw.TypeIssuance}, whosaw.Record{Route: "job"}, whosaw.Record{Route: "PUT /x/{id}", Status: 200})
	for _, r := range page(80, "GET", "/report/%d", 200) {
		r.Subjects = []string{"7"}
		all = append(all, r)
	}
	s := suggest(all)
	if want := int64(len(all) - 1); s.Accesses != want || s.NoPath != 1 {
		t.Errorf("accesses %d, want %d; without a path %d", s.Accesses, want, s.NoPath)
	}
	if s.Assets != 50 || s.Failed != 20 || s.FailedOn != 1 {
		t.Errorf("assets %d, failed %d on %d", s.Assets, s.Failed, s.FailedOn)
	}
	c := find(t, s, "GET /customers/{customer}")
	if c.Hits != 530 || c.Absent != 30 || c.Status[2] != 500 || c.Subject != "path.customer" || c.Places[0].Distinct != 530 {
		t.Errorf("customers: %+v", c)
	}
	if m := find(t, s, "GET /customers/{customer}/orders"); m.Subject != "path.customer" || m.Hits != 300 {
		t.Errorf("orders: %+v", m)
	}
	if m := find(t, s, "GET /search"); m.Subject != "query.customer_id" || m.Places[0].In != "query" || m.Places[0].Distinct != 90 {
		t.Errorf("search: %+v", m)
	}
	if m := find(t, s, "GET /orders/{id}/items/{id2}"); m.Subject != "" || len(m.Places) != 2 {
		t.Errorf("items: %+v", m)
	}
	if m := find(t, s, "POST /login"); !m.Login || !m.Useable || m.Subject != "" {
		t.Errorf("login: %+v", m)
	}
	if m := find(t, s, "GET /me/orders"); m.Subject != "either" {
		t.Errorf("me: %+v", m)
	}
	if m := find(t, s, "GET /blog/{slug}"); m.Hits != 40 || m.Places[0].Distinct != 40 || m.Subject != "" {
		t.Errorf("blog: %+v", m)
	}
	if m := find(t, s, "GET /report/{id}"); m.Subject != "none" {
		t.Errorf("a page whose records name the subject: %+v", m)
	}
	find(t, s, "GET /api/orders") // words with as many accesses each are routes
	find(t, s, "PUT /x/{id}")

	y := string(s.YAML())
	cat := parse(t, y)
	v := cat.At(whosaw.MinTime)
	for _, tt := range []struct {
		route  string
		fields int
		join   catalog.Join
	}{
		{"GET /customers/{customer}", 1, catalog.JoinNone}, {"GET /search", 1, catalog.JoinNone}, {"GET /me/orders", 1, catalog.JoinEither},
		{"GET /orders/{id}/items/{id}", 0, catalog.JoinNone}, {"GET /blog/{id}", 0, catalog.JoinNone}, {"POST /login", 0, catalog.JoinNone},
	} {
		e := v.Route(tt.route)
		if e == nil || len(e.Fields) != tt.fields || e.Join != tt.join {
			t.Errorf("the suggested catalog says of %s: %+v", tt.route, e)
		}
	}
	r := whosaw.Record{Method: "GET", Path: "/search?customer_id=7", Time: whosaw.MinTime}
	cat.Resolver().Resolve(&r)
	if len(r.Subjects) != 1 {
		t.Errorf("the suggested catalog finds %q", r.Subjects)
	}
	r = whosaw.Record{Method: "POST", Path: "/login", Time: whosaw.MinTime, Status: 200, Credential: "s", Principal: "customer:7"}
	if _, ok := cat.Resolver().Resolve(&r); !ok {
		t.Error("the suggested catalog takes no log-in")
	}
	if top := s.Top(3); len(top) != 3 || top[0].Route != "GET /customers/{customer}" {
		t.Errorf("top: %+v", top)
	}
	if again := string(suggest(all).YAML()); again != y {
		t.Error("two suggestions of one log differ")
	}
}

// TestSuggestNothing: an empty log gives a file that loads.
func TestSuggestNothing(t *testing.T) {
	parse(t, string(suggest(nil).YAML()))
}

// TestSuggestIsBounded: a hostile log of ever new paths and ids.
func TestSuggestIsBounded(t *testing.T) {
	g := catalog.NewSuggester()
	const n = 100000
	for i := range n {
		g.Add(&whosaw.Record{Method: "GET", Path: fmt.Sprintf("/users/%d/%s", i, strings.Map(func(r rune) rune { return r - '0' + 'a' }, strconv.Itoa(i)))})
		g.Add(&whosaw.Record{Method: "GET", Path: fmt.Sprintf("/items/%d", i)})
	}
	s := g.Suggestion()
	if s.Uncounted == 0 {
		t.Error("nothing is said of what was not counted")
	}
	m := find(t, s, "GET /items/{id}")
	if m.Hits != n || !m.Places[0].AtLeast || m.Places[0].Distinct < 60000 || m.Places[0].Distinct > n {
		t.Errorf("items: %+v", m)
	}
	parse(t, string(s.YAML()))
}

// TestSuggestTwice: a suggestion in the middle of a log changes nothing.
func TestSuggestTwice(t *testing.T) {
	g := catalog.NewSuggester()
	add := func(records []whosaw.Record) {
		for i := range records {
			g.Add(&records[i])
		}
	}
	var all []whosaw.Record
	for i := range 30 {
		all = append(all, page(5, "GET", fmt.Sprintf("/blog/%s-post/c/%%d", strings.Repeat("x", i+1)), 200)...)
	}
	add(all)
	first := string(g.Suggestion().YAML())
	if again := string(g.Suggestion().YAML()); again != first {
		t.Errorf("got\n%s\nthen\n%s", first, again)
	}
	add(page(5, "GET", "/blog/y-post/c/9%d", 200))
	if m := find(t, g.Suggestion(), "GET /blog/{slug}/c/{id}"); m.Hits != 155 || m.Places[1].Distinct != 10 {
		t.Errorf("after more: %+v", m)
	}
}

// TestSuggestApacheLog: a real log of a site without customers.
func TestSuggestApacheLog(t *testing.T) {
	f, err := os.Open("../../../shared/data/elastic_apache_logs.log")
	if err != nil {
		t.Skipf("SKIPPED, the shared data is not there: %v", err)
	}
	defer f.Close()
	g, s := catalog.NewSuggester(), catalog.Rules().Resolver()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		parts := strings.Split(lines.Text(), `"`)
		if len(parts) < 3 {
			continue
		}
		request, after := strings.Fields(parts[1]), strings.Fields(parts[2])
		if len(request) < 2 || len(after) == 0 {
			continue
		}
		status, err := strconv.Atoi(after[0])
		if err != nil {
			continue
		}
		r := whosaw.Record{Method: request[0], Path: request[1], Status: status}
		g.Add(&r)
		s.Resolve(&r)
		if len(r.Subjects) > 0 {
			t.Errorf("a customer on a site without any: route %q", r.Route)
		}
	}
	sug := g.Suggestion()
	if sug.Accesses < 9990 || sug.Assets < 5000 {
		t.Errorf("accesses %d, assets %d", sug.Accesses, sug.Assets)
	}
	for _, m := range sug.Templates {
		if m.Subject != "" || m.Login {
			t.Errorf("a guess on a site without customers: %+v", m)
		}
	}
	find(t, sug, "GET /blog/tags/{slug}")
	y := string(sug.YAML())
	parse(t, y)
	if n := strings.Count(y, "\n"); n > 80 {
		t.Errorf("the suggestion has %d lines", n)
	}
}
