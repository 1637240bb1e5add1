package demo_test

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw/internal/demo"
)

// TestSkip: who goes through the whole story without waiting, and without doing anything at the steps themselves, still has everybody told; a button pressed
// twice sends nothing twice; and beginning again in the middle of it leaves nothing of it.
func TestSkip(t *testing.T) {
	d, _ := start(t)
	ready(t, d)
	post(t, d, "/act", "do=send") // not yet
	for _, step := range []string{"calm", "tried"} {
		post(t, d, "/next", "from="+step)
	}
	until(t, d, "harvest", `<span class="sign">=</span>`)
	for _, step := range []string{"harvest", "guard", "scope", "key", "incident", "report"} {
		post(t, d, "/next", "from="+step)
	}
	until(t, d, "notices", `value="send"`)
	for _, do := range []string{"send", "send", "sign", "day", "deny"} {
		post(t, d, "/act", "do="+do)
	}
	until(t, d, "notices", "Somebody in an address book")
	got := map[string]bool{}
	mails := d.Mails(t)
	for _, m := range mails {
		if got[m.To] {
			t.Errorf("%s has got two", m.To)
		}
		got[m.To] = true
	}
	due, _ := people(t, d)
	if len(mails) != len(due) || len(due) < 200 {
		t.Errorf("%d mails, want %d", len(mails), len(due))
	}
	_, body := get(t, d.URL()+"/step/report")
	for _, want := range []string{"signed off by", "done in time"} {
		if !strings.Contains(body, want) {
			t.Errorf("the report was not signed off on the way: %q is missing", want)
		}
	}
	res, body := get(t, d.URL()+"/mail/0/page")
	for n := 1; res.StatusCode == http.StatusNotFound && n < 20; n++ { // the first mails are alarms, which have one form
		res, body = get(t, d.URL()+"/mail/"+strconv.Itoa(n)+"/page")
	}
	if policy := res.Header.Get("Content-Security-Policy"); res.StatusCode != http.StatusOK || !strings.HasPrefix(policy, "sandbox; default-src 'none'") || !strings.Contains(body, "Haneul Market") && !strings.Contains(body, "하늘마켓") {
		t.Errorf("the form of a mail that a mail program shows: %s, %q", res.Status, policy)
	}
	public := d.Public()
	post(t, d, "/again", "")
	ready(t, d)
	if res, _ := get(t, d.URL()+"/mail/0"); res.StatusCode != http.StatusNotFound {
		t.Errorf("a mail of the world before: %s", res.Status)
	}
	if res, err := http.Get(public); err == nil {
		res.Body.Close()
		t.Error("the public pages of the world before are still served")
	}
}

// TestAgainWhileSending: who begins again, or ends the demo, while mails are on their way need not wait for them.
func TestAgainWhileSending(t *testing.T) {
	d, end := start(t, func(c *demo.Config) { c.Customers = 1500 })
	ready(t, d)
	post(t, d, "/next", "from=calm")
	post(t, d, "/next", "from=tried")
	until(t, d, "harvest", `<span class="sign">=</span>`)
	for _, step := range []string{"harvest", "guard", "scope", "key", "incident", "report"} {
		post(t, d, "/next", "from="+step)
	}
	until(t, d, "notices", `value="send"`)
	post(t, d, "/act", "do=send")
	check(t, end())
}

// TestMailboxes: a mail is found by its address in the body of a form, its other form can do nothing, and what is no mail is not found.
func TestMailboxes(t *testing.T) {
	d, _ := start(t)
	ready(t, d)
	for _, path := range []string{"/mail/0", "/mail/-1", "/mail/x", "/mail/0/page"} {
		if res, _ := get(t, d.URL()+path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s before any mail came: %s", path, res.Status)
		}
	}
	post(t, d, "/next", "from=calm")
	until(t, d, "tried", "Finding F-")
	// The alarm came to the privacy office.
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for page := ""; !strings.Contains(page, "haneul-market.example"); <-tick.C {
		res, err := http.PostForm(d.URL()+"/mail", url.Values{"to": {"Privacy@haneul-market.example "}})
		check(t, err)
		text, err := io.ReadAll(res.Body)
		check(t, err)
		res.Body.Close()
		page = string(text)
		if res.StatusCode == http.StatusOK && strings.Contains(res.Request.URL.String(), "privacy") {
			t.Errorf("the address stands in %s", res.Request.URL)
		}
		if time.Now().After(deadline) {
			t.Fatal("the alarm never came")
		}
	}
}
