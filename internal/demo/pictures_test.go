package demo_test

import (
	"bytes"
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/demo"
)

var pictures = flag.String("demo.pictures", "", "make the pictures of docs/ again, in this directory")

// TestPictures makes the pictures of README.md and docs/demo.md, and those of docs/notices.md that show a notice in the console.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("only with -demo.pictures=DIR")
	}
	b := openTab(t)
	d, _ := start(t, func(c *demo.Config) { c.Customers, c.Seed, c.Span, c.Days = 3_000, 1, 30*time.Second, 0 })
	ready(t, d)
	b.own(d)
	height := int64(900)
	take := func(name string, dark bool) {
		b.Look(1440, height, dark)
		img, err := png.Decode(bytes.NewReader(b.Picture()))
		check(t, err)
		var out bytes.Buffer
		enc := png.Encoder{CompressionLevel: png.BestCompression}
		check(t, enc.Encode(&out, img))
		check(t, os.WriteFile(filepath.Join(*pictures, name+".png"), out.Bytes(), 0o644))
	}
	b.look(1440, false)
	b.visit(d.URL())
	for _, heading := range []string{"Somebody has kept", "Every customer", "The same thief"} {
		b.Click("[data-next]")
		b.Shows(heading)
		b.Wait(`[...document.querySelectorAll(".panel .sign")].every(e => e.textContent === "=")`)
	}
	take("demo", false)
	take("demo-dark", true)
	b.look(1440, false)
	b.Click("[data-next]")
	b.Shows("Two ways to count")
	b.Wait(`[...document.querySelectorAll(".panel .sign")].every(e => e.textContent === "=")`)
	take("demo-scope", false)
	both := func(name string) {
		t.Helper()
		take(name, false)
		take(name+"-dark", true)
		b.look(1440, false)
	}
	b.Click("[data-next]")
	b.Wait(`document.querySelector("[name=do][value=kill]")`)
	b.Click("[data-next]")
	b.Wait(`document.querySelectorAll(".panel")[1].querySelectorAll("thead th").length === 3`)
	b.Click("[name=do][value=day]")
	b.Shows("1 day ahead")
	b.Wait(`(scrollTo(0, 0), true)`)
	both("demo-incident")
	b.Click("[data-next]")
	b.Wait(`document.querySelector("[name=do][value=sign]")`)
	both("demo-report")
	b.Click("[name=do][value=sign]")
	b.Shows("signed off by")
	b.Click("[data-next]")
	b.Wait(`document.querySelector("[name=do][value=send]")`)
	b.Click("[name=do][value=send]")
	b.Shows("Somebody in an address book")
	b.Wait(`(scrollTo(0, 0), true)`)
	both("demo-notices")
	b.visit(b.Eval(`[...document.querySelectorAll(".ways a")].find(a => a.textContent === "… and a door code").href`))
	both("demo-mailbox")

	b.visit(d.URL() + "/open?to=%2Fnotices%2F1")
	b.Wait(`document.querySelectorAll(".letter").length === 2 && document.querySelectorAll("#progress tr").length > 0`)
	height = 1240 // the history in it
	take("console-notice-light", false)
	b.Click(`button[name=lang][value=ko].lnk`)
	b.Wait(`document.documentElement.lang === "ko" && document.body.dataset.ready && document.querySelectorAll("#progress tr").length > 0`)
	take("console-notice-ko-dark", true)
}
