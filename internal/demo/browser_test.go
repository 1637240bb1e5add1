package demo_test

import (
	"strings"
	"testing"

	"github.com/whosaw/whosaw/internal/browsertest"
	"github.com/whosaw/whosaw/internal/demo"
)

func TestMain(m *testing.M) { browsertest.Main(m) }

// tab is a browser's tab on a demo's pages.
type tab struct {
	*browsertest.Tab
	t *testing.T
}

func openTab(t *testing.T) *tab {
	t.Helper()
	return &tab{Tab: browsertest.Open(t, ""), t: t}
}

// own lets the pages ask the demo, the server that runs behind it, the shop and the public pages, and nobody else.
func (b *tab) own(d *demo.Demo) {
	b.t.Helper()
	server, shop := d.World()
	for _, at := range []string{d.URL(), shop, d.Public()} {
		b.Own(at)
	}
	b.Own(strings.Replace(server, "127.0.0.1", "localhost", 1))
}

func (b *tab) visit(url string) {
	b.t.Helper()
	b.Visit(url)
	b.Wait(`document.body.dataset.ready`)
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

// clean holds the page against axe-core, against what must not appear, and against what a page may not do; wide and narrow, light and dark.
func (b *tab) clean(name string) {
	b.t.Helper()
	for _, look := range []struct {
		name  string
		width int64
		dark  bool
	}{{"light", 1440, false}, {"dark", 1440, true}, {"390-light", 390, false}} {
		b.look(look.width, look.dark)
		b.Wide(name+"-"+look.name, ".dpath")
		b.Axe(name + "-" + look.name)
		b.Shot("demo-" + name + "-" + look.name)
	}
	b.look(1440, false)
	b.Lacks(name, "<no value>", "undefined", "NaN", "%!", " style=", "eyJ", "wss_", "wst_", "wsl_")
}
