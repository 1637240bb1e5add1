package alarm

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// ErrUnknown is a finding, channel or suppression that is not there.
var ErrUnknown = errors.New("not known")

// Book is what is recorded of findings: the questions to it and the judgements in it.
type Book struct {
	db  *sqlite.DB
	now func() time.Time
}

// NewBook opens the book in a state file. now is nil for time.Now.
func NewBook(db *sqlite.DB, now func() time.Time) *Book {
	if now == nil {
		now = time.Now
	}
	return &Book{db: db, now: now}
}

// State is what people have made of a finding.
type State string

// The states. A finding that is open or assigned is an alarm: nobody has judged it.
const (
	Open      State = "open"
	Assigned  State = "assigned"  // somebody has taken it
	Harvest   State = "harvest"   // customers' data was taken
	Explained State = "explained" // it was what it looks like, and there was a reason for it
	False     State = "false"     // it was not what it looks like
)

// Recorded is a finding in the book.
type Recorded struct {
	Number       int64          `json:"number"` // in order of raising, without holes
	Finding      whosaw.Finding `json:"finding"`
	Realm        string         `json:"realm,omitempty"`
	Sequence     uint64         `json:"sequence"` // of the record that raised it; 0: not known
	RaisedAt     whosaw.Time    `json:"raised_at"`
	State        State          `json:"state"`
	SuppressedBy int64          `json:"suppressed_by,omitempty"` // nobody was told of it
	Owner        string         `json:"owner,omitempty"`         // who has it
	Assigned     *whosaw.Time   `json:"assigned,omitempty"`      // since when
	// Grown is its last step of growth: what it counts since, and where it showed last; nil: none.
	Grown *whosaw.Finding `json:"grown,omitempty"`
}

// Query picks findings; what is empty does not matter.
type Query struct {
	State      State
	Owner      string
	Detector   string
	Unit       string
	Realm      *string
	Suppressed *bool
	From, To   whosaw.Time // event time; To is exclusive
	Before     int64       // only numbers below it: the cursor
	Limit      int         // at most 1,000; 0: 100
}

const (
	defaultPage = 100
	maxPage     = 1000
)

const recordedColumns = "number, json, realm, sequence, raised_at, CASE WHEN state = 'open' AND owner <> '' THEN 'assigned' ELSE state END, " +
	"coalesce(suppressed_by, 0), owner, assigned, grown"

// Findings gives a page of findings, the newest first, and the cursor of the next page, 0 at the end.
func (b *Book) Findings(ctx context.Context, q Query) ([]Recorded, int64, error) {
	where, args := []string{"1"}, []any{}
	add := func(is bool, clause string, value ...any) {
		if is {
			where, args = append(where, clause), append(args, value...)
		}
	}
	switch q.State {
	case "":
	case Open:
		add(true, "state = 'open' AND owner = ''")
	case Assigned:
		add(true, "state = 'open' AND owner <> ''")
	default:
		add(true, "state = ?", string(q.State))
	}
	add(q.Owner != "", "owner = ?", q.Owner)
	add(q.Detector != "", "detector = ?", q.Detector)
	add(q.Unit != "", "unit = ?", q.Unit)
	if q.Realm != nil {
		add(true, "realm = ?", *q.Realm)
	}
	if q.Suppressed != nil {
		add(true, "(suppressed_by IS NOT NULL) = ?", *q.Suppressed)
	}
	add(q.From != 0, "time >= ?", int64(q.From))
	add(q.To != 0, "time < ?", int64(q.To))
	add(q.Before > 0, "number < ?", q.Before)
	limit := q.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, maxPage)
	rows, err := b.db.Read().QueryContext(ctx, "SELECT "+recordedColumns+" FROM finding WHERE "+strings.Join(where, " AND ")+
		" ORDER BY number DESC LIMIT ?", append(args, limit+1)...)
	if err != nil {
		return nil, 0, fmt.Errorf("read findings: %w", err)
	}
	defer rows.Close()
	out := []Recorded{}
	for rows.Next() {
		r, err := scanRecorded(rows)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, fmt.Errorf("read findings: %w", err)
	}
	if len(out) > limit {
		return out[:limit], out[limit-1].Number, nil
	}
	return out, 0, nil
}

// Finding gives one finding, or [ErrUnknown].
func (b *Book) Finding(ctx context.Context, id string) (Recorded, error) {
	r, err := scanRecorded(b.db.Read().QueryRowContext(ctx, "SELECT "+recordedColumns+" FROM finding WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return Recorded{}, fmt.Errorf("finding: %w; list the findings for their ids", ErrUnknown)
	}
	return r, err
}

func scanRecorded(row interface{ Scan(...any) error }) (Recorded, error) {
	var r Recorded
	var text, grown []byte
	var raised int64
	if err := row.Scan(&r.Number, &text, &r.Realm, &r.Sequence, &raised, &r.State, &r.SuppressedBy, &r.Owner, &r.Assigned, &grown); err != nil {
		return r, fmt.Errorf("read finding: %w", err)
	}
	r.RaisedAt = whosaw.Time(raised)
	if err := json.Unmarshal(text, &r.Finding); err != nil {
		return r, fmt.Errorf("read finding %d: %w", r.Number, err)
	}
	if grown != nil {
		r.Grown = new(whosaw.Finding)
		if err := json.Unmarshal(grown, r.Grown); err != nil {
			return r, fmt.Errorf("read finding %d: %w", r.Number, err)
		}
	}
	return r, nil
}

// Delivery is how far a channel is with a finding.
type Delivery struct {
	Channel  string       `json:"channel"`
	Kind     string       `json:"kind"`  // finding, update or reminder
	State    string       `json:"state"` // pending or sent
	Attempts int64        `json:"attempts"`
	Made     whosaw.Time  `json:"made"`
	Tried    *whosaw.Time `json:"tried"`           // the last try
	Sent     *whosaw.Time `json:"sent"`            // when the other side had taken it
	Refused  bool         `json:"refused"`         // the other side said no; it is asked again within the hour
	Error    string       `json:"error,omitempty"` // of the last try
}

// Deliveries says who was told of a finding, by channel. A suppressed finding has none.
func (b *Book) Deliveries(ctx context.Context, finding string) ([]Delivery, error) {
	if _, err := b.Finding(ctx, finding); err != nil {
		return nil, err
	}
	rows, err := b.db.Read().QueryContext(ctx,
		"SELECT channel, kind, state, attempts, made, tried, sent, refused, error FROM delivery WHERE finding = ? ORDER BY kind, channel", finding)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	defer rows.Close()
	out := []Delivery{}
	for rows.Next() {
		var d Delivery
		if err := rows.Scan(&d.Channel, &d.Kind, &d.State, &d.Attempts, &d.Made, &d.Tried, &d.Sent, &d.Refused, &d.Error); err != nil {
			return nil, fmt.Errorf("read deliveries: %w", err)
		}
		out = append(out, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	return out, nil
}

// Judgement is what a person made of a finding.
type Judgement struct {
	Kind   State       `json:"kind"` // harvest, explained or false
	Reason string      `json:"reason"`
	Who    string      `json:"who"`
	At     whosaw.Time `json:"at"`
}

// MaxReason bounds what people write, in bytes.
const MaxReason = 4000

func (j *Judgement) check() error {
	switch {
	case j.Kind != Harvest && j.Kind != Explained && j.Kind != False:
		return errors.New("judge finding: the kind is harvest, explained or false")
	case strings.TrimSpace(j.Reason) == "":
		return errors.New("judge finding: give a reason; who reads it later was not there")
	case len(j.Reason) > MaxReason:
		return fmt.Errorf("judge finding: the reason is longer than %d bytes; keep it short and link to the rest", MaxReason)
	case j.Who == "":
		return errors.New("judge finding: say who judges")
	case j.At == 0:
		return errors.New("judge finding: say when")
	}
	return nil
}

// Verdict records a judgement. The last one holds; all are kept. A judgement that is there already, word by word, is not added again,
// so it may be repeated after a crash.
func (b *Book) Verdict(ctx context.Context, finding string, j Judgement) error {
	if err := j.check(); err != nil {
		return err
	}
	return b.db.Write(ctx, func(tx *sql.Tx) error {
		var n int
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM verdict WHERE finding = ? AND kind = ? AND reason = ? AND who = ? AND at = ?",
			finding, string(j.Kind), j.Reason, j.Who, int64(j.At)).Scan(&n)
		if err != nil {
			return fmt.Errorf("judge finding: %w", err)
		}
		if n > 0 {
			return nil
		}
		res, err := tx.ExecContext(ctx, "UPDATE finding SET state = ? WHERE id = ?", string(j.Kind), finding)
		if err != nil {
			return fmt.Errorf("judge finding: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(fmt.Errorf("judge finding: %w; list the findings for their ids", ErrUnknown), err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO verdict (finding, kind, reason, who, at) VALUES (?, ?, ?, ?, ?)",
			finding, string(j.Kind), j.Reason, j.Who, int64(j.At)); err != nil {
			return fmt.Errorf("judge finding: %w", err)
		}
		return quieten(ctx, tx, finding)
	})
}

// Verdicts gives all judgements of a finding, the last one first.
func (b *Book) Verdicts(ctx context.Context, finding string) ([]Judgement, error) {
	if _, err := b.Finding(ctx, finding); err != nil {
		return nil, err
	}
	rows, err := b.db.Read().QueryContext(ctx, "SELECT kind, reason, who, at FROM verdict WHERE finding = ? ORDER BY id DESC", finding)
	if err != nil {
		return nil, fmt.Errorf("read verdicts: %w", err)
	}
	defer rows.Close()
	out := []Judgement{}
	for rows.Next() {
		var j Judgement
		if err := rows.Scan(&j.Kind, &j.Reason, &j.Who, &j.At); err != nil {
			return nil, fmt.Errorf("read verdicts: %w", err)
		}
		out = append(out, j)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read verdicts: %w", err)
	}
	return out, nil
}
