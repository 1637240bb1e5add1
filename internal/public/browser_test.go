package public_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/browsertest"
	"github.com/whosaw/whosaw/internal/public"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

// tab is a browser's tab on the pages for everybody.
type tab struct {
	*browsertest.Tab
	t testing.TB
}

func (h *house) tab(opts ...browsertest.Option) *tab {
	h.t.Helper()
	return &tab{Tab: browsertest.Open(h.t, h.server.URL, opts...), t: h.t}
}

// visit opens a page, not a place in the one that is open, and waits for its script.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.Visit("about:blank")
	b.Visit(path)
	b.Wait(`document.body?.dataset.ready`)
}

// asked gives what was asked for since the last time: method and address.
func (b *tab) asked() []string {
	var out []string
	for _, r := range b.Asked() {
		if r.URL != "about:blank" {
			out = append(out, r.Method+" "+r.URL)
		}
	}
	return out
}

// clean holds the page against axe-core and the window's width, and keeps a picture if WHOSAW_SHOTS names a directory.
func (b *tab) clean(name string) {
	b.t.Helper()
	if strings.HasSuffix(name, "-en-1100-light") || strings.HasSuffix(name, "-ar-390-dark") {
		b.Axe(name) // the other looks have the same parts in the same colours
	}
	b.Wide(name, "")
	b.Lacks(name, "<no value>", "undefined", "NaN", " style=", "%!", "{0}", "{1}")
	b.Shot("public-" + name)
}

// sent is a look-up of notices in which one code is genuine.
func sent(_ context.Context, code string) (public.Genuine, error) {
	if code == "WN-GOOD-CODE" {
		return public.Genuine{Incident: 1, Sent: start.Add(24 * time.Hour)}, nil
	}
	return public.Genuine{}, public.ErrNotGenuine
}

// TestPagesInABrowser: every page, in each language, wide and narrow, light and dark.
func TestPagesInABrowser(t *testing.T) {
	h := newHouse(t, func(c *public.Config) { c.Genuine = sent })
	n := h.story()
	b := h.tab()
	text, _, _ := h.lookups.Secret("token:shop", n, "", "10000001", "")
	other, _, _ := h.lookups.Secret("token:shop", n, "", "1", "")
	for i, lang := range []string{"en", "ko", "ar", "bn"} {
		for j, width := range []int64{1100, 390} {
			dark := (i+j)%2 == 1
			b.Look(width, 900, dark)
			name := fmt.Sprintf("-%s-%d-%s", lang, width, map[bool]string{true: "dark", false: "light"}[dark])
			for _, p := range []struct{ name, path, until string }{
				{"posted", "/?lang=" + lang, `document.querySelectorAll("article section").length > 5`},
				{"notice", "/notice?lang=" + lang, `document.getElementById("code")`},
				{"genuine", "/notice?lang=" + lang + "#WN-GOOD-CODE", `document.querySelector(".answer.held")`},
				{"unknown", "/notice?lang=" + lang + "#WN-BAD", `document.querySelector(".answer.watch")`},
				{"affected", "/affected?lang=" + lang, `document.getElementById("with") && !document.getElementById("with").hidden`},
				{"found", fmt.Sprintf("/affected/%d?lang=%s#%s", n, lang, text), `document.querySelector("#answers .taken .fields li")`},
				{"not", fmt.Sprintf("/affected/%d?lang=%s#%s", n, lang, other), `document.querySelector("#answers .answer")`},
				{"slip", fmt.Sprintf("/affected/%d?lang=%s#%s", n, lang, text[:35]), `document.querySelector("#answers .watch")`},
				{"missing", "/nothing?lang=" + lang, `document.querySelector("h1")`},
			} {
				b.visit(p.path)
				b.Wait(p.until)
				b.Wait(`document.body.dataset.ready`)
				if hash := b.Eval(`location.hash + location.search`); strings.Contains(hash, "#") || strings.Contains(hash, "WN-") {
					t.Errorf("%s%s: the address keeps the code", p.name, name)
				}
				if got := b.Eval(`document.documentElement.lang + " " + document.documentElement.dir`); got != lang+" "+map[bool]string{true: "rtl", false: "ltr"}[lang == "ar"] {
					t.Errorf("%s%s: the page is %s", p.name, name, got)
				}
				b.clean(p.name + name)
			}
		}
	}
	for _, a := range b.asked() {
		if _, address, _ := strings.Cut(a, " "); !strings.HasPrefix(address, h.server.URL+"/") || strings.Contains(address, "WN-") {
			t.Errorf("asked for %s", a)
		}
	}
}

// TestTheBrowserSaysNothing: whoever sees what the browser asks for sees the same whether its customer is in the list, and never the code.
func TestTheBrowserSaysNothing(t *testing.T) {
	h := newHouse(t)
	n := h.story()
	b := h.tab()
	asks := map[bool][]string{}
	for subject, in := range map[string]bool{"10000001": true, "nobody": false} {
		text, _, _ := h.lookups.Secret("token:shop", n, "", subject, "")
		b.visit(fmt.Sprintf("/affected/%d?lang=en#%s", n, text))
		b.Shows(map[bool]string{true: "Yes, your data was in the leak", false: "You are not in the list"}[in])
		if in {
			for _, f := range fieldsOf(10_000_001) {
				b.Shows(map[string]string{"address": "address", "door_code": "door code", "name": "name", "phone": "phone number"}[f])
			}
			if got := b.Eval(`[...document.querySelectorAll("#answers .fields li")].map(e => e.innerText).join()`); got != "address,door code,name,phone number" {
				t.Errorf("the fields are %s", got)
			}
		}
		// Once more by hand, with the keyboard, after a slip.
		b.Type("#secret", "AAAA\r")
		b.Shows("Nothing was looked up")
		b.Type("#secret", strings.ToLower(text)+"\r")
		b.Shows(map[bool]string{true: "Yes, your data was in the leak", false: "You are not in the list"}[in])
		if focus := b.Eval(`document.activeElement.id`); focus != "answers" {
			t.Errorf("the focus is on %q", focus)
		}
		for _, a := range b.asked() {
			if strings.Contains(strings.ToUpper(a), strings.ReplaceAll(text, "-", "")) || strings.Contains(strings.ToUpper(a), text) || !strings.HasPrefix(a, "GET ") {
				t.Error("the code is sent")
			}
			asks[in] = append(asks[in], strings.TrimRight(a, "0123456789abcdef"))
		}
	}
	slices.Sort(asks[true])
	slices.Sort(asks[false])
	if !slices.Equal(asks[true], asks[false]) || len(asks[true]) < 4 {
		t.Errorf("in the list: %q\nnot: %q", asks[true], asks[false])
	}
}

// TestWithoutScript: the pages work, and the one that cannot keep the code to itself says so.
func TestWithoutScript(t *testing.T) {
	h := newHouse(t)
	n := h.story()
	text, _, _ := h.lookups.Secret("token:shop", n, "", "10000001", "")
	page := h.get(fmt.Sprintf("/affected/%d?lang=en", n)).body
	if !strings.Contains(page, `<p id="without">`) || !strings.Contains(page, `<p id="with" hidden>`) || !strings.Contains(page, "which then learns that you looked") {
		t.Error("the page does not say what the server learns")
	}
	b := h.tab(browsertest.WithoutScript)
	b.Visit(fmt.Sprintf("/affected/%d?lang=en", n))
	b.Type("#secret", text+"\r")
	b.Shows("Yes, your data was in the leak")
	if asked := strings.Join(b.asked(), "\n"); strings.Contains(asked, text) || !strings.Contains(asked, "POST "+h.server.URL+fmt.Sprintf("/affected/%d", n)) {
		t.Error("the code is in an address")
	}
}
