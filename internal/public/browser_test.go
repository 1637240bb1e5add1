package public_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"github.com/whosaw/whosaw/internal/public"
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

// chromium finds the browser and axe-core, which scripts/tools installs. Without them a test is skipped, and fails under WHOSAW_STRICT=1.
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

// tab is a browser's tab.
type tab struct {
	t    testing.TB
	h    *house
	ctx  context.Context
	mu   sync.Mutex
	seen []string // what was asked for: method and address
}

func (h *house) tab(script bool) *tab {
	h.t.Helper()
	chromium(h.t)
	ctx, cancel := chromedp.NewContext(browser.ctx, chromedp.WithNewBrowserContext())
	h.t.Cleanup(cancel)
	ctx, stop := context.WithTimeout(ctx, 3*time.Minute)
	h.t.Cleanup(stop)
	b := &tab{t: h.t, h: h, ctx: ctx}
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !script})
		return err
	}))
	check(h.t, chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*network.EventRequestWillBeSent); ok {
			b.mu.Lock()
			b.seen = append(b.seen, e.Request.Method+" "+e.Request.URL)
			b.mu.Unlock()
		}
	}))
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) eval(expr string) string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](expr))
	check(b.t, err)
	return s
}

// wait waits until an expression is true, through whatever pages come between.
func (b *tab) wait(expr string) {
	b.t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expr+")")); err == nil && ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			b.t.Fatalf("not so: %s\n%s", expr, b.eval(`document.body.innerText`))
		}
	}
}

func (b *tab) shows(text string) {
	b.t.Helper()
	quoted, err := json.Marshal(text)
	check(b.t, err)
	b.wait("document.body.innerText.includes(" + string(quoted) + ")")
}

// visit opens a page and waits for its script.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(b.h.server.URL+path))
	b.wait(`document.body?.dataset.ready`)
}

func (b *tab) look(width int64, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.do(chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
}

// asked gives what was asked for since the last time, and forgets it.
func (b *tab) asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := slices.DeleteFunc(b.seen, func(s string) bool { return strings.HasSuffix(s, " about:blank") })
	b.seen = nil
	return out
}

// clean holds the page against axe-core and the window's width, and keeps a picture if WHOSAW_SHOTS names a directory.
func (b *tab) clean(name string) {
	b.t.Helper()
	if strings.HasSuffix(name, "-en-1100-light") || strings.HasSuffix(name, "-ar-390-dark") {
		b.axe(name) // the other looks have the same parts in the same colours
	}
	if wide := b.eval(`document.documentElement.scrollWidth > innerWidth + 1 ? [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join(" | ") : ""`); wide != "" {
		b.t.Errorf("%s: the page is wider than the window: %s", name, wide)
	}
	html := b.eval(`document.documentElement.outerHTML`)
	for _, word := range []string{"<no value>", "undefined", "NaN", " style=", "%!", "{0}", "{1}"} {
		if strings.Contains(html, word) {
			b.t.Errorf("%s: the page holds %q", name, word)
		}
	}
	if dir := os.Getenv("WHOSAW_SHOTS"); dir != "" {
		data, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		check(b.t, err)
		check(b.t, os.WriteFile(filepath.Join(dir, "public-"+name+".png"), data, 0o644))
	}
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
	b := h.tab(true)
	text, _, _ := h.lookups.Secret("token:shop", n, "", "10000001", "")
	other, _, _ := h.lookups.Secret("token:shop", n, "", "1", "")
	for i, lang := range []string{"en", "ko", "ar", "bn"} {
		for j, width := range []int64{1100, 390} {
			dark := (i+j)%2 == 1
			b.look(width, dark)
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
				b.wait(p.until)
				b.wait(`document.body.dataset.ready`)
				if hash := b.eval(`location.hash + location.search`); strings.Contains(hash, "#") || strings.Contains(hash, "WN-") {
					t.Errorf("%s%s: the address keeps the code", p.name, name)
				}
				if got := b.eval(`document.documentElement.lang + " " + document.documentElement.dir`); got != lang+" "+map[bool]string{true: "rtl", false: "ltr"}[lang == "ar"] {
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
	b := h.tab(true)
	asks := map[bool][]string{}
	for subject, in := range map[string]bool{"10000001": true, "nobody": false} {
		text, _, _ := h.lookups.Secret("token:shop", n, "", subject, "")
		b.visit(fmt.Sprintf("/affected/%d?lang=en#%s", n, text))
		b.shows(map[bool]string{true: "Yes, your data was in the leak", false: "You are not in the list"}[in])
		if in {
			for _, f := range fieldsOf(10_000_001) {
				b.shows(map[string]string{"address": "address", "door_code": "door code", "name": "name", "phone": "phone number"}[f])
			}
			if got := b.eval(`[...document.querySelectorAll("#answers .fields li")].map(e => e.innerText).join()`); got != "address,door code,name,phone number" {
				t.Errorf("the fields are %s", got)
			}
		}
		// Once more by hand, with the keyboard, after a slip.
		b.do(chromedp.Evaluate[chromedp.Void](`document.getElementById("secret").value = "";document.getElementById("secret").focus()`), chromedp.KeyEvent("AAAA\r"))
		b.shows("Nothing was looked up")
		b.do(chromedp.Evaluate[chromedp.Void](`document.getElementById("secret").value = "";document.getElementById("secret").focus()`), chromedp.KeyEvent(strings.ToLower(text)+"\r"))
		b.shows(map[bool]string{true: "Yes, your data was in the leak", false: "You are not in the list"}[in])
		if focus := b.eval(`document.activeElement.id`); focus != "answers" {
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
	b := h.tab(false)
	b.do(chromedp.Navigate(h.server.URL+fmt.Sprintf("/affected/%d?lang=en", n)), chromedp.SendKeys(chromedp.CSS("#secret"), text+"\r"))
	b.shows("Yes, your data was in the leak")
	if asked := strings.Join(b.asked(), "\n"); strings.Contains(asked, text) || !strings.Contains(asked, "POST "+h.server.URL+fmt.Sprintf("/affected/%d", n)) {
		t.Error("the code is in an address")
	}
}
