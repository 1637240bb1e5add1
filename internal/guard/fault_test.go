package guard_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/guard"
)

// Until it is loaded, and while the ledger cannot be written, each route does what its policy says; then it judges again.
func TestFailModes(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Routes = []guard.RouteConfig{{Route: "GET /me/addresses", Policy: guard.Policy{Fail: guard.FailOpen}}}
	})
	w.complete()
	token := w.issue("jti-1", "7")
	forged := w.token("main", w.claims("forged", "8"))
	open, closed := ask(token), ask(token)
	closed.Path = "/elsewhere"
	w.want(open, guard.Allow, guard.CodeOK)
	w.want(closed, guard.Allow, guard.CodeOK)
	stop := run(t, w.g)
	w.mu.Lock()
	w.full = errGone
	w.mu.Unlock()
	eventually(t, func() bool { return w.g.Ready() != nil })
	eventually(t, func() bool { return len(w.alarms()) == 1 })
	w.want(open, guard.Allow, guard.CodeNoState)
	if d := w.want(closed, guard.Deny, guard.CodeNoState); d.Status() != 503 {
		t.Errorf("answered with %d", d.Status())
	}
	if s := w.g.Status(); s.Ready || len(s.Trouble) == 0 {
		t.Errorf("the status says %+v", s)
	}
	w.mu.Lock()
	w.full = nil
	w.mu.Unlock()
	eventually(t, func() bool { return w.g.Ready() == nil })
	eventually(t, func() bool { return len(w.alarms()) == 2 })
	w.want(closed, guard.Allow, guard.CodeOK)
	w.want(ask(forged), guard.Deny, guard.CodeUnissued)
	stop()
	// What was decided meanwhile is on record.
	n := int64(len(w.decisions("request")))
	for _, r := range w.decisions("requests") {
		n += r.Ref.Count
	}
	if n != 6 {
		t.Errorf("%d decisions are on record, want 6", n)
	}
}

// What passes unconfirmed is on record first; what cannot be recorded does not pass.
func TestUnconfirmedIsRecordedFirst(t *testing.T) {
	w := newWorld(t)
	w.lossy("main")
	w.mu.Lock()
	w.full = errGone
	w.mu.Unlock()
	token := w.token("main", w.claims("a", "7"))
	for range 2 { // a place that is not on record lets nobody pass, the second time neither
		w.want(ask(token), guard.Deny, guard.CodeUnissued)
	}
	w.mu.Lock()
	w.full = nil
	w.mu.Unlock()
	for range 2 {
		w.want(ask(token), guard.Allow, guard.CodeUnconfirmed)
	}
	if n := len(w.decisions("jwt")); n != 1 {
		t.Errorf("it is on record %d times", n)
	}
}

// TestStandingOutlivesTheProcess: what was decided holds after a restart, what was undone does not, and where state.db is lost the ledger
// says both.
func TestStandingOutlivesTheProcess(t *testing.T) {
	w := newWorld(t)
	w.complete()
	seven, eight, nine := w.issue("c7", "7"), w.issue("c8", "8"), w.issue("c9", "9")
	deny := func(principal string, life time.Duration) *guard.Standing {
		s, err := w.g.Book().Add(t.Context(), guard.Standing{
			Action: guard.Deny, Filter: whosaw.Filter{{Principal: []string{principal}}}, Reason: "test", Who: "staff:kim",
		}, life)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	stays := deny("customer:7", 48*time.Hour)
	undone := deny("customer:8", 48*time.Hour)
	deny("customer:9", time.Hour)
	w.want(ask(seven), guard.Deny, guard.CodeStanding)
	w.want(ask(eight), guard.Deny, guard.CodeStanding)
	w.want(ask(nine), guard.Deny, guard.CodeStanding)
	if _, err := w.g.Book().Undo(t.Context(), undone.ID, "staff:kim", "a mistake"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.g.Book().Undo(t.Context(), undone.ID, "staff:kim", "again"); err == nil {
		t.Error("undone twice")
	}
	holds := func(when string) {
		t.Helper()
		t.Log(when)
		if d := w.want(ask(seven), guard.Deny, guard.CodeStanding); d.Reasons[0].Decision != stays.ID {
			t.Errorf("because of %+v", d.Reasons)
		}
		w.want(ask(eight), guard.Allow, guard.CodeOK)
	}
	holds("at once")
	w.want(ask(nine), guard.Deny, guard.CodeStanding)
	w.open() // killed before anything was in the ledger
	holds("after a restart")
	run(t, w.g)()
	if n := len(w.decisions("standing")); n != 4 {
		t.Errorf("%d records of standing decisions, want three made and one undone", n)
	}
	w.open()
	run(t, w.g)()
	if n := len(w.decisions("standing")); n != 4 {
		t.Errorf("%d records of standing decisions after another start: they are written once", n)
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state.db", "state.db-wal", "state.db-shm"} {
		_ = os.Remove(filepath.Join(w.dir, name)) // the last two go with the first
	}
	w.db = nil
	w.open()
	holds("after state.db was lost")
	w.advance(2 * time.Hour)
	w.want(ask(w.issue("c9b", "9")), guard.Allow, guard.CodeOK) // expired
	w.advance(48 * time.Hour)
	w.want(ask(w.issue("c7b", "7")), guard.Allow, guard.CodeOK)
}

// A finding becomes a decision once, whatever became of it; one that was judged false is undone.
func TestFindings(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Findings = []guard.FindingConfig{{Detector: "unissued", Action: guard.Deny, For: 24 * time.Hour}}
	})
	no := false
	f := whosaw.Finding{ID: "f1", Detector: "unissued", Seen: whosaw.Time(w.now().UnixMilli()), Filter: whosaw.Filter{{Key: []string{"main"}, Issued: &no}}}
	other := f
	other.ID, other.Detector = "f2", "spreader"
	old := f
	old.ID, old.Seen = "f3", whosaw.Time(w.now().Add(-48*time.Hour).UnixMilli())
	shown := f
	shown.ID, shown.Filter = "f4", whosaw.Filter{{Field: []string{"phone"}}} // cannot be held against a request
	raise := func() {
		if err := w.g.Raise(t.Context(), []whosaw.Finding{f, other, old, shown}); err != nil {
			t.Fatal(err)
		}
	}
	raise()
	raise()
	if n := len(w.g.Book().Holding()); n != 1 {
		t.Fatalf("%d decisions", n)
	}
	forged := w.token("main", w.claims("forged", "8"))
	d := w.want(ask(forged), guard.Deny, guard.CodeStanding)
	if d.Reasons[0].Finding != "f1" {
		t.Errorf("because of %+v", d.Reasons)
	}
	w.want(ask(w.issue("ok", "7")), guard.Allow, guard.CodeOK) // the cut is the narrow one
	if err := w.g.Judged(t.Context(), "f1", "false", "staff:kim"); err != nil {
		t.Fatal(err)
	}
	w.open()
	raise() // as after a restart
	if n := len(w.g.Book().Holding()); n != 0 {
		t.Errorf("%d decisions hold after the finding was judged false", n)
	}
}

// A book that is full holds nobody up: a finding that no place is left for is told like others, and the detectors go on.
func TestFindingsWhereTheBookIsFull(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Findings = []guard.FindingConfig{{Detector: "*", Action: guard.Deny, For: 24 * time.Hour}}
	})
	w.g.Book().Fill()
	f := whosaw.Finding{ID: "f1", Detector: "unissued", Seen: whosaw.Time(w.now().UnixMilli()), Filter: whosaw.Filter{{Credential: []string{"c"}}}}
	if err := w.g.Raise(t.Context(), []whosaw.Finding{f}); err != nil {
		t.Errorf("raised: %v", err)
	}
	if err := w.g.Grow(t.Context(), &f, 7); err != nil {
		t.Errorf("grown: %v", err)
	}
	if _, err := w.g.Book().Add(t.Context(), guard.Standing{Action: guard.Deny, Filter: f.Filter, Reason: "by hand"}, time.Hour); !errors.Is(err, guard.ErrFull) {
		t.Errorf("a person is told: %v", err)
	}
}

// A finding whose filter is a whole key would log everybody out: only a configuration that names its detector does that. Where a finding spreads,
// the decision does too, and all of it is undone when it is judged false.
func TestFindingsOfAWholeKey(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Findings = []guard.FindingConfig{{Detector: "*", Action: guard.Deny, For: 24 * time.Hour}, {Detector: "key_state", Action: guard.Deny, For: 24 * time.Hour}}
	})
	no := false
	f := whosaw.Finding{ID: "f1", Detector: "nonexistent", Seen: whosaw.Time(w.now().UnixMilli())}
	f.Filter = whosaw.Filter{{Key: []string{"main"}, Explained: &no, Outcome: []string{"disclosed", "absent"}}}
	named := f
	named.ID, named.Detector = "f2", "key_state"
	absent := f
	absent.ID, absent.Filter = "f3", whosaw.Filter{{Key: []string{"main"}, Explained: &no, AgentClass: []string{"library:curl"}}}
	if err := w.g.Raise(t.Context(), []whosaw.Finding{f, absent}); err != nil {
		t.Fatal(err)
	}
	if n := len(w.g.Book().Holding()); n != 1 {
		t.Fatalf("%d decisions, want the one that tells the accused from the others", n)
	}
	spread := absent
	spread.Filter = whosaw.Filter{{IP: []string{"198.51.100.0/24"}}}
	for range 2 { // as after a crash
		if err := w.g.Grow(t.Context(), &spread, 4711); err != nil {
			t.Fatal(err)
		}
	}
	more := absent
	more.Filter = nil
	if err := w.g.Grow(t.Context(), &more, 4712); err != nil {
		t.Fatal(err)
	}
	if n := len(w.g.Book().Holding()); n != 2 {
		t.Fatalf("%d decisions, want one more for the place to which it spread", n)
	}
	q := ask(w.issue("a", "7"))
	q.IP = netip.MustParseAddr("198.51.100.9")
	w.want(q, guard.Deny, guard.CodeStanding)
	if err := w.g.Judged(t.Context(), "f3", "false", "staff:kim"); err != nil {
		t.Fatal(err)
	}
	w.want(q, guard.Allow, guard.CodeOK)
	if err := w.g.Raise(t.Context(), []whosaw.Finding{named}); err != nil {
		t.Fatal(err)
	}
	w.want(ask(w.issue("b", "7")), guard.Allow, guard.CodeOK) // a customer's own issued session is explained
	if n := len(w.g.Book().Holding()); n != 1 {
		t.Errorf("%d decisions, want the one whose detector is named", n)
	}
}

// TestKeysFromURL: discovery, rotation, a server that fails, keys that are another issuer's.
func TestKeysFromURL(t *testing.T) {
	w := newWorld(t)
	var down atomic.Bool
	var asked atomic.Int64
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	defer server.Close()
	mux.HandleFunc("/.well-known/openid-configuration", func(rw http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(rw, `{"issuer":%q,"jwks_uri":%q}`, server.URL, server.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if down.Load() {
			http.Error(rw, "down", http.StatusBadGateway)
			return
		}
		http.ServeFile(rw, r, filepath.Join(w.dir, "jwks.json"))
	})
	w.cfg.Tokens.Issuers = []guard.Issuer{{Issuer: server.URL, Discovery: true, Algorithms: []string{"ES256"}}}
	if faults := w.cfg.Check(); len(faults) > 0 {
		t.Fatal(faults)
	}
	sign := func(kid, jti string) guard.Secret {
		c := w.claims(jti, "7")
		c["iss"] = server.URL
		return w.token(kid, c)
	}
	down.Store(true)
	w.open()
	d := w.want(ask(sign("main", "a")), guard.Deny, guard.CodeUnverifiable) // the fail mode
	if d.Status() != 503 || len(w.g.Status().Trouble) == 0 {
		t.Errorf("answered with %d; trouble %v", d.Status(), w.g.Status().Trouble)
	}
	down.Store(false)
	w.advance(11 * time.Second)
	w.want(ask(sign("main", "a")), guard.Allow, guard.CodeOK)
	w.addKey("next")
	w.want(ask(sign("next", "b")), guard.Deny, guard.CodeUnknownKey)
	was := asked.Load()
	for i := range 50 { // a flood of made-up key ids asks no more often
		w.keys["made-up"] = w.keys["main"]
		w.want(ask(sign("made-up", fmt.Sprint(i))), guard.Deny, guard.CodeUnknownKey)
		delete(w.keys, "made-up")
	}
	if n := asked.Load() - was; n > 1 {
		t.Errorf("made-up key ids were asked about %d times", n)
	}
	w.advance(11 * time.Second)
	w.want(ask(sign("next", "b")), guard.Allow, guard.CodeOK)
	down.Store(true)
	w.advance(30 * time.Minute)
	w.want(ask(sign("main", "c")), guard.Allow, guard.CodeOK) // known keys hold for an hour
	w.advance(time.Hour)
	w.want(ask(sign("main", "d")), guard.Deny, guard.CodeUnverifiable)
}

// TestIntrospection: who asks, what is remembered, what a server that fails means.
func TestIntrospection(t *testing.T) {
	w := newWorld(t)
	var asked atomic.Int64
	var down, revoked atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		id, secret, _ := r.BasicAuth()
		if down.Load() || r.Method != http.MethodPost || id != "guard" || secret != "s3cret" {
			http.Error(rw, "no", http.StatusUnauthorized)
			return
		}
		answer := map[string]any{"active": false}
		if r.FormValue("token") == "opq_good" && !revoked.Load() {
			answer = map[string]any{"active": true, "sub": "7", "client_id": "app", "exp": w.now().Unix() + 3600}
		}
		_ = json.NewEncoder(rw).Encode(answer)
	}))
	defer server.Close()
	if err := os.WriteFile(filepath.Join(w.dir, "secret"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.cfg.Tokens.Introspection = []guard.Introspection{{
		URL: server.URL, Client: "guard", SecretFile: filepath.Join(w.dir, "secret"), Prefix: "opq_", Remember: 10 * time.Second,
	}}
	w.open()
	w.advance(0)
	for range 3 {
		d := w.want(ask("opq_good"), guard.Allow, guard.CodeOK)
		if d.Identity.Principal != "customer:7" || d.Identity.Client != "app" || d.Identity.Scheme != guard.SchemeOpaque {
			t.Errorf("identity %+v", d.Identity)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times within the time an answer is remembered", n)
	}
	w.want(ask("opq_bad"), guard.Deny, guard.CodeInactive)
	w.want(ask("other"), guard.Deny, guard.CodeMalformed)
	revoked.Store(true)
	w.advance(11 * time.Second)
	w.want(ask("opq_good"), guard.Deny, guard.CodeInactive)
	down.Store(true)
	if d := w.want(ask("opq_good"), guard.Deny, guard.CodeUnverifiable); d.Status() != 503 {
		t.Errorf("answered with %d", d.Status())
	}
}

// What strangers write keeps nobody's decision from being written.
func TestHostileRequestsAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.complete()
	token := w.issue("jti-1", "7")
	stop := run(t, w.g)
	n := int64(0)
	for _, change := range []func(*guard.Request){
		func(q *guard.Request) { q.Agent = "\xff\xfe bad bytes" },
		func(q *guard.Request) { q.Agent = strings.Repeat("\u00e9", 400) }, // is cut within a letter
		func(q *guard.Request) { q.IP = netip.MustParseAddr("fe80::1%eth0") },
		func(q *guard.Request) { q.Country = "nowhere" },
		func(q *guard.Request) { q.Country = "??" },
		func(q *guard.Request) { q.ID = "\x00\xc3\x28" },
		func(q *guard.Request) { q.Path = "/me/%ff%fe?id=%c3%28" },
		func(q *guard.Request) { q.Subjects = []string{"", "\xff", strings.Repeat("7", 300), "7"} },
		func(q *guard.Request) { q.Route, q.Path = "GET /\xff", "" },
		func(q *guard.Request) { q.Method = "\xff" },
		func(q *guard.Request) { q.TLS = strings.Repeat("\xff", 600) },
	} {
		for _, credential := range []guard.Secret{token, w.token("main", w.claims("forged", "8")), "\xff\xff"} {
			q := ask(credential)
			change(q)
			w.g.Decide(t.Context(), q)
			n++
		}
	}
	stop()
	got := int64(len(w.decisions("request")))
	for _, r := range w.decisions("requests") {
		got += r.Ref.Count
	}
	if got != n || w.g.Status().Lost != 0 {
		t.Errorf("%d of %d decisions are on record", got, n)
	}
}

// A key file that cannot be understood stays trouble until it can, and what was known of it holds for an hour, as where keys cannot be fetched.
func TestKeyFileThatIsBroken(t *testing.T) {
	w := newWorld(t)
	w.advance(0)
	w.want(ask(w.token("main", w.claims("a", "7"))), guard.Allow, guard.CodeOK)
	file := filepath.Join(w.dir, "jwks.json")
	if err := os.WriteFile(file, []byte(`{"keys":[`), 0o600); err != nil {
		t.Fatal(err)
	}
	w.keys["other"] = w.keys["main"]
	for i := range 3 {
		w.advance(11 * time.Second)
		w.want(ask(w.token("other", w.claims(fmt.Sprint("b", i), "7"))), guard.Deny, guard.CodeUnknownKey)
		if len(w.g.Status().Trouble) == 0 {
			t.Errorf("the %d. look: nobody is told that the file is broken", i+1)
		}
	}
	w.advance(time.Hour)
	w.want(ask(w.token("main", w.claims("c", "7"))), guard.Deny, guard.CodeUnverifiable)
	w.publish()
	w.advance(11 * time.Second)
	w.want(ask(w.token("other", w.claims("d", "7"))), guard.Allow, guard.CodeOK)
	if trouble := w.g.Status().Trouble; len(trouble) != 0 {
		t.Errorf("it was mended, and yet: %v", trouble)
	}
}

// Who comes with a key that is not known and goes at once does not keep it from being fetched for the others.
func TestKeysAreFetchedForAll(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewServer(http.FileServer(http.Dir(w.dir)))
	defer server.Close()
	w.cfg.Tokens.Issuers = []guard.Issuer{{Issuer: issuerName, JWKSURL: server.URL + "/jwks.json", Algorithms: []string{"ES256"}}}
	w.open()
	w.want(ask(w.token("main", w.claims("a", "7"))), guard.Allow, guard.CodeOK)
	w.advance(11 * time.Second)
	w.addKey("next")
	gone, cancel := contextOf(t)
	cancel()
	w.g.Decide(gone, ask(w.token("next", w.claims("b", "7"))))
	w.want(ask(w.token("next", w.claims("b", "7"))), guard.Allow, guard.CodeOK)
}
