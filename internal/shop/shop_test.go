package shop_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/shop"
)

// TestSameSeed: customers follow from the seed; keys and passwords do not.
func TestSameSeed(t *testing.T) {
	var first [][]string
	secrets := map[string]bool{}
	for range 2 {
		s := open(t, func(c *shop.Config) {
			c.Customers, c.Now = 300, func() time.Time { return time.UnixMilli(1_795_000_000_000) }
		})
		all, err := s.Logins(t.Context(), 0, 300)
		check(t, err)
		var names [][]string
		for _, l := range all {
			names = append(names, []string{l.ID, l.Name, l.Email})
			if len(l.Password) != 20 || secrets[l.Password] {
				t.Fatalf("the password of %s is short or another's", l.ID)
			}
			secrets[l.Password] = true
		}
		if len(names) != 295 {
			t.Fatalf("%d log-ins beside the visitors'", len(names))
		}
		if first == nil {
			first = names
		} else if diff := cmp.Diff(first, names); diff != "" {
			t.Errorf("the same seed gives others:\n%s", diff)
		}
		jwks := string(s.JWKS())
		if secrets[jwks] || !strings.Contains(jwks, shop.MainKey) || !strings.Contains(jwks, shop.BackupKey) || strings.Contains(jwks, `"d"`) {
			t.Errorf("the public keys: %s", jwks)
		}
		secrets[jwks] = true
	}
	if other := open(t, func(c *shop.Config) { c.Customers, c.Seed = 300, 8 }); true {
		all, err := other.Logins(t.Context(), 0, 300)
		check(t, err)
		if all[0].Name == first[0][1] && all[1].Name == first[1][1] && all[2].Name == first[2][1] && all[3].Name == first[3][1] {
			t.Error("another seed gives the same people")
		}
	}
}

// TestReopened: a file is opened as it was left, whatever the configuration says of new ones.
func TestReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	s, err := shop.Open(t.Context(), shop.Config{Path: path, Customers: 30, Agents: 2, Seed: 3})
	check(t, err)
	visitors, err := s.Visitors(t.Context())
	check(t, err)
	srv := httptest.NewServer(s.Handler())
	c := browser(t)
	login := func(c2 string) int {
		return do(t, c, "POST", srv.URL+"/login", url.Values{"email": {visitors[0].Email}, "password": {c2}}).status
	}
	if got := login(visitors[0].Password); got != 303 {
		t.Fatalf("log-in: %d", got)
	}
	cookie := c.Jar.Cookies(&url.URL{Scheme: "http", Host: strings.TrimPrefix(srv.URL, "http://")})[0]
	jwks := string(s.JWKS())
	srv.Close()
	check(t, s.Close(context.Background()))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file, which has keys, is %v, %v", info.Mode(), err)
	}
	again := open(t, func(cfg *shop.Config) { cfg.Path, cfg.Customers, cfg.Seed = path, 9000, 77 })
	if string(again.JWKS()) != jwks {
		t.Error("other keys")
	}
	if n, _, err := again.Size(t.Context()); err != nil || n != 30 {
		t.Errorf("%d customers, %v", n, err)
	}
	now, err := again.Visitors(t.Context())
	check(t, err)
	if diff := cmp.Diff(visitors, now); diff != "" {
		t.Errorf("other log-ins:\n%s", diff)
	}
	srv = httptest.NewServer(again.Handler())
	defer srv.Close()
	if a := do(t, browser(t), "GET", srv.URL+"/me", nil, "Cookie", cookie.String()); a.status != 200 {
		t.Errorf("a session from before: %d", a.status)
	}
}

func TestBadConfig(t *testing.T) {
	for want, cfg := range map[string]shop.Config{
		"give Path":      {},
		"10,000,000":     {Path: filepath.Join(t.TempDir(), "a"), Customers: -1},
		"90 agents":      {Path: filepath.Join(t.TempDir(), "b"), Agents: 91},
		"the shop's fil": {Path: filepath.Join(t.TempDir(), "none", "c")},
	} {
		if s, err := shop.Open(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, %v", cfg, s, err)
		}
	}
	path := filepath.Join(t.TempDir(), "text")
	check(t, os.WriteFile(path, []byte("this is a text, no database, and longer than the head of one: "+strings.Repeat("x", 200)), 0o600))
	if _, err := shop.Open(t.Context(), shop.Config{Path: path}); err == nil {
		t.Error("a file of something else was opened")
	}
}

// TestNobodyIsReal: whatever the seed, numbers, mail addresses and streets are of ranges that nobody has.
func TestNobodyIsReal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	open(t, func(c *shop.Config) { c.Path, c.Customers, c.Seed = path, 2000, 99 })
	seen := map[string]int{}
	for _, f := range readFacts(t, path).values {
		ok := true
		switch f.field {
		case "email":
			ok = strings.HasSuffix(f.value, "@example.com")
		case "phone":
			ok = strings.HasPrefix(f.value, "010-0") || strings.HasPrefix(f.value, "+1 ") && strings.Contains(f.value, "-555-01")
		case "address":
			ok = false
			for _, word := range []string{"보기구", "견본구", "예시구", "표본구", "모형구", "Exampleton", "Sampleford", "Port Specimen", "Mockville"} {
				ok = ok || strings.Contains(f.value, word)
			}
		}
		if !ok {
			t.Fatalf("%s %q could be somebody's", f.field, f.value)
		}
		seen[f.field]++
	}
	for _, field := range []string{"name", "email", "phone", "address", "door_code", "order_history"} {
		if seen[field] < 2000 {
			t.Errorf("%s: %d", field, seen[field])
		}
	}
}

// TestWrongPasswords: ten for an account, then none is looked at for a while, the right one neither; other accounts are not touched.
func TestWrongPasswords(t *testing.T) {
	now := time.UnixMilli(1_795_000_000_000)
	s := open(t, func(c *shop.Config) { c.Now = func() time.Time { return now } })
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	logins, err := s.Logins(t.Context(), 0, 2)
	check(t, err)
	try := func(email, password string) int {
		return do(t, browser(t), "POST", srv.URL+"/login", url.Values{"email": {email}, "password": {password}}).status
	}
	if got := try("nobody@example.com", "x"); got != 401 {
		t.Errorf("no such account: %d", got)
	}
	for i := range 10 {
		if got := try(strings.ToUpper(logins[0].Email), fmt.Sprint("wrong ", i)); got != 401 {
			t.Errorf("wrong password %d: %d", i, got)
		}
	}
	if got := try(logins[0].Email, logins[0].Password); got != 429 {
		t.Errorf("the eleventh: %d", got)
	}
	if got := try(logins[1].Email, logins[1].Password); got != 303 {
		t.Errorf("another account: %d", got)
	}
	now = now.Add(16 * time.Minute)
	if got := try(logins[0].Email, logins[0].Password); got != 303 {
		t.Errorf("afterwards: %d", got)
	}
}

// TestWrongPasswordsAtOnce: who tries a thousand passwords at the same time has ten tries too.
func TestWrongPasswordsAtOnce(t *testing.T) {
	shop.Cheap(false) // to check one takes long enough for the others to come
	defer shop.Cheap(true)
	s := open(t)
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	logins, err := s.Logins(t.Context(), 0, 1)
	check(t, err)
	const many = 40
	looked := make(chan int, many)
	var all sync.WaitGroup
	for i := range many {
		c := browser(t)
		all.Go(func() {
			looked <- do(t, c, "POST", srv.URL+"/login", url.Values{"email": {"nobody@example.com"}, "password": {fmt.Sprint("wrong ", i)}}).status
		})
	}
	all.Wait()
	close(looked)
	n := map[int]int{}
	for status := range looked {
		n[status]++
	}
	if n[401] != 10 || n[429] != many-10 {
		t.Errorf("of %d wrong passwords at once: %v, want 10 looked at", many, n)
	}
	if got := do(t, browser(t), "POST", srv.URL+"/login", url.Values{"email": {logins[0].Email}, "password": {logins[0].Password}}).status; got != 303 {
		t.Errorf("another account: %d", got)
	}
	for range 12 { // whoever is right uses up nothing
		if got := do(t, browser(t), "POST", srv.URL+"/login", url.Values{"email": {logins[0].Email}, "password": {logins[0].Password}}).status; got != 303 {
			t.Errorf("the right password: %d", got)
		}
	}
}

// TestTokens: a token is good for its issuer, its time and its signature alone.
func TestTokens(t *testing.T) {
	now := time.UnixMilli(1_795_000_000_000)
	s := open(t, func(c *shop.Config) { c.Now = func() time.Time { return now } })
	other := open(t)
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	v, err := s.Visitors(t.Context())
	check(t, err)
	good, err := s.StolenKey().Forge(v[0].ID, now)
	check(t, err)
	foreign, err := other.StolenKey().Forge(v[0].ID, now)
	check(t, err)
	head, rest, _ := strings.Cut(good, ".")
	body, sig, _ := strings.Cut(rest, ".")
	status := func(path, header string) int {
		return do(t, browser(t), "GET", srv.URL+path, nil, "Authorization", header).status
	}
	for _, x := range []struct {
		path, header string
		want         int
	}{
		{"/me", "Bearer " + good, 200}, {"/me", "bearer " + good, 200}, {"/me", "Bearer " + foreign, 401}, {"/desk", "Bearer " + good, 401},
		{"/me", "Bearer " + head + "." + body + ".", 401}, {"/me", "Bearer eyJhbGciOiJub25lIn0." + body + ".", 401}, {"/me", "Bearer " + head + "." + body + "." + sig[:20], 401},
		{"/me", "Bearer", 401}, {"/me", "Basic " + good, 401}, {"/me", "x", 401},
	} {
		if got := status(x.path, x.header); got != x.want {
			t.Errorf("%s %.30s…: %d, want %d", x.path, x.header, got, x.want)
		}
	}
	a := do(t, browser(t), "GET", srv.URL+"/me", nil, "Authorization", "Bearer "+foreign, "Cookie", shop.Cookie+"="+good)
	if a.status != 401 {
		t.Errorf("a bad header and a good cookie: %d; the middleware would judge the header", a.status)
	}
	now = now.Add(12*time.Hour + time.Second)
	if got := status("/me", "Bearer "+good); got != 401 {
		t.Errorf("after its time: %d", got)
	}
}

// TestTicketsOfTheDesk: an agent sees their own tickets, as long as they are open.
func TestTicketsOfTheDesk(t *testing.T) {
	now := time.UnixMilli(1_795_000_000_000)
	s := open(t, func(c *shop.Config) { c.Now = func() time.Time { return now } })
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	agents, err := s.AgentLogins(t.Context())
	check(t, err)
	logins, err := s.Logins(t.Context(), 0, 1)
	check(t, err)
	name, err := s.OpenTicket(t.Context(), logins[0].ID, agents[0].ID, "refund")
	check(t, err)
	lists := func(l shop.Login) (bool, int) {
		c := browser(t)
		do(t, c, "POST", srv.URL+"/desk/login", url.Values{"agent": {l.ID}, "password": {l.Password}})
		body := do(t, c, "GET", srv.URL+"/desk", nil).body
		return strings.Contains(body, name), strings.Count(body, "Open the customer of T-")
	}
	if has, n := lists(agents[0]); !has || n != 5 {
		t.Errorf("the agent's own: %v, of %d", has, n)
	}
	if has, n := lists(agents[1]); has || n != 4 {
		t.Errorf("another agent's: %v, of %d", has, n)
	}
	now = now.Add(9 * time.Hour)
	if has, n := lists(agents[0]); has || n != 0 {
		t.Errorf("when it is closed: %v, of %d", has, n)
	}
	for _, bad := range [][2]string{{"999999", agents[0].ID}, {"x", agents[0].ID}, {logins[0].ID, "desk-99"}} {
		if name, err := s.OpenTicket(t.Context(), bad[0], bad[1], "refund"); err == nil {
			t.Errorf("a ticket for %v: %s", bad, name)
		}
	}
}

// TestNextStaysHere: a log-in leads to no other site.
func TestNextStaysHere(t *testing.T) {
	s := open(t)
	srv := httptest.NewServer(s.Handler())
	defer srv.Close()
	l, err := s.Logins(t.Context(), 0, 1)
	check(t, err)
	for next, want := range map[string]string{
		"/me/orders": "/me/orders", "//evil.example": "/me", "https://evil.example": "/me", `/\evil.example`: "/me", "": "/me", "/\tx": "/me", "evil": "/me",
	} {
		a := do(t, browser(t), "POST", srv.URL+"/login", url.Values{"email": {l[0].Email}, "password": {l[0].Password}, "next": {next}})
		if got := a.header.Get("Location"); a.status != 303 || got != want {
			t.Errorf("next %q leads to %q", next, got)
		}
		if set := a.header.Get("Set-Cookie"); !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") {
			t.Errorf("the cookie: %.40s", set)
		}
	}
}

// TestFilesForAServer: what the shop gives a server loads, and the catalog knows the routes of the pages and of the API.
func TestFilesForAServer(t *testing.T) {
	dir := t.TempDir()
	for _, mode := range []string{"shadow", "enforce"} {
		check(t, os.WriteFile(filepath.Join(dir, "whosaw.yaml"), shop.Server(mode), 0o600))
		cfg, err := config.Load(filepath.Join(dir, "whosaw.yaml"))
		check(t, err)
		if string(cfg.Guard.Mode) != mode {
			t.Errorf("mode %s", cfg.Guard.Mode)
		}
		for _, i := range cfg.Guard.Tokens.Issuers {
			if i.Issuer != shop.Issuer && i.Issuer != shop.DeskIssuer {
				t.Errorf("issuer %s", i.Issuer)
			}
		}
		for _, door := range []string{shop.Door, shop.APIDoor} {
			if cfg.Guard.Door(door) == nil {
				t.Errorf("no door %s", door)
			}
		}
	}
	if _, err := catalog.Parse("catalog.yaml", shop.Catalog()); err != nil {
		t.Error(err)
	}
}

func BenchmarkOpen(b *testing.B) {
	shop.Cheap(false)
	defer shop.Cheap(true)
	for _, n := range []int{10_000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			for i := 0; b.Loop(); i++ {
				s, err := shop.Open(b.Context(), shop.Config{Path: filepath.Join(dir, fmt.Sprint(i, ".db")), Customers: n, Seed: 1})
				check(b, err)
				check(b, s.Close(context.Background()))
			}
		})
	}
}

// BenchmarkAddresses is a page as a thief opens it: a token that was never seen, an address book, no guard.
func BenchmarkAddresses(b *testing.B) {
	s := open(b)
	h := s.Handler()
	v, err := s.Visitors(b.Context())
	check(b, err)
	key := s.StolenKey()
	for b.Loop() {
		token, err := key.Forge(v[0].ID, time.Now())
		check(b, err)
		r := httptest.NewRequest("GET", "/me/addresses", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
