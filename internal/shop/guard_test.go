package shop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/shop"
)

// TestForgedToken: a token that the stolen backup key signed is served where nobody guards, served and recorded in shadow mode, refused where the guard
// enforces; and a customer's own goes through each time.
func TestForgedToken(t *testing.T) {
	for _, mode := range []string{"off", "shadow", "enforce"} {
		t.Run(mode, func(t *testing.T) {
			start := mode
			if mode == "off" {
				start = "shadow"
			}
			h := newHouse(t, start)
			pages, api := h.pages.URL, h.api.URL
			if mode == "off" {
				pages, api = h.unguarded()
			}
			v := h.visitors()
			victim, honest := v[0], v[1]
			forged, err := h.shop.StolenKey().Forge(victim.ID, time.Now())
			check(t, err)
			nobody, err := h.shop.StolenKey().Forge("999999", time.Now())
			check(t, err)
			c := browser(t)
			refused := mode == "enforce"
			for _, x := range []struct{ address, token string }{
				{pages + "/me", forged}, {pages + "/me/addresses", forged}, {api + "/api/profile", forged}, {api + "/api/addresses", forged},
			} {
				a := do(t, c, "GET", x.address, nil, "Authorization", "Bearer "+x.token)
				shows := strings.Contains(a.body, victim.Name)
				if refused && (a.status != 401 || shows || !strings.Contains(a.body, "unissued")) || !refused && (a.status != 200 || !shows) {
					t.Errorf("%s with a forged token: %d, shows the victim: %v", x.address, a.status, shows)
				}
			}
			a := do(t, c, "GET", pages+"/me", nil, "Authorization", "Bearer "+nobody)
			if want := map[bool]int{true: 401, false: 404}[refused]; a.status != want {
				t.Errorf("a forged token for nobody: %d, want %d", a.status, want)
			}
			a = do(t, c, "GET", pages+"/me", nil, "Cookie", shop.Cookie+"="+forged)
			if (a.status == 401) != refused {
				t.Errorf("the same as a cookie: %d", a.status)
			}
			if mode == "off" {
				return
			}
			if a := do(t, h.logIn(honest), "GET", pages+"/me", nil); a.status != 200 || !strings.Contains(a.body, honest.Email) {
				t.Errorf("an honest customer: %d", a.status)
			}
			if a := do(t, c, "GET", api+"/api/profile", nil, "Authorization", "Bearer "+h.apiIn(honest)); a.status != 200 || !strings.Contains(a.body, honest.Email) {
				t.Errorf("an honest customer's app: %d %s", a.status, a.body)
			}
			lost, absent := 0, 0
			for _, r := range h.records(whosaw.TypeAccess) {
				if r.Key == shop.BackupKey && r.Outcome == whosaw.OutcomeDisclosed {
					lost++
					if !slices.Equal(r.Subjects, []string{victim.ID}) || r.Principal != "customer:"+victim.ID {
						t.Errorf("recorded %v, claimed by %s", r.Subjects, r.Principal)
					}
				}
				if r.Principal == "customer:999999" && r.Status == 404 && len(r.Fields) == 0 {
					absent++
				}
			}
			if want := map[bool]int{true: 0, false: 5}[refused]; lost != want || absent != map[bool]int{true: 0, false: 1}[refused] {
				t.Errorf("%d disclosures by the stolen key and %d of nobody are recorded", lost, absent)
			}
			if text := h.log.String(); strings.Contains(text, victim.Name) || strings.Contains(text, forged[:40]) || strings.Contains(text, honest.Password) {
				t.Errorf("the log has what it must not:\n%s", text)
			}
		})
	}
}

// TestRefusalIsAPage: a person who is refused sees a page and is logged out; a program sees the code.
func TestRefusalIsAPage(t *testing.T) {
	h := newHouse(t, "enforce")
	forged, err := h.shop.StolenKey().Forge(h.visitors()[0].ID, time.Now())
	check(t, err)
	a := do(t, browser(t), "GET", h.pages.URL+"/me", nil, "Cookie", shop.Cookie+"="+forged, "Accept", "text/html")
	if a.status != 401 || !strings.Contains(a.body, "Please log in again") || !strings.Contains(a.body, "Code: unissued") || !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("%d %s %v", a.status, a.body, a.header)
	}
	if a.header.Get("Content-Security-Policy") == "" || a.header.Get("Content-Type") != "text/html; charset=utf-8" || strings.Contains(a.body, `"error"`) {
		t.Errorf("%v", a.header)
	}
	if a := do(t, browser(t), "GET", h.pages.URL+"/", nil, "Cookie", shop.Cookie+"="+forged, "Accept", "text/html"); a.status != 200 {
		t.Errorf("a page that shows nobody's data: %d", a.status)
	}
	if a := do(t, browser(t), "GET", h.pages.URL+"/me", nil, "Accept", "text/html"); a.status != 303 || a.header.Get("Location") != "/login?next=%2Fme" {
		t.Errorf("nobody: %d %s", a.status, a.header.Get("Location"))
	}
}

// TestAnswersOfTheAPI: what the proxy finds in the answers is what stands there.
func TestAnswersOfTheAPI(t *testing.T) {
	var path string
	h := newHouseAt(t, "enforce", &path)
	facts := readFacts(t, path)
	logins, err := h.shop.Logins(t.Context(), 0, 8)
	check(t, err)
	want := map[string]reading{}
	n := 0
	for _, l := range logins {
		token := h.apiIn(l)
		ask := func(page string) []byte {
			id := fmt.Sprint("app-", n)
			n++
			a := do(t, http.DefaultClient, "GET", h.api.URL+page, nil, "Authorization", "Bearer "+token, "X-Request-Id", id)
			if a.status != 200 {
				t.Fatalf("%s: %d %s", page, a.status, a.body)
			}
			r := facts.read(a.body)
			r.Subjects = []string{l.ID}
			want[id] = r
			return []byte(a.body)
		}
		ask("/api/profile")
		ask("/api/orders")
		var book struct{ Addresses []struct{ ID int64 } }
		check(t, json.Unmarshal(ask("/api/addresses"), &book))
		for _, a := range book.Addresses {
			ask(fmt.Sprint("/api/addresses/", a.ID))
		}
		a := do(t, http.DefaultClient, "GET", h.api.URL+"/api/addresses/999999", nil, "Authorization", "Bearer "+token, "X-Request-Id", "gone")
		if a.status != 404 {
			t.Errorf("an address that is not there: %d", a.status)
		}
	}
	got := map[string]reading{}
	for _, r := range h.records(whosaw.TypeAccess) {
		switch {
		case r.Request == "gone":
			if r.Outcome == whosaw.OutcomeDisclosed || len(r.Fields)+len(r.Masked) > 0 || r.Status != 404 {
				t.Errorf("what was not there is recorded as %+v", r)
			}
		case strings.HasPrefix(r.Request, "app-"):
			got[r.Request] = said(&r)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the answers show (-), the records say (+):\n%s", diff)
	}
}

// TestWhatWhosawIsTold: a log-in's token is on record before its owner has it, tickets explain an agent's look, sign-ups and withdrawals are customers
// that begin and end.
func TestWhatWhosawIsTold(t *testing.T) {
	h := newHouse(t, "enforce")
	v := h.visitors()[0]
	h.logIn(v)
	find := func(id string, types ...whosaw.Type) (out []whosaw.Record) {
		for _, r := range h.records(types...) {
			if len(r.Subjects) > 0 && r.Subjects[0] == id {
				out = append(out, r)
			}
		}
		return out
	}
	issued := find(v.ID, whosaw.TypeIssuance)
	if len(issued) != 1 || issued[0].Key != shop.MainKey || issued[0].Principal != "customer:"+v.ID || issued[0].Client != "web" || issued[0].IP.String() != "127.0.0.1" {
		t.Fatalf("the issuance of a log-in: %+v", issued)
	}
	before := find(v.ID, whosaw.TypeReason)
	name, err := h.shop.OpenTicket(t.Context(), v.ID, "desk-02", "refund")
	check(t, err)
	reasons := find(v.ID, whosaw.TypeReason)
	if len(reasons) != len(before)+1 || reasons[len(reasons)-1].Principal != "staff:desk-02" || reasons[len(reasons)-1].Ref.Kind != "ticket" {
		t.Errorf("the reason of a ticket: %+v", reasons)
	}
	agents, err := h.shop.AgentLogins(t.Context())
	check(t, err)
	desk := h.deskIn(agents[0])
	a := do(t, desk, "POST", h.pages.URL+"/desk/find", url.Values{"find": {" " + strings.ToLower(name)}})
	if a.status != 303 || a.header.Get("Location") != "/desk/customers/"+v.ID {
		t.Fatalf("find: %d %s", a.status, a.header.Get("Location"))
	}
	if a := do(t, desk, "GET", h.pages.URL+a.header.Get("Location"), nil); a.status != 200 || !strings.Contains(a.body, v.Email) {
		t.Errorf("the customer of a ticket: %d", a.status)
	}
	for _, bad := range []string{"T-999999", "0", "-4", "x", "T-"} {
		if a := do(t, desk, "POST", h.pages.URL+"/desk/find", url.Values{"find": {bad}}); a.status != 404 {
			t.Errorf("find %q: %d", bad, a.status)
		}
	}

	c := browser(t)
	form := url.Values{"name": {"Ada Sample"}, "email": {"ADA@example.org"}, "phone": {"+1 202-555-0100"}, "address": {"1 Example Street"}, "door_code": {"#1111*"}, "password": {"a long enough one"}}
	if a := do(t, c, "POST", h.pages.URL+"/signup", form); a.status != 303 {
		t.Fatalf("sign up: %d %s", a.status, a.body)
	}
	if a := do(t, c, "GET", h.pages.URL+"/me/orders", nil); a.status != 200 || !strings.Contains(a.body, "not bought anything") {
		t.Errorf("orders of somebody new: %d", a.status)
	}
	_, highest, err := h.shop.Size(t.Context())
	check(t, err)
	id := fmt.Sprint(highest)
	for _, r := range find(id, whosaw.TypeAccess) {
		if r.Outcome == whosaw.OutcomeDisclosed || len(r.Fields) > 0 {
			t.Errorf("an empty list is recorded as %+v", r)
		}
	}
	if a := do(t, browser(t), "POST", h.pages.URL+"/signup", form); a.status != 409 {
		t.Errorf("the same mail address again: %d", a.status)
	}
	if a := do(t, c, "POST", h.pages.URL+"/me/withdraw", nil); a.status != 303 {
		t.Errorf("withdraw: %d", a.status)
	}
	var states []string
	for _, r := range find(id, whosaw.TypeSubject) {
		states = append(states, r.Ref.State)
	}
	if !slices.Equal(states, []string{"active", "withdrawn"}) {
		t.Errorf("the customer was told to be %v", states)
	}
	if a := do(t, browser(t), "POST", h.pages.URL+"/login", url.Values{"email": form["email"], "password": form["password"]}); a.status != 401 {
		t.Errorf("somebody who left logs in: %d", a.status)
	}
}

// TestBudgetOfTheDesk: with tickets an agent looks at as many customers as there are; without, at the twenty of a day.
func TestBudgetOfTheDesk(t *testing.T) {
	h := newHouse(t, "enforce")
	agents, err := h.shop.AgentLogins(t.Context())
	check(t, err)
	logins, err := h.shop.Logins(t.Context(), 0, 30)
	check(t, err)
	for _, l := range logins {
		_, err := h.shop.OpenTicket(t.Context(), l.ID, agents[0].ID, "refund")
		check(t, err)
	}
	served := map[string]int{}
	for _, agent := range agents[:2] {
		c := h.deskIn(agent)
		for _, l := range logins {
			if a := do(t, c, "GET", h.pages.URL+"/desk/customers/"+l.ID, nil); a.status == 200 {
				served[agent.ID]++
			} else if a.status != 403 || strings.Contains(a.body, l.Email) {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
	}
	if own := served[agents[1].ID]; served[agents[0].ID] != 30 || own < 20 || own > 24 { // four tickets of the beginning may be among them
		t.Errorf("served %v", served)
	}
}

func TestCrossSiteForms(t *testing.T) {
	h := newHouse(t, "enforce")
	v := h.visitors()[0]
	c := h.logIn(v)
	form := url.Values{"name": {"Mallory"}, "address": {"elsewhere"}}
	page := do(t, c, "GET", h.pages.URL+"/me/addresses", nil).body
	_, id, _ := strings.Cut(page, `href="/me/addresses/`)
	id, _, _ = strings.Cut(id, "/")
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "http://evil.example"}} {
		for _, to := range []string{"/me/addresses/" + id, "/me/withdraw", "/login", "/logout", "/orders", "/help", "/signup", "/desk/find", "/desk/login"} {
			if a := do(t, c, "POST", h.pages.URL+to, form, header...); a.status != 403 {
				t.Errorf("%s with %v: %d", to, header, a.status)
			}
		}
	}
	if after := do(t, c, "GET", h.pages.URL+"/me/addresses", nil); after.body != page {
		t.Error("a form of another site changed something")
	}
	a := do(t, c, "POST", h.pages.URL+"/me/addresses/"+id, form, "Sec-Fetch-Site", "same-origin")
	if after := do(t, c, "GET", h.pages.URL+"/me/addresses", nil); a.status != 303 || !strings.Contains(after.body, "Mallory") {
		t.Errorf("a form of the shop's own: %d", a.status)
	}
	for _, r := range h.records(whosaw.TypeAccess) {
		if r.Status == 403 {
			t.Errorf("what never came to the guard is recorded: %+v", r)
		}
	}
}
