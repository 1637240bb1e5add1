package demo_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/whosaw/whosaw/internal/figure"
)

// figureOf is the count of a panel, with its sign.
func (b *tab) figureOf(panel int) string {
	b.t.Helper()
	return b.Eval(fmt.Sprintf(`(() => { const p = document.querySelectorAll(".panel")[%d]; return p.querySelector(".sign").textContent + " " + p.querySelector("[data-count]").textContent; })()`, panel))
}

// factOf is what stands beside a label.
func (b *tab) factOf(panel int, label string) string {
	b.t.Helper()
	return b.Eval(fmt.Sprintf(`[...document.querySelectorAll(".panel")[%d].querySelectorAll(".facts > div")].find(d => d.querySelector("dt").textContent === %q)?.querySelector("dd").textContent.trim() ?? "(none)"`, panel, label))
}

// settled waits until a panel's count is exact.
func (b *tab) settled(panel int) {
	b.t.Helper()
	b.Wait(fmt.Sprintf(`document.querySelectorAll(".panel")[%d]?.querySelector(".sign")?.textContent === "="`, panel))
}

// TestStory walks through the whole story with real clicks and keys, and holds each figure to the thief's own list.
func TestStory(t *testing.T) {
	b := openTab(t)
	d, _ := start(t)
	b.look(1440, false)
	b.visit(d.URL())
	b.Shows("A shop opens on this machine.")
	b.Shot("opening")
	ready(t, d)
	b.own(d)

	// A calm day.
	b.Shows("A calm day at Haneul Market.")
	b.Wait(`document.querySelectorAll(".panel")[0].querySelector(".facts b").textContent === "Quiet"`)
	b.settled(0)
	if got := b.figureOf(0); got != "= 0" {
		t.Errorf("on a calm day %s customers are shown to forged tokens", got)
	}
	b.clean("calm")

	// The key is tried.
	b.Key(kb.ArrowRight)
	b.Shows("Somebody has kept a key.")
	b.settled(0)
	tried := d.Taken("tried")
	if got, want := b.figureOf(0), "= "+strconv.Itoa(len(tried)); got != want || len(tried) == 0 {
		t.Errorf("the first tokens: the page says %s, the thief has %s", got, want)
	}
	b.Shows("Credentials that no log-in ever issued")
	if got := b.factOf(1, "detector"); got != "unissued" {
		t.Errorf("the alarm is of %s", got)
	}
	b.clean("tried")

	// The harvest, with a guard that only looks.
	b.Key(kb.Enter)
	b.Shows("Every customer, one after the other.")
	b.settled(0)
	off := d.Taken("harvest")
	if got, want := b.figureOf(0), "= "+figure.Int(int64(len(off))); got != want || len(off) != 260 {
		t.Errorf("the harvest: the page says %s, the thief has %s of 260", got, want)
	}
	if got := b.factOf(0, "honest requests refused"); !strings.HasPrefix(got, "0 of ") {
		t.Errorf("honest requests refused with the guard in shadow: %s", got)
	}
	b.clean("harvest")

	// The same, with the guard on.
	b.Click("[data-next]")
	b.Shows("The same thief")
	b.settled(1)
	on := d.Taken("guard")
	if got, want := b.figureOf(1), "= "+strconv.Itoa(len(on)); got != want || len(on) != 0 {
		t.Errorf("with the guard on: the page says %s, the thief has %s, want none", got, want)
	}
	if got, want := b.figureOf(0), "= "+figure.Int(int64(len(off))); got != want {
		t.Errorf("beside it stands %s, want %s", got, want)
	}
	if got := b.factOf(1, "forged tokens let through"); !strings.HasPrefix(got, "0 of ") {
		t.Errorf("forged tokens let through with the guard on: %s", got)
	}
	if got := b.factOf(1, "honest requests refused"); !strings.HasPrefix(got, "0 of ") || got == "0 of 0" {
		t.Errorf("honest requests refused with the guard on: %s", got)
	}
	if codes := d.Codes("guard"); len(codes) != 1 || codes["unissued"] == 0 {
		t.Errorf("the thief was refused for %v", codes)
	}
	b.clean("guard")
	b.path("guard")

	// Whom it hit.
	b.Click("[data-next]")
	b.Shows("Two ways to count. One is wrong.")
	b.settled(1)
	everyone := len(union(tried, off, on))
	if got, want := b.figureOf(1), "= "+figure.Int(int64(everyone)); got != want {
		t.Errorf("by the cause: the page says %s, the thief has %s", got, want)
	}
	few, err := strconv.Atoi(strings.Fields(b.figureOf(0))[1])
	check(t, err)
	if least, most := d.Complained(); few < len(least) || few > len(most) || few < 5 || few*2 > everyone {
		t.Errorf("by complaint: %d of %d, by the thief's list %d to %d", few, everyone, len(least), len(most))
	}
	doors := with(d.Truth(), "door_code")
	for label, want := range map[string]int{"name": everyone, "e-mail": everyone, "telephone number": len(d.Books()), "address": len(d.Books()), "door code, masked": len(d.Books()) - doors, "door code in clear": doors} {
		if got := b.factOf(1, label); got != figure.Int(int64(want)) {
			t.Errorf("by the cause %s of %s were shown, the thief has %d", label, got, want)
		}
	}
	if got, want := b.factOf(0, "customers nobody would have told"), strconv.Itoa(everyone-few); got != want {
		t.Errorf("nobody would have told %s, want %s", got, want)
	}
	b.clean("scope")
	inConsole := b.Eval(`document.querySelectorAll(".panel")[1].querySelector(".ways a").href`)
	fewHere := b.Eval(`document.querySelectorAll(".panel")[0].querySelector(".ways a").href`)

	// The key.
	b.Click("[data-next]")
	b.Shows("Before you kill a key")
	b.settled(1)
	sessions, err := strconv.Atoi(strings.ReplaceAll(strings.Fields(b.figureOf(1))[1], ",", ""))
	check(t, err)
	if got := b.figureOf(0); got != "= 0" || sessions < 5 {
		t.Errorf("the narrow cut ends %s honest sessions, the wide one %d", got, sessions)
	}
	b.clean("key")
	b.Click(`[name=do][value=kill]`)
	b.Shows("on record. The thief tries again:")
	b.Wait(`[...document.querySelectorAll(".facts dt")].some(e => e.textContent === "forged tokens refused" && e.nextElementSibling.textContent.trim() === "12 of 12")`)
	if codes := d.Codes("key"); codes["key_revoked"] != 12 {
		t.Errorf("with the key dead the thief was refused for %v", codes)
	}
	b.clean("killed")
	if honest, thief := d.Failed(); honest != 0 || thief != 0 {
		t.Errorf("%d requests of honest people and %d of the thief came to nothing", honest, thief)
	}

	b.Click("[data-next]")
	b.incident(d, few, everyone)
	b.Click("[data-next]")
	b.report(everyone)
	b.Click("[data-next]")
	b.notices(d)
	if honest, thief := d.Failed(); honest != 0 || thief != 0 {
		t.Errorf("%d requests of honest people and %d of the thief came to nothing", honest, thief)
	}

	// Back, with the same figures; then out of the path: the real pages say the same.
	for _, heading := range []string{"A report that may not", "Clocks run.", "Before you kill a key", "Two ways to count. One is wrong."} {
		b.Key(kb.ArrowLeft)
		b.Shows(heading)
	}
	b.visit(d.URL() + "/step/harvest")
	if got, want := b.figureOf(0), "= "+figure.Int(int64(len(off))); got != want {
		t.Errorf("back at the harvest: %s, want %s", got, want)
	}
	for page, want := range map[string]int{inConsole: everyone, fewHere: few} {
		b.visit(page)
		b.Wait(`location.pathname.startsWith("/scope/") && document.querySelector("#counts .big .lead b")`)
		b.Wait(fmt.Sprintf(`document.querySelector("#counts .big .lead b").textContent.trim() === "=" + %q || document.querySelector("#counts .big .lead b").textContent.replace(/\s/g, "") === "=" + %[1]q`, figure.Int(int64(want))))
	}
	b.visit(d.URL() + "/open?to=%2Fkeys")
	b.Shows("backup-2024")

	// The end in Korean.
	b.visit(d.URL() + "/step/incident")
	b.Click(`button[name=lang][value=ko]`)
	b.Wait(`document.documentElement.lang === "ko"`) // else what is opened next is overtaken by the page that the click brings
	for step, says := range map[string]string{"incident": "경보가 사고를 열었고", "report": "공동현관 비밀번호도 그대로 유출되었습니다", "notices": "통의 통지 도착"} {
		b.visit(d.URL() + "/step/" + step)
		b.Shows(says)
		b.clean(step + "-ko")
	}
}

// TestAgain: the story begins anew in a new world, where nobody was lost; in Korean, and from a page that was open before.
func TestAgain(t *testing.T) {
	b := openTab(t)
	d, _ := start(t)
	ready(t, d)
	b.own(d)
	b.look(1440, false)
	b.visit(d.URL())
	b.Click(`button[name=lang][value=ko]`)
	b.Shows("하늘마켓의 평온한 하루.")
	b.clean("calm-ko")
	b.path("calm-ko")
	b.Key(kb.ArrowRight)
	b.Shows("누군가 키를 가지고 있다.")
	b.settled(0)
	if got, want := b.figureOf(0), "= "+strconv.Itoa(len(d.Taken("tried"))); got != want {
		t.Errorf("the page says %s, want %s", got, want)
	}
	b.clean("tried-ko")
	b.Click(`form[action="/again"] button`)
	b.Shows("하늘마켓의 평온한 하루.")
	b.settled(0)
	if got := b.figureOf(0); got != "= 0" {
		t.Errorf("in a new world %s were lost", got)
	}
	if d.Taken("tried") != nil {
		t.Error("the thief has a list still")
	}
}
