package browsertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a condition may take to come true. Tests run beside each other on few cores.
const patience = 90 * time.Second

// pause is how long nothing is asked of the page between two looks at it.
const pause = 25 * time.Millisecond

// Tab is a tab of the browser, with cookies of its own.
type Tab struct {
	t      testing.TB
	ctx    context.Context
	base   string
	script bool
	wait   time.Duration // patience, but for this package's own tests

	mu    sync.Mutex
	own   []string  // how addresses begin that may be asked
	asked []Request // all that was asked for
	told  int       // how many of them Asked has given
	wrong []string  // what scripts threw and what the policy forbade
}

// Request is what a page asked for.
type Request struct{ Method, URL string }

// Option changes how a tab is opened.
type Option func(*Tab)

// WithoutScript opens a tab in which pages run no script.
func WithoutScript(b *Tab) { b.script = false }

// Open opens a tab for the pages at base, such as http://127.0.0.1:1234, and closes it at the test's end.
func Open(t testing.TB, base string, opts ...Option) *Tab {
	t.Helper()
	need(t)
	ctx, cancel := chromedp.NewContext(browser.ctx, chromedp.WithNewBrowserContext())
	b := &Tab{t: t, ctx: ctx, base: base, script: true, wait: patience, own: []string{"data:", "about:", "blob:"}}
	for _, o := range opts {
		o(b)
	}
	b.Own(base)
	t.Cleanup(func() {
		b.verdict()
		cancel()
	})
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	if !b.script {
		b.do("switch scripts off", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
			return err
		}))
	}
	return b
}

// Own names one more beginning of addresses that the pages may ask for.
func (b *Tab) Own(prefix string) {
	if prefix == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.own = append(b.own, prefix)
}

// hear keeps what the page asks for and what goes wrong in it.
func (b *Tab) hear(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := ev.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, Request{Method: e.Request.Method, URL: e.Request.URL})
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error()+" in "+e.ExceptionDetails.URL)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && (e.Entry.Source == log.EntrySourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy")) {
			b.wrong = append(b.wrong, e.Entry.Text+" in "+e.Entry.URL)
		}
	}
}

// verdict is what a tab says about its pages when it closes.
func (b *Tab) verdict() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wrong {
		b.t.Errorf("the browser's console: %s", w)
	}
	for _, r := range b.asked {
		if !b.ours(r.URL) {
			b.t.Errorf("%s was asked for, which is not ours", r.URL)
		}
	}
}

func (b *Tab) ours(address string) bool {
	for _, p := range b.own {
		if strings.HasPrefix(address, p) {
			return true
		}
	}
	return false
}

// Addresses are all that was gone to or asked for, a line each.
func (b *Tab) Addresses() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := make([]string, len(b.asked))
	for i, r := range b.asked {
		lines[i] = r.URL
	}
	return strings.Join(lines, "\n")
}

// Asked gives what was asked for since the last time.
func (b *Tab) Asked() []Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.asked[b.told:len(b.asked):len(b.asked)]
	b.told = len(b.asked)
	return out
}

// limit is the time of one step, inside the tab's life.
func (b *Tab) limit() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.ctx, b.wait)
}

// do runs steps of which none may fail.
func (b *Tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := b.limit()
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.fail(what, err.Error())
	}
}

// fail ends the test: what was to be done, what was in the way, and the page.
func (b *Tab) fail(what, why string) {
	b.t.Helper()
	b.t.Fatalf("%s: %s\npage: %s", what, why, b.Text())
}

// Text is the page's address, title and text, for a message.
func (b *Tab) Text() string {
	ctx, cancel := context.WithTimeout(b.ctx, 10*time.Second)
	defer cancel()
	s, err := chromedp.Run(ctx, chromedp.Evaluate[string](`location.href + "\n" + document.title + "\n" + (document.body?.innerText ?? "(no body)")`))
	if err != nil {
		return "(the page does not say: " + err.Error() + ")"
	}
	return s
}

// until tries again until a try is done. A try that gives an error has not acted; errors that no next try mends end it.
func (b *Tab) until(what string, try func(ctx context.Context) (done bool, why string, err error)) {
	b.t.Helper()
	ctx, cancel := b.limit()
	defer cancel()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for last := "nothing was seen"; ; {
		done, why, err := try(ctx)
		var thrown *chromedp.ExceptionError
		switch {
		case err == nil && done:
			return
		case err == nil:
			last = why
		case errors.As(err, &thrown) && thrown.Exception != nil && thrown.Exception.ClassName == "SyntaxError":
			b.fail(what, err.Error())
		case ctx.Err() == nil:
			last = err.Error() // the page went while it was looked at
		}
		if b.ctx.Err() != nil {
			b.t.Fatalf("%s: the browser is gone: %v", what, context.Cause(b.ctx))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			b.fail(what, fmt.Sprintf("not within %v: %s", b.wait, last))
		}
	}
}

// Visit opens a page: a path at the tab's base, or a whole address.
func (b *Tab) Visit(path string) {
	b.t.Helper()
	address := path
	if !strings.Contains(path, "://") && !strings.HasPrefix(path, "about:") {
		address = b.base + path
	}
	b.until("open "+address, func(ctx context.Context) (bool, string, error) {
		err := chromedp.Do(ctx, chromedp.Navigate(address))
		if err != nil && !strings.Contains(err.Error(), "ERR_ABORTED") && ctx.Err() == nil {
			b.fail("open "+address, err.Error())
		}
		return err == nil, "", err // aborted: another navigation was still on its way
	})
}

// Reload opens the page again.
func (b *Tab) Reload() {
	b.t.Helper()
	b.do("reload", chromedp.Reload())
}

// Back goes back to the page before, and waits until it is there: it may come out of the browser's memory, and then no
// load event tells.
func (b *Tab) Back() {
	b.t.Helper()
	want := int64(-1)
	b.until("go back", func(ctx context.Context) (bool, string, error) {
		h, err := chromedp.Run(ctx, chromedp.NavigationEntries())
		if err != nil {
			return false, "", err
		}
		if want < 0 {
			if h.CurrentIndex < 1 {
				b.fail("go back", "there is no page before")
			}
			want = h.Entries[h.CurrentIndex-1].ID
			return false, "it did not go", chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
				_, err := chromedp.Call(ctx, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: want})
				return err
			}))
		}
		if h.Entries[h.CurrentIndex].ID != want {
			return false, "it is still on the page after", nil
		}
		there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(ready, !b.script)))
		return there, "the page is still coming", err
	})
}

// Cookie sets a cookie for the tab's base.
func (b *Tab) Cookie(name, value string) {
	b.t.Helper()
	b.do("set cookie "+name, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: name, Value: value, URL: b.base, Path: "/"})
		return err
	}))
}

// Look sets what the browser is: its window, and light or dark.
func (b *Tab) Look(width, height int64, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.do("set the window", chromedp.EmulateViewport(width, height), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return err
	}))
	b.Wait(fmt.Sprintf(`innerWidth === %d && matchMedia("(prefers-color-scheme: %s)").matches`, width, scheme))
}
