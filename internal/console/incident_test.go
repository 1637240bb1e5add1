package console_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/incident"
)

// TestIncident goes from the finding of a theft to a signed report, by clicks: what is known since when, whose data, the clocks, the
// document with its faults.
func TestIncident(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 1, busy: 3, theft: 5 * time.Minute, pace: time.Second})
	b := s.open()
	b.look(1440, false)
	b.Visit("/incidents")
	b.Shows("There is no incident")
	b.clean("incidents-empty")
	b.Visit("/findings")
	b.Click(`//a[text()="F-1"]`)
	b.Shows("No incident was opened for it")
	b.Click(`//button[text()="Open an incident"]`)
	b.Shows("Nothing is removed: legal hold")
	b.Shows("Nobody has counted yet")
	b.Shows("suspected")

	// Whose data: what the theft was shown, counted by whoever made it.
	b.Type("#vreason", "first count, by cause")
	b.Click(`button[data-key=v]`)
	b.Shows("scope version 1")
	b.Shows("=" + figure(int(s.taken)))
	b.Shows("door code")

	// To know is a moment of its own, and starts the clocks. One was wrong, and stays in sight.
	mark := func(moment, why string) {
		b.Click(`//summary[text()="A moment came"]`)
		b.Set("#m1", moment)
		b.Type("#m3", why)
		b.Click(`//button[text()="Record the moment"]`)
		b.Shows(why)
	}
	mark("confirmed", "too early")
	mark("aware", "the responder called")
	b.Click(`//b[text()="confirmed"]/../..//summary`)
	b.Type(`//b[text()="confirmed"]/../..//input[@name="note"]`, "nobody had looked")
	b.Click(`//b[text()="confirmed"]/../..//button`)
	b.Shows("withdrawn: nobody had looked")
	b.Shows("Personal Information Protection Commission")
	b.Wait(`[...document.querySelectorAll("td")].some(d => /^7[12](\.\d)? h left|^2\.9 days left|^3\.0 days left/.test(d.innerText.trim()))`)
	b.Click(`//summary[text()="Add a task"]`)
	b.Type("#k1", "call the <b>police</b>")
	b.Click(`//button[text()="Add a task"]`)
	b.Shows("call the <b>police</b>")
	b.Click(`//summary[text()="Answer a question of the law"]`)
	b.Set("#a1", "outside_access")
	b.Click(`input[name=answer][value=yes]`)
	b.Type("#a3", "forged tokens")
	b.Click(`//button[text()="Record the answer"]`)
	b.Shows("forged tokens")
	for _, l := range looks {
		b.look(l.width, l.dark)
		b.Visit("/incidents")
		b.Shows("Clocks of the law")
		b.clean("incidents-"+l.name, "forged-", "id:10479912")
		b.Visit("/incidents/1")
		b.Shows("scope version 1")
		b.clean("incident-"+l.name, "forged-", "id:10479912", "<b>police")
	}
	b.look(1440, false)
	b.Visit("/")
	b.Shows("Clocks of the law")
	b.clean("now-clocks")

	// The document: nothing is signed that is not whole, or that makes it smaller than it is.
	b.Visit("/incidents/1")
	b.Click(`//a[contains(text(), "Personal Information Protection Commission")]`)
	b.Shows("things are to be mended")
	write := func(heading, text string) {
		b.Wait(`[...document.querySelectorAll("h2")].some(h => h.innerText === "` + heading + `" && (h.closest("section").querySelector("details").open = true))`)
		b.Set(`//h2[text()="`+heading+`"]/../..//textarea`, text)
		b.Set(`//h2[text()="`+heading+`"]/../..//input[@name="source"]`, "the ledger")
		b.Click(`//h2[text()="` + heading + `"]/../..//button`)
		b.Wait(`[...document.querySelectorAll("h2")].some(h => h.innerText === "` + heading + `" && h.closest("section").querySelector(".prose")?.innerText === "` + strings.ReplaceAll(text, "{subjects}", figure(int(s.taken))) + `")`)
	}
	write("What leaked", "The names of {subjects} customers were exposed.")
	b.Shows("say leak")
	b.Shows("the text leaves it out")
	b.Shows("The names of " + figure(int(s.taken)) + " customers")
	b.clean("document-faults")
	b.look(390, true)
	b.clean("document-390-dark")
	b.look(1440, false)
	write("What leaked", "Name, e-mail, phone, address and orders of {subjects} customers were leaked.")
	for {
		h := b.Eval(`[...document.querySelectorAll("section")].find(s => s.querySelector("textarea") && !s.querySelector(".prose"))?.querySelector("h2").innerText ?? ""`)
		if h == "" {
			break
		}
		write(h, "{subjects} customers; the key is ended; call us.")
	}
	b.Shows("You sign the text")
	b.Click(`button[data-act]`)
	b.Shows("Signed by staff:admin")
	b.clean("document-signed")
	b.Visit("/incidents/1/print?law=kr-pipa-34&duty=authority&lang=ko")
	b.Shows("개인정보")
	b.Wait(`getComputedStyle(document.querySelector("main")).maxWidth === "760px"`)

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

// TestTimelineLong: of much that happened the newest stands open, and all the rest is behind one line.
func TestTimelineLong(t *testing.T) {
	s := newSite(t)
	s.signIn()
	s.page("POST", "/incidents", url.Values{"title": {"a complaint"}, "note": {"a customer called"}})
	for i := range 30 {
		s.page("POST", "/incidents/1/event", url.Values{"kind": {"noted"}, "note": {fmt.Sprintf("note-%02d", i)}})
	}
	_, text := s.page("GET", "/incidents/1", nil)
	_, text, _ = strings.Cut(text, `id="h-time"`)
	open, folded, found := strings.Cut(text, "older ones</summary>")
	if !found || strings.Count(open, "<tr>") != 1+20 || !strings.Contains(open, "note-29") || !strings.Contains(open, "note-10") || !strings.Contains(folded, "note-09") || !strings.Contains(folded, "note-00") {
		t.Errorf("what happened stands as\n%s", text)
	}
}
