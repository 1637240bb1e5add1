package console_test

import (
	"log/slog"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/console"
	"github.com/whosaw/whosaw/internal/guard"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/scope"
)

// TestGuarded contains a theft by the real guard: the preview's figures are those of a count, the decision holds and can be undone.
func TestGuarded(t *testing.T) {
	var g *guard.Guard
	s := newSite(t, func(c *console.Config) {
		cfg := guard.Config{Mode: guard.ModeEnforce, Doors: []guard.DoorConfig{{Name: "gateway-1", Kind: guard.KindDecide}}}
		var err error
		g, err = guard.New(t.Context(), guard.Options{Config: cfg, DB: c.State, Now: c.Now, Logger: slog.New(slog.DiscardHandler)})
		check(t, err)
		c.Contain = console.Guarded(g, c.Now)
	})
	s.tell(story{days: 1, busy: 3, theft: 10 * time.Minute, pace: 500 * time.Millisecond})
	s.signIn()
	_, text := s.page("GET", "/findings/1/contain", nil, "forged-1")
	for _, want := range []string{"Deny never-issued tokens", "Deny its networks", "Deny everything of key login-2024-b", "gateway-1"} {
		if !strings.Contains(text, want) {
			t.Errorf("the preview lacks %q:\n%s", want, text)
		}
	}
	list, _, err := s.alarms.Findings(t.Context(), alarmAll)
	check(t, err)
	f := &list[len(list)-1].Finding
	q, err := s.live.Ask(scope.Config{Workers: 1, Zone: time.UTC})
	check(t, err)
	defer q.Close()
	stop := console.Guarded(g, s.now)
	cuts, err := stop.Preview(t.Context(), q, f)
	check(t, err)
	want := s.plain(q, func(r *whosaw.Record) (forged, cut bool) {
		return r.Key == "login-2024-b", netip.MustParsePrefix("203.0.113.0/24").Contains(r.IP)
	})
	for _, c := range cuts {
		if c.ForgedOf != want[0] {
			t.Errorf("%s: %d forged, want %d", c.ID, c.ForgedOf, want[0])
		}
		if c.ID == "networks" && (c.Forged != want[1] || c.Honest != want[2]) {
			t.Errorf("networks: stops %d, hits %d, want %d and %d", c.Forged, c.Honest, want[1], want[2])
		}
		if c.ID == "unissued" && (c.Forged != want[0] || c.Honest != 0) {
			t.Errorf("unissued: stops %d, hits %d", c.Forged, c.Honest)
		}
	}
	chosen := map[string]string{}
	for _, c := range cuts {
		chosen[c.ID] = c.Chosen()
	}
	for _, cut := range []string{"unissued", "networks:0000000000000000", "key:" + strings.TrimPrefix(chosen["networks"], "networks:")} {
		if res, text := s.page("POST", "/findings/1/contain", map[string][]string{"cut": {cut}}); res.StatusCode != 400 || !strings.Contains(text, "changed since it was shown") {
			t.Errorf("%s, which no preview showed: answered with %d", cut, res.StatusCode)
		}
	}
	if held := g.Book().Holding(); len(held) != 0 {
		t.Fatalf("what no preview showed is held: %+v", held)
	}
	res, _ := s.page("POST", "/findings/1/contain", map[string][]string{"cut": {chosen["unissued"]}})
	if res.StatusCode != 200 {
		t.Fatalf("containing: %d", res.StatusCode)
	}
	if held := g.Book().Holding(); len(held) != 1 || held[0].Action != guard.Deny || held[0].Finding != f.ID || !strings.HasPrefix(held[0].Who, "staff:") {
		t.Fatalf("the guard holds %+v", held)
	}
	if !s.recorded("contained") {
		t.Error("containing is not in the ledger")
	}
	s.page("POST", "/findings/1/contain", map[string][]string{"undo": {"1"}})
	if held := g.Book().Holding(); len(held) != 0 {
		t.Errorf("after the undo the guard holds %d", len(held))
	}

	_, text = s.page("GET", "/findings/1", nil)
	_, done, _ := strings.Cut(text, `aria-labelledby="h-done"`)
	decided, undone := strings.Index(done, "decided: deny where"), strings.Index(done, "undid: deny where")
	if decided < 0 || undone < decided || !strings.Contains(done, "issued is no") {
		t.Errorf("what was done about the finding does not tell of the decision and its undoing:\n%s", done)
	}

	// What was previewed is done, whatever a new look would find.
	later := *f
	later.Filter = whosaw.Filter{{Key: []string{"another"}}}
	check(t, stop.Apply(t.Context(), q, &later, chosen["networks"], "staff:kim"))
	if held := g.Book().Holding(); len(held) != 1 || len(held[0].Filter) != 1 || !slices.Contains(held[0].Filter[0].IP, "203.0.113.0/24") {
		t.Errorf("the guard holds %+v, not what was previewed", held)
	}
}

// TestGuardInShadow: a decision that is made in shadow is seen on the page of the finding, is said to stop nothing, and can be undone there.
func TestGuardInShadow(t *testing.T) {
	s := newSite(t, func(c *console.Config) {
		cfg := guard.Config{Mode: guard.ModeShadow, Doors: []guard.DoorConfig{{Name: "gateway-1", Kind: guard.KindDecide}}}
		g, err := guard.New(t.Context(), guard.Options{Config: cfg, DB: c.State, Now: c.Now, Logger: slog.New(slog.DiscardHandler)})
		check(t, err)
		c.Contain = console.Guarded(g, c.Now)
	})
	s.tell(story{days: 1, busy: 3, theft: 10 * time.Minute, pace: 500 * time.Millisecond})
	s.signIn()
	_, text := s.page("GET", "/findings/1/contain", nil)
	m := regexp.MustCompile(`name="cut" value="(unissued[^"]*)"`).FindStringSubmatch(text)
	if m == nil || !strings.Contains(text, "in shadow: would stop") || strings.Contains(text, "In force at") {
		t.Fatalf("the preview in shadow is\n%s", text)
	}
	if _, text := s.page("POST", "/findings/1/contain", url.Values{"cut": {m[1]}}); !strings.Contains(text, "It stops nothing until the guard enforces") || strings.Contains(text, "In force since") || !strings.Contains(text, `name="undo"`) {
		t.Errorf("after the decision the page of the finding is\n%s", text)
	}
	if level, _, _ := s.console.Level("en"); level == "contained" {
		t.Error("what everything passes is called contained")
	}
	if _, text := s.page("POST", "/findings/1/contain", url.Values{"undo": {"1"}}); strings.Contains(text, "It stops nothing until the guard enforces") {
		t.Error("after the undo the decision stands still")
	}
}

// plain counts accesses of the last day one by one: forged, forged and cut, cut and not forged.
func (s *site) plain(q *pipeline.Question, is func(*whosaw.Record) (forged, cut bool)) (out [3]int64) {
	from := s.now().Add(-24 * time.Hour).UnixMilli()
	check(s.t, q.View.Records(s.t.Context(), 1, func(_ uint64, r *whosaw.Record) error {
		if r.Type != whosaw.TypeAccess || r.Time < from {
			return nil
		}
		forged, cut := is(r)
		switch {
		case forged && cut:
			out[0]++
			out[1]++
		case forged:
			out[0]++
		case cut:
			out[2]++
		}
		return nil
	}))
	return out
}
