package console_test

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// stopper is a guard that keeps what it was told.
type stopper struct {
	mu    sync.Mutex
	cut   string
	who   string
	since time.Time
	now   func() time.Time
}

func (s *stopper) Preview(context.Context, *pipeline.Question, *whosaw.Finding) ([]console.Cut, error) {
	doors := []string{"gateway-1", "gateway-2"}
	return []console.Cut{
		{ID: "unissued", Forged: 4383, ForgedOf: 4383, Honest: 0, HonestOf: 412077, Doors: doors, Ends: 24 * time.Hour},
		{ID: "networks", Forged: 4063, ForgedOf: 4383, Honest: 38, HonestOf: 412077, Doors: doors, Ends: 24 * time.Hour},
		{ID: "key", Name: "login-2024-b", Forged: 4383, ForgedOf: 4383, Honest: 412077, HonestOf: 412077, TwoPeople: true, Doors: doors, Ends: 24 * time.Hour},
	}, nil
}

func (s *stopper) Apply(_ context.Context, _ *pipeline.Question, _ *whosaw.Finding, cut, who string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut, s.who, s.since = cut, who, s.now()
	return nil
}

func (s *stopper) Undo(context.Context, *whosaw.Finding, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut, s.since = "", time.Time{}
	return nil
}

func (s *stopper) Stands(context.Context, *whosaw.Finding) (since, until time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since, s.since.Add(24 * time.Hour), nil
}

func (s *stopper) Decided(context.Context, *whosaw.Finding) ([]console.Decision, error) {
	return nil, nil
}

func (s *stopper) Shadow() bool { return false }

// TestFinding goes from Now to the finding of a theft, and acts there by clicks and keys.
func TestFinding(t *testing.T) {
	guard := &stopper{}
	s := newSite(t, func(c *console.Config) { c.Contain, guard.now = guard, c.Now })
	s.tell(story{days: 1, busy: 3, theft: 21 * time.Minute, pace: 280 * time.Millisecond})
	b := s.open()
	b.look(1440, false)
	b.Visit("/")
	b.Shows("customers shown so far")
	b.Click(`a.btn[data-key="Enter"]`)
	b.Shows("customers were shown")
	path := b.Eval(`location.pathname`)
	b.clean("finding-light", "id:10479912", "forged-1")

	// The one whose statistic climbed.
	b.Click(`//a[text()="nonexistent"]`)
	b.Shows("threshold")
	b.Shows("absent")
	for _, l := range looks {
		b.look(l.width, l.dark)
		b.Reload()
		b.Shows("customers were shown")
		b.Shows("Course")
		b.clean("finding-climb-"+l.name, "forged-1")
	}
	b.look(1440, false)
	b.Reload()
	b.Shows("customers were shown")

	// Taken by a key, judged by clicks, contained by the key of acts with the preview in view.
	b.Key("t")
	b.Shows("taken by staff:admin")
	b.Click(`input[name=cut][value=networks]`)
	b.Shows("stops 4,063, hits 38")
	// A form that is sent is not sent again by a second click.
	if got := b.Eval(`((form, ended, note) => {
		addEventListener("submit", note);
		form.requestSubmit();
		form.requestSubmit();
		removeEventListener("submit", note);
		return ended.join();
	})(...((form, ended) => [form, ended, (e) => { ended.push(e.defaultPrevented); e.preventDefault(); }])(document.querySelector("form[action$='/take']"), []))`); got != "false,true" {
		t.Errorf("two clicks are kept from being sent: %s, want the second one alone", got)
	}
	// The key of acts does not act for whoever writes elsewhere, nor again while it is held down.
	for _, press := range []string{`"#reason", {}`, `"#owner", {}`, `"input[name=cut]", {repeat: true}`} {
		if b.Eval(`((at, more) => String(document.querySelector(at).dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", ctrlKey: true, bubbles: true, cancelable: true, ...more}))))(`+press+`)`) != "true" {
			t.Errorf("Ctrl Enter acts at %s", press)
		}
	}
	b.Click(`input[name=cut][value=unissued]`)
	b.Click(`#cutgo`)
	b.Shows("In force since")
	guard.mu.Lock()
	if guard.cut != "unissued" || !strings.HasPrefix(guard.who, "staff:") {
		t.Errorf("the guard was told %q by %q", guard.cut, guard.who)
	}
	guard.mu.Unlock()
	b.Click(`button[name=undo]`)
	b.Wait(`!document.body.innerText.includes("In force since")`)
	b.Shows("Origin")
	b.Shows("stops 4,383, hits 0")
	b.Click(`input[name=verdict][value=harvest]`)
	b.Type(`#reason`, "seen in the drill")
	b.Click(`//button[contains(., "Record the verdict")]`)
	b.Shows("Judged: harvest")
	b.Visit("/findings")
	b.Shows("harvest")
	b.clean("findings-light", "forged-1")
	b.look(390, true)
	b.clean("findings-390-dark")

	// In Korean, by the switch of the sentence.
	b.look(1440, true)
	b.Visit(path)
	b.Click(`button[name=lang][value=ko].lnk`)
	b.Wait(`document.documentElement.lang === "ko"`) // else what is opened next is overtaken by the page that the click brings
	b.Shows("표시되었습니다")
	b.clean("finding-ko-dark", "노출")
}

// TestFindingsEmpty: what was looked at is said.
func TestFindingsEmpty(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 0})
	b := s.open()
	b.look(1440, false)
	b.Visit("/findings")
	b.Shows("accesses were looked at")
	b.clean("findings-empty")
	b.Visit("/findings/7")
	b.Shows("there is no such finding")
	b.clean("fault")
}

// TestWithoutGuard: nothing can be clicked that would do nothing, and the page says why.
func TestWithoutGuard(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 1, busy: 2, theft: 5 * time.Minute, pace: time.Second})
	s.signIn()
	_, text := s.page("GET", "/findings/1", nil, "data-act", "forged-1")
	if !strings.Contains(text, "no guard is connected") {
		t.Error("it is not said why nothing can be stopped")
	}
	if res, _ := s.page("POST", "/findings/1/contain", url.Values{"cut": {"deny"}}); res.StatusCode != 400 {
		t.Errorf("containing without a guard: %d", res.StatusCode)
	}
	if res, text := s.page("POST", "/findings/1/verdict", url.Values{"verdict": {"harvest"}}); res.StatusCode != 400 || !strings.Contains(text, "reason") {
		t.Errorf("a verdict without a reason: %d", res.StatusCode)
	}
}
