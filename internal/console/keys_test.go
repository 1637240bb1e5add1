package console_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/whosaw/whosaw"
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
		b.visit("/keys")
		b.shows("Signing keys")
		b.shows("login-2024-b")
		b.clean("keys-"+l.name, "forged-")
	}
	b.look(1440, false)
	b.visit("/")
	b.key("k")
	b.shows("Signing keys")
	b.do(click(`//a[text()="login-2024-b"]`))
	b.shows("Key login-2024-b")
	b.shows("never-issued tokens in use")
	b.shows("read it once")
	b.shows("typed, since")
	b.clean("key-light", "forged-")
	b.look(390, true)
	b.do(chromedp.Reload())
	b.shows("never-issued tokens in use")
	b.clean("key-390-dark")
	b.look(1440, true)
	b.do(chromedp.Reload())
	b.shows("never-issued tokens in use")
	b.do(chromedp.SendKeys(chromedp.CSS("#reason"), "stolen"), click(`button[value=kill]`))
	b.shows("Revoked: it is out of the key set")
	b.clean("key-dead")
	b.visit("/keys")
	b.shows("People who left")
	b.do(click(`//a[text()="lee"]`))
	b.shows("What lee could use")
	b.clean("offboarding", "id:lee")
}

// TestKeysEmpty: no key is a figure too.
func TestKeysEmpty(t *testing.T) {
	b := newSite(t).open()
	b.look(390, false)
	b.visit("/keys")
	b.shows("No record names a key")
	b.clean("keys-empty")
	b.visit("/server")
	b.shows("A token for a sender")
	b.clean("server-390")
	b.look(1440, true)
	b.visit("/server")
	b.clean("server-dark")
}
