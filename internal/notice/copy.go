package notice

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// Rosters gives the names of the files in a directory of rosters.
func Rosters(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list rosters: %w", err)
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && filepath.Ext(e.Name()) == ".db" && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, e.Name())
		}
	}
	return out, nil
}

// CopyRoster writes a copy of a roster as it is now, while it is being written, to a new file.
func CopyRoster(ctx context.Context, from, to string) error {
	files, err := fs.Sub(rosterFiles, "roster")
	if err != nil {
		return fmt.Errorf("copy roster: %w", err)
	}
	db, err := sqlite.OpenWith(ctx, from, files)
	if err != nil {
		return err
	}
	return errors.Join(db.Backup(ctx, to), db.Close())
}

// whyRestored stands at a notice after its state came from a backup.
const whyRestored = "it was restored from a backup: who was sent this notice after the backup was made is not known here, and would get it twice; ask the relay's log before resume"

// AfterRestore keeps notices from going on by themselves when their state was put back from a backup. It gives how many they are.
func AfterRestore(ctx context.Context, db *sqlite.DB) (n int64, err error) {
	err = db.Write(ctx, func(tx *sql.Tx) error {
		// One that nobody had approved may have been approved and sent since: that is said until somebody sends it.
		if _, err := tx.ExecContext(ctx, "UPDATE notice SET why = ? WHERE state = ?", whyRestored, Made); err != nil {
			return fmt.Errorf("hold notices back: %w", err)
		}
		res, err := tx.ExecContext(ctx, "UPDATE notice SET state = ?, why = ? WHERE state IN (?, ?, ?, ?)", Paused, whyRestored, Approved, Sending, Paused, WaveOver)
		if err != nil {
			return fmt.Errorf("hold notices back: %w", err)
		}
		n, err = res.RowsAffected()
		return err
	})
	return n, err
}
