package shop_test

import (
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/browsertest"
	"github.com/whosaw/whosaw/internal/shop"
)

var pictures = flag.String("shop.pictures", "", "make the picture of docs/ again, in this directory")

// tab is a browser's tab in the shop.
type tab struct {
	*browsertest.Tab
	t *testing.T
}

// shows waits until a page whose address begins so shows a text.
func (b *tab) shows(path, text string) {
	b.t.Helper()
	b.Wait(fmt.Sprintf(`document.readyState === "complete" && location.pathname.startsWith(%q) && document.body.innerText.includes(%q)`, path, text))
}

// clean holds the page, in its four looks, against axe-core and the window's width.
func (b *tab) clean(name string) {
	b.t.Helper()
	for _, dark := range []bool{false, true} {
		for _, width := range []int64{1200, 390} {
			look := fmt.Sprintf("%s-%d-%s", name, width, map[bool]string{false: "light", true: "dark"}[dark])
			b.Look(width, 860, dark)
			if dark == (width < 500) { // the other two have the same parts in the same colours
				b.Axe(look)
				b.Wide(look, "")
			}
			b.Shot("shop-" + look)
		}
	}
}

// TestInABrowser walks through the shop as a customer and as an agent, with real clicks, behind the guard.
func TestInABrowser(t *testing.T) {
	h := newHouse(t, "enforce")
	b := &tab{Tab: browsertest.Open(t, h.pages.URL), t: t}
	v := h.visitors()[1]
	b.Visit("/")
	b.shows("/", "Cloud mug")
	b.clean("home")
	b.Visit("/me/addresses")
	b.shows("/login", "Mail address")
	b.Type("#email", v.Email)
	b.Type("#password", "not it")
	b.Click("main button")
	b.shows("/login", "check what you typed")
	b.clean("login")
	b.Visit("/login?next=/me/addresses")
	b.Type("#email", v.Email)
	b.Type("#password", v.Password)
	b.Click("main button")
	b.shows("/me/addresses", v.Name)
	b.clean("addresses")
	if *pictures != "" {
		b.Look(1000, 440, false)
		b.Keep(filepath.Join(*pictures, "demo-shop.png"))
	}
	code := `document.querySelector("[data-field=door_code]")`
	if masked := b.Eval(code + ".innerText"); !strings.Contains(masked, "**") {
		t.Errorf("the door code in the list is %q", masked)
	}
	b.Click(".cards a")
	b.shows("/me/addresses/", "courier")
	if clear := b.Eval(code + ".value"); len(clear) != 6 || strings.Contains(clear, "**") {
		t.Errorf("the door code in the form is %q", clear)
	}
	b.clean("edit")
	b.Set("#door_code", `#9"><b>1*`)
	b.Click("main button")
	b.shows("/me/addresses", `****`)
	if n := b.Eval(`String(document.querySelectorAll("main b").length)`); n != "0" {
		t.Error("a door code became part of the page")
	}
	b.Click(`nav a[href="/me"]`)
	b.shows("/me", v.Email)
	b.clean("profile")
	b.Click(`nav a[href="/help"]`)
	b.shows("/help", "What is it about?")
	b.Click("main button")
	b.shows("/help", "Your ticket is T-")
	b.clean("help")
	b.Visit("/products/4")
	b.Click("main button")
	b.shows("/me/orders", "Rice cooker")
	b.clean("orders")
	b.Click("nav form button")
	b.shows("/", "Log in")

	agent := h.shop.VisitingAgent()
	b.Visit("/desk")
	b.shows("/desk/login", "Agent")
	b.Type("#agent", agent.ID)
	b.Type("#password", agent.Password)
	b.Click("main button")
	b.shows("/desk", "Your open tickets")
	b.clean("desk")
	b.Click("table button")
	b.shows("/desk/customers/", "Mail address")
	b.clean("deskcustomer")

	forged, err := h.shop.StolenKey().Forge(v.ID, time.Now())
	check(t, err)
	b.Cookie(shop.Cookie, forged)
	b.Visit("/me/addresses")
	b.shows("/me/addresses", "Code: unissued")
	b.clean("refused")
	if text := b.HTML(); strings.Contains(text, v.Name) || strings.Contains(text, "data-field") {
		t.Error("a refused page shows somebody's data")
	}
	b.Visit("/me")
	b.shows("/login", "Mail address") // the forged token is gone from the browser
}
