package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
	"pgregory.net/rapid"
)

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

func parse(t tester, text string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Parse("shop.yaml", []byte(text))
	if err != nil {
		t.Fatalf("parse the catalog: %v\n%s", err, text)
	}
	return c
}

// resolve reads one access.
func resolve(c *catalog.Catalog, method, path string) whosaw.Record {
	r := whosaw.Record{Method: method, Path: path, Time: whosaw.MinTime, Status: 200}
	c.Resolver().Resolve(&r)
	return r
}

func TestMatch(t *testing.T) {
	c := parse(t, `
routes:
  GET /:
  GET /me: [name]
  GET /users/search:
  POST /users/count:
  GET /users/{id}: {subject: path.id}
  GET /users/{id}.json: {subject: path.id}
  GET /users/u-{id}: {subject: path.id}
  GET /users/{id}/orders/{order}: {subject: path.id}
  GET /users/me/{page}:
  ANY /files/{path...}: {subject: path.path}
  GET /files/of/{owner}: {subject: path.owner}
  DELETE /files/of/{owner}: {subject: path.owner}
  GET /by: {subject: query.customer}
  GET /lists: {subject: query.ids...}
  GET /batch/{ids}: {subject: path.ids...}
  GET /a%20b/{id}: {subject: path.id}
  GetObject /bucket/customers/{id}.csv: {subject: path.id}
`)
	for _, tt := range []struct{ method, path, route, subjects string }{
		{"GET", "/", "GET /", ""},
		{"GET", "/?a=1", "GET /", ""},
		{"GET", "/me", "GET /me", ""},
		{"GET", "/me/", "GET /me", ""},
		{"GET", "//me//", "GET /me", ""},
		{"GET", "/%6De", "GET /me", ""},
		{"GET", "/x/../me", "GET /me", ""},
		{"GET", "/x/%2e%2E/./me", "GET /me", ""},
		{"GET", "/../../me", "GET /me", ""},
		{"GET", "/me;jsessionid=SECRET", "GET /me", ""},
		{"GET", "/ME", "GET /me", ""}, // it was answered: the back end ignores case
		{"GET", "/me?x=/users/7", "GET /me", ""},
		{"GET", "/me#/users/7", "GET /me", ""},
		{"GET", "/me#x?y", "GET /me", ""},
		{"GET", "http://shop.example/me?x", "GET /me", ""},
		{"GET", "https://shop.example:8443", "GET /", ""},
		{"GET", "https://shop.example?x=1", "GET /", ""},
		{"get", "/me", "GET /me", ""},
		{"", "/me", "GET /me", ""},
		{"HEAD", "/me", "HEAD /me", ""},
		{"OPTIONS", "/me", "OPTIONS /me", ""},
		{"POST", "/me", "POST /me", ""},
		{"GET", "/users/search", "GET /users/search", ""},
		{"GET", "/users/count", "GET /users/{id}", "count"},
		{"POST", "/users/count", "POST /users/count", ""},
		{"GET", "/users/7", "GET /users/{id}", "7"},
		{"GET", "/users/007/", "GET /users/{id}", "007"},
		{"GET", "/users/7;v=1", "GET /users/{id}", "7"},
		{"HEAD", "/users/7", "HEAD /users/{id}", "7"},
		{"GET", "/users/7.json", "GET /users/{id}.json", "7"},
		{"GET", "/users/.json", "GET /users/{id}", ".json"},
		{"GET", "/users/u-7", "GET /users/u-{id}", "7"},
		{"GET", "/users/u-7.json", "GET /users/{id}.json", "u-7"}, // the longer literal
		{"GET", "/users/a%2Fb", "GET /users/{id}", "a/b"},
		{"GET", "/users/a%2fb/orders/1", "GET /users/{id}/orders/{order}", "a/b"},
		{"GET", "/users/J%C3%B6rg", "GET /users/{id}", "Jörg"},
		{"GET", "/users/J%F6rg", "GET /users/{id}", "J%F6rg"},
		{"GET", "/users/100%25", "GET /users/{id}", "100%"},
		{"GET", "/users/100%", "GET /users/{id}", "100%"},
		{"GET", "/users/100%zz", "GET /users/{id}", "100%zz"},
		{"GET", "/users/a+b", "GET /users/{id}", "a+b"},
		{"GET", "/users/me/x", "GET /users/me/{page}", ""},
		{"GET", "/users/me/orders/3", "GET /users/{id}/orders/{order}", "me"},
		{"GET", "/users/" + strings.Repeat("9", 256), "GET /users/{id}", strings.Repeat("9", 256)},
		{"GET", "/users/" + strings.Repeat("9", 257), "GET /users/{id}", ""},
		{"PUT", "/files/a/b%20c/d", "PUT /files/{path...}", "a/b c/d"},
		{"PUT", "/files/", "PUT /files/{path...}", ""},
		{"HEAD", "/files/x", "HEAD /files/{path...}", "x"},
		{"BREW", "/files/x", "(odd) /files/{path...}", "x"},
		{"GET", "/files/of/7", "GET /files/of/{owner}", "7"},
		{"PUT", "/files/of/7", "PUT /files/{path...}", "of/7"},
		{"GET", "/files/" + strings.Repeat("x/", 40), "GET /files/{path...}", ""},
		{"GET", "/by?customer=7", "GET /by", "7"},
		{"GET", "/by?a&b=&customer=a%20b+c", "GET /by", "a b c"},
		{"GET", "/by?customer=7&customer=8&customer=7", "GET /by", "7 8"},
		{"GET", "/by?customer=", "GET /by", ""},
		{"GET", "/by?Customer=7", "GET /by", ""},
		{"GET", "/by?customer=7,8", "GET /by", "7,8"},
		{"GET", "/lists?ids=7,8,,7", "GET /lists", "7 8"},
		{"GET", "/batch/1,2,3", "GET /batch/{ids}", "1 2 3"},
		{"GET", "/a%20b/7", "GET /a%20b/{id}", "7"},
		{"GetObject", "/bucket/customers/7.csv", "GetObject /bucket/customers/{id}.csv", "7"},
		{"GET", "/nothing/like/it/7", "GET /nothing/like/it/{id}", ""},
		{"GET", "/customers/7/x", "GET /customers/{customer}/x", ""}, // the rules give subjects only without a catalog
		{"GET", "", "GET (other)", ""},
		{"OPTIONS", "*", "OPTIONS (other)", ""},
		{"CONNECT", "shop.example:443", "CONNECT (other)", ""},
		{"\x16\x03\x01", "\x00\x01", "(odd) (other)", ""},
	} {
		r := resolve(c, tt.method, tt.path)
		if got := strings.Join(r.Subjects, " "); r.Route != tt.route || got != tt.subjects {
			t.Errorf("%s %s: got %q of %q, want %q of %q", tt.method, tt.path, r.Route, got, tt.route, tt.subjects)
		}
		if r.Method != "" || r.Path != "" {
			t.Errorf("%s %s: the raw path is still in the record", tt.method, tt.path)
		}
	}
}

// TestStoredRoutes: what Resolve stores is found when a question is asked, by a catalog that names its
// placeholders otherwise, or that was written later.
func TestStoredRoutes(t *testing.T) {
	c := parse(t, `
routes:
  GET /a/{x}: [a]
  GET /a/new: [new]
  GET /a/{x}.json: [json]
  GET /b/{x...}: [b]
  GET /b/{x}/y: [y]
  GET /files/{name}: [file]
  ANY /any/{x}: [any]
  sts.amazonaws.com:AssumeRole: [credential]
  (no request):
`)
	v := c.At(0)
	for _, tt := range []struct{ route, want string }{
		{"GET /a/{x}", "GET /a/{x}"},
		{"GET /a/{address}", "GET /a/{x}"},
		{"GET /a/{id}", "GET /a/{x}"},
		{"GET /a/7", "GET /a/{x}"}, // a source that states raw routes
		{"GET /a/new", "GET /a/new"},
		{"GET /a/{id}.json", "GET /a/{x}.json"},
		{"GET /a/{id}.xml", "GET /a/{x}"},
		{"GET /a/{id}/more", ""},
		{"GET /a/{rest...}", ""},
		{"GET /b", "GET /b/{x...}"},
		{"GET /b/{id}", "GET /b/{x...}"},
		{"GET /b/{id}/z/{id}", "GET /b/{x...}"},
		{"GET /b/{id}/y", "GET /b/{x}/y"},
		{"GET /b/c/{rest...}", "GET /b/{x...}"},
		{"GET /files/readme", "GET /files/{name}"},
		{"PUT /any/{id}", "ANY /any/{x}"},
		{"(odd) /any/{id}", "ANY /any/{x}"},
		{"HEAD /a/{id}", "GET /a/{x}"},
		{"POST /a/{id}", ""},
		{"GET /", ""},
		{"GET (other)", ""},
		{"sts.amazonaws.com:AssumeRole", "sts.amazonaws.com:AssumeRole"},
		{"sts.amazonaws.com:AssumeRole2", ""},
		{"(no request)", "(no request)"},
		{"", ""}, {" ", ""}, {"GET", ""}, {"GET /a/{", "GET /a/{x}"}, {"GET /a/}{", "GET /a/{x}"},
	} {
		got := ""
		if e := v.Route(tt.route); e != nil {
			got = e.Route
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.route, got, tt.want)
		}
	}
	if e := v.Route("HEAD /a/{id}"); len(e.Fields) != 0 {
		t.Errorf("HEAD shows %v", e.Fields)
	}
	if e := v.Route("PUT /any/{id}"); len(e.Fields) != 1 {
		t.Errorf("PUT on ANY shows %v", e.Fields)
	}
}

// naiveMatch looks through all templates and takes the one whose segments are the more exact, from the
// left; then the one that names the method.
func naiveMatch(templates []string, method, path string) string {
	var segs []string
	for _, s := range strings.Split(path, "/") {
		if s != "" {
			segs = append(segs, s)
		}
	}
	best, bestRank := "", ""
	for _, tm := range templates {
		m, p, _ := strings.Cut(tm, " ")
		if m != method && m != "ANY" {
			continue
		}
		rank, i, ok := "", 0, true
		for _, s := range strings.Split(p, "/") {
			if s == "" {
				continue
			}
			if strings.HasSuffix(s, "...}") {
				rank += "a"
				i = len(segs)
				break
			}
			if i >= len(segs) {
				ok = false
				break
			}
			open, end := strings.Index(s, "{"), strings.Index(s, "}")
			switch {
			case open < 0:
				ok = ok && s == segs[i]
				rank += "z"
			default:
				pre, suf := s[:open], s[end+1:]
				ok = ok && len(segs[i]) > len(pre)+len(suf) && strings.HasPrefix(segs[i], pre) && strings.HasSuffix(segs[i], suf)
				rank += string(rune('b'+len(pre)+len(suf))) + string(rune('9'-len(pre))) // of two as long, the suffix
			}
			i++
		}
		if !ok || i != len(segs) {
			continue
		}
		if !strings.HasSuffix(p, "...}") {
			rank += "~" // an end is more exact than an empty rest
		}
		if m == method {
			rank += "+"
		}
		if best == "" || rank > bestRank {
			best, bestRank = tm, rank
		}
	}
	return best
}

func TestMatchAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seg := rapid.SampledFrom([]string{"a", "b", "ab", "{p}", "{p}", "{p}b", "a{p}"})
		templates := map[string]bool{}
		var list []string
		text := "routes:\n"
		for range rapid.IntRange(1, 12).Draw(t, "templates") {
			parts := rapid.SliceOfN(seg, 0, 4).Draw(t, "segments")
			if rapid.IntRange(0, 4).Draw(t, "rest") == 0 {
				parts = append(parts, "{p...}")
			}
			key, path := "", ""
			for i, p := range parts {
				key += "/" + p
				path += "/" + strings.ReplaceAll(p, "{p", fmt.Sprint("{p", i))
			}
			if path == "" {
				path = "/"
			}
			m := rapid.SampledFrom([]string{"GET", "POST", "ANY"}).Draw(t, "method")
			if !templates[m+key] {
				templates[m+key] = true
				list = append(list, m+" "+path)
				text += "  " + m + " " + path + ":\n"
			}
		}
		c := parse(t, text)
		for range 10 {
			parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "aab", "x", "abb"}), 0, 5).Draw(t, "path")
			path := "/" + strings.Join(parts, "/")
			method := rapid.SampledFrom([]string{"GET", "POST", "PUT"}).Draw(t, "method")
			want := naiveMatch(list, method, path)
			// Asked of a stored route of static text, the same entry answers.
			got := ""
			if e := c.At(0).Route(method + " " + path); e != nil {
				got = e.Route
			}
			if got != want {
				t.Fatalf("%s %s: got %q, want %q of\n%s", method, path, got, want, text)
			}
			if r := resolve(c, method, path); want != "" {
				_, p, _ := strings.Cut(want, " ")
				if r.Route != method+" "+p {
					t.Fatalf("%s %s: resolved to %q, want %q", method, path, r.Route, method+" "+p)
				}
				if e := c.At(0).Route(r.Route); e == nil || e.Route != want {
					t.Fatalf("%s %s: the stored route %q finds %v, want %q", method, path, r.Route, e, want)
				}
			}
		}
	})
}

func TestVersions(t *testing.T) {
	c := parse(t, `
versions:
  - name: late
    from: 2025-07-01
    routes:
      GET /orders/{id}: {fields: [order_history], subject: path.id}
      GET /new/{x}: [name]
  - name: early
    from: 2025-01-01
    until: 2025-06-01T12:00:00+09:00
    routes:
      GET /orders/{order}: {fields: [name, order_history]}
`)
	day := func(s string) int64 {
		ms, err := whosaw.ParseTime(s)
		if err != nil {
			t.Fatal(err)
		}
		return ms
	}
	name := func(at string) string {
		if v := c.At(day(at)); v != nil {
			return v.Name
		}
		return ""
	}
	for _, tt := range []struct{ at, want string }{
		{"2024-12-31T23:59:59.999Z", ""}, {"2025-01-01T00:00:00.000Z", "early"}, {"2025-06-01T02:59:59.999Z", "early"},
		{"2025-06-01T03:00:00.000Z", ""}, {"2025-06-30T23:59:59.999Z", ""}, {"2025-07-01T00:00:00.000Z", "late"},
		{"2035-07-01T00:00:00.000Z", "late"},
	} {
		if got := name(tt.at); got != tt.want {
			t.Errorf("at %s: version %q, want %q", tt.at, got, tt.want)
		}
	}
	if got := c.Versions(); len(got) != 2 || got[0].Name != "early" {
		t.Errorf("versions are not in order of validity: %v", got)
	}
	if got := strings.Join(c.Notes(), "; "); !strings.Contains(got, "2025-06-01T03:00:00.000Z to 2025-07-01T00:00:00.000Z") {
		t.Errorf("the gap is not said: %q", got)
	}
	s := c.Resolver()
	for _, tt := range []struct{ at, path, route, subjects string }{
		{"2025-02-01T00:00:00Z", "/orders/7", "GET /orders/{order}", ""},
		{"2025-08-01T00:00:00Z", "/orders/7", "GET /orders/{id}", "7"},
		{"2025-06-15T00:00:00Z", "/orders/7", "GET /orders/{order}", ""}, // in the gap: any version
		{"2025-02-01T00:00:00Z", "/new/7", "GET /new/{x}", ""},           // only the other version has it
	} {
		r := whosaw.Record{Method: "GET", Path: tt.path, Time: day(tt.at)}
		s.Resolve(&r)
		if got := strings.Join(r.Subjects, " "); r.Route != tt.route || got != tt.subjects {
			t.Errorf("%s at %s: got %q of %q, want %q of %q", tt.path, tt.at, r.Route, got, tt.route, tt.subjects)
		}
	}
}

// TestOwnSubjectWins: a subject that the record names is not replaced, nor is its route.
func TestOwnSubjectWins(t *testing.T) {
	c := parse(t, "routes: {'GET /users/{id}': {subject: path.id}, 'GET /me': {subject: principal}}")
	for _, tt := range []struct {
		in   whosaw.Record
		want string
	}{
		{whosaw.Record{Method: "GET", Path: "/users/7", Subjects: []string{"9"}}, "GET /users/{id} 9"},
		{whosaw.Record{Route: "GET /users/{user}", Method: "GET", Path: "/users/7"}, "GET /users/{user} 7"},
		{whosaw.Record{Route: "GET /users/{user}"}, "GET /users/{user} "},
		{whosaw.Record{Route: "GET /me", Method: "GET", Path: "/users/7"}, "GET /me "}, // they disagree
		{whosaw.Record{Route: "show user", Method: "GET", Path: "/users/7"}, "show user "},
		{whosaw.Record{}, " "},
		{whosaw.Record{Type: whosaw.TypeIssuance, Method: "GET", Path: "/users/7"}, " "},
	} {
		r := tt.in
		if _, ok := c.Resolver().Resolve(&r); ok {
			t.Errorf("%+v: implies an issuance", tt.in)
		}
		if got := r.Route + " " + strings.Join(r.Subjects, " "); got != tt.want || r.Path != "" || r.Method != "" {
			t.Errorf("%+v: got %q, want %q", tt.in, got, tt.want)
		}
	}
}
