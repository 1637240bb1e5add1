package alarm

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
)

// Step is how a finding grew: the finding in it is the one that grew, with what it counts now; its filter is what was added.
type Step struct {
	Kind     string         `json:"kind"` // more, again; where it spread: unit, credential, fingerprint, network
	Sequence uint64         `json:"sequence"`
	Finding  whosaw.Finding `json:"finding"`
}

// Grow records how findings grew, and has each channel told of it, as an update of the finding it knows. What was recorded already, and
// what is of a finding that is not in the book, changes nothing.
func (d *Dispatcher) Grow(ctx context.Context, steps ...Step) error {
	news := 0
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		news = 0
		for i := range steps {
			fresh, err := d.grow(ctx, tx, &steps[i])
			if err != nil {
				return fmt.Errorf("record growth of finding %s: %w", steps[i].Finding.ID, err)
			}
			if fresh {
				news++
			}
		}
		return nil
	})
	if err == nil && news > 0 {
		for _, w := range d.workers {
			nudge(w.wake)
		}
	}
	return err
}

func (d *Dispatcher) grow(ctx context.Context, tx *sql.Tx, s *Step) (fresh bool, err error) {
	text, err := json.Marshal(&s.Finding)
	if err != nil {
		return false, err
	}
	var known int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM finding WHERE id = ?", s.Finding.ID).Scan(&known); err != nil || known == 0 {
		return false, err
	}
	res, err := tx.ExecContext(ctx, "INSERT INTO growth (finding, sequence, kind, unit, json) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		s.Finding.ID, int64(s.Sequence), s.Kind, s.Finding.Unit, string(text))
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE finding SET grown = ? WHERE id = ?", string(text), s.Finding.ID); err != nil {
		return false, err
	}
	return true, d.more(ctx, tx, s.Finding.ID, kindUpdate)
}

// The kinds of messages about a finding.
const (
	kindFinding  = "finding"
	kindUpdate   = "update"
	kindReminder = "reminder"
)

// more has the channels that were told of a finding, or will be, told of it in another way. Of what is suppressed or judged away
// nobody is told more.
func (d *Dispatcher) more(ctx context.Context, tx *sql.Tx, finding, kind string) error {
	now := int64(millis(d.now()))
	_, err := tx.ExecContext(ctx, `INSERT INTO delivery (finding, channel, kind, number, made, due)
		SELECT d.finding, d.channel, ?, d.number, ?, ? FROM delivery d JOIN finding f ON f.id = d.finding
		WHERE d.finding = ? AND d.kind = 'finding' AND f.state IN ('open', 'harvest') AND f.suppressed_by IS NULL
		ON CONFLICT (finding, channel, kind) DO UPDATE SET serial = serial + 1, state = 'pending', made = excluded.made, due = excluded.due,
		attempts = 0, refused = 0, error = ''`, kind, now, now, finding)
	return err
}

// Growth gives the steps by which a finding grew, the first one first, at most a thousand.
func (b *Book) Growth(ctx context.Context, finding string) ([]Step, error) {
	rows, err := b.db.Read().QueryContext(ctx, "SELECT kind, sequence, json FROM growth WHERE finding = ? ORDER BY sequence, kind, unit LIMIT 1000", finding)
	if err != nil {
		return nil, fmt.Errorf("read growth: %w", err)
	}
	defer rows.Close()
	out := []Step{}
	for rows.Next() {
		var s Step
		var text []byte
		if err := rows.Scan(&s.Kind, &s.Sequence, &text); err != nil {
			return nil, fmt.Errorf("read growth: %w", err)
		}
		if err := json.Unmarshal(text, &s.Finding); err != nil {
			return nil, fmt.Errorf("read growth of finding %s: %w", finding, err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read growth: %w", err)
	}
	return out, nil
}

// Assignment says who works on a finding.
type Assignment struct {
	Owner  string      `json:"owner"` // "": it is given back
	Who    string      `json:"who"`   // who says so
	Reason string      `json:"reason,omitempty"`
	At     whosaw.Time `json:"at"`
}

// MaxOwner bounds a name, in bytes.
const MaxOwner = 200

// Assign records who works on a finding. Who is reminded of it is not reminded any more. One that is there already, word by word, is not added
// again.
func (b *Book) Assign(ctx context.Context, finding string, a Assignment) error {
	switch {
	case len(a.Owner) > MaxOwner || strings.ContainsAny(a.Owner, "\r\n\x00"):
		return fmt.Errorf("assign finding: the name is longer than %d bytes, or has a line break", MaxOwner)
	case len(a.Reason) > MaxReason:
		return fmt.Errorf("assign finding: the reason is longer than %d bytes; keep it short and link to the rest", MaxReason)
	case a.Who == "" || a.At == 0:
		return errors.New("assign finding: say who says so, and when")
	}
	return b.db.Write(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM assignment WHERE finding = ? AND owner = ? AND who = ? AND reason = ? AND at = ?",
			finding, a.Owner, a.Who, a.Reason, int64(a.At)).Scan(&n); err != nil || n > 0 {
			return err
		}
		res, err := tx.ExecContext(ctx, "UPDATE finding SET owner = ?, assigned = ? WHERE id = ?", a.Owner, int64(a.At), finding)
		if err != nil {
			return fmt.Errorf("assign finding: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(fmt.Errorf("assign finding: %w; list the findings for their ids", ErrUnknown), err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO assignment (finding, owner, who, reason, at) VALUES (?, ?, ?, ?, ?)",
			finding, a.Owner, a.Who, a.Reason, int64(a.At)); err != nil {
			return fmt.Errorf("assign finding: %w", err)
		}
		return quieten(ctx, tx, finding)
	})
}

// quieten drops what would remind of a finding.
func quieten(ctx context.Context, tx *sql.Tx, finding string) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM delivery WHERE finding = ? AND kind = 'reminder' AND state = 'pending'", finding); err != nil {
		return fmt.Errorf("drop reminders: %w", err)
	}
	return nil
}

// Assignments gives who had a finding, the last one first.
func (b *Book) Assignments(ctx context.Context, finding string) ([]Assignment, error) {
	rows, err := b.db.Read().QueryContext(ctx, "SELECT owner, who, reason, at FROM assignment WHERE finding = ? ORDER BY id DESC", finding)
	if err != nil {
		return nil, fmt.Errorf("read assignments: %w", err)
	}
	defer rows.Close()
	out := []Assignment{}
	for rows.Next() {
		var a Assignment
		if err := rows.Scan(&a.Owner, &a.Who, &a.Reason, &a.At); err != nil {
			return nil, fmt.Errorf("read assignments: %w", err)
		}
		out = append(out, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read assignments: %w", err)
	}
	return out, nil
}

// ErrAmbiguous is the beginning of several ids.
var ErrAmbiguous = errors.New("several findings begin like that")

// leastPrefix is how much of an id must be given.
const leastPrefix = 4

// Resolve gives the id that begins as given, if there is exactly one.
func (b *Book) Resolve(ctx context.Context, prefix string) (string, error) {
	rows, err := b.db.Read().QueryContext(ctx, "SELECT id FROM finding WHERE id >= ?1 AND substr(id, 1, length(?1)) = ?1 ORDER BY id LIMIT 2", prefix)
	if err != nil {
		return "", fmt.Errorf("look for a finding: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return "", fmt.Errorf("look for a finding: %w", err)
		}
		ids = append(ids, id)
	}
	switch {
	case rows.Err() != nil:
		return "", fmt.Errorf("look for a finding: %w", rows.Err())
	case len(ids) > 0 && ids[0] == prefix:
		return prefix, nil
	case len(ids) == 0 || len(prefix) < leastPrefix:
		return "", fmt.Errorf("finding: %w; list the findings for their ids (%d characters of one are enough)", ErrUnknown, leastPrefix)
	case len(ids) > 1:
		return "", fmt.Errorf("finding: %w; give more of the id", ErrAmbiguous)
	}
	return ids[0], nil
}

// NagConfig says when the channels are reminded of findings that nobody took. Quiet hours hold for reminders too.
type NagConfig struct {
	// After is how long a finding may lie before. 0: 24h.
	After time.Duration `yaml:"after"`
	// Every is the pause until the next reminder. 0: 24h.
	Every time.Duration `yaml:"every"`
	// Off: nobody is reminded.
	Off bool `yaml:"off"`
}

func (c *NagConfig) check() error {
	if c.After < 0 || c.Every < 0 || c.Every > 0 && c.Every < time.Minute {
		return errors.New("alarm.nag: give after and every as 24h, every at least 1m; off: true ends it")
	}
	return nil
}

// nagLook is how often findings are looked at for their age.
const nagLook = time.Minute

// nag reminds the channels of findings that nobody took, until ctx ends.
func (d *Dispatcher) nag(ctx context.Context) {
	if d.nagging.Off || len(d.workers) == 0 {
		return
	}
	t := time.NewTicker(nagLook)
	defer t.Stop()
	for {
		if n, err := d.Nag(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("reminders are not made", slog.Any("error", err))
		} else if n > 0 {
			d.log.Warn("findings that nobody took", slog.Int("reminders", n))
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Nag makes the reminders that are due now, and gives their number. A clock that was put back makes none twice; one that was set ahead
// makes one.
func (d *Dispatcher) Nag(ctx context.Context) (int, error) {
	now := d.now()
	old := millis(now.Add(-cmp.Or(d.nagging.After, 24*time.Hour)))
	last := millis(now.Add(-cmp.Or(d.nagging.Every, 24*time.Hour)))
	n := 0
	err := d.db.Write(ctx, func(tx *sql.Tx) error {
		n = 0
		rows, err := tx.QueryContext(ctx, `SELECT id FROM finding WHERE state = 'open' AND owner = '' AND suppressed_by IS NULL AND raised_at <= ?
			AND (nagged IS NULL OR nagged <= ?) ORDER BY number`, int64(old), int64(last))
		if err != nil {
			return err
		}
		var ids []string
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return errors.Join(err, rows.Close())
			}
			ids = append(ids, id)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		for _, id := range ids {
			if err := d.more(ctx, tx, id, kindReminder); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "UPDATE finding SET nagged = ? WHERE id = ?", int64(millis(now)), id); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("make reminders: %w", err)
	}
	if n > 0 {
		for _, w := range d.workers {
			nudge(w.wake)
		}
	}
	return n, nil
}
