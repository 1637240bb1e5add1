package public_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/incident"
)

// looks has the page looked at every three minutes for so long, as a server does that is up; it has a store of its own clock.
func (h *house) looks(n, event int64, d time.Duration) {
	h.t.Helper()
	for end := h.clock().Add(d); h.clock().Before(end); {
		h.wait(min(3*incident.SeenEvery, end.Sub(h.clock())))
		check(h.t, h.book.SawPosting(h.t.Context(), n, event, true))
	}
}

// restart has another process open the book on the same state.
func (h *house) restart() {
	acts := uint64(1 << 32)
	next := func() uint64 { h.mu.Lock(); defer h.mu.Unlock(); acts++; return acts }
	h.book = incident.NewBook(incident.Config{
		DB: h.db, Dir: filepath.Join(h.dir, "incident"), Now: h.clock,
		Act:  func(context.Context, string, whosaw.Reference) (uint64, error) { return next(), nil },
		Hold: func(context.Context, string, string) (uint64, error) { return next(), nil },
	})
}

func (h *house) posting(n int64) *incident.Posting {
	h.t.Helper()
	in, err := h.book.Incident(h.t.Context(), n)
	check(h.t, err)
	return &in.Postings[0]
}

// Thirty days are counted through outages, a restart, and a clock that goes back: what nobody could read is added to the end, and the duty is met neither a
// minute before nor after.
func TestThirtyStandingDays(t *testing.T) {
	if testing.Short() {
		t.Skip("14,400 looks at the page")
	}
	const day = 24 * time.Hour
	h := newHouse(t)
	n := h.open()
	people := crowd(3000)
	h.showCrowd(people)
	h.show(func(int) []string { return []string{"address", "phone"} }, 10_000_003)
	h.count(n)
	event := h.postNotice(n, "ko")
	first := h.clock()
	var lost time.Duration
	holds := func(what string) {
		t.Helper()
		p := h.posting(n)
		var down, up time.Duration
		for _, g := range p.Gaps {
			down += g.Until.Sub(g.From)
		}
		for _, d := range p.Standing(h.clock()) {
			up += d.Up
		}
		if down != lost || p.Until != first.Add(30*day+lost) {
			t.Fatalf("%s: gaps of %s, not %s; it has to stand until %s", what, down, lost, p.Until)
		}
		if stood := p.Stood(h.clock()); up != min(stood, 30*day) {
			t.Fatalf("%s: the days have %s, and it stood %s", what, up, stood)
		}
	}
	met := func(want bool) {
		t.Helper()
		if got, left := h.posting(n).Met(h.clock()); got != want || (left == 0) != want {
			t.Fatalf("at %s after %s: met %t, %s left", h.clock(), h.clock().Sub(first), got, left)
		}
	}

	h.looks(n, event, 4*day)
	holds("four whole days")
	// An outage over midnight, by a server that is up and cannot fetch its page: two days do not count whole.
	h.wait(30 * time.Hour)
	check(t, h.book.SawPosting(t.Context(), n, event, true))
	lost += 30 * time.Hour
	holds("an outage of thirty hours")
	days := h.posting(n).Standing(h.clock())
	if days[3].Down != 0 || days[4].Up != 0 || days[4].Down != day || days[5].Down != 6*time.Hour || !days[6].Ahead {
		t.Errorf("the days are %+v", days[3:7])
	}
	h.looks(n, event, 5*day)
	// A restart of two minutes is none, one of two hours is a gap, counted once though both processes look.
	h.wait(2 * time.Minute)
	h.restart()
	check(t, h.book.SawPosting(t.Context(), n, event, true))
	holds("a short restart")
	h.wait(2 * time.Hour)
	h.restart()
	check(t, h.book.SawPosting(t.Context(), n, event, true))
	check(t, h.book.SawPosting(t.Context(), n, event, true))
	lost += 2 * time.Hour
	holds("a long restart")
	// The clock is put back by an hour and runs on: the hour that comes twice is counted once, and nothing is a gap.
	h.wait(-time.Hour)
	h.looks(n, event, day)
	holds("a clock that was put back")
	if _, err := h.book.Incident(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	// Up to the end by the first reckoning: then the gaps again, and one more in them.
	h.looks(n, event, first.Add(30*day).Sub(h.clock()))
	met(false)
	if err := h.book.Remove(t.Context(), n, "staff:lee", event, ""); err == nil {
		t.Error("it was taken down without a reason before its days were over")
	}
	h.looks(n, event, 20*time.Hour)
	h.wait(time.Hour)
	check(t, h.book.SawPosting(t.Context(), n, event, true))
	lost += time.Hour
	holds("an outage near the end")
	h.looks(n, event, first.Add(30*day+lost).Sub(h.clock())-time.Minute)
	met(false)
	h.looks(n, event, time.Minute)
	met(true)
	holds("the end")
	// What comes after the end is no gap of the duty, and it may go.
	h.wait(5 * day)
	check(t, h.book.SawPosting(t.Context(), n, event, true))
	holds("after the end")
	check(t, h.book.Remove(t.Context(), n, "staff:lee", event, ""))
	if p := h.posting(n); p.Early || p.Removed == nil {
		t.Errorf("%+v", p)
	}
	met(true)
}
