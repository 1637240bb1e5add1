package console_test

import (
	"strings"
	"testing"
	"time"
)

// looks are how pages are looked at.
var looks = []struct {
	name  string
	width int64
	dark  bool
}{{"light", 1440, false}, {"dark", 1440, true}, {"390-light", 390, false}, {"390-dark", 390, true}}

func TestNowEmpty(t *testing.T) {
	b := newSite(t).open()
	for _, l := range looks[:3] {
		b.look(l.width, l.dark)
		b.Visit("/")
		b.Shows("Blind")
		b.Shows("Nothing has come in yet")
		b.clean("now-empty-" + l.name)
	}
}

func TestNowCalm(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 4, busy: 4})
	b := s.open()
	for _, l := range looks {
		b.look(l.width, l.dark)
		b.Visit("/")
		b.Shows("No finding is open")
		b.clean("now-calm-" + l.name)
	}
}

func TestNowHarvest(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 4, busy: 4, theft: 21 * time.Minute, pace: 280 * time.Millisecond})
	b := s.open()
	for _, l := range looks {
		b.look(l.width, l.dark)
		b.Visit("/")
		b.Shows("customers shown so far")
		b.Wait(`document.title.startsWith("■ Harvest")`)
		b.Wait(`document.body.dataset.level === "harvest"`)
		b.clean("now-harvest-"+l.name, "id:10479912", "forged-")
	}
}

// TestHarvestRests: where nobody was shown for a minute, Now says since when, and no pace.
func TestHarvestRests(t *testing.T) {
	s := newSite(t)
	s.tell(story{days: 1, busy: 1, theft: 3 * time.Minute, pace: 500 * time.Millisecond})
	s.signIn()
	now := func() string { _, text := s.page("GET", "/", nil); return text }
	s.eventually("Now tells the pace", func() bool { return strings.Contains(now(), "more every minute") })
	s.mu.Lock()
	s.started = s.started.Add(-2 * time.Minute)
	s.mu.Unlock()
	s.eventually("Now tells since when there are none", func() bool {
		text := now()
		return strings.Contains(text, "none since") && !strings.Contains(text, "more every minute")
	})
	if text := now(); !strings.Contains(text, "customers shown so far") {
		t.Errorf("the customers are told of no more:\n%s", text)
	}
}

// TestStreamAgain: a stream that was lost for good, which htmx does not take up again, is begun anew.
func TestStreamAgain(t *testing.T) {
	b := newSite(t).open()
	b.look(1440, false)
	b.Visit("/")
	b.Wait(`document.body.dataset.ready && document.getElementById("stream")`)
	b.Wait(`(document.getElementById("stream").remove(), true)`)
	b.Wait(`document.body.classList.contains("offline")`)
	b.Wait(`!document.body.classList.contains("offline") && document.getElementById("stream")`)
}
