package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// What sim sends to a server is what it writes into files, with the token from the environment or a file.
func TestSimToServer(t *testing.T) {
	var got bytes.Buffer
	var tokens, sources []string
	busy := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if busy {
			busy = false
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		tokens, sources = append(tokens, r.Header.Get("Authorization")), append(sources, r.URL.Query().Get("source"))
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "zstd" {
			z, err := zstd.NewReader(body)
			if err != nil {
				t.Error(err)
				return
			}
			defer z.Close()
			body = z
		}
		if _, err := io.Copy(&got, body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WHOSAW_TOKEN", "from-environment")
	shop := []string{"sim", "--scenario", "slow-drip", "--customers", "150", "--days", "1"}
	for _, flags := range [][]string{{"--zstd"}, {"--token-file", token, "--source", "practice"}} {
		got.Reset()
		out := filepath.Join(dir, flags[0])
		args := append(append(shop, "--server", server.URL, "--out", out), flags...)
		_, stderr, code := whosawRun(t, args...)
		if code != 0 {
			t.Fatalf("exit %d\n%s", code, stderr)
		}
		want, err := os.ReadFile(filepath.Join(out, "records.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%v: %d bytes were sent, %d written", flags, got.Len(), len(want))
		}
		if !strings.Contains(stderr, "the server took") || strings.Contains(stderr, "from-") {
			t.Errorf("%v: standard error:\n%s", flags, stderr)
		}
	}
	first, last := tokens[0]+" "+sources[0], tokens[len(tokens)-1]+" "+sources[len(sources)-1]
	if first != "Bearer from-environment sim" || last != "Bearer from-file practice" {
		t.Errorf("asked with %q and %q", first, last)
	}
}

// cutWriter cancels after some bytes.
type cutWriter struct {
	left   int
	cancel func()
}

func (c *cutWriter) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		c.cancel()
	}
	return len(p), nil
}

// Ctrl-C ends sim soon, and it says that the log is not whole.
func TestSimInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &cutWriter{left: 1 << 20, cancel: cancel}
	var errs bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: out, Stderr: &errs, Now: func() time.Time { return testNow }}
	code := m.Run(ctx, []string{"sim", "--customers", "20000", "--days", "3000", "--out", "-"})
	if code != exitInterrupted || !strings.Contains(errs.String(), "not whole") {
		t.Errorf("exit %d, want %d\n%s", code, exitInterrupted, errs.String())
	}
}

func TestPerMillion(t *testing.T) {
	for text, want := range map[string]int{"0.03%": 300, "1%": 10_000, "0.0001%": 1, "50%": 500_000, "12.5%": 125_000, "0.5000%": 5000} {
		if got, err := perMillion(text); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "%", "0%", "0.03", ".5%", "-1%", "1e3%", "50.0001%", "0.00001%", "1.-5%", "99999999999999999999%"} {
		if got, err := perMillion(bad); err == nil {
			t.Errorf("%s was taken as %d", bad, got)
		}
	}
}
