package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"
)

//go:embed migrations/*.sql
var files embed.FS

// readers is how many may read at once: questions to this file are short.
const readers = 4

// DB is an open state file. Its methods may be called at once from many goroutines.
type DB struct {
	path   string
	writer *sql.DB // one connection: SQLite takes one writer, and waiting in the pool is fairer than its busy loop
	reader *sql.DB
	failed atomic.Pointer[Error]
}

// Open opens the file, makes it if it is not there, and brings its schema up to date.
func Open(ctx context.Context, path string) (*DB, error) {
	migrations, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	return open(ctx, path, migrations)
}

// OpenWith opens a file beside the state file that has a schema of its own, kept to the same promises.
func OpenWith(ctx context.Context, path string, migrations fs.FS) (*DB, error) {
	return open(ctx, path, migrations)
}

func open(ctx context.Context, path string, migrations fs.FS) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	if err := create(path); err != nil {
		return nil, fault("open", path, err)
	}
	db := &DB{path: path}
	if db.writer, err = connect(path, 1, "_txlock=immediate"); err != nil {
		return nil, fault("open", path, err)
	}
	if db.reader, err = connect(path, readers, "_query_only=1"); err != nil {
		return nil, errors.Join(fault("open", path, err), db.Close())
	}
	if err := db.ready(ctx, migrations); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// create makes the file, so that SQLite does not make it with the mode of the process: what SQLite puts beside a file gets that
// file's mode.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a file")
	}
	if info.Mode().Perm() != 0o600 {
		if err := f.Chmod(0o600); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// connect gives a pool. The settings are those of each connection, so they are in its name.
func connect(path string, most int, more string) (*sql.DB, error) {
	name := "file://" + (&url.URL{Path: path}).EscapedPath() +
		"?_busy_timeout=10000&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&_dqs=0&_defensive=1&_error_rc=1&" + more
	c, err := driver.NewConnector(name)
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(c)
	pool.SetMaxOpenConns(most)
	pool.SetMaxIdleConns(most)
	return pool, nil
}

// ready checks the file and brings its schema up to date.
func (db *DB) ready(ctx context.Context, migrations fs.FS) error {
	var says string
	if err := db.writer.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&says); err != nil {
		return fault("check", db.path, err)
	}
	if says != "ok" {
		return &Error{Doing: "check", Path: db.path, Err: errDamaged, Cure: cureDamaged}
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db.writer, migrations,
		goose.WithDisableGlobalRegistry(true), // only the files here
		goose.WithAllowOutofOrder(true),       // each owner counts in a range of its own
		goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if err := db.known(ctx, p.ListSources()); err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fault("bring up to date", db.path, err)
	}
	return nil
}

// known refuses a schema with a migration that this binary does not have: it may mean what this binary would get wrong.
func (db *DB) known(ctx context.Context, sources []*goose.Source) error {
	var n int
	err := db.writer.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'goose_db_version'").Scan(&n)
	if err != nil {
		return fault("check", db.path, err)
	}
	if n == 0 {
		return nil
	}
	have := map[int64]bool{0: true}
	for _, s := range sources {
		have[s.Version] = true
	}
	rows, err := db.writer.QueryContext(ctx, "SELECT version_id FROM goose_db_version WHERE is_applied = 1 ORDER BY version_id")
	if err != nil {
		return fault("check", db.path, err)
	}
	defer rows.Close()
	for rows.Next() {
		var v int64
		if err := rows.Scan(&v); err != nil {
			return fault("check", db.path, err)
		}
		if !have[v] {
			return &Error{Doing: "open", Path: db.path, Err: fmt.Errorf("it was written by a newer whosaw (schema %d)", v),
				Cure: "start that version or a later one, or restore the backup that was made before the change of version"}
		}
	}
	if err := rows.Err(); err != nil {
		return fault("check", db.path, err)
	}
	return nil
}

// Write runs do in a transaction and returns once it is on disk. If do gives an error, panics, or the context ends before
// the commit, nothing is written. What do does must go through tx: there is one writer, which is this one.
func (db *DB) Write(ctx context.Context, do func(tx *sql.Tx) error) error {
	if err := db.failed.Load(); err != nil {
		return err
	}
	tx, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return db.fail(err)
	}
	defer tx.Rollback() // after a commit it does nothing
	if err := do(tx); err != nil {
		return db.fail(err)
	}
	if err := tx.Commit(); err != nil {
		return db.fail(err)
	}
	return nil
}

// fail adds the cure to an error of SQLite and leaves others as they are.
func (db *DB) fail(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	out := fault("write", db.path, err)
	if lasting(e.Code()) {
		stopped := &Error{Doing: "write", Path: db.path, Err: fmt.Errorf("writing stopped after a fault: %w", err), Cure: cureFor(err)}
		db.failed.CompareAndSwap(nil, stopped)
	}
	return out
}

// Read gives the connections for questions. They cannot write.
func (db *DB) Read() *sql.DB { return db.reader }

// Path is the file, absolute.
func (db *DB) Path() string { return db.path }

// Backup writes a copy of the last committed state to a new file, while others read and write. It returns once the
// copy is on disk; after an error there is no file.
func (db *DB) Backup(ctx context.Context, path string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("back up state: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	defer func() { err = errors.Join(err, f.Close()) }()
	// A connection of its own: those of readers may not write, not even another file.
	pool, err := connect(db.path, 1, "_txlock=deferred")
	if err != nil {
		return fault("back up", db.path, err)
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	if _, err := pool.ExecContext(ctx, "VACUUM INTO ?", path); err != nil {
		return fault("back up", db.path, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("back up state: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("back up state: %w", err)
	}
	return nil
}

// Close ends the use of the file. Everything written is on disk before.
func (db *DB) Close() error {
	var err error
	if db.reader != nil {
		err = db.reader.Close()
	}
	if db.writer != nil {
		err = errors.Join(err, db.writer.Close()) // the last connection, so it folds the write-ahead log into the file
	}
	if err != nil {
		return fault("close", db.path, err)
	}
	return nil
}
