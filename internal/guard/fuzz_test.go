package guard_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/guard"
)

// FuzzCredential: whatever is presented, nobody gets in with it who was not issued it, and nothing of it is in the answer.
func FuzzCredential(f *testing.F) {
	w := newWorld(f, func(c *guard.Config) { c.Tokens.Sessions.Enabled, c.Unconfirmed.Pass = true, 0 })
	w.complete()
	w.say(`{"type":"feed","of":"issuance","from":"2020-01-01T00:00:00Z","lag":0,"lost":0}`)
	good := w.issue("jti-1", "7")
	for _, s := range []string{string(good), "Bearer " + string(good), "", "a.b.c", "..", "{}", "eyJhbGciOiJub25lIn0.e30.", strings.Repeat(".", 300), "sha256:" + strings.Repeat("a", 32), "\x00", "jti-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := w.g.Decide(t.Context(), ask(guard.Secret(s)))
		trimmed := strings.TrimSpace(s)
		if len(trimmed) > 7 && strings.EqualFold(trimmed[:7], "bearer ") {
			trimmed = strings.TrimSpace(trimmed[7:])
		}
		switch {
		case trimmed == string(good):
			if d.Action != guard.Allow {
				t.Fatalf("the issued token is refused: %v", d.Reasons)
			}
		case trimmed == "":
		case d.Action == guard.Allow:
			t.Fatalf("%q is let in as %+v", s, d.Identity)
		}
		answer, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if len(trimmed) > 40 && strings.Contains(string(answer), trimmed) {
			t.Fatal("the answer repeats the credential")
		}
	})
}

// FuzzKeySet: no key set makes the guard fail, or take a token that none of its keys signed.
func FuzzKeySet(f *testing.F) {
	w := newWorld(f)
	token := w.token("main", w.claims("a", "7"))
	delete(w.keys, "main")
	w.addKey("other")
	data, err := os.ReadFile(filepath.Join(w.dir, "jwks.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{string(data), `{"keys":[]}`, `{"keys":[{}]}`, `{"keys":null}`, `[]`, strings.ReplaceAll(string(data), "other", "main"), `{"keys":[{"kty":"oct","k":"AAAA","kid":"main"}]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, set string) {
		by, err := guard.ParseKeys([]byte(set))
		if err != nil {
			return
		}
		for kid, public := range by {
			if kid == "" || guard.Verifies(string(token), public) {
				t.Fatalf("a set with key %q takes a token that none of its keys signed", kid)
			}
		}
	})
}
