package alarm

import (
	"context"
	"fmt"

	"github.com/whosaw/whosaw"
)

// Status is how the alarms are.
type Status struct {
	Findings   int64           `json:"findings"`   // recorded
	Open       int64           `json:"open"`       // of these, judged by nobody and not suppressed
	Assigned   int64           `json:"assigned"`   // of the open ones, somebody has taken them
	Suppressed int64           `json:"suppressed"` // of these, told to nobody
	Channels   []ChannelStatus `json:"channels"`
}

// ChannelStatus is how one channel is.
type ChannelStatus struct {
	Name     string       `json:"name"`
	Kind     string       `json:"kind"`      // "" for one that is no longer configured and has messages left
	Sent     int64        `json:"sent"`      // told
	Pending  int64        `json:"pending"`   // not yet told
	Refused  int64        `json:"refused"`   // of these, refused by the other side
	Held     int64        `json:"held"`      // of these, held by quiet hours that are on now
	Oldest   *whosaw.Time `json:"oldest"`    // since when the oldest of the pending waits
	Quiet    bool         `json:"quiet"`     // quiet hours are on
	LastSent *whosaw.Time `json:"last_sent"` // when something was last told
	Error    string       `json:"error,omitempty"`
	FailedAt *whosaw.Time `json:"failed_at"` // when Error was met: the last failure of what is pending, or a remark of what was sent last
}

// Status counts what is recorded and told.
func (d *Dispatcher) Status(ctx context.Context) (Status, error) {
	s := Status{Channels: make([]ChannelStatus, len(d.workers))}
	err := d.db.Read().QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE state = 'open' AND suppressed_by IS NULL),
		count(suppressed_by), count(*) FILTER (WHERE state = 'open' AND suppressed_by IS NULL AND owner <> '') FROM finding`).
		Scan(&s.Findings, &s.Open, &s.Suppressed, &s.Assigned)
	if err != nil {
		return Status{}, fmt.Errorf("read status of alarms: %w", err)
	}
	index := map[string]int{}
	for i, w := range d.workers {
		index[w.channel.Name] = i
		s.Channels[i] = ChannelStatus{Name: w.channel.Name, Kind: w.channel.Kind, Quiet: w.quiet.at(d.now())}
	}
	rows, err := d.db.Read().QueryContext(ctx, `SELECT channel, count(*) FILTER (WHERE state = 'sent'), count(*) FILTER (WHERE state = 'pending'),
		count(*) FILTER (WHERE state = 'pending' AND refused), min(made) FILTER (WHERE state = 'pending'), max(sent)
		FROM (SELECT channel, state, refused, made, sent FROM delivery UNION ALL SELECT channel, state, refused, made, sent FROM note_delivery)
		GROUP BY channel ORDER BY channel`)
	if err != nil {
		return Status{}, fmt.Errorf("read status of alarms: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c ChannelStatus
		if err := rows.Scan(&c.Name, &c.Sent, &c.Pending, &c.Refused, &c.Oldest, &c.LastSent); err != nil {
			return Status{}, fmt.Errorf("read status of alarms: %w", err)
		}
		i, ok := index[c.Name]
		if !ok {
			if c.Pending > 0 {
				s.Channels = append(s.Channels, c)
			}
			continue
		}
		c.Kind, c.Quiet = s.Channels[i].Kind, s.Channels[i].Quiet
		s.Channels[i] = c
	}
	if err := rows.Err(); err != nil {
		return Status{}, fmt.Errorf("read status of alarms: %w", err)
	}
	for i := range s.Channels {
		if err := d.detail(ctx, &s.Channels[i]); err != nil {
			return Status{}, fmt.Errorf("read status of alarms: %w", err)
		}
	}
	return s, nil
}

// detail adds the last error and, in quiet hours, how many are held.
func (d *Dispatcher) detail(ctx context.Context, c *ChannelStatus) error {
	rows, err := d.db.Read().QueryContext(ctx, `SELECT error, tried FROM (SELECT channel, state, error, tried, sent FROM delivery UNION ALL
		SELECT channel, state, error, tried, sent FROM note_delivery) WHERE channel = ? AND tried IS NOT NULL AND (state = 'pending' OR sent = ?) ORDER BY tried DESC LIMIT 1`, c.Name, c.LastSent)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := rows.Scan(&c.Error, &c.FailedAt); err != nil {
			rows.Close()
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if c.Error == "" {
		c.FailedAt = nil
	}
	if !c.Quiet || c.Pending == 0 {
		return nil
	}
	for _, w := range d.workers {
		if w.channel.Name == c.Name {
			return d.held(ctx, w, c)
		}
	}
	return nil
}

func (d *Dispatcher) held(ctx context.Context, w *worker, c *ChannelStatus) error {
	rows, err := d.db.Read().QueryContext(ctx, `SELECT f.detector, json_extract(f.json, '$.subjects') FROM delivery d
		JOIN finding f ON f.id = d.finding WHERE d.channel = ? AND d.state = 'pending'`, c.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var detector string
		var subjects int64
		if err := rows.Scan(&detector, &subjects); err != nil {
			return err
		}
		if !w.quiet.passes(detector, subjects) {
			c.Held++
		}
	}
	return rows.Err()
}
