package catalog_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/catalog"
)

func TestRules(t *testing.T) {
	for _, tt := range []struct{ path, shape, subjects string }{
		// A person noun and somebody.
		{"/users/7", "/users/{user}", "7"},
		{"/user/7", "/user/{user}", "7"},
		{"/api/v2/customers/C-1029/orders", "/api/v2/customers/{customer}/orders", "C-1029"},
		{"/people/42", "/people/{person}", "42"},
		{"/patients/9f1c2b3a-1111-4222-8333-444455556666", "/patients/{patient}", "9f1c2b3a-1111-4222-8333-444455556666"},
		{"/members/kim.minsu@example.com/points", "/members/{member}/points", "kim.minsu@example.com"},
		{"/users/kim%40example.com", "/users/{user}", "kim@example.com"},
		{"/users/%EA%B9%80", "/users/{user}", "김"},
		{"/users/johndoe/orders", "/users/{user}/orders", "johndoe"},
		{"/Users/7", "/Users/{user}", "7"},
		{"/%75sers/7", "/users/{user}", "7"},
		{"/userProfiles/7", "/userProfiles/{profile}", "7"},
		{"/premium-members/7", "/premium-members/{member}", "7"},
		{"/users/7.json", "/users/{user}.json", "7"},
		{"/users/v2/7", "/users/v2/{user}", "7"},
		{"/user/view/7", "/user/view/{user}", "7"},
		{"/user/detail/7/edit", "/user/detail/{user}/edit", "7"},
		{"/user/profile/7", "/user/profile/{profile}", "7"},
		{"/users/7/profiles/3", "/users/{user}/profiles/{profile}", "7"},
		{"/accounts/3/users/7", "/accounts/{account}/users/{user}", "7"},
		{"/users/7/customers/9", "/users/{user}/customers/{customer}", "9"},
		{"/users/1,2,3", "/users/{user}", "1 2 3"},
		{"/users/1,2,,x%27,3,", "/users/{user}", "1 2 3"}, // stray parts hide nobody
		{"/users/Kim,Minsu", "/users/{user}", ""},
		{"/users/7/documents/passport.jpg", "/users/{user}/documents/passport.jpg", "7"},
		// A person noun and a page.
		{"/users", "/users", ""},
		{"/users/me/orders", "/users/me/orders", ""},
		{"/users/login", "/users/login", ""},
		{"/users/search?q=kim", "/users/search", ""},
		{"/users/search/kim", "/users/search/{id}", ""},
		{"/users/export.csv", "/users/export.csv", ""},
		{"/users/list.html", "/users/list.html", ""},
		{"/users/kim.html", "/users/{user}.html", ""}, // a page or a name: not in the shape, and nobody's data
		{"/account/reset-password", "/account/reset-password", ""},
		{"/account/orderHistory", "/account/orderHistory", ""},
		{"/customer/account/login", "/customer/account/login", ""},
		{"/profile/edit", "/profile/edit", ""},
		{"/members/count", "/members/count", ""},
		{"/users/undefined", "/users/undefined", ""},
		{"/customer-service/7", "/customer-service/{id}", ""},
		{"/static/users/app.3f9a2c.js", "/static/users/{user}.js", ""},
		// Attack strings are nobody, and not in the shape.
		{"/users/1%27%20OR%201=1--", "/users/{user}", ""},
		{"/users/%3Cscript%3E", "/users/{user}", ""},
		{"/users/-1", "/users/{user}", ""},
		{"/users/{id}", "/users/{user}", ""},
		{"/users/:id", "/users/{user}", ""},
		{"/users/" + strings.Repeat("x", 200), "/users/{user}", ""},
		// Query parameters.
		{"/view?customer_id=7", "/view", "7"},
		{"/view?userId=7&x=1", "/view", "7"},
		{"/view?memberNo=000123", "/view", "000123"},
		{"/view?account-id=A7", "/view", "A7"},
		{"/view?user_id=3&customer_id=9", "/view", "9"},
		{"/view?uid=7", "/view", "7"},
		{"/view?uid=home", "/view", ""},
		{"/view?customer=gold", "/view", ""},
		{"/view?customer=7", "/view", "7"},
		{"/view?user_id=kim", "/view", "kim"},
		{"/view?user_id=me", "/view", ""},
		{"/view?user_id=7&user_id=8", "/view", "7 8"},
		{"/view?user_id=7,8,9", "/view", "7 8 9"},
		{"/view?user[id]=7", "/view", "7"},
		{"/view?client_id=web-app-1", "/view", ""}, // an OAuth client, not a customer
		{"/view?user_id=1%20OR%201", "/view", ""},
		{"/users/7?user_id=8", "/users/{user}", "7"},
		{"/pixel.gif?uid=7", "/pixel.gif", ""},
		// Ids of other things.
		{"/orders/1029", "/orders/{id}", ""},
		{"/orders/ord_8f3k2", "/orders/{id}", ""},
		{"/o/deadbeef01", "/o/{id}", ""},
		{"/2015/05/17/hello-world", "/{id}/{id}/{id}/hello-world", ""},
		{"/on/2015-05-17", "/on/{id}", ""},
		{"/t/kZqWvRtYpLmNbXcD", "/t/{id}", ""},
		{"/t/aGVsbG8gd29ybGQ=", "/t/{id}", ""},
		{"/t/a@b", "/t/{id}", ""},
		{"/t/~kim", "/t/{id}", ""},
		{"/t/" + strings.Repeat("ab-", 14), "/t/{id}", ""},
		{"/mail/kim", "/mail/{id}", ""},
		{"/authors/jane-doe", "/authors/{id}", ""},
		{"/assets/app.3f9a2c.js", "/assets/{id}.js", ""},
		{"/x.tar.gz", "/x.tar.gz", ""},
		{"/john.smith", "/{id}", ""},
		{"/caf%C3%A9", "/{id}", ""},
		// Words.
		{"/", "/", ""},
		{"", "(other)", ""},
		{"/api/v1/oauth2/token", "/api/v1/oauth2/token", ""},
		{"/.well-known/security.txt", "/.well-known/security.txt", ""},
		{"/wp-login.php", "/wp-login.php", ""},
		{"/shop.v1.CustomerService/GetAddress", "/{id}/GetAddress", ""},
		{"/shop.CustomerService/GetAddress", "/shop.CustomerService/GetAddress", ""},
		{"/getCustomerAddressBook", "/getCustomerAddressBook", ""},
		{"/a//b/./c/../d/", "/a/b/d", ""},
		{strings.Repeat("/a", 20), strings.Repeat("/a", 16) + "/{rest...}", ""},
		{strings.Repeat("/a", 18) + "/users/7", strings.Repeat("/a", 16) + "/{rest...}", "7"},
		{strings.Repeat("/a", 40), strings.Repeat("/a", 16) + "/{rest...}", ""},
	} {
		r := resolve(catalog.Rules(), "GET", tt.path)
		if got := strings.Join(r.Subjects, " "); r.Route != "GET "+tt.shape || got != tt.subjects {
			t.Errorf("%.80s: got %q of %q, want %q of %q", tt.path, r.Route, got, "GET "+tt.shape, tt.subjects)
		}
	}
}

// TestRulesArePure: how an access is read does not depend on what came before it.
func TestRulesArePure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.Custom(func(t *rapid.T) string {
			return "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
				"users", "7", "me", "orders", "kim", "view", "C-9", "a%2Fb", "list.html", "v1", "?user_id=7", "x.png",
			}), 1, 5).Draw(t, "segments"), "/")
		})
		s := catalog.Rules().Resolver()
		for _, p := range rapid.SliceOf(path).Draw(t, "before") {
			r := whosaw.Record{Method: "GET", Path: p}
			s.Resolve(&r)
		}
		p := path.Draw(t, "path")
		r := whosaw.Record{Method: "GET", Path: p}
		s.Resolve(&r)
		alone := resolve(catalog.Rules(), "GET", p)
		if r.Route != alone.Route || strings.Join(r.Subjects, "\n") != strings.Join(alone.Subjects, "\n") {
			t.Fatalf("%s: %q of %q, alone %q of %q", p, r.Route, r.Subjects, alone.Route, alone.Subjects)
		}
	})
}

// TestLongLists: a line full of ids is read in time that grows with its length, not with its square.
func TestLongLists(t *testing.T) {
	var b strings.Builder
	for i := range 120000 {
		fmt.Fprintf(&b, ",%d", i%100000)
	}
	list := b.String()[1:]
	c := parse(t, "routes: {'GET /l': {subject: query.ids...}, 'GET /p': {subject: query.id}}")
	for _, path := range []string{"/l?ids=" + list, "/p?id=" + strings.ReplaceAll(list, ",", "&id=")} {
		if r := resolve(c, "GET", path); len(r.Subjects) != 100000 {
			t.Errorf("%d subjects", len(r.Subjects))
		}
	}
	for _, path := range []string{"/x?user_id=" + list, "/x?user_id=" + strings.ReplaceAll(list, ",", "&user_id="), "/users/" + list} {
		if r := resolve(catalog.Rules(), "GET", path); len(r.Subjects) != 100000 {
			t.Errorf("%d subjects by the rules", len(r.Subjects))
		}
	}
}

// TestShapesAreBounded: a source brings at most 10,000 shapes, and what is beyond loses its route, not its
// subject: a scanner must not hide a harvest.
func TestShapesAreBounded(t *testing.T) {
	word := func(i int) string {
		var b []byte
		for range 4 {
			b = append(b, byte('a'+i%26))
			i /= 26
		}
		return string(b)
	}
	for _, c := range []*catalog.Catalog{catalog.Rules(), parse(t, "routes: {'GET /known/{id}': {subject: path.id}}")} {
		s := c.Resolver()
		routes := map[string]int{}
		for i := range 15000 {
			r := whosaw.Record{Method: "GET", Path: "/w/" + word(i)}
			s.Resolve(&r)
			routes[r.Route]++
		}
		if len(routes) != 10001 || routes["GET (other)"] != 5000 {
			t.Errorf("%d routes, %d other", len(routes), routes["GET (other)"])
		}
		r := whosaw.Record{Method: "POST", Path: "/late/users/7"}
		s.Resolve(&r)
		if r.Route != "POST (other)" {
			t.Errorf("route %q", r.Route)
		}
		if c.Suggested() != (len(r.Subjects) == 1) {
			t.Errorf("subjects %q", r.Subjects)
		}
		r = whosaw.Record{Method: "GET", Path: "/known/7"}
		if s.Resolve(&r); !c.Suggested() && (r.Route != "GET /known/{id}" || len(r.Subjects) != 1) {
			t.Errorf("a known route: %q of %q", r.Route, r.Subjects)
		}
		r = whosaw.Record{Method: "GET", Path: "/w/" + word(3)}
		if s.Resolve(&r); r.Route != "GET /w/"+word(3) {
			t.Errorf("a shape seen before: %q", r.Route)
		}
	}
}

// TestShapesHoldNoPersonalData plants ids and names into paths and looks for them in the shape.
func TestShapesHoldNoPersonalData(t *testing.T) {
	secret := rapid.OneOf(
		rapid.StringMatching(`[0-9]{1,20}`),
		rapid.StringMatching(`[a-z]{2,8}(\.|%2E)?[a-z]{2,8}(@|%40)[a-z]{3,8}\.(com|kr)`),
		rapid.StringMatching(`[A-Za-z]{1,4}[-_]?[0-9]{3,9}`),
		rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`),
		rapid.StringMatching(`eyJ[A-Za-z0-9_-]{20,80}\.[A-Za-z0-9_-]{20,80}\.[A-Za-z0-9_-]{20,80}`),
		rapid.StringMatching(`%EA%B9%80%EB%AF%BC%EC%88%98`),
		rapid.StringMatching(`010-[0-9]{4}-[0-9]{4}`),
		rapid.StringMatching(`%2B82[0-9]{9,10}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		s := secret.Draw(t, "secret")
		frame := rapid.SampledFrom([]string{
			"/orders/%s", "/orders/%s/items", "/users/%s", "/x?q=%s", "/x?%s=1", "/x/%s.html", "/x;s=%s/y", "/x#%s", "http://h/%s/", "/users/search/%s",
		}).Draw(t, "frame")
		method := rapid.SampledFrom([]string{"GET", "POST", s}).Draw(t, "method")
		r := resolve(catalog.Rules(), method, fmt.Sprintf(frame, s))
		plain := strings.NewReplacer("%40", "@", "%2E", ".", "%2B", "+", "%EA%B9%80%EB%AF%BC%EC%88%98", "김민수").Replace(s)
		if strings.Contains(r.Route, s) || strings.Contains(r.Route, plain) {
			t.Fatalf("%s of %s: route %q", frame, s, r.Route)
		}
	})
	names := rapid.StringMatching(`[b-z]{2}[xz][a-z]{2,8}(-[b-z]{2}[xz][a-z]{2,8})?`)
	rapid.Check(t, func(t *rapid.T) {
		s := names.Draw(t, "name")
		noun := rapid.SampledFrom([]string{"users", "Member", "customer", "people", "authors", "email", "search", "user/view", "by-name", "getUser"}).Draw(t, "noun")
		if r := resolve(catalog.Rules(), "GET", "/a/"+noun+"/"+s+"/b"); strings.Contains(r.Route, s) {
			t.Fatalf("a name behind %s is in route %q", noun, r.Route)
		}
	})
}

func FuzzResolve(f *testing.F) {
	user, err := catalog.Parse("f.yaml", []byte(`
routes:
  GET /users/{id}: {subject: path.id}
  GET /users/{id}.json: {subject: path.id}
  ANY /files/{path...}: {subject: path.path...}
  GET /by: {subject: query.customer}
  POST /login: {login: {credential: query.sid, subject: query.user}}
`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("GET", "/users/7?customer=1&customer_id=9", int64(0))
	f.Add("POST", "/login?sid=abc&user=7", int64(1))
	f.Add("HEAD", "http://h/../%2e%2e/users/%zz%;x=/files//a%2Fb,c", int64(2))
	f.Add("\x00", "\xff%ff", int64(3))
	f.Fuzz(func(t *testing.T, method, path string, position int64) {
		for _, c := range []*catalog.Catalog{user, catalog.Rules()} {
			r := whosaw.Record{Method: method, Path: path, Time: whosaw.MinTime, Status: 200, Source: "s", Position: position}
			iss, ok := c.Resolver().Resolve(&r)
			if ok && (iss.Credential == "" || iss.Type != whosaw.TypeIssuance) {
				t.Errorf("issuance %+v", iss)
			}
			if r.Method != "" || r.Path != "" {
				t.Error("the raw path is still in the record")
			}
			if method+path == "" {
				continue
			}
			if m, p, ok := strings.Cut(r.Route, " "); !ok || m == "" || p == "" || len(r.Route) > 1024 || !utf8.ValidString(r.Route) {
				t.Errorf("route %q", r.Route)
			}
			for _, s := range r.Subjects {
				if s == "" || len(s) > whosaw.MaxSubject || !utf8.ValidString(s) {
					t.Errorf("subject of %d bytes", len(s))
				}
			}
			again := c.At(0).Route(r.Route)
			if c.Suggested() && again == nil {
				t.Errorf("the rules do not know %q", r.Route)
			}
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	user := parse(b, `
routes:
  GET /me: {fields: [name]}
  GET /me/addresses: {fields: [name]}
  GET /me/addresses/{address}: {fields: [name]}
  GET /users/{id}/orders/{order}: {fields: [name], subject: path.id}
  ANY /static/{rest...}:
`)
	for _, bb := range []struct {
		name, path string
		c          *catalog.Catalog
	}{
		{"template", "/users/1029/orders/77", user}, {"static", "/me/addresses", user}, {"escaped", "/users/a%40b/orders/77?x=1", user},
		{"shape", "/products/1029/reviews?page=2", user}, {"rules", "/users/1029/orders/77", catalog.Rules()},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := bb.c.Resolver()
			b.ReportAllocs()
			for b.Loop() {
				r := whosaw.Record{Method: "GET", Path: bb.path, Time: whosaw.MinTime}
				s.Resolve(&r)
			}
		})
	}
}
