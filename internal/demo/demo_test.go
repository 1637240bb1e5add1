package demo_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/demo"
	"github.com/whosaw/whosaw/internal/shop"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start runs a small demo. end stops it, and says what it ended with.
func start(t *testing.T, change ...func(*demo.Config)) (d *demo.Demo, end func() error) {
	t.Helper()
	cfg := demo.Config{
		Listen: "127.0.0.1:0", Customers: 260, Seed: 7, Span: 6 * time.Second, Days: 4, Zone: "UTC", Version: "test", Operator: "test", Now: time.Now,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	}
	for _, fn := range change {
		fn(&cfg)
	}
	d, err := demo.Open(cfg)
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	var done error
	stopped := false
	end = func() error {
		if !stopped {
			cancel()
			done, stopped = <-ended, true
		}
		return done
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return d, end
}

func ready(t *testing.T, d *demo.Demo) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if !d.Ready(ctx) {
		t.Fatal("the shop never opened")
	}
}

func get(t *testing.T, url string, change ...func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	check(t, err)
	for _, fn := range change {
		fn(req)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	check(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	check(t, err)
	return res, string(body)
}

// TestStartStop: it says where it is, shows a page at once, opens, lets nobody in by another name, and leaves nothing behind.
func TestStartStop(t *testing.T) {
	d, end := start(t)
	if !strings.HasPrefix(d.URL(), "http://localhost:") {
		t.Errorf("it is at %s", d.URL())
	}
	if res, body := get(t, d.URL()+"/"); res.StatusCode != 200 && res.StatusCode != 303 {
		t.Errorf("the first page: %s %s", res.Status, body)
	}
	ready(t, d)
	_, body := get(t, d.URL()+"/step/calm")
	for _, want := range []string{"A calm day", "260", "member"} {
		if !strings.Contains(body, want) {
			t.Errorf("the first page lacks %q", want)
		}
	}
	server, shop := d.World()
	for _, base := range []string{d.URL(), shop} {
		res, _ := get(t, base+"/", func(r *http.Request) { r.Host = "evil.example" })
		if res.StatusCode != http.StatusMisdirectedRequest {
			t.Errorf("%s under another name: %s", base, res.Status)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL()+"/next", strings.NewReader("from=calm"))
	check(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	req.Header.Set("Origin", "https://evil.example")
	res, err := http.DefaultClient.Do(req)
	check(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another page: %s", res.Status)
	}
	if res, _ := get(t, d.URL()+"/step/harvest"); res.Header.Get("Location") != "/" {
		t.Errorf("a step ahead of the story: %s to %q", res.Status, res.Header.Get("Location"))
	}
	if res, _ := get(t, d.URL()+"/open?to=//evil.example/"); res.Header.Get("Location") != "/" {
		t.Errorf("a way out to another host: %q", res.Header.Get("Location"))
	}
	checkCookie(t, d)
	dir := d.Dir()
	if _, err := os.Stat(filepath.Join(dir, "1", "data", "ledger")); err != nil {
		t.Error(err)
	}
	check(t, end())
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", dir, err)
	}
	for _, base := range []string{d.URL(), server, shop} {
		if res, err := http.Get(base + "/"); err == nil {
			res.Body.Close()
			t.Errorf("%s is still served", base)
		}
	}
}

// checkCookie: what lets a visitor in at the server is kept from scripts and other sites, has a name that the shop does not use, and opens nothing there.
func checkCookie(t *testing.T, d *demo.Demo) {
	t.Helper()
	res, _ := get(t, d.URL()+"/open?to=/")
	if len(res.Cookies()) != 1 {
		t.Fatalf("%d cookies", len(res.Cookies()))
	}
	c := res.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Domain != "" || c.Name == shop.Cookie {
		t.Errorf("the cookie %s: HttpOnly %t, SameSite %d, domain %q", c.Name, c.HttpOnly, c.SameSite, c.Domain)
	}
	with := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: name, Value: c.Value}) }
	}
	server, shopPages := d.World()
	if res, _ := get(t, strings.Replace(server, "127.0.0.1", "localhost", 1)+"/", with(c.Name)); res.StatusCode != http.StatusOK {
		t.Errorf("at the server: %s to %q", res.Status, res.Header.Get("Location"))
	}
	if res, _ := get(t, shopPages+"/me", with(shop.Cookie)); res.StatusCode == http.StatusOK {
		t.Errorf("at the shop it opens a customer's page")
	}
}

// TestStopEarly: who stops it while the shop is being opened need not wait for that.
func TestStopEarly(t *testing.T) {
	d, end := start(t, func(c *demo.Config) { c.Customers = 50_000 })
	get(t, d.URL()+"/")
	check(t, end())
	if _, err := os.Stat(d.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", d.Dir(), err)
	}
}

// TestRefused: what cannot work is said before anything is made.
func TestRefused(t *testing.T) {
	full := t.TempDir()
	check(t, os.WriteFile(filepath.Join(full, "x"), nil, 0o600))
	for want, change := range map[string]func(*demo.Config){
		"this machine alone": func(c *demo.Config) { c.Listen = "0.0.0.0:0" },
		"give 100 to":        func(c *demo.Config) { c.Customers = 5 },
		"is not empty":       func(c *demo.Config) { c.Data = full },
	} {
		cfg := demo.Config{Listen: "127.0.0.1:0", Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
		change(&cfg)
		if _, err := demo.Open(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestPages: people are made to come to pages that the shop's catalog knows, and its past says the same of them.
func TestPages(t *testing.T) {
	cat, err := catalog.Parse("catalog.yaml", shop.Catalog())
	check(t, err)
	v := cat.At(time.Now().UnixMilli())
	for route, shows := range demo.Pages() {
		e := v.Route(route)
		if e == nil {
			t.Errorf("the catalog does not know %s", route)
			continue
		}
		for i, have := range [][]string{e.Fields, e.Masked} {
			want := slices.Clone(have)
			slices.Sort(want)
			if !slices.Equal(shows[i], want) {
				t.Errorf("%s shows %v, the catalog says %v", route, shows[i], want)
			}
		}
	}
}

// TestWords: both languages have the same messages with the same values and marks, and every one that the page asks for.
func TestWords(t *testing.T) {
	read := func(lang string) map[string]string {
		data, err := os.ReadFile("words/" + lang + ".json")
		check(t, err)
		var out map[string]string
		check(t, json.Unmarshal(data, &out))
		return out
	}
	en, ko := read("en"), read("ko")
	place := regexp.MustCompile(`\{\d\}`)
	for key, text := range en {
		other, ok := ko[key]
		if !ok || other == "" {
			t.Errorf("ko.json lacks %s", key)
			continue
		}
		a, b := place.FindAllString(text, -1), place.FindAllString(other, -1)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(slices.Compact(a), slices.Compact(b)) {
			t.Errorf("%s takes %v in English and %v in Korean", key, a, b)
		}
		if strings.Count(text, "**") != strings.Count(other, "**") {
			t.Errorf("%s has other marks in Korean", key)
		}
		if strings.Contains(other, "노출") && !strings.HasPrefix(key, "draft.") { // the drafts are what the server refuses
			t.Errorf("%s says exposure for leak", key)
		}
	}
	for key := range ko {
		if _, ok := en[key]; !ok {
			t.Errorf("en.json lacks %s", key)
		}
	}
	asked := regexp.MustCompile(`\.(?:T|N|Rich|NRich|Raw) ?\(?"([a-z0-9_.]+)"`)
	names, err := filepath.Glob("*.go")
	check(t, err)
	more, err := filepath.Glob("templates/*.html")
	check(t, err)
	for _, name := range slices.Concat(names, more) {
		data, err := os.ReadFile(name)
		check(t, err)
		for _, m := range asked.FindAllStringSubmatch(string(data), -1) {
			if key := m[1]; en[key] == "" && !strings.HasSuffix(key, ".") {
				t.Errorf("%s asks for %s, which is not there", name, key)
			}
		}
	}
}

// post sends one of the page's forms.
func post(t *testing.T, d *demo.Demo, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL()+path, strings.NewReader(body))
	check(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	check(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s %s: %s", path, body, res.Status)
	}
}

// until asks for a page until it holds a text.
func until(t *testing.T, d *demo.Demo, step, text string) string {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		_, body := get(t, d.URL()+"/step/"+step)
		if strings.Contains(body, text) {
			tick.Stop()
			return body
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s never showed %q:\n%s", step, text, body)
		}
	}
}

// TestHurry: who goes on in the middle of a harvest has the figures of what there was, and the narrow cut hits nobody honest.
func TestHurry(t *testing.T) {
	d, _ := start(t, func(c *demo.Config) { c.Span = 20 * time.Second })
	ready(t, d)
	post(t, d, "/next", "from=calm")
	until(t, d, "tried", `<a class="btn"`)
	post(t, d, "/next", "from=tried")
	post(t, d, "/next", "from=tried") // pressed twice
	until(t, d, "harvest", "shown: name, e-mail")
	until(t, d, "calm", `<span class="sign">≥</span><b data-count>`) // there too it is at least, while it goes on
	post(t, d, "/next", "from=harvest")
	until(t, d, "guard", "refused: never issued")
	some := len(d.Taken("harvest"))
	if some == 0 || some == 260 {
		t.Errorf("the harvest was not cut short: %d", some)
	}
	post(t, d, "/next", "from=guard")
	until(t, d, "scope", fmt.Sprintf(`<span class="sign">=</span><b data-count>%d</b>`, len(union(d.Taken("tried"), d.Taken("harvest"), d.Taken("guard")))))
	post(t, d, "/next", "from=scope")
	until(t, d, "key", `value="deny"`)
	post(t, d, "/act", "do=deny")
	post(t, d, "/act", "do=kill") // one of them is done
	until(t, d, "key", "<b>12</b> of 12")
	if codes := d.Codes("key"); codes["key_revoked"] > 0 || codes["unissued"]+codes["decision"] != 12 {
		t.Errorf("after the narrow cut the thief was refused for %v", codes)
	}
	if honest, thief := d.Failed(); honest != 0 || thief != 0 {
		t.Errorf("%d requests of honest people and %d of the thief came to nothing", honest, thief)
	}
	if n := d.Refused(); n != 0 {
		t.Errorf("%d honest requests were refused, and nobody ended the key", n)
	}
}

func union(lists ...[]int64) map[int64]bool {
	all := map[int64]bool{}
	for _, l := range lists {
		for _, n := range l {
			all[n] = true
		}
	}
	return all
}

// TestAgainTwice: while a new world is being made, who asks for one gets that one.
func TestAgainTwice(t *testing.T) {
	d, err := demo.Open(demo.Config{Listen: "127.0.0.1:0", Version: "test", Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	check(t, err)
	if d.Again() {
		t.Error("a second world is made after the one that is being made")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check(t, d.Run(ctx)) // ends at once, and removes what was written
}
