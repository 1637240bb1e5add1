package keys_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whosaw/whosaw/internal/keys"
)

// leave makes kim, who could read two keys and had three sessions, leave.
func (w *world) leave() {
	w.t.Helper()
	w.say(`{"type":"key","key":"backup","state":"active","person":"lee"}`,
		`{"type":"key","key":"backup","kind":"exported","readers":["kim"],"principal":"staff:kim"}`,
		`{"type":"key","key":"typed","state":"active","readers":["kim"]}`,
		`{"type":"key","key":"others","state":"active","readers":["park"]}`,
		fmt.Sprintf(`{"type":"issuance","credential":"s-1","principal":"staff:kim","expires":%d}`, w.clock.Add(90*24*time.Hour).UnixMilli()),
		fmt.Sprintf(`{"type":"issuance","credential":"s-old","principal":"staff:kim","expires":%d}`, w.clock.Add(time.Hour).UnixMilli()),
		`{"route":"GET /customers","status":200,"subject":"7","principal":"staff:ksy","credential":"s-met"}`)
	w.clock = w.clock.Add(2 * time.Hour)
	_, err := w.keeper.SetPeople(w.t.Context(), "staff:lee", []keys.PersonSpec{{Person: "kim", State: "left", Principals: []string{"staff:ksy"}}, {Person: "lee", State: "active"}})
	check(w.t, err)
}

func names(o keys.Offboarding, done bool) (out []string) {
	for _, i := range o.Items {
		if i.Done == done {
			out = append(out, i.Item)
		}
	}
	return out
}

// TestOffboardingGuarded: it lists what the leaver could use, and closes only when each is done and the guard refuses each.
func TestOffboardingGuarded(t *testing.T) {
	w := newWorld(t, true)
	ctx := t.Context()
	w.leave()
	o, err := w.keeper.Offboarding(ctx, "", "kim")
	check(t, err)
	all := []string{"key:backup", "key:typed", "principal:staff:kim", "credential:s-1", "principal:staff:ksy", "credential:s-met"}
	if d := cmp.Diff(all, names(o, false)); d != "" || o.State != "open" || o.Overdue {
		t.Fatalf("%+v %s", o, d)
	}
	closing := func() error {
		_, err := w.keeper.Close(ctx, "staff:lee", "", "kim", "all done")
		return err
	}
	stays := func(err error, says string) {
		t.Helper()
		var f *keys.Fault
		if !errors.As(err, &f) || !f.Conflict || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q: %v", says, err)
		}
	}
	stays(closing(), "key:backup is not done")
	w.clock = w.clock.Add(time.Hour)
	_, err = w.keeper.Rotate(ctx, "staff:lee", "", "backup", keys.Change{Reason: "kim left", Into: "backup-2"})
	check(t, err)
	_, err = w.keeper.Kill(ctx, "staff:lee", "", "typed", keys.Change{Reason: "kim left"})
	check(t, err)
	stays(closing(), "principal:staff:kim is not done")
	if _, err := w.keeper.Revoke(ctx, "staff:lee", "", "kim", []string{"key:backup"}, "x"); err == nil {
		t.Error("a key was refused to one person")
	}
	o, err = w.keeper.Revoke(ctx, "staff:lee", "", "kim", nil, "last day")
	check(t, err)
	if len(names(o, false)) != 0 || len(w.guard.denied) != 4 || o.Items[2].Denial != "d1" || o.Items[2].By != "staff:lee" {
		t.Fatalf("%+v, %d denied", o, len(w.guard.denied))
	}
	stays(closing(), "is not refused: the guard lets it through")
	for _, p := range []keys.Probe{{Key: "backup"}, {Key: "typed"}, {Principal: "staff:kim"}, {Principal: "staff:ksy"}, {Credential: "s-1"}} {
		w.guard.refuses[p] = true
	}
	stays(closing(), "credential:s-met is not refused")
	w.guard.refuses[keys.Probe{Credential: "s-met"}] = true
	check(t, closing())
	o, err = w.keeper.Offboarding(ctx, "", "kim")
	check(t, err)
	if o.State != "closed" || o.Closed.Who != "staff:lee" || !strings.HasPrefix(o.Closed.Tried, "6 tried at the guard") {
		t.Errorf("%+v", o.Closed)
	}
	w.open()
	list, err := w.keeper.Offboardings(ctx)
	check(t, err)
	if len(list) != 1 || list[0].State != "closed" {
		t.Errorf("after a restart: %+v", list)
	}
	stays(closing(), "closed already")
	// Who comes back and leaves again has another one.
	w.clock = w.clock.Add(24 * time.Hour)
	w.say(`{"type":"person","person":"kim","state":"active"}`)
	if list, _ := w.keeper.Offboardings(ctx); len(list) != 0 {
		t.Errorf("kim is back: %+v", list)
	}
	w.clock = w.clock.Add(24 * time.Hour)
	w.say(`{"type":"person","person":"kim","state":"left"}`)
	if list, _ := w.keeper.Offboardings(ctx); len(list) != 1 || list[0].State != "open" || list[0].ID == o.ID {
		t.Errorf("kim left again: %+v", list)
	}
}

// TestOffboardingByLedger: where no guard runs, real requests tell, and the answer says so.
func TestOffboardingByLedger(t *testing.T) {
	w := newWorld(t, false)
	ctx := t.Context()
	w.say(`{"type":"person","person":"kim","state":"left"}`)
	w.clock = w.clock.Add(time.Hour)
	_, err := w.keeper.Revoke(ctx, "staff:lee", "", "kim", nil, "closed in the directory")
	check(t, err)
	closing := func() (keys.Offboarding, error) { return w.keeper.Close(ctx, "staff:lee", "", "kim", "all done") }
	if _, err := closing(); err == nil || !strings.Contains(err.Error(), "no request with it was seen") {
		t.Errorf("nothing was tried: %v", err)
	}
	w.clock = w.clock.Add(time.Hour)
	w.say(`{"route":"GET /customers","status":403,"principal":"staff:kim"}`)
	o, err := closing()
	check(t, err)
	if o.Items[0].Tried == nil || o.Items[0].Tried.How != "ledger" || o.State != "closed" {
		t.Errorf("%+v", o)
	}
	w = newWorld(t, false)
	w.say(`{"type":"person","person":"kim","state":"left"}`)
	_, err = w.keeper.Revoke(ctx, "staff:lee", "", "kim", nil, "closed in the directory")
	check(t, err)
	w.clock = w.clock.Add(time.Hour)
	w.say(`{"route":"GET /customers","status":403,"principal":"staff:kim"}`, `{"route":"GET /customers","status":200,"subject":"7","principal":"staff:kim"}`)
	if _, err := w.keeper.Close(ctx, "staff:lee", "", "kim", "all done"); err == nil || !strings.Contains(err.Error(), "were accepted") {
		t.Errorf("it is still let in somewhere: %v", err)
	}
}

// TestOverdue: an open offboarding nags once a day, names nobody, and is silent when it is closed.
func TestOverdue(t *testing.T) {
	w := newWorld(t, true)
	ctx := t.Context()
	w.leave()
	overdue := func() (out []string) {
		t.Helper()
		list, err := w.keeper.Overdue(ctx)
		check(t, err)
		for _, f := range list {
			if strings.Contains(f.Says+f.Unit, "kim") || f.Detector != "offboarding" || len(f.Filter) != 0 {
				t.Errorf("%+v", f)
			}
			out = append(out, f.ID)
		}
		return out
	}
	if got := overdue(); len(got) != 0 {
		t.Errorf("before it is due: %v", got)
	}
	w.clock = w.clock.Add(25 * time.Hour)
	first := overdue()
	w.clock = w.clock.Add(time.Hour)
	if d := cmp.Diff(first, overdue()); d != "" || len(first) != 1 {
		t.Errorf("the same day: %s", d)
	}
	w.clock = w.clock.Add(24 * time.Hour)
	if again := overdue(); len(again) != 1 || again[0] == first[0] {
		t.Errorf("the next day: %v", again)
	}
	for _, k := range []string{"backup", "typed"} {
		_, err := w.keeper.Kill(ctx, "staff:lee", "", k, keys.Change{Reason: "kim left"})
		check(t, err)
	}
	_, err := w.keeper.Revoke(ctx, "staff:lee", "", "kim", nil, "late")
	check(t, err)
	w.guard.all = true
	_, err = w.keeper.Close(ctx, "staff:lee", "", "kim", "done")
	check(t, err)
	if got := overdue(); len(got) != 0 {
		t.Errorf("it is closed: %v", got)
	}
}

func TestParsePeople(t *testing.T) {
	got, err := keys.ParsePeople(strings.NewReader("\ufeffPerson,department,state,since,principals,keys\n kim ,x,LEFT,2026-01-01,staff:ksy; service:kim,backup\nlee,y,active,,,\n"))
	want := []keys.PersonSpec{
		{Person: "kim", State: "left", Since: 1767225600000, Principals: []string{"staff:ksy", "service:kim"}, Keys: []string{"backup"}}, {Person: "lee", State: "active"},
	}
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
	for text, says := range map[string]string{
		"":                                 "first line",
		"name,state\n":                     "no column person",
		"person,state\nkim,gone\n":         "line 2",
		"person,state,since\nkim,left,x\n": "line 2: since",
		"person,state\nkim,left,more\n":    "wrong number of fields",
	} {
		if _, err := keys.ParsePeople(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
