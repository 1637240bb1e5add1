package console_test

import (
	"bufio"
	"database/sql"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// evil is what a log may hold in any of its members.
const evil = `<script>window.hacked=1</script>"'><img src=x onerror=hacked=1>{{.}}` + "\u202e\x1b[31m"

// TestHostileEverywhere puts it into every member of records and findings that a page shows.
func TestHostileEverywhere(t *testing.T) {
	s := newSite(t)
	now := s.now().UnixMilli()
	list := []whosaw.Record{{
		Time: now - 60_000, Source: evil, Position: 1, Realm: evil, Route: evil, Status: 200, Fields: []string{"name"}, Subjects: []string{evil}, Principal: "staff:" + evil, Key: evil,
		Client: evil, Agent: evil, TLS: evil, Reason: evil, Credential: "c",
	}, {Time: now - 50_000, Source: evil, Position: 2, Route: "GET " + evil, Status: 200, Fields: []string{"name"}, Subjects: []string{"7"}, Key: evil}}
	s.take(evil, list)
	_, err := s.alarms.Raise(t.Context(), alarm.Raised{Sequence: 1, Finding: whosaw.Finding{
		ID: "evil", Time: whosaw.Time(now - 50_000), Seen: whosaw.Time(now - 50_000), Detector: evil, Unit: "key:" + evil, Says: evil, Technique: evil,
		Filter: whosaw.Filter{{Key: []string{evil}}}, Statistic: 30, Threshold: 26,
	}})
	check(t, err)
	b := s.open()
	b.look(1440, false)
	calm := func(name string) {
		t.Helper()
		b.Wait(`document.body.dataset.ready`)
		hacked := b.Is(`window.hacked === 1 || !!document.querySelector("main img")`)
		if hacked {
			t.Errorf("%s runs what a log says", name)
		}
		raw := b.Is(`/[\u202e\u001b]/.test(document.body.innerText)`)
		if raw {
			t.Errorf("%s shows characters that draw over others", name)
		}
		b.clean("hostile-" + name)
	}
	b.Visit("/")
	b.Shows("F-1")
	calm("now")
	b.Visit("/findings")
	b.Shows("F-1")
	calm("findings")
	b.Visit("/findings/1")
	b.Shows("Origin")
	b.Shows("What they saw")
	calm("finding")
	b.Key("s")
	b.Shows("1 – 2 of")
	b.Shows("Counted in")
	calm("scope")
	b.Visit("/scope")
	b.Shows("every access")
	b.Shows("1 – 2 of")
	b.Click(`//section[@id="narrow"]//button[contains(., "script")]`)
	b.Shows("Counted in")
	b.Wait(`document.querySelector(".chip")`)
	b.Click(`#list tbody button`)
	b.Shows("Subject ")
	calm("subject")
	b.Visit("/server")
	b.Shows("Detectors")
	calm("server")
}

// TestLost: when the server goes, the plate is Blind, within seconds, and it is said how long nothing was heard.
func TestLost(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 1, busy: 2})
	b := s.open()
	b.look(1440, false)
	b.Visit("/")
	b.Shows("Quiet")
	b.Wait(`document.body.dataset.ready`)
	s.stop()
	b.Shows("Not connected for ")
	b.Shows("We cannot see: the server is not connected")
	b.Wait(`document.body.dataset.level === "blind" && document.title.startsWith("Blind")`)
	b.Wait(`document.getElementById("plate").innerText.includes("not connected")`)
	b.clean("now-lost")
}

// TestLostInHarvest: then too what the buttons say that need the server can be read. The page is grey by a filter, through which axe-core does not look.
func TestLostInHarvest(t *testing.T) {
	guard := &stopper{}
	s := newSite(t, func(c *console.Config) { c.Contain, guard.now = guard, c.Now })
	s.tell(story{days: 1, busy: 2, theft: 5 * time.Minute, pace: time.Second})
	b := s.open()
	b.look(1440, false)
	b.Visit("/")
	b.Shows("Contain: preview first")
	b.Wait(`document.body.dataset.ready`)
	s.stop()
	b.Shows("We cannot see: the server is not connected")
	for _, dark := range []bool{false, true} {
		b.look(1440, dark)
		if low := b.Eval(`(() => {
			const light = c => { const [r, g, b] = c.match(/[\d.]+/g).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b + .05; };
			const ratio = e => { const s = getComputedStyle(e), a = light(s.color), b = light(s.backgroundColor); return Math.max(a, b) / Math.min(a, b); };
			return [...document.querySelectorAll("main .needs")].filter(e => ratio(e) < 4.5).map(e => e.innerText + " " + ratio(e)).join("; ") || (document.querySelector("main .needs") ? "" : "there is none");
		})()`); low != "" {
			t.Errorf("dark %v: a button cannot be read: %s", dark, low)
		}
	}
}

// TestRights: who may only read sees the pages and changes nothing.
func TestRights(t *testing.T) {
	var db *sqlite.DB
	s := newSite(t, func(c *console.Config) { db = c.State })
	s.tell(story{days: 1, busy: 2, theft: 5 * time.Minute, pace: time.Second})
	for _, path := range []string{"/", "/live", "/findings", "/findings/1", "/findings/1/figures", "/scope", "/subject", "/server", "/settings"} {
		res, text := s.page("GET", path, nil, "login-2024-b", "Detectors")
		if res.StatusCode == 200 && !strings.HasSuffix(res.Request.URL.Path, "/login") {
			t.Errorf("%s without a session: %d\n%s", path, res.StatusCode, text[:min(300, len(text))])
		}
	}
	s.signIn()
	for _, path := range []string{"/findings/1/take", "/findings/1/verdict", "/findings/1/contain", "/scope/x/edit", "/scope/x/save", "/scope/x/export", "/scope/x/why", "/subject", "/prefs", "/tokens"} {
		req, err := http.NewRequest("POST", s.url+path, strings.NewReader("verdict=false&reason=x"))
		check(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "cross-site")
		req.Header.Set("Origin", "https://evil.example")
		res, err := s.client.Do(req)
		check(t, err)
		res.Body.Close()
		if res.StatusCode != 403 {
			t.Errorf("%s from another page: %d", path, res.StatusCode)
		}
	}
	req, err := http.NewRequest("GET", s.url+"/findings/1", nil)
	check(t, err)
	req.Host = "evil.example"
	res, err := s.client.Do(req)
	check(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("under another name: %d", res.StatusCode)
	}
	check(t, db.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`UPDATE session SET role = 'read'`)
		return err
	}))
	scope, text := s.page("GET", "/scope", nil)
	if scope.StatusCode != 200 || strings.Contains(text, "/save") {
		t.Errorf("a reader's scope: %d", scope.StatusCode)
	}
	if _, text := s.page("GET", "/findings/1", nil); strings.Contains(text, "/verdict") || strings.Contains(text, "/take") {
		t.Error("a reader is offered to judge")
	}
	for path, form := range map[string]url.Values{
		"/findings/1/take": nil, "/findings/1/verdict": {"verdict": {"false"}, "reason": {"x"}}, "/findings/1/contain": {"cut": {"unissued"}},
		scope.Request.URL.Path + "/save": {"name": {"x"}, "note": {"x"}}, "/keys/act": {"id": {"login-2024-b"}, "do": {"kill"}, "reason": {"x"}},
	} {
		if res, _ := s.page("POST", path, form); res.StatusCode != 403 {
			t.Errorf("a reader's %s: %d", path, res.StatusCode)
		}
	}
	out, err := s.post(scope.Request.URL.Path+"/export", url.Values{"form": {"csv"}})
	check(t, err)
	out.Body.Close()
	if out.StatusCode != 200 {
		t.Errorf("a reader's export: %d", out.StatusCode)
	}
	for _, back := range []string{"//evil.example", "https://evil.example", "/\\evil.example", "javascript:x"} {
		res, err := s.post("/prefs", url.Values{"theme": {"dark"}, "back": {back}})
		check(t, err)
		res.Body.Close()
		if res.Request.URL.Host != strings.TrimPrefix(s.url, "http://") {
			t.Errorf("going back to %q leads to %s", back, res.Request.URL)
		}
	}
}

// TestManyWatch: two hundred who watch get figures, and one that does not read holds up nobody.
func TestManyWatch(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 1, busy: 2})
	s.signIn()
	var wg sync.WaitGroup
	failed := make(chan error, 200)
	for range 200 {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/live?page=now", nil)
			if err != nil {
				failed <- err
				return
			}
			res, err := s.client.Do(req)
			if err != nil {
				failed <- err
				return
			}
			defer res.Body.Close()
			in := bufio.NewScanner(res.Body)
			in.Buffer(nil, 1<<20)
			events := 0
			for in.Scan() && events < 2 {
				if in.Text() == "" {
					events++
				}
			}
			if events < 2 {
				failed <- fmt.Errorf("%d events, %v", events, in.Err())
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	began := time.Now()
	s.take("gateway-2", []whosaw.Record{{Time: s.now().UnixMilli(), Source: "gateway-2", Position: 1, Route: "GET /me", Status: 200, Fields: meFields, Subjects: []string{"1"}}})
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("a record took %v while 200 watched", d)
	}
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatal("some who watch were told nothing")
	}
	close(failed)
	for err := range failed {
		t.Error(err)
	}
}

// TestSettings: the look and the letters are kept in the browser, and hold.
func TestSettings(t *testing.T) {
	s := newSite(t)
	b := s.open()
	b.look(1440, false)
	b.Visit("/settings")
	b.clean("settings-light")
	b.Click(`button[value=dark]`)
	b.Wait(`document.documentElement.dataset.theme === "dark"`)
	b.clean("settings-dark")
	b.Key("?")
	b.Wait(`document.getElementById("keys").open`)
	b.clean("keys-dialog")
	b.Click(`#keys button`)
	b.Click(`button[name=letters][value=off]`)
	b.Wait(`document.body.dataset.letters === "off"`)
	b.Key("f")
	path := b.Eval(`location.pathname`)
	if path != "/settings" {
		t.Errorf("with letters off, f leads to %s", path)
	}
	b.Click(`button[value=ko].btn`)
	b.Shows("설정")
	b.Visit("/")
	b.Shows("지금")
	b.clean("now-ko", "노출")
}

// TestLanguage: Accept-Language chooses, a language that is not there is passed over.
func TestLanguage(t *testing.T) {
	s := newSite(t)
	s.signIn()
	for accept, want := range map[string]string{"ko-KR,ko;q=0.9,en;q=0.8": "ko", "fr,en;q=0.5": "en", "": "en", "de;q=0.9,ko;q=0.4": "ko", "ko;q=x": "en"} {
		req, err := http.NewRequest("GET", s.url+"/settings", nil)
		check(t, err)
		req.Header.Set("Accept-Language", accept)
		res, err := s.client.Do(req)
		check(t, err)
		body := make([]byte, 64)
		n, err := res.Body.Read(body)
		if err != nil && n == 0 {
			t.Fatal(err)
		}
		res.Body.Close()
		if !strings.Contains(string(body), `lang="`+want+`"`) {
			t.Errorf("for %q: %s", accept, body)
		}
	}
}
