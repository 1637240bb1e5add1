package console_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/console"
)

// TestKeys: who could read which key, whom its end would log out, the end itself, and what a leaver still has.
func TestKeys(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 1, busy: 3, theft: 5 * time.Minute, pace: time.Second})
	s.take("vault", []whosaw.Record{
		{Type: whosaw.TypeKey, Time: s.now().Add(-time.Hour).UnixMilli(), Source: "vault", Position: 1, Key: "login-2024-b", Ref: &whosaw.Reference{Kind: "read", Readers: []string{"lee"}}},
	})
	b := s.open()
	for _, l := range looks {
		b.look(l.width, l.dark)
		b.Visit("/keys")
		b.Shows("Signing keys")
		b.Shows("login-2024-b")
		b.clean("keys-"+l.name, "forged-")
	}
	b.look(1440, false)
	b.Visit("/")
	b.Key("k")
	b.Shows("Signing keys")
	b.Click(`//a[text()="login-2024-b"]`)
	b.Shows("Key login-2024-b")
	b.Shows("never-issued tokens in use")
	b.Shows("read it once")
	b.Shows("typed, since")
	b.clean("key-light", "forged-")
	b.look(390, true)
	b.Reload()
	b.Shows("never-issued tokens in use")
	b.clean("key-390-dark")
	b.look(1440, true)
	b.Reload()
	b.Shows("never-issued tokens in use")
	b.Type("#reason", "stolen")
	b.Click(`button[value=kill]`)
	b.Shows("Revoked: it is out of the key set")
	b.clean("key-dead")
	b.Visit("/keys")
	b.Shows("People who left")
	b.Click(`//a[text()="lee"]`)
	b.Shows("What lee could use")
	b.clean("offboarding", "id:lee")
}

// TestKeysEmpty: no key is a figure too.
func TestKeysEmpty(t *testing.T) {
	b := newSite(t).open()
	b.look(390, false)
	b.Visit("/keys")
	b.Shows("No record names a key")
	b.clean("keys-empty")
	b.Visit("/server")
	b.Shows("A token for a sender")
	b.clean("server-390")
	b.look(1440, true)
	b.Visit("/server")
	b.clean("server-dark")
}

// TestKeyHistory: what was of another year says of which, and a reader is called one.
func TestKeyHistory(t *testing.T) {
	s := newSite(t)
	s.signIn()
	at := s.now().AddDate(-2, 0, 0)
	s.take("vault", []whosaw.Record{{Type: whosaw.TypeKey, Time: at.UnixMilli(), Source: "vault", Position: 1, Key: "old", Ref: &whosaw.Reference{State: "active", Readers: []string{"lee"}}}})
	_, text := s.page("GET", "/keys/key?id=old", nil)
	_, text, _ = strings.Cut(text, `id="h-h"`)
	for _, want := range []string{at.In(seoul(t)).Format("2 Jan 2006 15:04:05"), "could read it: lee"} {
		if !strings.Contains(text, want) {
			t.Errorf("the history has no %q:\n%s", want, text)
		}
	}
}

// TestNoPolicy: where nothing is asked of keys, none is said to keep to it.
func TestNoPolicy(t *testing.T) {
	s := newSite(t)
	s.signIn()
	s.take("vault", []whosaw.Record{{Type: whosaw.TypeKey, Time: s.now().UnixMilli(), Source: "vault", Position: 1, Key: "old", Ref: &whosaw.Reference{State: "active", Readers: []string{"lee"}}}})
	if _, text := s.page("GET", "/keys", nil); !strings.Contains(text, "1 key. Nothing is asked of it") || strings.Contains(text, "break what the house asks") {
		t.Errorf("the head says:\n%s", text)
	}
}

// TestLettersTold: each key that does something on some page stands among those that ? shows.
func TestLettersTold(t *testing.T) {
	s := newSite(t)
	s.signIn()
	_, text := s.page("GET", "/", nil)
	var told []string
	for _, m := range regexp.MustCompile(`<dt><kbd>([^<]+)</kbd>`).FindAllStringSubmatch(text, -1) {
		told = append(told, strings.Fields(m[1])...)
	}
	names, err := filepath.Glob("templates/*.html")
	check(t, err)
	seen := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		check(t, err)
		for _, m := range regexp.MustCompile(`data-key="([^"{]+)"`).FindAllStringSubmatch(string(data), -1) {
			key := strings.ReplaceAll(m[1], "Enter", "↵")
			if seen++; !slices.Contains(told, key) {
				t.Errorf("%s has the key %s, which ? does not tell of: %q", name, key, told)
			}
		}
	}
	if seen < 10 {
		t.Errorf("the pages have %d keys", seen)
	}
}

// TestZoneOfTheMachine: the machine's own zone has a name that people know.
func TestZoneOfTheMachine(t *testing.T) {
	s := newSite(t, func(c *console.Config) { c.Zone = time.Local })
	s.signIn()
	if _, text := s.page("GET", "/settings", nil); strings.Contains(text, "shown in Local") || !strings.Contains(text, "shown in "+s.now().Format("MST")) {
		t.Errorf("the zone is called:\n%s", text)
	}
}
