package browsertest

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/chromedp/chromedp"
)

// Axe holds the page against axe-core.
func (b *Tab) Axe(name string) {
	b.t.Helper()
	out := ""
	b.until("run axe-core", func(ctx context.Context) (bool, string, error) {
		err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](browser.axe))
		if err != nil {
			return false, "", err
		}
		out, err = chromedp.Run(ctx, chromedp.Evaluate[string](`(async () => {
			const r = await axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]});
			return r.violations.map(v => v.id + ": " + v.help + "\n" + v.nodes.slice(0, 3).map(n => "    " + n.html.slice(0, 200) + " " + (n.any[0]?.message || n.all[0]?.message || n.none[0]?.message || "")).join("\n")).join("\n");
		})()`, chromedp.EvalAwaitPromise))
		return err == nil, "", err
	})
	if out != "" {
		b.t.Errorf("%s: axe-core finds\n%s", name, out)
	}
}

// Wide holds the page against the window's width. What scrolls by itself, inside an element that the selector except
// matches, is not named.
func (b *Tab) Wide(name, except string) {
	b.t.Helper()
	if except == "" {
		except = "no-such-element"
	}
	if wide := b.Eval(`document.documentElement.scrollWidth > innerWidth + 1
		? "wider than the window: " + [...document.querySelectorAll("body *")].filter(e => !e.closest("` + except + `") && (e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1)).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join(" | ")
		: ""`); wide != "" {
		b.t.Errorf("%s: the page is %s", name, wide)
	}
}

// Lacks holds the page's source against words that must not be in it.
func (b *Tab) Lacks(name string, words ...string) {
	b.t.Helper()
	html := b.HTML()
	for _, word := range words {
		if strings.Contains(html, word) {
			b.t.Errorf("%s: the page holds %q", name, word)
		}
	}
}

// HTML is the page's source as it is now.
func (b *Tab) HTML() string {
	b.t.Helper()
	return b.Eval(`document.documentElement.outerHTML`)
}

// Picture is what the window shows, as PNG.
func (b *Tab) Picture() []byte {
	b.t.Helper()
	ctx, cancel := b.limit()
	defer cancel()
	data, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.fail("take a picture", err.Error())
	}
	return data
}

// Shot keeps a picture for a person to look at, if WHOSAW_SHOTS names a directory.
func (b *Tab) Shot(name string) {
	b.t.Helper()
	if dir := os.Getenv("WHOSAW_SHOTS"); dir != "" {
		b.Keep(filepath.Join(dir, name+".png"))
	}
}

// Keep writes a picture to a file.
func (b *Tab) Keep(file string) {
	b.t.Helper()
	if err := os.WriteFile(file, b.Picture(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}
