package server_test

import (
	"bytes"
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
	"github.com/whosaw/whosaw/internal/server"
)

// TestSilentOverRestart: a gateway that sent before a restart and nothing afterwards is silent in the status and the metrics.
func TestSilentOverRestart(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "whosaw.yaml")
	check(t, os.WriteFile(path, []byte("listen: 127.0.0.1:0\n"), 0o600))
	cfg, err := config.Load(path)
	check(t, err)
	var at atomic.Int64
	at.Store(opening.UnixMilli())
	clock := func() time.Time { return time.UnixMilli(at.Load()) }
	tokens := map[string]string{} // by path
	run := func(do func(ask func(method, path, body string) string)) {
		t.Helper()
		srv, err := server.Open(t.Context(), server.Config{
			Config: cfg, Dir: filepath.Join(dir, "data"), Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: clock, Version: "test", Operator: "kim",
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
			if tokens[path] == "" {
				_, tokens[path], err = srv.Auth().Create(t.Context(), spec, "test")
				check(t, err)
			}
		}
		do(func(method, path, body string) string {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), method, srv.URL()+path, strings.NewReader(body))
			check(t, err)
			req.Header.Set("Authorization", "Bearer "+cmp.Or(tokens[path], tokens[""]))
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
	run(func(ask func(method, path, body string) string) {
		var lines bytes.Buffer
		for i := range 5 {
			fmt.Fprintf(&lines, `{"id":"r%d","time":%d,"route":"GET /customers/{id}","subject":"%d","outcome":"disclosed"}`+"\n", i, at.Load(), i)
		}
		ask("POST", "/v1/records", lines.String())
	})
	at.Add(time.Hour.Milliseconds())
	run(func(ask func(method, path, body string) string) {
		if s := ask("GET", "/v1/status", ""); strings.Contains(s, "has sent nothing new") {
			t.Errorf("silent at once after the start: %s", s)
		}
		at.Add(11 * time.Minute.Milliseconds())
		if s := ask("GET", "/v1/status", ""); !strings.Contains(s, "Source gateway-1 has sent nothing new since "+opening.UTC().Format("2006-01-02 15:04:05")) {
			t.Errorf("not silent after the start: %s", s)
		}
		if s := ask("GET", "/metrics", ""); !strings.Contains(s, `whosaw_source_silent{source="gateway-1"} 1`) {
			t.Errorf("no metric of the silence: %s", s)
		}
	})
}
