package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/server"
)

// TestProxyCommand: a service that knows nothing of whosaw, a server, and the proxy between them, as somebody would start them.
func TestProxyCommand(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	c := startServer(t, data, "guard:\n  mode: enforce\n  doors: [{name: api, kind: proxy}]\n  tokens: {sessions: {enabled: true}}\n  policy: {hold: true}\n  unconfirmed: {wait: 0s, pass: 0}\n")
	token, stderr, code := whosawRun(t, "token", "create", "api", "--types", "access,issuance", "--data", data)
	if code != 0 {
		t.Fatal(stderr)
	}
	for name, text := range map[string]string{
		"token":        token,
		"catalog.yaml": "catalog: 1\nroutes:\n  GET /api/customers/{id}:\n    fields: [name]\n    answer: {subject: id, fields: {name: name}}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	login, err := http.NewRequestWithContext(t.Context(), "POST", c.url+"/v1/records?source=api",
		strings.NewReader(fmt.Sprintf(`{"type":"issuance","time":%d,"credential":"the-session-of-customer-7","subject":"7"}`+"\n", time.Now().UnixMilli())))
	if err != nil {
		t.Fatal(err)
	}
	login.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	if res, err := http.DefaultClient.Do(login); err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	asked := 0
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"id": strings.TrimPrefix(r.URL.Path, "/api/customers/"), "name": "Kim"})
	}))
	defer service.Close()

	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	lines, says := io.Pipe()
	m := &Main{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: says, Now: time.Now}
	ended := make(chan int, 1)
	go func() {
		code := m.Run(ctx, []string{
			"proxy", "--listen", "127.0.0.1:0", "--upstream", service.URL, "--server", "unix:" + filepath.Join(data, server.SocketName), "--token-file", filepath.Join(dir, "token"),
			"--door", "api", "--catalog", filepath.Join(dir, "catalog.yaml"),
		})
		says.Close()
		ended <- code
	}()
	in := bufio.NewReader(lines)
	first, err := in.ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(first), " on ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", first, err)
	}
	rest := make(chan string, 1)
	go func() { text, _ := io.ReadAll(in); rest <- string(text) }()
	for session, want := range map[string]int{"the-session-of-customer-7": 200, "a-session-that-nobody-made": 401} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/api/customers/7", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+session)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != want || (want == 200) != strings.Contains(string(body), "Kim") {
			t.Errorf("%d %s, want %d", res.StatusCode, body, want)
		}
	}
	stop()
	if code := <-ended; code != 0 || asked != 1 {
		t.Errorf("exit %d, the service was asked %d times", code, asked)
	}
	if text := <-rest; !strings.Contains(text, "judged=2 refused=1") || !strings.Contains(text, "records=1 waiting=0 lost=0") || strings.Contains(text, "session") {
		t.Errorf("it says\n%s", text)
	}
	out, _, _ := whosawRun(t, "subject", "7", "--json", "--data", data)
	if strings.Count(out, `"GET /api/customers/{id}"`) != 1 || strings.Contains(out, "the-session-of") {
		t.Errorf("the ledger has\n%s", out)
	}
}

func TestProxyFailOpen(t *testing.T) {
	routes := []string{"GET /products/*", "* /static/x"}
	for line, want := range map[string]bool{
		"GET /products/7": true, "POST /products/7": false, "GET /products": false, "PUT /static/x": true, "GET /static/xy": false,
		"GET /products/../me": false, "GET /products/%2e%2e/me": false, "GET /products//x": false,
		"GET /products/..;/me": false, "GET /products/x;/me": false, "GET /products/7?_method=POST": false, "GET /products/7?method=POST": true,
	} {
		method, path, _ := strings.Cut(line, " ")
		r := httptest.NewRequest(method, "http://shop"+path, nil)
		if got := fits(routes, r); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

func TestProxyMistakes(t *testing.T) {
	for want, args := range map[string][]string{
		"--upstream, --door and --catalog": {"proxy"},
		"reaches other machines":           {"proxy", "--listen", "0.0.0.0:80", "--upstream", "http://x", "--door", "a", "--catalog", "c"},
		"refuse or pass":                   {"proxy", "--upstream", "http://x", "--door", "a", "--catalog", "c", "--unreadable", "maybe"},
		"together":                         {"proxy", "--upstream", "http://x", "--door", "a", "--catalog", "c", "--tls-cert", "x"},
	} {
		if _, stderr, code := whosawRun(t, args...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d %s", args, code, stderr)
		}
	}
}
