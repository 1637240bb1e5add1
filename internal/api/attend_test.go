package api_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/alarm"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/auth"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/retention"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

func everything(c *api.Config) { c.Incidents.Open = api.OpenRule{Detectors: []string{"*"}} }

// incidents gives what the book has.
func (w *world) incidents(admin string) []api.IncidentAnswer {
	w.t.Helper()
	var rows struct{ Incidents []api.IncidentRow }
	a := w.ask(admin, "GET", "/v1/incidents", "")
	a.decode(w.t, &rows)
	out := make([]api.IncidentAnswer, len(rows.Incidents))
	for i, r := range rows.Incidents {
		a := w.ask(admin, "GET", fmt.Sprintf("/v1/incidents/%d", r.Number), "")
		a.decode(w.t, &out[i])
	}
	return out
}

// A theft opens one incident, however many detectors see it and however often one looks; it is suspected, and nothing is removed from then on.
func TestFindingsOpenAnIncident(t *testing.T) {
	w := newWorld(t, everything)
	admin := w.token(auth.Spec{Name: "boss", Role: auth.RoleAdmin})
	ingest := w.token(auth.Spec{Name: "gw", Role: auth.RoleIngest, Types: []string{"access", "issuance"}})
	w.ask(ingest, "POST", "/v1/records", shop(true))
	check(t, w.live.CaughtUp(t.Context()))
	for range 3 {
		check(t, w.api.Attend(t.Context()))
	}
	list, _, err := w.alarms.Findings(t.Context(), alarm.Query{Limit: 1000})
	check(t, err)
	all := w.incidents(admin)
	if len(all) != 1 || len(list) < 2 {
		t.Fatalf("%d findings opened %d incidents", len(list), len(all))
	}
	in := all[0]
	for _, f := range list {
		if !slices.Contains(in.Findings, f.Finding.ID) {
			t.Errorf("finding %s of %s on %s is in no incident", f.Finding.ID, f.Finding.Detector, f.Finding.Unit)
		}
	}
	first := list[len(list)-1].Finding
	if in.State != "suspected" || len(in.Holds) != 1 || !in.Marks[0].At.Equal(time.UnixMilli(int64(first.Seen))) || in.Timeline[0].Who != "service:whosaw" || strings.Contains(in.Title, "customer:") {
		t.Errorf("%+v", in.Incident)
	}
	var removal retention.Removal
	a := w.ask(admin, "POST", "/v1/retention", `{"days":1,"apply":true}`)
	a.decode(t, &removal)
	if a.status != 200 || len(removal.Removed) != 0 {
		t.Errorf("retention removed what a suspicion holds: %d %s", a.status, a.body)
	}

	// Closed, it opens none again. A new finding of the same does, and names it as earlier.
	w.ask(admin, "POST", "/v1/incidents/1/events", `{"kind":"closed","note":"the key was replaced"}`)
	check(t, w.api.Attend(t.Context()))
	if n := len(w.incidents(admin)); n != 1 {
		t.Errorf("a closed incident is opened again: %d", n)
	}
	again := first
	again.ID = "again"
	_, err = w.alarms.Raise(t.Context(), alarm.Raised{Finding: again})
	check(t, err)
	check(t, w.api.Attend(t.Context()))
	check(t, w.api.Attend(t.Context()))
	if all = w.incidents(admin); len(all) != 2 || !slices.Equal(all[0].Earlier, []int64{1}) || !slices.Equal(all[0].Findings, []string{"again"}) {
		t.Errorf("after a new finding: %d, earlier %v", len(all), all[0].Earlier)
	}
	if l := all[0].EarlierIncidents; len(l) != 1 || l[0].Number != 1 || l[0].Title != in.Title || !l[0].Linked {
		t.Errorf("earlier incidents: %+v", l)
	}
}

// What was judged away, is kept quiet, has shown too few, or accuses no access opens none. A finding that grows opens one when it has grown enough.
func TestFindingsThatOpenNone(t *testing.T) {
	w := newWorld(t, func(c *api.Config) { c.Incidents.Open = api.OpenRule{Detectors: []string{"unissued"}, Subjects: 100} })
	admin := w.token(auth.Spec{Name: "boss", Role: auth.RoleAdmin})
	finding := func(id, detector, key string, subjects int64) whosaw.Finding {
		f := whosaw.Finding{ID: id, Time: whosaw.Time(now), Seen: whosaw.Time(now), Detector: detector, Unit: "key:" + key, Filter: whosaw.Filter{{Key: []string{key}}}, Subjects: subjects}
		_, err := w.alarms.Raise(t.Context(), alarm.Raised{Finding: f})
		check(t, err)
		return f
	}
	few := finding("few", "unissued", "a", 99)
	finding("other", "traversal", "b", 1000)
	finding("false", "unissued", "c", 1000)
	w.ask(admin, "POST", "/v1/findings/false/verdict", `{"verdict":"false","reason":"a load test"}`)
	check(t, w.live.CaughtUp(t.Context()))
	w.ask(admin, "POST", "/v1/suppressions", `{"unit":"key:d","reason":"load test","until":"2026-11-30T00:00:00Z"}`)
	finding("quiet", "unissued", "d", 1000)
	bare := finding("bare", "offboarding", "e", 0)
	bare.Filter = nil
	check(t, w.api.Attend(t.Context()))
	if n := len(w.incidents(admin)); n != 0 {
		t.Fatalf("%d incidents", n)
	}
	grown := few
	grown.Subjects = 100
	check(t, w.alarms.Grow(t.Context(), alarm.Step{Kind: "more", Sequence: 7, Finding: grown}))
	check(t, w.api.Attend(t.Context()))
	check(t, w.api.Attend(t.Context()))
	if all := w.incidents(admin); len(all) != 1 || !slices.Equal(all[0].Findings, []string{"few"}) {
		t.Errorf("after it grew: %d incidents", len(all))
	}
	// One unit, another finding of the detector: the same attack.
	finding("more", "unissued", "a", 500)
	check(t, w.api.Attend(t.Context()))
	if all := w.incidents(admin); len(all) != 1 || !slices.Equal(all[0].Findings, []string{"few", "more"}) {
		t.Errorf("another of the same unit: %d incidents", len(all))
	}
	check(t, w.api.Attend(t.Context()))
}

// Every stage of every clock is told once by each channel: over restarts, when nobody looked for a while, and when a moment turns out to be
// earlier.
func TestDeadlinesAreToldOnce(t *testing.T) {
	at := time.UnixMilli(now)
	clock := func() time.Time { return at }
	var made []*api.API
	w := newWorld(t, func(c *api.Config) {
		c.Now, c.URL = clock, "https://whosaw.example"
		c.Incidents.Jurisdictions = []string{"KR"}
	})
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	start := func() {
		w.alarms, err = alarm.New(db, []alarm.Channel{{Name: "mail", Kind: "test", Sender: w}, {Name: "hook", Kind: "test", Sender: w}}, alarm.Options{Now: clock})
		check(t, err)
		cfg := w.config
		cfg.Alarms = w.alarms
		cfg.Incidents.Book = api.OpenIncidents(w.live, incident.Config{DB: db, Dir: t.TempDir(), Now: clock})
		a, err := api.New(cfg)
		check(t, err)
		made = append(made, a)
	}
	start()
	book := func() *incident.Book {
		return api.OpenIncidents(w.live, incident.Config{DB: db, Dir: t.TempDir(), Now: clock})
	}
	n, err := book().Open(t.Context(), "staff:kim", incident.Body{Title: "the backup key", Note: "a complaint"}, at)
	check(t, err)
	when := at
	_, err = book().Record(t.Context(), n, "staff:kim", incident.Answered, incident.Body{Fact: "intrusion", Answer: "yes", Note: "forged tokens"})
	check(t, err)
	_, err = book().Record(t.Context(), n, "staff:kim", incident.Marked, incident.Body{Moment: "aware", When: &when, Note: "read it"})
	check(t, err)
	// The Network Act gives 24 hours from knowing, PIPA 72; each pass of an hour looks twice, and the process starts anew each time.
	stages := map[string][]int{}
	for hour := range 80 {
		at = when.Add(time.Duration(hour)*time.Hour + time.Minute)
		start()
		for range 2 {
			check(t, made[len(made)-1].Deadlines(t.Context()))
		}
		notes, err := w.alarms.Notes(t.Context(), "incident:1")
		check(t, err)
		for _, m := range notes {
			if time.UnixMilli(int64(m.Made)).Equal(at) {
				for stage, words := range map[string]string{"start": "A clock runs, due", "half": "Half of the time is over", "two": "Less than two hours left", "expiry": "OVERDUE since"} {
					if strings.Contains(m.Says, words) && strings.Contains(m.Says, "kr-network-act-48-3/authority") {
						stages[stage] = append(stages[stage], hour)
					}
				}
				if len(m.Deliveries) != 2 || strings.Contains(m.Says, "backup key") || !strings.Contains(m.Says, "check with counsel") {
					t.Errorf("hour %d: %d deliveries of %q", hour, len(m.Deliveries), m.Says)
				}
			}
		}
	}
	want := map[string][]int{"start": {0}, "half": {12}, "two": {22}, "expiry": {24}}
	if fmt.Sprint(stages) != fmt.Sprint(want) {
		t.Errorf("the Network Act's clock was told at %v, want %v", stages, want)
	}
	notes, err := w.alarms.Notes(t.Context(), "incident:1")
	check(t, err)
	if len(notes) != 7 { // start of all, 12, 22, 24 of one; 36, 70, 72 of the other
		for _, m := range notes {
			t.Log(m.Says)
		}
		t.Errorf("%d messages, want 7", len(notes))
	}
	// They are sent: once by each channel.
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.alarms.Run(ctx) }()
	w.waitFor(func() bool {
		s, err := w.alarms.Status(t.Context())
		return err == nil && s.Channels[0].Pending+s.Channels[1].Pending == 0
	})
	cancel()
	<-done
	w.logMu.Lock()
	ids := map[string]int{}
	for _, m := range w.sent {
		ids[m.ID]++
		if m.Kind != "deadline" || m.Link != "https://whosaw.example/incidents/1" {
			t.Errorf("a channel was told %+v", m)
		}
	}
	w.logMu.Unlock()
	if len(ids) != len(notes) {
		t.Errorf("%d messages were sent, want %d", len(ids), len(notes))
	}
	for id, n := range ids {
		if n != 2 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
	// Nobody looked for long, and a duty is done: the last stage alone, of what is still to be done.
	earlier := when.Add(-10 * time.Hour)
	_, err = book().Record(t.Context(), n, "staff:kim", incident.Marked, incident.Body{Moment: "aware", When: &earlier, Note: "the help desk knew"})
	check(t, err)
	told := at
	_, err = book().Record(t.Context(), n, "staff:kim", incident.Told, incident.Body{Law: "kr-network-act-48-3", Duty: "authority", When: &told})
	check(t, err)
	start()
	check(t, made[len(made)-1].Deadlines(t.Context()))
	notes, err = w.alarms.Notes(t.Context(), "incident:1")
	check(t, err)
	if len(notes) != 8 || !strings.Contains(notes[0].Says, "OVERDUE") || strings.Contains(notes[0].Says, "kr-network-act") || strings.Contains(notes[0].Says, "Half") {
		t.Errorf("%d messages, the last: %s", len(notes), notes[0].Says)
	}
	_, err = book().Record(t.Context(), n, "staff:kim", incident.Closed, incident.Body{Note: "over"})
	check(t, err)
	at = at.Add(1000 * time.Hour)
	check(t, made[len(made)-1].Deadlines(t.Context()))
	if more, _ := w.alarms.Notes(t.Context(), "incident:1"); len(more) != 8 {
		t.Errorf("a closed incident tells of deadlines")
	}
}

// waitFor waits until something is so.
func (w *world) waitFor(is func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatal("waited in vain")
		}
	}
}
