package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
)

// TestRulesOfAServer: they are kept for commands without the configuration, and a change of them is on record, once.
func TestRulesOfAServer(t *testing.T) {
	dir, own := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "rules")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(own, "own.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("rule: traversal\noff: the export walks the numbers\n")
	serve := func() {
		t.Helper()
		c := startServer(t, dir, "rules: "+own+"\n")
		if err := c.r.call(t.Context(), "GET", "/v1/status", nil, nil); err != nil {
			t.Fatal(err)
		}
		if err := c.terminate(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		serve()
	}
	stdout, stderr, code := whosawRun(t, "rules", "list", "--data", dir)
	if code != 0 || !strings.Contains(stdout, "off: the export walks the numbers") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if stdout, stderr, _ := whosawRun(t, "status", "--data", dir); !strings.Contains(stdout, "its rule is off: the export walks the numbers") {
		t.Errorf("the status does not say that a rule is off:\n%s%s", stdout, stderr)
	}
	if stdout, stderr, _ := whosawRun(t, "baseline", "show", "--data", dir); !strings.Contains(stdout, "detector") || strings.Contains(stdout, "traversal") {
		t.Errorf("a rule that is off has a baseline:\n%s%s", stdout, stderr)
	}
	write("rule: traversal\noff: it is being rewritten\n")
	serve()
	led, err := ledger.Open(ledger.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer led.Close()
	view, err := led.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	changes := 0
	err = view.References(t.Context(), func(_ uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeAct && r.Ref.Kind == "rules_changed" {
			changes++
		}
		return nil
	})
	if err != nil || changes != 2 {
		t.Errorf("%d changes on record, %v", changes, err)
	}
	// What cannot be loaded stops the start, and says where.
	write("rule: traversal\nof: x\n")
	c := spawnServer(t, filepath.Join(t.TempDir(), "other"), "rules: "+own+"\n")
	c.readOn()
	<-c.drained
	if said := c.log(); !strings.Contains(said, "own.yaml:2: unknown field") {
		t.Errorf("the server said:\n%s", said)
	}
}
