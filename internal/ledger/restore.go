package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// VerifyBackup reads all of a backup and compares it with its manifest and with the checksums that the
// ledger's own files hold. The error joins one for each file that is not as it was written.
func VerifyBackup(ctx context.Context, dir string, progress func(done, total int64)) (Manifest, error) {
	m, err := openBackup(dir, func(m *Manifest) error {
		var bad []error
		done, total := int64(0), m.Bytes()
		for i := range m.Files {
			w := newFileWriter(nil)
			w.done = func(n int64) {
				if done += n; progress != nil {
					progress(done, total)
				}
			}
			err := m.Files[i].read(ctx, dir, w)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				bad = append(bad, err)
			}
		}
		return errors.Join(bad...)
	})
	if err != nil {
		return Manifest{}, fmt.Errorf("verify backup: %w", err)
	}
	return m, nil
}

// openBackup calls fn with the manifest of a backup that nobody writes meanwhile.
func openBackup(dir string, fn func(*Manifest) error) (Manifest, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return Manifest{}, fmt.Errorf("there is no backup in %s: name the directory that was given to whosaw backup --to", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, manifestName)); errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, fmt.Errorf("there is no finished backup in %s: it has no %s", dir, manifestName)
	}
	held, err := lock(dir, true)
	if err != nil {
		return Manifest{}, lockedBackup(dir, err)
	}
	defer unlock(held, false) // nothing was written
	m, err := ReadManifest(dir)
	if err != nil {
		return Manifest{}, err
	}
	return m, fn(&m)
}

// read reads all of a file of a backup, checks it in every way there is, and writes it to w.
func (f *BackupFile) read(ctx context.Context, dir string, w *fileWriter) error {
	if err := f.checkPlain(dir); err != nil {
		return err
	}
	name := filepath.Join(dir, f.Path)
	var err error
	switch {
	case f.segment():
		err = f.readSegment(ctx, name, w)
	case f.piece():
		err = f.readPiece(ctx, name, w)
	case f.gone():
		if _, err = readTombstone(filepath.Dir(name), f.First); err == nil {
			err = copyPlain(ctx, name, w)
		}
	case f.holds():
		if _, err = readHolds(name); err == nil {
			err = copyPlain(ctx, name, w)
		}
	default:
		err = copyPlain(ctx, name, w)
	}
	var damage *DamageError
	switch {
	case errors.As(err, &damage):
		return &BackupError{name, fmt.Sprintf("at byte %d: %s", damage.Offset, damage.What)}
	case err != nil:
		return err
	case w.sum() != f.SHA256:
		return &BackupError{name, "it is not as it was written: its SHA-256 is another than the manifest's"}
	}
	return nil
}

func (f *BackupFile) readSegment(ctx context.Context, name string, w io.Writer) error {
	s, err := openSegment(name)
	if err != nil {
		return err
	}
	if s.first != f.First || s.last() != f.Last {
		return s.damage(s.size-segmentTail, "it holds other sequences than the manifest says")
	}
	return copySegment(ctx, s, w)
}

func (f *BackupFile) readPiece(ctx context.Context, name string, w io.Writer) error {
	r, err := openPiece(name, f)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := copyFrames(ctx, r, w); err != nil {
		return err
	}
	if r.next != f.Last+1 || f.Offset == 0 && r.first != f.First {
		return r.damage(r.pos, "it holds other sequences than the manifest says")
	}
	return nil
}

// RestoreConfig says which backup goes where.
type RestoreConfig struct {
	From     string // the directory of a backup
	To       string // the data directory to be: empty, or not there
	Progress func(done, total int64)

	disk disk // nil: the operating system's
}

// restoringName is where a restore works. While it is there, the data directory is unfinished.
const restoringName = "restoring"

// Restore makes a data directory of a backup. Every byte is checked on the way, and the ledger is
// opened and compared with the manifest before it gets its name: a restore that ended early leaves
// no ledger, and can be started again.
func Restore(ctx context.Context, cfg RestoreConfig) (Manifest, error) {
	r := &restore{cfg: cfg, disk: cfg.disk}
	if r.disk == nil {
		r.disk = osDisk{}
	}
	m, err := openBackup(cfg.From, func(m *Manifest) error { return r.run(ctx, m) })
	if err != nil {
		return Manifest{}, fmt.Errorf("restore: %w", err)
	}
	return m, nil
}

type restore struct {
	cfg         RestoreConfig
	disk        disk
	done, total int64
}

func (r *restore) run(ctx context.Context, m *Manifest) error {
	if err := r.checkPlace(m); err != nil {
		return err
	}
	if err := os.MkdirAll(r.cfg.To, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w%s", err, restoreCure(err))
	}
	held, err := lock(r.cfg.To, false)
	if err != nil {
		return err
	}
	defer unlock(held, true) // nothing is lost if the process id stays there
	if err := r.clear(m); err != nil {
		return err
	}
	r.total = m.Bytes()
	if free, err := r.disk.Free(r.cfg.To); err == nil && free < r.total {
		return fmt.Errorf("%w: %s has %d bytes free and the backup has %d; free some space, or name another directory with --data",
			ErrDiskFull, r.cfg.To, free, r.total)
	}
	work := filepath.Join(r.cfg.To, restoringName)
	if err := os.MkdirAll(filepath.Join(work, "ledger"), 0o700); err != nil {
		return fmt.Errorf("make data directory: %w%s", err, restoreCure(err))
	}
	for files := m.Files; len(files) > 0; {
		n := 1
		for n < len(files) && files[n].As == files[0].As {
			n++
		}
		if err := r.file(ctx, work, files[:n]); err != nil {
			return err
		}
		files = files[n:]
	}
	if err := r.open(work, m.Sequence); err != nil {
		return err
	}
	return r.commit(m, work)
}

// checkPlace refuses directories that hold something, but for what an unfinished restore left.
func (r *restore) checkPlace(m *Manifest) error {
	if r.cfg.To == "" {
		return errors.New("no directory is named to restore to: name one with --data")
	}
	to, err := realPath(r.cfg.To)
	if err != nil {
		return err
	}
	from, err := realPath(r.cfg.From)
	if err != nil {
		return err
	}
	if within(to, from) {
		return fmt.Errorf("%s is in the backup: name a directory elsewhere with --data", r.cfg.To)
	}
	entries, err := os.ReadDir(r.cfg.To)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look into %s: %w%s", r.cfg.To, err, restoreCure(err))
	}
	unfinished := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == restoringName })
	for _, e := range entries {
		switch name := e.Name(); {
		case name == restoringName, name == lockName, name == "lost+found":
		case unfinished && slices.ContainsFunc(m.Files, func(f BackupFile) bool { return topOf(f.As) == name }):
		default:
			return fmt.Errorf("%s is not empty: it holds %s; name an empty directory with --data, or move what is there away", r.cfg.To, name)
		}
	}
	return nil
}

// clear removes what an unfinished restore left. checkPlace saw that there is nothing else.
func (r *restore) clear(m *Manifest) error {
	work := filepath.Join(r.cfg.To, restoringName)
	if _, err := os.Stat(work); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for i := range m.Files {
		if f := &m.Files[i]; !f.ledgers() {
			if err := os.RemoveAll(filepath.Join(r.cfg.To, topOf(f.As))); err != nil {
				return fmt.Errorf("remove unfinished restore: %w%s", err, restoreCure(err))
			}
		}
	}
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("remove unfinished restore: %w%s", err, restoreCure(err))
	}
	return nil
}

// file makes one file of the data directory of its pieces.
func (r *restore) file(ctx context.Context, work string, pieces []BackupFile) error {
	name := filepath.Join(work, filepath.FromSlash(pieces[0].As))
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return fmt.Errorf("write %s: %w%s", name, err, restoreCure(err))
	}
	for dir := filepath.Dir(name); dir != work && !pieces[0].ledgers(); dir = filepath.Dir(dir) {
		if err := r.disk.SyncDir(filepath.Dir(dir)); err != nil {
			return fmt.Errorf("write %s: %w%s", name, err, restoreCure(err))
		}
	}
	var own error
	f, err := placeFile(r.disk, name, func(f file) error {
		for i := range pieces {
			w := newFileWriter(f)
			w.at, w.cure = pieces[i].Offset, restoreCure
			w.done = func(n int64) {
				if r.done += n; r.cfg.Progress != nil {
					r.cfg.Progress(r.done, r.total)
				}
			}
			if own = pieces[i].read(ctx, r.cfg.From, w); own != nil {
				return own
			}
		}
		return nil
	})
	if err == nil {
		err = f.Close()
	}
	if err != nil && own == nil {
		err = fmt.Errorf("write %s: %w%s", name, err, restoreCure(err))
	}
	return err
}

// open opens what was made and compares it with the manifest.
func (r *restore) open(work string, sequence uint64) error {
	l, err := Open(Config{Dir: work, ReadOnly: true, disk: r.disk})
	if err != nil {
		return err
	}
	v, err := l.View(0)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if last := v.Last(); last != sequence {
		err = fmt.Errorf("the restored ledger goes up to sequence %d and the manifest says %d: use another backup", last, sequence)
	}
	return errors.Join(err, v.Close(), l.Close())
}

// commit gives everything its name, the ledger last: a whosaw that is started before finds none.
func (r *restore) commit(m *Manifest, work string) error {
	move := func(as string) error {
		if err := r.disk.Rename(filepath.Join(work, as), filepath.Join(r.cfg.To, as)); err != nil {
			return fmt.Errorf("put %s in place: %w%s", as, err, restoreCure(err))
		}
		return nil
	}
	var moved []string
	for i := range m.Files {
		// A directory goes with all that is in it.
		if name := topOf(m.Files[i].As); !m.Files[i].ledgers() && !slices.Contains(moved, name) {
			if err := move(name); err != nil {
				return err
			}
			moved = append(moved, name)
		}
	}
	if err := r.disk.SyncDir(r.cfg.To); err != nil {
		return fmt.Errorf("sync data directory: %w%s", err, restoreCure(err))
	}
	if err := move("ledger"); err != nil {
		return err
	}
	for _, dir := range []string{r.cfg.To, filepath.Dir(filepath.Clean(r.cfg.To))} {
		if err := r.disk.SyncDir(dir); err != nil && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("sync data directory: %w%s", err, restoreCure(err))
		}
	}
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("the ledger is restored; remove %s yourself: %w", work, err)
	}
	return nil
}

// restoreCure says what a person can do about a failed operation on the data directory to be.
func restoreCure(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "; free some space and restore again, or name another directory with --data"
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return "; make the directory writable for this user, or name another with --data"
	}
	return cure(err)
}
