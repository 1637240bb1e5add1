package follow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/whosaw/whosaw/internal/store/sqlite"
)

const (
	// forgetAfter is how long a generation is remembered of which no file is left.
	forgetAfter = 30 * 24 * time.Hour
	// mostGenerations bounds what is remembered of a log, whatever its rotation does.
	mostGenerations = 2000
)

// store keeps positions in the server's state file.
type store struct{ db *sqlite.DB }

// load brings what is known of a log.
func (s *store) load(ctx context.Context, l *log) error {
	err := s.db.Read().QueryRowContext(ctx, "SELECT began FROM follow_log WHERE source = ?", l.source).Scan(&l.began)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load positions of %s: %w", l.source, err)
	}
	rows, err := s.db.Read().QueryContext(ctx, `SELECT id, path, device, inode, start, offset, lines, head_length, head, tail_length, tail, final, seen
		FROM follow_generation WHERE source = ? ORDER BY id`, l.source)
	if err != nil {
		return fmt.Errorf("load positions of %s: %w", l.source, err)
	}
	defer rows.Close()
	var gens []*generation
	for rows.Next() {
		g := &generation{saved: true}
		var head, tail []byte
		var device, inode int64
		err := rows.Scan(&g.id, &g.path, &device, &inode, &g.start, &g.offset, &g.lines, &g.head.length, &head, &g.tail.length, &tail, &g.final, &g.seen)
		if err != nil {
			return fmt.Errorf("load positions of %s: %w", l.source, err)
		}
		if copy(g.head.sum[:], head) != len(g.head.sum) || copy(g.tail.sum[:], tail) != len(g.tail.sum) {
			return fmt.Errorf("load positions of %s: generation %d has a hash of another length; restore state.db from a backup", l.source, g.id)
		}
		g.device, g.inode = uint64(device), uint64(inode)
		gens = append(gens, g)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("load positions of %s: %w", l.source, err)
	}
	l.looked, l.stored, l.gens = true, true, gens
	return nil
}

// begin notes that a log is followed from now on.
func (s *store) begin(ctx context.Context, l *log) error {
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO follow_log (source, began, path, since) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
			l.source, l.began, l.live, l.clock().UnixMilli())
		return err
	})
	if err != nil {
		return fmt.Errorf("store where %s begins: %w", l.source, err)
	}
	return nil
}

// save stores the positions that changed, of several logs at once.
func (s *store) save(ctx context.Context, logs []*log) error {
	if !slices.ContainsFunc(logs, (*log).unsaved) {
		return nil
	}
	var saved []*generation
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		put, err := tx.PrepareContext(ctx, `INSERT INTO follow_generation
			(source, id, path, device, inode, start, offset, lines, head_length, head, tail_length, tail, final, seen)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (source, id) DO UPDATE SET path = excluded.path, device = excluded.device, inode = excluded.inode,
			start = excluded.start, offset = excluded.offset, lines = excluded.lines, head_length = excluded.head_length, head = excluded.head,
			tail_length = excluded.tail_length, tail = excluded.tail, final = excluded.final, seen = excluded.seen`)
		if err != nil {
			return err
		}
		defer put.Close()
		for _, l := range logs {
			if !l.stored {
				continue
			}
			for _, g := range l.gens {
				if !g.dirty {
					continue
				}
				_, err := put.ExecContext(ctx, l.source, g.id, g.path, int64(g.device), int64(g.inode), g.start, g.offset, g.lines,
					g.head.length, g.head.sum[:], g.tail.length, g.tail.sum[:], g.final, g.seen)
				if err != nil {
					return err
				}
				saved = append(saved, g)
			}
			for _, g := range l.forgotten() {
				if _, err := tx.ExecContext(ctx, "DELETE FROM follow_generation WHERE source = ? AND id = ?", l.source, g.id); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store positions: %w", err)
	}
	for _, g := range saved {
		g.dirty, g.saved = false, true
	}
	for _, l := range logs {
		gone := l.forgotten()
		l.gens = slices.DeleteFunc(l.gens, func(g *generation) bool { return slices.Contains(gone, g) })
	}
	return nil
}

func (l *log) unsaved() bool {
	return l.stored && slices.ContainsFunc(l.gens, func(g *generation) bool { return g.dirty })
}

// forgotten gives the generations that need not be remembered: no file holds them, and none has for long. The number of the
// youngest is kept, so that none is used twice.
func (l *log) forgotten() []*generation {
	held := map[*generation]bool{}
	for _, f := range l.files {
		held[f.gen] = true
	}
	before := l.clock().Add(-forgetAfter).UnixMilli()
	var out []*generation
	for i, g := range l.gens {
		if i < len(l.gens)-1 && !held[g] && (g.seen < before || len(l.gens)-len(out) > mostGenerations) {
			out = append(out, g)
		}
	}
	return out
}
