package notice

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/whosaw/whosaw/internal/incident"
)

// RosterRemoval is who was told by a notice, as retention is about it, or why it stays.
type RosterRemoval struct {
	Notice   int64  `json:"notice"`
	Incident int64  `json:"incident"`
	People   int64  `json:"people"`
	Bytes    int64  `json:"bytes"`
	Ended    string `json:"ended,omitempty"` // the day
	// Kept says why it stays; "": it is removed.
	Kept string `json:"kept,omitempty"`
}

// leftOver is what stays of a roster: counts, no person.
type leftOver struct {
	People     int64            `json:"people"`
	Books      int64            `json:"books"`
	MaskedOnly int64            `json:"masked_only"`
	MaskedTold bool             `json:"masked_told"`
	Outcomes   map[string]int64 `json:"outcomes"`
}

// Retain removes who was told by notices that ended long enough ago: before a time, and longer ago than the configuration keeps it, since who was told is
// evidence. Without apply it only says which. While the incident is open and while any legal hold is in force nothing goes: holds are their numbers. The notice
// stays, with its outcomes counted, its words and who approved them.
func (b *Book) Retain(ctx context.Context, who string, before time.Time, holds []uint64, apply bool) ([]RosterRemoval, error) {
	numbers, err := b.numbers(ctx)
	if err != nil {
		return nil, err
	}
	if kept := b.cfg.Now().AddDate(0, 0, -b.cfg.Config.KeepDays); kept.Before(before) {
		before = kept
	}
	out := []RosterRemoval{}
	for _, number := range numbers {
		r, err := b.retain(ctx, number, who, before, holds, apply)
		if err != nil {
			return out, fmt.Errorf("notice %d: %w", number, err)
		}
		if r != nil {
			out = append(out, *r)
		}
	}
	return out, nil
}

// retain looks at one notice. nil: it was removed before.
func (b *Book) retain(ctx context.Context, number int64, who string, before time.Time, holds []uint64, apply bool) (*RosterRemoval, error) {
	l := b.lock(number)
	l.Lock()
	defer l.Unlock()
	n, err := b.read(ctx, number)
	if err != nil {
		return nil, err
	}
	if n.Purged != nil {
		return nil, b.unlink(number) // a crash may have come between the record and the removal
	}
	if n, err = b.Notice(ctx, number); err != nil {
		return nil, err
	}
	in, err := b.cfg.Incidents.Incident(ctx, n.Incident)
	if err != nil {
		return nil, err
	}
	ended := endOf(in, n)
	r := &RosterRemoval{Notice: number, Incident: n.Incident, People: n.People, Kept: n.keeps(in, ended, before, holds)}
	if !ended.IsZero() {
		r.Ended = ended.UTC().Format(time.DateOnly)
	}
	b.mu.Lock()
	if b.runs[number] != nil {
		r.Kept = "it is being sent"
	}
	b.mu.Unlock()
	if info, err := os.Stat(b.path(number)); err == nil {
		r.Bytes = info.Size()
	}
	if r.Kept != "" || !apply {
		return r, nil
	}
	left, err := json.Marshal(leftOver{n.People, n.Books, n.MaskedOnly, n.MaskedTold, n.Outcomes})
	if err != nil {
		return nil, fmt.Errorf("remove roster: %w", err)
	}
	// On record first: what is on record as removed is removed again if a crash comes between.
	note := "retention: the notice ended at " + r.Ended + ", and it is no longer kept who was told"
	err = b.set(ctx, n, who, DeedPurged, note, n.People, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE notice SET purged = ?, left_over = ? WHERE number = ?", b.cfg.Now().UnixMilli(), string(left), number)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, b.unlink(number)
}

// endOf is when a notice came to its end, zero: it has not.
func endOf(in *incident.Incident, n *Notice) time.Time {
	if n.State != Done && n.State != Stopped {
		return time.Time{}
	}
	for i := range slices.Backward(in.Timeline) {
		if e := &in.Timeline[i]; e.Kind == incident.Noticed && e.Notice == n.Number && (e.Title == DeedDone || e.Title == DeedStopped) {
			return e.At
		}
	}
	return time.Time{}
}

// keeps says why it is kept who was told; "": it may go.
func (n *Notice) keeps(in *incident.Incident, ended, before time.Time, holds []uint64) string {
	switch {
	case ended.IsZero():
		return "it has not ended"
	case in.State != incident.StateClosed:
		return "the incident is not closed"
	case len(holds) > 0:
		return fmt.Sprintf("legal hold %d keeps it", holds[0])
	case !ended.Before(before):
		return "it ended at " + ended.UTC().Format(time.DateOnly) + ", and who was told is evidence (notice.keep_days)"
	}
	return ""
}

// unlink removes the file of a notice, if it is there.
func (b *Book) unlink(number int64) error {
	b.mu.Lock()
	r := b.rosters[number]
	delete(b.rosters, number)
	b.mu.Unlock()
	if r != nil {
		if err := r.close(); err != nil {
			return fmt.Errorf("remove roster: %w", err)
		}
	}
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Remove(b.path(number) + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove roster: %w", err)
		}
	}
	return nil
}

// purgedFault is what somebody is told who asks for people that were removed.
func (n *Notice) purgedFault() error {
	return refuse("who was told by notice %d was removed by retention on %s; its counts and words are left", n.Number, n.Purged.Format(time.DateOnly))
}
