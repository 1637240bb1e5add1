package demo_test

import (
	"context"
	"encoding/json"
	"fmt"
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

// chromium finds the browser and axe-core, which scripts/tools installs. Without them a test is skipped, and fails under WHOSAW_STRICT=1.
func chromium(t *testing.T) (path, axe string) {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	for _, dir := range []string{os.Getenv("WHOSAW_TOOLS"), "/usr/local/lib/whosaw-tools", filepath.Join(os.Getenv("HOME"), ".cache", "whosaw-tools")} {
		if data, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js")); dir != "" && err == nil {
			axe = string(data)
			break
		}
	}
	missing := ""
	switch {
	case path == "":
		missing = "chromium is not installed"
	case axe == "":
		missing = "axe-core is not installed"
	default:
		return path, axe
	}
	if os.Getenv("WHOSAW_STRICT") != "" {
		t.Fatal(missing + ": run scripts/tools")
	}
	t.Skip(missing + ": run scripts/tools")
	return "", ""
}

// tab is a browser's tab.
type tab struct {
	t    *testing.T
	ctx  context.Context
	axe  string
	mu   sync.Mutex
	seen []string // addresses that were gone to or asked for
}

func openTab(t *testing.T) *tab {
	t.Helper()
	path, axe := chromium(t)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(),
		append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("hide-scrollbars", true))...)
	t.Cleanup(stopAlloc)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, axe: axe}
	b.do() // starts it
	check(t, chromedp.Listen(ctx, func(ev any) {
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
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%v\npage: %s", err, b.text())
	}
}

func (b *tab) visit(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
	b.wait(`document.body.dataset.ready`)
}

func (b *tab) text() string {
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.title + "\n" + document.body.innerText`))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return s
}

func (b *tab) eval(js string) string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](js))
	if err != nil {
		b.t.Fatalf("%s: %v\npage: %s", js, err, b.text())
	}
	return s
}

// wait waits until an expression is true.
func (b *tab) wait(js string) {
	b.t.Helper()
	deadline := time.Now().Add(90 * time.Second)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+js+")"))
		if err == nil && ok {
			tick.Stop()
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("never so: %s (%v)\npage: %s", js, err, b.text())
		}
	}
}

func (b *tab) shows(text string) {
	b.t.Helper()
	quoted, err := json.Marshal(text)
	check(b.t, err)
	b.wait("document.body.innerText.includes(" + string(quoted) + ")")
}

func (b *tab) click(sel string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(sel)))
}

func (b *tab) key(k string) {
	b.t.Helper()
	b.wait(`document.body.dataset.ready && document.readyState === "complete"`)
	b.do(chromedp.KeyEvent(k))
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
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
	b.wait(fmt.Sprintf("innerWidth === %d", width))
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
		if wide := b.eval(`document.documentElement.scrollWidth > innerWidth + 1 ? [...document.querySelectorAll("body *")].filter(e => !e.closest(".dpath") && e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join(" | ") : ""`); wide != "" {
			b.t.Errorf("%s-%s: the page is wider than the window: %s", name, look.name, wide)
		}
		b.do(chromedp.Evaluate[chromedp.Void](b.axe))
		out, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`(async () => {
			const r = await axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]});
			return r.violations.map(v => v.id + ": " + v.help + "\n" + v.nodes.slice(0, 3).map(n => "    " + n.html.slice(0, 200) + " " + (n.any[0]?.message || n.all[0]?.message || n.none[0]?.message || "")).join("\n")).join("\n");
		})()`, chromedp.EvalAwaitPromise))
		check(b.t, err)
		if out != "" {
			b.t.Errorf("%s-%s: axe-core finds\n%s", name, look.name, out)
		}
		b.shot(name + "-" + look.name)
	}
	b.look(1440, false)
	html := b.eval(`document.documentElement.outerHTML`)
	for _, word := range []string{"<no value>", "undefined", "NaN", "%!", " style=", "eyJ", "wss_", "wst_", "wsl_"} {
		if strings.Contains(html, word) {
			b.t.Errorf("%s: the page holds %q", name, word)
		}
	}
}

// shot keeps a picture for a person to look at, if WHOSAW_SHOTS names a directory.
func (b *tab) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("WHOSAW_SHOTS")
	if dir == "" {
		return
	}
	data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	check(b.t, err)
	check(b.t, os.WriteFile(filepath.Join(dir, "demo-"+name+".png"), data, 0o644))
}
