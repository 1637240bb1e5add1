package console_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/console"
)

// onItsOwn is what a part that is not whole has: the address of its next turn.
var onItsOwn = regexp.MustCompile(`hx-get="([^"]+)" hx-trigger="load delay:`)

// turn asks for a part of a page, and gives the address of its next turn; "": it is whole.
func (s *site) turn(client *http.Client, path string) (next string) {
	s.t.Helper()
	res, err := client.Get(s.url + path)
	check(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	check(s.t, err)
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s", path, res.Status)
	}
	if m := onItsOwn.FindSubmatch(text); m != nil {
		next = html.UnescapeString(string(m[1]))
	}
	return next
}

// questions lists what people asked, as an auditor sees it.
func (s *site) questions() (list []string) {
	s.t.Helper()
	view, err := s.ledger.View(0)
	check(s.t, err)
	defer view.Close()
	check(s.t, view.References(s.t.Context(), func(_ uint64, r *whosaw.Record) error {
		if r.Type == whosaw.TypeAct && slices.Contains([]string{"scope", "list", "top"}, r.Ref.Kind) {
			list = append(list, r.Principal+" "+r.Ref.Kind)
		}
		return nil
	}))
	return list
}

// later moves the clock.
func (s *site) later(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = s.started.Add(-d)
}

// inTurns is a site whose ledger has so many segments, of which each look reads some and asks again.
func inTurns(t *testing.T, segments int) *site {
	s := newSite(t)
	console.Impatient(s.console)
	for range segments {
		s.take("gateway-1", s.visits(20))
		check(t, s.ledger.Seal(t.Context()))
	}
	s.signIn()
	return s
}

// looked gives the handle of a filter that nobody has looked at yet.
func (s *site) looked(n int) string {
	s.t.Helper()
	id, err := s.console.HandleOf(s.t.Context(), whosaw.Filter{{Key: []string{"login-main", fmt.Sprint("other-", n)}}})
	check(s.t, err)
	return "/scope/" + id
}

// TestOneLookOneQuestion: a look that comes in turns is in the ledger once, whatever part of a page it is.
func TestOneLookOneQuestion(t *testing.T) {
	s := inTurns(t, 10)
	s.raised(t, whosaw.Filter{{Key: []string{"login-main", "of-a-finding"}}})
	found, _, err := s.alarms.Findings(t.Context(), alarmAll)
	check(t, err)
	for i, x := range []struct{ path, kind string }{
		{s.looked(1) + "/counts", "scope"}, {s.looked(2) + "/course", "scope"}, {s.looked(3) + "/list", "list"}, {s.looked(4) + "/list?at=20", "list"},
		{s.looked(5) + "/narrow?by=route", "top"}, {s.looked(6) + "/narrow?by=network", "top"}, {fmt.Sprintf("/findings/%d/figures", found[0].Number), "scope"},
	} {
		before, turns := len(s.questions()), 0
		for next := x.path; next != ""; turns++ {
			if next = s.turn(s.client, next); turns > 50 {
				t.Fatalf("%s is not whole after %d turns", x.path, turns)
			}
		}
		asked := s.questions()[before:]
		if turns < 4 || len(asked) != 1 || asked[0] != "staff:admin by link of test "+x.kind {
			t.Errorf("part %d, %s: %d turns are on record as %q, want several turns and one question", i, x.path, turns, asked)
		}
		// It is whole: whoever asks now asks again.
		if s.turn(s.client, x.path); len(s.questions()) != before+2 {
			t.Errorf("part %d, %s: looked at again it is on record %d times, want 2", i, x.path, len(s.questions())-before)
		}
	}
}

// TestAnotherLook: who comes with the pass of a look for something else, as somebody else, again, or late, is on record.
func TestAnotherLook(t *testing.T) {
	s := inTurns(t, 24)
	other := &http.Client{}
	mine, err := url.Parse(s.url)
	check(t, err)
	cookies := s.client.Jar.Cookies(mine)
	code, err := s.auth.NewLink(t.Context(), "lee")
	check(t, err)
	jar, err := cookiejar.New(nil)
	check(t, err)
	other.Jar = jar
	secret, _, err := s.auth.Redeem(t.Context(), code)
	check(t, err)
	jar.SetCookies(mine, []*http.Cookie{{Name: cookies[0].Name, Value: secret, Path: "/"}})

	pass := func(next string) string {
		u, err := url.Parse(next)
		check(t, err)
		return u.Query().Get("look")
	}
	for i, x := range []struct {
		name  string
		other func(first, next string) (*http.Client, string)
		more  int
	}{
		{"the next turn", func(_, next string) (*http.Client, string) { return s.client, next }, 0},
		{"a reload", func(first, _ string) (*http.Client, string) { return s.client, first }, 1},
		{"somebody else", func(_, next string) (*http.Client, string) { return other, next }, 1},
		{"another filter", func(_, next string) (*http.Client, string) {
			return s.client, s.looked(99) + "/counts?look=" + pass(next)
		}, 1},
		{"another part", func(first, next string) (*http.Client, string) {
			return s.client, strings.Replace(first, "/counts", "/course", 1) + "?look=" + pass(next)
		}, 1},
		{"a list with the pass of its counts", func(first, next string) (*http.Client, string) {
			return s.client, strings.Replace(first, "/counts", "/list", 1) + "?look=" + pass(next)
		}, 1},
		{"a pass that was used", func(_, next string) (*http.Client, string) { s.turn(s.client, next); return s.client, next }, 1},
		{"a pass that is none", func(first, _ string) (*http.Client, string) {
			return s.client, first + "?look=AAAAAAAAAAAAAAAAAAAAAAAAAA"
		}, 1},
		{"somewhat later", func(_, next string) (*http.Client, string) { s.later(90 * time.Second); return s.client, next }, 0},
		{"later", func(_, next string) (*http.Client, string) { s.later(3 * time.Minute); return s.client, next }, 1},
	} {
		first := s.looked(i) + "/counts"
		next := s.turn(s.client, first)
		if next == "" {
			t.Fatal("the first turn was the last")
		}
		client, path := x.other(first, next)
		before := len(s.questions())
		s.turn(client, path)
		if n := len(s.questions()) - before; n != x.more {
			t.Errorf("%s is on record %d times, want %d", x.name, n, x.more)
		}
	}
	// A page of a list is not another page of it.
	next := s.turn(s.client, s.looked(50)+"/list")
	before := len(s.questions())
	if s.turn(s.client, strings.Replace(next, "at=0", "at=20", 1)); len(s.questions()) != before+1 {
		t.Error("another page of a list came by the pass of the first, without a record")
	}
	// One that goes on for very long is on record again.
	before, next = len(s.questions()), s.looked(51)+"/counts"
	for turns := 0; next != "" && turns < 40; turns++ {
		next = s.turn(s.client, next)
		s.later(100 * time.Second)
	}
	if n := len(s.questions()) - before; n != 2 {
		t.Errorf("a look of twenty minutes is on record %d times, want 2", n)
	}
}

// moved is JavaScript that tells which of the sections before the list of a scope, or before the statistic of a finding, have
// changed their place since the page came.
const moved = `(async () => {
	const all = [], still = "#figures, #counts, #course, section:has(> .sh > :is(#h-list, #h-sure))";
	const watch = new PerformanceObserver(l => {
		for (const e of l.getEntries()) for (const s of e.sources) {
			const by = s.currentRect.y - s.previousRect.y;
			if (s.node?.matches?.(still) && Math.abs(by) > 1) all.push((s.node.id || s.node.getAttribute("aria-labelledby")) + " by " + by);
		}
	});
	watch.observe({type: "layout-shift", buffered: true});
	await new Promise(r => setTimeout(r, 200));
	return all.join(", ");
})()`

// TestStill: parts that come behind do not move what a hand may be on its way to.
func TestStill(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 2, busy: 3, theft: 21 * time.Minute, pace: 280 * time.Millisecond})
	b := s.open()
	for _, width := range []int64{1440, 400} {
		b.look(width, false)
		b.Visit("/findings/1")
		b.Wait(`document.querySelector("#figures .fields")`)
		if at := b.Eval(moved); at != "" {
			t.Errorf("%d wide, on the finding's page there moved: %s", width, at)
		}
		b.Key("s")
		b.Shows("1 – 20 of")
		b.Wait(`document.querySelector("#course svg") && !document.querySelector("#counts .counting")`)
		if at := b.Eval(moved); at != "" {
			t.Errorf("%d wide, on the scope's page there moved: %s", width, at)
		}
	}
}

// TestScrolledTo: what an address or the keyboard leads to does not lie under the plate of a telephone, or its tabs.
func TestScrolledTo(t *testing.T) {
	guard := &stopper{}
	s := newSite(t, func(c *console.Config) { c.Contain, guard.now = guard, c.Now })
	s.tell(story{days: 1, busy: 3, theft: 5 * time.Minute, pace: time.Second})
	b := s.open()
	b.look(390, false)
	b.Visit("/findings/1#contain")
	b.Wait(`document.querySelector("#figures .fields") && document.querySelector("#cuts") && !document.querySelector(".load.wait")`)
	const clear = `(e => e.top >= document.querySelector(".plate").getBoundingClientRect().bottom && e.bottom <= document.querySelector(".tabs").getBoundingClientRect().top)`
	if !b.Is(clear + `(document.querySelector("#h-contain").getBoundingClientRect())`) {
		t.Errorf("the heading of the address lies at %s", b.Eval(`JSON.stringify(document.querySelector("#h-contain").getBoundingClientRect())`))
	}
	for range 40 {
		b.Key(kb.Tab)
		if bad := b.Eval(`(() => { const e = document.activeElement; return e.closest("main") && !` + clear + `(e.getBoundingClientRect()) ? e.outerHTML.slice(0, 120) : ""; })()`); bad != "" {
			t.Errorf("the focus went to what is covered: %s", bad)
		}
	}
}
