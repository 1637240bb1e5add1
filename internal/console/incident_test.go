package console_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/whosaw/whosaw/internal/incident"
)

// TestIncident goes from the finding of a theft to a signed report, by clicks: what is known since when, whose data, the clocks, the
// document with its faults.
func TestIncident(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 1, busy: 3, theft: 5 * time.Minute, pace: time.Second})
	b := s.open()
	b.look(1440, false)
	b.visit("/incidents")
	b.shows("There is no incident")
	b.clean("incidents-empty")
	b.visit("/findings")
	b.do(click(`//a[text()="F-1"]`))
	b.shows("No incident was opened for it")
	b.do(click(`//button[text()="Open an incident"]`))
	b.shows("Nothing is removed: legal hold")
	b.shows("Nobody has counted yet")
	b.shows("suspected")

	// Whose data: what the theft was shown, counted by whoever made it.
	b.do(chromedp.SendKeys(chromedp.CSS("#vreason"), "first count, by cause"), click(`button[data-key=v]`))
	b.shows("scope version 1")
	b.shows("=" + figure(int(s.taken)))
	b.shows("door code")

	// To know is a moment of its own, and starts the clocks. One was wrong, and stays in sight.
	mark := func(moment, why string) {
		b.do(click(`//summary[text()="A moment came"]`), chromedp.SetValue(chromedp.CSS("#m1"), moment), chromedp.SendKeys(chromedp.CSS("#m3"), why), click(`//button[text()="Record the moment"]`))
		b.shows(why)
	}
	mark("confirmed", "too early")
	mark("aware", "the responder called")
	b.do(click(`//b[text()="confirmed"]/../..//summary`), chromedp.SendKeys(chromedp.Search(`//b[text()="confirmed"]/../..//input[@name="note"]`), "nobody had looked"), click(`//b[text()="confirmed"]/../..//button`))
	b.shows("withdrawn: nobody had looked")
	b.shows("Personal Information Protection Commission")
	b.wait(`[...document.querySelectorAll("td")].some(d => /^7[12](\.\d)? h left|^2\.9 days left|^3\.0 days left/.test(d.innerText.trim()))`)
	b.do(click(`//summary[text()="Add a task"]`), chromedp.SendKeys(chromedp.CSS("#k1"), "call the <b>police</b>"), click(`//button[text()="Add a task"]`))
	b.shows("call the <b>police</b>")
	b.do(click(`//summary[text()="Answer a question of the law"]`), chromedp.SetValue(chromedp.CSS("#a1"), "outside_access"), click(`input[name=answer][value=yes]`), chromedp.SendKeys(chromedp.CSS("#a3"), "forged tokens"), click(`//button[text()="Record the answer"]`))
	b.shows("forged tokens")
	for _, l := range looks {
		b.look(l.width, l.dark)
		b.visit("/incidents")
		b.shows("Clocks of the law")
		b.clean("incidents-"+l.name, "forged-", "id:10479912")
		b.visit("/incidents/1")
		b.shows("scope version 1")
		b.clean("incident-"+l.name, "forged-", "id:10479912", "<b>police")
	}
	b.look(1440, false)
	b.visit("/")
	b.shows("Clocks of the law")
	b.clean("now-clocks")

	// The document: nothing is signed that is not whole, or that makes it smaller than it is.
	b.visit("/incidents/1")
	b.do(click(`//a[contains(text(), "Personal Information Protection Commission")]`))
	b.shows("things are to be mended")
	write := func(heading, text string) {
		b.wait(`[...document.querySelectorAll("h2")].some(h => h.innerText === "` + heading + `" && (h.closest("section").querySelector("details").open = true))`)
		b.do(chromedp.SetValue(chromedp.Search(`//h2[text()="`+heading+`"]/../..//textarea`), text), chromedp.SetValue(chromedp.Search(`//h2[text()="`+heading+`"]/../..//input[@name="source"]`), "the ledger"),
			click(`//h2[text()="`+heading+`"]/../..//button`))
		b.wait(`[...document.querySelectorAll("h2")].some(h => h.innerText === "` + heading + `" && h.closest("section").querySelector(".prose")?.innerText === "` + strings.ReplaceAll(text, "{subjects}", figure(int(s.taken))) + `")`)
	}
	write("What leaked", "The names of {subjects} customers were exposed.")
	b.shows("say leak")
	b.shows("the text leaves it out")
	b.shows("The names of " + figure(int(s.taken)) + " customers")
	b.clean("document-faults")
	b.look(390, true)
	b.clean("document-390-dark")
	b.look(1440, false)
	write("What leaked", "Name, e-mail, phone, address and orders of {subjects} customers were leaked.")
	for {
		h, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](`[...document.querySelectorAll("section")].find(s => s.querySelector("textarea") && !s.querySelector(".prose"))?.querySelector("h2").innerText ?? ""`))
		check(t, err)
		if h == "" {
			break
		}
		write(h, "{subjects} customers; the key is ended; call us.")
	}
	b.shows("You sign the text")
	b.do(click(`button[data-act]`))
	b.shows("Signed by staff:admin")
	b.clean("document-signed")
	b.visit("/incidents/1/print?law=kr-pipa-34&duty=authority&lang=ko")
	b.shows("개인정보")
	b.wait(`getComputedStyle(document.querySelector("main")).maxWidth === "760px"`)

	// What was done is in the ledger's chain.
	in, err := s.api.Incident(t.Context(), 1, "en")
	check(t, err)
	kinds := map[incident.Kind]int{}
	for i := range in.Timeline {
		kinds[in.Timeline[i].Kind]++
		if in.Timeline[i].Who != "staff:admin by link of test" {
			t.Errorf("event %d is by %q", i, in.Timeline[i].Who)
		}
	}
	for kind, n := range map[incident.Kind]int{incident.Opened: 1, incident.Marked: 3, incident.Withdrawn: 1, incident.Scoped: 1, incident.Tasked: 1, incident.Answered: 1, incident.Signed: 1} {
		if kinds[kind] != n {
			t.Errorf("%d events are %s, not %d", kinds[kind], kind, n)
		}
	}
	if v := in.Versions[0].Answer.Subjects; v != s.taken {
		t.Errorf("the scope has %d customers; the theft was shown %d", v, s.taken)
	}
}

// TestIncidentBadForms: what a form cannot mean is said with its cure, and changes nothing.
func TestIncidentBadForms(t *testing.T) {
	s := newSite(t)
	s.signIn()
	post := func(path string, form map[string][]string) (int, string) {
		resp, err := s.client.PostForm(s.url+path, form)
		check(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		check(t, err)
		return resp.StatusCode, string(body)
	}
	if code, _ := post("/incidents", map[string][]string{"title": {"a complaint"}, "note": {"a customer called"}}); code != http.StatusOK {
		t.Fatalf("an incident by hand: status %d", code)
	}
	for name, c := range map[string]struct {
		path string
		form map[string][]string
		code int
		says string
	}{
		"no title":       {"/incidents", map[string][]string{"note": {"x"}}, 400, "a title"},
		"no such time":   {"/incidents/1/event", map[string][]string{"kind": {"marked"}, "moment": {"aware"}, "note": {"x"}, "when": {"yesterday"}}, 400, "2026-11-21 03:12"},
		"in the future":  {"/incidents/1/event", map[string][]string{"kind": {"marked"}, "moment": {"aware"}, "note": {"x"}, "when": {"2036-01-01T00:00"}}, 400, "has not come yet"},
		"no reason":      {"/incidents/1/event", map[string][]string{"kind": {"marked"}, "moment": {"aware"}}, 400, "a reason"},
		"no such kind":   {"/incidents/1/event", map[string][]string{"kind": {"erased"}}, 400, "no kind of event"},
		"no duty":        {"/incidents/1/event", map[string][]string{"kind": {"told"}}, 400, "no duty was chosen"},
		"no such number": {"/incidents/7/event", map[string][]string{"kind": {"noted"}, "note": {"x"}}, 404, "incident 7"},
		"no cause":       {"/incidents/1/version", map[string][]string{"reason": {"x"}}, 400, "has no finding"},
		"no version":     {"/incidents/1/sign", map[string][]string{"law": {"kr-pipa-34"}}, 400, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			code, body := post(c.path, c.form)
			if code != c.code || !strings.Contains(body, c.says) {
				t.Errorf("status %d, and it says %q: not %d and %q", code, plain(body), c.code, c.says)
			}
		})
	}
	in, err := s.api.Incident(t.Context(), 1, "en")
	check(t, err)
	if len(in.Timeline) != 3 {
		t.Errorf("there are %d events, not 3: a bad form changed something", len(in.Timeline))
	}
	if got := fmt.Sprint(len(in.Marks)); got != "1" {
		t.Errorf("there are %s marks", got)
	}
}

// plain is a page without its marks, for a test's message.
func plain(page string) string {
	_, page, _ = strings.Cut(page, "<main")
	return page
}
