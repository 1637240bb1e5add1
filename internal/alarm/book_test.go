package alarm_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
)

func TestFindings(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		w.make()
		for n := range 25 {
			w.raise(finding(n, []string{"canary", "unissued"}[n%2], fmt.Sprintf("key:k%d", n%5), 1))
		}
		pages := func(q alarm.Query) (numbers []int64) {
			t.Helper()
			for {
				rows, next, err := w.d.Findings(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range rows {
					numbers = append(numbers, r.Number)
				}
				if next == 0 {
					return numbers
				}
				q.Before = next
			}
		}
		if got := pages(alarm.Query{Limit: 7}); len(got) != 25 || got[0] != 25 || got[24] != 1 {
			t.Errorf("all: %v", got)
		}
		realm, none, yes := "shop", "", true
		at := func(n int) whosaw.Time { return finding(n, "", "", 0).Finding.Time }
		for name, x := range map[string]struct {
			q    alarm.Query
			want []int64
		}{
			"detector and unit": {alarm.Query{Detector: "canary", Unit: "key:k0"}, []int64{21, 11, 1}},
			"time":              {alarm.Query{From: at(3), To: at(5)}, []int64{5, 4}},
			"realm":             {alarm.Query{Realm: &realm, Before: 3}, []int64{2, 1}},
			"no realm":          {alarm.Query{Realm: &none}, nil},
			"suppressed":        {alarm.Query{Suppressed: &yes}, nil},
			"state":             {alarm.Query{State: alarm.Harvest}, nil},
			"state open":        {alarm.Query{State: alarm.Open, Before: 2}, []int64{1}},
		} {
			if diff := cmp.Diff(x.want, pages(x.q)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		r, err := w.d.Finding(t.Context(), "f-0003")
		if err != nil {
			t.Fatal(err)
		}
		want := alarm.Recorded{Number: 4, Finding: finding(3, "unissued", "key:k3", 1).Finding, Realm: "shop", Sequence: 1003,
			RaisedAt: whosaw.Time(w.now().UnixMilli()), State: alarm.Open}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("finding (-want +got):\n%s", diff)
		}
		for _, err := range []error{
			func() error { _, err := w.d.Finding(t.Context(), "none"); return err }(),
			func() error { _, err := w.d.Deliveries(t.Context(), "none"); return err }(),
			func() error { _, err := w.d.Verdicts(t.Context(), "none"); return err }(),
		} {
			if !errors.Is(err, alarm.ErrUnknown) {
				t.Errorf("an unknown finding gave %v", err)
			}
		}
		if out, err := w.d.Raise(t.Context(), alarm.Raised{}); err == nil {
			t.Errorf("a finding without an id gave %+v", out)
		}
	})
}

func TestVerdict(t *testing.T) {
	bubble(t, func(t *testing.T, w *world) {
		a := &sink{}
		w.start(alarm.Channel{Name: "a", Sender: a})
		w.raise(key(1), key(2))
		w.settle()
		at := whosaw.Time(w.now().UnixMilli())
		first := alarm.Judgement{Kind: alarm.Explained, Reason: "a job", Who: "kim", At: at}
		second := alarm.Judgement{Kind: alarm.Harvest, Reason: "no such job", Who: "sam", At: at + 1}
		for _, j := range []alarm.Judgement{first, first, second} {
			if err := w.d.Verdict(t.Context(), "f-0001", j); err != nil {
				t.Fatal(err)
			}
		}
		// A replay brings no verdict back to open.
		w.raise(key(1), key(2))
		w.restart(alarm.Channel{Name: "a", Sender: a})
		all, err := w.d.Verdicts(t.Context(), "f-0001")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]alarm.Judgement{second, first}, all); diff != "" {
			t.Errorf("verdicts (-want +got):\n%s", diff)
		}
		r, err := w.d.Finding(t.Context(), "f-0001")
		if err != nil || r.State != alarm.Harvest {
			t.Errorf("%+v, %v", r, err)
		}
		s, err := w.d.Status(t.Context())
		if err != nil || s.Findings != 2 || s.Open != 1 {
			t.Errorf("%+v, %v", s, err)
		}
		if err := w.d.Verdict(t.Context(), "none", first); !errors.Is(err, alarm.ErrUnknown) {
			t.Errorf("an unknown finding gave %v", err)
		}
		for want, j := range map[string]alarm.Judgement{
			"the kind is":   {Kind: alarm.Open, Reason: "r", Who: "w", At: at},
			"give a reason": {Kind: alarm.False, Reason: "\n", Who: "w", At: at},
			"say who":       {Kind: alarm.False, Reason: "r", At: at},
			"say when":      {Kind: alarm.False, Reason: "r", Who: "w"},
			"longer than":   {Kind: alarm.False, Reason: strings.Repeat("r", 5000), Who: "w", At: at},
		} {
			if err := w.d.Verdict(t.Context(), "f-0002", j); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v gave %v, want %q", j, err, want)
			}
		}
		w.pass(time.Hour)
		wantIDs(t, a, "f-0001", "f-0002")
	})
}
