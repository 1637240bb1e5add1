package console_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestSubject asks who saw a customer's data, in clicks from a scope's list.
func TestSubject(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 2, busy: 3, theft: 21 * time.Minute, pace: 280 * time.Millisecond})
	b := s.open()
	b.look(1440, false)
	b.visit("/findings/1")
	b.shows("customers were shown")
	b.key("s")
	b.shows("1 – 20 of")
	id, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.querySelector("#list tbody td").innerText.trim()`))
	check(t, err)
	b.do(click(`#list tbody button`))
	b.shows("Subject " + id)
	b.shows("claims to be customer:" + id)
	b.shows("never issued")
	for _, l := range looks {
		b.look(l.width, l.dark)
		b.do(chromedp.Reload())
		b.shows("Subject " + id)
		b.clean("subject-"+l.name, "id:"+id, "forged-")
	}
	b.look(1440, false)
	b.do(chromedp.Reload())
	b.shows("Every access")
	b.key("x")
	b.shows("All accesses")

	// An honest customer, by the form.
	b.key("u")
	b.shows("That you looked is recorded")
	b.do(chromedp.SendKeys(chromedp.CSS("#subject"), s.honest+"\r"))
	b.shows("All of it is explained")
	b.clean("subject-honest", "id:"+s.honest)
}
