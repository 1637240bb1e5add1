package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// withGuard gives a server a guard that takes session ids, with a door that asks and one that reads the feed.
func withGuard(t *testing.T, change ...func(*guard.Config)) func(*api.Config) {
	return func(c *api.Config) {
		cfg := guard.Default()
		cfg.Mode = guard.ModeEnforce
		cfg.Doors = []guard.DoorConfig{
			{Name: "app", Kind: guard.KindDecide}, {Name: "edge", Kind: guard.KindFeed, StandingOnly: true}, {Name: "mid", Kind: guard.KindMiddleware},
			{Name: "gw", Kind: guard.KindNginx, Listen: "127.0.0.1:0"},
		}
		cfg.Tokens.Sessions.Enabled = true
		cfg.Unconfirmed.Wait, cfg.Unconfirmed.Pass = 0, 0
		for _, fn := range change {
			fn(&cfg)
		}
		if faults := cfg.Check(); len(faults) > 0 {
			t.Fatal(faults)
		}
		db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
		check(t, err)
		t.Cleanup(func() { db.Close() })
		c.Guard, err = guard.New(t.Context(), guard.Options{
			Config: cfg, Catalog: catalog.Rules(), DB: db, Write: c.Live.WriteAll, Logger: c.Logger, Now: c.Now,
		})
		check(t, err)
		view, err := c.Live.Ledger().View(0)
		check(t, err)
		check(t, c.Guard.Load(t.Context(), view, 0))
		check(t, view.Close())
	}
}

// guarded asks everything that can be asked of the guard.
func (w *world) guarded(ingest, admin string) {
	t := w.t
	const honest, forged = "an-honest-session-id-0001", "a-session-id-somebody-made-up"
	a := w.ask(ingest, "POST", "/v1/records", fmt.Sprintf(`{"type":"issuance","time":%d,"credential":%q,"subject":"7"}`, int64(now), honest)+"\n")
	if a.status != 200 {
		t.Fatalf("issuance: %d %s", a.status, a.body)
	}
	decide := func(session string) (d struct{ Action, Would string }) {
		a := w.ask(ingest, "POST", "/v1/decide", fmt.Sprintf(`{"door":"app","request":"r1","method":"GET","path":"/me","ip":"203.0.113.7","credential":%q}`, session))
		a.decode(t, &d)
		if strings.Contains(a.body, session) {
			t.Error("the answer repeats the credential")
		}
		return d
	}
	if d := decide(honest); d.Action != "allow" {
		t.Errorf("an issued session: %+v", d)
	}
	if d := decide(forged); d.Action != "deny" {
		t.Errorf("a session that nobody issued: %+v", d)
	}
	var many struct{ Decisions []struct{ Action string } }
	b := w.ask(ingest, "POST", "/v1/decide", fmt.Sprintf(`{"door":"app","requests":[{"method":"GET","path":"/me","credential":%q},{"method":"GET","path":"/me","credential":%q}]}`, honest, forged))
	b.decode(t, &many)
	if len(many.Decisions) != 2 || many.Decisions[0].Action != "allow" || many.Decisions[1].Action != "deny" {
		t.Errorf("two at once: %s", b.body)
	}
	w.ask(ingest, "POST", "/v1/decide/answer", fmt.Sprintf(`{"door":"mid","route":"GET /me","credential":%q,"subjects":["7"],"fields":["name"],"status":200}`, honest))
	w.ask(admin, "GET", "/v1/guard", "")
	if a := w.ask(admin, "POST", "/v1/guard/mode", `{"mode":"enforce","reason":"it is so already"}`); a.status != 200 || !strings.Contains(a.body, `"configured":"enforce"`) {
		t.Errorf("mode: %d %s", a.status, a.body)
	}
	if a := w.ask(admin, "POST", "/v1/guard/mode", `{"mode":"shadow","reason":"a feed door cannot"}`); a.status != 400 {
		t.Errorf("a mode that a door cannot do: %d %s", a.status, a.body)
	}
	if a := w.ask(ingest, "POST", "/v1/guard/mode", `{"mode":"enforce","reason":"x"}`); a.status != 403 {
		t.Errorf("a sender switched the mode: %d %s", a.status, a.body)
	}
	const spec = `{"action":"deny","filter":{"key":["backup"]},"reason":"stolen","for":"24h"`
	var p api.Preview
	a = w.ask(admin, "POST", "/v1/guard/decisions", spec+`,"days":366,"dry_run":true}`)
	a.decode(t, &p)
	if p.All.Accesses == 0 || p.All.Accesses != p.Issued.Accesses+p.Unissued.Accesses || p.Decision != nil {
		t.Errorf("preview: %s", a.body)
	}
	var made struct{ ID string }
	a = w.ask(admin, "POST", "/v1/guard/decisions", spec+"}")
	a.decode(t, &made)
	if a.status != 201 || made.ID == "" {
		t.Fatalf("decision: %d %s", a.status, a.body)
	}
	w.ask(admin, "GET", "/v1/guard/decisions", "")
	w.feed(ingest, made.ID)
	w.ask(admin, "POST", "/v1/guard/decisions/"+made.ID+"/undo", `{"reason":"it was a drill"}`)
	a = w.ask(admin, "GET", "/v1/guard/decisions?all=true", "")
	if !strings.Contains(a.body, "it was a drill") {
		t.Errorf("what was undone is not listed: %s", a.body)
	}
}

// feed reads the feed's first event.
func (w *world) feed(secret, id string) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", w.public.URL+"/v1/guard/feed", nil)
	check(w.t, err)
	req.Header.Set("Authorization", "Bearer "+secret)
	res, err := http.DefaultClient.Do(req)
	check(w.t, err)
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var all struct{ Decisions []struct{ ID string } }
			check(w.t, json.Unmarshal([]byte(data), &all))
			if len(all.Decisions) != 1 || all.Decisions[0].ID != id {
				w.t.Errorf("the feed begins with %s", data)
			}
			break
		}
	}
	w.seen["guardFeed"] = res.StatusCode == 200 && strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream")
}

// What cannot be asked is refused with a cure, and changes nothing.
func TestBadGuardQuestions(t *testing.T) {
	w := newWorld(t, withGuard(t))
	ingest := w.token(auth.Spec{Name: "gw", Role: auth.RoleIngest})
	admin := w.token(auth.Spec{Name: "boss", Role: auth.RoleAdmin})
	for _, c := range []struct{ secret, path, body, want string }{
		{ingest, "/v1/decide", `{"door":"nobody","method":"GET","path":"/me"}`, "no door of that name"},
		{ingest, "/v1/decide", `{"method":"GET","path":"/me"}`, "no door of that name"},
		{ingest, "/v1/decide", `{"door":"gw","method":"GET","path":"/me"}`, "does not ask here"},
		{ingest, "/v1/decide", `{"door":"edge","requests":[{"door":"app"},{}]}`, "does not ask here"},
		{ingest, "/v1/decide", `{"door":"app","token":"x"}`, "member that is not known"},
		{admin, "/v1/guard/decisions", `{"action":"deny","filter":{},"reason":"x","for":"1h"}`, "an empty term covers every request"},
		{admin, "/v1/guard/decisions", `{"action":"deny","filter":{"key":["a"]},"reason":"","for":"1h"}`, "say why"},
		{admin, "/v1/guard/decisions", `{"action":"deny","filter":{"key":["a"]},"reason":"x","for":"0s"}`, "every decision expires"},
		{admin, "/v1/guard/decisions", `{"action":"deny","filter":{"key":["a"]},"reason":"x","for":"soon"}`, "no length of time"},
		{admin, "/v1/guard/decisions", `{"action":"allow","filter":{"key":["a"]},"reason":"x","for":"1h"}`, "give mask, step_up, throttle or deny"},
		{admin, "/v1/guard/decisions", `{"action":"mask","filter":{"key":["a"]},"reason":"x","for":"1h"}`, "cannot be enforced at door app"},
		{admin, "/v1/guard/decisions", `{"action":"deny","filter":{"asn":[4766]},"reason":"x","for":"1h"}`, "does not tell asn"},
		{admin, "/v1/guard/decisions", `{"action":"deny","filter":{"key":["a"],"issued":false},"reason":"x","for":"1h"}`, "door edge is of kind feed"},
		{admin, "/v1/guard/decisions", `{"action":"deny","filter":{"status":[200]},"reason":"x","for":"1h"}`, "not known before the answer"},
		{admin, "/v1/guard/decisions/none/undo", `{"reason":"x"}`, "no such decision"},
	} {
		a := w.ask(c.secret, "POST", c.path, c.body)
		if a.status < 400 || a.status >= 500 || !strings.Contains(a.body, c.want) {
			t.Errorf("%s %s: %d %s, want something with %q", c.path, c.body, a.status, a.body, c.want)
		}
	}
	if n := len(w.guard.Book().Holding()); n != 0 {
		t.Errorf("%d decisions hold", n)
	}
}

// Without a guard its paths say how to have one.
func TestGuardOff(t *testing.T) {
	w := newWorld(t)
	admin := w.token(auth.Spec{Name: "boss", Role: auth.RoleAdmin})
	if a := w.ask(admin, "GET", "/v1/guard", ""); a.status != 409 || !strings.Contains(a.body, "guard.mode") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
