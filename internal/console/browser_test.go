package console_test

import (
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/browsertest"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

// tab is a browser's tab, signed in.
type tab struct {
	*browsertest.Tab
	t testing.TB
}

// open opens a tab.
func (s *site) open() *tab {
	s.t.Helper()
	b := &tab{Tab: browsertest.Open(s.t, s.url), t: s.t}
	c := s.signIn()
	b.Cookie(c.Name, c.Value)
	return b
}

// look sets what the browser is: its width, and light or dark.
func (b *tab) look(width int64, dark bool) {
	b.t.Helper()
	height := int64(900)
	if width < 500 {
		height = 844
	}
	b.Look(width, height, dark)
}

// clean holds the page against axe-core, against what must not appear, and against what a page may not do. A word that
// begins with id: may stand in the page, but in no address and no title.
func (b *tab) clean(name string, mustNot ...string) {
	b.t.Helper()
	if !strings.HasSuffix(name, "-390-light") && (!strings.HasSuffix(name, "-dark") || strings.HasSuffix(name, "-390-dark")) || strings.HasPrefix(name, "now-harvest") {
		b.Axe(name) // the other looks have the same parts in the same colours
	}
	b.Wide(name, ".scrollx")
	title := b.Eval(`document.title + " " + [...document.querySelectorAll("[title]")].map(e => e.title).join(" ")`)
	if !strings.Contains(title, "whosaw") || strings.Count(title, " · ") > 3 {
		b.t.Errorf("%s: the title is %q", name, title)
	}
	html, seen := b.HTML(), b.Addresses()
	for _, word := range mustNot {
		if id, ok := strings.CutPrefix(word, "id:"); ok {
			if strings.Contains(seen, id) || strings.Contains(title, id) {
				b.t.Errorf("%s: %s stands in an address or a title", name, id)
			}
			continue
		}
		if strings.Contains(html, word) || strings.Contains(seen, word) {
			b.t.Errorf("%s: the page or an address holds %q", name, word)
		}
	}
	b.Lacks(name, "<no value>", "undefined", "NaN", "wss_", "wst_", "wsl_", " style=", "%!")
	b.Shot(name)
}
