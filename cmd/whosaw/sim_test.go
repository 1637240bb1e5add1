package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
