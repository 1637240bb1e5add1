package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/api"
	"github.com/whosaw/whosaw/internal/figure"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/server"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// backupFlags are those of backup and its kin.
type backupFlags struct {
	data, to      string
	verify        bool
	asJSON, quiet bool
}

func (m *Main) backupCommand() *cobra.Command {
	var f backupFlags
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy a data directory, live, and only what is new",
		Long: `Copies the ledger, the server's state, catalog.yaml, rules.yaml, whosaw.yaml and sources.json of a data directory, consistent as of one
sequence, while the server goes on. A second backup to the same directory copies only what is new; the one before stays whole until the new one
is, whenever this is broken off. Rejected lines are not copied: they may hold what nobody wanted to keep.

Where a server runs, it makes the backup: its account must be able to write the directory.`,
		Example: `  whosaw backup --data /var/lib/whosaw --to /mnt/backup/whosaw
  whosaw backup --data ./data --to /mnt/backup/whosaw --verify      and read all of it again
  whosaw backup verify /mnt/backup/whosaw
  whosaw restore --from /mnt/backup/whosaw --data ./data2`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error { return m.backup(cmd.Context(), &f) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", os.Getenv("WHOSAW_DATA"), "data directory (or WHOSAW_DATA)")
	flags.StringVar(&f.to, "to", "", "directory of the backup: empty, or with an earlier backup of this ledger")
	flags.BoolVar(&f.verify, "verify", false, "read all of the backup again at the end, not only what was copied")
	flags.BoolVar(&f.asJSON, "json", false, "the answer as one JSON document")
	flags.BoolVar(&f.quiet, "quiet", false, "no progress")
	cmd.AddCommand(m.backupVerifyCommand())
	return cmd
}

func (m *Main) backupVerifyCommand() *cobra.Command {
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Read all of a backup and compare it with its checksums",
		Example: `  whosaw backup verify /mnt/backup/whosaw
  whosaw backup verify /mnt/backup/whosaw --json`,
		Args: needOne("the directory of the backup"),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			p := m.newProgress(quiet)
			manifest, err := ledger.VerifyBackup(cmd.Context(), args[0], p.bytes("verifying"))
			p.clear()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(m.Stdout, manifest)
			}
			fmt.Fprintf(m.Stdout, "%s is whole: %s up to sequence %d, made %s\n", report.Safe(args[0]),
				figure.Of(int64(len(manifest.Files)), "file", "files"), manifest.Sequence, manifest.When.Format(time.RFC3339))
			return nil
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "the manifest as one JSON document")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "no progress")
	return cmd
}

func (m *Main) restoreCommand() *cobra.Command {
	var from, data string
	var asJSON, quiet bool
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make a data directory of a backup",
		Long: `Makes a data directory of a backup, into a directory that is empty or not there. Every byte is checked on the way. One that
is broken off leaves no ledger, and can be started again.

The files belong to the account that runs this: run it as the server's.`,
		Example: `  whosaw restore --from /mnt/backup/whosaw --data /var/lib/whosaw
  sudo -u whosaw whosaw restore --from /mnt/backup/whosaw --data /var/lib/whosaw`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if from == "" || data == "" {
				return usagef("name the backup with --from DIR and the data directory to be with --data DIR")
			}
			return m.restore(cmd.Context(), from, data, asJSON, quiet)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "directory of the backup")
	flags.StringVar(&data, "data", "", "data directory to be: empty, or not there")
	flags.BoolVar(&asJSON, "json", false, "the manifest as one JSON document")
	flags.BoolVar(&quiet, "quiet", false, "no progress")
	return cmd
}

func (m *Main) backup(ctx context.Context, f *backupFlags) error {
	if f.data == "" || f.to == "" {
		return usagef("name the data directory with --data DIR and that of the backup with --to DIR")
	}
	if err := needLedger(f.data, "name the data directory of a server or of investigate --data"); err != nil {
		return err
	}
	to, err := filepath.Abs(f.to)
	if err != nil {
		return fmt.Errorf("find %s: %w", f.to, err)
	}
	made, err := m.makeBackup(ctx, f, to)
	if err != nil {
		return err
	}
	if f.verify {
		p := m.newProgress(f.quiet)
		_, err := ledger.VerifyBackup(ctx, to, p.bytes("verifying"))
		p.clear()
		if err != nil {
			return err
		}
	}
	if f.asJSON {
		return writeJSON(m.Stdout, made)
	}
	verified := ""
	if f.verify {
		verified = ", read again and whole"
	}
	fmt.Fprintf(m.Stdout, "backed up to sequence %d in %s: %s of %s bytes, %s copied now%s\n", made.Manifest.Sequence, report.Safe(f.to),
		figure.Of(int64(len(made.Manifest.Files)), "file", "files"), figure.Int(made.Manifest.Bytes()), figure.Int(made.Copied), verified)
	return nil
}

// makeBackup has the running server make it, or takes the lock.
func (m *Main) makeBackup(ctx context.Context, f *backupFlags, to string) (made ledger.Backup, err error) {
	running, err := dial(ctx, f.data)
	if err != nil {
		return made, err
	}
	if running != nil {
		defer func() { err = errors.Join(err, running.close()) }()
		err = running.call(ctx, "POST", "/v1/local/backup", api.BackupSpec{To: to}, &made)
		return made, err
	}
	led, db, err := m.openToCopy(ctx, f.data, to)
	if err != nil {
		return made, err
	}
	defer func() {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
		err = errors.Join(err, led.Close())
	}()
	p := m.newProgress(f.quiet)
	defer p.clear()
	return server.Backup(ctx, server.BackupConfig{Ledger: led, DB: db, To: to, Version: version(), Now: m.Now, Progress: p.bytes("copying")})
}

// openToCopy opens what a backup reads and records that it is made. A directory that cannot be written can be backed
// up, and a warning says that this is not on record. db is nil where there is no state, or nobody can open it.
func (m *Main) openToCopy(ctx context.Context, dir, to string) (led *ledger.Ledger, db *sqlite.DB, err error) {
	led, err = ledger.Open(ledger.Config{Dir: dir})
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, ledger.ErrDiskFull) {
		if led, err = ledger.Open(ledger.Config{Dir: dir, ReadOnly: true}); err == nil {
			fmt.Fprintf(m.Stderr, "whosaw: %s cannot be written, so this backup is not on record there\n", report.Safe(dir))
		}
		return led, nil, err
	}
	if err != nil {
		return nil, nil, err
	}
	err = m.recordCopy(ctx, led, "backup", to)
	if errors.Is(err, ledger.ErrDiskFull) {
		fmt.Fprintf(m.Stderr, "whosaw: the disk of %s is full, so this backup is not on record there\n", report.Safe(dir))
		err = nil
	}
	state := filepath.Join(dir, server.StateName)
	if _, e := os.Stat(state); err == nil && e == nil {
		db, err = sqlite.Open(ctx, state)
	}
	if err != nil {
		return nil, nil, errors.Join(err, led.Close())
	}
	return led, db, nil
}

func (m *Main) restore(ctx context.Context, from, data string, asJSON, quiet bool) error {
	p := m.newProgress(quiet)
	manifest, err := ledger.Restore(ctx, ledger.RestoreConfig{From: from, To: data, Progress: p.bytes("restoring")})
	p.clear()
	if err != nil {
		return err
	}
	led, err := ledger.Open(ledger.Config{Dir: data})
	if err == nil {
		err = errors.Join(m.recordCopy(ctx, led, "restore", from), m.holdNotices(ctx, data), led.Close())
	}
	if err != nil {
		return fmt.Errorf("%s is restored, but that could not be recorded in it: %w", data, err)
	}
	if asJSON {
		return writeJSON(m.Stdout, manifest)
	}
	fmt.Fprintf(m.Stdout, "restored %s up to sequence %d, as it was at %s; this restore is on record as sequence %d\n", report.Safe(data),
		manifest.Sequence, manifest.When.Format(time.RFC3339), manifest.Sequence+1)
	return nil
}

// holdNotices keeps notices from being sent on by a state that may not know who had one already.
func (m *Main) holdNotices(ctx context.Context, dir string) error {
	path := filepath.Join(dir, server.StateName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	n, err := notice.AfterRestore(ctx, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	if n > 0 {
		fmt.Fprintf(m.Stderr, "whosaw: %s paused: whosaw notice list says why\n", figure.Of(n, "notice is", "notices are"))
	}
	return nil
}

// recordCopy appends that the whole ledger was copied: whoever has a backup has everything.
func (m *Main) recordCopy(ctx context.Context, led *ledger.Ledger, kind, place string) error {
	now := m.Now()
	who := "staff:" + operator()
	act := whosaw.Record{
		Type: whosaw.TypeAct, Time: now.UnixMilli(), Source: "operator", Position: now.UnixNano(),
		Principal: who, Ref: &whosaw.Reference{Kind: kind, Of: place, Person: who},
	}
	if _, err := led.Append(ctx, []whosaw.Record{act}); err != nil {
		return fmt.Errorf("record the %s: %w", kind, err)
	}
	return nil
}
