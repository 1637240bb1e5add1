package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/server"
)

// certificate writes a certificate for 127.0.0.1 and its key, and gives the pool that trusts it.
func certificate(t *testing.T, dir string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "whosaw test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"key.pem": {Type: "EC PRIVATE KEY", Bytes: keyDER}, "cert.pem": {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Later than the one before, whatever the file system's clock.
	at := time.Now().Add(time.Duration(serial) * time.Minute)
	if err := os.Chtimes(filepath.Join(dir, "cert.pem"), at, at); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return pool
}

func get(t *testing.T, client *http.Client, url string) (int, string, error) {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, string(data), err
}

// TestServeTLS: the certificate is used, read again when it changes, and nothing is said in clear.
func TestServeTLS(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir, 1)
	c := startServer(t, filepath.Join(dir, "data"), "tls: {cert: "+filepath.Join(dir, "cert.pem")+", key: "+filepath.Join(dir, "key.pem")+"}\n")
	if !strings.HasPrefix(c.url, "https://") {
		t.Fatalf("served on %s", c.url)
	}
	client := func(pool *x509.CertPool) *http.Client {
		return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	}
	if status, text, err := get(t, client(pool), c.url+"/healthz"); err != nil || status != 200 || text != "alive\n" {
		t.Errorf("over TLS: %d %q %v", status, text, err)
	}
	if status, text, err := get(t, http.DefaultClient, strings.Replace(c.url, "https", "http", 1)+"/healthz"); err == nil && status == 200 {
		t.Errorf("in clear: %d %q", status, text)
	}
	next := certificate(t, dir, 2)
	if _, _, err := get(t, client(next), c.url+"/healthz"); err != nil {
		t.Errorf("the new certificate is not used: %v", err)
	}
	if _, _, err := get(t, client(pool), c.url+"/healthz"); err == nil {
		t.Error("the old certificate is still used")
	}
	// Half written, as while it is being replaced: the server goes on with what it has.
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("-----BEGIN"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(t, client(next), c.url+"/healthz"); err != nil {
		t.Errorf("a certificate that is being written: %v", err)
	}
}

// TestServeDoors: what is open, to whom, and that one directory has one server.
func TestServeDoors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := startServer(t, dir, "")
	for path, want := range map[string]string{
		"/healthz": "alive", "/readyz": "ready", "/metrics": "whosaw_ready 1", "/login": "one-time link", "/v1/openapi.yaml": "openapi: 3",
	} {
		if status, text, err := get(t, http.DefaultClient, c.url+path); err != nil || status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %v, want %q in\n%s", path, status, err, want, text)
		}
	}
	for _, path := range []string{"/v1/status", "/v1/findings", "/v1/live", "/v1/tokens", "/v1/local/link", "/debug/pprof/", "/static/../templates/home.html"} {
		if status, text, err := get(t, http.DefaultClient, c.url+path); err != nil || status == 200 {
			t.Errorf("%s is open: %d %v\n%s", path, status, err, text)
		}
	}
	for name, mode := range map[string]os.FileMode{".": 0o700, server.SocketName: 0o600, "state.db": 0o600, "rejects.jsonl": 0o600, "ledger": 0o700} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v (%v)", name, info.Mode().Perm(), mode, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, stderr, code := whosawRunWith(t, ctx, strings.NewReader(""), "serve", "--data", dir, "--listen", "127.0.0.1:0")
	if code != exitFailed || !strings.Contains(stderr, "another process") && !strings.Contains(stderr, "in use") {
		t.Errorf("a second server on the directory: exit %d\n%s", code, stderr)
	}
	// The first one has not lost its socket to the second.
	if _, _, code := whosawRun(t, "status", "--check", "--data", dir); code != 0 {
		t.Errorf("status --check: exit %d", code)
	}
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("stopped by SIGTERM: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, server.SocketName)); err == nil {
		t.Error("the socket is left after a graceful stop")
	}
	again := startServer(t, dir, "")
	again.kill()
	if _, _, code := whosawRun(t, "status", "--check", "--data", dir); code == 0 {
		t.Error("a server that was killed is said to run")
	}
	if _, stderr, code := whosawRun(t, "token", "list", "--data", dir); code != 0 {
		t.Errorf("the socket that a killed server left is in the way:\n%s", stderr)
	}
}
