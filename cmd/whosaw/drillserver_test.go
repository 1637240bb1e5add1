package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestDrillServer: the two tokens go where they belong, and the exit code says whether the alarm came.
func TestDrillServer(t *testing.T) {
	var sent atomic.Bool
	var deaf atomic.Bool
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := map[string]string{"POST": "Bearer sends", "GET": "Bearer reads"}[r.Method]
		if r.Header.Get("Authorization") != want {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Method == "POST" {
			body, _ := io.ReadAll(r.Body)
			n := strings.Count(string(body), "\n")
			sent.Store(true)
			json.NewEncoder(w).Encode(map[string]int{"accepted": n, "rejected": 0, "duplicates": 0})
			return
		}
		if !sent.Load() || deaf.Load() {
			io.WriteString(w, `{"findings":[]}`)
			return
		}
		io.WriteString(w, `{"findings":[{"id":"f1","detector":"canary","unit":"principal:service:x","filter":{"realm":["drill"]},"says":"A planted customer was opened."}]}`)
	}))
	defer web.Close()
	dir := t.TempDir()
	send, read := filepath.Join(dir, "send"), filepath.Join(dir, "read")
	if err := os.WriteFile(send, []byte("sends\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(read, []byte("reads\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"drill", "--server", web.URL, "--token-file", send, "--read-token-file", read}
	stdout, stderr, code := whosawRun(t, args...)
	if code != exitOK || !strings.Contains(stdout, "The alarm came within") || stderr != "" {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	deaf.Store(true)
	stdout, stderr, code = whosawRun(t, append(args, "--json", "--wait", "50ms")...)
	if code != exitFailed || !strings.Contains(stdout, `"noticed": false`) && !strings.Contains(stdout, `"noticed":false`) || !strings.Contains(stderr, "no alarm came") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	_, stderr, code = whosawRun(t, "drill", "--server", web.URL, "--token-file", read)
	if code != exitFailed || !strings.Contains(stderr, "does not know the token") || strings.Contains(stderr, "reads") {
		t.Errorf("a wrong token: exit %d\n%s", code, stderr)
	}
}
