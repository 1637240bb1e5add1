package guard_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/guard"
)

// What is switched holds at once, is on record with who and why before it does, and is forgotten at a restart.
func TestMode(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) { c.Mode = guard.ModeShadow })
	w.complete()
	forged := w.token("main", w.claims("jti-forged", "8"))
	passes := func() {
		t.Helper()
		if d := w.g.Decide(t.Context(), ask(forged)); d.Action != guard.Allow || d.Would != guard.Deny || !d.Shadow {
			t.Errorf("in shadow: %+v", d)
		}
	}
	passes()
	for _, bad := range []struct {
		mode   guard.Mode
		reason string
	}{{guard.ModeOff, "no"}, {"on", "no"}, {guard.ModeEnforce, "  "}, {guard.ModeEnforce, strings.Repeat("x", 3000)}} {
		if err := w.g.SetMode(t.Context(), bad.mode, "staff:kim", bad.reason); !errors.As(err, new(*guard.BadDecision)) {
			t.Errorf("%s with %d bytes of reason: %v", bad.mode, len(bad.reason), err)
		}
	}
	w.full = errors.New("the disk is full")
	if err := w.g.SetMode(t.Context(), guard.ModeEnforce, "staff:kim", "seen"); err == nil || w.g.Mode() != guard.ModeShadow {
		t.Errorf("switched without a record: %v, %s", err, w.g.Mode())
	}
	w.full = nil
	if err := w.g.SetMode(t.Context(), guard.ModeEnforce, "staff:kim", "nobody honest was hit"); err != nil {
		t.Fatal(err)
	}
	w.want(ask(forged), guard.Deny, guard.CodeUnissued)
	if s := w.g.Status(); s.Mode != guard.ModeEnforce || s.Configured != guard.ModeShadow {
		t.Errorf("status: %s, configured %s", s.Mode, s.Configured)
	}
	var acts []whosaw.Record
	for _, r := range w.records {
		if r.Type == whosaw.TypeAct && r.Ref.Kind == guard.ActMode {
			acts = append(acts, r)
		}
	}
	if len(acts) != 1 || acts[0].Principal != "staff:kim" || acts[0].Ref.Note != "shadow to enforce: nobody honest was hit" {
		t.Errorf("on record: %+v", acts)
	}
	if err := w.g.SetMode(t.Context(), guard.ModeShadow, "staff:kim", "the feed is down"); err != nil {
		t.Fatal(err)
	}
	passes()
	if err := w.g.SetMode(t.Context(), guard.ModeEnforce, "staff:kim", "it is back"); err != nil {
		t.Fatal(err)
	}
	w.open()
	passes()
}

// A door that cannot do what a mode asks keeps it from being switched to.
func TestModeNoDoorCan(t *testing.T) {
	w := newWorld(t, func(c *guard.Config) {
		c.Doors = append(c.Doors, guard.DoorConfig{Name: "edge", Kind: guard.KindFeed, StandingOnly: true})
	})
	if err := w.g.SetMode(t.Context(), guard.ModeShadow, "staff:kim", "try"); err == nil || !strings.Contains(err.Error(), "edge") {
		t.Errorf("shadow with a feed door: %v", err)
	}
	if w.g.Mode() != guard.ModeEnforce {
		t.Error("it was switched")
	}
}
