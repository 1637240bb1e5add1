package incident

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// ErrUnknown is an incident, event or version that is not there.
var ErrUnknown = errors.New("not known")

// ActKind begins the kind of the acts that anchor events in the ledger: "incident_opened".
const ActKind = "incident_"

// Config is what a book stands on.
type Config struct {
	DB  *sqlite.DB
	Dir string // of the lists of scope versions; made when it is needed
	Now func() time.Time
	// Act puts an act of an operator into the ledger and gives its sequence. It returns once it is durable.
	Act func(ctx context.Context, who string, act whosaw.Reference) (uint64, error)
	// Hold sets a legal hold over all event times, for an incident that suspects something. It returns once it is durable.
	Hold func(ctx context.Context, who, reason string) (uint64, error)
	// Changed is told that something happened in an incident, after it is on disk, and must return at once; nil: nobody is.
	Changed func()
}

// Book keeps incidents. Its methods are safe for concurrent use.
type Book struct {
	cfg    Config
	making sync.Mutex // one scope version at a time, so that each has a number of its own
}

// NewBook gives a book.
func NewBook(cfg Config) *Book { return &Book{cfg: cfg} }

// Open opens an incident, with a legal hold on everything, and gives its number. The finding, or the complaint, that it comes from
// is when it was suspected.
func (b *Book) Open(ctx context.Context, who string, body Body, suspected time.Time) (int64, error) {
	if err := Opened.check(&body); err != nil {
		return 0, err
	}
	if who == "" {
		return 0, invalid(errors.New("open incident: say who opens it"))
	}
	if err := b.notAhead(suspected); err != nil {
		return 0, err
	}
	hold, err := b.cfg.Hold(ctx, who, "an incident is suspected: "+body.Title)
	if err != nil {
		return 0, fmt.Errorf("set legal hold: %w", err)
	}
	var number int64
	err = b.cfg.DB.Write(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(incident), 0) + 1 FROM incident_event").Scan(&number); err != nil {
			return fmt.Errorf("open incident: %w", err)
		}
		for _, e := range []struct {
			kind Kind
			body Body
		}{
			{Opened, body},
			{Held, Body{Hold: hold}},
			{Marked, Body{Moment: "suspected", When: &suspected, Note: "the incident was opened"}},
		} {
			if _, err := b.add(ctx, tx, number, who, e.kind, &e.body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return number, b.made(ctx)
}

// made follows an event that is on disk.
func (b *Book) made(ctx context.Context) error {
	if b.cfg.Changed != nil {
		defer b.cfg.Changed()
	}
	return b.Anchor(ctx)
}

// Record adds an event and gives its number.
func (b *Book) Record(ctx context.Context, incident int64, who string, kind Kind, body Body) (int64, error) {
	switch kind {
	case Opened, Scoped, Noticed, Posted, Missed, Removed, Purged:
		return 0, invalid(fmt.Errorf("record event: %s has a way of its own", kind))
	}
	if body.When != nil {
		if err := b.notAhead(*body.When); err != nil {
			return 0, err
		}
	}
	return b.record(ctx, incident, who, kind, &body)
}

// Notice records what was done with a notice to people, together with what also writes: both are kept, or neither.
func (b *Book) Notice(ctx context.Context, incident int64, who string, body Body, also func(tx *sql.Tx) error) error {
	if err := Noticed.check(&body); err != nil {
		return err
	}
	if who == "" {
		return invalid(errors.New("notice: say who"))
	}
	err := b.cfg.DB.Write(ctx, func(tx *sql.Tx) error {
		if err := refers(ctx, tx, incident, Noticed, &body); err != nil {
			return err
		}
		if err := also(tx); err != nil {
			return err
		}
		_, err := b.add(ctx, tx, incident, who, Noticed, &body)
		return err
	})
	if err != nil {
		return err
	}
	if b.cfg.Changed != nil {
		defer b.cfg.Changed()
	}
	return b.Anchor(ctx)
}

func (b *Book) record(ctx context.Context, incident int64, who string, kind Kind, body *Body) (int64, error) {
	if err := kind.check(body); err != nil {
		return 0, err
	}
	if who == "" {
		return 0, invalid(fmt.Errorf("%s: say who", kind))
	}
	var number int64
	err := b.cfg.DB.Write(ctx, func(tx *sql.Tx) (err error) {
		if err := refers(ctx, tx, incident, kind, body); err != nil {
			return err
		}
		number, err = b.add(ctx, tx, incident, who, kind, body)
		return err
	})
	if err != nil {
		return 0, err
	}
	return number, b.made(ctx)
}

// ahead is how far a clock of another machine may be ahead of ours.
const ahead = time.Minute

func (b *Book) notAhead(t time.Time) error {
	switch now := b.cfg.Now(); {
	case t.After(now.Add(ahead)):
		return invalid(fmt.Errorf("%s has not come yet: give the time at which it happened", t.UTC().Format(time.RFC3339)))
	case t.UnixMilli() < whosaw.MinTime:
		return invalid(fmt.Errorf("%s is before 2000: give the time at which it happened", t.UTC().Format(time.RFC3339)))
	}
	return nil
}

// refers checks that what an event is about is there, and of the right kind.
func refers(ctx context.Context, tx *sql.Tx, incident int64, kind Kind, body *Body) error {
	var n int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM incident_event WHERE incident = ?", incident).Scan(&n); err != nil {
		return fmt.Errorf("record event: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("incident %d: %w; list the incidents for their numbers", incident, ErrUnknown)
	}
	if kind == Linked {
		if body.Incident == incident {
			return invalid(errors.New("linked: an incident is not earlier than itself"))
		}
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM incident_event WHERE incident = ?", body.Incident).Scan(&n); err != nil || n == 0 {
			return errors.Join(fmt.Errorf("incident %d: %w", body.Incident, ErrUnknown), err)
		}
	}
	if kind == Offered {
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM incident_event WHERE incident = ? AND kind = ?", incident, string(Scoped)).Scan(&n); err != nil {
			return fmt.Errorf("record event: %w", err)
		}
		if n == 0 || n < body.Version {
			return invalid(fmt.Errorf("offered: the incident has %d scope versions: make the one that people are looked up in first", n))
		}
	}
	want := map[Kind][]Kind{Withdrawn: {Marked, Stated, Answered, Counted, Told}, Worked: {Tasked}, Handed: {Requested}, Missed: {Posted}, Removed: {Posted}}[kind]
	if want == nil {
		return nil
	}
	var is Kind
	err := tx.QueryRowContext(ctx, "SELECT kind FROM incident_event WHERE incident = ? AND number = ?", incident, body.Of).Scan(&is)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: event %d of incident %d: %w", kind, body.Of, incident, ErrUnknown)
	}
	if err != nil {
		return fmt.Errorf("record event: %w", err)
	}
	for _, k := range want {
		if k == is {
			return nil
		}
	}
	return invalid(fmt.Errorf("%s: event %d is %s, not one of %v", kind, body.Of, is, want))
}

func (b *Book) add(ctx context.Context, tx *sql.Tx, incident int64, who string, kind Kind, body *Body) (int64, error) {
	text, err := encodeBody(body)
	if err != nil {
		return 0, err
	}
	e := Event{At: b.cfg.Now(), Who: who, Kind: kind, Body: *body}
	var before []byte
	err = tx.QueryRowContext(ctx, "SELECT number, hash FROM incident_event WHERE incident = ? ORDER BY number DESC LIMIT 1", incident).Scan(&e.Number, &before)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("record event: %w", err)
	}
	e.Number++
	_, err = tx.ExecContext(ctx, "INSERT INTO incident_event (incident, number, at, who, kind, json, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
		incident, e.Number, e.At.UnixMilli(), who, string(kind), string(text), chain(before, incident, &e, text))
	if err != nil {
		return 0, fmt.Errorf("record event: %w", err)
	}
	return e.Number, nil
}

// Anchor puts the hashes of events that are not in the ledger yet into it.
func (b *Book) Anchor(ctx context.Context) error {
	type row struct {
		incident, number int64
		who, kind, hash  string
	}
	rows, err := b.cfg.DB.Read().QueryContext(ctx, `SELECT e.incident, e.number, e.who, e.kind, e.hash FROM incident_event e
		LEFT JOIN incident_anchor a ON a.incident = e.incident AND a.number = e.number WHERE a.number IS NULL ORDER BY e.incident, e.number`)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	var todo []row
	for rows.Next() {
		var r row
		var hash []byte
		if err := rows.Scan(&r.incident, &r.number, &r.who, &r.kind, &hash); err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		r.hash = hex.EncodeToString(hash)
		todo = append(todo, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	for _, r := range todo {
		seq, err := b.cfg.Act(ctx, r.who, whosaw.Reference{Kind: ActKind + r.kind, Of: fmt.Sprintf("incident %d, event %d", r.incident, r.number), Note: "sha256:" + r.hash})
		if err != nil {
			return fmt.Errorf("put event %d of incident %d into the ledger: %w", r.number, r.incident, err)
		}
		err = b.cfg.DB.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO incident_anchor (incident, number, sequence) VALUES (?, ?, ?)", r.incident, r.number, int64(seq))
			return err
		})
		if err != nil {
			return fmt.Errorf("record event: %w", err)
		}
	}
	return nil
}

// Events gives what happened in an incident, in order.
func (b *Book) Events(ctx context.Context, incident int64) ([]Event, error) {
	var out []Event
	err := b.each(ctx, incident, func(_ int64, e *Event, _, _ []byte) error {
		out = append(out, *e)
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("incident %d: %w; list the incidents for their numbers", incident, ErrUnknown)
	}
	return out, err
}

// each visits the events of one incident, or of all (0).
func (b *Book) each(ctx context.Context, incident int64, visit func(incident int64, e *Event, body, hash []byte) error) error {
	rows, err := b.cfg.DB.Read().QueryContext(ctx, "SELECT incident, number, at, who, kind, json, hash FROM incident_event WHERE ? IN (0, incident) ORDER BY incident, number", incident)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var of, at int64
		var e Event
		var body, hash []byte
		if err := rows.Scan(&of, &e.Number, &at, &e.Who, &e.Kind, &body, &hash); err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		if err := json.Unmarshal(body, &e.Body); err != nil {
			return fmt.Errorf("read event %d of incident %d: %w", e.Number, of, err)
		}
		e.At = time.UnixMilli(at).UTC()
		if err := visit(of, &e, body, hash); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}

// Verified is what was checked of the book.
type Verified struct {
	Incidents int `json:"incidents"`
	Events    int `json:"events"`
	Acts      int `json:"acts"`    // of the ledger, which anchor events
	Pending   int `json:"pending"` // events that are not in the ledger yet
	Lists     int `json:"lists"`   // of scope versions
	Purged    int `json:"purged"`  // lists that retention removed
}

// ErrRewritten is a book, or a list of it, that is not as it was recorded. The error says what, and what to do.
var ErrRewritten = errors.New("it is not as it was recorded")

type rewritten struct{ error }

func (r rewritten) Is(target error) bool { return target == ErrRewritten }
func (r rewritten) Unwrap() error        { return r.error }

// Verify checks the chains of all incidents, that each act which anchors an event finds it here, and that the lists of scope versions are
// those that were recorded. acts visits the acts of the ledger. The error names the first thing wrong; ErrRewritten: it was written from
// outside, or is of an older backup.
func (b *Book) Verify(ctx context.Context, acts func(visit func(seq uint64, act *whosaw.Reference) error) error) (v Verified, err error) {
	known := map[string]string{}
	last := map[int64][]byte{}
	next := map[int64]int64{}
	err = b.each(ctx, 0, func(incident int64, e *Event, body, hash []byte) error {
		if next[incident]++; e.Number != next[incident] {
			return rewritten{fmt.Errorf("incident %d: event %d is missing: the book was written from outside", incident, next[incident])}
		}
		if !bytes.Equal(hash, chain(last[incident], incident, e, body)) {
			return rewritten{fmt.Errorf("incident %d, event %d is not as it was recorded: the book was written from outside", incident, e.Number)}
		}
		last[incident] = hash
		known[fmt.Sprintf("incident %d, event %d", incident, e.Number)] = "sha256:" + hex.EncodeToString(hash)
		v.Events++
		return nil
	})
	v.Incidents = len(last)
	if err != nil {
		return v, err
	}
	found := map[string]bool{}
	err = acts(func(seq uint64, act *whosaw.Reference) error {
		if !strings.HasPrefix(act.Kind, ActKind) || !strings.HasPrefix(act.Note, "sha256:") {
			return nil
		}
		if hash, ok := known[act.Of]; !ok || hash != act.Note {
			return rewritten{fmt.Errorf("record %d of the ledger knows %s, which the book does not have so: it was written anew, or comes from an older backup", seq, act.Of)}
		}
		found[act.Of] = true
		return nil
	})
	if v.Acts, v.Pending = len(found), v.Events-len(found); err != nil {
		return v, err
	}
	return v, b.verifyLists(ctx, &v)
}

func (b *Book) verifyLists(ctx context.Context, v *Verified) error {
	list, err := b.Incidents(ctx)
	if err != nil {
		return err
	}
	for _, in := range list {
		for i := range in.Versions {
			if in.Versions[i].Purged {
				v.Purged++
				continue
			}
			err := b.List(ctx, in.Number, &in.Versions[i], func(whosaw.ListRow) error { return nil })
			if err != nil && ctx.Err() == nil {
				return rewritten{err}
			}
			if err != nil {
				return err
			}
			v.Lists++
		}
	}
	return nil
}
