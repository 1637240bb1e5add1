package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// BackupConfig says where a backup goes and what is in it beside the ledger.
type BackupConfig struct {
	To     string // its directory: empty, not there, or with an earlier backup of this ledger
	Whosaw string // the version of whosaw
	When   time.Time
	Extra  []Extra // taken before the ledger's sequence is fixed: they know of nothing that it lacks
	// More gives files that those of Extra may name. It is asked when they are copied, so that none of them is missing.
	More     func() ([]Extra, error)
	Progress func(done, total int64) // if set, is told of bytes

	disk disk // nil: the operating system's
}

// Extra is a file that lies beside the ledger in the data directory.
type Extra struct {
	Name string // in the data directory, as state.db; it may be in directories, as incident/1/people
	// Write makes a copy that is consistent in itself at a path where nothing is.
	Write func(ctx context.Context, path string) error
}

// Backup is what was done.
type Backup struct {
	Manifest Manifest `json:"manifest"`
	Copied   int64    `json:"copied"` // bytes written for this one; the rest was there
}

// Backup copies the ledger as of one sequence while appends go on: all that was acknowledged before
// the call is in it. What an earlier backup in the same directory has is not copied again. That one
// stays whole until the new one is, whenever this process ends; then what only it needed is removed.
//
// A ledger that writes no more after a failure, or is opened read-only, can be backed up too. The
// ledger must not be closed before Backup returns.
func (l *Ledger) Backup(ctx context.Context, cfg BackupConfig) (Backup, error) {
	b := &backup{l: l, cfg: cfg, disk: cfg.disk}
	if b.disk == nil {
		b.disk = osDisk{l.cfg.Throwaway}
	}
	if err := b.run(ctx); err != nil {
		return Backup{}, fmt.Errorf("back up: %w", err)
	}
	return b.made, nil
}

// backup is one run.
type backup struct {
	l    *Ledger
	cfg  BackupConfig
	disk disk

	before  *Manifest // what is in the directory; nil: nothing
	made    Backup
	planned int64 // bytes to copy
	copied  int64
}

// maxPieces is how many pieces of one log a backup has before the log is copied anew in one.
const maxPieces = 100

func (b *backup) run(ctx context.Context) error {
	if err := b.checkPlace(); err != nil {
		return err
	}
	if err := b.directories(); err != nil {
		return err
	}
	held, err := lock(b.cfg.To, false)
	if err != nil {
		return lockedBackup(b.cfg.To, err)
	}
	defer unlock(held, true) // nothing is lost if the process id stays there
	if err := b.findBefore(); err != nil {
		return err
	}
	if b.before != nil {
		now, err := b.l.sources(ctx)
		if err != nil {
			return err
		}
		err = b.belongs(ctx, now)
		now.close()
		if err != nil {
			return err
		}
	}
	if err := b.removeUnfinished(); err != nil {
		return err
	}
	extras, err := b.extras(ctx)
	if err != nil {
		return err
	}
	now, err := b.l.sources(ctx)
	if err != nil {
		return err
	}
	defer now.close()
	files, err := b.parts(ctx, now)
	if err != nil {
		return err
	}
	holds, err := b.holds()
	if err != nil {
		return err
	}
	extras = append(holds, extras...)
	m := Manifest{
		Format: manifestFormat, Version: manifestVersion, Whosaw: b.cfg.Whosaw, When: b.cfg.When.UTC().Truncate(time.Second),
		Sequence: now.last(), Files: append(files, extras...),
	}
	text, err := m.encode()
	if err != nil {
		return err
	}
	if err := m.check(); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, err = b.place(manifestName, func(w *fileWriter) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	b.made = Backup{Manifest: m, Copied: b.copied}
	if err := b.removeUnneeded(&m); err != nil {
		return fmt.Errorf("the backup is complete up to sequence %d, but files of earlier ones could not be removed: %w", m.Sequence, err)
	}
	return nil
}

// checkPlace refuses directories that a backup cannot go to, before anything is made.
func (b *backup) checkPlace() error {
	if b.cfg.To == "" {
		return errors.New("no directory is named for the backup: name one with --to")
	}
	if err := checkExtras(b.cfg.Extra); err != nil {
		return err
	}
	to, err := realPath(b.cfg.To)
	if err != nil {
		return err
	}
	dir, err := realPath(b.l.cfg.Dir)
	if err != nil {
		return err
	}
	if within(to, dir) {
		return fmt.Errorf("%s is in the data directory: name a directory elsewhere with --to, best on another disk", b.cfg.To)
	}
	entries, err := os.ReadDir(b.cfg.To)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look into %s: %w%s", b.cfg.To, err, backupCure(err))
	}
	for _, e := range entries {
		switch e.Name() {
		case backupParts, backupOther, manifestName, manifestName + tempSuffix, lockName, "lost+found":
		default:
			return fmt.Errorf("%s holds %s, which is no part of a backup: name an empty directory with --to", b.cfg.To, e.Name())
		}
	}
	return nil
}

func checkExtras(list []Extra) error {
	for i, e := range list {
		if !extraName(e.Name) || slices.ContainsFunc(list[:i], func(o Extra) bool { return o.Name == e.Name }) {
			return fmt.Errorf("%q cannot be a file beside the ledger: give it a plain name, once", e.Name)
		}
	}
	return nil
}

// realPath is the absolute path without links; what does not exist yet has none.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", path, err)
	}
	for rest := ""; ; {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return "", fmt.Errorf("find %s: %w%s", path, err, cure(err))
		}
		path, rest = filepath.Dir(path), filepath.Join(filepath.Base(path), rest)
	}
}

// within says whether a path is a directory or in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func (b *backup) directories() error {
	for _, dir := range []string{b.cfg.To, b.in(backupParts), b.in(backupOther)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make backup directory: %w%s", err, backupCure(err))
		}
	}
	for _, dir := range []string{b.cfg.To, filepath.Dir(filepath.Clean(b.cfg.To))} {
		if err := b.disk.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("sync backup directory: %w%s", err, backupCure(err))
		}
	}
	return nil
}

func (b *backup) in(name string) string { return filepath.Join(b.cfg.To, name) }

func lockedBackup(dir string, err error) error {
	var held *HeldError
	if errors.As(err, &held) {
		return fmt.Errorf("the backup in %s is being written or read by another whosaw: wait until that ends", dir)
	}
	return err
}

// findBefore reads the manifest that is there.
func (b *backup) findBefore() error {
	m, err := ReadManifest(b.cfg.To)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		b.before = &m
	}
	return nil
}

// place makes a file of the backup. It is there under its name in whole or not at all.
func (b *backup) place(path string, write func(*fileWriter) error) (sum string, err error) {
	name := b.in(path)
	var own error
	f, err := placeFile(b.disk, name, func(f file) error {
		w := newFileWriter(f)
		w.cure = backupCure
		w.done = b.progress
		own = write(w)
		sum = w.sum()
		return own
	})
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		_ = b.disk.Remove(name + tempSuffix) // what stays the next backup removes
		if own == nil {
			err = fmt.Errorf("write %s: %w%s", name, err, backupCure(err))
		}
		return "", err
	}
	return sum, nil
}

func (b *backup) progress(n int64) {
	b.copied += n
	if b.cfg.Progress != nil {
		b.cfg.Progress(b.copied, max(b.copied, b.planned))
	}
}

// backupCure says what a person can do about a failed operation on the backup's directory.
func backupCure(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "; free some space there, or name another directory with --to: the backup that was there before is whole"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return "; make the directory writable for this user, or name another with --to"
	case errors.Is(err, syscall.ENOTDIR):
		return "; that is a file: name a directory with --to"
	case errors.Is(err, syscall.EIO):
		return "; the disk of the backup reports a fault: name a directory on another with --to"
	}
	return ""
}

// removeUnfinished removes what a backup was making when it ended.
func (b *backup) removeUnfinished() error {
	return b.remove(func(path string) bool { return strings.HasSuffix(path, tempSuffix) })
}

// removeUnneeded removes what only earlier backups needed. The manifest that does not name it is durable.
func (b *backup) removeUnneeded(m *Manifest) error {
	needed := map[string]bool{}
	for i := range m.Files {
		needed[m.Files[i].Path] = true
	}
	return b.remove(func(path string) bool { return !needed[path] })
}

// remove removes files of backups, and nothing else, where which says so.
func (b *backup) remove(which func(path string) bool) error {
	for _, dir := range []string{"", backupParts, backupOther} {
		entries, err := os.ReadDir(b.in(dir))
		if err != nil {
			return fmt.Errorf("look into backup: %w%s", err, backupCure(err))
		}
		removed := false
		for _, e := range entries {
			name := strings.TrimSuffix(e.Name(), tempSuffix)
			switch dir {
			case "":
				if e.Name() != manifestName+tempSuffix {
					continue
				}
			case backupParts:
				if !partPattern.MatchString(name) {
					continue
				}
			default:
				if !otherPattern.MatchString(name) && !strings.Contains(e.Name(), tempSuffix) {
					continue
				}
			}
			path := filepath.ToSlash(filepath.Join(dir, e.Name()))
			if !e.Type().IsRegular() || !which(path) {
				continue
			}
			if err := b.disk.Remove(b.in(path)); err != nil {
				return fmt.Errorf("remove from backup: %w%s", err, backupCure(err))
			}
			removed = true
		}
		if removed {
			if err := b.disk.SyncDir(b.in(dir)); err != nil {
				return fmt.Errorf("sync backup directory: %w%s", err, backupCure(err))
			}
		}
	}
	return nil
}
