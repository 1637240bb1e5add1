package shop_test

import (
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/shop"
)

// TestMaskedByDecision: what a standing decision masks is masked on the page, and recorded as masked.
func TestMaskedByDecision(t *testing.T) {
	var path string
	h := newHouseAt(t, "enforce", &path)
	facts := readFacts(t, path)
	agent := h.shop.VisitingAgent()
	h.decide(`{"action":"mask","mask":["phone","address","email","order_history"],"filter":{"principal":["staff:desk-01"]},"reason":"looked at too many","for":"24h"}`)
	logins, err := h.shop.Logins(t.Context(), 0, 1)
	check(t, err)
	a := do(t, h.deskIn(agent), "GET", h.pages.URL+"/desk/customers/"+logins[0].ID, nil, "X-Request-Id", "masked")
	if a.status != 200 || strings.Contains(a.body, logins[0].Email) || !strings.Contains(a.body, "m***@example.com") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if shown := facts.read(a.body); len(shown.Fields) != 1 || shown.Fields[0] != "name" {
		t.Errorf("the page shows %v", shown.Fields)
	}
	for _, r := range h.records(whosaw.TypeAccess) {
		if r.Request == "masked" && (strings.Join(r.Fields, " ") != "name" || strings.Join(r.Masked, " ") != "address door_code email phone") {
			t.Errorf("recorded as %v, masked %v", r.Fields, r.Masked)
		}
	}

	// And on every page of a customer.
	h.decide(`{"action":"mask","mask":["name","email","phone","address","door_code","order_history"],"filter":{"principal":["customer:` + logins[0].ID + `"]},"reason":"test","for":"24h"}`)
	c := h.logIn(logins[0])
	list := do(t, c, "GET", h.pages.URL+"/me/addresses", nil).body
	_, id, _ := strings.Cut(list, `href="/me/addresses/`)
	id, _, _ = strings.Cut(id, "/")
	for _, page := range []string{"/me", "/me/orders", "/me/addresses", "/me/addresses/" + id + "/edit"} {
		a := do(t, c, "GET", h.pages.URL+page, nil)
		if shown := facts.read(a.body); a.status != 200 || len(shown.Fields) > 0 {
			t.Errorf("%s: %d, shows %v", page, a.status, shown.Fields)
		}
	}

	// What was shown masked and comes back so changes nothing; what was typed does.
	before := readFacts(t, path)
	form := url.Values{}
	for _, m := range regexp.MustCompile(`name="([a-z_]+)"[^>]* value="([^"]*)"`).FindAllStringSubmatch(do(t, c, "GET", h.pages.URL+"/me/addresses/"+id+"/edit", nil).body, -1) {
		form.Set(m[1], html.UnescapeString(m[2]))
	}
	if len(form) != 4 || !strings.Contains(form.Get("door_code"), "**") {
		t.Fatalf("the form is %v", form)
	}
	save := func() {
		t.Helper()
		if a := do(t, c, "POST", h.pages.URL+"/me/addresses/"+id, form); a.status != 303 {
			t.Errorf("save: %d", a.status)
		}
	}
	save()
	form.Set("phone", "****")
	save()
	if diff := cmp.Diff(before.values, readFacts(t, path).values, cmp.AllowUnexported(fact{})); diff != "" {
		t.Errorf("a masked form, sent back, changed\n%s", diff)
	}
	form.Set("phone", "+1 202-555-0177")
	save()
	if !slices.ContainsFunc(readFacts(t, path).values, func(f fact) bool { return f.value == "+1 202-555-0177" && f.of == logins[0].ID }) {
		t.Error("what was typed was not saved")
	}
}

// TestAddressesOfClients: the issuance has the address that the access has, behind the middleware and behind the proxy, and nobody makes up another: of a list
// only what the last in front added counts.
func TestAddressesOfClients(t *testing.T) {
	for header, want := range map[string]string{"": "127.0.0.1", "X-Forwarded-For": "203.0.113.9"} {
		h := newHouse(t, "enforce", func(c *shop.Config) { c.AddressHeader = header })
		claim := []string{"X-Forwarded-For", "198.51.100.7, 203.0.113.9"}
		logins, err := h.shop.Logins(t.Context(), 0, 2)
		check(t, err)
		do(t, h.logIn(logins[0], claim...), "GET", h.pages.URL+"/me", nil, claim...)
		token := h.apiIn(logins[1], claim...)
		do(t, browser(t), "GET", h.api.URL+"/api/profile", nil, append(claim, "Authorization", "Bearer "+token)...)
		from := map[string][]string{}
		for _, r := range h.records(whosaw.TypeIssuance, whosaw.TypeAccess) {
			if r.Credential != "" {
				from[r.Credential] = append(from[r.Credential], r.IP.String())
			}
		}
		for credential, list := range from {
			if len(list) != 2 || list[0] != want || list[1] != want {
				t.Errorf("with the header %q: %s came from %v, want %s", header, credential, list, want)
			}
		}
		if len(from) != 2 {
			t.Errorf("%d credentials", len(from))
		}
	}
}
