package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/keys"
)

// publicPEM makes a public key as openssl writes it.
func publicPEM(t *testing.T) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	check(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func quoted(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	check(t, err)
	return string(b)
}

// keyContract asks each operation about keys for a good answer.
func (w *world) keyContract(admin string) {
	t := w.t
	w.ask(admin, "PUT", "/v1/key-policy", `{"no_human_readers":true,"rotate_within_hours":1,"reason":"the house rules"}`)
	w.ask(admin, "GET", "/v1/key-policy", "")
	w.ask(admin, "POST", "/v1/keys", `{"key":"team/login 1","use":"log-ins","owner":"lee","readers":["kim"],"created":"2026-01-01T00:00:00Z","public":`+quoted(t, publicPEM(t))+`}`)
	p, err := keys.ParsePublicKey(publicPEM(t), "imported")
	check(t, err)
	set, err := json.Marshal(map[string]any{"keys": []keys.PublicKey{p}})
	check(t, err)
	w.ask(admin, "POST", "/v1/keys/import", `{"owner":"lee","jwks":`+quoted(t, string(set))+`}`)
	w.ask(admin, "GET", "/v1/keys", "")
	w.ask(admin, "GET", "/v1/keys/team%2Flogin%201", "")
	w.ask(admin, "GET", "/v1/keys/main/kill?days=3650", "")
	w.ask(admin, "POST", "/v1/keys/team%2Flogin%201/rotate", `{"reason":"kim leaves","into":"login-2","public":`+quoted(t, publicPEM(t))+`}`)
	w.ask(admin, "POST", "/v1/keys/login-2/retire", `{"reason":"not needed","keep":"2026-12-01T00:00:00Z"}`)
	w.ask(admin, "POST", "/v1/keys/login-2/dispose", `{"reason":"shredded"}`)
	w.ask(admin, "POST", "/v1/keys/imported/kill", `{"reason":"stolen"}`)
	w.ask("", "GET", "/jwks.json", "")
	w.ask("", "GET", "/.well-known/jwks.json?realm=eu", "")
	w.ask(admin, "POST", "/v1/keys/imported/revive", `{"reason":"a mistake"}`)
	w.ask(admin, "POST", "/v1/people", `{"people":[{"person":"kim","state":"left","since":"2026-11-01T00:00:00Z"},{"person":"lee","state":"active"}]}`)
	w.ask(admin, "GET", "/v1/people", "")
	w.ask(admin, "GET", "/v1/offboardings", "")
	w.ask(admin, "GET", "/v1/offboardings/kim", "")
	w.ask(admin, "POST", "/v1/offboardings/kim/revoke", `{"reason":"accounts closed"}`)
	w.fake.refuse = true
	w.ask(admin, "POST", "/v1/offboardings/kim/close", `{"reason":"all tried"}`)
	w.ask(admin, "POST", "/v1/keys/main/deny-forged", `{"reason":"forged credentials"}`)
}

// TestKeySet: what gateways are served: killed keys vanish at once, retired ones stay to their end, an ETag spares the body.
func TestKeySet(t *testing.T) {
	w := newWorld(t)
	admin := w.token(auth.Spec{Name: "boss", Role: auth.RoleAdmin})
	for _, kid := range []string{"a", "b", "c"} {
		if a := w.ask(admin, "POST", "/v1/keys", `{"key":"`+kid+`","public":`+quoted(t, publicPEM(t))+`}`); a.status != 200 {
			t.Fatalf("add: %s", a.body)
		}
	}
	kids := func(a answer) string {
		var set struct{ Keys []keys.PublicKey }
		a.decode(t, &set)
		var out []string
		for _, k := range set.Keys {
			out = append(out, k.ID)
		}
		return strings.Join(out, " ")
	}
	first := w.ask("", "GET", "/jwks.json", "")
	if kids(first) != "a b c" || first.header.Get("Cache-Control") != "public, max-age=60, must-revalidate" {
		t.Fatalf("%v %s", first.header, first.body)
	}
	if again := w.ask("", "GET", "/jwks.json", "", "If-None-Match", first.header.Get("ETag")); again.status != 304 || again.body != "" {
		t.Errorf("asked again: %d %s", again.status, again.body)
	}
	var killed api.Killed
	a := w.ask(admin, "POST", "/v1/keys/a/kill", `{"reason":"stolen"}`)
	a.decode(t, &killed)
	if killed.MaxAge != 60 || !strings.Contains(killed.Says, "60 seconds") || killed.Key.State != "revoked" || killed.Key.Served {
		t.Errorf("kill: %s", a.body)
	}
	if now := w.ask("", "GET", "/jwks.json", "", "If-None-Match", first.header.Get("ETag")); now.status != 200 || kids(now) != "b c" {
		t.Errorf("after the kill: %d %s", now.status, now.body)
	}
	if a := w.ask(admin, "POST", "/v1/keys/b/retire", `{"reason":"old","keep":"2026-12-01T00:00:00Z"}`); a.status != 200 {
		t.Errorf("retire: %s", a.body)
	}
	if a := w.ask(admin, "POST", "/v1/keys/c/retire", `{"reason":"old","keep":"2026-11-01T00:00:00Z"}`); a.status != 200 {
		t.Errorf("retire: %s", a.body)
	}
	if got := kids(w.ask("", "GET", "/jwks.json", "")); got != "b" {
		t.Errorf("retired keys that are served: %q", got)
	}
	private := "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"
	for body, status := range map[string]int{
		`{"key":"d","public":` + quoted(t, private) + `}`:                                                        400,
		`{"key":"d","public":"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\",\"d\":\"c2VjcmV0\"}"}`: 400,
		`{"key":"a","use":"again"}`: 409,
		`{"use":"none"}`:            400,
	} {
		a := w.ask(admin, "POST", "/v1/keys", body)
		if a.status != status {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
		w.mustNot(a, "MIGHAgEA", "c2VjcmV0")
	}
	for _, path := range []string{"/v1/keys/a/kill", "/v1/keys/b/dispose"} {
		if a := w.ask(admin, "POST", path, `{}`); a.status != 400 || !strings.Contains(a.body, "reason") {
			t.Errorf("%s without a reason: %d %s", path, a.status, a.body)
		}
	}
	if a := w.ask(admin, "GET", "/v1/keys/none", ""); a.status != 404 {
		t.Errorf("a key that is not there: %d", a.status)
	}
}
