package server_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/config"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/server"
)

// sender is a gateway beside a server that is started and stopped while its clock goes on.
type sender struct {
	t      *testing.T
	cfg    *config.Config
	at     atomic.Int64
	tokens map[string]string // by path
	n      int
}

func newSender(t *testing.T) *sender {
	path := filepath.Join(t.TempDir(), "whosaw.yaml")
	check(t, os.WriteFile(path, []byte("listen: 127.0.0.1:0\n"), 0o600))
	cfg, err := config.Load(path)
	check(t, err)
	g := &sender{t: t, cfg: cfg, tokens: map[string]string{}}
	g.at.Store(opening.UnixMilli())
	return g
}

func (g *sender) pass(d time.Duration) { g.at.Add(d.Milliseconds()) }

// run starts the server of a directory and stops it when do has returned.
func (g *sender) run(dir string, do func(ask func(method, path, body string) string)) {
	t := g.t
	t.Helper()
	srv, err := server.Open(t.Context(), server.Config{
		Config: g.cfg, Dir: dir, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() time.Time { return time.UnixMilli(g.at.Load()) }, Version: "test", Operator: "kim",
	})
	check(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	defer func() {
		stop()
		check(t, <-done)
		check(t, srv.Close())
	}()
	for path, spec := range map[string]auth.Spec{"/v1/records": {Name: "gateway-1", Role: auth.RoleIngest}, "": {Name: "kim", Role: auth.RoleAdmin}} {
		if g.tokens[path] == "" {
			_, g.tokens[path], err = srv.Auth().Create(t.Context(), spec, "test")
			check(t, err)
		}
	}
	do(func(method, path, body string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL()+path, strings.NewReader(body))
		check(t, err)
		req.Header.Set("Authorization", "Bearer "+cmp.Or(g.tokens[path], g.tokens[""]))
		req.Header.Set("Content-Type", "application/x-ndjson")
		res, err := http.DefaultClient.Do(req)
		check(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		check(t, err)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %d %.300s", method, path, res.StatusCode, text)
		}
		return string(text)
	})
}

// lines are n records of now.
func (g *sender) lines(n int) string {
	var b strings.Builder
	for range n {
		g.n++
		fmt.Fprintf(&b, `{"id":"r%d","time":%d,"route":"GET /customers/{id}","subject":"%d","outcome":"disclosed"}`+"\n", g.n, g.at.Load(), g.n)
	}
	return b.String()
}

// TestSilentOverRestart: a gateway that sent before a restart and nothing afterwards is silent in the status and the metrics.
func TestSilentOverRestart(t *testing.T) {
	g := newSender(t)
	dir := filepath.Join(t.TempDir(), "data")
	g.run(dir, func(ask func(method, path, body string) string) { ask("POST", "/v1/records", g.lines(5)) })
	g.pass(time.Hour)
	g.run(dir, func(ask func(method, path, body string) string) {
		if s := ask("GET", "/v1/status", ""); strings.Contains(s, "has sent nothing new") {
			t.Errorf("silent at once after the start: %s", s)
		}
		g.pass(11 * time.Minute)
		if s := ask("GET", "/v1/status", ""); !strings.Contains(s, "Source gateway-1 has sent nothing new since "+opening.UTC().Format("2006-01-02 15:04:05")) {
			t.Errorf("not silent after the start: %s", s)
		}
		if s := ask("GET", "/metrics", ""); !strings.Contains(s, `whosaw_source_silent{source="gateway-1"} 1`) {
			t.Errorf("no metric of the silence: %s", s)
		}
	})
}

// TestSilentOverRestore: a backup has how the sources send. One that is restored days later knows a gateway that sends every two hours, and that
// it fell silent.
func TestSilentOverRestore(t *testing.T) {
	g := newSender(t)
	base := t.TempDir()
	dir, to, restored := filepath.Join(base, "data"), filepath.Join(base, "copy"), filepath.Join(base, "restored")
	var last time.Time
	g.run(dir, func(ask func(method, path, body string) string) {
		for range 25 {
			g.pass(2 * time.Hour)
			last = time.UnixMilli(g.at.Load()).UTC()
			ask("POST", "/v1/records", g.lines(1))
		}
	})
	led, err := ledger.Open(ledger.Config{Dir: dir})
	check(t, err)
	_, err = server.Backup(t.Context(), server.BackupConfig{Ledger: led, To: to, Version: "test", Now: func() time.Time { return last }})
	check(t, err)
	check(t, led.Close())
	_, err = ledger.Restore(t.Context(), ledger.RestoreConfig{From: to, To: restored})
	check(t, err)
	g.pass(3 * 24 * time.Hour)
	g.run(restored, func(ask func(method, path, body string) string) {
		g.pass(5 * time.Hour)
		if s := ask("GET", "/v1/status", ""); strings.Contains(s, "has sent nothing new") {
			t.Errorf("silent within its habit: %s", s)
		}
		g.pass(2 * time.Hour)
		if s := ask("GET", "/v1/status", ""); !strings.Contains(s, "Source gateway-1 has sent nothing new since "+last.Format("2006-01-02 15:04:05")) {
			t.Errorf("not silent after the restore: %s", s)
		}
	})
}
