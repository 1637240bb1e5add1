package browsertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// browser is the process that all tabs share: starting it takes longer than a page.
var browser struct {
	once   sync.Once
	ctx    context.Context
	cancel []context.CancelFunc
	err    error
	path   string
	axe    string
}

// Main is what a package's TestMain calls: it runs the tests, stops Chromium, and exits.
func Main(m *testing.M) {
	code := m.Run()
	for i := len(browser.cancel) - 1; i >= 0; i-- {
		browser.cancel[i]()
	}
	os.Exit(code)
}

// need finds the browser and axe-core, which scripts/tools installs, and starts the browser once.
func need(t testing.TB) {
	t.Helper()
	browser.once.Do(start)
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

func start() {
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
}
