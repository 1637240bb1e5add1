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

// TestPictures makes the pictures of README.md and docs/demo.md.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("only with -demo.pictures=DIR")
	}
	b := openTab(t)
	d, _ := start(t, func(c *demo.Config) { c.Customers, c.Seed, c.Span, c.Days = 3_000, 1, 30*time.Second, 0 })
	ready(t, d)
	b.own(d)
	take := func(name string, width int64, dark bool) {
		b.look(width, dark)
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
	take("demo", 1440, false)
	take("demo-dark", 1440, true)
	b.look(1440, false)
	b.Click("[data-next]")
	b.Shows("Two ways to count")
	b.Wait(`[...document.querySelectorAll(".panel .sign")].every(e => e.textContent === "=")`)
	take("demo-scope", 1440, false)
	both := func(name string) {
		t.Helper()
		take(name, 1440, false)
		take(name+"-dark", 1440, true)
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
}
