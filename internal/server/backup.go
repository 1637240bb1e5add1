package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/store/sqlite"
)

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
	names := []string{CatalogName, RulesName, "whosaw.yaml"}
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
	return c.Ledger.Backup(ctx, cfg)
}
