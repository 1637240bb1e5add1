package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/keys"
)

// TestKeysOffline: where no server runs, the commands take the lock and answer by the same code.
func TestKeysOffline(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	work := t.TempDir()
	log := filepath.Join(work, "log.jsonl")
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(work, name)
	}
	write("log.jsonl", `{"type":"issuance","time":"2026-11-18T09:00:00Z","credential":"c1","key":"main","subject":"7","principal":"customer:7"}
{"time":"2026-11-18T10:00:00Z","route":"GET /me","status":200,"fields":["name"],"subject":"7","principal":"customer:7","credential":"c1","key":"main"}
{"time":"2026-11-18T11:00:00Z","route":"GET /me","status":200,"fields":["name"],"subject":"8","principal":"customer:8","credential":"x","key":"main"}
`)
	audit := write("audit.log", `{"time":"2026-11-18T12:00:00Z","type":"response","auth":{"display_name":"ldap-kim"},"request":{"id":"1","operation":"read","path":"secret/data/auth/main","mount_type":"kv"},"response":{}}`+"\n")
	where := write("keys.yaml", "material: [{key: main, vault: [secret/data/auth/main]}]\n")
	var seconds atomic.Int64 // a command's goroutines ask at once
	run := func(args ...string) (stdout, stderr string, code int) {
		return whosawRunAt(t.Context(), func() time.Time { return testNow.Add(time.Duration(seconds.Add(1)) * time.Second) }, strings.NewReader(""), append(args, "--data", dir)...)
	}
	ok := func(args ...string) (stdout, stderr string) {
		t.Helper()
		stdout, stderr, code := run(args...)
		if code != exitOK {
			t.Fatalf("%v: exit %d\n%s", args, code, stderr)
		}
		return stdout, stderr
	}
	bad := func(says string, args ...string) {
		t.Helper()
		stdout, stderr, code := run(args...)
		if code == exitOK || !strings.Contains(stderr, says) || stdout != "" {
			t.Errorf("%v: exit %d, %q is not in\n%s%s", args, code, says, stdout, stderr)
		}
	}
	ok("investigate", "--keys", where, log, audit)
	_, public := pair(t, "main")
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[` + public + `]}`)) }))
	defer served.Close()
	if stdout, _ := ok("keys", "import", served.URL, "--owner", "lee"); stdout != "main\n" {
		t.Errorf("import: %q", stdout)
	}
	ok("people", "import", write("people.csv", "person,state,since\nkim,left,2026-11-18\nlee,active,\n"))
	ok("keys", "policy", "--no-human-readers", "--longest-life", "180d", "--reason", "the board")
	var list api.KeyList
	stdout, _ := ok("keys", "list", "--json")
	decode(t, stdout, &list)
	if len(list.Keys) != 1 || list.Keys[0].Owner != "lee" || !list.Keys[0].Served || len(list.Keys[0].Readers) != 1 || list.Keys[0].Readers[0].Read == 0 ||
		len(list.Keys[0].Breaches) != 1 || list.Policy.LongestLife != 180*24 {
		t.Errorf("%s", stdout)
	}
	if stdout, _ := ok("keys", "list"); !strings.Contains(stdout, "kim (left)") || !strings.Contains(stdout, "human reader") {
		t.Errorf("%s", stdout)
	}
	stdout, _, _ = whosawRun(t, "__complete", "keys", "show", "--data", dir, "ma")
	if !strings.HasPrefix(stdout, "main\n") {
		t.Errorf("completion of key ids: %q", stdout)
	}
	var p keys.Preview
	stdout, _ = ok("keys", "kill", "main", "--json")
	decode(t, stdout, &p)
	if p.Sessions != 1 || p.Never != 1 || p.Principals != 1 {
		t.Errorf("preview: %s", stdout)
	}
	bad("reason", "keys", "kill", "main", "--yes")
	bad("no guard runs here", "keys", "kill", "main", "--forged-only", "--yes", "--reason", "forged")
	bad("no record names that key", "keys", "show", "none")
	bad("give a day as 2006-01-02", "keys", "add", "k", "--created", "yesterday")
	bad("give hours or days", "keys", "policy", "--rotate-within", "soon")
	bad("line 2", "people", "import", write("bad.csv", "person,state\nkim,gone\n"))
	ok("keys", "kill", "main", "--yes", "--reason", "forged credentials")
	bad("is revoked", "keys", "rotate", "main", "--to", "main-2", "--reason", "x")
	if stdout, _ := ok("offboarding", "list"); !strings.Contains(stdout, "kim") {
		t.Errorf("%s", stdout)
	}
	bad("is not done", "offboarding", "close", "kim", "--reason", "x")
	ok("keys", "revive", "main", "--reason", "the wrong key")
	if stdout, _ := ok("keys", "show", "main"); !strings.Contains(stdout, "served to gateways") || !strings.Contains(stdout, "read, readers kim") {
		t.Errorf("%s", stdout)
	}
}
