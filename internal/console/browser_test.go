package console_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// browser is one Chromium for all tests of the package: starting it takes longer than a page.
var browser struct {
	once   sync.Once
	ctx    context.Context
	cancel []context.CancelFunc
	err    error
	path   string
	axe    string
}

func TestMain(m *testing.M) {
	code := m.Run()
	for i := len(browser.cancel) - 1; i >= 0; i-- {
		browser.cancel[i]()
	}
	os.Exit(code)
}

// chromium finds the browser and axe-core, which scripts/tools installs. Without them a test is skipped, and fails under
// WHOSAW_STRICT=1.
func chromium(t testing.TB) {
	t.Helper()
	browser.once.Do(func() {
		for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
			if p, err := exec.LookPath(name); err == nil {
				browser.path = p
				break
			}
		}
		for _, dir := range []string{os.Getenv("WHOSAW_TOOLS"), "/usr/local/lib/whosaw-tools", filepath.Join(os.Getenv("HOME"), ".cache", "whosaw-tools")} {
			if data, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js")); dir != "" && err == nil {
				browser.axe = string(data)
				break
			}
		}
		if browser.path == "" || browser.axe == "" {
			return
		}
		opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser.path), chromedp.NoSandbox, chromedp.Flag("hide-scrollbars", true))
		alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
		ctx, stop := chromedp.NewContext(alloc)
		browser.ctx, browser.cancel = ctx, []context.CancelFunc{stopAlloc, stop}
		browser.err = chromedp.Do(ctx)
	})
	missing := ""
	switch {
	case browser.path == "":
		missing = "chromium is not installed"
	case browser.axe == "":
		missing = "axe-core is not installed"
	case browser.err != nil:
		t.Fatalf("start chromium: %v", browser.err)
	default:
		return
	}
	if os.Getenv("WHOSAW_STRICT") != "" {
		t.Fatal(missing + ": run scripts/tools")
	}
	t.Skip(missing + ": run scripts/tools")
}

// tab is a browser's tab, signed in.
type tab struct {
	t    testing.TB
	ctx  context.Context
	site *site
	seen []string // addresses that were gone to or asked for
	mu   sync.Mutex
}

// open opens a tab.
func (s *site) open() *tab {
	s.t.Helper()
	chromium(s.t)
	ctx, cancel := chromedp.NewContext(browser.ctx, chromedp.WithNewBrowserContext())
	s.t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	s.t.Cleanup(stop)
	b := &tab{t: s.t, ctx: ctx, site: s}
	c := s.signIn()
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: c.Name, Value: c.Value, URL: s.url, Path: "/"})
		return err
	}))
	check(s.t, chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*network.EventRequestWillBeSent); ok {
			b.mu.Lock()
			b.seen = append(b.seen, e.Request.URL)
			b.mu.Unlock()
		}
	}))
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, step := range steps {
		err := chromedp.Do(b.ctx, step)
		// The page came, or a part was swapped, between looking up and acting: nothing was done yet.
		for tries := 0; err != nil && strings.Contains(err.Error(), "Could not find node with given id") && tries < 5; tries++ {
			err = chromedp.Do(b.ctx, step)
		}
		if err != nil {
			b.t.Fatalf("%v\npage: %s", err, b.text())
		}
	}
}

// click clicks what a CSS selector, or an XPath that begins with //, finds.
func click(sel string) chromedp.Action[chromedp.Void] {
	if strings.HasPrefix(sel, "//") {
		return chromedp.Click(chromedp.Search(sel))
	}
	return chromedp.Click(chromedp.CSS(sel))
}

// key presses a key once the page hears it.
func (b *tab) key(k string) {
	b.t.Helper()
	b.wait(`document.body.dataset.ready && document.readyState === "complete"`)
	b.do(chromedp.KeyEvent(k))
}

// text is what the page shows.
func (b *tab) text() string {
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.title + "\n" + document.body.innerText`))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return s
}

// look sets what the browser is: its width, and light or dark.
func (b *tab) look(width int64, dark bool) {
	b.t.Helper()
	scheme, height := "light", int64(900)
	if dark {
		scheme = "dark"
	}
	if width < 500 {
		height = 844
	}
	b.do(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// go opens a page.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.site.url + path))
}

// wait waits until an expression is true, through whatever pages come between.
func (b *tab) wait(expr string) {
	b.t.Helper()
	deadline := time.NewTimer(60 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expr+")")); err == nil && ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			b.t.Fatalf("not so: %s\npage: %s", expr, b.text())
		}
	}
}

// shows waits until the page shows a text.
func (b *tab) shows(text string) {
	b.t.Helper()
	quoted, err := json.Marshal(text)
	check(b.t, err)
	b.wait("document.body.innerText.includes(" + string(quoted) + ")")
}

// clean holds the page against axe-core, against what must not appear, and against what a page may not do.
func (b *tab) clean(name string, mustNot ...string) {
	b.t.Helper()
	if !strings.HasSuffix(name, "-390-light") && (!strings.HasSuffix(name, "-dark") || strings.HasSuffix(name, "-390-dark")) || strings.HasPrefix(name, "now-harvest") {
		b.axe(name) // the other looks have the same parts in the same colours
	}
	wide, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.documentElement.scrollWidth > innerWidth + 1 ? "wider than the window: " + [...document.querySelectorAll("body *")].filter(e => !e.closest(".scrollx") && e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join(" | ") : ""`))
	check(b.t, err)
	if wide != "" {
		b.t.Errorf("%s: the page is %s", name, wide)
	}
	title, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.title + " " + [...document.querySelectorAll("[title]")].map(e => e.title).join(" ")`))
	check(b.t, err)
	html, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.documentElement.outerHTML`))
	check(b.t, err)
	if !strings.Contains(title, "whosaw") || strings.Count(title, " · ") > 3 {
		b.t.Errorf("%s: the title is %q", name, title)
	}
	b.mu.Lock()
	seen := strings.Join(b.seen, "\n")
	b.mu.Unlock()
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
	for _, word := range []string{"<no value>", "undefined", "NaN", "wss_", "wst_", "wsl_", " style=", "%!"} {
		if strings.Contains(html, word) {
			b.t.Errorf("%s: the page holds %q", name, word)
		}
	}
	for _, url := range strings.Split(seen, "\n") {
		if url != "" && !strings.HasPrefix(url, b.site.url) && !strings.HasPrefix(url, "data:") {
			b.t.Errorf("%s: %s was asked for, which is not ours", name, url)
		}
	}
	b.shot(name)
}

// axe holds the page against axe-core.
func (b *tab) axe(name string) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](browser.axe))
	out, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`(async () => {
		const r = await axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]});
		return r.violations.map(v => v.id + ": " + v.help + "\n" + v.nodes.slice(0, 3).map(n => "    " + n.html.slice(0, 200) + " " + (n.any[0]?.message || n.all[0]?.message || n.none[0]?.message || "")).join("\n")).join("\n");
	})()`, chromedp.EvalAwaitPromise))
	check(b.t, err)
	if out != "" {
		b.t.Errorf("%s: axe-core finds\n%s", name, out)
	}
}

// shot keeps a picture for a person to look at, if WHOSAW_SHOTS names a directory.
func (b *tab) shot(name string) {
	dir := os.Getenv("WHOSAW_SHOTS")
	if dir == "" {
		return
	}
	data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	check(b.t, err)
	check(b.t, os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644))
}
