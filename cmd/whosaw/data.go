package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/whosaw/whosaw"
	"github.com/whosaw/whosaw/internal/index"
	"github.com/whosaw/whosaw/internal/ledger"
	"github.com/whosaw/whosaw/internal/pipeline"
	"github.com/whosaw/whosaw/internal/report"
	"github.com/whosaw/whosaw/internal/scope"
	"github.com/whosaw/whosaw/internal/server"
)

// dataFlags name a kept ledger and the catalog to ask it with.
type dataFlags struct {
	dir, catalog string
}

func (d *dataFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&d.dir, "data", os.Getenv("WHOSAW_DATA"), "data directory that investigate --data made (or WHOSAW_DATA)")
	flags.StringVar(&d.catalog, "catalog", "", "catalog file (default: the one kept in the data directory, else the suggested one)")
}

// asked is what questions are put to: a ledger that was opened, or the server that has it open.
type asked interface {
	Count(ctx context.Context, f whosaw.Filter) (whosaw.ScopeAnswer, error)
	Top(ctx context.Context, by string, f whosaw.Filter, limit int) ([]whosaw.TopRow, error)
	Subject(ctx context.Context, realm *string, id string, f whosaw.Filter, limit int, next string) (whosaw.SubjectAnswer, error)
	// Purged lists what retention removed of what the filter looks at, when Top was asked with it.
	Purged(f whosaw.Filter) ([]whosaw.Gap, error)
	// WriteList writes the list of disclosed subjects, as csv or jsonl.
	WriteList(ctx context.Context, w io.Writer, f whosaw.Filter, form string) error
	close() error
}

// opened is an open ledger with an engine on it.
type opened struct {
	*scope.Engine
	ledger *ledger.Ledger
	index  *index.Store
	view   *ledger.View
}

func (o *opened) close() error { return errors.Join(o.view.Close(), o.ledger.Close(), o.index.Close()) }

func (o *opened) WriteList(ctx context.Context, w io.Writer, f whosaw.Filter, form string) error {
	if form == "csv" {
		return o.WriteCSV(ctx, f, w)
	}
	out := bufio.NewWriterSize(w, 1<<16)
	rows := scope.NewListWriter(out, false)
	if err := o.List(ctx, f, rows.Row); err != nil {
		return err
	}
	if err := rows.Flush(); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}

// open opens the data directory to ask it, or finds the server that has it open, and records in the ledger who asked what:
// operators are in the ledger too. On a directory that cannot be written the question is answered, and a warning says
// that it is not on record.
func (m *Main) open(ctx context.Context, d dataFlags, cfg scope.Config, act string, filter whosaw.Filter) (asked, error) {
	if d.dir == "" {
		return nil, usagef("no data directory: give --data DIR, the directory of an earlier whosaw investigate --data DIR")
	}
	if err := needLedger(d.dir, "make one with whosaw investigate --data DIR LOG…"); err != nil {
		return nil, err
	}
	if r, err := dial(ctx, d.dir); r != nil || err != nil {
		if err == nil && d.catalog != "" {
			err = usagef("a server runs on %s and answers with its own catalog: leave out --catalog, or name that one in its whosaw.yaml", d.dir)
		}
		if err != nil {
			return nil, err
		}
		r.zone = cfg.Zone.String()
		return r, nil
	}
	cat, err := server.LoadCatalog(d.catalog, d.dir)
	if err != nil {
		return nil, err
	}
	readOnly := false
	led, err := ledger.Open(ledger.Config{Dir: d.dir})
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		led, err = ledger.Open(ledger.Config{Dir: d.dir, ReadOnly: true})
		if readOnly = true; err == nil {
			fmt.Fprintf(m.Stderr, "whosaw: %s cannot be written, so this question is not on record there\n", report.Safe(d.dir))
		}
	} else if err == nil {
		err = m.recordAct(ctx, led, act, filter)
		if err != nil {
			err = errors.Join(err, led.Close())
		}
	}
	if err != nil {
		return nil, err
	}
	view, err := led.View(0)
	if err != nil {
		return nil, errors.Join(err, led.Close())
	}
	blocks := index.Open(index.Config{Dir: d.dir})
	if !readOnly {
		// Once, after an upgrade or on a restored directory. What cannot be built is read from the segments instead.
		if err := blocks.Build(ctx, view); err != nil && ctx.Err() != nil {
			return nil, errors.Join(err, blocks.Close(), view.Close(), led.Close())
		}
	}
	cfg.Index = blocks
	return &opened{ledger: led, index: blocks, view: view, Engine: scope.New(view, cat, cfg)}, nil
}

// recordAct appends what an operator asked.
func (m *Main) recordAct(ctx context.Context, led *ledger.Ledger, kind string, filter whosaw.Filter) error {
	now := m.Now()
	act := pipeline.Asked(kind, "staff:"+operator(), filter)
	act.Time, act.Source, act.Position = now.UnixMilli(), "operator", now.UnixNano()
	if _, err := led.Append(ctx, []whosaw.Record{act}); err != nil {
		return fmt.Errorf("record the question: %w", err)
	}
	return nil
}

// operator is the account that runs this process.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprintf("uid-%d", os.Getuid())
}
