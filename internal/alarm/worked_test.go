package alarm_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
)

func step(id string, seq uint64, kind string, accesses int64) alarm.Step {
	s := alarm.Step{Kind: kind, Sequence: seq, Finding: whosaw.Finding{
		ID: id, Time: whosaw.Time(1_777_000_000_000 + int64(seq)), Seen: 1_777_000_000_000, Detector: "nonexistent", Unit: "ip:192.0.2.7", Accesses: accesses, Subjects: accesses / 2,
	}}
	if kind != "more" && kind != "again" {
		s.Finding.Filter = whosaw.Filter{{IP: []string{"192.0.2.7"}}}
	}
	return s
}

func (w *world) grow(steps ...alarm.Step) {
	w.t.Helper()
	if err := w.d.Grow(w.t.Context(), steps...); err != nil {
		w.t.Fatal(err)
	}
}

// A finding is told once; its growth is told as updates, of which those that are not told yet are one; a replay tells nothing again.
func TestGrowthIsToldAsUpdates(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a := &sink{}
		w.start(alarm.Channel{Name: "a", Sender: a})
		id := key(1).Finding.ID
		w.raise(key(1))
		w.settle()
		w.grow(step(id, 7, "more", 20))
		w.settle()
		a.be(func(int, *alarm.Message) error { return errors.New("down") })
		for i := range 5 {
			w.grow(step(id, uint64(8+i), "fingerprint", int64(30+i)))
		}
		w.grow(step("nobody knows", 9, "more", 4))
		w.settle()
		var last *alarm.Message
		a.be(func(_ int, m *alarm.Message) error { last = m; return nil })
		w.pass(time.Hour)
		if got := a.ids(); len(got) != 1 || !strings.HasPrefix(got[0], id+".update") {
			t.Errorf("told %v", got)
		}
		if last == nil || last.Kind != "update" || last.Finding != id || last.Accesses != 34 || !strings.Contains(last.Says, "34 accesses") || !strings.Contains(last.Says, "192.0.2.7") {
			t.Errorf("message %+v", last)
		}
		rec, err := w.d.Finding(t.Context(), id)
		if err != nil || rec.Grown == nil || rec.Grown.Accesses != 34 || rec.Finding.Accesses != key(1).Finding.Accesses {
			t.Errorf("recorded %+v %v", rec, err)
		}
		steps, err := w.d.Growth(t.Context(), id)
		if err != nil || len(steps) != 6 || steps[0].Kind != "more" || steps[0].Sequence != 7 {
			t.Errorf("steps %+v %v", steps, err)
		}
		a.be(nil)
		w.restart(alarm.Channel{Name: "a", Sender: a})
		w.raise(key(1))
		w.grow(step(id, 7, "more", 20), step(id, 12, "fingerprint", 34))
		w.pass(time.Hour)
		if got := a.ids(); len(got) != 0 {
			t.Errorf("told again: %v", got)
		}
		if err := w.d.Verdict(t.Context(), id, alarm.Judgement{Kind: alarm.False, Reason: "a test", Who: "kim", At: 1}); err != nil {
			t.Fatal(err)
		}
		w.grow(step(id, 40, "more", 99))
		w.pass(time.Hour)
		if got := a.ids(); len(got) != 0 {
			t.Errorf("told of what was judged false: %v", got)
		}
	})
}

// What nobody took is reminded of, in the hours in which the channel may be told, until somebody takes or judges it.
func TestNag(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.nag = alarm.NagConfig{After: 2 * time.Hour, Every: 4 * time.Hour}
		a := &sink{}
		w.start(alarm.Channel{Name: "a", Sender: a, Quiet: &alarm.QuietConfig{From: "05:00", To: "08:00"}}) // it is midnight
		one, two := key(1), key(2)
		w.raise(one, two)
		w.settle()
		a.be(nil)
		take := func(id, owner string) {
			t.Helper()
			if err := w.d.Assign(t.Context(), id, alarm.Assignment{Owner: owner, Who: "kim", At: whosaw.Time(w.now().UnixMilli())}); err != nil {
				t.Fatal(err)
			}
		}
		w.pass(time.Hour)
		if got := a.ids(); len(got) != 0 {
			t.Errorf("after an hour: %v", got)
		}
		w.pass(70 * time.Minute)
		if d := cmp.Diff([]string{one.Finding.ID + ".reminder1", two.Finding.ID + ".reminder1"}, a.ids()); d != "" {
			t.Errorf("after two hours (-want +got):\n%s", d)
		}
		a.be(nil)
		take(one.Finding.ID, "kim")
		w.pass(4 * time.Hour) // 06:10, and it is quiet
		if got := a.ids(); len(got) != 0 {
			t.Errorf("in quiet hours: %v", got)
		}
		w.pass(2 * time.Hour)
		if d := cmp.Diff([]string{two.Finding.ID + ".reminder2"}, a.ids()); d != "" {
			t.Errorf("after quiet hours (-want +got):\n%s", d)
		}
		a.be(nil)
		take(one.Finding.ID, "") // given back
		take(two.Finding.ID, "lee")
		w.pass(3 * time.Hour)
		if d := cmp.Diff([]string{one.Finding.ID + ".reminder2"}, a.ids()); d != "" {
			t.Errorf("given back (-want +got):\n%s", d)
		}
		a.be(nil)
		if err := w.d.Verdict(t.Context(), one.Finding.ID, alarm.Judgement{Kind: alarm.Harvest, Reason: "taken", Who: "kim", At: 1}); err != nil {
			t.Fatal(err)
		}
		w.pass(48 * time.Hour)
		if got := a.ids(); len(got) != 0 {
			t.Errorf("taken or judged, and still: %v", got)
		}
	})
}

func TestAssignments(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.make()
		id := key(1).Finding.ID
		w.raise(key(1), key(2))
		state := func(want alarm.State, owner string) {
			t.Helper()
			r, err := w.d.Finding(t.Context(), id)
			if err != nil || r.State != want || r.Owner != owner {
				t.Errorf("%s of %q, want %s of %q; %v", r.State, r.Owner, want, owner, err)
			}
			list, _, err := w.d.Findings(t.Context(), alarm.Query{State: want})
			if err != nil || len(list) == 0 {
				t.Errorf("listed as %s: %v %v", want, list, err)
			}
		}
		state(alarm.Open, "")
		a := alarm.Assignment{Owner: "kim", Who: "lee", Reason: "on call", At: 5}
		for range 2 { // a replay
			if err := w.d.Assign(t.Context(), id, a); err != nil {
				t.Fatal(err)
			}
		}
		state(alarm.Assigned, "kim")
		if list, _, err := w.d.Findings(t.Context(), alarm.Query{Owner: "kim"}); err != nil || len(list) != 1 {
			t.Errorf("kim's: %v %v", list, err)
		}
		if s, err := w.d.Status(t.Context()); err != nil || s.Open != 2 || s.Assigned != 1 {
			t.Errorf("status %+v %v", s, err)
		}
		if err := w.d.Verdict(t.Context(), id, alarm.Judgement{Kind: alarm.Explained, Reason: "ours", Who: "kim", At: 6}); err != nil {
			t.Fatal(err)
		}
		state(alarm.Explained, "kim")
		got, err := w.d.Assignments(t.Context(), id)
		if d := cmp.Diff([]alarm.Assignment{a}, got); d != "" || err != nil {
			t.Errorf("assignments (-want +got):\n%s%v", d, err)
		}
		for _, bad := range []alarm.Assignment{{Owner: "a\nb", Who: "x", At: 1}, {Owner: strings.Repeat("x", 300), Who: "x", At: 1}, {Owner: "a", At: 1}, {Owner: "a", Who: "x"}} {
			if w.d.Assign(t.Context(), id, bad) == nil {
				t.Errorf("%+v was taken", bad)
			}
		}
		if err := w.d.Assign(t.Context(), "nobody", a); !errors.Is(err, alarm.ErrUnknown) {
			t.Errorf("of a finding that is not there: %v", err)
		}
	})
}

func TestResolve(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.make()
		for _, id := range []string{"7b1f00aa", "7b1f00ab", "93cc0000", "93cc"} {
			f := key(1)
			f.Finding.ID = id
			w.raise(f)
		}
		for prefix, want := range map[string]string{"7b1f00aa": "7b1f00aa", "7b1f00ab": "7b1f00ab", "93cc0": "93cc0000", "93cc": "93cc"} {
			if got, err := w.d.Resolve(t.Context(), prefix); got != want || err != nil {
				t.Errorf("%s is %q, %v", prefix, got, err)
			}
		}
		if _, err := w.d.Resolve(t.Context(), "7b1f00"); !errors.Is(err, alarm.ErrAmbiguous) {
			t.Errorf("two ids: %v", err)
		}
		for _, prefix := range []string{"", "93", "7b1f%", "zzzz"} {
			if _, err := w.d.Resolve(t.Context(), prefix); !errors.Is(err, alarm.ErrUnknown) {
				t.Errorf("%q: %v", prefix, err)
			}
		}
	})
}
