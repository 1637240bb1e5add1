package guard_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/guard"
)

// strictRoutes: everybody may read what is not listed, the addresses only those who logged in.
func strictRoutes(c *guard.Config) {
	c.Routes = []guard.RouteConfig{
		{Route: "GET /me/addresses", Policy: guard.Policy{Anonymous: guard.Deny}},
		{Route: "DELETE /me/addresses", Policy: guard.Policy{Anonymous: guard.StepUp}},
		{Route: "GET /Exports/*", Policy: guard.Policy{Anonymous: guard.Deny}}, // not in the catalog
	}
}

var spellings = []string{
	"/Me/Addresses", "/ME/addresses", "/me%2Faddresses", "/me%252faddresses", "/%6de/addresses", "//me/./addresses/", "/me;x=1/addresses;y", "/me%3Bx/addresses",
	"/me/addresses.", "/me/addresses%20", "/me/addresses%00", `/me\addresses`, "/me/addresses.json", "/x/..%2fme/addresses", "/x/%2e%2e/me/addresses", "/x/..;/me/addresses",
}

func anonymous(path string) *guard.Request {
	q := ask("")
	q.Path = path
	return q
}

func TestSpelledOtherwise(t *testing.T) {
	w := newWorld(t, strictRoutes)
	w.want(anonymous("/help"), guard.Allow, guard.CodeAnonymous)
	w.want(anonymous("/Help/KIM;jsessionid=1"), guard.Allow, guard.CodeAnonymous) // nothing is there to see
	if n := w.g.Status().Ambiguous; n != 0 {
		t.Errorf("%d requests count as ambiguous, though none is", n)
	}
	for _, path := range spellings {
		if d := w.want(anonymous(path), guard.Deny, guard.CodeAnonymous); d.Route != "GET /me/addresses" {
			t.Errorf("%s is called %s", path, d.Route)
		}
	}
	for _, path := range []string{"/Exports/all", "/exports/all", "/EXPORTS%2Fall", "/x//..%2fexports/7"} {
		w.want(anonymous(path), guard.Deny, guard.CodeAnonymous)
	}
	w.want(anonymous("/%25252525256de/addresses"), guard.Deny, guard.CodeAnonymous) // more than is looked at
	if n := w.g.Status().Ambiguous; n < 12 {
		t.Errorf("only %d requests count as ambiguous", n)
	}

	w.complete()
	q := ask(w.issue("jti-1", "7"))
	w.want(q, guard.Allow, guard.CodeOK)
	q.Path = "/Me/Addresses"
	if d := w.want(q, guard.Allow, guard.CodeAmbiguous); d.TTL != 0 {
		t.Errorf("a door may do without asking for %v", d.TTL)
	}
}

func TestMethodOverride(t *testing.T) {
	w := newWorld(t, strictRoutes)
	for _, q := range []guard.Request{
		{Method: "POST", Path: "/me/addresses", Methods: []string{"GET"}}, {Method: "POST", Path: "/me/addresses", Methods: []string{"PUT", " get "}},
		{Method: "POST", Path: "/me/addresses?a=1&_method=GET"}, {Method: "POST", Path: "/me/addresses?%5Fmethod=get"}, {Method: "POST", Path: "/Me/addresses", Methods: []string{"GET"}},
		{Method: "POST", Path: "/me/addresses", Methods: strings.Split("a b c d e", " ")},
	} {
		q.Door, q.IP = "api", ask("").IP
		w.want(&q, guard.Deny, guard.CodeAnonymous)
	}
	q := guard.Request{Door: "api", Method: "POST", Path: "/me/addresses?method=GET", IP: ask("").IP}
	w.want(&q, guard.Allow, guard.CodeAnonymous)
}

// What can be read as several routes is refused where the policy says so: the stricter of theirs.
func TestAmbiguousRefused(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Routes = []guard.RouteConfig{{Route: "GET /me/addresses", Policy: guard.Policy{Ambiguous: guard.Deny}}}
	})
	w.complete()
	q := ask(w.issue("jti-1", "7"))
	w.want(q, guard.Allow, guard.CodeOK)
	q.Path = "/me/addresses."
	if d := w.want(q, guard.Deny, guard.CodeAmbiguous); d.Status() != http.StatusForbidden {
		t.Errorf("refused with %d", d.Status())
	}
}

// A standing decision about a route, or a customer, is not passed by another spelling; nor is a feed of a route.
func TestStandingSpelledOtherwise(t *testing.T) {
	w := newWorld(t)
	w.complete()
	token := w.issue("jti-1", "7")
	for _, f := range []whosaw.Filter{{{Route: []string{"GET /me/addresses"}}}, {{Subject: []string{"8"}}}} {
		if _, err := w.g.Book().Add(t.Context(), guard.Standing{Action: guard.Deny, Filter: f, Reason: "test", Who: "test"}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range append([]string{"/me/addresses", "/staff/customers/8", "/Staff/customers/8", "/staff%2Fcustomers/8", "/staff/customers/8.json", "/staff/customers/8%00x",
		"/%25252525256de/addresses"}, spellings...) {
		q := ask(token)
		q.Path = path
		d := w.want(q, guard.Deny, guard.CodeStanding)
		n := 0
		for _, r := range d.Reasons {
			if r.Code == guard.CodeStanding {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: %d reasons for one decision", path, n)
		}
	}
	q := ask(token)
	q.Path = "/Staff/customers/9"
	w.want(q, guard.Allow, guard.CodeAmbiguous)
}

func TestFeedOfARouteSpelledOtherwise(t *testing.T) {
	w := newWorld(t)
	w.say(`{"type":"feed","of":"issuance","route":"GET /me/addresses","from":"2020-01-01T00:00:00Z","lag":0,"lost":0}`)
	forged := w.token("main", w.claims("never", "7"))
	w.want(ask(forged), guard.Deny, guard.CodeUnissued)
	for _, path := range spellings {
		q := ask(forged)
		q.Path = path
		w.want(q, guard.Deny, guard.CodeUnissued)
	}
}

// TestNeverMorePermissive: whatever a lenient back end answers from the addresses, nobody is let through to who may not read them by their plain name.
func TestNeverMorePermissive(t *testing.T) {
	w := newWorld(t, strictRoutes)
	parts := rapid.SampledFrom([]string{
		"/", "/", "me", "addresses", "ME", "Addresses", "x", "%6De", "%2F", "%252F", `\`, "%5C", ";x=1", "%3B", "..", ".", "%2e", "//", "%20", "%00", ".json",
	})
	rapid.Check(t, func(t *rapid.T) {
		path := "/" + strings.Join(rapid.SliceOfN(parts, 2, 10).Draw(t, "parts"), "")
		if d := w.g.Decide(t.Context(), anonymous(path)); d.Action == guard.Allow && reaches(path) {
			t.Fatalf("%s is let through, and a back end answers it with the addresses", path)
		}
	})
}

// reaches reports whether a back end that decodes twice, takes backslashes, leaves parameters out and ignores case answers with the addresses.
func reaches(path string) bool {
	for range 2 {
		if next, err := url.PathUnescape(path); err == nil {
			path = next
		}
	}
	path, _, _ = strings.Cut(strings.ReplaceAll(path, `\`, "/"), "\x00")
	var out []string
	for s := range strings.SplitSeq(path, "/") {
		s, _, _ = strings.Cut(s, ";")
		switch s {
		case "", ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, s)
		}
	}
	return strings.EqualFold(strings.Join(out, "/"), "me/addresses")
}
