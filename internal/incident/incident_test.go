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
	if err := w.book.Verify(t.Context(), w.visitActs); err != nil {
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
			if err = w.book.Verify(t.Context(), w.visitActs); err == nil {
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
			if err := w.book.Verify(t.Context(), w.visitActs); err == nil {
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
