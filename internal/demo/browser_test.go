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
		b.Eval(`(scrollTo(0, document.documentElement.scrollHeight), "")`) // the bar at the foot of the window covers nothing at the page's end
		b.Axe(name + "-" + look.name)
		b.Shot("demo-" + name + "-" + look.name)
	}
	b.look(1440, false)
	b.Lacks(name, "<no value>", "undefined", "NaN", "%!", " style=", "eyJ", "wss_", "wst_", "wsl_")
}

// path holds the names of the steps against the bar that they stand in: one line, all in sight. A telephone has numbers.
func (b *tab) path(name string) {
	b.t.Helper()
	for _, width := range []int64{1024, 1280, 1440} {
		b.look(width, false)
		if bad := b.Eval(`(() => {
			const nav = document.querySelector(".dpath"), one = 1.5 * parseFloat(getComputedStyle(nav).lineHeight);
			const bad = [...nav.querySelectorAll("li > *")].filter(e => e.offsetHeight - 16 > one).map(e => e.textContent + " takes more than a line");
			if (new Set([...nav.querySelectorAll("li")].map(e => e.offsetTop)).size > 1) bad.push("the names stand in several lines");
			if (nav.scrollWidth > nav.clientWidth) bad.push(nav.scrollWidth + " pixels of names in " + nav.clientWidth);
			return bad.join("; ");
		})()`); bad != "" {
			b.t.Errorf("%s, %d pixels wide: %s", name, width, bad)
		}
	}
	b.look(1440, false)
}
