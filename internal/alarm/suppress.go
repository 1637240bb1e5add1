package alarm

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
)

// Suppression keeps findings from being told for a time: they are recorded, marked and counted.
type Suppression struct {
	ID       int64        `json:"id"`
	Detector string       `json:"detector,omitempty"` // empty: any
	Unit     string       `json:"unit,omitempty"`     // as a finding writes it, as in key:login-2024-b; empty: any
	Realm    *string      `json:"realm,omitempty"`    // nil: any; "" is the realm without a name
	Reason   string       `json:"reason"`
	Who      string       `json:"who"`
	Since    whosaw.Time  `json:"since"`
	Until    whosaw.Time  `json:"until"`
	Lifted   *whosaw.Time `json:"lifted,omitempty"` // somebody ended it before its time
	Lifter   string       `json:"lifter,omitempty"`
	Findings int64        `json:"findings"` // how many it kept from being told
}

// maxSuppression is the longest time one may ask for: what holds longer is a rule, and belongs into reason records.
const maxSuppression = 366 * 24 * time.Hour

func (s *Suppression) check(now time.Time) error {
	switch {
	case s.Detector == "" && s.Unit == "" && s.Realm == nil:
		return errors.New("suppress: it would silence everything; name a detector, a unit or a realm")
	case strings.TrimSpace(s.Reason) == "":
		return errors.New("suppress: give a reason; who wonders about the silence was not there")
	case len(s.Reason) > MaxReason:
		return fmt.Errorf("suppress: the reason is longer than %d bytes; keep it short and link to the rest", MaxReason)
	case s.Who == "":
		return errors.New("suppress: say who asks for it")
	case s.Until <= millis(now):
		return errors.New("suppress: say until when; the time must be to come")
	case s.Until > millis(now.Add(maxSuppression)):
		return errors.New("suppress: a year is the longest; what holds longer belongs into reason records")
	}
	return nil
}

// Suppress begins a suppression now and gives its number. ID, Since, Lifted and Findings are not looked at.
func (b *Book) Suppress(ctx context.Context, s Suppression) (int64, error) {
	now := b.now()
	if err := s.check(now); err != nil {
		return 0, err
	}
	var id int64
	err := b.db.Write(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx,
			"INSERT INTO suppression (detector, unit, realm, reason, who, since, until) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
			s.Detector, s.Unit, s.Realm, s.Reason, s.Who, int64(millis(now)), int64(s.Until)).Scan(&id)
	})
	if err != nil {
		return 0, fmt.Errorf("suppress: %w", err)
	}
	return id, nil
}

// Lift ends a suppression now. What it kept from being told stays untold: it is in the list of findings. Lifting twice, or after the end,
// changes nothing.
func (b *Book) Lift(ctx context.Context, id int64, who string) error {
	if who == "" {
		return errors.New("lift suppression: say who asks for it")
	}
	now := int64(millis(b.now()))
	return b.db.Write(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM suppression WHERE id = ?", id).Scan(&n); err != nil {
			return fmt.Errorf("lift suppression: %w", err)
		}
		if n == 0 {
			return fmt.Errorf("lift suppression: %w; list the suppressions for their numbers", ErrUnknown)
		}
		if _, err := tx.ExecContext(ctx, "UPDATE suppression SET lifted = ?, lifter = ? WHERE id = ? AND lifted IS NULL AND until > ?",
			now, who, id, now); err != nil {
			return fmt.Errorf("lift suppression: %w", err)
		}
		return nil
	})
}

// Suppressions lists those that hold now, or all there ever were, the newest first.
func (b *Book) Suppressions(ctx context.Context, all bool) ([]Suppression, error) {
	rows, err := b.db.Read().QueryContext(ctx, `SELECT id, detector, unit, realm, reason, who, since, until, lifted, coalesce(lifter, ''),
		(SELECT count(*) FROM finding WHERE suppressed_by = suppression.id) FROM suppression ORDER BY id DESC`)
	if err != nil {
		return nil, fmt.Errorf("read suppressions: %w", err)
	}
	defer rows.Close()
	now := millis(b.now())
	out := []Suppression{}
	for rows.Next() {
		var s Suppression
		if err := rows.Scan(&s.ID, &s.Detector, &s.Unit, &s.Realm, &s.Reason, &s.Who, &s.Since, &s.Until, &s.Lifted, &s.Lifter, &s.Findings); err != nil {
			return nil, fmt.Errorf("read suppressions: %w", err)
		}
		if all || s.holds(now) {
			out = append(out, s)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read suppressions: %w", err)
	}
	return out, nil
}

// holds reports whether it is on. If the clock was put back to before it began it is not: an alarm too many is the better mistake.
func (s *Suppression) holds(now whosaw.Time) bool {
	return s.Since <= now && now < s.Until && s.Lifted == nil
}

func (s *Suppression) covers(f *whosaw.Finding, realm string) bool {
	return (s.Detector == "" || s.Detector == f.Detector) && (s.Unit == "" || s.Unit == f.Unit) && (s.Realm == nil || *s.Realm == realm)
}

// holding gives the suppressions that hold now, the oldest first: a finding is counted with the first that covers it.
func holding(ctx context.Context, tx *sql.Tx, now whosaw.Time) ([]Suppression, error) {
	rows, err := tx.QueryContext(ctx,
		"SELECT id, detector, unit, realm FROM suppression WHERE since <= ? AND until > ? AND lifted IS NULL ORDER BY id", int64(now), int64(now))
	if err != nil {
		return nil, fmt.Errorf("read suppressions: %w", err)
	}
	defer rows.Close()
	var out []Suppression
	for rows.Next() {
		var s Suppression
		if err := rows.Scan(&s.ID, &s.Detector, &s.Unit, &s.Realm); err != nil {
			return nil, fmt.Errorf("read suppressions: %w", err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read suppressions: %w", err)
	}
	return out, nil
}
