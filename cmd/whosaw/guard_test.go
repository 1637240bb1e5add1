package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/rules"
)

// guardConfig is a server whose guard takes session ids, with a door on a socket of its own.
func guardConfig(socket, more string) string {
	return fmt.Sprintf(`guard:
  mode: enforce
  doors:
    - {name: app, kind: decide, listen: "unix:%s"}
  tokens:
    sessions: {enabled: true}
  unconfirmed: {wait: 0s, pass: 0}
%s`, socket, more)
}

// doorClient asks a door on a socket.
func doorClient(socket string) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
}

type decided struct {
	Action  string
	Status  int
	Reasons []struct{ Code string }
}

func askDoor(c *http.Client, session, path string) (d decided, err error) {
	body := fmt.Appendf(nil, `{"method":"GET","path":%q,"credential":%q,"ip":"203.0.113.7","request":"r-1"}`, path, session)
	res, err := c.Post("http://door/v1/decide", "application/json", bytes.NewReader(body))
	if err != nil {
		return d, err
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		text, _ := io.ReadAll(res.Body)
		return d, fmt.Errorf("status %d: %s", res.StatusCode, text)
	}
	return d, json.NewDecoder(res.Body).Decode(&d)
}

func (d *decided) code() string {
	if len(d.Reasons) == 0 {
		return ""
	}
	return d.Reasons[0].Code
}

// logIn has log-ins recorded; when it returns they are acknowledged.
func (c *child) logIn(ctx context.Context, lines ...string) error {
	res, err := c.r.do(ctx, "POST", "/v1/records?source=login", strings.NewReader(strings.Join(lines, "\n")+"\n"))
	if err == nil {
		res.Body.Close()
	}
	return err
}

func sessionOf(n int64) string { return fmt.Sprintf("session-of-somebody-%08d-honest", n) }

func issuanceOf(n int64) string {
	return fmt.Sprintf(`{"type":"issuance","time":%d,"credential":%q,"subject":"%d"}`, time.Now().UnixMilli(), sessionOf(n), n)
}

// ready waits until requests are judged.
func (c *child) judges(door *http.Client) {
	c.tb.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if d, err := askDoor(door, "", "/"); err == nil && d.code() != "not_ready" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			c.tb.Fatalf("the guard does not judge\n%s", c.log())
		}
	}
}

// TestGuardKilled kills a server under load and starts it again: no session that a log-in issued is refused but by the fail mode, which
// says so; what was denied, and what nobody issued, is let through at no moment; an issuance that was acknowledged can be used at once.
func TestGuardKilled(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "door.sock")
	config := guardConfig(socket, "")
	c := startServer(t, dir, config)
	door := doorClient(socket)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c.judges(door)
	lines := []string{`{"type":"feed","of":"issuance","from":"2020-01-01T00:00:00Z","lag":0,"lost":0}`}
	for n := range int64(500) {
		lines = append(lines, issuanceOf(n))
	}
	check(c.logIn(t.Context(), lines...))
	var made struct{ ID string }
	check(c.r.call(t.Context(), "POST", "/v1/guard/decisions", map[string]any{
		"action": "deny", "filter": map[string]any{"principal": []string{"customer:7"}}, "reason": "test", "for": "24h",
	}, &made))
	var undone struct{ ID string }
	check(c.r.call(t.Context(), "POST", "/v1/guard/decisions", map[string]any{
		"action": "deny", "filter": map[string]any{"principal": []string{"customer:8"}}, "reason": "test", "for": "24h",
	}, &undone))
	check(c.r.call(t.Context(), "POST", "/v1/guard/decisions/"+undone.ID+"/undo", map[string]string{"reason": "a mistake"}, nil))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wrong atomic.Pointer[string]
	say := func(format string, args ...any) {
		s := fmt.Sprintf(format, args...)
		wrong.CompareAndSwap(nil, &s)
	}
	var asked, failed, unready atomic.Int64
	var current atomic.Pointer[child]
	current.Store(c)
	var load sync.WaitGroup
	for w := range int64(3) {
		load.Go(func() {
			for n := w; ctx.Err() == nil; n++ {
				session, want := sessionOf(n%500), "allow"
				switch {
				case n%10 == 3:
					session, want = fmt.Sprintf("session-that-nobody-issued-%08d", n), "deny"
				case n%500 == 7:
					want = "deny"
				}
				d, err := askDoor(door, session, "/me")
				asked.Add(1)
				switch {
				case err != nil:
					failed.Add(1) // nobody is there
				case d.code() == "not_ready" && d.Action == "deny" && d.Status == 503:
					unready.Add(1)
				case d.Action != want:
					say("a session that should get %s got %s because of %s", want, d.Action, d.code())
				}
			}
		})
	}
	load.Go(func() { // log-ins that go on, and are used at once
		for n := int64(1_000_000); ctx.Err() == nil; n++ {
			if current.Load().logIn(ctx, issuanceOf(n)) != nil {
				continue // not acknowledged
			}
			if d, err := askDoor(door, sessionOf(n), "/me"); err == nil && d.Action != "allow" && d.code() != "not_ready" {
				say("a log-in that was acknowledged is refused because of %s", d.code())
			}
		}
	})
	const rounds = 4
	for i := range rounds {
		before := asked.Load() - failed.Load()
		for asked.Load()-failed.Load() < before+300 && wrong.Load() == nil {
			if ctx.Err() != nil {
				break
			}
			if _, err := askDoor(door, "", "/"); err != nil {
				t.Fatal(err)
			}
		}
		if i == rounds-1 {
			break
		}
		c.kill()
		c = startServer(t, dir, config)
		current.Store(c)
		c.judges(door)
	}
	stop()
	load.Wait()
	if s := wrong.Load(); s != nil {
		t.Error(*s)
	}
	t.Logf("%d asked over %d kills: %d met nobody, %d the fail mode", asked.Load(), rounds-1, failed.Load(), unready.Load())
	if d, err := askDoor(door, sessionOf(8), "/me"); err != nil || d.Action != "allow" {
		t.Errorf("what was undone still holds: %+v %v", d, err)
	}

	// And the commands say the same.
	out, _, code := whosawRunAt(t.Context(), time.Now, nil, "guard", "decisions", "--data", dir)
	if code != 0 || !strings.Contains(out, made.ID) || strings.Contains(out, undone.ID) {
		t.Errorf("guard decisions: exit %d\n%s", code, out)
	}
	out, _, code = whosawRunAt(t.Context(), time.Now, nil, "guard", "status", "--data", dir)
	if code != 0 || !strings.Contains(out, "judges requests") || !strings.Contains(out, "unissued") {
		t.Errorf("guard status: exit %d\n%s", code, out)
	}
	out, errs, code := whosawRunAt(t.Context(), time.Now, nil, "guard", "deny", "--principal", "customer:9", "--reason", "test", "--data", dir)
	if code != 0 || !strings.Contains(out, "would have hit") || !strings.Contains(errs, "nothing was changed") {
		t.Errorf("guard deny without --yes: exit %d\n%s%s", code, out, errs)
	}
	if d, err := askDoor(door, sessionOf(9), "/me"); err != nil || d.Action != "allow" {
		t.Errorf("a preview denied: %+v %v", d, err)
	}
	out, errs, code = whosawRunAt(t.Context(), time.Now, nil, "guard", "deny", "--principal", "customer:9", "--reason", "test", "--for", "1h", "--yes", "--data", dir)
	if d, err := askDoor(door, sessionOf(9), "/me"); err != nil || d.Action != "deny" || code != 0 {
		t.Errorf("guard deny --yes: exit %d, %+v %v\n%s", code, d, err, errs)
	}
	if _, errs, code = whosawRunAt(t.Context(), time.Now, nil, "guard", "undo", strings.TrimSpace(out), "--reason", "over", "--data", dir); code != 0 {
		t.Errorf("guard undo: exit %d\n%s", code, errs)
	}
	if d, err := askDoor(door, sessionOf(9), "/me"); err != nil || d.Action != "allow" {
		t.Errorf("after guard undo: %+v %v", d, err)
	}
	if err := c.terminate(); err != nil {
		t.Error(err)
	}
}

// TestGuardWithoutDisk: where the ledger takes no records, closed routes refuse with 503 and open ones let through, and it is told: by the
// metric, the status, the log and every channel. A standing decision made before still holds when there is space.
func TestGuardWithoutDisk(t *testing.T) {
	dir := t.TempDir()
	socket, alarms := filepath.Join(dir, "door.sock"), filepath.Join(dir, "alarms.jsonl")
	config := guardConfig(socket, fmt.Sprintf(`  routes:
    - {route: "GET /open/*", policy: {fail: open}}
alarm:
  channels:
    - {name: file, file: {path: %q}}
`, alarms))
	c := startServer(t, dir, config)
	door := doorClient(socket)
	c.judges(door)
	if err := c.logIn(t.Context(), `{"type":"feed","of":"issuance","from":"2020-01-01T00:00:00Z","lag":0,"lost":0}`, issuanceOf(1)); err != nil {
		t.Fatal(err)
	}
	if d, err := askDoor(door, sessionOf(1), "/me"); err != nil || d.Action != "allow" {
		t.Fatalf("an issued session: %+v %v", d, err)
	}
	if err := c.terminate(); err != nil {
		t.Fatal(err)
	}
	c = startServer(t, dir, config+"ingest: {disk_reserve: 900TiB}\n") // more than any disk has
	wait := func(what string, ok func() bool) {
		t.Helper()
		deadline := time.NewTimer(20 * time.Second)
		defer deadline.Stop()
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for !ok() {
			select {
			case <-tick.C:
			case <-deadline.C:
				t.Fatalf("%s: it did not come\n%s", what, c.log())
			}
		}
	}
	var d decided
	wait("the closed route refuses", func() bool {
		var err error
		d, err = askDoor(door, sessionOf(1), "/me")
		return err == nil && d.code() == "ledger_gone"
	})
	if d.Action != "deny" || d.Status != 503 {
		t.Errorf("the closed route: %+v", d)
	}
	if d, err := askDoor(door, sessionOf(1), "/open/x"); err != nil || d.Action != "allow" || d.code() != "ledger_gone" {
		t.Errorf("the open route: %+v %v", d, err)
	}
	wait("the alarm", func() bool {
		text, err := os.ReadFile(alarms)
		return err == nil && strings.Contains(string(text), "The guard cannot judge")
	})
	var status struct{ Says []string }
	if err := c.r.call(t.Context(), "GET", "/v1/status", nil, &status); err != nil || !strings.Contains(strings.Join(status.Says, "\n"), "guard: the guard cannot judge") {
		t.Errorf("the status says %q, %v", status.Says, err)
	}
	if res, err := http.Get(c.url + "/metrics"); err != nil {
		t.Error(err)
	} else {
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if !strings.Contains(string(text), "whosaw_guard_ready 0") {
			t.Error("the metric does not say that the guard cannot judge")
		}
	}
	if !strings.Contains(c.log(), "each route does what its fail mode says") {
		t.Errorf("the log says nothing of it:\n%s", c.log())
	}
	c.kill()
	c = startServer(t, dir, config)
	c.judges(door)
	if d, err := askDoor(door, sessionOf(1), "/me"); err != nil || d.Action != "allow" {
		t.Errorf("with space again: %+v %v", d, err)
	}
}

// TestRuleActs: a finding of a rule whose action is deny is a standing decision at once, and a verdict that it was none ends it. In shadow mode it
// refuses nobody.
func TestRuleActs(t *testing.T) {
	for _, mode := range []string{"enforce", "shadow"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			socket := filepath.Join(dir, "door.sock")
			own, catalog := filepath.Join(dir, "rules"), filepath.Join(dir, "catalog.yaml")
			rule := strings.Replace(string(rules.Shipped().Named("canary").Source()), "action: alarm", "action: deny\nfor: 1h", 1)
			if err := errors.Join(os.WriteFile(catalog, []byte("routes:\n  GET /customers/{customer}:\n    fields: [name]\n    subject: path.customer\n"), 0o600), os.Mkdir(own, 0o700), os.WriteFile(filepath.Join(own, "canary.yaml"), []byte(rule), 0o600)); err != nil {
				t.Fatal(err)
			}
			c := startServer(t, dir, strings.Replace(guardConfig(socket, ""), "mode: enforce", "mode: "+mode, 1)+"rules: "+own+"\ncatalog: "+catalog+"\n")
			door := doorClient(socket)
			c.judges(door)
			if err := c.logIn(t.Context(), `{"type":"subject","time":1700000000000,"subject":"99","state":"canary"}`, issuanceOf(7)); err != nil {
				t.Fatal(err)
			}
			ask := func(wants string) {
				t.Helper()
				d, err := askDoor(door, sessionOf(7), "/customers/98")
				if err != nil {
					t.Fatal(err)
				}
				if got := d.Action; got != wants {
					t.Fatalf("%s (%s), want %s", got, d.code(), wants)
				}
			}
			ask("allow")
			if err := c.logIn(t.Context(), fmt.Sprintf(`{"time":%d,"route":"GET /customers/{customer}","subject":"99","outcome":"disclosed","principal":"customer:7","credential":%q}`,
				time.Now().UnixMilli(), sessionOf(7))); err != nil {
				t.Fatal(err)
			}
			var found struct {
				Findings []struct{ ID, Detector string }
			}
			if err := c.r.call(t.Context(), "GET", "/v1/findings?limit=10&wait=true", nil, &found); err != nil || len(found.Findings) != 1 || found.Findings[0].Detector != "canary" {
				t.Fatalf("findings %+v, %v", found, err)
			}
			var standing struct {
				Decisions []struct {
					ID, Action, Finding string
					Expires             time.Time
				}
			}
			if err := c.r.call(t.Context(), "GET", "/v1/guard/decisions", nil, &standing); err != nil || len(standing.Decisions) != 1 || standing.Decisions[0].Action != "deny" {
				t.Fatalf("decisions %+v, %v", standing, err)
			}
			if left := time.Until(standing.Decisions[0].Expires); left <= 0 || left > time.Hour {
				t.Errorf("it expires in %v, want an hour", left)
			}
			if mode == "shadow" {
				ask("allow")
				return
			}
			ask("deny")
			if err := c.r.call(t.Context(), "POST", "/v1/findings/"+found.Findings[0].ID+"/verdict", map[string]string{"verdict": "false", "reason": "a test of ours"}, nil); err != nil {
				t.Fatal(err)
			}
			ask("allow")
		})
	}
}
