package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// find is JavaScript that gives the element of a selector, or null.
const find = `const find = sel => sel.startsWith("//")
	? document.evaluate(sel, document, null, XPathResult.FIRST_ORDERED_NODE_TYPE, null).singleNodeValue
	: document.querySelector(sel);
`

// ready is when a page can be acted on: it has come, and its script has. Scripts of ours set data-ready when they are done.
const ready = `document.readyState === "complete" && !!document.body && (%t || !document.querySelector("script[type=module]") || !!document.body.dataset.ready)`

// locate gives where an element is, or why it cannot be acted on.
const locate = `
	if (!(` + ready + `)) return {why: "the page is still coming"};
	const el = find(sel);
	if (!el) return {why: "there is no such element"};
	if (el.matches(":disabled")) return {why: "it is disabled"};
	if (!el.checkVisibility({visibilityProperty: true})) return {why: "it is not visible"};
	const inView = r => r.top >= 0 && r.left >= 0 && r.bottom <= innerHeight && r.right <= innerWidth;
	if (!inView(el.getBoundingClientRect())) el.scrollIntoView({block: "center", inline: "nearest", behavior: "instant"});
	const r = [...el.getClientRects()].find(r => r.width > 0 && r.height > 0);
	if (!r) return {why: "it has no size"};
	const x = r.left + r.width / 2, y = r.top + r.height / 2;
`

// place is where an element's middle is, or why it cannot be acted on.
type place struct {
	Why  string
	X, Y float64
}

// js runs a function's body over a selector and a text, and gives its result.
func js[T any](ctx context.Context, b *Tab, body, sel, text string) (T, error) {
	var out T
	args, err := json.Marshal([]string{sel, text})
	if err != nil {
		return out, err
	}
	if strings.Contains(body, "%t") {
		body = fmt.Sprintf(body, !b.script)
	}
	raw, err := chromedp.Run(ctx, chromedp.Evaluate[string](`JSON.stringify(((sel, text) => {`+find+body+`})(...`+string(args)+`))`))
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal([]byte(raw), &out)
}

// Click clicks on elements, one after the other.
func (b *Tab) Click(selectors ...string) {
	b.t.Helper()
	for _, sel := range selectors {
		b.click(sel)
	}
}

func (b *Tab) click(sel string) {
	b.t.Helper()
	var before place
	b.until("click "+sel, func(ctx context.Context) (bool, string, error) {
		// What the page moves or swaps before the click is there must not have it land on something else: that is kept from
		// the page, and tried again.
		at, err := js[place](ctx, b, locate+`
			const hit = document.elementFromPoint(x, y);
			const isFor = (n, el) => n === el || n.localName === "label" && (n.control === el || n.contains(el));
			const reaches = path => [el, find(sel)].some(el => el && path.some(n => isFor(n, el)));
			if (!hit) return {why: "it is outside the window"};
			const over = [];
			for (let n = hit; n; n = n.parentElement) over.push(n);
			if (!reaches(over)) return {why: "it is covered by " + hit.outerHTML.slice(0, 120)};
			window.clicked?.stop.abort();
			const mark = window.clicked = {done: false, got: false, stop: new AbortController()};
			for (const type of ["pointerdown", "mousedown", "pointerup", "mouseup", "click"]) window.addEventListener(type, e => {
				if (type === "pointerup") mark.done = true;
				if (reaches(e.composedPath())) mark.got ||= type === "click";
				else { e.preventDefault(); e.stopImmediatePropagation(); }
			}, {capture: true, signal: mark.stop.signal});
			return {x, y};
		`, sel, "")
		if err != nil || at.Why != "" {
			before = place{}
			return false, at.Why, err
		}
		if at != before {
			before = at
			return false, "it moves", nil
		}
		if err := chromedp.Do(ctx, chromedp.MouseClickXY(at.X, at.Y)); err != nil {
			b.fail("click "+sel, err.Error()) // whether it came there is not known
		}
		for {
			came, err := js[string](ctx, b, `
				const mark = window.clicked;
				if (mark && !mark.done) return "not yet";
				mark?.stop.abort();
				return mark?.got ?? true ? "yes" : "no";
			`, "", "")
			// A page that is not there any more, or has no mark, is the one that the click led away from.
			if err != nil || came == "yes" || !b.script {
				return true, "", nil
			}
			if came == "no" {
				return false, "it was swapped under the click", nil
			}
			select {
			case <-ctx.Done():
				b.fail("click "+sel, "the click did not come")
			case <-time.After(pause):
			}
		}
	})
}

// Type types into a field in place of what is in it. A text that ends in "\r" is sent with Enter.
func (b *Tab) Type(sel, text string) {
	b.t.Helper()
	text, enter := strings.CutSuffix(text, "\r")
	b.until("type into "+sel, func(ctx context.Context) (bool, string, error) {
		at, err := js[place](ctx, b, locate+`
			el.focus();
			if (document.activeElement !== el) return {why: "it does not take the focus, which is on " + document.activeElement?.outerHTML.slice(0, 120)};
			el.select?.();
			return {x, y};
		`, sel, "")
		if err != nil || at.Why != "" {
			return false, at.Why, err
		}
		if err := chromedp.Do(ctx, chromedp.KeyEvent(text)); err != nil {
			return false, "", err
		}
		why, err := js[string](ctx, b, `
			const el = find(sel);
			if (!el) return "the field went while it was typed into";
			if (document.activeElement !== el) return "the focus went to " + document.activeElement?.outerHTML.slice(0, 120);
			return el.value === text ? "" : "what stands in it is not what was typed: " + el.value;
		`, sel, text)
		return err == nil && why == "", why, err
	})
	if enter {
		b.do("press Enter in "+sel, chromedp.KeyEvent(kb.Enter))
	}
}

// Set sets a field's value at once, as a choice from a list does.
func (b *Tab) Set(sel, value string) {
	b.t.Helper()
	b.until("set "+sel, func(ctx context.Context) (bool, string, error) {
		at, err := js[place](ctx, b, `
			if (!(`+ready+`)) return {why: "the page is still coming"};
			const el = find(sel);
			if (!el) return {why: "there is no such element"};
			el.value = text;
			if (el.value !== text) return {why: "it does not take the value"};
			el.dispatchEvent(new Event("input", {bubbles: true}));
			el.dispatchEvent(new Event("change", {bubbles: true}));
			return {};
		`, sel, value)
		return err == nil && at.Why == "", at.Why, err
	})
}

// Focus puts the focus on an element.
func (b *Tab) Focus(sel string) {
	b.t.Helper()
	b.until("focus "+sel, func(ctx context.Context) (bool, string, error) {
		at, err := js[place](ctx, b, locate+`el.focus(); return document.activeElement === el ? {} : {why: "it does not take the focus"};`, sel, "")
		return err == nil && at.Why == "", at.Why, err
	})
}

// Key presses a key once the page hears it.
func (b *Tab) Key(k string) {
	b.t.Helper()
	b.Wait(fmt.Sprintf(ready, !b.script))
	b.do(fmt.Sprintf("press %q", k), chromedp.KeyEvent(k))
}

// Wait waits until an expression is true, through whatever pages come between.
func (b *Tab) Wait(expr string) {
	b.t.Helper()
	b.until("wait for "+expr, func(ctx context.Context) (bool, string, error) {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expr+")"))
		return ok, "it is false", err
	})
}

// Shows waits until the page shows a text.
func (b *Tab) Shows(text string) {
	b.t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Wait("document.body.innerText.includes(" + string(quoted) + ")")
}

// Eval gives the text that an expression, or the promise that it gives, has.
func (b *Tab) Eval(expr string) string {
	b.t.Helper()
	var out string
	b.until("evaluate "+expr, func(ctx context.Context) (bool, string, error) {
		var err error
		out, err = chromedp.Run(ctx, chromedp.Evaluate[string](expr, chromedp.EvalAwaitPromise))
		return err == nil, "", err
	})
	return out
}

// Is tells whether an expression is true now.
func (b *Tab) Is(expr string) bool {
	b.t.Helper()
	return b.Eval("String(!!("+expr+"))") == "true"
}
