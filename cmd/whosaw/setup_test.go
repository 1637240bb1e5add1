package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
)

// needTool finds a program, or skips; under WHOSAW_STRICT=1 a missing tool fails.
func needTool(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("WHOSAW_STRICT") != "" {
		t.Fatalf("%s is missing: run scripts/tools", names[0])
	}
	t.Skipf("%s is missing: run scripts/tools", names[0])
	return ""
}

// TestSetupNginx runs the printed lines in a real nginx before a service that sets the headers, and
// asks whosaw who saw what.
func TestSetupNginx(t *testing.T) {
	nginx := needTool(t, "nginx", "/usr/sbin/nginx")
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/search" {
			w.Header().Set("X-Whosaw-Subject", "10482213")
			w.Header().Set("X-Whosaw-Principal", "customer:10482213")
			w.Header().Set("X-Whosaw-Credential", "jti-1")
			w.Header().Set("X-Whosaw-Key", "login-2026-a")
		}
		fmt.Fprint(w, "hello")
	}))
	defer service.Close()

	stdout, _, code := whosawRun(t, "setup", "nginx")
	if code != 0 {
		t.Fatalf("setup nginx: exit %d", code)
	}
	httpPart, locationPart, ok := strings.Cut(stdout, "# 2. In the server")
	if !ok {
		t.Fatal("the lines have no second part")
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "whosaw.jsonl")
	locationPart = strings.ReplaceAll("# "+locationPart, "/var/log/nginx/whosaw.jsonl", log)
	addr := freeAddr(t)
	conf := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log %[1]s/error.log; worker_processes 1;
events { worker_connections 64; }
http {
client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
%[2]s
server { listen %[3]s; location / {
%[4]s
proxy_pass %[5]s; } }
}
`, dir, httpPart, addr, locationPart, service.URL)
	confFile := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(confFile, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, nginx, "-p", dir, "-c", confFile)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, addr, &errs)
	for _, path := range []string{"/me/addresses?x=1", "/search"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", `odd "agent" \ <b>`)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if h := res.Header.Get("X-Whosaw-Subject"); h != "" {
			t.Errorf("nginx passed X-Whosaw-Subject on to the customer")
		}
		res.Body.Close()
	}
	// SIGQUIT lets nginx write its logs out before it goes.
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // ends by signal

	// nginx wrote the lines by the real clock.
	data := filepath.Join(dir, "case")
	stdout, stderr, code := whosawRunAt(ctx, time.Now, nil, "investigate", "--json", "--data", data, log)
	if code != 0 {
		t.Fatalf("investigate: exit %d\n%s", code, stderr)
	}
	var answer whosaw.Investigation
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Read.Accepted != 2 || answer.Read.Rejected != 0 {
		text, _ := os.ReadFile(log)
		t.Fatalf("accepted %d, rejected %d of nginx's own lines:\n%s\n%s", answer.Read.Accepted, answer.Read.Rejected, text, stderr)
	}
	stdout, stderr, code = whosawRun(t, "scope", "--data", data, "--key", "login-2026-a", "--list", "csv")
	if code != 0 || !strings.Contains(stdout, "10482213,") || strings.Count(stdout, "\n") != 2 {
		t.Errorf("scope by the logged key: exit %d\n%s%s", code, stdout, stderr)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// waitFor returns once something listens.
func waitFor(t *testing.T, ctx context.Context, addr string, errs *bytes.Buffer) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nginx did not come up: %v", err)
		case <-tick.C:
		}
	}
}
