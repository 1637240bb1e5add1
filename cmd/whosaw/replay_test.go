package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReplayBothWays: a server replays its own ledger with the answer that a command on the directory alone gives; the server's rules are
// those in force.
func TestReplayBothWays(t *testing.T) {
	dir, file := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "new.yaml")
	if err := os.WriteFile(file, []byte("rule: canary\noff: a test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := whosawRun(t, "investigate", "--quiet", "--data", dir, "--catalog", "../../examples/shop/catalog.yaml", "../../examples/shop/access.jsonl.gz"); code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	ask := func() string {
		t.Helper()
		stdout, stderr, code := whosawRun(t, "replay", "--rules", file, "--data", dir, "--json")
		if code != 0 {
			t.Fatalf("exit %d\n%s", code, stderr)
		}
		return stdout
	}
	// What each asks is on record, so the next has one record more.
	figures := func(s string) string { _, after, _ := strings.Cut(s, `"accesses"`); return after }
	offline := ask()
	if !strings.Contains(offline, `"off: a test"`) || !strings.Contains(offline, `"canary"`) {
		t.Fatalf("%s", offline)
	}
	startServer(t, dir, "")
	if online := ask(); figures(online) != figures(offline) {
		t.Errorf("the server answers\n%s\nand the command alone\n%s", online, offline)
	}
	if err := os.WriteFile(file, []byte("rule: canary\nof: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := whosawRun(t, "replay", "--rules", file, "--data", dir); code != exitFailed || !strings.Contains(stderr, "new.yaml:2: unknown field") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
}
