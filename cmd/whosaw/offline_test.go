package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/ledger"
)

// TestOfflineTellsNobody: a command on a directory whose server does not run records no finding: the server would take it for told.
func TestOfflineTellsNobody(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, stderr, code := whosawRun(t, "investigate", "--data", dir, "--catalog", "../../examples/shop/catalog.yaml", "../../examples/shop/access.jsonl.gz"); code != 0 {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	for _, args := range [][]string{{"status"}, {"finding", "list"}, {"token", "list"}} {
		if _, stderr, code := whosawRun(t, append(args, "--data", dir)...); code != 0 {
			t.Fatalf("%v: exit %d\n%s", args, code, stderr)
		}
	}
	c := startServer(t, dir, fmt.Sprintf("alarm: {channels: [{name: desk, file: {path: %s}}]}\n", filepath.Join(t.TempDir(), "told.jsonl")))
	var list struct{ Findings []api.Found }
	if err := c.r.call(t.Context(), "GET", "/v1/findings?wait=true", nil, &list); err != nil || len(list.Findings) == 0 {
		t.Fatalf("%d findings, %v", len(list.Findings), err)
	}
	for _, f := range list.Findings {
		if err := c.r.call(t.Context(), "GET", "/v1/findings/"+f.ID, nil, &f); err != nil {
			t.Fatal(err)
		}
		told := slices.DeleteFunc(f.Deliveries, func(d alarm.Delivery) bool { return d.Kind != "finding" }) // what it grew by is told apart
		if len(told) != 1 {
			t.Errorf("finding %s was told %d times, want once", f.ID, len(told))
		}
	}
}

// TestOfflineWaits: a directory that another command has open for a moment is waited for.
func TestOfflineWaits(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	led, err := ledger.Open(ledger.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, func() { led.Close() })
	if stdout, stderr, code := whosawRun(t, "token", "create", "gw", "--data", dir); code != 0 || !strings.HasPrefix(stdout, "wst_") {
		t.Errorf("token create: exit %d\n%s", code, stderr)
	}
}

// TestCheckLeavesTheDirectoryAlone: a monitor that looks while no server runs does not open the ledger.
func TestCheckLeavesTheDirectoryAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "ledger"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"status", "--check"}, {"alarm", "test"}} {
		if _, stderr, code := whosawRun(t, append(args, "--data", dir)...); code != exitFailed || !strings.Contains(stderr, "no server runs") {
			t.Errorf("%v: exit %d\n%s", args, code, stderr)
		}
		if _, _, code := whosawRun(t, append(args, "--data", "")...); code != exitUsage {
			t.Errorf("%v without a directory: exit %d", args, code)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("the directory holds %v, %v", list, err)
	}
}

// TestConfigCheckOpensFiles: a configuration is not good whose files the start would refuse.
func TestConfigCheckOpensFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "whosaw.yaml")
	for text, want := range map[string]string{
		"tls: {cert: none.pem, key: none.pem}\n":                     "tls.cert",
		"ingest: {sources: [{name: app, mapping: none.yaml}]}\n":     "app",
		"ingest: {sources: [{name: web, format: combined}]}\n":       "",
		"url: https://whosaw.shop.example\nlisten: 127.0.0.1:8470\n": "",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, stderr, code := whosawRun(t, "config", "check", "--config", file)
		if (code == 0) != (want == "") || !strings.Contains(stderr, want) {
			t.Errorf("%sexit %d\n%s", text, code, stderr)
		}
	}
}
