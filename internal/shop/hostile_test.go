package shop_test

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whosaw/whosaw/internal/shop"
)

// hostile texts, as somebody would put them into a name or an address.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' autofocus onfocus='alert(1)`, `{{.Page}} ${7*7}`, `</title><svg onload=alert(1)>`,
	"=HYPERLINK(\"http://evil.example\")", "김\u202egnp.exe\u202c", "\u0000nul", "a\r\nSet-Cookie: x=y", `javascript:alert(1)`, "&lt;b&gt;",
}

var tag = regexp.MustCompile(`<[^>]*>`)

// harmless holds a page against what a typed text must not have become: the page has the tags it has without it.
func harmless(t interface{ Errorf(string, ...any) }, page, plain string) {
	names := func(s string) string {
		var b strings.Builder
		for _, x := range tag.FindAllString(s, -1) {
			b.WriteString(regexp.MustCompile(`="[^"]*"`).ReplaceAllString(x, "=_"))
		}
		return b.String()
	}
	if names(page) != names(plain) {
		t.Errorf("a typed text became part of the page:\n%s", page)
	}
}

// TestHostileText: what is typed comes out as it was typed, on every page that shows it, and as text alone.
func TestHostileText(t *testing.T) {
	h := newHouse(t, "enforce")
	logins, err := h.shop.Logins(t.Context(), 0, 1)
	check(t, err)
	c := h.logIn(logins[0])
	desk := h.deskIn(h.shop.VisitingAgent())
	edit := regexp.MustCompile(`/me/addresses/\d+/edit`).FindString(do(t, c, "GET", h.pages.URL+"/me/addresses", nil).body)
	save := strings.TrimSuffix(edit, "/edit")
	views := []struct {
		c    *http.Client
		page string
	}{{c, "/me/addresses"}, {c, edit}, {desk, "/desk/customers/" + logins[0].ID}}
	look := func() (out []string) {
		for _, v := range views {
			out = append(out, do(t, v.c, "GET", h.pages.URL+v.page, nil).body)
		}
		return out
	}
	if a := do(t, c, "POST", h.pages.URL+save, url.Values{"name": {"n"}, "phone": {"p"}, "address": {"a"}, "door_code": {"d"}}); a.status != 303 {
		t.Fatalf("save: %d", a.status)
	}
	plain := look()
	for _, text := range hostile {
		a := do(t, c, "POST", h.pages.URL+save, url.Values{"name": {text}, "phone": {text}, "address": {text}, "door_code": {text}})
		if strings.Contains(text, "\x00") {
			if a.status != 422 {
				t.Errorf("%q was taken: %d", text, a.status)
			}
			continue
		}
		if a.status != 303 {
			t.Fatalf("save %q: %d %s", text, a.status, a.body)
		}
		for i, page := range look() {
			harmless(t, page, plain[i])
			if bare := strings.NewReplacer("\r", ""); !strings.Contains(bare.Replace(html.UnescapeString(page)), bare.Replace(text)) {
				t.Errorf("%s does not show %q as it was typed", views[i].page, text)
			}
		}
	}
	bad := url.Values{"name": {hostile[0]}, "email": {hostile[1]}, "phone": {hostile[2]}, "address": {hostile[4]}, "password": {"short"}}
	ok := url.Values{"name": {"n"}, "email": {"no address"}, "phone": {"p"}, "address": {"a"}, "password": {"short"}}
	harmless(t, do(t, browser(t), "POST", h.pages.URL+"/signup", bad).body, do(t, browser(t), "POST", h.pages.URL+"/signup", ok).body)
	for _, text := range hostile {
		for _, page := range []string{"/search?q=", "/login?next=", "/help?ticket=", "/desk/login?next="} {
			harmless(t, do(t, c, "GET", h.pages.URL+page+url.QueryEscape(text), nil).body, do(t, c, "GET", h.pages.URL+page+"zzz", nil).body)
		}
	}
}

// TestBounds: what is too long or no text is refused, and nothing changes.
func TestBounds(t *testing.T) {
	h := newHouse(t, "enforce")
	logins, err := h.shop.Logins(t.Context(), 0, 1)
	check(t, err)
	c := h.logIn(logins[0])
	before := do(t, c, "GET", h.pages.URL+"/me/addresses", nil).body
	save := strings.TrimSuffix(regexp.MustCompile(`/me/addresses/\d+/edit`).FindString(before), "/edit")
	for name, form := range map[string]url.Values{
		"no name":        {"address": {"a"}},
		"no address":     {"name": {"n"}, "address": {"  "}},
		"long name":      {"name": {strings.Repeat("김", 81)}, "address": {"a"}},
		"long address":   {"name": {"n"}, "address": {strings.Repeat("a", 201)}},
		"long door code": {"name": {"n"}, "address": {"a"}, "door_code": {strings.Repeat("1", 81)}},
		"no text":        {"name": {"\xff\xfe"}, "address": {"a"}},
	} {
		if a := do(t, c, "POST", h.pages.URL+save, form); a.status != 422 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if a := do(t, c, "POST", h.pages.URL+save, url.Values{"name": {strings.Repeat("n", 100_000)}}); a.status < 400 {
		t.Errorf("a form beyond all bounds: %d", a.status)
	}
	if after := do(t, c, "GET", h.pages.URL+"/me/addresses", nil).body; after != before {
		t.Error("something changed")
	}
	token := h.apiIn(logins[0])
	for body, want := range map[string]int{`{"name":"n","address":"a"}`: 204, `{"name":"","address":"a"}`: 422, `{"name":`: 400, `[]`: 400, `{"name":7}`: 400} {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", h.api.URL+"/api"+strings.TrimPrefix(save, "/me"), strings.NewReader(body))
		check(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		check(t, err)
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("PUT %s: %d, want %d", body, res.StatusCode, want)
		}
	}
}

// TestOthersAddresses: an address of somebody else is as good as none, to look at and to save, on the pages and in the API.
func TestOthersAddresses(t *testing.T) {
	var path string
	h := newHouseAt(t, "enforce", &path)
	before := readFacts(t, path)
	logins, err := h.shop.Logins(t.Context(), 0, 2)
	check(t, err)
	victim, curious := logins[0], logins[1]
	var id int64
	for _, f := range before.values {
		if f.of == victim.ID && f.field == "address" {
			id = f.entry
		}
	}
	c, token := h.logIn(curious), h.apiIn(curious)
	for _, x := range []struct{ method, address, body string }{
		{"GET", h.pages.URL + fmt.Sprintf("/me/addresses/%d/edit", id), ""}, {"POST", h.pages.URL + fmt.Sprintf("/me/addresses/%d", id), "name=x&address=y"},
		{"GET", h.api.URL + fmt.Sprintf("/api/addresses/%d", id), ""}, {"PUT", h.api.URL + fmt.Sprintf("/api/addresses/%d", id), `{"name":"x","address":"y"}`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), x.method, x.address, strings.NewReader(x.body))
		check(t, err)
		req.Header.Set("Content-Type", map[string]string{"POST": "application/x-www-form-urlencoded", "PUT": "application/json"}[x.method])
		if strings.Contains(x.address, "/api/") {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := c.Do(req)
		check(t, err)
		body, err := io.ReadAll(res.Body)
		check(t, err)
		res.Body.Close()
		if shown := before.read(string(body)); res.StatusCode != 404 || len(shown.Fields) > 0 {
			t.Errorf("%s %s: %d, shows %v", x.method, x.address, res.StatusCode, shown.Fields)
		}
	}
	if diff := cmp.Diff(before.values, readFacts(t, path).values, cmp.AllowUnexported(fact{})); diff != "" {
		t.Errorf("somebody else's address was changed:\n%s", diff)
	}
}

// TestMaskedCode: a masked door code keeps none of its inner digits, and a short one nothing.
func TestMaskedCode(t *testing.T) {
	for code, want := range map[string]string{"": "", "#1234*": "#1**4*", "123456": "1****6", "12": "****", "#7": "****", "동123": "****", "1 2 3 4": "1 * * 4"} {
		if got := shop.DoorMasked(code); got != want {
			t.Errorf("%q masked is %q, want %q", code, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.StringOf(rapid.SampledFrom([]rune("0123456789#*A"))).Draw(t, "code")
		got := shop.DoorMasked(code)
		count := func(s string) (n int) {
			for _, r := range s {
				if r >= '0' && r <= '9' {
					n++
				}
			}
			return n
		}
		if n := count(got); n > 2 || count(code) < 4 && n > 0 {
			t.Fatalf("%q masked is %q", code, got)
		}
	})
	for _, field := range []string{"name", "email", "phone", "address", "door_code", "other"} {
		rapid.Check(t, func(t *rapid.T) {
			value := rapid.StringN(4, 40, -1).Draw(t, "value")
			got := shop.Hide(field, value)
			if !utf8.ValidString(got) || field != "email" && field != "address" && field != "door_code" && got == value {
				t.Fatalf("%s %q masked is %q", field, value, got)
			}
			if _, err := json.Marshal(got); err != nil {
				t.Fatal(err)
			}
		})
	}
}
