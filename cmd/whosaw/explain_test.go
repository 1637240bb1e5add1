package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// TestExplainBothWays: a server and a command on a directory without one give the same answer, and both leave a record of who asked.
func TestExplainBothWays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, stderr, code := whosawRun(t, "investigate", "--quiet", "--data", dir, "--catalog", "../../examples/shop/catalog.yaml", "../../examples/shop/access.jsonl.gz"); code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	ask := func(args ...string) string {
		t.Helper()
		stdout, stderr, code := whosawRun(t, append(args, "--data", dir, "--json")...)
		if code != 0 {
			t.Fatalf("%v: exit %d\n%s", args, code, stderr)
		}
		return stdout
	}
	offline, learnt := ask("explain", "35820"), ask("baseline", "show", "--detector", "unexplained")
	var x pipeline.Explained
	if err := json.Unmarshal([]byte(offline), &x); err != nil || x.What == nil || len(x.What.Passes) != 2 {
		t.Fatalf("%v\n%s", err, offline)
	}
	led, err := ledger.Open(ledger.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	view, err := led.View(0)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	err = view.References(t.Context(), func(_ uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeAct && r.Ref.Kind == "explain" && strings.HasPrefix(r.Principal, "staff:") && r.Ref.Note == `{"sequence":35820}` {
			asked++
		}
		return nil
	})
	view.Close()
	led.Close()
	if err != nil || asked != 1 {
		t.Errorf("%d questions on record, %v", asked, err)
	}
	startServer(t, dir, "")
	if online := ask("explain", "35820"); online != offline {
		t.Errorf("the server answers\n%s\nand the command alone\n%s", online, offline)
	}
	rest := func(s string) string { _, after, _ := strings.Cut(s, `"baselines"`); return after }
	if online := ask("baseline", "show", "--detector", "unexplained"); rest(online) != rest(learnt) {
		t.Errorf("the server has learnt\n%s\nand the command alone\n%s", online, learnt)
	}
}
