package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/whosaw/whosaw/internal/incident"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/notice"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/public"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

// IncidentDir is where a data directory keeps the lists of scope versions, what is made of them, and the key of look-ups.
const IncidentDir = "incident"

// BackupConfig says what is copied, and where to.
type BackupConfig struct {
	Ledger *ledger.Ledger
	// DB is the state; nil: it is copied as it lies there, which is right only where nobody has it open and whoever had closed it in order.
	DB       *sqlite.DB
	To       string
	Version  string
	Now      func() time.Time
	Progress func(done, total int64)
}

// Backup copies an open ledger and what lies beside it.
func Backup(ctx context.Context, c BackupConfig) (ledger.Backup, error) {
	cfg := ledger.BackupConfig{To: c.To, Whosaw: c.Version, When: c.Now(), Progress: c.Progress}
	names := []string{CatalogName, RulesName, "whosaw.yaml", pipeline.SourcesName}
	if c.DB != nil {
		cfg.Extra = append(cfg.Extra, ledger.Extra{Name: StateName, Write: c.DB.Backup})
	} else {
		if info, err := os.Stat(filepath.Join(c.Ledger.Dir(), StateName+"-wal")); err == nil && info.Size() > 0 {
			return ledger.Backup{}, fmt.Errorf("back up: %s was not closed in order and its directory cannot be written: copy %s to a place that can, and back that up",
				StateName, c.Ledger.Dir())
		}
		names = append(names, StateName)
	}
	for _, name := range names {
		if e, ok := ledger.KeptFile(c.Ledger.Dir(), name); ok {
			cfg.Extra = append(cfg.Extra, e)
		}
	}
	cfg.More = func() ([]ledger.Extra, error) {
		lists, err := kept(c.Ledger.Dir())
		if err != nil {
			return nil, err
		}
		people, err := rosters(c.Ledger.Dir())
		return append(lists, people...), err
	}
	return c.Ledger.Backup(ctx, cfg)
}

// NoticeDir is where a data directory keeps the people of notices, with what became of each.
const NoticeDir = "notice"

// rosters are the people of notices. They are copied after the state, so that they know of every notice in it.
func rosters(dir string) ([]ledger.Extra, error) {
	names, err := notice.Rosters(filepath.Join(dir, NoticeDir))
	if err != nil {
		return nil, fmt.Errorf("back up: %w", err)
	}
	var out []ledger.Extra
	for _, name := range names {
		from := filepath.Join(dir, NoticeDir, name)
		out = append(out, ledger.Extra{Name: NoticeDir + "/" + name, Write: func(ctx context.Context, to string) error { return notice.CopyRoster(ctx, from, to) }})
	}
	return out, nil
}

// kept are the files that the state names, and the key of look-ups. They are written once, under names by their hash or for good, so they can be
// copied as they lie. Look-ups themselves are made again from the lists.
func kept(dir string) ([]ledger.Extra, error) {
	var out []ledger.Extra
	err := filepath.WalkDir(filepath.Join(dir, IncidentDir), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // no incident, or a list that retention has just removed
		}
		if err != nil {
			return fmt.Errorf("back up: %w", err)
		}
		name := d.Name()
		if !d.Type().IsRegular() || name != public.KeyName && !strings.HasSuffix(name, incident.ListSuffix) || strings.HasPrefix(name, ".") {
			return nil
		}
		as, err := filepath.Rel(dir, path)
		if err != nil {
			return fmt.Errorf("back up: %w", err)
		}
		out = append(out, ledger.Extra{Name: filepath.ToSlash(as), Write: func(ctx context.Context, to string) error { return copyFile(ctx, path, to) }})
		return nil
	})
	return out, err
}

// copyFile copies a file that may be large.
func copyFile(ctx context.Context, from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%w: if retention removed it while the backup ran, start again", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for err == nil && ctx.Err() == nil {
		_, err = io.CopyN(out, in, 8<<20)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return errors.Join(err, context.Cause(ctx))
}
