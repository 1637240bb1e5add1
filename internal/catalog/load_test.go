package catalog_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

func TestLoadErrors(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "shop.yaml: empty: name at least one route"},
		{"comment only", "# nothing\n", "shop.yaml: empty"},
		{"no routes", "name: x\n", "shop.yaml:1: no routes"},
		{"null routes", "routes:\n", "name at least one"},
		{"list for a mapping", "- a\n- b\n", `shop.yaml:1: the catalog: write it as a list of "key: value" lines`},
		{"text for a mapping", "hello\n", "shop.yaml:1: the catalog: write it"},
		{"syntax", "routes:\n  GET /me: [name\n", "shop.yaml:"},
		{"unknown key", "routes:\n  GET /me:\n    feilds: [name]\n", `shop.yaml:3: unknown key "feilds" in a route: did you mean "fields"?`},
		{"unknown key, nothing near", "colour: red\nroutes: {GET /me: [name]}\n", `shop.yaml:1: unknown key "colour" in the catalog: write one of catalog, name, elsewhere, versions, routes`},
		{"key twice", "routes:\n  GET /me: [name]\n  GET /me: [email]\n", `shop.yaml:3: routes: "GET /me" stands twice`},
		{"route twice", "routes:\n  GET /a/{x}: [name]\n  GET /a/{y}: [email]\n", `shop.yaml:3: route "GET /a/{y}" is the same as "GET /a/{x}"`},
		{"no method", "routes:\n  /me: [name]\n", `shop.yaml:2: route "/me": write a method and a path`},
		{"small method", "routes:\n  get /me: [name]\n", `method get is not known: did you mean "GET"?`},
		{"odd method", "routes:\n  GTE /me: [name]\n", `did you mean "GET"?`},
		{"query in route", "routes:\n  GET /me?id={id}: [name]\n", "query.NAME"},
		{"two in a segment", "routes:\n  GET /{a}-{b}: [name]\n", "at most one placeholder in a segment"},
		{"open brace", "routes:\n  GET /{a: [name]\n", "at most one placeholder"},
		{"empty placeholder", "routes:\n  GET /a/{}: [name]\n", "name the placeholder"},
		{"placeholder twice", "routes:\n  GET /{a}/{a}: [name]\n", "stands twice"},
		{"rest in the middle", "routes:\n  GET /{a...}/b: [name]\n", "{a...} must be the last segment"},
		{"rest with text", "routes:\n  GET /x{a...}: [name]\n", "must be a whole segment"},
		{"dots", "routes:\n  GET /a/../b: [name]\n", `a path has no ".." segments`},
		{"many segments", "routes:\n  GET " + strings.Repeat("/a", 40) + ": [name]\n", "end it with {rest...}"},
		{"subject", "routes:\n  GET /me: {subject: principle}\n", `subject "principle": write one of path.NAME, query.NAME, principal, credential, either or none: did you mean "principal"?`},
		{"subject without placeholder", "routes:\n  GET /a/{x}: {subject: path.id}\n", `route "GET /a/{x}" has no placeholder {id}: it has {x}`},
		{"subject list", "routes:\n  GET /a/{x}: {subject: [path.x]}\n", "subject: write one plain value"},
		{"field", "routes:\n  GET /me: ['e mail']\n", `field "e mail": write letters`},
		{"field in both", "routes:\n  GET /me:\n    fields: [a, b]\n    masked: [b]\n", `shop.yaml:4: field "b" is in fields and in masked`},
		{"fields as a mapping", "routes:\n  GET /me:\n    fields: {name: true}\n", "fields: write a list"},
		{"others", "routes:\n  GET /me: {others: -1}\n", `others "-1": write a whole number`},
		{"others as text", "routes:\n  GET /me: {others: many}\n", `others "many"`},
		{"outcome", "routes:\n  GET /me: {outcomes: {302: denied}}\n", `outcome "denied": write disclosed, absent, refused or none`},
		{"status", "routes:\n  GET /me: {outcomes: {2000: none}}\n", `status "2000": write a number from 100 to 999, or a class like 4xx`},
		{"login subject", "routes:\n  POST /login: {login: {subject: credential}}\n", `subject "credential" of a log-in`},
		{"login key", "routes:\n  POST /login: {login: {credentail: record}}\n", `did you mean "credential"?`},
		{"both forms", "routes: {GET /a: [x]}\nversions: [{routes: {GET /a: [x]}}]\n", "move them into a version"},
		{"overlap", "versions:\n  - {name: a, from: 2025-01-01, routes: {GET /a: [x]}}\n  - {name: b, from: 2025-02-01, routes: {GET /a: [x]}}\n", `shop.yaml:3: versions "a" and "b" are both valid`},
		{"same name", "versions:\n  - {name: a, until: 2025-01-01, routes: {GET /a: [x]}}\n  - {name: a, from: 2025-02-01, routes: {GET /a: [x]}}\n", `version "a" stands twice`},
		{"until before from", "versions:\n  - {name: a, from: 2025-02-01, until: 2025-01-01, routes: {GET /a: [x]}}\n", "until is not after from"},
		{"date", "versions:\n  - {from: 1.2.2025, routes: {GET /a: [x]}}\n", `from "1.2.2025": write a date like 2025-03-01`},
		{"early date", "versions:\n  - {from: 1990-01-01, routes: {GET /a: [x]}}\n", "write a date like"},
		{"version without routes", "versions:\n  - {name: a}\n", `version "a": no routes`},
		{"no versions", "versions: []\n", "versions: write at least one"},
		{"version of the format", "catalog: 2\nroutes: {GET /a: [x]}\n", "update whosaw"},
		{"second document", "routes: {GET /a: [x]}\n---\nroutes: {GET /b: [x]}\n", "a second document"},
		{"star as a method, unquoted", "routes:\n  * /a: [x]\n", "shop.yaml:"},
		{"alias of nothing", "routes:\n  GET /a: *fields\n", "shop.yaml:2:"},
		{"merge key", "routes:\n  GET /a: &a {fields: [x]}\n  GET /b:\n    <<: *a\n", "<< is not supported"},
	} {
		c, err := catalog.Parse("shop.yaml", []byte(tt.text))
		if err == nil {
			t.Errorf("%s: no error, catalog knows %v", tt.name, c.Known())
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got\n%v\nwant in it\n%s", tt.name, err, tt.want)
		}
	}
}

func TestSeveralFaultsAtOnce(t *testing.T) {
	_, err := catalog.Parse("shop.yaml", []byte("routes:\n  GET /a: {feilds: [x]}\n  /b: [y]\n  GET /c: {others: x}\n"))
	if err == nil || strings.Count(err.Error(), "shop.yaml:") != 3 {
		t.Errorf("got %v, want three faults", err)
	}
}

func TestShortForm(t *testing.T) {
	for _, text := range []string{
		"routes:\n  GET /me: [name, email]\n  GET /shop:\n",
		"\ufeffroutes:\r\n  GET /me:\r\n    fields: [email, name, name]\r\n  GET /shop: []\r\n",
		`{"routes": {"GET /me": {"fields": ["name", "email"]}, "GET /shop": null}}`,
		"---\n# a comment\nroutes:\n  \"GET  /me\":\n    - name\n    - email\n  'GET /shop': {}\n",
		"routes:\n  GET /me: &both [name, email]\n  GET /shop: {masked: []}\n  GET /you: *both\n",
	} {
		c := parse(t, text)
		if vs := c.Versions(); len(vs) != 1 || vs[0].Name != "shop" || vs[0].From != 0 || vs[0].Until != 0 {
			t.Fatalf("versions of %q: %+v", text, vs)
		}
		if c.Name() != "shop" || c.Suggested() {
			t.Errorf("name %q, suggested %v", c.Name(), c.Suggested())
		}
		e := c.At(whosaw.MinTime).Route("GET /me")
		if e == nil || !slices.Equal(e.Fields, []string{"email", "name"}) || e.Masked == nil || e.NeedsSubject {
			t.Errorf("%q: GET /me is %+v", text, e)
		}
		if e := c.At(0).Route("GET /shop"); e == nil || len(e.Fields) != 0 {
			t.Errorf("%q: GET /shop is %+v", text, e)
		}
	}
}

func TestKnownAndNotes(t *testing.T) {
	c := parse(t, `
name: haneul
elsewhere: [payment, credential]
routes:
  GET /a: {fields: [name, adress], masked: [phone]}
  GET /b: {fields: [name], masked: [shoe_size]}
`)
	if diff := cmp.Diff([]string{"adress", "credential", "name", "payment", "phone", "shoe_size"}, c.Known()); diff != "" {
		t.Error(diff)
	}
	if n := c.Notes(); len(n) != 1 || !strings.Contains(n[0], `"address"`) {
		t.Errorf("notes: %q", n)
	}
	if c.Name() != "haneul" || c.Versions()[0].Name != "haneul" {
		t.Errorf("name %q, version %q", c.Name(), c.Versions()[0].Name)
	}
	if k := catalog.Rules().Known(); k == nil || len(k) != 0 {
		t.Errorf("the rules know %q", k)
	}
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "my-shop.yaml")
	if err := os.WriteFile(path, []byte("routes: {GET /me: [name]}"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Load(path)
	if err != nil || c.Name() != "my-shop" {
		t.Errorf("got %v, %v", c, err)
	}
	if _, err := catalog.Load(filepath.Join(dir, "none.yaml")); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := catalog.Load(dir); err == nil || !strings.Contains(err.Error(), "my-shop") && !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v", err)
	}
	big := filepath.Join(dir, "access.log")
	if err := os.WriteFile(big, make([]byte, 9<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.Load(big); err == nil || !strings.Contains(err.Error(), "not a catalog") {
		t.Errorf("a large file: %v", err)
	}
}

// The example in the documentation is a catalog, and means what the text around it says.
func TestDocumentedExamples(t *testing.T) {
	data, err := os.ReadFile("../../docs/formats/catalog.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(data), "```yaml\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("%d examples", len(blocks))
	}
	var full *catalog.Catalog
	for i, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		c, err := catalog.Parse("example.yaml", []byte(text))
		if err != nil {
			t.Errorf("example %d: %v\n%s", i+1, err, text)
			continue
		}
		if len(c.Versions()) > 1 {
			full = c
		}
	}
	if full == nil {
		t.Fatal("no example with versions")
	}
	at, err := whosaw.ParseTime("2026-03-02T00:00:00Z")
	if err != nil {
		t.Fatal(err)
	}
	v := full.At(at)
	if v == nil || v.Name != "2026-02" {
		t.Fatalf("version: %+v", v)
	}
	s := full.Resolver()
	r := whosaw.Record{Method: "GET", Path: "/desk/customers/C%2F7?tab=1", Time: at, Status: 200}
	s.Resolve(&r)
	if r.Route != "GET /desk/customers/{customer}" || !slices.Equal(r.Subjects, []string{"C/7"}) {
		t.Errorf("resolved to %q of %q", r.Route, r.Subjects)
	}
	shown := catalog.Show(v.Route("GET /me/addresses/{id}"), nil, nil, 200, 0, 0, true)
	if want := []string{"address", "door_code", "name", "phone"}; !slices.Equal(shown.Fields, want) || shown.Outcome != whosaw.OutcomeDisclosed {
		t.Errorf("the edit page shows %+v", shown)
	}
	r = whosaw.Record{Method: "POST", Path: "/login", Time: at, Status: 302, Principal: "customer:7", Credential: "s1", Source: "x"}
	if iss, ok := s.Resolve(&r); !ok || iss.Credential != "s1" {
		t.Errorf("the log-in implies %+v, %v", iss, ok)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("routes:\n  GET /me: [name, email]\n"))
	f.Add([]byte("versions:\n  - {name: a, from: 2025-01-01, routes: {\"ANY /{x...}\": {subject: path.x, outcomes: {4xx: none}}}}\n"))
	f.Add([]byte("elsewhere: &a [x]\nroutes: {GET /a: *a, POST /l: {login: {status: [302]}}}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := catalog.Parse("f.yaml", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("catalog %v, error %v", c, err)
		}
		if err != nil {
			return
		}
		for _, v := range c.Versions() {
			for _, e := range v.Routes() {
				if got := v.Route(e.Route); got == nil {
					t.Errorf("route %q is not found by its own text", e.Route)
				}
			}
		}
	})
}
