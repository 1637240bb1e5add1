package alarm

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/whosaw/whosaw"
)

// Note is something that is no finding and is told like one: once, by every channel there is, until it is taken. Quiet hours do not hold it:
// what it is about does not wait for the morning.
type Note struct {
	ID       string // of the message: the same at every try
	Unit     string // what it is about, as in incident:3; no customer
	Title    string
	Says     string // for people, without personal data
	Severity Severity
	Link     string
}

// kindNote is the kind of messages that are no findings.
const kindNote = "deadline"

// Notify records what is noted for the first time among keys, and has each channel told of it. compose makes the note of the keys that are
// new; none are: nothing is told. All of it is on disk when Notify returns, or, on an error, nothing.
func (d *Dispatcher) Notify(ctx context.Context, keys []string, compose func(fresh []string) Note) (told bool, err error) {
	err = d.db.Write(ctx, func(tx *sql.Tx) error {
		told = false
		var fresh []string
		for _, k := range keys {
			var n int
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM note_key WHERE key = ?", k).Scan(&n); err != nil {
				return err
			}
			if n == 0 {
				fresh = append(fresh, k)
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		told = true
		return d.note(ctx, tx, fresh, compose(fresh))
	})
	if err != nil {
		return false, fmt.Errorf("record what channels are to tell: %w", err)
	}
	if told {
		for _, w := range d.workers {
			nudge(w.wake)
		}
	}
	return told, nil
}

func (d *Dispatcher) note(ctx context.Context, tx *sql.Tx, keys []string, n Note) error {
	now := millis(d.now())
	m := &Message{ID: n.ID, Kind: kindNote, Time: now, Seen: now, RaisedAt: now, Detector: kindNote, Unit: n.Unit, Title: n.Title, Says: n.Says, Severity: n.Severity, Link: n.Link}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var number int64
	if err := tx.QueryRowContext(ctx, "INSERT INTO note (id, number, json, made) VALUES (?, (SELECT coalesce(max(number), 0) + 1 FROM note), ?, ?) RETURNING number",
		n.ID, string(text), int64(now)).Scan(&number); err != nil {
		return err
	}
	for _, k := range keys {
		if _, err := tx.ExecContext(ctx, "INSERT INTO note_key (key, note) VALUES (?, ?)", k, n.ID); err != nil {
			return err
		}
	}
	for _, w := range d.workers {
		if _, err := tx.ExecContext(ctx, "INSERT INTO note_delivery (note, channel, number, made, due) VALUES (?, ?, ?, ?, ?)", n.ID, w.channel.Name, number, int64(now), int64(now)); err != nil {
			return err
		}
	}
	return nil
}

// nextNote gives the note that is to be told now, nil if there is none. waits: one was refused and waits for its time.
func (w *worker) nextNote(ctx context.Context, now time.Time) (t *task, waits bool, err error) {
	rows, err := w.d.db.Read().QueryContext(ctx, `SELECT n.id, n.json, d.refused, d.due FROM note_delivery d JOIN note n ON n.id = d.note
		WHERE d.channel = ? AND d.state = 'pending' ORDER BY d.attempts, d.number`, w.channel.Name)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		t := task{kind: kindNote}
		var text []byte
		var no bool
		var due int64
		if err := rows.Scan(&t.finding, &text, &no, &due); err != nil {
			return nil, false, err
		}
		if no && !isDue(time.UnixMilli(due), now) {
			waits = true
			continue
		}
		t.message = &Message{}
		if err := json.Unmarshal(text, t.message); err != nil {
			return nil, false, fmt.Errorf("read note %s: %w", t.finding, err)
		}
		return &t, false, nil
	}
	return nil, waits, rows.Err()
}

// Noted is what channels were told beside findings, and how far each is.
type Noted struct {
	ID         string      `json:"id"`
	Made       whosaw.Time `json:"made"`
	Title      string      `json:"title"`
	Says       string      `json:"says"`
	Deliveries []Delivery  `json:"deliveries"`
}

// Notes gives those about a unit, the last one first, at most a hundred.
func (b *Book) Notes(ctx context.Context, unit string) ([]Noted, error) {
	rows, err := b.db.Read().QueryContext(ctx, "SELECT id, json, made FROM note WHERE json_extract(json, '$.unit') = ? ORDER BY number DESC LIMIT 100", unit)
	if err != nil {
		return nil, fmt.Errorf("read notes: %w", err)
	}
	defer rows.Close()
	out := []Noted{}
	for rows.Next() {
		n := Noted{Deliveries: []Delivery{}}
		var text []byte
		if err := rows.Scan(&n.ID, &text, &n.Made); err != nil {
			return nil, fmt.Errorf("read notes: %w", err)
		}
		var m Message
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, fmt.Errorf("read note %s: %w", n.ID, err)
		}
		n.Title, n.Says = m.Title, m.Says
		out = append(out, n)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("read notes: %w", err)
	}
	for i := range out {
		if err := b.noteDeliveries(ctx, &out[i]); err != nil {
			return nil, fmt.Errorf("read notes: %w", err)
		}
	}
	return out, nil
}

func (b *Book) noteDeliveries(ctx context.Context, n *Noted) error {
	rows, err := b.db.Read().QueryContext(ctx, "SELECT channel, state, attempts, made, tried, sent, refused, error FROM note_delivery WHERE note = ? ORDER BY channel", n.ID)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		d := Delivery{Kind: kindNote}
		if err := rows.Scan(&d.Channel, &d.State, &d.Attempts, &d.Made, &d.Tried, &d.Sent, &d.Refused, &d.Error); err != nil {
			return err
		}
		n.Deliveries = append(n.Deliveries, d)
	}
	return rows.Err()
}

// Headline says in a line what a finding is about, without what could name a customer.
func Headline(f *whosaw.Finding) string {
	return title(f.Detector) + ": " + clip(unitWords(openUnit(f.Unit)), 80)
}
