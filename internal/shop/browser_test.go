package shop_test

import (
	"context"
	"flag"
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

	"github.com/whosaw/whosaw/internal/shop"
)

var pictures = flag.String("shop.pictures", "", "make the picture of docs/ again, in this directory")

// tools finds Chromium and axe-core, which scripts/tools installs. Without them a test is skipped, and fails under WHOSAW_STRICT=1.
func tools(t *testing.T) (browser, axe string) {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			browser = p
			break
		}
	}
	for _, dir := range []string{os.Getenv("WHOSAW_TOOLS"), "/usr/local/lib/whosaw-tools", filepath.Join(os.Getenv("HOME"), ".cache", "whosaw-tools")} {
		if data, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js")); dir != "" && err == nil {
			axe = string(data)
			break
		}
	}
	switch {
	case browser != "" && axe != "":
	case os.Getenv("WHOSAW_STRICT") != "":
		t.Fatal("chromium or axe-core is not installed: run scripts/tools")
	default:
		t.Skip("chromium or axe-core is not installed: run scripts/tools")
	}
	return browser, axe
}

// tab is a browser's tab.
type tab struct {
	t    *testing.T
	ctx  context.Context
	axe  string
	base string

	mu   sync.Mutex
	seen []string // addresses that were asked for
}

func newTab(t *testing.T, base string) *tab {
	t.Helper()
	path, axe := tools(t)
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("hide-scrollbars", true))
	alloc, stop := chromedp.NewExecAllocator(t.Context(), opts...)
	t.Cleanup(stop)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(stop)
	b := &tab{t: t, ctx: ctx, axe: axe, base: base}
	check(t, chromedp.Do(ctx))
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
		b.t.Fatalf("%v\npage: %s", err, b.eval(`document.body.innerText`))
	}
}

func (b *tab) eval(expr string) string {
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](expr, chromedp.EvalAwaitPromise))
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return s
}

func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
}

// shows waits until a page whose address begins so shows a text.
func (b *tab) shows(path, text string) {
	b.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		if b.eval(fmt.Sprintf(`String(document.readyState === "complete" && location.pathname.startsWith(%q) && document.body.innerText.includes(%q))`, path, text)) == "true" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			b.t.Fatalf("%s does not show %q\npage: %s", path, text, b.eval(`location.href + "\n" + document.body.innerText`))
		}
	}
}

// clean holds the page, in its four looks, against axe-core, the window's width and other hosts.
func (b *tab) clean(name string) {
	b.t.Helper()
	for _, dark := range []bool{false, true} {
		for _, width := range []int64{1200, 390} {
			look := fmt.Sprintf("%s-%d-%s", name, width, map[bool]string{false: "light", true: "dark"}[dark])
			b.look(width, 860, dark)
			if dark != (width < 500) {
				b.shot(look) // the same parts in the same colours as another
				continue
			}
			b.do(chromedp.Evaluate[chromedp.Void](b.axe))
			if out := b.eval(`(async () => {
				const r = await axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]});
				return r.violations.map(v => v.id + ": " + v.help + "\n" + v.nodes.slice(0, 3).map(n => "    " + n.html.slice(0, 200) + " " + (n.any[0]?.message || n.all[0]?.message || n.none[0]?.message || "")).join("\n")).join("\n");
			})()`); out != "" {
				b.t.Errorf("%s: axe-core finds\n%s", look, out)
			}
			if wide := b.eval(`document.documentElement.scrollWidth > innerWidth + 1 ? [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join(" | ") : ""`); wide != "" {
				b.t.Errorf("%s: wider than the window: %s", look, wide)
			}
			b.shot(look)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.seen {
		if !strings.HasPrefix(url, b.base) && !strings.HasPrefix(url, "data:") {
			b.t.Errorf("%s: %s was asked for, which is not the shop's", name, url)
		}
	}
}

// look sets the window's size, and light or dark.
func (b *tab) look(width, height int64, dark bool) {
	b.t.Helper()
	scheme := emulation.MediaFeature{Name: "prefers-color-scheme", Value: map[bool]string{false: "light", true: "dark"}[dark]}
	b.do(chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{&scheme}})
		return err
	}))
}

// shot keeps a picture for a person to look at, if WHOSAW_SHOTS names a directory.
func (b *tab) shot(name string) {
	b.t.Helper()
	if dir := os.Getenv("WHOSAW_SHOTS"); dir != "" {
		b.keep(filepath.Join(dir, "shop-"+name+".png"))
	}
}

func (b *tab) keep(file string) {
	b.t.Helper()
	data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	check(b.t, err)
	check(b.t, os.WriteFile(file, data, 0o644))
}

// TestInABrowser walks through the shop as a customer and as an agent, with real clicks, behind the guard.
func TestInABrowser(t *testing.T) {
	h := newHouse(t, "enforce")
	b := newTab(t, h.pages.URL)
	v := h.visitors()[1]
	b.visit("/")
	b.shows("/", "Cloud mug")
	b.clean("home")
	b.visit("/me/addresses")
	b.shows("/login", "Mail address")
	b.do(chromedp.SendKeys(chromedp.CSS("#email"), v.Email), chromedp.SendKeys(chromedp.CSS("#password"), "not it"), chromedp.Click(chromedp.CSS("main button")))
	b.shows("/login", "check what you typed")
	b.clean("login")
	b.visit("/login?next=/me/addresses")
	b.do(chromedp.SendKeys(chromedp.CSS("#email"), v.Email), chromedp.SendKeys(chromedp.CSS("#password"), v.Password), chromedp.Click(chromedp.CSS("main button")))
	b.shows("/me/addresses", v.Name)
	b.clean("addresses")
	if *pictures != "" {
		b.look(1000, 440, false)
		b.keep(filepath.Join(*pictures, "demo-shop.png"))
	}
	code := `document.querySelector("[data-field=door_code]")`
	if masked := b.eval(code + ".innerText"); !strings.Contains(masked, "**") {
		t.Errorf("the door code in the list is %q", masked)
	}
	b.do(chromedp.Click(chromedp.CSS(".cards a")))
	b.shows("/me/addresses/", "courier")
	if clear := b.eval(code + ".value"); len(clear) != 6 || strings.Contains(clear, "**") {
		t.Errorf("the door code in the form is %q", clear)
	}
	b.clean("edit")
	b.do(chromedp.SetValue(chromedp.CSS("#door_code"), `#9"><b>1*`), chromedp.Click(chromedp.CSS("main button")))
	b.shows("/me/addresses", `****`)
	if n := b.eval(`String(document.querySelectorAll("main b").length)`); n != "0" {
		t.Error("a door code became part of the page")
	}
	b.do(chromedp.Click(chromedp.CSS(`nav a[href="/me"]`)))
	b.shows("/me", v.Email)
	b.clean("profile")
	b.do(chromedp.Click(chromedp.CSS(`nav a[href="/help"]`)))
	b.shows("/help", "What is it about?")
	b.do(chromedp.Click(chromedp.CSS("main button")))
	b.shows("/help", "Your ticket is T-")
	b.clean("help")
	b.visit("/products/4")
	b.do(chromedp.Click(chromedp.CSS("main button")))
	b.shows("/me/orders", "Rice cooker")
	b.clean("orders")
	b.do(chromedp.Click(chromedp.CSS("nav form button")))
	b.shows("/", "Log in")

	agent := h.shop.VisitingAgent()
	b.visit("/desk")
	b.shows("/desk/login", "Agent")
	b.do(chromedp.SendKeys(chromedp.CSS("#agent"), agent.ID), chromedp.SendKeys(chromedp.CSS("#password"), agent.Password), chromedp.Click(chromedp.CSS("main button")))
	b.shows("/desk", "Your open tickets")
	b.clean("desk")
	b.do(chromedp.Click(chromedp.CSS("table button")))
	b.shows("/desk/customers/", "Mail address")
	b.clean("deskcustomer")

	forged, err := h.shop.StolenKey().Forge(v.ID, time.Now())
	check(t, err)
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: shop.Cookie, Value: forged, URL: b.base, Path: "/"})
		return err
	}))
	b.visit("/me/addresses")
	b.shows("/me/addresses", "Code: unissued")
	b.clean("refused")
	if text := b.eval(`document.documentElement.outerHTML`); strings.Contains(text, v.Name) || strings.Contains(text, "data-field") {
		t.Error("a refused page shows somebody's data")
	}
	b.visit("/me")
	b.shows("/login", "Mail address") // the forged token is gone from the browser
}
