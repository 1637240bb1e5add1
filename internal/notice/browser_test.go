package notice_test

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

var pictures = flag.String("notice.pictures", "", "make the pictures of docs/ again, in this directory")

// chromium finds the browser, which scripts/tools installs. Without it a test is skipped, and fails under WHOSAW_STRICT=1.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" && os.Getenv("WHOSAW_STRICT") != "" {
		t.Fatal("chromium is not installed: run scripts/tools")
	}
	if path == "" {
		t.Skip("chromium is not installed: run scripts/tools")
	}
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("hide-scrollbars", true))...)
	t.Cleanup(stopAlloc)
	ctx, stop := chromedp.NewContext(alloc)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	t.Cleanup(cancel)
	check(t, chromedp.Do(ctx))
	return ctx
}

// How a notice stands on a screen: on a phone nothing is wider than it, the script runs its own way, the code never, and nothing is fetched from anywhere.
func TestThePageInABrowser(t *testing.T) {
	ctx := chromium(t)
	w, n := letterWorld(t)
	html := ""
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/favicon.ico" {
			asked++
		}
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(rw, html)
	}))
	defer server.Close()
	fields := []string{"name", "email", "phone", "address", "door_code"}
	for _, lang := range languages {
		m, err := w.book.Preview(t.Context(), n.Number, lang, fields, false)
		check(t, err)
		html = m.HTML
		for _, width := range []int64{360, 760} {
			check(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, 900), chromedp.Navigate(server.URL)))
			text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`JSON.stringify({
				wide: document.documentElement.scrollWidth > innerWidth,
				align: getComputedStyle(document.querySelector("h1")).direction,
				start: document.querySelector("h2").getBoundingClientRect(),
				code: getComputedStyle([...document.querySelectorAll("bdi")].pop()).direction,
				links: document.links.length, scripts: document.scripts.length, images: document.images.length,
				height: document.documentElement.scrollHeight,
			})`))
			check(t, err)
			var is struct {
				Wide                   bool
				Align, Code            string
				Links, Scripts, Images int
				Height                 int64
			}
			check(t, json.Unmarshal([]byte(text), &is))
			if is.Wide || is.Align != m.Dir || is.Code != "ltr" || is.Links+is.Scripts+is.Images > 0 {
				t.Errorf("%s at %d: %s", lang, width, text)
			}
			if *pictures != "" && width == 760 {
				check(t, chromedp.Do(ctx, chromedp.EmulateViewport(width, is.Height)))
				data, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
				check(t, err)
				check(t, os.WriteFile(filepath.Join(*pictures, "notice-"+lang+".png"), data, 0o644))
			}
		}
	}
	if asked != 2*len(languages) {
		t.Errorf("%d pages were asked for, want %d: a notice fetches nothing", asked, 2*len(languages))
	}
	if strings.Contains(html, "http://") {
		t.Error("the page has an address that is not https")
	}
}
