package console

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
)

// Handles stand in addresses for what must not: filters, which may name customers, and customers.

const (
	// handleLife is how long a handle lasts that nobody uses and no version holds.
	handleLife = 90 * 24 * time.Hour
	dayMS      = 24 * 3_600_000
)

// subjectRef is the customer behind a handle. No realm: in whichever the id stands.
type subjectRef struct {
	Subject string  `json:"subject"`
	Realm   *string `json:"realm,omitempty"`
}

var errGone = api.NotFound("there is nothing under this address any more, or there never was")

// handleFor gives the handle of a thing, the same one each time.
func (c *Console) handleFor(ctx context.Context, kind string, v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode what a handle stands for: %w", err)
	}
	now := c.cfg.Now().UnixMilli()
	id := rand.Text()[:16]
	err = c.cfg.State.Write(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM console_handle WHERE used < ? AND id NOT IN (SELECT handle FROM console_version)`, now-handleLife.Milliseconds()); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO console_handle (id, kind, text, made, used) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (kind, text) DO UPDATE SET used = excluded.used RETURNING id`, id, kind, string(text), now, now).Scan(&id)
	})
	if err != nil {
		return "", fmt.Errorf("keep a handle: %w", err)
	}
	return id, nil
}

// behind reads what a handle stands for.
func (c *Console) behind(ctx context.Context, kind, id string, into any) error {
	var text []byte
	var used int64
	err := c.cfg.State.Read().QueryRowContext(ctx, `SELECT text, used FROM console_handle WHERE id = ? AND kind = ?`, id, kind).Scan(&text, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("look for a handle: %w", err)
	}
	if now := c.cfg.Now().UnixMilli(); now-used > dayMS {
		err := c.cfg.State.Write(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE console_handle SET used = ? WHERE id = ?`, now, id)
			return err
		})
		if err != nil {
			return fmt.Errorf("keep a handle: %w", err)
		}
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("read what a handle stands for: %w", err)
	}
	return nil
}

// filterHandle gives the handle of a filter.
func (c *Console) filterHandle(ctx context.Context, f whosaw.Filter) (string, error) {
	if len(f) == 0 {
		f = whosaw.Filter{{}}
	}
	return c.handleFor(ctx, "filter", f)
}

func (c *Console) filterBehind(ctx context.Context, id string) (whosaw.Filter, error) {
	var f whosaw.Filter
	if err := c.behind(ctx, "filter", id, &f); err != nil {
		return nil, err
	}
	if err := f.Validate(); err != nil {
		return nil, fmt.Errorf("the filter behind a handle: %w", err)
	}
	return f, nil
}

// subjectHandle gives the handle of a customer.
func (c *Console) subjectHandle(ctx context.Context, s subjectRef) (string, error) {
	return c.handleFor(ctx, "subject", s)
}
