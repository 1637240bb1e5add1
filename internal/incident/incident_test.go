package incident_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/regime"
	"github.com/whosaw/whosaw/internal/scope"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

var start = time.Date(2026, 11, 22, 3, 12, 44, 0, time.UTC)

// world is a book with a ledger of acts that is a list, and a clock that is moved by hand.
type world struct {
	book *incident.Book
	db   *sqlite.DB
	dir  string

	mu    sync.Mutex
	now   time.Time
	acts  []whosaw.Reference
	holds []string
	fail  error // of the next acts
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{now: start, dir: t.TempDir()}
	db, err := sqlite.Open(t.Context(), filepath.Join(w.dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w.db = db
	w.book = incident.NewBook(incident.Config{
		DB: db, Dir: filepath.Join(w.dir, "incident"),
		Now: func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now },
		Act: func(_ context.Context, _ string, act whosaw.Reference) (uint64, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.fail != nil {
				return 0, w.fail
			}
			w.acts = append(w.acts, act)
			return uint64(len(w.acts)), nil
		},
		Hold: func(_ context.Context, _, reason string) (uint64, error) {
			w.holds = append(w.holds, reason)
			return uint64(len(w.holds)), nil
		},
	})
	return w
}

func (w *world) visitActs(visit func(uint64, *whosaw.Reference) error) error {
	for i := range w.acts {
		if err := visit(uint64(i+1), &w.acts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) open(t *testing.T) int64 {
	t.Helper()
	n, err := w.book.Open(t.Context(), "staff:kim", incident.Body{Title: "the backup key", Findings: []string{"f1"}}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (w *world) record(t *testing.T, n int64, kind incident.Kind, body incident.Body) int64 {
	t.Helper()
	e, err := w.book.Record(t.Context(), n, "staff:kim", kind, body)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAnIncidentIsItsEvents(t *testing.T) {
	w := newWorld(t)
	n := w.open(t)
	when := w.now
	w.now = w.now.Add(time.Hour)
	mark := w.record(t, n, incident.Marked, incident.Body{Moment: regime.Aware, When: &when, Note: "the responder read the finding"})
	w.record(t, n, incident.Owned, incident.Body{Person: "staff:lee"})
	task := w.record(t, n, incident.Tasked, incident.Body{Title: "replace the key", Person: "staff:lee"})
	w.record(t, n, incident.Worked, incident.Body{Of: task, Note: "replaced at 04:10"})
	request := w.record(t, n, incident.Requested, incident.Body{Title: "all logs since May", Person: "MSIT", When: &when})
	w.record(t, n, incident.Handed, incident.Body{Of: request, Title: "a copy of the ledger"})
	w.record(t, n, incident.Answered, incident.Body{Fact: "intrusion", Answer: regime.Yes, Note: "forged tokens"})
	in, err := w.book.Incident(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if in.State != "aware" || in.Owner != "staff:lee" || in.Tasks[0].Done == nil || len(in.Requests[0].Handed) != 1 || len(in.Holds) != 1 || len(w.holds) != 1 {
		t.Errorf("%+v", in)
	}
	laws, err := regime.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	first := in.Clocks(laws, []string{"KR"}, w.now, "en")[0]
	if first.Law != "kr-network-act-48-3" || !first.Due.Equal(when.Add(24*time.Hour)) {
		t.Errorf("the first clock is %+v", first)
	}

	w.record(t, n, incident.Withdrawn, incident.Body{Of: mark, Note: "it was another finding"})
	if in, err = w.book.Incident(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	if in.State != "suspected" || len(in.Marks) != 2 || in.Marks[1].Withdrawn == "" {
		t.Errorf("a withdrawn mark counts no more, and stays in sight: %s %+v", in.State, in.Marks)
	}
	if _, err := w.book.Verify(t.Context(), w.visitActs); err != nil {
		t.Error(err)
	}
	if len(w.acts) != len(in.Timeline) {
		t.Errorf("%d acts for %d events", len(w.acts), len(in.Timeline))
	}
}

func TestWhatIsRefused(t *testing.T) {
	w := newWorld(t)
	n := w.open(t)
	now, later := w.now, w.now.Add(time.Hour)
	note := w.record(t, n, incident.Noted, incident.Body{Note: "a note"})
	for name, c := range map[string]struct {
		kind incident.Kind
		body incident.Body
		want string
	}{
		"no reason":               {incident.Marked, incident.Body{Moment: regime.Aware, When: &now}, "reason"},
		"a moment to come":        {incident.Marked, incident.Body{Moment: regime.Aware, When: &later, Note: "x"}, "not come yet"},
		"no moment":               {incident.Marked, incident.Body{Moment: "noticed", When: &now, Note: "x"}, "a moment"},
		"a task that is none":     {incident.Worked, incident.Body{Of: note, Note: "x"}, "not one of"},
		"nothing to withdraw":     {incident.Withdrawn, incident.Body{Of: 99, Note: "x"}, "not known"},
		"a fact nobody asks":      {incident.Answered, incident.Body{Fact: "weather", Answer: regime.Yes, Note: "x"}, "questions"},
		"verified by nothing":     {incident.Stated, incident.Body{Statement: &incident.Statement{Content: "cause", Lang: "en", Text: "x", Verified: true}}, "verified"},
		"earlier than itself":     {incident.Linked, incident.Body{Incident: n, Note: "x"}, "itself"},
		"an incident that is not": {incident.Linked, incident.Body{Incident: 9, Note: "x"}, "not known"},
		"opened again":            {incident.Opened, incident.Body{Title: "x", Note: "x"}, "way of its own"},
		"too long":                {incident.Noted, incident.Body{Note: strings.Repeat("x", incident.MaxText+1)}, "longer"},
		"of another kind":         {"deleted", incident.Body{}, "no kind"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := w.book.Record(t.Context(), n, "staff:kim", c.kind, c.body); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
	if _, err := w.book.Record(t.Context(), n, "", incident.Noted, incident.Body{Note: "x"}); err == nil {
		t.Error("an event without who")
	}
	if _, err := w.book.Record(t.Context(), 9, "staff:kim", incident.Noted, incident.Body{Note: "x"}); !errors.Is(err, incident.ErrUnknown) {
		t.Errorf("an event of no incident: %v", err)
	}
	if events, err := w.book.Events(t.Context(), n); err != nil || len(events) != 4 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

func TestTheDatabaseRefusesToChangeThePast(t *testing.T) {
	w := newWorld(t)
	w.open(t)
	for _, sqlText := range []string{"UPDATE incident_event SET who = 'staff:lee'", "DELETE FROM incident_event", "INSERT OR REPLACE INTO incident_event SELECT incident, number, at, 'staff:lee', kind, json, hash FROM incident_event"} {
		err := w.db.Write(t.Context(), func(tx *sql.Tx) error { _, err := tx.Exec(sqlText); return err })
		if err == nil {
			if _, err = w.book.Verify(t.Context(), w.visitActs); err == nil {
				t.Errorf("%s: nobody notices", sqlText)
			}
		}
	}
}

// Who owns the file can take the triggers away; the ledger then knows better.
func TestARewrittenBookDisagreesWithTheLedger(t *testing.T) {
	for name, change := range map[string]string{
		"another who":   "UPDATE incident_event SET who = 'staff:lee' WHERE number = 1",
		"an event less": "DELETE FROM incident_event WHERE number = (SELECT max(number) FROM incident_event)",
		"a hole":        "DELETE FROM incident_event WHERE number = 2",
		"all gone":      "DELETE FROM incident_event",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			n := w.open(t)
			w.record(t, n, incident.Noted, incident.Body{Note: "the first count is 4,536"})
			err := w.db.Write(t.Context(), func(tx *sql.Tx) error {
				for _, s := range []string{"DROP TRIGGER incident_event_stays", "DROP TRIGGER incident_event_remains", "DELETE FROM incident_anchor", change} {
					if _, err := tx.Exec(s); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.book.Verify(t.Context(), w.visitActs); err == nil {
				t.Error("nobody notices")
			}
		})
	}
}

func TestAnActThatFailedComesLater(t *testing.T) {
	w := newWorld(t)
	n := w.open(t)
	w.fail = errors.New("disk full")
	if _, err := w.book.Record(t.Context(), n, "staff:kim", incident.Noted, incident.Body{Note: "x"}); !errors.Is(err, w.fail) {
		t.Fatalf("%v", err)
	}
	w.fail = nil
	if err := w.book.Anchor(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.book.Anchor(t.Context()); err != nil {
		t.Fatal(err)
	}
	events, err := w.book.Events(t.Context(), n)
	if err != nil || len(w.acts) != len(events) {
		t.Errorf("%d acts for %d events, %v", len(w.acts), len(events), err)
	}
	for _, a := range w.acts {
		if strings.Contains(a.Note, "disk") || !strings.HasPrefix(a.Note, "sha256:") {
			t.Errorf("an act says %q", a.Note)
		}
	}
}

// Scope versions over random histories, against sets that are counted here.
func TestVersionsAgainstBruteForce(t *testing.T) {
	base := t.TempDir()
	w := newWorld(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		led, err := ledger.Open(ledger.Config{Dir: filepath.Join(base, fmt.Sprint(run)), Throwaway: true})
		if err != nil {
			rt.Fatal(err)
		}
		defer led.Close()
		n := w.open(t)
		shown := map[string]map[string]map[string]bool{} // key, subject, field
		var before map[string]string                     // subject to fields, of the version before
		for version := 1; version <= 3; version++ {
			var records []whosaw.Record
			for i := range rapid.IntRange(1, 30).Draw(rt, "records") {
				key := rapid.SampledFrom([]string{"main", "backup"}).Draw(rt, "key")
				id := rapid.SampledFrom([]string{"1", "2", "10", "007", "zoë", "a", "\"q\",|"}).Draw(rt, "subject")
				field := rapid.SampledFrom([]string{"name", "door_code"}).Draw(rt, "field")
				r := whosaw.Record{Type: whosaw.TypeAccess, Time: start.UnixMilli() + int64(i), Source: "log", Position: int64(version*1000 + i), Key: key, Subjects: []string{id}}
				r.Fields, r.Outcome = []string{field}, whosaw.OutcomeDisclosed
				records = append(records, r)
				if shown[key] == nil {
					shown[key] = map[string]map[string]bool{}
				}
				if shown[key][id] == nil {
					shown[key][id] = map[string]bool{}
				}
				shown[key][id][field] = true
			}
			if _, err := led.Append(t.Context(), records); err != nil {
				rt.Fatal(err)
			}
			keys := rapid.SampledFrom([][]string{{"main"}, {"backup"}, {"main", "backup"}}).Draw(rt, "filter")
			view, err := led.View(0)
			if err != nil {
				rt.Fatal(err)
			}
			v, err := w.book.MakeVersion(t.Context(), n, "staff:kim", scope.New(view, nil, scope.Config{}), view.Last(), whosaw.Filter{{Key: keys}}, "what we know now")
			if err != nil {
				rt.Fatal(err)
			}
			if err := view.Close(); err != nil {
				rt.Fatal(err)
			}
			now := map[string]string{}
			for _, key := range keys {
				for id, fields := range shown[key] {
					all := maps.Clone(fields)
					for _, f := range strings.Fields(now[id]) {
						all[f] = true
					}
					now[id] = strings.Join(slices.Sorted(maps.Keys(all)), " ")
				}
			}
			got := map[string]string{}
			if err := w.book.List(t.Context(), n, v, func(row whosaw.ListRow) error {
				got[row.Subject] = strings.Join(row.Fields, " ")
				return nil
			}); err != nil {
				rt.Fatal(err)
			}
			if !maps.Equal(got, now) || v.Answer.Subjects != int64(len(now)) {
				rt.Fatalf("version %d has %v, want %v", version, got, now)
			}
			if version > 1 {
				var want incident.Difference
				for id, fields := range now {
					switch was, there := before[id]; {
					case !there:
						want.Added++
					case was != fields:
						want.Widened++
					default:
						want.Same++
					}
				}
				for id := range before {
					if _, there := now[id]; !there {
						want.Removed++
					}
				}
				d := v.Difference
				if d.Added != want.Added || d.Removed != want.Removed || d.Widened != want.Widened || d.Same != want.Same || !slices.Contains(d.Causes, "records") {
					rt.Fatalf("difference %+v, want %+v", d, want)
				}
			}
			before = now
		}
	})
}

func TestAListThatWasChangedIsNotTaken(t *testing.T) {
	w := newWorld(t)
	led, err := ledger.Open(ledger.Config{Dir: filepath.Join(w.dir, "data"), Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	defer led.Close()
	r := whosaw.Record{Type: whosaw.TypeAccess, Time: start.UnixMilli(), Source: "log", Position: 1, Key: "backup", Subjects: []string{"7"}, Fields: []string{"name"}, Outcome: whosaw.OutcomeDisclosed}
	if _, err := led.Append(t.Context(), []whosaw.Record{r}); err != nil {
		t.Fatal(err)
	}
	view, err := led.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	n := w.open(t)
	engine := scope.New(view, nil, scope.Config{})
	if _, err := w.book.MakeVersion(t.Context(), n, "staff:kim", engine, view.Last(), whosaw.Filter{{}}, " "); err == nil {
		t.Error("a version without a reason")
	}
	v, err := w.book.MakeVersion(t.Context(), n, "staff:kim", engine, view.Last(), whosaw.Filter{{Key: []string{"backup"}}}, "by cause")
	if err != nil {
		t.Fatal(err)
	}
	read := func() (ids []string, err error) {
		err = w.book.List(t.Context(), n, v, func(row whosaw.ListRow) error {
			ids = append(ids, row.Subject)
			return nil
		})
		return ids, err
	}
	if ids, err := read(); err != nil || !slices.Equal(ids, []string{"7"}) {
		t.Fatal(ids, err)
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "incident", "1", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		text[i] ^= 1
		if err := os.WriteFile(files[0], text, 0o600); err != nil {
			t.Fatal(err)
		}
		// A bit of the container that says nothing of the content may be another; the content may not.
		if ids, err := read(); err == nil && !slices.Equal(ids, []string{"7"}) {
			t.Errorf("with byte %d changed the list is %q", i, ids)
		}
		text[i] ^= 1
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := read(); err == nil || !strings.Contains(err.Error(), "backup") {
		t.Errorf("%v: wants the cure", err)
	}
}

// A list goes when its incident was closed long enough ago and nothing keeps it; that it went is on record, and a crash between the record and the
// removal is made good.
func TestListsAreKeptAsLongAsTheyAreNeeded(t *testing.T) {
	w := newWorld(t)
	led, err := ledger.Open(ledger.Config{Dir: filepath.Join(w.dir, "data"), Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	defer led.Close()
	record := whosaw.Record{Type: whosaw.TypeAccess, Time: start.UnixMilli(), Source: "log", Position: 1, Key: "backup", Subjects: []string{"7"}, Fields: []string{"name"}, Outcome: whosaw.OutcomeDisclosed}
	if _, err := led.Append(t.Context(), []whosaw.Record{record}); err != nil {
		t.Fatal(err)
	}
	view, err := led.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	n := w.open(t)
	for range 2 { // two versions with one list
		if _, err := w.book.MakeVersion(t.Context(), n, "staff:kim", scope.New(view, nil, scope.Config{}), view.Last(), whosaw.Filter{{}}, "by cause"); err != nil {
			t.Fatal(err)
		}
	}
	lists := func() int {
		names, err := filepath.Glob(filepath.Join(w.dir, "incident", fmt.Sprint(n), "*"+incident.ListSuffix))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	retain := func(holds []uint64, apply bool, want string) {
		t.Helper()
		out, err := w.book.Retain(t.Context(), "staff:lee", w.now.Add(-24*time.Hour), holds, apply)
		if err != nil {
			t.Fatal(err)
		}
		if len(out) != 2 || want == "" && out[0].Kept != "" || !strings.Contains(out[0].Kept, want) || out[0].Bytes == 0 {
			t.Errorf("%+v, want kept because %q", out, want)
		}
	}
	retain(nil, true, "not closed")
	w.record(t, n, incident.Offered, incident.Body{Title: "November 2026"})
	w.record(t, n, incident.Closed, incident.Body{Note: "over"})
	retain([]uint64{3}, true, "legal hold 3")
	retain(nil, true, "look themselves up")
	w.record(t, n, incident.Ended, incident.Body{Note: "nobody asks"})
	retain(nil, true, "it was closed at 2026-11-22")
	w.now = w.now.Add(25 * time.Hour)
	retain(nil, false, "")
	if lists() != 1 {
		t.Fatal("a dry run removed a list")
	}
	retain(nil, true, "")
	in, err := w.book.Incident(t.Context(), n)
	if err != nil || lists() != 0 || !in.Versions[0].Purged || !in.Versions[1].Purged {
		t.Errorf("%d lists are left, %v", lists(), err)
	}
	if err := w.book.List(t.Context(), n, &in.Versions[0], func(whosaw.ListRow) error { return nil }); err == nil || !strings.Contains(err.Error(), "retention removed it") {
		t.Errorf("a removed list reads as %v", err)
	}
	v, err := w.book.Verify(t.Context(), w.visitActs)
	if err != nil || v.Purged != 2 || v.Lists != 0 || v.Pending != 0 || v.Acts != v.Events {
		t.Errorf("%+v, %v", v, err)
	}
	if out, err := w.book.Retain(t.Context(), "staff:lee", w.now, nil, true); err != nil || len(out) != 0 {
		t.Errorf("removed twice: %+v, %v", out, err)
	}
	// A crash after the record: the file is still there, and goes at the next start.
	if err := os.WriteFile(filepath.Join(w.dir, "incident", fmt.Sprint(n), in.Versions[0].List+incident.ListSuffix), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.book.Sweep(t.Context()); err != nil || lists() != 0 {
		t.Errorf("%d lists after a start, %v", lists(), err)
	}
	if _, err := w.book.Record(t.Context(), n, "staff:kim", incident.Purged, incident.Body{}); err == nil {
		t.Error("anybody records that a list was removed")
	}
}

// A notice that is posted counts what could not be read, over whatever time nobody looked, and is taken down early only with a reason.
func TestPostedDays(t *testing.T) {
	w := newWorld(t)
	led, err := ledger.Open(ledger.Config{Dir: filepath.Join(w.dir, "data"), Throwaway: true})
	if err != nil {
		t.Fatal(err)
	}
	defer led.Close()
	view, err := led.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	n := w.open(t)
	if _, err := w.book.MakeVersion(t.Context(), n, "staff:kim", scope.New(view, nil, scope.Config{}), view.Last(), whosaw.Filter{{}}, "by cause"); err != nil {
		t.Fatal(err)
	}
	law := &regime.Law{ID: "x", Version: "1", Duties: []regime.Duty{{ID: "posted", To: "public", Stands: 30, Content: []string{"advice"}}}}
	spec := incident.PostingSpec{Duty: "posted", Langs: []string{"en"}, Title: "November 2026"}
	post := func() (int64, error) { return w.book.Post(t.Context(), n, "staff:kim", law, spec) }
	if _, err := post(); !errors.Is(err, incident.ErrInvalid) || !strings.Contains(err.Error(), "nobody said anything") {
		t.Errorf("posted without a text: %v", err)
	}
	w.record(t, n, incident.Stated, incident.Body{Statement: &incident.Statement{Content: "advice", Lang: "en", Text: "Change your door code. 5,555 people did."}})
	if _, err := post(); !errors.Is(err, incident.ErrInvalid) || !strings.Contains(err.Error(), "5,555 is no figure") {
		t.Errorf("posted with a number of nobody's: %v", err)
	}
	w.record(t, n, incident.Stated, incident.Body{Statement: &incident.Statement{Content: "advice", Lang: "en", Text: "Change your door code."}})
	sign := func() {
		in, err := w.book.Incident(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := in.Document(law, "posted", "en", 0)
		if err != nil {
			t.Fatal(err)
		}
		w.record(t, n, incident.Signed, incident.Body{Document: "x/posted en", Hash: doc.Hash})
	}
	sign()
	w.record(t, n, incident.Stated, incident.Body{Statement: &incident.Statement{Content: "advice", Lang: "en", Text: "Change your door code today."}})
	if _, err := post(); !errors.Is(err, incident.ErrInvalid) || !strings.Contains(err.Error(), "signed off") {
		t.Errorf("posted another text than was signed: %v", err)
	}
	sign()
	spec.Days = 10
	if _, err := post(); !errors.Is(err, incident.ErrInvalid) {
		t.Errorf("posted for less than the law asks: %v", err)
	}
	spec.Days = 0
	event, err := post()
	if err != nil {
		t.Fatal(err)
	}
	posting := func() *incident.Posting {
		t.Helper()
		in, err := w.book.Incident(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		return &in.Postings[0]
	}
	see := func(after time.Duration) {
		t.Helper()
		w.now = w.now.Add(after)
		if err := w.book.SawPosting(t.Context(), n, event, true); err != nil {
			t.Fatal(err)
		}
	}
	first := w.now
	for range 10 {
		see(time.Minute)
	}
	see(3 * time.Minute) // one look was late
	if p := posting(); len(p.Gaps) != 0 || !p.Until.Equal(first.AddDate(0, 0, 30)) || p.Stood(w.now) != 13*time.Minute {
		t.Errorf("%+v has stood %s", p, p.Stood(w.now))
	}
	see(5 * time.Hour)
	see(time.Minute)
	if p := posting(); len(p.Gaps) != 1 || p.Gaps[0].Until.Sub(p.Gaps[0].From) != 5*time.Hour || !p.Until.Equal(first.AddDate(0, 0, 30).Add(5*time.Hour)) || p.Stood(w.now) != 14*time.Minute {
		t.Errorf("%+v has stood %s", p, p.Stood(w.now))
	}
	see(-time.Hour) // the clock was put back
	see(time.Hour)
	if len(posting().Gaps) != 1 {
		t.Error("a clock that was put back is a gap")
	}
	// Nobody looked when it is taken down: that is a gap too, and the reason is asked for all the same.
	w.now = w.now.Add(6 * 24 * time.Hour)
	if err := w.book.Remove(t.Context(), n, "staff:kim", event, " "); !errors.Is(err, incident.ErrInvalid) || !strings.Contains(err.Error(), "30 more days") {
		t.Errorf("taken down without a reason: %v", err)
	}
	if p := posting(); len(p.Gaps) != 2 || p.Removed != nil {
		t.Errorf("%+v", p)
	}
	if err := w.book.Remove(t.Context(), n, "staff:kim", event, "a figure was wrong"); err != nil {
		t.Fatal(err)
	}
	if p := posting(); p.Removed == nil || !p.Early || p.Why != "a figure was wrong" {
		t.Errorf("%+v", p)
	}
	if err := w.book.Remove(t.Context(), n, "staff:kim", event, "again"); !errors.Is(err, incident.ErrInvalid) {
		t.Errorf("taken down twice: %v", err)
	}
	// Its days over, no reason is needed, and what is not seen any more is no gap.
	law.Duties[0].Stands, spec.Days = 0, 1
	if event, err = post(); err != nil {
		t.Fatal(err)
	}
	until := w.now.AddDate(0, 0, 1)
	for w.now.Before(until) {
		see(3 * time.Minute)
	}
	see(48 * time.Hour)
	if err := w.book.Remove(t.Context(), n, "staff:kim", event, ""); err != nil {
		t.Fatal(err)
	}
	in, err := w.book.Incident(t.Context(), n)
	if err != nil || in.Postings[1].Early || len(in.Postings[1].Gaps) != 0 || len(in.Told) != 2 {
		t.Errorf("%+v, %v", in.Postings[1], err)
	}
	for _, kind := range []incident.Kind{incident.Posted, incident.Missed, incident.Removed} {
		if _, err := w.book.Record(t.Context(), n, "staff:kim", kind, incident.Body{Of: event, When: &w.now, Until: &w.now}); !errors.Is(err, incident.ErrInvalid) {
			t.Errorf("%s is recorded by hand: %v", kind, err)
		}
	}
}
