package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/whosaw/whosaw/internal/store/sqlite"
)

func open(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func suppress(ctx context.Context, db *sqlite.DB, reason string) error {
	return db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO suppression (detector, unit, realm, reason, who, since, until) VALUES ('canary', '', NULL, ?, 'kim', 1, 2)`, reason)
		return err
	})
}

func count(t *testing.T, db *sqlite.DB) int {
	t.Helper()
	var n int
	if err := db.Read().QueryRowContext(t.Context(), `SELECT count(*) FROM suppression`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A name with what a URL would take for its own must still be the name of a file.
func TestOpenWriteReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%20é&_query_only=1.db")
	db := open(t, path)
	if err := suppress(t.Context(), db, "one"); err != nil {
		t.Fatal(err)
	}
	if n := count(t, db); n != 1 {
		t.Fatalf("%d rows, want 1", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, path)); n != 1 {
		t.Fatalf("%d rows after reopening, want 1", n)
	}
}

func TestModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil { // as a careless copy would leave it
		t.Fatal(err)
	}
	db := open(t, path)
	if err := suppress(t.Context(), db, "one"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("state.db%s has mode %v, want 0600", suffix, info.Mode().Perm())
		}
	}
}

func TestSettings(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "state.db"))
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
			var got string
			if err := tx.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil {
				return err
			}
			if got != want {
				t.Errorf("%s is %s, want %s", pragma, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Read().ExecContext(t.Context(), `DELETE FROM suppression`); err == nil {
		t.Error("a reader could write")
	}
}

func TestWriteIsAllOrNothing(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "state.db"))
	add := func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO suppression (detector, unit, realm, reason, who, since, until) VALUES ('', 'key:k', NULL, 'r', 'w', 1, 2)`)
		return err
	}
	own := errors.New("own")
	if err := db.Write(t.Context(), func(tx *sql.Tx) error { return errors.Join(add(tx), own) }); !errors.Is(err, own) {
		t.Fatalf("got %v, want the error of the function", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		db.Write(t.Context(), func(tx *sql.Tx) error {
			if err := add(tx); err != nil {
				t.Error(err)
			}
			panic("boom")
		})
	}()
	ctx, cancel := context.WithCancel(t.Context())
	if err := db.Write(ctx, func(tx *sql.Tx) error { defer cancel(); return add(tx) }); err == nil {
		t.Error("a write whose context ended was committed")
	}
	if n := count(t, db); n != 0 {
		t.Fatalf("%d rows, want 0", n)
	}
	// A broken rule is the caller's error, not a fault of the file.
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO delivery (finding, channel, number, made, due) VALUES ('nobody', 'c', 1, 1, 1)`)
		return err
	})
	if err == nil {
		t.Fatal("a foreign key was not held")
	}
	if err := db.Write(t.Context(), add); err != nil {
		t.Fatalf("writing after a broken rule: %v", err)
	}
}

func TestManyWriters(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "state.db"))
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for i := range 25 {
				if err := suppress(t.Context(), db, fmt.Sprint(w, i)); err != nil {
					t.Error(err)
				}
				var n int
				if err := db.Read().QueryRowContext(t.Context(), `SELECT count(*) FROM suppression`).Scan(&n); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := count(t, db); n != 200 {
		t.Fatalf("%d rows, want 200", n)
	}
}

func TestBackup(t *testing.T) {
	dir := t.TempDir()
	db := open(t, filepath.Join(dir, "state.db"))
	if err := suppress(t.Context(), db, "one"); err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "copy's.db")
	// A writer in the middle of its work is not waited for, and what it has not committed is not copied.
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		if _, err := tx.Exec(`INSERT INTO suppression (detector, unit, realm, reason, who, since, until) VALUES ('', 'key:k', NULL, 'r', 'w', 1, 2)`); err != nil {
			return err
		}
		return db.Backup(t.Context(), copied)
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(copied)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %v", info.Mode().Perm())
	}
	if n := count(t, open(t, copied)); n != 1 {
		t.Errorf("the copy has %d rows, want 1", n)
	}
	if err := db.Backup(t.Context(), copied); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a backup over a file gave %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Backup(ctx, filepath.Join(dir, "none.db")); err == nil {
		t.Error("a cancelled backup succeeded")
	}
	if _, err := os.Stat(filepath.Join(dir, "none.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a cancelled backup left a file")
	}
}

// wantCure opens the file and asks for an error with its name and a cure.
func wantCure(t *testing.T, path, cure string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path)
	if err == nil {
		db.Close()
		t.Fatal("opened")
	}
	var e *sqlite.Error
	if !errors.As(err, &e) || e.Path != path {
		t.Fatalf("%v does not name the file", err)
	}
	if !strings.Contains(err.Error(), cure) {
		t.Errorf("%v\ndoes not say %q", err, cure)
	}
}

func TestDamageIsRefusedAndKept(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	db := open(t, path)
	for range 20 { // some pages
		if err := suppress(t.Context(), db, strings.Repeat("x", 3000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"no database": func(b []byte) []byte { return []byte(strings.Repeat("not a database ", 1000)) },
		"cut":         func(b []byte) []byte { return b[:len(b)/2/4096*4096] },
		"overwritten": func(b []byte) []byte { clear(b[4096 : 4096+2000]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			broken := damage(append([]byte(nil), whole...))
			if err := os.WriteFile(path, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			wantCure(t, path, "restore it from a backup")
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(after) != string(broken) {
				t.Error("the damaged file was changed")
			}
		})
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := open(t, path)
	err := db.Write(t.Context(), func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (7777, 1)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wantCure(t, path, "schema 7777); start that version or a later one")
}

func TestCures(t *testing.T) {
	dir := t.TempDir()
	wantCure(t, filepath.Join(dir, "missing", "state.db"), "make the directory first")
	wantCure(t, dir, "name a data directory")
}
