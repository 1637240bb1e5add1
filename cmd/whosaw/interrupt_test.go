package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestInterrupt: Ctrl-C leaves a usable ledger and says how to go on; going on gives what an undisturbed run gives.
func TestInterrupt(t *testing.T) {
	data := filepath.Join(t.TempDir(), "case")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs bytes.Buffer
	m := &Main{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: func() time.Time { return testNow },
		acknowledged: func(int64) { cancel() },
	}
	if code := m.Run(ctx, []string{"investigate", "--data", data, example}); code != exitInterrupted {
		t.Fatalf("exit %d, want %d\n%s", code, exitInterrupted, errs.String())
	}
	if out.Len() > 0 {
		t.Errorf("an interrupted run answered:\n%s", out.String())
	}
	if !strings.Contains(errs.String(), "The same command goes on from there") || !strings.Contains(errs.String(), data) {
		t.Errorf("it does not say how to go on:\n%s", errs.String())
	}
	if _, stderr, code := whosawRun(t, "scope", "--data", data); code != exitOK {
		t.Errorf("the ledger it left: exit %d\n%s", code, stderr)
	}
	whole, _ := investigate(t, example)
	got, _ := investigate(t, "--data", data, example)
	if d := cmp.Diff(whole.Scopes, got.Scopes); d != "" {
		t.Errorf("scopes (-undisturbed +continued):\n%s", d)
	}
	if d := cmp.Diff(whole.Findings, got.Findings); d != "" {
		t.Errorf("findings (-undisturbed +continued):\n%s", d)
	}
	if got.Read.Duplicates == 0 || got.Read.Accepted == 0 {
		t.Errorf("continued: %+v; it should find some lines already there, and others not", got.Read)
	}
}

// TestInterruptBeforeAnything: stopped while reading, nothing is kept, and it says so.
func TestInterruptBeforeAnything(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stdout, stderr, code := whosawRunWith(t, ctx, strings.NewReader(""), "investigate", example)
	if code != exitInterrupted || stdout != "" {
		t.Errorf("exit %d, want %d\n%s%s", code, exitInterrupted, stdout, stderr)
	}
}
