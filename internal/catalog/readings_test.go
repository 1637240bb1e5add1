package catalog_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

const lenientCatalog = `
routes:
  GET /me: {fields: [name]}
  GET /me/addresses: {subject: principal, fields: [address]}
  DELETE /me/addresses: {fields: [address]}
  GET /users/{id}: {subject: path.id, fields: [name]}
  GET /users/{id}/orders: {subject: path.id, fields: [order_history]}
  GET /pages/{page}: []
  GET /files/{path...}: {fields: [contents]}
`

func TestReadings(t *testing.T) {
	s := parse(t, lenientCatalog).Resolver()
	for _, tt := range []struct{ path, want string }{
		{"/me/addresses", ""}, {"/me/addresses/", ""}, {"/me//addresses?A=%2F", ""}, {"/users/7", ""}, {"/nothing/here.js", ""},
		{"/users/ORD-7", ""}, {"/%6De/addresses", ""}, {"/x/../me", ""}, {"/me;x=1", ""},
		{"/Me/Addresses", "GET /me/addresses"}, {"/me/addresses.", "GET /me/addresses"}, {"/me/addresses%20", "GET /me/addresses"},
		{"/me%2Faddresses", "GET /me/addresses"}, {"/me%252Faddresses", "GET /me/addresses"}, {"/ME%2f.%2fADDRESSES", "GET /me/addresses"},
		{`/me\addresses`, "GET /me/addresses"}, {"/me%5caddresses", "GET /me/addresses"}, {"/me%3Bx=1/addresses", "GET /me/addresses"},
		{"/me/addresses.json", "GET /me/addresses"}, {"/me/addresses%00.css", "GET /me/addresses"}, {"/me/addresses%3Fx", "GET /me/addresses"},
		{"/me/addresses.js", ""}, {"/%256De", "GET /me"},
		{"/users/7%2Forders", "GET /users/{id}, GET /users/{id}/orders"}, {"/users/7.json", "GET /users/{id}"}, // the same route, another customer
		{"/pages/..%2F..%2Fme", "GET /me"}, {`/pages/..\..\me`, "GET /me"}, {"/pages//../me", "GET /pages/{page}"}, {"/x//../me/addresses", ""},
		{"/pages/x/..;/..;/me", ""}, {"/me/x//../../addresses", "GET /me/addresses"}, {"/me/x//../addresses", ""},
		{strings.Repeat("/x", 40) + strings.Repeat("/..", 40) + "/me", "GET /me"},
	} {
		all := s.Readings("GET", tt.path, catalog.Ask{})
		var got []string
		for _, r := range all.Others {
			if !slices.Contains(got, r.Route) {
				got = append(got, r.Route)
			}
		}
		if all.Unclear || strings.Join(got, ", ") != tt.want {
			t.Errorf("%s: read as %q (unclear: %t), want %q", tt.path, got, all.Unclear, tt.want)
		}
	}
	all := s.Readings("GET", "/me/addresses", catalog.Ask{Methods: []string{" delete"}})
	if len(all.Others) != 1 || all.Others[0].Route != "DELETE /me/addresses" {
		t.Errorf("a method that a header names: %+v", all)
	}
	for _, path := range []string{"/%25252525256De", "/" + strings.Repeat(`A%2f\;.%00..//`, 200)} {
		if all := s.Readings("GET", path, catalog.Ask{}); !all.Unclear {
			t.Errorf("%.40s: it has %d readings, and all were looked at", path, len(all.Others))
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.Readings("GET", "/users/7/orders?page=2", catalog.Ask{}) }); n != 0 {
		t.Errorf("a plain path costs %v allocations", n)
	}
}

// TestSpelledRecords: an access that was answered counts under the route that some back end finds for its path, one that was not stays unmatched.
func TestSpelledRecords(t *testing.T) {
	s := parse(t, lenientCatalog).Resolver()
	for _, tt := range []struct {
		path          string
		status        int
		fields        []string
		route, person string
	}{
		{"/Me/Addresses", 200, nil, "GET /me/addresses", ""},
		{"/Me/Addresses", 404, nil, "GET /Me/Addresses", ""},
		{"/Me/Addresses", 403, nil, "GET /Me/Addresses", ""},
		{"/Me/Addresses", 0, nil, "GET /Me/Addresses", ""},
		{"/Me/Addresses", 0, []string{"address"}, "GET /me/addresses", ""},
		{"/Users/Ab", 200, nil, "GET /users/{id}", "Ab"}, // ids keep their case
		{"/me%2Faddresses", 200, nil, "GET /me/addresses", ""},
		{"/users%2F7%2Forders", 200, nil, "GET /users/{id}/orders", "7"},
	} {
		r := whosaw.Record{Method: "GET", Path: tt.path, Status: tt.status, Fields: tt.fields, Time: whosaw.MinTime}
		s.Resolve(&r)
		if got := strings.Join(r.Subjects, " "); r.Route != tt.route || got != tt.person {
			t.Errorf("%s, %d: %q of %q, want %q of %q", tt.path, tt.status, r.Route, got, tt.route, tt.person)
		}
	}
}

// lenient are models of back ends, written apart from what is tested: each makes segments of a path as it came.
var lenient = map[string]func(path string) (segments []string, fold bool){
	"escaped paths": func(p string) ([]string, bool) { return split(p), false }, // routes on what came, Express with case kept
	"express":       func(p string) ([]string, bool) { return split(p), true },
	"go": func(p string) (out []string, _ bool) {
		for _, s := range split(p) {
			out = append(out, decoded(s))
		}
		return dots(out), false
	},
	"tomcat": func(p string) (out []string, _ bool) {
		for _, s := range strings.Split(p, "/") {
			s, _, _ = strings.Cut(s, ";")
			out = append(out, s)
		}
		return dots(split(decoded(strings.Join(out, "/")))), false
	},
	"decoded, then parameters": func(p string) (out []string, _ bool) {
		for _, s := range split(decoded(p)) {
			s, _, _ = strings.Cut(s, ";")
			out = append(out, s)
		}
		return dots(out), false
	},
	"iis": func(p string) (out []string, _ bool) {
		for _, s := range split(strings.ReplaceAll(decoded(p), `\`, "/")) {
			if s != "." && s != ".." {
				s = strings.TrimRight(s, ". ")
			}
			out = append(out, s)
		}
		return dots(out), true
	},
	"nginx, then a service that decodes": func(p string) ([]string, bool) {
		return dots(split(decoded("/" + strings.Join(dots(split(decoded(p))), "/")))), false
	},
	"rails": func(p string) (out []string, _ bool) {
		for _, s := range dots(split(p)) {
			out = append(out, decoded(s))
		}
		if n := len(out); n > 0 {
			out[n-1] = strings.TrimSuffix(out[n-1], ".json")
		}
		return out, false
	},
	"c strings": func(p string) ([]string, bool) {
		p, _, _ = strings.Cut(decoded(p), "\x00")
		return dots(split(p)), false
	},
	"dots before slashes are merged": func(p string) ([]string, bool) {
		var out []string
		for _, s := range strings.Split(decoded(p)[1:], "/") {
			switch {
			case s == "..":
				out = out[:max(0, len(out)-1)]
			case s != ".":
				out = append(out, s)
			}
		}
		return slices.DeleteFunc(out, func(s string) bool { return s == "" }), false
	},
}

func split(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(s string) bool { return s == "" })
}

func decoded(s string) string {
	if out, err := url.PathUnescape(s); err == nil {
		return out
	}
	return s // a request that such a server answers with 400
}

func dots(in []string) (out []string) {
	for _, s := range in {
		switch s {
		case "", ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, s)
		}
	}
	return out
}

// served gives the route that a back end of the lenient catalog answers; "" for 404.
func served(segments []string, fold bool) string {
	same := func(a, b string) bool { return a == b || fold && strings.EqualFold(a, b) }
	for _, route := range [][]string{
		{"me"}, {"me", "addresses"}, {"users", "{id}"}, {"users", "{id}", "orders"}, {"pages", "{page}"}, {"files", "{path...}"},
	} {
		ok := len(route) == len(segments) || route[len(route)-1] == "{path...}"
		for i := range route {
			switch {
			case route[i] == "{path...}":
			case i >= len(segments):
				ok = false
			case route[i][0] != '{' && !same(route[i], segments[i]):
				ok = false
			}
		}
		if ok {
			return "GET /" + strings.Join(route, "/")
		}
	}
	return ""
}

// covered fails where a back end answers a route that is none of the readings.
func covered(t interface{ Fatalf(string, ...any) }, s *catalog.Resolver, path string) {
	r := whosaw.Record{Method: "GET", Path: path, Time: whosaw.MinTime, Status: 404}
	s.Resolve(&r)
	all := s.Readings("GET", path, catalog.Ask{})
	if all.Unclear {
		return
	}
	for name, back := range lenient {
		route := served(back(path))
		if route != "" && route != r.Route && !slices.ContainsFunc(all.Others, func(o catalog.Reading) bool { return o.Route == route }) {
			t.Fatalf("%q: %s answers %s, the readings are %q and %+v", path, name, route, r.Route, all.Others)
		}
	}
}

// TestLenientBackEnds: whatever a lenient back end makes of a path is among its readings.
func TestLenientBackEnds(t *testing.T) {
	s := parse(t, lenientCatalog).Resolver()
	parts := rapid.SampledFrom([]string{
		"/", "/", "me", "addresses", "users", "7", "orders", "pages", "files", "ME", "Addresses", "%6De", "%4dE", "%2F", "%2f", "%252F", `\`, "%5C", ";x=1", "%3B",
		"..", ".", "%2e", "%2E%2e", "//", " ", "%20", "%00", ".json", "%256De", "%25",
	})
	rapid.Check(t, func(t *rapid.T) {
		covered(t, s, "/"+strings.Join(rapid.SliceOfN(parts, 1, 12).Draw(t, "parts"), ""))
	})
}

func FuzzReadings(f *testing.F) {
	for _, path := range []string{"/Me/Addresses", "/me%2Faddresses", "/x//../me", `/pages\..\..\me`, "/users/7%252Forders;x", "/me/addresses%00.json"} {
		f.Add(path)
	}
	s := parse(f, lenientCatalog).Resolver()
	f.Fuzz(func(t *testing.T, path string) {
		if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#") {
			return
		}
		covered(t, s, path)
	})
}

func BenchmarkReadings(b *testing.B) {
	s := parse(b, lenientCatalog).Resolver()
	for _, path := range []string{"/users/1029/orders?page=2", "/users/ORD-7", "/Me/Addresses", "/me%2f..%2fME;x=1/addresses.json"} {
		b.Run(strings.ReplaceAll(path, "/", "_"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Readings("GET", path, catalog.Ask{})
			}
		})
	}
}
